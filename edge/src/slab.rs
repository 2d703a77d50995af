//! The store's slots as one: who may read them, who may write them, and whether their bytes are sound.
//!
//! [`crate::piece`] has the files and the mappings, [`crate::pins`] the protocol that keeps
//! readers and writers apart, [`crate::store`] what is written beside the blocks. Which block is in which
//! slot is the table's business (`needledrop_core::cache::Index`).
//!
//! A block's bytes are compared with the checksum in its record whenever they may have come from
//! the disk: on their first touch after a start, and each time their pages were not in memory. That
//! happens on the blocking pool ([`Pin::load`]); a reactor touches only what is [`Pin::ready`].

mod options;
mod pin;

use std::{
    hash::Hasher as _,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use needledrop_core::{
    BLOCK_BYTES,
    cache::{BlockKey, Class, Slot, VersionId},
};
pub use options::{Backend, Drill, Lease, Options, SlabError};
pub use pin::{Damaged, Held, Loaded, Pin};
use twox_hash::XxHash3_64;

use crate::{
    limits::{BLOCKS_PER_OBJECT, CACHE_BYTES_MIN, OBJECTS_MAX, SLAB_BYTES_MAX},
    object::Object,
    piece::{Piece, records_name, slab_name},
    pins::Pins,
    store::{
        Recovered,
        journal::{Journal, Replay},
        lock::FolderLock,
        record::Record,
        recover,
    },
};

/// For how long a slot that was seen in memory is taken to be there. Unit: hundredths of a second. A kernel short of
/// memory gives up first what nobody has read for long; hot blocks are asked for many times meanwhile.
const SEEN_FOR: u32 = 20;

/// All slots of one cache.
pub struct Slab {
    dir: PathBuf,
    pieces: Vec<Piece>,
    slots_per_piece: u32,
    pins: Pins,
    /// A bit for each slot: its bytes were compared with their checksum, or written, since the start.
    checked: Box<[AtomicU64]>,
    /// When each slot was last seen to be in memory. Unit: hundredths of a second since `opened`, plus one; zero:
    /// never.
    seen: Box<[AtomicU32]>,
    opened: Instant,
    backend: Backend,
    drill: Option<Arc<dyn Drill>>,
    journal: Journal,
    /// What the journal said, until somebody recovers it.
    replay: Mutex<Option<Replay>>,
    loaded: AtomicU64,
    damaged: AtomicU64,
    lock: FolderLock,
    /// Held for reading by whoever writes a slot.
    tenure: RwLock<Tenure>,
}

/// Who may write the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenure {
    /// We, alone.
    Ours,
    /// Nobody: another process still reads them, and we wait for its end.
    Awaited,
    /// The process that we handed them to.
    HandedOver,
}

/// What happened to the slots since the start, and what is held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Slots held by bytes on their way to a socket. Unit: slots.
    pub pinned: u32,
    /// Times that a block had to be brought from the disk, or checked, before it could be sent.
    pub loaded: u64,
    /// Blocks that were not what their records said, or could not be read: dropped and fetched anew.
    pub damaged: u64,
}

impl Slab {
    /// Opens or makes the slab files for `bytes` of cache below `dir`, read through a mapping. Blocking.
    ///
    /// # Errors
    /// The folder is locked, the disk has no room, or the file system refuses.
    pub fn open(dir: &Path, bytes: u64) -> Result<Arc<Self>, SlabError> {
        Self::open_with(dir, Options { bytes, ..Options::default() })
    }

    /// Opens or makes the slab files below `dir`. Of what an earlier process left there, all stays that
    /// still fits; [`recover`](Self::recover) tells what it was. Blocking.
    ///
    /// # Errors
    /// The folder is locked, the disk has no room, or the file system refuses.
    pub fn open_with(dir: &Path, options: Options) -> Result<Arc<Self>, SlabError> {
        Self::take_over(dir, options, None)
    }

    /// Like [`open_with`](Self::open_with), with the right to the folder from the process that has it: nothing is
    /// stored before [`former_owner_left`](Self::former_owner_left). Blocking.
    ///
    /// # Errors
    /// The lease is of another folder or size, the disk has no room, or the file system refuses.
    pub fn take_over(dir: &Path, options: Options, lease: Option<&Lease>) -> Result<Arc<Self>, SlabError> {
        let Options { bytes, backend, drill } = options;
        if bytes < CACHE_BYTES_MIN {
            return Err(SlabError::TooSmall(bytes));
        }
        let told = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SlabError::Full { dir: dir.to_owned(), bytes },
            _ => SlabError::Io { dir: dir.to_owned(), source },
        };
        std::fs::create_dir_all(dir).map_err(told)?;
        let lock = match lease {
            Some(lease) => lease.lock.try_clone().and_then(FolderLock::adopt),
            None => FolderLock::take(dir),
        };
        let lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SlabError::Locked(dir.to_owned()),
            _ => told(error),
        })?;
        let slots = u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        if lease.is_some_and(|lease| lease.slots != slots) {
            return Err(SlabError::Resized);
        }
        let slots_per_piece = u32::try_from(SLAB_BYTES_MAX / BLOCK_BYTES).expect("a GiB has 8,192 blocks");
        let count = slots.div_ceil(slots_per_piece) as usize;
        remove_beyond(dir, count).map_err(told)?;
        if !has_room(dir, bytes).map_err(told)? {
            return Err(SlabError::Full { dir: dir.to_owned(), bytes });
        }
        let firsts = (0..slots).step_by(slots_per_piece as usize).enumerate();
        let pieces = firsts.map(|(number, first)| {
            let here = slots_per_piece.min(slots - first);
            Piece::open(dir, number, Slot(first), here, backend == Backend::Mmap)
        });
        let pieces = pieces.collect::<Result<Vec<_>, _>>().map_err(told)?;
        let (journal, replay) = Journal::open(&dir.join("objects"), objects_max(slots)).map_err(told)?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            pieces,
            slots_per_piece,
            pins: Pins::new(slots),
            checked: (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            seen: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            opened: Instant::now(),
            backend,
            drill,
            journal,
            replay: Mutex::new(Some(replay)),
            loaded: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            lock,
            tenure: RwLock::new(if lease.is_some() { Tenure::Awaited } else { Tenure::Ours }),
        }))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the folder to another process: what is being written is finished, and nothing is written from here on.
    /// Slots can still be read, because who takes them over writes none before we are gone. Blocking.
    ///
    /// # Errors
    /// Out of file descriptors; then the folder is still ours.
    pub fn hand_over(&self) -> io::Result<Lease> {
        let lock = self.lock.file().try_clone()?;
        *self.tenure.write().expect("no code panics while holding it") = Tenure::HandedOver;
        self.journal.stop();
        Ok(Lease { lock, slots: self.slots() })
    }

    /// Whoever handed the folder over is gone: slots may be written.
    pub fn former_owner_left(&self) {
        let mut tenure = self.tenure.write().expect("no code panics while holding it");
        if *tenure == Tenure::Awaited {
            *tenure = Tenure::Ours;
        }
    }

    /// Whether slots may be written now. While not, blocks pass through uncached.
    pub fn is_ours(&self) -> bool {
        self.tenure() == Tenure::Ours
    }

    fn tenure(&self) -> Tenure {
        *self.tenure.read().expect("no code panics while holding it")
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.pins.slots()
    }

    /// How many objects are remembered with them.
    pub fn objects_max(&self) -> usize {
        objects_max(self.slots())
    }

    /// The objects whose blocks are here.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        Counts {
            pinned: self.pins.held(),
            loaded: self.loaded.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }

    /// Tells what an earlier process left: every block goes to `restore`, which answers whether it
    /// took it. Objects that are `covered` by a purge are left out. Once; later calls find nothing. Blocking.
    pub fn recover(&self, covered: impl Fn(&Object) -> bool, restore: impl FnMut(&Record) -> bool) -> Recovered {
        let replay = self.replay.lock().expect("nobody panics while taking it").take();
        let Some(replay) = replay else {
            return Recovered { objects: Vec::new(), next: VersionId(0), blocks: 0 };
        };
        // A records file that cannot be read costs its blocks.
        let records = self.pieces.iter().filter_map(|piece| match piece.all_records() {
            Ok(bytes) => Some((piece.first(), bytes)),
            Err(error) => {
                tracing::error!(%error, "records of the cache cannot be read; their blocks are fetched again");
                None
            }
        });
        let recovered = recover(records, replay, covered, restore);
        if let Err(error) = self.journal.tidy(&recovered.objects, recovered.next) {
            tracing::warn!(%error, "the cache's journal could not be rewritten");
        }
        recovered
    }

    /// Whether somebody holds bytes of this slot.
    pub fn is_pinned(&self, slot: Slot) -> bool {
        self.pins.is_held(slot.0)
    }

    /// Whether half of the slots are held by readers; beyond that, bytes are copied out
    /// so that the cache keeps room to work in.
    pub fn is_crowded(&self) -> bool {
        self.pins.is_crowded()
    }

    /// Holds the slot of a present block. Call only while holding the table that says it is present.
    pub fn pin(self: &Arc<Self>, slot: Slot, key: BlockKey, len: usize) -> Pin {
        debug_assert!(len <= BLOCK_BYTES as usize);
        self.pins.hold(slot.0);
        Pin::new(self.clone(), slot, key, len)
    }

    /// Writes a block into a reserved slot, so that it is found there after a kill at any later moment,
    /// and nothing is found there after a kill before the end. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// What the file system says; the slot then holds nothing and must not be published.
    pub fn write(&self, slot: Slot, key: BlockKey, class: Class, chunks: &[Bytes]) -> io::Result<()> {
        debug_assert!(!self.is_pinned(slot), "a pinned slot is never written");
        let tenure = self.tenure.read().expect("no code panics while holding it");
        if *tenure != Tenure::Ours {
            return Err(io::Error::other("the cache is being handed over"));
        }
        let piece = self.piece(slot);
        piece.erase_record(slot)?;
        piece.write(slot, chunks)?;
        let mut sum = XxHash3_64::new();
        chunks.iter().for_each(|chunk| sum.write(chunk));
        let len = chunks.iter().map(Bytes::len).sum::<usize>();
        let len = u32::try_from(len).map_err(io::Error::other)?;
        piece.write_record(&Record { slot, key, class, len, sum: sum.finish() })?;
        // The pages are in the page cache now; map them here rather than on a reactor.
        piece.populate(slot, BLOCK_BYTES as usize)?;
        self.set_checked(slot);
        Ok(())
    }

    /// Makes a slot's record that of an empty slot. Only for the holder of the slot: reserved, or pinned
    /// and known to be bad. Blocking.
    pub fn erase(&self, slot: Slot) {
        let tenure = self.tenure.read().expect("no code panics while holding it");
        if *tenure == Tenure::HandedOver {
            return;
        }
        if let Err(error) = self.piece(slot).erase_record(slot) {
            tracing::warn!(%error, "a record of the cache could not be erased; its checksum will speak for it");
        }
    }

    /// Whether all pages of the slot's first `len` bytes are in memory. One cheap system call.
    pub fn is_resident(&self, slot: Slot, len: usize) -> bool {
        self.piece(slot).is_resident(slot, len)
    }

    /// The same of a slot that is read whenever this says yes, and without the system call if it was so a moment ago:
    /// what was just read is the last that the kernel gives up.
    fn is_warm(&self, slot: Slot, len: usize) -> bool {
        let now = u32::try_from(self.opened.elapsed().as_millis() / 10 + 1).unwrap_or(u32::MAX);
        let seen = &self.seen[slot.0 as usize];
        let last = seen.load(Ordering::Relaxed);
        // Another thread may have looked at a later clock.
        if last != 0 && now.saturating_sub(last) < SEEN_FOR {
            return true;
        }
        let is_resident = self.is_resident(slot, len);
        if is_resident {
            seen.store(now, Ordering::Relaxed);
        }
        is_resident
    }

    /// Writes a slot to disk and drops its pages, as memory pressure would; `false` if the kernel holds
    /// on to them. Blocking; for drills and benchmarks.
    ///
    /// # Errors
    /// The disk fails.
    #[cfg(target_os = "linux")]
    pub fn page_out(&self, slot: Slot) -> io::Result<bool> {
        self.seen[slot.0 as usize].store(0, Ordering::Relaxed);
        self.piece(slot).page_out(slot)
    }

    fn piece(&self, slot: Slot) -> &Piece {
        &self.pieces[(slot.0 / self.slots_per_piece) as usize]
    }

    fn is_checked(&self, slot: Slot) -> bool {
        self.checked[slot.0 as usize / 64].load(Ordering::Relaxed) & 1 << (slot.0 % 64) != 0
    }

    fn set_checked(&self, slot: Slot) {
        self.checked[slot.0 as usize / 64].fetch_or(1 << (slot.0 % 64), Ordering::Relaxed);
    }
}

/// Objects remembered with so many slots.
fn objects_max(slots: u32) -> usize {
    OBJECTS_MAX.max((slots / BLOCKS_PER_OBJECT) as usize)
}

/// The largest cache of at most `wish` bytes that suits the disk below `dir`: halved until as much stays free as it
/// still takes, and never below the smallest useful one. Blocking.
///
/// # Errors
/// The folder cannot be made or looked at.
pub fn fitting_bytes(dir: &Path, wish: u64) -> io::Result<u64> {
    std::fs::create_dir_all(dir)?;
    let (allocated, free) = (allocated_bytes(dir)?, free_bytes(dir)?);
    let suits = |bytes: &u64| bytes.saturating_sub(allocated) <= free / 2;
    let smaller = std::iter::successors(Some(wish), |bytes| Some(bytes / 2).filter(|half| *half >= CACHE_BYTES_MIN));
    Ok(smaller.clone().find(suits).or_else(|| smaller.last()).unwrap_or(wish))
}

/// Whether the disk has room for what the slab files still lack of `bytes`. Asked before any file is
/// touched, so that a cache that cannot grow is not spoilt by the attempt.
fn has_room(dir: &Path, bytes: u64) -> io::Result<bool> {
    Ok(bytes.saturating_sub(allocated_bytes(dir)?) <= free_bytes(dir)?)
}

/// What the slab files below `dir` take of the disk.
fn allocated_bytes(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut allocated = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("slab-") {
            allocated += entry.metadata()?.blocks() * 512;
        }
    }
    Ok(allocated)
}

/// What the disk below `dir` has left for us.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Removes the files of slabs that the cache no longer has; records first, as always.
fn remove_beyond(dir: &Path, count: usize) -> io::Result<()> {
    let number = |prefix: &str, name: &str| name.strip_prefix(prefix)?.parse::<usize>().ok();
    let names = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    for name in names.collect::<io::Result<Vec<_>>>()? {
        if let Some(number) = number("slab-", &name).filter(|number| *number >= count) {
            match std::fs::remove_file(dir.join(records_name(number))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => std::fs::remove_file(dir.join(slab_name(number)))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
