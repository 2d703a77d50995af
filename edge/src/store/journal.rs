//! The objects whose blocks are in the store: an append-only file of checksummed lines.
//!
//! ```text
//!  line    = sum SP json LF
//!  sum     = xxh3-64 of the json's bytes, 16 lowercase hexadecimal digits
//!  json    = {"object":{"version":7,"path":"/t/a.ogg","len":…,…}}   a version, as it is now known
//!          | {"gone":7}                                              that version is no longer served
//!          | {"next":9}                                              versions below 9 were given away
//! ```
//!
//! A line about a version replaces earlier ones about it; `gone` is final wherever it stands, since no
//! number is given twice. Of two versions under one path the newer one is meant. A last line
//! without LF was torn by a kill and is cut off. Should any other line not match its sum, something is
//! unknown about all that stands before it, perhaps that it is gone: these objects are kept, but are
//! asked about upstream before they are served.
//!
//! Written on the blocking pool. A reactor only notes ([`Journal::note_gone`]), somebody else
//! [`flush`](Journal::flush)es. If the file cannot be written any more it is emptied: the cache
//! is lost with the process then, but never a word that an object is gone.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
};

use needledrop_core::{EntityTag, ObjectPath, UnixSeconds, Validators, block::OBJECT_BYTES_MAX, cache::VersionId};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{
    limits::{JOURNAL_PENDING_BYTES_MAX, JOURNAL_SLACK_LINES},
    object::{Freshness, Object, Stale},
    upstream::Facts,
};

/// Where objects are remembered.
pub struct Journal {
    path: PathBuf,
    objects_max: usize,
    pending: Mutex<Pending>,
    writer: Mutex<Writer>,
}

/// Lines that are noted and not yet written.
#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    count: usize,
    /// Behind the highest version that was ever noted.
    next: u64,
}

struct Writer {
    /// `None` after the file could not be written, until it can.
    file: Option<File>,
    /// Lines in the file.
    lines: usize,
    /// How many of them a rewrite left.
    live: usize,
    /// Somebody else writes the file now.
    stopped: bool,
}

/// What a journal said at a start.
#[derive(Debug)]
pub struct Replay {
    /// The versions that were current, oldest first.
    pub objects: Vec<Arc<Object>>,
    /// Versions below were given away.
    pub next: VersionId,
    /// Lines read, sound ones and others.
    lines: usize,
    /// How far the file is whole lines. Unit: bytes.
    whole: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Object(Entry),
    Gone(u64),
    Next(u64),
}

/// A version as it is written. A field that a later release adds gets a default.
#[derive(Serialize, Deserialize)]
struct Entry {
    version: u64,
    path: String,
    len: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last_modified: Option<u64>,
    content_type: String,
    fresh_until: u64,
    born: u64,
    #[serde(default)]
    immutable: bool,
    #[serde(default)]
    stale: Stale,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    head_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    tags: Vec<String>,
}

impl Journal {
    /// Opens or makes the journal, and tells what it said. Remembers `objects_max` objects at most. Blocking.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(path: &Path, objects_max: usize) -> io::Result<(Self, Replay)> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let replay = replay(&text, objects_max);
        let file = append(path)?;
        if replay.whole < text.len() {
            file.set_len(replay.whole as u64)?;
        }
        let pending = Pending { next: replay.next.0, ..Pending::default() };
        let writer = Writer { file: Some(file), lines: replay.lines, live: replay.objects.len(), stopped: false };
        let journal =
            Self { path: path.to_owned(), objects_max, pending: Mutex::new(pending), writer: Mutex::new(writer) };
        Ok((journal, replay))
    }

    /// Makes sure that the journal has the object as it is now known. Blocking.
    pub fn ensure(&self, object: &Object) {
        self.note_object(object);
        self.flush();
    }

    /// Notes an object as it is now known. Does not wait for a disk.
    pub fn note_object(&self, object: &Object) {
        if !object.journaled.swap(true, Ordering::Relaxed) {
            self.note(&Line::Object(Entry::of(object)), object.version);
        }
    }

    /// Notes that a version is no longer served. Does not wait for a disk.
    pub fn note_gone(&self, version: VersionId) {
        self.note(&Line::Gone(version.0), version);
    }

    fn note(&self, line: &Line, version: VersionId) {
        let line = encode(line);
        let mut pending = self.pending();
        pending.lines.extend_from_slice(&line);
        pending.count += 1;
        pending.next = pending.next.max(version.0 + 1);
    }

    /// Writes what was noted. Blocking.
    pub fn flush(&self) {
        if self.pending().lines.is_empty() {
            return;
        }
        let mut writer = self.writer.lock().expect("no code panics while writing the journal");
        let (lines, count, next) = {
            let mut pending = self.pending();
            (std::mem::take(&mut pending.lines), std::mem::take(&mut pending.count), pending.next)
        };
        if writer.stopped {
            return;
        }
        let written = match lines.len() {
            0..=JOURNAL_PENDING_BYTES_MAX => writer.append(&self.path, &lines, next),
            _ => Err(io::Error::other("more notes than could be written")),
        };
        if let Err(error) = written {
            return writer.give_up(&self.path, &error);
        }
        writer.lines += count;
        if writer.lines > 2 * writer.live + JOURNAL_SLACK_LINES
            && let Err(error) = self.compact(&mut writer)
        {
            tracing::warn!(%error, "the cache's journal could not be rewritten; it goes on growing");
            writer.live = writer.lines;
        }
    }

    /// Writes what was noted, and from here on nothing: the file is somebody else's. Blocking.
    pub fn stop(&self) {
        self.flush();
        self.writer.lock().expect("no code panics while writing the journal").stopped = true;
    }

    /// Writes the file anew with what is still true in it.
    fn compact(&self, writer: &mut Writer) -> io::Result<()> {
        let replay = replay(&std::fs::read(&self.path)?, self.objects_max);
        self.write_anew(writer, &replay.objects, replay.next)
    }

    /// Writes the file anew with these objects, if it holds much else. Blocking.
    ///
    /// # Errors
    /// The file system refuses; the old file stands.
    pub fn tidy(&self, objects: &[Arc<Object>], next: VersionId) -> io::Result<()> {
        self.pending().next = next.0;
        let mut writer = self.writer.lock().expect("no code panics while writing the journal");
        if writer.lines <= 2 * objects.len() + JOURNAL_SLACK_LINES {
            return Ok(());
        }
        self.write_anew(&mut writer, objects, next)
    }

    fn write_anew(&self, writer: &mut Writer, objects: &[Arc<Object>], next: VersionId) -> io::Result<()> {
        let mut text = encode(&Line::Next(next.0));
        for object in objects {
            text.extend_from_slice(&encode(&Line::Object(Entry::of(object))));
        }
        let aside = self.path.with_extension("new");
        let mut file = File::create(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&aside, &self.path)?;
        *writer =
            Writer { file: Some(append(&self.path)?), lines: objects.len() + 1, live: objects.len(), stopped: false };
        Ok(())
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no code panics while noting")
    }
}

impl Writer {
    fn append(&mut self, path: &Path, lines: &[u8], next: u64) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return file.write_all(lines);
        }
        // The first words after a failure: the numbers that were given away before it.
        let mut file = append(path)?;
        file.set_len(0)?;
        file.write_all(&encode(&Line::Next(next)))?;
        file.write_all(lines)?;
        *self = Self { file: Some(file), lines: 1, live: 0, stopped: false };
        Ok(())
    }

    fn give_up(&mut self, path: &Path, error: &io::Error) {
        tracing::error!(%error, "the cache's journal cannot be written; what is cached now is lost at the next start");
        let emptied = self.file.take().is_some_and(|file| file.set_len(0).is_ok());
        if !emptied && let Err(error) = std::fs::remove_file(path) {
            tracing::error!(%error, "nor can it be removed; remove {} before the next start", path.display());
        }
    }
}

impl Entry {
    fn of(object: &Object) -> Self {
        let freshness = object.freshness();
        Self {
            version: object.version.0,
            path: object.path.as_str().to_owned(),
            len: object.len,
            etag: object.validators.etag.as_ref().map(ToString::to_string),
            last_modified: object.validators.last_modified.map(|date| date.0),
            content_type: object.content_type.clone(),
            fresh_until: freshness.fresh_until.0,
            born: freshness.born.0,
            immutable: freshness.immutable,
            stale: freshness.stale,
            head_bytes: object.told_head(),
            tags: object.tags.clone(),
        }
    }

    /// `None`: the line is sound, but not about an object that this program would cache.
    fn object(self, doubtful: bool) -> Option<Arc<Object>> {
        let etag = match &self.etag {
            Some(text) => Some(EntityTag::parse(text).filter(|etag| !etag.is_weak())?),
            None => None,
        };
        let validators = Validators { etag, last_modified: self.last_modified.map(UnixSeconds) };
        if validators == Validators::default() || self.len > OBJECT_BYTES_MAX {
            return None;
        }
        let facts = Facts {
            len: self.len,
            start: 0,
            end: 0,
            validators,
            content_type: self.content_type,
            freshness: Freshness {
                fresh_until: UnixSeconds(if doubtful { 0 } else { self.fresh_until }),
                born: UnixSeconds(self.born),
                immutable: self.immutable,
                stale: self.stale,
            },
            tags: self.tags,
        };
        let object = Object::new(VersionId(self.version), ObjectPath::parse(&self.path).ok()?, &facts);
        if let Some(bytes) = self.head_bytes {
            object.learn_head(bytes);
        }
        object.journaled.store(true, Ordering::Relaxed);
        Some(object)
    }
}

/// What the text says in the end. The newest `objects_max` objects are kept.
fn replay(text: &[u8], objects_max: usize) -> Replay {
    let mut entries: BTreeMap<u64, (Entry, usize)> = BTreeMap::new();
    let mut gone = HashSet::new();
    let mut said = Replay { objects: Vec::new(), next: VersionId(0), lines: 0, whole: 0 };
    // Everything before this line is in doubt.
    let mut unreadable = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        said.lines += 1;
        said.whole += line.len() + 1;
        let version = match decode(line) {
            Some(Line::Object(entry)) => {
                let version = entry.version;
                entries.insert(version, (entry, said.lines));
                version
            }
            Some(Line::Gone(version)) => {
                gone.insert(version);
                version
            }
            Some(Line::Next(next)) => next.saturating_sub(1),
            None => {
                unreadable = said.lines;
                continue;
            }
        };
        said.next = said.next.max(VersionId(version.saturating_add(1)));
    }
    if unreadable > 0 {
        tracing::warn!("the cache's journal is damaged; the objects before line {unreadable} are asked about again");
    }
    let mut paths = HashSet::new();
    let newest = entries.into_iter().rev().filter(|(version, _)| !gone.contains(version));
    let current = newest.filter(|(_, (entry, _))| paths.insert(entry.path.clone())).take(objects_max);
    said.objects = current.filter_map(|(_, (entry, line))| entry.object(line < unreadable)).collect();
    said.objects.reverse();
    said
}

fn encode(line: &Line) -> Vec<u8> {
    let json = serde_json::to_string(line).expect("text and numbers");
    format!("{:016x} {json}\n", XxHash3_64::oneshot(json.as_bytes())).into_bytes()
}

fn decode(line: &[u8]) -> Option<Line> {
    let (sum, json) = (line.get(..16)?, line.get(17..)?);
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == XxHash3_64::oneshot(json)).then(|| serde_json::from_slice(json).ok())?
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 100;

    fn object(version: u64, path: &str) -> Arc<Object> {
        let facts = Facts {
            len: 1_000_000,
            start: 0,
            end: 0,
            validators: Validators { etag: Some(EntityTag::strong("v1")), last_modified: Some(UnixSeconds(5)) },
            content_type: "audio/ogg".into(),
            freshness: Freshness {
                fresh_until: UnixSeconds(900),
                born: UnixSeconds(100),
                immutable: true,
                stale: Stale::default(),
            },
            tags: vec!["album-1".into()],
        };
        Object::new(VersionId(version), ObjectPath::parse(path).unwrap(), &facts)
    }

    fn said(path: &Path) -> Replay {
        Journal::open(path, ROOM).unwrap().1
    }

    fn paths(replay: &Replay) -> Vec<&str> {
        replay.objects.iter().map(|object| object.path.as_str()).collect()
    }

    #[test]
    fn an_object_is_read_back_as_it_was_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let written = object(7, "/t/a.ogg");
        written.learn_head(300_000);
        Journal::open(&path, ROOM).unwrap().0.ensure(&written);
        let replay = said(&path);
        let read = &replay.objects[0];
        assert_eq!(replay.next, VersionId(8));
        assert_eq!((read.version, &read.path, read.len), (written.version, &written.path, written.len));
        assert_eq!(read.validators, written.validators);
        assert_eq!(read.content_type, written.content_type);
        assert_eq!(read.tags, written.tags);
        assert_eq!(read.head_bytes(), 300_000);
        assert!(read.is_fresh(UnixSeconds(899)) && !read.is_fresh(UnixSeconds(900)) && read.immutable);
    }

    #[test]
    fn what_is_gone_stays_gone_wherever_it_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, ROOM).unwrap();
        journal.note_gone(VersionId(2));
        for (version, name) in [(1, "/t/a"), (2, "/t/b"), (3, "/t/a")] {
            journal.ensure(&object(version, name));
        }
        assert_eq!(paths(&said(&path)), ["/t/a"]);
        assert_eq!(said(&path).objects[0].version, VersionId(3), "the newer one under a path is meant");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, ROOM).unwrap();
        journal.ensure(&object(1, "/t/a"));
        journal.ensure(&object(2, "/t/b"));
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() / 2 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (journal, replay) = Journal::open(&path, ROOM).unwrap();
            assert_eq!(paths(&replay), ["/t/a"]);
            assert!(replay.objects[0].is_fresh(UnixSeconds(1)));
            journal.ensure(&object(3, "/t/c"));
            assert_eq!(paths(&said(&path)), ["/t/a", "/t/c"]);
        }
    }

    #[test]
    fn objects_before_a_damaged_line_are_asked_about_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, ROOM).unwrap();
        journal.ensure(&object(1, "/t/a"));
        journal.note_gone(VersionId(1));
        journal.ensure(&object(2, "/t/b"));
        let mut text = std::fs::read(&path).unwrap();
        let middle = text.iter().position(|byte| *byte == b'\n').unwrap() + 20;
        text[middle] ^= 4;
        std::fs::write(&path, text).unwrap();
        let replay = said(&path);
        assert_eq!(paths(&replay), ["/t/a", "/t/b"]);
        assert!(!replay.objects[0].is_fresh(UnixSeconds(1)), "the damaged line may have said that it is gone");
        assert!(replay.objects[1].is_fresh(UnixSeconds(1)));
    }

    #[test]
    fn the_journal_is_rewritten_when_most_of_it_is_history() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, ROOM).unwrap();
        let kept = object(0, "/t/kept");
        journal.ensure(&kept);
        let versions = JOURNAL_SLACK_LINES as u64 * 2;
        for version in 1..versions {
            journal.ensure(&object(version, "/t/a"));
            journal.note_gone(VersionId(version));
        }
        journal.flush();
        let lines = std::fs::read(&path).unwrap().iter().filter(|byte| **byte == b'\n').count();
        assert!(lines <= JOURNAL_SLACK_LINES + 10, "{lines} lines");
        let replay = said(&path);
        assert_eq!(paths(&replay), ["/t/kept"]);
        assert_eq!(replay.next, VersionId(versions), "no number is given twice");
    }

    #[test]
    fn the_oldest_objects_leave_a_journal_that_has_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, 2).unwrap();
        for (version, name) in [(1, "/t/a"), (2, "/t/b"), (3, "/t/c")] {
            journal.ensure(&object(version, name));
        }
        assert_eq!(paths(&Journal::open(&path, 2).unwrap().1), ["/t/b", "/t/c"]);
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_empty_rather_than_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects");
        let (journal, _) = Journal::open(&path, ROOM).unwrap();
        journal.ensure(&object(1, "/t/a"));
        // A disk that refuses: the descriptor is open for reading only.
        journal.writer.lock().unwrap().file = Some(File::open(&path).unwrap());
        journal.note_gone(VersionId(1));
        journal.flush();
        assert!(said(&path).objects.is_empty());
        journal.ensure(&object(2, "/t/b"));
        assert_eq!(paths(&said(&path)), ["/t/b"], "and it goes on when the disk does");
    }
}
