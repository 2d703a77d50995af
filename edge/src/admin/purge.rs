//! Purging the whole cluster, and telling neighbours what they missed.
//!
//! An operator's purge is applied here, told to every neighbour, and then applied and told once more:
//! what an edge filled in between from a shield that had not heard yet goes in the second round. A
//! purge that bears an `id` comes from a neighbour and is only applied.

use http::StatusCode;
use needledrop_core::{
    Problem,
    purge::{PurgeId, Target},
};
use serde_json::{Value, json};

use super::{Admin, Answer, json_of, query_of, wrong};
use crate::{
    cluster::Told,
    purge::{Applied, Round},
};

/// Purges listed unless marks are given. Unit: purges.
const LIST_USUAL: usize = 100;

/// `POST /purge?path=|prefix=|tag=[&id=][&again=1]`, `DELETE /cache?…` likewise.
pub async fn purge(admin: &Admin, target: &str) -> Answer {
    let started = std::time::Instant::now();
    let query = query_of(target, &["path", "prefix", "tag", "id", "again"])?;
    let named = ["path", "prefix", "tag"].map(|name| query.one(name).map(|value| value.map(|value| (name, value))));
    let mut targets = Vec::new();
    for named in named {
        targets.extend(named?);
    }
    let &[(name, value)] = &targets[..] else { return Err(wrong("say exactly one of path, prefix and tag")) };
    let what = Target::parse(name, value).expect("one of the three names").map_err(|error| wrong(error.to_string()))?;
    let id = query.one("id")?.map(str::parse::<PurgeId>).transpose().map_err(|error| wrong(error.to_string()))?;
    let round = if query.one("again")? == Some("1") { Round::Again } else { Round::First };
    if id.is_some() {
        let applied = apply(admin, what, id, round).await?;
        return Ok(json_of(StatusCode::OK, &words(admin, applied.as_ref())));
    }
    let first = apply(admin, what.clone(), None, Round::First).await?.expect("a new number was not heard before");
    let mut told = admin.cluster.tell(&first.purge, Round::First).await;
    let mut applied = first;
    if !admin.cluster.is_alone() {
        let id = Some(applied.purge.id);
        let second = apply(admin, what, id, Round::Again).await?.expect("once more, whether heard before or not");
        applied.objects += second.objects;
        applied.blocks += second.blocks;
        settle(&mut told, admin.cluster.tell(&second.purge, Round::Again).await);
    }
    let missed: Vec<_> = told.iter().filter_map(|told| told.done.as_ref().err().map(|why| (&told.peer, why))).collect();
    let status = if missed.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut answer = words(admin, Some(&applied));
    answer["reached"] = told.iter().filter_map(reached).collect();
    answer["missed"] = missed.iter().map(|(peer, why)| json!({ "peer": peer, "why": why })).collect();
    answer["complete"] = json!(missed.is_empty());
    answer["took_ms"] = json!(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    Ok(json_of(status, &answer))
}

/// Applied here means: gone, and written down.
async fn apply(admin: &Admin, what: Target, id: Option<PurgeId>, round: Round) -> Result<Option<Applied>, Problem> {
    let shelf = admin.shelf.clone();
    let applying = tokio::task::spawn_blocking(move || shelf.purge(what, id, round));
    applying.await.expect("a purge does not panic").map_err(|error| {
        tracing::error!(%error, "a purge could not be written down");
        let detail = format!("it holds until this edge restarts, and the neighbours were not told: {error}");
        Problem::new("not-durable", "The purge could not be written down", 500).with_detail(detail)
    })
}

/// Reached means: in both rounds. What the rounds removed is added up.
fn settle(told: &mut [Told], second: Vec<Told>) {
    for (told, second) in told.iter_mut().zip(second) {
        match (&mut told.done, second.done) {
            (Ok(first), Ok(second)) => {
                for count in ["objects", "blocks"] {
                    first[count] = json!(first[count].as_u64().unwrap_or(0) + second[count].as_u64().unwrap_or(0));
                }
            }
            (first, Err(error)) => *first = Err(error),
            // It heard of the purge only now; what it filled from then on is new.
            (first @ Err(_), Ok(second)) => *first = Ok(second),
        }
    }
}

fn reached(told: &Told) -> Option<Value> {
    let mut done = told.done.as_ref().ok()?.clone();
    if let Some(done) = done.as_object_mut() {
        done.insert("peer".into(), json!(told.peer));
    }
    Some(done)
}

fn words(admin: &Admin, applied: Option<&Applied>) -> Value {
    json!({
        "edge": admin.name,
        "node": admin.shelf.purges.node().to_string(),
        "id": applied.map(|applied| applied.purge.id.to_string()),
        "known_before": applied.is_none(),
        "objects": applied.map_or(0, |applied| applied.objects),
        "blocks": applied.map_or(0, |applied| applied.blocks),
    })
}

/// `GET /purges` (the newest), `GET /purges?since=NODE-NUMBER…` (what an edge with these marks has
/// missed), `GET /purges?all=1`.
pub fn list(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["since", "all"])?;
    let marks: Result<Vec<_>, _> = query.all("since").map(mark).collect();
    let marks = marks?;
    if marks.is_empty() && query.one("all")?.is_none() {
        let newest = admin.shelf.purges.newest(LIST_USUAL);
        return Ok(json_of(StatusCode::OK, &json!({ "purges": newest })));
    }
    let missed = admin.shelf.purges.missed(&marks);
    Ok(json_of(StatusCode::OK, &json!({ "purges": missed.purges, "complete": missed.complete })))
}

/// A mark may be 0: the node is known, but not all of its first purges.
fn mark(text: &str) -> Result<PurgeId, Problem> {
    let parsed = match text.strip_suffix("-0") {
        Some(node) => node.parse().map(|node| PurgeId { node, number: 0 }),
        None => text.parse(),
    };
    parsed.map_err(|error| wrong(format!("since={text}: {error}")))
}
