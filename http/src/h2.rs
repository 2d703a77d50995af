//! HTTP/2 on one TLS connection. The only file that names hyper's HTTP/2 server.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exchange::{Exchange, Handler};
use crate::limits::Limits;
use crate::request::Peer;
use crate::watch::FirstBytes;

/// The client preface and an empty SETTINGS frame (RFC 9113 3.4): less is not yet an HTTP/2 connection.
const PREFACE_BYTES: usize = 24 + 9;
/// A silent peer is asked whether it lives, and is given up a moment later.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Requests carry no bodies here, so what a client may send us ahead is small.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Resets by the peer that we have not yet looked at, and resets that its mistakes made us send (rapid reset,
/// MadeYouReset): beyond these the connection ends.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;

/// Serves one connection until it ends. `drain` sends GOAWAY and lets running streams finish.
pub(crate) async fn serve<S, H>(
    stream: S,
    peer: Peer,
    exchange: Arc<Exchange<H>>,
    drain: CancellationToken,
    streams: TaskTracker,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let stream = FirstBytes::new(stream, PREFACE_BYTES, exchange.limits.head);
    let builder = builder(&exchange.limits, streams);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (exchange, peer) = (Arc::clone(&exchange), peer.clone());
        async move {
            let (head, _unwanted) = request.into_parts();
            Ok::<_, std::convert::Infallible>(exchange.answer(head, peer).await)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, protocol = "h2", "connection ended early");
    }
}

fn builder(limits: &Limits, streams: TaskTracker) -> http2::Builder<Spawner> {
    let mut builder = http2::Builder::new(Spawner(streams));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits.h2_send_buffer_bytes)
        .max_header_list_size(limits.head_bytes)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS);
    builder
}

/// Spawns the tasks of streams so that a drain waits for them.
#[derive(Clone)]
struct Spawner(TaskTracker);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
