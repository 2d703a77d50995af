//! A block on its way from upstream: written by one fill, read by everybody who waits.
//!
//! Bytes can be read as they arrive; the first one leaves long before the block is
//! complete. When the block has reached the store the flight is *settled*: it lets go of
//! its bytes and sends its readers to the cache.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use needledrop_core::UnixSeconds;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::error::FillError;

/// One block being fetched.
pub struct Flight {
    state: Mutex<State>,
    arrived: Notify,
    run: Arc<Run>,
    /// Whether a reader has come for this very block.
    wanted: AtomicBool,
}

#[derive(Default)]
struct State {
    chunks: Vec<Bytes>,
    len: usize,
    end: Option<End>,
    /// Room in the budget for flying bytes; given back when the bytes are let go.
    room: Option<OwnedSemaphorePermit>,
}

enum End {
    Complete,
    Settled,
    Failed(FillError),
}

/// What a reader finds at an offset of a flight.
#[derive(Debug)]
pub enum Piece {
    /// Some bytes from that offset on, at least one.
    Bytes(Bytes),
    /// The block is in the store; look there.
    Settled,
}

impl Flight {
    /// A block nobody has sent a byte of yet.
    pub fn new(run: Arc<Run>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Notify::new(), run, wanted: AtomicBool::new(false) })
    }

    /// The run of blocks that is fetched with this one.
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// A reader comes for this block. Call while holding the table in which the flight stands.
    pub fn join(&self) -> Interest {
        self.wanted.store(true, Ordering::Relaxed);
        self.run.join()
    }

    /// Whether a reader has come for this very block.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Until when the cache should keep the block for a reader who has not come yet; `None` if
    /// it was not prefetched, or its reader is here.
    pub fn lease_until(&self) -> Option<UnixSeconds> {
        if self.is_wanted() { None } else { self.run.lease_until }
    }

    /// Takes the room in the budget that this block's bytes will use.
    pub fn hold_room(&self, permit: OwnedSemaphorePermit) {
        self.lock().room = Some(permit);
    }

    /// Adds bytes that arrived.
    pub fn push(&self, chunk: Bytes) {
        let mut state = self.lock();
        state.len += chunk.len();
        state.chunks.push(chunk);
        drop(state);
        self.arrived.notify_waiters();
    }

    /// All bytes of the block have arrived; gives them for storing.
    pub fn complete(&self) -> Vec<Bytes> {
        let mut state = self.lock();
        state.end = Some(End::Complete);
        let chunks = state.chunks.clone();
        drop(state);
        self.arrived.notify_waiters();
        chunks
    }

    /// The block is in the store now: readers go there, the bytes here are let go.
    pub fn settle(&self) {
        let mut state = self.lock();
        state.end = Some(End::Settled);
        state.chunks = Vec::new();
        state.room = None;
        drop(state);
        self.arrived.notify_waiters();
    }

    /// The block will not be completed.
    pub fn fail(&self, error: FillError) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(End::Failed(error));
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Waits until all bytes of the block have arrived, without coming for them.
    ///
    /// # Errors
    /// The fill failed before that.
    pub async fn over(&self) -> Result<(), FillError> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            match &self.lock().end {
                Some(End::Complete | End::Settled) => return Ok(()),
                Some(End::Failed(error)) => return Err(error.clone()),
                None => {}
            }
            arrived.await;
        }
    }

    /// How many bytes have arrived.
    pub fn arrived_bytes(&self) -> usize {
        self.lock().len
    }

    /// Waits for bytes at `offset`. Bytes that arrived before a failure are still given.
    ///
    /// # Errors
    /// The fill failed before that offset.
    pub async fn read(&self, offset: usize) -> Result<Piece, FillError> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Registered before the look, so that nothing between look and wait is missed.
            arrived.as_mut().enable();
            if let Some(found) = self.look(offset) {
                return found;
            }
            arrived.await;
        }
    }

    fn look(&self, offset: usize) -> Option<Result<Piece, FillError>> {
        let state = self.lock();
        if matches!(state.end, Some(End::Settled)) {
            return Some(Ok(Piece::Settled));
        }
        let mut start = 0;
        for chunk in &state.chunks {
            if offset < start + chunk.len() {
                return Some(Ok(Piece::Bytes(chunk.slice(offset - start..))));
            }
            start += chunk.len();
        }
        match &state.end {
            Some(End::Failed(error)) => Some(Err(error.clone())),
            _ => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding a flight")
    }
}

/// A run of blocks fetched by one upstream request, and how many readers still want it.
pub struct Run {
    /// The last block of the run.
    pub last: u32,
    /// For a prefetched run, until when its blocks are leased.
    pub lease_until: Option<UnixSeconds>,
    readers: AtomicUsize,
}

impl Run {
    /// A run up to and including block `last`, that nobody reads yet.
    pub fn new(last: u32, lease_until: Option<UnixSeconds>) -> Arc<Self> {
        Arc::new(Self { last, lease_until, readers: AtomicUsize::new(0) })
    }

    /// Declares interest; the fill goes on while anybody has some. Call while holding the
    /// table in which the run's flights stand.
    pub fn join(self: &Arc<Self>) -> Interest {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Interest(self.clone())
    }

    /// Whether nobody reads this run any more.
    pub fn is_deserted(&self) -> bool {
        self.readers.load(Ordering::Relaxed) == 0
    }
}

/// A reader's interest in a run; dropping it takes it back.
pub struct Interest(Arc<Run>);

impl Interest {
    /// The last block of the run.
    pub fn last(&self) -> u32 {
        self.0.last
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Arc<Flight> {
        Flight::new(Run::new(0, None))
    }

    #[tokio::test]
    async fn a_byte_can_be_read_before_the_block_is_complete() {
        let flight = flight();
        flight.push(Bytes::from_static(b"abc"));
        assert!(matches!(flight.read(1).await, Ok(Piece::Bytes(bytes)) if bytes == "bc"));
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_what_arrives() {
        let flight = flight();
        let waiter = tokio::spawn({
            let flight = flight.clone();
            async move { flight.read(0).await }
        });
        tokio::task::yield_now().await;
        flight.push(Bytes::from_static(b"x"));
        assert!(matches!(waiter.await.unwrap(), Ok(Piece::Bytes(bytes)) if bytes == "x"));
    }

    #[tokio::test]
    async fn after_a_failure_what_arrived_is_still_read() {
        let flight = flight();
        flight.push(Bytes::from_static(b"x"));
        flight.fail(FillError::Broken);
        assert!(matches!(flight.read(0).await, Ok(Piece::Bytes(_))));
        assert!(flight.read(1).await.is_err());
    }

    #[tokio::test]
    async fn a_settled_flight_sends_its_readers_to_the_store() {
        let flight = flight();
        flight.push(Bytes::from_static(b"x"));
        flight.complete();
        flight.settle();
        assert!(matches!(flight.read(0).await, Ok(Piece::Settled)));
    }

    #[test]
    fn a_prefetched_block_loses_its_lease_when_its_reader_comes() {
        let flight = Flight::new(Run::new(0, Some(UnixSeconds(9))));
        assert_eq!(flight.lease_until(), Some(UnixSeconds(9)));
        let _interest = flight.join();
        assert_eq!(flight.lease_until(), None);
    }

    #[test]
    fn interest_ends_with_its_guard() {
        let run = Run::new(3, None);
        let interest = run.join();
        assert!(!run.is_deserted());
        drop(interest);
        assert!(run.is_deserted());
    }
}
