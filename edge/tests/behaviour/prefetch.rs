//! The next track's head is there before anybody asks for it, and costs listeners nothing.

use std::time::Duration;

use crate::world::{self, Asked, BLOCK, Got, Manner, World, now};
use http::{HeaderValue, Method};
use needledrop_core::{
    Claims, HeadBytes, NextObject, ObjectPath, PlaybackId, UnixSeconds, prefetch::Dropped, sign, verify,
};
use needledrop_edge::{
    Clock,
    limits::{FLYING_BLOCKS_MAX, HEDGE_AFTER, PREFETCH_FLYING_BLOCKS_MAX},
    prefetch::{Heeded, Tally, push},
};
use needledrop_http::{Handler, Request};

const HEAD: usize = 4 * BLOCK + 1_000;
const HERE: &str = "/t/here/160.ogg";
const NEXT: &str = "/t/next/160.ogg";

/// An edge, the track that plays and the one that will.
async fn world() -> World {
    let world = World::new().await;
    world.origin.put(HERE, Manner::object(20 * BLOCK));
    world.origin.put(NEXT, Manner::object(20 * BLOCK + 5));
    world
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

fn head(bytes: usize) -> Option<HeadBytes> {
    HeadBytes::new(bytes as u64)
}

fn pid(number: u8) -> PlaybackId {
    PlaybackId::from_random([number; 16])
}

/// What the URL of a track says that is followed by another one.
fn claims(next: &str) -> Claims {
    Claims {
        playback: Some(pid(1)),
        head: head(HEAD),
        duration_ms: Some(200_000),
        next: Some(NextObject { path: path(next), head: head(HEAD) }),
        ..Claims::until(UnixSeconds(now() + 600))
    }
}

fn no_next() -> Claims {
    Claims { next: None, ..claims(NEXT) }
}

impl World {
    fn url(&self, path_text: &str, claims: &Claims) -> String {
        sign(&path(path_text), claims, &self.keys.load())
    }

    async fn play(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        let range = [("range", "bytes=0-65535")];
        self.send(Method::GET, target, &[&range, headers].concat()).await
    }

    fn gets_of(&self, path: &str) -> Vec<Asked> {
        self.origin.gets().into_iter().filter(|asked| asked.target == path).collect()
    }

    fn tally(&self) -> Tally {
        Tally::of(&self.shelf)
    }

    /// Waits until so many heads have been fetched ahead and nothing is under way.
    async fn fetched(&self, heads: u64) {
        for _ in 0..500 {
            let tally = self.tally();
            if tally.heads >= heads && tally.in_flight == 0 && self.shelf.cache.flying() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{heads} heads were expected: {:?}", self.tally());
    }

    /// Waits until what was asked for upstream satisfies.
    async fn asked(&self, is_enough: impl Fn(&Self) -> bool) {
        for _ in 0..500 {
            if is_enough(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("upstream was asked {:?}", self.origin.asked());
    }
}

#[tokio::test]
async fn the_next_head_is_there_when_its_track_begins() {
    let world = world().await;
    let here = world.play(&world.url(HERE, &claims(NEXT)), &[]).await;
    assert_eq!(here.header("cache-status"), "edge-test; fwd=uri-miss; stored");
    here.bytes().await.unwrap();
    world.fetched(1).await;
    let ranges: Vec<_> = world.gets_of(NEXT).iter().filter_map(Asked::range).collect();
    assert_eq!(ranges, [(0, 5 * BLOCK - 1)], "one request for the blocks of the head, no more");

    let next = world.play(&world.url(NEXT, &no_next()), &[]).await;
    let said = next.header("cache-status").to_owned();
    assert!(said.starts_with("edge-test; hit; ttl=") && said.ends_with("; detail=prefetched"), "{said}");
    let bytes = next.bytes().await.unwrap();
    assert_eq!(bytes, world::noise(20 * BLOCK + 5)[..65_536]);
    let again = world.play(&world.url(NEXT, &no_next()), &[]).await;
    assert!(!again.header("cache-status").contains("prefetched"), "{}", again.header("cache-status"));
    assert_eq!(world.gets_of(NEXT).len(), 1);
    let tally = world.tally();
    assert_eq!((tally.heads, tally.bytes, tally.useful, tally.wasted), (1, 5 * BLOCK as u64, 1, 0));
}

#[tokio::test]
async fn one_play_fetches_its_next_head_once() {
    let world = world().await;
    for start in [0, 524_288, 1_048_576] {
        let range = format!("bytes={start}-{}", start + 524_287);
        let url = world.url(HERE, &claims(NEXT));
        world.send(Method::GET, &url, &[("range", &range)]).await.bytes().await.unwrap();
        world.fetched(1).await;
    }
    assert_eq!(world.gets_of(NEXT).len(), 1);
    assert_eq!(world.tally().heads, 1);
}

#[tokio::test]
async fn a_listener_who_asks_meanwhile_joins_the_fill() {
    let world = world().await;
    world.origin.change(NEXT, |next| next.pause_after = Some(1_000));
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.asked(|world| world.gets_of(NEXT).len() == 1).await;
    let next = world.play(&world.url(NEXT, &no_next()), &[]).await;
    assert_eq!(next.header("cache-status"), "edge-test; fwd=uri-miss; collapsed; stored; detail=prefetched");
    world.origin.go_on.notify_one();
    assert_eq!(next.bytes().await.unwrap(), world::noise(65_536)[..]);
    world.fetched(1).await;
    assert_eq!(world.gets_of(NEXT).len(), 1);
    assert_eq!(world.tally().useful, 1, "its first block had a listener when it came");
}

#[tokio::test]
async fn only_what_plays_looks_ahead() {
    let world = world().await;
    let url = world.url(HERE, &claims(NEXT));
    world.send(Method::HEAD, &url, &[]).await;
    world.send(Method::GET, &url, &[("range", "bytes=9999999-")]).await;
    world.send(Method::GET, &url, &[("if-none-match", "\"v1\"")]).await;
    world.play(&url, &[("priority", "u=7, i")]).await.bytes().await.unwrap();
    let mut early = Request::local(Method::GET, &url);
    early.peer.early_data = true;
    early.headers.insert("range", HeaderValue::from_static("bytes=0-99"));
    assert_eq!(world.edge.call(early).await.status(), 206);
    world.play(&world.url(HERE, &no_next()), &[]).await.bytes().await.unwrap();
    let forged = url.replace("dur=200000", "dur=200001");
    assert_eq!(world.play(&forged, &[]).await.status, 403);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.gets_of(NEXT).is_empty());
    assert_eq!(world.tally(), Tally::default());
}

#[tokio::test]
async fn players_may_point_at_the_next_track_in_every_way_of_cmcd() {
    let ways: [(&str, Option<&str>); 4] = [
        ("", Some(r#"bl=2000,nor="..%2Fnext%2F160.ogg",nrr="0-262143",su"#)),
        ("", Some(r#"nor=("../next/160.ogg";r="0-262143"),v=2"#)),
        ("&CMCD=bl%3D2000%2Cnor%3D%22..%252Fnext%252F160.ogg%22%2Cnrr%3D%220-262143%22", None),
        ("&CMCD=nor%3D%28%22..%2Fnext%2F160.ogg%22%3Br%3D%220-262143%22%29%2Cv%3D2", None),
    ];
    for (query, field) in ways {
        let world = world().await;
        let url = world.url(HERE, &claims(NEXT)) + query;
        let headers: Vec<_> = field.map(|field| ("cmcd-request", field)).into_iter().collect();
        assert_eq!(world.play(&url, &headers).await.status, 206, "{query}");
        world.fetched(1).await;
        let ranges: Vec<_> = world.gets_of(NEXT).iter().filter_map(Asked::range).collect();
        assert_eq!(ranges, [(0, 2 * BLOCK - 1)], "{query}{field:?}: what the player will ask for");
    }
}

#[tokio::test]
async fn a_player_may_name_a_signed_url_and_gets_no_more_than_its_head() {
    let world = world().await;
    let named = world.url(NEXT, &no_next());
    let cmcd = format!(r#"nor="../../..{named}",nrr="0-999999999""#);
    world.play(&world.url(HERE, &no_next()), &[("cmcd-request", &cmcd)]).await.bytes().await.unwrap();
    world.fetched(1).await;
    let ranges: Vec<_> = world.gets_of(NEXT).iter().filter_map(Asked::range).collect();
    assert_eq!(ranges, [(0, 5 * BLOCK - 1)]);
}

#[tokio::test]
async fn what_a_player_points_at_without_a_right_is_not_fetched() {
    let world = world().await;
    let forged = world.url(NEXT, &no_next()).replace("dur=200000", "dur=200001");
    let elsewhere =
        ["../next/160.ogg", "//evil.example/t/next/160.ogg", "http://evil.example/x", "/t/next/160.ogg", &forged];
    for reference in elsewhere {
        let cmcd = format!(r#"nor="{reference}""#);
        world.play(&world.url(HERE, &no_next()), &[("cmcd-request", &cmcd)]).await.bytes().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.gets_of(NEXT).is_empty());
    assert_eq!(world.tally(), Tally::default());
}

#[tokio::test]
async fn a_play_that_changes_its_mind_has_one_head_in_flight() {
    let world = world().await;
    world.origin.change(NEXT, |next| next.pause_after = Some(1_000));
    world.origin.put("/t/other/160.ogg", Manner::object(20 * BLOCK));
    world.origin.put("/t/third/160.ogg", Manner::object(20 * BLOCK));
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.asked(|world| world.gets_of(NEXT).len() == 1).await;
    for other in ["/t/other/160.ogg", "/t/third/160.ogg"] {
        world.play(&world.url(HERE, &claims(other)), &[]).await.bytes().await.unwrap();
    }
    assert_eq!(world.tally().in_flight, 1);
    assert_eq!(world.gets_of("/t/third/160.ogg").len(), 0);
    world.origin.go_on.notify_one();
    world.fetched(2).await;
    assert_eq!(world.gets_of("/t/third/160.ogg").len(), 1, "the latest word counts");
    assert_eq!(world.gets_of("/t/other/160.ogg").len(), 0);
}

#[tokio::test]
async fn under_pressure_nothing_is_fetched_ahead() {
    let world = world().await;
    let url = world.url(HERE, &claims(NEXT));
    let busy = world.shelf.cache.room().clone().acquire_many_owned(PREFETCH_FLYING_BLOCKS_MAX as u32).await.unwrap();
    world.play(&url, &[]).await.bytes().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.gets_of(NEXT).is_empty());
    assert_eq!(world.tally().dropped_pressure, 1);
    drop(busy);
    world.play(&url, &[]).await.bytes().await.unwrap();
    world.fetched(1).await;
    assert_eq!(world.gets_of(NEXT).len(), 1, "the play's next request asks again");
}

#[tokio::test]
async fn a_head_on_its_way_gives_way_when_listeners_need_the_room() {
    let world = world().await;
    world.origin.change(NEXT, |next| next.pause_after = Some(BLOCK + 1_000));
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.asked(|world| world.gets_of(NEXT).len() == 1).await;
    let free = world.shelf.cache.room().available_permits().min(FLYING_BLOCKS_MAX - 2) as u32;
    let busy = world.shelf.cache.room().clone().acquire_many_owned(free).await.unwrap();
    world.asked(|world| world.tally().given_up == 1).await;
    world.origin.go_on.notify_one();
    drop(busy);
    world.asked(|world| world.shelf.cache.flying() == 0).await;
    let stored = world.shelf.cache.len();
    assert!(stored < 1 + 5, "it ended at a block: {stored} blocks are here");
    assert_eq!(world.tally().in_flight, 0);
}

#[tokio::test]
async fn a_prefetched_head_is_kept_until_it_is_due() {
    let clock = Clock::manual(UnixSeconds(now()));
    let world = World::with_clock(16 << 20, clock.clone()).await;
    world.origin.put(HERE, Manner::object(20 * BLOCK));
    world.origin.put(NEXT, Manner::object(20 * BLOCK));
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.fetched(1).await;
    // Much more goes through the cache than it holds.
    let flood = async |from: u32| {
        for number in from..from + 20 {
            let name = format!("/flood/{number}.ogg");
            world.origin.put(&name, Manner::object(20 * BLOCK));
            world.get(&name, &[]).await.bytes().await.unwrap();
            world.asked(|world| world.shelf.cache.flying() == 0).await;
        }
    };
    flood(0).await;
    assert_eq!(world.tally().wasted, 0);
    // 200 s of music, a margin, and some.
    clock.advance_to(UnixSeconds(now() + 400));
    flood(100).await;
    // How much of it the policy keeps then is the policy's business.
    assert!(world.tally().wasted > 0, "nobody came for it");
}

#[tokio::test]
async fn a_head_that_stalls_is_asked_for_again_only_when_its_listener_comes() {
    let world = world().await;
    world.origin.change(NEXT, |next| next.pause_after = Some(1_000));
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.asked(|world| world.gets_of(NEXT).len() == 1).await;
    world.origin.change(NEXT, |next| next.pause_after = None);
    tokio::time::sleep(HEDGE_AFTER * 2).await;
    assert_eq!(world.gets_of(NEXT).len(), 1);
    let next = world.play(&world.url(NEXT, &no_next()), &[]).await;
    assert_eq!(next.bytes().await.unwrap(), world::noise(65_536)[..]);
    assert_eq!(world.gets_of(NEXT).len(), 2);
}

#[tokio::test]
async fn a_queue_can_have_a_head_fetched() {
    let world = world().await;
    let target = world.url(NEXT, &no_next());
    let url = verify(&target, &world.keys.load(), UnixSeconds(now())).unwrap();
    assert_eq!(push(&world.shelf, pid(7), &url, UnixSeconds(now() + 60)), Heeded::Started);
    assert_eq!(push(&world.shelf, pid(7), &url, UnixSeconds(now() + 60)), Heeded::Known);
    assert_eq!(push(&world.shelf, pid(8), &url, UnixSeconds(now())), Heeded::Dropped(Dropped::Late));
    world.fetched(1).await;
    let next = world.play(&target, &[]).await;
    assert!(next.header("cache-status").ends_with("; detail=prefetched"), "{}", next.header("cache-status"));
}

#[tokio::test]
async fn a_next_track_that_is_gone_costs_one_question() {
    let world = world().await;
    for _ in 0..3 {
        world.play(&world.url(HERE, &claims("/t/gone/160.ogg")), &[]).await.bytes().await.unwrap();
        world.asked(|world| world.tally().failed == 1 && world.tally().in_flight == 0).await;
    }
    assert_eq!(world.gets_of("/t/gone/160.ogg").len(), 1);
}

#[tokio::test]
async fn operators_see_what_became_of_it() {
    let world = world().await;
    world.play(&world.url(HERE, &claims(NEXT)), &[]).await.bytes().await.unwrap();
    world.fetched(1).await;
    world.play(&world.url(NEXT, &no_next()), &[]).await.bytes().await.unwrap();
    let text = world.shelf.metrics.encode();
    for line in [
        "needledrop_edge_prefetch_heads_total 1",
        "needledrop_edge_prefetch_bytes_total 655360",
        "needledrop_edge_prefetch_useful_blocks_total 1",
        "needledrop_edge_prefetch_wasted_blocks_total 0",
        "needledrop_edge_prefetch_dropped_total{reason=\"pressure\"} 0",
        "needledrop_edge_prefetch_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
