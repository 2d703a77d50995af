//! How the catalog becomes otherwise: one change names one thing, puts it or takes it away.
//!
//! A change is judged by itself here ([`Change::check`]); what it needs of the catalog, such as the release of a track,
//! is judged by the store, in the order in which changes come.

use crate::model::{
    Artist, ArtistName, Credit, Episode, NAME_BYTES_MAX, Release, ReleaseDate, Share, Show, Track, Window,
};
use crate::shares::{self, NotWhole};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, ShowId, TrackId};
use serde::{Deserialize, Serialize};

/// Longest description, in bytes: what feeds send as show notes, without their longest.
pub const DESCRIPTION_BYTES_MAX: usize = 65_536;
/// Longest URL, in bytes: what servers take as a request target.
pub const URL_BYTES_MAX: usize = 8_192;
/// Most artists, genres or aliases of one thing: an orchestra's soloists, not its members.
pub const NAMES_MAX: usize = 64;
/// Most credits, shares or windows of one recording: every country, both rights.
pub const RIGHTS_MAX: usize = 2_048;
/// Most objects of a track.
pub const RENDITIONS_MAX: usize = 32;

/// Largest number of plays, seconds, milliseconds or bytes: what databases keep, which have no unsigned numbers.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// One change. What is put replaces what was there under the same id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Puts an artist. `plays` is the store's to count.
    Artist(Artist),
    /// Puts a release. Artists it names come into being; `tracks`, `duration_ms` and `plays` are the store's to count.
    Release(Release),
    /// Puts a track. Its release must be there; artists it names come into being. Of a track that is there already
    /// `plays` and `added` stay as they are.
    Track(Box<Track>),
    /// Puts all credits of a track.
    Credits {
        /// Whose.
        track: TrackId,
        /// In order.
        credits: Vec<Credit>,
    },
    /// Puts all shares of a track; each right's shares must make a whole in each territory.
    Shares {
        /// Whose.
        track: TrackId,
        /// In no order.
        shares: Vec<Share>,
    },
    /// Puts all windows of a track.
    Windows {
        /// Whose.
        track: TrackId,
        /// In no order.
        windows: Vec<Window>,
    },
    /// Puts a podcast; `episodes` is the store's to count.
    Show(Show),
    /// Puts an episode; its show must be there.
    Episode(Episode),
    /// Adds to a track's plays, and to its release's and its artists'. Of a track that is gone they count for nothing.
    Plays {
        /// Of which track.
        track: TrackId,
        /// How many more.
        added: u64,
    },
    /// Takes a track away, with its credits, shares and windows.
    RemoveTrack {
        /// Which.
        id: TrackId,
    },
    /// Takes a release away, unless tracks stand on it after all changes of the batch.
    RemoveRelease {
        /// Which.
        id: ReleaseId,
    },
    /// Takes an artist away, unless something names them after all changes of the batch.
    RemoveArtist {
        /// Who.
        id: ArtistId,
    },
    /// Takes a podcast away, with its episodes.
    RemoveShow {
        /// Which.
        id: ShowId,
    },
    /// Takes an episode away.
    RemoveEpisode {
        /// Which.
        id: EpisodeId,
    },
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Shares do not make a whole.
    #[error("recording {track}: {sum}; correct the shares so that they do")]
    Shares {
        /// Whose.
        track: TrackId,
        /// Which of them.
        sum: NotWhole,
    },
    /// A text is empty, too long or holds NUL.
    #[error("{field} {why}")]
    Text {
        /// Which.
        field: &'static str,
        /// In words.
        why: &'static str,
    },
    /// A list is too long.
    #[error("{field} has {count} entries, at most {most} are kept")]
    Many {
        /// Which.
        field: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// The date is none.
    #[error("the date {year}-{month:?}-{day:?} is none: a month is 1 to 12, a day 1 to 31 and needs a month")]
    Date {
        /// Year.
        year: u16,
        /// Month.
        month: Option<u8>,
        /// Day.
        day: Option<u8>,
    },
    /// A loudness is not a finite number.
    #[error("the loudness of {0} is not a number: leave it out for silence")]
    Loudness(TrackId),
    /// A number is larger than a database keeps.
    #[error("{field}: {number} is more than {NUMBER_MAX}")]
    Number {
        /// Which field.
        field: &'static str,
        /// What it is.
        number: u64,
    },
    /// The track's release is not there.
    #[error("track {track} stands on release {release}, which the catalog does not have: put the release first")]
    NoRelease {
        /// Which track.
        track: TrackId,
        /// Which release.
        release: ReleaseId,
    },
    /// The track is not there.
    #[error("the catalog has no track {0}: put it before its credits, shares and windows")]
    NoTrack(TrackId),
    /// The episode's show is not there.
    #[error("episode {episode} belongs to show {show}, which the catalog does not have: put the show first")]
    NoShow {
        /// Which episode.
        episode: EpisodeId,
        /// Which show.
        show: ShowId,
    },
}

impl Change {
    /// Judges what can be judged without the catalog.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Change::Artist(artist) => check_artist(artist),
            Change::Release(release) => check_release(release),
            Change::Track(track) => check_track(track),
            Change::Credits { credits, .. } => {
                at_most("credits", credits.len(), RIGHTS_MAX)?;
                credits.iter().try_for_each(|credit| name("a credit's name", &credit.artist.name))
            }
            Change::Shares { track, shares } => {
                at_most("shares", shares.len(), RIGHTS_MAX)?;
                shares.iter().try_for_each(|share| name("a holder's name", &share.holder.name))?;
                shares::check(shares).map_err(|sum| Refusal::Shares { track: *track, sum })
            }
            Change::Windows { windows, .. } => at_most("windows", windows.len(), RIGHTS_MAX),
            Change::Show(show) => check_show(show),
            Change::Episode(episode) => check_episode(episode),
            Change::Plays { .. }
            | Change::RemoveTrack { .. }
            | Change::RemoveRelease { .. }
            | Change::RemoveArtist { .. }
            | Change::RemoveShow { .. }
            | Change::RemoveEpisode { .. } => Ok(()),
        }
    }
}

fn check_artist(artist: &Artist) -> Result<(), Refusal> {
    name("an artist's name", &artist.name)?;
    name("an artist's sort name", &artist.sort_name)?;
    names("aliases", &artist.aliases)?;
    names("genres", &artist.genres)?;
    optional("art", artist.art.as_deref())
}

fn check_release(release: &Release) -> Result<(), Refusal> {
    name("a release's title", &release.title)?;
    check_artists(&release.artists)?;
    names("genres", &release.genres)?;
    optional("a UPC", release.upc.as_deref())?;
    optional("a label", release.label.as_deref())?;
    optional("art", release.art.as_deref())?;
    number("added", release.added)?;
    release.date.map_or(Ok(()), check_date)
}

fn check_track(track: &Track) -> Result<(), Refusal> {
    name("a track's title", &track.title)?;
    check_artists(&track.artists)?;
    optional("an ISRC", track.isrc.as_deref())?;
    optional("a genre", track.genre.as_deref())?;
    at_most("renditions", track.renditions.len(), RENDITIONS_MAX)?;
    number("added", track.added)?;
    number("plays", track.plays)?;
    number("a duration", track.duration_ms)?;
    let numbers = [track.loudness_lufs, track.true_peak_dbtp];
    if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
        return Err(Refusal::Loudness(track.id));
    }
    Ok(())
}

fn check_show(show: &Show) -> Result<(), Refusal> {
    name("a show's title", &show.title)?;
    text("a show's publisher", &show.publisher, NAME_BYTES_MAX)?;
    text("a show's description", &show.description, DESCRIPTION_BYTES_MAX)?;
    url("a feed", show.feed.as_deref())?;
    url("a link", show.link.as_deref())?;
    url("an image", show.image.as_deref())?;
    optional("a language", show.language.as_deref())?;
    optional("art", show.art.as_deref())
}

fn check_episode(episode: &Episode) -> Result<(), Refusal> {
    name("an episode's title", &episode.title)?;
    text("an episode's description", &episode.description, DESCRIPTION_BYTES_MAX)?;
    name("an episode's guid", &episode.guid)?;
    optional("a media type", episode.media_type.as_deref())?;
    url("a link", episode.link.as_deref())?;
    url("an image", episode.image.as_deref())?;
    number("published", episode.published)?;
    number("a duration", episode.duration_ms.unwrap_or(0))?;
    number("bytes", episode.bytes.unwrap_or(0))?;
    match &episode.enclosure {
        Some(enclosure) => text("an enclosure", enclosure, DESCRIPTION_BYTES_MAX),
        None => Ok(()),
    }
}

fn check_artists(artists: &[ArtistName]) -> Result<(), Refusal> {
    at_most("artists", artists.len(), NAMES_MAX)?;
    artists.iter().try_for_each(|artist| name("an artist's name", &artist.name))
}

fn check_date(date: ReleaseDate) -> Result<(), Refusal> {
    let ReleaseDate { year, month, day } = date;
    let is_month = month.is_none_or(|month| (1..=12).contains(&month));
    let is_day = day.is_none_or(|day| (1..=31).contains(&day) && month.is_some());
    if is_month && is_day { Ok(()) } else { Err(Refusal::Date { year, month, day }) }
}

fn names(field: &'static str, names: &[String]) -> Result<(), Refusal> {
    at_most(field, names.len(), NAMES_MAX)?;
    names.iter().try_for_each(|text| name(field, text))
}

fn name(field: &'static str, name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::Text { field, why: "is empty" });
    }
    text(field, name, NAME_BYTES_MAX)
}

fn optional(field: &'static str, value: Option<&str>) -> Result<(), Refusal> {
    value.map_or(Ok(()), |value| text(field, value, NAME_BYTES_MAX))
}

fn url(field: &'static str, value: Option<&str>) -> Result<(), Refusal> {
    value.map_or(Ok(()), |value| text(field, value, URL_BYTES_MAX))
}

fn text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::Text { field, why: "is too long" });
    }
    // PostgreSQL has no place for it.
    if text.contains('\0') {
        return Err(Refusal::Text { field, why: "holds a NUL character" });
    }
    Ok(())
}

fn number(field: &'static str, number: u64) -> Result<(), Refusal> {
    if number > NUMBER_MAX { Err(Refusal::Number { field, number }) } else { Ok(()) }
}

fn at_most(field: &'static str, count: usize, most: usize) -> Result<(), Refusal> {
    if count > most { Err(Refusal::Many { field, count, most }) } else { Ok(()) }
}
