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
//! What is encrypted and not taken by the socket is memory of this process for as long as the peer is slow: TLS is given
//! in one piece what the socket will take, and little of what it may refuse ([`Room`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::unsent::Unsent;
use crate::watch::Breakable;

/// What fits one segment with the 22 bytes that a TLS 1.3 record adds, also over IPv6 and in a tunnel (an MTU of
/// 1,460 and more, with timestamps). Unit: bytes.
const SEGMENT: usize = 1_360;
/// The header of an HTTP/2 frame (RFC 9113 4.1). Unit: bytes.
const FRAME_HEADER: usize = 9;
/// A connection that was silent for so long has lost its window: the kernel takes it back after one retransmission
/// timeout, at least 200 ms and a round trip and more.
const SILENCE: Duration = Duration::from_secs(1);
/// What TLS may hold that the socket has not taken, of a peer who keeps up: an answer of 64 KiB with its head leaves as
/// one.
pub(crate) const TLS_BUFFER_BYTES: usize = 68 * 1024;
/// A full record's worth (RFC 8446 5.1). Unit: bytes.
const RECORD: usize = 16 * 1024;
/// Of what a socket took without a pause, the part that TLS may hold in case that it takes no more.
const HELD_PART: usize = 8;
/// What TLS may hold for anybody: smaller records would be mostly system calls. Unit: bytes.
const HELD_LEAST: usize = 4 * 1024;
/// Slices that one record is gathered from; what lies beyond goes into the next.
const SLICES: usize = 8;

/// Pieces of `bytes` until `until` bytes have been sent.
struct Step {
    until: usize,
    bytes: usize,
}

/// The first window is 14 KB, and a page of sound is 8 KB: every segment of it counts. The next two windows reach to
/// 64 KiB, the first chunk a player asks for; a third of the records loses at most two segments at a window's end.
const RECORDS: [Step; 2] = [Step { until: 16 * 1024, bytes: SEGMENT }, Step { until: 64 * 1024, bytes: 3 * SEGMENT }];
/// Frames fill records. Beyond two windows a player has begun, and full frames cost less.
const FRAMES: [Step; 2] = [
    Step { until: 16 * 1024, bytes: SEGMENT - FRAME_HEADER },
    Step { until: 32 * 1024, bytes: 3 * SEGMENT - FRAME_HEADER },
];

/// The rule: how large the next piece may be. Pure.
struct Flight {
    steps: &'static [Step],
    sent: usize,
    last: Instant,
    /// Something was asked for since the last piece.
    is_asked: bool,
}

impl Flight {
    fn new(steps: &'static [Step], now: Instant) -> Self {
        Self { steps, sent: 0, last: now, is_asked: false }
    }

    /// The size of the next piece; None means any. To be asked whenever something is to be sent.
    fn piece(&mut self, now: Instant) -> Option<usize> {
        let is_asked = std::mem::take(&mut self.is_asked);
        if is_asked && now.saturating_duration_since(self.last) >= SILENCE {
            self.sent = 0;
        }
        self.last = now;
        self.steps.iter().find(|step| self.sent < step.until).map(|step| step.bytes)
    }

    fn took(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    fn asked(&mut self) {
        self.is_asked = true;
    }
}

/// How much TLS may hold for a socket, by what the socket took lately. Pure.
///
/// What a socket took between two refusals it will take again, so that goes in one piece; the further it goes beyond, the
/// larger the pieces get again. What it then refuses is held, and is small: a listener at the pace of music takes 64 KiB
/// at a time, since with 128 KiB unsent (`limits.rs`) the kernel refuses more, and asks for more when half has gone.
struct Room {
    /// Bytes that were taken since some were refused.
    taken: usize,
    /// Bytes that were taken before.
    before: usize,
    /// The last that it was asked for it did not take.
    is_refusing: bool,
}

impl Room {
    /// The kernel's buffer of a new connection takes a first answer.
    fn new() -> Self {
        Self { taken: 0, before: TLS_BUFFER_BYTES, is_refusing: false }
    }

    /// Unit: bytes.
    fn bytes(&self) -> usize {
        let sure = self.before.saturating_sub(self.taken);
        let beyond = self.taken.saturating_sub(self.before);
        sure.max(beyond.min(self.taken / HELD_PART)).clamp(HELD_LEAST, TLS_BUFFER_BYTES)
    }

    fn heed(&mut self, written: &Poll<io::Result<usize>>) {
        self.is_refusing = written.is_pending();
        match written {
            Poll::Ready(Ok(bytes)) => self.taken = self.taken.saturating_add(*bytes),
            // Asked twice, it refuses twice.
            Poll::Pending if self.taken > 0 => (self.before, self.taken) = (self.taken, 0),
            Poll::Pending | Poll::Ready(Err(_)) => {}
        }
    }
}

/// The sizes of the DATA frames of one HTTP/2 connection. Clones are of the same.
#[derive(Clone)]
pub(crate) struct FirstFrames(Arc<Mutex<Flight>>);

impl FirstFrames {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Flight::new(&FRAMES, Instant::now()))))
    }

    /// How many of `bytes` that can be sent go into the next frame: no more than fills a record with its header, which
    /// would otherwise need a second record for nine bytes. They count as sent.
    pub(crate) fn next(&self, bytes: usize) -> usize {
        let mut flight = self.0.lock().expect("no code panics while holding it");
        let bytes = flight.piece(Instant::now()).unwrap_or(RECORD - FRAME_HEADER).min(bytes);
        flight.took(bytes);
        bytes
    }

    /// A request came.
    pub(crate) fn asked(&self) {
        self.0.lock().expect("no code panics while holding it").asked();
    }
}

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
}

/// For a writer that flushes after each of its frames, each of which would end in a segment that is not full, and cost a
/// system call: its flushes are put off until its turn is over. Clones are of the same.
#[derive(Clone, Default)]
pub(crate) struct Together(Arc<Flushes>);

#[derive(Default)]
struct Flushes {
    /// A flush was answered and not done.
    is_put_off: AtomicBool,
    /// Somebody asks [`Together::is_due`] at the end of each turn; else the task is woken for another one.
    is_attended: AtomicBool,
    /// A request came since the last piece.
    is_asked: AtomicBool,
}

impl Together {
    /// Promises that [`is_due`](Self::is_due) will be asked.
    pub(crate) fn attend(&self) {
        self.0.is_attended.store(true, Ordering::Relaxed);
    }

    /// Whether a flush was put off. It is done when the stream is read next and has nothing.
    pub(crate) fn is_due(&self) -> bool {
        self.0.is_put_off.load(Ordering::Relaxed)
    }

    /// A request came. The stream cannot tell: most of what it reads makes room for an answer under way.
    pub(crate) fn asked(&self) {
        self.0.is_asked.store(true, Ordering::Relaxed);
    }

    fn put_off(&self, cx: &Context<'_>) {
        self.0.is_put_off.store(true, Ordering::Relaxed);
        if !self.0.is_attended.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
    }

    fn done(&self) {
        self.0.is_put_off.store(false, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FirstFlight<S> {
    pub(crate) fn new(mut inner: Box<TlsStream<Cork<S>>>, together: Option<Together>) -> Self {
        inner.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        let flight = Flight::new(&RECORDS, Instant::now());
        Self { inner, flight, together, has_gathered: false, room: TLS_BUFFER_BYTES }
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
        if self.together.as_ref().is_some_and(|together| together.0.is_asked.swap(false, Ordering::Relaxed)) {
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
        if result.is_pending() && self.together.as_ref().is_some_and(Together::is_due) {
            // If it has to wait instead, the socket wakes this task, and the next write or flush goes on with it.
            if let Poll::Ready(Err(error)) = self.flush_now(cx) {
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
        match &self.together {
            Some(together) if self.has_gathered => {
                together.put_off(cx);
                self.has_gathered = false;
                Poll::Ready(Ok(()))
            }
            _ => self.flush_now(cx),
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

/// Below TLS: takes nothing while it is in, so that records gather above. Who puts it in pulls it out before it
/// returns; nobody is woken by it. While it is out it sees what the socket takes.
pub(crate) struct Cork<S> {
    inner: S,
    is_in: bool,
    room: Room,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::ClientConfig;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::{Certificates, DevCerts, KeyExchange, TicketSecret, tls};

    #[test]
    fn pieces_grow_and_are_small_again_for_who_asks_after_a_silence() {
        let start = Instant::now();
        let mut flight = Flight::new(&RECORDS, start);
        let mut sizes = Vec::new();
        while let Some(piece) = flight.piece(start) {
            flight.took(piece);
            sizes.push(piece);
        }
        assert_eq!((sizes[0], sizes[12], sizes[13]), (SEGMENT, SEGMENT, 3 * SEGMENT));
        assert!((64 * 1024..68 * 1024).contains(&sizes.iter().sum::<usize>()), "{sizes:?}");
        assert_eq!(flight.piece(start + SILENCE / 2), None);
        flight.asked();
        assert_eq!(flight.piece(start + SILENCE), None, "a piece left half a silence ago");
        assert_eq!(flight.piece(start + 2 * SILENCE), None, "nobody waits for it");
        flight.asked();
        assert_eq!(flight.piece(start + 3 * SILENCE), Some(SEGMENT));
    }

    #[test]
    fn a_socket_is_given_in_one_piece_what_it_took_before_and_then_little() {
        let mut room = Room::new();
        assert_eq!(room.bytes(), TLS_BUFFER_BYTES);
        let takes = |room: &mut Room, bytes| room.heed(&Poll::Ready(Ok(bytes)));
        // A listener: the kernel's buffer is full after 150 KiB, and from then on after 66.
        takes(&mut room, 150 * 1024);
        room.heed(&Poll::Pending);
        takes(&mut room, 66 * 1024);
        for _ in 0..2 {
            room.heed(&Poll::Pending);
        }
        assert_eq!(room.bytes(), 66 * 1024);
        takes(&mut room, 64 * 1024);
        assert_eq!(room.bytes(), HELD_LEAST);
        // Who takes more gets more.
        takes(&mut room, 64 * 1024);
        assert_eq!(room.bytes(), 16 * 1024);
        takes(&mut room, 1024 * 1024);
        assert_eq!(room.bytes(), TLS_BUFFER_BYTES);
    }

    /// With a buffer that takes `cycle` after each refusal, whatever it was before: how many pieces, and what is held.
    #[test]
    fn the_room_finds_the_size_of_any_buffer() {
        for cycle in [2, 5, 17, 40, 66, 130, 400].map(|kib| kib * 1024) {
            for before in [1, 30, 68, 500].map(|kib| kib * 1024) {
                let mut room = Room { taken: 0, before, is_refusing: false };
                let mut free = cycle;
                let (mut pieces, mut cycles, mut held) = (0, 0, 0);
                while cycles < 20 {
                    let bytes = room.bytes();
                    pieces += 1;
                    room.heed(&Poll::Ready(Ok(bytes.min(free))));
                    if bytes > free {
                        room.heed(&Poll::Pending);
                        (cycles, held, free) = (cycles + 1, bytes - free, cycle);
                        // What was held goes first.
                        room.heed(&Poll::Ready(Ok(held.min(free))));
                        free -= held.min(free);
                    } else {
                        free -= bytes;
                    }
                }
                assert!(held <= (cycle / HELD_PART).max(HELD_LEAST), "{cycle} {before}: {held}");
                assert!(pieces <= cycles * (4 + cycle / TLS_BUFFER_BYTES), "{cycle} {before}: {pieces}");
            }
        }
    }

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

    #[tokio::test]
    async fn a_slow_reader_costs_a_small_record_and_few_system_calls() {
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
        let written = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&written);
        let serving = tokio::spawn(async move {
            let stream = TlsAcceptor::from(Arc::new(server)).accept(Cork::new(near)).await.unwrap();
            let mut stream = FirstFlight::new(Box::new(stream), None);
            let music = vec![7; 512 * 1024];
            while let Ok(bytes) = stream.write(&music).await {
                counted.fetch_add(bytes, Ordering::Relaxed);
            }
        });
        let name = "localhost".try_into().unwrap();
        let mut reader = TlsConnector::from(client).connect(name, far).await.unwrap();
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
