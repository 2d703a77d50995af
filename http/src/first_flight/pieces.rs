//! How large the next piece of an answer may be, by what was sent of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::together::Together;

/// A full record's worth (RFC 8446 5.1). Unit: bytes.
pub(super) const RECORD: usize = 16 * 1024;
/// What fits one segment with the 22 bytes that a TLS 1.3 record adds, also over IPv6 and in a tunnel (an MTU of
/// 1,460 and more, with timestamps). Unit: bytes.
const SEGMENT: usize = 1_360;
/// The header of an HTTP/2 frame (RFC 9113 4.1). Unit: bytes.
const FRAME_HEADER: usize = 9;
/// A connection that was silent for so long has lost its window: the kernel takes it back after one retransmission
/// timeout, at least 200 ms and a round trip and more.
const SILENCE: Duration = Duration::from_secs(1);

/// Pieces of `bytes` until `until` bytes have been sent.
pub(super) struct Step {
    until: usize,
    bytes: usize,
}

/// The first window is 14 KB, and a page of sound is 8 KB: every segment of it counts. The next two windows reach to
/// 64 KiB, the first chunk a player asks for; a third of the records loses at most two segments at a window's end.
pub(super) const RECORDS: [Step; 2] =
    [Step { until: 16 * 1024, bytes: SEGMENT }, Step { until: 64 * 1024, bytes: 3 * SEGMENT }];
/// Frames fill records. Beyond two windows a player has begun, and full frames cost less.
const FRAMES: [Step; 2] = [
    Step { until: 16 * 1024, bytes: SEGMENT - FRAME_HEADER },
    Step { until: 32 * 1024, bytes: 3 * SEGMENT - FRAME_HEADER },
];

/// The rule: how large the next piece may be. Pure.
pub(super) struct Flight {
    steps: &'static [Step],
    sent: usize,
    last: Instant,
    /// Something was asked for since the last piece.
    is_asked: bool,
}

impl Flight {
    pub(super) fn new(steps: &'static [Step], now: Instant) -> Self {
        Self { steps, sent: 0, last: now, is_asked: false }
    }

    /// The size of the next piece; None means any. To be asked whenever something is to be sent.
    pub(super) fn piece(&mut self, now: Instant) -> Option<usize> {
        let is_asked = std::mem::take(&mut self.is_asked);
        if is_asked && now.saturating_duration_since(self.last) >= SILENCE {
            self.sent = 0;
        }
        self.last = now;
        self.steps.iter().find(|step| self.sent < step.until).map(|step| step.bytes)
    }

    pub(super) fn took(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    pub(super) fn asked(&mut self) {
        self.is_asked = true;
    }
}

/// The sizes of the DATA frames of one HTTP/2 connection. Clones are of the same.
#[derive(Clone)]
pub(crate) struct FirstFrames {
    flight: Arc<Mutex<Flight>>,
    together: Together,
}

impl FirstFrames {
    /// `together` is of the stream that the frames go to.
    pub(crate) fn new(together: Together) -> Self {
        Self { flight: Arc::new(Mutex::new(Flight::new(&FRAMES, Instant::now()))), together }
    }

    /// How many of `bytes` that can be sent go into the next frame: no more than fills a record with its header, which
    /// would otherwise need a second record for nine bytes. They count as sent.
    pub(crate) fn next(&self, bytes: usize) -> usize {
        let mut flight = self.flight.lock().expect("no code panics while holding it");
        let bytes = flight.piece(Instant::now()).unwrap_or(RECORD - FRAME_HEADER).min(bytes);
        flight.took(bytes);
        bytes
    }

    /// A request came.
    pub(crate) fn asked(&self) {
        self.flight.lock().expect("no code panics while holding it").asked();
        self.together.asked();
    }

    /// An answer begins.
    pub(crate) fn answering(&self) {
        self.together.answering();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_and_are_small_again_for_who_asks_after_a_silence() {
        let start = Instant::now();
        let mut flight = Flight::new(&RECORDS, start);
        let mut sizes = Vec::new();
        while let Some(piece) = flight.piece(start) {
            flight.took(piece);
            sizes.push(piece);
        }
        assert_eq!((sizes[0], sizes[12], sizes[13]), (SEGMENT, SEGMENT, 3 * SEGMENT));
        assert!((64 * 1024..68 * 1024).contains(&sizes.iter().sum::<usize>()), "{sizes:?}");
        assert_eq!(flight.piece(start + SILENCE / 2), None);
        flight.asked();
        assert_eq!(flight.piece(start + SILENCE), None, "a piece left half a silence ago");
        assert_eq!(flight.piece(start + 2 * SILENCE), None, "nobody waits for it");
        flight.asked();
        assert_eq!(flight.piece(start + 3 * SILENCE), Some(SEGMENT));
    }
}
