//! The first bytes of a TLS connection, in pieces that a client can use as they come.
//!
//! A client can do nothing with a part of a TLS record, and most can do nothing with a part of an HTTP/2 DATA frame.
//! A sender's first window is ten segments (RFC 6928), less than one full record, so an answer that begins with a
//! full record gives nothing to hear before the second round trip. Here the first bytes leave in records of one
//! segment, then of three, then in full ones; the frames of an HTTP/2 body grow likewise. After a silence the window
//! is small again (RFC 5681 4.1), and so are the pieces of whatever is asked for then. What a listener takes of a track
//! that plays comes after silences too, but nobody waits for its first bytes.
//!
//! A window is counted in segments, so it also matters that they are full. Small records are made in one go and leave
//! with one system call: while [`FirstFlight`] makes them, the [`Cork`] below TLS takes nothing, so that they gather
//! inside TLS until the writer flushes. The full records of HTTP/2, whose library would write and flush each frame by
//! itself, gather in the same way for as long as the connection lives.
//!
//! What a server says before its first answer (session tickets, SETTINGS and their acknowledgement) no client waits for
//! that asks at once, and each by itself would take a segment of the first window from the answer. It waits for the answer,
//! or for [`OPENING`].
//!
//! What is encrypted and not taken by the socket is memory of this process for as long as the peer is slow: TLS is given
//! in one piece what the socket will take, and little of what it may refuse ([`room`]).

mod cork;
mod pieces;
mod room;
mod together;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

pub(crate) use cork::Cork;
pub(crate) use pieces::FirstFrames;
use pieces::{Flight, RECORD, RECORDS};
pub(crate) use room::TLS_BUFFER_BYTES;
pub(crate) use together::Together;

use crate::unsent::Unsent;
use crate::watch::Breakable;

/// Slices that one record is gathered from; what lies beyond goes into the next.
const SLICES: usize = 8;

/// How long what is said before the first answer waits for it: longer than an answer from the cache takes, and little for a
/// client that asks only after SETTINGS.
const OPENING: Duration = Duration::from_millis(2);

/// A TLS stream whose first bytes leave in small records.
pub(crate) struct FirstFlight<S> {
    /// Boxed: it is passed on by layer after layer, each of which would keep its size free in the connection's task.
    inner: Box<TlsStream<Cork<S>>>,
    flight: Flight,
    /// Who flushes together what was written and flushed by the frame; None where a flush flushes.
    together: Option<Together>,
    /// Records were made since the last flush was asked for.
    has_gathered: bool,
    /// What TLS was last allowed to hold. Unit: bytes.
    room: usize,
    /// Until it is over, what is flushed before an answer may wait; None when it is.
    opening: Option<Pin<Box<Sleep>>>,
    /// Something waits for the end of the opening.
    is_waiting: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FirstFlight<S> {
    pub(crate) fn new(mut inner: Box<TlsStream<Cork<S>>>, together: Option<Together>) -> Self {
        let (cork, session) = inner.get_mut();
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        cork.shook();
        let is_waiting = cork.keeps_tickets();
        let flight = Flight::new(&RECORDS, Instant::now());
        let opening = Some(Box::pin(sleep(OPENING)));
        Self { inner, flight, together, has_gathered: false, room: TLS_BUFFER_BYTES, opening, is_waiting }
    }

    /// Whether what was flushed before the first answer still waits for it.
    fn is_opening(&mut self) -> bool {
        if self.together.as_ref().is_some_and(Together::is_answering) {
            self.opening = None;
        }
        self.opening.is_some()
    }

    /// Nothing more came in: what waited leaves if it is time. It is asked again when the opening is over.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_due = self.together.as_ref().is_some_and(Together::is_due);
        if !is_due && !self.is_waiting {
            return Poll::Ready(Ok(()));
        }
        if self.is_opening() && self.opening.as_mut().is_some_and(|opening| opening.as_mut().poll(cx).is_pending()) {
            self.is_waiting = true;
            if let Some(together) = &self.together {
                together.done();
            }
            return Poll::Pending;
        }
        self.flush_now(cx)
    }

    /// What TLS may hold now, of which it is told. What the socket has refused is offered to it again first: TLS would
    /// send it and then fill itself once more, to a measure that was taken before.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inner.get_ref().0.room.is_refusing {
            ready!(self.flush_now(cx))?;
        }
        Poll::Ready(Ok(self.room()))
    }

    fn room(&mut self) -> usize {
        let (cork, session) = self.inner.get_mut();
        let room = cork.room.bytes();
        if room != self.room {
            session.set_buffer_limit(Some(room));
            self.room = room;
        }
        room
    }

    /// The size of the next piece that is to gather; None where nothing is.
    fn piece(&mut self, now: Instant) -> Option<usize> {
        if self.together.as_ref().is_some_and(|together| together.was_asked()) {
            self.flight.asked();
        }
        self.flight.piece(now).or(self.together.is_some().then_some(RECORD))
    }

    /// Makes records of the steps' sizes out of as much as TLS has room for. They leave with the next flush, or with
    /// the first full record.
    fn write_pieces(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        mut piece: usize,
        now: Instant,
    ) -> Poll<io::Result<usize>> {
        let total = bufs.iter().map(|buf| buf.len()).sum();
        let mut taken = 0;
        self.inner.get_mut().0.is_in = true;
        let result = loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = window(bufs, taken, piece, &mut slices);
            match Pin::new(&mut self.inner).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {
                    taken += bytes;
                    self.flight.took(bytes);
                    self.has_gathered = true;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                // TLS is full.
                _ if taken > 0 => break Poll::Ready(Ok(taken)),
                // It was before we began: now it may write, and wakes us when it has. So does every flush that waits.
                _ => {
                    if let Some(together) = &self.together {
                        together.done();
                    }
                    self.inner.get_mut().0.is_in = false;
                    break Pin::new(&mut self.inner).poll_write_vectored(cx, &slices[..count]);
                }
            }
            match self.piece(now).filter(|_| taken < total) {
                Some(bytes) => piece = bytes,
                None => break Poll::Ready(Ok(taken)),
            }
        };
        self.inner.get_mut().0.is_in = false;
        result
    }

    fn flush_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_gathered = false;
        self.is_waiting = false;
        self.opening = None;
        if let Some(together) = &self.together {
            together.done();
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }
}

/// How many of `bytes` TLS is given at once: all of them if it may hold them, else so many as make full records, if any.
fn at_once(bytes: usize, room: usize) -> usize {
    match room / RECORD * RECORD {
        _ if bytes <= room => bytes,
        0 => room,
        whole => whole,
    }
}

/// Up to `bytes` of these, after the first `skipped`, into `slices`; how many slices.
fn window<'a>(
    bufs: &'a [IoSlice<'_>],
    mut skipped: usize,
    mut bytes: usize,
    slices: &mut [IoSlice<'a>; SLICES],
) -> usize {
    let mut count = 0;
    for buf in bufs {
        let rest = &buf[skipped.min(buf.len())..];
        skipped -= buf.len() - rest.len();
        if rest.is_empty() {
            continue;
        }
        if bytes == 0 || count == SLICES {
            break;
        }
        slices[count] = IoSlice::new(&rest[..rest.len().min(bytes)]);
        bytes -= slices[count].len();
        count += 1;
    }
    count
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FirstFlight<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if self.together.is_none() && buf.filled().len() > filled {
            self.flight.asked();
        }
        if result.is_pending() {
            // If it has to wait instead, the socket wakes this task, and the next write or flush goes on with it.
            if let Poll::Ready(Err(error)) = self.poll_waiting(cx) {
                return Poll::Ready(Err(error));
            }
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FirstFlight<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let (now, room) = (Instant::now(), ready!(self.poll_room(cx))?);
        match self.piece(now) {
            Some(piece) if !buf.is_empty() => self.write_pieces(cx, &[IoSlice::new(buf)], piece, now),
            _ => Pin::new(&mut self.inner).poll_write(cx, &buf[..at_once(buf.len(), room)]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (now, room) = (Instant::now(), ready!(self.poll_room(cx))?);
        let total = bufs.iter().map(|buf| buf.len()).sum();
        match self.piece(now) {
            Some(piece) if total > 0 => self.write_pieces(cx, bufs, piece, now),
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = window(bufs, 0, at_once(total, room), &mut slices);
                Pin::new(&mut self.inner).poll_write_vectored(cx, &slices[..count])
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_gathered && self.together.is_some() {
            self.has_gathered = false;
            self.together.iter().for_each(|together| together.put_off(cx));
            return Poll::Ready(Ok(()));
        }
        // A flush of nothing new does not hurry what waits.
        let waits = self.is_waiting || self.together.as_ref().is_some_and(Together::is_due);
        match self.together.is_some() && waits && self.is_opening() {
            true => Poll::Ready(Ok(())),
            false => self.flush_now(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: Breakable> Breakable for FirstFlight<S> {
    fn break_off(&self) {
        self.inner.get_ref().0.break_off();
    }
}

impl<S: Unsent> Unsent for FirstFlight<S> {
    fn unsent(&self) -> Option<u64> {
        self.inner.unsent()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::ClientConfig;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::room::HELD_LEAST;
    use super::*;
    use crate::{Certificates, DevCerts, KeyExchange, TicketSecret, tls};

    /// What a kernel does for a listener: it takes until `FULL` bytes are unsent, and then no more until half of them are
    /// gone.
    struct Kernel<S> {
        inner: S,
        unsent: Arc<Mutex<Unsent>>,
    }

    #[derive(Default)]
    struct Unsent {
        bytes: usize,
        writes: usize,
        waiting: Option<std::task::Waker>,
    }

    const FULL: usize = 128 * 1024;

    impl Unsent {
        fn was_read(&mut self, bytes: usize) {
            self.bytes -= bytes;
            if self.bytes < FULL / 2 {
                self.waiting.take().into_iter().for_each(std::task::Waker::wake);
            }
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Kernel<S> {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let mut unsent = self.unsent.lock().unwrap();
            if unsent.waiting.is_some() || unsent.bytes >= FULL {
                unsent.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(FULL - unsent.bytes).collect();
            unsent.bytes += bytes.len();
            unsent.writes += 1;
            drop(unsent);
            let taken = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes));
            assert_eq!(taken.as_ref().unwrap(), &bytes.len(), "the pipe below has room");
            Poll::Ready(taken)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_shutdown(cx)
        }
    }

    impl<S: AsyncRead + Unpin> AsyncRead for Kernel<S> {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        }
    }

    /// The two ends of a connection that has just shaken hands, and the server's kernel.
    async fn connected(together: Option<Together>) -> (Served, Client, Arc<Mutex<Unsent>>) {
        let folder = tempfile::tempdir().unwrap();
        let certs = DevCerts::ensure(folder.path(), &[], SystemTime::now()).unwrap();
        let certificates = Certificates::load(&certs.server, &certs.server_key).unwrap();
        let tickets = TicketSecret::random().unwrap();
        let server = tls::tcp_server(&certificates, None, &tickets, KeyExchange::Classical).unwrap();
        let client = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions();
        let roots = tls::read_roots(&certs.ca).unwrap();
        let client = Arc::new(client.unwrap().with_root_certificates(roots).with_no_client_auth());
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let unsent = Arc::new(Mutex::new(Unsent::default()));
        let near = Kernel { inner: near, unsent: Arc::clone(&unsent) };
        let name = "localhost".try_into().unwrap();
        let (stream, reader) = tokio::join!(
            TlsAcceptor::from(Arc::new(server)).accept(Cork::new(near)),
            TlsConnector::from(client).connect(name, far)
        );
        (FirstFlight::new(Box::new(stream.unwrap()), together), reader.unwrap(), unsent)
    }

    type Served = FirstFlight<Kernel<tokio::io::DuplexStream>>;
    type Client = tokio_rustls::client::TlsStream<tokio::io::DuplexStream>;

    #[tokio::test]
    async fn what_nobody_waits_for_leaves_with_the_first_answer() {
        let together = Together::default();
        together.attend();
        let (mut stream, mut reader, unsent) = connected(Some(together.clone())).await;
        stream.opening = Some(Box::pin(sleep(Duration::from_secs(60))));
        let before = unsent.lock().unwrap().writes;
        stream.write_all(b"settings").await.unwrap();
        stream.flush().await.unwrap();
        let mut nothing = [0];
        assert!(futures_util::poll!(std::pin::pin!(stream.read(&mut nothing))).is_pending());
        stream.flush().await.unwrap();
        stream.write_all(b"acknowledged").await.unwrap();
        stream.flush().await.unwrap();
        assert!(futures_util::poll!(std::pin::pin!(stream.read(&mut nothing))).is_pending());
        assert_eq!(unsent.lock().unwrap().writes, before, "something left by itself");
        assert!(!together.is_due(), "asked again at once, it would wait at full speed");
        together.answering();
        stream.write_all(b"answer").await.unwrap();
        stream.flush().await.unwrap();
        assert!(futures_util::poll!(std::pin::pin!(stream.read(&mut nothing))).is_pending());
        assert_eq!(unsent.lock().unwrap().writes, before + 1);
        let mut all = [0; 26];
        reader.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"settingsacknowledgedanswer");
    }

    #[tokio::test]
    async fn without_an_answer_it_leaves_after_a_moment() {
        for together in [None, Some(Together::default())] {
            let is_h2 = together.is_some();
            let (mut stream, mut reader, unsent) = connected(together).await;
            let before = unsent.lock().unwrap().writes;
            if is_h2 {
                stream.write_all(b"settings").await.unwrap();
                stream.flush().await.unwrap();
            }
            let mut nothing = [0];
            let served = async { stream.read(&mut nothing).await };
            let read = async {
                if is_h2 {
                    reader.read_exact(&mut [0; 8]).await.unwrap();
                } else {
                    sleep(20 * OPENING).await;
                }
            };
            tokio::select! {
                _ = served => panic!("nobody asked"),
                () = read => {}
            }
            assert_eq!(unsent.lock().unwrap().writes, before + 1, "{is_h2}: tickets and all in one");
        }
    }

    #[tokio::test]
    async fn a_slow_reader_costs_a_small_record_and_few_system_calls() {
        let (mut stream, mut reader, unsent) = connected(None).await;
        let written = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&written);
        let serving = tokio::spawn(async move {
            let music = vec![7; 512 * 1024];
            while let Ok(bytes) = stream.write(&music).await {
                counted.fetch_add(bytes, Ordering::Relaxed);
            }
        });
        let (mut read, mut held, mut writes) = (0, 0, 0);
        while read < 2048 * 1024 {
            let mut some = [0; 1024];
            reader.read_exact(&mut some).await.unwrap();
            read += some.len();
            unsent.lock().unwrap().was_read(some.len());
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            if read == 1024 * 1024 {
                writes = unsent.lock().unwrap().writes;
            }
            if read > 1024 * 1024 {
                let behind = read + unsent.lock().unwrap().bytes;
                held = held.max(written.load(Ordering::Relaxed).saturating_sub(behind));
            }
        }
        serving.abort();
        assert!(held <= 2 * HELD_LEAST, "{held} bytes were held beside the kernel's");
        let writes = unsent.lock().unwrap().writes - writes;
        assert!(writes <= 16 * 3, "{writes} writes for a MiB: a record at a time takes 64");
    }

    #[test]
    fn a_record_is_gathered_from_slices() {
        let bufs = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"body"), IoSlice::new(b"tail")];
        let gathered = |skipped, bytes| {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = window(&bufs, skipped, bytes, &mut slices);
            slices[..count].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(gathered(0, 6), b"headbo");
        assert_eq!(gathered(6, 6), b"dytail");
        assert_eq!(gathered(8, 2), b"ta");
        assert_eq!(gathered(12, 2), b"");
    }
}
