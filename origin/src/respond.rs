//! Requests and outcomes as HTTP: the only place of the origin with field names and statuses.
//!
//! What an outcome means for ranges and conditions is `needledrop_core::answer`; this adds what
//! is the origin's own: caching for ever, since an object's path changes when its bytes do.

use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use needledrop_core::answer::Answer;
use needledrop_core::decide::{Conditions, Method, Validators};
use needledrop_core::problem::Problem;
use needledrop_http::{Body, Response};

/// Objects never change under their path.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A refusal in the origin's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No verified client certificate.
    Stranger,
    /// Not GET or HEAD.
    Method,
    /// No such object.
    NotFound,
    /// The vault is not as its manifests say, or cannot be read.
    Broken,
}

/// The refusal as problem+json.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    let problem = match refusal {
        Refusal::Stranger => Problem::new("client-certificate-required", "Only known edges may ask", 403),
        Refusal::Method => Problem::new("method-not-allowed", "Objects know GET and HEAD", 405),
        Refusal::NotFound => Problem::new("not-found", "There is no such object", 404),
        Refusal::Broken => Problem::new("object-unavailable", "The object cannot be read", 500),
    };
    let mut response = Response::new(Body::full(problem.to_json()));
    *response.status_mut() = status(problem.status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal == Refusal::Method {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// An answer about an object, with its body.
pub(crate) fn respond(answer: &Answer, validators: &Validators, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status(answer.status);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    let etag = validators.etag.as_ref().map(ToString::to_string);
    let last_modified = validators.last_modified.map(|moment| moment.to_http());
    let length = answer.content_length.map(|bytes| bytes.to_string());
    for (name, value) in [
        (ETAG, etag),
        (LAST_MODIFIED, last_modified),
        (CONTENT_TYPE, answer.content_type.clone()),
        (CONTENT_RANGE, answer.content_range.clone()),
        (CONTENT_LENGTH, length),
    ] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(value).expect("the rules write visible ASCII"));
        }
    }
    response
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("the rules give three-digit statuses")
}

/// The fields that ranges and conditions are decided by, lines of one name joined.
pub(crate) struct Asked([Option<String>; 6]);

impl Asked {
    pub(crate) fn of(headers: &HeaderMap) -> Asked {
        let names = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
        Asked(names.map(|name| joined(headers, &name)))
    }

    pub(crate) fn conditions(&self, method: Method) -> Conditions<'_> {
        let [range, if_range, if_match, if_none_match, if_modified_since, if_unmodified_since] =
            self.0.each_ref().map(Option::as_deref);
        Conditions { method, range, if_range, if_match, if_none_match, if_modified_since, if_unmodified_since }
    }
}

/// RFC 9110, 5.3. Octets that are no text become U+FFFD, which no rule accepts.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
