//! The next node towards the origin: any HTTP(S) server that answers range requests, ours or not.
//!
//! Only the path travels upstream: no query, cookie or Authorization of a listener. What
//! comes back is hostile until it has become [`Facts`].

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use needledrop_core::{
    ByteRange, EntityTag, ObjectPath, UnixSeconds, Validators,
    block::OBJECT_BYTES_MAX,
    content_type_for,
    freshness::{Exchange, Statement, judge},
    range::ContentRange,
};
use needledrop_http::{Client, ClientError, IncomingBody};

use crate::{
    clock::Clock,
    error::FillError,
    limits::{TAG_BYTES_MAX, TAGS_MAX},
    object::Freshness,
};

/// A way to the origin.
pub struct Upstream {
    client: Client,
    /// Scheme and authority, without a trailing slash.
    base: String,
    clock: Clock,
}

/// Under which condition bytes are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// Whatever version is current.
    Any,
    /// Only if the object still is this version (RFC 9110 section 13.1.1 and 13.1.4).
    Unchanged(&'a Validators),
}

/// What a successful answer says of the object.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The object's whole length in bytes.
    pub len: u64,
    /// Where the body of this answer starts in the object.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Strong validators of the version.
    pub validators: Validators,
    /// Media type.
    pub content_type: String,
    /// For how long it may be reused.
    pub freshness: Freshness,
    /// What it belongs to, such as its album and artist (`Cache-Tag`): purged together.
    pub tags: Vec<String>,
}

impl Facts {
    /// Whether this answer is of the version that has `validators`.
    pub fn is_same_version(&self, validators: &Validators) -> bool {
        match (&self.validators.etag, &validators.etag) {
            (Some(here), Some(there)) => here.strong_eq(there),
            (None, None) => self.validators.last_modified == validators.last_modified,
            _ => false,
        }
    }
}

/// An answer to a request for bytes.
pub enum Answered {
    /// Bytes of a version that may be cached block by block.
    Body(Box<Facts>, UpstreamBody),
    /// The condition failed: the object is another one now.
    Changed,
    /// The range lies behind the end of the object.
    Unsatisfiable,
    /// The object must not, or cannot safely, be cached.
    Uncacheable,
}

/// An answer to a question about an object.
pub enum Asked {
    /// It is this; `start` and `end` of the facts mean nothing.
    Facts(Facts),
    /// It is still the version asked about, and fresh for so long.
    Unchanged(Freshness),
    /// The object must not, or cannot safely, be cached.
    Uncacheable,
}

impl Upstream {
    /// An upstream at `base`, such as `https://origin.example:4500`.
    pub fn new(client: Client, base: &Uri, clock: Clock) -> Self {
        Self { client, base: base.to_string().trim_end_matches('/').to_owned(), clock }
    }

    /// Fetches bytes for the cache.
    ///
    /// # Errors
    /// Upstream refused, was silent or made no sense.
    pub async fn get(
        &self,
        path: &ObjectPath,
        range: ByteRange,
        condition: Condition<'_>,
    ) -> Result<Answered, FillError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, text(&range.to_range_field()));
        if let Condition::Unchanged(validators) = condition {
            add_unchanged(&mut headers, validators);
        }
        let response = self.send(Method::GET, path, headers).await?;
        let (parts, body) = response.into_parts();
        match parts.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::PRECONDITION_FAILED => return Ok(Answered::Changed),
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Answered::Unsatisfiable),
            status => return Err(refusal(status)),
        }
        let span = match parts.status {
            StatusCode::OK => content_length(&parts.headers).map(|len| (0, len, len)),
            _ => Some(partial_span(&parts.headers, range)?),
        };
        let facts = span.and_then(|(start, end, len)| facts(path, &parts.headers, start, end, len, self.clock.now()));
        Ok(match facts {
            Some(facts) => {
                let left = facts.end - facts.start;
                Answered::Body(Box::new(facts), UpstreamBody { body, left })
            }
            None => Answered::Uncacheable,
        })
    }

    /// Asks about an object without fetching it; with `known`, whether it is still that.
    ///
    /// # Errors
    /// Upstream refused, was silent or made no sense.
    pub async fn ask(&self, path: &ObjectPath, known: Option<&Validators>) -> Result<Asked, FillError> {
        let mut headers = HeaderMap::new();
        if let Some(validators) = known {
            add_changed(&mut headers, validators);
        }
        let response = self.send(Method::HEAD, path, headers).await?;
        let headers = response.headers();
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => {
                return Ok(freshness_of(headers, self.clock.now()).map_or(Asked::Uncacheable, Asked::Unchanged));
            }
            status => return Err(refusal(status)),
        }
        let facts = content_length(headers).and_then(|len| facts(path, headers, 0, len, len, self.clock.now()));
        Ok(match facts {
            Some(facts) => match known {
                Some(validators) if facts.is_same_version(validators) => Asked::Unchanged(facts.freshness),
                _ => Asked::Facts(facts),
            },
            None => Asked::Uncacheable,
        })
    }

    /// Sends a listener's own range and conditions upstream, for objects that pass the cache by.
    ///
    /// # Errors
    /// Upstream was silent or broke.
    pub async fn relay(
        &self,
        method: Method,
        path: &ObjectPath,
        headers: HeaderMap,
    ) -> Result<http::Response<RelayBody>, FillError> {
        Ok(self.send(method, path, headers).await?.map(RelayBody))
    }

    async fn send(
        &self,
        method: Method,
        path: &ObjectPath,
        mut headers: HeaderMap,
    ) -> Result<http::Response<IncomingBody>, FillError> {
        // Bytes are counted and cut here: a coding applied on the way would shift them all.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|_| FillError::Nonsense("unusable path"))?;
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        self.client.send(request).await.map_err(|error| told(&error))
    }
}

/// The bytes of an answer, counted against what it promised.
pub struct UpstreamBody {
    body: IncomingBody,
    left: u64,
}

impl UpstreamBody {
    /// The next bytes; `None` after exactly as many as promised.
    ///
    /// # Errors
    /// Upstream stalled, broke off, or sent more or less than it promised.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FillError> {
        match next_data(&mut self.body).await? {
            Some(chunk) if chunk.len() as u64 <= self.left => {
                self.left -= chunk.len() as u64;
                Ok(Some(chunk))
            }
            Some(_) => Err(FillError::Nonsense("more bytes than promised")),
            None if self.left == 0 => Ok(None),
            None => Err(FillError::Broken),
        }
    }
}

/// The bytes of a relayed answer, as they come.
pub struct RelayBody(IncomingBody);

impl RelayBody {
    /// The next bytes, or the end.
    ///
    /// # Errors
    /// Upstream stalled or broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FillError> {
        next_data(&mut self.0).await
    }
}

async fn next_data(body: &mut IncomingBody) -> Result<Option<Bytes>, FillError> {
    body.chunk().await.transpose().map_err(|error| told(&error))
}

/// A client's error in the edge's words.
fn told(error: &ClientError) -> FillError {
    tracing::debug!(%error, "upstream failed");
    match error {
        ClientError::Protocol(_) => FillError::Broken,
        _ => FillError::Silent,
    }
}

fn refusal(status: StatusCode) -> FillError {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => FillError::NotFound,
        status => FillError::Refused(status.as_u16()),
    }
}

/// A 206 must start where we asked, must not go beyond it, and must know the whole length.
fn partial_span(headers: &HeaderMap, asked: ByteRange) -> Result<(u64, u64, u64), FillError> {
    let value = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let Some(ContentRange::Part { range, len }) = value.and_then(ContentRange::parse) else {
        return Err(FillError::Nonsense("206 without a usable Content-Range"));
    };
    if range.start() != asked.start() || range.end() != asked.end().min(len) {
        return Err(FillError::Nonsense("206 of another range than asked for"));
    }
    if content_length(headers).is_some_and(|length| length != range.len()) {
        return Err(FillError::Nonsense("Content-Length and Content-Range disagree"));
    }
    Ok((range.start(), range.end(), len))
}

/// `None`: without a strong validator, with a coding, or forbidden to store, an object
/// cannot be cached in pieces.
fn facts(path: &ObjectPath, headers: &HeaderMap, start: u64, end: u64, len: u64, now: UnixSeconds) -> Option<Facts> {
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if coded || len > OBJECT_BYTES_MAX {
        return None;
    }
    let validators = strong_validators(headers)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| content_type_for(path).to_owned(), str::to_owned);
    Some(Facts {
        len,
        start,
        end,
        validators,
        content_type,
        freshness: freshness_of(headers, now)?,
        tags: tags(headers),
    })
}

/// Pieces of two answers may be put together only under a strong validator (RFC 9110
/// section 13.3.4, 15.3.7.3): a strong ETag, or a Last-Modified that is at least a minute
/// older than the answer (section 8.8.2.2).
fn strong_validators(headers: &HeaderMap) -> Option<Validators> {
    let last_modified = date(headers, &header::LAST_MODIFIED);
    if let Some(value) = headers.get(header::ETAG) {
        let etag = value.to_str().ok().and_then(EntityTag::parse)?;
        return (!etag.is_weak()).then_some(Validators { etag: Some(etag), last_modified });
    }
    let modified = last_modified?;
    let answered = date(headers, &header::DATE)?;
    (modified.0 + 60 <= answered.0).then_some(Validators { etag: None, last_modified })
}

/// `None`: it must not be stored. The time upstream took is not counted into the Age: it is
/// bounded by the client's timeouts to a few seconds, and the objects live for long.
fn freshness_of(headers: &HeaderMap, now: UnixSeconds) -> Option<Freshness> {
    let joined = |name| {
        let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    let (cache_control, expires) = (joined(header::CACHE_CONTROL), joined(header::EXPIRES));
    let (age, date, vary) = (joined(header::AGE), joined(header::DATE), joined(header::VARY));
    let statement = Statement {
        status: 200,
        cache_control: cache_control.as_deref(),
        expires: expires.as_deref(),
        age: age.as_deref(),
        date: date.as_deref(),
        vary: vary.as_deref(),
    };
    let storage = judge(&statement, Exchange { requested: now, answered: now });
    storage.store.then_some(Freshness {
        fresh_until: storage.fresh_until,
        born: now.minus(storage.initial_age_s),
        immutable: storage.immutable,
    })
}

/// The words of all `Cache-Tag` lines, separated by commas or spaces as origins write them. Beyond the
/// limits they are left out: such an object is then reached by path and prefix only.
fn tags(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all("cache-tag").iter().filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|word| !word.is_empty());
    words.filter(|word| word.len() <= TAG_BYTES_MAX).take(TAGS_MAX).map(str::to_owned).collect()
}

fn add_unchanged(headers: &mut HeaderMap, validators: &Validators) {
    match (&validators.etag, validators.last_modified) {
        (Some(etag), _) => headers.insert(header::IF_MATCH, text(&etag.to_string())),
        (None, Some(date)) => headers.insert(header::IF_UNMODIFIED_SINCE, text(&date.to_http())),
        (None, None) => None,
    };
}

fn add_changed(headers: &mut HeaderMap, validators: &Validators) {
    match (&validators.etag, validators.last_modified) {
        (Some(etag), _) => headers.insert(header::IF_NONE_MATCH, text(&etag.to_string())),
        (None, Some(date)) => headers.insert(header::IF_MODIFIED_SINCE, text(&date.to_http())),
        (None, None) => None,
    };
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<UnixSeconds> {
    UnixSeconds::parse_http(headers.get(name)?.to_str().ok()?)
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("dates, ranges and parsed entity tags are visible ASCII")
}
