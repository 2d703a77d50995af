//! Planted delays, alone in a process so that nothing of ours disturbs the clock.
//!
//! Judged by the tenth percentile: what else runs on the machine can only add to a latency.

use std::time::Duration;

use needledrop_loadtest::measured::{Measure, Protocol};
use needledrop_loadtest::tally::Tally;

mod world;

use world::{World, run};

#[test]
fn a_planted_delay_is_reported_within_two_milliseconds_on_every_protocol() {
    let world = World::new();
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        let first_byte = |path: &str| {
            quick(&run(world.settings(protocol, vec![world.url(protocol, path)])).tally, Measure::FirstByte)
        };
        let none = first_byte("/a");
        for millis in [10, 50, 100] {
            let planted = Duration::from_millis(millis);
            let seen = first_byte(&format!("/delay={millis}ms/a")).saturating_sub(none);
            assert!(seen.abs_diff(planted) < Duration::from_millis(2), "{protocol}: {planted:?} is seen as {seen:?}");
        }
    }
}

fn quick(tally: &Tally, measure: Measure) -> Duration {
    tally.sum(measure, |_| true).quantile(0.1).unwrap()
}
