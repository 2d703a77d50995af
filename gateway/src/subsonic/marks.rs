//! Stars and ratings of the caller.

use needledrop_playlist::{Rating, Thing};

use super::failure::Failure;
use super::params::Named;
use super::response::Element;
use super::{Call, Reply, done, shapes, tree};

/// Most starred things that are shown of each kind: what one question to the catalog holds.
const SHOWN_MAX: usize = needledrop_catalog::store::IDS_MAX;

/// What a call names: `id` is anything, the other two say of which kind.
fn things(call: &Call<'_>) -> Result<Vec<Thing>, Failure> {
    let names = ["id", "albumId", "artistId"].into_iter().flat_map(|name| call.params.all(name));
    let things: Vec<Thing> =
        names.map(|text| Named::parse(text)?.thing().ok_or_else(Failure::not_found)).collect::<Result<_, Failure>>()?;
    if things.is_empty() { Err(Failure::missing("id")) } else { Ok(things) }
}

async fn is_there(call: &Call<'_>, thing: Thing) -> Result<(), Failure> {
    match thing {
        Thing::Artist(id) => call.the_artist(id).await.map(drop),
        Thing::Release(id) => call.the_release(id).await.map(drop),
        Thing::Track(id) => call.the_track(id).await.map(drop),
    }
}

pub(super) async fn star(call: &Call<'_>) -> Reply {
    let things = things(call)?;
    for thing in &things {
        is_there(call, *thing).await?;
    }
    call.lists.star(call.caller.account().id, &things, call.now).await?;
    done()
}

pub(super) async fn unstar(call: &Call<'_>) -> Reply {
    call.lists.unstar(call.caller.account().id, &things(call)?).await?;
    done()
}

pub(super) async fn rate(call: &Call<'_>) -> Reply {
    let thing = Named::parse(call.params.required("id")?)?.thing().ok_or_else(Failure::not_found)?;
    let rating = match call.params.required("rating")?.parse::<u8>() {
        Ok(0) => None,
        Ok(number) => Some(Rating::new(number).ok_or_else(|| Failure::wrong("rating", "it is 0 to 5"))?),
        Err(_) => return Err(Failure::wrong("rating", "it is 0 to 5")),
    };
    is_there(call, thing).await?;
    call.lists.rate(call.caller.account().id, thing, rating).await?;
    done()
}

pub(super) async fn starred(call: &Call<'_>) -> Reply {
    let (mut artists, mut releases, mut tracks) = (Vec::new(), Vec::new(), Vec::new());
    for star in call.lists.starred(call.caller.account().id).await? {
        match star.thing {
            Thing::Artist(id) if artists.len() < SHOWN_MAX => artists.push(id),
            Thing::Release(id) if releases.len() < SHOWN_MAX => releases.push(id),
            Thing::Track(id) if tracks.len() < SHOWN_MAX => tracks.push(id),
            _ => {}
        }
    }
    let catalog = &call.house.catalog;
    let artists: Vec<_> = catalog.artists(&artists).await?.into_iter().flatten().collect();
    let releases: Vec<_> = catalog.releases(&releases).await?.into_iter().flatten().collect();
    let tracks: Vec<_> = catalog.tracks(&tracks).await?.into_iter().flatten().collect();
    let starred = Element::new()
        .many("artist", shapes::artists(call, &artists).await?)
        .many("album", shapes::albums(call, &releases).await?)
        .many("song", shapes::songs(call, &tracks).await?);
    tree("starred2", starred)
}
