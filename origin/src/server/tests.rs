//! The server against the table of cases, strangers, odd paths and a vault that breaks.

use std::fs::OpenOptions;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use needledrop_core::cases::{Received, byte_at, table};
use needledrop_core::etag::EntityTag;
use needledrop_core::media::Rendition;
use needledrop_http::PeerIdentity;

use super::*;
use crate::art::ArtId;
use crate::testing::{PUBLISHED, publish};
use crate::writer::Writer;

/// A vault in a folder of its own, and its server.
struct World {
    _folder: tempfile::TempDir,
    writer: Writer,
    origin: Origin,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::at(folder.path());
        let writer = Writer::open(&vault).unwrap();
        World { _folder: folder, writer, origin: Origin::new(vault) }
    }

    /// Publishes a track of these bytes and gives back the path of its first object.
    fn track(&self, name: &str, bytes: &[u8]) -> (String, std::path::PathBuf) {
        let (id, rev) = publish(&self.writer, name, bytes).unwrap();
        let rendition = Rendition::ALL[1];
        let path = ObjectPath::rendition(&id, &rev, rendition);
        (path.as_str().to_owned(), self.writer.vault().object_path(&id, &rev, rendition))
    }

    async fn ask(&self, method: HttpMethod, target: &str, fields: &[(&'static str, String)]) -> Response {
        let mut request = Request::local(method, target);
        request.peer.identity = Some(PeerIdentity("edge".into()));
        for (name, value) in fields {
            let name = HeaderName::try_from(*name).unwrap();
            request.headers.append(name, HeaderValue::try_from(value.as_str()).unwrap());
        }
        self.origin.call(request).await
    }

    async fn get(&self, target: &str) -> Response {
        self.ask(HttpMethod::GET, target, &[]).await
    }
}

async fn received(response: Response) -> Received {
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let fields = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    Received { status, fields, body }
}

#[tokio::test]
async fn every_case_of_the_table_gets_its_answer() {
    let world = World::new();
    let table = table();
    let mut asked = 0;
    // Ours are always strong and dated; the table's other objects are for foreign origins.
    for object in table.objects.iter().filter(|object| matches!(object.name, "tone" | "empty")) {
        let (path, _) = world.track(object.name, &object.all_bytes());
        let plain = world.ask(HttpMethod::HEAD, &path, &[]).await;
        let etag = EntityTag::parse(plain.headers()[ETAG].to_str().unwrap());
        let last_modified = Some(UnixSeconds(PUBLISHED));
        let validators = Validators { etag, last_modified };
        for case in table.cases.iter().filter(|case| case.object == object.name) {
            let method = if case.method == Method::Get { HttpMethod::GET } else { HttpMethod::HEAD };
            let request = case.request(&validators, UnixSeconds(PUBLISHED));
            let received = received(world.ask(method, &path, &request).await).await;
            let verdict = case.check(&received, object, &validators);
            assert_eq!(verdict, Ok(()), "{}", case.name);
            asked += 1;
        }
    }
    assert!(asked > 200, "{asked} cases were asked");
}

#[tokio::test]
async fn strangers_are_refused_before_anything_else() {
    let world = World::new();
    let (path, _) = world.track("tone", b"tone");
    for target in [path.as_str(), "/nowhere"] {
        let response = world.origin.call(Request::local(HttpMethod::GET, target)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test]
async fn only_get_and_head_are_known() {
    let world = World::new();
    let (path, _) = world.track("tone", b"tone");
    for method in [HttpMethod::POST, HttpMethod::PUT, HttpMethod::DELETE, HttpMethod::OPTIONS] {
        let response = world.ask(method, &path, &[]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}

#[tokio::test]
async fn nothing_but_objects_can_be_reached() {
    let world = World::new();
    let (path, _) = world.track("tone", b"tone");
    let track = path.rsplit_once('/').unwrap().0;
    let targets = [
        "/".to_owned(),
        "/library.jsonl".into(),
        "/lock".into(),
        format!("{track}/track.json"),
        format!("{track}/../../../library.jsonl"),
        format!("{track}/%2e%2e/160.ogg"),
        format!("/{path}"),
        format!("{path}/"),
        format!("{path}%00"),
        path.replace("tracks", "TRACKS"),
        path.replace("160.ogg", "160.m4a.ogg"),
        format!("/tracks/{}/r/160.ogg", "a".repeat(22)),
        format!("/art/{}/64.jpg", "a".repeat(22)),
    ];
    for target in targets {
        assert_eq!(world.get(&target).await.status(), StatusCode::NOT_FOUND, "{target}");
    }
}

#[tokio::test]
async fn a_long_object_leaves_in_windows_byte_for_byte_and_is_immutable() {
    let world = World::new();
    let bytes: Vec<u8> = (0..WINDOW_BYTES * 5 + 17).map(byte_at).collect();
    let (path, _) = world.track("long", &bytes);
    let response = world.get(&path).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(response.headers()[CONTENT_TYPE], "audio/ogg");
    assert_eq!(received(response).await.body, bytes);
    let fields = [("range", format!("bytes=3-{},-5", WINDOW_BYTES * 3))];
    let parts = received(world.ask(HttpMethod::GET, &path, &fields).await).await;
    assert_eq!(parts.status, 206);
    let first = &bytes[3..=WINDOW_BYTES as usize * 3];
    assert!(parts.body.windows(first.len()).any(|window| window == first));
}

#[tokio::test]
async fn artwork_is_served_as_jpeg_with_its_own_tag() {
    let world = World::new();
    let art = ArtId::of_picture(b"picture");
    world.writer.put_art(art, &[(64, b"small"), (300, b"large")], PUBLISHED).unwrap();
    let small = world.get(&format!("/art/{art}/64.jpg")).await;
    let large = world.get(&format!("/art/{art}/300.jpg")).await;
    assert_ne!(small.headers()[ETAG], large.headers()[ETAG]);
    assert_eq!(large.headers()[CONTENT_TYPE], "image/jpeg");
    assert_eq!(received(large).await.body, b"large");
    assert_eq!(world.get(&format!("/art/{art}/640.jpg")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_of_another_length_than_its_manifest_is_never_served() {
    let world = World::new();
    let (path, file) = world.track("tone", &[7; 1000]);
    assert_eq!(world.get(&path).await.status(), StatusCode::OK);
    for bytes in [999, 1001] {
        OpenOptions::new().write(true).open(&file).unwrap().set_len(bytes).unwrap();
        assert_eq!(world.get(&path).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(world.ask(HttpMethod::HEAD, &path, &[]).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(world.get(&path).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_file_that_is_cut_while_it_is_sent_fails_the_body() {
    let world = World::new();
    let (path, file) = world.track("long", &vec![7; WINDOW_BYTES as usize * 16]);
    let response = world.get(&path).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let mut sent = body.frame().await.unwrap().unwrap().into_data().unwrap().len() as u64;
    OpenOptions::new().write(true).open(&file).unwrap().set_len(sent + 1).unwrap();
    let error = loop {
        match body.frame().await.expect("the body does not end well") {
            Ok(frame) => sent += frame.into_data().unwrap().len() as u64,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, needledrop_http::BodyError::Source(_)), "{error}");
    assert!(sent < WINDOW_BYTES * 8, "{sent} bytes were read ahead");
}

#[tokio::test]
async fn a_track_that_is_removed_is_no_longer_served() {
    let world = World::new();
    let (path, _) = world.track("tone", b"tone");
    assert_eq!(world.get(&path).await.status(), StatusCode::OK);
    world.writer.remove(&crate::testing::id_of("tone")).unwrap();
    assert_eq!(world.get(&path).await.status(), StatusCode::NOT_FOUND);
}
