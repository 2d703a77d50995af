//! Decoding through symphonia: FLAC, WAV, AIFF, MP3, AAC, ALAC, Vorbis.
//!
//! Holds the damage policy: an undecodable packet becomes silence of its length and is counted; a
//! hole in the timestamps of a format whose packets carry them is counted likewise.

use std::fs::File;
use std::path::Path;

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::mix::{Mixer, Pan};
use super::{Damage, Extent, FrameStream};
use crate::pcm::RATE_HZ;
use crate::{MediaError, PcmFormat};

/// Packets read before a file without one decodable packet is given up.
const FIRST_PACKETS_MAX: u32 = super::DAMAGED_PACKETS_MAX;

/// Frames of an undecodable packet whose duration is unknown: that of MP3 and about that of AAC.
const PACKET_FRAMES_GUESS: u64 = 1152;

/// The decoded packets of one track of a file.
pub(crate) struct PacketStream {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    format: PcmFormat,
    mixer: Mixer,
    extent: Extent,
    start_frame: u64,
    /// Decoded samples of one packet before mixing; the first packet waits here after `open`.
    samples: Vec<f32>,
    first_is_waiting: bool,
    /// Frame the next packet must begin with, where packets say so themselves.
    clock: Option<Clock>,
    damage: Damage,
}

/// Follows packet timestamps that come from the file and so reveal holes.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// The frame that should come next; unknown before the first packet.
    next: Option<i64>,
}

/// Timestamps may be off by a little without anything missing: ffmpeg's Ogg pages sometimes end one
/// frame early. The shortest Vorbis packet has 32 frames.
const CLOCK_SLACK_FRAMES: u64 = 31;

impl PacketStream {
    /// Opens the file and decodes its first packet, which settles the format.
    pub(crate) fn open(file: File, path: &Path) -> Result<Self, MediaError> {
        let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
            hint.with_extension(extension);
        }
        let probe = symphonia::default::get_probe();
        let reader =
            probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default()).map_err(probe_error)?;
        let track = reader.default_track(TrackType::Audio).ok_or(MediaError::NoAudioTrack)?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(MediaError::NoAudioTrack);
        };
        // Vorbis is cut by us: symphonia trims at every page, the reference decoder only at the last.
        let is_vorbis = params.codec == CODEC_ID_VORBIS;
        let options = AudioDecoderOptions::default().verify(true).gapless(!is_vorbis);
        let decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options).map_err(|error| {
            let unnamed = params.codec == CODEC_ID_NULL_AUDIO;
            let name = if unnamed { error.to_string() } else { format!("{} ({error})", params.codec) };
            MediaError::UnsupportedCodec(name)
        })?;
        let short_name = reader.format_info().short_name;
        let extent = Extent {
            skip: 0,
            frames: states_its_length(short_name, track.delay.is_some()).then_some(track.num_frames).flatten(),
            slack: if short_name.starts_with("mp") { 2 * PACKET_FRAMES_GUESS } else { 0 },
        };
        let clock = matches!(short_name, "flac" | "ogg").then_some(Clock { next: None });
        let mut this = Self {
            track_id: track.id,
            start_frame: u64::try_from(track.start_ts.get()).unwrap_or(0),
            reader,
            decoder,
            format: PcmFormat { rate: 0, channels: 0 },
            mixer: Mixer::new(Vec::new()),
            extent,
            samples: Vec::new(),
            first_is_waiting: false,
            clock,
            damage: Damage::default(),
        };
        this.settle_format(is_vorbis)?;
        Ok(this)
    }

    /// What the container states about the length.
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// Where the track begins on its own clock: 0 but for recordings of a running stream.
    pub(crate) fn start_frame(&self) -> u64 {
        self.start_frame
    }

    /// Decodes until a first packet tells rate and channels. The first packet of Vorbis only prepares
    /// the next one.
    fn settle_format(&mut self, first_is_silent: bool) -> Result<(), MediaError> {
        let mut lost_frames = 0;
        for _ in 0..=FIRST_PACKETS_MAX {
            let Some(packet) = self.next_packet()? else {
                let announced = self.extent.frames.is_some_and(|frames| frames > 0);
                let truncated = || MediaError::Truncated("it ends before the sound begins".to_owned());
                return Err(if announced { truncated() } else { MediaError::NoSound });
            };
            match self.decoder.decode(&packet) {
                Ok(decoded) if decoded.spec().rate() > 0 && decoded.spec().channels().count() > 0 => {
                    let rate = decoded.spec().rate();
                    self.mixer = Mixer::new(pans_of(decoded.spec().channels())?);
                    self.format = PcmFormat { rate, channels: self.mixer.channels_out() };
                    decoded.copy_to_vec_interleaved(&mut self.samples);
                    let silence = lost_frames * self.mixer.channels_in();
                    self.samples.splice(0..0, std::iter::repeat_n(0.0, silence));
                    if first_is_silent {
                        self.samples.clear();
                    } else {
                        self.follow(&packet, self.samples.len() / self.mixer.channels_in());
                    }
                    self.first_is_waiting = true;
                    return if RATE_HZ.contains(&rate) {
                        Ok(())
                    } else {
                        Err(MediaError::UnsupportedFormat(format!("sample rate {rate} Hz")))
                    };
                }
                Ok(_) => {}
                Err(Error::Unsupported(feature)) => return Err(MediaError::UnsupportedCodec(feature.to_owned())),
                Err(_) => {
                    // The rate is not known yet: any real one.
                    self.damage.add(frames_of(&packet), *RATE_HZ.end())?;
                    lost_frames += frames_of(&packet) as usize;
                }
            }
        }
        Err(MediaError::Damaged("nothing at its start can be decoded".to_owned()))
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, MediaError> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track_id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Error::ResetRequired) => {
                    return Err(MediaError::UnsupportedFormat("several recordings chained in one file".to_owned()));
                }
                // The end of the file inside of a packet: the caller compares with the stated length.
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(Error::IoError(error)) => return Err(MediaError::io("reading", error)),
                Err(error) => return Err(MediaError::Damaged(error.to_string())),
            }
        }
    }

    /// Silence for frames that the timestamps say are missing before `packet`.
    fn fill_hole(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), MediaError> {
        let Some(clock) = self.clock else { return Ok(()) };
        let missing = clock.next.map_or(0, |next| packet.pts.get().saturating_sub(next));
        let Some(missing) = u64::try_from(missing).ok().filter(|missing| *missing > CLOCK_SLACK_FRAMES) else {
            return Ok(());
        };
        self.damage.add(missing, self.format.rate)?;
        out.resize(out.len() + missing as usize * usize::from(self.format.channels), 0.0);
        Ok(())
    }

    /// Frames of `packet` that are there already: the first timestamp after a hole is only about right,
    /// later ones are exact and show by how much silence was too long.
    fn surplus_before(&self, packet: &Packet) -> usize {
        let Some(next) = self.clock.and_then(|clock| clock.next) else { return 0 };
        let surplus = u64::try_from(next.saturating_sub(packet.pts.get())).unwrap_or(0);
        if self.damage.packets() > 0 && surplus > CLOCK_SLACK_FRAMES { surplus as usize } else { 0 }
    }

    fn follow(&mut self, packet: &Packet, frames: usize) {
        let Some(clock) = &mut self.clock else { return };
        let pts = packet.pts.get();
        let start = match clock.next {
            Some(next) if pts.saturating_sub(next) <= CLOCK_SLACK_FRAMES as i64 => next,
            _ => pts,
        };
        clock.next = Some(start.saturating_add(frames as i64));
    }
}

impl FrameStream for PacketStream {
    fn format(&self) -> PcmFormat {
        self.format
    }

    fn next_frames(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        if std::mem::take(&mut self.first_is_waiting) {
            self.mixer.mix(&self.samples, out);
            return Ok(true);
        }
        let Some(packet) = self.next_packet()? else { return Ok(false) };
        self.fill_hole(&packet, out)?;
        let channels = self.mixer.channels_in();
        match self.decoder.decode(&packet) {
            Ok(decoded) => {
                let spec = decoded.spec();
                if !decoded.is_empty() && (spec.rate() != self.format.rate || spec.channels().count() != channels) {
                    return Err(MediaError::UnsupportedFormat("it changes its format midway".to_owned()));
                }
                decoded.copy_to_vec_interleaved(&mut self.samples);
                let frames = self.samples.len() / channels;
                let surplus = self.surplus_before(&packet).min(frames);
                self.mixer.mix(&self.samples[surplus * channels..], out);
                self.follow(&packet, frames - surplus);
            }
            Err(Error::Unsupported(feature)) => return Err(MediaError::UnsupportedCodec(feature.to_owned())),
            Err(_) => {
                let frames = frames_of(&packet) as usize;
                self.damage.add(frames as u64, self.format.rate)?;
                out.resize(out.len() + frames * usize::from(self.format.channels), 0.0);
                self.follow(&packet, frames);
            }
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        let differs = self.decoder.finalize().verify_ok == Some(false);
        if differs && self.damage.packets() == 0 {
            return Err(MediaError::Damaged("the sound does not match its own checksum".to_owned()));
        }
        Ok(())
    }

    fn damaged_packets(&self) -> u32 {
        self.damage.packets()
    }
}

/// Valid frames of a packet that cannot be decoded; durations are in frames for the formats we read,
/// and one second at most.
fn frames_of(packet: &Packet) -> u64 {
    match packet.dur.get() {
        0 => PACKET_FRAMES_GUESS,
        frames => frames.min(65_536),
    }
}

/// Whether the frame count of the container is a statement rather than an estimate.
fn states_its_length(short_name: &str, has_delay: bool) -> bool {
    match short_name {
        "flac" | "wave" | "aiff" | "ogg" => true,
        // Only a LAME header counts; otherwise symphonia guesses from the bit rate.
        "mp1" | "mp2" | "mp3" => has_delay,
        _ => false,
    }
}

fn probe_error(error: Error) -> MediaError {
    match error {
        Error::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => MediaError::io("reading", error),
        Error::DecodeError(reason) => MediaError::Damaged(reason.to_owned()),
        _ => MediaError::NotAudio,
    }
}

/// Where each channel is heard. Channels without positions alternate between the sides.
fn pans_of(channels: &Channels) -> Result<Vec<Pan>, MediaError> {
    let count = channels.count();
    if count > 64 {
        return Err(MediaError::UnsupportedFormat(format!("{count} channels")));
    }
    Ok(match channels {
        _ if count == 1 => vec![Pan::CENTRE],
        _ if count == 2 => vec![Pan::LEFT, Pan::RIGHT],
        Channels::Positioned(positions) => positions.iter().map(pan_of).collect(),
        _ => (0..count).map(|index| if index % 2 == 0 { Pan::LEFT } else { Pan::RIGHT }).collect(),
    })
}

fn pan_of(position: Position) -> Pan {
    match position {
        Position::FRONT_LEFT | Position::FRONT_LEFT_CENTER => Pan::LEFT,
        Position::FRONT_RIGHT | Position::FRONT_RIGHT_CENTER => Pan::RIGHT,
        Position::FRONT_CENTER | Position::TOP_CENTER | Position::TOP_FRONT_CENTER => Pan::CENTRE,
        Position::REAR_LEFT
        | Position::SIDE_LEFT
        | Position::TOP_FRONT_LEFT
        | Position::TOP_REAR_LEFT
        | Position::TOP_SIDE_LEFT => Pan::SURROUND_LEFT,
        Position::REAR_RIGHT
        | Position::SIDE_RIGHT
        | Position::TOP_FRONT_RIGHT
        | Position::TOP_REAR_RIGHT
        | Position::TOP_SIDE_RIGHT => Pan::SURROUND_RIGHT,
        Position::REAR_CENTER | Position::TOP_REAR_CENTER => Pan::BEHIND,
        _ => Pan::SILENT,
    }
}
