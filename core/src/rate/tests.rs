use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;

fn rates(per_second: u32, burst: u32, entries: usize) -> Rates {
    Rates::new(Quota { per_second, burst }, entries)
}

/// Keys that share a set when the table is small.
fn key(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

#[test]
fn an_entry_is_sixteen_bytes_and_the_table_does_not_grow() {
    assert_eq!(size_of::<Entry>(), 16);
    let mut rates = rates(10, 10, 1_000);
    assert_eq!(rates.sets.len() * WAYS, 1_024);
    for n in 0..100_000 {
        let _ = rates.ask(key(n), Micros(n));
    }
    assert_eq!(rates.sets.len() * WAYS, 1_024);
    assert!(rates.owing(Micros(100_000)) <= 1_024);
}

#[test]
fn a_burst_then_the_rate_and_the_wait_is_told() {
    let mut rates = rates(2, 3, 8);
    for _ in 0..3 {
        assert_eq!(rates.ask(7, Micros(0)), Ok(()));
    }
    let limited = Limited { retry_after: Duration::from_millis(500) };
    assert_eq!(rates.ask(7, Micros(0)), Err(limited));
    assert_eq!(rates.ask(7, Micros(0)), Err(limited), "asking in vain costs nothing");
    assert!(rates.ask(7, Micros(499_999)).is_err());
    assert_eq!(rates.ask(7, Micros(500_000)), Ok(()));
    assert!(rates.ask(7, Micros(500_000)).is_err());
    assert_eq!(rates.ask(8, Micros(500_000)), Ok(()), "another key has a bucket of its own");
}

#[test]
fn work_of_several_requests_costs_as_much() {
    let mut rates = rates(1, 5, 8);
    assert_eq!(rates.ask_for(7, 4, Micros(0)), Ok(()));
    assert_eq!(rates.ask_for(7, 3, Micros(0)), Err(Limited { retry_after: Duration::from_secs(2) }));
    assert_eq!(rates.ask_for(7, 1, Micros(0)), Ok(()));
    assert_eq!(rates.ask_for(8, 1_000_000, Micros(0)), Ok(()), "nobody is refused for ever");
    assert!(rates.ask(8, Micros(0)).is_err());
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out_for_long() {
    let mut rates = rates(1, 5, 8);
    assert!(rates.ask(7, Micros(1_000 * SECOND)).is_ok());
    let Err(limited) = rates.ask(7, Micros(0)) else { panic!("the bucket counts as empty") };
    assert_eq!(limited.retry_after, Duration::from_secs(1));
    assert!(rates.ask(7, Micros(SECOND)).is_ok());
}

#[test]
fn who_owes_most_is_forgotten_last() {
    let mut rates = rates(1, 100, WAYS);
    assert_eq!(rates.sets.len(), 1, "all keys are in one set");
    for _ in 0..100 {
        rates.ask(key(0), Micros(0)).unwrap();
    }
    // Ten thousand others come once each.
    for n in 1..10_000 {
        rates.ask(key(n), Micros(n)).unwrap();
    }
    assert!(rates.ask(key(0), Micros(10_000)).is_err(), "the debt was washed away");
}

/// A leaky bucket for each key, without a bound on keys: water drips out with time, a request adds one unit.
#[derive(Default)]
struct Model(HashMap<u64, (u64, u64)>);

impl Model {
    fn fits(&mut self, rates: &Rates, key: u64, now: u64) -> bool {
        let (level, at) = self.0.entry(key).or_insert((0, now));
        *level = level.saturating_sub(now - *at);
        *at = now;
        *level + rates.cost <= rates.room
    }

    fn add(&mut self, rates: &Rates, key: u64) {
        let (level, _) = self.0.get_mut(&key).unwrap();
        *level = (*level + rates.cost).min(rates.room);
    }
}

proptest! {
    /// While no set overflows the table is exact.
    #[test]
    fn with_room_enough_it_is_the_naive_model(
        per_second in 1u32..2_000, burst in 1u32..50,
        steps in prop::collection::vec((0u64..WAYS as u64, 0u64..200_000), 1..400),
    ) {
        let mut rates = rates(per_second, burst, WAYS);
        let mut model = Model::default();
        let mut now = 0;
        for (who, pause) in steps {
            now += pause;
            let expected = model.fits(&rates, key(who), now);
            prop_assert_eq!(rates.ask(key(who), Micros(now)).is_ok(), expected);
            if expected {
                model.add(&rates, key(who));
            }
        }
    }

    /// The table may forgive, but it never refuses whom the model lets through.
    #[test]
    fn a_crowd_makes_it_milder_never_stricter(
        steps in prop::collection::vec((0u64..100, 0u64..50_000), 1..600),
    ) {
        let mut rates = rates(5, 4, WAYS);
        let mut model = Model::default();
        let mut now = 0;
        for (who, pause) in steps {
            now += pause;
            let is_let_through = rates.ask(key(who), Micros(now)).is_ok();
            if model.fits(&rates, key(who), now) {
                prop_assert!(is_let_through);
            }
            if is_let_through {
                model.add(&rates, key(who));
            }
        }
    }

    /// In any stretch of time: no more than the burst and the rate.
    #[test]
    fn no_window_lets_more_through_than_burst_and_rate(
        per_second in 1u32..100, burst in 1u32..20,
        pauses in prop::collection::vec(0u64..300_000, 1..300),
    ) {
        let mut rates = rates(per_second, burst, 64);
        let (mut now, mut let_through) = (0, Vec::new());
        for pause in pauses {
            now += pause;
            if rates.ask(9, Micros(now)).is_ok() {
                let_through.push(now);
            }
        }
        for (first, start) in let_through.iter().enumerate() {
            for (last, end) in let_through.iter().enumerate().skip(first) {
                let most = u64::from(burst) + (end - start) / rates.cost;
                prop_assert!((last - first + 1) as u64 <= most);
            }
        }
    }

    /// Whoever keeps to the rate, and whoever waits as long as he was told, is never refused.
    #[test]
    fn patience_is_rewarded(per_second in 1u32..1_000, burst in 1u32..20, early in prop::collection::vec(0u64..2_000, 1..100)) {
        let mut rates = rates(per_second, burst, 64);
        let mut now = 0;
        for pause in early {
            now += pause;
            if let Err(limited) = rates.ask(9, Micros(now)) {
                now += u64::try_from(limited.retry_after.as_micros()).unwrap();
                prop_assert!(rates.ask(9, Micros(now)).is_ok());
            }
        }
        for _ in 0..50 {
            now += rates.room;
            prop_assert!(rates.ask(9, Micros(now)).is_ok());
        }
    }
}
