//! Whatever is in a file, opening and decoding it ends with sound or with a reason.

mod support;

use std::path::{Path, PathBuf};

use needledrop_media::{MediaError, open};
use support::{drain, excerpt, ffmpeg};

const FORMATS: [(&str, &str); 9] = [
    ("a.wav", "-c:a pcm_s16le"),
    ("a.aiff", ""),
    ("a.flac", "-sample_fmt s16"),
    ("a.mp3", "-b:a 128k"),
    ("a.m4a", "-c:a aac -b:a 96k"),
    ("fast.m4a", "-c:a aac -movflags +faststart"),
    ("alac.m4a", "-c:a alac"),
    ("a.ogg", "-c:a libvorbis"),
    ("a.opus", "-c:a libopus"),
];

/// Frames decoded and packets lost, or the reason.
fn decode(path: &Path) -> Result<(usize, u32), MediaError> {
    use needledrop_media::PcmSource;
    let mut source = open(path)?;
    let frames = drain(&mut source.decoder)?.len();
    Ok((frames, source.decoder.damaged_packets()))
}

fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<(usize, u32), MediaError> {
    std::fs::write(path, bytes).unwrap();
    decode(path)
}

#[test]
fn a_file_that_ends_early_is_refused_as_truncated() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in FORMATS {
        let path = excerpt(dir.path(), name, "24", options);
        let whole = std::fs::read(&path).unwrap();
        assert!(decode(&path).is_ok(), "{name}");
        for percent in [5, 30, 60, 95] {
            let cut = dir.path().join(format!("cut-{name}"));
            let result = decode_bytes(&cut, &whole[..whole.len() * percent / 100]);
            match result {
                Err(MediaError::Truncated(_)) => {}
                other => panic!("{name} at {percent} %: {other:?}"),
            }
        }
        for len in [1, 4, 12, 40, 100] {
            let cut = dir.path().join(format!("cut-{name}"));
            let result = decode_bytes(&cut, &whole[..len]);
            assert!(result.is_err(), "{name} of {len} bytes: {result:?}");
        }
    }
}

#[test]
fn flipped_bytes_give_sound_or_a_reason_but_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 7_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for (name, options) in FORMATS {
        let path = excerpt(dir.path(), name, "21", options);
        let whole = std::fs::read(&path).unwrap();
        let frames = decode(&path).unwrap().0;
        let victim = dir.path().join(format!("flip-{name}"));
        let mut outcomes = [0; 3];
        for round in 0..60 {
            let mut bytes = whole.clone();
            // Every second round hits the headers, where the sizes are.
            let span = if round % 2 == 0 { bytes.len() } else { bytes.len().min(700) };
            for _ in 0..=random(6) {
                bytes[random(span)] ^= 1 << random(8);
            }
            match decode_bytes(&victim, &bytes) {
                Ok((decoded, 0)) if decoded == frames => outcomes[0] += 1,
                Ok(_) => outcomes[1] += 1,
                Err(error) => {
                    outcomes[2] += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
        let [whole, with_loss, refused] = outcomes;
        assert_eq!(whole + with_loss + refused, 60, "{name}");
    }
}

#[test]
fn one_scratch_is_bridged_by_silence_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("a.flac", "-sample_fmt s16"),
        ("a.ogg", "-c:a libvorbis -page_duration 200000"),
        ("a.opus", "-c:a libopus -page_duration 20000"),
    ] {
        let path = excerpt(dir.path(), name, "24", options);
        let mut bytes = std::fs::read(&path).unwrap();
        let sound = drain(&mut open(&path).unwrap().decoder).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        let (scratched, lost) = decode_bytes(&path, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scratched, sound.len(), "{name}");
        assert!((1..=3).contains(&lost), "{name}: {lost}");
        // What follows the scratch is where it was.
        let bridged = drain(&mut open(&path).unwrap().decoder).unwrap();
        let tail = sound.len() - 11_025..;
        let noise: f32 = sound[tail.clone()].iter().zip(&bridged[tail.clone()]).map(|(a, b)| (a - b).powi(2)).sum();
        let power: f32 = sound[tail].iter().map(|a| a.powi(2)).sum();
        // Pages of Vorbis tell their time to within 31 frames only.
        let tolerance = if name == "a.ogg" { 0.02 } else { 1e-4 };
        assert!(noise < power * tolerance, "{name}: {noise} of {power}");
        // And a torn one is refused.
        for at in (middle / 2..middle).step_by(middle / 40) {
            bytes[at] ^= 0x55;
        }
        let torn = decode_bytes(&path, &bytes);
        assert!(matches!(torn, Err(MediaError::Damaged(_) | MediaError::Truncated(_))), "{name}: {torn:?}");
    }
}

#[test]
fn what_is_no_music_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let reason = |path: &Path| decode(path).unwrap_err().to_string();
    assert_eq!(reason(&file("zero.flac", b"")), "empty file");
    assert_eq!(reason(&file("text.mp3", &b"These are words, not music. ".repeat(400))), "not audio");
    assert_eq!(reason(&file("page.ogg", b"<html>404</html>")), "not audio");
    assert_eq!(reason(&file("zeros.wav", &[0; 50_000])), "not audio");
    assert_eq!(reason(&file("cover.mp3", b"\xff\xd8\xff\xe0\x00\x10JFIF")), "not audio");
    assert_eq!(reason(dir.path()), "not audio");
    assert!(reason(&dir.path().join("missing.flac")).starts_with("opening: "));

    let video = dir.path().join("video.mp4");
    ffmpeg("-f lavfi -i testsrc=duration=1:size=64x64:rate=5 -c:v mpeg4 {}", &[&video]);
    assert_eq!(reason(&video), "no audio track");
    let ac3 = dir.path().join("ac3.mp4");
    ffmpeg("-f lavfi -i sine=duration=1 -c:a ac3 {}", &[&ac3]);
    assert_eq!(reason(&ac3), "unsupported codec ac-3");
}

#[test]
fn tags_and_covers_are_read_from_every_container_that_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let cover = dir.path().join("cover.png");
    ffmpeg("-f lavfi -i testsrc=size=700x350 -frames:v 1 {}", &[&cover]);
    for (name, codec) in [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")] {
        let sound = excerpt(dir.path(), "plain.wav", "21", "");
        let path = dir.path().join(name);
        let tags = "-metadata title=Needle -metadata artist=Drop -metadata date=1999-05-01 -metadata track=3/9";
        let how = format!("-map 0:a -map 1:v -c:a {codec} -c:v png -disposition:v attached_pic {tags}");
        ffmpeg(&format!("-i {{}} -i {{}} {how} {{}}"), &[&sound, &cover, &path]);
        let source = open(&path).unwrap();
        assert_eq!(source.tags.title.as_deref(), Some("Needle"), "{name}");
        assert_eq!(source.tags.artist.as_deref(), Some("Drop"), "{name}");
        assert_eq!((source.tags.track_no, source.tags.year), (Some(3), Some(1999)), "{name}");
        let picture = source.picture.unwrap_or_else(|| panic!("{name} has a cover"));
        assert_eq!(picture.bytes, std::fs::read(&cover).unwrap(), "{name}");
        assert_eq!(needledrop_media::artwork(&picture.bytes).unwrap().map(|image| image.px), [64, 300, 640]);
    }
    let untagged = dir.path().join("My_untitled song.wav");
    ffmpeg("-f lavfi -i sine=duration=1 {}", &[&untagged]);
    assert_eq!(open(&untagged).unwrap().tags.title.as_deref(), Some("My untitled song"));
}
