//! The lists there are, and the key under which a thing stands in each: pure.
//!
//! A key is text that sorts byte by byte into the order of its list. Where a list has parts (the tracks of one release,
//! one genre), the part comes first and ends in U+0001, which no part contains.

use crate::model::{Artist, Episode, Release, ReleaseDate, ReleaseKind, Show, Track};
use needledrop_core::{ArtistId, ReleaseId, ShowId};

/// How much of a name takes part in its order, in bytes. Names that agree in these are ordered by id.
const NAME_KEY_BYTES: usize = 64;
/// Ends a part. Control characters of names are spaces in keys, so it is in none.
pub(super) const END: char = '\u{1}';
/// The character after [`END`]: a part's range ends before it.
pub(super) const PAST: char = '\u{2}';

/// A list, by its number in the tables. Numbers are never used again for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i64)]
pub(super) enum List {
    ArtistName = 1,
    ArtistPlays = 2,
    ArtistGenre = 3,
    ReleaseName = 11,
    ReleaseAdded = 12,
    ReleasePlays = 13,
    ReleaseYear = 14,
    ReleaseGenre = 15,
    ReleaseArtist = 16,
    TrackName = 21,
    TrackAdded = 22,
    TrackPlays = 23,
    TrackYear = 24,
    TrackGenre = 25,
    TrackRelease = 26,
    TrackArtist = 27,
    ShowName = 31,
    EpisodeShow = 41,
}

/// A stretch of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) list: List,
    /// The first key that may be in it.
    pub(super) from: String,
    /// The first key after it; None to the list's end.
    pub(super) until: Option<String>,
}

impl Stretch {
    pub(super) fn all(list: List) -> Self {
        Self { list, from: String::new(), until: None }
    }

    /// Everything under one part.
    pub(super) fn part(list: List, part: &str) -> Self {
        Self { list, from: format!("{part}{END}"), until: Some(format!("{part}{PAST}")) }
    }

    pub(super) fn genre(list: List, genre: &str) -> Self {
        Self::part(list, &name_key(genre))
    }

    /// Years from and to, both included.
    pub(super) fn years(list: List, from: u16, to: u16) -> Self {
        Self { list, from: format!("{from:05}"), until: Some(format!("{to:05}{PAST}")) }
    }

    pub(super) fn releases_of(artist: &ArtistId, kind: Option<ReleaseKind>) -> Self {
        match kind {
            None => Self::part(List::ReleaseArtist, artist.as_str()),
            Some(kind) => Self::part(List::ReleaseArtist, &format!("{artist}{END}{}", kind_digit(kind))),
        }
    }

    pub(super) fn tracks_on(release: &ReleaseId) -> Self {
        Self::part(List::TrackRelease, release.as_str())
    }

    pub(super) fn tracks_of(artist: &ArtistId) -> Self {
        Self::part(List::TrackArtist, artist.as_str())
    }

    pub(super) fn episodes_of(show: &ShowId) -> Self {
        Self::part(List::EpisodeShow, show.as_str())
    }
}

pub(super) fn of_artist(artist: &Artist) -> Vec<(List, String)> {
    let name = name_key(&artist.sort_name);
    let mut keys = vec![(List::ArtistName, name.clone()), (List::ArtistPlays, falling(artist.plays))];
    genres(&artist.genres, &mut |genre| keys.push((List::ArtistGenre, format!("{genre}{END}{name}"))));
    keys
}

pub(super) fn of_release(release: &Release) -> Vec<(List, String)> {
    let name = name_key(&release.title);
    let mut keys = vec![
        (List::ReleaseName, name.clone()),
        (List::ReleaseAdded, falling(release.added)),
        (List::ReleasePlays, falling(release.plays)),
        (List::ReleaseYear, format!("{}{END}{name}", year(release.date))),
    ];
    genres(&release.genres, &mut |genre| keys.push((List::ReleaseGenre, format!("{genre}{END}{name}"))));
    let (kind, newest) = (kind_digit(release.kind), falling(date_number(release.date).unwrap_or(0)));
    for (at, artist) in release.artists.iter().enumerate() {
        if release.artists[..at].iter().all(|before| before.id != artist.id) {
            keys.push((List::ReleaseArtist, format!("{}{END}{kind}{END}{newest}{name}", artist.id)));
        }
    }
    keys
}

/// `date` is that of the track's release.
pub(super) fn of_track(track: &Track, date: Option<ReleaseDate>) -> Vec<(List, String)> {
    let name = name_key(&track.title);
    let plays = falling(track.plays);
    let mut keys = vec![
        (List::TrackAdded, falling(track.added)),
        (List::TrackPlays, plays.clone()),
        (List::TrackYear, format!("{}{END}{name}", year(date))),
        (List::TrackRelease, on_release(&track.release.id, track.disc_no, track.track_no, &track.title)),
    ];
    if let Some(genre) = &track.genre {
        keys.push((List::TrackGenre, format!("{}{END}{name}", name_key(genre))));
    }
    for (at, artist) in track.artists.iter().enumerate() {
        if track.artists[..at].iter().all(|before| before.id != artist.id) {
            keys.push((List::TrackArtist, format!("{}{END}{plays}", artist.id)));
        }
    }
    keys.push((List::TrackName, name));
    keys
}

/// The key of a track in the list of its release.
pub(super) fn on_release(release: &ReleaseId, disc_no: u32, track_no: u32, title: &str) -> String {
    format!("{release}{END}{disc_no:010}{track_no:010}{}", name_key(title))
}

pub(super) fn of_show(show: &Show) -> Vec<(List, String)> {
    vec![(List::ShowName, name_key(&show.title))]
}

pub(super) fn of_episode(episode: &Episode) -> Vec<(List, String)> {
    vec![(List::EpisodeShow, format!("{}{END}{}", episode.show, falling(episode.published)))]
}

/// Newest or most first.
fn falling(number: u64) -> String {
    format!("{:016x}", u64::MAX - number)
}

/// What has no date comes last.
fn year(date: Option<ReleaseDate>) -> String {
    date.map_or("99999".to_owned(), |date| format!("{:05}", date.year))
}

/// YYYYMMDD, with 00 for what is unknown.
pub(super) fn date_number(date: Option<ReleaseDate>) -> Option<u64> {
    date.map(|d| u64::from(d.year) * 10_000 + u64::from(d.month.unwrap_or(0)) * 100 + u64::from(d.day.unwrap_or(0)))
}

fn kind_digit(kind: ReleaseKind) -> u8 {
    match kind {
        ReleaseKind::Album => 1,
        ReleaseKind::Ep => 2,
        ReleaseKind::Single => 3,
        ReleaseKind::Compilation => 4,
    }
}

/// Each genre once, however it is spelled.
fn genres(genres: &[String], each: &mut dyn FnMut(&str)) {
    let keys: Vec<String> = genres.iter().map(|genre| name_key(genre)).collect();
    for (at, key) in keys.iter().enumerate() {
        if !keys[..at].contains(key) {
            each(key);
        }
    }
}

/// Lower case, without control characters, cut at a character.
pub(super) fn name_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len().min(NAME_KEY_BYTES));
    for c in name.trim().chars().flat_map(char::to_lowercase) {
        let c = if c.is_control() { ' ' } else { c };
        if key.len() + c.len_utf8() > NAME_KEY_BYTES {
            break;
        }
        key.push(c);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_comes_first() {
        assert!(falling(2) < falling(1) && falling(u64::MAX) < falling(0));
    }

    proptest! {
        #[test]
        fn a_key_is_bounded_and_free_of_separators(name in "\\PC*|[\\x00-\\x7f]{0,200}") {
            let key = name_key(&name);
            prop_assert!(key.len() <= NAME_KEY_BYTES);
            prop_assert!(!key.chars().any(char::is_control));
        }

        #[test]
        fn a_part_holds_its_keys_and_no_others(part in "[a-z]{0,3}", other in "[a-z]{0,3}", key in "[a-z]{0,3}") {
            let stretch = Stretch::part(List::TrackGenre, &part);
            let full = format!("{other}{END}{key}");
            let inside = full >= stretch.from && full < stretch.until.unwrap();
            prop_assert_eq!(inside, part == other);
        }
    }
}
