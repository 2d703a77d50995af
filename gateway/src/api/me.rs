//! The caller's own: profile, queue, devices, credentials.

use needledrop_core::{Problem, TokenId, TrackId};
use needledrop_playback::account::Account;
use needledrop_playback::queue::Repeat;
use needledrop_playback::token::{Kind, Token};
use needledrop_playback::{Caller, DisplayName, Issued, Queue, Scope, Scopes, UnixMs};
use serde::Deserialize;
use serde_json::{Value, json};

use super::whole::Whole;
use super::{Call, at_most, created, no_such};
use crate::answer::{Answer, Reply, refused};
use crate::query::wrong;

/// Tracks of a queue that one call may say. They fit into the body of a request, which is 60 KiB.
const QUEUE_TRACKS_MAX: usize = 2_000;

/// An account as its owner sees it.
pub(super) fn user(account: &Account) -> Value {
    json!({
        "id": account.id.as_str(),
        "user": account.name.as_str(),
        "display_name": account.shown_as.as_str(),
        "type": "user",
        "uri": format!("needledrop:user:{}", account.id),
        "href": "/v1/me",
        "external_urls": {},
        "images": [],
        "followers": { "href": null, "total": 0 },
        "explicit_content": { "filter_enabled": false, "filter_locked": false },
        "product": account.plan.name(),
        "plan": account.plan.name(),
        "country": account.territory.map(|territory| territory.as_str().to_owned()),
        "is_admin": account.is_admin,
        "must_change_password": account.must_change_password,
    })
}

/// What a program is shown of a person with these scopes only, as the person was told on being asked.
const WITH_SCOPE: &[(Scope, &[&str])] = &[
    (Scope::ReadEmail, &["user"]),
    (Scope::ReadPrivate, &["product", "plan", "country", "is_admin", "explicit_content", "must_change_password"]),
];

pub(super) async fn profile(_: &Call<'_>, caller: &Caller) -> Reply {
    // A program's own token is nobody's.
    if caller.kind() == Kind::Client {
        let said = Problem::new("no-person", "This token belongs to a program, not to a person", 403);
        return Err(said.with_detail("Ask somebody to agree, at /oauth/authorize"));
    }
    let mut said = user(caller.account());
    let is_hidden = |scope| caller.kind() == Kind::Access && caller.may(scope).is_err();
    let members = said.as_object_mut().expect("a user is an object");
    for (_, names) in WITH_SCOPE.iter().filter(|(scope, _)| is_hidden(*scope)) {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
    Ok(Answer::Entity(said))
}

#[derive(Deserialize)]
struct NewPassword {
    old: String,
    new: String,
}

pub(super) async fn change_password(call: &Call<'_>, caller: &Caller) -> Reply {
    let said: NewPassword = call.body()?;
    let address = call.request.peer.client;
    let changed = call.house.playback.change_password(caller, &said.old, &said.new, address, call.now).await;
    changed.map(|()| Answer::Nothing).map_err(|error| refused(&error))
}

pub(super) async fn queue(call: &Call<'_>, caller: &Caller) -> Reply {
    let known = call.house.playback.queue(caller).await.map_err(|error| refused(&error))?;
    Ok(Answer::Entity(known.map_or_else(nothing_playing, shown)))
}

/// The queue of an account that has never said one.
fn nothing_playing() -> Value {
    json!({
        "items": [], "index": 0, "position_ms": 0, "changed": 0, "playing": false, "shuffle": false,
        "repeat": Repeat::Off.name(), "client": null,
    })
}

fn shown(queue: Queue) -> Value {
    json!({
        "items": queue.items.iter().map(TrackId::as_str).collect::<Vec<_>>(),
        "index": queue.index,
        "position_ms": queue.position_ms,
        "changed": queue.changed.0,
        "playing": queue.playing,
        "shuffle": queue.shuffle,
        "repeat": queue.repeat.name(),
        "client": queue.client.as_str(),
    })
}

#[derive(Deserialize)]
struct SaidQueue {
    items: Vec<TrackId>,
    #[serde(default)]
    index: Whole,
    #[serde(default)]
    position_ms: Whole,
    changed: Whole,
    #[serde(default)]
    playing: bool,
    #[serde(default)]
    shuffle: bool,
    #[serde(default)]
    repeat: Option<String>,
}

pub(super) async fn set_queue(call: &Call<'_>, caller: &Caller) -> Reply {
    let said: SaidQueue = call.body()?;
    at_most("items", QUEUE_TRACKS_MAX, said.items.len())?;
    let repeat = match said.repeat.as_deref() {
        None => Repeat::Off,
        Some(name) => Repeat::from_name(name).ok_or_else(|| wrong("repeat", "it is off, track or queue"))?,
    };
    let queue = Queue {
        changed: UnixMs(said.changed.0),
        client: caller.client().clone(),
        index: u32::try_from(said.index.0).map_err(|_| wrong("index", "no queue is so long"))?,
        position_ms: said.position_ms.0,
        playing: said.playing,
        shuffle: said.shuffle,
        repeat,
        items: said.items,
    };
    let now = UnixMs(call.now.0.saturating_mul(1_000).saturating_add(999));
    let taken = call.house.playback.set_queue(caller, queue, now).await.map_err(|error| refused(&error))?;
    // Another device has said something later: the client reads that.
    Ok(Answer::Private(json!({ "taken": taken })))
}

pub(super) async fn devices(call: &Call<'_>, caller: &Caller) -> Reply {
    let known = call.house.playback.devices(caller).await.map_err(|error| refused(&error))?;
    let devices: Vec<_> = known
        .iter()
        .map(|device| {
            let name = device.name.as_str();
            json!({
                "id": name, "name": name, "client": device.client.as_str(), "seen": device.seen.0, "type": "Computer",
                "is_active": false, "is_private_session": false, "is_restricted": false, "volume_percent": 100,
                "supports_volume": false,
            })
        })
        .collect();
    Ok(Answer::Entity(json!({ "devices": devices })))
}

pub(super) async fn credentials(call: &Call<'_>, caller: &Caller) -> Reply {
    let known = call.house.playback.tokens(caller).await.map_err(|error| refused(&error))?;
    let items: Vec<_> = known.iter().map(|token| credential(token, caller)).collect();
    Ok(Answer::Entity(json!({ "items": items })))
}

fn credential(token: &Token, caller: &Caller) -> Value {
    json!({
        "id": token.id.as_str(),
        "kind": token.kind.name(),
        "client": token.client.as_str(),
        "created": token.created.0,
        "last_used": token.last_used.map(|used| used.0),
        "expires": token.expires.map(|expires| expires.0),
        "is_this_one": token.id == caller.token(),
    })
}

#[derive(Deserialize)]
struct NewCredential {
    /// `app-password` for Subsonic clients, `api-key` for programs, `feed` for podcast programs.
    kind: String,
    client: String,
}

pub(super) async fn new_credential(call: &Call<'_>, caller: &Caller) -> Reply {
    let wish: NewCredential = call.body()?;
    let client = DisplayName::parse(&wish.client).map_err(|error| refused(&error.into()))?;
    let playback = &call.house.playback;
    let issued = match Kind::from_name(&wish.kind) {
        Some(Kind::AppPassword) => playback.make_app_password(caller, client, call.now).await,
        Some(Kind::ApiKey) => playback.make_api_key(caller, Scopes::player(), client, call.now).await,
        Some(Kind::Feed) => playback.make_feed_key(caller, client, call.now).await,
        _ => return Err(wrong("kind", "it is app-password, api-key or feed")),
    };
    let Issued { secret, token, .. } = issued.map_err(|error| refused(&error))?;
    let mut said = credential(&token, caller);
    said["secret"] = json!(secret.expose());
    created(said)
}

pub(super) async fn revoke(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let id = TokenId::parse(id).map_err(|_| no_such("credential"))?;
    let revoked = call.house.playback.revoke(caller, id).await;
    revoked.map(|()| Answer::Nothing).map_err(|error| refused(&error))
}
