//! `/v1`: which call is which, and who may make it.
//!
//! The shape is that of the Spotify Web API where that has the call. Every call but signing in needs a credential.

mod browse;
mod me;
mod playlists;
mod plays;
mod search;
mod session;
mod stream;

pub use plays::Counted;

use http::{Method, Response, StatusCode};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::{Body, Request};
use needledrop_playback::{Caller, Scope};
use serde::de::DeserializeOwned;

use crate::answer::{self, Answer, Reply};
use crate::house::House;
use crate::query::Params;
use crate::who;

/// Items on a page where nobody says how many, and at most (the limits of the Spotify Web API).
const LIMIT: u64 = 20;
const LIMIT_MAX: u64 = 50;
/// How deep a list may be asked into: the catalog's whole size.
const OFFSET_MAX: u64 = 100_000_000;

/// One call: what it is answered from.
struct Call<'a> {
    house: &'a House,
    request: &'a Request,
    params: Params<'a>,
    now: UnixSeconds,
}

/// The answer to a call, `path` being what follows `/v1/`.
pub async fn answer(house: &House, request: &Request, path: &str, now: UnixSeconds) -> Response<Body> {
    let params = Params::read(request.uri.query().unwrap_or_default().as_bytes());
    let call = Call { house, request, params, now };
    let reply = call.route(path).await;
    answer::respond(request, reply)
}

impl Call<'_> {
    async fn route(&self, path: &str) -> Reply {
        // HEAD is answered like GET; the doors leave the body out.
        let method = if self.request.method == Method::HEAD { &Method::GET } else { &self.request.method };
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), &parts[..]) {
            ("POST", ["session"]) => return session::begin(self).await,
            ("GET", ["session", "hint"]) => return session::hint(self).await,
            _ => {}
        }
        let caller = who::asks(self.house, self.request, self.now).await?;
        match (method.as_str(), &parts[..]) {
            ("DELETE", ["session"]) => session::end(self, &caller).await,
            ("GET", ["me"]) => Ok(me::profile(&caller)),
            ("PUT", ["me", "password"]) => me::change_password(self, &caller).await,
            ("GET", ["me", "queue"]) => me::queue(self, &caller).await,
            ("PUT" | "POST", ["me", "queue"]) => me::set_queue(self, &caller).await,
            ("GET", ["me", "player", "devices"]) => me::devices(self, &caller).await,
            ("GET", ["me", "credentials"]) => me::credentials(self, &caller).await,
            ("POST", ["me", "credentials"]) => me::new_credential(self, &caller).await,
            ("DELETE", ["me", "credentials", id]) => me::revoke(self, &caller, id).await,
            ("GET", ["me", "playlists"]) => playlists::mine(self, &caller).await,
            ("POST", ["me", "playlists"]) => playlists::create(self, &caller).await,
            ("GET", ["playlists", id]) => playlists::one(self, &caller, id).await,
            ("PUT", ["playlists", id]) => playlists::rename(self, &caller, id).await,
            ("POST", ["playlists", id, "items" | "tracks"]) => playlists::add(self, &caller, id).await,
            ("DELETE", ["playlists", id, "items" | "tracks"]) => playlists::remove(self, &caller, id).await,
            ("DELETE", ["playlists", id, "followers"]) => playlists::delete(self, &caller, id).await,
            ("POST", ["plays"]) => plays::report(self, &caller).await,
            ("GET", rest) => {
                caller.may(Scope::Streaming).map_err(|error| answer::refused(&error.into()))?;
                self.read(&caller, rest).await
            }
            _ => Err(self.no_call(&parts)),
        }
    }

    async fn read(&self, caller: &Caller, parts: &[&str]) -> Reply {
        match parts {
            ["search"] => search::search(self).await,
            ["browse", "home"] => browse::home(self).await,
            ["ingest"] => browse::ingest(self).await,
            ["artists"] => browse::artists(self).await,
            ["artists", id] => browse::artist(self, id).await,
            ["artists", id, "albums"] => browse::albums_of(self, id).await,
            ["artists", id, "top-tracks"] => browse::top_tracks(self, id).await,
            ["albums"] => browse::albums(self).await,
            ["albums", id] => browse::album(self, id).await,
            ["albums", id, "tracks"] => browse::album_tracks(self, id).await,
            ["tracks"] => browse::tracks(self).await,
            ["tracks", id] => browse::track(self, id).await,
            ["tracks", id, "stream"] => stream::stream(self, caller, id).await,
            _ => Err(self.no_call(parts)),
        }
    }

    /// A path that exists for another method is told from one that does not exist at all.
    fn no_call(&self, parts: &[&str]) -> Problem {
        let known = ["session", "me", "search", "browse", "artists", "albums", "tracks", "plays", "playlists"];
        let is_change = !matches!(self.request.method, Method::GET | Method::HEAD);
        match is_change && parts.first().is_some_and(|first| known.contains(first)) {
            true => Problem::new("method", "This call does not take that method", 405),
            false => Problem::new("not-found", "There is no such call", 404),
        }
    }

    fn limit(&self) -> Result<u64, Problem> {
        self.params.number("limit", 1..=LIMIT_MAX, LIMIT)
    }

    fn offset(&self) -> Result<u64, Problem> {
        self.params.number("offset", 0..=OFFSET_MAX, 0)
    }

    /// The body, as JSON of this form.
    fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.request.body).map_err(|error| {
            Problem::new("body", "The body is not what this call takes", 400).with_detail(error.to_string())
        })
    }
}

fn no_such(what: &'static str) -> Problem {
    Problem::new("not-found", "There is no such thing here", 404).with_detail(what)
}

fn whole(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn created(value: serde_json::Value) -> Reply {
    Ok(Answer::Created(value))
}
