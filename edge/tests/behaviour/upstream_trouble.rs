//! An upstream that dies, lies, changes its mind or says nothing.

use std::time::{Duration, Instant};

use crate::world::{self, BLOCK, Manner, World};

#[tokio::test]
async fn an_origin_that_dies_for_good_in_the_middle_resets_the_body() {
    let world = World::new().await;
    let mut object = Manner::object(4 * BLOCK);
    object.die_after = Some((1_000, 99));
    world.origin.put("/t/a.ogg", object);
    let got = world.get("/t/a.ogg", &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-length"), (4 * BLOCK).to_string());
    assert!(got.bytes().await.is_err(), "never a short body that looks complete");
}

#[tokio::test]
async fn an_origin_that_stumbles_once_is_asked_again_from_there() {
    let world = World::new().await;
    let mut object = Manner::object(4 * BLOCK);
    object.die_after = Some((BLOCK + 10, 1));
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    assert_eq!(world.get("/t/a.ogg", &[("range", "bytes=0-524287")]).await.bytes().await.unwrap(), bytes[..]);
    let ranges: Vec<_> = world.origin.gets().iter().filter_map(world::Asked::range).collect();
    assert_eq!(ranges[1], (BLOCK + 10, 4 * BLOCK - 1), "only what had not arrived");
}

#[tokio::test]
async fn no_byte_in_time_is_504_with_a_time_to_come_back() {
    let world = World::new().await;
    let mut object = Manner::object(BLOCK);
    object.silent = true;
    world.origin.put("/t/a.ogg", object);
    let asked = Instant::now();
    let got = world.get("/t/a.ogg", &[]).await;
    assert_eq!(got.status, 504);
    assert_eq!(got.header("retry-after"), "1");
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn an_upstream_failure_is_502_and_a_missing_object_404() {
    let world = World::new().await;
    let mut object = Manner::object(BLOCK);
    object.status = Some(500);
    world.origin.put("/t/a.ogg", object);
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 502);
    assert_eq!(world.get("/t/nothing.ogg", &[]).await.status, 404);
    world.origin.change("/t/a.ogg", |object| object.status = None);
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 200, "failures are not remembered");
}

#[tokio::test]
async fn a_lying_content_range_is_refused() {
    let world = World::new().await;
    for lie in ["bytes 5-9/10", "bytes 0-131071/*", "bytes 1-131072/262144", "bytes 0-99/262144", "rubbish"] {
        let mut object = Manner::object(2 * BLOCK);
        object.content_range = Some(lie.into());
        world.origin.put("/t/a.ogg", object);
        let got = world.get("/t/a.ogg", &[("range", "bytes=0-10")]).await;
        assert_eq!(got.status, 502, "{lie}");
    }
}

#[tokio::test]
async fn an_object_that_changes_before_its_first_byte_is_served_wholly_new() {
    let world = World::new().await;
    let object = Manner::object(12 * BLOCK);
    world.origin.put("/t/a.ogg", object);
    world.get("/t/a.ogg", &[("range", "bytes=0-9")]).await.bytes().await.unwrap();
    let newer = vec![9; 3 * BLOCK];
    world.origin.change("/t/a.ogg", |object| {
        object.etag = Some("\"v2\"".into());
        object.bytes = std::sync::Arc::new(vec![9; 3 * BLOCK]);
    });
    let got = world.get("/t/a.ogg", &[("range", &format!("bytes={}-", 2 * BLOCK))]).await;
    assert_eq!(got.header("etag"), "\"v2\"");
    assert_eq!(got.bytes().await.unwrap(), newer[2 * BLOCK..]);
}

#[tokio::test]
async fn an_object_that_changes_in_the_middle_is_reset_before_a_wrong_byte() {
    let world = World::new().await;
    let object = Manner::object(30 * BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let mut got = world.get("/t/a.ogg", &[]).await;
    let mut have = got.next().await.unwrap().unwrap().to_vec();
    world.origin.change("/t/a.ogg", |object| {
        object.etag = Some("\"v2\"".into());
        object.bytes = std::sync::Arc::new(vec![9; 30 * BLOCK]);
    });
    let broke = loop {
        match got.next().await {
            Some(Ok(piece)) => have.extend_from_slice(&piece),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broke);
    assert_eq!(have, bytes[..have.len()], "not one byte of the new version");
    let again = world.get("/t/a.ogg", &[]).await;
    assert_eq!(again.header("etag"), "\"v2\"");
    assert_eq!(again.bytes().await.unwrap(), vec![9; 30 * BLOCK]);
}

#[tokio::test]
async fn an_upstream_that_knows_no_ranges_is_read_once() {
    let world = World::new().await;
    let mut object = Manner::object(20 * BLOCK + 1);
    object.knows_ranges = false;
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let got = world.get("/t/a.ogg", &[("range", &format!("bytes={}-", 10 * BLOCK))]).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.bytes().await.unwrap(), bytes[10 * BLOCK..]);
    world.settled(21).await;
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..]);
    assert_eq!(world.origin.gets().len(), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_passes_by() {
    let world = World::new().await;
    let mut object = Manner::object(2 * BLOCK);
    object.knows_ranges = false;
    object.unknown_length = true;
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let got = world.get("/t/a.ogg", &[("range", "bytes=5-9")]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("cache-status"), "edge-test; fwd=bypass");
    assert_eq!(got.bytes().await.unwrap(), bytes[..]);
    assert!(world.shelf.cache.is_empty());
}
