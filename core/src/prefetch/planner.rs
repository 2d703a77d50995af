//! Who may have a head fetched ahead now: at most one at a time for each listener, few in
//! all, none while listeners who wait need the room.
//!
//! ```text
//!            ┌──────── a place is free ────────┐
//!   wish ────┤                                 ├──▶ running ──finish──▶ fetched (remembered,
//!            └── all taken ──▶ waiting ────────┘       │                 so that it is not
//!                                 │ pressure, too late │ not now         fetched again)
//!                                 ▼                    ▼
//!                              dropped              forgotten: the next request may wish again
//! ```
//!
//! Listeners wish again with every request of a play, so what is dropped is lost only if
//! the play is over. The planner fetches nothing: it says which [`Job`] to start.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::target::Target;
use crate::id::PlaybackId;
use crate::object_path::ObjectPath;
use crate::time::UnixSeconds;

/// Whom a head is fetched for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listener {
    /// The play with this id.
    Play(PlaybackId),
    /// A URL that bears no playback id: whoever plays this object from there.
    Unnamed(IpAddr, ObjectPath),
}

/// A head that a listener will probably need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Who will.
    pub listener: Listener,
    /// What.
    pub target: Target,
    /// When at the latest.
    pub due: UnixSeconds,
}

/// Whether there is room for what nobody waits for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// There is.
    None,
    /// Listeners who wait need it all.
    High,
}

/// A head to fetch now. Hand it back with [`Planner::finish`], whatever became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// What was wished for.
    pub wish: Wish,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is there, or cannot be had: nothing more to do for this play.
    Settled,
    /// It was given up: the play's next request may try again.
    NotNow,
}

/// What becomes of a wish.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Fetch it now.
    Start(Job),
    /// Its turn will come.
    Waiting,
    /// It is under way, or has been fetched for this play already.
    Known,
    /// No.
    Dropped(Dropped),
}

/// Why a wish was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// Listeners who wait need the room.
    Pressure,
    /// Too many wait that are due sooner.
    Full,
    /// It is due already.
    Late,
}

/// How many wishes were dropped, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    /// [`Dropped::Pressure`].
    pub pressure: u64,
    /// [`Dropped::Full`].
    pub full: u64,
    /// [`Dropped::Late`].
    pub late: u64,
}

/// The planner's bounds, each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Heads being fetched at a time.
    pub running: usize,
    /// Heads waiting for their turn.
    pub waiting: usize,
    /// Listeners remembered whose head has been fetched.
    pub remembered: usize,
}

/// A place in an order by time; the number makes it unique.
type Place = (UnixSeconds, u64);

enum State {
    Waiting(Place),
    /// And what the listener came to wish for meanwhile.
    Running(Option<Box<Wish>>),
    Fetched(Place),
}

struct Known {
    target: Target,
    state: State,
}

/// All wishes of one edge.
pub struct Planner {
    limits: Limits,
    known: HashMap<Listener, Known>,
    /// By when they are due.
    waiting: BTreeMap<Place, Wish>,
    /// By when they can be forgotten.
    fetched: BTreeMap<Place, Listener>,
    running: usize,
    places: u64,
    drops: Drops,
}

impl Planner {
    /// Nobody wishes for anything yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: HashMap::new(),
            waiting: BTreeMap::new(),
            fetched: BTreeMap::new(),
            running: 0,
            places: 0,
            drops: Drops::default(),
        }
    }

    /// A request of this listener says what comes next. The latest word counts.
    pub fn wish(&mut self, wish: Wish, now: UnixSeconds, pressure: Pressure) -> Verdict {
        self.forget_what_is_over(now);
        if let Some(verdict) = self.while_known(&wish) {
            return verdict;
        }
        if pressure == Pressure::High {
            return self.dropped(Dropped::Pressure);
        }
        if wish.due <= now {
            return self.dropped(Dropped::Late);
        }
        if self.running < self.limits.running {
            return Verdict::Start(self.start(wish));
        }
        self.wait(wish)
    }

    /// A job is over; gives the one to start in its place.
    pub fn finish(&mut self, job: Job, end: End, now: UnixSeconds, pressure: Pressure) -> Option<Job> {
        let Wish { listener, target, due } = job.wish;
        let Some(Known { state: State::Running(then), .. }) = self.known.remove(&listener) else {
            unreachable!("a job is handed out once and given back once")
        };
        self.running -= 1;
        if end == End::Settled && then.is_none() {
            self.remember(listener, target, due);
        }
        let started = then.map(|then| self.wish(*then, now, pressure));
        if let Some(Verdict::Start(job)) = started {
            return Some(job);
        }
        self.next_waiting(now, pressure)
    }

    /// Heads being fetched.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Heads waiting for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many wishes were dropped since the start.
    pub fn drops(&self) -> Drops {
        self.drops
    }

    /// The answer to a listener of whom something is known, unless he has changed his mind.
    fn while_known(&mut self, wish: &Wish) -> Option<Verdict> {
        let known = self.known.get_mut(&wish.listener)?;
        let is_same = known.target.path == wish.target.path;
        match &mut known.state {
            State::Running(then) => {
                *then = (!is_same).then(|| Box::new(wish.clone()));
                Some(if is_same { Verdict::Known } else { Verdict::Waiting })
            }
            State::Waiting(_) if is_same => Some(Verdict::Known),
            State::Fetched(_) if is_same => Some(Verdict::Known),
            State::Waiting(place) => {
                self.waiting.remove(place);
                self.known.remove(&wish.listener);
                None
            }
            State::Fetched(place) => {
                self.fetched.remove(place);
                self.known.remove(&wish.listener);
                None
            }
        }
    }

    fn start(&mut self, wish: Wish) -> Job {
        self.running += 1;
        let known = Known { target: wish.target.clone(), state: State::Running(None) };
        self.known.insert(wish.listener.clone(), known);
        Job { wish }
    }

    /// Into the queue, in the order in which heads are due; whoever is due last leaves a full one.
    fn wait(&mut self, wish: Wish) -> Verdict {
        let place = self.place(wish.due);
        if self.waiting.len() >= self.limits.waiting {
            match self.waiting.last_key_value() {
                Some((last, _)) if *last > place => {
                    let (_, displaced) = self.waiting.pop_last().expect("looked at a moment ago");
                    self.known.remove(&displaced.listener);
                    self.drops.full += 1;
                }
                _ => return self.dropped(Dropped::Full),
            }
        }
        let known = Known { target: wish.target.clone(), state: State::Waiting(place) };
        self.known.insert(wish.listener.clone(), known);
        self.waiting.insert(place, wish);
        Verdict::Waiting
    }

    fn next_waiting(&mut self, now: UnixSeconds, pressure: Pressure) -> Option<Job> {
        while self.running < self.limits.running {
            let (_, wish) = self.waiting.pop_first()?;
            self.known.remove(&wish.listener);
            match pressure {
                Pressure::High => self.drops.pressure += 1,
                Pressure::None if wish.due <= now => self.drops.late += 1,
                Pressure::None => return Some(self.start(wish)),
            }
        }
        None
    }

    fn remember(&mut self, listener: Listener, target: Target, due: UnixSeconds) {
        if self.fetched.len() >= self.limits.remembered
            && let Some((_, oldest)) = self.fetched.pop_first()
        {
            self.known.remove(&oldest);
        }
        let place = self.place(due);
        self.fetched.insert(place, listener.clone());
        self.known.insert(listener, Known { target, state: State::Fetched(place) });
    }

    fn forget_what_is_over(&mut self, now: UnixSeconds) {
        while let Some(entry) = self.fetched.first_entry()
            && entry.key().0 <= now
        {
            let listener = entry.remove();
            self.known.remove(&listener);
        }
    }

    fn place(&mut self, at: UnixSeconds) -> Place {
        self.places += 1;
        (at, self.places)
    }

    fn dropped(&mut self, why: Dropped) -> Verdict {
        match why {
            Dropped::Pressure => self.drops.pressure += 1,
            Dropped::Full => self.drops.full += 1,
            Dropped::Late => self.drops.late += 1,
        }
        Verdict::Dropped(why)
    }
}

#[cfg(test)]
mod tests;
