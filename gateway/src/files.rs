//! The player's files as answers.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use needledrop_core::decide::{Conditions, Method as Asked, Validators};
use needledrop_core::etag::EntityTag;
use needledrop_core::precondition::{self, Precondition};
use needledrop_http::{Body, Request};

use crate::web::{self, Page};

/// The files, and the policy they are served under.
pub struct Files {
    secure: HeaderValue,
    plain: HeaderValue,
}

impl Files {
    /// Audio may come from this base besides the page's own.
    pub fn new(public_url: Option<&str>) -> Self {
        Self { secure: policy(public_url, Page::Secure), plain: policy(public_url, Page::Plain) }
    }

    /// The file at this path, if there is one.
    pub fn answer(&self, request: &Request) -> Option<Response<Body>> {
        let (file, tag) = web::find(request.uri.path())?;
        let mut response = Response::new(Body::empty());
        match request.method {
            Method::GET | Method::HEAD if is_known(request, tag) => *response.status_mut() = StatusCode::NOT_MODIFIED,
            Method::GET | Method::HEAD => *response.body_mut() = Body::full(file.bytes),
            _ => *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
        }
        let status = response.status();
        let headers = response.headers_mut();
        match status {
            StatusCode::OK => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            _ => {}
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(web::CACHE_CONTROL));
        headers.insert(ETAG, HeaderValue::from_str(&tag.to_string()).expect("a tag of ours is ASCII"));
        let policy = if request.peer.secure { &self.secure } else { &self.plain };
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Some(response)
    }
}

fn policy(public_url: Option<&str>, page: Page) -> HeaderValue {
    let own = || HeaderValue::from_str(&web::content_security_policy(None, page)).expect("a constant policy");
    // A URL with other characters was refused where it was read.
    HeaderValue::from_str(&web::content_security_policy(public_url, page)).unwrap_or_else(|_| own())
}

/// Whether the browser has this file already.
fn is_known(request: &Request, tag: &EntityTag) -> bool {
    let if_none_match = request.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let conditions = Conditions { if_none_match, ..Conditions::plain(Asked::Get) };
    let validators = Validators { etag: Some(tag.clone()), last_modified: None };
    precondition::evaluate(&conditions, &validators) == Precondition::NotModified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let files = Files::new(None);
        let mut request = Request::local(Method::GET, "/");
        let first = files.answer(&request).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        assert!(first.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
        request.headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let again = files.answer(&request).unwrap();
        assert_eq!((again.status(), again.body().declared_len()), (StatusCode::NOT_MODIFIED, Some(0)));
        assert!(!again.headers().contains_key(CONTENT_TYPE));
        assert_eq!(files.answer(&Request::local(Method::POST, "/")).unwrap().status(), 405);
        assert!(files.answer(&Request::local(Method::GET, "/web/../Cargo.toml")).is_none());
    }
}
