//! A reader's hold on a slot, and its way from there to bytes that may be sent.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use needledrop_core::cache::{BlockKey, Slot};
use twox_hash::XxHash3_64;

use crate::{
    limits::PINS_PER_READER_MAX,
    slab::{Backend, Slab},
};

/// A hold on a present slot: while it lives, the slot is not reused and its bytes do not change.
pub struct Pin {
    slab: Arc<Slab>,
    slot: Slot,
    key: BlockKey,
    len: usize,
}

/// The bytes in a slot are not the block's. Whoever finds this has the block dropped from the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

impl Pin {
    /// Of a slot that was just held.
    pub(super) fn new(slab: Arc<Slab>, slot: Slot, key: BlockKey, len: usize) -> Self {
        Self { slab, slot, key, len }
    }

    /// The bytes, if they are known to be sound and can be touched without waiting; else the pin again,
    /// to be [`load`](Self::load)ed.
    pub fn ready(self) -> Result<Loaded, Self> {
        let is_ready = self.slab.backend == Backend::Mmap
            && self.slab.is_checked(self.slot)
            && self.slab.is_warm(self.slot, self.len);
        if is_ready { Ok(Loaded(Source::Mapped(self))) } else { Err(self) }
    }

    /// Brings the bytes into memory and compares them with their checksum. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// They cannot be read, or are not what was written. The record is erased, so that they are not
    /// met again after a start.
    pub fn load(self) -> Result<Loaded, Damaged> {
        self.slab.loaded.fetch_add(1, Ordering::Relaxed);
        let loaded = match &self.slab.drill {
            Some(drill) => drill.before_load(self.slot).and_then(|()| self.fetch()),
            None => self.fetch(),
        };
        let reason = match loaded {
            Ok((bytes, sound)) if sound => {
                self.slab.set_checked(self.slot);
                return Ok(Loaded(bytes.map_or_else(|| Source::Mapped(self), Source::Heap)));
            }
            Ok(_) => "its bytes are not what was written".to_owned(),
            Err(error) => error.to_string(),
        };
        self.slab.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(slot = self.slot.0, reason, "a cached block is dropped and fetched anew");
        self.slab.erase(self.slot);
        Err(Damaged)
    }

    /// The bytes, if they are not in the mapping, and whether they are sound.
    fn fetch(&self) -> io::Result<(Option<Bytes>, bool)> {
        let piece = self.slab.piece(self.slot);
        if self.slab.backend == Backend::Mmap {
            piece.populate(self.slot, self.len)?;
            return Ok((None, self.is_sound(piece.bytes(self.slot, self.len))?));
        }
        let mut buffer = vec![0; self.len];
        piece.read(self.slot, &mut buffer)?;
        let sound = self.is_sound(&buffer)?;
        Ok((Some(buffer.into()), sound))
    }

    fn is_sound(&self, bytes: &[u8]) -> io::Result<bool> {
        let record = self.slab.piece(self.slot).record(self.slot)?;
        Ok(record.is_some_and(|record| {
            record.key == self.key && record.len as usize == self.len && record.sum == XxHash3_64::oneshot(bytes)
        }))
    }
}

impl AsRef<[u8]> for Pin {
    fn as_ref(&self) -> &[u8] {
        self.slab.piece(self.slot).bytes(self.slot, self.len)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.slab.pins.release(self.slot.0);
    }
}

/// A block's bytes in memory, known to be sound.
pub struct Loaded(Source);

enum Source {
    Mapped(Pin),
    Heap(Bytes),
}

impl Loaded {
    /// Part of the block's bytes: without a copy, unless the cache is crowded with readers or this
    /// reader holds as many slots as one may.
    pub fn into_bytes(self, part: Range<usize>, held: &Held) -> Bytes {
        match self.0 {
            Source::Heap(bytes) => bytes.slice(part),
            Source::Mapped(pin) if pin.slab.is_crowded() => Bytes::copy_from_slice(&pin.as_ref()[part]),
            Source::Mapped(pin) => match held.lend() {
                Some(lent) => Bytes::from_owner(Lent { pin, _lent: lent }).slice(part),
                None => Bytes::copy_from_slice(&pin.as_ref()[part]),
            },
        }
    }
}

/// How many slots one reader's bytes hold. Clones count together.
#[derive(Clone, Default)]
pub struct Held(Arc<AtomicU32>);

impl Held {
    fn lend(&self) -> Option<LentOne> {
        if self.0.fetch_add(1, Ordering::Relaxed) < PINS_PER_READER_MAX {
            return Some(LentOne(self.clone()));
        }
        self.0.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

struct LentOne(Held);

impl Drop for LentOne {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pin on its way to a socket.
struct Lent {
    pin: Pin,
    _lent: LentOne,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.pin.as_ref()
    }
}
