//! Shipping delivery records: read what follows a number, store it elsewhere, then say so, and it goes here.

use http::{Response, StatusCode, header};
use needledrop_core::Problem;
use needledrop_http::Body;
use serde_json::json;

use super::{Admin, Answer, json_of, put, query_of, wrong};
use crate::limits::{DELIVERIES_PAGE_BYTES, DELIVERIES_PAGE_BYTES_MAX};

/// `GET /deliveries`: where the log stands. `GET /deliveries?since=NUMBER[&bytes=]`: committed lines behind that
/// number; `Deliveries-Through` is the number of the last one.
pub async fn show(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["since", "bytes"])?;
    let log = admin.shelf.deliveries().ok_or_else(none)?.clone();
    let Some(since) = query.number("since")? else { return Ok(json_of(StatusCode::OK, &json!(log.standing()))) };
    let bytes = query.number("bytes")?.unwrap_or(DELIVERIES_PAGE_BYTES).min(DELIVERIES_PAGE_BYTES_MAX);
    let bytes = usize::try_from(bytes).expect("a page fits into memory");
    let read = tokio::task::spawn_blocking(move || log.read(since, bytes)).await.expect("reading does not panic");
    let page = read.map_err(failed)?;
    let mut response = Response::new(Body::from(page.lines));
    put(&mut response, header::CONTENT_TYPE, "application/jsonl");
    put(&mut response, header::HeaderName::from_static("deliveries-through"), &page.through.to_string());
    Ok(response)
}

/// `DELETE /deliveries?through=NUMBER`: everything up to it is safe elsewhere.
pub async fn acknowledge(admin: &Admin, target: &str) -> Answer {
    let query = query_of(target, &["through"])?;
    let through = query.number("through")?.ok_or_else(|| wrong("say up to which number: through=NUMBER"))?;
    let log = admin.shelf.deliveries().ok_or_else(none)?.clone();
    let acknowledging = tokio::task::spawn_blocking(move || {
        log.acknowledge(through)?;
        Ok(log.standing())
    });
    let standing = acknowledging.await.expect("acknowledging does not panic").map_err(failed)?;
    Ok(json_of(StatusCode::OK, &json!(standing)))
}

fn none() -> Problem {
    Problem::new("no-deliveries", "This edge keeps no delivery records; `deliveries` in its configuration says so", 404)
}

fn failed(error: std::io::Error) -> Problem {
    tracing::error!(%error, "delivery records could not be shipped");
    Problem::new("deliveries", "The delivery records could not be read or acknowledged", 500)
}
