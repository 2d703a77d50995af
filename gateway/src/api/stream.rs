//! `GET /v1/tracks/{id}/stream`: where a track may be heard, and never the file itself.

use std::sync::Arc;

use http::HeaderName;
use needledrop_catalog::store::Playable;
use needledrop_core::{Codec, Kbps, Problem, TrackId};
use needledrop_playback::quality::NetworkClass;
use needledrop_playback::{Ask, Asked, Caller, Grant, Start};
use serde_json::json;

use super::browse::track_id;
use super::param::{Kind, Param};
use super::{Call, no_such};
use crate::answer::{Answer, Reply, failed, refused};
use crate::query::wrong;

const SAVE_DATA: HeaderName = HeaderName::from_static("save-data");
/// Network information in Mbit/s (Network Information API).
const DOWNLINK: HeaderName = HeaderName::from_static("downlink");

/// What a listener may wish for.
pub(super) const PARAMS: &[Param] = &[
    Param::optional("codec", Kind::Word(&["ogg", "m4a"]), "Ogg Vorbis, or AAC in MP4; without it what suits best."),
    Param::optional(
        "kbps",
        Kind::Numbers(&[96, 160, 320]),
        "At most this bitrate; without it what plan and network allow.",
    ),
    Param::optional("start", Kind::Word(&["resume", "zero"]), "`zero` begins a new play, with an id of its own."),
    Param::optional(
        "next",
        Kind::TrackOrNone,
        "The track that follows, whose beginning edges then fetch; empty for none, \
        without it the next of the album.",
    ),
];

pub(super) async fn stream(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let (track, next) = track_and_next(call, track_id(id)?).await?.ok_or_else(|| no_such("track"))?;
    let ask = Ask {
        track: (&*track).into(),
        next: next.as_deref().map(Into::into),
        asked: asked(call)?,
        start: if call.params.text("start") == Some("zero") { Start::Zero } else { Start::Resume },
        device: None,
    };
    let edges = call.house.edges(call.request)?;
    let granted = call.house.playback.grant(caller, &ask, &edges.list(), call.now).await;
    Ok(Answer::Private(described(&granted.map_err(|error| refused(&error))?)))
}

fn described(grant: &Grant) -> serde_json::Value {
    let made = grant.rendition;
    json!({
        "urls": grant.urls,
        "rendition": {
            "codec": made.rendition.codec.extension(),
            "kbps": made.rendition.kbps.value(),
            "bytes": made.bytes,
            "head_bytes": made.head_bytes,
            "average_bps": made.average_bps,
        },
        "reason": grant.reason.sentence(),
        "reason_code": grant.reason.slug(),
        "expires_at": grant.expires.0,
        "playback_id": grant.playback.as_str(),
        "duration_ms": grant.duration_ms,
        "next": grant.next.map(|next| next.to_string()),
    })
}

fn asked(call: &Call<'_>) -> Result<Asked, Problem> {
    let codec = match call.params.text("codec") {
        None => None,
        Some("ogg") => Some(Codec::Vorbis),
        Some("m4a") => Some(Codec::Aac),
        Some(_) => return Err(wrong("codec", "it is ogg or m4a")),
    };
    let kbps = call.params.parsed::<u32>("kbps")?;
    let kbps = match kbps.map(|kbps| Kbps::from_value(kbps).ok_or_else(|| wrong("kbps", "it is 96, 160 or 320"))) {
        Some(kbps) => Some(kbps?),
        None => None,
    };
    let field = |name: &HeaderName| call.request.headers.get(name).and_then(|value| value.to_str().ok());
    let downlink = field(&DOWNLINK).and_then(|mbps| mbps.trim().parse::<f64>().ok()).filter(|mbps| *mbps > 0.0);
    let network = downlink.map_or(NetworkClass::Unknown, |mbps| NetworkClass::of_kbps((mbps * 1_000.0) as u32));
    Ok(Asked { codec, kbps, network, save_data: field(&SAVE_DATA) == Some("on") })
}

/// A track, and what plays next: the track that the client says, none if it says so, else the one after it on its
/// release.
async fn track_and_next(
    call: &Call<'_>,
    id: TrackId,
) -> Result<Option<(Arc<Playable>, Option<Arc<Playable>>)>, Problem> {
    let Some(next) = call.params.text("next") else {
        return call.house.catalog.playable_with_following(id).await.map_err(|error| failed(&error));
    };
    let Some(track) = found(call, id).await? else { return Ok(None) };
    let next = match TrackId::parse(next) {
        Ok(next) => found(call, next).await?,
        Err(_) => None,
    };
    Ok(Some((track, next)))
}

async fn found(call: &Call<'_>, id: TrackId) -> Result<Option<Arc<Playable>>, Problem> {
    call.house.catalog.playable(id).await.map_err(|error| failed(&error))
}
