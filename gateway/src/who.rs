//! Who asks: a bearer token, or the cookie of the web player.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
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

/// The caller.
///
/// # Errors
/// There is no credential, or it is not good; or a cookie comes with a change that our own page did not make.
pub async fn asks(house: &House, request: &Request, now: UnixSeconds) -> Result<Arc<Caller>, Problem> {
    let secret = match (bearer(request), cookie(request)) {
        (Some(secret), _) => secret,
        (None, Some(secret)) => {
            let is_safe = matches!(request.method, Method::GET | Method::HEAD);
            if !is_safe && !request.headers.contains_key(&REQUESTED_WITH) {
                let said = Problem::new("cross-site", "Only the player may change things with its cookie", 403);
                return Err(said.with_detail("Send X-Requested-With, or a bearer token"));
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
