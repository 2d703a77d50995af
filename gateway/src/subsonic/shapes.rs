//! Artists, releases and tracks as elements, with what the listener thinks of them.

use std::collections::HashMap;
use std::sync::Arc;

use needledrop_catalog::model::{Artist, ArtistName, Release, ReleaseKind, Track};
use needledrop_catalog::store::{At, ReleaseList};
use needledrop_core::{Codec, UnixSeconds};
use needledrop_playlist::{Mark, Thing};

use super::Call;
use super::failure::Failure;
use super::params::Named;
use super::response::Element;

/// What the listener thinks of the things of one answer.
pub(super) type Marks = HashMap<Thing, Mark>;

/// Looks up what the listener thinks of these things.
pub(super) async fn marks(call: &Call<'_>, things: &[Thing]) -> Result<Marks, Failure> {
    let account = call.caller.account().id;
    let mut marks = Marks::new();
    for some in things.chunks(needledrop_playlist::THINGS_MAX) {
        marks.extend(call.lists.marks(account, some).await?);
    }
    Ok(marks)
}

/// Tracks as elements, with their marks.
pub(super) async fn songs(call: &Call<'_>, tracks: &[Arc<Track>]) -> Result<Vec<Element>, Failure> {
    let things: Vec<Thing> = tracks.iter().map(|track| Thing::Track(track.id)).collect();
    let marks = marks(call, &things).await?;
    Ok(tracks.iter().map(|track| song(track, &marks)).collect())
}

/// Releases as elements of the kind `AlbumID3`, with their marks.
pub(super) async fn albums(call: &Call<'_>, releases: &[Arc<Release>]) -> Result<Vec<Element>, Failure> {
    let things: Vec<Thing> = releases.iter().map(|release| Thing::Release(release.id)).collect();
    let marks = marks(call, &things).await?;
    Ok(releases.iter().map(|release| album(release, &marks)).collect())
}

/// Artists as elements of the kind `ArtistID3`, with their marks. Counts their releases one by one: for short lists.
pub(super) async fn artists(call: &Call<'_>, artists: &[Arc<Artist>]) -> Result<Vec<Element>, Failure> {
    let things: Vec<Thing> = artists.iter().map(|artist| Thing::Artist(artist.id)).collect();
    let marks = marks(call, &things).await?;
    let mut elements = Vec::with_capacity(artists.len());
    for artist in artists {
        let list = ReleaseList::OfArtist(artist.id, None);
        let albums = call.house.catalog.list_releases(&list, &At::Offset(0), 1).await?.total;
        elements.push(self::artist(artist, albums, &marks));
    }
    Ok(elements)
}

/// An `ArtistID3`.
pub(super) fn artist(artist: &Artist, albums: u64, marks: &Marks) -> Element {
    let id = Named::Artist(artist.id).to_string();
    let element = Element::new()
        .with("id", id.as_str())
        .with("name", artist.name.as_str())
        .with("coverArt", id.as_str())
        .with("albumCount", albums)
        .with("sortName", artist.sort_name.as_str());
    marked(element, marks.get(&Thing::Artist(artist.id)))
}

/// An artist as a folder.
pub(super) fn folder(artist: &Artist, marks: &Marks) -> Element {
    let element = Element::new().with("id", Named::Artist(artist.id).to_string()).with("name", artist.name.as_str());
    marked(element, marks.get(&Thing::Artist(artist.id)))
}

/// An `AlbumID3`.
pub(super) fn album(release: &Release, marks: &Marks) -> Element {
    let id = Named::Release(release.id).to_string();
    let first = release.artists.first();
    let element = Element::new()
        .with("id", id.as_str())
        .with("name", release.title.as_str())
        .with("artist", joined(&release.artists))
        .maybe("artistId", first.map(|artist| Named::Artist(artist.id).to_string()))
        .with("coverArt", id.as_str())
        .with("songCount", release.tracks)
        .with("duration", release.duration_ms.div_ceil(1_000))
        .with("playCount", release.plays)
        .with("created", UnixSeconds(release.added))
        .maybe("year", release.date.map(|date| date.year))
        .maybe("genre", release.genres.first().map(String::as_str))
        .with("isCompilation", release.kind == ReleaseKind::Compilation)
        .with("displayArtist", joined(&release.artists))
        .words("releaseTypes", [kind(release.kind)])
        .many("genres", genres(release.genres.iter()))
        .many("artists", names(&release.artists));
    marked(element, marks.get(&Thing::Release(release.id)))
}

/// A release as a `Child`: a directory.
pub(super) fn directory(release: &Release, marks: &Marks) -> Element {
    let id = Named::Release(release.id).to_string();
    let parent = release.artists.first().map(|artist| Named::Artist(artist.id).to_string());
    let element = Element::new()
        .with("id", id.as_str())
        .maybe("parent", parent.as_deref())
        .with("isDir", true)
        .with("title", release.title.as_str())
        .with("album", release.title.as_str())
        .with("artist", joined(&release.artists))
        .maybe("year", release.date.map(|date| date.year))
        .maybe("genre", release.genres.first().map(String::as_str))
        .with("coverArt", id.as_str())
        .with("playCount", release.plays)
        .with("created", UnixSeconds(release.added))
        .maybe("artistId", parent.as_deref());
    marked(element, marks.get(&Thing::Release(release.id)))
}

/// A track as a `Child`.
pub(super) fn song(track: &Track, marks: &Marks) -> Element {
    let release = Named::Release(track.release.id).to_string();
    let best = track.renditions.iter().max_by_key(|made| (made.rendition.codec == Codec::Vorbis, made.rendition.kbps));
    let codec = best.map(|made| made.rendition.codec);
    let element = Element::new()
        .with("id", Named::Track(track.id).to_string())
        .with("parent", release.as_str())
        .with("isDir", false)
        .with("title", track.title.as_str())
        .with("album", track.release.title.as_str())
        .with("artist", joined(&track.artists))
        .maybe("track", Some(track.track_no).filter(|number| *number > 0))
        .maybe("year", track.release.date.map(|date| date.year))
        .maybe("genre", track.genre.as_deref())
        .with("coverArt", release.as_str())
        .maybe("size", best.map(|made| made.bytes))
        .maybe("contentType", codec.map(content_type))
        .maybe("suffix", codec.map(Codec::extension))
        .with("duration", track.duration_ms.div_ceil(1_000))
        .maybe("bitRate", best.map(|made| made.rendition.kbps.value()))
        .with("isVideo", false)
        .with("playCount", track.plays)
        .with("discNumber", track.disc_no)
        .with("created", UnixSeconds(track.added))
        .with("albumId", release.as_str())
        .maybe("artistId", track.artists.first().map(|artist| Named::Artist(artist.id).to_string()))
        .with("type", "music")
        .with("mediaType", "song")
        .with("displayArtist", joined(&track.artists))
        .words("isrc", track.isrc.iter().map(String::as_str))
        .many("genres", genres(track.genre.iter()))
        .many("artists", names(&track.artists));
    marked(element, marks.get(&Thing::Track(track.id)))
}

fn content_type(codec: Codec) -> &'static str {
    match codec {
        Codec::Vorbis => "audio/ogg",
        Codec::Aac => "audio/mp4",
    }
}

fn kind(kind: ReleaseKind) -> &'static str {
    match kind {
        ReleaseKind::Album => "Album",
        ReleaseKind::Single => "Single",
        ReleaseKind::Ep => "EP",
        ReleaseKind::Compilation => "Compilation",
    }
}

fn marked(element: Element, mark: Option<&Mark>) -> Element {
    let mark = mark.copied().unwrap_or_default();
    element.maybe("starred", mark.starred).maybe("userRating", mark.rating.map(|rating| rating.value()))
}

fn genres<'a>(names: impl Iterator<Item = &'a String>) -> Vec<Element> {
    names.map(|name| Element::new().with("name", name.as_str())).collect()
}

fn names(artists: &[ArtistName]) -> Vec<Element> {
    let name = |artist: &ArtistName| {
        Element::new().with("id", Named::Artist(artist.id).to_string()).with("name", artist.name.as_str())
    };
    artists.iter().map(name).collect()
}

fn joined(artists: &[ArtistName]) -> String {
    artists.iter().map(|artist| artist.name.as_str()).collect::<Vec<_>>().join(", ")
}
