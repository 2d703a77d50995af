//! Artists, releases, tracks and what goes with them that were read a short while ago, for one version of the catalog.
//!
//! Every batch of changes raises the catalog's version in its own transaction. What is cached belongs to one version:
//! a reader whose moment has another version neither finds nor leaves anything here.

use super::playable::{Following, Playable};
use super::touched::Touched;
use crate::model::{Artist, Release, Track};
use lru::LruCache;
use needledrop_core::{ArtistId, ReleaseId, TrackId};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Tracks kept: with six renditions each about 1 KiB, so 32 MiB; half a KiB for a grant of each, and 100 bytes for what
/// follows it, so 20 MiB more.
const TRACKS_MAX: NonZeroUsize = NonZeroUsize::new(32_768).expect("not zero");
/// Releases kept, each about half a KiB.
const RELEASES_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Artists kept, each about half a KiB.
const ARTISTS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Track lists of releases kept: at most [`TRACKLIST_MAX`] ids each, so 92 MiB, and 5 MiB of usual albums.
const TRACKLISTS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Longest track list that is kept. A longer one is read each time.
const TRACKLIST_MAX: usize = 256;
/// How long a version is believed before the database is asked for it: another process may have changed the catalog.
const BELIEVE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Cache(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    version: u64,
    seen: Instant,
    tracks: LruCache<TrackId, Arc<Track>>,
    releases: LruCache<ReleaseId, Arc<Release>>,
    artists: LruCache<ArtistId, Arc<Artist>>,
    playables: LruCache<TrackId, Arc<Playable>>,
    following: LruCache<TrackId, Arc<Following>>,
    tracklists: LruCache<ReleaseId, Vec<TrackId>>,
}

/// What can be cached.
pub(super) trait Cached: Sized {
    type Id: Copy + Eq + Hash;
    fn shelf(state: &mut State) -> &mut LruCache<Self::Id, Arc<Self>>;
}

macro_rules! cached {
    ($thing:ty, $id:ty, $shelf:ident) => {
        impl Cached for $thing {
            type Id = $id;
            fn shelf(state: &mut State) -> &mut LruCache<$id, Arc<Self>> {
                &mut state.$shelf
            }
        }
    };
}

cached!(Track, TrackId, tracks);
cached!(Release, ReleaseId, releases);
cached!(Artist, ArtistId, artists);
cached!(Playable, TrackId, playables);
cached!(Following, TrackId, following);

impl Cache {
    pub(super) fn new(version: u64, now: Instant) -> Self {
        Self(Mutex::new(State {
            version,
            seen: now,
            tracks: LruCache::new(TRACKS_MAX),
            releases: LruCache::new(RELEASES_MAX),
            artists: LruCache::new(ARTISTS_MAX),
            playables: LruCache::new(TRACKS_MAX),
            following: LruCache::new(TRACKS_MAX),
            tracklists: LruCache::new(TRACKLISTS_MAX),
        }))
    }

    /// Whether the version was seen in the database lately.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.lock().seen) < BELIEVE
    }

    /// Takes note of the version that a reader found in the database at `now`.
    pub(super) fn observe(&self, version: u64, now: Instant) {
        let mut state = self.lock();
        if version > state.version {
            state.clear();
            state.version = version;
        }
        // A reader that began before another one's write brings an old version late: that refreshes nothing.
        if version == state.version {
            state.seen = state.seen.max(now);
        }
    }

    /// What is cached of the newest version that this process knows.
    pub(super) fn get<T: Cached>(&self, id: &T::Id) -> Option<Arc<T>> {
        T::shelf(&mut self.lock()).get(id).cloned()
    }

    /// What is cached of exactly this version.
    pub(super) fn get_at<T: Cached>(&self, version: u64, ids: &[T::Id]) -> Vec<Option<Arc<T>>> {
        let mut state = self.lock();
        if state.version != version {
            return vec![None; ids.len()];
        }
        let shelf = T::shelf(&mut state);
        ids.iter().map(|id| shelf.get(id).cloned()).collect()
    }

    /// Keeps what was read at this version, unless the catalog is at another one by now.
    pub(super) fn put<T: Cached>(&self, version: u64, found: impl Iterator<Item = (T::Id, Arc<T>)>) {
        let mut state = self.lock();
        if state.version == version {
            let shelf = T::shelf(&mut state);
            found.for_each(|(id, thing)| drop(shelf.put(id, thing)));
        }
    }

    /// All tracks of a release in their order, if they are all here: one lock, so one version.
    pub(super) fn tracks_on(&self, release: &ReleaseId) -> Option<Vec<Arc<Track>>> {
        let state = &mut *self.lock();
        state.tracklists.get(release)?.iter().map(|id| state.tracks.get(id).cloned()).collect()
    }

    /// Keeps the order of all tracks of a release.
    pub(super) fn put_tracklist(&self, version: u64, release: ReleaseId, tracks: Vec<TrackId>) {
        let mut state = self.lock();
        if state.version == version && tracks.len() <= TRACKLIST_MAX {
            state.tracklists.put(release, tracks);
        }
    }

    /// A batch of this process made version `to`.
    pub(super) fn advance(&self, to: u64, touched: &Touched, now: Instant) {
        let mut state = self.lock();
        if state.version >= to {
            return; // a reader has seen it first, and cleared all
        }
        if state.version + 1 != to || touched.artist_renamed || touched.release_renamed {
            state.clear();
        }
        if touched.reordered {
            state.following.clear();
            state.tracklists.clear();
        }
        for id in &touched.tracks {
            state.tracks.pop(id);
            state.playables.pop(id);
        }
        touched.releases.iter().for_each(|id| drop(state.releases.pop(id)));
        touched.artists.iter().for_each(|id| drop(state.artists.pop(id)));
        state.version = to;
        state.seen = now;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the cache")
    }
}

impl State {
    fn clear(&mut self) {
        self.tracks.clear();
        self.releases.clear();
        self.artists.clear();
        self.playables.clear();
        self.following.clear();
        self.tracklists.clear();
    }
}
