//! From the packets of a file to interleaved frames: what the kinds of decoder have in common.
//!
//! `packets.rs` drives symphonia, `opus_stream.rs` walks Ogg Opus, `mix.rs` folds channels down.
//! Cutting to the exact length and into blocks happens one level up, in `source.rs`.

mod mix;
mod opus_stream;
mod packets;

pub(crate) use opus_stream::OpusStream;
pub(crate) use packets::PacketStream;

use crate::{MediaError, PcmFormat};

/// Undecodable stretches tolerated in one file, each replaced by silence of its length and together no
/// longer than half a second. A scratch is heard once; more than a handful means that the file is
/// broken and the listener should not get it.
pub(crate) const DAMAGED_PACKETS_MAX: u32 = 8;

/// Where the sound lies within what the decoder yields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Frames to drop at the start.
    pub(crate) skip: u64,
    /// Frames that follow and are the sound, where the container states them.
    pub(crate) frames: Option<u64>,
    /// Frames by which a whole file may fall short of `frames`: encoders that count in packets.
    pub(crate) slack: u64,
}

/// A stream of decoded packets.
pub(crate) trait FrameStream: Send {
    fn format(&self) -> PcmFormat;

    /// Appends the frames of the next packet to `out`; false at the end.
    fn next_frames(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError>;

    /// Called once after the end: the last word on integrity.
    fn finish(&mut self) -> Result<(), MediaError> {
        Ok(())
    }

    fn damaged_packets(&self) -> u32;
}

/// Counts damage and says when it is too much.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    packets: u32,
    lost_frames: u64,
}

impl Damage {
    /// One more stretch of `frames` that became silence.
    pub(crate) fn add(&mut self, frames: u64, rate: u32) -> Result<(), MediaError> {
        self.packets += 1;
        self.lost_frames = self.lost_frames.saturating_add(frames);
        if self.packets > DAMAGED_PACKETS_MAX {
            let reason = format!("more than {DAMAGED_PACKETS_MAX} stretches cannot be decoded");
            return Err(MediaError::Damaged(reason));
        }
        if self.lost_frames > u64::from(rate / 2) {
            return Err(MediaError::Damaged("more than half a second cannot be decoded".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn packets(&self) -> u32 {
        self.packets
    }
}
