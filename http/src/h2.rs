//! HTTP/2 on one TLS connection. The only file that names the h2 library.
//!
//! The frames are h2's. What is done here is what is ours to decide: a stream lives in a task of its own, a piece
//! of a body is asked for only when the peer's window has room for some of it, a body that fails is reset, a silent
//! peer is asked whether it lives. hyper's server would hide which stream carries which body, which receipts need.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::header::{CONTENT_RANGE, HeaderMap, HeaderName};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use crate::body::BodyError;
use crate::exchange::{Exchange, Handler, stamp};
use crate::first_flight::{FirstFrames, Together};
use crate::frames::FrameBudget;
use crate::limits::Limits;
use crate::patience::{Patience, Pauses};
use crate::request::Peer;
use crate::request_body::{self, Carried};
use crate::unsent::Unsent;
use crate::watch::FirstBytes;
use crate::wire::{Followed, Tally, Wire};

/// The client preface and an empty SETTINGS frame (RFC 9113 3.4): less is not yet an HTTP/2 connection.
const PREFACE_BYTES: usize = 24 + 9;
/// A silent peer is asked whether it lives, and is given up a moment later.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Requests carry no bodies here, so what a client may send us ahead is small.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// How often a connection is asked in one turn until nothing of what it wrote is left; then others get theirs.
const POLLS_A_TURN: u32 = 4;
/// Resets by the peer that we have not yet looked at, and resets that its mistakes made us send (rapid reset,
/// MadeYouReset): beyond these the connection ends.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;

/// Serves one connection until it ends. A drain sends GOAWAY and lets running streams finish. `together` is of the
/// stream.
pub(crate) async fn serve<S, H>(stream: S, together: Together, peer: Peer, exchange: Arc<Exchange<H>>)
where
    S: AsyncRead + AsyncWrite + Unsent + Unpin + Send + 'static,
    H: Handler,
{
    let wire = Wire::h2();
    let counters = Arc::clone(&exchange.counters);
    let pauses = Pauses::new(&exchange.limits, &counters);
    let stream = FrameBudget::new(Tally::new(stream, wire.clone()), &exchange.limits, Arc::clone(&counters));
    let stream = FirstBytes::new(stream, PREFACE_BYTES, exchange.limits.head, Arc::clone(&counters));
    let mut connection = match builder(&exchange.limits).handshake::<_, Bytes>(stream).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, protocol = "h2", "connection ended early"),
    };
    let mut life = connection.ping_pong().map(Life::new).expect("taken for the first time");
    let frames = FirstFrames::new(together.clone());
    let mut draining = false;
    together.attend();
    loop {
        // When a turn is over and what it wrote is still here: asked again, it reads, has nothing, and flushes. If it has
        // something, that may make it write more.
        let accept = |cx: &mut Context<'_>| {
            for _ in 0..POLLS_A_TURN {
                let accepted = connection.poll_accept(cx);
                if accepted.is_ready() || !together.is_due() {
                    return accepted;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        };
        let accepted = tokio::select! {
            accepted = poll_fn(accept) => accepted,
            () = exchange.stop.drain.cancelled(), if !draining => {
                draining = true;
                connection.graceful_shutdown();
                continue;
            }
            () = poll_fn(|cx| life.poll_over(cx)) => {
                counters.silent.bump();
                return tracing::debug!(protocol = "h2", "the peer is silent");
            }
        };
        match accepted {
            Some(Ok((request, respond))) => {
                frames.asked();
                let (peer, wire, frames) = (peer.clone(), wire.clone(), frames.clone());
                let (exchange, patience) = (Arc::clone(&exchange), pauses.patience());
                let tasks = exchange.stop.tasks.clone();
                tasks.spawn(answer(request, respond, peer, exchange, wire, frames, patience));
            }
            Some(Err(error)) => {
                if error.is_library() {
                    counters.h2_broken.bump();
                }
                return tracing::debug!(%error, protocol = "h2", "connection ended early");
            }
            None => return,
        }
    }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(limits.h2_send_buffer_bytes)
        .max_header_list_size(limits.head_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS));
    builder
}

/// One request, from its head to the acknowledgement of its answer. Dropping this resets the stream.
async fn answer<H: Handler>(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: Peer,
    exchange: Arc<Exchange<H>>,
    wire: Wire,
    frames: FirstFrames,
    mut patience: Patience,
) {
    let (head, mut carried) = request.into_parts();
    // Boxed, since it is large and over before the body begins.
    let response = tokio::select! {
        response = Box::pin(exchange.answer(head, peer, &mut carried)) => response,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    let stream = respond.stream_id().as_u32();
    let (mut head, body) = response.into_parts();
    stamp(&mut head.headers);
    spare_the_table(&mut head.headers);
    let mut body = wire.watch(body, Some(stream));
    let is_bodyless = body.is_end_stream();
    frames.answering();
    let Ok(mut send) = respond.send_response(http::Response::from_parts(head, ()), is_bodyless) else { return };
    if !is_bodyless && let Err(broken) = send_body(&mut send, &mut body, &frames, &mut patience).await {
        tracing::debug!(%broken, protocol = "h2", "answer broken off");
        send.send_reset(Reason::INTERNAL_ERROR);
    }
    drop(carried);
    let under_way = body.end();
    // What the peer has reset meanwhile will not be acknowledged any more.
    poll_fn(|cx| {
        if under_way.poll_settled(cx).is_ready() {
            return Poll::Ready(());
        }
        send.poll_reset(cx).map(|_| under_way.give_up())
    })
    .await;
    wire.forget(stream);
}

impl Carried for RecvStream {
    async fn piece(&mut self) -> Option<Result<Bytes, request_body::Broken>> {
        let piece = self.data().await?;
        if let Ok(piece) = &piece {
            // What was taken may come again: the bound is the body's. It fails only for a stream that is gone.
            let _ = self.flow_control().release_capacity(piece.len());
        }
        Some(piece.map_err(|_| request_body::Broken))
    }
}

/// Keeps out of the compression table what no second answer says, since it would push out what all of them say. The
/// library knows only one way: values that are never indexed (RFC 7541 6.2.3).
fn spare_the_table(headers: &mut HeaderMap) {
    const PASSING: [HeaderName; 2] = [CONTENT_RANGE, HeaderName::from_static("server-timing")];
    for name in PASSING {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the peer went away")]
    Left,
    #[error("the peer does not read")]
    Stalled,
    #[error(transparent)]
    Body(#[from] BodyError),
}

async fn send_body(
    send: &mut SendStream<Bytes>,
    body: &mut Followed,
    frames: &FirstFrames,
    patience: &mut Patience,
) -> Result<(), Broken> {
    loop {
        // A body is asked for more only when some of it can leave: a stalled peer holds no piece of the cache.
        send.reserve_capacity(1);
        capacity(send, patience).await?;
        let Some(mut piece) = next(send, body).await? else {
            return send.send_data(Bytes::new(), true).map_err(|_| Broken::Left);
        };
        while !piece.is_empty() {
            send.reserve_capacity(piece.len());
            let room = capacity(send, patience).await?;
            let part = piece.split_to(frames.next(room.min(piece.len())));
            patience.took(part.len());
            let is_last = piece.is_empty() && body.is_end_stream();
            send.send_data(part, is_last).map_err(|_| Broken::Left)?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Waits until the windows let bytes go; how many.
async fn capacity(send: &mut SendStream<Bytes>, patience: &mut Patience) -> Result<usize, Broken> {
    loop {
        let room = send.capacity();
        if room > 0 {
            return Ok(room);
        }
        match patience.wait(poll_fn(|cx| send.poll_capacity(cx))).await {
            Some(Some(Ok(_))) => {}
            Some(Some(Err(_)) | None) => return Err(Broken::Left),
            None => return Err(Broken::Stalled),
        }
    }
}

/// The body's next piece, or that the peer no longer wants it.
async fn next(send: &mut SendStream<Bytes>, body: &mut Followed) -> Result<Option<Bytes>, Broken> {
    poll_fn(|cx| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            let data = frame.transpose()?.and_then(|frame| frame.into_data().ok());
            return Poll::Ready(Ok(data));
        }
        send.poll_reset(cx).map(|_| Err(Broken::Left))
    })
    .await
}

/// Whether the peer still answers pings.
struct Life {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Life {
    fn new(pings: PingPong) -> Self {
        Self { pings, timer: Box::pin(sleep(PING_EVERY)), asked: false }
    }

    /// Ready when a ping was not answered in time. An error of the connection is left to `accept`.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.asked {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => self.wait(PING_EVERY, false),
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.asked {
                return Poll::Ready(());
            }
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.wait(PONG_WITHIN, true);
        }
    }

    fn wait(&mut self, time: Duration, asked: bool) {
        self.timer.as_mut().reset(Instant::now() + time);
        self.asked = asked;
    }
}
