//! Two deadlines that hyper does not keep: a request head that never ends, and a peer that never reads.
//!
//! hyper's own header timeout also runs while a kept-alive connection is idle, so it serves as the idle limit and
//! [`HeadDeadline`] does its job from the first byte of a head on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::counters::Counters;

/// Set while a connection works on a request, that is: while bytes that come are not the head we wait for.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(crate) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
}

/// A stream that can be broken off so that the peer notices.
pub(crate) trait Breakable {
    /// Makes the coming close a reset instead of an orderly end.
    fn break_off(&self);
}

/// Fails reads when a head was begun and not finished in time. Dropped without [`HeadDeadline::settle`], for example
/// because a drain ran out of time, it breaks the connection off.
pub(crate) struct HeadDeadline<S: Breakable> {
    inner: S,
    busy: Busy,
    limit: Duration,
    counters: Arc<Counters>,
    timer: Option<Pin<Box<Sleep>>>,
    settled: bool,
}

impl<S: Breakable> HeadDeadline<S> {
    pub(crate) fn new(inner: S, busy: Busy, limit: Duration, counters: Arc<Counters>) -> Self {
        Self { inner, busy, limit, counters, timer: None, settled: false }
    }

    /// All answers were written whole: from here on a close is an orderly one, and reads have no deadline here.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
        self.busy.set(true);
    }
}

impl<S: Breakable> Drop for HeadDeadline<S> {
    fn drop(&mut self) {
        if !self.settled {
            self.inner.break_off();
        }
    }
}

impl<S: Breakable + AsyncRead + Unpin> AsyncRead for HeadDeadline<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.busy.get() {
            self.timer = None;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        let came = buf.filled().len() > before;
        if came && self.timer.is_none() && !self.busy.get() {
            self.timer = Some(Box::pin(sleep(self.limit)));
        }
        if result.is_pending() && elapsed(&mut self.timer, cx) {
            self.counters.head_late.bump();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request head took too long")));
        }
        result
    }
}

/// Writing passes through the watchers of reading.
macro_rules! write_through {
    ($watcher:ident: $($bound:tt)*) => {
        impl<S: $($bound)*> AsyncWrite for $watcher<S> {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.inner.is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_shutdown(cx)
            }
        }
    };
}

write_through!(HeadDeadline: Breakable + AsyncWrite + Unpin);
write_through!(FirstBytes: AsyncWrite + Unpin);

/// Fails writes when the peer has not taken a byte for too long. Sits directly on the socket, below TLS.
pub(crate) struct WriteStall<S> {
    inner: S,
    limit: Duration,
    counters: Arc<Counters>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteStall<S> {
    pub(crate) fn new(inner: S, limit: Duration, counters: Arc<Counters>) -> Self {
        Self { inner, limit, counters, timer: None }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer = None;
            return result;
        }
        let limit = self.limit;
        self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if elapsed(&mut self.timer, cx) {
            self.counters.write_stalled.bump();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteStall<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteStall<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(cx, result)
    }
}

/// Fails reads when the first bytes of a connection do not come in time; does nothing afterwards.
pub(crate) struct FirstBytes<S> {
    inner: S,
    missing: usize,
    counters: Arc<Counters>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    pub(crate) fn new(inner: S, count: usize, limit: Duration, counters: Arc<Counters>) -> Self {
        Self { inner, missing: count, counters, timer: Some(Box::pin(sleep(limit))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.missing = self.missing.saturating_sub(buf.filled().len() - before);
        if self.missing == 0 {
            self.timer = None;
        }
        if result.is_pending() && elapsed(&mut self.timer, cx) {
            self.counters.head_late.bump();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection preface took too long")));
        }
        result
    }
}
