//! The two calls behind the page: the tracks, and a signed URL for one of them.
//!
//! `GET /v1/tracks`, `GET /v1/tracks/{id}/stream`: never the file, never cached. The URL says
//! which track is played next, `next=ID` or else the next in order, so that its head is there
//! in time; `next=` says that none is.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderValue, Method, Response, StatusCode, header};
use needledrop_core::{
    Claims, Codec, HeadBytes, Kbps, NextObject, ObjectPath, PlaybackId, Problem, Rendition, TrackId, sign,
};
use needledrop_http::{Body, Request, problem};
use needledrop_origin::record::TrackRecord;
use serde_json::{Value, json};

use crate::{clock, edge::Keys, listing::Listing};

/// A URL is good for an hour, or for twice the track where that is longer. Unit: seconds.
const LIFETIME_SECONDS_MIN: u64 = 3_600;

/// Bitrate where the client wishes none.
const KBPS: Kbps = Kbps::K160;

/// Most tracks in one answer.
const PAGE_TRACKS_MAX: usize = 10_000;

/// What the calls need.
pub struct Api {
    listing: Arc<Listing>,
    keys: Keys,
    /// Scheme and authority of URLs; without it the Host that was used.
    public_url: Option<String>,
    /// Whether tracks are still being made.
    ingesting: Arc<AtomicBool>,
}

/// Why a call gives nothing.
type Refused = (StatusCode, &'static str, &'static str, String);

impl Api {
    /// The calls over a listing, signing with whatever key signs at the moment.
    pub fn new(listing: Arc<Listing>, keys: Keys, public_url: Option<String>, ingesting: Arc<AtomicBool>) -> Self {
        Self { listing, keys, public_url, ingesting }
    }

    /// Scheme and host of URLs, if they are not those the client used.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The answer to a request below `/v1/`.
    pub fn answer(&self, request: &Request) -> Response<Body> {
        let answered = match request.method {
            Method::GET | Method::HEAD => self.route(request),
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "method", "Only GET is served here", String::new())),
        };
        let mut response = match answered {
            Ok(value) => json_response(&value),
            Err((status, slug, title, detail)) => {
                let said = Problem::new(slug, title, status.as_u16());
                problem(&if detail.is_empty() { said } else { said.with_detail(detail) })
            }
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn route(&self, request: &Request) -> Result<Value, Refused> {
        let path = request.uri.path();
        if path == "/v1/tracks" {
            return self.tracks(request);
        }
        match path.strip_prefix("/v1/tracks/").map(|rest| rest.split_once('/')) {
            Some(Some((id, "stream"))) => self.stream(request, id),
            _ => Err((StatusCode::NOT_FOUND, "not-found", "There is no such call", String::new())),
        }
    }

    fn tracks(&self, request: &Request) -> Result<Value, Refused> {
        let limit = number(request, "limit")?.unwrap_or(PAGE_TRACKS_MAX).min(PAGE_TRACKS_MAX);
        let offset = number(request, "offset")?.unwrap_or(0);
        let snapshot = self.listing.now();
        let items: Vec<_> = snapshot.tracks.iter().skip(offset).take(limit).map(|track| describe(track)).collect();
        Ok(json!({
            "items": items,
            "total": snapshot.tracks.len(),
            "limit": limit,
            "offset": offset,
            "ingesting": self.ingesting.load(Ordering::Relaxed),
        }))
    }

    fn stream(&self, request: &Request, id: &str) -> Result<Value, Refused> {
        let snapshot = self.listing.now();
        let find = |id: &str| TrackId::parse(id).ok().and_then(|id| snapshot.get(&id));
        let track = find(id).ok_or((StatusCode::NOT_FOUND, "no-track", "There is no such track", String::new()))?;
        let (rendition, reason) = wish(request)?;
        let next = match parameter(request, "next") {
            Some(id) => find(id),
            None => snapshot.after(&track.id),
        };
        let now = clock::now();
        let expires = now.plus(LIFETIME_SECONDS_MIN.max(track.duration_ms * 2 / 1_000));
        let playback = new_playback()?;
        let this = object(track, rendition);
        let claims = Claims {
            playback: Some(playback),
            head: this.head,
            duration_ms: u32::try_from(track.duration_ms).ok(),
            next: next.map(|next| object(next, rendition)),
            ..Claims::until(expires)
        };
        let target = sign(&this.path, &claims, &self.keys.load());
        let record = track.renditions.iter().find(|made| made.rendition == rendition);
        Ok(json!({
            "urls": [format!("{}{target}", self.base(request)?)],
            "rendition": {
                "codec": rendition.codec.extension(),
                "kbps": rendition.kbps.value(),
                "bytes": record.map(|record| record.bytes),
                "head_bytes": record.map(|record| record.head_bytes),
                "average_bps": record.map(|record| record.average_bps),
            },
            "reason": reason,
            "expires_at": expires.0,
            "playback_id": playback.as_str(),
            "duration_ms": track.duration_ms,
        }))
    }

    /// URLs lead to where the client already is.
    fn base(&self, request: &Request) -> Result<String, Refused> {
        if let Some(base) = &self.public_url {
            return Ok(base.clone());
        }
        let host = request.authority();
        let scheme = if request.peer.secure { "https" } else { "http" };
        host.map(|host| format!("{scheme}://{host}")).ok_or((
            StatusCode::BAD_REQUEST,
            "no-host",
            "The request names no host",
            "Send a Host field, or start with --public-url".to_owned(),
        ))
    }
}

/// Where a rendition is, and how long its head, if it was made.
fn object(track: &TrackRecord, rendition: Rendition) -> NextObject {
    let made = track.renditions.iter().find(|made| made.rendition == rendition);
    let head = made.map(|made| HeadBytes::clamped(made.head_bytes));
    NextObject { path: ObjectPath::rendition(&track.id, &track.rev, rendition), head }
}

/// The rendition that is wished for, and in words why it is this one.
fn wish(request: &Request) -> Result<(Rendition, &'static str), Refused> {
    let refused =
        |detail: &str| (StatusCode::BAD_REQUEST, "rendition", "There is no such rendition", detail.to_owned());
    let codec = match parameter(request, "codec") {
        None | Some("ogg") => Codec::Vorbis,
        Some("m4a") => Codec::Aac,
        Some(_) => return Err(refused("codec is ogg or m4a")),
    };
    match parameter(request, "kbps") {
        None => Ok((Rendition { codec, kbps: KBPS }, "the usual bitrate: none was asked for")),
        Some(text) => {
            let kbps = text.parse().ok().and_then(Kbps::from_value).ok_or_else(|| refused("kbps is 96, 160 or 320"))?;
            Ok((Rendition { codec, kbps }, "as asked for"))
        }
    }
}

fn new_playback() -> Result<PlaybackId, Refused> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| {
        (StatusCode::INTERNAL_SERVER_ERROR, "no-randomness", "The system gives no randomness", String::new())
    })?;
    Ok(PlaybackId::from_random(random))
}

fn describe(track: &TrackRecord) -> Value {
    let artist = track.artist.as_deref().or(track.album_artist.as_deref());
    json!({
        "id": track.id.as_str(),
        "name": track.title,
        "artists": artist.map(|name| vec![json!({ "name": name })]).unwrap_or_default(),
        "album": track.album.as_deref().map(|name| json!({ "name": name })),
        "track_number": track.track_no,
        "duration_ms": track.duration_ms,
        "art": track.art.as_ref().map(|art| format!("/art/{art}/300.jpg")),
        "loudness_lufs": track.loudness.integrated_lufs,
        "renditions": track.renditions.iter().map(|made| json!({
            "codec": made.rendition.codec.extension(),
            "kbps": made.rendition.kbps.value(),
            "bytes": made.bytes,
            "average_bps": made.average_bps,
        })).collect::<Vec<_>>(),
    })
}

/// A query parameter as it stands; none of ours needs an escape.
fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let query = request.uri.query()?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn number(request: &Request, name: &'static str) -> Result<Option<usize>, Refused> {
    let Some(text) = parameter(request, name) else { return Ok(None) };
    let detail = || format!("{name} is a whole number from 0");
    text.parse().map(Some).map_err(|_| (StatusCode::BAD_REQUEST, "parameter", "A parameter is not a number", detail()))
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_rendition_or_a_refusal_in_words() {
        let of = |target| wish(&Request::local(Method::GET, target));
        let vorbis_160 = Rendition { codec: Codec::Vorbis, kbps: Kbps::K160 };
        assert_eq!(of("/v1/tracks/x/stream").unwrap().0, vorbis_160);
        let aac_320 = Rendition { codec: Codec::Aac, kbps: Kbps::K320 };
        assert_eq!(of("/v1/tracks/x/stream?kbps=320&codec=m4a").unwrap().0, aac_320);
        assert!(of("/v1/tracks/x/stream?kbps=128").unwrap_err().3.contains("96, 160 or 320"));
        assert!(of("/v1/tracks/x/stream?codec=mp3").is_err());
    }
}
