//! Playlists: lists of tracks that an account keeps.

use needledrop_core::{AccountId, PlaylistId, Problem, TrackId};
use needledrop_playback::{Caller, Scope};
use needledrop_playlist::{Change, Error, ListName, Playlist};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, at_most, created, no_such};
use crate::answer::{Answer, Reply, failed, refused};
use crate::query::wrong;
use crate::shapes::{self, Listed};

/// What a track is called outside; the second is what clients of the Spotify Web API write.
const URIS: [&str; 2] = ["needledrop:track:", "spotify:track:"];
/// Items of a playlist that one answer has: all of them.
const ITEMS_AT_ONCE: usize = 1_000;

/// Items that one call may add or take out. They fit into the body of a request, which is 60 KiB.
const CHANGED_AT_ONCE_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Added {
    uris: Vec<String>,
}

#[derive(Deserialize)]
struct Removed {
    #[serde(alias = "tracks")]
    items: Vec<Uri>,
}

#[derive(Deserialize)]
struct Uri {
    uri: String,
}

/// `GET /v1/me/playlists`.
pub(super) async fn mine(call: &Call<'_>, caller: &Caller) -> Reply {
    caller.may(Scope::PlaylistReadPrivate).map_err(|error| refused(&error.into()))?;
    let (limit, offset) = (call.limit()?, call.offset()?);
    let all = call.house.playlists.list(caller.account().id).await.map_err(|error| problem(&error))?;
    let items = all.iter().skip(offset as usize).take(limit as usize).map(|list| shape(list, caller)).collect();
    let listed = Listed { href: "/v1/me/playlists", limit, offset, total: all.len() as u64 };
    Ok(Answer::Entity(listed.page(items)))
}

/// `POST /v1/me/playlists`.
pub(super) async fn create(call: &Call<'_>, caller: &Caller) -> Reply {
    let said: Named = call.body()?;
    let owner = owner(caller)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Problem::new("no-randomness", "The system gives no randomness", 500))?;
    let made = call.house.playlists.create(owner, PlaylistId::from_random(random), name(&said.name)?, call.now).await;
    created(shape(&made.map_err(|error| problem(&error))?, caller))
}

/// `GET /v1/playlists/{id}`.
pub(super) async fn one(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    caller.may(Scope::PlaylistReadPrivate).map_err(|error| refused(&error.into()))?;
    let found = call.house.playlists.get(caller.account().id, parsed(id)?).await.map_err(|error| problem(&error))?;
    let mut shape = shape(&found.playlist, caller);
    let mut items = Vec::with_capacity(found.items.len());
    for part in found.items.chunks(ITEMS_AT_ONCE) {
        let ids: Vec<TrackId> = part.iter().map(|item| item.track).collect();
        let tracks = call.house.catalog.tracks(&ids).await.map_err(|error| failed(&error))?;
        // A track that has left the catalog stays in the list, and comes back with it.
        items.extend(part.iter().zip(tracks).map(|(item, track)| {
            let track = track.map(|track| shapes::track(&track));
            json!({ "id": item.id.0, "added_at": item.added.0, "item": track, "track": track })
        }));
    }
    let total = items.len() as u64;
    let listed = Listed { href: &format!("/v1/playlists/{id}/items"), limit: total.max(1), offset: 0, total };
    let page = listed.page(items);
    shape["items"] = page.clone();
    shape["tracks"] = page;
    Ok(Answer::Entity(shape))
}

/// `PUT /v1/playlists/{id}`.
pub(super) async fn rename(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Named = call.body()?;
    let change = Change { name: Some(name(&said.name)?), ..Change::default() };
    let changed = call.house.playlists.rename(owner(caller)?, parsed(id)?, change, call.now).await;
    Ok(Answer::Private(shape(&changed.map_err(|error| problem(&error))?, caller)))
}

/// `POST /v1/playlists/{id}/items`.
pub(super) async fn add(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Added = call.body()?;
    at_most("uris", CHANGED_AT_ONCE_MAX, said.uris.len())?;
    let tracks = said.uris.iter().map(|uri| track(uri)).collect::<Result<Vec<_>, _>>()?;
    let changed = call.house.playlists.add(owner(caller)?, parsed(id)?, &tracks, call.now).await;
    let changed = changed.map_err(|error| problem(&error))?;
    created(json!({ "snapshot_id": changed.revision.0.to_string() }))
}

/// `DELETE /v1/playlists/{id}/items`: every item of these tracks.
pub(super) async fn remove(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Removed = call.body()?;
    at_most("items", CHANGED_AT_ONCE_MAX, said.items.len())?;
    let (owner, id) = (owner(caller)?, parsed(id)?);
    let going = said.items.iter().map(|item| track(&item.uri)).collect::<Result<Vec<_>, _>>()?;
    let known = call.house.playlists.get(owner, id).await.map_err(|error| problem(&error))?;
    let items: Vec<_> = known.items.iter().filter(|item| going.contains(&item.track)).map(|item| item.id).collect();
    let revision = Some(known.playlist.revision);
    let changed = call.house.playlists.remove(owner, id, &items, revision, call.now).await;
    Ok(Answer::Private(json!({ "snapshot_id": changed.map_err(|error| problem(&error))?.revision.0.to_string() })))
}

/// `DELETE /v1/playlists/{id}/followers`: of one's own, this deletes it.
pub(super) async fn delete(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    call.house.playlists.delete(owner(caller)?, parsed(id)?).await.map_err(|error| problem(&error))?;
    Ok(Answer::Nothing)
}

fn owner(caller: &Caller) -> Result<AccountId, Problem> {
    caller.may(Scope::PlaylistModifyPrivate).map_err(|error| refused(&error.into()))?;
    Ok(caller.account().id)
}

fn parsed(id: &str) -> Result<PlaylistId, Problem> {
    PlaylistId::parse(id).map_err(|_| no_such("playlist"))
}

fn name(text: &str) -> Result<ListName, Problem> {
    ListName::parse(text).map_err(|error| wrong("name", &error.to_string()))
}

fn track(uri: &str) -> Result<TrackId, Problem> {
    let id = URIS.iter().find_map(|prefix| uri.strip_prefix(prefix));
    id.and_then(|id| TrackId::parse(id).ok()).ok_or_else(|| wrong("uri", "write it as needledrop:track:ID"))
}

pub(super) fn shape(list: &Playlist, caller: &Caller) -> Value {
    let count = json!({ "href": format!("/v1/playlists/{}/items", list.id), "total": list.items });
    let account = caller.account();
    let owner = match list.owner == account.id {
        true => json!({ "id": account.id.as_str(), "display_name": account.shown_as.as_str(), "type": "user" }),
        false => json!({ "id": list.owner.as_str(), "type": "user" }),
    };
    json!({
        "id": list.id.as_str(),
        "name": list.name.as_str(),
        "description": list.about.as_str(),
        "type": "playlist",
        "uri": format!("needledrop:playlist:{}", list.id),
        "href": format!("/v1/playlists/{}", list.id),
        "external_urls": {},
        "images": [],
        "owner": owner,
        "public": list.is_public,
        "collaborative": false,
        "snapshot_id": list.revision.0.to_string(),
        "items": count,
        "tracks": count,
    })
}

pub(super) fn problem(error: &Error) -> Problem {
    let (title, status) = match error {
        Error::NotFound => ("There is no such playlist", 404),
        Error::NotYours => ("The playlist is somebody else's", 403),
        Error::Conflict | Error::Exists => ("The playlist was changed meanwhile", 409),
        Error::PlaylistsFull | Error::ItemsFull | Error::MarksFull => ("There is no room for more", 409),
        Error::TooMany => ("That is too much at once", 400),
        Error::Storage(_) => {
            tracing::error!(%error, "the playlists failed");
            let status = if error.is_transient() { 503 } else { 500 };
            return Problem::new(error.slug(), "Playlists cannot be kept at the moment", status);
        }
    };
    Problem::new(error.slug(), title, status).with_detail(error.to_string())
}
