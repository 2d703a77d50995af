//! The process that had the socket before, as the one after it sees it: which datagrams are for connections that live
//! there. Everything here is decided from a datagram's first bytes, which anybody can forge: what is claimed falsely
//! costs a message over the link, and nothing else.
//!
//! - A packet to an id of our making goes by the generation in it (`ids.rs`).
//! - The first packets of a handshake (Initial and 0-RTT) go to an id of the client's making. Those that the elder has
//!   begun it has named; the others are begun here.
//! - An id of a client's making may look like one of the elder's, once in 256 times where it is as long. The elder
//!   finds that it knows nothing of it, and sends the datagram back.

use std::collections::HashSet;
use std::time::Instant;

use super::ids::ID_BYTES;
use super::link::{Link, Message, Notice};
use super::socket::Datagram;

/// Handshakes that are named, at most; the server begins as many as `Limits::handshakes` says, 512. Their ids fit a
/// message of 64 KiB.
pub(super) const BEGUN: usize = 2_048;
/// Processes that are named, at most: each drains for some seconds, and there are 256 marks.
pub(super) const GENERATIONS: usize = 16;

/// The process before, as long as it has connections.
pub(super) struct Former {
    link: Link,
    notice: Named,
}

/// What it has named.
struct Named {
    generations: Vec<u8>,
    begun: HashSet<Vec<u8>>,
    /// When no handshake of its can be under way any more.
    until: Instant,
}

impl Former {
    /// `until` is when no handshake can be under way any more that began before.
    pub(super) fn new(link: Link, notice: Notice, until: Instant) -> Self {
        let Notice { generations, begun, .. } = notice;
        Self { link, notice: Named { generations, begun: begun.into_iter().take(BEGUN).collect(), until } }
    }

    /// Whether a datagram is for it.
    pub(super) fn claims(&self, datagram: &[u8], now: Instant) -> bool {
        self.notice.claims(datagram, now)
    }

    /// Whether the datagram is on its way.
    pub(super) fn send(&self, datagram: &Datagram) -> bool {
        self.link.send(&datagram.encode())
    }

    pub(super) async fn readable(&self) {
        self.link.readable().await;
    }

    pub(super) fn receive(&mut self) -> Message<'_> {
        self.link.receive()
    }

    pub(super) fn generations(&self) -> &[u8] {
        &self.notice.generations
    }

    /// Handshakes that it may still have under way.
    pub(super) fn begun(&self, now: Instant) -> impl Iterator<Item = Vec<u8>> {
        self.notice.begun.iter().filter(move |_| now < self.notice.until).cloned()
    }
}

impl Named {
    fn claims(&self, datagram: &[u8], now: Instant) -> bool {
        let Some(Destination { id, is_first_flight }) = Destination::of(datagram) else { return false };
        let is_marked = id.len() == ID_BYTES && self.generations.contains(&id[0]);
        is_marked || (is_first_flight && now < self.until && self.begun.contains(id))
    }
}

/// Whether it may begin a connection, or bring early data for one that begins.
pub(super) fn is_first_flight(datagram: &[u8]) -> bool {
    Destination::of(datagram).is_some_and(|destination| destination.is_first_flight)
}

/// For whom a datagram is, by its first packet.
struct Destination<'a> {
    id: &'a [u8],
    is_first_flight: bool,
}

impl<'a> Destination<'a> {
    fn of(datagram: &'a [u8]) -> Option<Self> {
        let (&first, rest) = datagram.split_first()?;
        if first & 0x80 == 0 {
            // A short header says no length: ids there are ours (RFC 9000 17.3.1).
            return Some(Self { id: rest.get(..ID_BYTES)?, is_first_flight: false });
        }
        // Behind the version (RFC 9000 17.2); a length beyond 20 is none of ours, and matches nothing.
        let len = usize::from(*rest.get(4)?);
        // Initial is 0, 0-RTT is 1.
        Some(Self { id: rest.get(5..5 + len)?, is_first_flight: (first >> 4) & 0b11 < 2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW_AND: Duration = Duration::from_secs(10);

    fn named(now: Instant) -> Named {
        Named { generations: vec![7, 9], begun: HashSet::from([vec![1; 8], vec![7; 5]]), until: now + NOW_AND }
    }

    fn short(id: &[u8]) -> Vec<u8> {
        [&[0x40], id, b"payload"].concat()
    }

    fn long(kind: u8, id: &[u8]) -> Vec<u8> {
        [&[0xc0 | kind << 4, 0, 0, 0, 1, u8::try_from(id.len()).unwrap()], id, b"payload"].concat()
    }

    #[test]
    fn an_id_of_ours_goes_by_its_generation_in_every_kind_of_packet() {
        let now = Instant::now();
        let named = named(now);
        for (generation, is_claimed) in [(7, true), (9, true), (8, false), (0, false)] {
            let mut id = [3; ID_BYTES];
            id[0] = generation;
            let packets = [short(&id), long(0, &id), long(1, &id), long(2, &id)];
            for packet in packets {
                assert_eq!(named.claims(&packet, now), is_claimed, "{generation} {packet:?}");
                assert_eq!(named.claims(&packet, now + 2 * NOW_AND), is_claimed, "later");
            }
        }
        assert!(!named.claims(&long(0, &[7; ID_BYTES + 1]), now), "of another length, so not of our making");
    }

    #[test]
    fn a_handshake_that_was_begun_is_known_by_its_clients_id_for_a_while() {
        let now = Instant::now();
        let named = named(now);
        for (kind, is_claimed) in [(0, true), (1, true), (2, false), (3, false)] {
            assert_eq!(named.claims(&long(kind, &[1; 8]), now), is_claimed, "kind {kind}");
            assert!(!named.claims(&long(kind, &[1; 8]), now + NOW_AND), "kind {kind}, too late");
            assert!(!named.claims(&long(kind, &[2; 8]), now), "kind {kind}, of somebody else");
        }
    }

    #[test]
    fn pieces_of_packets_are_nobodys() {
        let now = Instant::now();
        for whole in [short(&[7; ID_BYTES]), long(0, &[7; ID_BYTES])] {
            assert!(named(now).claims(&whole, now));
            let end = whole.len() - b"payload".len();
            for len in 0..end {
                assert!(!named(now).claims(&whole[..len], now), "{len} bytes");
            }
        }
        assert!(!named(now).claims(&[0xff; 30], now));
    }
}
