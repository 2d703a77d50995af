//! What is fetched, how often, and what the listener gets.

use std::time::Duration;

use crate::world::{self, BLOCK, Manner, World};
use http::Method;

#[tokio::test]
async fn a_cold_range_costs_one_request_for_the_touched_blocks() {
    let world = World::new().await;
    let object = Manner::object(40 * BLOCK + 77);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let got = world.get("/t/a.ogg", &[("range", "bytes=3000000-3065535")]).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.header("content-range"), format!("bytes 3000000-3065535/{}", bytes.len()));
    assert_eq!(got.header("cache-status"), "edge-test; fwd=uri-miss; stored");
    assert_eq!(got.bytes().await.unwrap(), bytes[3_000_000..=3_065_535]);
    let asked = world.origin.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].range(), Some((22 * BLOCK, 24 * BLOCK - 1)));
}

#[tokio::test]
async fn the_second_request_is_a_hit_and_costs_nothing() {
    let world = World::new().await;
    let object = Manner::object(3 * BLOCK + 5);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..]);
    world.settled(4).await;
    assert_eq!(world.origin.asked().len(), 2, "two blocks to begin with, and the rest once it is read on");
    let got = world.get("/t/a.ogg", &[]).await;
    assert!(got.header("cache-status").starts_with("edge-test; hit; ttl="), "{}", got.header("cache-status"));
    assert_eq!(got.header("content-length"), bytes.len().to_string());
    assert_eq!(got.bytes().await.unwrap(), bytes[..]);
    assert_eq!(world.origin.asked().len(), 2);
}

#[tokio::test]
async fn a_thousand_cold_requests_fetch_each_block_once() {
    let world = std::sync::Arc::new(World::new().await);
    let object = Manner::object(20 * BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let readers: Vec<_> = (0..1_000)
        .map(|_| {
            let world = world.clone();
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut got = world.get("/t/a.ogg", &[]).await;
                let mut position = 0;
                while let Some(piece) = got.next().await {
                    let piece = piece.unwrap();
                    assert!(piece == bytes[position..position + piece.len()]);
                    position += piece.len();
                }
                assert_eq!(position, bytes.len());
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    let mut fetched = vec![0; 20];
    for asked in world.origin.gets() {
        let (first, last) = asked.range().unwrap();
        fetched[first / BLOCK..=(last / BLOCK).min(19)].iter_mut().for_each(|count| *count += 1);
    }
    assert_eq!(fetched, vec![1; 20], "each block exactly once");
}

#[tokio::test]
async fn the_first_byte_leaves_before_the_block_is_complete() {
    let world = World::new().await;
    let mut object = Manner::object(2 * BLOCK);
    object.pause_after = Some(1_000);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let mut got = world.get("/t/a.ogg", &[]).await;
    let mut have = Vec::new();
    while have.len() < 1_000 {
        let piece =
            tokio::time::timeout(Duration::from_millis(500), got.next()).await.expect("bytes while upstream pauses");
        have.extend_from_slice(&piece.unwrap().unwrap());
    }
    assert_eq!(have, bytes[..1_000]);
    world.origin.go_on.notify_one();
    have.extend_from_slice(&got.bytes().await.unwrap());
    assert_eq!(have, bytes[..]);
}

#[tokio::test]
async fn whoever_leaves_does_not_spoil_it_for_the_rest() {
    let world = World::new().await;
    let mut object = Manner::object(2 * BLOCK);
    object.pause_after = Some(1_000);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let leader = world.get("/t/a.ogg", &[]).await;
    let follower = world.get("/t/a.ogg", &[]).await;
    assert_eq!(follower.header("cache-status"), "edge-test; fwd=uri-miss; collapsed; stored");
    drop(leader);
    world.origin.go_on.notify_one();
    assert_eq!(follower.bytes().await.unwrap(), bytes[..]);
    assert_eq!(world.origin.gets().len(), 1);
}

#[tokio::test]
async fn a_fill_that_nobody_waits_for_ends_at_its_block() {
    let world = World::new().await;
    let mut object = Manner::object(8 * BLOCK);
    object.pause_after = Some(BLOCK / 2);
    world.origin.put("/t/a.ogg", object);
    drop(world.get("/t/a.ogg", &[]).await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.origin.go_on.notify_one();
    world.settled(1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.shelf.cache.len(), 1, "the block under way is kept, the rest is not fetched");
}

#[tokio::test]
async fn partly_cached_ranges_fetch_only_what_is_missing() {
    let world = World::new().await;
    let object = Manner::object(6 * BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    world.get("/t/a.ogg", &[("range", &format!("bytes={}-{}", 2 * BLOCK, 3 * BLOCK - 1))]).await.bytes().await.unwrap();
    world.settled(1).await;
    let got = world.get("/t/a.ogg", &[]).await;
    assert_eq!(got.header("cache-status"), "edge-test; fwd=partial; stored");
    assert_eq!(got.bytes().await.unwrap(), bytes[..]);
    let ranges: Vec<_> = world.origin.gets().iter().filter_map(world::Asked::range).collect();
    assert_eq!(ranges, [(2 * BLOCK, 3 * BLOCK - 1), (0, 2 * BLOCK - 1), (3 * BLOCK, 6 * BLOCK - 1)]);
}

#[tokio::test]
async fn a_cache_smaller_than_its_objects_still_gives_every_byte() {
    let world = World::with_cache(16 << 20).await;
    for name in ["/t/a.ogg", "/t/b.ogg", "/t/c.ogg"] {
        world.origin.put(name, Manner::object(80 * BLOCK + 13));
    }
    let bytes = world::noise(80 * BLOCK + 13);
    for _ in 0..3 {
        for name in ["/t/a.ogg", "/t/b.ogg", "/t/c.ogg"] {
            assert_eq!(world.get(name, &[]).await.bytes().await.unwrap(), bytes[..]);
        }
    }
}

#[tokio::test]
async fn bytes_held_by_a_slow_reader_survive_the_eviction_of_everything() {
    let world = World::with_cache(16 << 20).await;
    let object = Manner::object(4 * BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/slow.ogg", object);
    world.get("/t/slow.ogg", &[]).await.bytes().await.unwrap();
    world.settled(4).await;
    let mut slow = world.get("/t/slow.ogg", &[]).await;
    let first = slow.next().await.unwrap().unwrap();
    for round in 0..4 {
        let name = format!("/t/{round}.ogg");
        let mut other = Manner::object(100 * BLOCK);
        other.bytes = std::sync::Arc::new(vec![round as u8; 100 * BLOCK]);
        world.origin.put(&name, other);
        world.get(&name, &[]).await.bytes().await.unwrap();
    }
    assert_eq!(first, bytes[..first.len()], "a pinned slot is not written");
    let rest = slow.bytes().await.unwrap();
    assert_eq!(rest, bytes[first.len()..], "evicted blocks are fetched again");
}

#[tokio::test]
async fn head_asks_for_no_bytes() {
    let world = World::new().await;
    world.origin.put("/t/a.ogg", Manner::object(3 * BLOCK));
    let got = world.send(Method::HEAD, &world.sign("/t/a.ogg"), &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-length"), (3 * BLOCK).to_string());
    assert!(got.bytes().await.unwrap().is_empty());
    assert!(world.origin.gets().is_empty());
}

#[tokio::test]
async fn the_tail_of_an_unknown_object_costs_its_blocks_only() {
    let world = World::new().await;
    let object = Manner::object(30 * BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let got = world.get("/t/a.ogg", &[("range", "bytes=-100")]).await;
    assert_eq!(got.bytes().await.unwrap(), bytes[bytes.len() - 100..]);
    let ranges: Vec<_> = world.origin.gets().iter().filter_map(world::Asked::range).collect();
    assert_eq!(ranges, [(29 * BLOCK, 30 * BLOCK - 1)]);
}
