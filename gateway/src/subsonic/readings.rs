//! Which state of a playlist each program has read last.
//!
//! The protocol's only way to change the order is to send the whole list, with no word about which list was changed. So
//! what was read is remembered, and a list that comes back is merged with what others did since (`playlist/src/merge.rs`).
//! Kept in memory: after a restart, or where too much was read since, a list that comes is taken as it is.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use needledrop_core::{PlaylistId, TokenId};
use needledrop_playlist::{Contents, Item};

/// Items that are remembered, of 40 bytes: 8 MB, four hundred lists of five hundred.
const ITEMS_MAX: usize = 200_000;

/// Lists that are remembered, however short.
const LISTS_MAX: usize = 4_096;

/// A program: the credential it holds, and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) token: TokenId,
    pub(super) client: String,
    pub(super) playlist: PlaylistId,
}

/// What was read of late.
pub struct Readings(Mutex<Table>);

struct Table {
    lists: LruCache<Reader, Vec<Item>>,
    items: usize,
}

impl Default for Readings {
    fn default() -> Self {
        let room = NonZeroUsize::new(LISTS_MAX).expect("the bound is not zero");
        Self(Mutex::new(Table { lists: LruCache::new(room), items: 0 }))
    }
}

impl Readings {
    /// This program knows the list as it is in this answer.
    pub(super) fn read(&self, reader: Reader, contents: &Contents) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.items += contents.items.len();
        if let Some((_, gone)) = table.lists.push(reader, contents.items.clone()) {
            table.items -= gone.len();
        }
        while table.items > ITEMS_MAX
            && let Some((_, gone)) = table.lists.pop_lru()
        {
            table.items -= gone.len();
        }
    }

    /// The list as this program read it last.
    pub(super) fn last(&self, reader: &Reader) -> Option<Vec<Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lists.get(reader).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use needledrop_core::{AccountId, TrackId, UnixSeconds};
    use needledrop_playlist::{About, ItemId, ListName, Playlist, Revision};

    fn reader(n: u8) -> Reader {
        let playlist = PlaylistId::from_random([n; 16]);
        Reader { token: TokenId::from_random([1; 16]), client: "phone".to_owned(), playlist }
    }

    fn contents(items: u64) -> Contents {
        let item = |n| Item { id: ItemId(n), track: TrackId::from_random([1; 16]), added: UnixSeconds(0) };
        let playlist = Playlist {
            id: PlaylistId::from_random([1; 16]),
            owner: AccountId::from_random([1; 16]),
            name: ListName::parse("x").unwrap(),
            about: About::default(),
            is_public: false,
            revision: Revision(1),
            items: items as u32,
            created: UnixSeconds(0),
            changed: UnixSeconds(0),
        };
        Contents { playlist, items: (0..items).map(item).collect() }
    }

    #[test]
    fn the_longest_unread_are_forgotten_when_it_is_too_much() {
        let readings = Readings::default();
        for n in 0..25 {
            readings.read(reader(n), &contents(10_000));
        }
        assert_eq!(readings.last(&reader(24)).unwrap().len(), 10_000);
        assert!(readings.last(&reader(5)).is_some() && readings.last(&reader(4)).is_none());
        readings.read(reader(24), &contents(3));
        assert_eq!(readings.last(&reader(24)).unwrap().len(), 3);
        assert_eq!(readings.0.lock().unwrap().items, 190_003);
    }
}
