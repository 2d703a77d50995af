//! An upstream that stops in the middle: somebody else is asked, and nobody waits for long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::world::{Asked, BLOCK, Manner, Origin, World, way};
use needledrop_edge::{
    Clock, Upstreams,
    upstream::{Settings, Tier},
};

const CACHE: u64 = 16 << 20;
/// Up to five blocks in one request.
const ALL: [(&str, &str); 1] = [("range", "bytes=0-655359")];

fn group() -> Upstreams {
    Upstreams::new(Settings::named("edge-test"))
}

async fn alone(object: Manner) -> World {
    let (origin, at) = Origin::start().await;
    origin.put("/t/a.ogg", object);
    World::filled_from(origin, way(at), CACHE, Clock::system())
}

#[tokio::test]
async fn a_stalled_body_is_taken_over_from_the_first_missing_byte() {
    let mut object = Manner::object(3 * BLOCK);
    object.stall_after = Some((BLOCK + 1_000, 1));
    let bytes = object.bytes.clone();
    let world = alone(object).await;
    let asked = Instant::now();
    assert_eq!(world.get("/t/a.ogg", &ALL).await.bytes().await.unwrap(), bytes[..]);
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    let ranges: Vec<_> = world.origin.gets().iter().filter_map(Asked::range).collect();
    assert_eq!(ranges, [(0, 5 * BLOCK - 1), (BLOCK + 1_000, 3 * BLOCK - 1)], "the length is known by then");
    let counts = world.shelf.upstream.counts();
    assert_eq!((counts.hedges.get(), counts.hedges_won.get(), counts.retries.get()), (1, 1, 0));
}

#[tokio::test]
async fn the_other_origin_takes_over_and_a_thousand_listeners_hear_it_all() {
    let ((first, at), (second, other)) = (Origin::start().await, Origin::start().await);
    let mut object = Manner::object(5 * BLOCK);
    let bytes = object.bytes.clone();
    second.put("/t/a.ogg", object.clone());
    object.stall_after = Some((BLOCK / 2, 99));
    first.put("/t/a.ogg", object);
    let upstream = group().with(way(at), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    let world = Arc::new(World::filled_from(first.clone(), upstream, CACHE, Clock::system()));
    let asked = Instant::now();
    let listeners: Vec<_> = (0..1_000)
        .map(|_| {
            let (world, bytes) = (world.clone(), bytes.clone());
            tokio::spawn(async move { assert!(world.get("/t/a.ogg", &ALL).await.bytes().await.unwrap() == bytes[..]) })
        })
        .collect();
    for listener in listeners {
        listener.await.unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(first.gets().len(), 1);
    let ranges: Vec<_> = second.gets().iter().filter_map(Asked::range).collect();
    assert_eq!(ranges, [(BLOCK / 2, 5 * BLOCK - 1)], "one hedge for everybody, from the first missing byte");
}

#[tokio::test]
async fn a_trickle_too_slow_for_music_counts_as_a_stall() {
    let mut object = Manner::object(2 * BLOCK);
    object.trickle_after = Some((2_000, 1));
    let bytes = object.bytes.clone();
    let world = alone(object).await;
    let asked = Instant::now();
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..]);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(world.shelf.upstream.counts().hedges_won.get(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_hedged_too() {
    let ((first, at), (second, other)) = (Origin::start().await, Origin::start().await);
    let mut object = Manner::object(BLOCK);
    let bytes = object.bytes.clone();
    second.put("/t/a.ogg", object.clone());
    object.silent = true;
    first.put("/t/a.ogg", object);
    let upstream = group().with(way(at), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    let world = World::filled_from(first, upstream, CACHE, Clock::system());
    let asked = Instant::now();
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..]);
    assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
    let counts = world.shelf.upstream.counts();
    assert_eq!((counts.hedges.get(), counts.hedges_won.get()), (1, 1));
    assert_eq!(counts.failures.get(), 1, "who is silent for so long has failed");
}

#[tokio::test]
async fn nobody_else_is_asked_for_a_fill_that_nobody_waits_for() {
    let mut object = Manner::object(2 * BLOCK);
    object.stall_after = Some((1_000, 9));
    let world = alone(object).await;
    drop(world.get("/t/a.ogg", &[]).await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.origin.gets().len(), 1);
}

#[tokio::test]
async fn a_hedge_never_brings_another_version() {
    let ((first, at), (second, other)) = (Origin::start().await, Origin::start().await);
    let mut object = Manner::object(2 * BLOCK);
    let bytes = object.bytes.clone();
    object.pause_after = Some(1_000);
    first.put("/t/a.ogg", object.clone());
    object.etag = Some("\"v2\"".into());
    object.bytes = Arc::new(vec![9; 2 * BLOCK]);
    second.put("/t/a.ogg", object);
    let upstream = group().with(way(at), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    let world = World::filled_from(first.clone(), upstream, CACHE, Clock::system());
    let got = world.get("/t/a.ogg", &[]).await;
    let asked = Instant::now();
    while second.gets().is_empty() {
        assert!(asked.elapsed() < Duration::from_secs(5), "a hedge goes out");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(second.gets()[0].headers["if-match"], "\"v1\"");
    first.go_on.notify_one();
    assert_eq!(got.bytes().await.unwrap(), bytes[..], "the first one goes on undisturbed");
}

#[tokio::test]
async fn hedges_end_with_their_number_and_the_body_is_reset_then() {
    let mut object = Manner::object(2 * BLOCK);
    object.stall_after = Some((1_000, 99));
    let world = alone(object).await;
    let asked = Instant::now();
    assert!(world.get("/t/a.ogg", &[]).await.bytes().await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(world.shelf.upstream.counts().hedges.get(), 2);
}
