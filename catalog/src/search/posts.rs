//! The documents of one word.
//!
//! A few are a plain list. Many lie in tiers by the power of two of their plays: a search looks at the most played first,
//! and knows of each tier how many points its documents can have at best, so that it seldom looks at all of them.

/// How many documents lie in one list: two cache lines of them, looked through faster than tiers are.
const FEW_MAX: usize = 256;
/// The bound of a list without tiers.
const ANY_POWER: u8 = 64;

/// Slots of documents.
pub(super) enum Posts {
    /// Ascending.
    Few(Vec<u32>),
    Many(Box<Many>),
}

/// The most played tier first.
pub(super) struct Many {
    count: usize,
    /// Bytes of the slots.
    bytes: usize,
    tiers: Vec<Tier>,
}

/// Documents with plays below the same power of two.
struct Tier {
    power: u8,
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
        match self {
            Self::Few(slots) => slots.len(),
            Self::Many(many) => many.count,
        }
    }

    /// Slots, and the power of two that the plays of their documents are below; the most played first.
    pub(super) fn tiers(&self) -> impl Iterator<Item = (u8, &[u32])> {
        let (few, many) = match self {
            Self::Few(slots) => (Some((ANY_POWER, slots.as_slice())), &[][..]),
            Self::Many(many) => (None, many.tiers.as_slice()),
        };
        few.into_iter().chain(many.iter().map(|tier| (tier.power, tier.slots.as_slice())))
    }

    /// Every slot.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.tiers().flat_map(|(_, slots)| slots.iter().copied())
    }

    /// Puts a document down, unless it is there. `power_of` says the power of two above the plays of any document here.
    pub(super) fn put(&mut self, slot: u32, power_of: impl Fn(u32) -> u8) {
        match self {
            Self::Few(slots) => {
                put(slots, slot);
                if slots.len() > FEW_MAX {
                    let mut many = Many { count: 0, bytes: 0, tiers: Vec::new() };
                    slots.iter().for_each(|&slot| many.put(slot, power_of(slot)));
                    *self = Self::Many(Box::new(many));
                }
            }
            Self::Many(many) => many.put(slot, power_of(slot)),
        }
    }

    /// Takes a document out.
    pub(super) fn take(&mut self, slot: u32, power: u8) {
        match self {
            Self::Few(slots) => drop(take(slots, slot)),
            Self::Many(many) => {
                many.take(slot, power);
                if many.count <= FEW_MAX / 2 {
                    let mut slots: Vec<u32> = many.tiers.iter().flat_map(|tier| &tier.slots).copied().collect();
                    slots.sort_unstable();
                    *self = Self::Few(slots);
                }
            }
        }
    }

    /// Moves a document whose plays have changed.
    pub(super) fn replay(&mut self, slot: u32, from: u8, to: u8) {
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
    fn put(&mut self, slot: u32, power: u8) {
        let place = self.tiers.partition_point(|tier| tier.power > power);
        if self.tiers.get(place).is_none_or(|tier| tier.power != power) {
            self.tiers.insert(place, Tier { power, slots: Vec::new() });
        }
        let slots = &mut self.tiers[place].slots;
        let before = slots.capacity();
        self.count += usize::from(put(slots, slot));
        self.bytes += (slots.capacity() - before) * size_of::<u32>();
    }

    fn take(&mut self, slot: u32, power: u8) {
        let Some(place) = self.tiers.iter().position(|tier| tier.power == power) else { return };
        self.count -= usize::from(take(&mut self.tiers[place].slots, slot));
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

    proptest! {
        #[test]
        fn posts_hold_what_a_map_holds_whatever_comes_goes_and_is_played(
            changes in proptest::collection::vec((0_u32..200, 0_u8..6, 0_u8..8), 1..600),
        ) {
            let mut posts = Posts::default();
            let mut model: BTreeMap<u32, u8> = BTreeMap::new();
            for (slot, power, what) in changes {
                match (what, model.get(&slot).copied()) {
                    (0, Some(known)) => {
                        posts.take(slot, known);
                        model.remove(&slot);
                    }
                    (1, Some(known)) => {
                        posts.replay(slot, known, power);
                        model.insert(slot, power);
                    }
                    (_, known) => {
                        model.insert(slot, known.unwrap_or(power));
                        posts.put(slot, |slot| model[&slot]);
                    }
                }
                prop_assert_eq!(posts.len(), model.len());
            }
            let mut held: Vec<u32> = posts.slots().collect();
            held.sort_unstable();
            prop_assert_eq!(held, model.keys().copied().collect::<Vec<u32>>());
            let tiers: Vec<u8> = posts.tiers().map(|(power, _)| power).collect();
            prop_assert!(tiers.is_sorted_by(|a, b| a > b));
            for (power, slots) in posts.tiers() {
                prop_assert!(slots.iter().all(|slot| model[slot] <= power));
            }
        }
    }
}
