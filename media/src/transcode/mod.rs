//! The single pass: one source in, six renditions, the loudness and the identity of the sound out.
//!
//! Every block is made stereo, brought to 44.1 or 48 kHz, measured, and handed to all encoders, so
//! the source is decoded once and memory stays bounded however long the track is. Files appear in
//! the scratch folder given; moving them to where they are served from is the caller's work.
//!
//! `resample.rs` changes the rate, `vorbis.rs` and `aac.rs` encode, `m4a.rs` writes the container,
//! `sink.rs` counts and hashes what reaches the disk.

mod aac;
#[cfg(feature = "aac-fdk")]
mod fdk;
mod ffmpeg;
mod m4a;
mod resample;
mod sink;
mod vorbis;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ebur128::{EbuR128, Mode};
use needledrop_core::media::{Codec, Kbps, Rendition};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::pcm::{MAX_SECONDS, RATE_HZ};
use crate::time_index::{TimeIndex, frames_to_ms};
use crate::{MediaError, PcmFormat, PcmSource, Tags};
use aac::AacRendition;
use resample::Resampler;
use vorbis::VorbisRendition;

/// What makes the AAC renditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AacBackend {
    /// The bundled Fraunhofer FDK encoder.
    #[cfg(feature = "aac-fdk")]
    Fdk,
    /// The program `ffmpeg` on `PATH`, one process per rendition.
    Ffmpeg,
}

impl Default for AacBackend {
    #[cfg(feature = "aac-fdk")]
    fn default() -> Self {
        Self::Fdk
    }

    #[cfg(not(feature = "aac-fdk"))]
    fn default() -> Self {
        Self::Ffmpeg
    }
}

/// EBU R128 loudness of a track.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated loudness in LUFS; -70 for silence and what is too short to be measured.
    pub integrated_lufs: f64,
    /// Highest true peak of any channel, in dB relative to full scale; -120 for silence.
    pub true_peak_dbtp: f64,
    /// Loudness range in LU.
    pub range_lu: f64,
}

/// One rendition in the scratch folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenditionFile {
    /// Which one.
    pub rendition: Rendition,
    /// Where it was written.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Bytes that suffice for the first 30 s; the whole object when it is shorter.
    pub head_bytes: u64,
    /// True average bit rate, container included, in bit/s.
    pub average_bps: u64,
    /// Length of the sound in it.
    pub duration_ms: u64,
    /// Second to byte offset, see [`TimeIndex::seconds`].
    pub time_index: Vec<u64>,
}

/// All that came out of a pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoded {
    /// Identity of the decoded sound: equal for the same samples in another lossless container,
    /// under another name, or with other tags. SHA-256 over rate, channels and 24-bit samples.
    pub pcm_sha256: [u8; 32],
    /// Frames of the source, at `rate`.
    pub frames: u64,
    /// Sample rate of the source in Hz. Renditions are 44.1 or 48 kHz.
    pub rate: u32,
    /// Length of the source.
    pub duration_ms: u64,
    /// Measured on what the encoders got.
    pub loudness: Loudness,
    /// One entry per rendition, in the order of [`Rendition::ALL`].
    pub renditions: Vec<RenditionFile>,
    /// Undecodable packets of the source that became silence.
    pub damaged_packets: u32,
}

/// Makes renditions. Holds the choices; one value can serve many threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transcoder {
    /// What makes the AAC renditions.
    pub aac: AacBackend,
}

/// Transcodes with the default [`Transcoder`].
///
/// # Errors
/// As [`Transcoder::run`].
pub fn transcode(
    source: &mut dyn PcmSource,
    tags: &Tags,
    dir: &Path,
    progress: &dyn Fn(u64),
    stop: &AtomicBool,
) -> Result<Transcoded, MediaError> {
    Transcoder::default().run(source, tags, dir, progress, stop)
}

impl Transcoder {
    /// Drains `source` into six files in the folder `dir` (named like `160.ogg`; existing ones are
    /// replaced). Equal sound and tags give equal bytes with the bundled encoders.
    ///
    /// `progress` is called after every block with the source frames done so far. `stop` is looked
    /// at before every block; what was written by then stays in `dir` for the caller to remove.
    ///
    /// # Errors
    /// What the source reports; [`MediaError::NoSound`] for a source without frames;
    /// [`MediaError::Io`] when `dir` cannot be written; [`MediaError::Stopped`].
    pub fn run(
        &self,
        source: &mut dyn PcmSource,
        tags: &Tags,
        dir: &Path,
        progress: &dyn Fn(u64),
        stop: &AtomicBool,
    ) -> Result<Transcoded, MediaError> {
        let format = checked(source.format())?;
        let mut pass = Pass::start(format, tags, dir, self.aac)?;
        let mut block = Vec::new();
        let mut frames = 0_u64;
        while source.next_block(&mut block)? {
            if stop.load(Ordering::Relaxed) {
                return Err(MediaError::Stopped);
            }
            frames += (block.len() / usize::from(format.channels)) as u64;
            if frames / u64::from(format.rate) > MAX_SECONDS {
                return Err(MediaError::TooLong(MAX_SECONDS / 3600));
            }
            pass.take(&mut block)?;
            progress(frames);
        }
        if frames == 0 {
            return Err(MediaError::NoSound);
        }
        pass.finish(frames, source.damaged_packets(), tags)
    }
}

fn checked(format: PcmFormat) -> Result<PcmFormat, MediaError> {
    if !RATE_HZ.contains(&format.rate) {
        return Err(MediaError::UnsupportedFormat(format!("sample rate {} Hz", format.rate)));
    }
    if !(1..=2).contains(&format.channels) {
        return Err(MediaError::UnsupportedFormat(format!("{} channels", format.channels)));
    }
    Ok(format)
}

/// Samples beyond this are no sound; encoders in C are spared what they were not made for.
const SAMPLE_MAX: f32 = 4.0;

/// The state of one pass.
struct Pass {
    format: PcmFormat,
    identity: Sha256,
    identity_bytes: Vec<u8>,
    /// Left and right of the block in hand, at the source's rate.
    stereo: [Vec<f32>; 2],
    resampler: Option<Resampler>,
    encoders: Encoders,
}

impl Pass {
    fn start(format: PcmFormat, tags: &Tags, dir: &Path, aac: AacBackend) -> Result<Self, MediaError> {
        let rate = rendition_rate(format.rate);
        let resampler = (rate != format.rate).then(|| Resampler::new(format.rate, rate)).transpose()?;
        let mut identity = Sha256::new();
        identity.update(b"needledrop pcm 1\0");
        identity.update(format.rate.to_le_bytes());
        identity.update(format.channels.to_le_bytes());
        Ok(Self {
            format,
            identity,
            identity_bytes: Vec::new(),
            stereo: [Vec::new(), Vec::new()],
            resampler,
            encoders: Encoders::start(rate, tags, dir, aac)?,
        })
    }

    fn take(&mut self, block: &mut [f32]) -> Result<(), MediaError> {
        for sample in &mut *block {
            *sample = if sample.is_finite() { sample.clamp(-SAMPLE_MAX, SAMPLE_MAX) } else { 0.0 };
        }
        self.identify(block);
        self.split(block);
        let Some(resampler) = &mut self.resampler else { return self.encoders.encode(&self.stereo) };
        resampler.push(&self.stereo, |stereo| self.encoders.encode(stereo))
    }

    /// Hashes the samples as 24-bit integers: exact for lossless sources, and the same whatever the
    /// last float bit of a decoder is.
    fn identify(&mut self, block: &[f32]) {
        const SCALE: f32 = (1 << 23) as f32;
        self.identity_bytes.clear();
        let whole = block.iter().map(|sample| ((sample * SCALE).round() as i32).to_le_bytes());
        self.identity_bytes.extend(whole.flatten());
        self.identity.update(&self.identity_bytes);
    }

    fn split(&mut self, block: &[f32]) {
        let [left, right] = &mut self.stereo;
        left.clear();
        right.clear();
        if self.format.channels == 1 {
            left.extend_from_slice(block);
            right.extend_from_slice(block);
            return;
        }
        left.extend(block.chunks_exact(2).map(|frame| frame[0]));
        right.extend(block.chunks_exact(2).map(|frame| frame[1]));
    }

    fn finish(mut self, frames: u64, damaged_packets: u32, tags: &Tags) -> Result<Transcoded, MediaError> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(frames, |stereo| self.encoders.encode(stereo))?;
        }
        let (loudness, renditions) = self.encoders.finish(tags)?;
        Ok(Transcoded {
            pcm_sha256: self.identity.finalize().into(),
            frames,
            rate: self.format.rate,
            duration_ms: frames_to_ms(frames, self.format.rate),
            loudness,
            renditions,
            damaged_packets,
        })
    }
}

/// 44.1 kHz for the family of the compact disc, 48 kHz for everything else.
fn rendition_rate(rate: u32) -> u32 {
    if rate.is_multiple_of(11_025) { 44_100 } else { 48_000 }
}

/// Everything that consumes stereo blocks at the renditions' rate.
struct Encoders {
    rate: u32,
    frames: u64,
    meter: EbuR128,
    vorbis: Vec<VorbisRendition>,
    aac: AacRendition,
}

impl Encoders {
    fn start(rate: u32, tags: &Tags, dir: &Path, backend: AacBackend) -> Result<Self, MediaError> {
        let meter = EbuR128::new(2, rate, Mode::I | Mode::LRA | Mode::TRUE_PEAK)
            .map_err(|error| MediaError::Encoder(format!("loudness meter: {error}")))?;
        let vorbis = Kbps::ALL.map(|kbps| VorbisRendition::start(kbps, rate, tags, dir));
        Ok(Self {
            rate,
            frames: 0,
            meter,
            vorbis: vorbis.into_iter().collect::<Result<_, _>>()?,
            aac: AacRendition::start(rate, dir, backend)?,
        })
    }

    fn encode(&mut self, stereo: &[Vec<f32>; 2]) -> Result<(), MediaError> {
        let [left, right] = stereo;
        if left.is_empty() {
            return Ok(());
        }
        self.frames += left.len() as u64;
        self.meter
            .add_frames_planar_f32(&[left, right])
            .map_err(|error| MediaError::Encoder(format!("loudness meter: {error}")))?;
        for vorbis in &mut self.vorbis {
            vorbis.encode(stereo)?;
        }
        self.aac.encode(stereo)
    }

    fn finish(self, tags: &Tags) -> Result<(Loudness, Vec<RenditionFile>), MediaError> {
        let loudness = loudness_of(&self.meter);
        let (rate, frames) = (self.rate, self.frames);
        let mut renditions = Vec::with_capacity(Rendition::ALL.len());
        for vorbis in self.vorbis {
            let kbps = vorbis.kbps();
            renditions.push(rendition_file(Codec::Vorbis, kbps, vorbis.finish()?, frames, rate)?);
        }
        for (kbps, written) in self.aac.finish(frames, tags)? {
            renditions.push(rendition_file(Codec::Aac, kbps, written, frames, rate)?);
        }
        Ok((loudness, renditions))
    }
}

/// A finished file as its writer describes it.
struct Written {
    file: PathBuf,
    bytes: u64,
    sha256: [u8; 32],
    index: TimeIndex,
}

fn rendition_file(
    codec: Codec,
    kbps: Kbps,
    written: Written,
    frames: u64,
    rate: u32,
) -> Result<RenditionFile, MediaError> {
    // The index was read back from the container: it must say what was put in.
    if written.index.frames != frames {
        let name = written.file.display();
        return Err(MediaError::Encoder(format!("{name} holds {} of {frames} frames", written.index.frames)));
    }
    let average_bps = u128::from(written.bytes) * 8 * u128::from(rate) / u128::from(frames.max(1));
    Ok(RenditionFile {
        rendition: Rendition { codec, kbps },
        file: written.file,
        bytes: written.bytes,
        sha256: written.sha256,
        head_bytes: written.index.head_bytes,
        average_bps: u64::try_from(average_bps).unwrap_or(u64::MAX),
        duration_ms: written.index.duration_ms(),
        time_index: written.index.seconds,
    })
}

fn loudness_of(meter: &EbuR128) -> Loudness {
    const SILENCE_LUFS: f64 = -70.0;
    const SILENCE_DBTP: f64 = -120.0;
    let peak = (0..2).filter_map(|channel| meter.true_peak(channel).ok()).fold(0.0, f64::max);
    let finite = |value: f64, floor: f64| if value.is_finite() { value.max(floor) } else { floor };
    Loudness {
        integrated_lufs: finite(meter.loudness_global().unwrap_or(SILENCE_LUFS), SILENCE_LUFS),
        true_peak_dbtp: finite(20.0 * peak.log10(), SILENCE_DBTP),
        range_lu: finite(meter.loudness_range().unwrap_or(0.0), 0.0),
    }
}
