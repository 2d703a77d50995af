//! What stands between TLS and the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::room::Room;
use crate::unsent::Unsent;
use crate::watch::Breakable;

/// Below TLS: takes nothing while it is in, so that records gather above. Who puts it in pulls it out before it
/// returns; nobody is woken by it. While it is out it sees what the socket takes.
pub(crate) struct Cork<S> {
    inner: S,
    pub(super) is_in: bool,
    pub(super) room: Room,
}

impl<S> Cork<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, is_in: false, room: Room::new() }
    }
}

impl<S: Breakable> Breakable for Cork<S> {
    fn break_off(&self) {
        self.inner.break_off();
    }
}

impl<S: Unsent> Unsent for Cork<S> {
    fn unsent(&self) -> Option<u64> {
        self.inner.unsent()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_in {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.room.heed(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_in {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.room.heed(&written);
        written
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
