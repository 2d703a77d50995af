//! Decoding is exact: every format yields the frames that were put in, no more and no fewer, and the
//! samples that ffmpeg finds in it.

mod support;

use std::path::Path;

use needledrop_media::{PcmSource, open};
use support::{drain, excerpt, ffmpeg_frames, ffmpeg_left};

/// 7.00731 s, from 20 s on: no multiple of any codec's frame.
const UNTIL: &str = "27.00731";

struct Format {
    name: &'static str,
    options: &'static str,
    rate: u32,
    channels: usize,
}

const fn format(name: &'static str, options: &'static str, rate: u32, channels: usize) -> Format {
    Format { name, options, rate, channels }
}

const FORMATS: [Format; 24] = [
    format("16.wav", "-c:a pcm_s16le", 44_100, 2),
    format("24.wav", "-c:a pcm_s24le", 44_100, 2),
    format("32f.wav", "-c:a pcm_f32le", 44_100, 2),
    format("mono.wav", "-ac 1", 44_100, 1),
    format("six.wav", "-ac 6", 44_100, 6),
    format("16.aiff", "", 44_100, 2),
    format("24.aiff", "-c:a pcm_s24be -ar 96000", 96_000, 2),
    format("16.flac", "-sample_fmt s16", 44_100, 2),
    format("24at96.flac", "-ar 96000 -sample_fmt s32", 96_000, 2),
    format("six.flac", "-ac 6 -ar 48000", 48_000, 6),
    format("cbr.mp3", "-b:a 128k", 44_100, 2),
    format("vbr.mp3", "-q:a 2 -ar 48000", 48_000, 2),
    format("mono.mp3", "-b:a 64k -ac 1 -ar 22050", 22_050, 1),
    format("aac.m4a", "-c:a aac -b:a 128k", 44_100, 2),
    format("fast.m4a", "-c:a aac -b:a 96k -ar 48000 -movflags +faststart", 48_000, 2),
    format("mono.m4a", "-c:a aac -ac 1 -ar 22050", 22_050, 1),
    format("alac.m4a", "-c:a alac", 44_100, 2),
    format("alac48.m4a", "-c:a alac -ar 48000 -sample_fmt s32p", 48_000, 2),
    format("q3.ogg", "-c:a libvorbis -q:a 3", 44_100, 2),
    format("mono.ogg", "-c:a libvorbis -ac 1 -ar 22050", 22_050, 1),
    format("six.ogg", "-c:a libvorbis -ac 6 -ar 48000", 48_000, 6),
    format("stereo.opus", "-c:a libopus -b:a 96k", 48_000, 2),
    format("mono.opus", "-c:a libopus -ac 1", 48_000, 1),
    format("six.opus", "-c:a libopus -ac 6 -mapping_family 1", 48_000, 6),
];

/// Frames of the excerpt at `rate`: what went into the encoder.
fn true_frames(dir: &Path, rate: u32) -> u64 {
    let wav = excerpt(dir, &format!("true{rate}.wav"), UNTIL, &format!("-ar {rate}"));
    ffmpeg_frames(&wav, 2)
}

#[test]
fn every_format_has_its_true_length_and_sound() {
    let dir = tempfile::tempdir().unwrap();
    let truth = [22_050, 44_100, 48_000, 96_000].map(|rate| (rate, true_frames(dir.path(), rate)));
    for format in &FORMATS {
        let name = format.name;
        let path = excerpt(dir.path(), name, UNTIL, format.options);
        let mut source = open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let heard = source.decoder.format();
        assert_eq!((heard.rate, usize::from(heard.channels)), (format.rate, format.channels.min(2)), "{name}");
        assert_eq!(source.tags.title.as_deref(), Some("Needle"), "{name}");
        let hint = source.decoder.total_frames_hint();
        let left = drain(&mut source.decoder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let frames = left.len() as u64;
        let true_frames = truth.iter().find(|(rate, _)| *rate == format.rate).map(|(_, frames)| *frames);
        assert_eq!(Some(frames), true_frames, "{name}");
        assert!(hint.is_none_or(|hint| hint == frames), "{name}");

        let by_ffmpeg = ffmpeg_frames(&path, format.channels);
        // This ffmpeg does not cut the last AAC unit where the edit list ends.
        let surplus = if name.ends_with("m4a") { 1024 } else { 0 };
        assert!((frames..=frames + surplus).contains(&by_ffmpeg), "{name}: {frames}, ffmpeg {by_ffmpeg}");
        if format.channels == 2 {
            let noise = noise_db(&left, &ffmpeg_left(&path));
            assert!(noise < -70.0, "{name}: {noise} dB away from what ffmpeg decodes");
        }
    }
}

/// Power of the difference relative to the signal.
fn noise_db(ours: &[f32], theirs: &[f32]) -> f32 {
    let noise: f32 = ours.iter().zip(theirs).map(|(a, b)| (a - b).powi(2)).sum();
    let power: f32 = theirs.iter().map(|b| b.powi(2)).sum();
    10.0 * (noise / power).log10()
}
