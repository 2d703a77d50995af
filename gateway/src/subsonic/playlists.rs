//! Playlists of the caller. The protocol counts places, so places are those of the tracks that are shown.

use std::collections::HashSet;
use std::sync::Arc;

use needledrop_catalog::model::Track;
use needledrop_core::{PlaylistId, TrackId};
use needledrop_playback::DisplayName;
use needledrop_playlist::{About, Change, Contents, ItemId, ListName, Playlist};

use super::failure::Failure;
use super::library::random;
use super::params::Named;
use super::readings::Reader;
use super::response::Element;
use super::{Call, Reply, done, shapes, tree};

/// A playlist with what is there of its tracks.
struct Shown {
    playlist: Playlist,
    items: Vec<(ItemId, Arc<Track>)>,
}

async fn shown(call: &Call<'_>, contents: Contents) -> Result<Shown, Failure> {
    let ids: Vec<TrackId> = contents.items.iter().map(|item| item.track).collect();
    let tracks = call.tracks(&ids).await?;
    let both = contents.items.iter().zip(tracks);
    let items = both.filter_map(|(item, track)| Some((item.id, track?))).collect();
    Ok(Shown { playlist: contents.playlist, items })
}

async fn read(call: &Call<'_>, id: PlaylistId) -> Result<Shown, Failure> {
    let contents = call.lists.get(call.caller.account().id, id).await?;
    shown(call, contents).await
}

/// Who reads which playlist.
fn reader(call: &Call<'_>, playlist: PlaylistId) -> Reader {
    // Bounded by what a name of a program is; two programs whose names agree so far are one.
    let client = call.params.text("c").unwrap_or_default().chars().take(DisplayName::CHARS_MAX).collect();
    Reader { token: call.caller.token(), client, playlist }
}

fn element(call: &Call<'_>, shown: &Shown) -> Element {
    let Shown { playlist, items } = shown;
    let account = call.caller.account();
    let id = Named::Playlist(playlist.id).to_string();
    let length_ms: u64 = items.iter().map(|(_, track)| track.duration_ms).sum();
    Element::new()
        .with("id", id.as_str())
        .with("name", playlist.name.as_str())
        .with("comment", playlist.about.as_str())
        .maybe("owner", (playlist.owner == account.id).then(|| account.name.as_str()))
        .with("public", playlist.is_public)
        .with("songCount", items.len())
        .with("duration", length_ms.div_ceil(1_000))
        .with("created", playlist.created)
        .with("changed", playlist.changed)
        .with("coverArt", id.as_str())
        .with("readonly", playlist.owner != account.id)
}

async fn whole(call: &Call<'_>, id: PlaylistId) -> Reply {
    let contents = call.lists.get(call.caller.account().id, id).await?;
    call.house.readings.read(reader(call, id), &contents);
    let shown = shown(call, contents).await?;
    let tracks: Vec<Arc<Track>> = shown.items.iter().map(|(_, track)| track.clone()).collect();
    tree("playlist", element(call, &shown).many("entry", shapes::songs(call, &tracks).await?))
}

fn named(text: &str) -> Result<PlaylistId, Failure> {
    match Named::parse(text)? {
        Named::Playlist(id) => Ok(id),
        _ => Err(Failure::not_found()),
    }
}

pub(super) async fn all(call: &Call<'_>) -> Reply {
    let account = call.caller.account();
    if call.params.text("username").is_some_and(|name| !name.eq_ignore_ascii_case(account.name.as_str())) {
        return Err(Failure::not_allowed("Only your own playlists are listed"));
    }
    let mut elements = Vec::new();
    for playlist in call.lists.list(account.id).await? {
        elements.push(element(call, &read(call, playlist.id).await?));
    }
    tree("playlists", Element::new().many("playlist", elements))
}

pub(super) async fn one(call: &Call<'_>) -> Reply {
    whole(call, named(call.params.required("id")?)?).await
}

/// The tracks that a parameter names, all of which must be there.
async fn tracks(call: &Call<'_>, name: &str) -> Result<Vec<TrackId>, Failure> {
    let mut ids = Vec::new();
    for text in call.params.all(name) {
        match Named::parse(text)? {
            Named::Track(id) => ids.push(id),
            _ => return Err(Failure::not_found()),
        }
    }
    let found = call.tracks(&ids).await?;
    if found.iter().all(Option::is_some) { Ok(ids) } else { Err(Failure::not_found()) }
}

fn name(text: &str) -> Result<ListName, Failure> {
    ListName::parse(text).map_err(|why| Failure::wrong("name", &why.to_string()))
}

/// A new one of this name, or the songs of one that is there replaced.
pub(super) async fn create(call: &Call<'_>) -> Reply {
    let owner = call.caller.account().id;
    let new_name = call.params.text("name").map(name).transpose()?;
    let songs = tracks(call, "songId").await?;
    let id = match (call.params.text("playlistId"), new_name) {
        (Some(text), new_name) => {
            let id = named(text)?;
            if new_name.is_some() {
                call.lists.rename(owner, id, Change { name: new_name, ..Change::default() }, call.now).await?;
            }
            // Others may have changed the list since this program read it: both changes hold.
            match call.house.readings.last(&reader(call, id)) {
                Some(base) => call.lists.merge_items(owner, id, &songs, &base, call.now).await?,
                None => call.lists.replace_items(owner, id, &songs, None, call.now).await?,
            };
            id
        }
        (None, Some(name)) => {
            let id = PlaylistId::from_random(random()?);
            call.lists.create(owner, id, name, call.now).await?;
            if !songs.is_empty() {
                call.lists.add(owner, id, &songs, call.now).await?;
            }
            id
        }
        (None, None) => return Err(Failure::missing("name")),
    };
    whole(call, id).await
}

pub(super) async fn update(call: &Call<'_>) -> Reply {
    let owner = call.caller.account().id;
    let id = named(call.params.required("playlistId")?)?;
    let about = call.params.text("comment").map(About::parse).transpose();
    let change = Change {
        name: call.params.text("name").map(name).transpose()?,
        about: about.map_err(|why| Failure::wrong("comment", &why.to_string()))?,
        is_public: call.params.is_set("public")?,
    };
    let added = tracks(call, "songIdToAdd").await?;
    let mut going = HashSet::new();
    for text in call.params.all("songIndexToRemove") {
        going.insert(text.parse::<usize>().map_err(|_| Failure::wrong("songIndexToRemove", "it is a whole number"))?);
    }
    if change.name.is_some() || change.about.is_some() || change.is_public.is_some() {
        call.lists.rename(owner, id, change, call.now).await?;
    }
    if !going.is_empty() {
        let shown = read(call, id).await?;
        let items = shown.items.iter().enumerate().filter(|(place, _)| going.contains(place));
        let items: Vec<ItemId> = items.map(|(_, (item, _))| *item).collect();
        call.lists.remove(owner, id, &items, Some(shown.playlist.revision), call.now).await?;
    }
    if !added.is_empty() {
        call.lists.add(owner, id, &added, call.now).await?;
    }
    done()
}

pub(super) async fn delete(call: &Call<'_>) -> Reply {
    call.lists.delete(call.caller.account().id, named(call.params.required("id")?)?).await?;
    done()
}
