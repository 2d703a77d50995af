//! The request core: verify, open, decide, read, respond. The page to read first.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use needledrop_core::{
    BLOCK_BYTES, ByteRange, Conditions, Keyring, Method as CoreMethod, ObjectPath, Outcome, SignedUrl, UnixSeconds,
    answer, cdn_loop::Chain, decide, range::PARTS_MAX, range::RangeRequest, range::RangeSpec, verify,
};
use needledrop_http::{Body, BodyError, Handler, Request};

use crate::{
    access::{Entry, Holder, Seen},
    admission::{Admission, Held, Settings},
    cache::Presence,
    error::FillError,
    object::Object,
    open::{Hint, Opened, StaleUse},
    prefetch::{self, Playing},
    respond::{self, Failure, Lifetime, Story},
    serve::Reader,
    shelf::Shelf,
    upstream::Errand,
};

/// The handler behind all three doors.
pub struct Edge {
    /// Its name in Cache-Status: a token of letters, digits, `-`, `_` and `.`.
    name: String,
    keys: Arc<ArcSwap<Keyring>>,
    /// Path prefixes that need no signature, such as `/art/`.
    public: Vec<String>,
    shelf: Arc<Shelf>,
    admission: Admission,
}

/// A request that may have its object.
struct Admitted {
    path: ObjectPath,
    lifetime: Lifetime,
    /// Which nodes it has passed.
    chain: Chain,
    /// What it showed, unless the path is public.
    url: Option<SignedUrl>,
}

/// How the object of a request became known.
#[derive(Clone, Copy)]
struct Opening {
    /// Upstream was asked for this request, rather than for somebody else's.
    first: bool,
    /// The answer that made the object known brought its first blocks: none of them was here before.
    brought_blocks: bool,
    stale: Option<StaleUse>,
}

impl Opening {
    /// What of the range was in the cache when the request came. What is here now may have come since: a fill is as fast
    /// as the request that waits for it.
    fn presence(self, now: Presence) -> Presence {
        match (self.brought_blocks, self.first, now) {
            (true, true, _) | (_, true, Presence::Flying) => Presence::None,
            (true, false, Presence::All | Presence::Some) => Presence::Flying,
            _ => now,
        }
    }
}

impl Edge {
    /// An edge over a shelf. `keys` may be exchanged at any time: each request looks once.
    pub fn new(name: String, keys: Arc<ArcSwap<Keyring>>, public: Vec<String>, shelf: Arc<Shelf>) -> Self {
        Self { name, keys, public, shelf, admission: Admission::new(Settings::off()) }
    }

    /// The same with limits on who may ask how often; without this there are none.
    #[must_use]
    pub fn limited(mut self, settings: Settings) -> Self {
        self.admission = Admission::new(settings);
        self.admission.register(&self.shelf.metrics);
        self
    }

    /// Counts a request that others answer under the same address against its network; the refusal, if there were too many.
    pub fn turn_away(&self, request: &Request) -> Option<Response<Body>> {
        let held = self.ask(request, 1).err()?;
        Some(respond::failed(&held, request.method == Method::HEAD))
    }

    /// Counts a request as so many against its network. Other nodes of the cluster are not limited.
    fn ask(&self, request: &Request, requests: u32) -> Result<(), Failure> {
        match request.peer.identity {
            None => self.hold(self.admission.ask(request.peer.client, requests)),
            Some(_) => Ok(()),
        }
    }

    /// Whatever holds a request up, it learns of it while its player can still ask another edge.
    async fn in_time(&self, request: &Request, started: Instant) -> Result<Response<Body>, Failure> {
        let wait = self.shelf.upstream.settings().first_byte_wait;
        match tokio::time::timeout(wait, self.respond(request, started)).await {
            Ok(response) => response,
            Err(_) if self.shelf.cache.room().available_permits() == 0 => Err(Failure::Fill(FillError::Overloaded)),
            Err(_) => Err(Failure::Fill(FillError::Silent)),
        }
    }

    async fn respond(&self, request: &Request, started: Instant) -> Result<Response<Body>, Failure> {
        // First of all, since even a refusal costs a signature check.
        self.ask(request, ranges(request))?;
        let method = match request.method {
            Method::GET => CoreMethod::Get,
            Method::HEAD => CoreMethod::Head,
            Method::OPTIONS => return Ok(respond::preflight()),
            _ if request.peer.early_data => return Err(Failure::TooEarly),
            _ => return Err(Failure::Method),
        };
        if !self.shelf.gate.is_open() {
            return Err(Failure::Closed);
        }
        let now = self.shelf.clock.now();
        let admitted = self.admit(request, now)?;
        let fields = Fields::of(&request.headers);
        let conditions = fields.conditions(method);
        // Once more if the object changes between the question and its first byte.
        for _ in 0..2 {
            let opened = self
                .shelf
                .open_for(&admitted.chain, &admitted.path, hint(&conditions), now)
                .await
                .map_err(Failure::Fill)?;
            let Opened::Object { object, hold, first, stale } = opened else {
                return self.relay(request, &admitted.chain, &admitted.path, started).await;
            };
            let opening = Opening { first, brought_blocks: hold.is_some(), stale };
            let served = self.serve(request, &admitted, object, &conditions, opening, now, started).await;
            drop(hold);
            match served {
                Err(FillError::Changed) => {}
                served => return served.map_err(Failure::Fill),
            }
        }
        Err(Failure::Fill(FillError::Changed))
    }

    /// Who may have what: a signed URL, a client certificate, or a public path.
    fn admit(&self, request: &Request, now: UnixSeconds) -> Result<Admitted, Failure> {
        let lines = request.headers.get_all("cdn-loop").iter().map(http::HeaderValue::as_bytes);
        let chain = Chain::read(lines, &self.shelf.upstream.settings().loop_id).map_err(|_| Failure::Loop)?;
        let target = request.target();
        let path = target.split('?').next().expect("split gives at least one piece");
        if self.public.iter().any(|prefix| path.starts_with(prefix.as_str())) {
            let path = ObjectPath::parse(path).map_err(|_| Failure::BadPath)?;
            return Ok(Admitted { path, lifetime: Lifetime::Public, chain, url: None });
        }
        // Another node of the cluster, known by its certificate, needs no listener's token.
        if request.peer.identity.is_some() {
            let path = ObjectPath::parse(path).map_err(|_| Failure::BadPath)?;
            return Ok(Admitted { path, lifetime: Lifetime::Peer, chain, url: None });
        }
        let signed = verify(target, &self.keys.load(), now).map_err(Failure::Refused)?;
        signed.admit(request.peer.client).map_err(Failure::Refused)?;
        // Where early data comes from nobody has proved: its address may be anybody's.
        if request.peer.early_data && signed.claims().network.is_some() {
            return Err(Failure::TooEarly);
        }
        self.hold(self.admission.play(request.peer.client, &signed, request.peer.early_data))?;
        let lifetime = Lifetime::Signed(signed.claims().expires);
        Ok(Admitted { path: signed.path().clone(), lifetime, chain, url: Some(signed) })
    }

    /// Counts who is not let in.
    fn hold(&self, asked: Result<(), Held>) -> Result<(), Failure> {
        asked.map_err(|held| {
            self.shelf.metrics.limited(held.reason);
            Failure::Held(held)
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one request, gathered by its only caller")]
    async fn serve(
        &self,
        request: &Request,
        admitted: &Admitted,
        object: Arc<Object>,
        conditions: &Conditions<'_>,
        opening: Opening,
        now: UnixSeconds,
        started: Instant,
    ) -> Result<Response<Body>, FillError> {
        let outcome = decide(conditions, object.len, &object.validators, now);
        let presence = match outcome {
            Outcome::Full | Outcome::Partial(_) | Outcome::Multipart(_) => {
                opening.presence(self.presence(&object, &outcome))
            }
            _ => Presence::All,
        };
        let mut answer = answer(conditions.method, &outcome, object.len, &object.content_type, &object.validators);
        let segments = std::mem::take(&mut answer.body);
        let length = answer.content_length;
        let mut holder = admitted.url.as_ref().map_or_else(Holder::default, Holder::of);
        holder.is_edge = matches!(admitted.lifetime, Lifetime::Peer);
        holder.is_public = matches!(admitted.lifetime, Lifetime::Public);
        let seen = Seen::new(holder, object.clone(), segments.clone());
        let mut reader = Reader::new(self.shelf.clone(), object.clone(), segments).on_behalf_of(admitted.chain.clone());
        // The first bytes are waited for before the head is sent: until then a failure
        // still has a status code.
        let piece = reader.next().await.transpose()?;
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        let (stale, prefetched) = (opening.stale, reader.is_prefetched());
        let story = Story { edge: &self.name, presence, prefetched, stale, took_ms };
        let mut response = respond::answered(&answer, &object, admitted.lifetime, now, &story);
        *response.body_mut() = body(piece, reader, length);
        response.extensions_mut().insert(seen);
        self.look_ahead(request, admitted, &object, &outcome, now);
        Ok(response)
    }

    /// A request that gets bytes plays; what comes next may be fetched.
    fn look_ahead(&self, request: &Request, admitted: &Admitted, object: &Object, outcome: &Outcome, now: UnixSeconds) {
        let start = match outcome {
            Outcome::Full => 0,
            Outcome::Partial(range) => range.start(),
            Outcome::Multipart(ranges) => ranges.first().map_or(0, |range| range.start()),
            _ => return,
        };
        let Some(url) = &admitted.url else { return };
        if request.method == Method::GET {
            let playing = Playing { url, headers: &request.headers, peer: &request.peer, object, start };
            prefetch::heed(&self.shelf, &playing, &self.keys.load(), now);
        }
    }

    fn presence(&self, object: &Object, outcome: &Outcome) -> Presence {
        let whole = || ByteRange::new(0, object.len);
        let range = match outcome {
            Outcome::Full => whole(),
            Outcome::Partial(range) => Some(*range),
            Outcome::Multipart(ranges) => ranges.first().copied(),
            _ => return Presence::All,
        };
        let Some(range) = range else { return Presence::All };
        let block = |position: u64| u32::try_from(position / BLOCK_BYTES).unwrap_or(u32::MAX);
        self.shelf.cache.presence(object, block(range.start()), block(range.end() - 1))
    }

    /// Past the cache: the listener's own range and conditions, upstream's own answer.
    async fn relay(
        &self,
        request: &Request,
        chain: &Chain,
        path: &ObjectPath,
        started: Instant,
    ) -> Result<Response<Body>, Failure> {
        const PASSED: [header::HeaderName; 6] = [
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
        ];
        let mut headers = HeaderMap::new();
        for name in PASSED {
            for value in request.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let errand = Errand { path, chain, patience: self.shelf.upstream.settings().first_byte_wait, avoid: None };
        let answered = self.shelf.upstream.relay(errand, &request.method, &headers).await.map_err(Failure::Fill)?;
        let (parts, upstream) = answered.into_parts();
        match parts.status.as_u16() {
            200 | 206 | 304 | 412 | 416 => {}
            404 | 410 => return Err(Failure::Fill(FillError::NotFound)),
            status => return Err(Failure::Fill(FillError::Refused(status))),
        }
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        let mut response = respond::relayed(parts.status, &parts.headers, &self.name, took_ms);
        let bodyless = request.method == Method::HEAD || parts.status == 304;
        if !bodyless {
            let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            let chunks = futures_util::stream::try_unfold(upstream, async |mut upstream| {
                let chunk = upstream.next().await.map_err(BodyError::source)?;
                Ok(chunk.map(|chunk| (chunk, upstream)))
            });
            *response.body_mut() = Body::stream(chunks, length);
        }
        Ok(response)
    }
}

impl Handler for Edge {
    async fn call(&self, request: Request) -> Response<Body> {
        let entry = Entry::begin(&request, self.shelf.clone());
        let response = self.in_time(&request, entry.started()).await.unwrap_or_else(|failure| {
            tracing::debug!(path = request.uri.path(), ?failure, "refused");
            respond::failed(&failure, request.method == Method::HEAD)
        });
        entry.answered(response)
    }

    /// Only what may be asked for any number of times: public paths, and what claims a signature, which is verified
    /// as always. A replay of either gives nothing that the first asking did not.
    fn allows_early(&self, request: &Request) -> bool {
        let target = request.target();
        target.contains("&sig=") || self.public.iter().any(|prefix| target.starts_with(prefix.as_str()))
    }
}

/// For how many requests it counts: each part of a multipart answer may cost upstream as much as a request for it.
fn ranges(request: &Request) -> u32 {
    let commas = |value: &http::HeaderValue| value.as_bytes().iter().filter(|byte| **byte == b',').count();
    let ranges = 1 + request.headers.get_all(header::RANGE).iter().map(commas).sum::<usize>();
    u32::try_from(ranges.min(PARTS_MAX)).expect("a few")
}

/// One piece at once where that is all, else the pieces as they come; an error resets the stream.
fn body(first: Option<Bytes>, reader: Reader, length: Option<u64>) -> Body {
    let Some(first) = first else { return Body::empty() };
    if reader.is_finished() {
        return Body::full(first);
    }
    let chunks = futures_util::stream::try_unfold((Some(first), reader), async |(first, mut reader)| {
        if let Some(first) = first {
            return Ok(Some((first, (None, reader))));
        }
        let next = reader.next().await.transpose().map_err(BodyError::source)?;
        Ok(next.map(|bytes| (bytes, (None, reader))))
    });
    Body::stream(chunks, length)
}

/// What to ask upstream for when nothing is known of the object yet.
fn hint(conditions: &Conditions<'_>) -> Hint {
    let conditional = conditions.if_none_match.is_some()
        || conditions.if_match.is_some()
        || conditions.if_modified_since.is_some()
        || conditions.if_unmodified_since.is_some();
    if conditional || conditions.method == CoreMethod::Head {
        return Hint::Facts;
    }
    let block = |position: u64| u32::try_from(position / BLOCK_BYTES).ok();
    let Some(range) = conditions.range.and_then(RangeRequest::parse) else { return Hint::Blocks(0, u32::MAX) };
    let touched = match range.first() {
        RangeSpec::From(first) => block(first).map(|first| (first, u32::MAX)),
        RangeSpec::Between(first, last) => block(first).map(|first| (first, block(last).unwrap_or(u32::MAX))),
        RangeSpec::Suffix(_) => None,
    };
    touched.map_or(Hint::Facts, |(first, last)| Hint::Blocks(first, last))
}

/// The conditional and range fields of a request, lines of one name joined (RFC 9110 section 5.3).
struct Fields([Option<String>; 6]);

impl Fields {
    fn of(headers: &HeaderMap) -> Self {
        let joined = |name: header::HeaderName| {
            let mut lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            let first = lines.next()?.into_owned();
            Some(lines.fold(first, |all, line| all + ", " + &line))
        };
        Self([
            joined(header::RANGE),
            joined(header::IF_RANGE),
            joined(header::IF_MATCH),
            joined(header::IF_NONE_MATCH),
            joined(header::IF_MODIFIED_SINCE),
            joined(header::IF_UNMODIFIED_SINCE),
        ])
    }

    fn conditions(&self, method: CoreMethod) -> Conditions<'_> {
        let [range, if_range, if_match, if_none_match, if_modified_since, if_unmodified_since] =
            self.0.each_ref().map(Option::as_deref);
        Conditions { method, range, if_range, if_match, if_none_match, if_modified_since, if_unmodified_since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_for_a_request_was_not_here_before_it() {
        let seen = |brought_blocks, first| {
            let opening = Opening { first, brought_blocks, stale: None };
            [Presence::All, Presence::Some, Presence::Flying, Presence::None].map(|now| opening.presence(now))
        };
        assert_eq!(seen(true, true), [Presence::None; 4], "ours, however fast");
        let flying = Presence::Flying;
        assert_eq!(seen(true, false), [flying, flying, flying, Presence::None], "fetched for somebody else");
        assert_eq!(seen(false, true), [Presence::All, Presence::Some, Presence::None, Presence::None], "revalidated");
        assert_eq!(seen(false, false), [Presence::All, Presence::Some, flying, Presence::None], "known before");
    }
}
