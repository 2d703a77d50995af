//! Streams of a [`Connection`] as h3 wants them.
//!
//! What a peer may send on one stream is bounded (h3 buffers a frame whole before it looks at any limit), a stream that
//! is dropped before its end is reset (a broken answer must not look whole), and finishing waits until the peer has
//! everything, so that a drain may close the connection right after. Bodies do not come through here, since h3 would copy
//! them: `answer.rs` writes them itself.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, WriteBuf};
use quinn_proto::{ConnectionError, Dir, StreamId, VarInt};

use super::connection::{Broken, Connection};
use super::floods::Floods;
use super::priority::Beyond;
use super::uni::Uni;
use crate::counters::Counters;

/// Bytes a peer may send on a unidirectional stream (control, QPACK): a long connection re-prioritises, nothing more.
const UNI_BYTES: usize = 1024 * 1024;

/// A connection on which request streams may carry `request_bytes` from the peer.
#[derive(Clone)]
pub(super) struct Adapted {
    connection: Connection,
    request_bytes: usize,
    counters: Arc<Counters>,
    floods: Arc<Floods>,
}

impl Adapted {
    pub(super) fn new(
        connection: Connection,
        request_bytes: usize,
        counters: Arc<Counters>,
        floods: Arc<Floods>,
    ) -> Self {
        Self { connection, request_bytes, counters, floods }
    }

    fn recv(&self, id: StreamId, allowed: usize, uni: Option<Uni>) -> RecvStream {
        RecvStream { adapted: self.clone(), id, allowed, has_ended: false, uni, is_followed: false }
    }

    /// Ends the connection; unless that is in order, for an error of the peer's.
    fn break_off(&self, code: Code) {
        if code != Code::H3_NO_ERROR {
            self.counters.h3_broken.bump();
        }
        self.connection.close(varint(code.value()), b"");
    }

    fn bidi<B>(&self, id: StreamId) -> BidiStream<B> {
        BidiStream { send: SendStream::new(self.connection.clone(), id), recv: self.recv(id, self.request_bytes, None) }
    }
}

impl<B: Buf> quic::Connection<B> for Adapted {
    type RecvStream = RecvStream;
    type OpenStreams = Self;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let id = ready!(self.connection.poll_accept(Dir::Uni, cx)).map_err(connection_error)?;
        self.floods.idle(1);
        Poll::Ready(Ok(self.recv(id, UNI_BYTES, Some(Uni::default()))))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        let id = ready!(self.connection.poll_accept(Dir::Bi, cx)).map_err(connection_error)?;
        Poll::Ready(Ok(self.bidi(id)))
    }

    fn opener(&self) -> Self {
        self.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Adapted {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        let id = ready!(self.connection.poll_open(Dir::Bi, cx)).map_err(lost)?;
        Poll::Ready(Ok(self.bidi(id)))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        let id = ready!(self.connection.poll_open(Dir::Uni, cx)).map_err(lost)?;
        Poll::Ready(Ok(SendStream::new(self.connection.clone(), id)))
    }

    fn close(&mut self, code: Code, _reason: &[u8]) {
        // The reason is for people who read the other end's log; the code says it.
        self.break_off(code);
    }
}

/// One request stream.
pub(super) struct BidiStream<B> {
    send: SendStream<B>,
    recv: RecvStream,
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

    fn recv_id(&self) -> quic::StreamId {
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

    fn send_id(&self) -> quic::StreamId {
        self.send.send_id()
    }
}

/// The peer's half of a stream. Dropped before its end, the peer is asked to stop.
pub(super) struct RecvStream {
    adapted: Adapted,
    id: StreamId,
    /// Bytes the peer may still send.
    allowed: usize,
    has_ended: bool,
    uni: Option<Uni>,
    /// A task reads on (see [`follow`]).
    is_followed: bool,
}

impl RecvStream {
    /// Takes in what came on a unidirectional stream, or its end.
    fn listen(&mut self, read: Option<&[u8]>) {
        let Some(uni) = &mut self.uni else { return };
        let heard = match read {
            Some(bytes) => uni.read(bytes, |stream, priority| {
                self.adapted.connection.reprioritise(stream, priority).map_err(|Beyond| Code::H3_ID_ERROR)
            }),
            None => uni.end(),
        };
        self.adapted.floods.idle(uni.count());
        if let Err(code) = heard {
            self.adapted.break_off(code);
        }
    }

    /// From its type on, a table's stream is read by a task: h3 asks for no more, and would not see it end.
    fn hand_on(&mut self) {
        if let Some(uni) = self.uni.take_if(|uni| uni.is_table()) {
            self.is_followed = true;
            tokio::spawn(follow(self.adapted.clone(), self.id, uni, self.allowed));
        }
    }
}

/// Reads a stream of instructions to the end of the connection, at most so many bytes. It must not end before (RFC 9204
/// 4.2).
async fn follow(adapted: Adapted, id: StreamId, mut uni: Uni, mut allowed: usize) {
    let code = loop {
        match poll_fn(|cx| adapted.connection.poll_read(id, cx)).await {
            Ok(Some(bytes)) => {
                let Some(left) = allowed.checked_sub(bytes.len()) else { break Code::H3_EXCESSIVE_LOAD };
                allowed = left;
                // Priorities are said on the control stream.
                if let Err(code) = uni.read(&bytes, |_, _| Ok(())) {
                    break code;
                }
                adapted.floods.idle(uni.count());
            }
            Ok(None) | Err(Broken::ByPeer(_)) => break Code::H3_CLOSED_CRITICAL_STREAM,
            Err(Broken::Closed | Broken::Lost(_)) => return,
        }
    };
    adapted.break_off(code);
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if self.is_followed {
            return Poll::Pending;
        }
        let read = ready!(self.adapted.connection.poll_read(self.id, cx));
        let read = read.inspect_err(|_| self.has_ended = true).map_err(stream_error)?;
        self.listen(read.as_deref());
        let Some(piece) = read else {
            self.has_ended = true;
            return Poll::Ready(Ok(None));
        };
        let Some(left) = self.allowed.checked_sub(piece.len()) else {
            let code = Code::H3_EXCESSIVE_LOAD.value();
            if self.id.dir() == Dir::Bi {
                self.adapted.counters.h3_request_too_long.bump();
            }
            self.stop_sending(code);
            return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code: code }));
        };
        self.allowed = left;
        self.hand_on();
        // What is small must not hold on to the datagram that it came in, let alone to all that came with it.
        let is_alone = piece.is_unique();
        Poll::Ready(Ok(Some(if is_alone { piece } else { Bytes::copy_from_slice(&piece) })))
    }

    fn stop_sending(&mut self, code: u64) {
        self.has_ended = true;
        self.adapted.connection.stop(self.id, varint(code));
    }

    fn recv_id(&self) -> quic::StreamId {
        stream_id(self.id)
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.has_ended {
            self.adapted.connection.stop(self.id, varint(Code::H3_NO_ERROR.value()));
        }
    }
}

/// Our half of a stream. Dropped before its end, it is reset.
pub(super) struct SendStream<B> {
    connection: Connection,
    id: StreamId,
    waiting: Option<WriteBuf<B>>,
    state: Sending,
}

enum Sending {
    Open,
    /// All is written; ends when the peer has acknowledged it.
    Finishing,
    Ended,
}

impl<B> SendStream<B> {
    fn new(connection: Connection, id: StreamId) -> Self {
        Self { connection, id, waiting: None, state: Sending::Open }
    }
}

impl<B> Drop for SendStream<B> {
    fn drop(&mut self) {
        if matches!(self.state, Sending::Open) {
            self.connection.reset(self.id, varint(Code::H3_INTERNAL_ERROR.value()));
        }
        self.connection.forget_priority(self.id);
    }
}

impl<B: Buf> quic::SendStream<B> for SendStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(data) = &mut self.waiting {
            if !data.has_remaining() {
                self.waiting = None;
                break;
            }
            // Heads and settings only: small.
            let mut piece = [Bytes::copy_from_slice(data.chunk())];
            let written = ready!(self.connection.poll_write(self.id, &mut piece, cx)).map_err(stream_error)?;
            data.advance(written.bytes);
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        debug_assert!(self.waiting.is_none(), "h3 asks poll_ready before it hands over more");
        self.waiting = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if matches!(self.state, Sending::Open) {
            ready!(self.poll_ready(cx))?;
            self.connection.finish(self.id);
            self.state = Sending::Finishing;
        }
        if matches!(self.state, Sending::Finishing) {
            let finished = ready!(self.connection.poll_finished(self.id, cx));
            // What was stopped is reset, with the code that it was stopped with, so that both sides forget it.
            if finished.is_ok() {
                self.state = Sending::Ended;
            } else {
                self.reset(Code::H3_REQUEST_CANCELLED.value());
            }
            return Poll::Ready(finished.map_err(stream_error));
        }
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.waiting = None;
        self.state = Sending::Ended;
        self.connection.reset(self.id, varint(code));
    }

    fn send_id(&self) -> quic::StreamId {
        stream_id(self.id)
    }
}

pub(super) fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn stream_id(id: StreamId) -> quic::StreamId {
    quic::StreamId::try_from(u64::from(id)).expect("both are 62-bit stream ids")
}

fn lost(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
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

pub(super) fn stream_error(broken: Broken) -> StreamErrorIncoming {
    match broken {
        Broken::ByPeer(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        Broken::Lost(error) => lost(error),
        Broken::Closed => StreamErrorIncoming::Unknown("the stream is closed".into()),
    }
}
