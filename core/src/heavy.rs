//! Who is asked for most, in bounded memory: the Space-Saving sketch (Metwally, Agrawal and El Abbadi, 2005).
//!
//! A table of so many keys. A key that has no place takes that of the smallest count and goes on from it: what the
//! other had is its possible error. So, of a sketch of `k` places that saw a weight of `n`,
//!
//! - a count is never too small, and too large by its `error` at most;
//! - no error is larger than `n / k`;
//! - every key that weighs more than `n / k` is in the table.

use std::collections::HashMap;
use std::hash::Hash;

/// The table.
#[derive(Debug, Clone)]
pub struct Heavy<K> {
    places: usize,
    total: u64,
    index: HashMap<K, usize>,
    keys: Vec<K>,
    /// Apart from the rest, so that looking for the smallest reads memory in one line.
    counts: Vec<u64>,
    errors: Vec<u64>,
    also: Vec<u64>,
}

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed<K> {
    /// The key.
    pub key: K,
    /// How often it came: at most so often.
    pub count: u64,
    /// By how much that may be too large.
    pub error: u64,
    /// What else was added up with it since it has its place; never too large.
    pub also: u64,
}

impl<K: Hash + Eq + Clone> Heavy<K> {
    /// An empty table of so many places, at least one.
    pub fn new(places: usize) -> Self {
        let places = places.max(1);
        Self {
            places,
            total: 0,
            index: HashMap::with_capacity(places),
            keys: Vec::with_capacity(places),
            counts: Vec::with_capacity(places),
            errors: Vec::with_capacity(places),
            also: Vec::with_capacity(places),
        }
    }

    /// The key came once more, and brought `also`, such as bytes.
    pub fn note(&mut self, key: &K, also: u64) {
        self.total += 1;
        if let Some(&place) = self.index.get(key) {
            self.counts[place] += 1;
            self.also[place] = self.also[place].saturating_add(also);
            return;
        }
        if self.keys.len() < self.places {
            self.index.insert(key.clone(), self.keys.len());
            self.keys.push(key.clone());
            self.counts.push(1);
            self.errors.push(0);
            self.also.push(also);
            return;
        }
        let place = self.least();
        self.index.remove(&self.keys[place]);
        self.index.insert(key.clone(), place);
        self.keys[place] = key.clone();
        self.errors[place] = self.counts[place];
        self.counts[place] += 1;
        self.also[place] = also;
    }

    /// How often any key came.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// By how much the count of a key that is not in the table may be too small when it is taken for zero.
    pub fn floor(&self) -> u64 {
        if self.keys.len() < self.places { 0 } else { self.counts[self.least()] }
    }

    /// Everything that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Weighed<K>> {
        (0..self.keys.len()).map(|place| Weighed {
            key: self.keys[place].clone(),
            count: self.counts[place],
            error: self.errors[place],
            also: self.also[place],
        })
    }

    fn least(&self) -> usize {
        let smallest = self.counts.iter().enumerate().min_by_key(|(_, count)| **count);
        smallest.map_or(0, |(place, _)| place)
    }
}

/// The heaviest of two tables that saw one after the other, heaviest first. What one of them does not know may have
/// come as often as the smallest that it knows.
pub fn merged<K: Hash + Eq + Clone + Ord>(one: &Heavy<K>, other: &Heavy<K>, most: usize) -> Vec<Weighed<K>> {
    let (floor_one, floor_other) = (one.floor(), other.floor());
    let mut all: HashMap<K, (Weighed<K>, u64)> =
        one.iter().map(|known| (known.key.clone(), (known, floor_other))).collect();
    for known in other.iter() {
        match all.get_mut(&known.key) {
            Some((sum, missing)) => {
                sum.count += known.count;
                sum.error += known.error;
                sum.also = sum.also.saturating_add(known.also);
                *missing = 0;
            }
            None => drop(all.insert(known.key.clone(), (known, floor_one))),
        }
    }
    let mut all: Vec<_> = all
        .into_values()
        .map(|(known, missing)| Weighed { count: known.count + missing, error: known.error + missing, ..known })
        .collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn truth(keys: &[u8]) -> HashMap<u8, u64> {
        let mut counts = HashMap::new();
        for key in keys {
            *counts.entry(*key).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn who_fits_is_counted_exactly() {
        let mut sketch = Heavy::new(3);
        for (key, bytes) in [("a", 10), ("b", 1), ("a", 5)] {
            sketch.note(&key, bytes);
        }
        assert_eq!((sketch.total(), sketch.floor()), (3, 0));
        let best = merged(&sketch, &Heavy::new(3), 1);
        assert_eq!(best, [Weighed { key: "a", count: 2, error: 0, also: 15 }]);
    }

    proptest! {
        #[test]
        fn counts_are_right_within_their_errors(keys in prop::collection::vec(0u8..40, 0..600), places in 1usize..20) {
            let mut sketch = Heavy::new(places);
            keys.iter().for_each(|key| sketch.note(key, 3));
            let (truth, total) = (truth(&keys), keys.len() as u64);
            let bound = total / places as u64;
            prop_assert_eq!(sketch.total(), total);
            prop_assert!(sketch.floor() <= bound);
            let known: HashMap<u8, Weighed<u8>> = sketch.iter().map(|known| (known.key, known)).collect();
            prop_assert!(known.len() <= places);
            for (key, count) in &truth {
                match known.get(key) {
                    Some(known) => {
                        prop_assert!(*count <= known.count && known.count - known.error <= *count);
                        prop_assert!(known.error <= bound);
                        prop_assert!(known.also <= 3 * count);
                    }
                    None => prop_assert!(*count <= bound && *count <= sketch.floor()),
                }
            }
        }

        #[test]
        fn two_tables_are_right_together(
            before in prop::collection::vec(0u8..30, 0..300),
            after in prop::collection::vec(0u8..30, 0..300),
            places in 1usize..12,
        ) {
            let (mut one, mut other) = (Heavy::new(places), Heavy::new(places));
            before.iter().for_each(|key| one.note(key, 0));
            after.iter().for_each(|key| other.note(key, 0));
            let truth = truth(&[before, after].concat());
            for known in merged(&one, &other, usize::MAX) {
                let count = truth[&known.key];
                prop_assert!(count <= known.count && known.count - known.error <= count, "{known:?} is {count}");
            }
        }
    }
}
