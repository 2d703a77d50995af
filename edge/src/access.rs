//! What is written down about each request, once its body has ended: the access log, the counters, and the
//! delivery record of a playback.
//!
//! The log is one line a request under the target [`ACCESS_TARGET`], with fields. It holds no personal data
//! beyond a network: the client's address is cut to IPv4 /24 or IPv6 /56, the user is the pseudonym of the day
//! that stands in the URL, and of a signed URL only path, key id and playback id are written, never what gives
//! the right.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Response, header};
use needledrop_core::{Cidr, Intervals, PlaybackId, Segment, SignedUrl, cache::Class, signed_url::Pseudonym};
use needledrop_http::{Body, Delivered, End, Receipt, Request};

use crate::{
    deliveries::{Deliveries, Delivery},
    metrics::{Asked, Kind, Served, Tier, threads},
    mishaps::{self, Mishap, Why},
    object::Object,
    shelf::Shelf,
};

/// The target of the lines of the access log, by which they are asked for and told from others.
pub const ACCESS_TARGET: &str = "needledrop::access";

/// Whose right a request used.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    key: Option<Box<str>>,
    playback: Option<PlaybackId>,
    user: Option<Pseudonym>,
    /// Whether it was another edge.
    pub is_edge: bool,
    /// Whether nobody needed one.
    pub is_public: bool,
}

impl Holder {
    /// Who holds this signed URL.
    pub fn of(signed: &SignedUrl) -> Self {
        let claims = signed.claims();
        Self {
            key: Some(signed.key().as_str().into()),
            playback: claims.playback,
            user: claims.user.clone(),
            is_edge: false,
            is_public: false,
        }
    }
}

/// What the walk of a request leaves with its response for the record of it.
#[derive(Debug, Clone)]
pub struct Seen(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    holder: Holder,
    object: Arc<Object>,
    segments: Vec<Segment>,
}

impl Seen {
    /// An answer made of these segments of an object.
    pub fn new(holder: Holder, object: Arc<Object>, segments: Vec<Segment>) -> Self {
        Self(Arc::new(Contents { holder, object, segments }))
    }

    /// The class of the first block that is asked for.
    fn class(&self) -> Option<Class> {
        let range = self.0.segments.iter().find_map(|segment| match segment {
            Segment::Range(range) => Some(range),
            Segment::Literal(_) => None,
        })?;
        Some(self.0.object.class(u32::try_from(range.start() / needledrop_core::BLOCK_BYTES).unwrap_or(u32::MAX)))
    }
}

/// A request under way. Dropped before it was answered, it is written down as left.
pub struct Entry {
    line: Option<Line>,
    shelf: Arc<Shelf>,
}

/// The fields of one line of the log.
struct Line {
    started: Instant,
    method: http::Method,
    path: Box<str>,
    range: Option<Box<str>>,
    client: Cidr,
    peer: needledrop_http::Peer,
    cache: Option<Box<str>>,
    status: u16,
    took: Duration,
    kind: Kind,
    tier: Tier,
    seen: Option<Seen>,
    why: Option<Why>,
}

impl Entry {
    /// A request came.
    pub fn begin(request: &Request, shelf: Arc<Shelf>) -> Self {
        threads::mark_reactor();
        shelf.metrics.asked(request.peer.protocol);
        let range = request.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let line = Line {
            started: Instant::now(),
            method: request.method.clone(),
            path: request.uri.path().into(),
            range: range.map(Into::into),
            client: Cidr::client_network(request.peer.client),
            peer: request.peer.clone(),
            cache: None,
            status: 0,
            took: Duration::ZERO,
            kind: Kind::None,
            tier: Tier::Listener,
            seen: None,
            why: None,
        };
        Self { line: Some(line), shelf }
    }

    /// When it came.
    pub fn started(&self) -> Instant {
        self.line.as_ref().expect("taken only at the end").started
    }

    /// The head of its answer is ready; the rest is written down when the body has ended.
    pub fn answered(mut self, mut response: Response<Body>) -> Response<Body> {
        let mut line = self.line.take().expect("taken only here and when dropped");
        line.seen = response.extensions_mut().remove::<Seen>();
        line.why = response.extensions_mut().remove::<Why>();
        let cache = response.headers().get("cache-status").and_then(|value| value.to_str().ok());
        let served = served(cache);
        line.kind = kind(line.seen.as_ref(), cache);
        line.cache = cache.map(Into::into);
        line.status = response.status().as_u16();
        line.took = line.started.elapsed();
        line.tier = match &line.seen {
            Some(seen) if seen.0.holder.is_edge => Tier::Edge,
            _ => Tier::Listener,
        };
        let asked = Asked { class: line.kind, tier: line.tier, protocol: line.peer.protocol };
        self.shelf.metrics.answered(asked, served, line.status, line.took);
        let shelf = self.shelf.clone();
        let receipt = Receipt::new(move |delivered| ended(&line, delivered, &shelf));
        response.map(|body| body.with_receipt(receipt))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.took = line.started.elapsed();
            ended(&line, Delivered { bytes: 0, end: End::Left }, &self.shelf);
        }
    }
}

/// Cache-Status is the one place that says what the cache did; the counters read it, so that the two cannot differ.
fn served(cache_status: Option<&str>) -> Served {
    let Some(text) = cache_status else { return Served::Refused };
    let says = |word: &str| text.split(';').any(|part| part.trim() == word);
    if says("fwd=stale") || text.contains("; detail=stale-") {
        Served::Stale
    } else if says("hit") {
        Served::Hit
    } else if says("fwd=partial") {
        Served::Partial
    } else if says("collapsed") {
        Served::Collapsed
    } else if says("fwd=bypass") {
        Served::Bypass
    } else {
        Served::Miss
    }
}

fn kind(seen: Option<&Seen>, cache_status: Option<&str>) -> Kind {
    let is_prefetched = cache_status.is_some_and(|text| text.contains("detail=prefetched"));
    match seen.and_then(Seen::class) {
        Some(_) if seen.is_some_and(|seen| seen.0.holder.is_public) => Kind::Public,
        Some(_) if is_prefetched => Kind::Prefetched,
        Some(class) => class.into(),
        None => Kind::None,
    }
}

fn ended(line: &Line, delivered: Delivered, shelf: &Shelf) {
    shelf.metrics.ended(line.kind, line.tier, delivered.end, delivered.bytes);
    watch(line, delivered, shelf);
    if let (Some(deliveries), Some(seen)) = (shelf.deliveries(), &line.seen) {
        record(line, seen, delivered, shelf, deliveries);
    }
    let holder = line.seen.as_ref().map(|seen| &seen.0.holder);
    tracing::info!(
        target: ACCESS_TARGET,
        method = %line.method,
        path = %line.path,
        range = line.range.as_deref(),
        status = line.status,
        client = %line.client,
        protocol = line.peer.protocol.as_str(),
        tls_resumed = line.peer.resumed,
        early_data = line.peer.early_data,
        edge = line.peer.identity.as_ref().map(|identity| identity.as_str()),
        kid = holder.and_then(|holder| holder.key.as_deref()),
        pid = holder.and_then(|holder| holder.playback.as_ref()).map(PlaybackId::as_str),
        uid = holder.and_then(|holder| holder.user.as_ref()).map(Pseudonym::as_str),
        class = line.kind.as_str(),
        cache = line.cache.as_deref(),
        bytes = delivered.bytes,
        outcome = delivered.end.as_str(),
        start_us = micros(line.took),
        took_us = micros(line.started.elapsed()),
    );
}

/// For the operators: what is wanted, and what went wrong.
fn watch(line: &Line, delivered: Delivered, shelf: &Shelf) {
    if let (Some(seen), 200 | 206) = (&line.seen, line.status) {
        shelf.popular.note(&seen.0.object.path, delivered.bytes, shelf.clock.now());
    }
    let reset = (delivered.end == End::Broken).then_some(Why(mishaps::RESET));
    if let Some(Why(name)) = line.why.or(reset) {
        let mishap = Mishap {
            at: shelf.clock.now(),
            status: line.status,
            method: line.method.clone(),
            path: mishaps::cut(&line.path),
            client: line.client,
            protocol: line.peer.protocol,
            took: line.took,
        };
        shelf.mishaps.note(name, mishap);
    }
}

fn record(line: &Line, seen: &Seen, delivered: Delivered, shelf: &Shelf, deliveries: &Deliveries) {
    let Contents { holder, object, segments } = &*seen.0;
    let Some(playback) = &holder.playback else { return };
    // Of our own early data only who completed the handshake acknowledges; a proxy does so for a replay as well.
    if line.peer.early_at_proxy {
        return;
    }
    let bytes = Intervals::of_body(segments, delivered.bytes);
    if bytes.is_empty() {
        return;
    }
    deliveries.record(Delivery {
        at: shelf.clock.now(),
        playback: *playback,
        path: object.path.clone(),
        len: object.len,
        bytes,
        end: delivered.end,
        protocol: line.peer.protocol,
    });
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_say_what_cache_status_says() {
        for (text, expected) in [
            ("edge; hit; ttl=12", Served::Hit),
            ("edge; hit; ttl=12; detail=prefetched", Served::Hit),
            ("edge; hit; ttl=-3; detail=stale-if-error", Served::Stale),
            ("edge; fwd=partial; stored", Served::Partial),
            ("edge; fwd=uri-miss; collapsed; stored", Served::Collapsed),
            ("edge; fwd=uri-miss; stored", Served::Miss),
            ("edge; fwd=bypass", Served::Bypass),
        ] {
            assert_eq!(served(Some(text)), expected, "{text}");
        }
        assert_eq!(served(None), Served::Refused);
    }
}
