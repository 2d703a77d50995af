//! Which pages of other origins may call, and how their browsers are told (Fetch, 3.2).
//!
//! A page elsewhere calls with a credential of its own: a bearer token, or what a Subsonic client sends. Never with the
//! cookie: no answer bears `Access-Control-Allow-Credentials`, the field that changes need is not among those that a
//! preflight allows, and [`who`](crate::who) refuses a cookie that comes from elsewhere.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use needledrop_http::{Body, Request};

/// What a page may read of an answer besides its body.
const EXPOSED: &str = "etag, link, location, ratelimit, ratelimit-policy, retry-after, server-timing";
/// What a page may send. `X-Requested-With` is not among it, on purpose.
const ALLOWED: &str = "authorization, content-type, if-none-match";
/// How long a browser may remember a preflight: two hours, the most that Chromium does. Unit: seconds.
const MAX_AGE: &str = "7200";

/// Whose pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Everybody's.
    #[default]
    Any,
    /// Those of these origins; of none if there are none.
    Only(Vec<Origin>),
}

/// Scheme, host and port of a page, as its browser writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

impl Origin {
    /// `https://music.example`, or with a port.
    ///
    /// # Errors
    /// It is no origin; the error says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: write it as https://HOST or https://HOST:PORT");
        let lower = text.trim_end_matches('/').to_ascii_lowercase();
        let uri: Uri = lower.parse().map_err(|_| wrong())?;
        let is_origin = uri.scheme().is_some() && uri.authority().is_some() && uri.query().is_none();
        match is_origin && uri.path() == "/" && !lower.contains('@') {
            true => Ok(Self(lower.into())),
            false => Err(wrong()),
        }
    }
}

impl Cors {
    /// What an operator writes: origins, `*` for all, nothing at all for none.
    ///
    /// # Errors
    /// One is no origin.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        origins.iter().map(|origin| Origin::parse(origin)).collect::<Result<_, _>>().map(Self::Only)
    }

    /// Whether this very origin was named by the operator.
    pub fn names(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => false,
            Self::Only(origins) => origins.iter().any(|known| known.0.as_bytes() == origin.as_bytes()),
        }
    }

    /// Tells the browser of a page elsewhere what it may do with this answer.
    pub fn tell(&self, request: &Request, response: &mut Response<Body>) {
        let allow = response.headers().get(ALLOW).cloned();
        let headers = response.headers_mut();
        if !self.share(request, headers) || !is_preflight(request) {
            return;
        }
        if let Some(allow) = allow {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }

    fn share(&self, request: &Request, headers: &mut HeaderMap) -> bool {
        let origin = match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Only(_) => {
                headers.append(VARY, HeaderValue::from_static("origin"));
                match request.headers.get(ORIGIN) {
                    Some(origin) if self.names(origin) => origin.clone(),
                    _ => return false,
                }
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        true
    }
}

/// Whether a browser asks if it may ask.
fn is_preflight(request: &Request) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(ORIGIN)
        && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cors: &Cors, method: Method, origin: &'static str) -> HeaderMap {
        let mut request = Request::local(method, "/v1/me");
        request.headers.insert(ORIGIN, HeaderValue::from_static(origin));
        request.headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, PUT"));
        cors.tell(&request, &mut response);
        response.headers().clone()
    }

    #[test]
    fn everybody_may_call_without_a_cookie() {
        for method in [Method::GET, Method::OPTIONS] {
            let headers = told(&Cors::Any, method.clone(), "https://anywhere.example");
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert!(!headers.contains_key("access-control-allow-credentials"));
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS), method == Method::OPTIONS);
        }
        let headers = told(&Cors::Any, Method::OPTIONS, "https://anywhere.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
        assert!(!headers[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("x-requested-with"));
    }

    #[test]
    fn only_whom_the_operator_named() {
        let cors = Cors::parse(&["https://Music.example/".to_owned(), "http://localhost:3000".to_owned()]).unwrap();
        let headers = told(&cors, Method::GET, "https://music.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://music.example");
        assert_eq!(headers[VARY], "origin");
        for other in ["https://music.example.evil.example", "http://music.example", "https://music.example:444", "null"]
        {
            let headers = told(&cors, Method::OPTIONS, other);
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{other}");
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS), "{other}");
            assert_eq!(headers[VARY], "origin", "a cache must not give one page's answer to another");
        }
        assert!(
            !told(&Cors::Only(Vec::new()), Method::GET, "https://a.example").contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        assert_eq!(Cors::parse(&["*".to_owned()]), Ok(Cors::Any));
        for wrong in ["music.example", "https://", "https://a.example/path", "https://u@a.example", "null", ""] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
