//! The upstreams together: whom to ask, whom to ask next, and when to give up.
//!
//! The order for an object: the shields of its region by rendezvous hashing under the load
//! bound, at most [`SHIELDS_TRIED_MAX`] of them, then the origins by weight. Ways that fail
//! their checks or whose breaker is open are passed over. One request goes out; a second one
//! if the first fails by the way's fault or brings nothing for a while, all within one budget.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderMap, HeaderValue, Method};
use needledrop_core::{ByteRange, ObjectPath, Validators, breaker::RetryBudget, cdn_loop::Chain, placement};
use tokio::{task::JoinSet, time};

use super::{
    Answered, Asked, Condition, Counts, RelayBody, Settings, Upstream, health,
    way::{Leave, Tier, Way, WayId, now_ms},
};
use crate::{
    error::FillError,
    limits::{SHIELD_LOAD_FLOOR, SHIELDS_TRIED_MAX},
};

/// All ways to the origin.
pub struct Upstreams {
    ways: Vec<Arc<Way>>,
    settings: Settings,
    budget: Mutex<RetryBudget>,
    counts: Counts,
    checks: OnceLock<JoinSet<()>>,
}

/// What every request upstream has in common.
#[derive(Clone, Copy)]
pub struct Errand<'a> {
    /// Of which object.
    pub path: &'a ObjectPath,
    /// Which nodes the request has passed that makes us ask.
    pub chain: &'a Chain,
    /// How long to wait for the head of an answer, all attempts together.
    pub patience: Duration,
    /// A way that just failed us: asked last.
    pub avoid: Option<WayId>,
}

impl From<Upstream> for Upstreams {
    fn from(upstream: Upstream) -> Self {
        Self::new(Settings::named("needledrop")).with(upstream, Tier::Origin, 1)
    }
}

impl Upstreams {
    /// A group without members.
    pub fn new(settings: Settings) -> Self {
        let budget = Mutex::new(RetryBudget::new(now_ms()));
        Self { ways: Vec::new(), settings, budget, counts: Counts::default(), checks: OnceLock::new() }
    }

    /// The group with one more member. Among origins, `weight` is a share of the objects, and 0
    /// makes a spare that is asked when all others have failed; all origins must give one object the
    /// same validators, or its versions chase each other.
    #[must_use]
    pub fn with(mut self, upstream: Upstream, tier: Tier, weight: u32) -> Self {
        self.ways.push(Way::new(upstream, tier, weight, self.counts.clone()));
        self
    }

    /// What was decided about the group.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Starts the active checks, if there are any in the settings; they end with the group.
    /// Call inside of the runtime; a second call does nothing.
    pub fn start_checks(&self) {
        if let Some(check) = &self.settings.health {
            self.checks.get_or_init(|| health::watch(&self.ways, check, &self.settings.loop_id));
        }
    }

    /// Fetches bytes for the cache.
    ///
    /// # Errors
    /// Upstream refused, was silent or made no sense, or nobody could be asked.
    pub async fn get(
        &self,
        errand: Errand<'_>,
        range: ByteRange,
        condition: Condition<'_>,
    ) -> Result<Answered, FillError> {
        let field = self.loop_field(errand.chain);
        let field = &field;
        self.race(errand, |leave| async move {
            match leave.way.upstream.get(errand.path, range, condition, field).await {
                Ok(Answered::Body(facts, body)) => Ok(Answered::Body(facts, body.under(leave))),
                other => report(leave, other),
            }
        })
        .await
    }

    /// Asks about an object without fetching it; with `known`, whether it is still that.
    ///
    /// # Errors
    /// Upstream refused, was silent or made no sense, or nobody could be asked.
    pub async fn ask(&self, errand: Errand<'_>, known: Option<&Validators>) -> Result<Asked, FillError> {
        let field = self.loop_field(errand.chain);
        let field = &field;
        self.race(errand, |leave| async move {
            let asked = leave.way.upstream.ask(errand.path, known, field).await;
            report(leave, asked)
        })
        .await
    }

    /// Sends a listener's own range and conditions upstream, for objects that pass the cache by.
    ///
    /// # Errors
    /// Upstream failed or was silent, or nobody could be asked.
    pub async fn relay(
        &self,
        errand: Errand<'_>,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<http::Response<RelayBody>, FillError> {
        let field = self.loop_field(errand.chain);
        let field = &field;
        self.race(errand, |leave| async move {
            match leave.way.upstream.relay(method, errand.path, headers, field).await {
                Ok(response) => Ok(response.map(|body| RelayBody::new(body, leave))),
                Err(error) => report(leave, Err(error)),
            }
        })
        .await
    }

    /// Takes a second attempt out of the budget that all of them share.
    pub fn may_try_again(&self) -> bool {
        let may = self.budget().second_attempt(now_ms());
        if !may {
            self.counts.budget_spent.inc();
        }
        may
    }

    /// Asks one way, then others as need be; the first good answer wins, the rest is dropped.
    async fn race<T, F: Future<Output = Result<T, FillError>>>(
        &self,
        errand: Errand<'_>,
        ask: impl Fn(Leave) -> F,
    ) -> Result<T, FillError> {
        let mut queue = self.queue(&errand);
        let Some(leave) = self.next_leave(&mut queue) else {
            self.counts.nobody.inc();
            return Err(FillError::Down);
        };
        let WayId(first) = leave.id;
        self.budget().first_attempt();
        let mut asked = FuturesUnordered::new();
        let attempt = |leave: Leave, is_hedge: bool| {
            let answer = ask(leave);
            async move { (answer.await, is_hedge) }
        };
        asked.push(attempt(leave, false));
        let (hedge, deadline) = (time::sleep(self.settings.hedge_after), time::sleep(errand.patience));
        tokio::pin!(hedge, deadline);
        let mut may_hedge = true;
        loop {
            tokio::select! {
                biased;
                Some((answer, is_hedge)) = asked.next() => match answer {
                    Ok(answer) => {
                        if is_hedge {
                            self.counts.hedges_won.inc();
                        }
                        return Ok(answer);
                    }
                    Err(error) if !error.is_worth_another_way() => return Err(error),
                    Err(error) => {
                        tracing::debug!(path = %errand.path, %error, "an upstream failed");
                        if !queue.ways.is_empty()
                            && self.may_try_again()
                            && let Some(leave) = self.next_leave(&mut queue)
                        {
                            self.counts.failovers.inc();
                            asked.push(attempt(leave, false));
                        } else if asked.is_empty() {
                            return Err(error);
                        }
                    }
                },
                () = &mut hedge, if may_hedge => {
                    may_hedge = false;
                    if !self.may_try_again() {
                        continue;
                    }
                    // The same way once more where there is no other: a lost connection is not a lost origin.
                    if let Some(leave) = self.next_leave(&mut queue).or_else(|| self.leave(first)) {
                        self.counts.hedges.inc();
                        asked.push(attempt(leave, true));
                    }
                }
                () = &mut deadline => return Err(FillError::Silent),
            }
        }
    }

    /// Whom an object asks, best first.
    fn queue(&self, errand: &Errand<'_>) -> Queue {
        let of = |tier: Tier, up: bool| -> Vec<usize> {
            let is_meant = |at: &usize| self.ways[*at].tier == tier && self.ways[*at].is_up() == up;
            let members: Vec<_> = (0..self.ways.len()).filter(is_meant).collect();
            let nodes: Vec<_> = members.iter().map(|at| self.ways[*at].node).collect();
            placement::rank(errand.path, &nodes).into_iter().map(|at| members[at]).collect()
        };
        let loads: Vec<_> = self.ways.iter().map(|way| way.load()).collect();
        let shields = placement::bounded(&of(Tier::Shield, true), &loads, SHIELD_LOAD_FLOOR);
        let mut queue: VecDeque<_> = shields.into_iter().chain(of(Tier::Origin, true)).collect();
        if queue.is_empty() {
            // Checks may be wrong about everybody, or be wrongly configured: real requests decide then.
            queue = of(Tier::Shield, false).into_iter().chain(of(Tier::Origin, false)).collect();
        }
        if let Some(WayId(bad)) = errand.avoid
            && queue.len() > 1
            && let Some(place) = queue.iter().position(|at| *at == bad)
        {
            queue.remove(place);
            queue.push_back(bad);
        }
        Queue { ways: queue, shields_tried: 0 }
    }

    /// Leave for the next one whose breaker gives it.
    fn next_leave(&self, queue: &mut Queue) -> Option<Leave> {
        while let Some(at) = queue.ways.pop_front() {
            let is_shield = self.ways[at].tier == Tier::Shield;
            if is_shield && queue.shields_tried == SHIELDS_TRIED_MAX {
                continue;
            }
            if let Some(leave) = self.leave(at) {
                queue.shields_tried += u32::from(is_shield);
                return Some(leave);
            }
        }
        None
    }

    fn leave(&self, at: usize) -> Option<Leave> {
        self.ways[at].leave(WayId(at), self.settings.hedge_after)
    }

    fn loop_field(&self, chain: &Chain) -> HeaderValue {
        HeaderValue::from_str(&chain.with(&self.settings.loop_id))
            .unwrap_or_else(|_| HeaderValue::from_static("needledrop"))
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, RetryBudget> {
        self.budget.lock().expect("no code panics while holding the budget")
    }
}

/// Whom to ask yet, best first.
struct Queue {
    ways: VecDeque<usize>,
    shields_tried: u32,
}

/// Tells the way how it did.
fn report<T>(leave: Leave, answer: Result<T, FillError>) -> Result<T, FillError> {
    match &answer {
        Ok(_) => leave.succeeded(),
        Err(error) => leave.ended(error),
    }
    answer
}
