//! `/v1/ops`: what an administrator may see and do about the edges. What it means is in [`crate::ops`].

use needledrop_core::{ObjectPath, Problem, TrackId};
use needledrop_playback::Caller;
use serde_json::{Value, json};

use super::Call;
use super::param::{Kind, Param};
use super::whole::Whole;
use crate::answer::{Answer, Reply, failed};
use crate::house::House;
use crate::ops::audit::Line;
use crate::ops::rings::Range;
use crate::ops::view::{Of, Overview};
use crate::ops::watched::Object;
use crate::query::wrong;

/// Lines of the audit list at once.
const LINES: u64 = 20;
const LINES_MAX: u64 = 100;

/// Of which edges, and how far back.
pub(super) const LOOK: &[Param] = &[
    Param::optional("range", Kind::Word(&["30m", "3h", "24h"]), "How far back the series goes."),
    Param::optional(
        "of",
        Kind::Shaped {
            pattern: "^(all|(region|edge):[^\\u0000-\\u001f\\u007f-\\u009f]{0,200})$",
            fits: |text| Of::parse(text).is_some(),
            said: "it is all, region:NAME or edge:NAME",
        },
        "Of which edges: `all`, `region:NAME` or `edge:NAME`. The list of edges is whole.",
    ),
];

/// A piece of the audit list.
pub(super) const PIECE: &[Param] = &[
    Param::optional("limit", Kind::Whole { least: 1, most: LINES_MAX, usual: LINES }, "How many lines."),
    Param::optional(
        "before",
        Kind::Whole { least: 0, most: Whole::MAX, usual: Whole::MAX },
        "Lines with smaller numbers only: `more_before` of the piece before.",
    ),
];

/// `GET /v1/ops`.
pub(super) async fn overview(call: &Call<'_>) -> Reply {
    let range = Range::from_name(call.params.text("range").unwrap_or(Range::HalfHour.name()));
    let range = range.ok_or_else(|| wrong("range", "it is 30m, 3h or 24h"))?;
    let of = Of::parse(call.params.text("of").unwrap_or("all"));
    let of = of.ok_or_else(|| wrong("of", "it is all, region:NAME or edge:NAME"))?;
    let Overview { mut value, wanted } = call.house.ops.overview(&of, range, call.now);
    let mut objects = Vec::with_capacity(wanted.objects.len());
    for object in &wanted.objects {
        objects.push(named(call.house, object).await?);
    }
    value["top"]["objects"] = objects.into();
    Ok(Answer::Private(value))
}

/// An object with what the catalog calls it; one that is not in it keeps its path alone.
async fn named(house: &House, object: &Object) -> Result<Value, Problem> {
    let mut value = json!(object);
    let Ok(path) = ObjectPath::parse(&object.path) else { return Ok(value) };
    match path.segments().collect::<Vec<_>>()[..] {
        ["tracks", id, _, file] => {
            value["kind"] = json!("track");
            value["rendition"] = json!(file);
            if let Ok(id) = TrackId::parse(id)
                && let Some(track) = house.catalog.track(id).await.map_err(|error| failed(&error))?
            {
                value["track"] = json!(id.as_str());
                value["name"] = json!(track.title);
                value["by"] =
                    json!(track.artists.iter().map(|artist| artist.name.as_str()).collect::<Vec<_>>().join(", "));
            }
        }
        ["art", _, file] => {
            value["kind"] = json!("art");
            value["rendition"] = json!(file);
        }
        _ => {}
    }
    Ok(value)
}

/// `GET /v1/ops/audit`.
pub(super) async fn audit(call: &Call<'_>) -> Reply {
    let limit = call.params.number("limit", 1..=LINES_MAX, LINES)?;
    let before = call.params.parsed::<u64>("before")?;
    let lines = call.house.ops.audit.newest(before, limit).await.map_err(|error| {
        tracing::error!(%error, "the audit list cannot be read");
        Problem::new("audit", "The audit list cannot be read at the moment", 503)
    })?;
    let more = lines.last().filter(|_| lines.len() as u64 == limit).map(|last| last.id);
    Ok(Answer::Private(json!({ "items": lines.iter().map(shown).collect::<Vec<_>>(), "more_before": more })))
}

fn shown(line: &Line) -> Value {
    json!({
        "id": line.id,
        "at": line.at.0,
        "account": line.deed.account.as_str(),
        "name": line.deed.name,
        "act": line.deed.act.name(),
        "edges": line.deed.edges,
        "target": line.deed.target,
        "outcome": line.outcome.name(),
        "words": line.words,
    })
}

/// `POST /v1/ops/drain`.
pub(super) async fn drain(call: &Call<'_>, caller: &Caller) -> Reply {
    let done = call.house.ops.drain(&call.body()?, caller, call.now).await;
    done.map(|report| Answer::Private(json!(report))).map_err(|refusal| refusal.problem())
}

/// `POST /v1/ops/purge`.
pub(super) async fn purge(call: &Call<'_>, caller: &Caller) -> Reply {
    let done = call.house.ops.purge(&call.body()?, caller, call.now).await;
    done.map(|report| Answer::Private(json!(report))).map_err(|refusal| refusal.problem())
}
