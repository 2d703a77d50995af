//! What arrived of the bodies that one TCP connection carries, for their receipts.
//!
//! Three counts make it: how many bytes the stream below took (`written`), how many of these the peer's
//! system has not acknowledged ([`Unsent`]), and which of them are bytes of which body (`framing.rs`).
//! A byte counts when everything written up to it was acknowledged, so a receipt never tells more than
//! the peer's system has. Over HTTP/2 this holds for each stream by itself: frames say whose they are.
//!
//! A receipt is settled when its whole body was acknowledged, when its stream was given up and what is
//! under way of it has been acknowledged, or at the latest when the connection ends. Acknowledgements
//! wake nobody, so they are looked for when the peer sends something and at growing intervals.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::body::Body;
use crate::framing::{AnswerId, Framing, H1, H2};
use crate::receipt::{Delivered, End, Receipt};
use crate::unsent::Unsent;
use crate::watch::Breakable;

/// First and longest time between two looks for acknowledgements: a short round trip, and what a
/// delivery record may be late while a slow client drains a socket's buffer.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_secs(1);
/// Spans kept before acknowledgements are looked for out of turn: 4 MiB of HTTP/2 frames.
const SPANS: usize = 256;

/// The bodies of one connection. Clones are of the same.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

struct State {
    framing: Framing,
    written: u64,
    /// Body bytes that were written and not yet acknowledged, in the order of the output.
    spans: VecDeque<Span>,
    accounts: HashMap<AnswerId, Account>,
    answers: AnswerId,
    closed: bool,
}

/// `bytes` of a body, of which the last stands before `end` in the output.
struct Span {
    end: u64,
    bytes: u64,
    answer: AnswerId,
    /// Counts only as a whole: a body between whose bytes other ones stand.
    is_whole: bool,
}

/// One body and its receipt.
struct Account {
    receipt: Receipt,
    delivered: u64,
    /// Its spans that are not acknowledged yet.
    under_way: u64,
    /// How many bytes were taken out of it, and how it ended.
    ended: Option<(u64, End)>,
    /// Nothing more of it will be written.
    given_up: bool,
    waiting: Option<Waker>,
}

type Settled = (Receipt, Delivered, Option<Waker>);

impl Wire {
    pub(crate) fn h1() -> Self {
        Self::new(Framing::H1(H1::default()))
    }

    pub(crate) fn h2() -> Self {
        Self::new(Framing::H2(H2::default()))
    }

    fn new(framing: Framing) -> Self {
        let state =
            State { framing, written: 0, spans: VecDeque::new(), accounts: HashMap::new(), answers: 0, closed: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Follows the body of the next answer; `stream` is its stream on HTTP/2. Must be told of every answer, in
    /// the order in which they will be written on HTTP/1.1.
    pub(crate) fn watch(&self, mut body: Body, stream: Option<u32>) -> Followed {
        let receipt = body.take_receipt();
        let mut state = self.lock();
        let answer = state.answers;
        state.answers += 1;
        match (&mut state.framing, stream) {
            (Framing::H1(h1), _) => h1.announce(answer, body.declared_len()),
            (Framing::H2(h2), Some(stream)) if receipt.is_some() => h2.announce(stream, answer),
            (Framing::H2(_), _) => {}
        }
        if let Some(receipt) = receipt {
            let account = Account { receipt, delivered: 0, under_way: 0, ended: None, given_up: false, waiting: None };
            state.accounts.insert(answer, account);
        }
        drop(state);
        Followed { body, wire: self.clone(), answer, stream }
    }

    /// An HTTP/2 stream is over; its number will not come again.
    pub(crate) fn forget(&self, stream: u32) {
        if let Framing::H2(h2) = &mut self.lock().framing {
            h2.forget(stream);
        }
    }

    /// The stream below took the first `count` bytes of these.
    fn wrote<'a>(&self, slices: impl Iterator<Item = &'a [u8]>, mut count: usize) {
        let mut state = self.lock();
        for slice in slices {
            let mut bytes = &slice[..slice.len().min(count)];
            count -= bytes.len();
            while !bytes.is_empty() {
                let piece = state.framing.next(bytes);
                state.written += piece.bytes as u64;
                bytes = &bytes[piece.bytes..];
                if let Some(answer) = piece.answer {
                    state.add_span(answer, piece.bytes as u64, false);
                }
            }
        }
    }

    /// All that was produced has been written.
    fn flushed(&self) {
        let mut state = self.lock();
        let State { framing, accounts, .. } = &mut *state;
        let Framing::H1(h1) = framing else { return };
        let is_complete = |answer: AnswerId| {
            accounts.get(&answer).is_none_or(|account| matches!(account.ended, Some((_, End::Sent))))
        };
        if let Some(answer) = h1.flushed(is_complete) {
            let produced = accounts.get(&answer).and_then(|account| account.ended).map_or(0, |(produced, _)| produced);
            state.add_span(answer, produced, true);
        }
    }

    /// At most `unsent` of the written bytes have not arrived. Gives whether something is still under way.
    fn acknowledge(&self, unsent: Option<u64>) -> bool {
        let mut state = self.lock();
        let arrived = unsent.map_or(0, |unsent| state.written.saturating_sub(unsent));
        let settled = state.advance(arrived);
        let is_waiting = !state.spans.is_empty();
        drop(state);
        hand_over(settled);
        is_waiting
    }

    fn is_waiting(&self) -> bool {
        !self.lock().spans.is_empty()
    }

    fn is_long(&self) -> bool {
        self.lock().spans.len() > SPANS
    }

    /// The connection is over: whatever is not known to have arrived did not.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.spans.clear();
        let ended: Vec<AnswerId> =
            state.accounts.iter().filter(|(_, account)| account.ended.is_some()).map(|(answer, _)| *answer).collect();
        let settled: Vec<Settled> = ended.into_iter().filter_map(|answer| state.settle(answer)).collect();
        drop(state);
        hand_over(settled);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while holding the wire")
    }
}

impl State {
    fn add_span(&mut self, answer: AnswerId, bytes: u64, is_whole: bool) {
        let Some(account) = self.accounts.get_mut(&answer) else { return };
        let end = self.written;
        if let Some(last) = self.spans.back_mut()
            && last.answer == answer
            && !last.is_whole
            && !is_whole
            && last.end + bytes == end
        {
            last.end = end;
            last.bytes += bytes;
            return;
        }
        account.under_way += 1;
        self.spans.push_back(Span { end, bytes, answer, is_whole });
    }

    /// Everything up to `arrived` was acknowledged.
    fn advance(&mut self, arrived: u64) -> Vec<Settled> {
        let mut touched = Vec::new();
        while let Some(span) = self.spans.front_mut() {
            let left = span.end.saturating_sub(arrived);
            let came = if span.is_whole && left > 0 { 0 } else { span.bytes.saturating_sub(left) };
            span.bytes -= came;
            let (answer, is_over) = (span.answer, left == 0);
            if let Some(account) = self.accounts.get_mut(&answer) {
                account.delivered += came;
                account.under_way -= u64::from(is_over);
            }
            if !is_over {
                break;
            }
            touched.push(answer);
            self.spans.pop_front();
        }
        touched.into_iter().filter_map(|answer| self.settle_if_done(answer)).collect()
    }

    fn settle_if_done(&mut self, answer: AnswerId) -> Option<Settled> {
        let account = self.accounts.get(&answer)?;
        let (produced, _) = account.ended?;
        let is_whole = account.delivered >= produced;
        let is_over = account.given_up && account.under_way == 0;
        if is_whole || is_over || self.closed { self.settle(answer) } else { None }
    }

    fn settle(&mut self, answer: AnswerId) -> Option<Settled> {
        let account = self.accounts.remove(&answer)?;
        let (produced, end) = account.ended?;
        let end = match end {
            End::Sent if account.delivered < produced => End::Left,
            end => end,
        };
        Some((account.receipt, Delivered { bytes: account.delivered, end }, account.waiting))
    }
}

/// Callbacks run after the lock is gone.
fn hand_over(settled: impl IntoIterator<Item = Settled>) {
    for (receipt, delivered, waiting) in settled {
        receipt.settle(delivered);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// A body on its way through a connection.
pub(crate) struct Followed {
    pub(crate) body: Body,
    wire: Wire,
    answer: AnswerId,
    stream: Option<u32>,
}

impl Followed {
    /// The body is over: nothing more will be taken out of it. Gives a watch over what is under way.
    pub(crate) fn end(self) -> UnderWay {
        UnderWay { wire: self.wire.clone(), answer: self.answer }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let ended = (self.body.produced(), self.body.end());
        let mut state = self.wire.lock();
        if let Some(account) = state.accounts.get_mut(&self.answer) {
            account.ended = Some(ended);
            // On HTTP/1.1 the connection ends with a body that is not whole, and its last bytes are counted then.
            account.given_up = self.stream.is_some() && ended.1 != End::Sent;
        }
        let settled = state.settle_if_done(self.answer);
        drop(state);
        hand_over(settled);
    }
}

impl http_body::Body for Followed {
    type Data = bytes::Bytes;
    type Error = crate::body::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, crate::body::BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// What is under way of a body that was taken out whole.
pub(crate) struct UnderWay {
    wire: Wire,
    answer: AnswerId,
}

impl UnderWay {
    /// Ready when the receipt has been settled, or there was none.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.wire.lock().accounts.get_mut(&self.answer) {
            None => Poll::Ready(()),
            Some(account) => {
                account.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The peer wants no more of it.
    pub(crate) fn give_up(&self) {
        let mut state = self.wire.lock();
        if let Some(account) = state.accounts.get_mut(&self.answer) {
            account.given_up = true;
        }
        let settled = state.settle_if_done(self.answer);
        drop(state);
        hand_over(settled);
    }
}

/// The stream below a door: everything written passes here.
pub(crate) struct Tally<S: Unsent> {
    inner: S,
    wire: Wire,
    timer: Option<Pin<Box<Sleep>>>,
    pause: Duration,
}

impl<S: Unsent> Tally<S> {
    pub(crate) fn new(inner: S, wire: Wire) -> Self {
        Self { inner, wire, timer: None, pause: LOOK_FIRST }
    }

    fn look(&self) -> bool {
        self.wire.acknowledge(self.inner.unsent())
    }

    /// Nobody may read again before the last bytes are acknowledged, so the timer is set here as well.
    fn after_write(&mut self, cx: &mut Context<'_>) {
        if self.wire.is_long() {
            self.look();
        }
        self.poll_look(cx);
    }

    fn poll_look(&mut self, cx: &mut Context<'_>) {
        if !self.wire.is_waiting() {
            (self.timer, self.pause) = (None, LOOK_FIRST);
            return;
        }
        loop {
            let pause = self.pause;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(pause)));
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            (self.timer, self.pause) = (None, (pause * 2).min(LOOK_LAST));
            if !self.look() {
                self.pause = LOOK_FIRST;
                return;
            }
        }
    }
}

impl<S: Unsent> Drop for Tally<S> {
    fn drop(&mut self) {
        self.look();
        self.wire.close();
    }
}

impl<S: Unsent + Breakable> Breakable for Tally<S> {
    fn break_off(&self) {
        self.inner.break_off();
    }
}

impl<S: Unsent + AsyncRead + Unpin> AsyncRead for Tally<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if result.is_ready() && self.wire.is_waiting() {
            self.look();
        }
        self.poll_look(cx);
        result
    }
}

impl<S: Unsent + AsyncWrite + Unpin> AsyncWrite for Tally<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &result {
            self.wire.wrote([buf].into_iter(), *count);
        }
        self.after_write(cx);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(count)) = &result {
            self.wire.wrote(bufs.iter().map(|slice| &**slice), *count);
        }
        self.after_write(cx);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.flushed();
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
