//! Who gets an object, and how a refusal looks.

use std::sync::Arc;

use crate::world::{Manner, World, now};
use http::Method;
use needledrop_core::{Cidr, Claims, KeyId, ObjectPath, UnixSeconds, signed_url::Secret};

const PATH: &str = "/t/a.ogg";

async fn world() -> World {
    let world = World::new().await;
    world.origin.put(PATH, Manner::object(1_000));
    world.origin.put("/t/b.ogg", Manner::object(1_000));
    world.origin.put("/art/x/300.jpg", Manner::object(1_000));
    world
}

async fn status(world: &World, target: &str) -> u16 {
    world.send(Method::GET, target, &[]).await.status.as_u16()
}

#[tokio::test]
async fn only_what_was_signed_is_served() {
    let world = world().await;
    let good = world.sign(PATH);
    assert_eq!(status(&world, &good).await, 200);
    assert_eq!(status(&world, &format!("{good}&CMCD=x")).await, 200);
    assert_eq!(status(&world, PATH).await, 403);
    assert_eq!(status(&world, &good.replace("/t/a.ogg", "/t/b.ogg")).await, 403);
    assert_eq!(status(&world, &good.replace("exp=1", "exp=2")).await, 403);
    assert_eq!(status(&world, &format!("{good}&exp=9999999999")).await, 400);
    assert!(world.origin.asked().iter().all(|asked| asked.target == PATH));
}

#[tokio::test]
async fn an_expired_url_is_refused_in_words_that_do_not_help_to_forge_one() {
    let world = world().await;
    let path = ObjectPath::parse(PATH).unwrap();
    let target = needledrop_core::sign(&path, &Claims::until(UnixSeconds(now() - 60)), &world.keys.load());
    let got = world.send(Method::GET, &target, &[]).await;
    assert_eq!(got.status, 403);
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.header("access-control-allow-origin"), "*");
    let text = String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap();
    assert!(text.contains("url-expired"), "{text}");
}

#[tokio::test]
async fn a_client_may_keep_what_it_got_only_while_its_url_is_good() {
    let world = world().await;
    let got = world.get(PATH, &[]).await;
    let max_age: u64 = got
        .header("cache-control")
        .strip_prefix("private, max-age=")
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // A client takes Age off it.
    let left = max_age - got.header("age").parse::<u64>().unwrap();
    assert!((595..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn keys_rotate_without_a_gap() {
    let world = world().await;
    let old = world.sign(PATH);
    let mut keyring = (**world.keys.load()).clone();
    let second = KeyId::parse("k2").unwrap();
    keyring.add(second.clone(), Secret::from_bytes([8; 32])).unwrap();
    keyring.promote(&second).unwrap();
    world.keys.store(Arc::new(keyring.clone()));
    let new = world.sign(PATH);
    assert!(new.contains("kid=k2"));
    assert_eq!(status(&world, &old).await, 200, "the former key still verifies");
    assert_eq!(status(&world, &new).await, 200);
    keyring.retire(&KeyId::parse("k1").unwrap()).unwrap();
    world.keys.store(Arc::new(keyring));
    assert_eq!(status(&world, &old).await, 403);
    assert_eq!(status(&world, &new).await, 200);
}

#[tokio::test]
async fn a_url_bound_to_a_network_works_there_only() {
    let world = world().await;
    let path = ObjectPath::parse(PATH).unwrap();
    for (network, expected) in [("127.0.0.0/24", 200), ("203.0.113.0/24", 403)] {
        let mut claims = Claims::until(UnixSeconds(now() + 60));
        claims.network = Some(Cidr::parse(network).unwrap());
        let target = needledrop_core::sign(&path, &claims, &world.keys.load());
        assert_eq!(status(&world, &target).await, expected, "{network}");
    }
}

#[tokio::test]
async fn public_paths_need_no_signature_and_hostile_ones_lead_nowhere() {
    let world = world().await;
    let got = world.send(Method::GET, "/art/x/300.jpg", &[]).await;
    assert_eq!(got.status, 200);
    assert!(got.header("cache-control").starts_with("public, max-age="));
    let before = world.origin.asked().len();
    for path in ["/art/../t/a.ogg", "/art/%2e%2e/t/a.ogg", "/art//x", "/art/x%00.jpg", "/art/./x", "/art/x/"] {
        assert_eq!(status(&world, path).await, 400, "{path}");
    }
    assert_eq!(world.origin.asked().len(), before);
}

#[tokio::test]
async fn other_methods_are_refused_and_preflights_answered_without_a_signature() {
    let world = world().await;
    let got = world.send(Method::POST, &world.sign(PATH), &[]).await;
    assert_eq!(got.status, 405);
    assert_eq!(got.header("allow"), "GET, HEAD, OPTIONS");
    let got = world.send(Method::OPTIONS, PATH, &[("access-control-request-headers", "range")]).await;
    assert_eq!(got.status, 204);
    assert!(got.header("access-control-allow-headers").contains("Range"));
}
