//! What somebody saved: tracks, albums and artists, which are the same as stars in OpenSubsonic.

use needledrop_core::{ArtistId, Problem, ReleaseId, TrackId, UnixSeconds};
use needledrop_playback::Caller;
use needledrop_playlist::Thing;
use serde_json::{Value, json};

use super::param::{Kind, Param};
use super::playlists::problem;
use super::{Call, no_such};
use crate::answer::{Answer, Reply, failed};
use crate::query::wrong;
use crate::shapes::{self, Listed};
use crate::subsonic::response::date_time;

/// Things by their addresses.
pub(super) const URIS: &[Param] = &[Param::required("uris", Kind::Uris, "Tracks, albums and artists.")];

/// What an address names: `needledrop:album:ID`, or as clients of the Spotify Web API write it.
pub(super) fn thing(uri: &str) -> Option<Thing> {
    let (kind, id) = ["needledrop:", "spotify:"].iter().find_map(|house| uri.strip_prefix(house))?.split_once(':')?;
    match kind {
        "track" => TrackId::parse(id).ok().map(Thing::Track),
        "album" => ReleaseId::parse(id).ok().map(Thing::Release),
        "artist" => ArtistId::parse(id).ok().map(Thing::Artist),
        _ => None,
    }
}

fn named(call: &Call<'_>) -> Result<Vec<Thing>, Problem> {
    let uris = call.params.text("uris").unwrap_or_default();
    let things = uris.split(',').map(thing).collect::<Option<Vec<_>>>();
    things.ok_or_else(|| wrong("uris", "write them as needledrop:track:ID, with commas between them"))
}

/// `PUT /v1/me/library`: all of them, or none where one is not there.
pub(super) async fn save(call: &Call<'_>, caller: &Caller) -> Reply {
    let things = named(call)?;
    if !are_there(call, &things).await? {
        return Err(no_such("uris"));
    }
    let saved = call.house.playlists.star(caller.account().id, &things, call.now).await;
    saved.map(|()| Answer::Nothing).map_err(|error| problem(&error))
}

/// `DELETE /v1/me/library`.
pub(super) async fn remove(call: &Call<'_>, caller: &Caller) -> Reply {
    let removed = call.house.playlists.unstar(caller.account().id, &named(call)?).await;
    removed.map(|()| Answer::Nothing).map_err(|error| problem(&error))
}

/// `GET /v1/me/library/contains`: for each, in the order in which they were named.
pub(super) async fn contains(call: &Call<'_>, caller: &Caller) -> Reply {
    let things = named(call)?;
    let marks = call.house.playlists.marks(caller.account().id, &things).await.map_err(|error| problem(&error))?;
    let saved = |thing| marks.get(thing).is_some_and(|marks| marks.starred.is_some());
    Ok(Answer::Entity(things.iter().map(|thing| Value::Bool(saved(thing))).collect()))
}

/// `GET /v1/me/tracks`.
pub(super) async fn tracks(call: &Call<'_>, caller: &Caller) -> Reply {
    let of_track = |thing| if let Thing::Track(id) = thing { Some(id) } else { None };
    let (page, listed) = saved(call, caller, "/v1/me/tracks", of_track).await?;
    let ids: Vec<_> = page.iter().map(|(id, _)| *id).collect();
    let known = call.house.catalog.tracks(&ids).await.map_err(|error| failed(&error))?;
    let shown = known.iter().map(|track| track.as_ref().map(|track| shapes::track(track)));
    Ok(Answer::Entity(listed.page(with_date("track", &page, shown))))
}

/// `GET /v1/me/albums`.
pub(super) async fn albums(call: &Call<'_>, caller: &Caller) -> Reply {
    let of_release = |thing| if let Thing::Release(id) = thing { Some(id) } else { None };
    let (page, listed) = saved(call, caller, "/v1/me/albums", of_release).await?;
    let ids: Vec<_> = page.iter().map(|(id, _)| *id).collect();
    let mut shown = Vec::with_capacity(ids.len());
    for release in call.house.catalog.releases(&ids).await.map_err(|error| failed(&error))? {
        shown.push(match release {
            Some(release) => Some(super::browse::with_tracks(call, &release).await?),
            None => None,
        });
    }
    Ok(Answer::Entity(listed.page(with_date("album", &page, shown.into_iter()))))
}

/// The page that is asked for of what was saved of a kind, the last first.
async fn saved<'a, Id>(
    call: &Call<'_>,
    caller: &Caller,
    href: &'a str,
    kind: impl Fn(Thing) -> Option<Id>,
) -> Result<(Vec<(Id, UnixSeconds)>, Listed<'a>), Problem> {
    let (limit, offset) = (call.limit()?, call.offset()?);
    let stars = call.house.playlists.starred(caller.account().id).await.map_err(|error| problem(&error))?;
    let all: Vec<_> = stars.into_iter().filter_map(|star| kind(star.thing).map(|id| (id, star.at))).collect();
    let total = all.len() as u64;
    let page = all.into_iter().skip(offset as usize).take(limit as usize).collect();
    Ok((page, Listed { href, limit, offset, total }))
}

/// What has left the catalog is not shown, and comes back with it.
fn with_date<Id>(name: &str, page: &[(Id, UnixSeconds)], shown: impl Iterator<Item = Option<Value>>) -> Vec<Value> {
    let pairs = page.iter().zip(shown);
    pairs.filter_map(|((_, at), shape)| shape.map(|shape| json!({ "added_at": date_time(*at), name: shape }))).collect()
}

async fn are_there(call: &Call<'_>, things: &[Thing]) -> Result<bool, Problem> {
    let (mut artists, mut releases, mut tracks) = (Vec::new(), Vec::new(), Vec::new());
    for thing in things {
        match *thing {
            Thing::Artist(id) => artists.push(id),
            Thing::Release(id) => releases.push(id),
            Thing::Track(id) => tracks.push(id),
        }
    }
    let catalog = &call.house.catalog;
    let artists = catalog.artists(&artists).await.map_err(|error| failed(&error))?;
    let releases = catalog.releases(&releases).await.map_err(|error| failed(&error))?;
    let tracks = catalog.tracks(&tracks).await.map_err(|error| failed(&error))?;
    Ok(artists.iter().all(Option::is_some)
        && releases.iter().all(Option::is_some)
        && tracks.iter().all(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_thing_that_can_be_saved() {
        let id = "4iV5W9uYEdYUVa79Axb7Rh";
        assert_eq!(thing(&format!("needledrop:track:{id}")), TrackId::parse(id).ok().map(Thing::Track));
        assert_eq!(thing(&format!("spotify:album:{id}")), ReleaseId::parse(id).ok().map(Thing::Release));
        assert_eq!(thing(&format!("spotify:artist:{id}")), ArtistId::parse(id).ok().map(Thing::Artist));
        for wrong in ["", id, "spotify:track:", "spotify:track:short", "other:track:4iV5W9uYEdYUVa79Axb7Rh"] {
            assert_eq!(thing(wrong), None, "{wrong}");
        }
        assert_eq!(thing(&format!("spotify:show:{id}")), None);
    }
}
