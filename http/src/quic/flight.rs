//! How fast a QUIC connection sends: CUBIC, with a first flight of its own and an end of slow start by delay.
//!
//! The head of a track is 64 KiB, and how many round trips it takes decides when music begins. CUBIC as it comes would
//! do it in one, but the pacer in front of it lets go of ten packets and then spreads the rest over most of a round
//! trip (and, before the first sample, over most of an assumed one). The pacer only knows the window it is shown, so
//! the first bytes are shown other windows: first one without pacing, then one that gives the wished rate.
//!
//! The numbers are such that a line of 5 Mbit/s with a queue of 64 KiB does not lose a packet of it: of the burst and
//! what follows faster than the line drains, at most 62 KiB wait at once.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};

/// Bytes that leave at once: on 50 Mbit/s the line has work for 6 ms, and the pacer catches up meanwhile.
const BURST_BYTES: u64 = 36 * 1024;
/// The pacer does not wait for windows beyond 32 bits.
const UNPACED_WINDOW_BYTES: u64 = 1 << 33;
/// Bytes a second after the burst, before there is a round trip to divide the window by.
const UNSAMPLED_RATE: u64 = 2_500_000;
/// The pacer sends this part of a window in a round trip (RFC 9002 7.7).
const PACER_GAIN: (u64, u64) = (5, 4);

/// Slow start ends when the quickest packet of a round took longer than that of the round before by an eighth, and at
/// least by 4 and at most by 16 ms (RFC 9406 4.2): a queue is filling.
const DELAY_MIN: Duration = Duration::from_millis(4);
const DELAY_MAX: Duration = Duration::from_millis(16);
/// Packets that make a round's minimum worth something.
const ROUND_SAMPLES: u32 = 8;

/// Makes the controllers of one door's connections.
pub(super) struct FirstFlight {
    pub(super) initial_window_bytes: u64,
    /// What the pacer divides by while there is no sample.
    pub(super) initial_rtt: Duration,
}

impl ControllerFactory for FirstFlight {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let mut config = CubicConfig::default();
        config.initial_window(self.initial_window_bytes);
        let rate_window = UNSAMPLED_RATE * u64::try_from(self.initial_rtt.as_millis()).unwrap_or(100) / 1000;
        Box::new(Flight {
            cubic: Cubic::new(Arc::new(config), now, current_mtu),
            first_flight_bytes: self.initial_window_bytes,
            unsampled_window_bytes: (rate_window * PACER_GAIN.1 / PACER_GAIN.0).max(self.initial_window_bytes),
            sent_bytes: 0,
            acked_bytes: 0,
            rounds: Some(Rounds { began: now, quickest: Duration::MAX, samples: 0, before: Duration::MAX }),
        })
    }
}

/// Bytes whose acknowledgement this controller has heard of. Another address has another controller, or goes on with a copy
/// of the last one; and quinn tells neither of acknowledgements before a challenge sent to that address was answered.
pub(super) fn acked_bytes(controller: &dyn Controller) -> u64 {
    controller.clone_box().into_any().downcast::<Flight>().map_or(0, |flight| flight.acked_bytes)
}

#[derive(Clone)]
struct Flight {
    cubic: Cubic,
    first_flight_bytes: u64,
    unsampled_window_bytes: u64,
    sent_bytes: u64,
    acked_bytes: u64,
    /// None once slow start has ended.
    rounds: Option<Rounds>,
}

/// The round trips of slow start.
#[derive(Clone)]
struct Rounds {
    began: Instant,
    quickest: Duration,
    samples: u32,
    /// The quickest packet of the round before.
    before: Duration,
}

impl Rounds {
    /// Takes in one acknowledged packet; whether a queue is filling.
    fn heed(&mut self, now: Instant, sent: Instant) -> bool {
        if sent >= self.began {
            // The first packet of the next round.
            self.before = if self.samples > 0 { self.quickest } else { self.before };
            (self.began, self.quickest, self.samples) = (now, Duration::MAX, 0);
        }
        self.quickest = self.quickest.min(now.saturating_duration_since(sent));
        self.samples += 1;
        let threshold = (self.before / 8).clamp(DELAY_MIN, DELAY_MAX);
        self.samples >= ROUND_SAMPLES && self.quickest >= self.before.saturating_add(threshold)
    }
}

impl Controller for Flight {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.sent_bytes += bytes;
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.acked_bytes += bytes;
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
        if self.rounds.as_mut().is_some_and(|rounds| rounds.heed(now, sent)) {
            self.rounds = None;
            // CUBIC begins its avoidance at seven tenths of what filled the queue.
            self.cubic.on_congestion_event(now, now, false, 0);
        }
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_acked: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.rounds = None;
        // A line that loses the first flight gets no more of it at that pace.
        self.sent_bytes = self.sent_bytes.max(self.first_flight_bytes);
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        match self.sent_bytes {
            sent if sent < BURST_BYTES.min(self.first_flight_bytes) => UNPACED_WINDOW_BYTES,
            sent if sent < self.first_flight_bytes && self.acked_bytes == 0 => self.unsampled_window_bytes,
            _ => self.cubic.window(),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(now: Instant) -> Box<dyn Controller> {
        let factory = FirstFlight { initial_window_bytes: 72 * 1024, initial_rtt: Duration::from_millis(100) };
        Arc::new(factory).build(now, 1200)
    }

    #[test]
    fn the_first_bytes_are_not_paced_and_the_next_ones_at_a_rate() {
        let now = Instant::now();
        let mut flight = flight(now);
        assert_eq!(flight.window(), UNPACED_WINDOW_BYTES);
        flight.on_sent(now, BURST_BYTES, 30);
        assert_eq!(flight.window() * 5 / 4 * 10, UNSAMPLED_RATE, "a tenth of a second is assumed");
        flight.on_sent(now, BURST_BYTES, 60);
        assert_eq!(flight.window(), 72 * 1024);
    }

    #[test]
    fn a_loss_ends_the_first_flight() {
        let now = Instant::now();
        let mut flight = flight(now);
        flight.on_sent(now, 1200, 1);
        flight.on_congestion_event(now, now, false, 1200);
        assert!(flight.window() < 72 * 1024);
    }

    #[test]
    fn a_round_that_is_slower_throughout_is_a_queue() {
        let began = Instant::now();
        let mut rounds = Rounds { began, quickest: Duration::MAX, samples: 0, before: Duration::MAX };
        let ms = Duration::from_millis;
        // Round trips of 40 ms whose packets wait behind each other, but not behind the round before.
        for round in 0..3u32 {
            for packet in 0..20u32 {
                let sent = began + ms(100) * round;
                assert!(!rounds.heed(sent + ms(40) + ms(1) * packet, sent), "round {round}, packet {packet}");
            }
        }
        // Now even the first one waits.
        let sent = began + ms(400);
        assert!((0..20u32).any(|packet| rounds.heed(sent + ms(50) + ms(1) * packet, sent)));
    }
}
