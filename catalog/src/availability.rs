//! Whether a track may be heard, where the listener is and now. Lists and grants decide by this one rule.

use crate::model::{Territory, Window};
use serde::Serialize;

/// What the windows of a track say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It may be heard.
    Playable {
        /// Until and not including, in Unix seconds; None as far as is known. A grant need not end then.
        until: Option<u64>,
    },
    /// Not yet.
    Opens {
        /// When, in Unix seconds.
        at: u64,
    },
    /// Not any more.
    Over,
    /// Not in this territory.
    Elsewhere,
}

impl Availability {
    /// Whether it may be heard now.
    pub fn is_playable(self) -> bool {
        matches!(self, Availability::Playable { .. })
    }
}

/// Decides for a listener in `territory`; None for one of whom nobody knows where they are.
///
/// Without any window a track may be heard everywhere. A territory that has windows of its own is ruled by them alone,
/// and all others by the windows without a territory. Who is nowhere known is ruled by these too.
pub fn availability(windows: &[Window], territory: Option<Territory>, now: u64) -> Availability {
    if windows.is_empty() {
        return Availability::Playable { until: None };
    }
    let has_own = territory.is_some() && windows.iter().any(|window| window.territory == territory);
    let ruling = if has_own { territory } else { None };
    let ruling = || windows.iter().filter(|window| window.territory == ruling);

    let open = ruling().filter(|window| is_open(window, now));
    // Of several open windows the one that closes last: None is never.
    if let Some(last) = open.max_by_key(|window| window.until.unwrap_or(u64::MAX)) {
        return Availability::Playable { until: last.until };
    }
    let opens = ruling().filter(|window| is_to_come(window, now)).filter_map(|window| window.from).min();
    match opens {
        Some(at) => Availability::Opens { at },
        None if ruling().next().is_some() => Availability::Over,
        None => Availability::Elsewhere,
    }
}

fn is_open(window: &Window, now: u64) -> bool {
    window.from.is_none_or(|from| from <= now) && window.until.is_none_or(|until| now < until)
}

/// A window that ends before it begins never opens.
fn is_to_come(window: &Window, now: u64) -> bool {
    window.from.is_some_and(|from| now < from && window.until.is_none_or(|until| from < until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(territory: &str, from: Option<u64>, until: Option<u64>) -> Window {
        Window { territory: Territory::parse(territory).ok(), from, until }
    }

    fn at(windows: &[Window], territory: &str, now: u64) -> Availability {
        availability(windows, Territory::parse(territory).ok(), now)
    }

    #[test]
    fn without_windows_everybody_hears_it() {
        assert_eq!(at(&[], "DE", 0), Availability::Playable { until: None });
        assert_eq!(at(&[], "", 0), Availability::Playable { until: None });
    }

    #[test]
    fn a_territory_of_its_own_rules_alone() {
        let windows = [window("", None, None), window("DE", Some(100), Some(200))];
        assert_eq!(at(&windows, "FR", 50), Availability::Playable { until: None });
        assert_eq!(at(&windows, "", 50), Availability::Playable { until: None });
        assert_eq!(at(&windows, "DE", 50), Availability::Opens { at: 100 });
        assert_eq!(at(&windows, "DE", 100), Availability::Playable { until: Some(200) });
        assert_eq!(at(&windows, "DE", 199), Availability::Playable { until: Some(200) });
        assert_eq!(at(&windows, "DE", 200), Availability::Over);
    }

    #[test]
    fn where_no_window_speaks_it_is_elsewhere() {
        let windows = [window("DE", None, None)];
        assert_eq!(at(&windows, "FR", 0), Availability::Elsewhere);
        assert_eq!(at(&windows, "", 0), Availability::Elsewhere);
    }

    #[test]
    fn a_window_begins_with_its_first_second_and_ends_before_its_last() {
        let windows = [window("", Some(100), Some(200))];
        assert_eq!(at(&windows, "FR", 99), Availability::Opens { at: 100 });
        assert_eq!(at(&windows, "FR", 100), Availability::Playable { until: Some(200) });
        assert_eq!(at(&windows, "FR", 199), Availability::Playable { until: Some(200) });
        assert_eq!(at(&windows, "FR", 200), Availability::Over);
    }

    #[test]
    fn several_windows_add_up() {
        let windows = [window("", None, Some(10)), window("", Some(20), Some(30)), window("", Some(25), None)];
        assert_eq!(at(&windows, "", 15), Availability::Opens { at: 20 });
        assert_eq!(at(&windows, "", 26), Availability::Playable { until: None });
        assert_eq!(at(&[window("", Some(9), Some(3))], "", 1), Availability::Over);
    }

    proptest! {
        #[test]
        fn playable_means_that_a_ruling_window_is_open(
            windows in proptest::collection::vec((0..3_usize, proptest::option::of(0..8_u64), proptest::option::of(0..8_u64)), 0..5),
            place in 0..3_usize,
            now in 0..8_u64,
        ) {
            let places = ["", "DE", "FR"];
            let windows: Vec<Window> = windows.into_iter().map(|(p, from, until)| window(places[p], from, until)).collect();
            let own = place > 0 && windows.iter().any(|w| w.territory == Territory::parse(places[place]).ok());
            let rules = |w: &&Window| w.territory == if own { Territory::parse(places[place]).ok() } else { None };
            let open = windows.iter().filter(rules).any(|w| w.from.unwrap_or(0) <= now && now < w.until.unwrap_or(99));
            prop_assert_eq!(at(&windows, places[place], now).is_playable(), windows.is_empty() || open);
        }

        #[test]
        fn a_moment_that_is_named_is_kept_as_a_promise(
            spans in proptest::collection::vec((proptest::option::of(0..100_u64), proptest::option::of(0..100_u64)), 1..6),
            now in 0..100_u64,
        ) {
            let windows: Vec<Window> = spans.into_iter().map(|(from, until)| window("", from, until)).collect();
            let is_playable = |moment| at(&windows, "", moment).is_playable();
            match at(&windows, "", now) {
                Availability::Opens { at: opens } => {
                    prop_assert!(opens > now && is_playable(opens));
                    prop_assert!(!(now..opens).any(is_playable));
                }
                Availability::Over => prop_assert!(!(now..101).any(is_playable)),
                Availability::Elsewhere => prop_assert!(false, "windows of everywhere rule everywhere"),
                // Of several open windows the one that closes last is named: until then it is playable all along.
                Availability::Playable { until } => prop_assert!((now..until.unwrap_or(101)).all(is_playable)),
            }
        }
    }
}
