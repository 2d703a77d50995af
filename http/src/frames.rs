//! A budget for HTTP/2 frames that bring nothing.
//!
//! The h2 library bounds the memory that frames can cost, and what some of them can do (20 resets not looked at, 1,024
//! errors, five CONTINUATION frames for a head), but answers any number of SETTINGS and PING frames and swallows any
//! number of PRIORITY, WINDOW_UPDATE and unknown ones: 100,000 a second keep a core busy. So they are counted here, as
//! bytes come from the peer, before the library sees them. It is the number that is judged, not the meaning.
//!
//! Each such frame costs one credit, a reset two. Credits come from what makes frames necessary: bytes that we send
//! (one for a KiB: a reader updates two windows for a few of them), a request (one: browsers give each a priority),
//! and time. Nobody who plays, seeks, skips and pings comes near the end of the budget; a flood does in milliseconds.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::budget::Budget;
use crate::counters::Counters;
use crate::limits::Limits;

/// The connection preface before the first frame (RFC 9113 3.4).
const PREFACE_BYTES: usize = 24;
/// The header of every frame: length in 24 bits, type, flags, stream (RFC 9113 4.1).
const HEADER_BYTES: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// Frames of one direction, as far as a budget needs to know them. Pure.
struct Frames {
    /// Bytes to pass over: the preface, then each frame's payload.
    skip: usize,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    budget: Budget,
}

impl Frames {
    fn new(limits: &Limits, now: Instant) -> Self {
        let budget = Budget::new(limits.idle_frames, limits.idle_frames_per_second, now);
        Self { skip: PREFACE_BYTES, header: [0; HEADER_BYTES], header_bytes: 0, budget }
    }

    /// Whether the budget bears these bytes of the peer. The clock is asked only when it seems that it does not.
    fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> bool {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.skip);
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(HEADER_BYTES - self.header_bytes);
            self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            bytes = &bytes[taken..];
            if self.header_bytes == HEADER_BYTES && !self.begin(&now) {
                return false;
            }
        }
        true
    }

    /// A frame begins.
    fn begin(&mut self, now: &impl Fn() -> Instant) -> bool {
        let [a, b, c, kind, ..] = self.header;
        self.header_bytes = 0;
        self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
        match kind {
            HEADERS => {
                self.budget.earn(1);
                true
            }
            RST_STREAM => self.budget.spend(2, now),
            _ => self.budget.spend(1, now),
        }
    }
}

/// The stream below HTTP/2, which fails when the peer's frames have used the budget up.
pub(crate) struct FrameBudget<S> {
    inner: S,
    frames: Frames,
    counters: Arc<Counters>,
}

impl<S> FrameBudget<S> {
    pub(crate) fn new(inner: S, limits: &Limits, counters: Arc<Counters>) -> Self {
        Self { inner, frames: Frames::new(limits, Instant::now()), counters }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameBudget<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if !self.frames.read(&buf.filled()[before..], Instant::now) {
            self.counters.h2_flooded.bump();
            return Poll::Ready(Err(io::Error::other("too many frames that bring nothing")));
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> FrameBudget<S> {
    fn wrote(&mut self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = result {
            self.frames.budget.earn_bytes(*count as u64);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameBudget<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.wrote(&result);
        result
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
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut frame = u32::try_from(payload).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 0]);
        frame.resize(HEADER_BYTES + payload, 0xff);
        frame
    }

    fn frames(credits: u32, per_second: u32) -> (Frames, Instant) {
        let limits = Limits { idle_frames: credits, idle_frames_per_second: per_second, ..Limits::default() };
        let now = Instant::now();
        let mut frames = Frames::new(&limits, now);
        assert!(frames.read(&[b'x'; PREFACE_BYTES], || now));
        (frames, now)
    }

    #[test]
    fn a_flood_ends_and_time_bytes_and_requests_refill() {
        // Nobody reads on after a refusal, so the payloads that would follow are left out.
        let (mut frames, start) = frames(3, 10);
        for _ in 0..3 {
            assert!(frames.read(&frame(PING, 0), || start));
        }
        assert!(!frames.read(&frame(PING, 0), || start));
        assert!(frames.read(&frame(PING, 0), || start + Duration::from_millis(100)));
        assert!(!frames.read(&frame(SETTINGS, 0), || start + Duration::from_millis(100)));
        frames.budget.earn_bytes(1024);
        assert!(frames.read(&frame(SETTINGS, 0), || start + Duration::from_millis(100)));
        assert!(frames.read(&frame(HEADERS, 40), || start + Duration::from_millis(100)));
        assert!(frames.read(&frame(PING, 0), || start + Duration::from_millis(100)));
    }

    #[test]
    fn a_request_does_not_pay_for_its_reset() {
        let (mut frames, now) = frames(100, 0);
        let mut pairs = 0;
        while frames.read(&[frame(HEADERS, 40), frame(RST_STREAM, 4)].concat(), || now) {
            pairs += 1;
        }
        assert!((98..=101).contains(&pairs), "{pairs}");
    }

    proptest! {
        /// Frames are counted the same in whatever pieces they come.
        #[test]
        fn pieces_do_not_matter(kinds in prop::collection::vec((0u8..12, 0usize..40), 1..60), step in 1usize..50) {
            let bytes: Vec<u8> = kinds.iter().flat_map(|(kind, payload)| frame(*kind, *payload)).collect();
            let (mut whole, now) = frames(1_000, 0);
            let (mut pieces, _) = frames(1_000, 0);
            prop_assert!(whole.read(&bytes, || now));
            prop_assert!(bytes.chunks(step).all(|piece| pieces.read(piece, || now)));
            prop_assert_eq!(whole.budget.left(), pieces.budget.left());
            // The naive count: what each costs, and a request's credit as far as the budget has room for it.
            let expected = kinds.iter().fold(1_000u64, |left, (kind, _)| match *kind {
                HEADERS => (left + 1).min(1_000),
                RST_STREAM => left - 2,
                _ => left - 1,
            });
            prop_assert_eq!(whole.budget.left(), expected * 1024);
        }
    }
}
