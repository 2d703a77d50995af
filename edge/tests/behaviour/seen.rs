//! What an operator and an auditor see of an edge: counters, log lines, delivery records, Cache-Status.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use crate::world::{BLOCK, Got, Manner, World, now};
use http::Method;
use needledrop_core::{Claims, ObjectPath, PlaybackId, UnixSeconds, sign, signed_url::Pseudonym};
use needledrop_edge::{Clock, Deliveries};
use needledrop_http::{Doors, DoorsConfig, Handler, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use tracing::field::{Field, Visit};

const PATH: &str = "/t/here/160.ogg";
const LEN: usize = 40 * BLOCK + 77;

/// An edge with one object, that keeps delivery records.
struct Watched {
    world: World,
    log: Arc<Deliveries>,
    _folder: tempfile::TempDir,
}

impl Watched {
    async fn new() -> Self {
        let world = World::new().await;
        world.origin.put(PATH, Manner::object(LEN));
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Deliveries::open(folder.path(), 1 << 20, Clock::system()).unwrap());
        world.shelf.keep_deliveries(log.clone());
        Self { world, log, _folder: folder }
    }

    fn url(&self, pid: u8) -> String {
        let claims = Claims {
            playback: Some(PlaybackId::from_random([pid; 16])),
            user: Pseudonym::parse("nightingale"),
            ..Claims::until(UnixSeconds(now() + 600))
        };
        sign(&ObjectPath::parse(PATH).unwrap(), &claims, &self.world.keys.load())
    }

    /// Delivery records, once there are so many.
    async fn delivered(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..400 {
            let log = self.log.clone();
            let read = move || {
                log.flush();
                log.read(0, 1 << 20).unwrap().lines
            };
            let lines = tokio::task::spawn_blocking(read).await.unwrap();
            let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let values: Vec<_> = values.filter(|value| value["kind"] == "delivery").collect();
            if values.len() >= count {
                return values;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("fewer than {count} delivery records");
    }
}

#[tokio::test]
async fn each_playback_has_the_bytes_that_arrived_on_record() {
    let watched = Watched::new().await;
    let url = watched.url(1);
    let range = |text: &'static str| [("range", text)];
    watched.world.send(Method::GET, &url, &range("bytes=0-99999")).await.bytes().await.unwrap();
    watched.world.send(Method::GET, &url, &range("bytes=5-9,1000-1099")).await.bytes().await.unwrap();
    // Left after the first piece.
    let mut left = watched.world.send(Method::GET, &url, &range("bytes=2621440-")).await;
    let piece = left.next().await.unwrap().unwrap().len() as u64;
    drop(left);
    // No record: nothing of the object, or nobody's playback.
    watched.world.send(Method::HEAD, &url, &[]).await;
    watched.world.send(Method::GET, &format!("{url}x"), &[]).await;
    watched.world.get(PATH, &range("bytes=0-9")).await.bytes().await.unwrap();
    // Nor what a proxy may have been sent by anybody (RFC 8470).
    let mut early = Request::local(Method::GET, &url);
    (early.peer.early_data, early.peer.early_at_proxy) = (true, true);
    let (parts, body) = watched.world.edge.call(early).await.into_parts();
    Got { status: parts.status, headers: parts.headers, body }.bytes().await.unwrap();

    let records = watched.delivered(3).await;
    let bytes: Vec<_> = records.iter().map(|record| record["bytes"].clone()).collect();
    let expected = [
        serde_json::json!([[0, 100_000]]),
        serde_json::json!([[5, 10], [1_000, 1_100]]),
        serde_json::json!([[2_621_440, 2_621_440 + piece]]),
    ];
    assert_eq!(bytes, expected);
    let ends: Vec<_> = records.iter().map(|record| record["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["sent", "sent", "left"]);
    let pid = PlaybackId::from_random([1; 16]);
    assert!(records.iter().all(|record| record["pid"] == pid.as_str() && record["path"] == PATH));
    assert!(records.iter().all(|record| record["len"] == LEN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_leaves_in_the_middle_is_recorded_with_no_more_than_it_got() {
    let watched = Watched::new().await;
    let config = DoorsConfig { plain: vec!["127.0.0.1:0".parse().unwrap()], ..DoorsConfig::default() };
    let doors = Doors::bind(config).unwrap();
    let addr = doors.plain_addrs()[0];
    let _running = doors.serve(watched.world.edge.clone());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", watched.url(2));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let read = 1_000_000;
    stream.read_exact(&mut vec![0; read]).await.unwrap();
    // What the listener's system holds once nothing more fits.
    let mut buffer = vec![0; 1 << 20];
    let (mut waiting, mut same) = (0, 0);
    while same < 10 {
        let seen = stream.peek(&mut buffer).await.unwrap();
        same = if seen == waiting { same + 1 } else { 0 };
        waiting = seen;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stream);

    let record = watched.delivered(1).await.remove(0);
    assert_eq!(record["end"], "left");
    let (start, end) = (record["bytes"][0][0].as_u64().unwrap(), record["bytes"][0][1].as_u64().unwrap());
    assert_eq!(start, 0);
    assert!(end >= read as u64 && end <= (read + waiting) as u64, "{end} of {} bytes", read + waiting);
    assert!(end < LEN as u64);
}

#[tokio::test]
async fn requests_are_counted_by_class_outcome_and_status() {
    let watched = Watched::new().await;
    let url = watched.url(1);
    let range = |text: &'static str| [("range", text)];
    for _ in 0..2 {
        watched.world.send(Method::GET, &url, &range("bytes=0-99")).await.bytes().await.unwrap();
        watched.world.settled(1).await;
    }
    watched.world.send(Method::GET, &url, &range("bytes=4194304-4194403")).await.bytes().await.unwrap();
    watched.world.send(Method::GET, "/t/nobody.ogg", &[]).await.bytes().await.unwrap();
    let text = watched.world.shelf.metrics.encode();
    for line in [
        "needledrop_edge_requests_total{class=\"head\",tier=\"listener\",status=\"206\"} 2",
        "needledrop_edge_requests_total{class=\"body\",tier=\"listener\",status=\"206\"} 1",
        "needledrop_edge_requests_total{class=\"none\",tier=\"listener\",status=\"403\"} 1",
        "needledrop_edge_lookups_total{class=\"head\",outcome=\"miss\"} 1",
        "needledrop_edge_lookups_total{class=\"head\",outcome=\"hit\"} 1",
        "needledrop_edge_lookups_total{class=\"body\",outcome=\"miss\"} 1",
        "needledrop_edge_start_seconds_count{class=\"head\",outcome=\"hit\"} 1",
        "needledrop_edge_delivered_bytes_total{class=\"head\",tier=\"listener\"} 200",
        "needledrop_edge_deliveries_refused_total 0",
        "needledrop_edge_cached_blocks{class=\"head\"} 1",
        "needledrop_edge_upstream_hedges_total 0",
        "needledrop_edge_reactor_major_faults_total ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

/// RFC 9211 section 2: a list of tokens with parameters, of which these are the known ones.
fn assert_is_cache_status(text: &str) {
    let mut parts = text.split("; ");
    assert_eq!(parts.next(), Some("edge-test"), "{text}");
    let parts: Vec<_> = parts.collect();
    let forwards = ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];
    for part in &parts {
        let is_known = match part.split_once('=') {
            None => ["hit", "stored", "collapsed"].contains(part),
            Some(("fwd", reason)) => forwards.contains(&reason),
            Some(("ttl", seconds)) => seconds.parse::<i64>().is_ok(),
            Some(("fwd-status", status)) => status.len() == 3 && status.parse::<u16>().is_ok(),
            Some(("detail", detail)) => detail.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-'),
            Some(_) => false,
        };
        assert!(is_known, "{part} in {text}");
    }
    let has = |name: &str| parts.iter().any(|part| part.split('=').next() == Some(name));
    // Section 2.1 and 2.2: an answer came from here or was forwarded, and only the latter is stored or collapsed.
    assert!(has("hit") != has("fwd") || parts.contains(&"fwd=stale"), "{text}");
    assert!(!(has("hit") && (has("stored") || has("collapsed"))), "{text}");
}

#[tokio::test]
async fn every_answer_about_an_object_says_what_the_cache_did_and_how_long_it_took() {
    let watched = Watched::new().await;
    let manner = Manner { cache_control: Some("no-store".into()), ..Manner::object(1_000) };
    watched.world.origin.put("/t/fleeting.ogg", manner);
    type Asked = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let asked: [Asked; 7] = [
        (PATH, &[("range", "bytes=0-99")], "miss"),
        (PATH, &[("range", "bytes=100-199")], "hit"),
        (PATH, &[("range", "bytes=0-9999999")], "partial"),
        (PATH, &[("range", "bytes=99999999-")], "hit"),
        (PATH, &[("if-none-match", "\"v1\"")], "hit"),
        ("/t/fleeting.ogg", &[], "bypass"),
        ("/t/fleeting.ogg", &[], "bypass"),
    ];
    for (path, headers, expected) in asked {
        let got = watched.world.get(path, headers).await;
        assert_is_cache_status(got.header("cache-status"));
        let timing = got.header("server-timing").to_owned();
        let (cache, edge) = timing.split_once(", ").unwrap();
        assert_eq!(cache, format!("cache;desc={expected}"), "{headers:?}");
        assert!(edge.strip_prefix("edge;dur=").unwrap().parse::<f64>().unwrap() >= 0.0);
        got.bytes().await.unwrap();
        watched.world.settled(1).await;
    }
}

/// The lines of the access log, as fields.
fn access_log() -> &'static Mutex<Vec<String>> {
    struct Lines;
    struct Text(String);
    static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0 += &format!("{}={value:?} ", field.name());
        }
    }

    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "needledrop::access"
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut text = Text(String::new());
            event.record(&mut text);
            access_log().lock().unwrap().push(text.0);
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    LINES.get_or_init(|| {
        tracing::subscriber::set_global_default(Lines).unwrap();
        Mutex::default()
    })
}

#[tokio::test]
async fn the_access_log_tells_of_each_body_and_of_nobody_more_than_a_network() {
    access_log();
    let watched = Watched::new().await;
    let url = watched.url(77);
    watched.world.send(Method::GET, &url, &[("range", "bytes=0-1999")]).await.bytes().await.unwrap();
    let mut left = watched.world.send(Method::GET, &url, &[("range", "bytes=2000-999999")]).await;
    let piece = left.next().await.unwrap().unwrap().len();
    drop(left);
    let pid = PlaybackId::from_random([77; 16]);
    let pid = format!("pid=\"{}\"", pid.as_str());
    let lines = access_log().lock().unwrap().clone();
    let lines: Vec<_> = lines.into_iter().filter(|line| line.contains(&pid)).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for field in
        ["method=GET", "status=206", "client=127.0.0.0/24", "kid=\"k1\"", "uid=\"nightingale\"", "class=\"head\""]
    {
        assert!(lines.iter().all(|line| line.contains(field)), "{field} in {lines:?}");
    }
    assert!(lines[0].contains("bytes=2000 outcome=\"sent\""), "{}", lines[0]);
    assert!(lines[1].contains(&format!("bytes={piece} outcome=\"left\"")), "{}", lines[1]);
    assert!(lines.iter().all(|line| !line.contains("127.0.0.1") && !line.contains("sig=")), "{lines:?}");
}

#[tokio::test]
async fn a_request_whose_listener_leaves_before_its_answer_is_written_down() {
    access_log();
    let watched = Watched::new().await;
    watched.world.origin.put("/t/silent.ogg", Manner { silent: true, ..Manner::object(10) });
    let asking = watched.world.get("/t/silent.ogg", &[]);
    assert!(tokio::time::timeout(Duration::from_millis(50), asking).await.is_err());
    let lines = access_log().lock().unwrap().clone();
    let line = lines.iter().find(|line| line.contains("/t/silent.ogg")).expect("a line");
    assert!(line.contains("status=0") && line.contains("outcome=\"left\""), "{line}");
}
