//! The task that drives a connection, and alone sends.
//!
//! A turn of it is bounded, so that one connection with much to send does not hold up the others. A panic in a turn ends
//! this connection and no other.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use quinn_proto::{ConnectionError, EndpointEvent, Transmit};
use tokio::time::Sleep;

use super::super::endpoint::Endpoint;
use super::super::whereabouts::Leave;
use super::{Connection, Inner, Shared};

/// Datagrams of one turn: two full batches.
const DATAGRAMS_PER_TURN: usize = 80;
/// Of the first bytes each batch is this small, because the controller (`flight.rs`) counts whole batches.
const FIRST_SEGMENTS: usize = 10;
const FIRST_BYTES: u64 = 128 * 1024;

thread_local! {
    /// Where packets are made; sent or copied before the next one.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The task of a connection: sends, keeps its timers, until the last packet is out of the way.
pub(in super::super) struct Driver {
    connection: Connection,
    timer: Pin<Box<Sleep>>,
    room: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Driver {
    pub(in super::super) fn new(connection: Connection) -> Self {
        Self { connection, timer: Box::pin(tokio::time::sleep(Duration::ZERO)), room: None }
    }

    /// Whether the timer has come to this instant. It is moved only forwards in time when it has fired: most deadlines
    /// are put off long before.
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let at = tokio::time::Instant::from_std(at);
        if self.timer.is_elapsed() || at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.connection.0.driver.register(cx.waker());
        loop {
            if let Some(room) = &mut this.room {
                std::task::ready!(room.as_mut().poll(cx));
                this.room = None;
            }
            let turn = catch_unwind(AssertUnwindSafe(|| this.connection.turn()));
            match turn {
                Ok(Turn::Drained) => return Poll::Ready(()),
                Ok(Turn::Until(None)) => return Poll::Pending,
                Ok(Turn::Until(Some(at))) => std::task::ready!(this.poll_until(at, cx)),
                Ok(Turn::More) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Turn::Full) => {
                    let connection = this.connection.clone();
                    this.room = Some(Box::pin(async move { connection.0.endpoint.socket.writable().await }));
                }
                Err(_) => {
                    tracing::error!("a QUIC connection panicked and was dropped");
                    this.connection.lose(ConnectionError::Reset);
                    let shared = &this.connection.0;
                    shared.endpoint.heed(shared.handle, EndpointEvent::drained());
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Connection {
    fn turn(&self) -> Turn {
        let now = Instant::now();
        let mut events = Vec::new();
        let turn = SCRATCH.with_borrow_mut(|scratch| self.lock().turn(&self.0, now, scratch, &mut events));
        let (mut turn, woken) = turn;
        woken.into_iter().for_each(Waker::wake);
        for event in events {
            let is_last = event.is_drained();
            let answer = self.0.endpoint.heed(self.0.handle, event);
            if is_last {
                return Turn::Drained;
            }
            if let Some(answer) = answer {
                self.lock().proto.handle_event(answer);
                turn = Turn::More;
            }
        }
        turn
    }
}

/// What a turn leaves.
enum Turn {
    /// Others first, then more.
    More,
    /// The socket has no room.
    Full,
    /// Nothing before this instant.
    Until(Option<Instant>),
    Drained,
}

impl Inner {
    fn turn(
        &mut self,
        shared: &Shared,
        now: Instant,
        scratch: &mut Vec<u8>,
        events: &mut Vec<EndpointEvent>,
    ) -> (Turn, Vec<Waker>) {
        if self.proto.poll_timeout().is_some_and(|at| at <= now) {
            self.proto.handle_timeout(now);
            self.whereabouts.look(&self.proto, now);
        }
        let sent = self.send(&shared.endpoint, now, scratch);
        events.extend(std::iter::from_fn(|| self.proto.poll_endpoint_events()));
        let mut woken = Vec::new();
        while let Some(event) = self.proto.poll() {
            self.tell(event, shared, &mut woken);
        }
        let turn = match sent {
            None => Turn::Until(self.proto.poll_timeout()),
            Some(Turn::Until(held)) => Turn::Until([held, self.proto.poll_timeout()].into_iter().flatten().min()),
            Some(turn) => turn,
        };
        (turn, woken)
    }

    /// Sends until there is nothing to send, no room, or it was enough for one turn.
    fn send(&mut self, endpoint: &Endpoint, now: Instant, scratch: &mut Vec<u8>) -> Option<Turn> {
        if let Some((transmit, contents)) = self.unsent.take()
            && let Some(turn) = self.leave(endpoint, now, transmit, &contents)
        {
            return Some(turn);
        }
        let mut datagrams = 0;
        while datagrams < DATAGRAMS_PER_TURN {
            let segments = match endpoint.socket.segments() {
                _ if self.whereabouts.is_counted() => 1,
                segments if self.sent_bytes < FIRST_BYTES => segments.min(FIRST_SEGMENTS),
                segments => segments,
            };
            scratch.clear();
            let transmit = self.proto.poll_transmit(now, segments, scratch)?;
            datagrams += transmit.segment_size.map_or(1, |segment| transmit.size.div_ceil(segment));
            self.sent_bytes += transmit.size as u64;
            if let Some(turn) = self.leave(endpoint, now, transmit, scratch) {
                return Some(turn);
            }
        }
        Some(Turn::More)
    }

    /// Sends a batch, or keeps it and says what to do next. What quinn would send to where the client only seems to be
    /// waits until it may.
    fn leave(&mut self, endpoint: &Endpoint, now: Instant, transmit: Transmit, contents: &[u8]) -> Option<Turn> {
        let (to, bytes) = (transmit.destination, transmit.size as u64);
        let turn = match self.whereabouts.may_leave(to, bytes, now) {
            Leave::Now if endpoint.socket.try_send(&transmit, contents) => {
                self.whereabouts.left(to, bytes);
                return None;
            }
            Leave::Now => Turn::Full,
            Leave::At(instant) => Turn::Until(Some(instant)),
            Leave::Later => Turn::Until(None),
            // Lost like any packet to somewhere else.
            Leave::Never => return None,
        };
        self.unsent = Some((transmit, contents.to_vec()));
        Some(turn)
    }
}
