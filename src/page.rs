//! The page and its parts, embedded in the binary. No build step, no outside requests.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use needledrop_core::decide::{Conditions, Method as Asked, Validators};
use needledrop_core::etag::EntityTag;
use needledrop_core::precondition::{self, Precondition};
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
    let tag = tag(bytes);
    match request.method {
        Method::GET | Method::HEAD if is_known(request, &tag) => *response.status_mut() = StatusCode::NOT_MODIFIED,
        Method::GET => *response.body_mut() = Body::full(Bytes::from_static(bytes)),
        Method::HEAD => {}
        _ => *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
    }
    // A browser that has the file knows what it is (RFC 9110 15.4.5).
    let tells_of_bytes = response.status() != StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if tells_of_bytes {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    // The files change with the binary only, and are few and small: ask each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, HeaderValue::from_str(&tag.to_string()).ok()?);
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

/// Of the bytes, so that another binary with the same file has the same tag. Nobody gains by two files that share one.
fn tag(bytes: &[u8]) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    EntityTag::strong(&format!("{:016x}", hasher.finish()))
}

/// Whether the browser has this file already.
fn is_known(request: &Request, tag: &EntityTag) -> bool {
    let if_none_match = request.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let conditions = Conditions { if_none_match, ..Conditions::plain(Asked::Get) };
    let validators = Validators { etag: Some(tag.clone()), last_modified: None };
    precondition::evaluate(&conditions, &validators) == Precondition::NotModified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let mut request = Request::local(Method::GET, "/player.js");
        let first = answer(&request, None).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        request.headers.insert(header::IF_NONE_MATCH, tag.clone());
        let again = answer(&request, None).unwrap();
        assert_eq!((again.status(), again.body().declared_len()), (StatusCode::NOT_MODIFIED, Some(0)));
        assert_eq!(again.headers()[header::ETAG], tag);
        assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        request.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(answer(&request, None).unwrap().status(), StatusCode::OK);
    }
}
