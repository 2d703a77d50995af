//! The room with the sign on the door: slab files, each mapped once, read through pins.
//!
//! This is the only file of the edge with `unsafe` in it. Its contract:
//!
//! - The files belong to this process alone (an exclusive lock on `lock`), are fully
//!   allocated before they are mapped, and are never truncated while mapped. Reading a
//!   mapped page can therefore fail only if the disk itself fails.
//! - A slot is written only while nobody holds a [`Pin`] on it, and pins are made only
//!   by the holder of the table that says which slots are present (see
//!   `needledrop_core::cache::Index`). A reader never sees bytes change.
//! - Writes go through `pwrite` on the blocking pool: an error is an errno there, not a
//!   signal, and the written pages are resident afterwards.
//! - No reactor thread touches a page that was not just found resident
//!   ([`Slab::is_resident`]); otherwise [`Slab::populate`] runs on the blocking pool first.
#![allow(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};
use needledrop_core::{BLOCK_BYTES, cache::Slot};
use rustix::fs::{FallocateFlags, FlockOperation};

use crate::limits::{CACHE_BYTES_MIN, SLAB_BYTES_MAX};

/// Why a cache folder cannot be used. Each message names the fix.
#[derive(Debug, thiserror::Error)]
pub enum SlabError {
    /// Another process owns the folder.
    #[error("the cache folder {0} is in use by another edge; give this one a folder of its own")]
    Locked(PathBuf),
    /// Less room than configured.
    #[error("the disk has no room for {bytes} bytes of cache in {dir}; lower cache size or free space")]
    Full {
        /// The cache folder.
        dir: PathBuf,
        /// The size asked for.
        bytes: u64,
    },
    /// Below the smallest useful cache.
    #[error("a cache of {0} bytes is too small; the least is {CACHE_BYTES_MIN}")]
    TooSmall(u64),
    /// Anything else the file system said.
    #[error("cache folder {dir}: {source}")]
    Io {
        /// The cache folder.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// All slots of one cache: files, their mappings, and how many readers hold each slot.
pub struct Slab {
    pieces: Vec<Piece>,
    slots_per_piece: u32,
    pins: Box<[AtomicU32]>,
    pinned: AtomicU32,
    _lock: File,
}

struct Piece {
    file: File,
    map: MmapRaw,
}

impl Slab {
    /// Opens or makes the slab files for `bytes` of cache (rounded down to whole blocks)
    /// below `dir`. What the files hold from earlier is not trusted: the table starts empty.
    ///
    /// # Errors
    /// The folder is locked, the disk has no room, or the file system refuses.
    pub fn open(dir: &Path, bytes: u64) -> Result<Arc<Self>, SlabError> {
        if bytes < CACHE_BYTES_MIN {
            return Err(SlabError::TooSmall(bytes));
        }
        let io_error = |source| SlabError::Io { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io_error)?;
        let lock = lock(dir)?;
        let slots = u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        let slots_per_piece = u32::try_from(SLAB_BYTES_MAX / BLOCK_BYTES).expect("a GiB has 8,192 blocks");
        let mut pieces = Vec::new();
        let mut left = slots;
        while left > 0 {
            let here = left.min(slots_per_piece);
            let path = dir.join(format!("slab-{:04}", pieces.len()));
            let size = u64::from(here) * BLOCK_BYTES;
            pieces.push(Piece::open(&path, size).map_err(|source| match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    SlabError::Full { dir: dir.to_owned(), bytes }
                }
                _ => io_error(source),
            })?);
            left -= here;
        }
        Ok(Arc::new(Self {
            pieces,
            slots_per_piece,
            pins: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            pinned: AtomicU32::new(0),
            _lock: lock,
        }))
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.pins.len()).expect("counted as u32 when opened")
    }

    /// Whether somebody holds bytes of this slot.
    pub fn is_pinned(&self, slot: Slot) -> bool {
        // Acquire: what the last reader read happens before the slot is written anew.
        self.pins[slot.0 as usize].load(Ordering::Acquire) > 0
    }

    /// Whether half of the slots are held by readers; beyond that, bytes are copied out
    /// so that the cache keeps room to work in.
    pub fn is_crowded(&self) -> bool {
        self.pinned.load(Ordering::Relaxed) > self.slots() / 2
    }

    /// Holds a present slot. Call only while holding the table that says it is present.
    pub fn pin(self: &Arc<Self>, slot: Slot, len: usize) -> Pin {
        debug_assert!(len <= BLOCK_BYTES as usize);
        if self.pins[slot.0 as usize].fetch_add(1, Ordering::Relaxed) == 0 {
            self.pinned.fetch_add(1, Ordering::Relaxed);
        }
        Pin { slab: self.clone(), slot, len }
    }

    /// Writes a reserved slot. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// What the file system says; the slot's content is then undefined and must not be published.
    pub fn write(&self, slot: Slot, chunks: &[Bytes]) -> io::Result<()> {
        debug_assert!(!self.is_pinned(slot), "a pinned slot is never written");
        let (piece, mut offset) = self.locate(slot);
        for chunk in chunks {
            piece.file.write_all_at(chunk, offset as u64)?;
            offset += chunk.len();
        }
        // The pages are in the page cache now; map them here rather than on a reactor.
        self.populate(slot, BLOCK_BYTES as usize);
        Ok(())
    }

    /// Whether all pages of the slot's first `len` bytes are in memory. One cheap system call.
    pub fn is_resident(&self, slot: Slot, len: usize) -> bool {
        let (piece, offset) = self.locate(slot);
        resident(piece, offset, len)
    }

    /// Brings the slot's pages into memory. Blocking: for the blocking pool.
    pub fn populate(&self, slot: Slot, len: usize) {
        let (piece, offset) = self.locate(slot);
        populate(piece, offset, len);
    }

    fn locate(&self, slot: Slot) -> (&Piece, usize) {
        let piece = &self.pieces[(slot.0 / self.slots_per_piece) as usize];
        (piece, (slot.0 % self.slots_per_piece) as usize * BLOCK_BYTES as usize)
    }
}

impl Piece {
    fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() > size {
            file.set_len(size)?;
        }
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size)?;
        let map = MmapOptions::new().len(usize::try_from(size).expect("64-bit")).map_raw_read_only(&file)?;
        // Blocks are asked for one by one; reading around a fault only wastes memory.
        map.advise(Advice::Random)?;
        Ok(Self { file, map })
    }
}

fn lock(dir: &Path) -> Result<File, SlabError> {
    let io_error = |source| SlabError::Io { dir: dir.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(io_error)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SlabError::Locked(dir.to_owned()))?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn resident(piece: &Piece, offset: usize, len: usize) -> bool {
    const PAGES_MAX: usize = BLOCK_BYTES as usize / 4_096;
    let mut pages = [0u8; PAGES_MAX];
    // SAFETY: `offset..offset + len` lies in the mapping (slots are inside their piece),
    // is page-aligned (a block is a multiple of every page size up to 64 KiB), and
    // `pages` has a byte for each page of a block at the smallest page size.
    let answer = unsafe { libc::mincore(piece.map.as_mut_ptr().add(offset).cast(), len, pages.as_mut_ptr()) };
    let count = len.div_ceil(rustix::param::page_size());
    answer == 0 && pages[..count].iter().all(|page| page & 1 == 1)
}

#[cfg(not(target_os = "linux"))]
fn resident(_: &Piece, _: usize, _: usize) -> bool {
    false // populate every time: slower, never wrong
}

fn populate(piece: &Piece, offset: usize, len: usize) {
    #[cfg(target_os = "linux")]
    if piece.map.advise_range(Advice::PopulateRead, offset, len).is_ok() {
        return;
    }
    // Kernels before 5.14: touch each page.
    for at in (offset..offset + len).step_by(4_096) {
        // SAFETY: inside the mapping; a volatile read of one byte that nobody writes.
        unsafe { std::ptr::read_volatile(piece.map.as_ptr().add(at)) };
    }
}

/// A hold on a present slot: while it lives, the slot is not reused and its bytes do not change.
pub struct Pin {
    slab: Arc<Slab>,
    slot: Slot,
    len: usize,
}

impl Pin {
    /// Whether the pages can be touched without waiting.
    pub fn is_resident(&self) -> bool {
        self.slab.is_resident(self.slot, self.len)
    }

    /// Brings the pages into memory. Blocking: for the blocking pool.
    pub fn populate(&self) {
        self.slab.populate(self.slot, self.len);
    }

    /// Part of the block's bytes, without a copy unless the cache is crowded with readers.
    pub fn into_bytes(self, part: Range<usize>) -> Bytes {
        if self.slab.is_crowded() {
            return Bytes::copy_from_slice(&self.as_ref()[part]);
        }
        Bytes::from_owner(self).slice(part)
    }
}

impl AsRef<[u8]> for Pin {
    fn as_ref(&self) -> &[u8] {
        let (piece, offset) = self.slab.locate(self.slot);
        // SAFETY: the range lies inside the mapping, which lives as long as `slab`; the
        // slot is not written while this pin exists, so nothing mutates the bytes.
        unsafe { std::slice::from_raw_parts(piece.map.as_ptr().add(offset), self.len) }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // Release: our reads happen before whoever sees zero writes the slot.
        if self.slab.pins[self.slot.0 as usize].fetch_sub(1, Ordering::Release) == 1 {
            self.slab.pinned.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slab(dir: &Path) -> Arc<Slab> {
        Slab::open(dir, CACHE_BYTES_MIN).expect("a fresh folder with room")
    }

    #[test]
    fn what_was_written_is_read_through_the_mapping() {
        let dir = tempfile::tempdir().unwrap();
        let slab = slab(dir.path());
        let last = Slot(slab.slots() - 1);
        slab.write(last, &[Bytes::from(vec![1; 100]), Bytes::from(vec![2; 28])]).unwrap();
        let bytes = slab.pin(last, 128).into_bytes(0..128);
        assert_eq!(&bytes[..100], &[1; 100]);
        assert_eq!(&bytes[100..], &[2; 28]);
        assert!(slab.is_resident(last, 128));
    }

    #[test]
    fn a_slot_is_pinned_until_the_last_slice_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let slab = slab(dir.path());
        let bytes = slab.pin(Slot(3), 1_000).into_bytes(0..1_000);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert!(slab.is_pinned(Slot(3)));
        drop(part);
        assert!(!slab.is_pinned(Slot(3)));
    }

    #[test]
    fn beyond_half_the_slots_bytes_are_copied_out() {
        let dir = tempfile::tempdir().unwrap();
        let slab = slab(dir.path());
        let held: Vec<_> = (0..=slab.slots() / 2).map(|slot| slab.pin(Slot(slot), 8)).collect();
        assert!(slab.is_crowded());
        let copied = slab.pin(Slot(slab.slots() - 1), 8).into_bytes(0..8);
        assert!(!slab.is_pinned(Slot(slab.slots() - 1)));
        drop((held, copied));
        assert!(!slab.is_crowded());
    }

    #[test]
    fn a_second_edge_on_the_same_folder_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let _first = slab(dir.path());
        assert!(matches!(Slab::open(dir.path(), CACHE_BYTES_MIN), Err(SlabError::Locked(_))));
    }

    #[test]
    fn a_cold_slot_is_populated_before_it_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let slab = slab(dir.path());
        slab.populate(Slot(7), BLOCK_BYTES as usize);
        assert!(slab.is_resident(Slot(7), BLOCK_BYTES as usize));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_block_that_left_memory_costs_the_reactor_no_major_fault() {
        // The target folder is on a disk; /tmp may be memory, from which nothing can be paged out.
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let slab = slab(dir.path());
        let block = Bytes::from(vec![42; BLOCK_BYTES as usize]);
        slab.write(Slot(5), std::slice::from_ref(&block)).unwrap();
        assert!(page_out(&slab, Slot(5)), "the kernel let go of the block");
        let before = major_faults();
        let pin = crate::serve::warm(slab.pin(Slot(5), BLOCK_BYTES as usize)).await;
        assert!(pin.is_resident());
        assert_eq!(pin.into_bytes(0..BLOCK_BYTES as usize), block);
        assert_eq!(major_faults(), before);
    }

    /// Writes the slot to disk and drops its pages, as memory pressure would.
    #[cfg(target_os = "linux")]
    fn page_out(slab: &Slab, slot: Slot) -> bool {
        let (piece, offset) = slab.locate(slot);
        piece.file.sync_all().unwrap();
        for _ in 0..50 {
            // SAFETY: a range of the mapping; the pages are clean, so nothing is lost.
            unsafe {
                libc::madvise(piece.map.as_mut_ptr().add(offset).cast(), BLOCK_BYTES as usize, libc::MADV_PAGEOUT)
            };
            let range = (offset as u64, std::num::NonZeroU64::new(BLOCK_BYTES));
            rustix::fs::fadvise(&piece.file, range.0, range.1, rustix::fs::Advice::DontNeed).unwrap();
            if !slab.is_resident(slot, BLOCK_BYTES as usize) {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        false
    }

    /// Page faults of this thread that had to wait for a disk.
    #[cfg(target_os = "linux")]
    fn major_faults() -> i64 {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: `usage` is large enough for what the call writes, and zeroes are a valid value.
        unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init().ru_majflt
        }
    }
}
