//! One upstream: a question in HTTP, and what its answer means. Knows nothing of other upstreams.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use needledrop_core::{ByteRange, ObjectPath, Validators};
use needledrop_http::{Client, ClientError, IncomingBody};

use super::{
    Facts, UpstreamBody,
    facts::{content_length, facts, freshness_of, partial_span},
};
use crate::{clock::Clock, error::FillError, object::Freshness};

/// One server that has the objects, or gets them.
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

    /// Scheme and authority, without a trailing slash: its name in logs and in the placement.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Fetches bytes for the cache. `via` is the CDN-Loop field.
    pub(super) async fn get(
        &self,
        path: &ObjectPath,
        range: ByteRange,
        condition: Condition<'_>,
        via: &HeaderValue,
    ) -> Result<Answered, FillError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, text(&range.to_range_field()));
        if let Condition::Unchanged(validators) = condition {
            add_unchanged(&mut headers, validators);
        }
        let response = self.send(Method::GET, path.as_str(), headers, via).await?;
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
                Answered::Body(Box::new(facts), UpstreamBody::new(body, left))
            }
            None => Answered::Uncacheable,
        })
    }

    /// Asks about an object without fetching it; with `known`, whether it is still that.
    pub(super) async fn ask(
        &self,
        path: &ObjectPath,
        known: Option<&Validators>,
        via: &HeaderValue,
    ) -> Result<Asked, FillError> {
        let mut headers = HeaderMap::new();
        if let Some(validators) = known {
            add_changed(&mut headers, validators);
        }
        let response = self.send(Method::HEAD, path.as_str(), headers, via).await?;
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

    /// Sends a listener's own range and conditions, for objects that pass the cache by. A failure of
    /// the server's own is an error, so that another one may be asked.
    pub(super) async fn relay(
        &self,
        method: &Method,
        path: &ObjectPath,
        headers: &HeaderMap,
        via: &HeaderValue,
    ) -> Result<http::Response<IncomingBody>, FillError> {
        let response = self.send(method.clone(), path.as_str(), headers.clone(), via).await?;
        if response.status().is_server_error() {
            return Err(refusal(response.status()));
        }
        Ok(response)
    }

    /// Asks for a sign of life.
    pub(super) async fn knock(&self, path: &str, loop_id: &str) -> Result<StatusCode, FillError> {
        let via = HeaderValue::from_str(loop_id).map_err(|_| FillError::Nonsense("unusable id"))?;
        Ok(self.send(Method::HEAD, path, HeaderMap::new(), &via).await?.status())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        via: &HeaderValue,
    ) -> Result<http::Response<IncomingBody>, FillError> {
        // Bytes are counted and cut here: a coding applied on the way would shift them all.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::HeaderName::from_static("cdn-loop"), via.clone());
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|_| FillError::Nonsense("unusable path"))?;
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        self.client.send(request).await.map_err(|error| told(&error))
    }
}

/// A client's error in the edge's words.
pub(super) fn told(error: &ClientError) -> FillError {
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

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("dates, ranges and parsed entity tags are visible ASCII")
}
