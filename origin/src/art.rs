//! Artwork in the vault: three JPEG sizes under one content-addressed name.
//!
//! `DATA/art/{id}/{px}.jpg` and `DATA/art/{id}/art.json`, which lists them. The id is made from
//! the original picture and the version of our scaling, so the same cover on twelve tracks is
//! stored once. Scaling itself is `needledrop_media::artwork`.

use std::fmt;

use needledrop_core::id::TrackId;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Raised when scaling or compression of artwork changes: old art keeps its old name and bytes.
pub(crate) const ART_VERSION: u8 = 1;

/// Names one piece of artwork: 22 base62 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtId(TrackId);

impl ArtId {
    /// The id of the artwork made from `picture`, the bytes of the original image file.
    pub fn of_picture(picture: &[u8]) -> ArtId {
        ArtId(TrackId::from_digest(&Digest::of_parts(&[b"art", &[ART_VERSION], picture]).0))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<ArtId> {
        TrackId::parse(text).ok().map(ArtId)
    }
}

impl fmt::Display for ArtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ArtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `art.json`: what the folder of one piece of artwork holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtManifest {
    /// `record::FORMAT_VERSION`.
    pub version: u32,
    /// When it was published, in Unix seconds.
    pub published: u64,
    /// The sizes, smallest first.
    pub images: Vec<ArtImageRecord>,
}

/// One size of a piece of artwork.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtImageRecord {
    /// Longest side in pixels; the file is `{px}.jpg`.
    pub px: u32,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Digest of the file.
    pub sha256: Digest,
}
