//! Origins that are not ours: freshness by RFC 9111, validators, and what is not forwarded.

use crate::world::{BLOCK, Manner, World, now};
use http::Method;

fn foreign(cache_control: Option<&str>) -> Manner {
    Manner { cache_control: cache_control.map(str::to_owned), ..Manner::object(2 * BLOCK) }
}

#[tokio::test]
async fn without_a_stated_lifetime_every_request_revalidates() {
    let world = World::new().await;
    let object = foreign(None);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    for _ in 0..3 {
        let got = world.get("/t/a.ogg", &[]).await;
        assert_eq!(got.header("cache-control"), "private, no-cache");
        assert_eq!(got.bytes().await.unwrap(), bytes[..]);
        world.settled(2).await;
    }
    assert_eq!(world.origin.gets().len(), 1, "the bytes came once");
    let revalidations: Vec<_> = world.origin.asked().into_iter().filter(|asked| asked.method == "HEAD").collect();
    assert_eq!(revalidations.len(), 2);
    assert!(revalidations.iter().all(|asked| asked.headers["if-none-match"] == "\"v1\""));
}

#[tokio::test]
async fn a_revalidation_that_finds_another_version_serves_that() {
    let world = World::new().await;
    world.origin.put("/t/a.ogg", foreign(Some("no-cache")));
    world.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    world.origin.change("/t/a.ogg", |object| {
        object.etag = Some("\"v2\"".into());
        object.bytes = std::sync::Arc::new(vec![3; BLOCK]);
    });
    let got = world.get("/t/a.ogg", &[]).await;
    assert_eq!(got.header("etag"), "\"v2\"");
    assert_eq!(got.bytes().await.unwrap(), vec![3; BLOCK]);
}

#[tokio::test]
async fn what_must_not_be_stored_is_not() {
    for cache_control in ["no-store", "private, max-age=60"] {
        let world = World::new().await;
        let object = foreign(Some(cache_control));
        let bytes = object.bytes.clone();
        world.origin.put("/t/a.ogg", object);
        for _ in 0..2 {
            let got = world.get("/t/a.ogg", &[("range", "bytes=10-19")]).await;
            assert_eq!(got.status, 206);
            assert_eq!(got.header("cache-status"), "edge-test; fwd=bypass");
            assert_eq!(got.bytes().await.unwrap(), bytes[10..20]);
        }
        assert!(world.shelf.cache.is_empty());
    }
}

#[tokio::test]
async fn pieces_are_never_put_together_under_a_weak_validator() {
    let world = World::new().await;
    let mut object = foreign(Some("max-age=60"));
    object.etag = Some("W/\"v1\"".into());
    world.origin.put("/t/weak.ogg", object);
    let mut object = foreign(Some("max-age=60"));
    object.etag = None;
    object.last_modified = Some(now());
    world.origin.put("/t/recent.ogg", object);
    let mut object = foreign(Some("max-age=60"));
    object.etag = None;
    object.last_modified = None;
    world.origin.put("/t/none.ogg", object);
    for path in ["/t/weak.ogg", "/t/recent.ogg", "/t/none.ogg"] {
        let got = world.get(path, &[("range", "bytes=0-9")]).await;
        assert_eq!(got.status, 206, "{path}");
        assert_eq!(got.header("cache-status"), "edge-test; fwd=bypass", "{path}");
        got.bytes().await.unwrap();
    }
    assert!(world.shelf.cache.is_empty());
}

#[tokio::test]
async fn an_old_last_modified_is_strong_enough() {
    let world = World::new().await;
    let mut object = foreign(Some("max-age=60"));
    object.etag = None;
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    for _ in 0..2 {
        assert_eq!(world.get("/t/a.ogg", &[]).await.bytes().await.unwrap(), bytes[..]);
        world.settled(2).await;
    }
    assert_eq!(world.origin.asked().len(), 1);
}

#[tokio::test]
async fn no_query_cookie_or_authorization_travels_upstream() {
    let world = World::new().await;
    world.origin.put("/t/a.ogg", Manner::object(100));
    world.origin.put("/t/b.ogg", foreign(Some("no-store")));
    for path in ["/t/a.ogg", "/t/b.ogg"] {
        let target = format!("{}&CMCD=br%3D160&utm=1", world.sign(path));
        let secrets = [("cookie", "session=1"), ("authorization", "Bearer x"), ("cmcd-request", "bl=1")];
        let got = world.send(Method::GET, &target, &secrets).await;
        assert_eq!(got.status, 200);
    }
    for asked in world.origin.asked() {
        assert!(!asked.target.contains('?'), "{}", asked.target);
        for name in ["cookie", "authorization", "cmcd-request"] {
            assert!(!asked.headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn an_empty_object_is_an_answer_too() {
    let world = World::new().await;
    world.origin.put("/t/a.ogg", Manner::object(0));
    let got = world.get("/t/a.ogg", &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-length"), "0");
    assert_eq!(world.get("/t/a.ogg", &[("range", "bytes=0-1")]).await.status, 416);
}
