//! Which lists can be asked for, and where in them to begin.

use super::Error;
use super::landmarks::Spot;
use super::order::{List, Stretch};
use crate::model::ReleaseKind;
use base64ct::{Base64UrlUnpadded, Encoding};
use needledrop_core::{ArtistId, ReleaseId};
use std::fmt;
use std::str::FromStr;

/// Most things of one page.
pub const PAGE_MAX: usize = 1_000;
/// Longest cursor, in characters: the longest key and an id, as base64url.
const CURSOR_CHARS_MAX: usize = 512;

/// A list of artists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtistList {
    /// By sort name.
    ByName,
    /// Most played first.
    MostPlayed,
    /// By genre, then name; an artist stands under each of their genres.
    ByGenre,
    /// Of one genre, by name.
    Genre(String),
    /// In an order that depends on the seed alone.
    Shuffled(u64),
}

/// A list of releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseList {
    /// By title.
    ByName,
    /// Last added first.
    Newest,
    /// Most played first.
    MostPlayed,
    /// By year, then title; what has none comes last.
    ByYear,
    /// Of these years, both included, by year.
    Years(u16, u16),
    /// By genre, then title; a release stands under each of its genres.
    ByGenre,
    /// Of one genre, by title.
    Genre(String),
    /// Of one artist, of one kind or all: albums first, latest first.
    OfArtist(ArtistId, Option<ReleaseKind>),
    /// In an order that depends on the seed alone.
    Shuffled(u64),
}

/// A list of tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackList {
    /// By title.
    ByName,
    /// Last added first.
    Newest,
    /// Most played first.
    MostPlayed,
    /// By the year of their release, then title; what has none comes last.
    ByYear,
    /// Of these years, both included, by year.
    Years(u16, u16),
    /// By genre, then title; what has none is not in it.
    ByGenre,
    /// Of one genre, by title.
    Genre(String),
    /// On one release, by disc and place.
    OnRelease(ReleaseId),
    /// Of one artist, most played first.
    OfArtist(ArtistId),
    /// In an order that depends on the seed alone.
    Shuffled(u64),
}

/// How a list is found.
pub(super) enum Way {
    Stretch(Stretch),
    Shuffled(u64),
}

impl ArtistList {
    pub(super) fn way(&self) -> Way {
        Way::Stretch(match self {
            ArtistList::ByName => Stretch::all(List::ArtistName),
            ArtistList::MostPlayed => Stretch::all(List::ArtistPlays),
            ArtistList::ByGenre => Stretch::all(List::ArtistGenre),
            ArtistList::Genre(genre) => Stretch::genre(List::ArtistGenre, genre),
            ArtistList::Shuffled(seed) => return Way::Shuffled(*seed),
        })
    }
}

impl ReleaseList {
    pub(super) fn way(&self) -> Way {
        Way::Stretch(match self {
            ReleaseList::ByName => Stretch::all(List::ReleaseName),
            ReleaseList::Newest => Stretch::all(List::ReleaseAdded),
            ReleaseList::MostPlayed => Stretch::all(List::ReleasePlays),
            ReleaseList::ByYear => Stretch::all(List::ReleaseYear),
            ReleaseList::Years(from, to) => Stretch::years(List::ReleaseYear, *from, *to),
            ReleaseList::ByGenre => Stretch::all(List::ReleaseGenre),
            ReleaseList::Genre(genre) => Stretch::genre(List::ReleaseGenre, genre),
            ReleaseList::OfArtist(artist, kind) => Stretch::releases_of(artist, *kind),
            ReleaseList::Shuffled(seed) => return Way::Shuffled(*seed),
        })
    }
}

impl TrackList {
    pub(super) fn way(&self) -> Way {
        Way::Stretch(match self {
            TrackList::ByName => Stretch::all(List::TrackName),
            TrackList::Newest => Stretch::all(List::TrackAdded),
            TrackList::MostPlayed => Stretch::all(List::TrackPlays),
            TrackList::ByYear => Stretch::all(List::TrackYear),
            TrackList::Years(from, to) => Stretch::years(List::TrackYear, *from, *to),
            TrackList::ByGenre => Stretch::all(List::TrackGenre),
            TrackList::Genre(genre) => Stretch::genre(List::TrackGenre, genre),
            TrackList::OnRelease(release) => Stretch::tracks_on(release),
            TrackList::OfArtist(artist) => Stretch::tracks_of(artist),
            TrackList::Shuffled(seed) => return Way::Shuffled(*seed),
        })
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At the first, or so many after it: as fast at any depth, but what comes and goes before it shifts it.
    Offset(u64),
    /// Behind the last of another page: nothing comes twice, whatever comes and goes in between.
    After(Cursor),
}

/// The end of a page, opaque to whoever carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) Behind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A place in a list.
    Spot(Spot),
    /// A number of places of a shuffle of so many seats.
    Place { at: u64, seats: u64 },
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: take `next` of the page before as it is, or leave it out to begin")]
pub struct NoCursor;

/// Keys hold no U+0000, since names hold none: it separates.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.0 {
            Behind::Spot(spot) => format!("k{}\0{}", spot.id, spot.key),
            Behind::Place { at, seats } => format!("s{at}\0{seats}"),
        };
        f.write_str(&Base64UrlUnpadded::encode_string(text.as_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(NoCursor);
        }
        let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| NoCursor)?;
        let text = String::from_utf8(bytes).map_err(|_| NoCursor)?;
        let (first, second) = text.split_once('\0').ok_or(NoCursor)?;
        if second.contains('\0') {
            return Err(NoCursor);
        }
        if let Some(id) = first.strip_prefix('k') {
            return Ok(Cursor(Behind::Spot(Spot { key: second.to_owned(), id: id.to_owned() })));
        }
        let number = |text: &str| text.parse().map_err(|_| NoCursor);
        let at = number(first.strip_prefix('s').ok_or(NoCursor)?)?;
        Ok(Cursor(Behind::Place { at, seats: number(second)? }))
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// How many the whole list has.
    pub total: u64,
    /// Where the next page begins; None behind the last.
    pub next: Option<Cursor>,
}

/// A limit within bounds.
pub(super) fn limit(limit: usize) -> Result<usize, Error> {
    if (1..=PAGE_MAX).contains(&limit) { Ok(limit) } else { Err(Error::Limit(limit)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(key in "[^\\x00]{0,20}", id in "[0-9A-Za-z]{22}", at: u64, seats: u64) {
            for behind in [Behind::Spot(Spot { key, id }), Behind::Place { at, seats }] {
                let cursor = Cursor(behind);
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }

        #[test]
        fn any_other_text_is_refused_or_read(text in "\\PC{0,60}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }
    }
}
