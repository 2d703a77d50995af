//! AAC-LC renditions: the three bit rates share one stream of 16-bit samples.

use std::path::{Path, PathBuf};

use needledrop_core::media::{Codec, Kbps, Rendition};

use super::ffmpeg::FfmpegEncoder;
use super::m4a::{M4aFile, M4aWriter};
use super::{AacBackend, Written};
use crate::{MediaError, Tags};

/// Frames in an access unit of AAC-LC.
pub(crate) const UNIT_FRAMES: usize = 1024;

/// An encoder of one stereo stream. Takes whole units, gives access units to the writer.
pub(crate) trait AacEncoder {
    /// Encodes interleaved stereo of exactly [`UNIT_FRAMES`] frames.
    fn encode(&mut self, pcm: &[i16], writer: &mut M4aWriter) -> Result<(), MediaError>;

    /// All `frames` were given, the last unit filled up with silence: brings out the access units
    /// that are still inside and says how to decode them.
    fn finish(self: Box<Self>, frames: u64, writer: &mut M4aWriter) -> Result<AacStream, MediaError>;
}

/// What a decoder must know of the access units.
pub(crate) struct AacStream {
    /// Frames that come before the sound.
    pub(crate) delay_frames: u64,
    /// AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1).
    pub(crate) config: Vec<u8>,
}

/// The AAC files being written.
pub(crate) struct AacRendition {
    rate: u32,
    /// Interleaved samples not yet enough for a unit.
    waiting: Vec<i16>,
    streams: Vec<Stream>,
}

struct Stream {
    kbps: Kbps,
    file: PathBuf,
    encoder: Box<dyn AacEncoder>,
    writer: M4aWriter,
}

impl AacRendition {
    pub(crate) fn start(rate: u32, dir: &Path, backend: AacBackend) -> Result<Self, MediaError> {
        let streams = Kbps::ALL.map(|kbps| {
            let file = dir.join(Rendition { codec: Codec::Aac, kbps }.file_name());
            let encoder: Box<dyn AacEncoder> = match backend {
                #[cfg(feature = "aac-fdk")]
                AacBackend::Fdk => Box::new(super::fdk::FdkEncoder::start(rate, kbps)?),
                AacBackend::Ffmpeg => Box::new(FfmpegEncoder::start(rate, kbps, &file.with_extension("adts"))?),
            };
            let writer = M4aWriter::create(&file.with_extension("mdat"))?;
            Ok(Stream { kbps, file, encoder, writer })
        });
        let streams = streams.into_iter().collect::<Result<_, MediaError>>()?;
        Ok(Self { rate, waiting: Vec::new(), streams })
    }

    pub(crate) fn encode(&mut self, [left, right]: &[Vec<f32>; 2]) -> Result<(), MediaError> {
        let frames = left.iter().zip(right);
        self.waiting.extend(frames.flat_map(|(left, right)| [to_i16(*left), to_i16(*right)]));
        self.encode_waiting_units()
    }

    fn encode_waiting_units(&mut self) -> Result<(), MediaError> {
        let units = self.waiting.chunks_exact(UNIT_FRAMES * 2);
        let left_over = units.remainder().len();
        for stream in &mut self.streams {
            for unit in units.clone() {
                stream.encoder.encode(unit, &mut stream.writer)?;
            }
        }
        self.waiting.drain(..self.waiting.len() - left_over);
        Ok(())
    }

    pub(crate) fn finish(mut self, frames: u64, tags: &Tags) -> Result<Vec<(Kbps, Written)>, MediaError> {
        let filled = self.waiting.len().next_multiple_of(UNIT_FRAMES * 2);
        self.waiting.resize(filled, 0);
        self.encode_waiting_units()?;
        let rate = self.rate;
        let finished = self.streams.into_iter().map(|mut stream| {
            let aac = stream.encoder.finish(frames, &mut stream.writer)?;
            let file = M4aFile { path: &stream.file, rate, kbps: stream.kbps, frames, tags, aac };
            Ok((stream.kbps, stream.writer.assemble(&file)?))
        });
        finished.collect()
    }
}

/// Rounded to nearest and clipped: samples that were 16 bits wide come out unchanged.
fn to_i16(sample: f32) -> i16 {
    // Adding half and truncating vectorises where `round` would be a call; the cast saturates.
    let scaled = sample * 32_768.0;
    (scaled + 0.5_f32.copysign(scaled)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_samples_survive_floats() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(f32::from(sample) / 32_768.0), sample);
        }
        assert_eq!((to_i16(1.0), to_i16(-3.0)), (i16::MAX, i16::MIN));
    }
}
