//! The sockets: what is opened, and what happens between an accepted connection and its protocol.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
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
use crate::first_flight::{Cork, FirstFlight, Together};
use crate::h1;
use crate::h2;
use crate::handshakes::Handshakes;
use crate::limits::Limits;
use crate::networks::Networks;
use crate::proxy;
use crate::quic::{self, Lasting, QuicDoors};
use crate::request::{Peer, Protocol};
use crate::request_body::Bodies;
use crate::running::{Running, Stop};
use crate::sockets::{Sockets, open_all};
use crate::tickets::{TicketError, TicketSecret};
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
    /// What the tickets of the TLS doors and the tokens of the QUIC doors are sealed with; without it only this process
    /// can read its own.
    pub ticket_secret: Option<Arc<TicketSecret>>,
    /// What tells this node from the others that have the same ticket secret, such as the name of the machine. With
    /// both, a process that was started again can tell the QUIC clients of the one before that it knows them no more.
    pub node: Option<String>,
    /// How keys are agreed on.
    pub key_exchange: KeyExchange,
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

/// What stands between a recorded handshake and whoever wants to read it later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519 with ML-KEM-768 beside it for clients that put it first, which holds against a quantum computer of a
    /// later day. It costs such a handshake about 1.1 KB each way.
    #[default]
    Hybrid,
    /// Elliptic curves only.
    Classical,
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
    /// No secret for tickets can be made.
    #[error("TLS tickets: {0}")]
    Tickets(#[from] TicketError),
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
    /// The QUIC doors' sockets once more, to be handed over.
    udp: Vec<UdpSocket>,
    acceptor: Option<TlsAcceptor>,
    counters: Arc<Counters>,
}

impl Doors {
    /// Opens the sockets. Port 0 takes a free port; see the `*_addrs` for which. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// An address cannot be had, or TLS cannot be set up.
    pub fn bind(config: DoorsConfig) -> Result<Self, DoorsError> {
        Self::bind_with(config, Sockets::default())
    }

    /// Like [`Doors::bind`], with sockets that are open already: they stand for the addresses they are bound to, and
    /// those that no address asks for are served as well.
    ///
    /// # Errors
    /// An address cannot be had, or TLS cannot be set up.
    pub fn bind_with(config: DoorsConfig, given: Sockets) -> Result<Self, DoorsError> {
        let has_tls = !config.tls.is_empty() || !given.tls.is_empty();
        let has_quic = !config.quic.is_empty() || !given.quic.is_empty();
        let certificates = match &config.certificates {
            None if has_tls || has_quic => return Err(DoorsError::NoCertificate),
            certificates => certificates.clone(),
        };
        let acceptor = match &certificates {
            Some(certificates) if has_tls => Some(acceptor(&config, certificates)?),
            _ => None,
        };
        let plain = listen_all(&config.plain, given.plain, &config.limits)?;
        let tls = listen_all(&config.tls, given.tls, &config.limits)?;
        let counters = Arc::default();
        let mut quic = QuicDoors::none();
        let mut udp = Vec::new();
        if let Some(certificates) = certificates.filter(|_| has_quic) {
            let tls = Arc::new(tls::quic_server(&certificates, config.client_ca.as_ref(), config.key_exchange)?);
            let lasting = Lasting { secret: config.ticket_secret.as_ref(), node: config.node.as_deref() };
            let open = |address| quic::socket(address).map_err(|reason| DoorsError::Bind { address, reason });
            for socket in open_all(&config.quic, given.quic, UdpSocket::local_addr, open)? {
                let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
                let failed = |reason| DoorsError::Bind { address, reason };
                udp.push(socket.try_clone().map_err(failed)?);
                quic.listen(socket, &tls, &lasting, &config.limits, &counters).map_err(failed)?;
            }
        }
        Ok(Self { config, plain, tls, quic, udp, acceptor, counters })
    }

    /// Joins the QUIC doors to those of the process that had their sockets before
    /// ([`Running::hand_over_quic`]): what is for its connections goes there. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// A link is none, or belongs to a socket that these doors do not have.
    pub fn join_quic(&mut self, links: Vec<OwnedFd>) -> io::Result<()> {
        links.into_iter().try_for_each(|link| self.quic.join(link, &self.config.limits))
    }

    /// The open sockets once more, to be handed to another process.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn sockets(&self) -> io::Result<Sockets> {
        let copy = |listener: &TcpListener| listener.as_fd().try_clone_to_owned().map(std::net::TcpListener::from);
        let copies = |list: &[TcpListener]| list.iter().map(copy).collect::<io::Result<Vec<_>>>();
        let quic = self.udp.iter().map(UdpSocket::try_clone).collect::<io::Result<Vec<_>>>()?;
        Ok(Sockets { plain: copies(&self.plain)?, tls: copies(&self.tls)?, quic })
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
                bodies: Bodies::new(&limits),
                limits,
                alt_svc: self.config.alt_svc.map(alt_svc),
                counters,
                networks,
                stop: stop.clone(),
            }),
        });
        let quic = self.quic.serve(&shared.exchange, &stop);
        for listener in self.plain {
            stop.tasks.spawn(accept(listener, Lane::Plain, Arc::clone(&shared)));
        }
        for listener in self.tls {
            stop.tasks.spawn(accept(listener, Lane::Tls, Arc::clone(&shared)));
        }
        Running::new(stop, quic)
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

fn acceptor(config: &DoorsConfig, certificates: &Arc<Certificates>) -> Result<TlsAcceptor, DoorsError> {
    let tickets = config.ticket_secret.clone().map_or_else(TicketSecret::random, Ok)?;
    let server = tls::tcp_server(certificates, config.client_ca.as_ref(), &tickets, config.key_exchange)?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn listen_all(
    addresses: &[SocketAddr],
    given: Vec<std::net::TcpListener>,
    limits: &Limits,
) -> Result<Vec<TcpListener>, DoorsError> {
    let failed = |address| move |reason| DoorsError::Bind { address, reason };
    let open = |address| listen(address).map_err(failed(address));
    let sockets = open_all(addresses, given, std::net::TcpListener::local_addr, open)?;
    let ready = |socket: std::net::TcpListener| {
        let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        prepare(socket, limits).map_err(failed(address))
    };
    sockets.into_iter().map(ready).collect()
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The same on every system: [::] is IPv6 only, and 0.0.0.0 stands beside it.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What every listening socket needs, whoever opened it.
fn prepare(socket: std::net::TcpListener, limits: &Limits) -> io::Result<TcpListener> {
    let socket = socket2::Socket::from(socket);
    // Accepted sockets inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(limits.unsent_bytes)?;
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
    socket.set_nonblocking(true)?;
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
            // With a place to be had, a drain that begins just now does not refuse who was accepted already.
            biased;
            permit = Arc::clone(&shared.connections).acquire_owned() => permit.expect("never closed"),
            () = shared.stop.drain.cancelled() => return,
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

/// What only a part of a connection's life needs, or only one protocol, is boxed: a task keeps room for its largest part
/// for as long as it lives.
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
        early_at_proxy: false,
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
    match (lane, &shared.acceptor) {
        (Lane::Tls, Some(acceptor)) => {
            let shaking = Box::pin(handshake(acceptor, Cork::new(stream), peer.client, &shared));
            let Some(stream) = shaking.await else {
                return;
            };
            peer.secure = true;
            peer.resumed = stream.get_ref().1.handshake_kind().map(|kind| kind == HandshakeKind::Resumed);
            peer.identity = tls::identity(stream.get_ref().1.peer_certificates());
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                peer.protocol = Protocol::H2;
                let together = Together::default();
                let stream = FirstFlight::new(stream, Some(together.clone()));
                Box::pin(h2::serve(stream, together, peer, Arc::clone(&shared.exchange))).await;
            } else {
                Box::pin(h1::serve(FirstFlight::new(stream, None), peer, Arc::clone(&shared.exchange))).await;
            }
        }
        _ => Box::pin(h1::serve(stream, peer, Arc::clone(&shared.exchange))).await,
    }
}

async fn handshake<S, H>(
    acceptor: &TlsAcceptor,
    stream: S,
    client: IpAddr,
    shared: &Shared<H>,
) -> Option<Box<TlsStream<S>>>
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
        Ok(Ok(stream)) => Some(Box::new(stream)),
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
