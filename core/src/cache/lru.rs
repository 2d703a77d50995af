//! The baseline: least recently used out first, on the `lru` crate.

use ::lru::LruCache;

use super::{
    key::Slot,
    order::{Order, SCAN_SLOTS_MAX},
    slots::{Place, Slots},
};

#[derive(Debug)]
pub(super) struct Lru(LruCache<Slot, ()>);

impl Lru {
    pub(super) fn new() -> Self {
        Self(LruCache::unbounded())
    }
}

impl Order for Lru {
    fn arrive(&mut self, slots: &mut Slots, slot: Slot) {
        slots.put(Place::ELSEWHERE, slot);
        self.0.put(slot, ());
    }

    fn touch(&mut self, _: &mut Slots, slot: Slot) {
        self.0.promote(&slot);
    }

    fn leave(&mut self, slots: &mut Slots, slot: Slot) {
        self.0.pop(&slot);
        slots.take(slot);
    }

    fn victim(&mut self, slots: &mut Slots, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        let (slot, ()) = self.0.iter().rev().take(SCAN_SLOTS_MAX).find(|(slot, ())| !pinned(**slot))?;
        let slot = *slot;
        self.leave(slots, slot);
        Some(slot)
    }

    /// As far as can be known from outside the crate: a node of 24 bytes for each slot, and a hash
    /// table of two pointers and a control byte a bucket, 7 in 8 full at most.
    fn memory_bytes(&self) -> usize {
        let len = self.0.len();
        let buckets = if len == 0 { 0 } else { (len * 8).div_ceil(7).next_power_of_two() };
        len * 24 + buckets * 17
    }
}
