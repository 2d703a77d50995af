//! What a listener hears: the playhead, the bytes ahead of it, and the silences when there are none.
//!
//! Pure: instants come from outside. Bytes become seconds by the object's average rate.

use std::time::{Duration, Instant};

/// One uninterrupted stretch of a track: from its start, or from where a seek went.
#[derive(Debug, Clone)]
pub struct Playback {
    began: Instant,
    /// Seconds of music for a second of time.
    speed: f64,
    bytes_per_second: f64,
    /// Bytes at hand, from where the stretch began.
    have: u64,
    stalled: Duration,
}

impl Playback {
    /// Sound begins now. `speed` 1 is real time.
    pub fn begin(began: Instant, bytes_per_second: f64, speed: f64) -> Self {
        Self { began, speed, bytes_per_second: bytes_per_second.max(1.0), have: 0, stalled: Duration::ZERO }
    }

    /// The first `have` bytes of the stretch are there. The silence that this ended, if the listener sat in one.
    pub fn arrived(&mut self, at: Instant, have: u64) -> Option<Duration> {
        let starved_since = self.runs_dry_at();
        let silence = at.saturating_duration_since(starved_since);
        self.have = self.have.max(have);
        // Before the stretch began there was nothing to hear.
        if silence.is_zero() || at <= self.began || starved_since <= self.began {
            return None;
        }
        self.stalled += silence;
        Some(silence)
    }

    /// When what is at hand will have been played.
    pub fn runs_dry_at(&self) -> Instant {
        self.reaches(self.have as f64 / self.bytes_per_second)
    }

    /// When so many seconds of the stretch will have been played, if there is no further silence.
    pub fn reaches(&self, seconds: f64) -> Instant {
        self.began + self.stalled + Duration::from_secs_f64(seconds.max(0.0) / self.speed)
    }

    /// When less than so many seconds are left ahead of the playhead.
    pub fn wants_more_at(&self, ahead_seconds: f64) -> Instant {
        self.reaches(self.have as f64 / self.bytes_per_second - ahead_seconds)
    }

    /// All silences of the stretch.
    pub fn stalled(&self) -> Duration {
        self.stalled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn bytes_in_time_make_no_silence_and_late_ones_make_one_of_their_lateness() {
        let start = Instant::now();
        let mut playback = Playback::begin(start, 1_000.0, 1.0);
        assert_eq!(playback.arrived(start, 2_000), None);
        assert_eq!(playback.runs_dry_at(), start + ms(2_000));
        assert_eq!(playback.wants_more_at(0.5), start + ms(1_500));
        assert_eq!(playback.arrived(start + ms(1_900), 3_000), None);
        assert_eq!(playback.arrived(start + ms(3_250), 4_000), Some(ms(250)));
        assert_eq!(playback.reaches(4.0), start + ms(4_250), "the rest is heard later by the silence");
    }

    #[test]
    fn twice_the_speed_needs_the_bytes_in_half_the_time() {
        let start = Instant::now();
        let mut playback = Playback::begin(start, 1_000.0, 2.0);
        playback.arrived(start, 2_000);
        assert_eq!(playback.arrived(start + ms(1_500), 4_000), Some(ms(500)));
    }

    proptest! {
        /// The naive model: a clock of one millisecond that plays a byte if it has one.
        #[test]
        fn silences_add_up_to_what_a_ticking_clock_finds(
            arrivals in prop::collection::vec((0..400u64, 1..300u64), 1..30),
        ) {
            let start = Instant::now();
            let mut playback = Playback::begin(start, 1_000.0, 1.0);
            let (mut at, mut have, mut times) = (0, 0, Vec::new());
            for (step, bytes) in arrivals {
                // Something is at hand when sound begins.
                at += if have == 0 { 0 } else { step };
                have += bytes;
                playback.arrived(start + ms(at), have);
                times.push((at, have));
            }
            let (mut played, mut silent) = (0, 0);
            for tick in 0..at {
                let here = times.iter().rev().find(|(when, _)| *when <= tick).map_or(0, |(_, have)| *have);
                if played < here { played += 1 } else { silent += 1 }
            }
            prop_assert_eq!(playback.stalled(), ms(silent));
        }
    }
}
