//! The seam of the eviction policies: an order of the present slots of one segment.

use std::fmt::Debug;

use super::{
    PolicyKind,
    key::Slot,
    lru::Lru,
    s3_fifo::S3Fifo,
    sieve::Sieve,
    slots::{Segment, Slots},
    w_tinylfu::WTinyLfu,
};

/// How many slots one eviction looks at before it gives up, or gives up being choosy.
///
/// Unit: slots. Pins are short and bounded to half the slots, so a long scan means the cache is
/// smaller than what is being sent: passing through is right. And the table's lock is held meanwhile.
pub(super) const SCAN_SLOTS_MAX: usize = 64;

/// An order of present slots, and the judgement who leaves it.
///
/// The slots themselves live in [`Slots`]; an order moves them between its queues. A slot is in the
/// order from `arrive` until `leave` or until `victim` gives it.
pub(super) trait Order: Debug + Send + Sync {
    /// A block has come into this slot, which is in no list.
    fn arrive(&mut self, slots: &mut Slots, slot: Slot);

    /// The block in this slot was used.
    fn touch(&mut self, slots: &mut Slots, slot: Slot);

    /// A block was asked for that is not present. Unit of `spread`: see `BlockKey::spread`.
    fn miss(&mut self, _spread: u64) {}

    /// Takes a slot out for another reason than this order's judgement.
    fn leave(&mut self, slots: &mut Slots, slot: Slot);

    /// Chooses who leaves and takes it out; never a pinned slot. `None`: of those looked at, all are pinned.
    fn victim(&mut self, slots: &mut Slots, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot>;

    /// Heap bytes beyond those in [`Slots`].
    fn memory_bytes(&self) -> usize;
}

/// An order of the wanted kind for a segment that will usually hold `share` slots.
pub(super) fn order(kind: PolicyKind, segment: Segment, share: u32) -> Box<dyn Order> {
    match kind {
        PolicyKind::Lru => Box::new(Lru::new()),
        PolicyKind::S3Fifo => Box::new(S3Fifo::new(segment, share)),
        PolicyKind::Sieve => Box::new(Sieve::new(segment)),
        PolicyKind::WTinyLfu => Box::new(WTinyLfu::new(segment, share)),
    }
}
