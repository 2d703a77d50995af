//! `/v1`: the calls of the public API.
//!
//! The shape is that of the Spotify Web API where that has the call. [`routes`] is the table of all calls: [`answer`]
//! looks a request up there, asks who makes it, refuses what the table does not allow, and lets the call's own
//! function answer. [`openapi`] writes the same table as a document, which [`document`] serves, and [`page`]
//! as a page for people.

mod accounts;
mod browse;
pub mod document;
mod invitations;
mod library;
mod me;
mod oauth;
pub mod openapi;
mod ops;
pub mod page;
pub mod param;
mod player;
mod playlists;
mod plays;
pub mod route;
pub mod routes;
mod search;
mod session;
mod shows;
mod stream;
mod whole;

pub use plays::Counted;

use http::header::CONTENT_TYPE;
use http::{Method, Response, StatusCode};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::{Body, Request};
use serde::de::DeserializeOwned;

use crate::answer::{self, Answer, Reply};
use crate::house::House;
use crate::limits::Class;
use crate::query::{Params, wrong};
use crate::shapes;
use crate::who;
use route::{Act, Found, Route};
use routes::ROUTES;

/// One call: what it is answered from.
pub struct Call<'a> {
    house: &'a House,
    request: &'a Request,
    params: Params<'a>,
    /// Values of the template's variables.
    values: Vec<&'a str>,
    now: UnixSeconds,
    /// Scheme and host that the client asks: what places in its answer begin with.
    here: String,
}

/// The answer to a request below `/v1/`.
pub async fn answer(house: &House, request: &Request, now: UnixSeconds) -> Response<Body> {
    // Some clients write `/v1/tracks/?ids=…`.
    let path = request.uri.path();
    match route::find(ROUTES, &request.method, path.strip_suffix('/').unwrap_or(path)) {
        Found::Call(route, values) => {
            let params = Params::read(request.uri.query().unwrap_or_default().as_bytes());
            let call = Call { house, request, params, values, now, here: house.here(request) };
            let mut reply = call.make(route).await;
            // Clients go on reading at `next` as it stands, and show pictures elsewhere than below this page.
            if let Ok(Answer::Entity(said) | Answer::Private(said) | Answer::Created(said)) = &mut reply {
                shapes::make_absolute(said, &call.here);
            }
            answer::respond(request, reply)
        }
        Found::Other(verbs) if request.method == Method::OPTIONS => answer::options(&verbs),
        Found::Other(verbs) => answer::not_this_way(&verbs),
        Found::Nothing => answer::refuse(&Problem::new("not-found", "There is no such call", 404)),
    }
}

impl Call<'_> {
    async fn make(&self, route: &Route) -> Reply {
        let client = self.request.peer.client;
        let signed = match route.act {
            Act::Anybody(answer) => {
                let class = if route.class == Class::SignIn { Class::SignIn } else { Class::Stranger };
                if let Err(held) = self.house.limits.ask_unknown(class, client) {
                    return Ok(Answer::Whole(held.response()));
                }
                self.admit(route)?;
                return answer(self).await;
            }
            Act::SignedIn(answer) | Act::May(_, answer) => answer,
        };
        let caller = match who::asks(self.house, self.request, self.now).await {
            Ok(caller) => caller,
            Err(refusal) => {
                let held = self.house.limits.ask_unknown(Class::Stranger, client).err();
                return held.map_or(Err(refusal), |held| Ok(Answer::Whole(held.response())));
            }
        };
        if let Err(held) = self.house.limits.ask(route.class, caller.account().id, client) {
            return Ok(Answer::Whole(held.response()));
        }
        if let Some(scope) = route.scope() {
            caller.may(scope).map_err(|error| answer::refused(&error.into()))?;
        }
        self.admit(route)?;
        signed(self, &caller).await
    }

    /// Refuses what the table says that this call does not take.
    fn admit(&self, route: &Route) -> Result<(), Problem> {
        route.check(&self.params)?;
        if route.body.is_some() && !is_json(self.request) {
            let said = Problem::new("media-type", "This call takes JSON", 415);
            return Err(said.with_detail("Send Content-Type: application/json"));
        }
        Ok(())
    }

    /// The value of the template's variable.
    fn id(&self) -> &str {
        self.values.first().copied().unwrap_or_default()
    }

    fn limit(&self) -> Result<u64, Problem> {
        self.params.number("limit", 1..=param::LIMIT_MAX, param::LIMIT)
    }

    fn offset(&self) -> Result<u64, Problem> {
        self.params.number("offset", 0..=param::OFFSET_MAX, 0)
    }

    /// The body, as JSON of this form.
    fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.request.body).map_err(|error| {
            Problem::new("body", "The body is not what this call takes", 400).with_detail(error.to_string())
        })
    }
}

/// Whether the body says that it is JSON. A form of another site cannot say so without asking first, so that nobody is
/// signed in to an account that is not his own.
pub(crate) fn is_json(request: &Request) -> bool {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A list in a body, as long as the document says at most: more does not fit into a body either.
fn at_most(name: &str, most: usize, count: usize) -> Result<(), Problem> {
    if count <= most { Ok(()) } else { Err(wrong(name, &format!("there are more than {most}"))) }
}

fn no_such(what: &'static str) -> Problem {
    Problem::new("not-found", "There is no such thing here", 404).with_detail(what)
}

fn whole(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn created(value: serde_json::Value) -> Reply {
    Ok(Answer::Created(value))
}
