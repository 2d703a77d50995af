//! One direction of one listener's line, as arithmetic: when a packet that enters now comes out, or why it never does.
//!
//! A packet waits in a queue with a bound in bytes, is sent at the rate, then travels for half a round trip and a
//! jitter, or is lost on the way. Loss comes after the rate, since a lost packet has used the line too. The clock and
//! the dice are arguments; packets, sockets and threads are in [`super::emulator`].

use super::profile::{Direction, Link};
use crate::dice::Dice;
use std::time::Duration;

/// An instant: the time since the emulation began.
pub type At = Duration;

/// The numbers of one direction, the same for all listeners.
#[derive(Debug, Clone)]
pub struct Way {
    bps: Option<u64>,
    queue_bytes: u64,
    delay: Duration,
    jitter: Duration,
    loss: Loss,
}

/// The chances of a packet, by what became of the one before it (the simple Gilbert model): in a burst all are lost.
#[derive(Debug, Clone)]
struct Loss {
    share: f64,
    after_loss: f64,
    after_arrival: f64,
}

/// Where one listener's line stands in one direction. A line on which nothing ever was is `None` in its place.
#[derive(Debug, Clone)]
pub struct Line {
    /// When the last byte that waits or is being sent will have been sent.
    free_at: At,
    /// When the last packet comes out: none overtakes it.
    last_out_at: At,
    jitter: Duration,
    jitter_until: At,
    lost_last: bool,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It comes out at this instant.
    Deliver(At),
    /// It is sent, and never arrives.
    Lost,
    /// The queue has no room for it.
    QueueFull,
}

impl Way {
    /// This direction of such a link.
    pub fn new(link: &Link, direction: Direction) -> Self {
        let share = link.loss;
        // The mean run of losses is 1 / (1 - after_loss); the share of losses follows from both chances.
        let after_loss = link.burst.map_or(share, |burst| 1.0 - 1.0 / burst);
        let after_arrival = link.burst.map_or(share, |burst| share / (burst * (1.0 - share)));
        Self {
            bps: link.rate_bps(direction),
            queue_bytes: link.queue_bytes(direction),
            delay: link.rtt / 2,
            jitter: link.jitter,
            loss: Loss { share, after_loss, after_arrival },
        }
    }

    /// How long so many bytes take to be sent, rounded up: a line is never faster than its rate.
    pub fn sending(&self, bytes: u64) -> Duration {
        match self.bps {
            None => Duration::ZERO,
            Some(bps) => Duration::from_nanos((u128::from(bytes) * 8_000_000_000).div_ceil(u128::from(bps)) as u64),
        }
    }
}

impl Line {
    /// A line on which nothing has been. The dice say whether it begins in the middle of a burst, so that the share of
    /// losses is right for those too who send few packets.
    pub fn new(way: &Way, dice: &mut Dice) -> Self {
        Self {
            free_at: At::ZERO,
            last_out_at: At::ZERO,
            jitter: Duration::ZERO,
            jitter_until: At::ZERO,
            lost_last: dice.unit() < way.loss.share,
        }
    }

    /// A packet of so many bytes enters. `now` never goes back.
    pub fn offer(&mut self, way: &Way, now: At, bytes: u64, dice: &mut Dice) -> Verdict {
        let waiting = self.free_at.saturating_sub(now);
        // An idle line takes every packet; else those that wait, the one being sent and this one must fit.
        if waiting > Duration::ZERO && waiting + way.sending(bytes) > way.sending(way.queue_bytes) {
            return Verdict::QueueFull;
        }
        let sending = way.sending(bytes);
        let sent_at = self.free_at.max(now) + sending;
        self.free_at = sent_at;

        let chance = if self.lost_last { way.loss.after_loss } else { way.loss.after_arrival };
        self.lost_last = chance > 0.0 && dice.unit() < chance;
        if self.lost_last {
            return Verdict::Lost;
        }

        // A shorter jitter than the last packet's would let this one overtake it, or come out faster than the rate.
        let in_order = self.last_out_at + sending;
        let out_at = (sent_at + way.delay + self.jitter(way, sent_at, dice)).max(in_order);
        self.last_out_at = out_at;
        Verdict::Deliver(out_at)
    }

    /// What is added to the delay: drawn anew when the last draw is as old as the jitter is long. Packets that are
    /// nearer to each other than that cannot have delays of their own without overtaking, so they share one; a draw
    /// for each would only press all of them against the longest.
    fn jitter(&mut self, way: &Way, now: At, dice: &mut Dice) -> Duration {
        if way.jitter > Duration::ZERO && now >= self.jitter_until {
            self.jitter = way.jitter.mul_f64(dice.unit());
            self.jitter_until = now + way.jitter;
        }
        self.jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What went in and what came of it.
    struct Fate {
        at: At,
        bytes: u64,
        verdict: Verdict,
    }

    impl Fate {
        fn out_at(&self) -> Option<At> {
            match self.verdict {
                Verdict::Deliver(at) => Some(at),
                _ => None,
            }
        }
    }

    /// Sends packets of these sizes after these pauses through a line.
    fn through(link: &Link, seed: u64, packets: impl IntoIterator<Item = (Duration, u64)>) -> Vec<Fate> {
        let (way, mut dice) = (Way::new(link, Direction::Down), Dice::new(seed));
        let mut line = Line::new(&way, &mut dice);
        let mut now = At::from_secs(1);
        let offer = |(pause, bytes)| {
            now += pause;
            Fate { at: now, bytes, verdict: line.offer(&way, now, bytes, &mut dice) }
        };
        packets.into_iter().map(offer).collect()
    }

    fn every(pause: Duration, packets: usize) -> impl Iterator<Item = (Duration, u64)> {
        std::iter::repeat_n((pause, 1_000), packets)
    }

    fn lost(fates: &[Fate]) -> f64 {
        fates.iter().filter(|fate| fate.verdict == Verdict::Lost).count() as f64 / fates.len() as f64
    }

    #[test]
    fn a_packet_that_waits_for_nothing_takes_its_sending_and_half_a_round_trip() {
        // Given 8 Mbit/s and 40 ms, when 1,000 bytes enter, then they come out 1 ms + 20 ms later.
        let link = "rtt=40ms,rate=8mbit".parse().unwrap();
        let fate = &through(&link, 1, every(Duration::ZERO, 1))[0];
        assert_eq!(fate.verdict, Verdict::Deliver(fate.at + Duration::from_millis(21)));
    }

    #[test]
    fn a_full_queue_delays_by_its_length_and_drops_the_rest() {
        // Given 8 Mbit/s and 10,000 bytes of queue, when 1,000 bytes enter every 0.5 ms, then half of them are dropped
        // and the others wait the 10 ms that the queue is long.
        let link = "rtt=0ms,rate=8mbit,queue=10000".parse().unwrap();
        let fates = through(&link, 1, every(Duration::from_micros(500), 10_000));
        let dropped = fates.iter().filter(|fate| fate.verdict == Verdict::QueueFull).count();
        assert!((4_950..5_050).contains(&dropped), "{dropped}");
        let waits: Vec<_> = fates[1_000..].iter().filter_map(|fate| Some(fate.out_at()? - fate.at)).collect();
        assert!(waits.iter().all(|wait| (9_000..=10_000).contains(&wait.as_micros())), "{waits:?}");
    }

    #[test]
    fn losses_come_as_often_as_asked() {
        let link = "loss=1%".parse().unwrap();
        let share = lost(&through(&link, 7, every(Duration::from_millis(1), 1_000_000)));
        // Five deviations: sqrt(0.01 * 0.99 / 1,000,000) is 0.0001.
        assert!((share - 0.01).abs() < 0.000_5, "{share}");
    }

    #[test]
    fn bursts_are_as_long_as_asked_and_lose_no_more() {
        let link = "loss=2%,burst=5".parse().unwrap();
        let fates = through(&link, 7, every(Duration::from_millis(1), 1_000_000));
        let share = lost(&fates);
        // Losses in runs of 5 vary as a ninth as many would: five deviations are 0.0021.
        assert!((share - 0.02).abs() < 0.002_1, "{share}");
        let is_lost = |fate: &Fate| fate.verdict == Verdict::Lost;
        let runs = fates.windows(2).filter(|pair| is_lost(&pair[0]) && !is_lost(&pair[1])).count();
        let mean = share * 1e6 / runs as f64;
        assert!((4.6..5.4).contains(&mean), "{mean}");
    }

    #[test]
    fn listeners_of_one_packet_lose_as_large_a_share_as_others() {
        let link: Link = "loss=10%,burst=20".parse().unwrap();
        let firsts = (0..20_000).map(|seed| through(&link, seed, every(Duration::ZERO, 1)).remove(0));
        let share = lost(&firsts.collect::<Vec<_>>());
        assert!((share - 0.1).abs() < 0.011, "{share}");
    }

    #[test]
    fn jitter_fills_its_range_and_nothing_else() {
        let link = "rtt=20ms,jitter=8ms".parse().unwrap();
        let fates = through(&link, 3, every(Duration::from_millis(20), 20_000));
        let mut delays: Vec<_> = fates.iter().map(|fate| (fate.out_at().unwrap() - fate.at).as_micros()).collect();
        delays.sort_unstable();
        assert!((10_000..10_200).contains(&delays[0]) && (17_800..=18_000).contains(&delays[19_999]));
        assert!((13_800..14_200).contains(&delays[10_000]), "{}", delays[10_000]);
    }

    #[test]
    fn a_seed_reproduces_a_run() {
        let link: Link = "4g,loss=5%".parse().unwrap();
        let run =
            |seed| through(&link, seed, every(Duration::from_micros(300), 500)).iter().map(|f| f.verdict).collect();
        let (one, same, other): (Vec<_>, Vec<_>, Vec<_>) = (run(1), run(1), run(2));
        assert!(one == same && one != other);
    }

    proptest! {
        #[test]
        fn a_line_keeps_its_promises(
            rtt_ms in 0..300u64, mbit in 1..200u64, jitter_ms in 0..30u64, loss in 0..30u32, bursts: bool,
            queue in 1_500..200_000u64, seed: u64,
            packets in proptest::collection::vec((0..3_000u64, 20..1_500u64), 1..300),
        ) {
            let link = Link {
                rtt: Duration::from_millis(rtt_ms),
                down_bps: Some(mbit * 1_000_000),
                loss: f64::from(loss) / 100.0,
                burst: bursts.then_some(4.0),
                jitter: Duration::from_millis(jitter_ms),
                queue: Some(queue),
                ..Link::default()
            };
            let way = Way::new(&link, Direction::Down);
            let fates = through(&link, seed, packets.into_iter().map(|(us, bytes)| (Duration::from_micros(us), bytes)));
            let out: Vec<_> = fates.iter().filter_map(|fate| Some((fate, fate.out_at()?))).collect();
            for (fate, at) in &out {
                // Never sooner than light, never later than the queue, its own sending, the way and the jitter allow.
                prop_assert!(*at >= fate.at + way.sending(fate.bytes) + way.delay);
                let queue = way.sending(queue.max(fate.bytes)) + Duration::from_nanos(300);
                let longest = queue + way.delay + way.jitter;
                prop_assert!(*at <= fate.at + longest + way.sending(1_500), "{:?} > {longest:?}", *at - fate.at);
            }
            for pair in out.windows(2) {
                prop_assert!(pair[1].1 >= pair[0].1, "order");
            }
            // Over any window, what comes out after its first packet took its time at the rate.
            for (first, (_, begin)) in out.iter().enumerate() {
                let mut bytes = 0;
                for (fate, at) in &out[first + 1..] {
                    bytes += fate.bytes;
                    prop_assert!(*at - *begin >= way.sending(bytes), "faster than the rate");
                }
            }
        }

        #[test]
        fn the_queue_holds_its_bound(queue in 1_500..50_000u64, packets in proptest::collection::vec(20..1_500u64, 1..300)) {
            // All at once: what is taken is what fits, beside a first packet on an idle line.
            let link = Link { down_bps: Some(10_000_000), queue: Some(queue), ..Link::default() };
            let fates = through(&link, 1, packets.into_iter().map(|bytes| (Duration::ZERO, bytes)));
            let taken: u64 = fates.iter().filter(|fate| fate.out_at().is_some()).map(|fate| fate.bytes).sum();
            prop_assert!(taken <= queue, "{taken} > {queue}");
            for fate in fates.iter().filter(|fate| fate.verdict == Verdict::QueueFull) {
                prop_assert!(taken + fate.bytes > queue, "dropped without need");
            }
        }
    }
}
