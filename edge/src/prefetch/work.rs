//! One head after the other, block by block through the cache, until nobody wishes for more.

use std::sync::Arc;

use needledrop_core::{
    BLOCK_BYTES,
    cdn_loop::Chain,
    prefetch::{Job, Pressure, Wish, planner::End},
};
use tokio::time::sleep;

use super::pressure;
use crate::{
    error::FillError,
    fill,
    flight::{Flight, Interest},
    limits::PREFETCH_PRESSURE_LOOK,
    object::Object,
    open::{Hint, Opened},
    shelf::Shelf,
};

/// How often a block is looked for whose fill ended without it. Unit: looks.
const LOOKS_MAX: u32 = 3;

/// Does this job, and those that the planner gives in its place.
pub(super) async fn work(shelf: Arc<Shelf>, job: Job) {
    let mut next = Some(job);
    while let Some(job) = next {
        let end = end(&shelf, &job.wish).await;
        let now = shelf.clock.now();
        let pressure = pressure(&shelf);
        next = shelf.prefetch.planner().finish(job, end, now, pressure);
    }
}

async fn end(shelf: &Arc<Shelf>, wish: &Wish) -> End {
    let counts = &shelf.prefetch.counts;
    let mut ahead = Ahead { shelf, wish, opened: None, ordered: Vec::new() };
    match ahead.fetch().await {
        Ok(()) => {
            if ahead.opened.is_some() || !ahead.ordered.is_empty() {
                counts.head();
            }
            End::Settled
        }
        Err(FillError::NotFound) => {
            counts.failed();
            End::Settled
        }
        Err(FillError::Overloaded) => {
            counts.given_up();
            End::NotNow
        }
        Err(error) => {
            tracing::debug!(path = %wish.target.path, %error, "a head was not fetched ahead");
            counts.failed();
            End::NotNow
        }
    }
}

/// One head being fetched. Dropping it takes back its interest: what no listener has joined
/// by then ends at its block.
struct Ahead<'a> {
    shelf: &'a Arc<Shelf>,
    wish: &'a Wish,
    /// The run that came with the answer that opened the object.
    opened: Option<Arc<Interest>>,
    /// Those that were missing then.
    ordered: Vec<Interest>,
}

impl Ahead<'_> {
    async fn fetch(&mut self) -> Result<(), FillError> {
        let Wish { target, due, .. } = self.wish;
        let block = |position: u64| u32::try_from(position / BLOCK_BYTES).expect("a head is small");
        let (first, last) = (block(target.range.start()), block(target.range.end() - 1));
        let now = self.shelf.clock.now();
        let opened = self.shelf.open(&target.path, Hint::Ahead(first, last, *due), now).await?;
        let Opened::Object { object, hold, first: is_ours, .. } = opened else { return Ok(()) };
        if let Some(head) = target.head {
            object.learn_head(head.get());
        }
        self.opened = hold.filter(|_| is_ours);
        let last = last.min(object.blocks().saturating_sub(1));
        for block in first..=last {
            self.fetch_block(&object, block, last).await?;
        }
        Ok(())
    }

    async fn fetch_block(&mut self, object: &Arc<Object>, block: u32, last: u32) -> Result<(), FillError> {
        for _ in 0..LOOKS_MAX {
            if let Some((order, interest)) = self.shelf.cache.prefetch(object, block, last, self.wish.due) {
                self.ordered.push(interest);
                tokio::spawn(fill::fetch(self.shelf.clone(), object.clone(), order, Chain::default()));
            }
            let Some(flight) = self.shelf.cache.flight(object, block) else { return Ok(()) };
            match self.wait(&flight).await {
                Ok(()) => return Ok(()),
                // Somebody else's fill, whose readers left.
                Err(FillError::Deserted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(FillError::Deserted)
    }

    /// Waits for a block, as long as nobody else needs the room.
    async fn wait(&self, flight: &Flight) -> Result<(), FillError> {
        let over = flight.over();
        tokio::pin!(over);
        loop {
            tokio::select! {
                ended = &mut over => return ended,
                () = sleep(PREFETCH_PRESSURE_LOOK) => {}
            }
            if pressure(self.shelf) == Pressure::High {
                return Err(FillError::Overloaded);
            }
        }
    }
}
