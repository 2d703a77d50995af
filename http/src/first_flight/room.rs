//! How much TLS may hold for a socket.

use std::io;
use std::task::Poll;

/// What TLS may hold that the socket has not taken, of a peer who keeps up: an answer of 64 KiB with its head leaves as
/// one.
pub(crate) const TLS_BUFFER_BYTES: usize = 68 * 1024;
/// Of what a socket took without a pause, the part that TLS may hold in case that it takes no more.
const HELD_PART: usize = 16;
/// What TLS may hold for anybody: smaller records would be mostly system calls. Unit: bytes.
pub(super) const HELD_LEAST: usize = 4 * 1024;

/// How much TLS may hold for a socket, by what the socket took lately. Pure.
///
/// What a socket took between two refusals it will take again, so that goes in one piece; the further it goes beyond, the
/// larger the pieces get again. What it then refuses is held, and is small: a listener at the pace of music takes 64 KiB
/// at a time, since with 128 KiB unsent (`limits.rs`) the kernel refuses more, and asks for more when half has gone.
pub(super) struct Room {
    /// Bytes that were taken since some were refused.
    taken: usize,
    /// Bytes that were taken before.
    before: usize,
    /// The last that it was asked for it did not take.
    pub(super) is_refusing: bool,
}

impl Room {
    /// The kernel's buffer of a new connection takes a first answer.
    pub(super) fn new() -> Self {
        Self { taken: 0, before: TLS_BUFFER_BYTES, is_refusing: false }
    }

    /// Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        let sure = self.before.saturating_sub(self.taken);
        let beyond = self.taken.saturating_sub(self.before);
        sure.max(beyond.min(self.taken / HELD_PART)).clamp(HELD_LEAST, TLS_BUFFER_BYTES)
    }

    pub(super) fn heed(&mut self, written: &Poll<io::Result<usize>>) {
        self.is_refusing = written.is_pending();
        match written {
            Poll::Ready(Ok(bytes)) => self.taken = self.taken.saturating_add(*bytes),
            // Asked twice, it refuses twice.
            Poll::Pending if self.taken > 0 => (self.before, self.taken) = (self.taken, 0),
            Poll::Pending | Poll::Ready(Err(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_given_in_one_piece_what_it_took_before_and_then_little() {
        let mut room = Room::new();
        assert_eq!(room.bytes(), TLS_BUFFER_BYTES);
        let takes = |room: &mut Room, bytes| room.heed(&Poll::Ready(Ok(bytes)));
        // A listener: the kernel's buffer is full after 150 KiB, and from then on after 66.
        takes(&mut room, 150 * 1024);
        room.heed(&Poll::Pending);
        takes(&mut room, 66 * 1024);
        for _ in 0..2 {
            room.heed(&Poll::Pending);
        }
        assert_eq!(room.bytes(), 66 * 1024);
        takes(&mut room, 64 * 1024);
        assert_eq!(room.bytes(), HELD_LEAST);
        // Who takes more gets more.
        takes(&mut room, 64 * 1024);
        assert_eq!(room.bytes(), 8 * 1024);
        takes(&mut room, 1024 * 1024);
        assert_eq!(room.bytes(), TLS_BUFFER_BYTES);
    }

    /// With a buffer that takes `cycle` after each refusal, whatever it was before: how many pieces, and what is held.
    #[test]
    fn the_room_finds_the_size_of_any_buffer() {
        for cycle in [2, 5, 17, 40, 66, 130, 400].map(|kib| kib * 1024) {
            for before in [1, 30, 68, 500].map(|kib| kib * 1024) {
                let mut room = Room { taken: 0, before, is_refusing: false };
                let mut free = cycle;
                let (mut pieces, mut cycles, mut held) = (0, 0, 0);
                while cycles < 20 {
                    let bytes = room.bytes();
                    pieces += 1;
                    room.heed(&Poll::Ready(Ok(bytes.min(free))));
                    if bytes > free {
                        room.heed(&Poll::Pending);
                        (cycles, held, free) = (cycles + 1, bytes - free, cycle);
                        // What was held goes first.
                        room.heed(&Poll::Ready(Ok(held.min(free))));
                        free -= held.min(free);
                    } else {
                        free -= bytes;
                    }
                }
                assert!(held <= (cycle / HELD_PART).max(HELD_LEAST), "{cycle} {before}: {held}");
                assert!(pieces <= cycles * (4 + cycle / TLS_BUFFER_BYTES), "{cycle} {before}: {pieces}");
            }
        }
    }
}
