//! A trace as a crowd: each request is made when it was made, by somebody who comes for it.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    dice::Dice,
    listener::Listener,
    trace::{self, ObjectId, file},
};

/// A request of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// When, counted from the first one.
    pub at: Duration,
    /// The object, by how often it is asked for: 0 is the most popular.
    pub rank: usize,
    /// The first byte.
    pub first: u64,
    /// The first byte that is not asked for.
    pub end: u64,
    /// Whether somebody waits for the sound.
    pub tap: bool,
}

/// Reads a trace file; see [`trace::file`] for the formats. Its seconds are filled evenly, since it has no finer time.
///
/// # Errors
/// It is no trace.
pub fn read(file: &Path) -> Result<Vec<Event>, String> {
    let trace = file::read(file).map_err(|error| error.to_string())?;
    Ok(events_of(&trace))
}

fn events_of(trace: &trace::Trace) -> Vec<Event> {
    let mut counts: HashMap<ObjectId, u64> = HashMap::new();
    for (_, event) in &trace.events {
        if let trace::Event::Ask { object, .. } = event {
            *counts.entry(*object).or_default() += 1;
        }
    }
    let mut by_count: Vec<(ObjectId, u64)> = counts.into_iter().collect();
    by_count.sort_unstable_by_key(|(object, count)| (std::cmp::Reverse(*count), *object));
    let ranks: HashMap<ObjectId, usize> =
        by_count.iter().enumerate().map(|(rank, (object, _))| (*object, rank)).collect();
    let begins = trace.events.first().map_or(0, |(second, _)| *second);
    let mut dice = Dice::new(begins);
    let mut events: Vec<Event> = trace
        .events
        .iter()
        .filter_map(|(second, event)| match event {
            trace::Event::Ask { object, start, end, tap } => Some(Event {
                at: Duration::from_secs_f64(second.saturating_sub(begins) as f64 + dice.unit()),
                rank: ranks[object],
                first: *start,
                end: *end,
                tap: *tap,
            }),
            trace::Event::Next { .. } => None,
        })
        .collect();
    events.sort_by_key(|event| event.at);
    events
}

impl Listener {
    /// Comes for one request of a trace. The trace's objects are the catalog's, the most popular first; a range that
    /// lies behind the end of the catalog's object is moved into it.
    pub async fn ask(self, event: Event, at: Instant) {
        self.ask_once(event, at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Object, Trace};

    #[test]
    fn the_most_popular_object_is_the_first_and_seconds_are_filled() {
        let ask =
            |object, start| trace::Event::Ask { object: ObjectId(object), start, end: start + 10, tap: start == 0 };
        let trace = Trace {
            name: "t".into(),
            objects: vec![Object { len: 100, head: 100 }; 2],
            events: vec![(50, ask(0, 0)), (50, ask(1, 0)), (51, ask(1, 20))],
            warm_up: 0,
        };
        let events = events_of(&trace);
        assert_eq!(events.iter().map(|event| event.rank).filter(|rank| *rank == 0).count(), 2);
        assert!(events.is_sorted_by_key(|event| event.at));
        assert!(events[0].at < Duration::from_secs(1) && events[2].at >= Duration::from_secs(1));
        assert_eq!((events[2].first, events[2].tap), (20, false));
    }
}
