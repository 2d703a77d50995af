//! Sound: a music file of any common kind goes in, six renditions that a CDN can serve come out.
//!
//! [`open`] reads one file and yields its tags, its picture and a decoder whose length is exact to
//! the frame. [`Transcoder`] drains such a decoder once and feeds all six encoders, the loudness
//! meter and the identity digest from the same blocks. [`ogg_index`] and [`mp4_index`] are the pure
//! parsers that turn container bytes into a time index; [`artwork`](artwork()) makes the pictures.
//!
//! This crate knows files and samples. It does not know where renditions are kept, what a track id
//! is, or that HTTP exists: see the `origin` crate for that.
//!
//! Where to look next: `pcm.rs` for the one trait everything passes through, `source.rs` for how a
//! file is recognised, `transcode/mod.rs` for the single pass.

mod artwork;
pub mod compose;
mod decode;
mod error;
pub mod mp4_index;
pub mod ogg_index;
mod opus;
mod pcm;
mod source;
mod tags;
mod time_index;
mod transcode;

pub use artwork::{ART_SIZES_PX, ArtImage, artwork};
pub use error::MediaError;
pub use pcm::{MAX_SECONDS, PcmFormat, PcmSource};
pub use source::{Decoder, Source, open};
pub use tags::{Picture, Tags};
pub use time_index::{HEAD_SECONDS, IndexError, TimeIndex};
pub use transcode::{AacBackend, Loudness, RenditionFile, Transcoded, Transcoder, transcode};
