//! The one place of the edge that knows status codes and response fields.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use needledrop_core::{Answer, Problem, Refusal, UnixSeconds};
use needledrop_http::Body;

use crate::{
    admission::Held,
    cache::Presence,
    error::FillError,
    metrics::Reason,
    mishaps::Why,
    object::{Freshness, Object, Stale},
    open::StaleUse,
};

/// What a client of another web origin may read of our answers.
const EXPOSED: &str =
    "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, ETag, Last-Modified, Retry-After, Server-Timing";

/// Room for the fields of an answer and those that the doors add; a table that has to grow is filled again.
const FIELDS: usize = 24;

/// Why a request got no object, besides an unsigned or badly signed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The URL gives no right.
    Refused(Refusal),
    /// The path is not one an object can have.
    BadPath,
    /// The method is neither GET, HEAD nor OPTIONS.
    Method,
    /// Unsafe to answer from early data (RFC 8470).
    TooEarly,
    /// The request has been here, or has passed too many nodes (RFC 8586).
    Loop,
    /// This edge takes no requests now.
    Closed,
    /// Asked too often, or from too many networks.
    Held(Held),
    /// Upstream did not bring it.
    Fill(FillError),
}

impl Failure {
    fn problem(&self) -> (StatusCode, &'static str, &'static str, Option<u32>) {
        match self {
            Self::Refused(refusal) => (
                StatusCode::from_u16(refusal.status()).expect("a status of three digits"),
                refusal.slug(),
                refusal.title(),
                None,
            ),
            Self::BadPath => (StatusCode::BAD_REQUEST, "path", "This is not the path of an object", None),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "Only GET and HEAD are served here", None),
            Self::TooEarly => (StatusCode::TOO_EARLY, "too-early", "Try again after the handshake", None),
            Self::Loop => (StatusCode::LOOP_DETECTED, "loop", "This request goes in circles", None),
            Self::Closed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                "This edge takes no requests now; another may serve you",
                Some(1),
            ),
            Self::Held(held) => held_problem(held),
            Self::Fill(error) => match error {
                FillError::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such object", None),
                FillError::Silent => {
                    (StatusCode::GATEWAY_TIMEOUT, "upstream-silent", "The origin did not answer in time", Some(1))
                }
                FillError::Down => {
                    (StatusCode::GATEWAY_TIMEOUT, "upstream-down", "The origin cannot be reached", Some(1))
                }
                FillError::Overloaded => {
                    (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "This edge is busy; another may serve you", Some(1))
                }
                FillError::Refused(_)
                | FillError::Broken
                | FillError::Nonsense(_)
                | FillError::Changed
                | FillError::Deserted => {
                    (StatusCode::BAD_GATEWAY, "upstream-broken", "The origin could not deliver the object", Some(1))
                }
            },
        }
    }
}

/// Too often is 429 with the time to wait; a URL in too many hands is 403, since waiting does not help.
fn held_problem(held: &Held) -> (StatusCode, &'static str, &'static str, Option<u32>) {
    // Rounded up: who comes a moment too early would be refused again.
    let wait = held.retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX - 1) + 1);
    let (status, title) = match held.reason {
        Reason::NetworkRate => (StatusCode::TOO_MANY_REQUESTS, "Too many requests from this network"),
        Reason::NeighbourhoodRate => (StatusCode::TOO_MANY_REQUESTS, "Too many requests from the networks around this"),
        Reason::ListenerRate => (StatusCode::TOO_MANY_REQUESTS, "Too many requests for one listener"),
        Reason::Shared => (StatusCode::FORBIDDEN, "This URL is used from too many networks"),
        Reason::TooEarly => (StatusCode::TOO_EARLY, "Try again after the handshake"),
    };
    (status, held.reason.as_str(), title, wait)
}

/// An answer that says why not, as problem+json (RFC 9457), never stored by anybody.
pub fn failed(failure: &Failure, head_only: bool) -> Response<Body> {
    let (status, slug, title, retry_after) = failure.problem();
    let text = Problem::new(slug, title, status.as_u16()).to_json();
    let mut response = Response::new(if head_only { Body::empty() } else { Body::full(text.clone()) });
    *response.status_mut() = status;
    response.extensions_mut().insert(Why(slug));
    let headers = response.headers_mut();
    open_to_all(headers);
    put(headers, header::CONTENT_TYPE, "application/problem+json");
    put(headers, header::CACHE_CONTROL, "no-store");
    put(headers, header::CONTENT_LENGTH, &text.len().to_string());
    if let Some(seconds) = retry_after {
        put(headers, header::RETRY_AFTER, &seconds.to_string());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        put(headers, header::ALLOW, "GET, HEAD, OPTIONS");
    }
    response
}

/// The answer to a preflight; it needs no signature, since browsers send none.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    open_to_all(headers);
    put(headers, header::ALLOW, "GET, HEAD, OPTIONS");
    put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD");
    put(
        headers,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Priority, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session",
    );
    put(headers, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// For how long a client may keep what it gets.
#[derive(Debug, Clone, Copy)]
pub enum Lifetime {
    /// As long as its signed URL is good: until then.
    Signed(UnixSeconds),
    /// As long as the object is fresh, in any cache.
    Public,
    /// As upstream said it, to another edge that fills from this one.
    Peer,
}

/// What the cache did, for Cache-Status and Server-Timing.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// The edge's name.
    pub edge: &'a str,
    /// What was here when the request came.
    pub presence: Presence,
    /// Whether its first block was here, or on its way, because it was expected.
    pub prefetched: bool,
    /// Why it is served although it is stale, if it is.
    pub stale: Option<StaleUse>,
    /// Time from request to response head, in milliseconds.
    pub took_ms: f64,
}

/// The head of an answer about an object; the body goes in afterwards.
pub fn answered(
    answer: &Answer,
    object: &Object,
    lifetime: Lifetime,
    now: UnixSeconds,
    story: &Story<'_>,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("the rules give real statuses");
    let headers = response.headers_mut();
    headers.reserve(FIELDS);
    open_to_all(headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put_text(headers, header::CACHE_CONTROL, cache_control(object, lifetime, now));
    // Date is when upstream made the copy, and Age what has passed since (RFC 9111 4.2.3, 5.1).
    let age = object.age(now);
    headers.insert(header::AGE, age.into());
    put_text(headers, header::DATE, UnixSeconds(now.0.saturating_sub(age)).to_http());
    if let Some(etag) = &object.validators.etag {
        put_text(headers, header::ETAG, etag.to_string());
    }
    if let Some(date) = object.validators.last_modified {
        put_text(headers, header::LAST_MODIFIED, date.to_http());
    }
    if matches!(lifetime, Lifetime::Peer) && !object.tags.is_empty() {
        put(headers, header::HeaderName::from_static("cache-tag"), &object.tags.join(","));
    }
    if let Some(kind) = &answer.content_type {
        put(headers, header::CONTENT_TYPE, kind);
    }
    if let Some(range) = &answer.content_range {
        put(headers, header::CONTENT_RANGE, range);
    }
    if let Some(length) = answer.content_length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    tell(headers, object, now, story);
    response
}

/// The head of an answer that passed the cache by: upstream's own, less what is not ours to pass on.
pub fn relayed(status: StatusCode, upstream: &HeaderMap, edge: &str, took_ms: f64) -> Response<Body> {
    const PASSED: [header::HeaderName; 13] = [
        header::ACCEPT_RANGES,
        header::AGE,
        header::CACHE_CONTROL,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::VARY,
    ];
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for name in PASSED {
        for value in upstream.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if !headers.contains_key(header::CACHE_CONTROL) && !headers.contains_key(header::EXPIRES) {
        // Silence would let caches on the way guess a lifetime, which the signed URL may not have (RFC 9111 4.2.2).
        put(headers, header::CACHE_CONTROL, "private, no-cache");
    }
    open_to_all(headers);
    put(headers, header::HeaderName::from_static("cache-status"), &format!("{edge}; fwd=bypass"));
    put(
        headers,
        header::HeaderName::from_static("server-timing"),
        &format!("cache;desc=bypass, edge;dur={took_ms:.1}"),
    );
    response
}

fn tell(headers: &mut HeaderMap, object: &Object, now: UnixSeconds, story: &Story<'_>) {
    let (status, short) = match story.presence {
        Presence::All => match story.stale {
            None => (format!("hit; ttl={}", object.seconds_left(now)), "hit"),
            // A stale response that is used without waiting for upstream is a hit (RFC 9211 section 2.1).
            Some(_) => (format!("hit; ttl=-{}", now.since(object.freshness().fresh_until)), "stale"),
        },
        Presence::Some => ("fwd=partial; stored".to_owned(), "partial"),
        Presence::Flying => ("fwd=uri-miss; collapsed; stored".to_owned(), "collapsed"),
        Presence::None => ("fwd=uri-miss; stored".to_owned(), "miss"),
    };
    let detail = match story.stale {
        Some(StaleUse::WhileRevalidating) => "; detail=stale-while-revalidate",
        Some(StaleUse::OnError) => "; detail=stale-if-error",
        None if story.prefetched => "; detail=prefetched",
        None => "",
    };
    put_text(headers, header::HeaderName::from_static("cache-status"), format!("{}; {status}{detail}", story.edge));
    put_text(
        headers,
        header::HeaderName::from_static("server-timing"),
        format!("cache;desc={short}, edge;dur={:.1}", story.took_ms),
    );
}

/// A client may keep what it got while its URL is good; a copy of an object that upstream
/// gave no lifetime is asked about each time.
fn cache_control(object: &Object, lifetime: Lifetime, now: UnixSeconds) -> String {
    let (scope, limit) = match lifetime {
        Lifetime::Signed(until) => ("private", until.0.saturating_sub(now.0)),
        Lifetime::Public => ("public", u64::MAX),
        Lifetime::Peer => return told_to_a_peer(&object.freshness()),
    };
    let left = object.seconds_left(now).min(limit);
    // max-age counts from the copy's birth: a client takes our Age off it.
    let seconds = left.saturating_add(object.age(now));
    match (left, object.immutable) {
        (0, _) => format!("{scope}, no-cache"),
        (_, true) => format!("{scope}, max-age={seconds}, immutable"),
        (_, false) => format!("{scope}, max-age={seconds}"),
    }
}

/// The whole lifetime as upstream stated it; Age tells how much of it is over, and the next edge may
/// do with a stale copy what this one may.
fn told_to_a_peer(freshness: &Freshness) -> String {
    let mut text = format!("public, max-age={}", freshness.fresh_until.since(freshness.born));
    if freshness.immutable {
        text += ", immutable";
    }
    match freshness.stale {
        Stale { while_revalidating_s: 0, if_error_s: Some(0) } => text += ", must-revalidate",
        Stale { while_revalidating_s, if_error_s } => {
            if while_revalidating_s > 0 {
                text += &format!(", stale-while-revalidate={while_revalidating_s}");
            }
            if let Some(seconds) = if_error_s {
                text += &format!(", stale-if-error={seconds}");
            }
        }
    }
    text
}

/// Rights are in the URL, not in cookies: any page may read what its visitor has a URL for.
fn open_to_all(headers: &mut HeaderMap) {
    let fields = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (header::HeaderName::from_static("timing-allow-origin"), "*"),
    ];
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The same of a text that is at hand.
fn put_text(headers: &mut HeaderMap, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // Only a media type or ETag from upstream could be unusable; both were parsed from a field.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
