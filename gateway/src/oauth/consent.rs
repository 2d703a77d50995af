//! What a program asks of a person, and what the person says. The page is shown by `/oauth/authorize`; the two calls at
//! `/oauth/consent` are its own, so that a session's cookie, which no other site can send, is what agrees.

use http::{Method, Response};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::{Body, Request};
use needledrop_playback::oauth::{Asked, RedirectUri, Refusal, Wish};
use needledrop_playback::{Caller, Error, Scope};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{self, Answer, Reply, refused};
use crate::api;
use crate::house::House;
use crate::limits::Class;
use crate::query::Params;
use crate::who;

/// Asks, with the parameters of `/oauth/authorize` (GET), or takes the answer (POST).
pub(super) async fn answer(house: &House, request: &Request, now: UnixSeconds) -> Response<Body> {
    let caller = match who::asks(house, request, now).await {
        Ok(caller) => caller,
        Err(refusal) => return answer::refuse(&refusal),
    };
    let is_question = request.method == Method::GET;
    let class = if is_question { Class::Read } else { Class::Write };
    if let Err(held) = house.limits.ask(class, caller.account().id, request.peer.client) {
        return held.response();
    }
    let reply = match is_question {
        true => question(house, request, &caller).await,
        false => answered(house, request, &caller, now).await,
    };
    answer::respond(request, reply)
}

async fn question(house: &House, request: &Request, caller: &Caller) -> Reply {
    caller.may(Scope::Account).map_err(|error| refused(&error.into()))?;
    let params = Params::read(request.uri.query().unwrap_or_default().as_bytes());
    let wish = asked(house, &params).await.map_err(not_asked)?;
    let mut means: Vec<_> = wish.scopes.iter().map(meaning).collect();
    means.dedup();
    if means.is_empty() {
        means.push(meaning(Scope::CatalogRead));
    }
    Ok(Answer::Private(json!({
        "app": wish.client.name.as_str(), "place": wish.redirect.place(), "means": means,
        "user": caller.account().shown_as.as_str(),
    })))
}

#[derive(Deserialize)]
struct Said {
    /// What stood behind the question mark of `/oauth/authorize`.
    query: String,
    allow: bool,
}

async fn answered(house: &House, request: &Request, caller: &Caller, now: UnixSeconds) -> Reply {
    if !api::is_json(request) {
        return Err(Problem::new("media-type", "This call takes JSON", 415));
    }
    let said: Said = serde_json::from_slice(&request.body).map_err(|error| {
        Problem::new("body", "The body is not what this call takes", 400).with_detail(error.to_string())
    })?;
    let params = Params::read(said.query.as_bytes());
    let wish = asked(house, &params).await.map_err(not_asked)?;
    let (state, issuer) = (params.text("state"), house.here(request));
    let (name, value) = match said.allow {
        true => {
            let code = house.playback.consent(caller, &wish, now).await.map_err(|error| refused(&error))?;
            ("code", code.expose().to_owned())
        }
        false => ("error", Refusal::DENIED.code.to_owned()),
    };
    let state = state.map(|state| ("state", state));
    let parts = [Some((name, value.as_str())), state, Some(("iss", issuer.as_str()))];
    Ok(Answer::Private(json!({ "redirect": wish.redirect.with(parts.into_iter().flatten()) })))
}

fn not_asked(why: Not) -> Problem {
    match why {
        Not::Here(refusal) | Not::There(_, refusal) => {
            Problem::new(refusal.code, "This program may not ask here", 400).with_detail(refusal.why)
        }
        Not::Broken(said) => said,
    }
}

/// Why nothing is asked.
pub(super) enum Not {
    /// The person is told, and nobody else.
    Here(Refusal),
    /// The program is told.
    There(RedirectUri, Refusal),
    /// Our own fault.
    Broken(Problem),
}

/// What these parameters of `/oauth/authorize` ask for.
pub(super) async fn asked(house: &House, params: &Params<'_>) -> Result<Wish, Not> {
    let client = params.text("client_id").unwrap_or_default();
    let client = house.playback.client(client).await.map_err(|error| match error {
        Error::OAuth(refusal) => Not::Here(refusal),
        other => Not::Broken(refused(&other)),
    })?;
    let named = params.text("redirect_uri");
    let redirect = client.redirect(named).map_err(Not::Here)?;
    // A parameter that comes twice is no request (RFC 6749, 3.1).
    let is_twice = |name: &&str| params.all(name).count() > 1;
    let names =
        ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"];
    if names.iter().any(is_twice) {
        return Err(Not::Here(Refusal::MISSING));
    }
    let asked = Asked {
        response_type: params.text("response_type"),
        scope: params.text("scope"),
        challenge: params.text("code_challenge"),
        method: params.text("code_challenge_method"),
    };
    Wish::read(client, redirect.clone(), named.is_some(), asked).map_err(|refusal| Not::There(redirect, refusal))
}

/// What a scope lets a program do, in the words of the page.
fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::CatalogRead => "Read the catalog, and the name you are shown as",
        Scope::Streaming => "Play music in your name",
        Scope::ReadPrivate => "Read your plan and where you listen",
        Scope::ReadEmail => "Read the name you sign in with",
        Scope::LibraryRead => "Read what you saved",
        Scope::LibraryModify => "Save and remove tracks and albums",
        Scope::PlaylistReadPrivate | Scope::PlaylistReadCollaborative => "Read your playlists",
        Scope::PlaylistModifyPublic | Scope::PlaylistModifyPrivate => "Make and change playlists",
        Scope::PlaybackRead | Scope::CurrentlyPlaying => "See what you are playing",
        Scope::PlaybackModify => "Change what is playing",
        Scope::RecentlyPlayed | Scope::TopRead | Scope::PlaybackPosition => "Read what you have played",
        Scope::FollowRead => "Read whom you follow",
        Scope::FollowModify => "Follow and unfollow for you",
        Scope::ImageUpload => "Put pictures on your playlists",
        Scope::Account | Scope::Admin => "Change your account",
    }
}
