//! The family of renditions, and what an extension means to a browser.
//!
//! How sound gets into these forms is `needledrop_media`'s knowledge, not this file's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::object_path::ObjectPath;

/// How the sound is coded; decides extension and media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Ogg Vorbis.
    Vorbis,
    /// AAC-LC in an MP4 container with the index in front.
    Aac,
}

impl Codec {
    /// The file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Codec::Vorbis => "ogg",
            Codec::Aac => "m4a",
        }
    }

    /// The Content-Type.
    pub fn mime(self) -> &'static str {
        match self {
            Codec::Vorbis => "audio/ogg",
            Codec::Aac => "audio/mp4",
        }
    }
}

/// The nominal bitrate of a rendition; the true average is published beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kbps {
    /// 96 kbit/s.
    K96,
    /// 160 kbit/s.
    K160,
    /// 320 kbit/s.
    K320,
}

impl Kbps {
    /// Every bitrate, lowest first.
    pub const ALL: [Kbps; 3] = [Kbps::K96, Kbps::K160, Kbps::K320];

    /// The number, in kbit/s.
    pub fn value(self) -> u32 {
        match self {
            Kbps::K96 => 96,
            Kbps::K160 => 160,
            Kbps::K320 => 320,
        }
    }

    /// The bitrate of that number, if it is one of ours.
    pub fn from_value(kbps: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.value() == kbps)
    }
}

impl Serialize for Kbps {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.value())
    }
}

impl<'de> Deserialize<'de> for Kbps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        Self::from_value(number).ok_or_else(|| serde::de::Error::custom("bitrate is not 96, 160 or 320"))
    }
}

/// A track in one codec and bitrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rendition {
    /// How it is coded.
    pub codec: Codec,
    /// The nominal bitrate.
    pub kbps: Kbps,
}

impl Rendition {
    /// The six renditions every track has.
    pub const ALL: [Rendition; 6] = [
        Rendition { codec: Codec::Vorbis, kbps: Kbps::K96 },
        Rendition { codec: Codec::Vorbis, kbps: Kbps::K160 },
        Rendition { codec: Codec::Vorbis, kbps: Kbps::K320 },
        Rendition { codec: Codec::Aac, kbps: Kbps::K96 },
        Rendition { codec: Codec::Aac, kbps: Kbps::K160 },
        Rendition { codec: Codec::Aac, kbps: Kbps::K320 },
    ];

    /// The last segment of its object path, as `160.ogg`.
    pub fn file_name(self) -> String {
        self.to_string()
    }

    /// The rendition that a file name as `160.ogg` stands for.
    pub fn parse(file_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.file_name() == file_name)
    }
}

impl fmt::Display for Rendition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kbps.value(), self.codec.extension())
    }
}

/// The Content-Type of an object, by its extension; unknown ones are opaque bytes.
pub fn content_type_for(path: &ObjectPath) -> &'static str {
    match path.extension().unwrap_or("") {
        "ogg" | "oga" | "opus" => "audio/ogg",
        "m4a" | "mp4" => "audio/mp4",
        "aac" => "audio/aac",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_survive_a_round_trip() {
        for rendition in Rendition::ALL {
            assert_eq!(Rendition::parse(&rendition.file_name()), Some(rendition));
        }
        for other in ["", "128.ogg", "160.OGG", "0160.ogg", "160.ogg.ogg"] {
            assert_eq!(Rendition::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_rendition_has_the_content_type_of_its_codec() {
        for rendition in Rendition::ALL {
            let path = ObjectPath::parse(&format!("/x/{rendition}")).expect("a plain path");
            assert_eq!(content_type_for(&path), rendition.codec.mime());
        }
        let bare = ObjectPath::parse("/x/y").expect("a plain path");
        assert_eq!(content_type_for(&bare), "application/octet-stream");
    }
}
