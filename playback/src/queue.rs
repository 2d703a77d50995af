//! What an account is about to hear: the queue, the place in it, and who said so last.
//!
//! Several devices write it. The last writer by the time of the event wins, whole; what two devices say of the same
//! millisecond is decided by what they say, so that every order of arrival ends in the same queue.

use needledrop_core::TrackId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::account::DisplayName;

/// Most tracks in a queue: a playlist of the largest size that players offer, 220 kB of text.
pub const QUEUE_TRACKS_MAX: usize = 10_000;

/// How far a device's clock may be ahead before its event counts as now, in milliseconds: otherwise a wrong clock
/// would own the queue until its time has come.
pub const AHEAD_MS_MAX: u64 = 5_000;

/// What happens at the end of a track or of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// It ends.
    #[default]
    Off,
    /// The track begins again.
    Track,
    /// The queue begins again.
    Queue,
}

/// Unix time in milliseconds: devices act faster than seconds tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// A queue as a device says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// When the device said so.
    pub changed: UnixMs,
    /// Who said so.
    pub client: DisplayName,
    /// The place in `items` of what is playing; 0 while there is nothing.
    pub index: u32,
    /// How far it was played at `changed`.
    pub position_ms: u64,
    /// Whether it went on playing.
    pub playing: bool,
    /// Whether what comes next is drawn by lot.
    pub shuffle: bool,
    /// What happens at the end.
    pub repeat: Repeat,
    /// What is to be played, in order.
    pub items: Vec<TrackId>,
}

/// Why a queue is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueRefusal {
    /// More than [`QUEUE_TRACKS_MAX`].
    #[error("a queue has at most 10000 tracks")]
    TooLong,
    /// There is no track at that place.
    #[error("the index is behind the end of the queue")]
    Index,
    /// A position that no track has: storage and players count in 63 and 53 bits.
    #[error("the position is longer than any track")]
    Position,
}

/// Longest position, in milliseconds: a week. No recording is longer.
const POSITION_MS_MAX: u64 = 7 * 86_400_000;

impl Repeat {
    /// Every way.
    pub const ALL: [Repeat; 3] = [Repeat::Off, Repeat::Track, Repeat::Queue];

    /// The word for it in storage and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Repeat::Off => "off",
            Repeat::Track => "track",
            Repeat::Queue => "queue",
        }
    }

    /// The way of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|repeat| repeat.name() == name)
    }
}

impl Queue {
    /// The queue, if it can be one; a clock that is ahead is set to `now`.
    ///
    /// # Errors
    /// Too long, or a place that does not exist.
    pub fn checked(self, now: UnixMs) -> Result<Self, QueueRefusal> {
        if self.items.len() > QUEUE_TRACKS_MAX {
            return Err(QueueRefusal::TooLong);
        }
        if self.index != 0 && self.index as usize >= self.items.len() {
            return Err(QueueRefusal::Index);
        }
        if self.position_ms > POSITION_MS_MAX {
            return Err(QueueRefusal::Position);
        }
        let latest = UnixMs(now.0.saturating_add(AHEAD_MS_MAX));
        let changed = if self.changed > latest { now } else { self.changed };
        Ok(Self { changed, ..self })
    }

    /// What decides between two queues: the time, then a digest of everything it says. Storage compares the same.
    pub fn rank(&self) -> (UnixMs, [u8; 32]) {
        let mut digest = Sha256::new();
        // The name comes last: it is the only part of unknown length beside the tracks, whose number is said.
        let fixed = [u64::from(self.index), self.position_ms, self.items.len() as u64];
        fixed.iter().for_each(|number| digest.update(number.to_be_bytes()));
        digest.update([u8::from(self.playing), u8::from(self.shuffle), self.repeat as u8]);
        self.items.iter().for_each(|item| digest.update(item.as_str()));
        digest.update(self.client.as_str());
        (self.changed, digest.finalize().into())
    }

    /// What is playing.
    pub fn current(&self) -> Option<TrackId> {
        self.items.get(self.index as usize).copied()
    }

    /// What is played after it, as far as that is certain: its head is worth fetching.
    pub fn next(&self) -> Option<TrackId> {
        match (self.shuffle, self.repeat) {
            (_, Repeat::Track) => self.current(),
            (true, _) => None,
            (false, Repeat::Off) => self.items.get(self.index as usize + 1).copied(),
            (false, Repeat::Queue) => self.items.get(self.index as usize + 1).or(self.items.first()).copied(),
        }
    }

    /// How far it is played by now, if it went on at its own pace.
    pub fn position_at(&self, now: UnixMs) -> u64 {
        let since = if self.playing { now.0.saturating_sub(self.changed.0) } else { 0 };
        self.position_ms.saturating_add(since)
    }
}

/// Which of two queues stands: the later one, whole. Commutative, associative and idempotent.
pub fn merge(known: Option<Queue>, said: Queue) -> Queue {
    match known {
        Some(known) if known.rank() >= said.rank() => known,
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(changed: u64, client: &str, tracks: usize, index: u32) -> Queue {
        Queue {
            changed: UnixMs(changed),
            client: DisplayName::parse(client).unwrap(),
            index,
            position_ms: 0,
            playing: false,
            shuffle: false,
            repeat: Repeat::Off,
            items: (0..tracks).map(|n| TrackId::from_random((n as u128).to_be_bytes())).collect(),
        }
    }

    #[test]
    fn the_bounds_are_held() {
        let now = UnixMs(1_000_000);
        assert!(queue(0, "a", QUEUE_TRACKS_MAX, 9_999).checked(now).is_ok());
        assert_eq!(queue(0, "a", QUEUE_TRACKS_MAX + 1, 0).checked(now), Err(QueueRefusal::TooLong));
        assert_eq!(queue(0, "a", 3, 3).checked(now), Err(QueueRefusal::Index));
        assert!(queue(0, "a", 0, 0).checked(now).is_ok(), "an empty queue is one");
        let far = Queue { position_ms: u64::MAX, ..queue(0, "a", 1, 0) };
        assert_eq!(far.checked(now), Err(QueueRefusal::Position));
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_own_the_queue() {
        let now = UnixMs(1_000_000);
        assert_eq!(queue(u64::MAX, "a", 1, 0).checked(now).unwrap().changed, now);
        assert_eq!(queue(now.0 + 4_000, "a", 1, 0).checked(now).unwrap().changed, UnixMs(now.0 + 4_000));
        assert_eq!(queue(7, "a", 1, 0).checked(now).unwrap().changed, UnixMs(7), "what was offline says when it was");
    }

    #[test]
    fn what_comes_next_is_named_where_it_is_certain() {
        let at = |index, shuffle, repeat| Queue { shuffle, repeat, ..queue(0, "a", 3, index) };
        let items = queue(0, "a", 3, 0).items;
        assert_eq!(at(0, false, Repeat::Off).next(), Some(items[1]));
        assert_eq!(at(2, false, Repeat::Off).next(), None);
        assert_eq!(at(2, false, Repeat::Queue).next(), Some(items[0]));
        assert_eq!(at(1, true, Repeat::Track).next(), Some(items[1]));
        assert_eq!(at(1, true, Repeat::Queue).next(), None);
        assert_eq!(queue(0, "a", 0, 0).next(), None);
    }

    #[test]
    fn the_position_goes_on_while_it_plays() {
        let playing = Queue { playing: true, position_ms: 500, ..queue(1_000, "a", 1, 0) };
        assert_eq!(playing.position_at(UnixMs(3_000)), 2_500);
        assert_eq!(playing.position_at(UnixMs(0)), 500);
        assert_eq!(Queue { playing: false, ..playing }.position_at(UnixMs(3_000)), 500);
    }

    proptest! {
        #[test]
        fn every_order_of_arrival_ends_in_the_same_queue(
            said in prop::collection::vec((0u64..4, "[ab]", 0usize..3, 0u64..3), 1..7),
            order in any::<prop::sample::Index>(),
        ) {
            let queues: Vec<_> = said.into_iter()
                .map(|(changed, client, tracks, position_ms)| Queue { position_ms, ..queue(changed, &client, tracks, 0) })
                .collect();
            let arrive = |queues: &[Queue]| queues.iter().cloned().fold(None, |known, said| Some(merge(known, said)));
            let mut turned = queues.clone();
            turned.rotate_left(order.index(queues.len()));
            turned.reverse();
            let end = arrive(&queues);
            prop_assert_eq!(&end, &arrive(&turned));
            prop_assert_eq!(end.as_ref().map(|end| end.changed), queues.iter().map(|queue| queue.changed).max());
        }
    }
}
