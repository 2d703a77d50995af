//! Opening a music file: what kind it is, its tags and picture, and a decoder of exact length.
//!
//! The file's first bytes decide, its name only helps. [`Decoder`] cuts whatever the codec yields to
//! the sound the container states, and into blocks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::decode::{DAMAGED_PACKETS_MAX, Extent, FrameStream, OpusStream, PacketStream};
use crate::mp4_index::{self, Mp4Sound};
use crate::ogg_index::{self, PAGE_BYTES_MAX};
use crate::pcm::{BLOCK_SECONDS_MAX, MAX_SECONDS};
use crate::time_index::{IndexError, frames_to_ms};
use crate::{MediaError, PcmFormat, PcmSource, Picture, Tags};

/// Frames gathered before a block is handed out: small enough to stop promptly, large enough that
/// per-block work does not show.
const BLOCK_FRAMES_MIN: usize = 8192;

/// A music file, opened.
pub struct Source {
    /// What the file says about itself, cleaned.
    pub tags: Tags,
    /// The embedded cover, if any, still encoded.
    pub picture: Option<Picture>,
    /// The sound.
    pub decoder: Decoder,
}

/// Opens a music file of any kind we decode: FLAC, WAV, AIFF, MP3, AAC, M4A (AAC, ALAC), Ogg Vorbis,
/// Ogg Opus.
///
/// # Errors
/// The reason as [`MediaError`]: what is no music, has no sound, is of an unknown codec, or is seen
/// to be cut short already. Damage further on shows while decoding.
pub fn open(path: &Path) -> Result<Source, MediaError> {
    let mut file = File::open(path).map_err(|error| MediaError::io("opening", error))?;
    let metadata = file.metadata().map_err(|error| MediaError::io("opening", error))?;
    if !metadata.is_file() {
        return Err(MediaError::NotAudio);
    }
    if metadata.len() == 0 {
        return Err(MediaError::Empty);
    }
    let decoder = open_decoder(&mut file, path, metadata.len())?;
    let (tags, picture) = Tags::read(path);
    Ok(Source { tags, picture, decoder })
}

fn open_decoder(file: &mut File, path: &Path, len: u64) -> Result<Decoder, MediaError> {
    let reading = |error| MediaError::io("reading", error);
    let mut start = Vec::new();
    file.by_ref().take(64).read_to_end(&mut start).map_err(reading)?;
    let kind = Kind::of(&start)?;
    let rewound = |file: &mut File| -> Result<File, MediaError> {
        file.rewind().map_err(reading)?;
        file.try_clone().map_err(reading)
    };
    match kind {
        Kind::OggOpus => {
            let last_granule = last_granule(file, len)?;
            let stream = OpusStream::open(rewound(file)?, last_granule)?;
            let extent = stream.extent();
            Ok(Decoder::new(Box::new(stream), extent))
        }
        Kind::Ogg => {
            let last_granule = last_granule(file, len)?;
            let stream = PacketStream::open(rewound(file)?, path)?;
            // The last page says where the sound ends; a stream that was cut out of a longer one says
            // where it begins.
            let frames = last_granule.checked_sub(stream.start_frame()).filter(|frames| *frames > 0);
            let extent = Extent { frames, ..stream.extent() };
            Ok(Decoder::new(Box::new(stream), extent))
        }
        Kind::Mp4 => {
            let sound = mp4_sound(file, len)?;
            let stream = PacketStream::open(rewound(file)?, path).map_err(|error| name_codec(error, sound.as_ref()))?;
            let extent = sound.map_or(stream.extent(), |sound| mp4_extent(&sound, stream.format().rate));
            Ok(Decoder::new(Box::new(stream), extent))
        }
        Kind::Other => {
            let stream = PacketStream::open(rewound(file)?, path).map_err(|error| match error {
                // It says what it is, but not even its headers are whole.
                MediaError::NotAudio if is_known_container(&start) => {
                    MediaError::Truncated("its headers are not whole".to_owned())
                }
                error => error,
            })?;
            let extent = stream.extent();
            Ok(Decoder::new(Box::new(stream), extent))
        }
    }
}

/// Containers whose timing we read ourselves, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OggOpus,
    Ogg,
    Mp4,
    Other,
}

impl Kind {
    fn of(start: &[u8]) -> Result<Self, MediaError> {
        // Bytes that would otherwise be searched for something that looks like an MP3 frame.
        const NOT_AUDIO: [&[u8]; 11] = [
            b"\xff\xd8\xff",
            b"\x89PNG",
            b"GIF8",
            b"%PDF",
            b"PK\x03\x04",
            b"\x1f\x8b",
            b"\x7fELF",
            b"BM",
            b"<",
            b"{",
            b"#!",
        ];
        if NOT_AUDIO.iter().any(|magic| start.starts_with(magic)) {
            return Err(MediaError::NotAudio);
        }
        if start.starts_with(b"OggS") {
            let is_opus = start.windows(8).any(|window| window == b"OpusHead");
            return Ok(if is_opus { Self::OggOpus } else { Self::Ogg });
        }
        let is_mp4 = start.get(4..8).is_some_and(|kind| [&b"ftyp"[..], b"moov", b"mdat", b"wide"].contains(&kind));
        Ok(if is_mp4 { Self::Mp4 } else { Self::Other })
    }
}

fn is_known_container(start: &[u8]) -> bool {
    let form = start.get(8..12);
    start.starts_with(b"fLaC")
        || start.starts_with(b"RIFF") && form == Some(b"WAVE")
        || start.starts_with(b"FORM") && (form == Some(b"AIFF") || form == Some(b"AIFC"))
}

/// Looks at the end of an Ogg file, which a cut file does not have.
fn last_granule(file: &mut File, len: u64) -> Result<u64, MediaError> {
    let mut tail = Vec::new();
    // Twice the largest page: the last one may be followed by a trailing tag.
    let from = len.saturating_sub(2 * PAGE_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(from)).map_err(|error| MediaError::io("reading", error))?;
    file.by_ref().take(len - from).read_to_end(&mut tail).map_err(|error| MediaError::io("reading", error))?;
    ogg_index::last_page_granule(&tail).ok_or_else(|| MediaError::Truncated("its last page is missing".to_owned()))
}

/// `None` for fragmented files, which have no tables.
fn mp4_sound(file: &mut File, len: u64) -> Result<Option<Mp4Sound>, MediaError> {
    match mp4_index::read(file, len) {
        Ok(sound) if sound.data_end > len => {
            Err(MediaError::Truncated(format!("{} bytes of sound are missing at the end", sound.data_end - len)))
        }
        Ok(sound) => Ok(Some(sound)),
        Err(IndexError::Truncated) => Err(MediaError::Truncated("its index is missing".to_owned())),
        Err(IndexError::TooLong) => Err(MediaError::TooLong(MAX_SECONDS / 3600)),
        Err(IndexError::Damaged { at }) => Err(MediaError::Damaged(format!("broken structure at byte {at}"))),
        Err(IndexError::NotThisFormat | IndexError::NoSound) => Ok(None),
    }
}

fn mp4_extent(sound: &Mp4Sound, rate: u32) -> Extent {
    let frames = |time: u64| {
        let scaled = u128::from(time) * u128::from(rate) / u128::from(sound.timescale.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    Extent { skip: frames(sound.skip), frames: Some(frames(sound.sound)), slack: 0 }
}

/// The container knows the codec's name better than a decoder that does not have it.
fn name_codec(error: MediaError, sound: Option<&Mp4Sound>) -> MediaError {
    match (error, sound) {
        (MediaError::UnsupportedCodec(_) | MediaError::NoAudioTrack, Some(sound)) => {
            let name: String =
                sound.codec.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect();
            MediaError::UnsupportedCodec(if name == "mp4a" { "AAC other than LC (mp4a)".to_owned() } else { name })
        }
        (error, _) => error,
    }
}

/// The sound of a file: blocks of at most a second, in all exactly the frames the container states.
pub struct Decoder {
    stream: Box<dyn FrameStream>,
    format: PcmFormat,
    extent: Extent,
    skip_left: u64,
    /// Frames handed out so far.
    given: u64,
    /// Decoded, already without the leading delay, not yet handed out.
    pending: Vec<f32>,
    pending_at: usize,
    ended: bool,
}

impl Decoder {
    pub(crate) fn new(stream: Box<dyn FrameStream>, extent: Extent) -> Self {
        let format = stream.format();
        let skip_left = extent.skip;
        Self { stream, format, extent, skip_left, given: 0, pending: Vec::new(), pending_at: 0, ended: false }
    }

    fn channels(&self) -> usize {
        usize::from(self.format.channels.max(1))
    }

    /// Decodes until a block's worth is pending or the stream ends.
    fn refill(&mut self) -> Result<(), MediaError> {
        self.pending.drain(..self.pending_at);
        self.pending_at = 0;
        while !self.ended && self.pending.len() < BLOCK_FRAMES_MIN * self.channels() {
            if !self.stream.next_frames(&mut self.pending)? {
                self.ended = true;
            }
            let pending_frames = (self.pending.len() / self.channels()) as u64;
            let dropped = self.skip_left.min(pending_frames);
            self.pending.drain(..dropped as usize * self.channels());
            self.skip_left -= dropped;
        }
        Ok(())
    }

    /// Frames the container still promises.
    fn promised(&self) -> u64 {
        self.extent.frames.map_or(u64::MAX, |frames| frames.saturating_sub(self.given))
    }

    /// The stream is over: was it all? A shortfall of a few packets is made up for by silence.
    fn settle_end(&mut self, out: &mut Vec<f32>) -> Result<(), MediaError> {
        let stated = self.extent.frames.unwrap_or(self.given);
        let missing = stated.saturating_sub(self.given);
        if missing == 0 {
            return self.stream.finish();
        }
        let is_whole = missing <= self.extent.slack;
        let is_damage = self.stream.damaged_packets() > 0 && missing <= u64::from(self.format.rate) / 2;
        if !is_whole && !is_damage {
            let ms = |frames| frames_to_ms(frames, self.format.rate) as f64 / 1000.0;
            return Err(MediaError::Truncated(format!(
                "{:.2} s of sound where {:.2} s were announced",
                ms(self.given),
                ms(stated)
            )));
        }
        if is_damage {
            out.resize(missing as usize * self.channels(), 0.0);
            self.given += missing;
        }
        Ok(())
    }
}

impl PcmSource for Decoder {
    fn format(&self) -> PcmFormat {
        self.format
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        out.clear();
        if self.promised() > 0 && self.pending.len() - self.pending_at < self.channels() {
            self.refill()?;
        }
        let pending = ((self.pending.len() - self.pending_at) / self.channels()) as u64;
        let block = u64::from(self.format.rate * BLOCK_SECONDS_MAX).max(1);
        let frames = pending.min(self.promised()).min(block);
        let samples = frames as usize * self.channels();
        out.extend_from_slice(&self.pending[self.pending_at..self.pending_at + samples]);
        self.pending_at += samples;
        self.given += frames;
        if self.given / u64::from(self.format.rate.max(1)) > MAX_SECONDS {
            return Err(MediaError::TooLong(MAX_SECONDS / 3600));
        }
        if out.is_empty() {
            self.drain_rest()?;
            self.settle_end(out)?;
        }
        Ok(!out.is_empty())
    }

    fn total_frames_hint(&self) -> Option<u64> {
        self.extent.frames
    }

    fn damaged_packets(&self) -> u32 {
        self.stream.damaged_packets().min(DAMAGED_PACKETS_MAX)
    }
}

impl Decoder {
    /// All promised frames are out: decode what little is left, so that checksums get their say.
    fn drain_rest(&mut self) -> Result<(), MediaError> {
        // Padding is at most a few packets; anything more is not ours to decode.
        for _ in 0..8 {
            if self.ended {
                return Ok(());
            }
            self.pending.clear();
            self.pending_at = 0;
            if !self.stream.next_frames(&mut self.pending)? {
                self.ended = true;
                self.pending.clear();
                return Ok(());
            }
        }
        self.ended = true;
        self.pending.clear();
        Ok(())
    }
}
