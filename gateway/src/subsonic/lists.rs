//! Lists: of albums, of genres, by chance, by likeness, and what a search finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use needledrop_catalog::model::{Artist, Release, Track};
use needledrop_catalog::search::{DEPTH_MAX, Kind, Kinds, Query};
use needledrop_catalog::store::{ArtistList, At, PAGE_MAX, ReleaseList, TrackList};
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
/// Places of a long list from which one answer is drawn.
const STRETCHES: usize = 50;
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
            let releases = of_years_in_order(call, from, to, offset, size).await?;
            return tree("albumList2", Element::new().many("album", shapes::albums(call, &releases).await?));
        }
        "byGenre" => ReleaseList::Genre(call.params.required("genre")?.to_owned()),
        "starred" | "highest" => return marked_albums(call, kind, offset, size).await,
        "recent" => return tree("albumList2", Element::new().many("album", Vec::new())),
        _ => return Err(Failure::wrong("type", "there is no such list")),
    };
    let releases = call.releases(&list, offset, size).await?;
    tree("albumList2", Element::new().many("album", shapes::albums(call, &releases).await?))
}

/// Albums of years, the oldest first; the newest first where the later year is named first.
async fn of_years_in_order(
    call: &Call<'_>,
    from: u16,
    to: u16,
    offset: u64,
    size: usize,
) -> Result<Vec<Arc<Release>>, Failure> {
    let list = ReleaseList::Years(from.min(to), from.max(to));
    if from <= to {
        return call.releases(&list, offset, size).await;
    }
    let total = call.house.catalog.list_releases(&list, &At::Offset(0), 1).await?.total;
    let end = total.saturating_sub(offset);
    let first = end.saturating_sub(size as u64);
    let mut releases = call.releases(&list, first, (end - first) as usize).await?;
    releases.reverse();
    Ok(releases)
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
    let years = call.params.text("fromYear").is_some() || call.params.text("toYear").is_some();
    let tracks = match call.params.text("genre") {
        Some(genre) if years => of_years(call, genre, size).await?,
        Some(genre) => sample(call, &TrackList::Genre(genre.to_owned()), size).await?,
        None if years => {
            let (from, to) = years_of(call)?;
            sample(call, &TrackList::Years(from.min(to), from.max(to)), size).await?
        }
        None => call.tracks_of(&TrackList::Shuffled(u64::from_be_bytes(random()?)), 0, size).await?,
    };
    tree("randomSongs", Element::new().many("song", shapes::songs(call, &tracks).await?))
}

fn years_of(call: &Call<'_>) -> Result<(u16, u16), Failure> {
    let from = call.params.number("fromYear", YEAR_MAX, 0)? as u16;
    Ok((from, call.params.number("toYear", YEAR_MAX, YEAR_MAX)? as u16))
}

/// A genre within years: the tracks of a sample of the genre that are of these years. There is no list of both, so that
/// there may be fewer than were asked for.
async fn of_years(call: &Call<'_>, genre: &str, size: usize) -> Result<Vec<Arc<Track>>, Failure> {
    let (from, to) = years_of(call)?;
    let years = from.min(to)..=from.max(to);
    let mut tracks = sample(call, &TrackList::Genre(genre.to_owned()), LIST_MAX as usize).await?;
    tracks.retain(|track| track.release.date.is_some_and(|date| years.contains(&date.year)));
    tracks.truncate(size);
    Ok(tracks)
}

/// So many tracks of a list, drawn by chance. Of a list of one page each track is as likely as any other; of a longer
/// one short stretches are drawn, [`STRETCHES`] at most, so that the question costs no more for a longer list.
async fn sample(call: &Call<'_>, list: &TrackList, size: usize) -> Result<Vec<Arc<Track>>, Failure> {
    let mut dice = Dice(u64::from_be_bytes(random()?));
    let whole = call.house.catalog.list_tracks(list, &At::Offset(0), PAGE_MAX).await?;
    let mut drawn = whole.items;
    if whole.total > drawn.len() as u64 {
        drawn.clear();
        let length = size.div_ceil(STRETCHES).max(1);
        for piece in dice.pieces(whole.total / length as u64, size.div_ceil(length)) {
            drawn.extend(call.tracks_of(list, piece * length as u64, length).await?);
        }
    }
    dice.shuffle(&mut drawn);
    drawn.truncate(size);
    Ok(drawn)
}

/// A throw of the dice after another, from one number of the system's randomness (SplitMix64). For music, not for
/// secrets.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The high half of the product: no modulo, and even to one part in 2^64 / end.
        ((u128::from(number ^ number >> 31) * u128::from(end)) >> 64) as u64
    }

    /// So many different pieces of this many; all of them, if there are no more.
    fn pieces(&mut self, of: u64, count: usize) -> Vec<u64> {
        let mut drawn = BTreeSet::new();
        // Floyd's way: each set of pieces is as likely, and no throw is in vain.
        for last in of.saturating_sub(count as u64)..of {
            let piece = self.below(last + 1);
            if !drawn.insert(piece) {
                drawn.insert(last);
            }
        }
        drawn.into_iter().collect()
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
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

/// What the same artist is played for most, and a sample of the same genre: half of each where both are there, and the
/// second in another order each time.
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
        Named::Playlist(_) | Named::Show(_) | Named::Episode(_) => return Err(Failure::not_found()),
    };
    let mut similar = Vec::new();
    if let Some(artist) = artist {
        similar = call.tracks_of(&TrackList::OfArtist(artist), 0, count.div_ceil(2)).await?;
    }
    if let Some(genre) = genre {
        similar.extend(sample(call, &TrackList::Genre(genre), count).await?);
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

/// What a search finds.
struct Found {
    artists: Vec<Arc<Artist>>,
    albums: Vec<Arc<Release>>,
    songs: Vec<Arc<Track>>,
}

pub(super) async fn search(call: &Call<'_>) -> Reply {
    let found = find(call).await?;
    let said = Element::new()
        .many("artist", shapes::artists(call, &found.artists).await?)
        .many("album", shapes::albums(call, &found.albums).await?)
        .many("song", shapes::songs(call, &found.songs).await?);
    tree("searchResult3", said)
}

/// The same for programs that know folders and not artists and albums.
pub(super) async fn search_of_folders(call: &Call<'_>) -> Reply {
    let found = find(call).await?;
    let things = found.artists.iter().map(|artist| Thing::Artist(artist.id));
    let things: Vec<Thing> = things.chain(found.albums.iter().map(|release| Thing::Release(release.id))).collect();
    let marks = shapes::marks(call, &things).await?;
    let said = Element::new()
        .many("artist", found.artists.iter().map(|artist| shapes::folder(artist, &marks)).collect())
        .many("album", found.albums.iter().map(|release| shapes::directory(release, &marks)).collect())
        .many("song", shapes::songs(call, &found.songs).await?);
    tree("searchResult2", said)
}

/// Without words it is the whole library, paged: so clients copy it.
async fn find(call: &Call<'_>) -> Result<Found, Failure> {
    let text = call.params.required("query")?.trim();
    let artists = part(call, "artistCount", "artistOffset")?;
    let albums = part(call, "albumCount", "albumOffset")?;
    let songs = part(call, "songCount", "songOffset")?;
    if text.is_empty() || text == "\"\"" {
        return Ok(Found {
            artists: call.artists_of(&ArtistList::ByName, artists.offset, artists.count).await?,
            albums: call.releases(&ReleaseList::ByName, albums.offset, albums.count).await?,
            songs: call.tracks_of(&TrackList::ByName, songs.offset, songs.count).await?,
        });
    }
    let catalog = &call.house.catalog;
    let artists = hits(call, text, Kind::Artist, &artists);
    let albums = hits(call, text, Kind::Release, &albums);
    let songs = hits(call, text, Kind::Track, &songs);
    Ok(Found {
        artists: catalog.artists(&artists).await?.into_iter().flatten().collect(),
        albums: catalog.releases(&albums).await?.into_iter().flatten().collect(),
        songs: catalog.tracks(&songs).await?.into_iter().flatten().collect(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_drawn_about_as_often() {
        let mut dice = Dice(7);
        let mut seen = [0; 10];
        for _ in 0..2_000 {
            let drawn = dice.pieces(10, 3);
            assert_eq!(drawn.len(), 3);
            drawn.iter().for_each(|piece| seen[*piece as usize] += 1);
        }
        assert!(seen.iter().all(|times| (500..700).contains(times)), "{seen:?}");
        assert_eq!((dice.pieces(3, 9), dice.pieces(0, 5)), (vec![0, 1, 2], vec![]));
        let mut things: Vec<u32> = (0..100).collect();
        dice.shuffle(&mut things);
        assert_ne!(things, (0..100).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..100).collect::<Vec<_>>());
    }
}
