//! The player of the Spotify Web API, on the queue that the account's devices share: what plays and what comes next,
//! and changing both. A device that listens to the queue follows within seconds; nothing here makes sound.

use needledrop_catalog::store::{At, TrackList};
use needledrop_core::{Problem, TrackId};
use needledrop_playback::queue::Repeat;
use needledrop_playback::{Caller, Queue, UnixMs};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::browse::release_id;
use super::param::{Kind, Param};
use super::playlists::track;
use super::whole::Whole;
use super::{Call, at_most};
use crate::answer::{Answer, Reply, failed, refused};
use crate::query::wrong;
use crate::shapes;

/// Tracks that one call may say. They fit into the body of a request, which is 60 KiB.
const QUEUE_MAX: usize = 1_000;
/// Tracks to come that are shown.
const SHOWN_MAX: usize = 50;

/// `GET /v1/me/player` and `/currently-playing`: without an item where nothing was ever played.
pub(super) async fn state(call: &Call<'_>, caller: &Caller) -> Reply {
    let queue = known(call, caller).await?.unwrap_or_else(|| nothing(caller));
    let item = match queue.current() {
        Some(id) => call.house.catalog.track(id).await.map_err(|error| failed(&error))?,
        None => None,
    };
    Ok(Answer::Entity(json!({
        "device": device(queue.client.as_str()),
        "repeat_state": spoken(queue.repeat),
        "shuffle_state": queue.shuffle,
        "context": null,
        "timestamp": queue.changed.0,
        "progress_ms": queue.position_ms,
        "is_playing": queue.playing,
        "item": item.map(|track| shapes::track(&track)),
        "currently_playing_type": "track",
        "actions": { "disallows": {} },
    })))
}

/// The queue of an account that has never said one.
fn nothing(caller: &Caller) -> Queue {
    Queue {
        changed: UnixMs(0),
        client: caller.client().clone(),
        index: 0,
        position_ms: 0,
        playing: false,
        shuffle: false,
        repeat: Repeat::Off,
        items: Vec::new(),
    }
}

/// A device as the Spotify Web API has it: the program's name is all that is known of it.
fn device(name: &str) -> Value {
    json!({
        "id": name, "name": name, "type": "Computer", "is_active": true, "is_private_session": false,
        "is_restricted": false, "volume_percent": 100, "supports_volume": false,
    })
}

/// `GET /v1/me/player/queue`.
pub(super) async fn queue(call: &Call<'_>, caller: &Caller) -> Reply {
    let queue = known(call, caller).await?.unwrap_or_else(|| nothing(caller));
    let ids: Vec<TrackId> = queue.items.iter().skip(queue.index as usize).take(SHOWN_MAX + 1).copied().collect();
    let tracks = call.house.catalog.tracks(&ids).await.map_err(|error| failed(&error))?;
    let mut shown = tracks.into_iter().map(|track| track.map(|track| shapes::track(&track)));
    let current = shown.next().flatten();
    Ok(Answer::Entity(json!({ "currently_playing": current, "queue": shown.flatten().collect::<Vec<_>>() })))
}

/// What somebody wants of the player.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Play { items: Option<Vec<TrackId>>, index: u32, position_ms: Option<u64> },
    Pause,
    Skip(i64),
    Seek(u64),
    Repeat(Repeat),
    Shuffle(bool),
    Append(TrackId),
}

#[derive(Default, Deserialize)]
struct Play {
    /// An album or a playlist, in place of tracks.
    context_uri: Option<String>,
    uris: Option<Vec<String>>,
    /// An [`Offset`], read as one when it is known to be an object: serde takes an array for a struct as well.
    offset: Option<Map<String, Value>>,
    position_ms: Option<Whole>,
}

#[derive(Deserialize)]
struct Offset {
    position: Option<Whole>,
    uri: Option<String>,
}

/// Longest position, in milliseconds: a week, as queues have it.
const POSITION_MS_MAX: u64 = 7 * 86_400_000;

/// Parameters of the calls that change the player.
pub(super) const SEEK: &[Param] = &[Param::required(
    "position_ms",
    Kind::Whole { least: 0, most: POSITION_MS_MAX, usual: 0 },
    "Where to go in the track.",
)];
pub(super) const SHUFFLE: &[Param] =
    &[Param::required("state", Kind::Word(&["true", "false"]), "Whether what comes next is drawn by lot.")];
pub(super) const REPEAT: &[Param] =
    &[Param::required("state", Kind::Word(&["off", "track", "context"]), "What happens at the end.")];
pub(super) const URI: &[Param] = &[Param::required("uri", Kind::TrackUri, "The track.")];

pub(super) async fn play(call: &Call<'_>, caller: &Caller) -> Reply {
    changed(call, caller, play_of(call, caller).await?).await
}

pub(super) async fn pause(call: &Call<'_>, caller: &Caller) -> Reply {
    changed(call, caller, Wish::Pause).await
}

pub(super) async fn skip(call: &Call<'_>, caller: &Caller, by: i64) -> Reply {
    changed(call, caller, Wish::Skip(by)).await
}

pub(super) async fn seek(call: &Call<'_>, caller: &Caller) -> Reply {
    changed(call, caller, Wish::Seek(call.params.number("position_ms", 0..=POSITION_MS_MAX, 0)?)).await
}

pub(super) async fn shuffle(call: &Call<'_>, caller: &Caller) -> Reply {
    changed(call, caller, Wish::Shuffle(call.params.text("state") == Some("true"))).await
}

pub(super) async fn repeat(call: &Call<'_>, caller: &Caller) -> Reply {
    let repeat = match call.params.text("state") {
        Some("track") => Repeat::Track,
        Some("context") => Repeat::Queue,
        _ => Repeat::Off,
    };
    changed(call, caller, Wish::Repeat(repeat)).await
}

pub(super) async fn append(call: &Call<'_>, caller: &Caller) -> Reply {
    let uri = call.params.text("uri").ok_or_else(|| wrong("uri", "it is missing"))?;
    changed(call, caller, Wish::Append(track(uri)?)).await
}

async fn play_of(call: &Call<'_>, caller: &Caller) -> Result<Wish, Problem> {
    let said: Play = if call.request.body.is_empty() { Play::default() } else { call.body()? };
    at_most("uris", QUEUE_MAX, said.uris.as_ref().map_or(0, Vec::len))?;
    let items = match (said.uris, said.context_uri) {
        (Some(_), Some(_)) => {
            return Err(Problem::new("contradiction", "Say uris or context_uri, not both", 422));
        }
        (Some(uris), None) => Some(uris.iter().map(|uri| track(uri)).collect::<Result<Vec<_>, _>>()?),
        (None, Some(uri)) => Some(of_context(call, caller, &uri).await?),
        (None, None) => None,
    };
    let offset: Option<Offset> =
        said.offset.map(|offset| serde_json::from_value(offset.into())).transpose().map_err(|error| {
            Problem::new("body", "The body is not what this call takes", 400).with_detail(error.to_string())
        })?;
    let named = offset.as_ref().and_then(|offset| offset.uri.as_deref()).map(track).transpose()?;
    let place = |id| items.as_ref().and_then(|items| items.iter().position(|item| *item == id));
    let index = match (named.and_then(place), offset.and_then(|offset| offset.position)) {
        (Some(place), _) => u32::try_from(place).unwrap_or(u32::MAX),
        (None, position) => position.map_or(0, |position| u32::try_from(position.0).unwrap_or(u32::MAX)),
    };
    Ok(Wish::Play { items, index, position_ms: said.position_ms.map(|position| position.0) })
}

/// The first tracks of an album or a playlist, as many as a queue is given at once.
async fn of_context(call: &Call<'_>, caller: &Caller, uri: &str) -> Result<Vec<TrackId>, Problem> {
    let named = ["needledrop:", "spotify:"].iter().find_map(|house| uri.strip_prefix(house)?.split_once(':'));
    match named {
        Some(("album", id)) => {
            let list = TrackList::OnRelease(release_id(id)?);
            let page = call.house.catalog.list_tracks(&list, &At::Offset(0), QUEUE_MAX).await;
            Ok(page.map_err(|error| failed(&error))?.items.iter().map(|track| track.id).collect())
        }
        Some(("playlist", id)) => {
            let items = super::playlists::read(call, caller, id).await?.items;
            Ok(items.into_iter().take(QUEUE_MAX).map(|item| item.track).collect())
        }
        _ => Err(wrong("context_uri", "write it as needledrop:album:ID or needledrop:playlist:ID")),
    }
}

async fn changed(call: &Call<'_>, caller: &Caller, wish: Wish) -> Reply {
    let now = UnixMs(call.now.0.saturating_mul(1_000));
    let known = known(call, caller).await?.unwrap_or_else(|| nothing(caller));
    // Two words within a second: the second is later.
    let changed = UnixMs(now.0.max(known.changed.0 + 1));
    let queue = Queue { changed, ..after(known, wish) };
    let taken = call.house.playback.set_queue(caller, queue, UnixMs(changed.0.max(now.0 + 999))).await;
    taken.map(|_| Answer::Nothing).map_err(|error| refused(&error))
}

/// The queue as somebody wants it.
fn after(queue: Queue, wish: Wish) -> Queue {
    match wish {
        Wish::Play { items: Some(items), index, position_ms } => {
            let last = u32::try_from(items.len().saturating_sub(1)).unwrap_or(u32::MAX);
            Queue { items, index: index.min(last), position_ms: position_ms.unwrap_or(0), playing: true, ..queue }
        }
        Wish::Play { position_ms, .. } => {
            Queue { position_ms: position_ms.unwrap_or(queue.position_ms), playing: true, ..queue }
        }
        Wish::Pause => Queue { playing: false, ..queue },
        Wish::Skip(by) => {
            let last = queue.items.len().saturating_sub(1) as i64;
            let index = (i64::from(queue.index) + by).clamp(0, last) as u32;
            Queue { index, position_ms: 0, ..queue }
        }
        Wish::Seek(position_ms) => Queue { position_ms, ..queue },
        Wish::Repeat(repeat) => Queue { repeat, ..queue },
        Wish::Shuffle(shuffle) => Queue { shuffle, ..queue },
        Wish::Append(id) => {
            let mut items = queue.items;
            items.push(id);
            Queue { items, ..queue }
        }
    }
}

async fn known(call: &Call<'_>, caller: &Caller) -> Result<Option<Queue>, Problem> {
    call.house.playback.queue(caller).await.map_err(|error| refused(&error))
}

/// As the Spotify Web API says it.
fn spoken(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::Off => "off",
        Repeat::Track => "track",
        Repeat::Queue => "context",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use needledrop_playback::DisplayName;

    #[test]
    fn a_wish_changes_the_queue_within_its_bounds() {
        let [a, b, c] = [1, 2, 3].map(|n| TrackId::from_random([n; 16]));
        let queue = Queue {
            changed: UnixMs(1),
            client: DisplayName::parse("x").unwrap(),
            index: 1,
            position_ms: 500,
            playing: true,
            shuffle: false,
            repeat: Repeat::Off,
            items: vec![a, b],
        };
        let does = |wish| after(queue.clone(), wish);
        assert_eq!((does(Wish::Skip(1)).index, does(Wish::Skip(-1)).index, does(Wish::Skip(-9)).index), (1, 0, 0));
        assert!(!does(Wish::Pause).playing);
        assert_eq!(does(Wish::Append(c)).items, [a, b, c]);
        let anew = does(Wish::Play { items: Some(vec![c]), index: 7, position_ms: None });
        assert_eq!((anew.items, anew.index, anew.position_ms), (vec![c], 0, 0));
        let on = does(Wish::Play { items: None, index: 0, position_ms: None });
        assert_eq!((on.index, on.position_ms), (1, 500));
    }
}
