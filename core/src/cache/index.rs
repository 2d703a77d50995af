//! The table of present blocks over a fixed number of slots, in `lru` order.
//!
//! A slot is in exactly one of four states, and this table is their only judge:
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

use std::num::NonZeroUsize;

use lru::LruCache;

/// One version of one object: a number the edge gives to each (path, ETag) pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(pub u64);

/// A block of one version of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    /// The version the bytes belong to; blocks of two versions never mix.
    pub version: VersionId,
    /// Which aligned 128 KiB piece, from 0.
    pub block: u32,
}

/// A place for one block in the store, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// How many pinned blocks an eviction steps over before it gives up.
///
/// Unit: blocks. Pins are short and bounded to half the slots, so a long scan
/// means the cache is smaller than what is being sent: passing through is right.
const EVICTION_SCAN_BLOCKS_MAX: usize = 64;

/// Present blocks in order of use.
#[derive(Debug)]
pub struct Index {
    present: LruCache<BlockKey, Slot>,
    free: Vec<Slot>,
    limbo: Vec<Slot>,
}

impl Index {
    /// An empty table over `slots` slots.
    pub fn new(slots: u32) -> Self {
        let capacity = NonZeroUsize::new(slots.max(1) as usize).expect("at least one");
        Self { present: LruCache::new(capacity), free: (0..slots).rev().map(Slot).collect(), limbo: Vec::new() }
    }

    /// The slot of a present block, which becomes the most recently used.
    pub fn lookup(&mut self, key: BlockKey) -> Option<Slot> {
        self.present.get(&key).copied()
    }

    /// Whether a block is present, without touching its place in the order.
    pub fn contains(&self, key: BlockKey) -> bool {
        self.present.contains(&key)
    }

    /// Takes a slot for a block that is about to be written, evicting the least
    /// recently used unpinned block if none is free. `None`: all that could go is
    /// pinned, and the block should pass through uncached.
    pub fn reserve(&mut self, pinned: impl Fn(Slot) -> bool) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if let Some(at) = self.limbo.iter().position(|slot| !pinned(*slot)) {
            return Some(self.limbo.swap_remove(at));
        }
        let victim = self
            .present
            .iter()
            .rev()
            .take(EVICTION_SCAN_BLOCKS_MAX)
            .find(|(_, slot)| !pinned(**slot))
            .map(|(key, _)| *key)?;
        self.present.pop(&victim)
    }

    /// Makes a reserved and written slot visible as `key`. Should the block be
    /// present already, the older copy leaves.
    pub fn publish(&mut self, key: BlockKey, slot: Slot) {
        // `push` cannot evict: every present block holds one of the slots, and this
        // slot was taken from among them.
        if let Some((_, displaced)) = self.present.push(key, slot) {
            self.limbo.push(displaced);
        }
    }

    /// Gives back a reserved slot that was not written.
    pub fn release(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// Forgets a block, if present.
    pub fn remove(&mut self, key: BlockKey) {
        if let Some(slot) = self.present.pop(&key) {
            self.limbo.push(slot);
        }
    }

    /// How many blocks are present.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether no block is present.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn key(version: u64, block: u32) -> BlockKey {
        BlockKey { version: VersionId(version), block }
    }

    fn fill(index: &mut Index, key: BlockKey) -> Slot {
        let slot = index.reserve(|_| false).expect("nothing is pinned");
        index.publish(key, slot);
        slot
    }

    #[test]
    fn the_least_recently_used_block_leaves_first() {
        let mut index = Index::new(2);
        fill(&mut index, key(1, 0));
        fill(&mut index, key(1, 1));
        index.lookup(key(1, 0));
        fill(&mut index, key(1, 2));
        assert!(index.contains(key(1, 0)));
        assert!(!index.contains(key(1, 1)));
    }

    #[test]
    fn a_pinned_slot_is_stepped_over() {
        let mut index = Index::new(2);
        let oldest = fill(&mut index, key(1, 0));
        fill(&mut index, key(1, 1));
        let slot = index.reserve(|slot| slot == oldest).expect("the other may go");
        assert_ne!(slot, oldest);
        assert!(index.contains(key(1, 0)));
    }

    #[test]
    fn when_everything_is_pinned_nothing_is_handed_out() {
        let mut index = Index::new(2);
        fill(&mut index, key(1, 0));
        fill(&mut index, key(1, 1));
        assert_eq!(index.reserve(|_| true), None);
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn a_block_removed_while_pinned_waits_in_limbo() {
        let mut index = Index::new(1);
        let slot = fill(&mut index, key(1, 0));
        index.remove(key(1, 0));
        assert_eq!(index.reserve(|_| true), None);
        assert_eq!(index.reserve(|_| false), Some(slot));
    }

    #[derive(Debug, Clone)]
    enum Op {
        Lookup(BlockKey),
        Fill(BlockKey),
        Abandon,
        Remove(BlockKey),
        Pin(u32),
        Unpin(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        let a_key = (0u64..3, 0u32..6).prop_map(|(version, block)| key(version, block));
        prop_oneof![
            a_key.clone().prop_map(Op::Lookup),
            a_key.clone().prop_map(Op::Fill),
            Just(Op::Abandon),
            a_key.prop_map(Op::Remove),
            (0u32..5).prop_map(Op::Pin),
            (0u32..5).prop_map(Op::Unpin),
        ]
    }

    proptest! {
        /// Against a naive model: no slot serves two blocks, no pinned slot is handed
        /// out, no slot is lost, and a lookup finds what was last published.
        #[test]
        fn slots_are_never_shared_or_lost(ops in proptest::collection::vec(op(), 0..200)) {
            let slots = 5;
            let mut index = Index::new(slots);
            let mut model: HashMap<BlockKey, Slot> = HashMap::new();
            let mut pinned: HashSet<Slot> = HashSet::new();
            for op in ops {
                match op {
                    Op::Lookup(key) => {
                        if let Some(slot) = index.lookup(key) {
                            prop_assert_eq!(model.get(&key), Some(&slot));
                        }
                    }
                    Op::Fill(key) => {
                        if let Some(slot) = index.reserve(|slot| pinned.contains(&slot)) {
                            prop_assert!(!pinned.contains(&slot));
                            model.retain(|_, taken| *taken != slot);
                            index.publish(key, slot);
                            model.insert(key, slot);
                        }
                    }
                    Op::Abandon => {
                        if let Some(slot) = index.reserve(|slot| pinned.contains(&slot)) {
                            model.retain(|_, taken| *taken != slot);
                            index.release(slot);
                        }
                    }
                    Op::Remove(key) => {
                        index.remove(key);
                        model.remove(&key);
                    }
                    Op::Pin(slot) => {
                        // Only a present block can gain a reader.
                        if model.values().any(|taken| *taken == Slot(slot)) {
                            pinned.insert(Slot(slot));
                        }
                    }
                    Op::Unpin(slot) => { pinned.remove(&Slot(slot)); }
                }
                let held: HashSet<Slot> = index.present.iter().map(|(_, slot)| *slot)
                    .chain(index.free.iter().copied())
                    .chain(index.limbo.iter().copied())
                    .collect();
                prop_assert_eq!(held.len(), slots as usize);
                prop_assert_eq!(
                    index.present.len() + index.free.len() + index.limbo.len(),
                    slots as usize
                );
            }
        }
    }
}
