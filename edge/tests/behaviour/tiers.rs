//! Edges that fill from a shield: one request at the origin, certificates instead of tokens, no circles.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::Method;
use needledrop_core::{KeyId, Keyring, signed_url::Secret};
use needledrop_edge::{
    Clock, Edge, Upstream, Upstreams,
    upstream::{Settings, Tier},
};
use needledrop_http::{
    Certificates, Client, ClientAuth, ClientCa, ClientConfig, DevCerts, Doors, DoorsConfig, Handler, Identity, Request,
    Roots, Running,
};

use crate::world::{BLOCK, Manner, Origin, World, nobody, way};

const CACHE: u64 = 16 << 20;

/// A shield behind a real TLS door that asks for client certificates.
struct Shield {
    world: World,
    address: SocketAddr,
    certs: DevCerts,
    _running: Running,
    _folder: tempfile::TempDir,
}

impl Shield {
    async fn start(upstream: impl Into<Upstreams>, origin: Arc<Origin>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = DevCerts::ensure(folder.path(), &[], SystemTime::now()).unwrap();
        let world = World::filled_from(origin, upstream, CACHE, Clock::system());
        let config = DoorsConfig {
            tls: vec!["127.0.0.1:0".parse().unwrap()],
            certificates: Some(Certificates::load(&certs.server, &certs.server_key).unwrap()),
            client_ca: Some(ClientCa { pem: certs.ca.clone(), auth: ClientAuth::Optional }),
            ..DoorsConfig::default()
        };
        let doors = Doors::bind(config).unwrap();
        let address = doors.tls_addrs()[0];
        // Its keys are not those of the edges: a listener's token would be of no use here.
        let keyring = Keyring::new(KeyId::parse("other").unwrap(), Secret::from_bytes([9; 32]));
        let keys = Arc::new(ArcSwap::from_pointee(keyring));
        let edge = Edge::new("shield".into(), keys, Vec::new(), world.shelf.clone());
        Self { address, certs, _running: doors.serve(Arc::new(edge)), world, _folder: folder }
    }

    /// A way to it, with or without a certificate.
    fn way(&self, shows_certificate: bool) -> Upstream {
        let identity = Identity { certificate: self.certs.edge.clone(), key: self.certs.edge_key.clone() };
        let config = ClientConfig {
            roots: Roots::Pem(self.certs.ca.clone()),
            identity: shows_certificate.then_some(identity),
            ..ClientConfig::default()
        };
        let base = format!("https://localhost:{}", self.address.port()).parse().unwrap();
        Upstream::new(Client::new(&config).unwrap(), &base, Clock::system())
    }
}

/// Fifty edges start slowly on a busy machine; this is not about time.
fn patient(name: &str) -> Settings {
    let wait = Duration::from_secs(20);
    Settings { first_byte_wait: wait, hedge_after: wait, ..Settings::named(name) }
}

#[tokio::test]
async fn fifty_edges_that_ask_for_one_cold_block_make_one_origin_request() {
    let (origin, at) = Origin::start().await;
    let object = Manner::object(BLOCK);
    let bytes = object.bytes.clone();
    origin.put("/t/a.ogg", object);
    let to_origin = Upstreams::new(patient("shield")).with(way(at), Tier::Origin, 1);
    let shield = Shield::start(to_origin, origin.clone()).await;
    let edges: Vec<_> = (0..50)
        .map(|number| {
            let upstream = Upstreams::new(patient(&format!("edge-{number}"))).with(shield.way(true), Tier::Shield, 1);
            let edge = World::filled_from(origin.clone(), upstream, CACHE, Clock::system());
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let got = edge.get("/t/a.ogg", &[("cookie", "session=1"), ("authorization", "Bearer x")]).await;
                assert_eq!(got.status, 200);
                assert!(got.header("cache-control").starts_with("private, max-age="));
                assert!(got.bytes().await.unwrap() == bytes[..]);
            })
        })
        .collect();
    for edge in edges {
        edge.await.unwrap();
    }
    let asked = origin.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target, "/t/a.ogg", "no token travels");
    let chain: Vec<_> = asked[0].headers["cdn-loop"].split(", ").collect();
    assert!(chain.len() == 2 && chain[0].starts_with("edge-") && chain[1].starts_with("shield-"), "{chain:?}");
    assert!(!asked[0].headers.contains_key("authorization") && !asked[0].headers.contains_key("cookie"));
    assert_eq!(shield.world.shelf.upstream.counts().requests.get(), 1);
}

#[tokio::test]
async fn a_shield_gives_nothing_to_whoever_shows_neither_certificate_nor_token() {
    let (origin, at) = Origin::start().await;
    origin.put("/t/a.ogg", Manner::object(BLOCK));
    let shield = Shield::start(way(at), origin.clone()).await;
    let stranger = World::filled_from(origin.clone(), shield.way(false), CACHE, Clock::system());
    assert_eq!(stranger.get("/t/a.ogg", &[]).await.status, 502);
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn what_a_shield_says_of_freshness_age_and_tags_holds_at_the_edge_too() {
    let (origin, at) = Origin::start().await;
    let cache_control = "max-age=600, stale-while-revalidate=30, stale-if-error=40";
    origin.put("/t/a.ogg", Manner { cache_control: Some(cache_control.into()), ..Manner::object(BLOCK) });
    let shield = Shield::start(way(at), origin.clone()).await;
    let edge = World::filled_from(origin, shield.way(true), CACHE, Clock::system());
    edge.get("/t/a.ogg", &[]).await.bytes().await.unwrap();
    let known = |world: &World| match world.shelf.objects.get(&"/t/a.ogg".parse_path()) {
        Some(needledrop_edge::object::Known::Object(object)) => object.freshness(),
        _ => panic!("known"),
    };
    let (there, here) = (known(&shield.world), known(&edge));
    assert!(here.fresh_until.0.abs_diff(there.fresh_until.0) <= 1 && here.born.0.abs_diff(there.born.0) <= 1);
    assert_eq!(here.stale, there.stale);
}

trait ParsePath {
    fn parse_path(&self) -> needledrop_core::ObjectPath;
}

impl ParsePath for str {
    fn parse_path(&self) -> needledrop_core::ObjectPath {
        needledrop_core::ObjectPath::parse(self).unwrap()
    }
}

#[tokio::test]
async fn when_the_shields_are_down_the_origin_is_asked() {
    let (origin, at) = Origin::start().await;
    origin.put("/t/a.ogg", Manner::object(BLOCK));
    let mut upstream = Upstreams::new(patient("edge-test"));
    for _ in 0..3 {
        upstream = upstream.with(way(nobody().await), Tier::Shield, 1);
    }
    let edge = World::filled_from(origin.clone(), upstream.with(way(at), Tier::Origin, 1), CACHE, Clock::system());
    assert_eq!(edge.get("/t/a.ogg", &[]).await.status, 200);
    assert_eq!(edge.shelf.upstream.counts().failovers.get(), 2, "two shields, then the origin");
}

#[tokio::test]
async fn an_object_has_one_shield_for_all_edges() {
    let ((first, at), (second, other)) = (Origin::start().await, Origin::start().await);
    for number in 0..20 {
        first.put(&format!("/t/{number}.ogg"), Manner::object(100));
        second.put(&format!("/t/{number}.ogg"), Manner::object(100));
    }
    for edge in 0..4 {
        let mut ways = vec![way(at), way(other)];
        if edge % 2 == 1 {
            ways.reverse();
        }
        let mut upstream = Upstreams::new(patient("edge-test"));
        for way in ways {
            upstream = upstream.with(way, Tier::Shield, 1);
        }
        let edge = World::filled_from(first.clone(), upstream, CACHE, Clock::system());
        for number in 0..20 {
            assert_eq!(edge.get(&format!("/t/{number}.ogg"), &[]).await.status, 200);
        }
    }
    let paths = |origin: &Origin| {
        origin.asked().into_iter().map(|asked| asked.target).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(paths(&first).is_disjoint(&paths(&second)));
    assert!(!paths(&first).is_empty() && !paths(&second).is_empty());
}

#[tokio::test]
async fn a_request_that_has_been_here_is_refused_and_two_edges_in_a_circle_end_it() {
    let world = World::new().await;
    let id = &world.shelf.upstream.settings().loop_id;
    let got = world.get("/t/a.ogg", &[("cdn-loop", &format!("other; x=1, {id}"))]).await;
    assert_eq!(got.status, 508);
    assert!(world.origin.asked().is_empty());

    // A shield that fills from itself.
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop((listener, folder));
    let own = World::filled_from(Arc::new(Origin::default()), way(address), CACHE, Clock::system());
    let edge = Edge::new("self".into(), own.keys.clone(), vec!["/t/".into()], own.shelf.clone());
    let doors = Doors::bind(DoorsConfig { plain: vec![address], ..DoorsConfig::default() }).unwrap();
    let _running = doors.serve(Arc::new(edge));
    let request = Request::local(Method::GET, &own.sign("/t/a.ogg"));
    assert_eq!(own.edge.call(request).await.status(), 502);
    assert_eq!(own.shelf.upstream.counts().requests.get(), 1, "the circle is one hop long");
}
