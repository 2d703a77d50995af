//! `POST /v1/plays`: what was heard of a play, which makes popularity.
//!
//! A play counts once, when the stretches that were heard add up to 30 s or half of the track, whichever is less. This is
//! for ranking only: what is paid for is counted by the ledger from the delivery records of the edges.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use needledrop_catalog::Change;
use needledrop_catalog::model::Track;
use needledrop_catalog::search::{DocId, Kind};
use needledrop_core::{PlaybackId, Problem, TrackId};
use needledrop_playback::{Caller, Scope};
use serde::Deserialize;

use super::whole::Whole;
use super::{Call, at_most, no_such};
use crate::answer::{Answer, Reply, failed, refused};
use crate::house::House;

/// Stretches that one report may have: the player keeps at most 200.
const INTERVALS_MAX: usize = 1_000;
/// What makes a play, unless half of the track is less. Unit: milliseconds.
const HEARD_MS: u64 = 30_000;
/// Plays that are remembered as counted: a day of a house of 10,000 listeners is more than that, and whoever reports again
/// does so within the length of a track. 65,536 of 22 bytes are a few megabytes.
const COUNTED_MAX: usize = 65_536;

/// The plays that count already.
#[derive(Default)]
pub struct Counted(Mutex<(HashSet<PlaybackId>, VecDeque<PlaybackId>)>);

impl Counted {
    /// Whether this play counts now for the first time.
    fn is_new(&self, play: PlaybackId) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *counted;
        if !known.insert(play) {
            return false;
        }
        order.push_back(play);
        if order.len() > COUNTED_MAX
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }

    /// It did not count after all. It stays among those that are forgotten in turn, which does no harm.
    fn forget(&self, play: PlaybackId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&play);
    }
}

/// A play that is being written. Unless that ends well, its next report counts.
struct Writing<'a> {
    counted: &'a Counted,
    play: PlaybackId,
    is_written: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.counted.forget(self.play);
        }
    }
}

impl House {
    /// Counts a play towards the popularity of its track, once.
    pub(crate) async fn count(&self, track: &Track, play: PlaybackId) -> Result<(), needledrop_catalog::store::Error> {
        if !self.counted.is_new(play) {
            return Ok(());
        }
        let mut writing = Writing { counted: &self.counted, play, is_written: false };
        self.catalog.apply(vec![Change::Plays { track: track.id, added: 1 }]).await?;
        writing.is_written = true;
        // The next search ranks by it.
        self.index.set_plays(Kind::Track, &DocId::from(track.id), track.plays + 1);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Heard {
    playback_id: PlaybackId,
    track: TrackId,
    /// From and until, in milliseconds of the track.
    intervals: Vec<(Whole, Whole)>,
    #[serde(default)]
    ended: bool,
}

pub(super) async fn report(call: &Call<'_>, caller: &Caller) -> Reply {
    caller.may(Scope::Streaming).map_err(|error| refused(&error.into()))?;
    let heard: Heard = call.body()?;
    at_most("intervals", INTERVALS_MAX, heard.intervals.len())?;
    if heard.intervals.iter().any(|(from, until)| from > until) {
        let said = Problem::new("intervals", "What was heard cannot have been heard", 422);
        return Err(said.with_detail("An interval ends before it begins"));
    }
    let intervals = heard.intervals.iter().map(|(from, until)| (from.0, until.0)).collect();
    let house = call.house;
    let track = house.catalog.track(heard.track).await.map_err(|error| failed(&error))?;
    let track = track.ok_or_else(|| no_such("track"))?;
    if !house.playback.was_granted(caller, track.id, heard.playback_id) {
        let said = Problem::new("no-such-play", "This play was not granted to you", 422);
        return Err(said.with_detail("Send the playback_id that the track's /stream gave, and the same track"));
    }
    if is_play(intervals, track.duration_ms) {
        house.count(&track, heard.playback_id).await.map_err(|error| failed(&error))?;
    }
    if heard.ended {
        house.playback.heard(caller, None, track.id).await;
    }
    Ok(Answer::Nothing)
}

/// Whether the union of what was heard makes a play. What lies beyond the track was not heard.
fn is_play(mut intervals: Vec<(u64, u64)>, duration_ms: u64) -> bool {
    intervals.sort_unstable();
    let (mut heard, mut behind) = (0, 0);
    for (from, until) in intervals {
        let (from, until) = (from.max(behind), until.min(duration_ms));
        heard += until.saturating_sub(from);
        behind = behind.max(until);
    }
    heard > 0 && heard >= HEARD_MS.min(duration_ms / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_is_thirty_seconds_or_half_a_track() {
        assert!(is_play(vec![(0, 30_000)], 200_000));
        assert!(!is_play(vec![(0, 29_999)], 200_000));
        assert!(!is_play(vec![(0, 20_000), (0, 20_000), (5_000, 20_000)], 200_000), "the same seconds again");
        assert!(is_play(vec![(100_000, 120_000), (0, 10_000)], 200_000));
        assert!(is_play(vec![(0, 10_000)], 20_000), "a short one");
        assert!(!is_play(vec![(190_000, 290_000)], 200_000), "beyond the end");
        assert!(!is_play(vec![], 0));
    }

    #[test]
    fn a_play_counts_once_and_the_oldest_are_forgotten() {
        let counted = Counted::default();
        let id = |n: u128| PlaybackId::from_random(n.to_be_bytes());
        assert!(counted.is_new(id(1)));
        assert!(!counted.is_new(id(1)));
        for n in 2..=COUNTED_MAX as u128 + 1 {
            assert!(counted.is_new(id(n)));
        }
        assert!(counted.is_new(id(1)), "it was forgotten");
        assert!(!counted.is_new(id(4)));
    }

    #[test]
    fn a_play_that_was_not_written_counts_when_it_is_reported_again() {
        let counted = Counted::default();
        let play = PlaybackId::from_random([7; 16]);
        for is_written in [false, true] {
            assert!(counted.is_new(play));
            drop(Writing { counted: &counted, play, is_written });
        }
        assert!(!counted.is_new(play));
    }
}
