//! Who asks: a bearer token, or the cookie of the web player.
//!
//! The cookie counts where the player's own page sent it, and nowhere else. That it is `SameSite=Strict` keeps it from
//! pages of other sites; but a page on another port of this host is of the same site, so that what the browser says of
//! the page is looked at too.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderName, Method};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::Request;
use needledrop_playback::Caller;

use crate::answer;
use crate::house::House;

/// The cookie that holds a session's secret.
pub const COOKIE_NAME: &str = "needledrop_session";

/// A page of another origin can send our cookie along, but not this field, without asking us first.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What a browser says about the page that asks (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The caller.
///
/// # Errors
/// There is no credential, or it is not good; or a cookie comes with a change that our own page did not make.
pub async fn asks(house: &House, request: &Request, now: UnixSeconds) -> Result<Arc<Caller>, Problem> {
    let secret = match (bearer(request), cookie(request)) {
        (Some(secret), _) => secret,
        (None, Some(secret)) => {
            let is_safe = matches!(request.method, Method::GET | Method::HEAD);
            if is_elsewhere(request) || (!is_safe && !request.headers.contains_key(&REQUESTED_WITH)) {
                return Err(cross_site());
            }
            secret
        }
        (None, None) => {
            let said = Problem::new("no-credential", "Sign in first", 401);
            return Err(said.with_detail("POST /v1/session, or send Authorization: Bearer TOKEN"));
        }
    };
    house.playback.authenticate(secret, now).await.map_err(|error| answer::refused(&error))
}

/// Only pages of this server use its cookie.
pub fn cross_site() -> Problem {
    let said = Problem::new("cross-site", "Only the player may do this with its cookie", 403);
    said.with_detail("Send a bearer token; the player's own page sends X-Requested-With with changes")
}

/// Whether a page of another origin made this request. Programs that are no browsers say nothing about it.
pub fn is_elsewhere(request: &Request) -> bool {
    if let Some(site) = request.headers.get(SEC_FETCH_SITE) {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = request.headers.get(ORIGIN) else { return false };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match (host, request.authority()) {
        (Some(host), Some(here)) => !host.eq_ignore_ascii_case(here),
        _ => true,
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, secret) = request.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The secret in the player's cookie.
pub fn cookie(request: &Request) -> Option<&str> {
    let fields = request.headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_elsewhere_is_known_by_what_its_browser_says() {
        let from = |fields: &[(&'static str, &str)]| {
            let mut request = Request::local(Method::GET, "/v1/me");
            request.headers.insert("host", "localhost:4040".parse().unwrap());
            for (name, value) in fields {
                request.headers.insert(*name, value.parse().unwrap());
            }
            is_elsewhere(&request)
        };
        assert!(!from(&[]), "curl");
        assert!(!from(&[("origin", "http://localhost:4040")]));
        assert!(!from(&[("sec-fetch-site", "same-origin"), ("origin", "http://behind.a.proxy")]));
        assert!(!from(&[("sec-fetch-site", "none")]), "typed by hand");
        assert!(from(&[("sec-fetch-site", "same-site")]), "another port");
        assert!(from(&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:4040")]));
        for origin in ["http://localhost:3000", "null", "https://evil.example"] {
            assert!(from(&[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn a_credential_is_found_where_it_belongs() {
        let mut request = Request::local(Method::GET, "/v1/me");
        assert_eq!((bearer(&request), cookie(&request)), (None, None));
        request.headers.append(COOKIE, "a=b; needledrop_session=secret; c=d".parse().unwrap());
        assert_eq!(cookie(&request), Some("secret"));
        request.headers.insert(AUTHORIZATION, "bearer  token".parse().unwrap());
        assert_eq!(bearer(&request), Some("token"));
        request.headers.insert(AUTHORIZATION, "Basic dTpw".parse().unwrap());
        assert_eq!(bearer(&request), None);
    }
}
