//! What the library remembers, one record per journal line.
//!
//! A [`TrackRecord`] is a published track: everything a catalog or a player page needs, and
//! nothing that only an edge or the origin's server needs (byte-level facts such as the time
//! index live in `manifest`, next to the objects). A [`SourceFact`] says which file on the
//! operator's disk became which track, so that an unchanged file costs no more than a stat.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use needledrop_core::id::{Rev, TrackId};
use needledrop_core::media::Rendition;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::art::ArtId;
use crate::digest::Digest;

/// The version of the journal and manifest formats this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// Version of the encoder settings. Raised when a rendition made today would differ from one made
/// before: sources of older versions are then due again.
pub const ENCODER_SETTINGS: u32 = 1;

/// The longest text a record keeps, in bytes; tags from outside are clipped to it.
pub const TEXT_BYTES_MAX: usize = 1024;

/// One journal line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first line.
    Library { version: u32 },
    /// A track was published, or published again with other bytes or art.
    Track(Box<TrackRecord>),
    /// A source file was worked off.
    Source(SourceFact),
    /// A source is gone: its file was moved and is known under its new name.
    Forgotten { source: SourceKey },
    /// A track is no longer part of the library.
    Removed { id: TrackId },
    /// A rev gave way to another one at this time (Unix seconds) and its objects are still there.
    /// Only written when a journal is compacted: elsewhere two `Track` lines say the same.
    Superseded(Superseded),
    /// The objects of a superseded rev were removed.
    Swept { id: TrackId, rev: Rev },
}

/// A published track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// Stays when the file moves or is retagged: made from the PCM.
    pub id: TrackId,
    /// Changes when the objects' bytes change.
    pub rev: Rev,
    /// Title, or the file's name when it has none.
    pub title: String,
    /// Performing artist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// Album title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Artist of the whole album.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album_artist: Option<String>,
    /// Position on the disc, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_no: Option<u32>,
    /// Disc of the album, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disc_no: Option<u32>,
    /// Year of release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<u32>,
    /// Genre, as the tag spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// International Standard Recording Code, as tagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Length of the source in milliseconds.
    pub duration_ms: u64,
    /// EBU R128 measurements of the source.
    pub loudness: LoudnessRecord,
    /// Names `/art/{art}/{px}.jpg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub art: Option<ArtId>,
    /// The objects, in the order of `Rendition::ALL`.
    pub renditions: Vec<RenditionRecord>,
    /// Digest of the decoded samples; the track id is made from it.
    pub pcm_sha256: Digest,
    /// Where the sound came from; the first of several sources with the same samples.
    pub source: SourceKey,
    /// When this rev was published, in Unix seconds.
    pub published: u64,
}

/// One object of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionRecord {
    /// Codec and nominal bitrate.
    pub rendition: Rendition,
    /// Length of the object in bytes.
    pub bytes: u64,
    /// Digest of the object; its entity tag is made from it.
    pub sha256: Digest,
    /// Bytes that are needed to play the first 30 s.
    pub head_bytes: u64,
    /// True average over the whole object, in bits per second.
    pub average_bps: u64,
    /// Length of the decoded object in milliseconds.
    pub duration_ms: u64,
}

/// A rev that gave way to another one of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Superseded {
    pub(crate) id: TrackId,
    pub(crate) rev: Rev,
    /// When, in Unix seconds.
    pub(crate) at: u64,
}

/// EBU R128 loudness. A field is absent where it is not a finite number (silence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoudnessRecord {
    /// Integrated loudness in LUFS.
    pub integrated_lufs: Option<f64>,
    /// True peak in dBTP.
    pub true_peak_dbtp: Option<f64>,
    /// Loudness range in LU.
    pub range_lu: Option<f64>,
}

/// A source file (or a built-in source) and the track it became.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFact {
    /// Which source.
    pub source: SourceKey,
    /// Size and time at which it was read.
    pub stamp: Stamp,
    /// Digest of the file's bytes: how a moved or copied file is recognised.
    pub sha256: Digest,
    /// The track it became.
    pub track: TrackId,
    /// Encoder settings it was worked off with; other settings mean the work is due again.
    pub settings: u32,
    /// Where its artwork came from.
    pub art: ArtSource,
}

impl SourceFact {
    /// Whether a source with this stamp needs no work.
    pub(crate) fn is_current(&self, stamp: Stamp) -> bool {
        self.stamp == stamp && self.settings == ENCODER_SETTINGS
    }
}

/// What a stat says about a file's contents: if this is the same, so is the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time in nanoseconds since the Unix epoch.
    pub mtime_ns: i128,
}

impl Stamp {
    /// The stamp of a file that was just statted.
    pub fn of(metadata: &std::fs::Metadata) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let mtime_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Stamp { bytes: metadata.len(), mtime_ns }
    }
}

/// Where a track's artwork came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtSource {
    /// There was none.
    None,
    /// A picture inside the file.
    Embedded,
    /// A picture in the file's folder, with its stamp: a changed cover is taken up.
    Folder {
        /// The picture file.
        path: SourceKey,
        /// Its stamp when it was read.
        stamp: Stamp,
    },
}

/// Names a source: a file by its absolute path, or a built-in source by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKey {
    /// An absolute path.
    File(PathBuf),
    /// A source this program makes itself, for example `demo/03`.
    BuiltIn(String),
}

impl SourceKey {
    /// The path, for a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            SourceKey::File(path) => Some(path),
            SourceKey::BuiltIn(_) => None,
        }
    }

    /// Its name without the folders it is in, fit to be shown.
    pub fn short_name(&self) -> String {
        match self {
            SourceKey::File(path) => Shown(&path.file_name().unwrap_or_default().to_string_lossy()).to_string(),
            SourceKey::BuiltIn(name) => name.clone(),
        }
    }

    /// A name to show when there is no title.
    pub(crate) fn file_stem(&self) -> String {
        match self {
            SourceKey::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            SourceKey::BuiltIn(name) => name.clone(),
        }
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceKey::File(path) => Shown(&path.to_string_lossy()).fmt(f),
            SourceKey::BuiltIn(name) => write!(f, "built-in {name}"),
        }
    }
}

/// A name of somebody else's choice. Characters that speak to a terminal, or turn the direction of what stands around them,
/// are shown by their numbers.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            let turns =
                matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            match turns || character.is_control() {
                true => write!(f, "{}", character.escape_unicode())?,
                false => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

/// The stored form. Paths that are not UTF-8 are kept exactly, as base64url of their bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKey {
    File(String),
    FileBytes(String),
    BuiltIn(String),
}

impl Serialize for SourceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = match self {
            SourceKey::BuiltIn(name) => StoredKey::BuiltIn(name.clone()),
            SourceKey::File(path) => match path.to_str() {
                Some(text) => StoredKey::File(text.to_owned()),
                None => StoredKey::FileBytes(Base64UrlUnpadded::encode_string(path.as_os_str().as_bytes())),
            },
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SourceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SourceKey, D::Error> {
        Ok(match StoredKey::deserialize(deserializer)? {
            StoredKey::BuiltIn(name) => SourceKey::BuiltIn(name),
            StoredKey::File(text) => SourceKey::File(PathBuf::from(text)),
            StoredKey::FileBytes(text) => {
                let bytes = Base64UrlUnpadded::decode_vec(&text)
                    .map_err(|_| serde::de::Error::custom("a path that is not base64url"))?;
                SourceKey::File(PathBuf::from(OsString::from_vec(bytes)))
            }
        })
    }
}

/// Cuts a text from outside to [`TEXT_BYTES_MAX`] at a character, without control characters.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut end = clipped.len().min(TEXT_BYTES_MAX);
    while !clipped.is_char_boundary(end) {
        end -= 1;
    }
    clipped.truncate(end);
    clipped.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_keys_round_trip_even_when_a_path_is_not_utf8() {
        let odd = SourceKey::File(PathBuf::from(OsString::from_vec(b"/m/\xff\xfe.mp3".to_vec())));
        for key in [SourceKey::File("/m/a b.mp3".into()), SourceKey::BuiltIn("demo/01".into()), odd] {
            let text = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<SourceKey>(&text).unwrap(), key, "{text}");
        }
    }

    #[test]
    fn a_source_is_shown_without_what_speaks_to_a_terminal() {
        let key = SourceKey::File("/m/a\x1b[31m\r\nb\u{202e}ä.mp3".into());
        assert_eq!(key.short_name(), r"a\u{1b}[31m\u{d}\u{a}b\u{202e}ä.mp3");
        assert_eq!(key.to_string(), format!("/m/{}", key.short_name()));
    }

    #[test]
    fn long_texts_are_clipped_at_a_character() {
        let clipped = clip(&"ä".repeat(TEXT_BYTES_MAX));
        assert!(clipped.len() <= TEXT_BYTES_MAX && clipped.chars().all(|c| c == 'ä'));
        assert_eq!(clip(" a\0b\n "), "ab");
    }
}
