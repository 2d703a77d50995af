//! Learning of an object: one question upstream however many ask, and if bytes are wanted,
//! the answer's body already fills their blocks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use needledrop_core::{BLOCK_BYTES, BlockIndex, ByteRange, ObjectPath, UnixSeconds, cache::VersionId, cdn_loop::Chain};
use tokio::sync::watch;

use crate::{
    ahead::reach,
    error::FillError,
    fill,
    flight::Interest,
    limits::{OPENING_ATTEMPTS_MAX, OPENINGS_MAX, STALE_UNASKED_SECONDS},
    object::{Known, Object},
    shelf::Shelf,
    upstream::{Answered, Asked, Condition, Errand, Facts, UpstreamBody},
};

/// What the asker will probably want of an object whose length nobody knows yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Its length and validators only: HEAD, conditions, suffix ranges.
    Facts,
    /// Bytes from the first block to the last one, or as far as one run goes.
    Blocks(u32, u32),
    /// The same, for nobody yet: what comes is leased until that time.
    Ahead(u32, u32, UnixSeconds),
}

impl Hint {
    fn lease_until(self) -> Option<UnixSeconds> {
        match self {
            Self::Ahead(_, _, lease_until) => Some(lease_until),
            Self::Facts | Self::Blocks(..) => None,
        }
    }
}

/// What became of an opening.
#[derive(Clone)]
pub enum Opened {
    /// A version that is current now.
    Object {
        /// The version.
        object: Arc<Object>,
        /// Keeps the fill that opened it going until the asker has joined it.
        hold: Option<Arc<Interest>>,
        /// Whether this asker's question went upstream, rather than somebody else's.
        first: bool,
        /// Why it is served although it is stale, if it is.
        stale: Option<StaleUse>,
    },
    /// It must pass the cache by.
    Uncacheable,
}

impl Opened {
    fn known(object: Arc<Object>) -> Self {
        Self::Object { object, hold: None, first: false, stale: None }
    }

    fn stale(object: Arc<Object>, why: StaleUse) -> Self {
        Self::Object { object, hold: None, first: false, stale: Some(why) }
    }
}

/// Why a stale object is served (RFC 5861).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleUse {
    /// Upstream is being asked about it meanwhile.
    WhileRevalidating,
    /// Upstream cannot be asked.
    OnError,
}

type Outcome = Result<Opened, FillError>;

/// Openings under way.
#[derive(Default)]
pub struct Openings {
    waiting: Mutex<HashMap<ObjectPath, watch::Receiver<Option<Outcome>>>>,
}

impl Shelf {
    /// The current version of an object: known and fresh, else asked for upstream.
    ///
    /// # Errors
    /// Upstream has none, refused, or was silent.
    pub async fn open(self: &Arc<Self>, path: &ObjectPath, hint: Hint, now: UnixSeconds) -> Outcome {
        self.open_for(&Chain::default(), path, hint, now).await
    }

    /// The same because of a request that has passed the nodes of `chain`.
    ///
    /// # Errors
    /// As [`Shelf::open`].
    pub async fn open_for(self: &Arc<Self>, chain: &Chain, path: &ObjectPath, hint: Hint, now: UnixSeconds) -> Outcome {
        for _ in 0..OPENING_ATTEMPTS_MAX {
            match self.open_once(chain, path, hint, now).await? {
                // Purged while upstream was asked: what came may be from before the purge.
                Opened::Object { object, .. } if object.is_gone() => {}
                opened => return Ok(opened),
            }
        }
        Err(FillError::Changed)
    }

    async fn open_once(self: &Arc<Self>, chain: &Chain, path: &ObjectPath, hint: Hint, now: UnixSeconds) -> Outcome {
        match self.objects.get(path) {
            Some(Known::Object(object)) if object.is_fresh(now) => return Ok(Opened::known(object)),
            Some(Known::Object(object)) if object.is_left_alone(now) && self.may_serve_on_error(&object, now) => {
                self.upstream.counts().stale_served.inc();
                return Ok(Opened::stale(object, StaleUse::OnError));
            }
            Some(Known::Object(object)) if object.may_serve_while_revalidating(now) => {
                // Somebody asks, in a task of its own, and one for all; this reader does not wait.
                let _ = self.join_opening(chain, path, Hint::Facts);
                self.upstream.counts().stale_served.inc();
                return Ok(Opened::stale(object, StaleUse::WhileRevalidating));
            }
            Some(Known::Uncacheable(until)) if now < until => return Ok(Opened::Uncacheable),
            _ => {}
        }
        let (mut outcome, asked) = self.join_opening(chain, path, hint)?;
        // The opener runs in a task of its own; it is gone without a word only if it panicked.
        let found = outcome.wait_for(Option::is_some).await.map_err(|_| FillError::Broken)?;
        let mut opened = found.clone().expect("waited for")?;
        if let Opened::Object { first, .. } = &mut opened {
            *first = asked;
        }
        Ok(opened)
    }

    fn may_serve_on_error(&self, object: &Object, now: UnixSeconds) -> bool {
        object.may_serve_on_error(self.upstream.settings().stale_if_error_seconds, now)
    }

    /// The opening of this path under way, or a new one; and whether it is new.
    fn join_opening(
        self: &Arc<Self>,
        chain: &Chain,
        path: &ObjectPath,
        hint: Hint,
    ) -> Result<(watch::Receiver<Option<Outcome>>, bool), FillError> {
        let mut waiting = self.openings.waiting.lock().expect("no code panics while holding the openings");
        if let Some(outcome) = waiting.get(path) {
            return Ok((outcome.clone(), false));
        }
        if waiting.len() >= OPENINGS_MAX {
            return Err(FillError::Overloaded);
        }
        let (sender, receiver) = watch::channel(None);
        waiting.insert(path.clone(), receiver.clone());
        let lease_until = hint.lease_until();
        let opening = Opening { shelf: self.clone(), path: path.clone(), chain: chain.clone(), lease_until };
        tokio::spawn(async move {
            let outcome = opening.ask(hint).await;
            // The guard leaves the table before the word is out: whoever comes later sees
            // the object itself.
            drop(opening);
            sender.send_replace(Some(outcome));
        });
        Ok((receiver, true))
    }
}

/// One opening under way; dropping it makes room for the next.
struct Opening {
    shelf: Arc<Shelf>,
    path: ObjectPath,
    chain: Chain,
    lease_until: Option<UnixSeconds>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Ok(mut waiting) = self.shelf.openings.waiting.lock() {
            waiting.remove(&self.path);
        }
    }
}

impl Opening {
    fn errand(&self) -> Errand<'_> {
        let patience = self.shelf.upstream.settings().first_byte_wait;
        Errand { path: &self.path, chain: &self.chain, patience, avoid: None }
    }

    async fn ask(&self, hint: Hint) -> Outcome {
        let known = match self.shelf.objects.get(&self.path) {
            Some(Known::Object(object)) => Some(object),
            _ => None,
        };
        match (known, hint) {
            // Opened by somebody else between the asker's look and now.
            (Some(object), _) if object.is_fresh(self.shelf.clock.now()) => Ok(Opened::known(object)),
            (Some(object), _) => self.revalidate(object).await,
            (None, Hint::Facts) => self.ask_facts().await,
            (None, Hint::Blocks(first, last) | Hint::Ahead(first, last, _)) => self.ask_blocks(first, last).await,
        }
    }

    async fn revalidate(&self, object: Arc<Object>) -> Outcome {
        let version = self.shelf.objects.next_version();
        let mut errand = self.errand();
        if self.shelf.may_serve_on_error(&object, self.shelf.clock.now()) {
            // The stale copy must still leave in time.
            errand.patience /= 2;
        }
        match self.shelf.upstream.ask(errand, Some(&object.validators)).await {
            Ok(Asked::Unchanged(freshness)) => {
                object.confirm(&freshness);
                self.shelf.remember(&object);
                Ok(Opened::known(object))
            }
            Ok(Asked::Facts(facts)) => Ok(Opened::known(self.shelf.learn(version, &self.path, &facts))),
            Ok(Asked::Uncacheable) => {
                self.shelf.forget(&object);
                Ok(self.uncacheable())
            }
            Err(FillError::NotFound) => {
                self.shelf.forget(&object);
                Err(FillError::NotFound)
            }
            Err(error) => {
                let now = self.shelf.clock.now();
                if !error.is_an_outage() || !self.shelf.may_serve_on_error(&object, now) {
                    return Err(error);
                }
                tracing::debug!(path = %self.path, %error, "served stale");
                object.leave_alone(now.plus(STALE_UNASKED_SECONDS));
                self.shelf.upstream.counts().stale_served.inc();
                Ok(Opened::stale(object, StaleUse::OnError))
            }
        }
    }

    async fn ask_facts(&self) -> Outcome {
        let version = self.shelf.objects.next_version();
        match self.shelf.upstream.ask(self.errand(), None).await? {
            Asked::Facts(facts) => Ok(Opened::known(self.shelf.learn(version, &self.path, &facts))),
            Asked::Unchanged(_) | Asked::Uncacheable => Ok(self.uncacheable()),
        }
    }

    async fn ask_blocks(&self, first: u32, last: u32) -> Outcome {
        let last = reach(first, last.max(first), first);
        let end = BlockIndex(last).start() + BLOCK_BYTES;
        let range = ByteRange::new(BlockIndex(first).start(), end).expect("a block is not empty");
        let version = self.shelf.objects.next_version();
        match self.shelf.upstream.get(self.errand(), range, Condition::Any).await? {
            Answered::Body(facts, body) => Ok(self.begin(version, &facts, body)),
            Answered::Unsatisfiable => self.ask_facts().await,
            Answered::Changed | Answered::Uncacheable => Ok(self.uncacheable()),
        }
    }

    /// Takes the flights of all blocks in the body, and lets a task feed them.
    fn begin(&self, version: VersionId, facts: &Facts, body: UpstreamBody) -> Opened {
        if facts.start == facts.end {
            return Opened::known(self.shelf.learn(version, &self.path, facts));
        }
        let object = Object::new(version, self.path.clone(), facts);
        let block = |position: u64| u32::try_from(position / BLOCK_BYTES).unwrap_or(u32::MAX);
        let blocks = block(facts.start)..=block(facts.end - 1);
        let (order, interest) = self.shelf.cache.begin(&object, blocks, self.lease_until);
        // Known only now, so that nobody can order these blocks a second time.
        self.shelf.adopt(&object);
        tokio::spawn(fill::feed_opened(
            self.shelf.clone(),
            object.clone(),
            order,
            body,
            facts.start,
            self.chain.clone(),
        ));
        Opened::Object { object, hold: Some(Arc::new(interest)), first: false, stale: None }
    }

    fn uncacheable(&self) -> Opened {
        self.shelf.objects.insert_uncacheable(self.path.clone(), self.shelf.clock.now());
        Opened::Uncacheable
    }
}
