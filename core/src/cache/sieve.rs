//! SIEVE: new blocks come in at the front, a hand walks from the back and spares what was used.
//!
//! Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024.

use super::{
    key::Slot,
    order::{Order, SCAN_SLOTS_MAX},
    slots::{Place, Segment, Slots},
};

#[derive(Debug)]
pub(super) struct Sieve {
    queue: Place,
    hand: Option<Slot>,
}

impl Sieve {
    pub(super) fn new(segment: Segment) -> Self {
        Self { queue: Place::queue(segment, 0), hand: None }
    }
}

impl Order for Sieve {
    fn arrive(&mut self, slots: &mut Slots, slot: Slot) {
        slots.push_front(self.queue, slot);
    }

    fn touch(&mut self, slots: &mut Slots, slot: Slot) {
        slots.set_uses(slot, 1);
    }

    fn leave(&mut self, slots: &mut Slots, slot: Slot) {
        if self.hand == Some(slot) {
            self.hand = slots.before(slot);
        }
        slots.take(slot);
    }

    fn victim(&mut self, slots: &mut Slots, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        for step in 0..2 * SCAN_SLOTS_MAX {
            let slot = self.hand.or_else(|| slots.back(self.queue))?;
            let spared = slots.uses(slot) > 0 && step < SCAN_SLOTS_MAX;
            if !spared && !pinned(slot) {
                self.hand = Some(slot);
                self.leave(slots, slot);
                return Some(slot);
            }
            slots.set_uses(slot, 0);
            self.hand = slots.before(slot);
        }
        None
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}
