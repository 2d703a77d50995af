//! The room with the sign on the door: one slab file, mapped once, and the records beside it.
//!
//! This is the only file of the edge with `unsafe` in it. Its contract:
//!
//! - The files belong to this process alone (an exclusive lock on the folder), are fully
//!   allocated before they are mapped, and are never truncated while mapped. Reading a
//!   mapped page can therefore fail only if the disk itself fails, or if somebody damages the
//!   file under us: then the process may end, but no wrong byte is made up.
//! - Writes go through `pwrite` on the blocking pool: an error is an errno there, not a
//!   signal, and the written pages are resident afterwards.
//! - Bytes of the mapping are handed out as `&[u8]` only for slots that nobody writes
//!   meanwhile: [`crate::slab`] gives them to holders of a pin only, and [`crate::pins`] says
//!   why a pinned slot is never written.
//! - Pages that are not resident are asked for with `MADV_POPULATE_READ` on the blocking pool,
//!   where an unreadable sector is an errno (`EFAULT`, `EHWPOISON`) instead of a `SIGBUS`.
//!
//! Offsets and slots here count from the start of the file; [`crate::slab`] knows the whole.
#![allow(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};
use needledrop_core::{BLOCK_BYTES, cache::Slot};
use rustix::fs::FallocateFlags;

use crate::store::record::{RECORD_BYTES, Record};

/// A slab file and its records.
pub(crate) struct Piece {
    file: File,
    records: File,
    /// `None` for the `pread` backend.
    map: Option<MmapRaw>,
    /// The number of the first slot.
    first: Slot,
}

/// Bytes of a piece.
#[derive(Clone, Copy)]
struct Span {
    offset: usize,
    len: usize,
}

impl Piece {
    /// Opens or makes `slab-NNNN` and `records-NNNN` for `slots` slots, the first of which has the number
    /// `first`. What both hold already stays, as far as it fits.
    pub(crate) fn open(dir: &Path, number: usize, first: Slot, slots: u32, mapped: bool) -> io::Result<Self> {
        // Records are cut before the bytes that they speak of.
        let records = sized(&dir.join(records_name(number)), u64::from(slots) * RECORD_BYTES as u64)?;
        let file = sized(&dir.join(slab_name(number)), u64::from(slots) * BLOCK_BYTES)?;
        let map = if mapped { Some(map(&file)?) } else { None };
        Ok(Self { file, records, map, first })
    }

    /// The number of the first slot.
    pub(crate) fn first(&self) -> Slot {
        self.first
    }

    /// Writes the slot's bytes, one chunk behind the other. Blocking.
    pub(crate) fn write(&self, slot: Slot, chunks: &[Bytes]) -> io::Result<()> {
        let mut offset = self.span(slot, 0).offset as u64;
        for chunk in chunks {
            self.file.write_all_at(chunk, offset)?;
            offset += chunk.len() as u64;
        }
        Ok(())
    }

    /// Reads the slot's first bytes into a buffer. Blocking.
    pub(crate) fn read(&self, slot: Slot, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.span(slot, 0).offset as u64)
    }

    /// Writes a record. Blocking.
    pub(crate) fn write_record(&self, record: &Record) -> io::Result<()> {
        self.records.write_all_at(&record.encode(), self.record_offset(record.slot))
    }

    /// Makes the slot's record that of an empty slot. Blocking.
    pub(crate) fn erase_record(&self, slot: Slot) -> io::Result<()> {
        self.records.write_all_at(&[0; RECORD_BYTES], self.record_offset(slot))
    }

    /// The slot's record, if it has a sound one. Blocking.
    pub(crate) fn record(&self, slot: Slot) -> io::Result<Option<Record>> {
        let mut bytes = [0; RECORD_BYTES];
        self.records.read_exact_at(&mut bytes, self.record_offset(slot))?;
        Ok(Record::decode(slot, &bytes))
    }

    /// All records as they stand in the file. Blocking.
    pub(crate) fn all_records(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.records.metadata()?.len()).expect("64-bit")];
        self.records.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Whether the pages of the slot's first `len` bytes are in memory. One cheap system call.
    pub(crate) fn is_resident(&self, slot: Slot, len: usize) -> bool {
        self.map.as_ref().is_some_and(|map| resident(map, self.span(slot, len)))
    }

    /// Brings the pages of the slot's first `len` bytes into memory. Blocking.
    pub(crate) fn populate(&self, slot: Slot, len: usize) -> io::Result<()> {
        let Some(map) = &self.map else { return Ok(()) };
        #[cfg(target_os = "linux")]
        match map.advise_range(Advice::PopulateRead, self.span(slot, 0).offset, len) {
            Ok(()) => return Ok(()),
            // Kernels before 5.14 do not know the advice.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        let _ = map;
        self.read(slot, &mut vec![0; len])
    }

    /// The slot's first `len` bytes. Only for the holder of a pin on the slot.
    pub(crate) fn bytes(&self, slot: Slot, len: usize) -> &[u8] {
        let map = self.map.as_ref().expect("only asked of a mapped piece");
        let span = self.span(slot, len);
        assert!(span.offset + span.len <= map.len(), "slots are inside their piece");
        // SAFETY: the range lies inside the mapping, which lives as long as `self`; the slot is
        // not written while its pin lives, so nothing mutates the bytes.
        unsafe { std::slice::from_raw_parts(map.as_ptr().add(span.offset), span.len) }
    }

    /// Writes the slot to disk and drops its pages, as memory pressure would. `false`: the kernel held on to them.
    #[cfg(target_os = "linux")]
    pub(crate) fn page_out(&self, slot: Slot) -> io::Result<bool> {
        let span = self.span(slot, BLOCK_BYTES as usize);
        self.file.sync_data()?;
        if let Some(map) = &self.map {
            // SAFETY: a range of the mapping; the pages are clean, so nothing is lost.
            unsafe { libc::madvise(map.as_mut_ptr().add(span.offset).cast(), span.len, libc::MADV_PAGEOUT) };
        }
        let len = std::num::NonZeroU64::new(BLOCK_BYTES);
        rustix::fs::fadvise(&self.file, span.offset as u64, len, rustix::fs::Advice::DontNeed)?;
        Ok(!self.is_resident(slot, span.len))
    }

    fn span(&self, slot: Slot, len: usize) -> Span {
        debug_assert!(len <= BLOCK_BYTES as usize);
        Span { offset: (slot.0 - self.first.0) as usize * BLOCK_BYTES as usize, len }
    }

    fn record_offset(&self, slot: Slot) -> u64 {
        u64::from(slot.0 - self.first.0) * RECORD_BYTES as u64
    }
}

/// The name of a slab file in the cache folder.
pub(crate) fn slab_name(number: usize) -> String {
    format!("slab-{number:04}")
}

/// The name of the records beside it.
pub(crate) fn records_name(number: usize) -> String {
    format!("records-{number:04}")
}

/// A file of exactly `size` bytes, every one of them allocated on the disk.
fn sized(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let before = file.metadata()?.len();
    if before > size {
        file.set_len(size)?;
    }
    if let Err(error) = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
        // What was taken on the way to the end of the disk is given back.
        let _ = file.set_len(before.min(size));
        return Err(error.into());
    }
    Ok(file)
}

fn map(file: &File) -> io::Result<MmapRaw> {
    let map = MmapOptions::new().map_raw_read_only(file)?;
    // Blocks are asked for one by one; reading around a fault only wastes memory.
    map.advise(Advice::Random)?;
    Ok(map)
}

#[cfg(target_os = "linux")]
fn resident(map: &MmapRaw, span: Span) -> bool {
    const PAGES_MAX: usize = BLOCK_BYTES as usize / 4_096;
    // The system writes one byte for each page of its own size; what it leaves untouched counts as resident, so that the
    // size need not be known (rustix finds it in a way that programs under valgrind do not survive).
    let mut pages = [1u8; PAGES_MAX];
    // SAFETY: the span lies in the mapping (slots are inside their piece), is page-aligned (a
    // block is a multiple of every page size up to 64 KiB), and `pages` has a byte for each page
    // of a block at the smallest page size.
    let answer = unsafe { libc::mincore(map.as_mut_ptr().add(span.offset).cast(), span.len, pages.as_mut_ptr()) };
    answer == 0 && pages.iter().all(|page| page & 1 == 1)
}

#[cfg(not(target_os = "linux"))]
fn resident(_: &MmapRaw, _: Span) -> bool {
    false // populate every time: slower, never wrong
}
