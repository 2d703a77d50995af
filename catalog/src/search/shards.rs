//! A hash table in many small ones, so that it never grows as a whole.
//!
//! A table of a million entries that grows hashes all of them again, which takes a tenth of a second and happens under the
//! lock that readers wait for. A shard has few, and grows within a fraction of a millisecond.

use hashbrown::HashTable;
use hashbrown::hash_table::{AbsentEntry, Entry, OccupiedEntry};

/// Shards of one table: 4,000 entries in each at a million.
const SHARDS: usize = 256;

/// The small tables.
pub(super) struct Shards<T>(Box<[HashTable<T>]>);

impl<T> Shards<T> {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| HashTable::new()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.0[shard(hash)].find(hash, is_it)
    }

    pub(super) fn find_entry(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
    ) -> Result<OccupiedEntry<'_, T>, AbsentEntry<'_, T>> {
        self.0[shard(hash)].find_entry(hash, is_it)
    }

    pub(super) fn entry(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Entry<'_, T> {
        self.0[shard(hash)].entry(hash, is_it, hash_of)
    }

    pub(super) fn insert_unique(&mut self, hash: u64, item: T, hash_of: impl Fn(&T) -> u64) {
        self.0[shard(hash)].insert_unique(hash, item, hash_of);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(super) fn allocation_size(&self) -> usize {
        size_of_val(&*self.0) + self.0.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}

/// By bits that a table does not go by: it takes the lowest for the place and the highest to tell neighbours apart.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let hash = |number: &u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut shards = Shards::new();
        (0..10_000).for_each(|number| shards.insert_unique(hash(&number), number, hash));
        assert_eq!(shards.len(), 10_000);
        assert_eq!(shards.iter().sum::<u64>(), 10_000 * 9_999 / 2);
        for number in (0..10_000).step_by(3) {
            let entry = shards.find_entry(hash(&number), |&known| known == number);
            entry.unwrap_or_else(|_| panic!("{number} is there")).remove();
        }
        for number in 0..10_000 {
            let found = shards.find(hash(&number), |&known| known == number);
            assert_eq!(found.is_some(), number % 3 != 0, "{number}");
        }
        let fullest = shards.0.iter().map(HashTable::len).max().expect("there are shards");
        assert!(fullest < 10_000 / SHARDS * 3, "{fullest} in one of {SHARDS}");
    }
}
