//! The table of present blocks over a fixed number of slots.
//!
//! A slot is in exactly one of these states, and this table is their only judge:
//!
//! ```text
//!   free ──reserve──▶ reserved ──publish──▶ present ──evict/remove──▶ limbo | free
//!    ▲                   │                                             │
//!    └─────release───────┴──────────── unpinned ◀──────────────────────┘
//! ```
//!
//! A present slot may be pinned by bytes on their way to a socket. The table does
//! not count pins; the caller lends it a predicate. A pinned slot is never handed
//! out: removed while pinned, it waits in limbo until its last reader has gone.
//! That is safe as long as pins are only *added* by whoever holds this table.
//!
//! Present blocks are in the order of a policy (`order`); the kept parts of heads have an order
//! and a share of the slots of their own. A prefetched block is in no order but held by a lease, until it is
//! used, its lease ends, or too many are leased.
//!
//! Every operation takes a bounded number of steps, whatever the table holds, but for
//! [`Index::iter`], and for the hash table's own tidying, which comes round once in as many
//! arrivals as it holds blocks at the most.

use hashbrown::HashTable;

use super::{
    Class, Counts, Shape,
    key::{BlockKey, Slot},
    order::{Order, SCAN_SLOTS_MAX, order},
    slots::{Place, Segment, Slots},
};
use crate::UnixSeconds;

/// The share of the slots that leases may hold: one in so many.
///
/// A listener's next head is 3 to 9 blocks; what is leased cannot make room for what is asked
/// for at this moment, so it is bounded, and the oldest lease ends first.
const LEASED_ONE_IN: u32 = 4;

/// Ended leases that one reservation looks for. Unit: leases. More than one, so that they never
/// heap up behind arrivals.
const ENDED_LEASES_MAX: usize = 4;

/// Present blocks, and who leaves when a slot is needed.
#[derive(Debug)]
pub struct Index {
    slots: Slots,
    /// Present slots by the key each holds.
    table: HashTable<u32>,
    /// The order of all blocks; or that of most, and that of the kept parts of heads.
    orders: Vec<Box<dyn Order>>,
    kept_blocks: u32,
    /// How many slots the kept parts of heads may always have, and how many they have.
    kept_share: u32,
    kept: u32,
    counts: Counts,
}

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Where the block is.
    pub slot: Slot,
    /// Its class when it came.
    pub class: Class,
    /// Whether it was prefetched and nobody had used it before.
    pub prefetched: bool,
}

/// How a block came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its class.
    pub class: Class,
    /// For a prefetched block, when it should have been used.
    pub lease_until: Option<UnixSeconds>,
    /// Whether the reader for whom it was fetched has yet to come to it: then its first use is
    /// the one that brought it here, and says nothing of how often it is wanted.
    pub awaited: bool,
}

impl Index {
    /// An empty table over `slots` slots.
    pub fn new(slots: u32, shape: Shape) -> Self {
        let permille = u64::from(shape.heads_permille.min(1_000));
        let kept_share = (u64::from(slots) * permille / 1_000) as u32;
        let mut orders = vec![order(shape.policy, Segment::First, slots - kept_share)];
        if permille > 0 {
            orders.push(order(shape.policy, Segment::Second, kept_share));
        }
        Self {
            slots: Slots::new(slots),
            table: HashTable::with_capacity(slots as usize),
            orders,
            kept_blocks: if permille > 0 { shape.kept_blocks } else { 0 },
            kept_share,
            kept: 0,
            counts: Counts::default(),
        }
    }

    /// A use of a block, if it is present.
    pub fn lookup(&mut self, key: BlockKey, now: UnixSeconds) -> Option<Hit> {
        let Some(hit) = self.peek(key) else {
            self.orders.iter_mut().for_each(|order| order.miss(key.spread()));
            return None;
        };
        if hit.prefetched {
            self.slots.clear_prefetched(hit.slot);
            self.counts.prefetched_used += 1;
            self.counts.prefetched_late += u64::from(self.slots.lease(hit.slot) < seconds(now));
        }
        if self.slots.place(hit.slot) == Place::LEASED {
            self.end_lease(hit.slot);
        } else if !self.slots.take_awaited(hit.slot) {
            let order = self.order_of(key, hit.class);
            self.orders[order].touch(&mut self.slots, hit.slot);
        }
        Some(hit)
    }

    /// What a lookup would find, without being a use.
    pub fn peek(&self, key: BlockKey) -> Option<Hit> {
        let slot = Slot(*self.table.find(key.spread(), |slot| self.slots.key(Slot(*slot)) == key)?);
        Some(Hit { slot, class: self.slots.class(slot), prefetched: self.slots.is_prefetched(slot) })
    }

    /// Whether a block is present, without being a use.
    pub fn contains(&self, key: BlockKey) -> bool {
        self.peek(key).is_some()
    }

    /// Takes a slot for a block that is about to be written, evicting an unpinned one if none is
    /// free. `None`: all that could go is pinned, and the block should pass through uncached.
    pub fn reserve(
        &mut self,
        key: BlockKey,
        class: Class,
        now: UnixSeconds,
        pinned: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        self.end_leases(now);
        let slot = self.unused(&pinned).or_else(|| self.evict(key, class, &pinned))?;
        self.slots.assign(slot, key, class, false);
        Some(slot)
    }

    /// Makes a reserved and written slot visible as `key`. Should the block be
    /// present already, the older copy leaves.
    pub fn publish(&mut self, key: BlockKey, slot: Slot, arrival: Arrival) {
        debug_assert_eq!(self.slots.place(slot), Place::RESERVED, "only what was reserved is published");
        self.remove(key);
        self.slots.assign(slot, key, arrival.class, arrival.lease_until.is_some());
        if arrival.awaited {
            self.slots.set_awaited(slot);
        }
        self.slots.set_lease(slot, arrival.lease_until.map_or(0, seconds));
        self.count_in(slot);
        if arrival.lease_until.is_none() {
            let order = self.order_of(key, arrival.class);
            return self.orders[order].arrive(&mut self.slots, slot);
        }
        self.slots.push_front(Place::LEASED, slot);
        if self.slots.len(Place::LEASED) > self.leased_max()
            && let Some(oldest) = self.slots.back(Place::LEASED)
        {
            self.counts.leases_dropped += 1;
            self.end_lease(oldest);
        }
    }

    /// Gives back a reserved slot that was not written.
    pub fn release(&mut self, slot: Slot) {
        debug_assert_eq!(self.slots.place(slot), Place::RESERVED, "only what was reserved is released");
        self.slots.push_front(Place::FREE, slot);
    }

    /// Makes a block present that the store still held at the start. `false`: its slot is not
    /// free, or there is no such slot, or the block is present; nothing was changed.
    pub fn restore(&mut self, key: BlockKey, slot: Slot, class: Class) -> bool {
        if slot.0 >= self.slots.count() || self.slots.place(slot) != Place::FREE || self.contains(key) {
            return false;
        }
        self.slots.take(slot);
        self.publish(key, slot, Arrival { class, lease_until: None, awaited: false });
        true
    }

    /// Forgets a block, if present.
    pub fn remove(&mut self, key: BlockKey) {
        let Some(hit) = self.peek(key) else { return };
        if self.slots.place(hit.slot) == Place::LEASED {
            self.slots.take(hit.slot);
        } else {
            let order = self.order_of(key, hit.class);
            self.orders[order].leave(&mut self.slots, hit.slot);
        }
        self.count_out(hit.slot);
        self.slots.push_back(Place::LIMBO, hit.slot);
    }

    /// How many blocks are present.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no block is present.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All present blocks, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (BlockKey, Slot, Class)> + '_ {
        self.slots.present().map(|slot| (self.slots.key(slot), slot, self.slots.class(slot)))
    }

    /// What is here, and what became of what was.
    pub fn counts(&self) -> Counts {
        Counts { leased: self.slots.len(Place::LEASED), ..self.counts }
    }

    /// Heap bytes of the table with everything that its policy remembers.
    pub fn memory_bytes(&self) -> usize {
        let orders: usize = self.orders.iter().map(|order| size_of_val(&**order) + order.memory_bytes()).sum();
        self.slots.memory_bytes() + self.table.allocation_size() + orders + size_of_val(&*self.orders)
    }

    /// A slot that holds no block: free, or in limbo without a reader.
    fn unused(&mut self, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        if let Some(slot) = self.slots.pop_front(Place::FREE) {
            return Some(slot);
        }
        for _ in 0..SCAN_SLOTS_MAX {
            let slot = self.slots.pop_front(Place::LIMBO)?;
            if !pinned(slot) {
                return Some(slot);
            }
            self.slots.push_back(Place::LIMBO, slot);
        }
        None
    }

    /// Takes the slot of a present block for another: from the heads if they have more than their
    /// share, else from the others; if there is none that may go, the other way round, and at last
    /// from the leases.
    fn evict(&mut self, key: BlockKey, class: Class, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        let last = self.orders.len() - 1;
        let kept_with_it = self.kept + u32::from(last > 0 && self.order_of(key, class) == last);
        let first = if kept_with_it > self.kept_share { last } else { 0 };
        let slot = self.orders[first]
            .victim(&mut self.slots, pinned)
            .or_else(|| self.orders[last - first].victim(&mut self.slots, pinned))
            .or_else(|| self.evict_leased(pinned))?;
        match self.slots.class(slot) {
            Class::Head => self.counts.evicted_heads += 1,
            Class::Body => self.counts.evicted_bodies += 1,
        }
        self.count_out(slot);
        Some(slot)
    }

    fn evict_leased(&mut self, pinned: &dyn Fn(Slot) -> bool) -> Option<Slot> {
        let mut next = self.slots.back(Place::LEASED);
        for _ in 0..SCAN_SLOTS_MAX {
            let slot = next?;
            if !pinned(slot) {
                self.slots.take(slot);
                self.counts.leases_dropped += 1;
                return Some(slot);
            }
            next = self.slots.before(slot);
        }
        None
    }

    /// Ends the oldest leases whose time has come.
    fn end_leases(&mut self, now: UnixSeconds) {
        for _ in 0..ENDED_LEASES_MAX {
            match self.slots.back(Place::LEASED) {
                Some(slot) if self.slots.lease(slot) < seconds(now) => self.end_lease(slot),
                _ => return,
            }
        }
    }

    /// From its lease into the order of its class, as if it had come only now.
    fn end_lease(&mut self, slot: Slot) {
        self.slots.take(slot);
        let order = self.order_of(self.slots.key(slot), self.slots.class(slot));
        self.orders[order].arrive(&mut self.slots, slot);
    }

    fn count_in(&mut self, slot: Slot) {
        let Self { slots, table, .. } = self;
        table.insert_unique(slots.key(slot).spread(), slot.0, |slot| slots.key(Slot(*slot)).spread());
        *self.class_count(slot) += 1;
        self.kept += u32::from(self.is_kept(slot));
    }

    /// A present block is present no more; its slot is in no list already.
    fn count_out(&mut self, slot: Slot) {
        let spread = self.slots.key(slot).spread();
        let entry = self.table.find_entry(spread, |found| *found == slot.0);
        entry.expect("a present block is in the table").remove();
        *self.class_count(slot) -= 1;
        self.kept -= u32::from(self.is_kept(slot));
        self.counts.prefetched_wasted += u64::from(self.slots.is_prefetched(slot));
    }

    fn class_count(&mut self, slot: Slot) -> &mut u32 {
        match self.slots.class(slot) {
            Class::Head => &mut self.counts.heads,
            Class::Body => &mut self.counts.bodies,
        }
    }

    fn order_of(&self, key: BlockKey, class: Class) -> usize {
        usize::from(class == Class::Head && key.block < self.kept_blocks)
    }

    fn is_kept(&self, slot: Slot) -> bool {
        self.order_of(self.slots.key(slot), self.slots.class(slot)) > 0
    }

    fn leased_max(&self) -> u32 {
        self.slots.count() / LEASED_ONE_IN
    }
}

/// Saturates in 2106.
fn seconds(moment: UnixSeconds) -> u32 {
    u32::try_from(moment.0).unwrap_or(u32::MAX)
}
