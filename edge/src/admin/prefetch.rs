//! A player's queue, pushed by whoever keeps it: the head of what comes next is fetched and kept until it is due.

use http::StatusCode;
use needledrop_core::{PlaybackId, UnixSeconds};
use serde_json::json;

use super::{Admin, Answer, json_of, query_of, wrong};
use crate::prefetch::{self, Heeded};

/// `POST /prefetch?pid=PLAYBACK&url=SIGNED[&due=UNIX]`: `pid` is the play that goes on with the object of
/// `url`, which is signed like any other. Without `due` it may come for as long as
/// the URL is good.
pub fn push(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["pid", "url", "due"])?;
    let pid = query.one("pid")?.ok_or_else(|| wrong("say whose queue it is: pid=PLAYBACK"))?;
    let pid = PlaybackId::parse(pid).map_err(|_| wrong("pid is not a playback id"))?;
    let url = query.one("url")?.ok_or_else(|| wrong("say what comes next: url=SIGNED, percent-encoded"))?;
    let now = admin.shelf.clock.now();
    let signed = needledrop_core::verify(origin_form(url), &admin.keys.load(), now);
    let signed = signed.map_err(|refusal| wrong(format!("url: {}", refusal.title())))?;
    let due = query.number("due")?.map_or(signed.claims().expires, UnixSeconds);
    let (status, heeded) = match prefetch::push(&admin.shelf, pid, &signed, due) {
        Heeded::Started => (StatusCode::ACCEPTED, "started".to_owned()),
        Heeded::Waiting => (StatusCode::ACCEPTED, "waiting".to_owned()),
        Heeded::Known => (StatusCode::OK, "known".to_owned()),
        Heeded::Dropped(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("dropped: {why:?}")),
    };
    Ok(json_of(status, &json!({ "path": signed.path(), "due": due.0, "heeded": heeded })))
}

/// Path and query of a URL, with or without scheme and host.
fn origin_form(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return url };
    rest.find('/').map_or("/", |at| &rest[at..])
}
