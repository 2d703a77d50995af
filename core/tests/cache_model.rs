//! The index of every policy against a naive model, with random operations.

use std::collections::{HashMap, HashSet, VecDeque};

use needledrop_core::{
    UnixSeconds,
    cache::{Arrival, BlockKey, Class, Index, PolicyKind, Shape, Slot, VersionId},
};
use proptest::prelude::*;

const SLOTS: u32 = 12;
/// A quarter of the slots may be leased.
const LEASED_MAX: usize = SLOTS as usize / 4;

#[derive(Debug, Clone)]
enum Op {
    Lookup(BlockKey),
    Fill(BlockKey, Class, Option<u64>),
    Abandon(BlockKey),
    Remove(BlockKey),
    Restore(BlockKey, u32),
    Pin(u32),
    Unpin(u32),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = || (0u64..4, 0u32..8).prop_map(|(version, block)| BlockKey { version: VersionId(version), block });
    let class = || prop_oneof![Just(Class::Head), Just(Class::Body)];
    prop_oneof![
        4 => key().prop_map(Op::Lookup),
        6 => (key(), class(), proptest::option::weighted(0.3, 0u64..100)).prop_map(|(key, class, lease)| Op::Fill(key, class, lease)),
        1 => key().prop_map(Op::Abandon),
        1 => key().prop_map(Op::Remove),
        1 => (key(), 0..SLOTS + 1).prop_map(|(key, slot)| Op::Restore(key, slot)),
        2 => (0..SLOTS).prop_map(Op::Pin),
        2 => (0..SLOTS).prop_map(Op::Unpin),
        1 => (0u64..50).prop_map(Op::Pass),
    ]
}

#[derive(Default)]
struct Model {
    present: HashMap<BlockKey, (Slot, Class)>,
    /// Leased blocks, the oldest in front, and when their leases end.
    leases: VecDeque<(BlockKey, u64)>,
    prefetched: HashSet<BlockKey>,
    pinned: HashSet<Slot>,
    now: u64,
}

impl Model {
    fn holder(&self, slot: Slot) -> Option<BlockKey> {
        self.present.iter().find(|(_, (taken, _))| *taken == slot).map(|(key, _)| *key)
    }

    fn forget(&mut self, key: BlockKey) {
        self.present.remove(&key);
        self.prefetched.remove(&key);
        self.leases.retain(|(leased, _)| *leased != key);
    }

    fn unused(&self) -> HashSet<Slot> {
        let taken: HashSet<Slot> = self.present.values().map(|(slot, _)| *slot).collect();
        (0..SLOTS).map(Slot).filter(|slot| !taken.contains(slot) && !self.pinned.contains(slot)).collect()
    }

    /// Checks the judgement of a reservation and takes it over.
    fn reserved(&mut self, answer: Option<Slot>) -> Result<(), TestCaseError> {
        for _ in 0..4 {
            if self.leases.front().is_some_and(|(_, until)| *until < self.now) {
                self.leases.pop_front();
            }
        }
        let Some(slot) = answer else {
            prop_assert!(self.unused().is_empty(), "an unused slot was not handed out");
            prop_assert!(self.present.values().all(|(slot, _)| self.pinned.contains(slot)));
            return Ok(());
        };
        prop_assert!(!self.pinned.contains(&slot), "a pinned slot was handed out");
        let Some(victim) = self.holder(slot) else { return Ok(()) };
        prop_assert!(self.unused().is_empty(), "evicted while a slot was unused");
        if self.leases.iter().any(|(leased, _)| *leased == victim) {
            let free_to_go = |(key, (slot, _)): (&BlockKey, &(Slot, Class))| {
                !self.pinned.contains(slot) && !self.leases.iter().any(|(leased, _)| leased == key)
            };
            prop_assert!(!self.present.iter().any(free_to_go), "a lease was broken without need");
        }
        self.forget(victim);
        Ok(())
    }

    fn publish(&mut self, key: BlockKey, slot: Slot, class: Class, lease: Option<u64>) {
        self.forget(key);
        self.present.insert(key, (slot, class));
        if let Some(until) = lease {
            self.prefetched.insert(key);
            self.leases.push_back((key, until));
            if self.leases.len() > LEASED_MAX {
                self.leases.pop_front();
            }
        }
    }
}

/// Some are awaited, some are not.
fn block_is_odd(key: BlockKey) -> bool {
    key.block % 2 == 1
}

fn run(shape: Shape, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut index = Index::new(SLOTS, shape);
    let mut model = Model::default();
    for op in ops {
        let now = UnixSeconds(model.now);
        match op {
            Op::Lookup(key) => {
                let hit = index.lookup(key, now);
                prop_assert_eq!(hit.map(|hit| (hit.slot, hit.class)), model.present.get(&key).copied());
                prop_assert_eq!(hit.is_some_and(|hit| hit.prefetched), model.prefetched.remove(&key));
                model.leases.retain(|(leased, _)| *leased != key);
            }
            Op::Fill(key, class, lease) => {
                let answer = index.reserve(key, class, now, |slot| model.pinned.contains(&slot));
                model.reserved(answer)?;
                if let Some(slot) = answer {
                    let lease = lease.map(|seconds| model.now + seconds);
                    index.publish(
                        key,
                        slot,
                        Arrival { class, lease_until: lease.map(UnixSeconds), awaited: block_is_odd(key) },
                    );
                    model.publish(key, slot, class, lease);
                }
            }
            Op::Abandon(key) => {
                let answer = index.reserve(key, Class::Body, now, |slot| model.pinned.contains(&slot));
                model.reserved(answer)?;
                answer.into_iter().for_each(|slot| index.release(slot));
            }
            Op::Remove(key) => {
                index.remove(key);
                model.forget(key);
            }
            Op::Restore(key, slot) => {
                // Limbo is not free either, but the model does not know one from the other.
                if index.restore(key, Slot(slot), Class::Body) {
                    prop_assert!(slot < SLOTS && model.holder(Slot(slot)).is_none());
                    prop_assert!(!model.present.contains_key(&key));
                    model.present.insert(key, (Slot(slot), Class::Body));
                }
            }
            Op::Pin(slot) => {
                // Only a present block can gain a reader.
                if model.holder(Slot(slot)).is_some() {
                    model.pinned.insert(Slot(slot));
                }
            }
            Op::Unpin(slot) => {
                model.pinned.remove(&Slot(slot));
            }
            Op::Pass(seconds) => model.now += seconds,
        }
        let found: HashMap<_, _> = index.iter().map(|(key, slot, class)| (key, (slot, class))).collect();
        prop_assert_eq!(&found, &model.present);
        prop_assert_eq!(index.len(), model.present.len());
        let counts = index.counts();
        prop_assert_eq!((counts.heads + counts.bodies) as usize, model.present.len());
        prop_assert_eq!(counts.leased as usize, model.leases.len());
    }
    // Nothing is lost: without readers, every slot can be had.
    let key = |block| BlockKey { version: VersionId(99), block };
    let all: HashSet<_> =
        (0..SLOTS).map(|block| index.reserve(key(block), Class::Body, UnixSeconds(0), |_| false)).collect();
    prop_assert_eq!(all.into_iter().flatten().count(), SLOTS as usize);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// No slot serves two blocks or is lost, no pinned slot is handed out, nobody leaves without
    /// need, no lease is broken but under pressure, and a lookup finds what was last published.
    #[test]
    fn every_policy_agrees_with_the_model(
        policy in proptest::sample::select(PolicyKind::ALL.to_vec()),
        heads_permille in proptest::sample::select(vec![0u16, 100, 500, 1_000]),
        kept_blocks in proptest::sample::select(vec![1u32, 4, u32::MAX]),
        ops in proptest::collection::vec(op(), 0..300),
    ) {
        run(Shape { policy, heads_permille, kept_blocks }, ops)?;
    }
}

#[test]
fn a_cache_of_which_everything_was_used_still_makes_room() {
    for policy in PolicyKind::ALL {
        let mut index = Index::new(1_000, Shape { policy, ..Shape::default() });
        let key = |block| BlockKey { version: VersionId(1), block };
        for block in 0..3_000 {
            let slot = index.reserve(key(block), Class::Body, UnixSeconds(0), |_| false);
            let slot = slot.unwrap_or_else(|| panic!("{policy} gave nothing at block {block}"));
            index.publish(key(block), slot, Arrival { class: Class::Body, lease_until: None, awaited: false });
            (0..3).for_each(|_| assert!(index.lookup(key(block), UnixSeconds(0)).is_some()));
        }
    }
}
