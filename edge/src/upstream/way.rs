//! One upstream and how it fared lately: breaker, health, requests under way.

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use needledrop_core::{
    breaker::{Breaker, Health},
    placement::Node,
};

use super::{Counts, Upstream};
use crate::error::FillError;

/// What an upstream is to this edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Another edge, from which this one fills: one copy of each object for a region.
    Shield,
    /// Where the objects live.
    Origin,
}

/// The position of a way in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WayId(pub(super) usize);

/// One upstream with its memory.
pub(super) struct Way {
    pub(super) upstream: Upstream,
    pub(super) tier: Tier,
    pub(super) node: Node,
    breaker: Mutex<Breaker>,
    health: Mutex<Health>,
    load: AtomicU64,
    counts: Counts,
}

impl Way {
    pub(super) fn new(upstream: Upstream, tier: Tier, weight: u32, counts: Counts) -> Arc<Self> {
        let node = Node::new(upstream.base(), weight);
        Arc::new(Self {
            upstream,
            tier,
            node,
            breaker: Mutex::default(),
            health: Mutex::default(),
            load: AtomicU64::new(0),
            counts,
        })
    }

    /// Requests under way, bodies included.
    pub(super) fn load(&self) -> u64 {
        self.load.load(Ordering::Relaxed)
    }

    /// What active checks say.
    pub(super) fn is_up(&self) -> bool {
        self.health.lock().expect("no code panics while holding the health").is_up()
    }

    /// Takes the outcome of an active check.
    pub(super) fn checked(&self, is_well: bool) {
        let changed = self.health.lock().expect("no code panics while holding the health").checked(is_well);
        if changed {
            tracing::warn!(upstream = self.upstream.base(), up = is_well, "an upstream's health changed");
        }
        if is_well {
            self.breaker().encourage(now_ms());
        }
    }

    /// Leave to send one request, if the breaker gives it.
    pub(super) fn leave(self: &Arc<Self>, id: WayId, patience: Duration) -> Option<Leave> {
        if !self.breaker().may_ask(now_ms()) {
            return None;
        }
        self.load.fetch_add(1, Ordering::Relaxed);
        self.counts.requests.inc();
        Some(Leave { way: self.clone(), id, since: Instant::now(), patience, is_over: false })
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().expect("no code panics while holding a breaker")
    }
}

/// Leave to ask a way, to be given back with a word about how it went. Without a word the
/// time decides: whoever was silent for longer than its asker's patience has failed.
pub(super) struct Leave {
    pub(super) way: Arc<Way>,
    pub(super) id: WayId,
    since: Instant,
    patience: Duration,
    is_over: bool,
}

impl Leave {
    /// The way did what it should; whether the object exists is another question.
    pub(super) fn succeeded(mut self) {
        self.is_over = true;
        self.way.breaker().succeeded();
    }

    /// The way failed.
    pub(super) fn failed(mut self) {
        self.blame();
    }

    /// One of both, as the error tells.
    pub(super) fn ended(self, error: &FillError) {
        if error.is_the_ways_fault() { self.failed() } else { self.succeeded() }
    }

    /// Counts the bytes it brought.
    pub(super) fn brought(&self, bytes: usize) {
        self.way.counts.bytes.inc_by(bytes as u64);
    }

    fn blame(&mut self) {
        self.is_over = true;
        self.way.counts.failures.inc();
        let was_closed = {
            let mut breaker = self.way.breaker();
            let before = breaker.is_closed();
            breaker.failed(now_ms(), getrandom::u64().unwrap_or(0));
            before && !breaker.is_closed()
        };
        if was_closed {
            tracing::warn!(upstream = self.way.upstream.base(), "an upstream keeps failing and is left alone");
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.way.load.fetch_sub(1, Ordering::Relaxed);
        if self.is_over {
            return;
        }
        if self.since.elapsed() >= self.patience {
            self.blame();
        } else {
            self.way.breaker().abandoned(now_ms());
        }
    }
}

/// Milliseconds of this process's monotonic clock, for breakers and budgets.
pub(super) fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}
