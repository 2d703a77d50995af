//! How often somebody may ask: a token bucket for each of many, in a fixed amount of memory.
//!
//! A bucket is one number, the moment at which it will be full again (GCRA, ITU-T I.371 appendix, also known as the
//! virtual scheduling algorithm): whoever has not asked for a while has a moment in the past, which is the same as no
//! entry at all. So forgetting costs nothing but the debts of those who still owe, and when the table must make room
//! it forgets who owes least. Somebody at his limit is forgotten only for others who owe as much; to wash away a debt
//! costs as many requests as the debt.
//!
//! It knows no clock, no addresses and no randomness: keys come hashed with a secret that strangers do not know, so
//! that nobody can choose his neighbours in the table.

use std::time::Duration;

/// How many requests are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests per second in the long run. At least 1.
    pub per_second: u32,
    /// Requests that may come at once after a pause. At least 1.
    pub burst: u32,
}

/// The moment of a request: microseconds since any fixed moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

/// Too many requests: the next one will be let through after this time, if nobody else asks under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Time to wait; never zero.
    pub retry_after: Duration,
}

/// Entries that one key may be kept in. They lie side by side in two cache lines.
const WAYS: usize = 8;

/// A bucket. 16 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    key: u64,
    /// When the bucket will be full again; in the past, the entry is as good as empty.
    full_at: u64,
}

/// The buckets of many keys under one quota.
#[derive(Debug)]
pub struct Rates {
    sets: Box<[[Entry; WAYS]]>,
    /// What one request costs, in microseconds of refilling.
    cost: u64,
    /// A bucket's whole content in the same unit.
    room: u64,
}

impl Rates {
    /// Room for at least `entries` keys that owe something, 16 bytes each, taken at once.
    pub fn new(quota: Quota, entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).max(1).next_power_of_two();
        let cost = (1_000_000 / u64::from(quota.per_second.max(1))).max(1);
        let room = cost * u64::from(quota.burst.max(1));
        Self { sets: vec![[Entry::default(); WAYS]; sets].into(), cost, room }
    }

    /// Takes one request out of the key's bucket, if it is in there.
    ///
    /// # Errors
    /// The bucket is empty; nothing was taken, so that asking in vain makes nobody wait longer.
    pub fn ask(&mut self, key: u64, now: Micros) -> Result<(), Limited> {
        self.ask_for(key, 1, now)
    }

    /// The same for what makes the work of several requests. More than a whole bucket is taken for a whole one.
    ///
    /// # Errors
    /// There is not enough in the bucket; nothing was taken.
    pub fn ask_for(&mut self, key: u64, requests: u32, now: Micros) -> Result<(), Limited> {
        let room = self.room;
        let cost = self.cost.saturating_mul(u64::from(requests)).min(room);
        let entry = self.find(key, now);
        // A clock that was set back must not lock anybody out for longer than an empty bucket does.
        let full_at = entry.full_at.clamp(now.0, now.0.saturating_add(room));
        let owed = full_at - now.0 + cost;
        if owed > room {
            entry.full_at = full_at;
            return Err(Limited { retry_after: Duration::from_micros(owed - room) });
        }
        *entry = Entry { key, full_at: full_at + cost };
        Ok(())
    }

    /// Keys that owe something: what the memory is used for. Walks over the whole table.
    pub fn owing(&self, now: Micros) -> usize {
        self.sets.iter().flatten().filter(|entry| entry.full_at > now.0).count()
    }

    /// The key's own entry, or the one that is worth least: an unused or settled one, else who owes least.
    fn find(&mut self, key: u64, now: Micros) -> &mut Entry {
        let index = (key >> 32) as usize & (self.sets.len() - 1);
        let set = &mut self.sets[index];
        if let Some(own) = set.iter().position(|entry| entry.key == key && entry.full_at > now.0) {
            return &mut set[own];
        }
        let least = set.iter_mut().min_by_key(|entry| entry.full_at).expect("a set has entries");
        *least = Entry { key, full_at: now.0 };
        least
    }
}

#[cfg(test)]
mod tests;
