//! HTTP/3 over QUIC. Only this folder names quinn and h3; `streams.rs` joins the two.
//!
//! Each request lives in a task of its own from its first byte on, so that a peer which withholds a head stalls
//! nothing, and a panic ends one request only.
//!
//! A connection is served from its first packet on: a resumed one may bring requests along with its ClientHello, and
//! gets its answers before the handshake is complete. `early.rs` knows which requests may therefore be replays, and
//! `flight.rs` how much of an answer leaves at once.

mod early;
mod flight;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use h3::error::Code;
use http::Method;
use http_body_util::BodyExt;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::exchange::{Exchange, Handler, Response, stamp};
use crate::limits::Limits;
use crate::receipt::{Delivered, End, Receipt};
use crate::request::{Peer, PeerIdentity, Protocol};
use crate::running::Stop;
use crate::tls;

use early::Early;
use flight::FirstFlight;
use streams::{BidiStream, Connection};

/// Kernel buffers of a UDP socket, where the system's limits allow it: a burst of all connections fits.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// What clients may send ahead; requests carry no bodies here.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Control and the two QPACK streams, and a few that a peer makes up (RFC 9114 6.2.3).
const UNI_STREAMS: u32 = 8;
/// Handshakes that quinn has seen and we have not looked at, and the bytes they may bring.
const INCOMING: usize = 4_096;
const INCOMING_BYTES: u64 = 16 * 1024 * 1024;
/// Largest piece handed to h3 at once: what a peer must take before the write deadline.
const PIECE_BYTES: usize = 64 * 1024;
/// Assumed until there is a sample. The usual third of a second makes a lost first flight wait for a second; with this,
/// paths of up to 300 ms still get no probe for nothing (RFC 9002 6.2.2).
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Time for the end of a request without body to arrive after its answer was acknowledged: a round trip or two.
const REQUEST_END: Duration = Duration::from_secs(1);

/// The QUIC doors of one set.
pub(crate) struct QuicDoors {
    endpoints: Vec<Endpoint>,
}

impl QuicDoors {
    /// Opens a UDP socket. Must run inside a tokio runtime.
    pub(crate) fn listen(
        &mut self,
        address: SocketAddr,
        tls: &Arc<rustls::ServerConfig>,
        limits: &Limits,
    ) -> io::Result<()> {
        let config = server_config(tls, limits)?;
        let socket = socket(address)?;
        self.endpoints.push(Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))?);
        Ok(())
    }

    pub(crate) fn none() -> Self {
        Self { endpoints: Vec::new() }
    }

    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        let addr = |endpoint: &Endpoint| endpoint.local_addr().expect("a bound socket has an address");
        self.endpoints.iter().map(addr).collect()
    }

    pub(crate) fn serve<H: Handler>(self, exchange: &Arc<Exchange<H>>, stop: &Stop) {
        let limits = &exchange.limits;
        let shared = Arc::new(Shared {
            exchange: Arc::clone(exchange),
            stop: stop.clone(),
            connections: Arc::new(Semaphore::new(limits.quic_connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
        });
        for endpoint in self.endpoints {
            stop.tasks.spawn(accept(endpoint, Arc::clone(&shared)));
        }
    }
}

struct Shared<H> {
    exchange: Arc<Exchange<H>>,
    stop: Stop,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

fn socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system clamps these to its own limits; less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
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

/// Accepts connections, and once the drain has begun refuses them, until all running ones have ended.
async fn accept<H: Handler>(endpoint: Endpoint, shared: Arc<Shared<H>>) {
    let connections = TaskTracker::new();
    let local_port = endpoint.local_addr().map_or(0, |addr| addr.port());
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = drained(&shared.stop, &connections) => None,
        };
        let Some(incoming) = incoming else { break };
        if shared.stop.drain.is_cancelled() {
            incoming.refuse();
            continue;
        }
        admit(incoming, local_port, &connections, &shared);
    }
    // The last packets (CONNECTION_CLOSE) leave before the socket closes.
    endpoint.close(VarInt::from_u32(0), b"");
    let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
}

async fn drained(stop: &Stop, connections: &TaskTracker) {
    stop.drain.cancelled().await;
    connections.close();
    connections.wait().await;
}

/// Starts a handshake, or refuses it: one packet each.
fn admit<H: Handler>(incoming: Incoming, local_port: u16, connections: &TaskTracker, shared: &Arc<Shared<H>>) {
    let limits = &shared.exchange.limits;
    let (Ok(connection), Ok(handshake)) =
        (Arc::clone(&shared.connections).try_acquire_owned(), Arc::clone(&shared.handshakes).try_acquire_owned())
    else {
        shared.exchange.counters.quic_refused.bump();
        tracing::debug!("too many QUIC connections or handshakes");
        return incoming.refuse();
    };
    // With half of the places taken, senders first prove that their address is theirs (RFC 9000 8.1.2).
    // So they do when their network is busy: nobody shall fill another's share in its name.
    let client = incoming.remote_address().ip();
    let is_crowded = shared.handshakes.available_permits() < limits.handshakes / 2;
    if (is_crowded || shared.exchange.networks.is_busy(client)) && incoming.may_retry() {
        shared.exchange.counters.quic_retried.bump();
        let _ = incoming.retry();
        return;
    }
    let Ok(place) = shared.exchange.networks.admit(client) else { return incoming.refuse() };
    let shared = Arc::clone(shared);
    let tasks = shared.stop.tasks.clone();
    tasks.spawn(connections.track_future(async move {
        // Always given to a server: what we send early only who holds the keys can read.
        let Ok(Ok((quic, complete))) = incoming.accept().map(quinn::Connecting::into_0rtt) else {
            shared.exchange.counters.handshake_failed.bump();
            return tracing::debug!("QUIC handshake failed");
        };
        let early = Arc::new(Early::default());
        let stop = shared.stop.clone();
        let shaking = {
            let (early, quic, exchange) = (Arc::clone(&early), quic.clone(), Arc::clone(&shared.exchange));
            async move {
                let complete = timeout(exchange.limits.handshake, complete).await;
                drop(handshake);
                match complete {
                    Ok(_) if quic.close_reason().is_none() => early.confirm(),
                    Ok(_) => {
                        exchange.counters.handshake_failed.bump();
                        tracing::debug!("QUIC handshake failed");
                    }
                    Err(_) => {
                        exchange.counters.handshake_late.bump();
                        tracing::debug!("QUIC handshake took too long");
                        quic.close(code(Code::H3_NO_ERROR), b"");
                    }
                }
            }
        };
        tokio::select! {
            () = stop.kill.cancelled() => quic.close(code(Code::H3_INTERNAL_ERROR), b"closing"),
            ((), ()) = async { tokio::join!(shaking, serve(quic.clone(), local_port, shared, early)) } => {}
        }
        drop((connection, place));
    }));
}

fn code(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).expect("HTTP/3 error codes are small")
}

/// Serves one connection until it ends, or until the drain has begun and its last request is answered.
async fn serve<H: Handler>(quic: quinn::Connection, local_port: u16, shared: Arc<Shared<H>>, early: Arc<Early>) {
    let who = Arc::new(Who { quic: quic.clone(), local_port, early: Arc::clone(&early), identity: OnceLock::new() });
    let mut builder = h3::server::builder();
    builder
        .max_field_section_size(u64::from(shared.exchange.limits.head_bytes))
        // Some clients wait for ever behind the frame that greases a stream's end.
        .send_grease(false);
    let adapted = Connection::new(quic.clone(), shared.exchange.limits.h3_request_bytes, early);
    let mut connection = match builder.build::<_, Bytes>(adapted).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, protocol = "h3", "connection ended early"),
    };
    let requests = TaskTracker::new();
    let mut draining = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = shared.stop.drain.cancelled(), if !draining => {
                draining = true;
                requests.close();
                // GOAWAY names the first request that is not answered: the one after the last that came.
                if connection.shutdown(1).await.is_err() {
                    break;
                }
                continue;
            }
            () = requests.wait(), if draining => break,
        };
        match accepted {
            Ok(Some(resolver)) => {
                let (exchange, alive, who) = (Arc::clone(&shared.exchange), quic.clone(), Arc::clone(&who));
                shared.stop.tasks.spawn(requests.track_future(async move {
                    tokio::select! {
                        _ = alive.closed() => {}
                        () = request(resolver, &who, exchange, alive.clone()) => {}
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
    quic.close(code(Code::H3_NO_ERROR), b"");
}

/// Who asks on one connection.
struct Who {
    quic: quinn::Connection,
    local_port: u16,
    early: Arc<Early>,
    /// Known for good when the handshake is complete.
    identity: OnceLock<Option<PeerIdentity>>,
}

impl Who {
    /// Asked for each request: a client may have moved (RFC 9000 9), and the handshake ended.
    fn asks(&self, stream: u64) -> Peer {
        let socket = self.quic.remote_address();
        let local_ip = self.quic.local_ip().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        let early_data = self.early.covers(stream);
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
            resumed: self.early.resumed(),
            identity,
        }
    }

    fn certified(&self) -> Option<PeerIdentity> {
        let chain = self.quic.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        tls::identity(Some(&chain))
    }
}

type Resolver = h3::server::RequestResolver<Connection, Bytes>;
type Stream = h3::server::RequestStream<BidiStream<Bytes>, Bytes>;

/// One request, from the first byte of its head to the acknowledgement of the last byte of its answer. Dropping this
/// resets the stream.
async fn request<H: Handler>(resolver: Resolver, who: &Who, exchange: Arc<Exchange<H>>, quic: quinn::Connection) {
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
    let peer = who.asks(stream.id().into_inner());
    let mut response = exchange.answer(request.into_parts().0, peer).await;
    stamp(response.headers_mut());
    let sent = send(&mut stream, response, &quic, limits).await;
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

type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn send(
    stream: &mut Stream,
    response: Response,
    quic: &quinn::Connection,
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
            timeout(write_stall, stream.send_data(piece)).await??;
            handed.took(bytes, window_bytes);
        }
    }
    timeout(write_stall, stream.finish()).await??;
    handed.is_acknowledged = true;
    Ok(())
}

/// What quinn may hold unacknowledged of a connection: twice what may be in flight, so that there is always something
/// to send, and within the limit. Not more, because what a listener who leaves has got is only known to within this.
fn send_window(quic: &quinn::Connection, limits: &Limits) -> u64 {
    let least = 2 * limits.quic_initial_window_bytes;
    (2 * quic.stats().path.cwnd).clamp(least.min(limits.quic_send_window_bytes), limits.quic_send_window_bytes)
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
