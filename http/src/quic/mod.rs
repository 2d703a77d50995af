//! HTTP/3 over QUIC. Only this folder names quinn-proto, quinn-udp and h3.
//!
//! A datagram comes in through `socket.rs`, is brought to its connection by `endpoint.rs`, or to the process of its
//! connection (`former.rs`, `link.rs`) while two share the socket, and `connection.rs` does the rest: it drives quinn's protocol code, wakes whoever waits on a stream, and sends. `stream.rs` shows streams to h3,
//! which reads heads and writes them; bodies go past it, without a copy. `priority.rs` says whose answer goes first,
//! `flight.rs` how much of it leaves at once, and `early.rs` which requests may be replays: a connection is served from
//! its first packet on, and a resumed one may bring requests along with its ClientHello.
//!
//! Each request lives in a task of its own from its first byte on, so that a peer which withholds a head stalls
//! nothing, and a panic ends one request only.

mod connection;
mod early;
mod endpoint;
mod flight;
mod former;
mod ids;
mod keys;
mod link;
mod priority;
mod socket;
mod sources;
mod stream;
mod uni;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h3::error::Code;
use http::Method;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{EndpointConfig, IdleTimeout, Incoming, ServerConfig, StreamId, TransportConfig, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::counters::Counters;
use crate::exchange::{Exchange, Handler, Response, stamp};
use crate::limits::Limits;
use crate::networks::Guard;
use crate::receipt::{Delivered, End, Receipt};
use crate::request::{Peer, PeerIdentity, Protocol};
use crate::running::Stop;
use crate::tickets::TicketSecret;
use crate::tls;

use connection::Connection;
use endpoint::{Endpoint, Porter, Verdict};
use flight::FirstFlight;
use former::Former;
use ids::{Generation, Strangers};
use keys::TokenKey;
use link::Link;
use priority::Priority;
use socket::Socket;
use sources::Sources;
use stream::{Adapted, BidiStream, varint, write_all};

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
/// Largest piece written at once: what a peer must take before the write deadline.
const PIECE_BYTES: usize = 64 * 1024;
/// Assumed until there is a sample. The usual third of a second makes a lost first flight wait for a second; with this,
/// paths of up to 300 ms still get no probe for nothing (RFC 9002 6.2.2).
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Time for the end of a request without body to arrive after its answer was acknowledged: a round trip or two.
const REQUEST_END: Duration = Duration::from_secs(1);

/// Time for a request that is on its way when we leave: behind its handshake, or towards our GOAWAY. The round trip of
/// a mobile network.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

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
    let crypto = QuicServerConfig::try_from(Arc::clone(tls)).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
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
    let adapted = Adapted::new(quic.clone(), exchange.limits.h3_request_bytes, Arc::clone(&exchange.counters));
    let mut connection = match builder.build::<_, Bytes>(adapted).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, protocol = "h3", "connection ended early"),
    };
    let requests = TaskTracker::new();
    let mut draining = false;
    let has_asked = CancellationToken::new();
    let mut may_end = Instant::now();
    let mut leaving = pin!(time_to_leave(&quic, &shared.stop, &has_asked));
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = &mut leaving, if !draining => {
                draining = true;
                may_end = Instant::now() + ON_ITS_WAY;
                requests.close();
                // GOAWAY names the first request that is not answered: the one after the last that came.
                if connection.shutdown(1).await.is_err() {
                    break;
                }
                continue;
            }
            () = async { sleep_until(may_end).await; requests.wait().await }, if draining => break,
        };
        match accepted {
            Ok(Some(resolver)) => {
                has_asked.cancel();
                let (exchange, alive, who) = (Arc::clone(&shared.exchange), quic.clone(), Arc::clone(&who));
                shared.stop.tasks.spawn(requests.track_future(async move {
                    tokio::select! {
                        // A last acknowledgement and the close behind it come together: the answer hears of it first.
                        biased;
                        () = request(resolver, &who, exchange) => {}
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

/// Ready when the drain has begun, and who has just come in has had the time to ask: nobody completes a handshake to be
/// told to go.
async fn time_to_leave(quic: &Connection, stop: &Stop, has_asked: &CancellationToken) {
    stop.drain.cancelled().await;
    tokio::select! {
        () = has_asked.cancelled() => {}
        () = async { quic.settled().await; sleep(ON_ITS_WAY).await } => {}
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
            resumed: self.quic.early().resumed(),
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
async fn request<H: Handler>(resolver: Resolver, who: &Who, exchange: Arc<Exchange<H>>) {
    let limits = &exchange.limits;
    let (request, mut stream) = match timeout(limits.head, resolver.resolve_request()).await {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(error)) => return tracing::debug!(%error, protocol = "h3", "request not understood"),
        Err(_) => {
            exchange.counters.head_late.bump();
            return tracing::debug!(protocol = "h3", "the request head took too long");
        }
    };
    let carries_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    let Ok(id) = VarInt::from_u64(stream.id().into_inner()).map(StreamId::from) else { return };
    if !body_is_as_declared(&request, &mut stream, limits).await {
        tracing::debug!(protocol = "h3", "the body is not as long as its head says");
        stream.stop_sending(Code::H3_MESSAGE_ERROR);
        return stream.stop_stream(Code::H3_MESSAGE_ERROR);
    }
    who.quic.prioritise(id, Priority::of(request.headers()));
    let peer = who.asks(id.into());
    let mut response = exchange.answer(request.into_parts().0, peer).await;
    stamp(response.headers_mut());
    let sent = send(&mut stream, id, response, &who.quic, limits).await;
    if !carries_body && sent.is_ok() {
        // The end of a request may be still under way; stopping it would look like an error to some clients.
        let _ = timeout(REQUEST_END, async { while let Ok(Some(_)) = stream.recv_data().await {} }).await;
    }
    // Whatever else comes is not needed for the answer (RFC 9114 4.1).
    stream.stop_sending(Code::H3_NO_ERROR);
    if let Err(reason) = sent {
        tracing::debug!(%reason, protocol = "h3", "answer broken off");
        stream.stop_stream(Code::H3_INTERNAL_ERROR);
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

async fn send(
    stream: &mut Stream,
    id: StreamId,
    response: Response,
    quic: &Connection,
    limits: &Limits,
) -> Result<(), Broken> {
    let write_stall = limits.write_stall;
    let (head, body) = response.into_parts();
    let mut handed = Handed::new(body);
    timeout(write_stall, stream.send_response(http::Response::from_parts(head, ()))).await??;
    while let Some(frame) = handed.body.frame().await {
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE_BYTES));
            let bytes = piece.len() as u64;
            let window_bytes = send_window(quic, limits);
            quic.set_send_window(window_bytes);
            timeout(write_stall, write_all(quic, id, [data_frame(bytes), piece])).await??;
            handed.took(bytes, window_bytes);
        }
    }
    timeout(write_stall, stream.finish()).await??;
    handed.is_acknowledged = true;
    Ok(())
}

/// The head of a DATA frame (RFC 9114 7.2.1) of so many bytes.
fn data_frame(bytes: u64) -> Bytes {
    let mut head = BytesMut::with_capacity(9);
    head.put_u8(0);
    // Four bytes say up to 2^30 (RFC 9000 16), and a piece is less.
    head.put_u32(0x8000_0000 | u32::try_from(bytes).expect("a piece is 64 KiB at most"));
    head.freeze()
}

/// What quinn may hold unacknowledged of a connection: twice what may be in flight, so that there is always something
/// to send, and within the limit. Not more, because what a listener who leaves has got is only known to within this.
fn send_window(quic: &Connection, limits: &Limits) -> u64 {
    let least = 2 * limits.quic_initial_window_bytes;
    (2 * quic.congestion_window()).clamp(least.min(limits.quic_send_window_bytes), limits.quic_send_window_bytes)
}

/// A body on its way, for its receipt.
///
/// Once the stream is finished and quinn says that all of it was acknowledged, every byte arrived. Before that quinn
/// tells no offset, but takes a write only while less than the send window is unacknowledged on the connection: when
/// it has taken a piece, all but a window of this stream's bytes were acknowledged. That is the lower bound here. It
/// counts acknowledged bytes, of which in a moment of loss some may lie behind a gap.
struct Handed {
    body: Body,
    receipt: Option<Receipt>,
    written: u64,
    acknowledged: u64,
    is_acknowledged: bool,
}

impl Handed {
    fn new(mut body: Body) -> Self {
        let receipt = body.take_receipt();
        Self { body, receipt, written: 0, acknowledged: 0, is_acknowledged: false }
    }

    fn took(&mut self, bytes: u64, window_bytes: u64) {
        self.written += bytes;
        self.acknowledged = self.acknowledged.max(self.written.saturating_sub(window_bytes));
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let Some(receipt) = self.receipt.take() else { return };
        receipt.settle(match (self.is_acknowledged, self.body.end()) {
            (true, _) => Delivered { bytes: self.written, end: End::Sent },
            (false, End::Broken) => Delivered { bytes: self.acknowledged, end: End::Broken },
            (false, _) => Delivered { bytes: self.acknowledged, end: End::Left },
        });
    }
}
