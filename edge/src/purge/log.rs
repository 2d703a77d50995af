//! The purges that an edge has heard of, in a file that survives a kill.
//!
//! ```text
//!   purges.log     one line each, the first is the head:
//!   <16 hex digits: xxh3-64 of the JSON> <one space> <JSON> <\n>
//!
//!   {"node":"…16 hex…","floor":0,"dropped":["…16 hex…-9"]}
//!   {"id":"…16 hex…-10","target":{"path":"/t/a.ogg"},"before":77,"at":1790000000}
//! ```
//!
//! A line is synced before its purge is acknowledged. A last line without its end was never
//! acknowledged and is cut off; any other damage means that a purge may be lost, and then the log
//! covers whatever was recovered: damage costs cache. Beyond [`PURGES_MAX`] the oldest lines go,
//! and the versions below theirs lie under the `floor`, below which nothing recovered is believed.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use needledrop_core::{
    ObjectPath, UnixSeconds,
    cache::VersionId,
    purge::{Coverage, Heard, NodeId, PurgeId, Target},
};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::limits::PURGES_MAX;

/// The file's name in the cache folder.
pub const FILE: &str = "purges.log";

/// One purge as this edge applied it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Which purge it is, in the whole cluster.
    pub id: PurgeId,
    /// What is gone.
    pub target: Target,
    /// Versions of this edge below this number are covered. Means nothing to another edge.
    pub before: VersionId,
    /// When this edge applied it.
    pub at: UnixSeconds,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    node: NodeId,
    floor: VersionId,
    /// For each node the number up to which purges were dropped as too old.
    dropped: Vec<PurgeId>,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refuses.
    #[error("the log of purges {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No randomness for this node's number.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

/// The purges of one edge, newest last. Shared by all who ask.
pub struct Log {
    node: NodeId,
    state: Mutex<State>,
    /// Taken by one writer at a time, never while `state` is held: a reader never waits for a disk.
    file: Mutex<Option<Store>>,
    /// Another process writes the file.
    handed_over: AtomicBool,
}

#[derive(Default)]
struct State {
    coverage: Coverage,
    heard: Heard,
    records: VecDeque<Purge>,
    /// Noted, and not written yet.
    unsaved: Vec<Purge>,
    dropped: BTreeMap<NodeId, u64>,
    floor: VersionId,
    /// The highest `before` of all.
    highest: VersionId,
    /// Purges may have been lost, and recovery is not over.
    damaged: bool,
}

struct Store {
    path: PathBuf,
    file: File,
    /// Lines in the file, the head not counted.
    lines: usize,
    /// Bytes that are known to be whole lines.
    bytes: u64,
    /// Whether the file lacks something that is remembered.
    is_behind: bool,
}

/// What a neighbour needs to catch up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The purges it has not heard of, oldest first.
    pub purges: Vec<Purge>,
    /// Whether that is all of them; if not, some were dropped as too old.
    pub complete: bool,
}

impl Log {
    /// A log that ends with the process: for an edge without a folder, and for tests.
    pub fn volatile(node: NodeId) -> Self {
        Self { node, state: Mutex::default(), file: Mutex::new(None), handed_over: AtomicBool::new(false) }
    }

    /// Reads the log in `dir`, or begins one. Blocking: before the edge serves.
    ///
    /// # Errors
    /// The file system refuses, or there is no randomness for a new node's number.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let io_error = |source| LogError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).truncate(false).open(&path).map_err(io_error)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes).map_err(io_error)?;
        let read = Read::of(&bytes);
        file.set_len(read.bytes).map_err(io_error)?;
        let is_new = read.head.is_none();
        let node = match &read.head {
            Some(head) => head.node,
            None => fresh_node()?,
        };
        let state = State::of(&read);
        let is_behind = read.whole && (is_new || read.mended);
        let store = Store { path: path.clone(), file, lines: read.purges.len(), bytes: read.bytes, is_behind };
        let handed_over = AtomicBool::new(false);
        let log = Self { node, state: Mutex::new(state), file: Mutex::new(Some(store)), handed_over };
        log.keep().map_err(io_error)?;
        Ok(log)
    }

    /// This node's number, drawn when its log was begun.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Recovery is over and versions go on from `next`. A damaged log, which has covered everything
    /// until now, covers what is below `next` from now on, and is written anew. Blocking.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn begin(&self, next: VersionId) -> Result<(), LogError> {
        {
            let mut state = self.lock();
            if !state.damaged {
                return Ok(());
            }
            state.damaged = false;
            (state.floor, state.highest) = (next, next.max(state.highest));
            state.coverage.raise_floor(next);
        }
        tracing::warn!(file = FILE, "purges were lost to damage: nothing that the cache held from before is used");
        let mut file = self.file.lock().expect("no code panics while holding the file");
        let Some(store) = &mut *file else { return Ok(()) };
        self.rewrite(store).map_err(|source| LogError::Io { path: store.path.clone(), source })
    }

    /// Whether this version was purged.
    pub fn covers(&self, path: &ObjectPath, tags: &[String], version: VersionId) -> bool {
        let state = self.lock();
        state.damaged || state.coverage.covers(path, tags, version)
    }

    /// The number with which versions must go on, so that no new one is taken for purged.
    pub fn next_version(&self) -> VersionId {
        self.lock().highest
    }

    /// Takes a purge into memory, from where on [`Log::covers`] knows it. Without an `id` it gets this
    /// node's next one. `again`: also if it was heard of before, with the higher `before`.
    ///
    /// `before` is read while the log is held, so that two purges and their numbers are in one order.
    pub(super) fn note(
        &self,
        target: Target,
        id: Option<PurgeId>,
        again: bool,
        before: impl FnOnce() -> VersionId,
        at: UnixSeconds,
    ) -> Option<Purge> {
        let mut state = self.lock();
        let id = id.unwrap_or(PurgeId { node: self.node, number: state.heard.highest(self.node) + 1 });
        if !state.heard.add(id) && !again {
            return None;
        }
        let purge = Purge { id, target, before: before(), at };
        state.take(purge.clone());
        state.unsaved.push(purge.clone());
        Some(purge)
    }

    /// Writes what was noted and is not on disk yet, by whomever, and syncs. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// The disk refuses: the purges hold while the process lives, and must not be acknowledged. The
    /// next call tries them again.
    pub(super) fn keep(&self) -> io::Result<()> {
        let mut file = self.file.lock().expect("no code panics while holding the file");
        if self.handed_over.load(Ordering::Acquire) {
            return Err(io::Error::other("this edge is handing over to a new process; ask again"));
        }
        let unsaved = std::mem::take(&mut self.lock().unsaved);
        let Some(store) = &mut *file else { return Ok(()) };
        if !store.is_behind {
            if unsaved.is_empty() {
                return Ok(());
            }
            store.is_behind = true;
            store.append(&unsaved)?;
            store.is_behind = false;
        }
        if store.is_behind || store.lines > 2 * PURGES_MAX { self.rewrite(store) } else { Ok(()) }
    }

    /// From here on the file is another process's: no purge is acknowledged any more. Blocking.
    pub fn hand_over(&self) {
        let _file = self.file.lock().expect("no code panics while holding the file");
        self.handed_over.store(true, Ordering::Release);
    }

    /// What a neighbour that has heard of everything up to `marks` has missed.
    pub fn missed(&self, marks: &[PurgeId]) -> Missed {
        let state = self.lock();
        let up_to = |node| marks.iter().filter(|mark| mark.node == node).map(|mark| mark.number).max().unwrap_or(0);
        let purges = state.records.iter().filter(|purge| purge.id.number > up_to(purge.id.node)).cloned().collect();
        let complete = state.dropped.iter().all(|(node, number)| up_to(*node) >= *number);
        Missed { purges, complete }
    }

    /// The newest purges, newest first.
    pub fn newest(&self, max: usize) -> Vec<Purge> {
        self.lock().records.iter().rev().take(max).cloned().collect()
    }

    /// For each node the number up to which nothing is missing here.
    pub fn marks(&self) -> Vec<PurgeId> {
        self.lock().heard.marks().collect()
    }

    /// How many purges are remembered one by one.
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what is remembered aside, syncs, and renames it into place.
    fn rewrite(&self, store: &mut Store) -> io::Result<()> {
        let (head, records) = {
            let state = self.lock();
            let dropped = state.dropped.iter().map(|(node, number)| PurgeId { node: *node, number: *number });
            (Head { node: self.node, floor: state.floor, dropped: dropped.collect() }, state.records.clone())
        };
        let mut text = line(&head);
        for purge in &records {
            text.extend(line(purge));
        }
        let aside = store.path.with_extension("new");
        let mut fresh = File::create(&aside)?;
        fresh.write_all(&text)?;
        fresh.sync_all()?;
        std::fs::rename(&aside, &store.path)?;
        File::open(store.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        store.file = OpenOptions::new().append(true).open(&store.path)?;
        (store.lines, store.bytes, store.is_behind) = (records.len(), text.len() as u64, false);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding the log")
    }
}

impl State {
    fn of(read: &Read) -> Self {
        let mut state = Self { damaged: !read.whole, ..Self::default() };
        if let Some(head) = &read.head {
            state.floor = head.floor;
            state.highest = head.floor;
            state.coverage.raise_floor(head.floor);
            for dropped in &head.dropped {
                state.dropped.insert(dropped.node, dropped.number);
                state.heard.add_all_up_to(dropped.node, dropped.number);
            }
        }
        for purge in &read.purges {
            state.heard.add(purge.id);
            state.take(purge.clone());
        }
        state
    }

    /// Covers what the purge covers; beyond the bound the oldest purge goes into the floor.
    fn take(&mut self, purge: Purge) {
        self.highest = self.highest.max(purge.before);
        self.coverage.add(&purge.target, purge.before);
        // The second round of a purge takes the place of its first.
        if let Some(last) = self.records.back_mut().filter(|last| last.id == purge.id) {
            *last = purge;
            return;
        }
        self.records.push_back(purge);
        if self.records.len() <= PURGES_MAX {
            return;
        }
        let oldest = self.records.pop_front().expect("more than the bound");
        let dropped = self.dropped.entry(oldest.id.node).or_default();
        *dropped = oldest.id.number.max(*dropped);
        self.floor = oldest.before.max(self.floor);
        self.coverage.raise_floor(self.floor);
        // Rebuilt once in a while, so that targets which nobody remembers do not pile up.
        if self.coverage.len() > 2 * PURGES_MAX {
            let mut coverage = Coverage::default();
            coverage.raise_floor(self.floor);
            self.records.iter().for_each(|purge| coverage.add(&purge.target, purge.before));
            self.coverage = coverage;
        }
    }
}

impl Store {
    /// One write and one sync; what a failed write left behind is cut off, so that the next line
    /// begins a line.
    fn append(&mut self, purges: &[Purge]) -> io::Result<()> {
        let text: Vec<u8> = purges.iter().flat_map(line).collect();
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        self.lines += purges.len();
        Ok(())
    }
}

/// What a file says.
struct Read {
    head: Option<Head>,
    purges: Vec<Purge>,
    whole: bool,
    /// The last line was all there, but for its end.
    mended: bool,
    /// Bytes up to the end of the last line that has one.
    bytes: u64,
}

impl Read {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = bytes[..end].split_inclusive(|byte| *byte == b'\n');
        let head = lines.next().map(parse::<Head>);
        // An empty file is a new one; a file without a good head was ours and lost it.
        let mut whole = head.as_ref().map_or(bytes.is_empty(), Option::is_some);
        let mut purges = Vec::new();
        for text in lines {
            match parse::<Purge>(text) {
                Some(purge) => purges.push(purge),
                None => whole = false,
            }
        }
        let tail = &bytes[end..];
        let trimmed = &tail[..tail.len().saturating_sub(1)];
        let saved = [tail, trimmed].into_iter().find_map(|text| parse(&[text, b"\n"].concat()));
        let mended = head.is_some() && saved.is_some();
        purges.extend(saved.filter(|_| mended));
        Self { head: head.flatten(), purges, whole, mended, bytes: end as u64 }
    }
}

fn line(entry: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(entry).expect("numbers and texts");
    format!("{:016x} {json}\n", XxHash3_64::oneshot(json.as_bytes())).into_bytes()
}

fn parse<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, json) = text.split_once(' ')?;
    let is_sound = u64::from_str_radix(sum, 16).ok()? == XxHash3_64::oneshot(json.as_bytes());
    is_sound.then(|| serde_json::from_str(json).ok()).flatten()
}

fn fresh_node() -> Result<NodeId, LogError> {
    getrandom::u64().map(NodeId).map_err(LogError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::Path(ObjectPath::parse(text).unwrap())
    }

    fn purge(log: &Log, path: &str, before: u64) -> Purge {
        let purge = log.note(target(path), None, false, || VersionId(before), UnixSeconds(1)).unwrap();
        log.keep().unwrap();
        purge
    }

    fn covers(log: &Log, path: &str, version: u64) -> bool {
        log.covers(&ObjectPath::parse(path).unwrap(), &[], VersionId(version))
    }

    #[test]
    fn a_kept_purge_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Log::open(dir.path()).unwrap();
        let kept = purge(&first, "/a", 7);
        let node = first.node();
        drop(first);
        let again = Log::open(dir.path()).unwrap();
        assert_eq!((again.node(), again.newest(9)), (node, vec![kept]));
        assert!(covers(&again, "/a", 6) && !covers(&again, "/a", 7));
        assert_eq!(again.next_version(), VersionId(7));
        assert_eq!(purge(&again, "/b", 8).id, PurgeId { node, number: 2 });
    }

    #[test]
    fn a_torn_last_line_was_never_acknowledged_and_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path()).unwrap();
        purge(&log, "/a", 1);
        drop(log);
        let file = dir.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for len in last_line..whole.len() - 1 {
            std::fs::write(&file, [&whole[..], &whole[last_line..len]].concat()).unwrap();
            let log = Log::open(dir.path()).unwrap();
            assert!(!covers(&log, "/never-purged", 0) && log.len() == 1, "{len}");
            purge(&log, "/b", 2);
            drop(log);
            assert_eq!(Log::open(dir.path()).unwrap().len(), 2, "the next line stands alone");
        }
    }

    #[test]
    fn a_flipped_bit_costs_what_was_recovered_and_never_a_purge() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path()).unwrap();
        purge(&log, "/a", 1);
        purge(&log, "/b", 2);
        drop(log);
        let file = dir.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(5).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&file, damaged).unwrap();
            for start in ["first", "second"] {
                let log = Log::open(dir.path()).unwrap();
                assert!(covers(&log, "/a", 0) && covers(&log, "/b", 1), "byte {at}, {start} start");
                log.begin(VersionId(9)).unwrap();
                assert!(!covers(&log, "/a", 9), "byte {at}, {start} start");
                assert!(covers(&log, "/a", 0) && covers(&log, "/b", 1), "byte {at}, {start} start");
            }
        }
    }

    #[test]
    fn a_neighbour_is_told_only_what_it_has_not_heard() {
        let log = Log::volatile(NodeId(1));
        let (first, second) = (purge(&log, "/a", 1), purge(&log, "/b", 1));
        let other = PurgeId { node: NodeId(2), number: 9 };
        let heard = log.note(target("/c"), Some(other), false, || VersionId(1), UnixSeconds(1)).unwrap();
        assert_eq!(log.missed(&[]), Missed { purges: vec![first.clone(), second.clone(), heard], complete: true });
        assert_eq!(log.missed(&[first.id, other]).purges, [second]);
        assert_eq!(log.note(target("/c"), Some(other), false, || VersionId(5), UnixSeconds(1)), None, "once is enough");
    }

    #[test]
    fn beyond_the_bound_the_oldest_go_into_the_floor() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path()).unwrap();
        let purges: Vec<_> = (0..=2 * PURGES_MAX as u64 + 1)
            .map(|at| log.note(target(&format!("/{at}")), None, false, || VersionId(at), UnixSeconds(1)).unwrap())
            .collect();
        log.keep().unwrap();
        drop(log);
        let log = Log::open(dir.path()).unwrap();
        assert_eq!(log.len(), PURGES_MAX);
        let oldest = log.newest(usize::MAX).pop().unwrap();
        let before = oldest.before.0 - 1;
        assert!(covers(&log, "/never-purged", before - 1), "below the floor nothing is believed");
        assert!(!covers(&log, "/never-purged", before));
        assert_eq!(log.marks(), [purges.last().unwrap().id]);
        assert!(!log.missed(&[]).complete);
        assert!(log.missed(&[PurgeId { number: oldest.id.number - 1, ..oldest.id }]).complete);
    }
}
