//! The door to libopus (`unsafe-libopus`, the C code translated to Rust): the only unsafe code of
//! this crate.
//!
//! # Contract
//! - The decoder state is created and destroyed here, owned by one [`MultistreamDecoder`] and never
//!   copied; `&mut self` keeps calls apart. It has no thread affinity, so it may move between threads.
//! - Layouts are validated before libopus sees them; every output buffer passed has room for the
//!   frame count passed with it, times the channels the state was made for.
//! - Packets are any bytes: libopus checks them against the length given.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use unsafe_libopus::{
    OPUS_OK, OpusMSDecoder, opus_multistream_decode_float, opus_multistream_decoder_create,
    opus_multistream_decoder_destroy, opus_packet_get_nb_samples,
};

/// The rate everything is decoded at, in Hz.
pub(crate) const OPUS_RATE: u32 = 48_000;
/// The longest packet: 120 ms.
const PACKET_FRAMES_MAX: usize = 5760;
/// Channels of mapping families 0 and 1 (RFC 7845, section 5.1.1).
const CHANNELS_MAX: usize = 8;

/// How the coded streams of a packet become channels (RFC 7845, section 5.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) streams: u8,
    pub(crate) coupled: u8,
    /// One entry per output channel.
    pub(crate) mapping: Vec<u8>,
}

impl Layout {
    fn is_valid(&self) -> bool {
        let coded = u16::from(self.streams) + u16::from(self.coupled);
        (1..=CHANNELS_MAX).contains(&self.mapping.len())
            && self.streams > 0
            && self.coupled <= self.streams
            && coded <= 255
            && self.mapping.iter().all(|index| *index == 255 || u16::from(*index) < coded)
    }
}

/// A decoder of Opus packets, one or more coded streams in each.
pub(crate) struct MultistreamDecoder {
    state: NonNull<OpusMSDecoder>,
    channels: usize,
    /// Room for one packet of the longest kind.
    frames: Vec<f32>,
}

// SAFETY: the state is plain heap memory without thread affinity, owned by this value alone.
unsafe impl Send for MultistreamDecoder {}

impl MultistreamDecoder {
    /// `None` for a layout that RFC 7845 does not allow, or when memory is short.
    pub(crate) fn new(layout: &Layout) -> Option<Self> {
        if !layout.is_valid() {
            return None;
        }
        let channels = layout.mapping.len();
        let mut error = OPUS_OK;
        // SAFETY: `mapping` has `channels` entries and `error` is writable for the call; libopus
        // copies what it keeps.
        let state = unsafe {
            opus_multistream_decoder_create(
                OPUS_RATE as i32,
                channels as i32,
                i32::from(layout.streams),
                i32::from(layout.coupled),
                layout.mapping.as_ptr(),
                &raw mut error,
            )
        };
        let state = NonNull::new(state).filter(|_| error == OPUS_OK)?;
        Some(Self { state, channels, frames: vec![0.0; PACKET_FRAMES_MAX * channels] })
    }

    /// Decodes one packet to interleaved samples; `None` when it is damaged.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Option<&[f32]> {
        let len = i32::try_from(packet.len()).ok().filter(|len| *len > 0)?;
        // SAFETY: the state is live, `packet` has `len` bytes, and `frames` has room for
        // PACKET_FRAMES_MAX frames of the state's channels.
        let decoded = unsafe {
            opus_multistream_decode_float(
                self.state.as_ptr(),
                packet.as_ptr(),
                len,
                self.frames.as_mut_ptr(),
                PACKET_FRAMES_MAX as i32,
                0,
            )
        };
        let decoded = usize::try_from(decoded).ok().filter(|frames| (1..=PACKET_FRAMES_MAX).contains(frames))?;
        self.frames.get(..decoded * self.channels)
    }
}

impl Drop for MultistreamDecoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_multistream_decoder_create`, destroyed once, here.
        unsafe { opus_multistream_decoder_destroy(self.state.as_ptr()) };
    }
}

/// Frames (at 48 kHz) that the packet's own header promises; `None` for a malformed one.
pub(crate) fn packet_frames(packet: &[u8]) -> Option<usize> {
    let len = i32::try_from(packet.len()).ok().filter(|len| *len > 0)?;
    // SAFETY: `packet` has `len` >= 1 readable bytes; the call reads no further.
    let frames = unsafe { opus_packet_get_nb_samples(packet.as_ptr(), len, OPUS_RATE as i32) };
    usize::try_from(frames).ok().filter(|frames| (1..=PACKET_FRAMES_MAX).contains(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stereo() -> Layout {
        Layout { streams: 1, coupled: 1, mapping: vec![0, 1] }
    }

    #[test]
    fn impossible_layouts_never_reach_libopus() {
        for layout in [
            Layout { streams: 0, ..stereo() },
            Layout { coupled: 2, ..stereo() },
            Layout { mapping: vec![0, 2], ..stereo() },
            Layout { mapping: vec![], ..stereo() },
            Layout { mapping: vec![255; 9], ..stereo() },
        ] {
            assert!(MultistreamDecoder::new(&layout).is_none(), "{layout:?}");
        }
    }

    #[test]
    fn any_packet_is_decoded_or_refused() {
        let mut decoder = MultistreamDecoder::new(&stereo()).unwrap();
        assert!(decoder.decode(&[]).is_none());
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for len in (1..400).cycle().take(2000) {
            let packet: Vec<u8> = (0..len).map(|_| next()).collect();
            if let Some(frames) = decoder.decode(&packet) {
                assert_eq!(frames.len() % 2, 0);
            }
            let _ = packet_frames(&packet);
        }
    }
}
