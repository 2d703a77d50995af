//! Where a client surely is, and how much may leave for where it only seems to be (RFC 9000 8 and 9). Pure.
//!
//! Anybody who saw a packet may send it again from another address: the connection seems to have moved, and what leaves
//! next goes to somebody who never asked. So, until an address is proven:
//!
//! - During the handshake at most three times what came leaves, to the byte.
//! - After a move as well, but for one thing: a new address is proven by an answer to a PATH_CHALLENGE, which comes in
//!   1,200 bytes, and the first packet of an honest client that moved may have 40. So the challenge waits for a while in
//!   which a client that did not move speaks up from where it is: its old address is challenged at once, and asking it is
//!   one round trip. Then nothing more goes to the false one. Only with silence from the old address the challenge leaves.
//! - All that ever leaves to unproven addresses is at most three times all that came on the connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes that may leave to an unproven address for each that came (RFC 9000 8.1).
const AMPLIFICATION: u64 = 3;
/// The least and the most that a move waits for the old address.
const DOUBT_MIN: Duration = Duration::from_millis(20);
const DOUBT_MAX: Duration = Duration::from_millis(500);

/// Bytes of one address.
#[derive(Debug, Default)]
struct Flow {
    came: u64,
    left: u64,
}

impl Flow {
    fn bears(&self, bytes: u64) -> bool {
        self.left + bytes <= AMPLIFICATION * self.came
    }
}

/// What a connection knows of its client's address.
#[derive(Debug)]
pub(super) struct Whereabouts {
    proven: SocketAddr,
    seeming: SocketAddr,
    is_proven: bool,
    /// Some address of it was.
    was_proven: bool,
    /// At the seeming address, while it is not proven.
    here: Flow,
    /// Everything that came, and what left to unproven addresses.
    whole: Flow,
    /// Of the last move, if there was one.
    moved: Option<Move>,
}

#[derive(Debug)]
struct Move {
    /// Until then the old address is listened to.
    doubted_until: Instant,
    /// Acknowledgements that the congestion controller had heard of. It hears of none until the address is proven.
    acked_bytes: u64,
}

/// What the protocol's code says of the path at a moment.
pub(super) trait Path {
    fn remote(&self) -> SocketAddr;
    fn is_handshaking(&self) -> bool;
    fn rtt(&self) -> Duration;
    /// Bytes that its congestion controller knows as acknowledged.
    fn acked_bytes(&self) -> u64;
}

/// Whether a datagram may leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Now,
    /// Not before this instant, or something comes.
    At(Instant),
    /// Not before something comes.
    Later,
    /// The client is somewhere else.
    Never,
}

impl Whereabouts {
    /// Of a client whose first packet came from here, with a token that proves the address or without.
    pub(super) fn new(remote: SocketAddr, bytes: u64, is_proven: bool) -> Self {
        Self {
            proven: remote,
            seeming: remote,
            is_proven,
            was_proven: is_proven,
            here: Flow { came: bytes, left: 0 },
            whole: Flow { came: bytes, left: 0 },
            moved: None,
        }
    }

    /// A datagram came, and this is what the protocol made of it.
    pub(super) fn came(&mut self, bytes: u64, path: &impl Path, now: Instant) {
        self.whole.came += bytes;
        self.look(path, now);
        self.here.came += bytes;
    }

    /// The protocol may have changed its mind by itself as well: a move that nobody confirms is taken back.
    pub(super) fn look(&mut self, path: &impl Path, now: Instant) {
        let remote = path.remote();
        if self.is_proven && remote == self.seeming {
            return;
        }
        if remote != self.seeming {
            let rtt = path.rtt() * 3 / 2 + Duration::from_millis(10);
            let doubted_until = now + rtt.clamp(DOUBT_MIN, DOUBT_MAX);
            self.moved = Some(Move { doubted_until, acked_bytes: path.acked_bytes() });
            (self.seeming, self.here) = (remote, Flow::default());
            // Where it surely was it may come back to.
            self.is_proven = self.was_proven && remote == self.proven;
        }
        self.is_proven |= match &self.moved {
            Some(moved) => path.acked_bytes() > moved.acked_bytes,
            None => !path.is_handshaking(),
        };
        if self.is_proven {
            (self.proven, self.was_proven) = (remote, true);
        }
    }

    /// Where the client surely is; the first packet's word for it until the handshake is complete.
    pub(super) fn proven(&self) -> SocketAddr {
        self.proven
    }

    /// Whether datagrams are to be made one by one. After a move what may leave is counted to the byte, and it is the
    /// acknowledgement of some of it that proves the address: of a batch that is too large as a whole none would leave, and
    /// a client that only listens would wait for it for ever.
    pub(super) fn is_counted(&self) -> bool {
        self.moved.is_some() && !self.is_proven
    }

    /// Whether so many bytes may leave for this address.
    pub(super) fn may_leave(&self, to: SocketAddr, bytes: u64, now: Instant) -> Leave {
        if to == self.proven && self.was_proven {
            return Leave::Now;
        }
        if to != self.seeming {
            return Leave::Never;
        }
        if !self.whole.bears(bytes) {
            return Leave::Later;
        }
        match &self.moved {
            _ if self.here.bears(bytes) => Leave::Now,
            None => Leave::Later,
            Some(moved) if now < moved.doubted_until => Leave::At(moved.doubted_until),
            Some(_) => Leave::Now,
        }
    }

    /// They do.
    pub(super) fn left(&mut self, to: SocketAddr, bytes: u64) {
        if to == self.seeming && !self.is_proven {
            self.here.left += bytes;
            self.whole.left += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "203.0.113.7:5000";
    const AWAY: &str = "198.51.100.9:6000";
    const RTT: Duration = Duration::from_millis(40);

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    struct Seen(SocketAddr, u64, bool);

    impl Path for Seen {
        fn remote(&self) -> SocketAddr {
            self.0
        }

        fn is_handshaking(&self) -> bool {
            self.2
        }

        fn rtt(&self) -> Duration {
            RTT
        }

        fn acked_bytes(&self) -> u64 {
            self.1
        }
    }

    fn path(remote: &str, acked_bytes: u64, is_handshaking: bool) -> Seen {
        Seen(at(remote), acked_bytes, is_handshaking)
    }

    /// A client at home, after its handshake.
    fn settled(now: Instant) -> Whereabouts {
        let mut whereabouts = Whereabouts::new(at(HOME), 1_200, false);
        whereabouts.came(1_200, &path(HOME, 0, false), now);
        whereabouts
    }

    #[test]
    fn a_handshake_gets_three_times_what_came_until_it_is_complete() {
        let now = Instant::now();
        let mut client = Whereabouts::new(at(HOME), 1_200, false);
        assert_eq!(client.may_leave(at(HOME), 3_600, now), Leave::Now);
        client.left(at(HOME), 2_400);
        assert_eq!(client.may_leave(at(HOME), 1_201, now), Leave::Later);
        client.came(1, &path(HOME, 0, true), now);
        assert_eq!(client.may_leave(at(HOME), 1_201, now), Leave::Now);
        client.came(50, &path(HOME, 0, false), now);
        assert_eq!(client.may_leave(at(HOME), 1 << 20, now), Leave::Now);
        let token = Whereabouts::new(at(HOME), 1_200, true);
        assert_eq!(token.may_leave(at(HOME), 1 << 20, now), Leave::Now);
    }

    #[test]
    fn who_seems_to_move_is_doubted_and_then_challenged_and_then_believed() {
        let now = Instant::now();
        let mut client = settled(now);
        client.came(40, &path(AWAY, 0, false), now);
        assert_eq!(client.proven(), at(HOME));
        assert_eq!(client.may_leave(at(HOME), 1_200, now), Leave::Now, "the old address is asked at once");
        assert_eq!(client.may_leave(at(AWAY), 120, now), Leave::Now);
        let Leave::At(instant) = client.may_leave(at(AWAY), 1_200, now) else { panic!("no doubt") };
        assert_eq!(instant, now + Duration::from_millis(70));
        assert_eq!(client.may_leave(at(AWAY), 1_200, instant), Leave::Now);
        client.left(at(AWAY), 1_200);
        assert_eq!(client.may_leave(at(AWAY), 1_200, instant), Leave::Now, "what came at home pays as well");
        assert_eq!(client.may_leave(at(AWAY), 1 << 20, instant), Leave::Later);
        client.came(1_200, &path(AWAY, 900, false), instant);
        assert_eq!(client.proven(), at(AWAY));
        assert_eq!(client.may_leave(at(AWAY), 1 << 20, instant), Leave::Now);
    }

    #[test]
    fn what_is_too_much_at_once_goes_one_by_one_until_some_of_it_is_acknowledged() {
        let now = Instant::now();
        let mut client = settled(now);
        assert!(!client.is_counted());
        client.came(40, &path(AWAY, 0, false), now);
        let later = now + DOUBT_MAX;
        assert_eq!(client.may_leave(at(AWAY), 40 * 1_200, later), Leave::Later, "a batch");
        assert!(client.is_counted());
        let mut datagrams = 0;
        while client.may_leave(at(AWAY), 1_200, later) == Leave::Now {
            client.left(at(AWAY), 1_200);
            datagrams += 1;
        }
        assert_eq!(datagrams, 6, "three times 2,440 bytes");
        client.came(40, &path(AWAY, 1_200, false), later);
        assert!(!client.is_counted());
        assert_eq!(client.may_leave(at(AWAY), 40 * 1_200, later), Leave::Now);
    }

    #[test]
    fn a_copied_packet_moves_nobody_who_speaks_up() {
        let now = Instant::now();
        let mut client = settled(now);
        let mut to_the_victim = 0;
        for _ in 0..1_000 {
            client.came(40, &path(AWAY, 0, false), now);
            if client.may_leave(at(AWAY), 1_200, now) == Leave::Now {
                client.left(at(AWAY), 1_200);
                to_the_victim += 1_200;
            }
            client.came(40, &path(HOME, 0, false), now);
            assert_eq!(client.proven(), at(HOME));
            assert_eq!(client.may_leave(at(AWAY), 1, now), Leave::Never);
        }
        assert_eq!(to_the_victim, 0);
    }

    #[test]
    fn a_move_that_is_taken_back_needs_no_proof() {
        let now = Instant::now();
        let mut client = settled(now);
        client.came(40, &path(AWAY, 0, false), now);
        client.look(&path(HOME, 5_000, false), now + Duration::from_secs(1));
        assert_eq!(client.may_leave(at(HOME), 1 << 20, now), Leave::Now);
        assert_eq!(client.proven(), at(HOME));
    }

    #[test]
    fn all_that_leaves_to_the_unproven_is_three_times_all_that_came() {
        let now = Instant::now();
        let mut client = settled(now);
        let (mut came, mut left, mut instant) = (2_400, 0, now);
        for port in 1..2_000u16 {
            let away = SocketAddr::new(at(AWAY).ip(), port);
            client.came(40, &Seen(away, 0, false), instant);
            came += 40;
            instant += Duration::from_secs(1);
            if client.may_leave(away, 1_200, instant) == Leave::Now {
                client.left(away, 1_200);
                left += 1_200;
            }
        }
        assert!(left > came && left <= 3 * came, "{left} for {came}");
    }
}
