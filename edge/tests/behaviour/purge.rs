//! What is purged is gone: in the cache, on its way, and after a restart.

use std::{sync::Arc, time::Duration};

use crate::world::{BLOCK, Manner, World};
use needledrop_core::{ObjectPath, purge::Target};
use needledrop_edge::purge::{Applied, Round};

fn target(name: &str, value: &str) -> Target {
    Target::parse(name, value).unwrap().unwrap()
}

fn purge(world: &World, name: &str, value: &str) -> Applied {
    world.shelf.purge(target(name, value), None, Round::First).unwrap().unwrap()
}

/// Fetches it whole and waits until its blocks are stored.
async fn fetch(world: &World, path: &str, blocks: usize) {
    let before = world.shelf.cache.len();
    world.get(path, &[]).await.bytes().await.unwrap();
    world.settled(before + blocks).await;
}

fn known(world: &World, path: &str) -> bool {
    world.shelf.objects.get(&ObjectPath::parse(path).unwrap()).is_some()
}

#[tokio::test]
async fn a_purged_object_is_asked_for_anew_and_its_neighbours_stay() {
    let world = World::new().await;
    for path in ["/t/1/a.ogg", "/t/1/b.ogg", "/t/10/a.ogg"] {
        world.origin.put(path, Manner::object(2 * BLOCK));
        fetch(&world, path, 2).await;
    }
    let applied = purge(&world, "path", "/t/1/a.ogg");
    assert_eq!((applied.objects, applied.blocks, world.shelf.cache.len()), (1, 2, 4));
    let asked = world.origin.gets().len();
    world.get("/t/1/a.ogg", &[]).await.bytes().await.unwrap();
    assert_eq!(world.origin.gets().len(), asked + 1);
    world.settled(6).await;

    let applied = purge(&world, "prefix", "/t/1/");
    assert_eq!((applied.objects, applied.blocks), (2, 4));
    assert!(known(&world, "/t/10/a.ogg") && !known(&world, "/t/1/b.ogg"));
    assert!(world.get("/t/10/a.ogg", &[]).await.header("cache-status").contains("hit"));
}

#[tokio::test]
async fn a_tag_takes_all_that_upstream_gave_it() {
    let world = World::new().await;
    for (path, tags) in [("/a.ogg", "album:1, artist:9"), ("/b.ogg", "album:2 artist:9"), ("/c.ogg", "album:1")] {
        let mut object = Manner::object(BLOCK);
        object.tags = Some(tags.into());
        world.origin.put(path, object);
        fetch(&world, path, 1).await;
    }
    assert_eq!(purge(&world, "tag", "artist:9").objects, 2);
    assert!(known(&world, "/c.ogg"));
    assert_eq!(purge(&world, "tag", "album:1").objects, 1);
    assert_eq!(purge(&world, "tag", "album").objects, 0);
}

#[tokio::test]
async fn a_fill_begun_before_the_purge_reaches_its_reader_and_is_never_published() {
    let world = World::new().await;
    let mut object = Manner::object(2 * BLOCK);
    object.pause_after = Some(BLOCK + 100);
    let old = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let mut reader = world.get("/t/a.ogg", &[]).await;
    let mut got = reader.next().await.unwrap().unwrap().to_vec();
    world.settled(1).await;
    assert_eq!(purge(&world, "path", "/t/a.ogg").blocks, 1);
    let newer = vec![9; 2 * BLOCK];
    world.origin.change("/t/a.ogg", |object| {
        object.pause_after = None;
        object.etag = Some("\"v2\"".into());
        object.bytes = Arc::new(newer.clone());
    });
    world.origin.go_on.notify_one();
    // Who listens already hears what was begun; or a reset, never a mixture.
    while let Some(Ok(piece)) = reader.next().await {
        got.extend(piece);
    }
    assert_eq!(got, old[..got.len()]);
    assert_eq!(world.shelf.cache.len(), 0, "nothing of it was published");
    assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), newer);
}

#[tokio::test]
async fn an_answer_that_a_purge_overtakes_is_asked_for_anew() {
    let world = Arc::new(World::new().await);
    let mut object = Manner::object(BLOCK);
    object.hold_head = true;
    world.origin.put("/t/a.ogg", object);
    let asking = tokio::spawn({
        let world = world.clone();
        async move { world.get("/t/a.ogg", &[]).await.bytes().await.unwrap() }
    });
    while world.origin.gets().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(purge(&world, "tag", "album:1").objects, 0, "nothing is known yet");
    let joined = tokio::spawn({
        let world = world.clone();
        async move { world.get("/t/a.ogg", &[]).await.bytes().await.unwrap() }
    });
    // The answer that was begun before carries the tag, and old bytes.
    world.origin.change("/t/a.ogg", |object| object.hold_head = false);
    world.origin.go_on.notify_one();
    let (first, second) = (asking.await.unwrap(), joined.await.unwrap());
    assert_eq!(first, second);
    assert_eq!(world.origin.gets().len(), 1, "another tag: the answer stands");

    let mut object = Manner::object(BLOCK);
    object.hold_head = true;
    object.tags = Some("album:1".into());
    world.origin.put("/t/b.ogg", object);
    let asking = tokio::spawn({
        let world = world.clone();
        async move { world.get("/t/b.ogg", &[]).await.bytes().await.unwrap() }
    });
    while world.origin.gets().len() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    purge(&world, "tag", "album:1");
    let newer = vec![9; BLOCK];
    world.origin.change("/t/b.ogg", |object| {
        object.hold_head = false;
        object.etag = Some("\"v2\"".into());
        object.bytes = Arc::new(newer.clone());
    });
    world.origin.go_on.notify_one();
    assert_eq!(asking.await.unwrap(), newer, "asked again, after the purge");
    assert_eq!(world.origin.gets().len(), 3);
    world.settled(2).await;
}

#[tokio::test]
async fn a_stale_object_purged_while_it_is_confirmed_is_not_served() {
    let world = Arc::new(World::new().await);
    let mut object = Manner::object(BLOCK);
    object.cache_control = Some("public, max-age=0".into());
    world.origin.put("/t/a.ogg", object);
    fetch(&world, "/t/a.ogg", 1).await;
    world.origin.change("/t/a.ogg", |object| object.hold_head = true);
    let asked = world.origin.asked().len();
    let asking = tokio::spawn({
        let world = world.clone();
        async move { world.get("/t/a.ogg", &[]).await.bytes().await.unwrap() }
    });
    while world.origin.asked().len() == asked {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    purge(&world, "prefix", "/");
    world.origin.change("/t/a.ogg", |object| object.hold_head = false);
    world.origin.go_on.notify_one();
    asking.await.unwrap();
    let after = world.origin.asked();
    assert_eq!(after.last().unwrap().method, "GET", "its bytes were fetched anew: {after:?}");
}

#[tokio::test]
async fn the_same_purge_heard_twice_is_applied_once() {
    let world = World::new().await;
    world.origin.put("/t/a.ogg", Manner::object(BLOCK));
    let first = purge(&world, "path", "/t/a.ogg");
    fetch(&world, "/t/a.ogg", 1).await;
    let id = Some(first.purge.id);
    let target = target("path", "/t/a.ogg");
    assert_eq!(world.shelf.purge(target.clone(), id, Round::First).unwrap(), None);
    assert!(known(&world, "/t/a.ogg"));
    assert_eq!(world.shelf.purge(target, id, Round::Again).unwrap().unwrap().objects, 1);
}
