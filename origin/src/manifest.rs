//! `track.json`: what lies next to the objects of one rev, written before they become visible.
//!
//! The origin's server answers from it (length, digest, time) without reading an object, and a
//! seek answers from its time index. It says nothing about titles or art: those can change while
//! these bytes cannot; they are in `record`.

use needledrop_core::id::{Rev, TrackId};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::record::RenditionRecord;

/// The largest manifest that is read, in bytes: 24 hours of six time indexes are about 6 MiB.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The contents of `track.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `record::FORMAT_VERSION`.
    pub version: u32,
    /// The track.
    pub id: TrackId,
    /// The rev these objects are.
    pub rev: Rev,
    /// Digest of the decoded samples of the source.
    pub pcm_sha256: Digest,
    /// Version of the encoder settings.
    pub settings: u32,
    /// Sample frames of the source.
    pub frames: u64,
    /// Frames per second of the source.
    pub rate: u32,
    /// When this rev was published, in Unix seconds; the objects' Last-Modified.
    pub published: u64,
    /// The objects.
    pub objects: Vec<ObjectRecord>,
}

/// One object with its time index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Length, digest, head and rate.
    #[serde(flatten)]
    pub facts: RenditionRecord,
    /// Entry `s` is the byte at which a reader starts who wants to hear second `s`.
    pub time_index: Vec<u64>,
}
