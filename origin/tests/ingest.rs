//! Ingest from outside: folders of real (small) music files go in, and what is in the library and
//! on the disk afterwards is looked at. No mocks: files, encoders and the vault are the real ones.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use needledrop_core::media::Rendition;
use needledrop_media::{AacBackend, MediaError, PcmFormat, PcmSource, Tags};
use needledrop_origin::digest::Digest;
use needledrop_origin::ingest::{
    BuiltIn, BuiltInSound, Event, Fatal, IngestOptions, Outcome, Report, ingest, ingest_built_in,
};
use needledrop_origin::record::SourceKey;
use needledrop_origin::{Library, Vault, Writer};

/// Two different pictures of one pixel.
const RED_PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const BLUE_PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A folder of music and a vault, side by side.
struct World {
    folder: tempfile::TempDir,
    vault: Vault,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("music")).unwrap();
        let vault = Vault::at(folder.path().join("data"));
        World { folder, vault }
    }

    fn music(&self) -> PathBuf {
        fs::canonicalize(self.folder.path().join("music")).unwrap()
    }

    /// A music file whose sound is decided by `pitch` alone.
    fn wav(&self, name: &str, pitch: u32, title: &str) -> PathBuf {
        self.file(name, &wav(pitch, title))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.music().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn ingest(&self) -> Report {
        self.ingest_with(2, &AtomicBool::new(false), &|_| {})
    }

    fn ingest_with(&self, jobs: usize, stop: &AtomicBool, events: &(dyn Fn(Event<'_>) + Sync)) -> Report {
        let writer = Writer::open(&self.vault).unwrap();
        let options = IngestOptions { jobs: NonZeroUsize::new(jobs).unwrap(), ..IngestOptions::default() };
        let report = ingest(&[self.music()], &writer, &options, stop, events);
        drop(writer);
        self.assert_sound();
        report
    }

    fn library(&self) -> Library {
        Library::open(&self.vault).unwrap()
    }

    fn titles(&self) -> Vec<String> {
        let mut titles: Vec<_> = self.library().list().map(|track| track.title.clone()).collect();
        titles.sort();
        titles
    }

    /// Nothing is left over, and every listed object is there with its digest, length and index.
    fn assert_sound(&self) {
        assert_eq!(fs::read_dir(self.vault.dir().join("tmp")).unwrap().count(), 0, "scrap in tmp");
        for track in self.library().list() {
            let manifest = self.vault.manifest(&track.id, &track.rev).unwrap().unwrap();
            assert_eq!(track.renditions.len(), Rendition::ALL.len());
            for (listed, object) in track.renditions.iter().zip(&manifest.objects) {
                assert_eq!(*listed, object.facts);
                let path = self.vault.object_path(&track.id, &track.rev, listed.rendition);
                let bytes = fs::read(path).unwrap();
                assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (listed.bytes, listed.sha256));
                assert!(listed.head_bytes <= listed.bytes && !object.time_index.is_empty());
            }
        }
    }
}

/// A quarter of a second of 16-bit stereo at 44.1 kHz, with a title.
fn wav(pitch: u32, title: &str) -> Vec<u8> {
    const RATE: u32 = 44_100;
    let frames = RATE / 4;
    let sample = |frame: u32| {
        let phase = f64::from(frame * pitch) / f64::from(RATE) * std::f64::consts::TAU;
        (phase.sin() * 12_000.0) as i16
    };
    let data: Vec<u8> = (0..frames).flat_map(|frame| [sample(frame); 2]).flat_map(i16::to_le_bytes).collect();
    let mut text = title.as_bytes().to_vec();
    text.push(0);
    text.resize(text.len().next_multiple_of(2), 0);
    let info = [b"INFOINAM".as_slice(), &(text.len() as u32).to_le_bytes(), &text].concat();
    let format = [
        1_u16.to_le_bytes().as_slice(),
        &2_u16.to_le_bytes(),
        &RATE.to_le_bytes(),
        &(RATE * 4).to_le_bytes(),
        &4_u16.to_le_bytes(),
        &16_u16.to_le_bytes(),
    ]
    .concat();
    let chunk = |name: &[u8], bytes: &[u8]| [name, &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let chunks = [chunk(b"fmt ", &format), chunk(b"LIST", &info), chunk(b"data", &data)].concat();
    chunk(b"RIFF", &[b"WAVE".as_slice(), &chunks].concat())
}

fn png(text: &str) -> Vec<u8> {
    use base64ct::{Base64, Encoding};
    Base64::decode_vec(text).unwrap()
}

fn set_mtime(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_folder_becomes_tracks_and_costs_nothing_the_second_time() {
    let world = World::new();
    world.wav("a.wav", 440, "A");
    world.wav("disc 2/b.wav", 550, "B");
    // Found by its first bytes alone.
    world.wav("disc 2/noextension", 660, "C");
    world.file("notes.txt", b"not music");
    let report = world.ingest();
    assert_eq!((report.encoded, report.decoded, report.failed.len(), report.exit_code()), (3, 3, 0, 0));
    assert_eq!(world.titles(), ["A", "B", "C"]);
    assert_eq!(world.library().list().next().unwrap().duration_ms, 250);

    let journal = fs::read(world.vault.dir().join("library.jsonl")).unwrap();
    let report = world.ingest_with(2, &AtomicBool::new(false), &|event| {
        assert!(matches!(event, Event::Found { files: 3, due: 0 }), "{event:?}");
    });
    assert_eq!((report.unchanged, report.decoded, report.exit_code()), (3, 0, 0));
    assert_eq!(fs::read(world.vault.dir().join("library.jsonl")).unwrap(), journal);
}

#[test]
fn moved_copied_and_touched_files_are_recognised_without_decoding() {
    let world = World::new();
    let original = world.wav("a.wav", 440, "A");
    world.ingest();
    let before = world.library().list().next().unwrap().clone();

    set_mtime(&original, 1_000_000);
    let report = world.ingest();
    assert_eq!((report.recognised, report.decoded), (1, 0));

    fs::copy(&original, world.music().join("copy.wav")).unwrap();
    let report = world.ingest();
    assert_eq!((report.recognised, report.unchanged, report.decoded), (1, 1, 0));
    assert_eq!(world.library().list().next().unwrap().source, SourceKey::File(original.clone()));
    fs::remove_file(world.music().join("copy.wav")).unwrap();

    let moved = world.music().join("new name.wav");
    fs::rename(&original, &moved).unwrap();
    let report = world.ingest();
    // The copy went away with its fact when the move was noticed: both had the same bytes.
    assert_eq!((report.recognised, report.decoded), (1, 0));
    let after = world.library().list().next().unwrap().clone();
    assert_eq!((after.id, after.rev, after.source.clone()), (before.id, before.rev, SourceKey::File(moved)));
    assert_eq!(world.ingest().vanished, 0);
}

#[test]
fn a_retagged_file_keeps_its_track_and_gets_a_new_rev() {
    let world = World::new();
    world.wav("a.wav", 440, "Wrong title");
    world.ingest();
    let before = world.library().list().next().unwrap().clone();
    world.wav("a.wav", 440, "Right title");
    let report = world.ingest();
    assert_eq!((report.encoded, report.decoded), (1, 1));
    assert_eq!(world.titles(), ["Right title"]);
    let after = world.library().list().next().unwrap().clone();
    assert_eq!(after.id, before.id);
    assert_ne!(after.rev, before.rev);
    // Whoever holds a URL of the old rev can still play it.
    assert!(world.vault.manifest(&before.id, &before.rev).unwrap().is_some());
}

#[test]
fn two_files_with_the_same_sound_are_one_track_and_the_first_wins_in_any_order_of_work() {
    for jobs in [1, 3] {
        let world = World::new();
        let first = world.wav("a.wav", 440, "First");
        world.wav("b.wav", 440, "Second");
        world.wav("c.wav", 440, "First");
        let report = world.ingest_with(jobs, &AtomicBool::new(false), &|_| {});
        assert!(report.failed.is_empty(), "{report:?}");
        assert_eq!(world.titles(), ["First"]);
        assert_eq!(world.library().list().next().unwrap().source, SourceKey::File(first.clone()));
        assert_eq!(world.ingest().unchanged, 3, "all sources are remembered");

        // When the first goes away, the others do not take the title over unasked.
        fs::remove_file(first).unwrap();
        let report = world.ingest();
        assert_eq!((report.vanished, report.unchanged), (1, 2));
        assert_eq!(world.titles(), ["First"]);
    }
}

#[test]
fn copies_within_one_run_are_encoded_once() {
    let world = World::new();
    for name in ["a.wav", "b.wav", "c.wav", "d.wav"] {
        world.wav(name, 440, "Same");
    }
    let report = world.ingest_with(4, &AtomicBool::new(false), &|_| {});
    assert_eq!((report.encoded, report.recognised, report.decoded), (1, 3, 1));
    let source = world.library().list().next().unwrap().source.clone();
    assert_eq!(source, SourceKey::File(world.music().join("a.wav")));
}

#[test]
fn files_that_cannot_be_read_are_named_with_a_reason_and_the_rest_goes_on() {
    let world = World::new();
    let whole = wav(550, "Cut");
    world.file("cut.wav", &whole[..whole.len() / 2]);
    world.file("empty.flac", b"");
    world.file("noise.mp3", &[b"RIFF".as_slice(), &[0x55; 5000]].concat());
    world.file("picture.ogg", &png(RED_PNG));
    world.wav("good.wav", 440, "Good");
    let report = world.ingest();
    assert_eq!(report.exit_code(), 1);
    assert_eq!(world.titles(), ["Good"]);
    let named: Vec<_> = report.failed.iter().map(|failure| failure.source.rsplit_once('/').unwrap().1).collect();
    assert_eq!(named, ["cut.wav", "empty.flac", "noise.mp3", "picture.ogg"]);
    assert!(report.failed.iter().all(|failure| !failure.reason.is_empty()));
    assert_eq!(report.failed[1].reason, "empty file");
    // They are tried again, in case they were mended.
    world.file("empty.flac", &wav(660, "Mended"));
    assert_eq!(world.ingest().failed.len(), 3);
    assert_eq!(world.titles(), ["Good", "Mended"]);
}

#[test]
fn a_missing_path_is_a_failure_of_its_own() {
    let world = World::new();
    let writer = Writer::open(&world.vault).unwrap();
    let paths = [world.wav("a.wav", 440, "A"), world.music().join("missing.flac")];
    let report = ingest(&paths, &writer, &IngestOptions::default(), &AtomicBool::new(false), &|_| {});
    assert_eq!((report.encoded, report.failed.len(), report.exit_code()), (1, 1, 1));
}

#[test]
fn a_stopped_run_keeps_what_is_finished_and_the_next_one_does_the_rest() {
    let world = World::new();
    for number in 0..6 {
        world.wav(&format!("{number}.wav"), 300 + number * 50, &number.to_string());
    }
    let stop = AtomicBool::new(false);
    let report = world.ingest_with(2, &stop, &|event| {
        if matches!(event, Event::Settled { outcome: Outcome::Encoded { .. }, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert!(report.stopped && (1..6).contains(&report.encoded), "{report:?}");
    assert_eq!(report.exit_code(), 130);
    assert_eq!(report.encoded + report.not_reached, 6);
    let rest = world.ingest();
    assert_eq!((rest.unchanged, rest.encoded, rest.exit_code()), (report.encoded, 6 - report.encoded, 0));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused_and_taken_next_time() {
    let world = World::new();
    let path = world.wav("a.wav", 440, "A");
    let report = world.ingest_with(1, &AtomicBool::new(false), &|event| {
        if matches!(event, Event::Started { .. }) {
            set_mtime(&path, 1_000_000);
        }
    });
    assert_eq!(report.exit_code(), 1);
    assert!(report.failed[0].reason.contains("changed while"), "{report:?}");
    assert_eq!(world.ingest().encoded, 1);
}

#[test]
fn a_cover_beside_the_file_is_used_and_a_new_one_is_taken_up_without_decoding() {
    let world = World::new();
    world.wav("album/a.wav", 440, "A");
    world.ingest();
    assert_eq!(world.library().list().next().unwrap().art, None);

    let mut seen = HashSet::new();
    for picture in [RED_PNG, BLUE_PNG] {
        world.file("album/cover.png", &png(picture));
        set_mtime(&world.music().join("album/cover.png"), seen.len() as u64);
        let report = world.ingest();
        assert_eq!((report.new_art, report.decoded), (1, 0));
        let art = world.library().list().next().unwrap().art.unwrap();
        assert_eq!(world.vault.art_manifest(&art).unwrap().unwrap().images.len(), 3);
        assert!(seen.insert(art));
        assert_eq!(world.ingest().unchanged, 1);
    }
    // A picture that is none is no reason to lose the sound.
    world.file("album/cover.png", b"not a picture");
    assert_eq!(world.ingest().new_art, 1);
    assert_eq!(world.library().list().next().unwrap().art, None);
    assert_eq!(world.ingest().unchanged, 1);
}

/// A tone from memory, or a source that breaks.
struct Tone {
    frames_left: u32,
    panics: bool,
}

impl PcmSource for Tone {
    fn format(&self) -> PcmFormat {
        PcmFormat { rate: 48_000, channels: 1 }
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        assert!(!self.panics, "on purpose");
        out.clear();
        let frames = self.frames_left.min(4800);
        out.extend((0..frames).map(|frame| (frame as f32 * 0.05).sin() * 0.5));
        self.frames_left -= frames;
        Ok(frames > 0)
    }
}

fn built_in(name: &str, version: u32, frames_left: u32, panics: bool) -> BuiltIn {
    BuiltIn {
        name: name.into(),
        version,
        tags: Tags { title: Some(name.into()), ..Tags::default() },
        make: Box::new(move || {
            let pcm = Box::new(Tone { frames_left, panics });
            Ok(BuiltInSound { picture: Some(png(RED_PNG)), pcm })
        }),
    }
}

#[test]
fn built_in_sources_are_made_once_per_version_and_a_panic_costs_only_its_own_track() {
    let world = World::new();
    let run = |sources| {
        let writer = Writer::open(&world.vault).unwrap();
        let stop = AtomicBool::new(false);
        let report = ingest_built_in(sources, &writer, &IngestOptions::default(), &stop, &|_| {});
        drop(writer);
        world.assert_sound();
        report
    };
    let report = run(vec![built_in("demo/1", 1, 9600, false), built_in("demo/2", 1, 9600, true)]);
    assert_eq!((report.encoded, report.failed.len()), (1, 1));
    assert!(world.library().list().next().unwrap().art.is_some());
    let report = run(vec![built_in("demo/1", 1, 9600, true)]);
    assert_eq!((report.unchanged, report.decoded), (1, 0));
    let report = run(vec![built_in("demo/1", 2, 19_200, false)]);
    assert_eq!((report.encoded, report.decoded), (1, 1));
    assert_eq!(world.library().len(), 1, "the new version stands in the place of the old one");
}

/// A small filesystem of its own; taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said loudly, where the test may not mount one.
    fn mount(at: &Path, bytes: u32) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(at.to_owned())),
            other => {
                eprintln!("\n*** NOT TESTED ON A REAL FULL DISK: no tmpfs could be mounted (run as root): {other:?}\n");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_run_cleanly_and_the_next_one_with_space_goes_on() {
    let world = World::new();
    for number in 0..8 {
        world.wav(&format!("{number}.wav"), 300 + number * 50, &number.to_string());
    }
    let Some(_disk) = SmallDisk::mount(world.vault.dir(), 200_000) else {
        // The same at every step, with injected failures: `writer::tests`.
        return;
    };
    let report = world.ingest();
    assert_eq!(report.exit_code(), 2, "{report:?}");
    let Some(Fatal::DiskFull { dir, needed_bytes, free_bytes }) = &report.fatal else {
        panic!("{report:?}");
    };
    assert_eq!(dir, world.vault.dir());
    assert!(needed_bytes.unwrap() > 10_000 && free_bytes.is_some(), "{report:?}");
    let text = report.fatal.as_ref().unwrap().to_string();
    assert!(text.contains("no space left in") && text.contains("bytes"), "{text}");
    assert!(report.failed.is_empty(), "a full disk is not the fault of a file: {report:?}");
    assert_eq!(report.encoded, world.library().len());

    let more = std::process::Command::new("mount").args(["-o", "remount,size=50m"]).arg(world.vault.dir()).status();
    assert!(more.unwrap().success());
    let rest = world.ingest();
    assert_eq!((rest.unchanged, rest.encoded, rest.exit_code()), (report.encoded, 8 - report.encoded, 0));
}

#[test]
fn with_ffmpeg_as_the_aac_encoder_the_track_is_the_same_and_its_rev_another() {
    let world = World::new();
    world.wav("a.wav", 440, "A");
    world.ingest();
    let usual = world.library().list().next().unwrap().clone();
    let other = World::new();
    other.wav("a.wav", 440, "A");
    let writer = Writer::open(&other.vault).unwrap();
    let options = IngestOptions { aac: AacBackend::Ffmpeg, ..IngestOptions::default() };
    let report = ingest(&[other.music()], &writer, &options, &AtomicBool::new(false), &|_| {});
    assert_eq!(report.encoded, 1, "{:?}", report.failed);
    drop(writer);
    other.assert_sound();
    let track = other.library().list().next().unwrap().clone();
    assert_eq!(track.id, usual.id);
    assert_ne!(track.rev, usual.rev, "one path never names two different objects");
}
