//! How far the making of tracks is: told by whoever makes them, read by calls and by the player.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Failures that are told by name, the latest: a few screens of them. They are counted beyond that.
const FAILURES_MAX: usize = 100;
/// Longest name or reason that is kept. Unit: characters. File names are hostile text too.
const TEXT_CHARS_MAX: usize = 300;

/// How far it is.
#[derive(Debug, Default)]
pub struct Making(Mutex<Made>);

/// What is known of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Made {
    /// Whether tracks are being made.
    pub running: bool,
    /// Files that were found.
    pub found: u64,
    /// Those of them that are new or have changed.
    pub due: u64,
    /// Those of the due that are done with, one way or the other.
    pub settled: u64,
    /// Tracks made.
    pub made: u64,
    /// Files of which no track could be made.
    pub failed: u64,
    /// Audio that was encoded, and all there is to encode as far as is known. Unit: seconds.
    pub seconds_done: f64,
    /// See there.
    pub seconds_due: f64,
    /// What is read at this moment, one for each worker.
    pub reading: Vec<String>,
    /// The latest of the failures.
    pub failures: VecDeque<Failure>,
    /// Why it ended early, if it did.
    pub ended_by: Option<String>,
}

/// A file of which no track could be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Making {
    /// Nothing has begun; `running` says whether it soon will.
    pub fn new(running: bool) -> Self {
        Self(Mutex::new(Made { running, ..Made::default() }))
    }

    /// What is known now.
    pub fn now(&self) -> Made {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether tracks are being made.
    pub fn is_running(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).running
    }

    /// Something has happened.
    pub fn note(&self, what: impl FnOnce(&mut Made)) {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Made {
    /// A file is being read.
    pub fn reads(&mut self, name: &str) {
        self.reading.push(shortened(name));
    }

    /// A file is done with, and nothing is wrong with it. `is_new` says whether it became a track.
    pub fn settle(&mut self, name: &str, is_new: bool) {
        self.settled += 1;
        self.made += u64::from(is_new);
        self.leave(name);
    }

    /// No track can be made of a file.
    pub fn fail(&mut self, name: &str, reason: &str) {
        self.settled += 1;
        self.failed += 1;
        self.leave(name);
        if self.failures.len() == FAILURES_MAX {
            self.failures.pop_front();
        }
        self.failures.push_back(Failure { name: shortened(name), reason: shortened(reason) });
    }

    /// It is over, and this is why, unless all was done.
    pub fn end(&mut self, why: Option<String>) {
        self.running = false;
        self.reading.clear();
        self.ended_by = why.as_deref().map(shortened);
    }

    fn leave(&mut self, name: &str) {
        let name = shortened(name);
        if let Some(place) = self.reading.iter().position(|reading| *reading == name) {
            self.reading.remove(place);
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_leaves_when_it_is_settled() {
        let making = Making::new(true);
        making.note(|made| {
            made.due = 3;
            ["a", "b", "a"].into_iter().for_each(|name| made.reads(name));
            made.settle("a", true);
            made.settle("never read", false);
        });
        let made = making.now();
        assert_eq!((made.settled, made.made, made.failed), (2, 1, 0));
        assert_eq!(made.reading, ["b", "a"], "two folders may hold files of one name");
        making.note(|made| made.end(Some("the disk is full".to_owned())));
        assert!(!making.is_running() && making.now().reading.is_empty());
    }

    #[test]
    fn failures_are_bounded_and_the_latest_stay() {
        let making = Making::new(true);
        for number in 0..FAILURES_MAX + 5 {
            making.note(|made| made.fail(&format!("{number}"), &"ä".repeat(1_000)));
        }
        let made = making.now();
        assert_eq!((made.failed, made.failures.len()), (FAILURES_MAX as u64 + 5, FAILURES_MAX));
        assert_eq!(made.failures[0].name, "5");
        assert_eq!(made.failures[0].reason.chars().count(), TEXT_CHARS_MAX + 1);
    }
}
