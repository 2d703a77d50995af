//! `/v1/ops`: what an administrator may see and do.
//!
//! | call | gives |
//! |---|---|
//! | `GET /v1/ops?range=30m\|3h\|24h&of=all\|region:NAME\|edge:NAME` | everything the page shows: `edges`, `totals` of the last minute, `series` in columns (one place a slot of `step_s` seconds from `from` on), `top` objects with their names, `errors` by kind with examples |
//! | `GET /v1/ops/audit?limit=&before=` | who did what, newest first |
//! | `POST /v1/ops/drain` `{edge, drain, confirm}` | a drain or its end; `confirm` repeats the edge's name |
//! | `POST /v1/ops/purge` `{by: path\|prefix\|tag, value, confirm}` | objects gone at every edge; `confirm` repeats the value |
//!
//! Without a credential 401, without the scope `admin` 403, without a confirmation 409. A cookie changes nothing without
//! `X-Requested-With`, like everywhere.

use http::{Method, Response};
use needledrop_core::{ObjectPath, Problem, TrackId, UnixSeconds};
use needledrop_http::{Body, Request};
use needledrop_playback::{Caller, Scope};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::audit::Line;
use super::rings::Range;
use super::view::{Of, Overview};
use super::watched::Object;
use crate::answer::{self, Answer, Reply, failed};
use crate::house::House;
use crate::limits::Class;
use crate::query::{Params, wrong};
use crate::who;

/// Lines of the audit list at once.
const LINES: u64 = 20;
const LINES_MAX: u64 = 100;

/// The answer to a call, `path` being what follows `/v1/ops`.
pub async fn answer(house: &House, request: &Request, path: &str, now: UnixSeconds) -> Response<Body> {
    answer::respond(request, route(house, request, path, now).await)
}

async fn route(house: &House, request: &Request, path: &str, now: UnixSeconds) -> Reply {
    let client = request.peer.client;
    let caller = match who::asks(house, request, now).await {
        Ok(caller) => caller,
        Err(refusal) => {
            let held = house.limits.ask_unknown(Class::Stranger, client).err();
            return held.map_or(Err(refusal), |held| Ok(Answer::Whole(held.response())));
        }
    };
    let class = if request.method == Method::POST { Class::Write } else { Class::Read };
    if let Err(held) = house.limits.ask(class, caller.account().id, client) {
        return Ok(Answer::Whole(held.response()));
    }
    caller.may(Scope::Admin).map_err(|error| answer::refused(&error.into()))?;
    let params = Params::read(request.uri.query().unwrap_or_default().as_bytes());
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match (path.trim_start_matches('/'), is_read, &request.method) {
        ("", true, _) => overview(house, &params, now).await,
        ("audit", true, _) => audit(house, &params).await,
        ("drain", _, &Method::POST) => drain(house, request, &caller, now).await,
        ("purge", _, &Method::POST) => purge(house, request, &caller, now).await,
        ("" | "audit" | "drain" | "purge", ..) => {
            Err(Problem::new("method", "This call does not take that method", 405))
        }
        _ => Err(Problem::new("not-found", "There is no such call", 404)),
    }
}

async fn overview(house: &House, params: &Params<'_>, now: UnixSeconds) -> Reply {
    let range = Range::from_name(params.text("range").unwrap_or("30m"));
    let range = range.ok_or_else(|| wrong("range", "it is 30m, 3h or 24h"))?;
    let of = Of::parse(params.text("of").unwrap_or("all"));
    let of = of.ok_or_else(|| wrong("of", "it is all, region:NAME or edge:NAME"))?;
    let Overview { mut value, wanted } = house.ops.overview(&of, range, now);
    let mut objects = Vec::with_capacity(wanted.objects.len());
    for object in &wanted.objects {
        objects.push(named(house, object).await?);
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

async fn audit(house: &House, params: &Params<'_>) -> Reply {
    let limit = params.number("limit", 1..=LINES_MAX, LINES)?;
    let before = params.parsed::<u64>("before")?;
    let lines = house.ops.audit.newest(before, limit).await.map_err(|error| {
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

async fn drain(house: &House, request: &Request, caller: &Caller, now: UnixSeconds) -> Reply {
    let report = house.ops.drain(&body(request)?, caller, now).await.map_err(|refusal| refusal.problem())?;
    Ok(Answer::Private(json!(report)))
}

async fn purge(house: &House, request: &Request, caller: &Caller, now: UnixSeconds) -> Reply {
    let report = house.ops.purge(&body(request)?, caller, now).await.map_err(|refusal| refusal.problem())?;
    Ok(Answer::Private(json!(report)))
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    serde_json::from_slice(&request.body).map_err(|error| {
        Problem::new("body", "The body is not what this call takes", 400).with_detail(error.to_string())
    })
}
