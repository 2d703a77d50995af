//! Fetching the next track's head while the current one plays.
//!
//! Who may wish for what, and whose turn it is, are rules of [`needledrop_core::prefetch`];
//! this is their shell: [`heed`] listens to a request that plays, [`push`] to an operator's
//! queue, `work` fetches what the planner starts, in the room that listeners leave. A head
//! comes through the same flights as everything else, so a listener who asks for it
//! meanwhile joins it.

mod counts;
mod work;

use std::sync::{Arc, Mutex, MutexGuard};

use http::HeaderMap;
use needledrop_core::{
    Keyring, PlaybackId, SignedUrl, UnixSeconds,
    prefetch::{
        Cmcd, Dropped, Limits, Listener, Planner, Play, Pressure, Target, Verdict, Wish, due, target,
        target::AHEAD_SECONDS_MAX,
    },
};
use needledrop_http::Peer;

use crate::{
    limits::{
        FLYING_BLOCKS_MAX, PREFETCH_FLYING_BLOCKS_MAX, PREFETCH_HEADS_MAX, PREFETCH_PLAYS_MAX, PREFETCH_WAITING_MAX,
    },
    object::Object,
    shelf::Shelf,
};

pub(crate) use counts::register;
pub use counts::{Counts, Tally};

/// What an edge fetches ahead.
pub struct Prefetch {
    planner: Mutex<Planner>,
    /// What became of it.
    pub counts: Counts,
}

/// A request that is being answered with bytes of an object.
pub struct Playing<'a> {
    /// Its URL, verified and admitted.
    pub url: &'a SignedUrl,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Who sent it.
    pub peer: &'a Peer,
    /// What it gets,
    pub object: &'a Object,
    /// from here on.
    pub start: u64,
}

/// What became of a word about the next track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heeded {
    /// It is being fetched.
    Started,
    /// Its turn will come.
    Waiting,
    /// It is under way, or has been fetched for this play already.
    Known,
    /// It will not be fetched because of this word.
    Dropped(Dropped),
}

impl Default for Prefetch {
    fn default() -> Self {
        let limits =
            Limits { running: PREFETCH_HEADS_MAX, waiting: PREFETCH_WAITING_MAX, remembered: PREFETCH_PLAYS_MAX };
        Self { planner: Mutex::new(Planner::new(limits)), counts: Counts::default() }
    }
}

impl Prefetch {
    fn planner(&self) -> MutexGuard<'_, Planner> {
        self.planner.lock().expect("the planner panics only if a job is given back twice")
    }
}

/// Listens to a request that plays: takes in how long the object's head is, and has the head
/// of what comes next fetched, if the request says what that is.
pub fn heed(shelf: &Arc<Shelf>, playing: &Playing<'_>, keys: &Keyring, now: UnixSeconds) -> Option<Heeded> {
    let claims = playing.url.claims();
    if let Some(head) = claims.head {
        playing.object.learn_head(head.get());
    }
    // A replay must not cost anything upstream (RFC 8470), nor is what nobody hears yet a play.
    if playing.peer.early_data || is_background(playing.headers) {
        return None;
    }
    let play = Play { url: playing.url, client: playing.peer.client };
    let target = target(play, announced(playing).as_ref(), keys, now)?;
    let listener = match claims.playback {
        Some(playback) => Listener::Play(playback),
        None => Listener::Unnamed(playing.peer.client, playing.url.path().clone()),
    };
    let due = due(playing.url, playing.start, playing.object.len, now);
    Some(wish(shelf, Wish { listener, target, due }, now))
}

/// Has the head of an object fetched for a play because a queue says that it comes next, and
/// keeps it until it is due.
pub fn push(shelf: &Arc<Shelf>, playback: PlaybackId, url: &SignedUrl, due: UnixSeconds) -> Heeded {
    let now = shelf.clock.now();
    let due = due.min(now.plus(AHEAD_SECONDS_MAX));
    wish(shelf, Wish { listener: Listener::Play(playback), target: Target::of_url(url), due }, now)
}

fn wish(shelf: &Arc<Shelf>, wish: Wish, now: UnixSeconds) -> Heeded {
    let pressure = pressure(shelf);
    let verdict = shelf.prefetch.planner().wish(wish, now, pressure);
    match verdict {
        Verdict::Start(job) => {
            tokio::spawn(work::work(shelf.clone(), job));
            Heeded::Started
        }
        Verdict::Waiting => Heeded::Waiting,
        Verdict::Known => Heeded::Known,
        Verdict::Dropped(why) => Heeded::Dropped(why),
    }
}

/// Whether listeners who wait need the room that is left.
fn pressure(shelf: &Shelf) -> Pressure {
    let held = FLYING_BLOCKS_MAX - shelf.cache.room().available_permits();
    match held.max(shelf.cache.flying()) >= PREFETCH_FLYING_BLOCKS_MAX {
        true => Pressure::High,
        false => Pressure::None,
    }
}

/// What the player announces: in the query if it says anything there, else in the field.
fn announced(playing: &Playing<'_>) -> Option<Cmcd> {
    if let Some(cmcd) = playing.url.unsigned_query().and_then(Cmcd::parse_query) {
        return Some(cmcd);
    }
    let mut lines = playing.headers.get_all("cmcd-request").iter().map(|line| line.to_str());
    let first = lines.next()?.ok()?.to_owned();
    let text = lines.try_fold(first, |all, line| line.map(|line| all + "," + line)).ok()?;
    Cmcd::parse(&text)
}

/// Whether the client fetches this ahead itself: then what follows it is not next. The lowest
/// urgency is for what nobody waits for (RFC 9218 section 4.1).
fn is_background(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split([',', ';'])).any(|member| member.trim() == word)
    };
    says("priority", "u=7") || says("sec-purpose", "prefetch") || says("purpose", "prefetch")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_a_client_fetches_ahead_itself_is_no_play() {
        let is = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            is_background(&headers)
        };
        assert!(is("priority", "u=7, i") && is("priority", "i,u=7"));
        assert!(is("sec-purpose", "prefetch;prerender") && is("purpose", "prefetch"));
        assert!(!is("priority", "u=0") && !is("priority", "u=70") && !is("purpose", "preview"));
    }
}
