//! W-TinyLFU: a small window in front, and from there only who is asked for more often than the
//! one that would leave for it comes into the main part, which is a segmented LRU.
//!
//! Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission Policy", ACM ToS 2017.

use super::{
    key::Slot,
    order::{Order, SCAN_SLOTS_MAX},
    sketch::Sketch,
    slots::{Place, Segment, Slots},
};

/// The window's share of the segment: one slot in so many.
const WINDOW_ONE_IN: u32 = 100;

/// The protected part's share of the main one. Unit: hundredths.
const PROTECTED_PERCENT: u64 = 80;

#[derive(Debug)]
pub(super) struct WTinyLfu {
    window: Place,
    probation: Place,
    protected: Place,
    sketch: Sketch,
}

impl WTinyLfu {
    pub(super) fn new(segment: Segment, share: u32) -> Self {
        Self {
            window: Place::queue(segment, 0),
            probation: Place::queue(segment, 1),
            protected: Place::queue(segment, 2),
            sketch: Sketch::new(share),
        }
    }

    fn window_len_max(&self, slots: &Slots) -> u32 {
        let all = slots.len(self.window) + slots.len(self.probation) + slots.len(self.protected);
        (all / WINDOW_ONE_IN).max(1)
    }

    /// What used its probation well goes up; what it displaces goes down, with another chance.
    fn protect(&mut self, slots: &mut Slots, slot: Slot) {
        slots.move_to_front(self.protected, slot);
        let (probation, protected) = (slots.len(self.probation), slots.len(self.protected));
        if u64::from(protected) * 100 > (u64::from(probation) + u64::from(protected)) * PROTECTED_PERCENT
            && let Some(last) = slots.back(self.protected)
        {
            slots.move_to_front(self.probation, last);
        }
    }

    /// The unpinned slot nearest to the back of a queue; pinned ones are in use and go to the front.
    fn last(&self, slots: &mut Slots, queue: Place, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        for _ in 0..SCAN_SLOTS_MAX.min(slots.len(queue) as usize) {
            let slot = slots.back(queue)?;
            if !pinned(slot) {
                return Some(slot);
            }
            slots.move_to_front(queue, slot);
        }
        None
    }

    fn frequency(&self, slots: &Slots, slot: Slot) -> u64 {
        self.sketch.estimate(slots.key(slot).spread())
    }
}

impl Order for WTinyLfu {
    fn arrive(&mut self, slots: &mut Slots, slot: Slot) {
        slots.push_front(self.window, slot);
        // While there is room, the window overflows into the main part without a contest.
        while slots.len(self.window) > self.window_len_max(slots) + 1 {
            let Some(last) = slots.back(self.window) else { return };
            slots.move_to_front(self.probation, last);
        }
    }

    fn touch(&mut self, slots: &mut Slots, slot: Slot) {
        self.sketch.count(slots.key(slot).spread());
        let place = slots.place(slot);
        if place == self.probation {
            self.protect(slots, slot);
        } else {
            slots.move_to_front(place, slot);
        }
    }

    fn miss(&mut self, spread: u64) {
        self.sketch.count(spread);
    }

    fn leave(&mut self, slots: &mut Slots, slot: Slot) {
        slots.take(slot);
    }

    fn victim(&mut self, slots: &mut Slots, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        let main = match self.last(slots, self.probation, pinned) {
            Some(slot) => Some(slot),
            None => self.last(slots, self.protected, pinned),
        };
        let is_full = slots.len(self.window) > self.window_len_max(slots);
        let candidate = if is_full || main.is_none() { self.last(slots, self.window, pinned) } else { None };
        let victim = match (candidate, main) {
            (Some(candidate), Some(main)) if self.frequency(slots, candidate) > self.frequency(slots, main) => {
                slots.move_to_front(self.probation, candidate);
                main
            }
            (Some(candidate), _) => candidate,
            (None, main) => main?,
        };
        slots.take(victim);
        Some(victim)
    }

    fn memory_bytes(&self) -> usize {
        self.sketch.memory_bytes()
    }
}
