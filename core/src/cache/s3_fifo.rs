//! S3-FIFO: a small queue on probation, a main queue, and the memory of who left the small one.
//!
//! Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.
//! Most blocks of a music cache are asked for once and never again; they pass through the small
//! queue and cost the main one nothing.

use super::{
    ghost::Ghosts,
    key::Slot,
    order::{Order, SCAN_SLOTS_MAX},
    slots::{Place, Segment, Slots},
};

/// The small queue's share of the segment: one slot in so many.
const SMALL_ONE_IN: u32 = 10;

/// Uses while in the small queue that lead to the main one.
const PROMOTING_USES: u8 = 1;

/// Uses that count; each is one more round in the main queue.
const USES_MAX: u8 = 3;

#[derive(Debug)]
pub(super) struct S3Fifo {
    small: Place,
    main: Place,
    ghosts: Ghosts,
}

impl S3Fifo {
    pub(super) fn new(segment: Segment, share: u32) -> Self {
        Self { small: Place::queue(segment, 0), main: Place::queue(segment, 1), ghosts: Ghosts::new(share) }
    }

    /// The queue that is longer than its share, or the one that is not empty.
    fn due(&self, slots: &Slots) -> Place {
        let (small, main) = (u64::from(slots.len(self.small)), u64::from(slots.len(self.main)));
        if main == 0 || small * u64::from(SMALL_ONE_IN) >= small + main { self.small } else { self.main }
    }

    /// The queue to try after a pinned slot was found in that one.
    fn other(&self, slots: &Slots, queue: Place) -> Place {
        let other = if queue == self.small { self.main } else { self.small };
        if slots.len(other) > 0 { other } else { queue }
    }
}

impl Order for S3Fifo {
    fn arrive(&mut self, slots: &mut Slots, slot: Slot) {
        let known = self.ghosts.recall(slots.key(slot).spread());
        slots.set_uses(slot, 0);
        slots.push_front(if known { self.main } else { self.small }, slot);
    }

    fn touch(&mut self, slots: &mut Slots, slot: Slot) {
        slots.set_uses(slot, (slots.uses(slot) + 1).min(USES_MAX));
    }

    fn leave(&mut self, slots: &mut Slots, slot: Slot) {
        slots.take(slot);
    }

    fn victim(&mut self, slots: &mut Slots, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        let mut pinned_in = None;
        for step in 0..2 * SCAN_SLOTS_MAX {
            let from = pinned_in.take().map_or_else(|| self.due(slots), |queue| self.other(slots, queue));
            let slot = slots.back(from)?;
            // A queue of which everything was used must not hold up the caller: from some step
            // on, use is no excuse.
            let uses = if step < SCAN_SLOTS_MAX { slots.uses(slot) } else { 0 };
            if from == self.small && uses >= PROMOTING_USES {
                slots.set_uses(slot, 0);
                slots.move_to_front(self.main, slot);
            } else if from == self.main && uses > 0 {
                slots.set_uses(slot, uses - 1);
                slots.move_to_front(self.main, slot);
            } else if pinned(slot) {
                slots.move_to_front(from, slot);
                pinned_in = Some(from);
            } else {
                slots.take(slot);
                if from == self.small {
                    self.ghosts.remember(slots.key(slot).spread());
                }
                return Some(slot);
            }
        }
        None
    }

    fn memory_bytes(&self) -> usize {
        self.ghosts.memory_bytes()
    }
}
