//! One fill: an upstream body, cut into blocks, for everybody who waits for them.
//!
//! A fill is nobody's request. It runs in a task of its own, so whoever leaves does not
//! spoil it for the rest; it ends early only at a block's end, when no reader is left.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use needledrop_core::{BLOCK_BYTES, BlockIndex, ByteRange, cdn_loop::Chain};
use tokio::time::timeout;

use crate::{
    cache::Order,
    error::FillError,
    flight::{Flight, Run},
    limits::{FILL_ATTEMPTS_MAX, FILL_ROOM_WAIT, UPSTREAM_HEADERS_TIMEOUT},
    object::Object,
    shelf::Shelf,
    upstream::{Answered, Condition, Errand, UpstreamBody, WayId},
};

/// Fetches the ordered blocks of a known object; retries once where the last byte arrived.
pub async fn fetch(shelf: Arc<Shelf>, object: Arc<Object>, order: Order, chain: Chain) {
    Fill::new(shelf, object, order, chain).run_to_end().await;
}

/// Feeds the ordered blocks of a just opened object from the body that opened it, then
/// goes on as [`fetch`] if that body breaks.
pub async fn feed_opened(shelf: Arc<Shelf>, object: Arc<Object>, order: Order, body: UpstreamBody, chain: Chain) {
    let mut fill = Fill::new(shelf, object, order, chain);
    match fill.feed(body, 0).await {
        Ok(()) => {}
        Err(error) if error.is_worth_a_retry() && fill.may_retry() => fill.run_to_end().await,
        Err(error) => fill.fail(&error),
    }
}

struct Fill {
    shelf: Arc<Shelf>,
    object: Arc<Object>,
    flights: VecDeque<(u32, Arc<Flight>)>,
    run: Arc<Run>,
    chain: Chain,
    /// By which way the last body came that failed.
    avoid: Option<WayId>,
}

impl Fill {
    fn new(shelf: Arc<Shelf>, object: Arc<Object>, order: Order, chain: Chain) -> Self {
        Self { shelf, object, flights: order.flights, run: order.run, chain, avoid: None }
    }

    async fn run_to_end(mut self) {
        for attempt in 1..=FILL_ATTEMPTS_MAX {
            match self.attempt().await {
                Ok(()) => return,
                Err(error) if error.is_worth_a_retry() && attempt < FILL_ATTEMPTS_MAX && self.may_retry() => {
                    tracing::debug!(path = %self.object.path, %error, "fill tried again");
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn may_retry(&self) -> bool {
        let may = self.shelf.upstream.may_try_again();
        if may {
            self.shelf.upstream.counts().retries.inc();
        }
        may
    }

    async fn attempt(&mut self) -> Result<(), FillError> {
        let Some(wanted) = self.wanted() else { return Ok(()) };
        let condition = Condition::Unchanged(&self.object.validators);
        let errand = Errand {
            path: &self.object.path,
            chain: &self.chain,
            patience: UPSTREAM_HEADERS_TIMEOUT,
            avoid: self.avoid,
        };
        let answered = self.shelf.upstream.get(errand, wanted, condition).await?;
        let (facts, body) = match answered {
            Answered::Body(facts, body) => (facts, body),
            Answered::Changed | Answered::Unsatisfiable => return Err(FillError::Changed),
            Answered::Uncacheable => return Err(FillError::Changed),
        };
        if facts.len != self.object.len || !facts.is_same_version(&self.object.validators) {
            return Err(FillError::Changed);
        }
        self.feed(body, wanted.start() - facts.start).await
    }

    /// From the first missing byte to the end of the run.
    fn wanted(&self) -> Option<ByteRange> {
        let (block, flight) = self.flights.front()?;
        let start = BlockIndex(*block).start() + flight.arrived_bytes() as u64;
        let end = BlockIndex(self.run.last).start() + BLOCK_BYTES;
        ByteRange::new(start, end.min(self.object.len))
    }

    /// Cuts a body into the blocks that wait for it, after dropping `skip` bytes that
    /// nobody asked for (an upstream that does not know ranges starts from zero).
    async fn feed(&mut self, mut body: UpstreamBody, mut skip: u64) -> Result<(), FillError> {
        self.avoid = body.way();
        while let Some(mut chunk) = body.next().await? {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            let _ = chunk.split_to(skipped);
            skip -= skipped as u64;
            while !chunk.is_empty() {
                if !self.take(&mut chunk).await? {
                    return Ok(());
                }
            }
        }
        if self.flights.is_empty() { Ok(()) } else { Err(FillError::Broken) }
    }

    /// Moves bytes into the first unfinished block; `false` when the fill is over.
    async fn take(&mut self, chunk: &mut Bytes) -> Result<bool, FillError> {
        let Some((block, flight)) = self.flights.front().cloned() else { return Ok(false) };
        let have = flight.arrived_bytes();
        if have == 0 {
            self.make_room(&flight).await?;
        }
        let missing = self.object.block_len(block) - have;
        flight.push(chunk.split_to(missing.min(chunk.len())));
        if flight.arrived_bytes() == self.object.block_len(block) {
            self.flights.pop_front();
            self.store(block, flight);
            if self.flights.is_empty() || self.shelf.cache.desert(&self.object, &self.run, &self.flights) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn make_room(&self, flight: &Flight) -> Result<(), FillError> {
        let room = self.shelf.cache.room().clone().acquire_owned();
        let permit = timeout(FILL_ROOM_WAIT, room)
            .await
            .map_err(|_| FillError::Overloaded)?
            .expect("the semaphore is never closed");
        flight.hold_room(permit);
        Ok(())
    }

    fn store(&self, block: u32, flight: Arc<Flight>) {
        let (shelf, object) = (self.shelf.clone(), self.object.clone());
        let chunks = flight.complete();
        // The blocking pool's queue is bounded by the room the flights hold.
        tokio::task::spawn_blocking(move || {
            shelf.cache.store(&object, block, &flight, &chunks);
            shelf.prefetch.counts.landed(&flight);
        });
    }

    fn fail(&self, error: &FillError) {
        tracing::warn!(path = %self.object.path, %error, "fill failed");
        self.shelf.cache.fail(&self.object, &self.flights, error);
        if matches!(error, FillError::Changed | FillError::NotFound) {
            self.shelf.forget(&self.object);
        }
    }
}
