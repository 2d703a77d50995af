//! Whether a track may be heard in a territory at a moment.
//!
//! A territory that has windows of its own goes by these alone; every other one by the windows of everywhere. A
//! track without any window may be heard everywhere and always.

use needledrop_catalog::model::{Territory, Window};
use needledrop_core::UnixSeconds;

/// Why a track may not be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Not in this territory; None where the territory is not known.
    Here(Option<Territory>),
    /// From this moment.
    NotYet(UnixSeconds),
    /// Its time is over.
    NoLonger,
}

/// Whether it may be heard.
///
/// # Errors
/// It may not; the error says whether waiting or travelling would help.
pub fn available(windows: &[Window], territory: Option<Territory>, now: UnixSeconds) -> Result<(), Unavailable> {
    if windows.is_empty() {
        return Ok(());
    }
    let own = territory.filter(|here| windows.iter().any(|window| window.territory == Some(*here)));
    let mut applying = windows.iter().filter(|window| window.territory == own).peekable();
    if applying.peek().is_none() {
        return Err(Unavailable::Here(territory));
    }
    let mut opens = None;
    for window in applying.filter(|window| !is_empty(window)) {
        let from = UnixSeconds(window.from.unwrap_or(0));
        let over = window.until.is_some_and(|until| now.0 >= until);
        match (from <= now, over) {
            (true, false) => return Ok(()),
            (false, _) => opens = Some(opens.map_or(from, |known: UnixSeconds| known.min(from))),
            (true, true) => {}
        }
    }
    Err(opens.map_or(Unavailable::NoLonger, Unavailable::NotYet))
}

/// A window that closes before it opens holds no moment, and promises none.
fn is_empty(window: &Window) -> bool {
    window.until.is_some_and(|until| window.from.unwrap_or(0) >= until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn land(text: &str) -> Option<Territory> {
        Some(Territory::parse(text).unwrap())
    }

    fn window(territory: Option<Territory>, from: Option<u64>, until: Option<u64>) -> Window {
        Window { territory, from, until }
    }

    #[test]
    fn without_windows_it_is_heard_everywhere_and_always() {
        assert_eq!(available(&[], None, UnixSeconds(0)), Ok(()));
        assert_eq!(available(&[], land("DE"), UnixSeconds(u64::MAX)), Ok(()));
    }

    #[test]
    fn a_window_begins_with_its_first_second_and_ends_before_its_last() {
        let windows = [window(None, Some(100), Some(200))];
        let at = |now| available(&windows, land("FR"), UnixSeconds(now));
        assert_eq!(at(99), Err(Unavailable::NotYet(UnixSeconds(100))));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(199), Ok(()));
        assert_eq!(at(200), Err(Unavailable::NoLonger));
    }

    #[test]
    fn a_territory_with_windows_of_its_own_does_not_look_at_those_of_everywhere() {
        let windows = [window(None, None, None), window(land("US"), Some(500), None)];
        assert_eq!(available(&windows, land("FR"), UnixSeconds(1)), Ok(()));
        assert_eq!(available(&windows, None, UnixSeconds(1)), Ok(()));
        assert_eq!(available(&windows, land("US"), UnixSeconds(1)), Err(Unavailable::NotYet(UnixSeconds(500))));
    }

    #[test]
    fn elsewhere_and_nowhere_known_are_not_here() {
        let windows = [window(land("US"), None, None)];
        assert_eq!(available(&windows, land("FR"), UnixSeconds(1)), Err(Unavailable::Here(land("FR"))));
        assert_eq!(available(&windows, None, UnixSeconds(1)), Err(Unavailable::Here(None)));
    }

    #[test]
    fn of_several_windows_the_next_one_is_named_and_an_empty_one_promises_nothing() {
        let windows =
            [window(None, Some(900), None), window(None, Some(10), Some(20)), window(None, Some(50), Some(60))];
        assert_eq!(available(&windows, None, UnixSeconds(30)), Err(Unavailable::NotYet(UnixSeconds(50))));
        assert_eq!(available(&[window(None, Some(9), Some(5))], None, UnixSeconds(1)), Err(Unavailable::NoLonger));
    }

    proptest! {
        #[test]
        fn not_yet_is_kept_as_a_promise(
            spans in prop::collection::vec((prop::option::of(0u64..100), prop::option::of(0u64..100)), 1..6),
            now in 0u64..100,
        ) {
            let windows: Vec<_> = spans.into_iter().map(|(from, until)| window(None, from, until)).collect();
            match available(&windows, None, UnixSeconds(now)) {
                Err(Unavailable::NotYet(opens)) => {
                    prop_assert!(opens.0 > now);
                    prop_assert_eq!(available(&windows, None, opens), Ok(()));
                    prop_assert!((now..opens.0).all(|at| available(&windows, None, UnixSeconds(at)).is_err()));
                }
                Err(Unavailable::NoLonger) => {
                    prop_assert!((now..101).all(|at| available(&windows, None, UnixSeconds(at)).is_err()));
                }
                Err(Unavailable::Here(_)) => prop_assert!(false, "windows of everywhere apply everywhere"),
                Ok(()) => {}
            }
        }
    }
}
