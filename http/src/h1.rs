//! HTTP/1.1 on one connection, plain or inside TLS. The only file that names hyper's HTTP/1 server.
//!
//! Two things are done here that hyper leaves open. A connection whose answer broke off is reset, so that not even a
//! body without Content-Length can be taken for whole. And a connection that is closed while the peer still sends (a
//! request body we do not want) is read for a moment, because a close with unread bytes makes the kernel send a
//! reset that can overtake our answer (RFC 9112 9.6).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::body::BodyError;
use crate::exchange::{Exchange, Handler};
use crate::limits::Limits;
use crate::request::Peer;
use crate::request_body::{Broken, Carried};
use crate::running::Stop;
use crate::unsent::Unsent;
use crate::watch::{Breakable, Busy, HeadDeadline};
use crate::wire::{Followed, Tally, Wire};

/// Bytes and time of a peer's unwanted data that are read after our last answer.
const LINGER_BYTES: u64 = 256 * 1024;
const LINGER: Duration = Duration::from_secs(2);
/// How long a drain waits for the first request of a connection that was accepted just before: nobody opens one
/// without having something to ask, and closing it unanswered would look like a refusal.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Serves one connection until it ends. A drain asks for the end after the request under way.
pub(crate) async fn serve<S, H>(stream: S, peer: Peer, exchange: Arc<Exchange<H>>)
where
    S: AsyncRead + AsyncWrite + Breakable + Unsent + Unpin + Send + 'static,
    H: Handler,
{
    let busy = Busy::default();
    let wire = Wire::h1();
    let stream = Tally::new(stream, wire.clone());
    let stream = HeadDeadline::new(stream, busy.clone(), exchange.limits.head, Arc::clone(&exchange.counters));
    let builder = builder(&exchange.limits);
    let was_asked = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        busy.set(true);
        was_asked.store(true, Ordering::Relaxed);
        let (exchange, peer, busy, wire) = (Arc::clone(&exchange), peer.clone(), busy.clone(), wire.clone());
        // hyper asks for an Unpin future where it hands the stream back.
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let mut response = exchange.answer(head, peer, &mut body).await;
            if !body.is_end_stream() {
                // What follows on this connection would be the body: nothing may be parsed as a request again.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| Watched { body: wire.watch(body, None), busy }))
        })
    });
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut draining = pin!(time_to_go(&exchange.stop, &was_asked));
    let mut drained = false;
    let ended = poll_fn(|cx| {
        if !drained && draining.as_mut().poll(cx).is_ready() {
            drained = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    })
    .await;
    let mut stream = connection.into_parts().io.into_inner();
    let orderly = match ended {
        Ok(()) => true,
        Err(error) => {
            if error.is_parse() {
                exchange.counters.head_refused.bump();
            } else if error.is_timeout() {
                exchange.counters.idle.bump();
            }
            tracing::debug!(%error, protocol = "h1", "connection ended early");
            // Nobody was waiting for bytes if the next head was malformed (hyper has answered it) or never came.
            error.is_parse() || error.is_timeout()
        }
    };
    if orderly {
        stream.settle();
        close(stream).await;
    }
}

impl Carried for Incoming {
    async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await?;
            match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => return Some(Ok(data)),
                // Trailers.
                Ok(Err(_)) => {}
                Err(_) => return Some(Err(Broken)),
            }
        }
    }
}

/// Ready when a drain may end the connection between two requests.
async fn time_to_go(stop: &Stop, was_asked: &AtomicBool) {
    stop.drain.cancelled().await;
    if !was_asked.load(Ordering::Relaxed) {
        sleep(FIRST_REQUEST).await;
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Counts from the end of the last answer: this is the idle limit. `HeadDeadline` cuts a slow head.
        .header_read_timeout(limits.idle)
        .max_headers(limits.head_fields)
        .max_header_size(limits.head_bytes as usize);
    builder
}

/// Ends our half, then reads what the peer still sends, within bounds.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let ending = async {
        if stream.shutdown().await.is_ok() {
            let _ = tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await;
        }
    };
    let _ = timeout(LINGER, ending).await;
}

/// The body, and the news that it is done.
struct Watched {
    body: Followed,
    busy: Busy,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.busy.set(false);
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
