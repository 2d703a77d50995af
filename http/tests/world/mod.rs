//! A small world for the tests: doors on 127.0.0.1, a handler that behaves and misbehaves on request, and one client
//! per protocol that tells a whole answer from a broken one.
#![allow(dead_code)] // each test file uses a part

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use needledrop_http::{
    Body, BodyError, Certificates, Counters, Delivered, DevCerts, Doors, DoorsConfig, Handler, Receipt, Request,
    Response, Running,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;

pub const BIG: usize = 300_000;
pub const PART: usize = 100_000;
/// More than fits into all buffers on the way.
pub const HUGE: usize = 64 << 20;

/// Byte i of every test body.
pub fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>().into()
}

/// Answers by path; see the arms.
#[derive(Default)]
pub struct Stage {
    pub calls: AtomicUsize,
    pub receipts: Arc<Receipts>,
}

/// What became of the bodies, by path.
#[derive(Default)]
pub struct Receipts {
    list: Mutex<Vec<(String, Delivered)>>,
    came: tokio::sync::Notify,
}

impl Receipts {
    fn one_for(self: &Arc<Self>, path: &str) -> Receipt {
        let (receipts, path) = (Arc::clone(self), path.to_owned());
        Receipt::new(move |delivered| {
            receipts.list.lock().unwrap().push((path, delivered));
            receipts.came.notify_one();
        })
    }

    fn take(&self, path: &str) -> Option<Delivered> {
        let mut list = self.list.lock().unwrap();
        let index = list.iter().position(|(of, _)| of == path)?;
        Some(list.remove(index).1)
    }

    /// Takes the next receipt for a path, waiting for it.
    pub async fn next(&self, path: &str) -> Delivered {
        let found = async {
            loop {
                if let Some(delivered) = self.take(path) {
                    return delivered;
                }
                self.came.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.unwrap_or_else(|_| panic!("no receipt for {path}"))
    }

    pub fn is_empty(&self) -> bool {
        self.list.lock().unwrap().is_empty()
    }
}

impl Handler for Stage {
    fn wants_body(&self, request: &Request) -> bool {
        request.uri.path() == "/echo"
    }

    async fn call(&self, request: Request) -> Response {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let path = request.uri.path().to_owned();
        let part = || Ok(pattern(PART));
        let body = match path.as_str() {
            "/big" => Body::stream(
                stream::iter((0..3).map(|i| Ok(pattern(BIG).slice(i * PART..(i + 1) * PART)))),
                Some(BIG as u64),
            ),
            "/huge" => Body::stream(
                stream::iter((0..HUGE / (1 << 17)).map(|_| Ok(Bytes::from_static(&[7; 1 << 17])))),
                Some(HUGE as u64),
            ),
            "/unknown" => Body::stream(stream::iter([part(), part()]), None),
            "/short" => Body::stream(stream::iter([part(), part()]), Some(BIG as u64)),
            "/broken" => Body::stream(stream::iter([part(), Err(BodyError::source("origin died"))]), Some(BIG as u64)),
            "/broken-later" | "/broken-later-unknown" => Body::stream(
                stream::unfold(0, async |i| {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some((if i == 0 { Ok(pattern(PART)) } else { Err(BodyError::source("origin died")) }, i + 1))
                }),
                (path == "/broken-later").then_some(BIG as u64),
            ),
            "/endless" => Body::stream(stream::repeat_with(move || Ok(Bytes::from_static(&[7; 4096]))), None),
            "/broken-unknown" => Body::stream(stream::iter([part(), Err(BodyError::source("origin died"))]), None),
            "/panicking-body" => {
                let mut pieces = vec![part()].into_iter();
                Body::stream(
                    stream::poll_fn(move |_| Some(pieces.next().expect("on purpose")).into()),
                    Some(BIG as u64),
                )
            }
            "/slow" => Body::stream(
                stream::unfold(0, |i| async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    (i < 5).then(|| (Ok(pattern(1000)), i + 1))
                }),
                Some(5000),
            ),
            "/later" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Body::full("later")
            }
            "/never" => Body::stream(stream::pending(), Some(5000)),
            "/panic" => panic!("on purpose"),
            "/whoami" => {
                let peer = &request.peer;
                let name = peer.identity.as_ref().map_or("nobody", |identity| identity.as_str());
                Body::full(format!("{name} at {} over {}", peer.client, peer.protocol.as_str()))
            }
            "/echo" => Body::full(request.body.clone()),
            "/head-of-a-track" => Body::full(pattern(64 * 1024)),
            "/early" => Body::full(format!("early: {}", request.peer.early_data)),
            "/resumed" => Body::full(format!("{:?}", request.peer.resumed)),
            "/socket" => Body::full(request.peer.socket.to_string()),
            "/nothing" => {
                let mut response = Response::new(Body::full("must not be sent"));
                *response.status_mut() = StatusCode::NO_CONTENT;
                return response;
            }
            "/same" => {
                let mut response = Response::new(Body::full("must not be sent"));
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
                return response;
            }
            _ => Body::full(format!(
                "{} {} for {}",
                request.method,
                request.target(),
                request.authority().unwrap_or("-")
            )),
        };
        let mut response = Response::new(body.with_receipt(self.receipts.one_for(&path)));
        response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        response.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
        if path == "/hop-by-hop" {
            for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
                response.headers_mut().insert(name, "chunked".parse().unwrap());
            }
        }
        response
    }
}

pub fn dev_certs(dir: &Path) -> DevCerts {
    DevCerts::ensure(dir, &[], SystemTime::now()).unwrap()
}

/// Open doors on three protocols.
pub struct World {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub quic: SocketAddr,
    pub certs: DevCerts,
    pub certificates: Arc<Certificates>,
    pub stage: Arc<Stage>,
    pub counters: Arc<Counters>,
    pub running: Running,
    pub _dir: tempfile::TempDir,
}

pub fn localhost() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap()]
}

impl World {
    pub fn open() -> Self {
        Self::open_with(|_, _| {})
    }

    pub fn open_with(adjust: impl FnOnce(&mut DoorsConfig, &DevCerts)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certs = dev_certs(dir.path());
        let certificates = Certificates::load(&certs.server, &certs.server_key).unwrap();
        let mut config = DoorsConfig {
            plain: localhost(),
            tls: localhost(),
            quic: localhost(),
            certificates: Some(Arc::clone(&certificates)),
            ..Default::default()
        };
        adjust(&mut config, &certs);
        let doors = Doors::bind(config).unwrap();
        let first = |addrs: Vec<SocketAddr>| addrs[0];
        let (plain, tls, quic) = (first(doors.plain_addrs()), first(doors.tls_addrs()), first(doors.quic_addrs()));
        let stage = Arc::new(Stage::default());
        let counters = doors.counters();
        let running = doors.serve(Arc::clone(&stage));
        Self { plain, tls, quic, certs, certificates, stage, counters, running, _dir: dir }
    }

    pub async fn ask(&self, via: Via, target: &str) -> Answer {
        self.ask_with(via, Method::GET, target, &[]).await.unwrap()
    }

    pub async fn ask_with(
        &self,
        via: Via,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let mut session = self.connect(via, None).await?;
        session.ask(method, target, fields).await
    }

    pub async fn connect(&self, via: Via, identity: Option<(&Path, &Path)>) -> Result<Session, Failure> {
        let addr = match via {
            Via::H1 => self.plain,
            Via::H1Tls | Via::H2 => self.tls,
            Via::H3 => self.quic,
        };
        Session::connect(via, addr, &self.certs.ca, identity).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    H1,
    H1Tls,
    H2,
    H3,
}

pub const ALL: [Via; 4] = [Via::H1, Via::H1Tls, Via::H2, Via::H3];

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The whole body, or how it broke.
    pub body: Result<Bytes, String>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }

    /// Fields that do not differ by design between protocols and moments.
    pub fn lasting_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in ["date", "alt-svc", "connection", "transfer-encoding"] {
            headers.remove(name);
        }
        headers
    }
}

type Whole = Full<Bytes>;
type H3Sender = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// One client connection.
pub enum Session {
    H1 { sender: hyper::client::conn::http1::SendRequest<Whole>, leaf: Option<Bytes> },
    H2 { sender: hyper::client::conn::http2::SendRequest<Whole>, leaf: Option<Bytes> },
    H3 { sender: H3Sender, quic: quinn::Connection, _endpoint: quinn::Endpoint },
}

pub fn client_tls(ca: &Path, identity: Option<(&Path, &Path)>, alpn: &str) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(chain).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

pub async fn tls_stream(
    addr: SocketAddr,
    config: rustls::ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), TcpStream::connect(addr).await?).await
}

pub async fn quic_connection(
    addr: SocketAddr,
    config: rustls::ClientConfig,
) -> Result<(quinn::Endpoint, quinn::Connection), Failure> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config)?;
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap())?;
    let connecting = endpoint.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), addr, "localhost")?;
    let connection = connecting.await?;
    Ok((endpoint, connection))
}

impl Session {
    pub async fn connect(
        via: Via,
        addr: SocketAddr,
        ca: &Path,
        identity: Option<(&Path, &Path)>,
    ) -> Result<Self, Failure> {
        match via {
            Via::H1 => {
                let io = TokioIo::new(TcpStream::connect(addr).await?);
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                tokio::spawn(connection);
                Ok(Self::H1 { sender, leaf: None })
            }
            Via::H1Tls => {
                let stream = tls_stream(addr, client_tls(ca, identity, "http/1.1")).await?;
                let leaf = leaf(&stream);
                let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Self::H1 { sender, leaf })
            }
            Via::H2 => {
                let stream = tls_stream(addr, client_tls(ca, identity, "h2")).await?;
                let leaf = leaf(&stream);
                let io = TokioIo::new(stream);
                let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Ok(Self::H2 { sender, leaf })
            }
            Via::H3 => {
                let (endpoint, quic) = quic_connection(addr, client_tls(ca, identity, "h3")).await?;
                let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await?;
                tokio::spawn(async move { driver.wait_idle().await });
                Ok(Self::H3 { sender, quic, _endpoint: endpoint })
            }
        }
    }

    /// The certificate the server showed.
    pub fn server_leaf(&self) -> Bytes {
        match self {
            Self::H1 { leaf, .. } | Self::H2 { leaf, .. } => leaf.clone().unwrap(),
            Self::H3 { quic, .. } => {
                let chain = quic.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
                Bytes::copy_from_slice(&chain[0])
            }
        }
    }

    pub async fn ask(&mut self, method: Method, target: &str, fields: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.send(method, target, fields, Bytes::new()).await
    }

    /// A request with a body.
    pub async fn send(
        &mut self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut request = http::Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match self {
            Self::H1 { sender, .. } => {
                let request = request.uri(target).header("host", "localhost").body(Full::new(body))?;
                sender.ready().await?;
                collect(sender.send_request(request).await?).await
            }
            Self::H2 { sender, .. } => {
                let request = request.uri(format!("https://localhost{target}")).version(Version::HTTP_2);
                collect(sender.send_request(request.body(Full::new(body))?).await?).await
            }
            Self::H3 { sender, .. } => {
                let request = request.uri(format!("https://localhost{target}")).body(())?;
                ask_h3(sender, request, body).await
            }
        }
    }
}

fn leaf(stream: &tokio_rustls::client::TlsStream<TcpStream>) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&stream.get_ref().1.peer_certificates()?[0]))
}

async fn collect(response: http::Response<hyper::body::Incoming>) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).map_err(|error| error.to_string());
    Ok(Answer { status: head.status, headers: head.headers, body })
}

async fn ask_h3(sender: &mut H3Sender, request: http::Request<()>, body: Bytes) -> Result<Answer, Failure> {
    let mut stream = sender.send_request(request).await?;
    // Who is refused early may find the stream stopped.
    let sent = if body.is_empty() { Ok(()) } else { stream.send_data(body).await };
    if sent.is_ok() {
        let _ = stream.finish().await;
    }
    let (head, ()) = stream.recv_response().await?.into_parts();
    let mut bytes = BytesMut::new();
    let body = loop {
        match stream.recv_data().await {
            Ok(Some(mut piece)) => bytes.extend_from_slice(&piece.copy_to_bytes(piece.remaining())),
            Ok(None) => break Ok(bytes.freeze()),
            Err(error) => break Err(error.to_string()),
        }
    };
    Ok(Answer { status: head.status, headers: head.headers, body })
}
