//! The documents of one word.
//!
//! A few are a plain list. Many lie in tiers by the power of two of their plays and by their kind: a search looks at the
//! most played of the kinds it is for, and knows of each tier how many points its documents can have at best, so that it
//! seldom looks at all of them.

use super::{Kind, Kinds};

/// How many documents lie in one list: two cache lines of them, looked through faster than tiers are.
const FEW_MAX: usize = 256;
/// The bound of a list without tiers.
const ANY_POWER: u8 = 64;

/// Which tier a document lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank {
    /// The power of two above its plays.
    pub(super) power: u8,
    pub(super) kind: Kind,
}

impl Rank {
    /// The most played first.
    fn order(self) -> (std::cmp::Reverse<u8>, Kind) {
        (std::cmp::Reverse(self.power), self.kind)
    }
}

/// Slots of documents.
pub(super) enum Posts {
    /// Ascending.
    Few(Vec<u32>),
    Many(Box<Many>),
}

/// The most played tier first.
pub(super) struct Many {
    /// How many of each kind.
    counts: [usize; Kind::ALL.len()],
    /// Bytes of the slots.
    bytes: usize,
    tiers: Vec<Tier>,
}

/// Documents of one kind with plays below the same power of two.
struct Tier {
    rank: Rank,
    /// Ascending.
    slots: Vec<u32>,
}

impl Default for Posts {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Posts {
    pub(super) fn len(&self) -> usize {
        self.len_of(Kinds::ALL)
    }

    /// How many documents there are of some kinds; of a few documents, how many of any.
    pub(super) fn len_of(&self, kinds: Kinds) -> usize {
        match self {
            Self::Few(slots) => slots.len(),
            Self::Many(many) => {
                Kind::ALL.iter().zip(many.counts).filter(|(kind, _)| kinds.has(**kind)).map(|at| at.1).sum()
            }
        }
    }

    /// Slots of documents of some kinds, and the power of two that their plays are below; the most played first. A few
    /// come whatever their kind is.
    pub(super) fn tiers(&self, kinds: Kinds) -> impl Iterator<Item = (u8, &[u32])> {
        let (few, many) = match self {
            Self::Few(slots) => (Some((ANY_POWER, slots.as_slice())), &[][..]),
            Self::Many(many) => (None, many.tiers.as_slice()),
        };
        let wanted = many.iter().filter(move |tier| kinds.has(tier.rank.kind));
        few.into_iter().chain(wanted.map(|tier| (tier.rank.power, tier.slots.as_slice())))
    }

    /// Every slot of a document of some kinds, and maybe others.
    pub(super) fn slots(&self, kinds: Kinds) -> impl Iterator<Item = u32> {
        self.tiers(kinds).flat_map(|(_, slots)| slots.iter().copied())
    }

    /// Puts a document down, unless it is there. `rank_of` says the rank of any document here.
    pub(super) fn put(&mut self, slot: u32, rank_of: impl Fn(u32) -> Rank) {
        match self {
            Self::Few(slots) => {
                put(slots, slot);
                if slots.len() > FEW_MAX {
                    let mut many = Many { counts: [0; Kind::ALL.len()], bytes: 0, tiers: Vec::new() };
                    slots.iter().for_each(|&slot| many.put(slot, rank_of(slot)));
                    *self = Self::Many(Box::new(many));
                }
            }
            Self::Many(many) => many.put(slot, rank_of(slot)),
        }
    }

    /// Takes a document out.
    pub(super) fn take(&mut self, slot: u32, rank: Rank) {
        match self {
            Self::Few(slots) => drop(take(slots, slot)),
            Self::Many(many) => {
                many.take(slot, rank);
                if self.len() <= FEW_MAX / 2 {
                    let mut slots: Vec<u32> = self.slots(Kinds::ALL).collect();
                    slots.sort_unstable();
                    *self = Self::Few(slots);
                }
            }
        }
    }

    /// Moves a document whose plays have changed.
    pub(super) fn replay(&mut self, slot: u32, from: Rank, to: Rank) {
        if let Self::Many(many) = self {
            many.take(slot, from);
            many.put(slot, to);
        }
    }

    /// How many bytes it holds besides itself.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Few(slots) => slots.capacity() * size_of::<u32>(),
            Self::Many(many) => size_of::<Many>() + many.tiers.capacity() * size_of::<Tier>() + many.bytes,
        }
    }
}

impl Many {
    fn put(&mut self, slot: u32, rank: Rank) {
        let place = self.tiers.partition_point(|tier| tier.rank.order() < rank.order());
        if self.tiers.get(place).is_none_or(|tier| tier.rank != rank) {
            self.tiers.insert(place, Tier { rank, slots: Vec::new() });
        }
        let slots = &mut self.tiers[place].slots;
        let before = slots.capacity();
        self.counts[rank.kind as usize] += usize::from(put(slots, slot));
        self.bytes += (slots.capacity() - before) * size_of::<u32>();
    }

    fn take(&mut self, slot: u32, rank: Rank) {
        let Some(place) = self.tiers.iter().position(|tier| tier.rank == rank) else { return };
        self.counts[rank.kind as usize] -= usize::from(take(&mut self.tiers[place].slots, slot));
        if self.tiers[place].slots.is_empty() {
            self.bytes -= self.tiers.remove(place).slots.capacity() * size_of::<u32>();
        }
    }
}

/// Whether it was not there before.
fn put(slots: &mut Vec<u32>, slot: u32) -> bool {
    if slots.last().is_none_or(|&last| last < slot) {
        slots.push(slot);
        return true;
    }
    let place = slots.binary_search(&slot);
    if let Err(place) = place {
        slots.insert(place, slot);
    }
    place.is_err()
}

/// Whether it was there.
fn take(slots: &mut Vec<u32>, slot: u32) -> bool {
    let place = slots.binary_search(&slot);
    if let Ok(place) = place {
        slots.remove(place);
    }
    place.is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn a_rank() -> impl Strategy<Value = Rank> {
        (0_u8..6, 0..Kind::ALL.len()).prop_map(|(power, kind)| Rank { power, kind: Kind::ALL[kind] })
    }

    proptest! {
        #[test]
        fn posts_hold_what_a_map_holds_whatever_comes_goes_and_is_played(
            changes in proptest::collection::vec((0_u32..400, a_rank(), 0_u8..8), 1..1_200),
            wanted in 1_u8..64,
        ) {
            let mut posts = Posts::default();
            let mut model: BTreeMap<u32, Rank> = BTreeMap::new();
            for (slot, rank, what) in changes {
                match (what, model.get(&slot).copied()) {
                    (0, Some(known)) => {
                        posts.take(slot, known);
                        model.remove(&slot);
                    }
                    (1, Some(known)) => {
                        posts.replay(slot, known, rank);
                        model.insert(slot, rank);
                    }
                    (_, known) => {
                        model.insert(slot, known.unwrap_or(rank));
                        posts.put(slot, |slot| model[&slot]);
                    }
                }
                prop_assert_eq!(posts.len(), model.len());
            }
            let mut held: Vec<u32> = posts.slots(Kinds::ALL).collect();
            held.sort_unstable();
            prop_assert_eq!(held, model.keys().copied().collect::<Vec<u32>>());
            let tiers: Vec<u8> = posts.tiers(Kinds::ALL).map(|(power, _)| power).collect();
            prop_assert!(tiers.is_sorted_by(|a, b| a >= b));
            for (power, slots) in posts.tiers(Kinds::ALL) {
                prop_assert!(slots.iter().all(|slot| model[slot].power <= power));
            }
            let wanted = Kinds(wanted);
            let of_kinds: Vec<u32> = model.iter().filter(|(_, rank)| wanted.has(rank.kind)).map(|(slot, _)| *slot).collect();
            let mut given: Vec<u32> = posts.slots(wanted).collect();
            given.sort_unstable();
            prop_assert_eq!(given.len(), posts.len_of(wanted));
            match posts {
                Posts::Few(_) => prop_assert!(of_kinds.iter().all(|slot| given.contains(slot))),
                Posts::Many(_) => prop_assert_eq!(given, of_kinds),
            }
        }
    }
}
