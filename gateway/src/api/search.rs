//! `GET /v1/search`.

use needledrop_catalog::search::{Kind, Kinds, Matches, Query, Score};
use needledrop_core::{ArtistId, EpisodeId, Problem, ReleaseId, ShowId, TrackId};
use needledrop_playback::{Caller, Scope};
use serde_json::{Map, Value, json};

use super::param::{Kind as Wish, Param, page_until};
use super::{Call, playlists};
use crate::answer::{Answer, Reply, failed};
use crate::lists::find::{self, Own};
use crate::query::wrong;
use crate::shapes::{self, Listed};

/// Where a search may begin: nobody reads further, and ranking costs by depth.
const OFFSET_MAX: u64 = 1_000;
/// The longest text that is looked for. Unit: characters. Longer than any name, its accents piled up.
const TEXT_CHARS_MAX: usize = 1_000;

/// A page of what is found.
pub(super) const PAGE: [Param; 2] = page_until(OFFSET_MAX);
/// What is looked for.
pub(super) const PARAMS: [Param; 3] = [
    Param::required(
        "q",
        Wish::Text { chars_max: TEXT_CHARS_MAX },
        "What to look for; the last word may be unfinished.",
    ),
    Param::optional(
        "type",
        Wish::Words(&["artist", "album", "track", "playlist", "show", "episode"]),
        "What kinds of things, with commas between them; without it `artist,album,track`.",
    ),
    Param::optional("explain", Wish::Word(&["0", "1"]), "1 gives each hit the `score` that it is ranked by."),
];

/// Name in `type`, member of the answer, kind.
const TYPES: [(&str, &str, Kind); 6] = [
    ("artist", "artists", Kind::Artist),
    ("album", "albums", Kind::Release),
    ("track", "tracks", Kind::Track),
    ("playlist", "playlists", Kind::Playlist),
    ("show", "shows", Kind::Show),
    ("episode", "episodes", Kind::Episode),
];

pub(super) async fn search(call: &Call<'_>, caller: &Caller) -> Reply {
    let text = call.params.text("q").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| wrong("q", "say what to look for"))?;
    let wanted = call.params.text("type").unwrap_or("artist,album,track");
    let (limit, offset) = (call.limit()?, call.params.number("offset", 0..=OFFSET_MAX, 0)?);
    let mut said = Map::new();
    for name in wanted.split(',') {
        let known = TYPES.iter().find(|(of, ..)| *of == name);
        let (name, member, kind) =
            known.ok_or_else(|| wrong("type", "it is artist, album, track, playlist, show, episode"))?;
        let page = (offset as usize, limit as usize);
        let (found, total) = match kind {
            Kind::Playlist => of_playlists(call, caller, text, page).await?,
            _ => of_catalog(call, *kind, text, page).await?,
        };
        let explained = |(mut item, score): (Value, Score)| {
            if call.params.text("explain") == Some("1") {
                item["score"] = json!(score.to_string());
            }
            item
        };
        let items = found.into_iter().map(explained).collect();
        let q: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let href = format!("/v1/search?q={q}&type={name}");
        // What lies behind the last page that may be asked for is not among what is told of.
        let listed = Listed { href: &href, limit, offset, total: total.min(OFFSET_MAX) };
        said.insert((*member).to_owned(), listed.page(items));
    }
    Ok(Answer::Entity(Value::Object(said)))
}

/// What is found, best first, and how many there are, as far as was looked.
type Found = (Vec<(Value, Score)>, u64);

/// Of one kind, by the names in the catalog.
async fn of_catalog(
    call: &Call<'_>,
    kind: Kind,
    text: &str,
    (offset, limit): (usize, usize),
) -> Result<Found, Problem> {
    let found = call.house.index.search(&Query { text, kinds: Kinds::of(&[kind]), limit, offset, is_prefix: true });
    let mut items = Vec::with_capacity(found.hits.len());
    for hit in &found.hits {
        if let Some(item) = entity(call, kind, hit.id.as_str()).await? {
            items.push((item, hit.score));
        }
    }
    Ok((items, seen(found.matches)))
}

/// Playlists that the caller may see. Private ones are for who may read his private ones.
async fn of_playlists(call: &Call<'_>, caller: &Caller, text: &str, page: (usize, usize)) -> Result<Found, Problem> {
    let own = if caller.may(Scope::PlaylistReadPrivate).is_ok() { Own::Included } else { Own::LeftOut };
    let (house, reader) = (call.house, caller.account().id);
    let found = find::find(&house.index, &house.playlists, (reader, own), text, page).await;
    let found = found.map_err(|error| playlists::problem(&error))?;
    let items = found.hits.iter().map(|(list, score)| (playlists::shape(list, caller), *score)).collect();
    Ok((items, found.total))
}

/// How many there are, as far as was looked.
fn seen(matches: Matches) -> u64 {
    match matches {
        Matches::Exactly(count) | Matches::AtLeast(count) => count as u64,
    }
}

/// What a hit stands for; None if it has gone meanwhile, or is of a kind that is kept elsewhere.
async fn entity(call: &Call<'_>, kind: Kind, id: &str) -> Result<Option<Value>, Problem> {
    let catalog = &call.house.catalog;
    let found = match kind {
        Kind::Artist => match ArtistId::parse(id) {
            Ok(id) => catalog.artist(id).await.map(|found| found.map(|artist| shapes::artist(&artist))),
            Err(_) => Ok(None),
        },
        Kind::Release => match ReleaseId::parse(id) {
            Ok(id) => catalog.release(id).await.map(|found| found.map(|release| shapes::album(&release))),
            Err(_) => Ok(None),
        },
        Kind::Track => match TrackId::parse(id) {
            Ok(id) => catalog.track(id).await.map(|found| found.map(|track| shapes::track(&track))),
            Err(_) => Ok(None),
        },
        Kind::Show => match ShowId::parse(id) {
            Ok(id) => catalog.show(id).await.map(|found| found.map(|show| shapes::show(&show))),
            Err(_) => Ok(None),
        },
        Kind::Episode => match EpisodeId::parse(id) {
            Ok(id) => catalog.episode(id).await.map(|found| found.map(|episode| shapes::episode(&episode, None))),
            Err(_) => Ok(None),
        },
        // Of these the catalog knows nothing: `of_playlists`.
        Kind::Playlist => Ok(None),
    };
    found.map_err(|error| failed(&error))
}
