//! Caches without bytes: what would have been here, and what would have come from upstream.

use lru::LruCache;
use needledrop_core::{
    BLOCK_BYTES, UnixSeconds,
    cache::{Arrival, BlockKey, Class, Index, Shape, VersionId},
    prefetch::target::MARGIN_SECONDS,
};

use needledrop_loadtest::trace::{Event, Object, ObjectId, Trace};

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Whole objects, least recently used out first: what most caches do.
    WholeLru,
    /// Blocks in an index of ours.
    Blocks(Blocks),
}

/// The index's shape, and what is done with heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    pub shape: Shape,
    /// Whether the next head is fetched when it is told.
    pub prefetch: bool,
    /// How much of a head is fetched ahead at most. Unit: blocks.
    pub prefetch_blocks: u32,
}

/// What was counted after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Counted {
    /// Plays that began.
    pub taps: u64,
    /// Plays whose first 128 KiB were not here at the tap.
    pub start_misses: u64,
    /// Bytes that players asked for.
    pub asked_bytes: u64,
    /// Those of them that were here.
    pub hit_bytes: u64,
    /// Bytes fetched from upstream.
    pub upstream_bytes: u64,
    /// Of these, fetched before anybody asked.
    pub prefetched_bytes: u64,
}

impl Counted {
    pub fn start_miss_ratio(&self) -> f64 {
        self.start_misses as f64 / self.taps.max(1) as f64
    }

    pub fn byte_hit_ratio(&self) -> f64 {
        self.hit_bytes as f64 / self.asked_bytes.max(1) as f64
    }

    /// Upstream bytes for each byte asked for.
    pub fn upstream_ratio(&self) -> f64 {
        self.upstream_bytes as f64 / self.asked_bytes.max(1) as f64
    }
}

/// Runs a trace through a cache of that many bytes.
pub fn run(trace: &Trace, model: Model, cache_bytes: u64) -> Counted {
    match model {
        Model::WholeLru => through(trace, WholeLru::new(cache_bytes)),
        Model::Blocks(blocks) => through(trace, BlockCache::new(blocks, cache_bytes)),
    }
}

/// Blocks `first..=last` of bytes `start..end`.
pub fn blocks(start: u64, end: u64) -> std::ops::RangeInclusive<u32> {
    let block = |byte: u64| u32::try_from(byte / BLOCK_BYTES).expect("a trace's objects are below 512 TiB");
    block(start)..=block(end - 1)
}

trait Cache {
    /// Bytes asked for: whether the first of them were here, and how many were.
    fn ask(&mut self, now: u64, id: ObjectId, object: Object, start: u64, end: u64) -> Asked;
    /// The next track's head: how many bytes were fetched for it.
    fn next(&mut self, _: u64, _: ObjectId, _: Object, _bytes: u64, _due_seconds: u64) -> u64 {
        0
    }
}

struct Asked {
    first_was_here: bool,
    hit_bytes: u64,
    upstream_bytes: u64,
}

fn through(trace: &Trace, mut cache: impl Cache) -> Counted {
    let mut counted = Counted::default();
    for (at, (now, event)) in trace.events.iter().enumerate() {
        if at == trace.warm_up {
            counted = Counted::default();
        }
        match *event {
            Event::Ask { object, start, end, tap } => {
                let asked = cache.ask(*now, object, trace.object(object), start, end);
                counted.taps += u64::from(tap);
                counted.start_misses += u64::from(tap && !asked.first_was_here);
                counted.asked_bytes += end - start;
                counted.hit_bytes += asked.hit_bytes;
                counted.upstream_bytes += asked.upstream_bytes;
            }
            Event::Next { object, bytes, due_seconds } => {
                let fetched = cache.next(*now, object, trace.object(object), bytes, due_seconds);
                counted.upstream_bytes += fetched;
                counted.prefetched_bytes += fetched;
            }
        }
    }
    counted
}

struct WholeLru {
    order: LruCache<ObjectId, u64>,
    held: u64,
    bytes: u64,
}

impl WholeLru {
    fn new(bytes: u64) -> Self {
        Self { order: LruCache::unbounded(), held: 0, bytes }
    }
}

impl Cache for WholeLru {
    fn ask(&mut self, _: u64, id: ObjectId, object: Object, start: u64, end: u64) -> Asked {
        if self.order.get(&id).is_some() {
            return Asked { first_was_here: true, hit_bytes: end - start, upstream_bytes: 0 };
        }
        if object.len <= self.bytes {
            self.order.put(id, object.len);
            self.held += object.len;
        }
        while self.held > self.bytes {
            self.held -= self.order.pop_lru().map_or(0, |(_, len)| len);
        }
        Asked { first_was_here: false, hit_bytes: 0, upstream_bytes: object.len }
    }
}

struct BlockCache {
    index: Index,
    blocks: Blocks,
}

impl BlockCache {
    fn new(blocks: Blocks, bytes: u64) -> Self {
        let slots = u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        Self { index: Index::new(slots, blocks.shape), blocks }
    }

    fn store(&mut self, now: u64, key: BlockKey, class: Class, lease_until: Option<UnixSeconds>) {
        if let Some(slot) = self.index.reserve(key, class, UnixSeconds(now), |_| false) {
            self.index.publish(key, slot, Arrival { class, lease_until, awaited: false });
        }
    }
}

fn key(id: ObjectId, block: u32) -> BlockKey {
    BlockKey { version: VersionId(u64::from(id.0)), block }
}

fn class(object: Object, block: u32) -> Class {
    if u64::from(block) * BLOCK_BYTES < object.head { Class::Head } else { Class::Body }
}

fn block_len(object: Object, block: u32) -> u64 {
    BLOCK_BYTES.min(object.len - u64::from(block) * BLOCK_BYTES)
}

impl Cache for BlockCache {
    fn ask(&mut self, now: u64, id: ObjectId, object: Object, start: u64, end: u64) -> Asked {
        let mut asked = Asked { first_was_here: true, hit_bytes: 0, upstream_bytes: 0 };
        let touched = blocks(start, end);
        for block in touched.clone() {
            let from = u64::from(block) * BLOCK_BYTES;
            if self.index.lookup(key(id, block), UnixSeconds(now)).is_some() {
                asked.hit_bytes += end.min(from + BLOCK_BYTES) - start.max(from);
                continue;
            }
            asked.first_was_here &= block != *touched.start();
            asked.upstream_bytes += block_len(object, block);
            self.store(now, key(id, block), class(object, block), None);
        }
        asked
    }

    fn next(&mut self, now: u64, id: ObjectId, object: Object, bytes: u64, due_seconds: u64) -> u64 {
        if !self.blocks.prefetch || bytes == 0 {
            return 0;
        }
        let lease = UnixSeconds(now + due_seconds + MARGIN_SECONDS);
        let mut fetched = 0;
        for block in blocks(0, bytes.min(object.len)).take(self.blocks.prefetch_blocks as usize) {
            if !self.index.contains(key(id, block)) {
                fetched += block_len(object, block);
                self.store(now, key(id, block), class(object, block), Some(lease));
            }
        }
        fetched
    }
}
