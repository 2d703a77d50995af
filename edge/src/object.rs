//! What the edge knows of an object besides its bytes: length, validators, freshness.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use lru::LruCache;
use needledrop_core::{
    BLOCK_BYTES, BlockIndex, ObjectPath, UnixSeconds, Validators,
    block::HEAD_BYTES_DEFAULT,
    cache::{BlockKey, Class, VersionId},
    purge::Target,
};

use serde::{Deserialize, Serialize};

use crate::{
    limits::{PURGE_STEP_OBJECTS, UNCACHEABLE_SECONDS},
    upstream::Facts,
};

/// One version of one object. Everything but its freshness is immutable.
#[derive(Debug)]
pub struct Object {
    /// The number under which its blocks are kept.
    pub version: VersionId,
    /// Where it lives, here and upstream.
    pub path: ObjectPath,
    /// Its length in bytes.
    pub len: u64,
    /// ETag and Last-Modified as upstream gave them; at least one is strong.
    pub validators: Validators,
    /// Its media type.
    pub content_type: String,
    /// Whether upstream said it never changes under this path.
    pub immutable: bool,
    /// What it belongs to: purged together.
    pub tags: Vec<String>,
    fresh_until: AtomicU64,
    /// When upstream last confirmed it, less the Age it had then: `now - born` is its Age.
    born: AtomicU64,
    /// Its first 30 s in bytes as a signed URL told, 0 while none has.
    head_bytes: AtomicU64,
    /// [`Stale`], taken apart; an allowance that upstream did not state is `u64::MAX`.
    stale_while_revalidating: AtomicU64,
    stale_if_error: AtomicU64,
    /// Upstream failed when asked about it: not asked again before then.
    unasked_until: AtomicU64,
    gone: AtomicBool,
    /// Whether the store's journal has it as it is now known.
    pub(crate) journaled: AtomicBool,
    doubtful: AtomicBool,
}

impl Object {
    /// A version just learnt from upstream.
    pub fn new(version: VersionId, path: ObjectPath, facts: &Facts) -> Arc<Self> {
        Arc::new(Self {
            version,
            path,
            len: facts.len,
            validators: facts.validators.clone(),
            content_type: facts.content_type.clone(),
            immutable: facts.freshness.immutable,
            tags: facts.tags.clone(),
            fresh_until: AtomicU64::new(facts.freshness.fresh_until.0),
            born: AtomicU64::new(facts.freshness.born.0),
            head_bytes: AtomicU64::new(0),
            stale_while_revalidating: AtomicU64::new(facts.freshness.stale.while_revalidating_s),
            stale_if_error: AtomicU64::new(facts.freshness.stale.if_error_s.unwrap_or(u64::MAX)),
            unasked_until: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            journaled: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
        })
    }

    /// Length of its head in bytes: as a signed URL told, else what 30 s usually are.
    pub fn head_bytes(&self) -> u64 {
        match self.head_bytes.load(Ordering::Relaxed) {
            0 => HEAD_BYTES_DEFAULT,
            told => told,
        }
    }

    /// A signed URL tells the length of the head.
    pub fn learn_head(&self, bytes: u64) {
        if self.head_bytes.swap(bytes, Ordering::Relaxed) != bytes {
            self.journaled.store(false, Ordering::Relaxed);
        }
    }

    /// Length of its head in bytes, if a signed URL told.
    pub fn told_head(&self) -> Option<u64> {
        Some(self.head_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Whether it was purged, or forgotten for another reason: nothing of it is stored any more, and
    /// no request that begins now gets it.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether it may have been purged while this edge was away: not served, not even stale, before
    /// upstream has confirmed it.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    /// Declares it gone, for good. Call before its blocks are removed, so that none is stored behind that.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether a block has a part in the head.
    pub fn class(&self, block: u32) -> Class {
        if BlockIndex(block).start() < self.head_bytes() { Class::Head } else { Class::Body }
    }

    /// Whether it may be served without asking upstream (RFC 9111 section 4.2).
    pub fn is_fresh(&self, now: UnixSeconds) -> bool {
        !self.is_doubtful() && now.0 < self.fresh_until.load(Ordering::Relaxed)
    }

    /// Whether it may be served although stale, while somebody asks upstream (RFC 5861 section 3).
    pub fn may_serve_while_revalidating(&self, now: UnixSeconds) -> bool {
        self.is_stale_for_less_than(self.stale_while_revalidating.load(Ordering::Relaxed), now)
    }

    /// Whether it may be served although stale, because upstream fails (RFC 5861 section 4).
    /// `default_seconds` is the operator's word where upstream stated nothing (RFC 9111 section 4.2.4).
    pub fn may_serve_on_error(&self, default_seconds: u64, now: UnixSeconds) -> bool {
        let stated = self.freshness().stale.if_error_s;
        self.is_stale_for_less_than(stated.unwrap_or(default_seconds), now)
    }

    fn is_stale_for_less_than(&self, seconds: u64, now: UnixSeconds) -> bool {
        let until = self.fresh_until.load(Ordering::Relaxed).saturating_add(seconds);
        !self.is_doubtful() && !self.is_gone() && now.0 < until
    }

    /// Upstream failed when asked about it: whoever comes before `until` need not wait for that again.
    pub fn leave_alone(&self, until: UnixSeconds) {
        self.unasked_until.store(until.0, Ordering::Relaxed);
    }

    /// Whether upstream failed a moment ago when asked about it.
    pub fn is_left_alone(&self, now: UnixSeconds) -> bool {
        now.0 < self.unasked_until.load(Ordering::Relaxed)
    }

    /// Seconds for which it stays fresh.
    pub fn seconds_left(&self, now: UnixSeconds) -> u64 {
        self.fresh_until.load(Ordering::Relaxed).saturating_sub(now.0)
    }

    /// Its Age in seconds (RFC 9111 section 5.1).
    pub fn age(&self, now: UnixSeconds) -> u64 {
        now.0.saturating_sub(self.born.load(Ordering::Relaxed))
    }

    /// Upstream confirmed that this is still the current version.
    pub fn confirm(&self, freshness: &Freshness) {
        self.fresh_until.store(freshness.fresh_until.0, Ordering::Relaxed);
        self.born.store(freshness.born.0, Ordering::Relaxed);
        self.stale_while_revalidating.store(freshness.stale.while_revalidating_s, Ordering::Relaxed);
        self.stale_if_error.store(freshness.stale.if_error_s.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.unasked_until.store(0, Ordering::Relaxed);
        self.doubtful.store(false, Ordering::Release);
        self.journaled.store(false, Ordering::Relaxed);
    }

    /// For how long upstream's last word on it may be reused.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            fresh_until: UnixSeconds(self.fresh_until.load(Ordering::Relaxed)),
            born: UnixSeconds(self.born.load(Ordering::Relaxed)),
            immutable: self.immutable,
            stale: Stale {
                while_revalidating_s: self.stale_while_revalidating.load(Ordering::Relaxed),
                if_error_s: Some(self.stale_if_error.load(Ordering::Relaxed)).filter(|seconds| *seconds != u64::MAX),
            },
        }
    }

    /// The key of one of its blocks.
    pub fn key(&self, block: u32) -> BlockKey {
        BlockKey { version: self.version, block }
    }

    /// How many bytes of block `block` belong to the object.
    pub fn block_len(&self, block: u32) -> usize {
        let range = BlockIndex(block).range(self.len).expect("a block of this object");
        usize::try_from(range.len()).expect("at most a block")
    }

    /// Number of its blocks.
    pub fn blocks(&self) -> u32 {
        u32::try_from(self.len.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX)
    }
}

/// How long an answer may be reused, in absolute times.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// The first second at which it is stale.
    pub fresh_until: UnixSeconds,
    /// When it was made, as far as Age and Date tell.
    pub born: UnixSeconds,
    /// `Cache-Control: immutable` (RFC 8246).
    pub immutable: bool,
    /// For how long beyond that it may be used after all.
    pub stale: Stale,
}

/// What upstream allows to be done with a stale object (RFC 5861). By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// Seconds after its freshness in which it is served while upstream is asked.
    pub while_revalidating_s: u64,
    /// Seconds after its freshness in which it is served if upstream fails; `None`: not stated.
    pub if_error_s: Option<u64>,
}

impl Default for Stale {
    fn default() -> Self {
        Self { while_revalidating_s: 0, if_error_s: Some(0) }
    }
}

/// What is remembered under a path.
#[derive(Debug, Clone)]
pub enum Known {
    /// A version whose blocks may be cached.
    Object(Arc<Object>),
    /// Must not be stored: fetched past the cache until that time, then asked again.
    Uncacheable(UnixSeconds),
}

/// The paths the edge knows, bounded, least recently used out first.
pub struct Objects {
    table: Mutex<Table>,
    versions: AtomicU64,
}

struct Table {
    known: LruCache<ObjectPath, Known>,
    /// The same paths in order: a walk goes on where it stopped, so nobody holds the table for long.
    paths: BTreeSet<ObjectPath>,
}

/// One step of a walk that takes objects away.
pub struct Taken {
    /// What was known and is no more.
    pub objects: Vec<Arc<Object>>,
    /// Where to go on; `None` at the end.
    pub more: Option<ObjectPath>,
}

impl Objects {
    /// Room for `max` objects.
    pub fn new(max: usize) -> Self {
        let max = NonZeroUsize::new(max.max(1)).expect("at least one");
        let table = Table { known: LruCache::new(max), paths: BTreeSet::new() };
        Self { table: Mutex::new(table), versions: AtomicU64::new(0) }
    }

    /// What is known of a path.
    pub fn get(&self, path: &ObjectPath) -> Option<Known> {
        self.lock().known.get(path).cloned()
    }

    /// A number for a version not seen before. Taken before upstream is asked, so that an answer which
    /// a purge overtakes can be told from one that was asked for afterwards.
    pub fn next_version(&self) -> VersionId {
        VersionId(self.versions.fetch_add(1, Ordering::Relaxed))
    }

    /// The number that the next version will get.
    pub fn peek_version(&self) -> VersionId {
        VersionId(self.versions.load(Ordering::Relaxed))
    }

    /// Numbers go on from `next` at least.
    pub fn number_from(&self, next: VersionId) {
        self.versions.fetch_max(next.0, Ordering::Relaxed);
    }

    /// Remembers a version; gives the one it takes the place of, if that was another. A version that
    /// `is_purged`, which is asked in one step with the change, is not remembered but declared gone.
    pub fn insert(&self, object: Arc<Object>, is_purged: impl FnOnce(&Object) -> bool) -> Option<Arc<Object>> {
        let mut table = self.lock();
        if is_purged(&object) {
            object.leave();
            return None;
        }
        let version = object.version;
        match table.put(object.path.clone(), Known::Object(object)) {
            Some(Known::Object(old)) if old.version != version => Some(old),
            _ => None,
        }
    }

    /// Remembers that a path must not be stored.
    pub fn insert_uncacheable(&self, path: ObjectPath, now: UnixSeconds) {
        self.lock().put(path, Known::Uncacheable(UnixSeconds(now.0 + UNCACHEABLE_SECONDS)));
    }

    /// Forgets a version, unless a newer one has taken its place.
    pub fn remove(&self, object: &Object) {
        let mut table = self.lock();
        let known = table.known.peek(&object.path);
        let current = matches!(known, Some(Known::Object(now)) if now.version == object.version);
        if current {
            table.pop(&object.path);
        }
    }

    /// Takes away what a purge of `target` covers: versions below `before`, looking at no more than a
    /// step's worth of paths behind `after`. What is taken is declared gone.
    pub fn take_some(&self, target: &Target, before: VersionId, after: Option<&ObjectPath>) -> Taken {
        let mut table = self.lock();
        let looked_at: Vec<_> = match target {
            Target::Path(path) => table.known.peek(path).map(|_| path.clone()).into_iter().collect(),
            Target::Prefix(prefix) => table.page(prefix.as_str(), after, PURGE_STEP_OBJECTS).cloned().collect(),
            Target::Tag(_) => table.page("", after, PURGE_STEP_OBJECTS).cloned().collect(),
        };
        let more = looked_at.last().filter(|_| looked_at.len() == PURGE_STEP_OBJECTS).cloned();
        let mut objects = Vec::new();
        for path in &looked_at {
            let is_covered = match table.known.peek(path) {
                Some(Known::Object(object)) => object.version < before && target.matches(path, &object.tags),
                Some(Known::Uncacheable(_)) => target.matches(path, &[]),
                None => false,
            };
            if is_covered && let Some(Known::Object(object)) = table.pop(path) {
                object.leave();
                objects.push(object);
            }
        }
        Taken { objects, more }
    }

    /// Up to `max` known objects below `prefix` in the order of their paths, those behind `after`. No use of them.
    pub fn list(&self, prefix: &str, after: Option<&ObjectPath>, max: usize) -> Vec<Arc<Object>> {
        let table = self.lock();
        let objects = table.page(prefix, after, usize::MAX).filter_map(|path| match table.known.peek(path) {
            Some(Known::Object(object)) => Some(object.clone()),
            _ => None,
        });
        objects.take(max).collect()
    }

    /// Doubts every object known now. Before the first request: holds the table for as long as it takes.
    pub fn doubt_all(&self) {
        for (_, known) in self.lock().known.iter() {
            if let Known::Object(object) = known {
                object.doubtful.store(true, Ordering::Release);
            }
        }
    }

    /// How many paths are known.
    pub fn len(&self) -> usize {
        self.lock().known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while holding the objects")
    }
}

impl Table {
    /// Remembers; gives what stood under this path. Something else may have to go for it.
    fn put(&mut self, path: ObjectPath, known: Known) -> Option<Known> {
        match self.known.push(path.clone(), known) {
            Some((replaced, old)) if replaced == path => Some(old),
            pushed_out => {
                if let Some((other, _)) = pushed_out {
                    self.paths.remove(&other);
                }
                self.paths.insert(path);
                None
            }
        }
    }

    fn pop(&mut self, path: &ObjectPath) -> Option<Known> {
        self.paths.remove(path);
        self.known.pop(path)
    }

    fn page<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&ObjectPath>,
        max: usize,
    ) -> impl Iterator<Item = &'a ObjectPath> {
        let start = match after {
            Some(after) => Bound::Excluded(after.as_str()),
            None => Bound::Included(prefix),
        };
        let from = self.paths.range::<str, _>((start, Bound::Unbounded));
        from.take_while(move |path| path.as_str().starts_with(prefix)).take(max)
    }
}
