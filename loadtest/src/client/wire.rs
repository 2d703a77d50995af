//! Bytes over TCP: plain, inside TLS, or inside TLS whose first bytes are early data.
//!
//! Early data has to be known before the handshake begins, since it travels right behind the first message. So a
//! wire that may send some holds its handshake back and collects what is written; the first flush starts the
//! handshake with it. What the server did not take as early data is written again, and the layer above never knows.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{Connect, TlsConnector};

use super::tickets::{Lane, Offer};
use super::{Device, Failure, Origin, Wish};
use crate::measured::{Opening, Protocol, Trouble};

/// Most bytes of early data that are collected; servers allow 16 KiB, a GET has a few hundred.
const EARLY_BYTES: usize = 16 * 1024;

/// Bytes that one connection reads before all others have their turn: decrypting more would make timers late.
const TURN_BYTES: usize = 32 * 1024;

/// A connection's bytes.
pub(super) struct Wire {
    state: State,
    /// What was read since somebody else had a turn.
    turn_bytes: usize,
    opened: Opened,
}

enum State {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Early(Box<Early>),
    /// The handshake failed, or its task was dropped in the middle.
    Dead,
}

/// TLS that has not begun, or is in its handshake.
struct Early {
    tcp: Option<TcpStream>,
    connector: TlsConnector,
    name: ServerName<'static>,
    alpn: &'static [u8],
    /// All that was written so far.
    written: Vec<u8>,
    /// How much of it is sent: as early data first, behind the handshake then.
    sent: usize,
    connect: Option<Connect<TcpStream>>,
}

/// How a connection began, once it has: shared with whoever reports it.
#[derive(Clone)]
pub(super) struct Opened(Arc<AtomicU8>);

impl Opened {
    fn new(opening: Opening) -> Self {
        let opened = Self(Arc::default());
        opened.set(opening);
        opened
    }

    fn set(&self, opening: Opening) {
        self.0.store(opening as u8, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Opening {
        let all = [Opening::Full, Opening::Resumed, Opening::ZeroRtt];
        let is = |opening: &Opening| *opening as u8 == self.0.load(Ordering::Relaxed);
        all.into_iter().find(is).unwrap_or(Opening::Full)
    }
}

impl Wire {
    /// Connects, and shakes hands unless the first bytes are to be early data.
    pub(super) async fn open(
        device: &Device,
        origin: &Origin,
        protocol: Protocol,
        wish: Wish,
    ) -> Result<Self, Failure> {
        let tcp = connect(device, origin).await?;
        if !origin.tls {
            return Ok(Self { state: State::Plain(tcp), turn_bytes: 0, opened: Opened::new(Opening::Full) });
        }
        let alpn: &[u8] = if protocol == Protocol::H2 { b"h2" } else { b"http/1.1" };
        let lane = Lane::new(protocol, origin);
        let is_early = wish == Wish::ZeroRtt && device.tickets.allows_early_data(&lane);
        let offer = Offer::new(&device.tickets, lane, wish);
        let connector = TlsConnector::from(device.client.tls.tcp(alpn, offer, wish));
        let name = origin.server_name()?;
        if is_early {
            let early = Early { tcp: Some(tcp), connector, name, alpn, written: Vec::new(), sent: 0, connect: None };
            return Ok(Self {
                state: State::Early(Box::new(early)),
                turn_bytes: 0,
                opened: Opened::new(Opening::ZeroRtt),
            });
        }
        let stream = connector.connect(name, tcp).await;
        let stream = stream.map_err(|error| Failure::io(Trouble::Tls, format!("TLS with {origin}"), &error))?;
        check_alpn(&stream, alpn).map_err(|error| Failure::tls(format!("TLS with {origin}: {error}")))?;
        let opening = opening(&stream);
        Ok(Self { state: State::Tls(Box::new(stream)), turn_bytes: 0, opened: Opened::new(opening) })
    }

    /// How it began. Of early data this is known once something could be read.
    pub(super) fn opened(&self) -> Opened {
        self.opened.clone()
    }

    /// Whether the handshake waits for the first bytes.
    pub(super) fn is_early(&self) -> bool {
        matches!(self.state, State::Early(_))
    }

    /// Whether the wire is open and silent, as one is between two answers. Reads what has come of TLS's own.
    pub(super) fn is_silent(&mut self) -> bool {
        if self.is_early() {
            return true;
        }
        // Nobody is kept waiting by a look, and one that does not look sees nothing.
        self.turn_bytes = 0;
        let mut byte = [0; 1];
        let mut context = Context::from_waker(futures_util::task::noop_waker_ref());
        Pin::new(self).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Drives a handshake that was held back, then writes what it did not carry.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Early(early) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        let mut stream = match ready!(early.poll_handshake(cx)) {
            Ok(stream) => stream,
            Err(error) => {
                self.state = State::Dead;
                return Poll::Ready(Err(error));
            }
        };
        self.opened.set(opening(&stream));
        let is_accepted = stream.get_ref().1.is_early_data_accepted();
        let rest = if is_accepted { &early.written[early.sent..] } else { &early.written[..] };
        // rustls keeps what it cannot send yet; all of this is smaller than its buffer.
        let mut unsent = rest;
        while !unsent.is_empty() {
            match io::Write::write(&mut stream.get_mut().1.writer(), unsent) {
                Ok(0) | Err(_) => break,
                Ok(count) => unsent = &unsent[count..],
            }
        }
        debug_assert!(unsent.is_empty(), "rustls buffers 64 KiB");
        self.state = State::Tls(Box::new(stream));
        Poll::Ready(Ok(()))
    }
}

impl Early {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TlsStream<TcpStream>>> {
        let connect = match &mut self.connect {
            Some(connect) => connect,
            None => {
                let Some(tcp) = self.tcp.take() else {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                };
                let (written, sent) = (&self.written, &mut self.sent);
                let connect = self.connector.connect_with(self.name.clone(), tcp, |session| {
                    if let Some(mut early) = session.early_data() {
                        *sent = io::Write::write(&mut early, written).unwrap_or(0);
                    }
                });
                self.connect.insert(connect)
            }
        };
        let stream = ready!(Pin::new(connect).poll(cx))?;
        check_alpn(&stream, self.alpn).map_err(io::Error::other)?;
        Poll::Ready(Ok(stream))
    }
}

/// The server must have chosen what we speak; none at all means HTTP/1.1.
fn check_alpn(stream: &TlsStream<TcpStream>, wanted: &[u8]) -> Result<(), String> {
    match stream.get_ref().1.alpn_protocol() {
        Some(chosen) if chosen == wanted => Ok(()),
        None if wanted == b"http/1.1" => Ok(()),
        chosen => {
            let chosen = chosen.map_or("nothing".into(), String::from_utf8_lossy);
            Err(format!("{} was offered, the server chose {chosen}", String::from_utf8_lossy(wanted)))
        }
    }
}

fn opening(stream: &TlsStream<TcpStream>) -> Opening {
    let session = stream.get_ref().1;
    match session.handshake_kind() {
        Some(HandshakeKind::Resumed) if session.is_early_data_accepted() => Opening::ZeroRtt,
        Some(HandshakeKind::Resumed) => Opening::Resumed,
        _ => Opening::Full,
    }
}

async fn connect(device: &Device, origin: &Origin) -> Result<TcpStream, Failure> {
    let failed = |error: &io::Error| Failure::io(Trouble::Connect, format!("connecting to {}", origin.address), error);
    let made = if origin.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = made.map_err(|error| failed(&error))?;
    socket.set_nodelay(true).map_err(|error| failed(&error))?;
    if let Some(bytes) = device.client.config.receive_buffer {
        socket.set_recv_buffer_size(bytes).map_err(|error| failed(&error))?;
    }
    if let Some(from) = device.from {
        socket.bind((from, 0).into()).map_err(|error| failed(&error))?;
    }
    socket.connect(origin.address).await.map_err(|error| failed(&error))
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turn_bytes >= TURN_BYTES {
            this.turn_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut this.state {
            // Nothing can come before something went out; the flush that lets it go polls the handshake from here on.
            State::Early(early) if early.connect.is_none() => return Poll::Pending,
            State::Early(_) => ready!(this.poll_open(cx))?,
            _ => {}
        }
        let before = buffer.filled().len();
        let read = match &mut this.state {
            State::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            State::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            State::Early(_) | State::Dead => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        this.turn_bytes = if read.is_ready() { this.turn_bytes + buffer.filled().len() - before } else { 0 };
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let State::Early(early) = &mut this.state {
            let room = EARLY_BYTES - early.written.len().min(EARLY_BYTES);
            if early.connect.is_none() && room > 0 {
                let count = bytes.len().min(room);
                early.written.extend_from_slice(&bytes[..count]);
                return Poll::Ready(Ok(count));
            }
            ready!(this.poll_open(cx))?;
        }
        match &mut this.state {
            State::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            State::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            State::Early(_) | State::Dead => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_open(cx))?;
        match &mut this.state {
            State::Plain(stream) => Pin::new(stream).poll_flush(cx),
            State::Tls(stream) => Pin::new(stream).poll_flush(cx),
            State::Early(_) | State::Dead => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Early(_) | State::Dead => Poll::Ready(Ok(())),
        }
    }
}
