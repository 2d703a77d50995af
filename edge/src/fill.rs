//! One fill: an upstream body, cut into blocks, for everybody who waits for them.
//!
//! A fill is nobody's request. It runs in a task of its own, so whoever leaves does not
//! spoil it for the rest; it ends early only at a block's end, when no reader is left. While
//! somebody waits and the body stalls, a second request goes out (a hedge, see [`source`]).

mod source;

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use needledrop_core::{BLOCK_BYTES, BlockIndex, ByteRange, cdn_loop::Chain};
use tokio::time::{Instant, sleep_until, timeout};

use self::source::{Progress, Source, Wish};
use crate::{
    cache::Order,
    error::FillError,
    flight::{Flight, Run},
    limits::{FILL_ATTEMPTS_MAX, FILL_ROOM_WAIT, HEDGE_BYTES_MIN, HEDGES_PER_FILL_MAX},
    object::Object,
    shelf::Shelf,
    upstream::{UpstreamBody, WayId},
};

/// Fetches the ordered blocks of a known object; retries once where the last byte arrived.
pub async fn fetch(shelf: Arc<Shelf>, object: Arc<Object>, order: Order, chain: Chain) {
    Fill::new(shelf, object, order, chain).run_to_end().await;
}

/// Feeds the ordered blocks of a just opened object from the body that opened it and begins at
/// `start`, then goes on as [`fetch`] if that body breaks.
pub async fn feed_opened(
    shelf: Arc<Shelf>,
    object: Arc<Object>,
    order: Order,
    body: UpstreamBody,
    start: u64,
    chain: Chain,
) {
    let mut fill = Fill::new(shelf, object, order, chain);
    match fill.feed(Source { body, at: start }).await {
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
    /// By which way the last body came.
    last_way: Option<WayId>,
    hedges_left: u32,
}

/// A second request for the same bytes: done when its first ones are here.
type Rival = Pin<Box<dyn Future<Output = Result<(Source, Bytes), FillError>> + Send>>;

/// What a fill has waited for.
enum Event {
    /// The body's next bytes, its end, or its failure.
    Chunk(Result<Option<Bytes>, FillError>),
    /// The rival's first bytes, or its failure.
    Rival(Result<(Source, Bytes), FillError>),
    /// Time to look whether the body stalls.
    Tick,
}

impl Fill {
    fn new(shelf: Arc<Shelf>, object: Arc<Object>, order: Order, chain: Chain) -> Self {
        let (flights, run) = (order.flights, order.run);
        Self { shelf, object, flights, run, chain, last_way: None, hedges_left: HEDGES_PER_FILL_MAX }
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
        let Some(wish) = self.wish() else { return Ok(()) };
        let source = wish.fetch().await?;
        self.feed(source).await
    }

    /// From the first missing byte to the end of the run.
    fn wish(&self) -> Option<Wish> {
        let end = BlockIndex(self.run.last).start() + BLOCK_BYTES;
        let range = ByteRange::new(self.position()?, end.min(self.object.len))?;
        let (shelf, object, chain) = (self.shelf.clone(), self.object.clone(), self.chain.clone());
        Some(Wish { shelf, object, chain, range, avoid: self.last_way })
    }

    /// Where the first missing byte stands in the object.
    fn position(&self) -> Option<u64> {
        let (block, flight) = self.flights.front()?;
        Some(BlockIndex(*block).start() + flight.arrived_bytes() as u64)
    }

    /// Cuts a body into the blocks that wait for it. When it stalls, a rival is sent for; the first
    /// to bring bytes goes on alone.
    async fn feed(&mut self, source: Source) -> Result<(), FillError> {
        let hedge_after = self.shelf.upstream.settings().hedge_after;
        self.last_way = source.body.way();
        let (mut source, mut failure) = (Some(source), FillError::Broken);
        let mut rival: Option<Rival> = None;
        let mut progress = Progress::new();
        let tick = sleep_until(progress.stalls_at(hedge_after));
        tokio::pin!(tick);
        loop {
            if source.is_none() && rival.is_none() {
                return Err(failure);
            }
            let event = tokio::select! {
                biased;
                chunk = next_of(&mut source) => Event::Chunk(chunk),
                first = first_of(&mut rival) => Event::Rival(first),
                () = &mut tick => Event::Tick,
            };
            let (chunk, at) = match event {
                Event::Chunk(Ok(Some(chunk))) => {
                    let body = source.as_mut().expect("it just gave a chunk");
                    let at = body.advance(chunk.len());
                    if progress.brought(chunk.len(), HEDGE_BYTES_MIN) {
                        // It has come to life again.
                        rival = None;
                    }
                    (chunk, at)
                }
                Event::Chunk(ended) => {
                    if let Err(error) = ended {
                        failure = error;
                    }
                    source = None;
                    continue;
                }
                Event::Rival(Ok((mut winner, chunk))) => {
                    self.shelf.upstream.counts().hedges_won.inc();
                    self.last_way = winner.body.way();
                    let at = winner.advance(chunk.len());
                    if let Some(loser) = source.replace(winner) {
                        loser.body.give_up();
                    }
                    (rival, progress) = (None, Progress::new());
                    (chunk, at)
                }
                Event::Rival(Err(error)) => {
                    tracing::debug!(path = %self.object.path, %error, "a hedge failed");
                    rival = None;
                    continue;
                }
                Event::Tick => {
                    if progress.is_stalled(hedge_after) && rival.is_none() {
                        rival = self.hedge();
                        progress = Progress::new();
                    }
                    tick.as_mut().reset(progress.stalls_at(hedge_after).max(Instant::now() + MIN_TICK));
                    continue;
                }
            };
            let taking = Instant::now();
            if !self.take_all(chunk, at).await? {
                return Ok(());
            }
            progress.pause(taking.elapsed());
        }
    }

    /// Sends for a rival, if somebody waits and the budget allows it.
    fn hedge(&mut self) -> Option<Rival> {
        let wish = self.wish()?;
        // What is fetched ahead has time, until its listener comes.
        let is_awaited = self.flights.front().is_some_and(|(_, flight)| flight.lease_until().is_none());
        if !is_awaited || self.run.is_deserted() || self.hedges_left == 0 || !self.shelf.upstream.may_try_again() {
            return None;
        }
        self.hedges_left -= 1;
        self.shelf.upstream.counts().hedges.inc();
        tracing::debug!(path = %self.object.path, from = wish.range.start(), "a fill stalls, somebody else is asked");
        Some(Box::pin(async move {
            let mut source = wish.fetch().await?;
            let first = source.body.next().await?.ok_or(FillError::Broken)?;
            Ok((source, first))
        }))
    }

    /// Moves bytes that stand at `at` into the blocks, without those that are here already or that
    /// nobody asked for (an upstream that does not know ranges starts from zero); `false` when
    /// the fill is over.
    async fn take_all(&mut self, mut chunk: Bytes, at: u64) -> Result<bool, FillError> {
        let Some(position) = self.position() else { return Ok(false) };
        if at > position {
            return Err(FillError::Nonsense("bytes behind a gap"));
        }
        let known = usize::try_from(position - at).unwrap_or(usize::MAX).min(chunk.len());
        let _ = chunk.split_to(known);
        while !chunk.is_empty() {
            if !self.take(&mut chunk).await? {
                return Ok(false);
            }
        }
        Ok(!self.flights.is_empty())
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

/// A tick never comes at once again, so that a loop cannot spin.
const MIN_TICK: Duration = Duration::from_millis(10);

async fn next_of(source: &mut Option<Source>) -> Result<Option<Bytes>, FillError> {
    match source {
        Some(source) => source.body.next().await,
        None => std::future::pending().await,
    }
}

async fn first_of(rival: &mut Option<Rival>) -> Result<(Source, Bytes), FillError> {
    match rival {
        Some(rival) => rival.await,
        None => std::future::pending().await,
    }
}
