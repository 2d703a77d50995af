//! HTTP/3 (RFC 9114) on quinn and h3. Every connection has a socket of its own, as every listener has.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use h3::error::{Code, StreamError};
use http::{Method, Request, Uri, Version};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, EndpointConfig, IdleTimeout, Runtime, TokioRuntime, TransportConfig, VarInt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::Account;
use super::h1::HEAD_BYTES;
use super::patience::Patience;
use super::socket::Frugal;
use super::tickets::{Lane, Offer};
use super::tls::Counting;
use super::{Answer, ClientConfig, Device, Failure, Get, Head, Origin, Reader, Wish};
use crate::measured::{Opening, Protocol, Trouble};

/// Streams that a server may open: control, QPACK twice, and what it greases with.
const UNI_STREAMS: u32 = 8;
/// Silence after which we forget a connection; servers say less. Longer than a player's pause between two reads.
const IDLE: Duration = Duration::from_secs(120);
/// Of the socket; the system clamps it. A burst of 50 Mbit/s for 100 ms waits in it while the worker is busy.
const SOCKET_BYTES: usize = 1024 * 1024;

type Sender = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
type Stream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// What all connections have in common.
pub(super) struct Shared {
    endpoint: EndpointConfig,
    transport: Arc<TransportConfig>,
}

impl Shared {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
            .stream_receive_window(VarInt::from_u32(config.stream_window))
            .receive_window(VarInt::from_u32(config.connection_window))
            .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("two minutes are a QUIC integer")))
            .datagram_receive_buffer_size(None);
        Self { endpoint: EndpointConfig::default(), transport: Arc::new(transport) }
    }
}

pub(super) struct Connection {
    quic: quinn::Connection,
    http: Http,
    /// Ends with the connection; not before, since it owns the socket.
    endpoint: Endpoint,
    opened: Opened,
    config: ClientConfig,
}

/// Requests on a QUIC connection. Streams of rejected early data are lost, so there may be a second one.
struct Http {
    sender: Sender,
    driver: JoinHandle<()>,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How the connection began.
enum Opened {
    /// Early data is on its way, and the server has not answered.
    Trying(quinn::ZeroRttAccepted, Handshakes),
    Known(Opening),
}

/// Tells a full handshake from a resumed one: by whether a certificate was shown since.
struct Handshakes {
    verifier: Arc<Counting>,
    shown: u64,
}

impl Handshakes {
    fn watch(device: &Device) -> Self {
        Self { verifier: Arc::clone(&device.verifier), shown: device.verifier.shown() }
    }

    fn opening(&self) -> Opening {
        if self.verifier.shown() == self.shown { Opening::Resumed } else { Opening::Full }
    }
}

impl Connection {
    pub(super) async fn open(device: &Device, origin: &Origin, wish: Wish) -> Result<Self, Failure> {
        origin.server_name()?;
        let shared = &device.client.quic;
        let endpoint = endpoint(shared, device.from, origin)?;
        let offer = Offer::new(&device.tickets, Lane::new(Protocol::H3, origin), wish);
        let tls = device.client.tls.quic(&device.verifier, Arc::clone(&offer), wish);
        let crypto = QuicClientConfig::try_from(tls).expect("aws-lc-rs has AES-128-GCM, which QUIC begins with");
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&shared.transport)).token_store(offer);
        let handshakes = Handshakes::watch(device);
        let connecting = endpoint.connect_with(config, origin.address, &origin.name);
        let connecting = connecting.map_err(|error| Failure::connect(format!("{origin}: {error}")))?;
        let (quic, opened) = match connecting.into_0rtt() {
            Ok((quic, accepted)) => (quic, Opened::Trying(accepted, handshakes)),
            Err(connecting) => {
                let quic = connecting.await.map_err(|error| not_connected(origin, &error))?;
                (quic, Opened::Known(handshakes.opening()))
            }
        };
        let http = Http::begin(&quic).await?;
        Ok(Self { quic, http, endpoint, opened, config: device.client.config.clone() })
    }

    pub(super) fn opening(&self) -> Opening {
        match &self.opened {
            Opened::Trying(..) => Opening::ZeroRtt,
            Opened::Known(opening) => *opening,
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.quic.close_reason().is_none() && !self.http.driver.is_finished()
    }

    pub(super) fn rtt(&self) -> Duration {
        self.quic.rtt()
    }

    pub(super) async fn close(self) {
        let code = u32::try_from(Code::H3_NO_ERROR.value()).expect("0x100");
        self.quic.close(VarInt::from_u32(code), b"");
        self.endpoint.wait_idle().await;
    }

    pub(super) async fn get(
        &mut self,
        origin: &Origin,
        get: &Get<'_>,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        let limit = self.config.head_timeout;
        let asking = AssertUnwindSafe(timeout(limit, self.ask(origin, get))).catch_unwind().await;
        let asking = asking.unwrap_or_else(|_| {
            // h3 lets go of a stream whose head it refuses, and h3-quinn would panic if a read were under way then.
            self.quic.close(VarInt::from_u32(0), b"");
            Ok(Err(Failure::protocol("the answer's head is not one of HTTP/3, or too long")))
        });
        let (head, mut stream) = asking.unwrap_or_else(|_| match &self.opened {
            // Nothing at all came back, not even a handshake.
            Opened::Trying(..) => Err(Failure::connect(format!("{origin} gave no connection within {limit:?}"))),
            Opened::Known(_) => Err(Failure::no_head(limit)),
        })?;
        let mut account = Account::open(get, &head)?;
        reader.head(&head);
        let limit = self.config.body_timeout;
        let mut patience = Patience::new(limit);
        loop {
            let next = poll_fn(|cx| match stream.poll_recv_data(cx) {
                Poll::Pending => patience.poll(cx).map(|()| Err(Failure::no_piece(limit, account.come()))),
                Poll::Ready(Ok(next)) => Poll::Ready(Ok(next)),
                Poll::Ready(Err(error)) => {
                    Poll::Ready(Err(self.failed(&format!("after {} bytes of the body", account.come()), &error)))
                }
            });
            let next = next.await?;
            let at = Instant::now();
            let Some(mut piece) = next else {
                account.end()?;
                return Ok(Answer { head, body_bytes: account.come(), ended_at: at, left: false });
            };
            while piece.has_remaining() {
                let bytes = piece.chunk();
                let count = bytes.len();
                account.take(count)?;
                if reader.body(at, bytes).is_break() {
                    // Dropping the stream tells the server to stop. With the code 0: h3-quinn's stop_sending, which
                    // could name H3_REQUEST_CANCELLED, panics while a read is under way.
                    return Ok(Answer { head, body_bytes: account.come(), ended_at: at, left: true });
                }
                piece.advance(count);
            }
            if let Some(until) = reader.rests_until() {
                tokio::time::sleep_until(until.into()).await;
            }
            patience.renew();
        }
    }

    /// Asks, and if the server did not take it as early data, once more.
    async fn ask(&mut self, origin: &Origin, get: &Get<'_>) -> Result<(Head, Stream), Failure> {
        let asked = self.ask_once(origin, get).await;
        let Opened::Trying(accepted, handshakes) = &mut self.opened else {
            return asked;
        };
        // An answer to early data comes behind the end of the handshake, so this does not wait long.
        let is_accepted = accepted.await;
        let opening = if is_accepted { Opening::ZeroRtt } else { handshakes.opening() };
        if let Some(error) = self.quic.close_reason()
            && asked.is_err()
        {
            return Err(not_connected(origin, &error));
        }
        self.opened = Opened::Known(opening);
        if is_accepted {
            return asked;
        }
        self.http = Http::begin(&self.quic).await?;
        self.ask_once(origin, get).await
    }

    async fn ask_once(&mut self, origin: &Origin, get: &Get<'_>) -> Result<(Head, Stream), Failure> {
        let uri = Uri::builder().scheme("https").authority(origin.authority()).path_and_query(get.target);
        let uri = uri.build().map_err(|error| Failure::new(Trouble::Ourselves, format!("no URL: {error}")))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_3;
        *request.uri_mut() = uri;
        *request.headers_mut() = get.fields()?;
        let mut stream = self.http.sender.send_request(request).await.map_err(|error| self.failed("asking", &error))?;
        stream.finish().await.map_err(|error| self.failed("asking", &error))?;
        loop {
            let answer = stream.recv_response().await;
            let (head, ()) = answer.map_err(|error| self.failed("waiting for the answer", &error))?.into_parts();
            if !head.status.is_informational() {
                return Ok((Head::new(head.status, head.headers, Instant::now())?, stream));
            }
        }
    }

    fn failed(&self, doing: &str, error: &StreamError) -> Failure {
        let sentence = format!("{doing}: {error}");
        let ended_by_us = matches!(self.quic.close_reason(), None | Some(ConnectionError::LocallyClosed));
        match error {
            StreamError::StreamError { .. } | StreamError::HeaderTooBig { .. } => Failure::protocol(sentence),
            // We end a connection only because of what the server did.
            StreamError::ConnectionError { .. } if ended_by_us => Failure::protocol(sentence),
            _ => match self.quic.close_reason() {
                Some(ConnectionError::TimedOut) => Failure::new(Trouble::Timeout, sentence),
                _ => Failure::broken(sentence),
            },
        }
    }
}

impl Http {
    async fn begin(quic: &quinn::Connection) -> Result<Self, Failure> {
        let begun = h3::client::builder()
            .max_field_section_size(HEAD_BYTES as u64)
            .send_grease(false)
            .build(h3_quinn::Connection::new(quic.clone()))
            .await;
        let (mut driver, sender) = begun.map_err(|error| Failure::broken(format!("beginning HTTP/3: {error}")))?;
        let driver = tokio::spawn(async move {
            // Its error reaches the streams too, where somebody waits for it.
            driver.wait_idle().await;
        });
        Ok(Self { sender, driver })
    }
}

fn endpoint(shared: &Shared, from: Option<IpAddr>, origin: &Origin) -> Result<Endpoint, Failure> {
    let any = if origin.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let failed = |error| Failure::io(Trouble::Ourselves, "opening a socket", &error);
    let domain = socket2::Domain::for_address(origin.address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None).map_err(failed)?;
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    socket.set_nonblocking(true).map_err(failed)?;
    socket.bind(&std::net::SocketAddr::new(from.unwrap_or(any), 0).into()).map_err(failed)?;
    let runtime = Arc::new(TokioRuntime);
    let socket = Frugal::new(runtime.wrap_udp_socket(socket.into()).map_err(failed)?);
    Endpoint::new_with_abstract_socket(shared.endpoint.clone(), None, socket, runtime).map_err(failed)
}

/// Why there is no connection.
fn not_connected(origin: &Origin, error: &ConnectionError) -> Failure {
    /// CRYPTO_ERROR, whose last byte is a TLS alert (RFC 9001 4.8).
    const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;
    let code = match error {
        ConnectionError::TransportError(error) => Some(u64::from(error.code)),
        ConnectionError::ConnectionClosed(close) => Some(u64::from(close.error_code)),
        _ => None,
    };
    let trouble = match code {
        Some(code) if TLS_ALERTS.contains(&code) => Trouble::Tls,
        _ => Trouble::Connect,
    };
    Failure::new(trouble, format!("QUIC with {origin}: {error}"))
}
