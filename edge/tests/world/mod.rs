//! A small world: an edge with a real cache folder, and an upstream over a real socket that
//! does as it is told, badly if need be, and writes down what it was asked.
#![allow(dead_code, reason = "each test file uses its part of the world")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use needledrop_core::{Claims, KeyId, Keyring, ObjectPath, UnixSeconds, signed_url::Secret};
use needledrop_edge::{
    Clock, Edge, Shelf, Slab, Upstream, Upstreams,
    upstream::{Settings, Tier},
};
use needledrop_http::{Body, Client, ClientConfig, Handler, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

pub const BLOCK: usize = 128 * 1024;

/// How the upstream treats a path.
#[derive(Clone)]
pub struct Manner {
    pub bytes: Arc<Vec<u8>>,
    pub etag: Option<String>,
    pub last_modified: Option<u64>,
    pub cache_control: Option<String>,
    /// Answers 200 with everything whatever is asked.
    pub knows_ranges: bool,
    /// Sends so many body bytes, then waits for [`Origin::go_on`].
    pub pause_after: Option<usize>,
    /// Sends so many body bytes, then closes the connection; so many times.
    pub die_after: Option<(usize, u32)>,
    /// Sends so many body bytes, then nothing more, on an open connection; so many times.
    pub stall_after: Option<(usize, u32)>,
    /// Sends so many body bytes, then one byte each 20 ms; so many times.
    pub trickle_after: Option<(usize, u32)>,
    /// Puts this instead of the true Content-Range.
    pub content_range: Option<String>,
    /// Answers with this status and no body.
    pub status: Option<u16>,
    /// Leaves out Content-Length and ends the body by closing.
    pub unknown_length: bool,
    /// Answers nothing at all.
    pub silent: bool,
    /// Waits for [`Origin::go_on`] before it sends the head, which is as things were when it was asked.
    pub hold_head: bool,
    /// `Cache-Tag`.
    pub tags: Option<String>,
}

impl Manner {
    pub fn object(len: usize) -> Self {
        Self {
            bytes: Arc::new(noise(len)),
            etag: Some("\"v1\"".into()),
            last_modified: Some(1_700_000_000),
            cache_control: Some("public, max-age=31536000, immutable".into()),
            knows_ranges: true,
            pause_after: None,
            die_after: None,
            stall_after: None,
            trickle_after: None,
            content_range: None,
            status: None,
            unknown_length: false,
            silent: false,
            hold_head: false,
            tags: None,
        }
    }
}

/// Bytes of which no two blocks are alike.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

#[derive(Default)]
pub struct Origin {
    manners: Mutex<HashMap<String, Manner>>,
    asked: Mutex<Vec<Asked>>,
    pub go_on: Notify,
    /// Body bytes sent.
    pub sent: AtomicU64,
    /// Ends the listener and all of its connections.
    serving: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Origin {
    pub fn put(&self, path: &str, manner: Manner) {
        self.manners.lock().unwrap().insert(path.to_owned(), manner);
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Manner)) {
        change(self.manners.lock().unwrap().get_mut(path).expect("a known path"));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn gets(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method == "GET").collect()
    }

    pub async fn start() -> (Arc<Self>, SocketAddr) {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Starts where nobody listens yet.
    pub async fn start_at(addr: SocketAddr) -> (Arc<Self>, SocketAddr) {
        let origin = Arc::new(Self::default());
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = origin.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let origin = serving.clone();
                connections.spawn(async move {
                    let _ = origin.converse(stream).await;
                });
            }
        });
        *origin.serving.lock().unwrap() = Some(task);
        (origin, addr)
    }

    /// From now on nobody listens there, and all connections are closed.
    pub async fn stop(&self) {
        let task = self.serving.lock().unwrap().take().expect("an origin stops once");
        task.abort();
        let _ = task.await;
    }

    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let Some(asked) = read_head(&mut stream).await? else { return Ok(()) };
            self.asked.lock().unwrap().push(asked.clone());
            let path = asked.target.split('?').next().unwrap().to_owned();
            let manner = self.manners.lock().unwrap().get(&path).cloned();
            if !self.answer(&mut stream, &path, &asked, manner).await? {
                return Ok(());
            }
        }
    }

    /// `false` when the connection must close.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        path: &str,
        asked: &Asked,
        manner: Option<Manner>,
    ) -> std::io::Result<bool> {
        let Some(manner) = manner else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(true);
        };
        if manner.silent {
            std::future::pending::<()>().await;
        }
        if manner.hold_head {
            self.go_on.notified().await;
        }
        if let Some(status) = manner.status {
            stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
            return Ok(true);
        }
        let refused = asked.headers.get("if-match").is_some_and(|wanted| Some(wanted) != manner.etag.as_ref());
        if refused {
            stream.write_all(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(true);
        }
        let unchanged = asked.headers.get("if-none-match").is_some_and(|known| Some(known) == manner.etag.as_ref());
        let len = manner.bytes.len();
        let (status, start, end) = match asked.range() {
            _ if unchanged => (304, 0, 0),
            Some((first, _)) if manner.knows_ranges && first >= len => (416, 0, 0),
            Some((first, last)) if manner.knows_ranges => (206, first, (last + 1).min(len)),
            _ => (200, 0, len),
        };
        let mut head = format!("HTTP/1.1 {status} X\r\nDate: {}\r\n", http_date(now()));
        let mut add = |name: &str, value: &str| head += &format!("{name}: {value}\r\n");
        if let Some(etag) = &manner.etag {
            add("ETag", etag);
        }
        if let Some(at) = manner.last_modified {
            add("Last-Modified", &http_date(at));
        }
        if let Some(cache_control) = &manner.cache_control {
            add("Cache-Control", cache_control);
        }
        if let Some(tags) = &manner.tags {
            add("Cache-Tag", tags);
        }
        match status {
            206 => {
                let truth = format!("bytes {start}-{}/{len}", end - 1);
                add("Content-Range", manner.content_range.as_deref().unwrap_or(&truth));
            }
            416 => add("Content-Range", &format!("bytes */{len}")),
            _ => {}
        }
        if manner.unknown_length {
            add("Connection", "close");
        } else if status != 304 {
            add("Content-Length", &(end - start).to_string());
        }
        add("Content-Type", "audio/ogg");
        head += "\r\n";
        stream.write_all(head.as_bytes()).await?;
        if asked.method == "HEAD" || status == 304 {
            return Ok(true);
        }
        let body = &manner.bytes[start..end];
        if let Some((after, times)) = manner.die_after
            && times > 0
            && after < body.len()
        {
            self.change(path, |manner| manner.die_after = Some((after, times - 1)));
            self.send(stream, &body[..after]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Ok(false);
        }
        if let Some((after, times)) = manner.stall_after
            && times > 0
            && after < body.len()
        {
            self.change(path, |manner| manner.stall_after = Some((after, times - 1)));
            self.send(stream, &body[..after]).await?;
            std::future::pending::<()>().await;
        }
        if let Some((after, times)) = manner.trickle_after
            && times > 0
        {
            self.change(path, |manner| manner.trickle_after = Some((after, times - 1)));
            self.send(stream, &body[..after.min(body.len())]).await?;
            for byte in body.iter().skip(after) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.send(stream, std::slice::from_ref(byte)).await?;
            }
            return Ok(true);
        }
        let pause = manner.pause_after.unwrap_or(body.len()).min(body.len());
        self.send(stream, &body[..pause]).await?;
        if pause < body.len() {
            self.go_on.notified().await;
            self.send(stream, &body[pause..]).await?;
        }
        Ok(!manner.unknown_length)
    }

    /// Sends body bytes piece by piece, counting those that the socket took.
    async fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(16 * 1024) {
            stream.write_all(piece).await?;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        stream.flush().await
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Ok(Some(Asked { method: first.next().unwrap().into(), target: first.next().unwrap().into(), headers }))
}

pub struct World {
    pub origin: Arc<Origin>,
    pub edge: Arc<Edge>,
    pub shelf: Arc<Shelf>,
    pub keys: Arc<ArcSwap<Keyring>>,
    pub folder: Arc<tempfile::TempDir>,
}

pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The whole body, or the error that a door turns into a reset.
    pub async fn bytes(self) -> Result<Bytes, needledrop_http::BodyError> {
        Ok(self.body.collect().await?.to_bytes())
    }

    pub async fn next(&mut self) -> Option<Result<Bytes, needledrop_http::BodyError>> {
        Some(self.body.frame().await?.map(|frame| frame.into_data().unwrap()))
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with_cache(16 << 20).await
    }

    pub async fn with_cache(bytes: u64) -> Self {
        Self::with_clock(bytes, Clock::system()).await
    }

    pub async fn with_clock(bytes: u64, clock: Clock) -> Self {
        let (origin, addr) = Origin::start().await;
        // Most tests pause upstream on purpose, and are not about what happens then.
        let settings = Settings { hedge_after: Duration::from_secs(2), ..Settings::named("edge-test") };
        let upstream = Upstreams::new(settings).with(way_by(addr, clock.clone()), Tier::Origin, 1);
        Self::filled_from(origin, upstream, bytes, clock)
    }

    /// An edge that asks a group of upstreams; `origin` is the one that the test looks at.
    pub fn filled_from(origin: Arc<Origin>, upstream: impl Into<Upstreams>, bytes: u64, clock: Clock) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let slab = Slab::open(folder.path(), bytes).unwrap();
        Self::over(origin, Shelf::new(slab, upstream, clock), folder)
    }

    /// The same edge with limits on who may ask how often.
    pub fn limited(self, settings: needledrop_edge::admission::Settings) -> Self {
        let edge = Edge::new("edge-test".into(), self.keys.clone(), vec!["/art/".into()], self.shelf.clone());
        Self { edge: Arc::new(edge.limited(settings)), ..self }
    }

    /// An edge over a shelf that stands in `folder`.
    pub fn over(origin: Arc<Origin>, shelf: Arc<Shelf>, folder: Arc<tempfile::TempDir>) -> Self {
        let keyring = Keyring::new(KeyId::parse("k1").unwrap(), Secret::from_bytes([7; 32]));
        let keys = Arc::new(ArcSwap::from_pointee(keyring));
        let edge = Edge::new("edge-test".into(), keys.clone(), vec!["/art/".into()], shelf.clone());
        Self { origin, edge: Arc::new(edge), shelf, keys, folder }
    }

    pub fn sign(&self, path: &str) -> String {
        let path = ObjectPath::parse(path).unwrap();
        needledrop_core::sign(&path, &Claims::until(UnixSeconds(now() + 600)), &self.keys.load())
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.send(Method::GET, &self.sign(path), headers).await
    }

    pub async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::local(method, target);
        for (name, value) in headers {
            request.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let (parts, body) = self.edge.call(request).await.into_parts();
        Got { status: parts.status, headers: parts.headers, body }
    }

    /// Waits until upstream has been left alone for a moment.
    pub async fn quiet(&self) {
        let state = || (self.origin.asked().len(), self.origin.sent.load(Ordering::Relaxed), self.shelf.cache.len());
        let mut before = state();
        for calm in 0.. {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = state();
            if now == before && calm >= 2 {
                return;
            }
            before = now;
        }
    }

    /// Waits until what is on its way has been stored.
    pub async fn settled(&self, blocks: usize) {
        for _ in 0..200 {
            if self.shelf.cache.len() >= blocks {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} blocks are stored, {blocks} were expected", self.shelf.cache.len());
    }
}

/// One upstream over plain HTTP.
pub fn way(addr: SocketAddr) -> Upstream {
    way_by(addr, Clock::system())
}

/// The same by a clock of the test.
pub fn way_by(addr: SocketAddr, clock: Clock) -> Upstream {
    let config = ClientConfig {
        head_timeout: Duration::from_millis(2_000),
        body_timeout: Duration::from_millis(1_000),
        ..ClientConfig::default()
    };
    let client = Client::new(&config).unwrap();
    Upstream::new(client, &format!("http://{addr}").parse().unwrap(), clock)
}

/// An address at which nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn http_date(at: u64) -> String {
    UnixSeconds(at).to_http()
}
