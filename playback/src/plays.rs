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
    /// The last grant of it.
    pub granted: UnixSeconds,
}

impl Play {
    /// Whether a grant at this moment belongs to it.
    pub fn goes_on(&self, now: UnixSeconds) -> bool {
        now.since(self.granted) < PLAY_SECONDS_MAX
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
    /// The id for this grant.
    pub id: PlaybackId,
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
            return Settled { id: play.id, is_news };
        }
        let id = PlaybackId::from_random(random);
        self.table.put(key.clone(), Entry::Play(Play { id, granted: now }, now));
        Settled { id, is_news: true }
    }

    /// The play was heard to its end: the next grant is another one.
    pub fn end(&mut self, key: PlayKey) {
        self.table.put(key, Entry::Ended);
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn key(account: u8, client: &str, track: u8) -> PlayKey {
        PlayKey {
            account: AccountId::from_random([account; 16]),
            client: DisplayName::parse(client).unwrap(),
            track: TrackId::from_random([track; 16]),
        }
    }

    #[test]
    fn a_seek_keeps_the_id_and_a_restart_from_zero_does_not() {
        let mut plays = Plays::default();
        let first = plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(0), [1; 16]);
        let seek = plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(60), [2; 16]);
        assert_eq!(seek, Settled { id: first.id, is_news: false });
        let again = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(90), [3; 16]);
        assert_ne!(again.id, first.id);
        assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(95), [4; 16]).id, again.id);
    }

    #[test]
    fn another_account_client_or_track_is_another_play() {
        let mut plays = Plays::default();
        let keys = [key(1, "phone", 1), key(2, "phone", 1), key(1, "car", 1), key(1, "phone", 2)];
        let ids: Vec<_> =
            (0..4).map(|n| plays.settle(&keys[n], Start::Resume, UnixSeconds(0), [n as u8; 16]).id).collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(plays.settle(&keys[n], Start::Resume, UnixSeconds(1), [99; 16]).id, *id);
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
        }
    }

    #[test]
    fn a_play_ends_a_day_after_its_last_grant_or_when_it_was_heard() {
        let mut plays = Plays::default();
        let phone = key(1, "phone", 1);
        let first = plays.settle(&phone, Start::Resume, UnixSeconds(0), [1; 16]).id;
        let renewed = plays.settle(&phone, Start::Resume, UnixSeconds(PLAY_SECONDS_MAX - 1), [2; 16]);
        assert_eq!(renewed, Settled { id: first, is_news: true });
        let next_day = UnixSeconds(2 * PLAY_SECONDS_MAX - 1);
        assert!(!plays.knows(&phone, next_day));
        let second = plays.settle(&phone, Start::Resume, next_day, [3; 16]).id;
        assert_ne!(second, first);
        plays.end(phone.clone());
        plays.remember(phone.clone(), Play { id: second, granted: next_day }, next_day);
        assert_ne!(plays.settle(&phone, Start::Resume, next_day, [4; 16]).id, second);
    }

    #[test]
    fn what_storage_knew_goes_on_but_never_replaces_what_is_newer() {
        let mut plays = Plays::default();
        let stored = Play { id: PlaybackId::from_random([7; 16]), granted: UnixSeconds(100) };
        plays.remember(key(1, "phone", 1), stored, UnixSeconds(200));
        assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(200), [1; 16]).id, stored.id);
        let newer = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(300), [2; 16]).id;
        plays.remember(key(1, "phone", 1), stored, UnixSeconds(300));
        assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(301), [3; 16]).id, newer);
    }

    proptest! {
        /// Against a model that forgets nothing: within the bound of the table both agree on who gets which id.
        #[test]
        fn the_table_is_a_map_of_bounded_size(
            asks in prop::collection::vec((0u8..3, 0u8..4, any::<bool>(), 0u64..50_000), 1..60),
            room in 1usize..16,
        ) {
            let (mut plays, mut model) = (Plays::new(room), HashMap::<PlayKey, Play>::new());
            let mut now = UnixSeconds(0);
            for (n, (account, track, zero, pause)) in asks.into_iter().enumerate() {
                now = now.plus(pause);
                let (key, start) = (key(account, "x", track), if zero { Start::Zero } else { Start::Resume });
                let fresh = PlaybackId::from_random([n as u8 + 1; 16]);
                let expected = model.get(&key).filter(|play| !zero && play.goes_on(now)).map(|play| play.id);
                let given = plays.settle(&key, start, now, [n as u8 + 1; 16]).id;
                match expected {
                    Some(id) if room >= 12 => prop_assert_eq!(given, id),
                    Some(id) => prop_assert!(given == id || given == fresh),
                    None => prop_assert_eq!(given, fresh),
                }
                model.insert(key, Play { id: given, granted: now });
                prop_assert!(plays.len() <= room);
            }
        }
    }
}
