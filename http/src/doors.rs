//! The sockets: what is opened, and what happens between an accepted connection and its protocol.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use needledrop_core::network::{Cidr, any_contains};
use needledrop_core::proxy_v2;
use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::{CertificateError, Certificates};
use crate::counters::Counters;
use crate::exchange::{Exchange, Handler, alt_svc};
use crate::h1;
use crate::h2;
use crate::handshakes::Handshakes;
use crate::limits::Limits;
use crate::networks::Networks;
use crate::proxy;
use crate::quic::QuicDoors;
use crate::request::{Peer, Protocol};
use crate::running::{Running, Stop};
use crate::tls;
use crate::watch::{Breakable, WriteStall};

/// Connections the kernel may finish before we accept them.
const BACKLOG: u32 = 1024;
/// Pause after a failed accept (out of file descriptors), so that it does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What to open. Everything is closed by default.
#[derive(Clone, Debug, Default)]
pub struct DoorsConfig {
    /// Plain HTTP/1.1.
    pub plain: Vec<SocketAddr>,
    /// TLS with HTTP/2 and HTTP/1.1 by ALPN. Needs `certificates`.
    pub tls: Vec<SocketAddr>,
    /// QUIC with HTTP/3 (UDP). Needs `certificates`.
    pub quic: Vec<SocketAddr>,
    /// Certificate of the TLS and QUIC doors.
    pub certificates: Option<Arc<Certificates>>,
    /// Client certificates on the TLS and QUIC doors; None asks for none.
    pub client_ca: Option<ClientCa>,
    /// Peers whose PROXY v2 header, Forwarded and X-Forwarded-For are believed. Nobody else's are looked at.
    pub trusted: Vec<Cidr>,
    /// Whether connections from trusted peers to the plain and TLS doors begin with a PROXY v2 header. They must
    /// then; without one they are closed. QUIC has no such header.
    pub proxy_v2: bool,
    /// Networks whose connections are not counted against a client network's share; the trusted ones never are. None
    /// exempts this machine's own addresses: a local proxy brings everybody's connections.
    pub exempt: Option<Vec<Cidr>>,
    /// UDP port of HTTP/3 to advertise in Alt-Svc on secure HTTP/1.1 and HTTP/2 answers.
    pub alt_svc: Option<u16>,
    /// Every bound.
    pub limits: Limits,
}

/// The authority whose client certificates are taken.
#[derive(Clone, Debug)]
pub struct ClientCa {
    /// PEM file of root certificates.
    pub pem: PathBuf,
    /// What happens to a client without certificate. A wrong certificate never passes.
    pub auth: ClientAuth,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate, no handshake.
    Required,
    /// Without one `Peer.identity` is None, and the handler decides.
    Optional,
}

/// Why doors could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorsError {
    /// An address is in use, not ours, or needs rights we lack.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// TLS or QUIC addresses are given, but no certificate.
    #[error("the TLS and QUIC doors need a certificate")]
    NoCertificate,
    /// The client authority's file cannot be read.
    #[error("client authority: {0}")]
    Certificate(#[source] CertificateError),
    /// The client authority's file has no usable root.
    #[error("client authority {}: {reason}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        reason: rustls::server::VerifierBuilderError,
    },
    /// TLS settings that rustls refuses.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
}

/// Open sockets. Nothing is accepted before [`Doors::serve`].
pub struct Doors {
    config: DoorsConfig,
    plain: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    quic: QuicDoors,
    acceptor: Option<TlsAcceptor>,
    counters: Arc<Counters>,
}

impl Doors {
    /// Opens the sockets. Port 0 takes a free port; see the `*_addrs` for which. Must run inside a tokio runtime.
    pub fn bind(config: DoorsConfig) -> Result<Self, DoorsError> {
        let secure = !config.tls.is_empty() || !config.quic.is_empty();
        let certificates = match &config.certificates {
            None if secure => return Err(DoorsError::NoCertificate),
            certificates => certificates.clone(),
        };
        let acceptor = match &certificates {
            Some(certificates) if !config.tls.is_empty() => {
                Some(TlsAcceptor::from(Arc::new(tls::tcp_server(certificates, config.client_ca.as_ref())?)))
            }
            _ => None,
        };
        let plain = listen_all(&config.plain, &config.limits)?;
        let tls = listen_all(&config.tls, &config.limits)?;
        let mut quic = QuicDoors::none();
        if let Some(certificates) = certificates.filter(|_| !config.quic.is_empty()) {
            let tls = Arc::new(tls::quic_server(&certificates, config.client_ca.as_ref())?);
            for &address in &config.quic {
                let failed = |reason| DoorsError::Bind { address, reason };
                quic.listen(address, &tls, &config.limits).map_err(failed)?;
            }
        }
        Ok(Self { config, plain, tls, quic, acceptor, counters: Arc::default() })
    }

    /// The addresses of the plain doors, in the order of the configuration.
    pub fn plain_addrs(&self) -> Vec<SocketAddr> {
        addrs(&self.plain)
    }

    /// The addresses of the TLS doors, in the order of the configuration.
    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        addrs(&self.tls)
    }

    /// The UDP addresses of the QUIC doors, in the order of the configuration.
    pub fn quic_addrs(&self) -> Vec<SocketAddr> {
        self.quic.addrs()
    }

    /// What these doors refuse and cut off, from now until they are gone.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Accepts connections and hands their requests to `handler`, until the [`Running`] is drained or dropped.
    pub fn serve<H: Handler>(self, handler: Arc<H>) -> Running {
        let stop = Stop::default();
        let limits = self.config.limits.clone();
        let counters = self.counters;
        let mut exempt = self.config.exempt.unwrap_or_else(|| Cidr::LOOPBACK.to_vec());
        exempt.extend(&self.config.trusted);
        let networks = Networks::new(&limits, exempt, Arc::clone(&counters));
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Handshakes::new(limits.handshakes, Arc::clone(&counters)),
            acceptor: self.acceptor,
            proxy_v2: self.config.proxy_v2,
            stop: stop.clone(),
            exchange: Arc::new(Exchange {
                trusted: self.config.trusted,
                handler,
                limits,
                alt_svc: self.config.alt_svc.map(alt_svc),
                counters,
                networks,
            }),
        });
        self.quic.serve(&shared.exchange, &stop);
        for listener in self.plain {
            stop.tasks.spawn(accept(listener, Lane::Plain, Arc::clone(&shared)));
        }
        for listener in self.tls {
            stop.tasks.spawn(accept(listener, Lane::Tls, Arc::clone(&shared)));
        }
        Running::new(stop)
    }
}

/// What the connections of one set of doors share.
struct Shared<H> {
    connections: Arc<Semaphore>,
    handshakes: Arc<Handshakes>,
    acceptor: Option<TlsAcceptor>,
    proxy_v2: bool,
    stop: Stop,
    exchange: Arc<Exchange<H>>,
}

#[derive(Clone, Copy)]
enum Lane {
    Plain,
    Tls,
}

fn listen_all(addresses: &[SocketAddr], limits: &Limits) -> Result<Vec<TcpListener>, DoorsError> {
    let bind = |&address| listen(address, limits).map_err(|reason| DoorsError::Bind { address, reason });
    addresses.iter().map(bind).collect()
}

fn listen(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The same on every system: [::] is IPv6 only, and 0.0.0.0 stands beside it.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(limits.unsent_bytes)?;
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    TcpListener::from_std(socket.into())
}

fn addrs(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let addr = |listener: &TcpListener| listener.local_addr().expect("a bound listener has an address");
    listeners.iter().map(addr).collect()
}

/// Accepts until the drain begins; then the listener is closed, and the kernel refuses who comes later.
async fn accept<H: Handler>(listener: TcpListener, lane: Lane, shared: Arc<Shared<H>>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, socket) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Taken after the accept: a door that nobody knocks at must not hold a place that another one could fill.
        if shared.connections.available_permits() == 0 {
            shared.exchange.counters.connections_delayed.bump();
        }
        let permit = tokio::select! {
            () = shared.stop.drain.cancelled() => return,
            permit = Arc::clone(&shared.connections).acquire_owned() => permit.expect("never closed"),
        };
        let shared = Arc::clone(&shared);
        let tasks = shared.stop.tasks.clone();
        tasks.spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = stop.kill.cancelled() => {}
                () = connection(stream, socket, lane, shared) => {}
            }
            drop(permit);
        });
    }
}

async fn connection<H: Handler>(stream: TcpStream, socket: SocketAddr, lane: Lane, shared: Arc<Shared<H>>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Answers are written in whole pieces; waiting to fill segments only delays their ends.
    let _ = stream.set_nodelay(true);
    let mut peer = Peer {
        client: socket.ip().to_canonical(),
        socket,
        local,
        protocol: Protocol::H1,
        secure: false,
        early_data: false,
        resumed: None,
        identity: None,
    };
    let mut stream = WriteStall::new(stream, shared.exchange.limits.write_stall, Arc::clone(&shared.exchange.counters));
    if shared.proxy_v2 && any_contains(&shared.exchange.trusted, peer.client) {
        match timeout(shared.exchange.limits.handshake, proxy::read_header(&mut stream)).await {
            Ok(Ok(said)) => peer.believe(said),
            said => {
                shared.exchange.counters.proxy_header_bad.bump();
                let error = said.map_or_else(|_| "it took too long".into(), |said| said.unwrap_err().to_string());
                return tracing::warn!(%socket, %error, "a trusted peer sent no good PROXY header");
            }
        }
    }
    let _place = match shared.exchange.networks.admit(peer.client) {
        Ok(place) => place,
        Err(refusal) => {
            tracing::debug!(%socket, %refusal, "connection refused");
            // A reset costs us no more packets and no TIME_WAIT.
            return stream.break_off();
        }
    };
    let drain = shared.stop.drain.clone();
    match (lane, &shared.acceptor) {
        (Lane::Tls, Some(acceptor)) => {
            let Some(stream) = handshake(acceptor, stream, peer.client, &shared).await else {
                return;
            };
            peer.secure = true;
            peer.resumed = stream.get_ref().1.handshake_kind().map(|kind| kind == HandshakeKind::Resumed);
            peer.identity = tls::identity(stream.get_ref().1.peer_certificates());
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                peer.protocol = Protocol::H2;
                h2::serve(stream, peer, Arc::clone(&shared.exchange), drain, shared.stop.tasks.clone()).await;
            } else {
                h1::serve(stream, peer, Arc::clone(&shared.exchange), drain).await;
            }
        }
        _ => h1::serve(stream, peer, Arc::clone(&shared.exchange), drain).await,
    }
}

async fn handshake<S, H>(acceptor: &TlsAcceptor, stream: S, client: IpAddr, shared: &Shared<H>) -> Option<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let turn = shared.handshakes.begin(client);
    let shaking = tokio::select! {
        shaking = timeout(shared.exchange.limits.handshake, acceptor.accept(stream)) => shaking,
        () = turn.crowded_out() => {
            tracing::debug!(%client, "a TLS handshake made room for others");
            return None;
        }
    };
    match shaking {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            shared.exchange.counters.handshake_failed.bump();
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => {
            shared.exchange.counters.handshake_late.bump();
            tracing::debug!("TLS handshake took too long");
            None
        }
    }
}

impl Peer {
    /// Takes the addresses of a PROXY v2 header that came from a trusted peer.
    fn believe(&mut self, said: proxy_v2::Connection) {
        if let proxy_v2::Connection::Proxied { source, destination } = said {
            self.socket = source;
            self.client = source.ip().to_canonical();
            self.local = destination;
        }
    }
}

impl Breakable for WriteStall<TcpStream> {
    fn break_off(&self) {
        // Zero linger turns the close into a reset.
        let _ = self.get_ref().set_zero_linger();
    }
}

impl<S: Breakable> Breakable for TlsStream<S> {
    fn break_off(&self) {
        self.get_ref().0.break_off();
    }
}
