//! What the catalog holds, as values. Constructed by the store and by imports; read by everything else.
//!
//! A [`Track`] is a recording (named by its ISRC where it has one) in the place it has on one [`Release`] (named by its
//! UPC). Times are Unix seconds, lengths are milliseconds, shares are millionths.

use needledrop_core::{ArtistId, EpisodeId, ReleaseId, Rev, ShowId, TrackId};
use serde::{Deserialize, Serialize};

/// The longest name, title or alias, in bytes: what ingest keeps of a tag.
pub const NAME_BYTES_MAX: usize = 1024;

/// A whole share: shares of one right in one territory sum to this.
pub const WHOLE_SHARE: u32 = 1_000_000;

/// A person or a band.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artist {
    /// Identity.
    pub id: ArtistId,
    /// As it is shown.
    pub name: String,
    /// As it is sorted, such as "Beatles, The"; the name where nobody said otherwise.
    pub sort_name: String,
    /// Other names people look for.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// As the tags spell them, most frequent first.
    #[serde(default)]
    pub genres: Vec<String>,
    /// Artwork digest: names `/art/{art}/{px}.jpg`.
    #[serde(default)]
    pub art: Option<String>,
    /// Plays of all its tracks.
    #[serde(default)]
    pub plays: u64,
}

/// An artist as others name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtistName {
    /// Identity.
    pub id: ArtistId,
    /// As it is shown.
    pub name: String,
}

/// What kind of release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseKind {
    /// An album.
    Album,
    /// One to three tracks.
    Single,
    /// Four to six tracks.
    Ep,
    /// By several artists.
    Compilation,
}

/// A date of which the month and the day may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseDate {
    /// Gregorian year.
    pub year: u16,
    /// 1 to 12.
    #[serde(default)]
    pub month: Option<u8>,
    /// 1 to 31; None while the month is unknown.
    #[serde(default)]
    pub day: Option<u8>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Identity.
    pub id: ReleaseId,
    /// As it is shown.
    pub title: String,
    /// What kind.
    pub kind: ReleaseKind,
    /// Whose it is, in order.
    pub artists: Vec<ArtistName>,
    /// When it came out.
    #[serde(default)]
    pub date: Option<ReleaseDate>,
    /// Universal Product Code: 12 or 13 digits.
    #[serde(default)]
    pub upc: Option<String>,
    /// Who published it.
    #[serde(default)]
    pub label: Option<String>,
    /// As the tags spell them.
    #[serde(default)]
    pub genres: Vec<String>,
    /// Artwork digest.
    #[serde(default)]
    pub art: Option<String>,
    /// How many tracks the catalog has of it.
    #[serde(default)]
    pub tracks: u32,
    /// Length of these tracks.
    #[serde(default)]
    pub duration_ms: u64,
    /// When it was added, in Unix seconds.
    #[serde(default)]
    pub added: u64,
    /// Plays of all its tracks.
    #[serde(default)]
    pub plays: u64,
}

/// A release as its tracks name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseName {
    /// Identity.
    pub id: ReleaseId,
    /// As it is shown.
    pub title: String,
    /// Artwork digest.
    #[serde(default)]
    pub art: Option<String>,
    /// When it came out.
    #[serde(default)]
    pub date: Option<ReleaseDate>,
}

/// A recording where it stands on a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Identity of the recording; the id in object paths.
    pub id: TrackId,
    /// Revision of its objects' bytes.
    pub rev: Rev,
    /// As it is shown.
    pub title: String,
    /// Who performs, in order.
    pub artists: Vec<ArtistName>,
    /// The release it stands on.
    pub release: ReleaseName,
    /// Disc, from 1.
    pub disc_no: u32,
    /// Place on the disc, from 1; 0 where nobody said.
    pub track_no: u32,
    /// International Standard Recording Code: 12 characters.
    #[serde(default)]
    pub isrc: Option<String>,
    /// Length.
    pub duration_ms: u64,
    /// EBU R128 integrated loudness; None of silence.
    #[serde(default)]
    pub loudness_lufs: Option<f64>,
    /// True peak in dBTP; None of silence.
    #[serde(default)]
    pub true_peak_dbtp: Option<f64>,
    /// As the tag spells it.
    #[serde(default)]
    pub genre: Option<String>,
    /// When it was added, in Unix seconds.
    #[serde(default)]
    pub added: u64,
    /// How often it was played.
    #[serde(default)]
    pub plays: u64,
    /// The objects: codec extension and kbit/s, bytes, bytes of the head.
    #[serde(default)]
    pub renditions: Vec<TrackRendition>,
}

/// One object of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRendition {
    /// Codec and nominal bitrate.
    pub rendition: needledrop_core::Rendition,
    /// Length of the object.
    pub bytes: u64,
    /// Bytes that are needed to play the first 30 s.
    pub head_bytes: u64,
    /// True average in bits per second.
    pub average_bps: u64,
}

/// What somebody did for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sings or plays.
    Performer,
    /// Wrote music or words.
    Writer,
    /// Produced it.
    Producer,
    /// Owns the recording or the work.
    Holder,
}

/// Who did what, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Who.
    pub artist: ArtistName,
    /// What.
    pub role: Role,
}

/// What part of a right somebody owns, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Who owns.
    pub holder: ArtistName,
    /// Of the recording or of the work.
    pub right: Right,
    /// Where; None for everywhere that has no shares of its own.
    #[serde(default)]
    pub territory: Option<Territory>,
    /// In millionths.
    pub micro: u32,
}

/// The two rights in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// In the recording (master).
    Recording,
    /// In the work (publishing).
    Work,
}

/// A country: two letters of ISO 3166-1, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Territory([u8; 2]);

/// The text is not two ASCII letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a territory is two letters (ISO 3166-1)")]
pub struct NoTerritory;

impl Territory {
    /// Two letters; lower case is made upper.
    pub fn parse(text: &str) -> Result<Self, NoTerritory> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(NoTerritory),
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl std::fmt::Debug for Territory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Territory({})", self.as_str())
    }
}

impl Serialize for Territory {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Territory {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Where and when a track may be heard. A track without any window may be heard everywhere and always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Where; None for everywhere that has no window of its own.
    #[serde(default)]
    pub territory: Option<Territory>,
    /// From, in Unix seconds; None for ever since.
    #[serde(default)]
    pub from: Option<u64>,
    /// Until and not including, in Unix seconds; None for ever after.
    #[serde(default)]
    pub until: Option<u64>,
}

/// A podcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// Identity.
    pub id: ShowId,
    /// As it is shown.
    pub title: String,
    /// Who makes it.
    pub publisher: String,
    /// What it is about, as plain text.
    pub description: String,
    /// The feed it comes from; None for our own.
    #[serde(default)]
    pub feed: Option<String>,
    /// The publisher's page about it.
    #[serde(default)]
    pub link: Option<String>,
    /// The publisher's picture, which stands elsewhere.
    #[serde(default)]
    pub image: Option<String>,
    /// Not for everybody's ears, as the publisher says.
    #[serde(default)]
    pub is_explicit: bool,
    /// BCP 47.
    #[serde(default)]
    pub language: Option<String>,
    /// Artwork digest.
    #[serde(default)]
    pub art: Option<String>,
    /// How many episodes the catalog has.
    #[serde(default)]
    pub episodes: u32,
}

/// One episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Identity.
    pub id: EpisodeId,
    /// Whose it is.
    pub show: ShowId,
    /// As it is shown.
    pub title: String,
    /// What it is about, as plain text.
    pub description: String,
    /// When it came out, in Unix seconds.
    pub published: u64,
    /// Length, if the feed or the audio says.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The publisher's audio, for what is not in our vault.
    #[serde(default)]
    pub enclosure: Option<String>,
    /// Its media type, as the publisher says.
    #[serde(default)]
    pub media_type: Option<String>,
    /// Its bytes, as the publisher says.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The publisher's page about it.
    #[serde(default)]
    pub link: Option<String>,
    /// A picture of its own, which stands elsewhere.
    #[serde(default)]
    pub image: Option<String>,
    /// Not for everybody's ears, as the publisher says.
    #[serde(default)]
    pub is_explicit: bool,
    /// Season, where the publisher counts them.
    #[serde(default)]
    pub season: Option<u32>,
    /// Number in its season, or of all.
    #[serde(default)]
    pub number: Option<u32>,
    /// The feed's own name for it.
    pub guid: String,
}
