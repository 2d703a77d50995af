//! What servers gave one listener for next time: TLS sessions and QUIC address tokens. Bounded, a few kilobytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tokio::sync::Notify;

use super::{Origin, Wish};
use crate::measured::Protocol;

/// Servers remembered; a listener talks to one or two.
const LANES: usize = 8;
/// Tickets and tokens kept of each: servers send one or two at a time, and each serves once.
const KEPT: usize = 2;

/// What tickets are good for: one server, one protocol (early data needs the same ALPN, QUIC tickets are QUIC's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    protocol: Protocol,
    port: u16,
    name: String,
}

impl Lane {
    pub(super) fn new(protocol: Protocol, origin: &Origin) -> Self {
        Self { protocol, port: origin.port, name: origin.name.clone() }
    }
}

/// One listener's.
#[derive(Default)]
pub(super) struct Tickets {
    entries: Mutex<Vec<Entry>>,
    came: Notify,
}

struct Entry {
    lane: Lane,
    tls13: VecDeque<Tls13ClientSessionValue>,
    tls12: Option<Tls12ClientSessionValue>,
    group: Option<NamedGroup>,
    tokens: VecDeque<Bytes>,
}

impl Tickets {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("nothing panics under this lock")
    }

    fn read<T>(&self, lane: &Lane, read: impl FnOnce(&mut Entry) -> Option<T>) -> Option<T> {
        self.lock().iter_mut().find(|entry| entry.lane == *lane).and_then(read)
    }

    fn write(&self, lane: &Lane, write: impl FnOnce(&mut Entry)) {
        let mut entries = self.lock();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.lane == *lane) {
            return write(entry);
        }
        if entries.len() == LANES {
            entries.remove(0);
        }
        let mut entry =
            Entry { lane: lane.clone(), tls13: VecDeque::new(), tls12: None, group: None, tokens: VecDeque::new() };
        write(&mut entry);
        entries.push(entry);
    }

    pub(super) fn has_session(&self, lane: &Lane) -> bool {
        self.read(lane, |entry| (!entry.tls13.is_empty() || entry.tls12.is_some()).then_some(())).is_some()
    }

    /// Whether the ticket that will be offered next allows early data.
    pub(super) fn allows_early_data(&self, lane: &Lane) -> bool {
        let bytes = self.read(lane, |entry| entry.tls13.back().map(Tls13ClientSessionValue::max_early_data_size));
        bytes.is_some_and(|bytes| bytes > 0)
    }

    pub(super) async fn session_came(&self, lane: &Lane) {
        self.wait(|| self.has_session(lane)).await;
    }

    pub(super) async fn token_came(&self, lane: &Lane) {
        self.wait(|| self.read(lane, |entry| entry.tokens.back().map(|_| ())).is_some()).await;
    }

    async fn wait(&self, is_there: impl Fn() -> bool) {
        loop {
            let news = self.came.notified();
            if is_there() {
                return;
            }
            news.await;
        }
    }
}

fn keep<T>(list: &mut VecDeque<T>, value: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(value);
}

/// The tickets as one opening sees them: whatever comes is kept, but a full handshake offers nothing.
pub(super) struct Offer {
    tickets: Arc<Tickets>,
    lane: Lane,
    wish: Wish,
}

impl Offer {
    pub(super) fn new(tickets: &Arc<Tickets>, lane: Lane, wish: Wish) -> Arc<Self> {
        Arc::new(Self { tickets: Arc::clone(tickets), lane, wish })
    }

    fn take<T>(&self, take: impl FnOnce(&mut Entry) -> Option<T>) -> Option<T> {
        if self.wish == Wish::Full { None } else { self.tickets.read(&self.lane, take) }
    }

    fn keep(&self, keep: impl FnOnce(&mut Entry)) {
        self.tickets.write(&self.lane, keep);
        self.tickets.came.notify_waiters();
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Offer").field("lane", &self.lane).field("wish", &self.wish).finish()
    }
}

/// The name that rustls asks with is always the lane's.
impl ClientSessionStore for Offer {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.tickets.write(&self.lane, |entry| entry.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        // Of a full handshake too: who comes for the first time guesses the group right with most servers.
        self.tickets.read(&self.lane, |entry| entry.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.keep(|entry| entry.tls12 = Some(value));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.take(|entry| entry.tls12.clone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.tickets.read(&self.lane, |entry| entry.tls12.take());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.keep(|entry| keep(&mut entry.tls13, value));
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.take(|entry| entry.tls13.pop_back())
    }
}

impl quinn::TokenStore for Offer {
    fn insert(&self, _: &str, token: Bytes) {
        // A copy: the token must not keep a whole datagram in memory.
        self.keep(|entry| keep(&mut entry.tokens, Bytes::copy_from_slice(&token)));
    }

    fn take(&self, _: &str) -> Option<Bytes> {
        self.take(|entry| entry.tokens.pop_back())
    }
}
