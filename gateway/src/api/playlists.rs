//! Playlists: lists of tracks that an account keeps.

use std::collections::{HashMap, HashSet};

use needledrop_core::{AccountId, PlaylistId, Problem, TrackId};
use needledrop_playback::{Caller, Scope};
use needledrop_playlist::{About, Change, Contents, Error, Item, ListName, Playlist, Revision};
use serde::Deserialize;
use serde_json::{Value, json};

use super::param::{Kind, Param};
use super::whole::Whole;
use super::{Call, at_most, created, no_such};
use crate::answer::{Answer, Reply, failed, refused};
use crate::query::wrong;
use crate::shapes::{self, Listed};
use crate::subsonic::response::date_time;

/// What a track is called outside; the second is what clients of the Spotify Web API write.
const URIS: [&str; 2] = ["needledrop:track:", "spotify:track:"];
/// Items that one call may add or take out. They fit into the body of a request, which is 60 KiB.
const CHANGED_AT_ONCE_MAX: usize = 1_000;
/// Items of a page (the limit of the Spotify Web API).
const PAGE_MAX: u64 = 100;
/// Items that are looked up at once.
const ITEMS_AT_ONCE: usize = 1_000;

/// Parameters of the calls on items.
pub(super) const PAGE: &[Param] = &[
    Param::optional("limit", Kind::Whole { least: 1, most: PAGE_MAX, usual: 20 }, "How many items a page has."),
    Param::optional("offset", OFFSET, "How many items come before the page."),
];
const OFFSET: Kind = Kind::Whole { least: 0, most: needledrop_playlist::ITEMS_MAX as u64, usual: 0 };
pub(super) const POSITION: &[Param] = &[Param::optional(
    "position",
    Kind::Whole { least: 0, most: needledrop_playlist::ITEMS_MAX as u64, usual: needledrop_playlist::ITEMS_MAX as u64 },
    "Before which item; at the end where it is not said.",
)];

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    public: bool,
}

#[derive(Deserialize)]
struct Changed {
    name: Option<String>,
    description: Option<String>,
    public: Option<bool>,
}

/// What is put in: a list of addresses as it is, as some clients send it, or with a place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Added {
    Bare(Vec<String>),
    Placed { uris: Vec<String>, position: Option<Whole> },
}

#[derive(Deserialize)]
struct Removed {
    #[serde(alias = "tracks")]
    items: Vec<Uri>,
    snapshot_id: Option<String>,
}

#[derive(Deserialize)]
struct Uri {
    uri: String,
    /// Only the items at these places.
    positions: Option<Vec<Whole>>,
}

/// A range that moves, or everything anew.
#[derive(Deserialize)]
struct Reordered {
    range_start: Option<Whole>,
    insert_before: Option<Whole>,
    range_length: Option<Whole>,
    snapshot_id: Option<String>,
    uris: Option<Vec<String>>,
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
    let about = About::parse(&said.description).map_err(|error| wrong("description", &error.to_string()))?;
    let (id, lists) = (PlaylistId::from_random(random), &call.house.playlists);
    let mut made = lists.create(owner, id, name(&said.name)?, call.now).await.map_err(|error| problem(&error))?;
    if said.public || !about.as_str().is_empty() {
        let change = Change { name: None, about: Some(about), is_public: Some(said.public) };
        made = lists.rename(owner, id, change, call.now).await.map_err(|error| problem(&error))?;
    }
    created(beginning(&made, caller, Vec::new(), 0))
}

/// `GET /v1/playlists/{id}`: with its first items. A list of the largest size is megabytes of text: it comes by pages.
pub(super) async fn one(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let found = read(call, caller, id).await?;
    let first = &found.items[..found.items.len().min(PAGE_MAX as usize)];
    Ok(Answer::Entity(beginning(&found.playlist, caller, shown(call, first).await?, found.items.len() as u64)))
}

/// A list with its first page of so many items.
fn beginning(list: &Playlist, caller: &Caller, items: Vec<Value>, total: u64) -> Value {
    let mut shape = shape(list, caller);
    let listed = Listed { href: &format!("/v1/playlists/{}/items", list.id), limit: PAGE_MAX, offset: 0, total };
    let page = listed.page(items);
    shape["items"] = page.clone();
    shape["tracks"] = page;
    shape
}

/// `GET /v1/playlists/{id}/items`.
pub(super) async fn items(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let (limit, offset) = (call.params.number("limit", 1..=PAGE_MAX, 20)?, call.offset()?);
    let found = read(call, caller, id).await?;
    let total = found.items.len() as u64;
    let some: Vec<Item> = found.items.into_iter().skip(offset as usize).take(limit as usize).collect();
    let listed = Listed { href: &format!("/v1/playlists/{id}/items"), limit, offset, total };
    Ok(Answer::Entity(listed.page(shown(call, &some).await?)))
}

/// A list that the caller may read.
pub(super) async fn read(call: &Call<'_>, caller: &Caller, id: &str) -> Result<Contents, Problem> {
    caller.may(Scope::PlaylistReadPrivate).map_err(|error| refused(&error.into()))?;
    call.house.playlists.get(caller.account().id, parsed(id)?).await.map_err(|error| problem(&error))
}

/// Items with their tracks. A track that has left the catalog stays in the list, and comes back with it.
async fn shown(call: &Call<'_>, items: &[Item]) -> Result<Vec<Value>, Problem> {
    let mut shown = Vec::with_capacity(items.len());
    for part in items.chunks(ITEMS_AT_ONCE) {
        let ids: Vec<TrackId> = part.iter().map(|item| item.track).collect();
        let tracks = call.house.catalog.tracks(&ids).await.map_err(|error| failed(&error))?;
        shown.extend(part.iter().zip(tracks).map(|(item, track)| {
            let track = track.map(|track| shapes::track(&track));
            // The member is called `item` today, and was `track` before.
            json!({
                "id": item.id.0, "added_at": date_time(item.added), "added_by": null, "is_local": false,
                "item": track, "track": track,
            })
        }));
    }
    Ok(shown)
}

/// `PUT /v1/playlists/{id}`.
pub(super) async fn rename(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Changed = call.body()?;
    let about = said.description.as_deref().map(About::parse).transpose();
    let change = Change {
        name: said.name.as_deref().map(name).transpose()?,
        about: about.map_err(|error| wrong("description", &error.to_string()))?,
        is_public: said.public,
    };
    let changed = call.house.playlists.rename(owner(caller)?, parsed(id)?, change, call.now).await;
    Ok(Answer::Private(shape(&changed.map_err(|error| problem(&error))?, caller)))
}

/// `POST /v1/playlists/{id}/items`.
pub(super) async fn add(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let (uris, position) = match call.body()? {
        Added::Bare(uris) => (uris, None),
        Added::Placed { uris, position } => (uris, position.map(place)),
    };
    at_most("uris", CHANGED_AT_ONCE_MAX, uris.len())?;
    let position = position.or(call.params.parsed::<usize>("position")?);
    let tracks = uris.iter().map(|uri| track(uri)).collect::<Result<Vec<_>, _>>()?;
    let (owner, id, lists) = (owner(caller)?, parsed(id)?, &call.house.playlists);
    let changed = match position {
        Some(place) => lists.insert(owner, id, &tracks, place, call.now).await,
        None => lists.add(owner, id, &tracks, call.now).await,
    };
    created(snapshot(&changed.map_err(|error| problem(&error))?))
}

/// `PUT /v1/playlists/{id}/items`: moves a range, or makes these tracks the list.
pub(super) async fn reorder(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Reordered = if call.request.body.is_empty() { Reordered::of(call) } else { call.body()? };
    let base = said.snapshot_id.as_deref().map(revision).transpose()?;
    let (owner, id, lists) = (owner(caller)?, parsed(id)?, &call.house.playlists);
    let changed = match (said.uris, said.range_start, said.insert_before) {
        (Some(uris), None, None) => {
            at_most("uris", CHANGED_AT_ONCE_MAX, uris.len())?;
            let tracks = uris.iter().map(|uri| track(uri)).collect::<Result<Vec<_>, _>>()?;
            lists.replace_items(owner, id, &tracks, base, call.now).await
        }
        (None, Some(start), Some(to)) => {
            let range = place(start)..place(start).saturating_add(said.range_length.map_or(1, place));
            lists.move_range(owner, id, range, place(to), base, call.now).await
        }
        _ => return Err(wrong("body", "send uris, or range_start and insert_before")),
    };
    Ok(Answer::Private(snapshot(&changed.map_err(|error| problem(&error))?)))
}

impl Reordered {
    /// The same behind the question mark, as the Spotify Web API takes it.
    fn of(call: &Call<'_>) -> Self {
        let uris = call.params.text("uris").map(|uris| uris.split(',').map(str::to_owned).collect());
        Self { range_start: None, insert_before: None, range_length: None, snapshot_id: None, uris }
    }
}

/// `DELETE /v1/playlists/{id}/items`: every item of these tracks, or those at the places that are named.
pub(super) async fn remove(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let said: Removed = call.body()?;
    at_most("items", CHANGED_AT_ONCE_MAX, said.items.len())?;
    let (owner, id) = (owner(caller)?, parsed(id)?);
    let known = call.house.playlists.get(owner, id).await.map_err(|error| problem(&error))?;
    if said.snapshot_id.as_deref().map(revision).transpose()?.is_some_and(|base| base != known.playlist.revision) {
        return Err(problem(&Error::Conflict));
    }
    let mut places: HashMap<TrackId, Vec<usize>> = HashMap::new();
    for (place, item) in known.items.iter().enumerate() {
        places.entry(item.track).or_default().push(place);
    }
    let mut going = HashSet::new();
    for wish in &said.items {
        let places = places.get(&track(&wish.uri)?).map_or(&[][..], Vec::as_slice);
        let named: Option<HashSet<usize>> =
            wish.positions.as_ref().map(|named| named.iter().map(|named| place(*named)).collect());
        let meant = places.iter().filter(|at| named.as_ref().is_none_or(|named| named.contains(at)));
        going.extend(meant.map(|at| known.items[*at].id));
    }
    let going: Vec<_> = going.into_iter().collect();
    let changed = call.house.playlists.remove(owner, id, &going, Some(known.playlist.revision), call.now).await;
    Ok(Answer::Private(snapshot(&changed.map_err(|error| problem(&error))?)))
}

fn place(number: Whole) -> usize {
    usize::try_from(number.0).unwrap_or(usize::MAX)
}

fn snapshot(list: &Playlist) -> Value {
    json!({ "snapshot_id": list.revision.0.to_string() })
}

fn revision(text: &str) -> Result<Revision, Problem> {
    text.parse().map(Revision).map_err(|_| wrong("snapshot_id", "it is none of ours"))
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

/// The track that an address names.
pub(super) fn track(uri: &str) -> Result<TrackId, Problem> {
    let id = URIS.iter().find_map(|prefix| uri.strip_prefix(prefix));
    id.and_then(|id| TrackId::parse(id).ok()).ok_or_else(|| wrong("uri", "write it as needledrop:track:ID"))
}

pub(super) fn shape(list: &Playlist, caller: &Caller) -> Value {
    let count = json!({ "href": format!("/v1/playlists/{}/items", list.id), "total": list.items });
    let account = caller.account();
    let owner = match list.owner == account.id {
        true => person(list.owner, Some(account.shown_as.as_str())),
        false => person(list.owner, None),
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
        "followers": { "href": null, "total": 0 },
        "public": list.is_public,
        "collaborative": false,
        "snapshot_id": list.revision.0.to_string(),
        "items": count,
        "tracks": count,
    })
}

fn person(id: AccountId, name: Option<&str>) -> Value {
    json!({
        "id": id.as_str(), "display_name": name, "type": "user", "uri": format!("needledrop:user:{id}"),
        "href": format!("/v1/users/{id}"), "external_urls": {}, "images": [],
    })
}

/// What an error of lists and of what was saved means in HTTP.
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
