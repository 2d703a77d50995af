//! Which playback id a grant bears: the same account, client and track keep one until the track is begun from zero.
//!
//! A playback id is what counting goes by (a play counts once for each id), so two rules meet here: whoever seeks,
//! changes quality or renews an expired URL goes on with the play that was begun; whoever begins again begins a new
//! one. The table is a bounded memory over storage; a play that both have forgotten begins anew.

use std::num::NonZeroUsize;

use lru::LruCache;
use needledrop_core::{AccountId, PlaybackId, TrackId, UnixSeconds};

use crate::account::DisplayName;

/// How long a play goes on after its last grant, in seconds: a URL lives two hours for a usual track, and who comes
/// back to a track a day later is listening to it again even if the program does not say so.
pub const PLAY_SECONDS_MAX: u64 = 86_400;

/// Plays in memory. About 200 bytes each, 13 MB: every listener of a node at 3,000 grants per second for longer than
/// storage takes to write them down, by far.
pub const PLAYS_MAX: usize = 65_536;

/// Who plays what where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayKey {
    /// Whose play.
    pub account: AccountId,
    /// In which program, on which device.
    pub client: DisplayName,
    /// What is played.
    pub track: TrackId,
}

/// A play that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Play {
    /// Its id.
    pub id: PlaybackId,
    /// The first grant of it.
    pub begun: UnixSeconds,
    /// The last grant of it.
    pub granted: UnixSeconds,
    /// From when on a grant is another play, once its client has said that it was heard.
    pub ends: Option<UnixSeconds>,
}

impl Play {
    /// A play whose first grant is now.
    pub fn begin(id: PlaybackId, now: UnixSeconds) -> Self {
        Self { id, begun: now, granted: now, ends: None }
    }

    /// Whether a grant at this moment belongs to it.
    pub fn goes_on(&self, now: UnixSeconds) -> bool {
        now.since(self.granted) < PLAY_SECONDS_MAX && self.ends.is_none_or(|ends| now < ends)
    }

    /// The client says that it was heard, which some say at half time and some at the end. It ends when a track that
    /// was heard without a break since the first grant would: who seeks until then goes on with the same play.
    fn heard(&mut self, duration_ms: u64, now: UnixSeconds) {
        let whole = self.begun.plus(duration_ms.div_ceil(1_000));
        self.ends.get_or_insert(whole.max(now));
    }
}

/// Where in the track a listener begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Goes on, or has not said.
    #[default]
    Resume,
    /// From zero: another play.
    Zero,
}

/// Whether the id was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The play of this grant.
    pub play: Play,
    /// Whether storage must learn of it: it is new, or was renewed an hour or more after storage last heard of it.
    pub is_news: bool,
}

/// How stale the moment in storage may become, in seconds: a hundredth of the writes, for an hour less of a day.
const RENEWED_EVERY_SECONDS: u64 = 3_600;

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// A play, and the moment of it that storage knows.
    Play(Play, UnixSeconds),
    /// It was heard. Kept, because storage may not have heard of it yet.
    Ended,
}

/// The plays of late.
#[derive(Debug)]
pub struct Plays {
    table: LruCache<PlayKey, Entry>,
}

impl Default for Plays {
    fn default() -> Self {
        Self::new(PLAYS_MAX)
    }
}

impl Plays {
    /// Room for so many, at least one.
    pub fn new(plays_max: usize) -> Self {
        Self { table: LruCache::new(NonZeroUsize::new(plays_max).unwrap_or(NonZeroUsize::MIN)) }
    }

    /// Whether there is nothing to ask storage: a play goes on, or is known to have ended.
    pub fn knows(&self, key: &PlayKey, now: UnixSeconds) -> bool {
        match self.table.peek(key) {
            Some(Entry::Play(play, _)) => play.goes_on(now),
            Some(Entry::Ended) => true,
            None => false,
        }
    }

    /// What storage knew. What is known already and goes on, or has ended, is newer.
    pub fn remember(&mut self, key: PlayKey, play: Play, now: UnixSeconds) {
        if !self.knows(&key, now) {
            self.table.put(key, Entry::Play(play, play.granted));
        }
    }

    /// The id for a grant now, made of these random bytes if it is a new play.
    pub fn settle(&mut self, key: &PlayKey, start: Start, now: UnixSeconds, random: [u8; 16]) -> Settled {
        if start == Start::Resume
            && let Some(Entry::Play(play, stored)) = self.table.get_mut(key)
            && play.goes_on(now)
        {
            play.granted = play.granted.max(now);
            let is_news = now.since(*stored) >= RENEWED_EVERY_SECONDS;
            if is_news {
                *stored = now;
            }
            return Settled { play: *play, is_news };
        }
        let play = Play::begin(PlaybackId::from_random(random), now);
        self.table.put(key.clone(), Entry::Play(play, now));
        Settled { play, is_news: true }
    }

    /// The play was heard to its end: the next grant is another one.
    pub fn end(&mut self, key: PlayKey) {
        self.table.put(key, Entry::Ended);
    }

    /// The client says that the track was heard: the play that this belongs to, if one goes on. A second word about the
    /// same play does not move its end.
    pub fn heard(&mut self, key: &PlayKey, duration_ms: u64, now: UnixSeconds) -> Option<Play> {
        let Some(Entry::Play(play, stored)) = self.table.get_mut(key) else { return None };
        if !play.goes_on(now) {
            return None;
        }
        play.heard(duration_ms, now);
        *stored = now;
        Some(*play)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests;
