//! The moment of the needle drop: a start whose bytes have come, and when among them it sounded.
//!
//! Which byte is the first to sound may still be at the decoder when the listener plays on already. The instants wait
//! here for it, so that neither the listener nor the measurement waits.

use std::{rc::Rc, time::Instant};

use crate::{
    measured::{Key, Measure, Why},
    sound::Milestones,
    world::World,
};

/// What is known of a start when its first answer has come.
#[derive(Clone)]
pub struct Needle {
    /// Where it is counted.
    pub world: Rc<World>,
    /// What it is; the measure in it is not looked at.
    pub key: Key,
    /// When sound was wanted.
    pub intended: Instant,
    /// Instants, and how many bytes had come by then.
    pub log: Vec<(Instant, u64)>,
    /// When 64 KiB, or all of a shorter object, were there.
    pub first_64k: Option<Instant>,
}

impl Needle {
    /// Counts when it sounded; gives that instant, or that of the first byte of what does not sound.
    pub fn fall(&self, milestones: Milestones) -> Instant {
        let first_audio = milestones.first_audio.and_then(|bytes| self.at(bytes));
        let sound_at = first_audio.unwrap_or_else(|| self.first_byte_at());
        let since = |at: Instant| at.saturating_duration_since(self.intended);
        let mut tally = self.world.tally();
        let mut record = |measure, at: Option<Instant>| {
            if let Some(at) = at {
                tally.record(Key { measure, ..self.key }, since(at));
            }
        };
        record(Measure::FirstAudio, first_audio);
        record(Measure::OneSecond, milestones.one_second.and_then(|bytes| self.at(bytes)));
        record(Measure::Gap, (self.key.why == Why::Next).then_some(sound_at));
        if let Some(at) = first_audio.or(self.first_64k) {
            tally.timeline.at(self.world.since(self.intended)).needle_drop.record(since(at));
        }
        sound_at
    }

    /// Does so once the decoder knows; gives the instant of the first byte meanwhile.
    pub fn fall_later(self, path: &str) -> Instant {
        let (world, path, at) = (self.world.clone(), path.to_owned(), self.first_byte_at());
        let unsettled = world.unsettled();
        tokio::task::spawn_local(async move {
            self.fall(self.world.sounds.of(&path).await);
            drop(unsettled);
        });
        at
    }

    fn first_byte_at(&self) -> Instant {
        self.log.first().map_or(self.intended, |(at, _)| *at)
    }

    /// When the `bytes`-th byte came.
    fn at(&self, bytes: u64) -> Option<Instant> {
        when(&self.log, bytes)
    }
}

/// When the `bytes`-th byte came.
pub fn when(log: &[(Instant, u64)], bytes: u64) -> Option<Instant> {
    let place = log.partition_point(|(_, have)| *have < bytes.max(1));
    log.get(place).map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_byte_came_with_the_first_piece_that_holds_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let log = [(at(1), 100), (at(2), 200), (at(5), 300)];
        let came = |bytes| when(&log, bytes);
        assert_eq!(
            [came(0), came(1), came(100), came(101), came(300)],
            [Some(at(1)), Some(at(1)), Some(at(1)), Some(at(2)), Some(at(5))]
        );
        assert_eq!(came(301), None);
    }
}
