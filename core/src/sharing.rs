//! From how many client networks one play may be fetched: what bounds a URL that was passed around.
//!
//! A play has seats. A network that asks takes one and keeps it while it goes on asking; who comes when all are taken
//! is refused, and never gets the seat of a network that plays. A seat is free when its network has not asked for
//! longer than any player pauses between two requests of the same track. A listener who moves (home, train, mobile,
//! IPv4 and IPv6 of each) takes a few seats an hour and never notices; a link in a forum is fetched from hundreds.
//!
//! Bounded: plays beyond the table's room are let through unseated, and counted. That cannot be abused, since a
//! playback id is signed: nobody invents one.
//!
//! Pure: keys are hashes that strangers cannot compute, time is an argument.

use std::collections::{HashMap, VecDeque};

/// How plays may be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// Client networks that may fetch one play at a time. At least 1.
    pub networks: usize,
    /// Seconds after its last request from which on a network's seat is free.
    pub idle_seconds: u32,
    /// Plays known at once.
    pub plays: usize,
}

/// The seats of many plays.
#[derive(Debug)]
pub struct Seats {
    sharing: Sharing,
    plays: HashMap<u64, Vec<Seat>>,
    /// Plays in the order in which they were last looked at for room.
    order: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Seat {
    network: u32,
    last: u32,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seated {
    /// It has a seat, or may have one.
    Yes,
    /// Every seat is taken by a network that plays.
    Full,
    /// There is no room to remember this play; it is let through.
    Unknown,
}

/// Plays looked at to find room for a new one. Each is a lookup; those that play on are looked at again much later.
const LOOKS_MAX: usize = 8;

impl Seats {
    /// No plays yet.
    pub fn new(sharing: Sharing) -> Self {
        Self { sharing, plays: HashMap::new(), order: VecDeque::new() }
    }

    /// A network asks for something of a play, `now` in seconds since any fixed moment.
    pub fn ask(&mut self, play: u64, network: u64, now: u32) -> Seated {
        if !self.plays.contains_key(&play) && !self.make_room(play, now) {
            return Seated::Unknown;
        }
        let sharing = self.sharing;
        let seats = self.plays.get_mut(&play).expect("it was there, or room was made");
        let network = mark(network);
        if let Some(own) = seats.iter_mut().find(|seat| seat.network == network) {
            own.last = own.last.max(now);
            return Seated::Yes;
        }
        if seats.len() >= sharing.networks.max(1) {
            seats.retain(|seat| sharing.is_playing(seat, now));
            if seats.len() >= sharing.networks.max(1) {
                return Seated::Full;
            }
        }
        seats.push(Seat { network, last: now });
        Seated::Yes
    }

    /// The same question without taking a seat or keeping one warm: for requests that may be replays.
    pub fn would_seat(&self, play: u64, network: u64, now: u32) -> bool {
        let Some(seats) = self.plays.get(&play) else { return true };
        let network = mark(network);
        let playing = seats.iter().filter(|seat| self.sharing.is_playing(seat, now)).count();
        seats.iter().any(|seat| seat.network == network) || playing < self.sharing.networks.max(1)
    }

    /// Plays known.
    pub fn len(&self) -> usize {
        self.plays.len()
    }

    /// Whether nobody has played yet.
    pub fn is_empty(&self) -> bool {
        self.plays.is_empty()
    }

    /// Enters a new play, in the room of one that is over if need be.
    fn make_room(&mut self, play: u64, now: u32) -> bool {
        for _ in 0..LOOKS_MAX {
            if self.plays.len() < self.sharing.plays {
                self.plays.insert(play, Vec::with_capacity(1));
                self.order.push_back(play);
                return true;
            }
            let Some(oldest) = self.order.pop_front() else { return false };
            let is_over = self.plays[&oldest].iter().all(|seat| !self.sharing.is_playing(seat, now));
            if is_over {
                self.plays.remove(&oldest);
            } else {
                self.order.push_back(oldest);
            }
        }
        false
    }
}

impl Sharing {
    fn is_playing(&self, seat: &Seat, now: u32) -> bool {
        now.saturating_sub(seat.last) <= self.idle_seconds
    }
}

/// Half of a hash is enough to tell a few networks apart; a mistake lets somebody in.
fn mark(network: u64) -> u32 {
    (network >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seats(networks: usize, plays: usize) -> Seats {
        Seats::new(Sharing { networks, idle_seconds: 60, plays })
    }

    fn network(n: u64) -> u64 {
        n << 32
    }

    #[test]
    fn a_seat_is_kept_while_its_network_plays_and_free_afterwards() {
        let mut seats = seats(2, 10);
        assert_eq!(seats.ask(1, network(1), 0), Seated::Yes);
        assert_eq!(seats.ask(1, network(2), 0), Seated::Yes);
        assert_eq!(seats.ask(1, network(3), 30), Seated::Full);
        assert_eq!(seats.ask(1, network(1), 50), Seated::Yes);
        assert_eq!(seats.ask(2, network(3), 50), Seated::Yes, "another play has seats of its own");
        assert_eq!(seats.ask(1, network(3), 61), Seated::Yes, "the second network has stopped");
        assert_eq!(seats.ask(1, network(2), 62), Seated::Full);
    }

    #[test]
    fn a_possible_replay_takes_no_seat_and_keeps_none_warm() {
        let mut seats = seats(1, 10);
        assert!(seats.would_seat(1, network(9), 0));
        assert!(seats.is_empty());
        assert_eq!(seats.ask(1, network(1), 0), Seated::Yes);
        assert!(seats.would_seat(1, network(1), 60) && !seats.would_seat(1, network(2), 60));
        assert_eq!(seats.ask(1, network(2), 61), Seated::Yes);
    }

    #[test]
    fn a_full_table_lets_new_plays_through_and_forgets_only_those_that_are_over() {
        let mut seats = seats(1, 2);
        assert_eq!(seats.ask(1, network(1), 0), Seated::Yes);
        assert_eq!(seats.ask(2, network(1), 30), Seated::Yes);
        assert_eq!(seats.ask(3, network(1), 40), Seated::Unknown);
        assert_eq!(seats.ask(1, network(2), 40), Seated::Full, "nobody was forgotten");
        assert_eq!(seats.ask(3, network(1), 70), Seated::Yes, "the first play is over");
        assert_eq!(seats.ask(2, network(2), 70), Seated::Full);
        assert_eq!(seats.len(), 2);
    }

    proptest! {
        /// Against the naive model: when each network last asked for each play and was let in, without a bound.
        #[test]
        fn with_room_enough_it_is_the_naive_model(
            steps in prop::collection::vec((0u64..4, 0u64..6, 0u32..40, any::<bool>()), 1..300),
        ) {
            let mut seats = seats(3, 10);
            let mut model: HashMap<(u64, u64), u32> = HashMap::new();
            let mut now = 0;
            for (play, who, pause, is_replay) in steps {
                now += pause;
                let others = model.iter().filter(|((of, by), last)| *of == play && *by != who && now - **last <= 60);
                let is_playing = model.get(&(play, who)).is_some_and(|last| now - last <= 60);
                let expected = is_playing || others.count() < 3;
                if is_replay {
                    let before = format!("{seats:?}");
                    prop_assert_eq!(seats.would_seat(play, network(who), now), expected);
                    prop_assert_eq!(before, format!("{seats:?}"));
                } else {
                    let seated = if expected { Seated::Yes } else { Seated::Full };
                    prop_assert_eq!(seats.ask(play, network(who), now), seated);
                    if expected {
                        model.insert((play, who), now);
                    }
                }
            }
        }

        /// Whoever plays keeps his seat, whatever others do; and the table keeps its bounds.
        #[test]
        fn who_plays_is_never_evicted(
            strangers in prop::collection::vec((0u64..40, 0u64..50, 0u32..20), 1..400),
        ) {
            let mut seats = seats(3, 8);
            prop_assert_eq!(seats.ask(1_000, network(7), 0), Seated::Yes);
            let (mut now, mut last) = (0, 0);
            for (play, who, pause) in strangers {
                now += pause;
                if now - last > 30 {
                    prop_assert_eq!(seats.ask(1_000, network(7), now), Seated::Yes);
                    last = now;
                }
                let play = if play < 20 { 1_000 } else { play };
                let _ = seats.ask(play, network(who), now);
                prop_assert!(seats.len() <= 8 && seats.order.len() == seats.len());
                prop_assert!(seats.plays.values().all(|seats| seats.len() <= 3));
                prop_assert!(seats.plays[&1_000].iter().any(|seat| seat.network == 7));
            }
        }
    }
}
