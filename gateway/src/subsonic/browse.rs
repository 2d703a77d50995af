//! Walking through the library: folders, artists, releases, tracks, and what is said about them.

use std::sync::Arc;

use needledrop_catalog::model::Artist;
use needledrop_catalog::store::{ArtistList, PAGE_MAX, ReleaseList, TrackList};
use needledrop_playlist::Thing;

use super::failure::Failure;
use super::params::Named;
use super::response::Element;
use super::{Call, Reply, shapes, tree};

/// The one folder: the whole library.
const FOLDER: u32 = 0;

/// Most similar artists.
const SIMILAR_MAX: u64 = 50;

pub(super) fn music_folders() -> Reply {
    let folder = Element::new().with("id", FOLDER).with("name", "Music");
    tree("musicFolders", Element::new().many("musicFolder", vec![folder]))
}

pub(super) async fn artists(call: &Call<'_>) -> Reply {
    let artists = call.all_artists().await?;
    let counts = call.house.catalog.releases_by_artist().await?;
    let marks = marks_of(call, &artists).await?;
    let element = |artist: &Artist| shapes::artist(artist, counts.get(&artist.id).copied().unwrap_or_default(), &marks);
    tree("artists", Element::new().with("ignoredArticles", "").many("index", indexed(&artists, element)))
}

pub(super) async fn indexes(call: &Call<'_>) -> Reply {
    // Versions of the catalog grow with every change: a client that knows this one knows everything.
    let version = call.house.catalog.version().await?;
    let whole = Element::new().with("lastModified", version).with("ignoredArticles", "");
    if call.params.number("ifModifiedSince", u64::MAX, 0)? >= version && version > 0 {
        return tree("indexes", whole.many("index", Vec::new()));
    }
    let artists = call.all_artists().await?;
    let marks = marks_of(call, &artists).await?;
    tree("indexes", whole.many("index", indexed(&artists, |artist| shapes::folder(artist, &marks))))
}

/// Artists below the first letter of their sort names; what begins with no letter stands below `#`.
fn indexed(artists: &[Arc<Artist>], element: impl Fn(&Artist) -> Element) -> Vec<Element> {
    let mut groups: Vec<(String, Vec<Element>)> = Vec::new();
    for artist in artists {
        let letter = letter(&artist.sort_name);
        match groups.last_mut() {
            Some((last, group)) if *last == letter => group.push(element(artist)),
            _ => groups.push((letter, vec![element(artist)])),
        }
    }
    groups.into_iter().map(|(letter, group)| Element::new().with("name", letter).many("artist", group)).collect()
}

fn letter(name: &str) -> String {
    match name.trim_start().chars().next() {
        Some(first) if first.is_alphabetic() => first.to_uppercase().collect(),
        _ => "#".to_owned(),
    }
}

async fn marks_of(call: &Call<'_>, artists: &[Arc<Artist>]) -> Result<shapes::Marks, Failure> {
    let things: Vec<Thing> = artists.iter().map(|artist| Thing::Artist(artist.id)).collect();
    shapes::marks(call, &things).await
}

pub(super) async fn artist(call: &Call<'_>) -> Reply {
    let Named::Artist(id) = Named::parse(call.params.required("id")?)? else { return Err(Failure::not_found()) };
    let artist = call.the_artist(id).await?;
    let releases = call.releases(&ReleaseList::OfArtist(id, None), 0, PAGE_MAX).await?;
    let marks = marks_of(call, std::slice::from_ref(&artist)).await?;
    let element = shapes::artist(&artist, releases.len() as u64, &marks);
    tree("artist", element.many("album", shapes::albums(call, &releases).await?))
}

pub(super) async fn album(call: &Call<'_>) -> Reply {
    let Named::Release(id) = Named::parse(call.params.required("id")?)? else { return Err(Failure::not_found()) };
    let release = call.the_release(id).await?;
    let marks = shapes::marks(call, &[Thing::Release(id)]).await?;
    let tracks = call.tracks_of(&TrackList::OnRelease(id), 0, PAGE_MAX).await?;
    tree("album", shapes::album(&release, &marks).many("song", shapes::songs(call, &tracks).await?))
}

pub(super) async fn song(call: &Call<'_>) -> Reply {
    let Named::Track(id) = Named::parse(call.params.required("id")?)? else { return Err(Failure::not_found()) };
    let track = call.the_track(id).await?;
    let marks = shapes::marks(call, &[Thing::Track(id)]).await?;
    tree("song", shapes::song(&track, &marks))
}

pub(super) async fn music_directory(call: &Call<'_>) -> Reply {
    let text = call.params.required("id")?;
    let directory = |name: &str| Element::new().with("id", text).with("name", name);
    match Named::parse(text)? {
        Named::Artist(id) => {
            let artist = call.the_artist(id).await?;
            let releases = call.releases(&ReleaseList::OfArtist(id, None), 0, PAGE_MAX).await?;
            let things: Vec<Thing> = releases.iter().map(|release| Thing::Release(release.id)).collect();
            let marks = shapes::marks(call, &things).await?;
            let children = releases.iter().map(|release| shapes::directory(release, &marks)).collect();
            tree("directory", directory(&artist.name).many("child", children))
        }
        Named::Release(id) => {
            let release = call.the_release(id).await?;
            let tracks = call.tracks_of(&TrackList::OnRelease(id), 0, PAGE_MAX).await?;
            let parent = release.artists.first().map(|artist| Named::Artist(artist.id).to_string());
            let children = shapes::songs(call, &tracks).await?;
            tree("directory", directory(&release.title).maybe("parent", parent).many("child", children))
        }
        _ => Err(Failure::not_found()),
    }
}

/// Nothing is written about artists here; similar are those of the same first genre.
pub(super) async fn artist_info(call: &Call<'_>) -> Reply {
    let named = Named::parse(call.params.required("id")?)?;
    let id = match named {
        Named::Artist(id) => Some(id),
        Named::Release(id) => call.the_release(id).await?.artists.first().map(|artist| artist.id),
        Named::Track(id) => call.the_track(id).await?.artists.first().map(|artist| artist.id),
        Named::Playlist(_) | Named::Show(_) | Named::Episode(_) => None,
    };
    let artist = call.the_artist(id.ok_or_else(Failure::not_found)?).await?;
    let count = call.params.number("count", SIMILAR_MAX, 20)? as usize;
    let mut similar = Vec::new();
    if let Some(genre) = artist.genres.first() {
        similar = call.artists_of(&ArtistList::Genre(genre.clone()), 0, count + 1).await?;
        similar.retain(|other| other.id != artist.id);
        similar.truncate(count);
    }
    tree("artistInfo2", Element::new().many("similarArtist", shapes::artists(call, &similar).await?))
}

/// There are no lyrics here, which the protocol lets a server say.
pub(super) fn lyrics() -> Reply {
    tree("lyrics", Element::new())
}

pub(super) async fn lyrics_of_song(call: &Call<'_>) -> Reply {
    let Named::Track(id) = Named::parse(call.params.required("id")?)? else { return Err(Failure::not_found()) };
    call.the_track(id).await?;
    tree("lyricsList", Element::new().many("structuredLyrics", Vec::new()))
}
