//! One request and its answer, the same on every protocol: admission, the handler, and the last touch.
//!
//! The doors hand over a parsed head and get back a response that they only have to write. Refusals made here are
//! about the form of a request (RFC 9110, 9112 3.2, 9113 8.3); what a request asks for is the handler's business.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderName, HeaderValue, RETRY_AFTER, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version, request};
use needledrop_core::network::Cidr;
use needledrop_core::problem::Problem;

use crate::body::Body;
use crate::counters::Counters;
use crate::limits::Limits;
use crate::networks::Networks;
use crate::proxy;
use crate::request::{Peer, Protocol, Request};
use crate::request_body::{Bodies, Carried};
use crate::running::Stop;

/// An answer: status, fields and a [`Body`]. Doors add Date, Content-Length where the body declares one, and Alt-Svc.
pub type Response = http::Response<Body>;

/// What a role implements. A panic inside becomes a 500 and the connection goes on.
///
/// Answer HEAD like GET: the doors leave out the body and keep its length.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client goes away.
    fn call(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// Whether this GET or HEAD may be answered although it may be a replay (RFC 8470). The rest gets 425 without being
    /// asked about; so does what this refuses, and the client asks again after the handshake.
    fn allows_early(&self, _request: &Request) -> bool {
        true
    }

    /// Whether the body of this request is to be read and handed over. It is bounded (`limits.rs`), and refused with 413
    /// beyond that.
    fn wants_body(&self, _request: &Request) -> bool {
        false
    }
}

/// A refusal as an answer, in problem+json (RFC 9457).
pub fn problem(problem: &Problem) -> Response {
    let mut response = Response::new(Body::full(problem.to_json()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
    response
}

/// What all requests of one set of doors share.
pub(crate) struct Exchange<H> {
    /// Whose word about addresses counts.
    pub(crate) trusted: Vec<Cidr>,
    pub(crate) handler: Arc<H>,
    pub(crate) limits: Limits,
    /// Value of Alt-Svc for secure answers that did not come over HTTP/3.
    pub(crate) alt_svc: Option<HeaderValue>,
    /// What is refused and cut off.
    pub(crate) counters: Arc<Counters>,
    /// Room for what requests bring.
    pub(crate) bodies: Bodies,
    /// Who holds how many connections.
    pub(crate) networks: Arc<Networks>,
    /// Whether we are leaving.
    pub(crate) stop: Stop,
}

/// How long a client that met a leaving server should wait: a balancer or a new process has taken over by then.
const COME_BACK_SECONDS: &str = "1";

/// Says that an intermediary got this request in early data of its own (RFC 8470 5.1). Whatever its value, it says so.
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// Fields about one connection. They are the door's business, and malformed on HTTP/2 and HTTP/3 (RFC 9113 8.2.2).
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Alt-Svc for an HTTP/3 port on the same host, valid for a day (RFC 7838).
pub(crate) fn alt_svc(port: u16) -> HeaderValue {
    HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400")).expect("digits are a field value")
}

/// Adds Date (RFC 9110 6.6.1), where the library that writes the head does not.
pub(crate) fn stamp(headers: &mut HeaderMap) {
    headers.entry(DATE).or_insert_with(|| {
        let now = httpdate::fmt_http_date(SystemTime::now());
        HeaderValue::from_str(&now).expect("a date is a field value")
    });
}

impl<H: Handler> Exchange<H> {
    /// From a parsed head to a response that is ready to be written.
    pub(crate) async fn answer(&self, head: request::Parts, mut peer: Peer, carried: &mut impl Carried) -> Response {
        peer.client = proxy::client_address(peer.socket.ip(), &head.headers, &self.trusted);
        peer.early_at_proxy = head.headers.contains_key(&EARLY_DATA);
        peer.early_data |= peer.early_at_proxy;
        let is_secure = peer.secure;
        let head_only = head.method == Method::HEAD;
        let protocol = peer.protocol;
        let alt_svc = self.alt_svc.as_ref().filter(|_| is_secure);
        let admitted = admit(head, peer, &self.limits).and_then(|request| self.in_time(request));
        let mut response = match admitted {
            _ if self.stop.late.is_cancelled() => leaving(),
            Ok(request) => self.call_with_body(request, carried).await,
            Err(refusal) => {
                match refusal.status {
                    414 => self.counters.target_too_long.bump(),
                    425 => self.counters.early_refused.bump(),
                    _ => self.counters.head_refused.bump(),
                }
                problem(&refusal)
            }
        };
        let headers = response.headers_mut();
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
        let is_leaving = self.stop.drain.is_cancelled();
        match alt_svc {
            // Nobody should come back to an HTTP/3 door that closes, least of all who is there (RFC 7838 3).
            Some(_) if is_leaving => {
                headers.insert(ALT_SVC, HeaderValue::from_static("clear"));
            }
            Some(alt_svc) if protocol != Protocol::H3 => {
                headers.entry(ALT_SVC).or_insert_with(|| alt_svc.clone());
            }
            _ => {}
        }
        if is_leaving && protocol == Protocol::H1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        settle_length(head_only, response)
    }

    /// Refuses what must not be done twice while it may be a replay. A proxy that nobody trusts may have made that up, to
    /// be counted less; its client asks again without early data, as one does whose proxy is honest (RFC 8470 5.2).
    fn in_time(&self, request: Request) -> Result<Request, Problem> {
        let is_safe = matches!(request.method, Method::GET | Method::HEAD) && !announces_body(&request.headers);
        let is_believed = !request.peer.early_at_proxy || proxy::is_trusted(request.peer.socket.ip(), &self.trusted);
        match request.peer.early_data && !(is_safe && is_believed && self.handler.allows_early(&request)) {
            true => Err(Problem::new("too-early", "Try again after the handshake", 425)),
            false => Ok(request),
        }
    }

    async fn call_with_body(&self, mut request: Request, carried: &mut impl Carried) -> Response {
        if !self.handler.wants_body(&request) {
            return self.call(request).await;
        }
        match self.bodies.read(request.peer.client, &request.headers, carried).await {
            Ok((body, _room)) => {
                request.body = body;
                self.call(request).await
            }
            Err(refusal) => {
                self.counters.body_refused.bump();
                let mut response = problem(&refusal);
                if refusal.status == 503 {
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK_SECONDS));
                }
                response
            }
        }
    }

    async fn call(&self, request: Request) -> Response {
        let outcome = AssertUnwindSafe(self.handler.call(request)).catch_unwind().await;
        outcome.unwrap_or_else(|_| {
            self.counters.handler_panicked.bump();
            tracing::error!("a handler panicked; the request got a 500");
            problem(&Problem::new("internal", "Something broke on our side", 500))
        })
    }
}

/// The answer to who asks so late in a drain that nothing else could be finished.
fn leaving() -> Response {
    let mut response = problem(&Problem::new("leaving", "This server is going away; ask again", 503));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK_SECONDS));
    response
}

/// Checks the form of a head. The target stays byte for byte as it came.
fn admit(head: request::Parts, peer: Peer, limits: &Limits) -> Result<Request, Problem> {
    let refuse = |status, slug, title| Err(Problem::new(slug, title, status));
    if head.method == Method::CONNECT {
        return refuse(501, "method", "This is not a proxy");
    }
    let target_bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > limits.target_bytes {
        return refuse(414, "target-too-long", "The request target is too long");
    }
    if !host_is_sound(&head) {
        return refuse(400, "host", "The request does not name one valid host");
    }
    if !length_is_a_number(&head.headers) {
        return refuse(400, "content-length", "Content-Length is not one number");
    }
    if head.version >= Version::HTTP_2 && speaks_of_the_connection(&head.headers) {
        return refuse(400, "connection-field", "A field about the connection has no place in this protocol");
    }
    Ok(Request { method: head.method, uri: head.uri, headers: head.headers, peer, body: Bytes::new() })
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Exactly one well-formed authority, without user information. HTTP/1.0 may leave it out (RFC 9112 3.2).
fn host_is_sound(head: &request::Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || host.is_some_and(|host| !is_authority(host)) {
        return false;
    }
    match (head.uri.authority(), host) {
        (Some(authority), _) if authority.as_str().contains('@') => false,
        // An absolute-form target overrides Host on HTTP/1.1; `:authority` and Host must agree (RFC 9113 8.3.1).
        (Some(authority), Some(host)) if head.version >= Version::HTTP_2 => {
            host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
        }
        (Some(_), _) | (None, Some(_)) => true,
        (None, None) => head.version < Version::HTTP_11,
    }
}

/// Absent, or decimal digits (RFC 9110 8.6). Whether the body has that length is the business of who reads it.
fn length_is_a_number(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    lengths.next().is_none_or(is_number) && lengths.next().is_none()
}

/// Fields that make a request malformed over HTTP/2 and HTTP/3 (RFC 9113 8.2.2, RFC 9114 4.2). The h2 library refuses
/// them by itself, the h3 library does not.
fn speaks_of_the_connection(headers: &HeaderMap) -> bool {
    let is_wrong_te = |te: &HeaderValue| !te.as_bytes().eq_ignore_ascii_case(b"trailers");
    HOP_BY_HOP.iter().any(|name| headers.contains_key(name)) || headers.get_all(TE).iter().any(is_wrong_te)
}

fn is_authority(host: &HeaderValue) -> bool {
    let text = host.to_str().unwrap_or_default();
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// Makes Content-Length and body agree for every protocol: what has no body by definition gets none, and a body that
/// knows its length says so (RFC 9110 6.4.1, 8.6).
fn settle_length(head_only: bool, mut response: Response) -> Response {
    let status = response.status();
    if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_LENGTH);
        drop_body(&mut response);
        return response;
    }
    let declared = response.body().declared_len();
    if head_only {
        // The handler may have answered HEAD with an empty body and the length of the full one.
        if let Some(len) = declared.filter(|len| *len > 0 || !response.headers().contains_key(CONTENT_LENGTH)) {
            set_length(response.headers_mut(), len);
        }
        drop_body(&mut response);
        return response;
    }
    match declared {
        Some(len) => set_length(response.headers_mut(), len),
        // A length that the body does not vouch for would not be checked.
        None => drop(response.headers_mut().remove(CONTENT_LENGTH)),
    }
    response
}

/// Takes the body away; its receipt then is about no bytes.
fn drop_body(response: &mut Response) {
    let receipt = response.body_mut().take_receipt();
    *response.body_mut() = Body::empty();
    if let Some(receipt) = receipt {
        *response.body_mut() = Body::empty().with_receipt(receipt);
    }
}

fn set_length(headers: &mut HeaderMap, len: u64) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, version: Version, hosts: &[&str]) -> request::Parts {
        let mut request = http::Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_valid_host_is_asked_for() {
        let sound = |uri, version, hosts: &[&str]| host_is_sound(&head(uri, version, hosts));
        assert!(sound("/a", Version::HTTP_11, &["localhost:8080"]));
        assert!(sound("/a", Version::HTTP_10, &[]));
        assert!(sound("http://other/a", Version::HTTP_11, &["localhost"]));
        assert!(sound("https://one/a", Version::HTTP_2, &[]));
        assert!(sound("https://one/a", Version::HTTP_2, &["ONE"]));
        assert!(!sound("/a", Version::HTTP_11, &[]));
        assert!(!sound("/a", Version::HTTP_11, &["a", "a"]));
        assert!(!sound("/a", Version::HTTP_11, &["a b"]));
        assert!(!sound("/a", Version::HTTP_11, &["user@a"]));
        assert!(!sound("http://user@a/", Version::HTTP_11, &["a"]));
        assert!(!sound("https://one/a", Version::HTTP_2, &["two"]));
    }

    #[test]
    fn a_length_is_one_number() {
        let sound = |lengths: &[&str]| {
            let mut headers = HeaderMap::new();
            for length in lengths {
                headers.append(CONTENT_LENGTH, HeaderValue::from_str(length).unwrap());
            }
            length_is_a_number(&headers)
        };
        assert!(sound(&[]) && sound(&["0"]) && sound(&["123"]));
        for wrong in ["", "abc", "+1", "-1", "1 2", "1, 1"] {
            assert!(!sound(&[wrong]), "{wrong:?}");
        }
        assert!(!sound(&["1", "1"]));
    }

    #[test]
    fn fields_about_the_connection_have_no_place_after_http_1() {
        let speaks = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            speaks_of_the_connection(&headers)
        };
        assert!(speaks("connection", "close") && speaks("transfer-encoding", "chunked") && speaks("te", "gzip"));
        assert!(!speaks("te", "trailers") && !speaks("accept", "*/*"));
    }

    #[test]
    fn head_keeps_the_length_and_loses_the_body() {
        let response = settle_length(true, Response::new(Body::full("hello")));
        assert_eq!(response.headers()[CONTENT_LENGTH], "5");
        assert_eq!(response.body().declared_len(), Some(0));

        let mut answered = Response::new(Body::empty());
        set_length(answered.headers_mut(), 77);
        assert_eq!(settle_length(true, answered).headers()[CONTENT_LENGTH], "77");
    }

    #[test]
    fn not_modified_has_neither_body_nor_length() {
        let mut response = Response::new(Body::full("hello"));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let response = settle_length(false, response);
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        assert_eq!(response.body().declared_len(), Some(0));
    }

    #[test]
    fn a_length_without_a_vouching_body_is_dropped() {
        let mut response = Response::new(Body::stream(futures_util::stream::empty(), None));
        set_length(response.headers_mut(), 77);
        assert!(!settle_length(false, response).headers().contains_key(CONTENT_LENGTH));
    }
}
