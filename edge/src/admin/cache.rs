//! What is in the cache: all of it in numbers, a list of objects, or one object's blocks.

use http::StatusCode;
use needledrop_core::{BLOCK_BYTES, ObjectPath};
use serde_json::{Value, json};

use super::{Admin, Answer, json_of, query_of, wrong};
use crate::object::{Known, Object};

/// Objects in one list unless asked for more. Unit: objects.
const LIST_USUAL: u64 = 100;
/// Objects in one list at most; `after` goes on. Unit: objects, about 300 B each.
const LIST_MAX: u64 = 1_000;

/// `GET /cache`, `GET /cache?path=`, `GET /cache?prefix=&limit=&after=`.
pub fn show(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["path", "prefix", "limit", "after"])?;
    if let Some(text) = query.one("path")? {
        let path = ObjectPath::parse(text).map_err(|error| wrong(format!("path: {error}")))?;
        return one(admin, &path);
    }
    let Some(prefix) = query.one("prefix")? else { return Ok(json_of(StatusCode::OK, &summary(admin))) };
    let limit = query.number("limit")?.unwrap_or(LIST_USUAL).clamp(1, LIST_MAX);
    let after = query.one("after")?.map(ObjectPath::parse).transpose();
    let after = after.map_err(|error| wrong(format!("after: {error}")))?;
    let limit = usize::try_from(limit).expect("clamped");
    let objects = admin.shelf.objects.list(prefix, after.as_ref(), limit);
    let more = objects.last().filter(|_| objects.len() == limit).map(|last| last.path.as_str());
    let listed: Vec<_> = objects.iter().map(|object| facts(admin, object)).collect();
    Ok(json_of(StatusCode::OK, &json!({ "objects": listed, "more_after": more })))
}

/// All of it in numbers.
pub(super) fn summary(admin: &Admin) -> Value {
    let shelf = &admin.shelf;
    let counts = shelf.cache.counts();
    json!({
        "edge": admin.name,
        "node": shelf.purges.node().to_string(),
        "standing": shelf.gate.standing().as_str(),
        "objects": shelf.objects.len(),
        "slots": shelf.cache.slots(),
        "block_bytes": BLOCK_BYTES,
        "blocks": shelf.cache.len(),
        "blocks_of_heads": counts.heads,
        "blocks_of_bodies": counts.bodies,
        "blocks_leased": counts.leased,
        "blocks_flying": shelf.cache.flying(),
        "blocks_uncached": shelf.cache.uncached(),
        "evicted": counts.evicted(),
        "purges": shelf.purges.len(),
    })
}

fn one(admin: &Admin, path: &ObjectPath) -> Answer {
    let value = match admin.shelf.objects.get(path) {
        Some(Known::Object(object)) => {
            let runs = admin.shelf.cache.runs(&object);
            let runs: Vec<_> = runs.iter().map(|run| json!([run.start(), run.end()])).collect();
            let mut value = facts(admin, &object);
            value["present"] = json!(runs);
            value
        }
        Some(Known::Uncacheable(until)) => json!({ "path": path, "uncacheable_until": until.0 }),
        None => return Err(needledrop_core::Problem::new("not-known", "This edge knows no such object", 404)),
    };
    Ok(json_of(StatusCode::OK, &value))
}

fn facts(admin: &Admin, object: &Object) -> Value {
    let now = admin.shelf.clock.now();
    json!({
        "path": object.path,
        "bytes": object.len,
        "blocks": object.blocks(),
        "head_bytes": object.head_bytes(),
        "etag": object.validators.etag.as_ref().map(ToString::to_string),
        "content_type": object.content_type,
        "tags": object.tags,
        "age_s": object.age(now),
        "fresh_s": object.seconds_left(now),
        "version": object.version.0,
    })
}
