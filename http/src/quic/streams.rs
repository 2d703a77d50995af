//! quinn's streams as h3 wants them.
//!
//! Three differences to the stock adapter: what a peer may send on one stream is bounded (h3 buffers a frame whole
//! before it looks at any limit), a stream that is dropped before its end is reset (quinn would end it well, and a
//! broken answer would look whole), and finishing waits until the peer has everything, so that a drain may close
//! the connection right after.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use futures_util::stream::unfold;
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, StoppedError, VarInt, WriteError};

use super::early::Early;

/// Bytes a peer may send on a unidirectional stream (control, QPACK): a long connection re-prioritises, nothing more.
const UNI_BYTES: usize = 1024 * 1024;

type Polled<T> = Pin<Box<dyn Stream<Item = Result<T, ConnectionError>> + Send + Sync>>;

/// A quinn connection on which request streams may carry `request_bytes` from the peer.
pub(super) struct Connection {
    opener: Opener,
    early: Arc<Early>,
    incoming_bi: Polled<(quinn::SendStream, quinn::RecvStream)>,
    incoming_uni: Polled<quinn::RecvStream>,
}

impl Connection {
    pub(super) fn new(connection: quinn::Connection, request_bytes: usize, early: Arc<Early>) -> Self {
        Self {
            early,
            incoming_bi: Box::pin(unfold(connection.clone(), async |connection| {
                Some((connection.accept_bi().await, connection))
            })),
            incoming_uni: Box::pin(unfold(connection.clone(), async |connection| {
                Some((connection.accept_uni().await, connection))
            })),
            opener: Opener { connection, request_bytes, opening_bi: None, opening_uni: None },
        }
    }
}

fn next<T>(polled: &mut Polled<T>, cx: &mut Context<'_>) -> Poll<Result<T, ConnectionErrorIncoming>> {
    let next = ready!(polled.as_mut().poll_next(cx)).expect("an unfold that always yields does not end");
    Poll::Ready(next.map_err(connection_error))
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        next(&mut self.incoming_uni, cx).map_ok(|recv| RecvStream { recv, allowed: UNI_BYTES })
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        let allowed = self.opener.request_bytes;
        next(&mut self.incoming_bi, cx).map_ok(|pair| {
            if pair.1.is_0rtt() {
                self.early.mark(pair.1.id().into());
            }
            BidiStream::new(pair, allowed)
        })
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

/// Opens streams towards the peer.
pub(super) struct Opener {
    connection: quinn::Connection,
    request_bytes: usize,
    opening_bi: Option<Polled<(quinn::SendStream, quinn::RecvStream)>>,
    opening_uni: Option<Polled<quinn::SendStream>>,
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            request_bytes: self.request_bytes,
            opening_bi: None,
            opening_uni: None,
        }
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        let opening = self.opening_bi.get_or_insert_with(|| {
            Box::pin(unfold(self.connection.clone(), async |connection| Some((connection.open_bi().await, connection))))
        });
        let allowed = self.request_bytes;
        next(opening, cx).map_ok(|pair| BidiStream::new(pair, allowed)).map_err(lost)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        let opening = self.opening_uni.get_or_insert_with(|| {
            Box::pin(unfold(self.connection.clone(), async |connection| {
                Some((connection.open_uni().await, connection))
            }))
        });
        next(opening, cx).map_ok(SendStream::new).map_err(lost)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(varint(code.value()), reason);
    }
}

/// One request stream.
pub(super) struct BidiStream<B> {
    send: SendStream<B>,
    recv: RecvStream,
}

impl<B> BidiStream<B> {
    fn new((send, recv): (quinn::SendStream, quinn::RecvStream), allowed: usize) -> Self {
        Self { send: SendStream::new(send), recv: RecvStream { recv, allowed } }
    }
}

impl<B: Buf> quic::BidiStream<B> for BidiStream<B> {
    type SendStream = SendStream<B>;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream<B>, RecvStream) {
        (self.send, self.recv)
    }
}

impl<B> quic::RecvStream for BidiStream<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for BidiStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// The peer's half of a stream.
pub(super) struct RecvStream {
    recv: quinn::RecvStream,
    /// Bytes the peer may still send.
    allowed: usize,
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        // A request head is small; a copy here costs less than the boxed future that reading without one needs.
        let mut piece = [0; 2048];
        let count = ready!(self.recv.poll_read(cx, &mut piece)).map_err(read_error)?;
        if count == 0 {
            return Poll::Ready(Ok(None));
        }
        let Some(left) = self.allowed.checked_sub(count) else {
            let code = Code::H3_EXCESSIVE_LOAD.value();
            self.stop_sending(code);
            return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code: code }));
        };
        self.allowed = left;
        Poll::Ready(Ok(Some(Bytes::copy_from_slice(&piece[..count]))))
    }

    fn stop_sending(&mut self, code: u64) {
        // An error says that the peer has already finished, which is as good.
        let _ = self.recv.stop(varint(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.recv.id())
    }
}

/// Our half of a stream. Dropped before its end, it is reset.
pub(super) struct SendStream<B> {
    send: quinn::SendStream,
    waiting: Option<WriteBuf<B>>,
    state: Sending,
}

enum Sending {
    Open,
    /// All is written; ends when the peer has acknowledged it.
    Finishing(Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>),
    Ended,
}

impl<B> SendStream<B> {
    fn new(send: quinn::SendStream) -> Self {
        Self { send, waiting: None, state: Sending::Open }
    }
}

impl<B> Drop for SendStream<B> {
    fn drop(&mut self) {
        if matches!(self.state, Sending::Open) {
            let _ = self.send.reset(varint(Code::H3_INTERNAL_ERROR.value()));
        }
    }
}

impl<B: Buf> quic::SendStream<B> for SendStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(data) = &mut self.waiting {
            if !data.has_remaining() {
                self.waiting = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.send).poll_write(cx, data.chunk())).map_err(write_error)?;
            data.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        debug_assert!(self.waiting.is_none(), "h3 asks poll_ready before it hands over more");
        self.waiting = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        loop {
            match &mut self.state {
                Sending::Open => {
                    ready!(self.poll_ready(cx))?;
                    // An error says that the stream was stopped or reset, which `stopped` tells in detail.
                    let _ = self.send.finish();
                    self.state = Sending::Finishing(Box::pin(self.send.stopped()));
                }
                Sending::Finishing(stopped) => {
                    let outcome = ready!(stopped.as_mut().poll(cx));
                    self.state = Sending::Ended;
                    return Poll::Ready(match outcome {
                        Ok(None) => Ok(()),
                        Ok(Some(code)) => Err(StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }),
                        Err(StoppedError::ConnectionLost(error)) => Err(lost(connection_error(error))),
                        Err(error) => Err(StreamErrorIncoming::Unknown(Box::new(error))),
                    });
                }
                Sending::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    fn reset(&mut self, code: u64) {
        self.waiting = None;
        self.state = Sending::Ended;
        let _ = self.send.reset(varint(code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.send.id())
    }
}

fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(u64::from(id)).expect("both are 62-bit stream ids")
}

fn lost(connection_error: ConnectionErrorIncoming) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
}

fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => lost(connection_error(error)),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => lost(connection_error(error)),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}
