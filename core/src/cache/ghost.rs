//! Memory of blocks that left: which of the last so many are asked for again?
//!
//! A set-associative table of fingerprints: an entry is good while fewer than `capacity` have
//! come after it, and nothing is ever moved. 32 bits of fingerprint in a set of eight make a
//! stranger look familiar about twice in a thousand million lookups, which costs that stranger's
//! block a better place than it deserves and nothing else.

/// Entries of one set: 64 bytes, a cache line.
const WAYS: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    fingerprint: u32,
    /// The number of the departure, from 1; 0 is an empty entry.
    departure: u32,
}

#[derive(Debug)]
pub(super) struct Ghosts {
    sets: Box<[[Entry; WAYS]]>,
    capacity: u32,
    departures: u32,
}

impl Ghosts {
    /// Remembers the last `capacity` departures, less the few that a full set loses early.
    pub(super) fn new(capacity: u32) -> Self {
        let sets = (capacity as usize * 5 / 4).div_ceil(WAYS).max(1);
        Self { sets: vec![[Entry::default(); WAYS]; sets].into(), capacity, departures: 0 }
    }

    /// A block left.
    pub(super) fn remember(&mut self, spread: u64) {
        self.departures = self.departures.checked_add(1).unwrap_or_else(|| self.begin_anew());
        let departure = self.departures;
        let oldest = self.set(spread).iter_mut().min_by_key(|entry| entry.departure).expect("eight ways");
        *oldest = Entry { fingerprint: fingerprint(spread), departure };
    }

    /// Whether a block left lately; it is forgotten, since it comes back.
    pub(super) fn recall(&mut self, spread: u64) -> bool {
        let eldest = self.departures.saturating_sub(self.capacity);
        let wanted = fingerprint(spread);
        let found = self.set(spread).iter_mut().find(|entry| entry.fingerprint == wanted && entry.departure > eldest);
        found.map(|entry| *entry = Entry::default()).is_some()
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sets.len() * size_of::<[Entry; WAYS]>()
    }

    /// After 2^32 departures: forget all, rather than take the oldest for the newest.
    fn begin_anew(&mut self) -> u32 {
        self.sets.fill([Entry::default(); WAYS]);
        1
    }

    fn set(&mut self, spread: u64) -> &mut [Entry; WAYS] {
        let at = (u128::from(spread) * self.sets.len() as u128) >> 64;
        &mut self.sets[at as usize]
    }
}

/// The low bits; the high ones choose the set.
fn fingerprint(spread: u64) -> u32 {
    (spread & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::{
        super::key::{BlockKey, VersionId},
        *,
    };

    fn spread(block: u32) -> u64 {
        BlockKey { version: VersionId(1), block }.spread()
    }

    #[test]
    fn the_last_departures_are_remembered_and_older_ones_are_not() {
        let mut ghosts = Ghosts::new(1_000);
        (0..3_000).for_each(|block| ghosts.remember(spread(block)));
        let late = (2_000..3_000).filter(|block| ghosts.recall(spread(*block))).count();
        assert!(late > 850, "{late} of the last thousand are known");
        assert_eq!((0..2_000).filter(|block| ghosts.recall(spread(*block))).count(), 0);
    }

    #[test]
    fn who_comes_back_is_forgotten() {
        let mut ghosts = Ghosts::new(10);
        ghosts.remember(spread(7));
        assert!(ghosts.recall(spread(7)));
        assert!(!ghosts.recall(spread(7)));
    }
}
