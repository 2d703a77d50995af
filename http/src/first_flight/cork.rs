//! What stands between TLS and the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::room::Room;
use crate::unsent::Unsent;
use crate::watch::Breakable;

/// The first byte of an encrypted record (RFC 8446 5.2). What a server sends in the clear while it shakes hands is awaited;
/// what it sends encrypted by itself, in a write of its own, are tickets.
const ENCRYPTED: u8 = 23;
/// Of tickets, two of about 100 bytes each. More is no ticket. Unit: bytes.
const TICKETS_BYTES_MAX: usize = 1024;
/// Beyond an alert, which is encrypted as well and says why there will be no connection: 24 bytes with its record (RFC 8446
/// 6). Unit: bytes.
const ALERT_BYTES_MAX: usize = 64;
/// Slices of one write to the socket: rustls hands over up to 64 records, and more than this would not be full ones.
const SLICES: usize = 32;

/// Below TLS: takes nothing while it is in, so that records gather above. Who puts it in pulls it out before it
/// returns; nobody is woken by it. While it is out it sees what the socket takes.
///
/// Session tickets, for which no client waits, stay here until something else leaves or is flushed, so that they do not
/// fill a segment of the first window by themselves.
pub(crate) struct Cork<S> {
    inner: S,
    pub(super) is_in: bool,
    pub(super) room: Room,
    is_shaking: bool,
    tickets: Vec<u8>,
}

impl<S> Cork<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, is_in: false, room: Room::new(), is_shaking: true, tickets: Vec::new() }
    }

    /// The handshake is complete: what was kept back may leave.
    pub(super) fn shook(&mut self) {
        self.is_shaking = false;
    }

    pub(super) fn keeps_tickets(&self) -> bool {
        !self.tickets.is_empty()
    }

    /// How many bytes of these are kept back; None if they have to leave.
    fn keep(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        let bytes: usize = bufs.iter().map(|buf| buf.len()).sum();
        let first = bufs.iter().find_map(|buf| buf.first());
        let are_tickets = self.is_shaking && first == Some(&ENCRYPTED) && bytes > ALERT_BYTES_MAX;
        let is_kept = are_tickets && self.tickets.len() + bytes <= TICKETS_BYTES_MAX;
        is_kept.then(|| {
            bufs.iter().for_each(|buf| self.tickets.extend_from_slice(buf));
            bytes
        })
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

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// What was kept back and then these; how many of these the socket took.
    fn poll_send(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.tickets.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            slices[0] = IoSlice::new(&self.tickets);
            let count = bufs.len().min(SLICES - 1);
            slices[1..=count].copy_from_slice(&bufs[..count]);
            let sent = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &slices[..=count]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let beyond = sent.saturating_sub(self.tickets.len());
            self.tickets.drain(..sent - beyond);
            if self.tickets.is_empty() {
                // They come once in a connection's life.
                self.tickets = Vec::new();
            }
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
        match bufs {
            [] => Poll::Ready(Ok(0)),
            [one] => Pin::new(&mut self.inner).poll_write(cx, one),
            more => Pin::new(&mut self.inner).poll_write_vectored(cx, more),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_in {
            return Poll::Pending;
        }
        if let Some(bytes) = self.keep(bufs) {
            return Poll::Ready(Ok(bytes));
        }
        let written = self.poll_send(cx, bufs);
        self.room.heed(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shaking {
            ready!(self.poll_send(cx, &[]))?;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_kept_and_an_alert_is_not() {
        let mut cork = Cork::new(());
        let record = |first: u8, bytes: usize| [vec![first], vec![0; bytes - 1]].concat();
        assert_eq!(cork.keep(&[IoSlice::new(&record(22, 300))]), None, "a server's first flight");
        assert_eq!(cork.keep(&[IoSlice::new(&record(ENCRYPTED, 24))]), None, "an alert");
        assert_eq!(cork.keep(&[IoSlice::new(&record(ENCRYPTED, 191))]), Some(191));
        assert_eq!(cork.keep(&[IoSlice::new(&record(ENCRYPTED, 900))]), None, "too much for tickets");
        cork.shook();
        assert_eq!(cork.keep(&[IoSlice::new(&record(ENCRYPTED, 191))]), None, "after the handshake");
    }
}
