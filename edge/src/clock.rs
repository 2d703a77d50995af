//! The one place of the edge that reads the wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use needledrop_core::UnixSeconds;

/// What time it is: the machine's, or the one a replay or a test has come to.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved; clones move together.
    pub fn manual(start: UnixSeconds) -> Self {
        Self(Some(Arc::new(AtomicU64::new(start.0))))
    }

    /// Now, in whole seconds. A machine that believes in a time before 1970 is taken to be at 1970.
    pub fn now(&self) -> UnixSeconds {
        UnixSeconds(match &self.0 {
            Some(seconds) => seconds.load(Ordering::Relaxed),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        })
    }

    /// Moves a manual clock forward to `now`; the machine's clock stays what it is, and no clock goes back.
    pub fn advance_to(&self, now: UnixSeconds) {
        if let Some(seconds) = &self.0 {
            seconds.fetch_max(now.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together_and_never_back() {
        let clock = Clock::manual(UnixSeconds(10));
        let twin = clock.clone();
        clock.advance_to(UnixSeconds(25));
        twin.advance_to(UnixSeconds(20));
        assert_eq!((clock.now(), twin.now()), (UnixSeconds(25), UnixSeconds(25)));
    }
}
