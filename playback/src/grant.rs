//! A grant: the right of one account to hear one track, as signed URLs for the edges near it.
//!
//! Pure: what the account is, what the track is and what time it is are brought along. A grant holds no sound and
//! must never be cached: it is somebody's own and ends.

use needledrop_catalog::model::{Territory, TrackRendition, Window};
use needledrop_catalog::store::Playable;
use needledrop_catalog::{Availability, availability};
use needledrop_core::{
    Claims, Codec, HeadBytes, Kbps, Keyring, NextObject, ObjectPath, PlaybackId, Pseudonym, Rendition, Rev, TrackId,
    UnixSeconds, sign,
};

use crate::account::Account;
use crate::quality::{Facts, NetworkClass, Reason, choose, fit};

/// A URL is good for an hour, or for twice the track where that is longer. Unit: seconds.
pub const LIFETIME_SECONDS_MIN: u64 = 3_600;

/// Most URLs in a grant: a player tries the next one when an edge fails, and three failing at once are an outage
/// that a fourth seldom mends.
pub const URLS_MAX: usize = 4;

/// What a grant must know of a track.
#[derive(Clone, Copy, Debug)]
pub struct TrackFacts<'a> {
    /// Identity.
    pub id: TrackId,
    /// Revision of its bytes.
    pub rev: Rev,
    /// Length.
    pub duration_ms: u64,
    /// What was made of it.
    pub renditions: &'a [TrackRendition],
    /// Where and when it may be heard.
    pub windows: &'a [Window],
}

impl<'a> From<&'a Playable> for TrackFacts<'a> {
    fn from(track: &'a Playable) -> Self {
        Self {
            id: track.id,
            rev: track.rev,
            duration_ms: track.duration_ms,
            renditions: &track.renditions,
            windows: &track.windows,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// In this codec only; without it Ogg Vorbis, or else what there is.
    pub codec: Option<Codec>,
    /// At most this bitrate.
    pub kbps: Option<Kbps>,
    /// What the client's network carries.
    pub network: NetworkClass,
    /// Save data.
    pub save_data: bool,
}

/// An edge that may be asked, and the keys of its region.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// Scheme and authority.
    pub base: &'a EdgeBase,
    /// What it verifies with.
    pub keys: &'a Keyring,
}

/// Scheme and authority of an edge, as `https://edge-1.example:8443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeBase(Box<str>);

impl EdgeBase {
    /// Longest base in bytes: a host name has at most 253 characters (RFC 1035, 2.3.4).
    pub const BYTES_MAX: usize = 272;

    /// `http://` or `https://` and an authority, nothing behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let fits = !authority.is_empty() && text.len() <= Self::BYTES_MAX && authority.bytes().all(plain);
        fits.then(|| Self(text.into()))
    }

    /// The base as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whom a grant is for, besides what the account says: the names it bears.
#[derive(Clone, Debug)]
pub struct Listener<'a> {
    /// The account.
    pub account: &'a Account,
    /// Its name of the day.
    pub pseudonym: Pseudonym,
    /// The play it belongs to; settled by [`Plays`](crate::plays::Plays).
    pub playback: PlaybackId,
}

/// The right to hear a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where to fetch it, best first; at least one, at most [`URLS_MAX`].
    pub urls: Vec<String>,
    /// What the URLs lead to.
    pub rendition: TrackRendition,
    /// Why it is this bitrate.
    pub reason: Reason,
    /// The first second in which the URLs are no longer honoured.
    pub expires: UnixSeconds,
    /// The play that counting goes by.
    pub playback: PlaybackId,
    /// Length of the track.
    pub duration_ms: u64,
    /// What was announced to be played next.
    pub next: Option<TrackId>,
}

/// Why there is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in this territory.
    #[error("the track is not available here")]
    NotAvailableHere(Option<Territory>),
    /// Only from this moment.
    #[error("the track is not available yet")]
    NotYet(UnixSeconds),
    /// Its time is over.
    #[error("the track is no longer available")]
    NoLonger,
    /// Nothing was made of it that this account may hear and this client can play.
    #[error("the track is not made in such a rendition")]
    NoRendition,
    /// There is no edge to send anybody to.
    #[error("no edge is in service")]
    NoEdge,
}

impl Refusal {
    /// One of each kind, for tables and metrics.
    pub const KINDS: [Refusal; 5] = [
        Refusal::NotAvailableHere(None),
        Refusal::NotYet(UnixSeconds(0)),
        Refusal::NoLonger,
        Refusal::NoRendition,
        Refusal::NoEdge,
    ];

    /// The stable name of this kind.
    pub fn slug(self) -> &'static str {
        match self {
            Refusal::NotAvailableHere(_) => "not-available-here",
            Refusal::NotYet(_) => "not-available-yet",
            Refusal::NoLonger => "no-longer-available",
            Refusal::NoRendition => "no-rendition",
            Refusal::NoEdge => "no-edge",
        }
    }

    /// The title of the problem.
    pub fn title(self) -> &'static str {
        match self {
            Refusal::NotAvailableHere(_) => "The track is not available in this territory",
            Refusal::NotYet(_) => "The track is not available yet",
            Refusal::NoLonger => "The track is no longer available",
            Refusal::NoRendition => "There is no such rendition of the track",
            Refusal::NoEdge => "No edge is in service",
        }
    }
}

/// Refuses what may not be heard in this territory at this moment; the refusal says whether waiting or travelling would
/// help.
fn available(windows: &[Window], territory: Option<Territory>, now: UnixSeconds) -> Result<(), Refusal> {
    match availability(windows, territory, now.0) {
        Availability::Playable { .. } => Ok(()),
        Availability::Opens { at } => Err(Refusal::NotYet(UnixSeconds(at))),
        Availability::Over => Err(Refusal::NoLonger),
        Availability::Elsewhere => Err(Refusal::NotAvailableHere(territory)),
    }
}

/// What may be heard of a track, and why: the part of a grant that does not depend on a play.
///
/// # Errors
/// The track may not be heard, or not in any rendition there is.
pub fn decide(
    account: &Account,
    track: &TrackFacts<'_>,
    asked: &Asked,
    now: UnixSeconds,
) -> Result<(TrackRendition, Reason), Refusal> {
    available(track.windows, account.territory, now)?;
    let facts = Facts {
        plan: account.plan,
        settings: account.settings,
        network: asked.network,
        save_data: asked.save_data,
        asked: asked.kbps,
    };
    rendition(track, asked.codec, choose(&facts)).ok_or(Refusal::NoRendition)
}

/// The grant of what was [decided](decide), with the next track announced if it may be heard too.
///
/// # Errors
/// There is no edge.
pub fn grant(
    listener: &Listener<'_>,
    track: &TrackFacts<'_>,
    next: Option<&TrackFacts<'_>>,
    (made, reason): (TrackRendition, Reason),
    edges: &[Edge<'_>],
    now: UnixSeconds,
) -> Result<Grant, Refusal> {
    if edges.is_empty() {
        return Err(Refusal::NoEdge);
    }
    let expires = now.plus(LIFETIME_SECONDS_MIN.max(track.duration_ms.saturating_mul(2).div_ceil(1_000)));
    let follows = next.and_then(|next| Some((next.id, following(listener.account, next, made.rendition, now)?)));
    let (next, next_object) = follows.unzip();
    let claims = Claims {
        user: Some(listener.pseudonym.clone()),
        playback: Some(listener.playback),
        head: HeadBytes::new(made.head_bytes.min(u64::from(HeadBytes::MAX))),
        duration_ms: u32::try_from(track.duration_ms).ok(),
        next: next_object,
        ..Claims::until(expires)
    };
    let path = ObjectPath::rendition(&track.id, &track.rev, made.rendition);
    let urls = signed(&path, &claims, edges);
    let (playback, duration_ms) = (listener.playback, track.duration_ms);
    Ok(Grant { urls, rendition: made, reason, expires, playback, duration_ms, next })
}

/// One URL for each edge; edges of one region share a signature.
fn signed(path: &ObjectPath, claims: &Claims, edges: &[Edge<'_>]) -> Vec<String> {
    let mut last: Option<(&Keyring, String)> = None;
    let mut urls = Vec::with_capacity(edges.len().min(URLS_MAX));
    for edge in edges.iter().take(URLS_MAX) {
        let target = match last.take() {
            Some((keys, target)) if std::ptr::eq(keys, edge.keys) => target,
            _ => sign(path, claims, edge.keys),
        };
        urls.push([edge.base.as_str(), &target].concat());
        last = Some((edge.keys, target));
    }
    urls
}

/// Where the next track will be asked for: in the same codec, at most in the same bitrate.
fn following(account: &Account, next: &TrackFacts<'_>, like: Rendition, now: UnixSeconds) -> Option<NextObject> {
    available(next.windows, account.territory, now).ok()?;
    let (made, _) = rendition(next, Some(like.codec), (like.kbps, Reason::Asked))?;
    let head = HeadBytes::new(made.head_bytes.min(u64::from(HeadBytes::MAX)));
    Some(NextObject { path: ObjectPath::rendition(&next.id, &next.rev, made.rendition), head })
}

/// The best rendition there is within the choice; Ogg Vorbis before AAC where nobody asked for a codec.
fn rendition(track: &TrackFacts<'_>, codec: Option<Codec>, chosen: (Kbps, Reason)) -> Option<(TrackRendition, Reason)> {
    let codecs = codec.map_or([Some(Codec::Vorbis), Some(Codec::Aac)], |codec| [Some(codec), None]);
    codecs.into_iter().flatten().find_map(|codec| {
        let of_codec = || track.renditions.iter().filter(move |made| made.rendition.codec == codec);
        let (kbps, reason) = fit(chosen, of_codec().map(|made| made.rendition.kbps))?;
        let made = of_codec().find(|made| made.rendition.kbps == kbps)?;
        Some((*made, reason))
    })
}

#[cfg(test)]
mod tests;
