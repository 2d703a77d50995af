//! The admin port: who may ask what, over real doors, and a cluster of edges that purge together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode, header};
use needledrop_core::{ObjectPath, PlaybackId, UnixSeconds, purge::Target};
use needledrop_edge::{
    Admin, Cluster,
    admin::{About, Token, query::encode},
    gate::Standing,
    purge::Round,
};
use needledrop_http::{Client, ClientConfig, Doors, DoorsConfig, Handler, PeerIdentity, Request, Running};
use serde_json::Value;

use crate::world::{BLOCK, Manner, World};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn token() -> Token {
    Token::parse(TOKEN).unwrap()
}

fn client() -> Client {
    Client::new(&ClientConfig::default()).unwrap()
}

fn admin(world: &World, name: &str, cluster: Cluster) -> Admin {
    let about =
        About { version: "0.0.0-test", region: Some("fra".into()), started: UnixSeconds(7), certificates: None };
    Admin { name: name.into(), shelf: world.shelf.clone(), keys: world.keys.clone(), token: token(), cluster, about }
}

async fn alone() -> (World, Admin) {
    let world = World::new().await;
    let admin = admin(&world, "edge-a", Cluster::alone(client()));
    (world, admin)
}

/// A call with the token, as an operator makes it.
async fn call(admin: &Admin, method: Method, target: &str) -> (StatusCode, Value) {
    let mut request = Request::local(method, target);
    request.headers.insert(header::AUTHORIZATION, token().to_field().parse().unwrap());
    ask(admin, request).await
}

async fn ask(admin: &Admin, request: Request) -> (StatusCode, Value) {
    let (parts, body) = admin.call(request).await.into_parts();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    (parts.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn without_the_token_only_health_and_readiness_are_told() {
    let (_world, admin) = alone().await;
    for open in ["/health", "/ready"] {
        assert_eq!(ask(&admin, Request::local(Method::GET, open)).await.0, 200, "{open}");
    }
    for (method, path) in [
        (Method::GET, "/metrics"),
        (Method::GET, "/status"),
        (Method::GET, "/top"),
        (Method::GET, "/errors"),
        (Method::POST, "/drain"),
        (Method::DELETE, "/drain"),
        (Method::GET, "/cache"),
        (Method::DELETE, "/cache?path=/a"),
        (Method::POST, "/purge?prefix=/"),
        (Method::GET, "/purges"),
        (Method::GET, "/keys"),
        (Method::POST, "/prefetch"),
    ] {
        let response = admin.call(Request::local(method.clone(), path)).await;
        assert_eq!(response.status(), 401, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("www-authenticate"));
        let mut request = Request::local(method, path);
        request.headers.insert(header::AUTHORIZATION, "Bearer 0123456789abcdef0123456789abcdeF".parse().unwrap());
        assert_eq!(ask(&admin, request).await.0, 401);
    }
}

#[tokio::test]
async fn a_neighbours_certificate_may_purge_and_nothing_else() {
    let (_world, admin) = alone().await;
    let neighbour = |method, target| {
        let mut request = Request::local(method, target);
        request.peer.identity = Some(PeerIdentity("edge-b".into()));
        request
    };
    assert_eq!(ask(&admin, neighbour(Method::GET, "/purges")).await.0, 200);
    assert_eq!(ask(&admin, neighbour(Method::POST, "/purge?tag=x&id=00000000000000aa-1")).await.0, 200);
    for (method, path) in [(Method::POST, "/drain"), (Method::GET, "/cache"), (Method::GET, "/metrics")] {
        assert_eq!(ask(&admin, neighbour(method, path)).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn the_public_side_knows_no_admin_call() {
    let (world, admin) = alone().await;
    for path in ["/health", "/ready", "/metrics", "/cache", "/keys", "/purges", "/drain"] {
        let mut request = Request::local(Method::GET, path);
        request.headers.insert(header::AUTHORIZATION, token().to_field().parse().unwrap());
        assert_eq!(world.edge.call(request).await.status(), 403, "{path}");
    }
    let mut request = Request::local(Method::POST, "/purge?prefix=/");
    request.headers.insert(header::AUTHORIZATION, token().to_field().parse().unwrap());
    assert_eq!(world.edge.call(request).await.status(), 405);
    assert!(call(&admin, Method::GET, "/purges").await.1["purges"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_call_is_told_what_there_is() {
    let (_world, admin) = alone().await;
    let (status, problem) = call(&admin, Method::GET, "/nothing").await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().unwrap().contains("POST /purge"));
    let mut request = Request::local(Method::PUT, "/drain");
    request.headers.insert(header::AUTHORIZATION, token().to_field().parse().unwrap());
    let response = admin.call(request).await;
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST, DELETE".parse().unwrap())
    );
    for wrong in
        ["/purge", "/purge?path=/a&tag=b", "/purge?prefix=/a", "/purge?path=a", "/purge?tagg=a", "/purge?tag=a&id=7"]
    {
        let (status, problem) = call(&admin, Method::POST, wrong).await;
        assert_eq!(
            (status.as_u16(), problem["type"].as_str().unwrap()),
            (400, "urn:needledrop:problem:parameter"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_draining_edge_takes_nothing_new_and_can_come_back() {
    let (world, admin) = alone().await;
    let mut object = Manner::object(2 * BLOCK);
    object.pause_after = Some(BLOCK);
    let bytes = object.bytes.clone();
    world.origin.put("/t/a.ogg", object);
    let running = world.get("/t/a.ogg", &[]).await;
    assert_eq!(call(&admin, Method::POST, "/drain").await.1["status"], "draining");
    assert_eq!(ask(&admin, Request::local(Method::GET, "/ready")).await.0, 503);
    assert_eq!(ask(&admin, Request::local(Method::GET, "/health")).await.0, 200);
    let refused = world.get("/t/a.ogg", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    world.origin.go_on.notify_one();
    assert_eq!(running.bytes().await.unwrap(), bytes[..], "what runs is finished");
    assert_eq!(call(&admin, Method::DELETE, "/drain").await.1["status"], "ready");
    assert_eq!(world.get("/t/a.ogg", &[]).await.status, 200);
}

#[tokio::test]
async fn the_cache_can_be_looked_into() {
    let (world, admin) = alone().await;
    for path in ["/t/a.ogg", "/t/b.ogg", "/u/c.ogg"] {
        let mut object = Manner::object(3 * BLOCK);
        object.tags = Some("album:1".into());
        world.origin.put(path, object);
    }
    world.get("/t/a.ogg", &[("range", "bytes=0-9")]).await.bytes().await.unwrap();
    world.settled(1).await;
    let last = format!("bytes={}-", 2 * BLOCK);
    world.get("/t/a.ogg", &[("range", &last)]).await.bytes().await.unwrap();
    world.settled(2).await;
    for path in ["/t/b.ogg", "/u/c.ogg"] {
        world.send(Method::HEAD, &world.sign(path), &[]).await;
    }
    let one = call(&admin, Method::GET, "/cache?path=/t/a.ogg").await.1;
    assert_eq!(one["present"], serde_json::json!([[0, 0], [2, 2]]));
    assert_eq!((&one["tags"][0], &one["etag"]), (&Value::from("album:1"), &Value::from("\"v1\"")));
    assert_eq!(call(&admin, Method::GET, "/cache?path=/t/x.ogg").await.0, 404);
    let page = call(&admin, Method::GET, "/cache?prefix=/t/&limit=1").await.1;
    assert_eq!(
        (&page["objects"][0]["path"], &page["more_after"]),
        (&Value::from("/t/a.ogg"), &Value::from("/t/a.ogg"))
    );
    let page = call(&admin, Method::GET, "/cache?prefix=/t/&limit=5&after=/t/a.ogg").await.1;
    assert_eq!((page["objects"].as_array().unwrap().len(), &page["more_after"]), (1, &Value::Null));
    let all = call(&admin, Method::GET, "/cache").await.1;
    assert_eq!((&all["objects"], &all["blocks"]), (&Value::from(3), &Value::from(2)));
}

#[tokio::test]
async fn metrics_and_keys_are_shown_without_a_secret() {
    let (_world, admin) = alone().await;
    let mut request = Request::local(Method::GET, "/metrics");
    request.headers.insert(header::AUTHORIZATION, token().to_field().parse().unwrap());
    let response = admin.call(request).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let keys = call(&admin, Method::GET, "/keys").await.1;
    assert_eq!(keys, serde_json::json!({ "keys": [{ "id": "k1", "state": "signing" }] }));
    assert!(!format!("{:?}", token()).contains(TOKEN));
}

#[tokio::test]
async fn a_pushed_queue_has_the_next_head_fetched() {
    let (world, admin) = alone().await;
    world.origin.put("/t/next.ogg", Manner::object(2 * BLOCK));
    let pid = PlaybackId::from_random([7; 16]);
    let url = encode(&world.sign("/t/next.ogg"));
    let (status, answer) = call(&admin, Method::POST, &format!("/prefetch?pid={pid}&url={url}")).await;
    assert_eq!((status.as_u16(), answer["heeded"].as_str().unwrap()), (202, "started"), "{answer}");
    world.settled(1).await;
    let forged = encode(&world.sign("/t/next.ogg").replace("next", "text"));
    assert_eq!(call(&admin, Method::POST, &format!("/prefetch?pid={pid}&url={forged}")).await.0, 400);
}

/// An edge with its admin port on a real socket.
struct Node {
    world: World,
    addr: SocketAddr,
    _running: Option<Running>,
}

/// Edges that know each other's admin ports; some of them do not answer.
async fn cluster(size: usize, silent: &[usize]) -> Vec<Node> {
    let mut doors = Vec::new();
    for _ in 0..size {
        let plain = vec!["127.0.0.1:0".parse().unwrap()];
        doors.push(Doors::bind(DoorsConfig { plain, ..DoorsConfig::default() }).unwrap());
    }
    let addrs: Vec<_> = doors.iter().map(|doors| doors.plain_addrs()[0]).collect();
    let mut nodes = Vec::new();
    for (at, doors) in doors.into_iter().enumerate() {
        let world = World::new().await;
        let admin = admin(&world, &format!("edge-{at}"), neighbours(&addrs, at));
        let running = (!silent.contains(&at)).then(|| doors.serve(Arc::new(admin)));
        nodes.push(Node { world, addr: addrs[at], _running: running });
    }
    nodes
}

fn neighbours(addrs: &[SocketAddr], of: usize) -> Cluster {
    let peers: Vec<_> =
        addrs.iter().enumerate().filter(|(at, _)| *at != of).map(|(_, addr)| format!("http://{addr}")).collect();
    Cluster::new(client(), &peers, Some(token())).unwrap()
}

impl Node {
    async fn fetch(&self, path: &str) {
        let before = self.world.shelf.cache.len();
        self.world.origin.put(path, Manner::object(BLOCK));
        self.world.get(path, &[]).await.bytes().await.unwrap();
        self.world.settled(before + 1).await;
    }

    fn knows(&self, path: &str) -> bool {
        self.world.shelf.objects.get(&ObjectPath::parse(path).unwrap()).is_some()
    }
}

async fn post(node: &Node, target: &str) -> (StatusCode, Value) {
    let request = http::Request::post(format!("http://{}{target}", node.addr))
        .header(header::AUTHORIZATION, token().to_field())
        .body(())
        .unwrap();
    let (parts, mut body) = client().send(request).await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    (parts.status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn one_purge_reaches_every_edge_and_the_acknowledgement_names_them() {
    let nodes = cluster(3, &[]).await;
    for node in &nodes {
        node.fetch("/t/a.ogg").await;
        node.fetch("/t/b.ogg").await;
    }
    let (status, answer) = post(&nodes[0], "/purge?path=/t/a.ogg").await;
    assert_eq!((status.as_u16(), &answer["complete"]), (200, &Value::from(true)), "{answer}");
    let reached: Vec<_> =
        answer["reached"].as_array().unwrap().iter().map(|edge| edge["edge"].as_str().unwrap()).collect();
    assert_eq!(reached, ["edge-1", "edge-2"]);
    assert_eq!((&answer["edge"], &answer["objects"]), (&Value::from("edge-0"), &Value::from(1)));
    for node in &nodes {
        assert!(!node.knows("/t/a.ogg") && node.knows("/t/b.ogg"));
    }
}

#[tokio::test]
async fn an_edge_that_is_silent_is_named_as_missed_within_a_second() {
    let nodes = cluster(3, &[2]).await;
    nodes[1].fetch("/t/a.ogg").await;
    let started = std::time::Instant::now();
    let (status, answer) = post(&nodes[0], "/purge?prefix=/t/").await;
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    assert_eq!((status.as_u16(), &answer["complete"]), (202, &Value::from(false)));
    assert_eq!(answer["reached"][0]["edge"], "edge-1");
    assert_eq!(answer["missed"][0]["peer"], format!("http://{}", nodes[2].addr));
    assert!(!nodes[1].knows("/t/a.ogg"));
}

#[tokio::test]
async fn an_edge_that_was_away_applies_what_it_missed_before_it_serves() {
    let nodes = cluster(2, &[1]).await;
    let addrs: Vec<_> = nodes.iter().map(|node| node.addr).collect();
    for path in ["/t/a.ogg", "/t/b.ogg", "/t/c.ogg"] {
        nodes[1].fetch(path).await;
    }
    post(&nodes[0], "/purge?path=/t/a.ogg").await;
    post(&nodes[0], "/purge?path=/t/b.ogg").await;
    let late = &nodes[1].world;
    late.shelf.gate.set(Standing::Starting);
    assert_eq!(late.get("/t/c.ogg", &[]).await.status, 503, "not before it has caught up");
    let caught_up = neighbours(&addrs, 1).join(&late.shelf).await;
    assert_eq!((caught_up.answered, caught_up.applied, caught_up.is_sure), (1, 2, true));
    assert!(!nodes[1].knows("/t/a.ogg") && !nodes[1].knows("/t/b.ogg"));
    let asked = late.origin.asked().len();
    assert_eq!(late.get("/t/c.ogg", &[]).await.status, 200);
    assert_eq!(late.origin.asked().len(), asked, "what nobody purged is served from the cache");
    let again = neighbours(&addrs, 1).catch_up(&late.shelf).await;
    assert_eq!(again.applied, 0, "nothing twice");
}

#[tokio::test]
async fn where_no_neighbour_answers_the_old_is_confirmed_upstream_before_it_is_served() {
    let nodes = cluster(2, &[0]).await;
    let addrs: Vec<_> = nodes.iter().map(|node| node.addr).collect();
    nodes[1].fetch("/t/a.ogg").await;
    let late = &nodes[1].world;
    let caught_up = neighbours(&addrs, 1).join(&late.shelf).await;
    assert!(!caught_up.is_sure);
    let asked = late.origin.asked().len();
    assert_eq!(late.get("/t/a.ogg", &[]).await.status, 200);
    let question = late.origin.asked().pop().unwrap();
    assert_eq!((late.origin.asked().len(), question.method.as_str()), (asked + 1, "HEAD"));
    assert!(question.headers.contains_key("if-none-match"));
    assert_eq!(late.get("/t/a.ogg", &[]).await.status, 200);
    assert_eq!(late.origin.asked().len(), asked + 1, "once confirmed, it is as good as new");
}

#[tokio::test]
async fn what_came_back_from_an_unpurged_shield_goes_in_the_second_round() {
    let (world, admin) = alone().await;
    world.origin.put("/t/a.ogg", Manner::object(BLOCK));
    let target = Target::parse("path", "/t/a.ogg").unwrap().unwrap();
    let first = world.shelf.purge(target, None, Round::First).unwrap().unwrap();
    // Filled between the rounds.
    world.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    world.settled(1).await;
    let id = first.purge.id;
    let once = call(&admin, Method::POST, &format!("/purge?path=/t/a.ogg&id={id}")).await.1;
    assert_eq!((&once["known_before"], &once["objects"]), (&Value::from(true), &Value::from(0)));
    let again = call(&admin, Method::POST, &format!("/purge?path=/t/a.ogg&id={id}&again=1")).await.1;
    assert_eq!((&again["objects"], &again["blocks"]), (&Value::from(1), &Value::from(1)));
}

#[tokio::test]
async fn an_operator_sees_what_is_wanted_what_went_wrong_and_how_the_edge_stands() {
    let (world, admin) = alone().await;
    world.origin.put("/t/a.ogg", Manner::object(BLOCK));
    for _ in 0..3 {
        world.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    }
    world.send(Method::GET, "/t/unsigned.ogg?x=secret", &[]).await.bytes().await.unwrap();
    let (_, top) = call(&admin, Method::GET, "/top?limit=5").await;
    assert_eq!((&top["requests"], &top["objects"][0]["path"]), (&3.into(), &"/t/a.ogg".into()), "{top}");
    assert_eq!((&top["objects"][0]["count"], &top["objects"][0]["error"]), (&3.into(), &0.into()), "{top}");
    let (_, errors) = call(&admin, Method::GET, "/errors").await;
    let kind = &errors["kinds"][0];
    assert_eq!((&kind["count"], &kind["recent"][0]["status"]), (&1.into(), &403.into()), "{errors}");
    assert_eq!(kind["recent"][0]["path"], "/t/unsigned.ogg", "no query");
    assert_eq!(kind["recent"][0]["client"], "127.0.0.0/24", "no whole address");
    let (_, status) = call(&admin, Method::GET, "/status").await;
    assert_eq!(
        (&status["region"], &status["started"], &status["standing"]),
        (&"fra".into(), &7.into(), &"ready".into())
    );
    assert_eq!(status["keys"][0]["state"], "signing", "{status}");
    let drained = admin.operate(&Method::POST, "/drain").await;
    assert_eq!((drained.status(), world.shelf.gate.standing()), (StatusCode::OK, Standing::Draining));
}
