//! Active checks: is an upstream alive, although nobody asks it for music just now?

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use super::way::Way;
use crate::limits::HEALTH_EVERY;

/// How upstreams are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for with HEAD. Any answer below 500 is a sign of life: an origin need not know
    /// the path.
    pub path: String,
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub within: Duration,
}

impl HealthCheck {
    /// A check of `path` at the usual pace.
    pub fn of(path: &str) -> Self {
        Self { path: path.to_owned(), every: HEALTH_EVERY, within: HEALTH_EVERY / 2 }
    }
}

/// Checks every way until the set is dropped.
pub(super) fn watch(ways: &[Arc<Way>], check: &HealthCheck, loop_id: &str) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for way in ways {
        tasks.spawn(follow(way.clone(), check.clone(), loop_id.to_owned()));
    }
    tasks
}

async fn follow(way: Arc<Way>, check: HealthCheck, loop_id: String) {
    // Spread, so that an origin does not hear from all of its edges in one moment.
    let phase = getrandom::u32().unwrap_or(0) % 1_000;
    time::sleep(check.every.mul_f64(f64::from(phase) / 1_000.0)).await;
    let mut ticks = time::interval(check.every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = time::timeout(check.within, way.upstream.knock(&check.path, &loop_id)).await;
        way.checked(matches!(answer, Ok(Ok(status)) if status.as_u16() < 500));
    }
}
