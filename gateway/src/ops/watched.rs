//! What is known of one edge, and how a look at it changes that. Pure: looks and times come in.

use needledrop_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::rings::History;
use super::sample::{Sample, Window};
use super::text::Levels;

/// Looks that must fail before an edge counts as unreachable: one may be lost on the way.
const FAILURES_MAX: u32 = 2;
/// The least time between two looks of which a rate is made. Unit: milliseconds; a person may ask for a look at any time.
const COVERED_MS_MIN: u64 = 500;

/// How an edge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has looked yet.
    Unknown,
    /// It takes requests.
    Up,
    /// It has begun, and does not take requests yet.
    Starting,
    /// It takes no new requests, by an operator's wish.
    Draining,
    /// Nothing is heard of it.
    Unreachable,
}

/// What an edge says of itself (`GET /status`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// Its name in Cache-Status.
    pub edge: String,
    /// The program's version.
    pub version: String,
    /// Where it says that it stands.
    pub region: Option<String>,
    /// When its process began, by its own clock.
    pub started: UnixSeconds,
    /// Ready, starting or draining.
    pub standing: String,
    /// Until when its certificate holds, in seconds since 1970.
    pub certificate_until: Option<i64>,
    /// Its signing keys, by name and state.
    pub keys: Vec<Key>,
    /// What is in its cache.
    pub cache: Cache,
}

/// A signing key of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Key {
    /// Its name.
    pub id: String,
    /// Signing, verifying or retired.
    pub state: String,
}

/// The cache of an edge, as far as its metrics do not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Cache {
    /// Objects that it knows of.
    pub objects: u64,
    /// The size of a block.
    pub block_bytes: u64,
    /// Blocks kept for somebody who is expected.
    pub blocks_leased: u64,
}

/// What an edge's most wanted objects are (`GET /top`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Top {
    /// From when on it counted, by its own clock.
    pub since: u64,
    /// Requests since then.
    pub requests: u64,
    /// Requests that were not counted because another one was being counted.
    pub uncounted: u64,
    /// The most wanted first.
    pub objects: Vec<Object>,
}

/// One object that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Object {
    /// Its path.
    pub path: String,
    /// Requests, at most.
    pub count: u64,
    /// By how much that may be too large.
    pub error: u64,
    /// Bytes that arrived.
    pub bytes: u64,
}

/// What went wrong at an edge (`GET /errors`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Errors {
    /// By kind, the most frequent first.
    pub kinds: Vec<Failures>,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failures {
    /// The name of the problem.
    pub kind: String,
    /// How often since the edge's process began.
    pub count: u64,
    /// The last ones, newest first.
    pub recent: Vec<Failure>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Failure {
    /// When, by the edge's clock.
    pub at: u64,
    /// The status that was sent.
    pub status: u16,
    /// The method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The client's network.
    pub client: String,
    /// Over which protocol.
    pub protocol: String,
    /// Until the head of the answer, in microseconds.
    pub took_us: u64,
}

/// One look at an edge: all that it tells.
#[derive(Debug, Clone)]
pub struct Look {
    /// What it says of itself.
    pub status: Status,
    /// Its counters.
    pub sample: Sample,
    /// What is there now.
    pub levels: Levels,
    /// What is wanted.
    pub top: Top,
    /// What went wrong.
    pub errors: Errors,
}

/// What is known of one edge.
#[derive(Debug, Clone)]
pub struct Watched {
    /// How it stands.
    pub state: State,
    /// Since when, as far as was looked.
    pub since: Option<UnixSeconds>,
    /// The last time that it answered.
    pub heard: Option<UnixSeconds>,
    /// Why the last look failed, if it did.
    pub trouble: Option<String>,
    /// The last look that did not.
    pub last: Option<Look>,
    /// Over time.
    pub history: History,
    heard_ms: u64,
    failures: u32,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            state: State::Unknown,
            since: None,
            heard: None,
            trouble: None,
            last: None,
            history: History::default(),
            heard_ms: 0,
            failures: 0,
        }
    }
}

impl Watched {
    /// A look came back at this time (in milliseconds since 1970).
    pub fn looked(&mut self, look: Result<Look, String>, now_ms: u64) {
        let now = UnixSeconds(now_ms / 1_000);
        match look {
            Ok(look) => self.answered(look, now_ms, now),
            Err(why) => {
                self.failures += 1;
                self.trouble = Some(why);
                if self.failures >= FAILURES_MAX || self.state == State::Unknown {
                    self.stand(State::Unreachable, now);
                }
            }
        }
    }

    fn answered(&mut self, look: Look, now_ms: u64, now: UnixSeconds) {
        self.failures = 0;
        self.trouble = None;
        let covered_ms = now_ms.saturating_sub(self.heard_ms);
        let known = self.last.as_ref();
        let is_same = known.is_some_and(|known| known.status.started == look.status.started);
        let state = match look.status.standing.as_str() {
            "ready" => State::Up,
            "starting" => State::Starting,
            _ => State::Draining,
        };
        if known.is_some() && !is_same {
            // It was away, however short: what it was before is over.
            self.since = None;
        }
        self.stand(state, now);
        if is_same && covered_ms < COVERED_MS_MIN {
            // Too short a time to make a rate of: what stands can be told, what was counted waits for the next look.
            let known = self.last.take().map(|known| known.sample).unwrap_or_default();
            self.last = Some(Look { sample: known, ..look });
            return;
        }
        if let Some(window) = self.window(&look, is_same, covered_ms, now) {
            self.history.add(&window, now);
        }
        (self.heard, self.heard_ms, self.last) = (Some(now), now_ms, Some(look));
    }

    /// What came since the last look. Of an edge that was never looked at nobody knows when it came what it has, and of
    /// one that has begun anew all is since it began.
    fn window(&self, look: &Look, is_same: bool, covered_ms: u64, now: UnixSeconds) -> Option<Window> {
        let known = self.last.as_ref()?;
        if is_same {
            return Some(look.sample.since(&known.sample, covered_ms));
        }
        let age_ms =
            now.since(look.status.started).saturating_mul(1_000).clamp(COVERED_MS_MIN, covered_ms.max(COVERED_MS_MIN));
        Some(look.sample.since(&Sample::default(), age_ms))
    }

    fn stand(&mut self, state: State, now: UnixSeconds) {
        if self.state != state || self.since.is_none() {
            (self.state, self.since) = (state, Some(now));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ops::rings::Range;
    use crate::ops::sample::{Group, Place};
    use proptest::prelude::*;

    /// A look at an edge that has answered so many requests since it began.
    pub(crate) fn look(started: u64, requests: u64, standing: &str) -> Look {
        let mut sample = Sample::default();
        sample.bytes = requests * 1_000;
        sample.add(Place::Requests, requests);
        sample.add(Place::Answers(Group::Head), requests);
        sample.add(Place::Hits(Group::Head), requests / 2);
        sample.add(Place::Start(Group::Head, 2), requests);
        Look {
            status: Status {
                edge: "edge".into(),
                version: "0.1.0".into(),
                region: None,
                started: UnixSeconds(started),
                standing: standing.into(),
                certificate_until: Some(1_900_000_000),
                keys: vec![Key { id: "k1".into(), state: "signing".into() }],
                cache: Cache { objects: 1, block_bytes: 131_072, blocks_leased: 0 },
            },
            sample,
            levels: Levels { connections: 2, slots: 100, pinned: 1, heads: 10, bodies: 5 },
            top: Top {
                since: started,
                requests,
                uncounted: 0,
                objects: vec![Object { path: "/tracks/a/b/160.ogg".into(), count: requests, error: 0, bytes: 9 }],
            },
            errors: Errors::default(),
        }
    }

    const START: u64 = 1_800_000_000;

    fn at(seconds: u64) -> u64 {
        (START + seconds) * 1_000
    }

    fn seen(watched: &Watched) -> u64 {
        watched.history.slots(Range::Day, 0).map(|(_, window)| window.get(Place::Requests)).sum()
    }

    #[test]
    fn an_edge_goes_through_its_states_and_each_has_its_beginning() {
        let mut watched = Watched::default();
        assert_eq!(watched.state, State::Unknown);
        let mut step = |look, seconds| {
            watched.looked(look, at(seconds));
            (watched.state, watched.since.unwrap().0 - START)
        };
        let lost = || Err("no answer within 4 s".to_owned());
        assert_eq!(step(Ok(look(1, 0, "starting")), 0), (State::Starting, 0));
        assert_eq!(step(Ok(look(1, 5, "ready")), 5), (State::Up, 5));
        assert_eq!(step(lost(), 10), (State::Up, 5), "one lost look is none");
        assert_eq!(step(Ok(look(1, 5, "ready")), 15), (State::Up, 5));
        assert_eq!(step(lost(), 20), (State::Up, 5));
        assert_eq!(step(lost(), 25), (State::Unreachable, 25));
        assert_eq!(step(lost(), 30), (State::Unreachable, 25));
        assert_eq!(step(Ok(look(1, 9, "draining")), 35), (State::Draining, 35));
        assert_eq!(step(Ok(look(1, 9, "ready")), 40), (State::Up, 40));
        assert_eq!(step(Ok(look(START + 41, 1, "ready")), 45), (State::Up, 45), "another process");
        assert_eq!(watched.trouble, None);
    }

    #[test]
    fn an_edge_that_never_answered_is_unreachable_at_once() {
        let mut watched = Watched::default();
        watched.looked(Err("connection refused".into()), at(0));
        assert_eq!((watched.state, watched.trouble.as_deref()), (State::Unreachable, Some("connection refused")));
    }

    #[test]
    fn what_was_before_the_first_look_is_in_no_slot_and_a_restart_hides_nothing() {
        let mut watched = Watched::default();
        watched.looked(Ok(look(1, 1_000_000, "ready")), at(0));
        assert_eq!(seen(&watched), 0);
        watched.looked(Ok(look(1, 1_000_010, "ready")), at(5));
        assert_eq!(seen(&watched), 10);
        // The new process has more already than the old one had: only its start tells them apart.
        watched.looked(Ok(look(START + 6, 1_000_030, "ready")), at(10));
        assert_eq!(seen(&watched), 1_000_040);
    }

    #[test]
    fn a_look_at_once_after_another_makes_no_rate_and_loses_nothing() {
        let mut watched = Watched::default();
        watched.looked(Ok(look(1, 10, "ready")), at(0));
        watched.looked(Ok(look(1, 20, "draining")), at(0) + 100);
        assert_eq!((watched.state, seen(&watched)), (State::Draining, 0));
        watched.looked(Ok(look(1, 30, "draining")), at(5));
        assert_eq!(seen(&watched), 20);
    }

    proptest! {
        #[test]
        fn no_request_is_lost_or_counted_twice_over_restarts(
            lives in prop::collection::vec(prop::collection::vec(0u64..50, 1..6), 1..6),
        ) {
            let mut watched = Watched::default();
            let (mut seconds, mut truth) = (0, 0);
            for (life, looks) in lives.iter().enumerate() {
                let started = START + seconds;
                let mut requests = 0;
                for (number, more) in looks.iter().enumerate() {
                    seconds += 5;
                    requests += more;
                    // What the very first look finds is from before.
                    truth += if (life, number) == (0, 0) { 0 } else { *more };
                    watched.looked(Ok(look(started, requests, "ready")), at(seconds));
                }
            }
            prop_assert_eq!(seen(&watched), truth);
        }
    }
}
