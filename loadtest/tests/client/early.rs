//! Early data against servers that take it, that stop taking it, and that forget who had been there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use needledrop_http::DevCerts;
use needledrop_loadtest::client::{Client, ClientConfig, Origin, Trust, Wish};
use needledrop_loadtest::generated;
use needledrop_loadtest::measured::{Opening, Protocol};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

use crate::world::{World, ask, come_back, fetch, origin};

const EARLY_BYTES: u32 = 16 * 1024;

pub fn tls(dir: &Path, alpn: &[u8], early: u32, sessions: &Arc<dyn StoresServerSessions>) -> Arc<rustls::ServerConfig> {
    let certs = DevCerts::ensure(dir, &[], std::time::SystemTime::now()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(&certs.server).unwrap()];
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&certs.server_key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::clone(sessions);
    config.max_early_data_size = early;
    Arc::new(config)
}

pub fn sessions() -> Arc<dyn StoresServerSessions> {
    ServerSessionMemoryCache::new(256)
}

fn client(dir: &Path) -> Client {
    let trust = Trust::Pem(DevCerts::paths(dir).ca);
    Client::new(&ClientConfig { trust, ..ClientConfig::default() }).unwrap()
}

/// An HTTP/3 server that answers everything with the first bytes of "early".
pub struct H3 {
    endpoint: quinn::Endpoint,
}

pub fn quic(tls: Arc<rustls::ServerConfig>) -> quinn::ServerConfig {
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    quinn::ServerConfig::with_crypto(Arc::new(crypto))
}

pub fn willing_quic(dir: &Path) -> quinn::ServerConfig {
    quic(tls(dir, b"h3", u32::MAX, &sessions()))
}

impl H3 {
    pub fn start(config: quinn::ServerConfig) -> Self {
        Self::start_with(config, 100, 100)
    }

    /// `said` is what Content-Length says.
    pub fn start_with(config: quinn::ServerConfig, bytes: usize, said: usize) -> Self {
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let accepting = endpoint.clone();
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(async move {
                    let Ok((quic, _)) = incoming.accept().unwrap().into_0rtt() else {
                        panic!("a server always can");
                    };
                    let mut http: h3::server::Connection<_, Bytes> =
                        h3::server::builder().build(h3_quinn::Connection::new(quic)).await.unwrap();
                    while let Ok(Some(resolver)) = http.accept().await {
                        let Ok((_, mut stream)) = resolver.resolve_request().await else { continue };
                        let mut body = vec![0; bytes];
                        generated::fill("early", 0, &mut body);
                        let head = http::Response::builder().header("content-length", said).body(()).unwrap();
                        let _ = stream.send_response(head).await;
                        let _ = stream.send_data(body.into()).await;
                        let _ = stream.finish().await;
                    }
                });
            }
        });
        Self { endpoint }
    }

    pub fn origin(&self) -> Origin {
        origin(true, self.endpoint.local_addr().unwrap())
    }
}

#[tokio::test]
async fn early_data_over_quic_is_taken_rejected_or_met_by_a_stranger() {
    let dir = tempfile::tempdir().unwrap();
    let old = sessions();
    let server = H3::start(quic(tls(dir.path(), b"h3", u32::MAX, &old)));
    let client = client(dir.path());
    for (server_now, wish, wanted) in [
        (None, Wish::Full, Opening::Full),
        (None, Wish::Resumed, Opening::Resumed),
        (None, Wish::ZeroRtt, Opening::ZeroRtt),
        (Some(tls(dir.path(), b"h3", 0, &old)), Wish::ZeroRtt, Opening::Resumed),
        (Some(tls(dir.path(), b"h3", u32::MAX, &sessions())), Wish::ZeroRtt, Opening::Full),
    ] {
        server.endpoint.set_server_config(Some(quic(tls(dir.path(), b"h3", u32::MAX, &old))));
        let device = client.device(None);
        assert!(device.prime(&server.origin(), Protocol::H3).await.unwrap());
        if let Some(tls) = server_now {
            server.endpoint.set_server_config(Some(quic(tls)));
        }
        let mut connection = device.open(&server.origin(), Protocol::H3, wish).await.unwrap();
        for _ in 0..2 {
            let (notes, answer) = fetch(&mut connection, &ask("/anything")).await;
            answer.unwrap_or_else(|failure| panic!("{wish:?} {wanted:?}: {failure}"));
            assert!(generated::matches("early", 0, &notes.bytes) && notes.bytes.len() == 100);
            assert_eq!(connection.opening(), wanted, "{wish:?}");
        }
    }
}

/// Takes TLS off, early data included, and passes the bytes on to a plain server.
pub struct Terminator {
    pub address: SocketAddr,
    config: Arc<Mutex<Arc<rustls::ServerConfig>>>,
    early_bytes: Arc<AtomicUsize>,
}

impl Terminator {
    pub fn start(config: Arc<rustls::ServerConfig>, backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(config));
        let early_bytes = Arc::new(AtomicUsize::new(0));
        let (shared, early) = (Arc::clone(&config), Arc::clone(&early_bytes));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (config, early) = (Arc::clone(&shared.lock().unwrap()), Arc::clone(&early));
                std::thread::spawn(move || relay(config, stream, backend, &early));
            }
        });
        Self { address, config, early_bytes }
    }
}

fn relay(
    config: Arc<rustls::ServerConfig>,
    mut stream: TcpStream,
    backend: SocketAddr,
    early_bytes: &AtomicUsize,
) -> std::io::Result<()> {
    let mut session = rustls::ServerConnection::new(config).unwrap();
    let mut behind = TcpStream::connect(backend)?;
    stream.set_read_timeout(Some(Duration::from_millis(10)))?;
    behind.set_read_timeout(Some(Duration::from_millis(1)))?;
    let mut buffer = [0; 16 * 1024];
    loop {
        while session.wants_write() {
            session.write_tls(&mut stream)?;
        }
        match session.read_tls(&mut stream) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                session.process_new_packets().map_err(std::io::Error::other)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if let Some(mut early) = session.early_data() {
            while let Ok(count @ 1..) = early.read(&mut buffer) {
                early_bytes.fetch_add(count, Ordering::Relaxed);
                behind.write_all(&buffer[..count])?;
            }
        }
        while let Ok(count @ 1..) = session.reader().read(&mut buffer) {
            behind.write_all(&buffer[..count])?;
        }
        if !session.is_handshaking() {
            while let Ok(count @ 1..) = behind.read(&mut buffer) {
                session.writer().write_all(&buffer[..count])?;
                while session.wants_write() {
                    session.write_tls(&mut stream)?;
                }
            }
        }
    }
}

/// HTTP/2 without TLS that answers as the HTTP/3 server above.
async fn plain_h2() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut http = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = http.accept().await {
                    let mut body = vec![0; 100];
                    generated::fill("early", 0, &mut body);
                    let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                    stream.send_data(body.into(), true).unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn early_data_over_tcp_carries_the_request_or_is_sent_again() {
    let world = World::open();
    let dir = tempfile::tempdir().unwrap();
    for (protocol, alpn, backend) in
        [(Protocol::H1, &b"http/1.1"[..], world.planted.plain), (Protocol::H2, b"h2", plain_h2().await)]
    {
        let old = sessions();
        let willing = tls(dir.path(), alpn, EARLY_BYTES, &old);
        let server = Terminator::start(Arc::clone(&willing), backend);
        let origin = origin(true, server.address);
        let client = client(dir.path());
        for (server_now, wish, wanted) in [
            (None, Wish::Resumed, Opening::Resumed),
            (None, Wish::ZeroRtt, Opening::ZeroRtt),
            (Some(tls(dir.path(), alpn, 0, &old)), Wish::ZeroRtt, Opening::Resumed),
            (Some(tls(dir.path(), alpn, EARLY_BYTES, &sessions())), Wish::ZeroRtt, Opening::Full),
        ] {
            *server.config.lock().unwrap() = Arc::clone(&willing);
            let device = client.device(None);
            assert!(device.prime(&origin, protocol).await.unwrap());
            if let Some(tls) = server_now {
                *server.config.lock().unwrap() = tls;
            }
            server.early_bytes.store(0, Ordering::Relaxed);
            let mut connection = device.open(&origin, protocol, wish).await.unwrap();
            for request in 0..2 {
                let (notes, answer) = fetch(&mut connection, &ask("/size=100/early")).await;
                answer.unwrap_or_else(|failure| panic!("{protocol} {wish:?} {wanted:?} {request}: {failure}"));
                assert!(generated::matches("early", 0, &notes.bytes) && notes.bytes.len() == 100);
                assert_eq!(connection.opening(), wanted, "{protocol} {wish:?}");
            }
            let early_bytes = server.early_bytes.load(Ordering::Relaxed);
            assert_eq!(early_bytes > 50, wanted == Opening::ZeroRtt, "{protocol} {wanted:?}: {early_bytes}");
        }
    }
}

#[tokio::test]
async fn a_ticket_serves_its_own_server_and_protocol_only() {
    let world = World::open();
    let other = World::open();
    let (device, _connection) = come_back(&world.client, &world.origin(Protocol::H2), Protocol::H2, Wish::Full).await;
    assert!(device.has_ticket(&world.origin(Protocol::H2), Protocol::H2));
    assert!(!device.has_ticket(&world.origin(Protocol::H1), Protocol::H1));
    assert!(!device.has_ticket(&other.origin(Protocol::H2), Protocol::H2));
}
