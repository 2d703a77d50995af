//! One connection: the protocol's state behind a lock, and what streams and requests may ask of it.
//!
//! The endpoint brings datagrams in (`heed`), requests read and write through `stream.rs`, and either wakes the driver
//! (`driver.rs`), which alone sends. A panic over a datagram ends this connection and no other.

mod driver;
mod waiters;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use quinn_proto::{
    ConnectionError, ConnectionEvent, ConnectionHandle, Dir, Event, ReadError, StreamId, Transmit, VarInt, WriteError,
    Written,
};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use super::early::Early;
use super::endpoint::Endpoint;
use super::flight;
use super::priority::{Beyond, Priorities, Priority};
use super::session::Handshake;
use super::whereabouts::{Path, Whereabouts};
pub(super) use driver::Driver;
use waiters::Waiters;

/// Bytes handed out by one read. A request head is smaller.
const READ_BYTES: usize = 16 * 1024;

/// A handle of a connection. Ends only when it is closed, by us, the peer or the idle limit.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    endpoint: Arc<Endpoint>,
    handle: ConnectionHandle,
    inner: Mutex<Inner>,
    driver: AtomicWaker,
    early: Early,
    /// The handshake is over, well or not.
    settled: CancellationToken,
    /// There is no connection any more.
    gone: CancellationToken,
}

struct Inner {
    proto: quinn_proto::Connection,
    /// Why there is no connection any more.
    error: Option<ConnectionError>,
    /// A batch that the socket had no room for.
    unsent: Option<(Transmit, Vec<u8>)>,
    sent_bytes: u64,
    whereabouts: Whereabouts,
    send_window: u64,
    waiters: Waiters,
    priorities: Priorities,
}

/// The packet that began a connection.
pub(super) struct First {
    pub(super) bytes: u64,
    /// It brought a token that proves its sender's address.
    pub(super) is_validated: bool,
}

/// Why a stream cannot go on.
pub(super) enum Broken {
    /// Reset or stopped by the peer, with its code.
    ByPeer(VarInt),
    /// It was closed by us before.
    Closed,
    Lost(ConnectionError),
}

impl Connection {
    pub(super) fn new(
        proto: quinn_proto::Connection,
        first: First,
        handle: ConnectionHandle,
        endpoint: Arc<Endpoint>,
    ) -> Self {
        let inner = Inner {
            whereabouts: Whereabouts::new(proto.remote_address(), first.bytes, first.is_validated),
            proto,
            error: None,
            unsent: None,
            sent_bytes: 0,
            send_window: u64::MAX,
            waiters: Waiters::default(),
            priorities: Priorities::default(),
        };
        Self(Arc::new(Shared {
            endpoint,
            handle,
            inner: Mutex::new(inner),
            driver: AtomicWaker::new(),
            early: Early::default(),
            settled: CancellationToken::new(),
            gone: CancellationToken::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Who panicked under it has marked the connection as lost, or will: see `guarded`.
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There may be something to send.
    fn drive(&self) {
        self.0.driver.wake();
    }

    /// Runs the protocol's own code: a panic in it is the end of this connection only.
    fn guarded<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> Option<R> {
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut self.lock())));
        if done.is_err() {
            tracing::error!("a QUIC connection panicked and was dropped");
            self.lose(ConnectionError::Reset);
        }
        done.ok()
    }

    fn lose(&self, error: ConnectionError) {
        let woken = self.lock().lose(error);
        self.0.gone.cancel();
        self.0.settled.cancel();
        woken.into_iter().for_each(Waker::wake);
    }

    /// A datagram of this connection came.
    pub(super) fn heed(&self, event: ConnectionEvent, bytes: u64) {
        self.guarded(|inner| {
            inner.proto.handle_event(event);
            inner.whereabouts.came(bytes, &inner.proto, Instant::now());
        });
        self.drive();
    }

    pub(super) fn close(&self, code: VarInt, reason: &'static [u8]) {
        self.guarded(|inner| inner.proto.close(Instant::now(), code, Bytes::from_static(reason)));
        self.lose(ConnectionError::LocallyClosed);
        self.drive();
    }

    /// Until there is no connection any more.
    pub(super) async fn closed(&self) {
        self.0.gone.cancelled().await;
    }

    /// Waits for the end of the handshake; whether it ended well.
    pub(super) async fn settled(&self) -> bool {
        self.0.settled.cancelled().await;
        self.0.early.is_confirmed()
    }

    pub(super) fn early(&self) -> &Early {
        &self.0.early
    }

    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        self.lock().proto.local_ip()
    }

    /// Where the client is. After it moved, its new address counts once it has proved that it receives there
    /// (RFC 9000 8.2): until then anybody's address could stand in its packets.
    pub(super) fn address(&self) -> SocketAddr {
        self.lock().whereabouts.proven()
    }

    /// Whether the session was resumed, once that is known.
    pub(super) fn resumed(&self) -> Option<bool> {
        let said = self.lock().proto.crypto_session().handshake_data()?;
        said.downcast::<Handshake>().ok().map(|handshake| handshake.resumed)
    }

    /// The certificates that the client showed in this session.
    pub(super) fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        let shown = self.lock().proto.crypto_session().peer_identity()?;
        shown.downcast().ok().map(|chain| *chain)
    }

    /// Bytes that the peer has acknowledged where it is now.
    pub(super) fn acked_bytes(&self) -> u64 {
        flight::acked_bytes(self.lock().proto.congestion_state())
    }

    pub(super) fn rtt(&self) -> Duration {
        self.lock().proto.rtt()
    }

    pub(super) fn congestion_window(&self) -> u64 {
        self.lock().proto.congestion_state().window()
    }

    /// What may be unacknowledged from now on. Half of it is for the answer that goes first alone: what others have
    /// written and cannot send must not keep it from writing.
    pub(super) fn set_send_window(&self, bytes: u64) {
        let mut inner = self.lock();
        inner.send_window = bytes;
        inner.proto.set_send_window(bytes);
    }

    /// The next stream that the peer opened.
    pub(super) fn poll_accept(&self, dir: Dir, cx: &mut Context<'_>) -> Poll<Result<StreamId, ConnectionError>> {
        let mut inner = self.lock();
        if let Some(id) = inner.proto.streams().accept(dir) {
            if inner.proto.is_handshaking() {
                self.0.early.mark(id.into());
            }
            if dir == Dir::Bi {
                inner.priorities.begin(id.index());
            }
            return Poll::Ready(Ok(id));
        }
        if let Some(error) = &inner.error {
            return Poll::Ready(Err(error.clone()));
        }
        inner.waiters.accept(dir, cx);
        Poll::Pending
    }

    /// A stream of ours, as soon as the peer allows one.
    pub(super) fn poll_open(&self, dir: Dir, cx: &mut Context<'_>) -> Poll<Result<StreamId, ConnectionError>> {
        let mut inner = self.lock();
        if let Some(error) = &inner.error {
            return Poll::Ready(Err(error.clone()));
        }
        if let Some(id) = inner.proto.streams().open(dir) {
            if dir == Dir::Uni {
                // What is said about the connection goes before all answers.
                let _ = inner.proto.send_stream(id).set_priority(i32::MAX);
            }
            return Poll::Ready(Ok(id));
        }
        inner.waiters.open(dir, cx);
        Poll::Pending
    }

    /// The next bytes of a stream; None at its end.
    pub(super) fn poll_read(&self, id: StreamId, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let mut inner = self.lock();
        let mut stream = inner.proto.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            return Poll::Ready(Err(Broken::Closed));
        };
        let next = chunks.next(READ_BYTES);
        let credits = chunks.finalize().should_transmit();
        let read = match next {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(ReadError::Reset(code)) => Err(Broken::ByPeer(code)),
            Err(ReadError::Blocked) => match &inner.error {
                Some(error) => Err(Broken::Lost(error.clone())),
                None => {
                    inner.waiters.read(id, cx);
                    return Poll::Pending;
                }
            },
        };
        drop(inner);
        if credits {
            self.drive();
        }
        Poll::Ready(read)
    }

    pub(super) fn stop(&self, id: StreamId, code: VarInt) {
        let mut inner = self.lock();
        inner.waiters.forget_reader(id);
        // An error says that the peer has already finished, which is as good.
        let is_news = inner.proto.recv_stream(id).stop(code).is_ok();
        drop(inner);
        if is_news {
            self.drive();
        }
    }

    /// Writes some of the pieces, without a copy; they advance.
    pub(super) async fn write(&self, id: StreamId, pieces: &mut [Bytes]) -> Result<Written, Broken> {
        poll_fn(|cx| self.poll_write(id, pieces, cx)).await
    }

    /// See [`Connection::write`].
    pub(super) fn poll_write(
        &self,
        id: StreamId,
        pieces: &mut [Bytes],
        cx: &mut Context<'_>,
    ) -> Poll<Result<Written, Broken>> {
        let mut inner = self.lock();
        if let Some(error) = &inner.error {
            return Poll::Ready(Err(Broken::Lost(error.clone())));
        }
        let yields = id.dir() == Dir::Bi && inner.priorities.yields(id.index());
        if yields {
            let half = inner.send_window / 2;
            inner.proto.set_send_window(half);
        }
        let result = inner.proto.send_stream(id).write_chunks(pieces);
        if yields {
            let whole = inner.send_window;
            inner.proto.set_send_window(whole);
        }
        let written = match result {
            Ok(written) => Ok(written),
            Err(WriteError::Stopped(code)) => Err(Broken::ByPeer(code)),
            Err(WriteError::ClosedStream) => Err(Broken::Closed),
            Err(WriteError::Blocked) => {
                inner.waiters.write(id, cx);
                return Poll::Pending;
            }
        };
        drop(inner);
        self.drive();
        Poll::Ready(written)
    }

    /// Whether the peer's credit would let bytes of a stream go. Those that wait although it would, wait for our window.
    pub(super) fn has_credit(&self, id: StreamId) -> bool {
        let mut inner = self.lock();
        inner.proto.set_send_window(u64::MAX);
        let nothing = inner.proto.send_stream(id).write_chunks(&mut []);
        let window = inner.send_window;
        inner.proto.set_send_window(window);
        !matches!(nothing, Err(WriteError::Blocked))
    }

    /// Until the peer wants no more of a stream, or has all of it.
    pub(super) async fn stopped(&self, id: StreamId) {
        let _ = poll_fn(|cx| self.poll_finished(id, cx)).await;
    }

    /// Whether the peer has said that it wants no more of a stream.
    pub(super) fn is_stopped(&self, id: StreamId) -> bool {
        matches!(self.lock().proto.send_stream(id).stopped(), Ok(Some(_)))
    }

    pub(super) fn finish(&self, id: StreamId) {
        // An error says that the stream was stopped or reset, which `poll_finished` tells in detail.
        let _ = self.lock().proto.send_stream(id).finish();
        self.drive();
    }

    /// Until the peer has acknowledged everything of a finished stream.
    pub(super) fn poll_finished(&self, id: StreamId, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut inner = self.lock();
        let state = inner.proto.send_stream(id).stopped();
        match (state, &inner.error) {
            // The state of a stream is forgotten with its last acknowledgement.
            (Err(_), _) => Poll::Ready(Ok(())),
            (Ok(Some(code)), _) => Poll::Ready(Err(Broken::ByPeer(code))),
            (Ok(None), Some(error)) => Poll::Ready(Err(Broken::Lost(error.clone()))),
            (Ok(None), None) => {
                inner.waiters.finish(id, cx);
                Poll::Pending
            }
        }
    }

    /// Breaks a stream off; one that the peer stopped with the peer's own code (RFC 9000 3.5).
    pub(super) fn reset(&self, id: StreamId, code: VarInt) {
        let mut inner = self.lock();
        inner.waiters.forget_writer(id);
        let mut stream = inner.proto.send_stream(id);
        let code = stream.stopped().ok().flatten().unwrap_or(code);
        let is_news = stream.reset(code).is_ok();
        drop(inner);
        if is_news {
            self.drive();
        }
    }

    /// How soon the answer on a stream is wanted: what its request says, unless the peer has said otherwise since.
    pub(super) fn prioritise(&self, id: StreamId, said: Priority) {
        let mut inner = self.lock();
        let weight = inner.priorities.open(id.index(), said);
        let _ = inner.proto.send_stream(id).set_priority(weight);
    }

    /// How many requests the peer may have under way.
    pub(super) fn allow_requests(&self, at_once: u32) {
        self.lock().priorities.allow(at_once.into());
    }

    /// The peer changed its mind (PRIORITY_UPDATE).
    pub(super) fn reprioritise(&self, stream: u64, said: Priority) -> Result<(), Beyond> {
        let Ok(id) = VarInt::from_u64(stream).map(StreamId::from) else { return Err(Beyond) };
        let mut inner = self.lock();
        if let Some(weight) = inner.priorities.update(id.index(), said)? {
            let _ = inner.proto.send_stream(id).set_priority(weight);
        }
        Ok(())
    }

    /// Requests among which the connection is shared out; never none.
    pub(super) fn answers(&self) -> u64 {
        (self.lock().priorities.len() as u64).max(1)
    }

    /// The answer on a stream has ended.
    pub(super) fn forget_priority(&self, id: StreamId) {
        if id.dir() == Dir::Bi {
            self.lock().priorities.close(id.index());
        }
    }
}

impl Inner {
    fn tell(&mut self, event: Event, shared: &Shared, woken: &mut Vec<Waker>) {
        match event {
            Event::Connected => {
                shared.early.confirm();
                shared.settled.cancel();
            }
            Event::ConnectionLost { reason } => {
                woken.append(&mut self.lose(reason));
                shared.gone.cancel();
                shared.settled.cancel();
            }
            Event::Stream(event) => self.waiters.call(event, woken),
            Event::HandshakeDataReady | Event::DatagramReceived | Event::DatagramsUnblocked => {}
        }
    }

    /// From now on everybody who asks gets this error; who waits is to be woken.
    fn lose(&mut self, error: ConnectionError) -> Vec<Waker> {
        self.error.get_or_insert(error);
        self.waiters.all()
    }
}

impl Path for quinn_proto::Connection {
    fn remote(&self) -> SocketAddr {
        self.remote_address()
    }

    fn is_handshaking(&self) -> bool {
        Self::is_handshaking(self)
    }

    fn rtt(&self) -> Duration {
        Self::rtt(self)
    }

    fn acked_bytes(&self) -> u64 {
        flight::acked_bytes(self.congestion_state())
    }
}
