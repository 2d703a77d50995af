//! `/v1/ops` over a real store: who may come in, what is purged and drained, and what the audit list says of it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use needledrop_catalog::Catalog;
use needledrop_catalog::search::Index;
use needledrop_core::{AccountId, KeyId, Keyring, Secret, UnixSeconds};
use needledrop_database::Database;
use needledrop_database::testing::on_each;
use needledrop_gateway::api::Counted;
use needledrop_gateway::cors::Cors;
use needledrop_gateway::limits::{Limits, Settings};
use needledrop_gateway::ops::audit::{AUDIT_MAX, Act, Deed, Outcome};
use needledrop_gateway::ops::{Ask, Asking, Audit, Edge, EdgesError, Ops, Port, Said};
use needledrop_gateway::subsonic::readings::Readings;
use needledrop_gateway::{Gateway, House, Making};
use needledrop_http::Request;
use needledrop_playback::{Playback, ServerKey, SignUp, UserName};
use needledrop_playlist::Playlists;
use needledrop_podcast::Podcasts;
use serde_json::{Value, json};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const PASSWORD: &str = "a long enough password";

/// An edge that writes down what it is asked, and answers as it should, or not at all.
#[derive(Clone, Default)]
struct Pretended {
    asked: Arc<Mutex<Vec<String>>>,
    is_gone: Arc<AtomicBool>,
    is_draining: Arc<AtomicBool>,
}

impl Pretended {
    fn answer(&self, ask: &Ask) -> Result<Said, String> {
        use std::sync::atomic::Ordering::Relaxed;
        let query: Vec<_> = ask.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.asked.lock().unwrap().push(format!("{} {} {}", ask.method, ask.path, query.join(" ")));
        if self.is_gone.load(Relaxed) {
            return Err("cannot connect: connection refused".into());
        }
        let body = match (ask.method.as_str(), ask.path) {
            (method, "/drain") => {
                self.is_draining.store(method == "POST", Relaxed);
                json!({ "status": "draining" }).to_string()
            }
            ("POST", "/purge") => json!({ "id": "00000001-5", "objects": 1, "blocks": 3 }).to_string(),
            ("GET", "/status") => json!({
                "edge": "e", "version": "0.1.0", "region": null, "started": 5,
                "standing": if self.is_draining.load(Relaxed) { "draining" } else { "ready" },
                "certificate_until": null, "keys": [{ "id": "k1", "state": "signing" }],
                "cache": { "objects": 1, "block_bytes": 131_072, "blocks_leased": 0 },
            })
            .to_string(),
            ("GET", "/metrics") => "needledrop_edge_slots 80\n# EOF\n".to_owned(),
            ("GET", "/top") => json!({ "since": 5, "requests": 2, "uncounted": 0, "objects": [
                { "path": "/tracks/0000000000000000000001/r/160.ogg", "count": 2, "error": 0, "bytes": 9 },
            ] })
            .to_string(),
            ("GET", "/errors") => json!({ "kinds": [] }).to_string(),
            other => panic!("{other:?} is not asked"),
        };
        Ok(Said { status: 200, body: Bytes::from(body) })
    }

    /// Calls that change something.
    fn changes(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|call| !call.starts_with("GET")).cloned().collect()
    }
}

impl Port for Pretended {
    fn ask(&self, ask: Ask) -> Asking<'_> {
        let said = self.answer(&ask);
        Box::pin(async move { said })
    }
}

struct World {
    gateway: Gateway,
    admin: String,
    listener: String,
    edges: Vec<Pretended>,
}

impl World {
    async fn new(database: Database) -> Self {
        let (playback, _) = Playback::open(database.clone(), ServerKey::from_bytes([42; 32])).await.unwrap();
        let name = UserName::parse("admin").unwrap();
        let first = playback.first_start(&name, NOW).await.unwrap().unwrap();
        let here = [10, 0, 0, 1].into();
        let once = playback.sign_in("admin", first.password.expose(), "test", here, NOW).await.unwrap();
        let caller = playback.authenticate(once.secret.expose(), NOW).await.unwrap();
        playback.change_password(&caller, first.password.expose(), PASSWORD, here, NOW).await.unwrap();
        let admin = playback.sign_in("admin", PASSWORD, "test", here, NOW).await.unwrap();
        let wish = SignUp { name: "ada", password: PASSWORD, territory: None, client: "test" };
        let listener = playback.sign_up(wish, here, NOW).await.unwrap();
        let edges: Vec<Pretended> = (0..3).map(|_| Pretended::default()).collect();
        let ports = edges.iter().zip(["fra-1", "fra-2", "sin-1"]);
        let ports = ports.map(|(edge, name)| {
            Edge::new(name.into(), Some(name[..3].into()), name == "fra-1", Box::new(edge.clone()))
        });
        let keys = Keyring::new(KeyId::parse("k1").unwrap(), Secret::from_bytes([9; 32]));
        let catalog = Catalog::open(database.clone()).await.unwrap();
        let settings = needledrop_podcast::Settings::default();
        let podcasts = Podcasts::open(database.clone(), catalog.clone(), settings, Box::new(|_| {})).await.unwrap();
        let house = House {
            catalog,
            podcasts,
            index: Arc::new(Index::new()),
            playback: Arc::new(playback),
            playlists: Playlists::open(database.clone()).await.unwrap(),
            keys: Arc::new(ArcSwap::from_pointee(keys)),
            edges: Vec::new(),
            has_demo: false,
            counted: Counted::default(),
            readings: Readings::default(),
            ops: Arc::new(Ops::new(ports.collect(), Audit::open(database).await.unwrap()).unwrap()),
            making: Arc::new(Making::new(false)),
            limits: Limits::new(Settings::off()),
            cors: Cors::Any,
        };
        Self {
            gateway: Gateway::new(house, None),
            admin: admin.secret.expose().to_owned(),
            listener: listener.secret.expose().to_owned(),
            edges,
        }
    }

    async fn send(&self, request: Request) -> (StatusCode, Value) {
        let response = self.gateway.answer(&request, NOW).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn call(&self, method: Method, path: &str, body: &Value, secret: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::local(method, path);
        if let Some(secret) = secret {
            request.headers.insert(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
        }
        request.headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        request.body = Bytes::from(body.to_string());
        self.send(request).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, &body, Some(&self.admin)).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call(Method::GET, path, &Value::Null, Some(&self.admin)).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

#[tokio::test]
async fn only_an_administrator_comes_in_and_only_with_his_own_page() {
    on_each(|database, _| async move {
        let world = World::new(database).await;
        let purge = json!({ "by": "path", "value": "/a", "confirm": "/a" });
        let calls = [
            (Method::GET, "/v1/ops"),
            (Method::GET, "/v1/ops/audit"),
            (Method::POST, "/v1/ops/drain"),
            (Method::POST, "/v1/ops/purge"),
        ];
        for (method, path) in calls {
            assert_eq!(world.call(method.clone(), path, &purge, None).await.0, 401, "{path}");
            assert_eq!(world.call(method.clone(), path, &purge, Some("nonsense")).await.0, 401, "{path}");
            assert_eq!(world.call(method, path, &purge, Some(&world.listener)).await.0, 403, "{path}");
        }
        let mut forged = Request::local(Method::POST, "/v1/ops/purge");
        forged.headers.insert(COOKIE, format!("needledrop_session={}", world.admin).parse().unwrap());
        forged.body = Bytes::from(purge.to_string());
        forged.headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        assert_eq!(world.send(forged.clone()).await.0, 403, "a page elsewhere purges");
        assert!(world.edges.iter().all(|edge| edge.changes().is_empty()));
        forged.headers.insert("x-requested-with", "needledrop".parse().unwrap());
        assert_eq!(world.send(forged).await.0, 200);
        assert_eq!(world.call(Method::DELETE, "/v1/ops/drain", &Value::Null, Some(&world.admin)).await.0, 405);
        for nothing in ["/v1/opsx", "/v1/ops//", "/v1/ops/nothing"] {
            assert_eq!(world.call(Method::GET, nothing, &Value::Null, Some(&world.admin)).await.0, 404);
        }
        let mut form = Request::local(Method::POST, "/v1/ops/purge");
        form.headers.insert(AUTHORIZATION, format!("Bearer {}", world.admin).parse().unwrap());
        form.body = Bytes::from(purge.to_string());
        assert_eq!(world.send(form).await.0, 415);
    })
    .await;
}

#[tokio::test]
async fn a_purge_reaches_every_edge_as_one_and_says_which_it_missed() {
    on_each(|database, _| async move {
        let world = World::new(database).await;
        let (status, refused) =
            world.post("/v1/ops/purge", json!({ "by": "prefix", "value": "/", "confirm": "" })).await;
        assert_eq!((status, &refused["type"]), (StatusCode::CONFLICT, &"urn:needledrop:problem:not-confirmed".into()));
        for wrong in [("prefix", "tracks"), ("path", "/a b"), ("tag", "a,b"), ("word", "x")] {
            let body = json!({ "by": wrong.0, "value": wrong.1, "confirm": wrong.1 });
            assert_eq!(world.post("/v1/ops/purge", body).await.0, 422, "{wrong:?}");
        }
        assert!(world.edges.iter().all(|edge| edge.changes().is_empty()));

        let wish = json!({ "by": "tag", "value": "album:1", "confirm": "album:1" });
        let (status, done) = world.post("/v1/ops/purge", wish.clone()).await;
        assert_eq!((status, &done["outcome"]), (StatusCode::OK, &"done".into()), "{done}");
        assert_eq!(world.edges[0].changes(), ["POST /purge tag=album:1"], "the first one makes it");
        let again = ["POST /purge tag=album:1 id=00000001-5", "POST /purge tag=album:1 id=00000001-5 again=1"];
        assert_eq!(world.edges[2].changes(), again, "the others are told of it, and once more");

        world.edges[0].is_gone.store(true, std::sync::atomic::Ordering::Relaxed);
        let (_, partly) = world.post("/v1/ops/purge", wish.clone()).await;
        assert_eq!(partly["outcome"], "partly");
        assert_eq!(partly["words"], "2 of 3 edges; not reached: fra-1");
        assert!(partly["edges"][0]["words"].as_str().unwrap().contains("refused"), "{partly}");
        world.edges.iter().for_each(|edge| edge.is_gone.store(true, std::sync::atomic::Ordering::Relaxed));
        assert_eq!(world.post("/v1/ops/purge", wish).await.1["outcome"], "failed");

        let audit = world.get("/v1/ops/audit?limit=2").await;
        let items = audit["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["outcome"], &items[1]["outcome"]), (2, &"failed".into(), &"partly".into()));
        assert_eq!((&items[0]["name"], &items[0]["target"]), (&"admin".into(), &"tag album:1".into()));
        let before = audit["more_before"].as_u64().unwrap();
        let older = world.get(&format!("/v1/ops/audit?before={before}")).await;
        assert_eq!(older["items"][0]["outcome"], "done");
        assert_eq!(older["items"].as_array().unwrap().len(), 1, "what was refused is not in the list: {older}");
    })
    .await;
}

#[tokio::test]
async fn a_drain_shows_at_once_and_can_be_ended() {
    on_each(|database, _| async move {
        let world = World::new(database).await;
        let wish = |edge: &str, drain: bool, confirm: &str| json!({ "edge": edge, "drain": drain, "confirm": confirm });
        assert_eq!(world.post("/v1/ops/drain", wish("sin-9", true, "sin-9")).await.0, 404);
        assert_eq!(world.post("/v1/ops/drain", wish("sin-1", true, "yes")).await.0, 409);
        let state = async || world.get("/v1/ops").await["edges"][2]["state"].clone();
        assert_eq!(state().await, "unknown");
        let (_, drained) = world.post("/v1/ops/drain", wish("sin-1", true, "sin-1")).await;
        assert_eq!(drained["outcome"], "done", "{drained}");
        assert_eq!(state().await, "draining");
        assert!(world.edges[0].changes().is_empty());
        world.post("/v1/ops/drain", wish("sin-1", false, "sin-1")).await;
        assert_eq!(state().await, "up");
        let acts = world.get("/v1/ops/audit").await;
        assert_eq!((&acts["items"][0]["act"], &acts["items"][1]["act"]), (&"undrain".into(), &"drain".into()));
        let of = world.get("/v1/ops?of=region:sin&range=24h").await;
        assert_eq!((&of["totals"]["edges"], &of["top"]["objects"][0]["kind"]), (&1.into(), &"track".into()));
        for wrong in ["?range=1y", "?of=everything"] {
            let call = world.call(Method::GET, &format!("/v1/ops{wrong}"), &Value::Null, Some(&world.admin)).await;
            assert_eq!(call.0, 400, "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_audit_list_is_numbered_bounded_and_outlives_its_process() {
    on_each(|database, place| async move {
        let audit = Audit::open(database.clone()).await.unwrap();
        let deed = Deed {
            account: AccountId::from_random([1; 16]),
            name: "ada\0".into(),
            act: Act::Purge,
            edges: "x".repeat(5_000),
            target: "prefix /".into(),
        };
        let first = audit.begin(&deed, NOW).await.unwrap();
        let again = Audit::open(Database::open(&place).await.unwrap()).await.unwrap();
        let line = again.newest(None, 5).await.unwrap().remove(0);
        assert_eq!((line.id, line.outcome, line.at), (first, Outcome::Begun, NOW), "nobody knows what came of it");
        assert_eq!((line.deed.name.as_str(), line.deed.edges.len()), ("ada", 1_000));
        audit.end(first, Outcome::Done, "done").await.unwrap();
        assert_eq!(again.newest(None, 5).await.unwrap()[0].outcome, Outcome::Done);
        let (one, two) = tokio::join!(audit.begin(&deed, NOW), again.begin(&deed, NOW));
        let mut ids = [one.unwrap(), two.unwrap()];
        ids.sort_unstable();
        assert_eq!(ids, [first + 1, first + 2], "two at once do not share a number");
        // As if it had been written to for years: the newest is as far from the oldest as the list is long.
        let far = "UPDATE ops_audit SET id = id + $1 WHERE id = $2";
        database.execute(far, vec![AUDIT_MAX.into(), (first + 1).into()]).await.unwrap();
        audit.begin(&deed, NOW).await.unwrap();
        let kept: Vec<u64> = audit.newest(None, 100).await.unwrap().iter().map(|line| line.id).collect();
        assert_eq!(kept, [AUDIT_MAX + first + 2, AUDIT_MAX + first + 1], "the oldest have gone");
    })
    .await;
}

#[tokio::test]
async fn names_of_edges_are_their_own() {
    on_each(|database, _| async move {
        let audit = Audit::open(database).await.unwrap();
        let edge = |name: &str| Edge::new(name.into(), None, false, Box::new(Pretended::default()));
        let ops = Ops::new(vec![edge("a"), edge("b"), edge("a")], audit.clone());
        assert_eq!(ops.err(), Some(EdgesError::NameTwice("a".into())));
        let many = (0..300).map(|n| edge(&n.to_string())).collect();
        assert_eq!(Ops::new(many, audit).err(), Some(EdgesError::TooMany));
    })
    .await;
}
