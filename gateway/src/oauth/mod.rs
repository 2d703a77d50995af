//! OAuth 2.0 as programs meet it: `/oauth/authorize` for people, `/oauth/token` and `/oauth/revoke` for programs.
//!
//! RFC 6749 as RFC 9700 says it is done today: codes with PKCE (RFC 7636), refresh tokens that are exchanged, exact
//! addresses, the issuer in the answer (RFC 9207), revocation (RFC 7009), metadata (RFC 8414). A [`Door`] is one of the
//! paths; [`consent`] is what people are asked and [`token`] what programs are given. The rules are in
//! `playback/src/oauth.rs`, the page that asks people is the player's `consent.html`, and [`document`] is what the
//! API's document says of all this.

mod consent;
pub mod document;
mod token;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, PRAGMA};
use http::{HeaderValue, Method, Response, StatusCode};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::{Body, Request, problem};
use needledrop_playback::Scopes;
use serde_json::json;

use crate::answer;
use crate::api::route::Verb;
use crate::files::Files;
use crate::house::House;
use crate::limits::Class;
use crate::query::Params;

/// The page on which people are asked.
const PAGE: &str = "/web/consent.html";

/// Where people are asked.
const AUTHORIZE: &str = "/oauth/authorize";
/// Where tokens are given: our own path, and the two at which SDKs of the Spotify Web API look for it.
const TOKEN: [&str; 3] = ["/oauth/token", "/oauth/api/token", "/api/token"];
/// Where tokens are ended.
const REVOKE: &str = "/oauth/revoke";
/// Where all this is described to programs.
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// The calls of the page that asks.
const CONSENT: &str = "/oauth/consent";

/// One of the paths of OAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The page that asks people.
    Authorize,
    /// What that page asks us.
    Consent,
    /// Tokens for codes, refresh tokens and secrets.
    Token,
    /// The end of a token.
    Revoke,
    /// What a program must know to ask (RFC 8414).
    Metadata,
}

impl Door {
    /// The door at this path.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            AUTHORIZE => Some(Self::Authorize),
            CONSENT => Some(Self::Consent),
            REVOKE => Some(Self::Revoke),
            METADATA => Some(Self::Metadata),
            _ if TOKEN.contains(&path) => Some(Self::Token),
            _ => None,
        }
    }

    /// Whether pages of other origins may call here: a program in a browser proves itself by what it sends, never by
    /// the cookie. People are asked by our own page alone.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Token | Self::Revoke | Self::Metadata)
    }

    fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Authorize | Self::Metadata => &[Verb::Get],
            Self::Consent => &[Verb::Get, Verb::Post],
            Self::Token | Self::Revoke => &[Verb::Post],
        }
    }

    /// Whether a request here looks into storage before anybody is known. Codes and secrets have 256 bits, so that
    /// counting is for the work and not against guessing.
    fn is_counted(self) -> bool {
        matches!(self, Self::Authorize | Self::Token | Self::Revoke)
    }
}

/// The answer to a request at one of our paths.
pub async fn answer(door: Door, house: &House, files: &Files, request: &Request, now: UnixSeconds) -> Response<Body> {
    if request.method == Method::OPTIONS {
        return answer::options(door.verbs());
    }
    if !door.verbs().iter().any(|verb| verb.is_of(&request.method)) {
        return answer::not_this_way(door.verbs());
    }
    if door.is_counted()
        && let Err(held) = house.limits.ask_unknown(Class::Stranger, request.peer.client)
    {
        return held.response();
    }
    match door {
        Door::Authorize => authorize(house, files, request).await,
        Door::Consent => consent::answer(house, request, now).await,
        Door::Token => token::issue(house, request, now).await,
        Door::Revoke => token::revoke(house, request).await,
        Door::Metadata => metadata(&house.here(request)),
    }
}

/// The page that asks, once it is known that there is something to ask. Nobody is sent to an address that the program
/// did not register (RFC 6749, 4.1.2.1).
async fn authorize(house: &House, files: &Files, request: &Request) -> Response<Body> {
    let params = Params::read(request.uri.query().unwrap_or_default().as_bytes());
    match consent::asked(house, &params).await {
        Ok(_) => {
            let page = Request { peer: request.peer.clone(), ..Request::local(Method::GET, PAGE) };
            let mut response = files.answer(&page).expect("the page is one of the files");
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(consent::Not::Here(refusal)) => {
            answer::refuse(&Problem::new(refusal.code, "This program may not ask here", 400).with_detail(refusal.why))
        }
        Err(consent::Not::There(redirect, refusal)) => {
            let issuer = house.here(request);
            let state = params.text("state").map(|state| ("state", state));
            let said = [Some(("error", refusal.code)), state, Some(("iss", &issuer))];
            let place = redirect.with(said.into_iter().flatten());
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            let place = HeaderValue::from_str(&place).expect("an address of printable ASCII");
            response.headers_mut().insert(LOCATION, place);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(consent::Not::Broken(said)) => problem(&said),
    }
}

fn metadata(here: &str) -> Response<Body> {
    let scopes: Vec<_> = Scopes::player().iter().map(|scope| scope.name()).collect();
    let said = json!({
        "issuer": here,
        "authorization_endpoint": format!("{here}{AUTHORIZE}"),
        "token_endpoint": format!("{here}{}", TOKEN[0]),
        "revocation_endpoint": format!("{here}{REVOKE}"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": format!("{here}/docs"),
    });
    said_json(StatusCode::OK, &said)
}

/// JSON that nobody keeps (RFC 6749, 5.1, which wants both fields).
fn said_json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_where_it_is_said_to_be() {
        for path in TOKEN {
            assert_eq!(Door::at(path), Some(Door::Token));
        }
        assert_eq!(Door::at(METADATA), Some(Door::Metadata));
        for path in ["/oauth", "/oauth/", "/oauth/token/", "/oauth/Token", "/api/tokens", "/web/consent.html"] {
            assert_eq!(Door::at(path), None, "{path}");
        }
        assert!(!Door::Authorize.is_shared() && !Door::Consent.is_shared(), "no page elsewhere asks people");
    }

    #[test]
    fn what_is_said_to_programs_is_kept_by_nobody() {
        let response = metadata("https://music.example");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[PRAGMA], "no-cache");
    }
}
