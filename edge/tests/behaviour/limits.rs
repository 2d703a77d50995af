//! Who may ask how often, as clients see it.

use crate::world::{Got, Manner, World, now};
use http::Method;
use needledrop_core::{Cidr, Claims, ObjectPath, PlaybackId, Pseudonym, UnixSeconds, rate::Quota};
use needledrop_edge::admission::Settings;
use needledrop_http::{Handler, Request};

const PATH: &str = "/t/a.ogg";

async fn world(settings: Settings) -> World {
    let world = World::new().await.limited(settings);
    world.origin.put(PATH, Manner::object(1_000));
    world
}

fn signed(world: &World, claim: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims::until(UnixSeconds(now() + 600));
    claim(&mut claims);
    needledrop_core::sign(&ObjectPath::parse(PATH).unwrap(), &claims, &world.keys.load())
}

async fn ask(world: &World, target: &str, client: &str, early_data: bool) -> Got {
    let mut request = Request::local(Method::GET, target);
    (request.peer.client, request.peer.early_data) = (client.parse().unwrap(), early_data);
    let (parts, body) = world.edge.call(request).await.into_parts();
    Got { status: parts.status, headers: parts.headers, body }
}

async fn assert_problem(got: Got, status: u16, slug: &str) {
    assert_eq!(got.status, status);
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.header("access-control-allow-origin"), "*");
    let text = String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap();
    assert!(text.contains(slug), "{text}");
}

#[tokio::test]
async fn a_network_that_asks_too_often_hears_when_to_come_again() {
    let slow = Quota { per_second: 1, burst: 2 };
    let world = world(Settings { network: Some(slow), ..Settings::off() }).await;
    let target = signed(&world, |_| ());
    // Even a wrong URL costs a signature check.
    assert_eq!(ask(&world, PATH, "203.0.113.7", false).await.status, 403);
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200);
    let got = ask(&world, &target, "203.0.113.7", false).await;
    assert_eq!(got.header("retry-after"), "1");
    assert!(got.header("access-control-expose-headers").contains("Retry-After"));
    assert_problem(got, 429, "network-rate").await;
    assert_eq!(ask(&world, &target, "203.0.113.8", false).await.status, 200, "others do not pay");
    let metrics = world.shelf.metrics.encode();
    assert!(metrics.contains("needledrop_edge_limited_total{reason=\"network-rate\"} 1\n"), "{metrics}");
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200, "the wait was true");
}

#[tokio::test]
async fn a_request_for_many_ranges_counts_as_many() {
    let slow = Quota { per_second: 1, burst: 12 };
    let world = world(Settings { network: Some(slow), ..Settings::off() }).await;
    let target = signed(&world, |_| ());
    let many: Vec<String> = (0..60).map(|n| format!("{0}-{0}", n * 2)).collect();
    let mut request = Request::local(Method::GET, &target);
    request.peer.client = "203.0.113.7".parse().unwrap();
    request.headers.insert("range", format!("bytes={}", many.join(",")).parse().unwrap());
    assert_eq!(world.edge.call(request.clone()).await.status(), 200, "more parts than are ever answered");
    assert_eq!(world.edge.call(request).await.status(), 429);
    for _ in 0..4 {
        assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200);
    }
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 429);
}

#[tokio::test]
async fn a_listener_who_asks_too_often_is_held_on_every_network() {
    let slow = Quota { per_second: 1, burst: 2 };
    let world = world(Settings { listener: Some(slow), ..Settings::off() }).await;
    let of = |name| signed(&world, |claims| claims.user = Pseudonym::parse(name));
    let (anna, bert) = (of("anna"), of("bert"));
    assert_eq!(ask(&world, &anna, "203.0.113.7", false).await.status, 200);
    assert_eq!(ask(&world, &anna, "2001:db8::7", false).await.status, 200);
    assert_problem(ask(&world, &anna, "198.51.100.7", false).await, 429, "listener-rate").await;
    assert_eq!(ask(&world, &bert, "198.51.100.7", false).await.status, 200);
}

#[tokio::test]
async fn a_url_that_was_passed_around_goes_on_playing_where_it_plays() {
    let world = world(Settings { playback_networks: Some(2), ..Settings::off() }).await;
    let target = signed(&world, |claims| claims.playback = Some(PlaybackId::from_random([7; 16])));
    for replayed_from in 0..20 {
        let client = format!("10.0.{replayed_from}.1");
        assert_eq!(ask(&world, &target, &client, true).await.status, 200, "nobody sits yet");
    }
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200);
    assert_eq!(ask(&world, &target, "2001:db8:1:2::7", false).await.status, 200);
    assert_problem(ask(&world, &target, "198.51.100.7", false).await, 403, "url-shared").await;
    assert_problem(ask(&world, &target, "198.51.100.7", true).await, 425, "too-early").await;
    for client in ["203.0.113.99", "2001:db8:1:2::8"] {
        assert_eq!(ask(&world, &target, client, false).await.status, 200, "{client}");
    }
}

#[tokio::test]
async fn an_address_in_early_data_satisfies_no_claim() {
    let world = world(Settings::off()).await;
    let target = signed(&world, |claims| claims.network = Some(Cidr::parse("203.0.113.0/24").unwrap()));
    assert_problem(ask(&world, &target, "203.0.113.7", true).await, 425, "too-early").await;
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200);
    assert_problem(ask(&world, &target, "198.51.100.7", true).await, 403, "url-other-network").await;
}

#[tokio::test]
async fn what_others_answer_draws_on_the_same_account() {
    let slow = Quota { per_second: 1, burst: 2 };
    let world = world(Settings { network: Some(slow), ..Settings::off() }).await;
    let target = signed(&world, |_| ());
    let page = |client: &str| {
        let mut request = Request::local(Method::GET, "/");
        request.peer.client = client.parse().unwrap();
        request
    };
    assert!(world.edge.turn_away(&page("203.0.113.7")).is_none());
    assert_eq!(ask(&world, &target, "203.0.113.7", false).await.status, 200);
    let refused = world.edge.turn_away(&page("203.0.113.7")).unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    assert!(world.edge.turn_away(&page("203.0.113.8")).is_none(), "others do not pay");
}

#[tokio::test]
async fn another_edge_is_not_limited() {
    let slow = Quota { per_second: 1, burst: 1 };
    let world = world(Settings { network: Some(slow), ..Settings::off() }).await;
    for _ in 0..5 {
        let mut request = Request::local(Method::GET, PATH);
        request.peer.client = "203.0.113.7".parse().unwrap();
        request.peer.identity = Some(needledrop_http::PeerIdentity("edge".into()));
        assert_eq!(world.edge.call(request).await.status(), 200);
    }
}
