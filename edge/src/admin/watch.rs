//! What an operator's page asks an edge, beside its metrics: how it stands, what is wanted, what went wrong.

use http::{Response, StatusCode};
use needledrop_http::Body;
use serde_json::{Value, json};

use super::{Admin, Answer, cache, json_of, query_of};
use crate::{
    limits::POPULAR_PLACES,
    mishaps::{Kind, Mishap},
};

/// Objects in one list unless asked for more. Unit: objects.
const TOP_USUAL: u64 = 50;

/// `GET /status`: name, region, version, standing, certificate, keys and cache.
pub fn status(admin: &Admin) -> Response<Body> {
    let about = &admin.about;
    let value = json!({
        "edge": admin.name,
        "node": admin.shelf.purges.node().to_string(),
        "version": about.version,
        "region": about.region,
        "started": about.started.0,
        "now": admin.shelf.clock.now().0,
        "standing": admin.shelf.gate.standing().as_str(),
        "certificate_until": about.certificates.as_ref().and_then(|certificates| certificates.not_after()),
        "keys": admin.key_names(),
        "cache": cache::summary(admin),
    });
    json_of(StatusCode::OK, &value)
}

/// `GET /top[?limit=]`: the most wanted objects of the last ten to twenty minutes. `count` is at most `error` too large,
/// `bytes` is what arrived since the object is in the table.
pub fn top(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["limit"])?;
    let limit = query.number("limit")?.unwrap_or(TOP_USUAL).min(POPULAR_PLACES as u64);
    let limit = usize::try_from(limit).expect("bounded");
    let wanted = admin.shelf.popular.wanted(limit, admin.shelf.clock.now());
    let objects: Vec<_> = wanted
        .objects
        .iter()
        .map(|object| json!({ "path": object.key, "count": object.count, "error": object.error, "bytes": object.also }))
        .collect();
    let value = json!({
        "since": wanted.since.0, "requests": wanted.total, "uncounted": wanted.missed, "objects": objects,
    });
    Ok(json_of(StatusCode::OK, &value))
}

/// `GET /errors`: every kind of failure since the start, with its last examples, newest first.
pub fn errors(admin: &Admin) -> Response<Body> {
    let kinds: Vec<_> = admin.shelf.mishaps.kinds().iter().map(kind).collect();
    json_of(StatusCode::OK, &json!({ "kinds": kinds }))
}

fn kind(kind: &Kind) -> Value {
    let recent: Vec<_> = kind.recent.iter().map(example).collect();
    json!({ "kind": kind.name, "count": kind.count, "recent": recent })
}

fn example(mishap: &Mishap) -> Value {
    json!({
        "at": mishap.at.0,
        "status": mishap.status,
        "method": mishap.method.as_str(),
        "path": mishap.path,
        "client": mishap.client.to_string(),
        "protocol": mishap.protocol.as_str(),
        "took_us": u64::try_from(mishap.took.as_micros()).unwrap_or(u64::MAX),
    })
}
