//! Stale objects (RFC 5861): served while somebody asks, and while nobody can be asked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use needledrop_core::UnixSeconds;
use needledrop_edge::Clock;

use crate::world::{BLOCK, Manner, World, now};

/// A world with one object that has been read, and is stale for 30 s now.
async fn stale(cache_control: &str) -> World {
    let start = now();
    let clock = Clock::manual(UnixSeconds(start));
    let world = World::with_clock(16 << 20, clock.clone()).await;
    let object = Manner { cache_control: Some(cache_control.to_owned()), ..Manner::object(BLOCK) };
    world.origin.put("/t/a.ogg", object);
    world.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    world.settled(1).await;
    clock.advance_to(UnixSeconds(start + 90));
    world
}

fn heads(world: &World) -> usize {
    world.origin.asked().iter().filter(|asked| asked.method == "HEAD").count()
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn while_one_asks_all_are_served_and_nobody_waits() {
    let world = Arc::new(stale("max-age=60, stale-while-revalidate=60").await);
    world.origin.change("/t/a.ogg", |object| object.silent = true);
    for _ in 0..20 {
        let asked = Instant::now();
        let got = world.get("/t/a.ogg", &[]).await;
        assert_eq!(got.status, 200);
        let status = got.header("cache-status");
        assert!(status.starts_with("edge-test; hit; ttl=-"), "{status}");
        assert!(status.ends_with("; detail=stale-while-revalidate"), "{status}");
        assert!(asked.elapsed() < Duration::from_millis(500));
    }
    eventually("the question goes upstream", || heads(&world) == 1).await;
    assert_eq!(heads(&world), 1, "one for all");
}

#[tokio::test]
async fn after_the_revalidation_it_is_fresh_again_or_another_one() {
    let world = stale("max-age=60, stale-while-revalidate=60").await;
    world.origin.change("/t/a.ogg", |object| {
        object.etag = Some("\"v2\"".into());
        object.bytes = Arc::new(vec![9; BLOCK]);
    });
    assert_eq!(world.get("/t/a.ogg", &[]).await.header("etag"), "\"v1\"");
    let since = Instant::now();
    while world.get("/t/a.ogg", &[]).await.header("etag") != "\"v2\"" {
        assert!(since.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), vec![9; BLOCK]);
}

#[tokio::test]
async fn when_upstream_fails_the_stale_copy_plays_and_only_the_first_one_waits() {
    for cache_control in ["max-age=60, stale-if-error=300", "max-age=60"] {
        let world = stale(cache_control).await;
        world.origin.change("/t/a.ogg", |object| object.silent = true);
        let asked = Instant::now();
        for _ in 0..20 {
            let got = world.get("/t/a.ogg", &[]).await;
            assert_eq!(got.status, 200, "{cache_control}");
            assert!(got.header("cache-status").ends_with("; detail=stale-if-error"), "{}", got.header("cache-status"));
        }
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        assert_eq!(heads(&world), 1, "{cache_control}");
    }
}

#[tokio::test]
async fn what_must_be_revalidated_is_never_served_stale() {
    for forbidden in [
        "max-age=60, stale-if-error=0",
        "max-age=60, must-revalidate, stale-if-error=300",
        "max-age=60, proxy-revalidate",
        "s-maxage=60",
        "no-cache, stale-while-revalidate=300",
    ] {
        let world = stale(forbidden).await;
        world.origin.change("/t/a.ogg", |object| object.status = Some(503));
        assert_eq!(world.get("/t/a.ogg", &[]).await.status, 502, "{forbidden}");
    }
}

#[tokio::test]
async fn beyond_its_window_and_when_it_is_gone_it_is_not_served() {
    let world = stale("max-age=60, stale-while-revalidate=10, stale-if-error=10").await;
    world.origin.change("/t/a.ogg", |object| object.status = Some(503));
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 502);
    world.origin.change("/t/a.ogg", |object| object.status = Some(404));
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 404, "upstream's no is no failure");
}
