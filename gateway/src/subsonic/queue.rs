//! The play queue of the account, as a Subsonic client saves and reads it.

use needledrop_core::{TrackId, UnixSeconds};
use needledrop_playback::queue::{Repeat, UnixMs};
use needledrop_playback::{DisplayName, Queue};

use super::failure::Failure;
use super::params::Named;
use super::response::Element;
use super::{Call, Reply, done, shapes, tree};

pub(super) async fn save(call: &Call<'_>) -> Reply {
    let mut items = Vec::new();
    for text in call.params.all("id") {
        items.push(track(text)?);
    }
    let index = match call.params.text("current") {
        None | Some("") => 0,
        Some(text) => {
            let current = track(text)?;
            let place = items.iter().position(|item| *item == current);
            place.ok_or_else(|| Failure::wrong("current", "it is not in the queue"))?
        }
    };
    let client = call.params.text("c").and_then(|client| DisplayName::parse(client).ok());
    let changed = UnixMs(call.now.0.saturating_mul(1_000));
    let queue = Queue {
        changed,
        client: client.unwrap_or_else(|| call.caller.client().clone()),
        index: u32::try_from(index).expect("a call has fewer parameters than 32 bits count"),
        position_ms: call.params.number("position", u64::MAX, 0)?,
        playing: false,
        shuffle: false,
        repeat: Repeat::Off,
        items,
    };
    call.house.playback.set_queue(call.caller, queue, changed).await?;
    done()
}

fn track(text: &str) -> Result<TrackId, Failure> {
    match Named::parse(text)? {
        Named::Track(id) => Ok(id),
        _ => Err(Failure::not_found()),
    }
}

/// An account that never saved one has an empty queue, of the first moment.
pub(super) async fn get(call: &Call<'_>) -> Reply {
    let queue = call.house.playback.queue(call.caller).await?;
    let changed = queue.as_ref().map_or(UnixSeconds(0), |queue| UnixSeconds(queue.changed.0 / 1_000));
    let client = queue.as_ref().map_or("", |queue| queue.client.as_str());
    let element = Element::new()
        .with("username", call.caller.account().name.as_str())
        .with("changed", changed)
        .with("changedBy", client);
    let Some(queue) = &queue else { return tree("playQueue", element.many("entry", Vec::new())) };
    let tracks: Vec<_> = call.tracks(&queue.items).await?.into_iter().flatten().collect();
    let current = queue.current().filter(|id| tracks.iter().any(|track| track.id == *id));
    let element = element
        .maybe("current", current.map(|id| Named::Track(id).to_string()))
        .with("position", queue.position_ms)
        .many("entry", shapes::songs(call, &tracks).await?);
    tree("playQueue", element)
}
