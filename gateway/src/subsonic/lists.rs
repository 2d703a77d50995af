//! Lists: of albums, of genres, by chance, by likeness, and what a search finds.

use std::sync::Arc;

use needledrop_catalog::model::Track;
use needledrop_catalog::search::{DEPTH_MAX, Kind, Kinds, Query};
use needledrop_catalog::store::{ArtistList, At, ReleaseList, TrackList};
use needledrop_core::ReleaseId;
use needledrop_playlist::Thing;

use super::failure::Failure;
use super::library::random;
use super::params::Named;
use super::response::Element;
use super::{Call, Reply, shapes, tree};

/// Most things of one list, as the protocol has it for albums and songs.
const LIST_MAX: u64 = 500;
/// Most genres of one answer.
const GENRES_MAX: usize = 1_000;
/// The last year that four digits name.
const YEAR_MAX: u64 = 9_999;

pub(super) async fn albums(call: &Call<'_>) -> Reply {
    let kind = call.params.required("type")?;
    let size = call.params.number("size", LIST_MAX, 10)? as usize;
    let offset = call.params.number("offset", u64::from(u32::MAX), 0)?;
    let list = match kind {
        "random" => ReleaseList::Shuffled(u64::from_be_bytes(random()?)),
        "newest" => ReleaseList::Newest,
        "frequent" => ReleaseList::MostPlayed,
        // The catalog has no list of releases by artist: a stable order all the same, so that paging misses nothing.
        "alphabeticalByName" | "alphabeticalByArtist" => ReleaseList::ByName,
        "byYear" => {
            call.params.required("fromYear")?;
            call.params.required("toYear")?;
            let from = call.params.number("fromYear", YEAR_MAX, 0)? as u16;
            let to = call.params.number("toYear", YEAR_MAX, 0)? as u16;
            ReleaseList::Years(from.min(to), from.max(to))
        }
        "byGenre" => ReleaseList::Genre(call.params.required("genre")?.to_owned()),
        "starred" | "highest" => return marked_albums(call, kind, offset, size).await,
        "recent" => return tree("albumList2", Element::new().many("album", Vec::new())),
        _ => return Err(Failure::wrong("type", "there is no such list")),
    };
    let releases = call.releases(&list, offset, size).await?;
    tree("albumList2", Element::new().many("album", shapes::albums(call, &releases).await?))
}

async fn marked_albums(call: &Call<'_>, kind: &str, offset: u64, size: usize) -> Reply {
    let account = call.caller.account().id;
    let things: Vec<Thing> = match kind {
        "starred" => call.lists.starred(account).await?.into_iter().map(|star| star.thing).collect(),
        _ => call.lists.ratings(account).await?.into_iter().map(|(thing, _)| thing).collect(),
    };
    let releases = things.into_iter().filter_map(|thing| match thing {
        Thing::Release(id) => Some(id),
        _ => None,
    });
    let ids: Vec<ReleaseId> = releases.skip(offset as usize).take(size).collect();
    let found: Vec<_> = call.house.catalog.releases(&ids).await?.into_iter().flatten().collect();
    tree("albumList2", Element::new().many("album", shapes::albums(call, &found).await?))
}

/// Walks the tracks by genre from one genre to the next: two questions for each genre, whatever the library's size.
pub(super) async fn genres(call: &Call<'_>) -> Reply {
    let catalog = &call.house.catalog;
    let (mut place, mut genres) = (0, Vec::new());
    while genres.len() < GENRES_MAX {
        let page = catalog.list_tracks(&TrackList::ByGenre, &At::Offset(place), 1).await?;
        let Some(name) = page.items.first().and_then(|track| track.genre.clone()) else { break };
        let first = At::Offset(0);
        let songs = catalog.list_tracks(&TrackList::Genre(name.clone()), &first, 1).await?.total;
        let albums = catalog.list_releases(&ReleaseList::Genre(name.clone()), &first, 1).await?.total;
        genres.push(Element::new().with("songCount", songs).with("albumCount", albums).said(name));
        place += songs.max(1);
    }
    tree("genres", Element::new().many("genre", genres))
}

pub(super) async fn random_songs(call: &Call<'_>) -> Reply {
    let size = call.params.number("size", LIST_MAX, 10)? as usize;
    let drawn = u64::from_be_bytes(random()?);
    let years = call.params.text("fromYear").is_some() || call.params.text("toYear").is_some();
    let tracks = match call.params.text("genre") {
        Some(genre) => stretch(call, &TrackList::Genre(genre.to_owned()), drawn, size).await?,
        None if years => {
            let from = call.params.number("fromYear", YEAR_MAX, 0)? as u16;
            let to = call.params.number("toYear", YEAR_MAX, YEAR_MAX)? as u16;
            stretch(call, &TrackList::Years(from.min(to), from.max(to)), drawn, size).await?
        }
        None => call.tracks_of(&TrackList::Shuffled(drawn), 0, size).await?,
    };
    tree("randomSongs", Element::new().many("song", shapes::songs(call, &tracks).await?))
}

/// So many tracks from a place in the list that chance decides.
async fn stretch(call: &Call<'_>, list: &TrackList, drawn: u64, size: usize) -> Result<Vec<Arc<Track>>, Failure> {
    let total = call.house.catalog.list_tracks(list, &At::Offset(0), 1).await?.total;
    let room = total.saturating_sub(size as u64);
    call.tracks_of(list, drawn % (room + 1), size).await
}

pub(super) async fn top_songs(call: &Call<'_>) -> Reply {
    let name = call.params.required("artist")?;
    let count = call.params.number("count", LIST_MAX, 50)? as usize;
    let found = call.house.index.search(&Query::full(name, Kinds::of(&[Kind::Artist]), 10));
    let mut tracks = Vec::new();
    for hit in &found.hits {
        let Ok(id) = hit.id.as_str().parse() else { continue };
        let Some(artist) = call.house.catalog.artist(id).await? else { continue };
        if artist.name.to_lowercase() == name.to_lowercase() {
            tracks = call.tracks_of(&TrackList::OfArtist(id), 0, count).await?;
            break;
        }
    }
    tree("topSongs", Element::new().many("song", shapes::songs(call, &tracks).await?))
}

/// What the same artist is played for most, then tracks of the same genre: half of each where both are there.
pub(super) async fn similar_songs(call: &Call<'_>, name: &'static str) -> Reply {
    let named = Named::parse(call.params.required("id")?)?;
    let count = call.params.number("count", LIST_MAX, 50)? as usize;
    let (artist, genre) = match named {
        Named::Artist(id) => (Some(id), call.the_artist(id).await?.genres.first().cloned()),
        Named::Release(id) => {
            let release = call.the_release(id).await?;
            (release.artists.first().map(|artist| artist.id), release.genres.first().cloned())
        }
        Named::Track(id) => {
            let track = call.the_track(id).await?;
            (track.artists.first().map(|artist| artist.id), track.genre.clone())
        }
        Named::Playlist(_) => return Err(Failure::not_found()),
    };
    let mut similar = Vec::new();
    if let Some(artist) = artist {
        similar = call.tracks_of(&TrackList::OfArtist(artist), 0, count.div_ceil(2)).await?;
    }
    if let Some(genre) = genre {
        let drawn = u64::from_be_bytes(random()?);
        similar.extend(stretch(call, &TrackList::Genre(genre), drawn, count).await?);
    }
    let mut seen = std::collections::HashSet::new();
    similar.retain(|track| named != Named::Track(track.id) && seen.insert(track.id));
    similar.truncate(count);
    tree(name, Element::new().many("song", shapes::songs(call, &similar).await?))
}

/// Where one of the three lists of a search begins, and how long it is.
struct Part {
    count: usize,
    offset: u64,
}

fn part(call: &Call<'_>, count: &str, offset: &str) -> Result<Part, Failure> {
    let count = call.params.number(count, LIST_MAX, 20)? as usize;
    Ok(Part { count, offset: call.params.number(offset, u64::from(u32::MAX), 0)? })
}

/// Without words it is the whole library, paged: so clients copy it.
pub(super) async fn search(call: &Call<'_>) -> Reply {
    let text = call.params.required("query")?.trim();
    let artists = part(call, "artistCount", "artistOffset")?;
    let albums = part(call, "albumCount", "albumOffset")?;
    let songs = part(call, "songCount", "songOffset")?;
    let (found_artists, found_albums, found_songs) = if text.is_empty() || text == "\"\"" {
        (
            call.artists_of(&ArtistList::ByName, artists.offset, artists.count).await?,
            call.releases(&ReleaseList::ByName, albums.offset, albums.count).await?,
            call.tracks_of(&TrackList::ByName, songs.offset, songs.count).await?,
        )
    } else {
        let catalog = &call.house.catalog;
        let artists = hits(call, text, Kind::Artist, &artists);
        let albums = hits(call, text, Kind::Release, &albums);
        let songs = hits(call, text, Kind::Track, &songs);
        (
            catalog.artists(&artists).await?.into_iter().flatten().collect(),
            catalog.releases(&albums).await?.into_iter().flatten().collect(),
            catalog.tracks(&songs).await?.into_iter().flatten().collect(),
        )
    };
    let found = Element::new()
        .many("artist", shapes::artists(call, &found_artists).await?)
        .many("album", shapes::albums(call, &found_albums).await?)
        .many("song", shapes::songs(call, &found_songs).await?);
    tree("searchResult3", found)
}

fn hits<I: std::str::FromStr>(call: &Call<'_>, text: &str, kind: Kind, part: &Part) -> Vec<I> {
    let offset = part.offset as usize;
    let limit = part.count.min(DEPTH_MAX.saturating_sub(offset));
    if limit == 0 {
        return Vec::new();
    }
    // Old clients end words with an asterisk to find what begins so.
    let text = text.trim_end_matches('*');
    let query = Query { text, kinds: Kinds::of(&[kind]), limit, offset, is_prefix: true };
    call.house.index.search(&query).hits.iter().filter_map(|hit| hit.id.as_str().parse().ok()).collect()
}
