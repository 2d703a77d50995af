//! Playlists in search.
//!
//! The index that everybody searches holds public playlists only, so that a private one of somebody else cannot change
//! what anybody is shown, how many there are or how long it takes. [`PublicLists`] keeps it in step with the store; what
//! a reader's own private ones come to is found from the store when he asks ([`find`]).

pub mod find;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use needledrop_catalog::search::{DocId, Document, Index, Kind};
use needledrop_core::PlaylistId;
use needledrop_playlist::{News, PUBLIC_AT_ONCE, Playlist, Playlists, Revision};

/// Changes of which it is remembered how late they were: those of the last moments, in which two may be told in the wrong
/// order. 100 bytes each.
const CHANGES_MAX: usize = 16_384;

/// Above each revision that a playlist may have: nothing follows its end.
const GONE: Revision = Revision(u64::MAX);

/// The public playlists of everybody, as the index has them.
pub struct PublicLists {
    index: Arc<Index>,
    told: Mutex<Told>,
}

/// What the index was told.
struct Told {
    /// What is in it, and of which revision.
    shown: HashMap<PlaylistId, Revision>,
    /// The latest that is known of playlists that changed of late.
    changed: LruCache<PlaylistId, Revision>,
}

/// What a look at all of them did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Playlists that are new or have changed.
    pub put: usize,
    /// Playlists that are no longer there or no longer public.
    pub removed: usize,
}

impl PublicLists {
    /// For an index without playlists.
    pub fn new(index: Arc<Index>) -> Self {
        let room = NonZeroUsize::new(CHANGES_MAX).expect("the bound is not zero");
        Self { index, told: Mutex::new(Told { shown: HashMap::new(), changed: LruCache::new(room) }) }
    }

    /// Takes in what has just been committed; what is older than what is known is left out.
    pub fn tell(&self, news: News<'_>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Is(list) => self.take(&mut told, list, list.revision),
            News::Gone(id) => self.leave(&mut told, id, GONE),
        };
    }

    /// Makes the index agree with the store: at the start, and from time to time for changes of which nothing was told.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn follow(&self, playlists: &Playlists) -> Result<Looked, needledrop_playlist::Error> {
        let mut left = self.told.lock().unwrap_or_else(PoisonError::into_inner).shown.clone();
        let (mut looked, mut last) = (Looked::default(), None);
        loop {
            let some = playlists.public_after(last).await?;
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            for list in &some {
                left.remove(&list.id);
                looked.put += usize::from(self.take(&mut told, list, list.revision));
            }
            last = some.last().map(|list| list.id);
            if some.len() < PUBLIC_AT_ONCE {
                break;
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, revision) in left {
            // What was made public anew while this look went on is at a later revision and stays.
            if told.shown.get(&id) == Some(&revision) {
                looked.removed += usize::from(self.leave(&mut told, id, revision));
            }
        }
        Ok(looked)
    }

    /// Whether the index has changed.
    fn take(&self, told: &mut Told, list: &Playlist, revision: Revision) -> bool {
        if told.changed.peek(&list.id).is_some_and(|known| *known > revision)
            || told.shown.get(&list.id) >= Some(&revision)
        {
            return false;
        }
        if !list.is_public {
            return self.leave(told, list.id, revision);
        }
        told.changed.put(list.id, revision);
        if let Err(error) = self.index.insert(&document(list)) {
            tracing::error!(%error, "search does not know of a playlist");
            return false;
        }
        told.shown.insert(list.id, revision);
        true
    }

    fn leave(&self, told: &mut Told, id: PlaylistId, revision: Revision) -> bool {
        told.changed.put(id, revision);
        told.shown.remove(&id).is_some() && self.index.remove(Kind::Playlist, &DocId::from(id))
    }
}

/// A playlist as search knows it.
fn document(list: &Playlist) -> Document {
    Document {
        kind: Kind::Playlist,
        id: DocId::from(list.id),
        name: list.name.as_str().to_owned(),
        aliases: Vec::new(),
        by: Vec::new(),
        plays: 0,
    }
}
