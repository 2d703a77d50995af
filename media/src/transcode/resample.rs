//! A change of sample rate by a fixed ratio: exact length, no delay.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::MediaError;

/// Frames converted at a time. One FFT block per chunk: a narrow transition band.
const CHUNK_FRAMES: usize = 2048;

/// Turns stereo at one rate into stereo at another, in chunks.
pub(crate) struct Resampler {
    fft: Fft<f32>,
    rate_in: u32,
    rate_out: u32,
    /// Input not yet enough for a chunk.
    waiting: [Vec<f32>; 2],
    chunk: [Vec<f32>; 2],
    /// Leading output frames that are the filter's delay.
    delay_left: usize,
    given: u64,
}

impl Resampler {
    pub(crate) fn new(rate_in: u32, rate_out: u32) -> Result<Self, MediaError> {
        let fft = Fft::new_custom(
            rate_in as usize,
            rate_out as usize,
            CHUNK_FRAMES,
            1,
            2,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(resampler_error)?;
        let room = fft.output_frames_max();
        let delay_left = fft.output_delay();
        Ok(Self {
            fft,
            rate_in,
            rate_out,
            waiting: [Vec::new(), Vec::new()],
            chunk: [vec![0.0; room], vec![0.0; room]],
            delay_left,
            given: 0,
        })
    }

    /// Takes `stereo` and hands on what is ready.
    pub(crate) fn push(
        &mut self,
        stereo: &[Vec<f32>; 2],
        mut give: impl FnMut(&[Vec<f32>; 2]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        for (waiting, new) in self.waiting.iter_mut().zip(stereo) {
            waiting.extend_from_slice(new);
        }
        self.convert(u64::MAX, &mut give)
    }

    /// Hands on the rest: `frames_in` frames in become exactly the rounded share of frames out.
    pub(crate) fn finish(
        mut self,
        frames_in: u64,
        mut give: impl FnMut(&[Vec<f32>; 2]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let wanted = frames_out(frames_in, self.rate_in, self.rate_out);
        while self.given < wanted {
            let chunk =
                self.waiting[0].len().next_multiple_of(self.fft.input_frames_next()).max(self.fft.input_frames_next());
            self.waiting.iter_mut().for_each(|side| side.resize(chunk, 0.0));
            self.convert(wanted, &mut give)?;
        }
        Ok(())
    }

    fn convert(
        &mut self,
        wanted: u64,
        give: &mut impl FnMut(&[Vec<f32>; 2]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let mut used = 0;
        let size = |error: rubato::audioadapter_buffers::SizeError| MediaError::Encoder(format!("resampler: {error}"));
        while self.waiting[0].len() - used >= self.fft.input_frames_next() {
            let room = self.fft.output_frames_max();
            self.chunk.iter_mut().for_each(|side| side.resize(room, 0.0));
            let input = SequentialSliceOfVecs::new(&self.waiting[..], 2, self.waiting[0].len()).map_err(size)?;
            let mut output = SequentialSliceOfVecs::new_mut(&mut self.chunk[..], 2, room).map_err(size)?;
            let at = rubato::Indexing::new().input_offset(used);
            let (taken, made) = self
                .fft
                .process_into_buffer(&input, &mut output, Some(&at))
                .map_err(|error| MediaError::Encoder(format!("resampler: {error}")))?;
            used += taken;
            let drop = self.delay_left.min(made);
            self.delay_left -= drop;
            let keep = ((made - drop) as u64).min(wanted.saturating_sub(self.given)) as usize;
            for side in &mut self.chunk {
                side.truncate(drop + keep);
                side.drain(..drop);
            }
            self.given += keep as u64;
            give(&self.chunk)?;
        }
        self.waiting.iter_mut().for_each(|side| drop(side.drain(..used)));
        Ok(())
    }
}

/// Frames at the new rate, rounded to nearest.
fn frames_out(frames_in: u64, rate_in: u32, rate_out: u32) -> u64 {
    let exact = u128::from(frames_in) * u128::from(rate_out) + u128::from(rate_in) / 2;
    u64::try_from(exact / u128::from(rate_in)).unwrap_or(u64::MAX)
}

fn resampler_error(error: rubato::ResamplerConstructionError) -> MediaError {
    MediaError::Encoder(format!("resampler: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resamples `seconds` of a 1 kHz sine handed over in odd pieces.
    fn sine(rate_in: u32, rate_out: u32, frames: usize) -> Vec<f32> {
        let wave = |at: usize, rate: u32| (at as f32 * 1000.0 / rate as f32 * std::f32::consts::TAU).sin() * 0.5;
        let input: Vec<f32> = (0..frames).map(|at| wave(at, rate_in)).collect();
        let mut resampler = Resampler::new(rate_in, rate_out).unwrap();
        let mut out = Vec::new();
        let mut give = |stereo: &[Vec<f32>; 2]| {
            out.extend_from_slice(&stereo[0]);
            Ok(())
        };
        for piece in input.chunks(777) {
            resampler.push(&[piece.to_vec(), piece.to_vec()], &mut give).unwrap();
        }
        resampler.finish(frames as u64, &mut give).unwrap();
        out
    }

    #[test]
    fn length_is_exact_and_nothing_is_delayed() {
        for (rate_in, rate_out) in
            [(22_050, 44_100), (96_000, 48_000), (8_000, 48_000), (88_200, 44_100), (44_101, 48_000)]
        {
            for frames in [1, 100, rate_in as usize + 1] {
                let out = sine(rate_in, rate_out, frames);
                assert_eq!(out.len() as u64, frames_out(frames as u64, rate_in, rate_out), "{rate_in} {frames}");
            }
            let out = sine(rate_in, rate_out, rate_in as usize);
            let step = 1000.0 / rate_out as f32 * std::f32::consts::TAU;
            let middle = out.len() / 4..out.len() * 3 / 4;
            let worst = middle.map(|at| (out[at] - (at as f32 * step).sin() * 0.5).abs()).fold(0.0, f32::max);
            // Odd FFT blocks are late by half a frame, which no shift of whole frames can undo.
            assert!(worst < step * 0.5 * 0.55, "{rate_in} to {rate_out}: off by {worst}");
        }
    }
}
