//! Which objects are asked for most, lately: a sketch of the last minutes and one of those before.
//!
//! The rule with its bounds is [`needledrop_core::heavy`]. A request costs one look into a hash table, under a lock that
//! nobody waits for: who finds it taken is not counted, and that is.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use needledrop_core::{
    ObjectPath, UnixSeconds,
    heavy::{Heavy, Weighed, merged},
};

use crate::limits::{POPULAR_PLACES, POPULAR_SECONDS};

/// The counts of one edge.
#[derive(Debug)]
pub struct Popular {
    tables: Mutex<Tables>,
    missed: AtomicU64,
}

#[derive(Debug)]
struct Tables {
    /// When the older of the two begins.
    since: UnixSeconds,
    /// When the newer one does.
    began: UnixSeconds,
    newer: Heavy<ObjectPath>,
    older: Heavy<ObjectPath>,
}

/// The most wanted objects at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// From when on it was counted.
    pub since: UnixSeconds,
    /// Requests since then, for whatever object.
    pub total: u64,
    /// Requests since the start that were not counted because another one was being counted.
    pub missed: u64,
    /// The most wanted first; `also` is bytes that arrived.
    pub objects: Vec<Weighed<ObjectPath>>,
}

impl Default for Popular {
    fn default() -> Self {
        let start = UnixSeconds(0);
        let empty = || Heavy::new(POPULAR_PLACES);
        let tables = Tables { since: start, began: start, newer: empty(), older: empty() };
        Self { tables: Mutex::new(tables), missed: AtomicU64::new(0) }
    }
}

impl Popular {
    /// An object was asked for, and so many bytes of it arrived.
    pub fn note(&self, path: &ObjectPath, bytes: u64, now: UnixSeconds) {
        let Ok(mut tables) = self.tables.try_lock() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        tables.turn(now);
        tables.newer.note(path, bytes);
    }

    /// The most wanted objects of the last one to two periods.
    pub fn wanted(&self, most: usize, now: UnixSeconds) -> Wanted {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.turn(now);
        Wanted {
            since: tables.since,
            total: tables.newer.total() + tables.older.total(),
            missed: self.missed.load(Ordering::Relaxed),
            objects: merged(&tables.older, &tables.newer, most),
        }
    }
}

impl Tables {
    /// Begins a new table when the newer one is old enough; after two periods of silence both are empty.
    fn turn(&mut self, now: UnixSeconds) {
        let age = now.since(self.began);
        if age < POPULAR_SECONDS {
            return;
        }
        let newer = std::mem::replace(&mut self.newer, Heavy::new(POPULAR_PLACES));
        (self.since, self.older) = match age < 2 * POPULAR_SECONDS {
            true => (self.began, newer),
            false => (now, Heavy::new(POPULAR_PLACES)),
        };
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ObjectPath {
        ObjectPath::parse(text).unwrap()
    }

    #[test]
    fn what_was_wanted_is_known_for_one_period_and_forgotten_after_two() {
        let popular = Popular::default();
        let start = 1_800_000_000;
        let at = |seconds| UnixSeconds(start + seconds);
        popular.note(&path("/a"), 100, at(0));
        popular.note(&path("/b"), 7, at(1));
        popular.note(&path("/a"), 50, at(POPULAR_SECONDS + 1));
        let wanted = popular.wanted(1, at(POPULAR_SECONDS + 2));
        assert_eq!((wanted.since, wanted.total, wanted.missed), (at(0), 3, 0));
        assert_eq!(wanted.objects, [Weighed { key: path("/a"), count: 2, error: 0, also: 150 }]);
        let later = popular.wanted(9, at(4 * POPULAR_SECONDS));
        assert_eq!((later.total, later.objects.len(), later.since), (0, 0, at(4 * POPULAR_SECONDS)));
    }
}
