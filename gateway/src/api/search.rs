//! `GET /v1/search`.

use needledrop_catalog::search::{Kind, Kinds, Matches, Query};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, ShowId, TrackId};
use serde_json::{Map, Value, json};

use super::Call;
use super::param::{Kind as Wish, Param, page_until};
use crate::answer::{Answer, Reply, failed};
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

pub(super) async fn search(call: &Call<'_>) -> Reply {
    let text = call.params.text("q").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| wrong("q", "say what to look for"))?;
    let wanted = call.params.text("type").unwrap_or("artist,album,track");
    let (limit, offset) = (call.limit()?, call.params.number("offset", 0..=OFFSET_MAX, 0)?);
    let mut said = Map::new();
    for name in wanted.split(',') {
        let known = TYPES.iter().find(|(of, ..)| *of == name);
        let (name, member, kind) =
            known.ok_or_else(|| wrong("type", "it is artist, album, track, playlist, show, episode"))?;
        let query =
            Query { text, kinds: Kinds::of(&[*kind]), limit: limit as usize, offset: offset as usize, is_prefix: true };
        let found = call.house.index.search(&query);
        let mut items = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            if let Some(mut item) = entity(call, *kind, hit.id.as_str()).await? {
                if call.params.text("explain") == Some("1") {
                    item["score"] = json!(hit.score.to_string());
                }
                items.push(item);
            }
        }
        let q: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let href = format!("/v1/search?q={q}&type={name}");
        let listed = Listed { href: &href, limit, offset, total: seen(found.matches) };
        said.insert((*member).to_owned(), listed.page(items));
    }
    Ok(Answer::Entity(Value::Object(said)))
}

/// How many there are, as far as was looked.
fn seen(matches: Matches) -> u64 {
    match matches {
        Matches::Exactly(count) | Matches::AtLeast(count) => count as u64,
    }
}

/// What a hit stands for; None if it has gone meanwhile, or is of a kind that nothing is kept of yet.
async fn entity(call: &Call<'_>, kind: Kind, id: &str) -> Result<Option<Value>, needledrop_core::Problem> {
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
        Kind::Playlist => Ok(None),
    };
    found.map_err(|error| failed(&error))
}
