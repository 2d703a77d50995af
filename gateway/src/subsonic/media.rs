//! Sound and pictures: where they are, and what became of a play.

use std::sync::Arc;

use needledrop_catalog::store::Playable;
use needledrop_core::{Codec, Kbps, TrackId};
use needledrop_playback::{Ask, Asked, DisplayName, Start};

use super::failure::Failure;
use super::params::Named;
use super::{Call, Reply, Said, done, podcasts, sleeve};

/// Sizes that artwork is made in, in pixels of the longest side.
const ART_PX: [u64; 3] = [64, 300, 640];

/// A signed URL of the edge. Who asks again for the same track goes on with the same play: so clients seek.
pub(super) async fn stream(call: &Call<'_>) -> Reply {
    let id = match Named::parse(call.params.required("id")?)? {
        Named::Track(id) => id,
        Named::Episode(id) => return podcasts::sound(call, id).await,
        _ => return Err(Failure::not_found()),
    };
    if call.params.number("timeOffset", u64::MAX, 0)? > 0 {
        return Err(Failure::wrong("timeOffset", "seek with a range request at the URL this call leads to"));
    }
    let (track, next) = track_and_next(call, id).await?.ok_or_else(Failure::not_found)?;
    let device = device(call);
    let ask = Ask {
        track: (&*track).into(),
        next: next.as_deref().map(Into::into),
        asked: asked(call)?,
        start: Start::Resume,
        device: device.as_ref(),
    };
    let edges = call.house.edges(call.request).map_err(|said| Failure::other(said.title))?;
    let granted = call.house.playback.grant(call.caller, &ask, &edges.list(), call.now).await?;
    let first = granted.urls.into_iter().next().expect("a grant has at least one URL");
    Ok(Said::Elsewhere(first))
}

/// A track, and what plays next, so that the edge has its beginning in time: the track after this one in the saved play
/// queue, else the one after it on its release.
async fn track_and_next(
    call: &Call<'_>,
    id: TrackId,
) -> Result<Option<(Arc<Playable>, Option<Arc<Playable>>)>, Failure> {
    let catalog = &call.house.catalog;
    if let Some(queue) = call.house.playback.queue(call.caller).await?
        && let Some(next) = after(&queue.items, queue.index as usize, id)
    {
        let Some(track) = catalog.playable(id).await? else { return Ok(None) };
        return Ok(Some((track, catalog.playable(next).await?)));
    }
    Ok(catalog.playable_with_following(id).await?)
}

/// What follows a track in the queue: from the place that was saved on, since a track may be in it twice.
fn after(items: &[TrackId], index: usize, track: TrackId) -> Option<TrackId> {
    let from = |start: usize| items.iter().skip(start).position(|item| *item == track).map(|place| start + place);
    let place = from(index).or_else(|| from(0))?;
    items.get(place + 1).copied()
}

/// The program that asks: two programs with one app password play on their own.
fn device(call: &Call<'_>) -> Option<DisplayName> {
    call.params.text("c").and_then(|client| DisplayName::parse(client).ok())
}

/// `maxBitRate` is at most, of what there is; below the least it is the least. A format that is not made here is left
/// to us, as the protocol leaves it to servers.
fn asked(call: &Call<'_>) -> Result<Asked, Failure> {
    let codec = match call.params.text("format") {
        Some("ogg" | "oga" | "vorbis") => Some(Codec::Vorbis),
        Some("m4a" | "mp4" | "aac") => Some(Codec::Aac),
        _ => None,
    };
    Ok(Asked { codec, kbps: at_most(call.params.number("maxBitRate", u64::from(u32::MAX), 0)?), ..Asked::default() })
}

fn at_most(kbps: u64) -> Option<Kbps> {
    match kbps {
        0 => None,
        most => Kbps::ALL.into_iter().filter(|made| u64::from(made.value()) <= most).max().or(Some(Kbps::K96)),
    }
}

/// `submission=true` says that the track was heard, as some programs do at half time and some at the end. It counts once
/// for the play that the track was streamed under, and a play that nobody has does not count: what was never streamed
/// from here was not heard from here. Without, it says what is playing now, of which nothing is kept.
pub(super) async fn scrobble(call: &Call<'_>) -> Reply {
    call.params.required("id")?;
    let is_heard = call.params.is_set("submission")?.unwrap_or(true);
    let device = device(call);
    for text in call.params.all("id") {
        let Named::Track(id) = Named::parse(text)? else { return Err(Failure::not_found()) };
        let track = call.the_track(id).await?;
        if !is_heard {
            continue;
        }
        let playback = &call.house.playback;
        let play = playback.scrobbled(call.caller, device.as_ref(), id, track.duration_ms, call.now).await?;
        if let Some(play) = play {
            call.house.count(&track, play).await?;
        }
    }
    done()
}

/// The smallest picture that is large enough; one of our own where there is none.
pub(super) async fn cover_art(call: &Call<'_>) -> Reply {
    let size = call.params.number("size", u64::from(u32::MAX), 640)?;
    let named = Named::parse(call.params.required("id")?)?;
    let art = match named {
        Named::Artist(id) => call.the_artist(id).await?.art.clone(),
        Named::Release(id) => call.the_release(id).await?.art.clone(),
        Named::Track(id) => call.the_track(id).await?.release.art.clone(),
        Named::Playlist(id) => playlist_art(call, id).await?,
        Named::Show(id) => call.house.catalog.show(id).await?.and_then(|show| show.art),
        Named::Episode(_) => None,
    };
    let Some(art) = art.filter(|art| art.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
        return blank(named, size).await;
    };
    let px = ART_PX.into_iter().find(|px| *px >= size).unwrap_or(ART_PX[2]);
    let edges = call.house.edges(call.request).map_err(|said| Failure::other(said.title))?;
    let list = edges.list();
    let base = list.first().ok_or_else(Failure::not_found)?.base.as_str();
    Ok(Said::Elsewhere(format!("{base}/art/{art}/{px}.jpg")))
}

/// Drawn off the reactor: a few milliseconds of arithmetic.
async fn blank(named: Named, size: u64) -> Reply {
    let drawn = tokio::task::spawn_blocking(move || sleeve::png_of(&named.to_string(), size)).await;
    drawn.map(Said::Picture).map_err(|_| Failure::other("The picture could not be drawn"))
}

/// That of the first track that has one.
async fn playlist_art(call: &Call<'_>, id: needledrop_core::PlaylistId) -> Result<Option<String>, Failure> {
    let contents = call.lists.get(call.caller.account().id, id).await?;
    let ids: Vec<_> = contents.items.iter().take(20).map(|item| item.track).collect();
    let tracks = call.tracks(&ids).await?;
    Ok(tracks.into_iter().flatten().find_map(|track| track.release.art.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_in_the_queue_is_next() {
        let [a, b, c] = [1, 2, 3].map(|n| TrackId::from_random([n; 16]));
        assert_eq!(after(&[a, b, a, c], 0, a), Some(b));
        assert_eq!(after(&[a, b, a, c], 1, a), Some(c), "the second time");
        assert_eq!(after(&[a, b], 1, a), Some(b), "behind what was saved");
        assert_eq!((after(&[a, b], 0, b), after(&[a, b], 0, c)), (None, None));
    }

    #[test]
    fn a_bitrate_is_at_most_what_was_asked_for() {
        let cases = [(0, None), (1, Some(96)), (96, Some(96)), (159, Some(96)), (192, Some(160)), (9_999, Some(320))];
        for (most, kbps) in cases {
            assert_eq!(at_most(most).map(Kbps::value), kbps, "{most}");
        }
    }
}
