//! Artists, albums and tracks: one by one, and in lists.

use std::sync::Arc;

use needledrop_catalog::model::{Artist, Release, ReleaseKind, Track};
use needledrop_catalog::store::{ArtistList, At, Page, ReleaseList, TrackList};
use needledrop_core::{ArtistId, Problem, ReleaseId, TrackId};
use serde_json::{Value, json};

use super::param::{Kind, Param};
use super::{Call, no_such};
use crate::answer::{Answer, Reply, failed};
use crate::query::wrong;
use crate::shapes::{self, Listed};
use crate::shown;

/// Tracks of an album that come with it, and of an artist's best.
const ALBUM_TRACKS: u64 = 50;
const TOP_TRACKS: usize = 10;
/// Things on a shelf of the first page.
const SHELF: usize = 20;

/// Which albums of an artist.
pub(super) const GROUPS: &[Param] = &[Param::optional(
    "include_groups",
    Kind::Words(&["album", "single", "compilation", "appears_on"]),
    "With `album` or `compilation` alone: only these. Every other choice gives all.",
)];

pub(super) async fn artist(call: &Call<'_>, id: &str) -> Reply {
    let artist = the_artist(call, artist_id(id)?).await?;
    Ok(Answer::written(&shown::Artist::new(&artist, &call.here)))
}

async fn the_artist(call: &Call<'_>, id: ArtistId) -> Result<Arc<Artist>, Problem> {
    let found = call.house.catalog.artist(id).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_such("artist"))
}

pub(super) async fn album(call: &Call<'_>, id: &str) -> Reply {
    let release = the_release(call, id).await?;
    let tracks = tracks_on(call, release.id, ALBUM_TRACKS, 0).await?;
    Ok(Answer::written(&shown::Album::new(&release, &call.here).with_tracks(tracks.shown(&call.here))))
}

/// An album with its first tracks.
pub(super) async fn with_tracks(call: &Call<'_>, release: &Release) -> Result<Value, Problem> {
    let tracks = tracks_on(call, release.id, ALBUM_TRACKS, 0).await?;
    Ok(json!(shown::Album::new(release, &call.here).with_tracks(tracks.shown(&call.here))))
}

async fn the_release(call: &Call<'_>, id: &str) -> Result<Arc<Release>, Problem> {
    let found = call.house.catalog.release(release_id(id)?).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_such("album"))
}

pub(super) async fn track(call: &Call<'_>, id: &str) -> Reply {
    let found = call.house.catalog.track(track_id(id)?).await.map_err(|error| failed(&error))?;
    let track = found.ok_or_else(|| no_such("track"))?;
    Ok(Answer::written(&shown::Track::new(&track, &call.here)))
}

pub(super) async fn album_tracks(call: &Call<'_>, id: &str) -> Reply {
    let release = the_release(call, id).await?;
    let tracks = tracks_on(call, release.id, call.limit()?, call.offset()?).await?;
    Ok(Answer::page(&tracks.shown(&call.here)))
}

async fn tracks_on(call: &Call<'_>, id: ReleaseId, limit: u64, offset: u64) -> Result<Tracks, Problem> {
    list_tracks(call, &TrackList::OnRelease(id), format!("/v1/albums/{id}/tracks"), limit, offset).await
}

/// Things by their ids in place of a list.
pub(super) const IDS: Param = Param::optional(
    "ids",
    Kind::Ids,
    "Exactly these, in this order, with null for what there is not; order, limit and offset then mean nothing.",
);

/// `?ids=a,b`: things at the places where they were named, null where there is none.
pub(super) async fn several(call: &Call<'_>, kind: &str) -> Reply {
    let ids: Vec<&str> = call.params.text("ids").unwrap_or_default().split(',').collect();
    let catalog = &call.house.catalog;
    let found: Vec<Value> = match kind {
        "artists" => {
            let known = catalog.artists(&parsed(&ids, artist_id)?).await.map_err(|error| failed(&error))?;
            known.into_iter().map(|found| found.map_or(Value::Null, |artist| shapes::artist(&artist))).collect()
        }
        "albums" => {
            let known = catalog.releases(&parsed(&ids, release_id)?).await.map_err(|error| failed(&error))?;
            let mut shown = Vec::with_capacity(known.len());
            for release in known {
                shown.push(match release {
                    Some(release) => with_tracks(call, &release).await?,
                    None => Value::Null,
                });
            }
            shown
        }
        _ => {
            let known = catalog.tracks(&parsed(&ids, track_id)?).await.map_err(|error| failed(&error))?;
            known.into_iter().map(|found| found.map_or(Value::Null, |track| shapes::track(&track))).collect()
        }
    };
    Ok(Answer::Entity(json!({ kind: found })))
}

fn parsed<T>(ids: &[&str], one: impl Fn(&str) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    ids.iter().map(|id| one(id)).collect()
}

pub(super) async fn tracks(call: &Call<'_>) -> Reply {
    if call.params.text("ids").is_some() {
        return several(call, "tracks").await;
    }
    let (order, list) = match call.params.text("order") {
        None | Some("name") => ("name", TrackList::ByName),
        Some("newest") => ("newest", TrackList::Newest),
        Some("played") => ("played", TrackList::MostPlayed),
        Some(_) => return Err(wrong("order", "it is name, newest or played")),
    };
    let href = format!("/v1/tracks?order={order}");
    let tracks = list_tracks(call, &list, href, call.limit()?, call.offset()?).await?;
    Ok(Answer::page(&tracks.shown(&call.here)))
}

pub(super) async fn top_tracks(call: &Call<'_>, id: &str) -> Reply {
    let id = artist_id(id)?;
    the_artist(call, id).await?;
    let list = TrackList::OfArtist(id);
    let page = call.house.catalog.list_tracks(&list, &At::Offset(0), TOP_TRACKS).await;
    let page = page.map_err(|error| failed(&error))?;
    let tracks: Vec<_> = page.items.iter().map(|track| shapes::track(track)).collect();
    Ok(Answer::Entity(json!({ "tracks": tracks })))
}

pub(super) async fn albums(call: &Call<'_>) -> Reply {
    if call.params.text("ids").is_some() {
        return several(call, "albums").await;
    }
    let (order, list) = match call.params.text("order") {
        None | Some("name") => ("name", ReleaseList::ByName),
        Some("newest") => ("newest", ReleaseList::Newest),
        Some("played") => ("played", ReleaseList::MostPlayed),
        Some(_) => return Err(wrong("order", "it is name, newest or played")),
    };
    list_albums(call, &list, &format!("/v1/albums?order={order}")).await
}

pub(super) async fn albums_of(call: &Call<'_>, id: &str) -> Reply {
    let id = artist_id(id)?;
    the_artist(call, id).await?;
    let groups = call.params.text("include_groups");
    let kind = match groups {
        Some("album") => Some(ReleaseKind::Album),
        Some("compilation") => Some(ReleaseKind::Compilation),
        _ => None,
    };
    let more = groups.filter(|_| kind.is_some()).map(|groups| format!("?include_groups={groups}")).unwrap_or_default();
    list_albums(call, &ReleaseList::OfArtist(id, kind), &format!("/v1/artists/{id}/albums{more}")).await
}

pub(super) async fn artists(call: &Call<'_>) -> Reply {
    if call.params.text("ids").is_some() {
        return several(call, "artists").await;
    }
    let (limit, offset) = (call.limit()?, call.offset()?);
    let page = call.house.catalog.list_artists(&ArtistList::ByName, &At::Offset(offset), limit as usize).await;
    let page = page.map_err(|error| failed(&error))?;
    let listed = Listed { href: "/v1/artists", limit, offset, total: page.total };
    let items = page.items.iter().map(|artist| shown::Artist::new(artist, &call.here)).collect();
    Ok(Answer::page(&shown::Page::new(&listed, items, &call.here)))
}

/// The first page: what came last, and what is played most.
pub(super) async fn home(call: &Call<'_>) -> Reply {
    let catalog = &call.house.catalog;
    let start = At::Offset(0);
    let newest = catalog.list_releases(&ReleaseList::Newest, &start, SHELF).await.map_err(|error| failed(&error))?;
    let played = catalog.list_tracks(&TrackList::MostPlayed, &start, SHELF).await.map_err(|error| failed(&error))?;
    let albums: Vec<_> = newest.items.iter().map(|release| shapes::album(release)).collect();
    let popular: Vec<_> = played.items.iter().filter(|track| track.plays > 0).map(|t| shapes::track(t)).collect();
    let mut shelves = vec![json!({ "id": "recent", "title": "Recently added", "albums": albums })];
    if !popular.is_empty() {
        shelves.push(json!({ "id": "popular", "title": "Most played", "tracks": popular }));
    }
    Ok(Answer::Entity(json!({ "shelves": shelves })))
}

/// How far the making of tracks is. `tracks` are those that can be heard by now.
pub(super) async fn ingest(call: &Call<'_>) -> Reply {
    let counts = call.house.catalog.counts().await.map_err(|error| failed(&error))?;
    let mut said = json!(call.house.making.now());
    said["tracks"] = json!(counts.tracks);
    Ok(Answer::Entity(said))
}

async fn list_albums(call: &Call<'_>, list: &ReleaseList, href: &str) -> Reply {
    let (limit, offset) = (call.limit()?, call.offset()?);
    let page = call.house.catalog.list_releases(list, &At::Offset(offset), limit as usize).await;
    let page = page.map_err(|error| failed(&error))?;
    let listed = Listed { href, limit, offset, total: page.total };
    let items = page.items.iter().map(|release| shown::Album::new(release, &call.here)).collect();
    Ok(Answer::page(&shown::Page::new(&listed, items, &call.here)))
}

/// A page of tracks, before it is written.
struct Tracks {
    page: Page<Arc<Track>>,
    href: String,
    limit: u64,
    offset: u64,
}

impl Tracks {
    fn shown<'a>(&'a self, here: &'a str) -> shown::Page<shown::Track<'a>> {
        let Self { page, href, limit, offset } = self;
        let listed = Listed { href, limit: *limit, offset: *offset, total: page.total };
        shown::Page::new(&listed, page.items.iter().map(|track| shown::Track::new(track, here)).collect(), here)
    }
}

async fn list_tracks(
    call: &Call<'_>,
    list: &TrackList,
    href: String,
    limit: u64,
    offset: u64,
) -> Result<Tracks, Problem> {
    let page = call.house.catalog.list_tracks(list, &At::Offset(offset), limit as usize).await;
    Ok(Tracks { page: page.map_err(|error| failed(&error))?, href, limit, offset })
}

fn artist_id(text: &str) -> Result<ArtistId, Problem> {
    ArtistId::parse(text).map_err(|_| no_such("artist"))
}

/// An album's id out of a path.
pub(super) fn release_id(text: &str) -> Result<ReleaseId, Problem> {
    ReleaseId::parse(text).map_err(|_| no_such("album"))
}

/// A track's id out of a path.
pub(super) fn track_id(text: &str) -> Result<TrackId, Problem> {
    TrackId::parse(text).map_err(|_| no_such("track"))
}
