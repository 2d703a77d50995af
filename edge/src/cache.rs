//! Present blocks, blocks on their way, and the memory behind them, under one short lock.
//!
//! [`Cache::demand`] is the heart: given a block that a reader needs now and the last one
//! it will need, it finds the block or joins its flight, and says which blocks should be
//! fetched next. One block is never fetched twice at a time, however many ask.

use std::{
    collections::{HashMap, VecDeque},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use needledrop_core::{
    UnixSeconds,
    cache::{Arrival, BlockKey, Counts, Index, Shape},
};
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    error::FillError,
    flight::{Flight, Interest, Run},
    limits::{
        FLYING_BLOCKS_MAX, PRESENCE_BLOCKS_MAX, PURGE_STEP_BLOCKS, READ_AHEAD_BLOCKS, READ_AHEAD_LOW_BLOCKS,
        RUN_BLOCKS_MAX,
    },
    object::Object,
    slab::{Pin, Slab},
    store::record::Record,
};

/// The block cache of one edge.
pub struct Cache {
    table: Mutex<Table>,
    slab: Arc<Slab>,
    clock: Clock,
    room: Arc<Semaphore>,
    uncached: AtomicU64,
}

struct Table {
    index: Index,
    flights: HashMap<BlockKey, Arc<Flight>>,
}

/// Where a block is.
pub enum Found {
    /// In the store; the pin keeps it there.
    Present(Pin),
    /// On its way; the interest keeps its fill going.
    Flying(Arc<Flight>, Interest),
}

/// A block that a reader came for.
pub struct Demanded {
    /// Where it is.
    pub found: Found,
    /// Whether it is here, or on its way, because it was expected, and this reader is the first to come.
    pub prefetched: bool,
}

/// Whether a reader's look at a block is a use of it. What is read again only because its
/// flight has landed was used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The reader has come to this block.
    First,
    /// It comes back from the block's flight.
    Again,
}

/// A run of blocks that somebody must fetch now: their flights already stand in the table.
pub struct Order {
    /// The blocks and their flights, in order; never empty.
    pub flights: VecDeque<(u32, Arc<Flight>)>,
    /// The run they belong to.
    pub run: Arc<Run>,
}

/// How much of a range is in the cache at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every block.
    All,
    /// Some blocks.
    Some,
    /// No block, but the first is being fetched for somebody else.
    Flying,
    /// No block.
    None,
}

impl Cache {
    /// An empty cache over the slab.
    pub fn new(slab: Arc<Slab>, shape: Shape, clock: Clock) -> Self {
        Self {
            table: Mutex::new(Table { index: Index::new(slab.slots(), shape), flights: HashMap::new() }),
            slab,
            clock,
            room: Arc::new(Semaphore::new(FLYING_BLOCKS_MAX)),
            uncached: AtomicU64::new(0),
        }
    }

    /// A table of more slots than the slab has, for tests that touch no block.
    #[cfg(test)]
    pub(crate) fn pretending(slab: Arc<Slab>, slots: u32, shape: Shape, clock: Clock) -> Self {
        let table = Mutex::new(Table { index: Index::new(slots, shape), flights: HashMap::new() });
        Self { table, ..Self::new(slab, shape, clock) }
    }

    /// Has a block stand in the table of [`Cache::pretending`].
    #[cfg(test)]
    pub(crate) fn pretend(
        &self,
        key: BlockKey,
        slot: needledrop_core::cache::Slot,
        class: needledrop_core::cache::Class,
    ) {
        assert!(self.lock().index.restore(key, slot, class));
    }

    /// Finds block `block` for a reader, and orders what is missing near it: the block itself
    /// if need be, and what lies ahead of it, but nothing beyond `last` (see [`crate::ahead`]).
    pub fn demand(&self, object: &Object, block: u32, last: u32, look: Look) -> (Demanded, Option<(Order, Interest)>) {
        let now = self.clock.now();
        let mut table = self.lock();
        let hit = match look {
            Look::First => table.index.lookup(object.key(block), now),
            Look::Again => table.index.peek(object.key(block)),
        };
        let order = table.order(object, block, last);
        let demanded = match hit {
            Some(hit) => {
                let found = Found::Present(self.slab.pin(hit.slot, object.key(block), object.block_len(block)));
                Demanded { found, prefetched: hit.prefetched }
            }
            None => table.join(object.key(block)),
        };
        (demanded, order)
    }

    /// Orders the first missing run among blocks `first..=last` for nobody yet: what comes is
    /// leased until that time, unless a reader has joined its flight by then.
    pub fn prefetch(
        &self,
        object: &Object,
        first: u32,
        last: u32,
        lease_until: UnixSeconds,
    ) -> Option<(Order, Interest)> {
        let mut table = self.lock();
        let blocks = table.missing(object, first, last)?;
        Some(table.launch(object, blocks, Some(lease_until)))
    }

    /// Takes the flights of a new version's first run, which is being fetched already; if for
    /// nobody yet, what comes is leased until that time.
    pub fn begin(
        &self,
        object: &Object,
        blocks: RangeInclusive<u32>,
        lease_until: Option<UnixSeconds>,
    ) -> (Order, Interest) {
        self.lock().launch(object, blocks, lease_until)
    }

    /// The flight of a block that is on its way, without coming for it.
    pub fn flight(&self, object: &Object, block: u32) -> Option<Arc<Flight>> {
        self.lock().flights.get(&object.key(block)).cloned()
    }

    /// How much of blocks `first..=last` is here. Of more than [`PRESENCE_BLOCKS_MAX`] it says no more than that
    /// some are.
    pub fn presence(&self, object: &Object, first: u32, last: u32) -> Presence {
        let table = self.lock();
        let total = (last - first) as usize + 1;
        let present =
            (first..=last).take(PRESENCE_BLOCKS_MAX).filter(|block| table.index.contains(object.key(*block))).count();
        match present {
            0 if table.flights.contains_key(&object.key(first)) => Presence::Flying,
            0 => Presence::None,
            _ if present == total => Presence::All,
            _ => Presence::Some,
        }
    }

    /// The budget for flying bytes.
    pub fn room(&self) -> &Arc<Semaphore> {
        &self.room
    }

    /// Stores a complete block and settles its flight. Blocking: for the blocking pool.
    ///
    /// A block for which there is no slot (all pinned) or no disk passes through uncached:
    /// its flight keeps the bytes for those who read it already.
    pub fn store(&self, object: &Object, block: u32, flight: &Arc<Flight>, chunks: &[Bytes]) {
        let key = object.key(block);
        let class = object.class(block);
        let now = self.clock.now();
        // While the cache changes hands nothing is stored: another process reads the slots.
        let is_ours = self.slab.is_ours();
        let reserve = || self.lock().index.reserve(key, class, now, |slot| self.slab.is_pinned(slot));
        let slot = is_ours.then(reserve).flatten();
        // The object first: a record of an object that nobody knows is worth nothing.
        self.slab.journal().ensure(object);
        let written = slot.map(|slot| (slot, self.slab.write(slot, key, class, chunks)));
        let mut table = self.lock();
        // Looked at under the lock: a purge declares the object gone before it removes its blocks, so
        // this block is refused here or removed there.
        let ours = table.is_flight(key, flight) && !object.is_gone();
        if table.is_flight(key, flight) {
            table.flights.remove(&key);
        }
        match written {
            // A flight that is no longer in the table was forgotten with its version.
            Some((slot, Ok(()))) if ours => {
                table.index.publish(
                    key,
                    slot,
                    Arrival { class, lease_until: flight.lease_until(), awaited: !flight.is_wanted() },
                );
                drop(table);
                flight.settle();
            }
            Some((slot, result)) => {
                drop(table);
                // Reserved still, so nobody else writes it.
                self.slab.erase(slot);
                self.lock().index.release(slot);
                self.uncached.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = result {
                    tracing::error!(%error, "a block could not be stored; it passes through uncached");
                }
            }
            None => {
                self.uncached.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Fails the flights of blocks that will not come.
    pub fn fail(&self, object: &Object, flights: &VecDeque<(u32, Arc<Flight>)>, error: &FillError) {
        let mut table = self.lock();
        for (block, flight) in flights {
            let key = object.key(*block);
            if table.is_flight(key, flight) {
                table.flights.remove(&key);
            }
        }
        drop(table);
        for (_, flight) in flights {
            flight.fail(error.clone());
        }
    }

    /// Gives up the rest of a run if nobody reads it. The look and the removal are one
    /// step under the table's lock, in which readers join.
    pub fn desert(&self, object: &Object, run: &Run, flights: &VecDeque<(u32, Arc<Flight>)>) -> bool {
        let mut table = self.lock();
        if !run.is_deserted() {
            return false;
        }
        for (block, flight) in flights {
            let key = object.key(*block);
            // After a purge another flight may stand under the same key.
            if table.is_flight(key, flight) {
                table.flights.remove(&key);
            }
        }
        drop(table);
        for (_, flight) in flights {
            flight.fail(FillError::Deserted);
        }
        true
    }

    /// Drops all blocks of a version that is no longer current.
    pub fn forget(&self, object: &Object) {
        let mut table = self.lock();
        let mut orphans = Vec::new();
        for key in table.keys_of(object) {
            table.index.remove(key);
            orphans.extend(table.flights.remove(&key));
        }
        drop(table);
        for flight in orphans {
            flight.fail(FillError::Changed);
        }
    }

    /// Drops all blocks of a purged object and gives their number. What flies goes on for those who
    /// read it already; nobody else joins it, and it is not published.
    pub fn retire(&self, object: &Object) -> usize {
        let mut dropped = 0;
        let mut block = 0;
        let mut table = self.lock();
        if table.is_beyond(object) {
            let before = table.index.len();
            for key in table.keys_of(object) {
                table.index.remove(key);
                table.flights.remove(&key);
            }
            return before - table.index.len();
        }
        drop(table);
        while block < object.blocks() {
            let end = object.blocks().min(block.saturating_add(PURGE_STEP_BLOCKS));
            let mut table = self.lock();
            let before = table.index.len();
            for block in block..end {
                table.index.remove(object.key(block));
                table.flights.remove(&object.key(block));
            }
            dropped += before - table.index.len();
            block = end;
        }
        dropped
    }

    /// The runs of blocks of an object that are here.
    pub fn runs(&self, object: &Object) -> Vec<RangeInclusive<u32>> {
        let mut runs: Vec<RangeInclusive<u32>> = Vec::new();
        for start in (0..object.blocks()).step_by(PURGE_STEP_BLOCKS as usize) {
            let table = self.lock();
            let end = object.blocks().min(start.saturating_add(PURGE_STEP_BLOCKS));
            for block in (start..end).filter(|block| table.index.contains(object.key(*block))) {
                match runs.last_mut() {
                    Some(run) if *run.end() + 1 == block => *run = *run.start()..=block,
                    _ => runs.push(block..=block),
                }
            }
        }
        runs
    }

    /// How many blocks the store has room for.
    pub fn slots(&self) -> u32 {
        self.slab.slots()
    }

    /// How many blocks are on their way.
    pub fn flying(&self) -> usize {
        self.lock().flights.len()
    }

    /// Makes a block present that the store still held at the start; `false` if it is already.
    pub fn restore(&self, record: &Record) -> bool {
        self.lock().index.restore(record.key, record.slot, record.class)
    }

    /// Drops one block whose bytes turned out to be bad: whoever wants it orders it anew.
    pub fn discard(&self, object: &Object, block: u32) {
        self.lock().index.remove(object.key(block));
    }

    /// The slots and what happened to them.
    pub fn slab(&self) -> &Arc<Slab> {
        &self.slab
    }

    /// How many blocks are in the store.
    pub fn len(&self) -> usize {
        self.lock().index.len()
    }

    /// What is in the store, and what became of what was.
    pub fn counts(&self) -> Counts {
        self.lock().index.counts()
    }

    /// Whether the store holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many complete blocks could not be stored since the start.
    pub fn uncached(&self) -> u64 {
        self.uncached.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while holding the table")
    }
}

impl Table {
    /// Orders the missing run that a reader at `block` is about to need, up to the read-ahead.
    fn order(&mut self, object: &Object, block: u32, last: u32) -> Option<(Order, Interest)> {
        let soon = last.min(block.saturating_add(READ_AHEAD_LOW_BLOCKS));
        let first = (block..=soon).find(|block| self.is_missing(object.key(*block)))?;
        let end = last.min(block.saturating_add(READ_AHEAD_BLOCKS));
        let blocks = self.missing(object, first, end)?;
        Some(self.launch(object, blocks, None))
    }

    /// The first missing run among blocks `first..=last`, at most as long as a run may be.
    fn missing(&self, object: &Object, first: u32, last: u32) -> Option<RangeInclusive<u32>> {
        let first = (first..=last).find(|block| self.is_missing(object.key(*block)))?;
        let end = last.min(first.saturating_add(RUN_BLOCKS_MAX - 1));
        let last = (first..=end).take_while(|block| self.is_missing(object.key(*block))).last()?;
        Some(first..=last)
    }

    fn launch(
        &mut self,
        object: &Object,
        blocks: RangeInclusive<u32>,
        lease_until: Option<UnixSeconds>,
    ) -> (Order, Interest) {
        let run = Run::new(*blocks.end(), lease_until);
        let flights: VecDeque<_> = blocks.map(|block| (block, Flight::new(run.clone()))).collect();
        for (block, flight) in &flights {
            self.flights.insert(object.key(*block), flight.clone());
        }
        let interest = run.join();
        (Order { flights, run }, interest)
    }

    fn join(&self, key: BlockKey) -> Demanded {
        let flight = self.flights.get(&key).expect("a block that is not present was ordered a moment ago");
        let prefetched = flight.lease_until().is_some();
        Demanded { found: Found::Flying(flight.clone(), flight.join()), prefetched }
    }

    fn is_missing(&self, key: BlockKey) -> bool {
        !self.index.contains(key) && !self.flights.contains_key(&key)
    }

    /// Whether an object claims more blocks than there are of all objects: an upstream may say 512 TiB.
    fn is_beyond(&self, object: &Object) -> bool {
        object.blocks() as usize > (self.index.len() + self.flights.len()).max(PURGE_STEP_BLOCKS as usize)
    }

    /// The keys under which an object may have blocks, by whichever way is shorter.
    fn keys_of(&self, object: &Object) -> Vec<BlockKey> {
        if !self.is_beyond(object) {
            return (0..object.blocks()).map(|block| object.key(block)).collect();
        }
        let present = self.index.iter().map(|(key, ..)| key);
        let all = present.chain(self.flights.keys().copied());
        all.filter(|key| key.version == object.version).collect()
    }

    fn is_flight(&self, key: BlockKey, flight: &Arc<Flight>) -> bool {
        self.flights.get(&key).is_some_and(|standing| Arc::ptr_eq(standing, flight))
    }
}
