//! When a feed is looked at again. Pure: the moment and the dice are arguments.
//!
//! A feed that says nothing is asked every hour, less often when its show has been silent for long. What it says of itself
//! (`ttl`, `max-age`) makes that longer, never shorter than half an hour: a publisher's server is not ours to load.
//! Failures double the wait; who says when to come again is obeyed. Everything is spread by a fifth, so that feeds that were
//! added together do not stay together.

use needledrop_core::UnixSeconds;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Between two looks at a feed that goes well.
const USUAL: u64 = HOUR;
const SHORTEST: u64 = 30 * MINUTE;
const LONGEST: u64 = DAY;
/// A show is silent when its latest episode is so old.
const SILENT_AFTER: u64 = 60 * DAY;
const SILENT: u64 = 6 * HOUR;
/// The wait after the first failure; it doubles with each that follows.
const FAILED: u64 = 10 * MINUTE;
/// The longest that anybody's Retry-After is obeyed.
const RETRY_AFTER_MAX: u64 = 7 * DAY;

/// What is known after a look that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `ttl` of the feed.
    pub ttl_minutes: Option<u32>,
    /// `max-age` of the answer.
    pub max_age: Option<u64>,
    /// When its latest episode came out.
    pub latest: Option<UnixSeconds>,
    /// Nothing more will come.
    pub is_complete: bool,
}

/// When to look again after a look that went well. `dice` is any number.
pub fn after_success(now: UnixSeconds, hints: Hints, dice: u32) -> UnixSeconds {
    let is_silent = hints.latest.is_none_or(|latest| now.since(latest) > SILENT_AFTER);
    let own = match (hints.is_complete, is_silent) {
        (true, _) => LONGEST,
        (false, true) => SILENT,
        (false, false) => USUAL,
    };
    let ttl = hints.ttl_minutes.map_or(0, |ttl| u64::from(ttl) * MINUTE);
    let wait = own.max(ttl).max(hints.max_age.unwrap_or(0)).clamp(SHORTEST, LONGEST);
    now.plus(spread(wait, dice))
}

/// When to look again after so many failures in a row, of which this is the last.
pub fn after_failure(now: UnixSeconds, failures: u32, retry_after: Option<u64>, dice: u32) -> UnixSeconds {
    let doubled = FAILED << failures.saturating_sub(1).min(16);
    let told = retry_after.unwrap_or(0).min(RETRY_AFTER_MAX);
    now.plus(spread(doubled.min(LONGEST).max(told), dice))
}

/// Up to a fifth more.
fn spread(wait: u64, dice: u32) -> u64 {
    wait + (wait / 5) * u64::from(dice) / u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn wait(hints: Hints) -> u64 {
        after_success(NOW, hints, 0).since(NOW)
    }

    #[test]
    fn a_feed_is_looked_at_as_often_as_it_changes() {
        let lively = Hints { latest: Some(NOW.minus(DAY)), ..Hints::default() };
        assert_eq!(wait(lively), HOUR);
        assert_eq!(wait(Hints { latest: Some(NOW.minus(61 * DAY)), ..lively }), 6 * HOUR);
        assert_eq!(wait(Hints::default()), 6 * HOUR, "no episodes");
        assert_eq!(wait(Hints { is_complete: true, ..lively }), DAY);
        assert_eq!(wait(Hints { ttl_minutes: Some(180), ..lively }), 3 * HOUR);
        assert_eq!(wait(Hints { max_age: Some(2 * HOUR), ..lively }), 2 * HOUR);
        assert_eq!(wait(Hints { ttl_minutes: Some(1), max_age: Some(1), ..lively }), HOUR, "never shorter than ours");
        assert_eq!(wait(Hints { ttl_minutes: Some(u32::MAX), max_age: Some(u64::MAX), ..lively }), DAY);
    }

    #[test]
    fn failures_double_the_wait_and_retry_after_is_obeyed() {
        let wait = |failures, told| after_failure(NOW, failures, told, 0).since(NOW);
        let waits: Vec<u64> = (1..=9).map(|failures| wait(failures, None) / MINUTE).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440]);
        assert_eq!(wait(u32::MAX, None), DAY);
        assert_eq!(wait(1, Some(5 * HOUR)), 5 * HOUR);
        assert_eq!(wait(5, Some(1)), 160 * MINUTE);
        assert_eq!(wait(1, Some(u64::MAX)), 7 * DAY);
    }

    proptest! {
        #[test]
        fn the_spread_is_at_most_a_fifth(failures in 1_u32.., told in any::<Option<u64>>(), dice: u32) {
            let least = after_failure(NOW, failures, told, 0).since(NOW);
            let most = least + least / 5;
            prop_assert!((least..=most).contains(&after_failure(NOW, failures, told, dice).since(NOW)));
        }
    }
}
