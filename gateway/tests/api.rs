//! `/v1` as a client meets it: what the router lets through, and what it says to everybody else.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, COOKIE, ETAG, HOST, IF_NONE_MATCH, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method};
use http_body_util::BodyExt;
use needledrop_catalog::Catalog;
use needledrop_catalog::search::Index;
use needledrop_core::rate::Quota;
use needledrop_core::{KeyId, Keyring, Secret, UnixSeconds};
use needledrop_database::testing::{TestDatabase, databases};
use needledrop_gateway::api::Counted;
use needledrop_gateway::api::route::Verb;
use needledrop_gateway::api::routes::ROUTES;
use needledrop_gateway::cors::Cors;
use needledrop_gateway::limits::{Limits, Settings};
use needledrop_gateway::ops::{Audit, Ops};
use needledrop_gateway::subsonic::readings::Readings;
use needledrop_gateway::{Gateway, House, Making};
use needledrop_http::Request;
use needledrop_playback::{DisplayName, Playback, Scopes, ServerKey, SignUp};
use needledrop_playlist::Playlists;
use needledrop_podcast::Podcasts;
use serde_json::Value;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

struct World {
    gateway: Gateway,
    session: String,
    key: String,
    database: TestDatabase,
}

struct Said {
    status: u16,
    fields: HeaderMap,
    text: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The kind of problem.
    fn problem(&self) -> String {
        assert_eq!(self.fields[CONTENT_TYPE], "application/problem+json", "{}", self.text);
        assert_eq!(self.json()["status"], self.status);
        self.json()["type"].as_str().unwrap().strip_prefix("urn:needledrop:problem:").unwrap().to_owned()
    }
}

impl World {
    async fn new(limits: Settings) -> Self {
        let database = databases().await.swap_remove(0);
        let (playback, _) = Playback::open(database.database(), ServerKey::from_bytes([42; 32])).await.unwrap();
        let wish = SignUp { name: "ada", password: "a long sentence", territory: None, client: "test" };
        let session = playback.sign_up(wish, [10, 0, 0, 1].into(), NOW).await.unwrap();
        let caller = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
        let phone = DisplayName::parse("phone").unwrap();
        let key = playback.make_api_key(&caller, Scopes::all(), phone, NOW).await.unwrap();
        let catalog = Catalog::open(database.database()).await.unwrap();
        let settings = needledrop_podcast::Settings::default();
        let podcasts = Podcasts::open(database.database(), catalog.clone(), settings, Box::new(|_| {})).await.unwrap();
        let house = House {
            catalog,
            podcasts,
            index: Arc::new(Index::new()),
            playback: Arc::new(playback),
            playlists: Playlists::open(database.database()).await.unwrap(),
            keys: Arc::new(ArcSwap::from_pointee(Keyring::new(
                KeyId::parse("k1").unwrap(),
                Secret::from_bytes([9; 32]),
            ))),
            edges: Vec::new(),
            counted: Counted::default(),
            readings: Readings::default(),
            has_demo: true,
            ops: Arc::new(Ops::new(Vec::new(), Audit::open(database.database()).await.unwrap()).unwrap()),
            making: Arc::new(Making::new(false)),
            limits: Limits::new(limits),
            cors: Cors::Any,
        };
        Self {
            gateway: Gateway::new(house, None),
            session: session.secret.expose().to_owned(),
            key: key.secret.expose().to_owned(),
            database,
        }
    }

    async fn send(&self, method: Method, target: &str, fields: &[(HeaderName, &str)], body: &str) -> Said {
        let mut request = Request::local(method, target);
        request.headers.insert(HOST, "localhost".parse().unwrap());
        for (name, value) in fields {
            request.headers.insert(name, value.parse().unwrap());
        }
        request.body = body.to_owned().into();
        let response = self.gateway.answer(&request, NOW).await;
        let (head, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Said { status: head.status.as_u16(), fields: head.headers, text: String::from_utf8(text.to_vec()).unwrap() }
    }

    async fn get(&self, target: &str) -> Said {
        self.send(Method::GET, target, &[(AUTHORIZATION, &format!("Bearer {}", self.session))], "").await
    }
}

/// A path of a template, with ids that nothing has.
fn path_of(template: &str) -> String {
    template
        .split('/')
        .map(|part| if part.starts_with('{') { "0000000000000000000000" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn every_call_of_the_table_is_served_to_those_whom_it_is_for() {
    let world = World::new(Settings::off()).await;
    for route in ROUTES {
        let method: Method = route.verb.name().parse().unwrap();
        let path = path_of(route.template);
        let said = world.send(method.clone(), &path, &[], "").await;
        if !route.is_open() {
            assert_eq!((said.status, said.problem().as_str()), (401, "no-credential"), "{}", route.name);
            assert_eq!(said.fields[WWW_AUTHENTICATE], "Bearer");
        }
        // An API key may neither change the account nor its credentials.
        let bearer = format!("Bearer {}", world.key);
        let said = world.send(method, &path, &[(AUTHORIZATION, &bearer)], "").await;
        assert!(said.status != 405 && said.status < 500, "{}: {}", route.name, said.text);
        if route.scope().is_some_and(|scope| scope.name() == "account") {
            assert_eq!((said.status, said.problem().as_str()), (403, "not-allowed"), "{}", route.name);
        }
        if route.name == "signOut" {
            // It ended the key. What remains is asked with the same dead key, and must be refused.
            let said = world.send(Method::GET, "/v1/me", &[(AUTHORIZATION, &bearer)], "").await;
            assert_eq!(said.status, 401);
            return;
        }
    }
    panic!("nothing signs out");
}

#[tokio::test]
async fn a_method_or_path_that_is_not_there_is_told_apart_without_a_credential() {
    let world = World::new(Settings::off()).await;
    for route in ROUTES {
        let path = path_of(route.template);
        let said = world.send(Method::PATCH, &path, &[], "").await;
        assert_eq!((said.status, said.problem().as_str()), (405, "method"), "{path}");
        let allow = said.fields[ALLOW].to_str().unwrap().to_owned();
        assert!(allow.split(", ").any(|name| name == route.verb.name()), "{path}: {allow}");
        assert_eq!(
            allow.contains("HEAD"),
            ROUTES.iter().any(|of| of.template == route.template && of.verb == Verb::Get)
        );
        let options = world.send(Method::OPTIONS, &path, &[], "").await;
        assert_eq!((options.status, options.fields[ALLOW].to_str().unwrap()), (204, allow.as_str()));
    }
    for path in ["/v1/", "/v1/nothing", "/v1/me//", "/v1/tracks/x/y/z", "/v1//me"] {
        let said = world.send(Method::GET, path, &[], "").await;
        assert_eq!((said.status, said.problem().as_str()), (404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn what_was_read_is_not_sent_again_and_a_page_names_the_next() {
    let world = World::new(Settings::off()).await;
    let first = world.get("/v1/me").await;
    assert_eq!((first.status, first.json()["user"].as_str()), (200, Some("ada")));
    let bearer = format!("Bearer {}", world.session);
    let tag = first.fields[ETAG].to_str().unwrap();
    let again = world.send(Method::GET, "/v1/me", &[(AUTHORIZATION, &bearer), (IF_NONE_MATCH, tag)], "").await;
    assert_eq!((again.status, again.text.as_str(), &again.fields[ETAG]), (304, "", &first.fields[ETAG]));
    let json = (CONTENT_TYPE, "application/json");
    for name in ["one", "two", "three"] {
        let body = format!("{{\"name\":\"{name}\"}}");
        let made = world.send(Method::POST, "/v1/me/playlists", &[(AUTHORIZATION, &bearer), json.clone()], &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let page = world.get("/v1/me/playlists?limit=2").await;
    assert_eq!(page.fields["link"], "<http://localhost/v1/me/playlists?offset=2&limit=2>; rel=\"next\"");
    assert!(!world.get("/v1/me/playlists?limit=3").await.fields.contains_key("link"));
    let changed = world
        .send(Method::GET, "/v1/me/playlists?limit=2", &[(AUTHORIZATION, &bearer), (IF_NONE_MATCH, tag)], "")
        .await;
    assert_eq!(changed.status, 200, "another tag");
}

#[tokio::test]
async fn a_wrong_parameter_is_named_and_a_form_is_no_json() {
    let world = World::new(Settings::off()).await;
    for (target, name) in [("/v1/tracks?limit=0", "limit"), ("/v1/search", "q"), ("/v1/search?q=a&type=x", "type")] {
        let said = world.get(target).await;
        assert_eq!((said.status, said.problem().as_str()), (400, "parameter"), "{target}");
        assert!(said.json()["detail"].as_str().unwrap().starts_with(&format!("{name}: ")), "{}", said.text);
    }
    let form = [(CONTENT_TYPE, "text/plain")];
    let said = world.send(Method::POST, "/v1/session", &form, r#"{"user":"demo","password":"demo"}"#).await;
    assert_eq!((said.status, said.problem().as_str()), (415, "media-type"));
    assert!(!said.fields.contains_key("set-cookie"));
}

#[tokio::test]
async fn the_cookie_is_of_no_use_to_pages_elsewhere() {
    let world = World::new(Settings::off()).await;
    let cookie = format!("needledrop_session={}", world.session);
    let cookie = || (COOKIE, cookie.as_str());
    assert_eq!(world.send(Method::GET, "/v1/me", &[cookie()], "").await.status, 200);
    let own = (ORIGIN, "http://localhost");
    assert_eq!(world.send(Method::GET, "/v1/me", &[cookie(), own.clone()], "").await.status, 200);
    let site = HeaderName::from_static("sec-fetch-site");
    for elsewhere in
        [(ORIGIN, "http://localhost:3000"), (ORIGIN, "null"), (site.clone(), "same-site"), (site, "cross-site")]
    {
        let said = world.send(Method::GET, "/v1/me", &[cookie(), elsewhere.clone()], "").await;
        assert_eq!((said.status, said.problem().as_str()), (403, "cross-site"), "{elsewhere:?}");
        let json = (CONTENT_TYPE, "application/json");
        for body in
            [r#"{"user":"ada","password":"a long sentence"}"#, r#"{"user":"demo","password":"demo","bearer":true}"#]
        {
            let said = world.send(Method::POST, "/v1/session", &[json.clone(), elsewhere.clone()], body).await;
            assert_eq!((said.status, said.problem().as_str()), (403, "cross-site"), "{elsewhere:?} {body}");
        }
        let own = r#"{"user":"ada","password":"a long sentence","bearer":true}"#;
        let said = world.send(Method::POST, "/v1/session", &[json, elsewhere], own).await;
        assert_eq!(said.status, 200, "who knows a password gets a token: {}", said.text);
    }
    let bearer = format!("Bearer {}", world.session);
    let said = world.send(Method::GET, "/v1/me", &[(AUTHORIZATION, &bearer), (ORIGIN, "https://a.example")], "").await;
    assert_eq!((said.status, said.fields["access-control-allow-origin"].to_str().unwrap()), (200, "*"));
}

#[tokio::test]
async fn an_account_that_calls_too_often_waits_and_so_do_strangers() {
    let few = Some(Quota { per_second: 1, burst: 3 });
    let limits = Settings { exempt: Vec::new(), read: few, stranger: few, ..Settings::off() };
    let world = World::new(limits).await;
    for _ in 0..3 {
        assert_eq!(world.get("/v1/me").await.status, 200);
    }
    let held = world.get("/v1/me").await;
    assert_eq!(
        (held.status, held.problem().as_str(), held.fields["retry-after"].to_str().unwrap()),
        (429, "too-many-calls", "1")
    );
    assert_eq!(held.fields["access-control-allow-origin"], "*", "a page elsewhere can read when to come back");
    let key = format!("Bearer {}", world.key);
    assert_eq!(world.send(Method::GET, "/v1/me", &[(AUTHORIZATION, &key)], "").await.status, 429, "the same account");
    assert_eq!(world.get("/v1/search?q=a").await.status, 200, "another class");
    for _ in 0..3 {
        assert_eq!(world.send(Method::GET, "/v1/me", &[(AUTHORIZATION, "Bearer nonsense")], "").await.status, 401);
    }
    for target in ["/v1/session/hint", "/v1/openapi.json", "/v1/me", "/rest/ping?v=1.16.1&c=x&apiKey=nonsense"] {
        let said = world.send(Method::GET, target, &[], "").await;
        assert_eq!((said.status, said.problem().as_str()), (429, "too-many-calls"), "{target}");
    }
    let rest = format!("/rest/ping?v=1.16.1&c=x&apiKey={}", world.key);
    assert_eq!(world.send(Method::GET, &rest, &[], "").await.status, 429, "/rest counts with /v1");
}

#[tokio::test]
async fn a_private_server_makes_no_account_for_strangers_and_no_page_elsewhere_gets_a_cookie() {
    let world = World::new(Settings::off()).await;
    let json = (CONTENT_TYPE, "application/json");
    let wish = r#"{"user":"eve","password":"a long sentence"}"#;
    let said = world.send(Method::POST, "/v1/accounts", std::slice::from_ref(&json), wish).await;
    assert_eq!((said.status, said.problem().as_str()), (403, "sign-up-closed"));
    // A name that is there and one that is not are the same to who may not come in.
    for name in ["ada", "eve"] {
        let wish = format!(r#"{{"user":"{name}","password":"a long sentence","invitation":"ndi_nonsense"}}"#);
        let said = world.send(Method::POST, "/v1/accounts", std::slice::from_ref(&json), &wish).await;
        assert_eq!((said.status, said.problem().as_str()), (403, "not-invited"), "{name}");
    }
    let elsewhere = [json.clone(), (ORIGIN, "https://evil.example")];
    let said = world.send(Method::POST, "/v1/accounts", &elsewhere, wish).await;
    assert_eq!((said.status, said.problem().as_str()), (403, "cross-site"));
    let wrong = r#"{"user":"eve","password":"a long sentence","country":"Germany"}"#;
    let said = world.send(Method::POST, "/v1/accounts", &[json], wrong).await;
    assert_eq!((said.status, said.problem().as_str()), (400, "parameter"));
    let hint = world.send(Method::GET, "/v1/session/hint", &[], "").await;
    assert_eq!(hint.json()["sign_up"], "invited");
}

#[tokio::test]
async fn who_leaves_says_the_password_and_leaves_neither_playlists_nor_a_cookie() {
    let world = World::new(Settings::off()).await;
    let json = (CONTENT_TYPE, "application/json");
    let (session, key) = (format!("Bearer {}", world.session), format!("Bearer {}", world.key));
    let made = world
        .send(Method::POST, "/v1/me/playlists", &[(AUTHORIZATION, &session), json.clone()], r#"{"name":"Mine"}"#)
        .await;
    assert_eq!(made.status, 201);
    let leave = async |bearer: &str, password: &str| {
        let body = format!(r#"{{"password":"{password}"}}"#);
        world.send(Method::DELETE, "/v1/me", &[(AUTHORIZATION, bearer), json.clone()], &body).await
    };
    assert_eq!(leave(&key, "a long sentence").await.status, 403, "a program may not");
    let wrong = leave(&session, "another sentence").await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (401, "wrong-password"));
    assert_eq!(world.get("/v1/me/playlists").await.json()["total"], 1, "a refusal takes nothing away");
    let left = leave(&session, "a long sentence").await;
    assert_eq!(left.status, 200, "{}", left.text);
    assert!(left.fields["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(world.get("/v1/me").await.status, 401);
    let rows = world.database.database().rows("SELECT id FROM playlists", vec![]).await.unwrap();
    assert!(rows.is_empty());
}
