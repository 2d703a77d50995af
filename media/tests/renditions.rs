//! What comes out of a transcode holds for players and for the edge: lengths, tags, index, head.

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use needledrop_core::{Codec, Kbps, Rendition};
use needledrop_media::{
    AacBackend, HEAD_SECONDS, MediaError, PcmFormat, PcmSource, RenditionFile, Tags, Transcoder, mp4_index, ogg_index,
    open, transcode,
};
use sha2::{Digest, Sha256};
use support::{excerpt, ffmpeg, ffmpeg_frames, ffmpeg_left, ffprobe, transcode_file};

/// 36.5 s: longer than a head.
const LONG: &str = "56.5";

#[test]
fn six_renditions_keep_length_tags_and_timing() {
    let dir = tempfile::tempdir().unwrap();
    let source = excerpt(dir.path(), "long.flac", LONG, "-sample_fmt s16");
    let frames = ffmpeg_frames(&source, 2);
    let (tags, done) = transcode_file(&source, &dir.path().join("out"));
    assert_eq!(tags.title.as_deref(), Some("Needle"));
    assert_eq!((done.frames, done.rate, done.damaged_packets), (frames, 44_100, 0));
    assert_eq!(done.renditions.iter().map(|r| r.rendition).collect::<Vec<_>>(), Rendition::ALL);
    assert!((-40.0..-5.0).contains(&done.loudness.integrated_lufs), "{:?}", done.loudness);
    let left = std::fs::read_dir(dir.path().join("out")).unwrap().count();
    assert_eq!(left, 6, "no scratch file stays behind");

    let reference = ffmpeg_left(&source);
    for rendition in &done.renditions {
        describes_its_file(rendition);
        keeps_length_and_tags(rendition, frames);
        let decoded = ffmpeg_left(&rendition.file);
        assert!(noise_db(&reference, &decoded) < -12.0, "{} is not in place", rendition.rendition);
        head_is_enough(rendition, dir.path());
        match rendition.rendition.codec {
            Codec::Vorbis => vorbis_seeks_by_index(rendition, dir.path()),
            Codec::Aac => aac_seeks_by_index(rendition, dir.path()),
        }
        let nominal = f64::from(rendition.rendition.kbps.value()) * 1000.0;
        let share = rendition.average_bps as f64 / nominal;
        assert!((0.5..1.5).contains(&share), "{}: {}", rendition.rendition, rendition.average_bps);
    }

    let (_, again) = transcode_file(&source, &dir.path().join("again"));
    let digests = |renditions: &[RenditionFile]| renditions.iter().map(|r| r.sha256).collect::<Vec<_>>();
    assert_eq!(digests(&again.renditions), digests(&done.renditions), "the same bytes every time");
}

fn describes_its_file(rendition: &RenditionFile) {
    let bytes = std::fs::read(&rendition.file).unwrap();
    assert_eq!(rendition.bytes, bytes.len() as u64);
    assert_eq!(rendition.sha256[..], Sha256::digest(&bytes)[..]);
    let index = match rendition.rendition.codec {
        Codec::Vorbis => ogg_index::index(&bytes).unwrap(),
        Codec::Aac => mp4_index::index(&bytes).unwrap(),
    };
    assert_eq!((&index.seconds, index.head_bytes), (&rendition.time_index, rendition.head_bytes));
    assert!(rendition.time_index.is_sorted());
    assert_eq!(rendition.time_index.len() as u64, rendition.duration_ms.div_ceil(1000));
    if rendition.rendition.codec == Codec::Aac {
        let find = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap();
        assert!(find(b"moov") < find(b"mdat"));
    }
}

fn keeps_length_and_tags(rendition: &RenditionFile, frames: u64) {
    let decoded = ffmpeg_frames(&rendition.file, 2);
    let unit = if rendition.rendition.codec == Codec::Vorbis { 0 } else { 1024 };
    assert!(decoded.abs_diff(frames) <= unit, "{}: {decoded} of {frames} frames", rendition.rendition);
    let seconds: f64 = ffprobe(&rendition.file, "format=duration").parse().unwrap();
    assert!((seconds - rendition.duration_ms as f64 / 1000.0).abs() < 0.024, "{seconds}");
    let place = if rendition.rendition.codec == Codec::Vorbis { "stream_tags" } else { "format_tags" };
    let tag = |name: &str| ffprobe(&rendition.file, &format!("{place}={name}"));
    assert_eq!([tag("title"), tag("artist"), tag("album")], ["Needle", "Drop", "Tests"]);
    assert_eq!(tag("track").trim_end_matches("/0"), "3");

    let ours = support::drain(&mut open(&rendition.file).unwrap().decoder).unwrap();
    assert_eq!(ours.len() as u64, frames, "we read our own renditions to the frame");
}

/// Power of the difference relative to the signal.
fn noise_db(reference: &[f32], decoded: &[f32]) -> f32 {
    let power = |samples: &mut dyn Iterator<Item = f32>| samples.map(|sample| sample * sample).sum::<f32>();
    let noise = power(&mut reference.iter().zip(decoded).map(|(a, b)| a - b));
    10.0 * (noise / power(&mut reference.iter().copied())).log10()
}

fn head_is_enough(rendition: &RenditionFile, dir: &Path) {
    let bytes = std::fs::read(&rendition.file).unwrap();
    assert!(rendition.head_bytes < rendition.bytes);
    let head = dir.join(format!("head-{}", rendition.rendition));
    std::fs::write(&head, &bytes[..rendition.head_bytes as usize]).unwrap();
    // ffmpeg complains about the missing rest, which is the point.
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "quiet", "-nostdin", "-i"]).arg(&head).args(["-f", "s16le", "-"]);
    let decoded = command.output().unwrap().stdout.len() as u64 / 4;
    assert!(decoded >= HEAD_SECONDS * 44_100, "{}: {decoded} frames", rendition.rendition);
    let spare = decoded - HEAD_SECONDS * 44_100;
    assert!(spare < 44_100, "{}: {spare} frames too many", rendition.rendition);
}

/// Headers, then the bytes from the indexed offset on: the tail is that of the whole file.
fn vorbis_seeks_by_index(rendition: &RenditionFile, dir: &Path) {
    let bytes = std::fs::read(&rendition.file).unwrap();
    let headers = &bytes[..rendition.time_index[0] as usize];
    let whole = ffmpeg_left(&rendition.file);
    for second in [1, 2, 17, rendition.time_index.len() - 1] {
        let cut = dir.join("cut.ogg");
        std::fs::write(&cut, [headers, &bytes[rendition.time_index[second] as usize..]].concat()).unwrap();
        let tail = ffmpeg_left(&cut);
        let wanted = &whole[second * 44_100..];
        assert!(tail.len() >= wanted.len(), "{} second {second}", rendition.rendition);
        assert!(tail.ends_with(wanted), "{} second {second}", rendition.rendition);
        assert!(tail.len() - wanted.len() < 44_100, "{} second {second}: too early", rendition.rendition);
    }
}

/// The access units from the indexed offset on, in ADTS: the tail is that of all units.
fn aac_seeks_by_index(rendition: &RenditionFile, dir: &Path) {
    let bytes = std::fs::read(&rendition.file).unwrap();
    let at = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap() + 4;
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let table = at(b"stsz");
    let delay = word(at(b"elst") + 12) as usize;
    let mut units = Vec::new();
    let mut offset = at(b"mdat");
    for index in 0..word(table + 8) as usize {
        let size = word(table + 12 + index * 4) as usize;
        units.push((offset, &bytes[offset..offset + size]));
        offset += size;
    }
    let decoded_from = |first: usize| {
        let path = dir.join("cut.aac");
        let adts: Vec<u8> = units[first..].iter().flat_map(|(_, unit)| adts(unit)).collect();
        std::fs::write(&path, adts).unwrap();
        ffmpeg_left(&path)
    };
    let whole = decoded_from(0);
    for second in [1, 2, 17, rendition.time_index.len() - 1] {
        let offset = rendition.time_index[second] as usize;
        let first = units.iter().position(|unit| unit.0 == offset).expect("an offset is where a unit begins");
        // The first unit only warms the decoder up.
        let exact_from = (first + 1) * 1024;
        assert!(exact_from <= second * 44_100 + delay, "{} second {second}", rendition.rendition);
        assert!(exact_from + 2048 > second * 44_100 + delay, "{} second {second}: too early", rendition.rendition);
        let tail = decoded_from(first);
        assert_eq!(tail.len() - 1024, whole.len() - exact_from);
        // Not equal to the bit: noise substitution draws from a generator that starts anew.
        let noise = noise_db(&whole[exact_from..], &tail[1024..]);
        assert!(noise < -15.0, "{} second {second}: {noise} dB", rendition.rendition);
    }
}

fn adts(unit: &[u8]) -> Vec<u8> {
    let len = unit.len() + 7;
    // AAC-LC, 44.1 kHz (index 4), two channels.
    let header = [0xff, 0xf1, 0x50, 0x80 | (len >> 11) as u8, (len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc];
    [&header[..], unit].concat()
}

#[test]
fn other_rates_and_channel_counts_become_stereo_at_a_cd_or_studio_rate() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options, rate) in [
        ("mono.wav", "-ac 1 -ar 22050", 44_100_u64),
        ("six.flac", "-ac 6 -ar 96000", 48_000),
        ("low.mp3", "-ar 32000", 48_000),
        ("stereo.opus", "-c:a libopus", 48_000),
    ] {
        let source = excerpt(dir.path(), name, "24.01", options);
        let (_, done) = transcode_file(&source, &dir.path().join("out"));
        let frames = (done.frames * rate * 2 + u64::from(done.rate)) / (2 * u64::from(done.rate));
        for rendition in &done.renditions {
            assert_eq!(ffprobe(&rendition.file, "stream=sample_rate"), rate.to_string(), "{name}");
            assert_eq!(ffprobe(&rendition.file, "stream=channels"), "2", "{name}");
            let decoded = ffmpeg_frames(&rendition.file, 2);
            let unit = if rendition.rendition.codec == Codec::Vorbis { 0 } else { 1024 };
            assert!(decoded.abs_diff(frames) <= unit, "{name} {}: {decoded} of {frames}", rendition.rendition);
            assert_eq!(rendition.head_bytes, rendition.bytes, "shorter than a head");
        }
    }
}

#[test]
fn the_identity_is_of_the_sound_not_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = excerpt(dir.path(), "a.wav", "23", "-c:a pcm_s16le");
    let identities =
        [("b.flac", "-metadata title=Other"), ("c.m4a", "-c:a alac"), ("d.aiff", "")].map(|(name, how)| {
            let path = dir.path().join(name);
            ffmpeg(&format!("-i {{}} {how} {{}}"), &[&first, &path]);
            transcode_file(&path, &dir.path().join("out")).1.pcm_sha256
        });
    let identity = transcode_file(&first, &dir.path().join("out")).1.pcm_sha256;
    assert!(identities.iter().all(|other| *other == identity));
    let other = excerpt(dir.path(), "e.wav", "22.999", "-c:a pcm_s16le");
    assert_ne!(transcode_file(&other, &dir.path().join("out")).1.pcm_sha256, identity);
}

#[test]
fn ffmpeg_can_make_the_aac() {
    let dir = tempfile::tempdir().unwrap();
    let path = excerpt(dir.path(), "a.flac", "24.007", "-sample_fmt s16");
    let mut source = open(&path).unwrap();
    let transcoder = Transcoder { aac: AacBackend::Ffmpeg };
    let done = transcoder.run(&mut source.decoder, &source.tags, dir.path(), &|_| {}, &AtomicBool::new(false)).unwrap();
    let reference = ffmpeg_left(&path);
    for rendition in done.renditions.iter().filter(|r| r.rendition.codec == Codec::Aac) {
        assert!(ffmpeg_frames(&rendition.file, 2).abs_diff(done.frames) <= 1024);
        assert!(noise_db(&reference, &ffmpeg_left(&rendition.file)) < -12.0, "{}", rendition.rendition);
        assert_eq!(ffprobe(&rendition.file, "format_tags=title"), "Needle");
    }
}

/// A source that is made of nothing but the samples given.
struct Samples {
    left: Vec<f32>,
    channels: u16,
}

impl PcmSource for Samples {
    fn format(&self) -> PcmFormat {
        PcmFormat { rate: 48_000, channels: self.channels }
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        *out = std::mem::take(&mut self.left);
        Ok(!out.is_empty())
    }
}

#[test]
fn the_shortest_and_the_wildest_sounds_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let wild = [f32::NAN, f32::INFINITY, -1e30, 0.5, f32::MIN_POSITIVE, -0.0];
    for left in [vec![0.25], vec![0.0; 1024], vec![1.0; 2047], wild.repeat(2000)] {
        let frames = left.len() as u64;
        let mut source = Samples { left, channels: 1 };
        let done = transcode(&mut source, &Tags::default(), dir.path(), &|_| {}, &AtomicBool::new(false)).unwrap();
        assert_eq!(done.frames, frames);
        assert!(done.loudness.integrated_lufs >= -70.0 && done.loudness.true_peak_dbtp >= -120.0);
        for rendition in &done.renditions {
            let decoded = ffmpeg_frames(&rendition.file, 2);
            assert!(decoded.abs_diff(frames) <= 1024, "{}: {decoded} of {frames}", rendition.rendition);
        }
    }
}

#[test]
fn nothing_is_refused_and_a_stop_is_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let run = |source: &mut Samples, stop: bool| {
        let (sender, receiver) = channel();
        let progress = move |frames| sender.send(frames).unwrap();
        let result = transcode(source, &Tags::default(), dir.path(), &progress, &AtomicBool::new(stop));
        drop(progress);
        (result.map(|done| done.renditions.len()), receiver.iter().last())
    };
    let mut nothing = Samples { left: Vec::new(), channels: 2 };
    assert!(matches!(run(&mut nothing, false), (Err(MediaError::NoSound), None)));
    let mut stopped = Samples { left: vec![0.0; 9600], channels: 2 };
    assert!(matches!(run(&mut stopped, true), (Err(MediaError::Stopped), None)));
    let mut many = Samples { left: vec![0.0; 9600], channels: 3 };
    assert!(matches!(run(&mut many, false), (Err(MediaError::UnsupportedFormat(_)), None)));
    let mut plain = Samples { left: vec![0.0; 9600], channels: 2 };
    assert!(matches!(run(&mut plain, false), (Ok(6), Some(4800))));
    assert_eq!(Kbps::ALL.len() * 2, 6);
}
