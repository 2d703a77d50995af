//! When sound can begin: how many bytes of an object a real decoder needs for its first sound, and for a second of it.
//!
//! The decoder is given ever longer beginnings of the object, as a player has them while they arrive. The shortest one
//! from which it makes a sample is the milestone; the instant at which that byte arrived is the measurement. So each
//! object is decoded once, however many listeners start it, and a measurement costs the generator nothing.

use std::io::Cursor;

use serde::{Deserialize, Serialize};
use symphonia::core::{
    codecs::{CodecParameters, audio::AudioDecoderOptions},
    formats::{FormatOptions, TrackType, probe::Hint},
    io::{MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource},
    meta::MetadataOptions,
};

/// The longest beginning that is decoded. Unit: bytes. Artwork in front of the sound may be this large.
pub const BEGINNING_BYTES_MAX: usize = 2 << 20;

/// What is known of the beginning of an object. Unit: bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Milestones {
    /// So many bytes give the first sample.
    pub first_audio: Option<u64>,
    /// So many give a second of sound.
    pub one_second: Option<u64>,
}

/// Finds the milestones in the beginning of an object. Takes some 50 ms of processor time: not for a reactor.
pub fn milestones(beginning: &[u8]) -> Milestones {
    let beginning = &beginning[..beginning.len().min(BEGINNING_BYTES_MAX)];
    Milestones {
        first_audio: shortest(beginning, |heard| !heard.is_empty()),
        one_second: shortest(beginning, is_a_second),
    }
}

/// Frames of each decoded packet and their rate.
type Heard = [(u64, u32)];

fn is_a_second(heard: &Heard) -> bool {
    let seconds: f64 = heard.iter().map(|(frames, rate)| *frames as f64 / f64::from(*rate)).sum();
    seconds >= 1.0
}

/// The length of the shortest beginning of it that pleases. First by doubling, since most need little of it.
fn shortest(beginning: &[u8], pleases: impl Fn(&Heard) -> bool) -> Option<u64> {
    let (mut short, mut enough) = (0, 4_096.min(beginning.len()));
    while !pleases(&decode(&beginning[..enough])) {
        if enough == beginning.len() {
            return None;
        }
        (short, enough) = (enough, (enough * 2).min(beginning.len()));
    }
    while short + 1 < enough {
        let middle = usize::midpoint(short, enough);
        if pleases(&decode(&beginning[..middle])) { enough = middle } else { short = middle }
    }
    Some(enough as u64)
}

/// Decodes what there is, at most a second of it and the packet in which that ends.
fn decode(beginning: &[u8]) -> Vec<(u64, u32)> {
    let mut heard = Vec::new();
    // Not seekable, since a player does not have the end yet.
    let source = ReadOnlySource::new(Cursor::new(beginning.to_vec()));
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let probe = symphonia::default::get_probe();
    let Ok(mut reader) = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()) else {
        return heard;
    };
    let Some(track) = reader.default_track(TrackType::Audio) else { return heard };
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else { return heard };
    let codecs = symphonia::default::get_codecs();
    let Ok(mut decoder) = codecs.make_audio_decoder(parameters, &AudioDecoderOptions::default()) else { return heard };
    let id = track.id;
    let mut frames = 0;
    while let Ok(Some(packet)) = reader.next_packet() {
        if packet.track_id != id {
            continue;
        }
        let Ok(sound) = decoder.decode(&packet) else { continue };
        let rate = sound.spec().rate();
        if sound.frames() > 0 && rate > 0 {
            heard.push((sound.frames() as u64, rate));
            frames += sound.frames() as u64;
            if frames >= u64::from(rate) {
                break;
            }
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sound_has_no_milestones() {
        assert_eq!(milestones(b""), Milestones::default());
        assert_eq!(milestones(&[0; 100_000]), Milestones::default());
        assert_eq!(milestones(&b"RIFF".repeat(1_000)), Milestones::default());
    }

    /// A WAV file's arithmetic is known: 44 bytes, then four bytes a frame.
    fn wav(seconds: u32) -> Vec<u8> {
        let data = 44_100 * seconds * 4;
        let mut file = Vec::new();
        file.extend(b"RIFF");
        file.extend((data + 36).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16u32.to_le_bytes());
        file.extend([1, 0, 2, 0]);
        file.extend(44_100u32.to_le_bytes());
        file.extend((44_100u32 * 4).to_le_bytes());
        file.extend([4, 0, 16, 0]);
        file.extend(b"data");
        file.extend(data.to_le_bytes());
        file.extend((0..data).map(|at| at as u8));
        file
    }

    #[test]
    fn a_second_of_a_wav_file_ends_where_arithmetic_says() {
        let file = wav(3);
        let found = milestones(&file);
        let second = found.one_second.unwrap() as i64;
        // To the packet: the reader hands out some thousand frames at a time.
        assert!((second - 44 - 176_400).abs() < 20_000, "{second}");
        assert!(found.first_audio.unwrap() < 20_000);
        assert_eq!(milestones(&file[..100_000]).one_second, None, "there is less than a second");
    }
}
