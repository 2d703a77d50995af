//! Origin down, music up: fail-over, breaker, budget, and a quick no where nothing helps.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::world::{BLOCK, Manner, Origin, World, nobody, way};
use needledrop_edge::{
    Clock, Upstreams,
    upstream::{HealthCheck, Settings, Tier},
};

const CACHE: u64 = 16 << 20;

fn group() -> Upstreams {
    Upstreams::new(Settings::named("edge-test"))
}

/// Two origins with the same object, the first one with a share of nearly everything.
async fn two(path: &str, object: Manner) -> (World, Arc<Origin>, Arc<Origin>) {
    let ((first, at), (second, other)) = (Origin::start().await, Origin::start().await);
    first.put(path, object.clone());
    second.put(path, object);
    let upstream = group().with(way(at), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    (World::filled_from(first.clone(), upstream, CACHE, Clock::system()), first, second)
}

#[tokio::test]
async fn a_refused_connection_is_504_at_once_and_what_is_cached_plays_on() {
    let (origin, at) = Origin::start().await;
    origin.put("/t/a.ogg", Manner::object(2 * BLOCK));
    let world = World::filled_from(origin.clone(), way(at), CACHE, Clock::system());
    let bytes = world.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    world.settled(2).await;
    origin.stop().await;
    for round in 0..30 {
        let asked = Instant::now();
        let got = world.get("/t/b.ogg", &[]).await;
        assert_eq!((got.status.as_u16(), got.header("retry-after")), (504, "1"), "round {round}");
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    }
    assert!(world.shelf.upstream.counts().nobody.get() > 0, "the breaker opened");
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_silent_origin_is_a_504_within_a_second_for_whatever_is_missing() {
    let (origin, at) = Origin::start().await;
    origin.put("/t/a.ogg", Manner::object(20 * BLOCK));
    let world = World::filled_from(origin.clone(), way(at), CACHE, Clock::system());
    world.get("/t/a.ogg", &[("range", "bytes=0-9")]).await.bytes().await.unwrap();
    world.settled(1).await;
    origin.change("/t/a.ogg", |object| object.silent = true);
    // An object that is known, at a block that is not here.
    let asked = Instant::now();
    let got = world.get("/t/a.ogg", &[("range", &format!("bytes={}-", 10 * BLOCK))]).await;
    assert_eq!(got.status, 504);
    assert_eq!(got.header("retry-after"), "1");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(world.get("/t/a.ogg", &[("range", "bytes=0-9")]).await.status, 206, "the head plays on");
}

#[tokio::test]
async fn when_the_first_origin_refuses_the_second_one_serves() {
    for trouble in [500, 502, 503, 429] {
        let mut object = Manner::object(2 * BLOCK);
        let bytes = object.bytes.clone();
        object.status = Some(trouble);
        let (world, first, second) = two("/t/a.ogg", object).await;
        second.change("/t/a.ogg", |object| object.status = None);
        assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..], "{trouble}");
        assert_eq!(first.gets().len(), 1, "{trouble}");
        assert!(world.shelf.upstream.counts().failovers.get() > 0);
    }
}

#[tokio::test]
async fn a_dead_origin_is_found_out_and_passed_over() {
    let (second, other) = Origin::start().await;
    for number in 0..40 {
        second.put(&format!("/t/{number}.ogg"), Manner::object(100));
    }
    let upstream = group().with(way(nobody().await), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    let world = World::filled_from(second, upstream, CACHE, Clock::system());
    for number in 0..40 {
        assert_eq!(world.get(&format!("/t/{number}.ogg"), &[]).await.status, 200, "{number}");
    }
    let counts = world.shelf.upstream.counts();
    assert!(counts.failures.get() <= 8, "the breaker keeps it from being asked: {}", counts.failures.get());
    assert!(counts.failovers.get() <= 8, "passing over is no second attempt: {}", counts.failovers.get());
}

#[tokio::test]
async fn a_missing_object_is_no_failure_and_asks_nobody_else() {
    let (world, first, second) = two("/t/a.ogg", Manner::object(10)).await;
    for number in 0..10 {
        assert_eq!(world.get(&format!("/t/none-{number}.ogg"), &[]).await.status, 404);
    }
    assert_eq!((first.asked().len(), second.asked().len()), (10, 0));
    assert_eq!(world.shelf.upstream.counts().failures.get(), 0);
}

#[tokio::test]
async fn in_an_outage_second_attempts_keep_to_the_budget() {
    let mut object = Manner::object(10);
    object.status = Some(500);
    let (world, first, second) = two("/t/a.ogg", object).await;
    for _ in 0..200 {
        assert_eq!(world.get("/t/a.ogg", &[]).await.status, 502);
    }
    assert_eq!(first.gets().len(), 200);
    // A fifth of 200, the reserve of 10, and one more for each second that the test may take.
    let seconds = second.gets().len();
    assert!((40..60).contains(&seconds), "{seconds} second attempts");
    assert!(world.shelf.upstream.counts().budget_spent.get() > 0);
}

#[tokio::test]
async fn an_origin_that_comes_back_is_asked_again() {
    let at = nobody().await;
    let world = World::filled_from(Arc::new(Origin::default()), way(at), CACHE, Clock::system());
    for _ in 0..8 {
        assert_eq!(world.get("/t/a.ogg", &[]).await.status, 504);
    }
    let (origin, _) = Origin::start_at(at).await;
    origin.put("/t/a.ogg", Manner::object(10));
    let back = Instant::now();
    while world.get("/t/a.ogg", &[]).await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(3), "one trial after a second closes the breaker");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_check_takes_a_sick_origin_out_before_a_listener_meets_it() {
    let ((sick, at), (well, other)) = (Origin::start().await, Origin::start().await);
    let mut object = Manner::object(10);
    well.put("/t/a.ogg", object.clone());
    object.status = Some(503);
    sick.put("/t/a.ogg", object.clone());
    sick.put("/alive", object);
    let check = HealthCheck { every: Duration::from_millis(20), ..HealthCheck::of("/alive") };
    let settings = Settings { health: Some(check), ..Settings::named("edge-test") };
    let upstream = Upstreams::new(settings).with(way(at), Tier::Origin, 1).with(way(other), Tier::Origin, 0);
    let world = World::filled_from(well.clone(), upstream, CACHE, Clock::system());
    world.shelf.upstream.start_checks();
    let started = Instant::now();
    while sick.asked().len() < 6 {
        assert!(started.elapsed() < Duration::from_secs(5), "checks run");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 200);
    assert_eq!(sick.gets().len(), 0, "only checks came there");
    assert!(well.asked().iter().any(|asked| asked.target == "/alive"), "a 404 is a sign of life");
}
