//! The one shape in which sound travels through this crate: blocks of interleaved 32-bit floats.
//!
//! Knows nothing of files or codecs. Decoders implement [`PcmSource`], and so do programs that
//! compose music; the transcoder consumes it.

use crate::MediaError;

/// The longest track accepted, in seconds. A day: it bounds sample tables, loudness history and the
/// time index, and keeps every rendition under the 4 GiB that 32-bit chunk offsets can address.
pub const MAX_SECONDS: u64 = 24 * 3600;

/// The largest block a source may hand out, in seconds.
pub(crate) const BLOCK_SECONDS_MAX: u32 = 1;

/// Sample rates outside of this range are refused: nothing real is slower or faster.
pub(crate) const RATE_HZ: std::ops::RangeInclusive<u32> = 4_000..=768_000;

/// How the samples of a [`PcmSource`] are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcmFormat {
    /// Frames per second, in Hz.
    pub rate: u32,
    /// Samples per frame: 1 (mono) or 2 (left, right). Sources with more channels mix down first.
    pub channels: u16,
}

/// A stream of sound that ends.
pub trait PcmSource {
    /// The format of every block; it does not change while the source is read.
    fn format(&self) -> PcmFormat;

    /// Replaces the content of `out` by the next block: interleaved samples, nominally in -1.0..=1.0,
    /// a whole number of frames, at most one second.
    ///
    /// `Ok(false)` means that the sound is complete and `out` is empty.
    ///
    /// # Errors
    /// Any error is final: the source must not be read again.
    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError>;

    /// How many frames there will be in all, where that is known before the end. For progress bars;
    /// the truth is what [`next_block`](Self::next_block) yields.
    fn total_frames_hint(&self) -> Option<u64> {
        None
    }

    /// Packets that could not be decoded so far and were replaced by silence of their length.
    fn damaged_packets(&self) -> u32 {
        0
    }
}
