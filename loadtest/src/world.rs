//! What the listeners of one worker share: the catalog, the clock, the counts.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Catalog, Place},
    client::{Client, Failure, Origin},
    dice::{Dice, Zipf},
    link::Side,
    settings::{Popularity, Settings},
    sounds::Sounds,
    tally::Tally,
    timer::{Timer, Turn},
    verify::Book,
};

/// One worker's.
pub struct World {
    /// What was asked for.
    pub settings: Arc<Settings>,
    /// What there is to hear.
    pub catalog: Arc<Catalog>,
    /// Opens connections.
    pub client: Client,
    /// What objects sound like.
    pub sounds: Sounds,
    /// What objects are.
    pub book: Arc<Book>,
    /// The listeners' side of an emulated link.
    pub side: Option<Side>,
    /// When the run began.
    pub began: Instant,
    /// Says that no more starts begin.
    pub closing: CancellationToken,
    timer: Timer,
    tally: Arc<Mutex<Tally>>,
    ranks: Option<Zipf>,
    unsettled: Rc<()>,
}

impl World {
    /// Puts one together. The timer is the worker's own.
    pub fn new(ground: &Ground, client: Client, timer: Timer, tally: Arc<Mutex<Tally>>) -> Self {
        let ranks = match ground.settings.popularity {
            Popularity::Zipf(skew) => Some(Zipf::new(ground.catalog.entries.len() as u32, skew)),
            _ => None,
        };
        Self {
            settings: ground.settings.clone(),
            catalog: ground.catalog.clone(),
            client,
            sounds: ground.sounds.clone(),
            book: ground.book.clone(),
            side: ground.side.clone(),
            began: ground.began,
            closing: ground.closing.clone(),
            timer,
            tally,
            ranks,
            unsettled: Rc::default(),
        }
    }

    /// The counts. Held for a few additions at most, never while waiting.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the run began; none before.
    pub fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    /// A listener's task: goes first when an instant has come that it waits for.
    pub fn turn<F: Future>(&self, listener: F) -> Turn<F> {
        self.timer.turn(listener)
    }

    /// Waits for an instant and counts how late this was; one that is past already is not waited for.
    pub async fn wait(&self, at: Instant) {
        if Instant::now() < at {
            self.timer.until(at).await;
            self.is_late(at);
        }
    }

    /// Waits for the tap of somebody who is ready for it, and counts how late this was in any case.
    pub async fn wait_for_tap(&self, at: Instant) {
        self.timer.until(at).await;
        self.is_late(at);
    }

    fn is_late(&self, at: Instant) {
        let late = at.elapsed();
        self.tally().acted(self.since(at), late);
    }

    /// Waits for an instant while music plays; false if the run closes before.
    pub async fn play_until(&self, at: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => false,
            () = self.wait(at) => true,
        }
    }

    /// Whether no more starts begin.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Counts what went wrong now.
    pub fn trouble(&self, failure: &Failure) {
        let since = self.began.elapsed();
        self.tally().trouble(since, failure.trouble, || failure.sentence.clone());
    }

    /// Counts music that was heard.
    pub fn played(&self, seconds: f64) {
        self.tally().played_ms += (seconds * 1e3) as u64;
    }

    /// Says that something is still to be counted, until it is dropped.
    pub fn unsettled(&self) -> Rc<()> {
        self.unsettled.clone()
    }

    /// Whether everything that happened has been counted.
    pub fn is_settled(&self) -> bool {
        Rc::strong_count(&self.unsettled) == 1
    }

    /// Which track somebody picks.
    pub fn pick(&self, listener: u64, dice: &mut Dice) -> usize {
        let count = self.catalog.entries.len();
        match (&self.ranks, self.settings.popularity) {
            (Some(ranks), _) => (ranks.rank(dice) as usize).min(count - 1),
            (None, Popularity::InOrder) => (listener % count as u64) as usize,
            (None, _) => (dice.unit() * count as f64) as usize,
        }
    }

    /// The average rate of an object, once its length and duration are known. Unit: kbit/s.
    pub fn kbps(&self, place: &Place) -> Option<u32> {
        let (bytes, seconds) = (self.sounds.length(place.path())?, place.seconds?);
        Some((bytes as f64 / 125.0 / seconds).round() as u32)
    }

    /// Which track follows.
    pub fn after(&self, track: usize) -> usize {
        (track + 1) % self.catalog.entries.len()
    }

    /// The server, at the address under which the listeners' side reaches it.
    pub fn reach(&self, origin: &Origin) -> Origin {
        let reached = |side: &Side| side.reach(origin.address).unwrap_or(origin.address);
        let address: SocketAddr = self.side.as_ref().map_or(origin.address, reached);
        Origin { address, ..origin.clone() }
    }
}

/// What all workers stand on.
#[derive(Clone)]
pub struct Ground {
    /// What was asked for.
    pub settings: Arc<Settings>,
    /// What there is to hear.
    pub catalog: Arc<Catalog>,
    /// What objects sound like.
    pub sounds: Sounds,
    /// What objects are.
    pub book: Arc<Book>,
    /// The listeners' side of an emulated link.
    pub side: Option<Side>,
    /// When the run begins.
    pub began: Instant,
    /// Says that no more starts begin.
    pub closing: CancellationToken,
}
