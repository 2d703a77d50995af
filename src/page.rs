//! The page and its parts, embedded in the binary. No build step, no outside requests.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use needledrop_http::{Body, Request};

/// Path, media type, bytes.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/", "text/html; charset=utf-8", include_bytes!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_bytes!("page/style.css")),
    ("/player.js", "text/javascript; charset=utf-8", include_bytes!("page/player.js")),
    ("/icon.svg", "image/svg+xml", include_bytes!("page/icon.svg")),
];

/// Only our own files, wherever a tag's text ends up in the page. Audio may come from the public
/// URL as well, where that is another host than the page's.
fn policy(public_url: Option<&str>) -> String {
    let audio = public_url.unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: {audio}; \
         connect-src 'self' {audio}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page's file at this path, if there is one.
pub fn answer(request: &Request, public_url: Option<&str>) -> Option<Response<Body>> {
    let path = request.uri.path();
    let (_, kind, bytes) = FILES.iter().find(|(name, ..)| *name == path)?;
    let mut response = Response::new(Body::empty());
    match request.method {
        Method::GET => *response.body_mut() = Body::full(Bytes::from_static(bytes)),
        Method::HEAD => {}
        _ => *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    // The files change with the binary only, and are few and small: ask each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let policy = HeaderValue::from_str(&policy(public_url)).ok()?;
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    }
    Some(response)
}
