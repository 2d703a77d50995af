//! Who holds which slot: the protocol between readers, eviction and reuse.
//!
//! A slot's bytes may be rewritten only while nobody reads them. Three rules make that so:
//!
//! 1. A hold is *added* only by whoever has the table of present blocks locked, for a block
//!    that the table says is present ([`Pins::hold`]).
//! 2. A slot is handed to a writer only under the same lock, after [`Pins::is_held`] said no; from
//!    then on the table no longer shows it, so by rule 1 nobody can begin to hold it.
//! 3. A hold ends at any time, on any thread, without the lock ([`Pins::release`]).
//!
//! So a count can only fall while a writer has the slot, and it was zero. What remains is memory
//! order: a reader's last look at the bytes must come before the writer's first stroke. The release
//! is `Release` and the question is `Acquire`; that pair is all. `edge/tests/pins_model.rs` walks
//! every interleaving of it, and finds the bug when a rule is broken.
//!
//! Knows nothing of files or blocks: [`crate::slab`] has those.

use crate::sync::{AtomicU32, Ordering};

/// A count of holders for each slot, and how many slots have any.
pub struct Pins {
    holders: Box<[AtomicU32]>,
    held: AtomicU32,
}

impl Pins {
    /// Nobody holds any of `slots` slots. Four bytes a slot.
    pub fn new(slots: u32) -> Self {
        Self { holders: (0..slots).map(|_| AtomicU32::new(0)).collect(), held: AtomicU32::new(0) }
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.holders.len()).expect("made from a u32")
    }

    /// One more holder. Only while holding the table that says the slot's block is present.
    pub fn hold(&self, slot: u32) {
        // Relaxed: the table's lock orders this with whoever asks `is_held`.
        if self.holders[slot as usize].fetch_add(1, Ordering::Relaxed) == 0 {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One holder less.
    pub fn release(&self, slot: u32) {
        // Release: the holder's reads come before whoever sees zero writes the slot.
        if self.holders[slot as usize].fetch_sub(1, Ordering::Release) == 1 {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether anybody holds the slot. A no, given under the table's lock, stays a no for as long
    /// as the table does not show the slot.
    pub fn is_held(&self, slot: u32) -> bool {
        self.holders[slot as usize].load(Ordering::Acquire) > 0
    }

    /// How many slots are held. Unit: slots.
    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether half of the slots are held: from then on readers copy what they take, and hold on to nothing.
    pub fn is_crowded(&self) -> bool {
        self.held() > self.slots() / 2
    }
}
