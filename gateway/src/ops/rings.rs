//! What an edge did over time, in three resolutions, each in a ring of bounded length.
//!
//! Slots lie on the same seconds for every edge (a slot is a whole multiple of its step since 1970), so that edges add up
//! slot by slot. A slot in which nothing was seen is not there. All three of an edge take 504 slots of half a KiB: 240 KiB.

use std::collections::VecDeque;

use needledrop_core::UnixSeconds;

use super::sample::Window;

/// What may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Half an hour in steps of 10 s.
    HalfHour,
    /// Three hours in steps of a minute.
    ThreeHours,
    /// A day in steps of ten minutes.
    Day,
}

impl Range {
    /// All of them, finest first.
    pub const ALL: [Self; 3] = [Self::HalfHour, Self::ThreeHours, Self::Day];

    /// As it stands in calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::HalfHour => "30m",
            Self::ThreeHours => "3h",
            Self::Day => "24h",
        }
    }

    /// The range of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    /// How long one slot is. Unit: seconds.
    pub fn step(self) -> u64 {
        match self {
            Self::HalfHour => 10,
            Self::ThreeHours => 60,
            Self::Day => 600,
        }
    }

    /// How many slots there are.
    pub fn slots(self) -> u64 {
        match self {
            Self::HalfHour | Self::ThreeHours => 180,
            Self::Day => 144,
        }
    }

    /// The first slot that is shown at this time; the last one is that of the time itself.
    pub fn first(self, now: UnixSeconds) -> u64 {
        (now.0 / self.step() + 1).saturating_sub(self.slots())
    }
}

/// The rings of one edge.
#[derive(Debug, Clone)]
pub struct History([Ring; 3]);

#[derive(Debug, Clone)]
struct Ring {
    range: Range,
    /// Number and contents, oldest first.
    slots: VecDeque<(u64, Window)>,
}

impl Default for History {
    fn default() -> Self {
        Self(Range::ALL.map(|range| Ring { range, slots: VecDeque::new() }))
    }
}

impl History {
    /// What came until now.
    pub fn add(&mut self, window: &Window, now: UnixSeconds) {
        self.0.iter_mut().for_each(|ring| ring.add(window, now));
    }

    /// The slots of a range from this number on, oldest first.
    pub fn slots(&self, range: Range, from: u64) -> impl Iterator<Item = &(u64, Window)> {
        self.0[range as usize].slots.iter().filter(move |(number, _)| *number >= from)
    }
}

impl Ring {
    fn add(&mut self, window: &Window, now: UnixSeconds) {
        let number = now.0 / self.range.step();
        match self.slots.back_mut() {
            // A clock that was put back does not begin an older slot.
            Some((last, slot)) if *last >= number => slot.append(window),
            _ => self.slots.push_back((number, window.clone())),
        }
        let first = self.range.first(now);
        while self.slots.front().is_some_and(|(number, _)| *number < first) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sample::{Place, Sample};
    use proptest::prelude::*;

    fn window(requests: u64) -> Window {
        let mut sample = Sample::default();
        sample.add(Place::Requests, requests);
        sample.since(&Sample::default(), 5_000)
    }

    fn requests(history: &History, range: Range, from: u64) -> u64 {
        history.slots(range, from).map(|(_, window)| window.get(Place::Requests)).sum()
    }

    #[test]
    fn a_day_of_looks_stays_within_its_bounds() {
        let mut history = History::default();
        let start = 1_800_000_000;
        let looks = 26 * 3600 / 5;
        for look in 0..looks {
            history.add(&window(1), UnixSeconds(start + look * 5));
        }
        let now = UnixSeconds(start + (looks - 1) * 5);
        for range in Range::ALL {
            let count = history.slots(range, 0).count() as u64;
            assert_eq!(count, range.slots(), "{range:?}");
            let looked = requests(&history, range, range.first(now)) * 5;
            let shown = range.slots() * range.step();
            assert!(looked <= shown && looked > shown - range.step(), "{range:?}: {looked} of {shown} s");
        }
        assert_eq!(requests(&history, Range::HalfHour, now.0 / 10), 2);
    }

    #[test]
    fn ranges_have_names() {
        assert_eq!(Range::from_name("3h"), Some(Range::ThreeHours));
        assert_eq!(Range::from_name("1y"), None);
    }

    proptest! {
        #[test]
        fn slots_rise_and_hold_all_that_is_young_enough(steps in prop::collection::vec((0u64..200, 0u64..9), 1..200)) {
            let mut history = History::default();
            let mut now = 1_800_000_000;
            let mut all = Vec::new();
            for (pause, count) in steps {
                now += pause;
                all.push((now, count));
                history.add(&window(count), UnixSeconds(now));
            }
            for range in Range::ALL {
                let first = range.first(UnixSeconds(now));
                let numbers: Vec<u64> = history.slots(range, 0).map(|(number, _)| *number).collect();
                prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(numbers.len() as u64 <= range.slots());
                let truth: u64 = all.iter().filter(|(at, _)| at / range.step() >= first).map(|(_, count)| count).sum();
                prop_assert_eq!(requests(&history, range, first), truth);
            }
        }
    }
}
