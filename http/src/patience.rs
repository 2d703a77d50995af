//! How long an answer waits for a peer that does not read, where many answers share one connection.
//!
//! A player that pauses stops reading its track, and often the next one too, for as long as dinner takes; it must find
//! them where it left them. A peer that opens a hundred streams and reads none, or a byte a minute of each, is no
//! player. So the rule:
//!
//! - An answer of which the peer takes less than `read_bytes_min` in `stream_stall` of waiting is paused. That is far
//!   below any music, and only time spent waiting for the peer counts.
//! - A connection may have `paused_streams` of them, for up to `pause` each.
//! - Any further one is reset.
//!
//! On HTTP/3 answers wait for each other as well (`quic/priority.rs`), which is no fault of the peer's as long as it
//! acknowledges the others: then what it acknowledges counts, divided among all.
//!
//! What a paused answer holds is its task, a few KiB: nothing is taken out of a body before some of it can leave. On
//! HTTP/1.1 an answer is a connection, where `write_stall` counts.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::counters::Counters;
use crate::limits::Limits;

/// The paused answers of one connection. Clones are of the same.
#[derive(Clone)]
pub(crate) struct Pauses(Arc<Shared>);

struct Shared {
    paused: AtomicUsize,
    places: usize,
    stall: Duration,
    pause: Duration,
    bytes_min: usize,
    counters: Arc<Counters>,
}

impl Pauses {
    pub(crate) fn new(limits: &Limits, counters: &Arc<Counters>) -> Self {
        Self(Arc::new(Shared {
            paused: AtomicUsize::new(0),
            places: limits.paused_streams,
            stall: limits.stream_stall,
            pause: limits.pause,
            bytes_min: limits.read_bytes_min,
            counters: Arc::clone(counters),
        }))
    }

    /// Patience with the reader of one answer.
    pub(crate) fn patience(&self) -> Patience {
        Patience { pauses: self.clone(), waited: Duration::ZERO, taken: 0, place: None }
    }

    fn take_place(&self) -> Option<Place> {
        let more = |paused| (paused < self.0.places).then_some(paused + 1);
        let taken = self.0.paused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Place(self.clone()))
    }
}

/// One of the places for paused answers; dropped, it is free again.
struct Place(Pauses);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.paused.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Patience with the reader of one answer.
pub(crate) struct Patience {
    pauses: Pauses,
    /// Spent waiting since it last read enough.
    waited: Duration,
    /// What it read since then.
    taken: usize,
    place: Option<Place>,
}

impl Patience {
    /// The peer's window let so many bytes go.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= self.pauses.0.bytes_min {
            (self.waited, self.taken, self.place) = (Duration::ZERO, 0, None);
        }
    }

    /// Waits for the peer to let something go; None when patience has ended.
    pub(crate) async fn wait<F: Future>(&mut self, reading: F) -> Option<F::Output> {
        self.wait_or(reading, || 0).await
    }

    /// The same where the peer may be reading other answers that go before this one. `excuse` is asked when patience is at
    /// its end: how many bytes of those, since it was asked before, are as good as bytes of this one.
    pub(crate) async fn wait_or<F: Future>(
        &mut self,
        reading: F,
        mut excuse: impl FnMut() -> usize,
    ) -> Option<F::Output> {
        let mut begun = Instant::now();
        let mut before = self.waited;
        let mut reading = pin!(reading);
        loop {
            let outcome = timeout(self.left(), &mut reading).await;
            self.waited = before + begun.elapsed();
            if let Ok(outcome) = outcome {
                return Some(outcome);
            }
            self.took(excuse());
            (begun, before) = (Instant::now(), self.waited);
            if self.has_ended() {
                return None;
            }
        }
    }

    /// How much longer to wait before [`Patience::has_ended`] is asked.
    fn left(&self) -> Duration {
        let limit = if self.place.is_some() { self.pauses.0.pause } else { self.pauses.0.stall };
        limit.saturating_sub(self.waited)
    }

    /// Whether it has, now that the time was waited: not if the answer can count as paused.
    fn has_ended(&mut self) -> bool {
        if self.left() > Duration::ZERO {
            return false;
        }
        if self.place.is_none() {
            self.place = self.pauses.take_place();
            if self.place.is_some() {
                return false;
            }
        }
        match self.taken {
            0 => self.pauses.0.counters.stream_stalled.bump(),
            _ => self.pauses.0.counters.slow_reader.bump(),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(60);
    const PAUSE: Duration = Duration::from_secs(1_800);

    fn pauses() -> (Pauses, Arc<Counters>) {
        let limits =
            Limits { stream_stall: STALL, pause: PAUSE, paused_streams: 2, read_bytes_min: 4_096, ..Limits::default() };
        let counters = Arc::new(Counters::default());
        (Pauses::new(&limits, &counters), counters)
    }

    #[test]
    fn two_tracks_may_pause_and_a_third_stalled_stream_is_reset() {
        let (pauses, counters) = pauses();
        let mut answers = [pauses.patience(), pauses.patience(), pauses.patience()];
        let ended = answers.each_mut().map(|patience| {
            assert_eq!(patience.left(), STALL);
            patience.waited = STALL;
            patience.has_ended()
        });
        assert_eq!(ended, [false, false, true]);
        assert_eq!(answers[0].left(), PAUSE - STALL);
        answers[0].waited = PAUSE;
        assert!(answers[0].has_ended());
        assert_eq!(counters.stream_stalled.get(), 2);
        drop(answers);
        assert_eq!(pauses.0.paused.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_plays_on_gives_the_place_back() {
        let (pauses, _) = pauses();
        let mut patience = pauses.patience();
        patience.waited = STALL;
        assert!(!patience.has_ended());
        patience.took(4_095);
        assert_eq!(pauses.0.paused.load(Ordering::Relaxed), 1, "a byte now and then is not reading");
        patience.took(1);
        assert_eq!((pauses.0.paused.load(Ordering::Relaxed), patience.left()), (0, STALL));
    }

    #[test]
    fn a_trickle_is_a_slow_reader() {
        let (pauses, counters) = pauses();
        let _others = [pauses.take_place().unwrap(), pauses.take_place().unwrap()];
        let mut patience = pauses.patience();
        for second in 1..=60 {
            assert!(!patience.has_ended());
            patience.took(1);
            patience.waited = Duration::from_secs(second);
        }
        assert!(patience.has_ended());
        assert_eq!((counters.slow_reader.get(), counters.stream_stalled.get()), (1, 0));
    }

    #[tokio::test]
    async fn who_reads_others_in_the_meantime_is_excused_and_waits_on() {
        let limits = Limits { stream_stall: Duration::from_millis(2), paused_streams: 0, ..Limits::default() };
        let counters = Arc::new(Counters::default());
        let pauses = Pauses::new(&limits, &counters);
        let mut patience = pauses.patience();
        let mut asked = 0;
        let excuse = || {
            asked += 1;
            if asked < 10 { 4_096 } else { 100 }
        };
        assert_eq!(patience.wait_or(std::future::pending::<()>(), excuse).await, None);
        assert_eq!((asked, counters.slow_reader.get()), (10, 1));
    }

    #[tokio::test]
    async fn what_comes_in_time_is_passed_on() {
        let (pauses, _) = pauses();
        assert_eq!(pauses.patience().wait(async { 7 }).await, Some(7));
    }
}
