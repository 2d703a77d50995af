//! What the edge knows of an object besides its bytes: length, validators, freshness.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;
use needledrop_core::{
    BLOCK_BYTES, BlockIndex, ObjectPath, UnixSeconds, Validators,
    block::HEAD_BYTES_DEFAULT,
    cache::{BlockKey, Class, VersionId},
};

use crate::{limits::UNCACHEABLE_SECONDS, upstream::Facts};

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
        self.head_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether a block has a part in the head.
    pub fn class(&self, block: u32) -> Class {
        if BlockIndex(block).start() < self.head_bytes() { Class::Head } else { Class::Body }
    }

    /// Whether it may be served without asking upstream (RFC 9111 section 4.2).
    pub fn is_fresh(&self, now: UnixSeconds) -> bool {
        now.0 < self.fresh_until.load(Ordering::Relaxed)
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
    known: Mutex<LruCache<ObjectPath, Known>>,
    versions: AtomicU64,
}

impl Objects {
    /// Room for `max` objects.
    pub fn new(max: usize) -> Self {
        let max = NonZeroUsize::new(max.max(1)).expect("at least one");
        Self { known: Mutex::new(LruCache::new(max)), versions: AtomicU64::new(0) }
    }

    /// What is known of a path.
    pub fn get(&self, path: &ObjectPath) -> Option<Known> {
        self.lock().get(path).cloned()
    }

    /// A number for a version not seen before.
    pub fn next_version(&self) -> VersionId {
        VersionId(self.versions.fetch_add(1, Ordering::Relaxed))
    }

    /// Remembers a version; gives the one it takes the place of, if that was another.
    pub fn insert(&self, object: Arc<Object>) -> Option<Arc<Object>> {
        let version = object.version;
        match self.lock().put(object.path.clone(), Known::Object(object)) {
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
        let mut known = self.lock();
        let current = matches!(known.peek(&object.path), Some(Known::Object(now)) if now.version == object.version);
        if current {
            known.pop(&object.path);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<ObjectPath, Known>> {
        self.known.lock().expect("no code panics while holding the objects")
    }
}
