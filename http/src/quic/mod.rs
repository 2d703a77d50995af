//! HTTP/3 over QUIC. Only this folder names quinn-proto, quinn-udp and h3.
//!
//! A datagram comes in through `socket.rs`, is brought to its connection by `endpoint.rs`, or to the process of its
//! connection (`former.rs`, `link.rs`) while two share the socket, and `connection.rs` does the rest: with the task in
//! `connection/driver.rs` it drives quinn's protocol code and sends, with `connection/waiters.rs` it wakes whoever waits
//! on a stream. `stream.rs` shows streams to h3, which reads heads and
//! writes them; bodies go past it, without a copy (`answer.rs`). `priority.rs` says whose answer goes first, `flight.rs`
//! how much of it leaves at once, `whereabouts.rs` where to, `floods.rs` what may come for nothing, and `early.rs` which
//! requests may be replays: a connection is served from its first packet on, and a resumed one (`session.rs`) may bring
//! requests along with its ClientHello.
//!
//! Each request lives in a task of its own from its first byte on, so that a peer which withholds a head stalls
//! nothing, and a panic ends one request only.

mod answer;
mod connection;
mod early;
mod endpoint;
mod flight;
mod floods;
mod former;
mod ids;
mod keys;
mod link;
mod priority;
mod session;
mod socket;
mod sources;
mod stream;
mod uni;
mod whereabouts;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::error::Code;
use http::Method;
use http::header::CONTENT_LENGTH;
use quinn_proto::{EndpointConfig, IdleTimeout, Incoming, ServerConfig, StreamId, TransportConfig, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::counters::Counters;
use crate::exchange::{Exchange, Handler, stamp};
use crate::limits::Limits;
use crate::networks::Guard;
use crate::patience::{Patience, Pauses};
use crate::request::{Peer, PeerIdentity, Protocol};
use crate::request_body::{self, Carried};
use crate::running::Stop;
use crate::tickets::TicketSecret;
use crate::tls;

use answer::Way;
use connection::Connection;
use endpoint::{Endpoint, Porter, Verdict};
use flight::FirstFlight;
use floods::Floods;
use former::Former;
use ids::{Generation, Strangers};
use keys::TokenKey;
use link::Link;
use priority::Priority;
use session::Sessions;
use socket::Socket;
use sources::Sources;
use stream::{Adapted, BidiStream, varint};

/// What clients may send ahead; requests carry no bodies here.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Control and the two QPACK streams, and a few that a peer makes up (RFC 9114 6.2.3).
const UNI_STREAMS: u32 = 8;
/// Time for a connection's last packets to leave.
const WINDING_UP: Duration = Duration::from_secs(1);
/// Handshakes that quinn has seen and we have not looked at, and the bytes they may bring.
const INCOMING: usize = 4_096;
const INCOMING_BYTES: u64 = 16 * 1024 * 1024;
/// Assumed until there is a sample. The usual third of a second makes a lost first flight wait for a second; with this,
/// paths of up to 300 ms still get no probe for nothing (RFC 9002 6.2.2).
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// How long requests that were under way when we began to leave are waited for: two round trips; and longer on a
/// connection that has brought none yet, since nobody opens one without having something to ask.
const GRACE_MIN: Duration = Duration::from_millis(50);
const GRACE_MAX: Duration = Duration::from_secs(1);
/// More than can be under way.
const REQUESTS_UNDER_WAY: usize = 1 << 20;
/// Time for the end of a request without body to arrive after its answer was acknowledged: a round trip or two.
const REQUEST_END: Duration = Duration::from_secs(1);

/// The QUIC doors of one set.
pub(crate) struct QuicDoors {
    doors: Vec<(Arc<Endpoint>, Sources)>,
}

/// What QUIC doors share with those before and after them, and with those of other nodes.
pub(crate) struct Lasting<'a> {
    /// Of the cluster, if it has one.
    pub(crate) secret: Option<&'a Arc<TicketSecret>>,
    /// What tells this node from the others that have the secret.
    pub(crate) node: Option<&'a str>,
}

impl QuicDoors {
    /// Opens a door on a UDP socket. Must run inside a tokio runtime.
    pub(crate) fn listen(
        &mut self,
        socket: std::net::UdpSocket,
        tls: &Arc<rustls::ServerConfig>,
        lasting: &Lasting<'_>,
        limits: &Limits,
        counters: &Arc<Counters>,
    ) -> io::Result<()> {
        let mut config = server_config(tls, limits)?;
        let mut endpoint = EndpointConfig::default();
        let socket = Socket::of(socket)?;
        let mut strangers = Strangers::Silence;
        if let Some(secret) = lasting.secret {
            config.token_key(Arc::new(TokenKey(Arc::clone(secret))));
            if let Some(node) = lasting.node {
                let place = format!("{node} {}", socket.address());
                endpoint.reset_key(Arc::new(secret.quic_reset_key(place.as_bytes())));
                strangers = Strangers::Reset;
            }
        }
        let generation = Generation::new(strangers);
        self.doors.push(Endpoint::of(socket, endpoint, config, generation, Arc::clone(counters)));
        Ok(())
    }

    pub(crate) fn none() -> Self {
        Self { doors: Vec::new() }
    }

    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.doors.iter().map(|(endpoint, _)| endpoint.socket.address()).collect()
    }

    /// Joins a door to the process that had its socket before. Must run inside a tokio runtime.
    pub(crate) fn join(&mut self, link: OwnedFd, limits: &Limits) -> io::Result<()> {
        let (link, notice) = Link::join(link)?;
        let door = self.doors.iter_mut().find(|(endpoint, _)| endpoint.socket.address() == notice.local);
        let (endpoint, sources) =
            door.ok_or_else(|| io::Error::other(format!("a link for {}, which is not ours", notice.local)))?;
        endpoint.generation.avoid(&notice.generations);
        sources.former = Some(Former::new(link, notice, std::time::Instant::now() + limits.handshake));
        Ok(())
    }

    pub(crate) fn serve<H: Handler>(self, exchange: &Arc<Exchange<H>>, stop: &Stop) -> QuicSockets {
        let limits = &exchange.limits;
        let shared = Arc::new(Shared {
            exchange: Arc::clone(exchange),
            stop: stop.clone(),
            connections: Arc::new(Semaphore::new(limits.quic_connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
        });
        let sockets = QuicSockets(self.doors.iter().map(|(endpoint, _)| Arc::clone(endpoint)).collect());
        for (endpoint, sources) in self.doors {
            stop.tasks.spawn(read(endpoint, sources, Arc::clone(&shared)));
        }
        sockets
    }
}

/// The sockets of QUIC doors that serve.
pub(crate) struct QuicSockets(Vec<Arc<Endpoint>>);

impl QuicSockets {
    /// From here on other processes read them: a link to each.
    pub(crate) async fn hand_over(&self) -> io::Result<Vec<OwnedFd>> {
        let mut links = Vec::with_capacity(self.0.len());
        for endpoint in &self.0 {
            links.push(endpoint.hand_over().await?);
        }
        Ok(links)
    }
}

struct Shared<H> {
    exchange: Arc<Exchange<H>>,
    stop: Stop,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// A UDP socket bound to this address.
pub(crate) fn socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    socket::open(address)
}

fn server_config(tls: &Arc<rustls::ServerConfig>, limits: &Limits) -> io::Result<ServerConfig> {
    let mut config = ServerConfig::with_crypto(Arc::new(Sessions::new(tls)?));
    config
        .transport_config(Arc::new(transport(limits)))
        .max_incoming(INCOMING)
        .incoming_buffer_size_total(INCOMING_BYTES)
        .migration(true);
    Ok(config)
}

fn transport(limits: &Limits) -> TransportConfig {
    let first_flight = FirstFlight { initial_window_bytes: limits.quic_initial_window_bytes, initial_rtt: INITIAL_RTT };
    let idle = IdleTimeout::try_from(limits.quic_idle).expect("an idle limit is far below 2^62 ms");
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(limits.quic_send_window_bytes)
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(None)
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(first_flight));
    transport
}

/// Reads one socket. Once the drain has begun new connections are refused, until all running ones have ended.
async fn read<H: Handler>(endpoint: Arc<Endpoint>, mut sources: Sources, shared: Arc<Shared<H>>) {
    let door = Door { local_port: endpoint.socket.address().port(), connections: TaskTracker::new(), shared };
    tokio::select! {
        () = endpoint.read(&mut sources, &door) => {}
        () = door.drained() => {}
    }
    endpoint.wind_up(&mut sources, &door, WINDING_UP).await;
}

/// Who comes in at one socket.
struct Door<H> {
    local_port: u16,
    connections: TaskTracker,
    shared: Arc<Shared<H>>,
}

/// A connection's places: among all, among the handshakes, and among those of its network.
struct Pass {
    connection: OwnedSemaphorePermit,
    handshake: OwnedSemaphorePermit,
    place: Guard,
}

impl<H> Door<H> {
    async fn drained(&self) {
        self.shared.stop.drain.cancelled().await;
        self.connections.close();
        self.connections.wait().await;
    }
}

impl<H: Handler> Porter for Door<H> {
    type Pass = Pass;

    fn judge(&self, incoming: &Incoming) -> Verdict<Pass> {
        let shared = &self.shared;
        // Who has been sent away with a token has begun before.
        if shared.stop.drain.is_cancelled() && incoming.may_retry() {
            return Verdict::Refuse;
        }
        let (Ok(connection), Ok(handshake)) =
            (Arc::clone(&shared.connections).try_acquire_owned(), Arc::clone(&shared.handshakes).try_acquire_owned())
        else {
            shared.exchange.counters.quic_refused.bump();
            tracing::debug!("too many QUIC connections or handshakes");
            return Verdict::Refuse;
        };
        // With half of the places taken, senders first prove that their address is theirs (RFC 9000 8.1.2).
        // So they do when their network is busy: nobody shall fill another's share in its name.
        let client = incoming.remote_address().ip();
        let is_crowded = shared.handshakes.available_permits() < shared.exchange.limits.handshakes / 2;
        if (is_crowded || shared.exchange.networks.is_busy(client)) && !incoming.remote_address_validated() {
            shared.exchange.counters.quic_retried.bump();
            return Verdict::Retry;
        }
        match shared.exchange.networks.admit(client) {
            Ok(place) => Verdict::Accept(Pass { connection, handshake, place }),
            Err(_) => Verdict::Refuse,
        }
    }

    fn enter(&self, quic: Connection, pass: Pass) {
        let (shared, local_port) = (Arc::clone(&self.shared), self.local_port);
        let tasks = shared.stop.tasks.clone();
        tasks.spawn(self.connections.track_future(async move {
            let open = Open(quic.clone());
            let (exchange, stop) = (Arc::clone(&shared.exchange), shared.stop.clone());
            let shaking = async {
                match timeout(exchange.limits.handshake, quic.settled()).await {
                    Ok(true) => {}
                    Ok(false) => {
                        exchange.counters.handshake_failed.bump();
                        tracing::debug!("QUIC handshake failed");
                    }
                    Err(_) => {
                        exchange.counters.handshake_late.bump();
                        tracing::debug!("QUIC handshake took too long");
                        quic.close(varint(Code::H3_NO_ERROR.value()), b"");
                    }
                }
                drop(pass.handshake);
            };
            tokio::select! {
                () = stop.kill.cancelled() => {}
                ((), ()) = async { tokio::join!(shaking, serve(quic.clone(), local_port, shared)) } => {}
            }
            drop(open);
            drop((pass.connection, pass.place));
        }));
    }
}

/// Closes its connection when dropped, if nobody has: after a panic, or when everything is broken off.
struct Open(Connection);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close(varint(Code::H3_INTERNAL_ERROR.value()), b"closing");
    }
}

/// Serves one connection until it ends, or until the drain has begun and its last request is answered.
async fn serve<H: Handler>(quic: Connection, local_port: u16, shared: Arc<Shared<H>>) {
    let who = Arc::new(Who { quic: quic.clone(), local_port, identity: OnceLock::new() });
    let mut builder = h3::server::builder();
    builder
        .max_field_section_size(u64::from(shared.exchange.limits.head_bytes))
        // Some clients wait for ever behind the frame that greases a stream's end.
        .send_grease(false);
    let exchange = &shared.exchange;
    let (limits, counters) = (&exchange.limits, &exchange.counters);
    quic.allow_requests(limits.streams);
    let floods = Floods::new(quic.clone(), limits, counters);
    let pauses = Pauses::new(limits, counters);
    let adapted = Adapted::new(quic.clone(), limits.h3_request_bytes, Arc::clone(counters), Arc::clone(&floods));
    let mut connection = match timeout(limits.handshake, builder.build::<_, Bytes>(adapted)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, protocol = "h3", "connection ended early"),
        Err(_) => {
            // They need some 20 bytes of window (RFC 9114 6.2 asks for 1,024). A late handshake is counted as that.
            if quic.early().is_confirmed() {
                counters.stream_stalled.bump();
            }
            tracing::debug!(protocol = "h3", "the peer does not let our settings go");
            return quic.close(varint(Code::H3_EXCESSIVE_LOAD.value()), b"");
        }
    };
    let requests = TaskTracker::new();
    let mut was_asked = false;
    let mut leaving = Leaving::No;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = shared.stop.drain.cancelled(), if matches!(leaving, Leaving::No) => {
                // What is under way to us is still answered. h3 can say so only behind a first request.
                if was_asked && connection.shutdown(REQUESTS_UNDER_WAY).await.is_err() {
                    break;
                }
                let grace = if was_asked { (quic.rtt() * 2).clamp(GRACE_MIN, GRACE_MAX) } else { GRACE_MAX };
                let quic = quic.clone();
                leaving = Leaving::Grace(Box::pin(async move {
                    // Nobody completes a handshake to be told to go.
                    quic.settled().await;
                    sleep(grace).await;
                }));
                continue;
            }
            () = leaving.grace() => {
                leaving = Leaving::Said;
                requests.close();
                // GOAWAY names the first request that is not answered: the one after the last that came.
                if connection.shutdown(1).await.is_err() {
                    break;
                }
                continue;
            }
            () = requests.wait(), if matches!(leaving, Leaving::Said) => break,
        };
        match accepted {
            Ok(Some(resolver)) => {
                was_asked = true;
                let (exchange, alive, who) = (Arc::clone(&shared.exchange), quic.clone(), Arc::clone(&who));
                let (floods, patience) = (Arc::clone(&floods), pauses.patience());
                shared.stop.tasks.spawn(requests.track_future(async move {
                    tokio::select! {
                        // A last acknowledgement and the close behind it come together: the answer hears of it first.
                        biased;
                        () = request(resolver, &who, exchange, &floods, patience) => {}
                        () = alive.closed() => {}
                    }
                }));
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, protocol = "h3", "connection ended");
                break;
            }
        }
    }
    quic.close(varint(Code::H3_NO_ERROR.value()), b"");
}

/// How far a connection is with its end (RFC 9114 5.2).
enum Leaving {
    No,
    /// Until requests have arrived that were sent before the client knew.
    Grace(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The last request was named.
    Said,
}

impl Leaving {
    /// The end of the grace, if it is that.
    async fn grace(&mut self) {
        match self {
            Self::Grace(over) => over.await,
            Self::No | Self::Said => std::future::pending().await,
        }
    }
}

/// Who asks on one connection.
struct Who {
    quic: Connection,
    local_port: u16,
    /// Known for good when the handshake is complete.
    identity: OnceLock<Option<PeerIdentity>>,
}

impl Who {
    /// Asked for each request: a client may have moved (RFC 9000 9), and the handshake ended.
    fn asks(&self, stream: u64) -> Peer {
        let socket = self.quic.address();
        let local_ip = self.quic.local_ip().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        let early_data = self.quic.early().covers(stream);
        let identity = match early_data {
            // The certificate of the session that is resumed.
            true => self.certified(),
            false => self.identity.get_or_init(|| self.certified()).clone(),
        };
        Peer {
            client: socket.ip().to_canonical(),
            socket,
            local: SocketAddr::new(local_ip, self.local_port),
            protocol: Protocol::H3,
            secure: true,
            early_data,
            early_at_proxy: false,
            resumed: self.quic.resumed(),
            identity,
        }
    }

    fn certified(&self) -> Option<PeerIdentity> {
        tls::identity(Some(&self.quic.certificates()?))
    }
}

type Resolver = h3::server::RequestResolver<Adapted, Bytes>;
type Stream = h3::server::RequestStream<BidiStream<Bytes>, Bytes>;

/// One request, from the first byte of its head to the acknowledgement of the last byte of its answer. Dropping this
/// resets the stream.
async fn request<H: Handler>(
    resolver: Resolver,
    who: &Who,
    exchange: Arc<Exchange<H>>,
    floods: &Floods,
    patience: Patience,
) {
    let limits = &exchange.limits;
    let (request, mut stream) = match timeout(limits.head, resolver.resolve_request()).await {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(error)) => {
            floods.given_up();
            return tracing::debug!(%error, protocol = "h3", "request not understood");
        }
        Err(_) => {
            exchange.counters.head_late.bump();
            return tracing::debug!(protocol = "h3", "the request head took too long");
        }
    };
    floods.asked();
    let carries_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    let Ok(id) = VarInt::from_u64(stream.id().into_inner()).map(StreamId::from) else { return };
    if !body_is_as_declared(&request, &mut stream, limits).await {
        tracing::debug!(protocol = "h3", "the body is not as long as its head says");
        stream.stop_sending(Code::H3_MESSAGE_ERROR);
        return stream.stop_stream(Code::H3_MESSAGE_ERROR);
    }
    let quic = &who.quic;
    quic.prioritise(id, Priority::of(request.headers()));
    let peer = who.asks(id.into());
    let mut way = Way { quic, id, floods, limits, patience, acked_bytes: quic.acked_bytes() };
    let answering = async {
        // Boxed, since it is large and over before the body begins.
        let mut response = Box::pin(exchange.answer(request.into_parts().0, peer, &mut stream)).await;
        stamp(response.headers_mut());
        way.send(&mut stream, response).await
    };
    let sent = tokio::select! {
        biased;
        sent = answering => sent,
        () = quic.stopped(id) => Err("the client gave it up".into()),
    };
    if !carries_body && sent.is_ok() {
        // The end of a request may be still under way; stopping it would look like an error to some clients.
        let _ = timeout(REQUEST_END, async { while let Ok(Some(_)) = stream.recv_data().await {} }).await;
    }
    // Whatever else comes is not needed for the answer (RFC 9114 4.1).
    stream.stop_sending(Code::H3_NO_ERROR);
    if let Err(reason) = sent {
        tracing::debug!(%reason, protocol = "h3", "answer broken off");
        if quic.is_stopped(id) {
            floods.given_up();
        }
        stream.stop_stream(Code::H3_INTERNAL_ERROR);
    }
}

impl Carried for Stream {
    async fn piece(&mut self) -> Option<Result<Bytes, request_body::Broken>> {
        match self.recv_data().await {
            Ok(piece) => piece.map(|mut piece| Ok(piece.copy_to_bytes(piece.remaining()))),
            Err(_) => Some(Err(request_body::Broken)),
        }
    }
}

/// A GET that declares a body is read to its end before it is answered: if it brings another number of bytes, it is
/// malformed (RFC 9114 4.1.2), and if it takes too long as well. Of other methods the body is nobody's business.
async fn body_is_as_declared(request: &http::Request<()>, stream: &mut Stream, limits: &Limits) -> bool {
    let Some(declared) = request.headers().get(CONTENT_LENGTH) else { return true };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return true;
    }
    let carried = timeout(limits.head, async {
        let mut carried = 0;
        while let Some(piece) = stream.recv_data().await? {
            carried += piece.remaining();
        }
        Ok::<_, h3::error::StreamError>(carried)
    });
    let Ok(Ok(carried)) = carried.await else { return false };
    declared.to_str().ok().and_then(|text| text.parse().ok()) == Some(carried)
}

type Broken = Box<dyn std::error::Error + Send + Sync>;
