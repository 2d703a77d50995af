//! The other direction: a pooled client for pulls from an origin, ours or not.
//!
//! Plain http is HTTP/1.1; https is HTTP/2 or HTTP/1.1 by ALPN, checked against roots of our choice and with our own
//! client certificate where the origin asks for one. Connections are kept and shared. The client does not retry (but
//! takes another connection for a request that a closing one never took), follow redirects, decode or cache: the edge
//! owns these decisions. A client with an [`Outside`] goes to servers that strangers name: it connects only where that
//! allows, anew for each request, and reads shorter heads.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;

use crate::certificates::{CertificateError, read_pem_pair};
use crate::outside::Outside;
use crate::tls;

/// Bytes an origin may send ahead per stream and per connection: 4 MiB is 320 Mbit/s at 100 ms.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const FRAME_BYTES: u32 = 64 * 1024;
/// Bytes of an answer's head: an origin is more trusted than a stranger, but not without bound.
const HEAD_BYTES: u32 = 64 * 1024;
/// The same of a stranger's: what browsers and proxies take without complaint.
const STRANGE_HEAD_BYTES: u32 = 32 * 1024;
/// What a stranger may send ahead: a feed is small, and nobody waits for the last bit of its speed.
const STRANGE_WINDOW_BYTES: u32 = 256 * 1024;
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Whose certificates an https origin may show.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Those the operating system trusts.
    #[default]
    System,
    /// Only those of a PEM file.
    Pem(PathBuf),
}

/// Our certificate towards origins that ask for one: PEM files of chain and key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How to reach origins.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whose certificates an https origin may show.
    pub roots: Roots,
    /// Our certificate, if the origin asks for one.
    pub identity: Option<Identity>,
    /// Time to establish a TCP connection.
    pub connect_timeout: Duration,
    /// Time from sending a request to the head of the answer, connecting included.
    pub head_timeout: Duration,
    /// Time between two pieces of an answer's body.
    pub body_timeout: Duration,
    /// Time an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections kept per origin; HTTP/2 needs one.
    pub idle_connections: usize,
    /// Where connections may go, if strangers say where. Nothing is kept open then: each request has a connection to an
    /// address that was judged for it.
    pub outside: Option<Arc<Outside>>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            roots: Roots::System,
            identity: None,
            connect_timeout: Duration::from_secs(3),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            idle_connections: 64,
            outside: None,
        }
    }
}

/// Why there is no (whole) answer. The variants say what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Certificates of the configuration cannot be used.
    #[error("client certificates: {0}")]
    Certificate(#[from] CertificateError),
    /// Settings that rustls refuses.
    #[error("client TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// No connection: name, route, port or handshake. The request was not sent, trying again is safe.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Nothing came in time. The origin may still work on the request.
    #[error("no byte within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke, or what came is not HTTP. A body that ends in this is not whole.
    #[error("the exchange broke: {0}")]
    Protocol(String),
}

type Pool = legacy::Client<HttpsConnector<Dialer>, Empty<Bytes>>;

/// The client. Clones share connections.
#[derive(Clone)]
pub struct Client {
    pool: Pool,
    head_timeout: Duration,
    body_timeout: Duration,
}

impl Client {
    /// Reads the certificates and makes a client; connects to nobody yet. Blocks on the files.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(config)?)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Dialer::new(config));
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.idle_connections)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_frame_size(FRAME_BYTES)
            .http2_max_header_list_size(HEAD_BYTES)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PONG_WITHIN);
        if config.outside.is_some() {
            builder
                .pool_max_idle_per_host(0)
                .http1_max_buf_size(STRANGE_HEAD_BYTES as usize)
                .http2_max_header_list_size(STRANGE_HEAD_BYTES)
                .http2_initial_stream_window_size(STRANGE_WINDOW_BYTES)
                .http2_initial_connection_window_size(STRANGE_WINDOW_BYTES);
        }
        let pool = builder.build(connector);
        Ok(Self { pool, head_timeout: config.head_timeout, body_timeout: config.body_timeout })
    }

    /// Sends a request without body and waits for the head of the answer. The target must be absolute
    /// (`https://origin/path`); its path and query are sent as they are.
    pub async fn send(&self, request: http::Request<()>) -> Result<http::Response<IncomingBody>, ClientError> {
        let request = request.map(|()| Empty::new());
        let answer = timeout(self.head_timeout, self.pool.request(request)).await;
        let response = answer.map_err(|_| ClientError::Timeout(self.head_timeout))?.map_err(told_apart)?;
        Ok(response.map(|inner| IncomingBody { inner, limit: self.body_timeout, timer: None }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Who connects.
#[derive(Clone)]
enum Dialer {
    /// To whatever the configuration names.
    Anywhere(HttpConnector),
    /// To what strangers name.
    Outside(Arc<Outside>, Duration),
}

type Dialed = Result<TokioIo<TcpStream>, Box<dyn std::error::Error + Send + Sync>>;

impl Dialer {
    fn new(config: &ClientConfig) -> Self {
        if let Some(outside) = &config.outside {
            return Self::Outside(Arc::clone(outside), config.connect_timeout);
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_timeout));
        Self::Anywhere(tcp)
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Dialed> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Self::Anywhere(tcp) => tcp.poll_ready(cx).map_err(Into::into),
            Self::Outside(..) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self {
            Self::Anywhere(tcp) => {
                let connecting = tcp.call(to);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Self::Outside(outside, within) => {
                let (outside, within) = (Arc::clone(outside), *within);
                Box::pin(async move {
                    let usual = if to.scheme_str() == Some("https") { 443 } else { 80 };
                    let port = to.port_u16().unwrap_or(usual);
                    let stream = outside.dial(to.host().unwrap_or_default(), port, within).await?;
                    stream.set_nodelay(true)?;
                    Ok(TokioIo::new(stream))
                })
            }
        }
    }
}

fn tls_config(config: &ClientConfig) -> Result<rustls::ClientConfig, ClientError> {
    let builder = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots(&config.roots)?);
    match &config.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let (chain, key) = read_pem_pair(&identity.certificate, &identity.key)?;
            builder.with_client_auth_cert(chain, key).map_err(ClientError::Tls)
        }
    }
}

fn roots(roots: &Roots) -> Result<Arc<RootCertStore>, ClientError> {
    match roots {
        Roots::Pem(path) => Ok(Arc::new(tls::read_roots(path)?)),
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a system root certificate cannot be read");
            }
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(found.certs);
            Ok(Arc::new(store))
        }
    }
}

fn told_apart(error: legacy::Error) -> ClientError {
    let text = with_causes(&error);
    if error.is_connect() { ClientError::Connect(text) } else { ClientError::Protocol(text) }
}

/// The error and its causes in one line: the outermost one alone says only "client error".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The body of an origin's answer. It ends in an error if the connection broke, if fewer bytes than Content-Length
/// came, or if nothing came for `body_timeout`.
pub struct IncomingBody {
    inner: Incoming,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IncomingBody {
    /// The next piece; None after an orderly end. Trailers are skipped.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, ClientError>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        if let Poll::Ready(next) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.timer = None;
            return Poll::Ready(next.map(|frame| frame.map_err(|error| ClientError::Protocol(with_causes(&error)))));
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Some(Err(ClientError::Timeout(limit))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingBody").finish_non_exhaustive()
    }
}
