//! One UDP socket and the connections behind it: reads datagrams, brings each to its connection, and asks a [`Porter`]
//! about new ones. Everything that a connection sends, it sends itself (`connection.rs`).
//!
//! After a take-over two processes share the socket. The new one reads it, and what is for a connection of the old one
//! goes there over a link (`former.rs` says which); the old one sends through the socket as before.
//!
//! Locks: the table's and a connection's are never held together.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn_proto::{
    ConnectionEvent, ConnectionHandle, ConnectionId, DatagramEvent, EndpointConfig, EndpointEvent, Incoming,
    ServerConfig,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::counters::Counters;

use super::connection::{Connection, Driver, First};
use super::former::{Former, is_first_flight};
use super::ids::Generation;
use super::link::{Link, Message};
use super::socket::{Datagram, Socket};
use super::sources::{Ready, Request, Sources};

/// Batches read in one turn, before others get theirs.
const BATCHES_PER_TURN: usize = 16;
/// Datagrams of a link read in one turn.
const MESSAGES_PER_TURN: usize = 128;
/// Pause after an error of the socket, so that it does not become a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Says who may come in.
pub(super) trait Porter {
    /// What an accepted connection holds while it lasts.
    type Pass;

    fn judge(&self, incoming: &Incoming) -> Verdict<Self::Pass>;

    /// A connection begins; its handshake goes on by itself.
    fn enter(&self, connection: Connection, pass: Self::Pass);
}

pub(super) enum Verdict<P> {
    Accept(P),
    /// Come again with a token that proves the address.
    Retry,
    Refuse,
}

/// The socket and who is behind it. Shared by all its connections.
pub(super) struct Endpoint {
    pub(super) socket: Socket,
    pub(super) generation: Arc<Generation>,
    table: Mutex<Table>,
    drivers: TaskTracker,
    /// To the task that reads.
    requests: mpsc::Sender<Request>,
    counters: Arc<Counters>,
}

struct Table {
    proto: quinn_proto::Endpoint,
    connections: HashMap<ConnectionHandle, Entry>,
}

pub(super) struct Entry {
    pub(super) connection: Connection,
    /// The destination of the packet that began it: an id of the client's making.
    pub(super) first: ConnectionId,
    driver: AbortHandle,
}

/// What a turn of reading leaves.
#[derive(PartialEq, Eq)]
enum Turn {
    /// There may be more: others first.
    More,
    Done,
}

/// Where a datagram came from.
enum By<'a> {
    /// The network, or the process before, which knows nothing of it.
    Nobody,
    /// The process that reads the socket, and takes back what begins no connection here.
    Successor(&'a Link),
}

impl Endpoint {
    /// With what its reading needs. Must run inside a tokio runtime.
    pub(super) fn of(
        socket: Socket,
        mut config: EndpointConfig,
        server: ServerConfig,
        generation: Arc<Generation>,
        counters: Arc<Counters>,
    ) -> (Arc<Self>, Sources) {
        let probes_mtu = !socket.may_fragment();
        let ids = Arc::clone(&generation);
        config.cid_generator(move || ids.generator());
        let proto = quinn_proto::Endpoint::new(Arc::new(config), Some(Arc::new(server)), probes_mtu, None);
        let table = Mutex::new(Table { proto, connections: HashMap::new() });
        let (requests, requested) = mpsc::channel(1);
        let endpoint = Self { socket, generation, table, drivers: TaskTracker::new(), requests, counters };
        (Arc::new(endpoint), Sources::new(requested))
    }

    /// Stops reading the socket; the link is for the process that reads it from now on.
    pub(super) async fn hand_over(&self) -> io::Result<OwnedFd> {
        let (reply, link) = oneshot::channel();
        let is_closed = |_| io::Error::other("the QUIC doors are closed");
        self.requests.send(reply).await.map_err(|_| io::Error::other("the QUIC doors are closed"))?;
        link.await.map_err(is_closed)?
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic under this lock leaves at worst a connection that nobody finds any more; it times out.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for ever.
    pub(super) async fn read<P: Porter>(self: &Arc<Self>, sources: &mut Sources, porter: &P) {
        loop {
            let turn = match sources.ready(&self.socket).await {
                Ready::Socket(readable) => match readable.and_then(|()| self.read_socket(sources, porter)) {
                    Ok(turn) => turn,
                    Err(error) => {
                        tracing::warn!(%error, "cannot read datagrams");
                        sleep(ERROR_PAUSE).await;
                        Turn::Done
                    }
                },
                Ready::Successor => self.read_successor(sources, porter),
                Ready::Former => self.read_former(sources, porter),
                Ready::HandOver(reply) => {
                    let link =
                        sources.hand_over(&self.socket, self.generation.mark(), self.table().connections.values());
                    // Who has gone meanwhile has closed its end with that, and we read again.
                    let _ = reply.send(link);
                    Turn::Done
                }
            };
            if turn == Turn::More {
                yield_now().await;
            }
        }
    }

    fn read_socket<P: Porter>(self: &Arc<Self>, sources: &mut Sources, porter: &P) -> io::Result<Turn> {
        let Sources { inbox, former, .. } = sources;
        let now = Instant::now();
        for _ in 0..BATCHES_PER_TURN {
            if !self.socket.receive(inbox, |datagram| self.sort(datagram, former.as_ref(), &By::Nobody, now, porter))? {
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::More)
    }

    fn read_successor<P: Porter>(self: &Arc<Self>, sources: &mut Sources, porter: &P) -> Turn {
        let now = Instant::now();
        for _ in 0..MESSAGES_PER_TURN {
            let Some(link) = &mut sources.successor else { return Turn::Done };
            let datagram = match link.receive() {
                Message::Some(message) => Datagram::decode(message),
                Message::Nothing => return Turn::Done,
                Message::End => {
                    tracing::info!("the process that read the UDP socket is gone; this one reads it again");
                    sources.successor = None;
                    return Turn::Done;
                }
            };
            let by = By::Successor(link);
            if let Some(datagram) = datagram {
                self.sort(datagram, sources.former.as_ref(), &by, now, porter);
            }
        }
        Turn::More
    }

    /// What comes from there is for us, whatever it looks like.
    fn read_former<P: Porter>(self: &Arc<Self>, sources: &mut Sources, porter: &P) -> Turn {
        let now = Instant::now();
        for _ in 0..MESSAGES_PER_TURN {
            let Some(former) = &mut sources.former else { return Turn::Done };
            match former.receive() {
                Message::Some(message) => {
                    if let Some(datagram) = Datagram::decode(message) {
                        self.take(datagram, &By::Nobody, now, porter);
                    }
                }
                Message::Nothing => return Turn::Done,
                Message::End => {
                    tracing::info!("the process before this one has no QUIC connections any more");
                    sources.former = None;
                }
            }
        }
        Turn::More
    }

    /// Here, or to the process before?
    fn sort<P: Porter>(
        self: &Arc<Self>,
        datagram: Datagram,
        former: Option<&Former>,
        by: &By<'_>,
        now: Instant,
        porter: &P,
    ) {
        match former.filter(|former| former.claims(&datagram.bytes, now)) {
            Some(former) => self.count_forward(former.send(&datagram)),
            None => self.take(datagram, by, now, porter),
        }
    }

    fn count_forward(&self, is_sent: bool) {
        match is_sent {
            true => self.counters.quic_forwarded.bump(),
            false => self.counters.quic_forward_lost.bump(),
        }
    }

    fn take<P: Porter>(self: &Arc<Self>, datagram: Datagram, by: &By<'_>, now: Instant, porter: &P) {
        // Where nothing begins any more, a first packet that is no connection's goes back.
        let returns = match by {
            By::Successor(link) if is_first_flight(&datagram.bytes) => Some((*link, datagram.clone())),
            _ => None,
        };
        let give_back = || {
            if let Some((link, datagram)) = &returns {
                self.count_forward(link.send(&datagram.encode()));
            }
        };
        let Datagram { remote, local_ip, ecn, bytes } = datagram;
        let (mut answer, len) = (Vec::new(), bytes.len() as u64);
        let mut table = self.table();
        match table.proto.handle(now, remote, local_ip, ecn, bytes, &mut answer) {
            None => {
                drop(table);
                give_back();
            }
            Some(DatagramEvent::Response(transmit)) => {
                self.socket.try_send(&transmit, &answer);
            }
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let found = table.connections.get(&handle).map(|entry| entry.connection.clone());
                drop(table);
                if let Some(connection) = found {
                    connection.heed(event, len);
                }
            }
            // Except for who has been sent away by us, to come back with a token.
            Some(DatagramEvent::NewConnection(incoming)) if returns.is_some() && incoming.may_retry() => {
                table.proto.ignore(incoming);
                drop(table);
                give_back();
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                drop(table);
                self.admit(incoming, len, now, porter);
            }
        }
    }

    fn admit<P: Porter>(self: &Arc<Self>, incoming: Incoming, bytes: u64, now: Instant, porter: &P) {
        let mut answer = Vec::new();
        let first = First { bytes, is_validated: incoming.remote_address_validated() };
        let first_id = *incoming.orig_dst_cid();
        let verdict = porter.judge(&incoming);
        let mut table = self.table();
        let transmit = match verdict {
            Verdict::Accept(pass) => match table.proto.accept(incoming, now, &mut answer, None) {
                Ok((handle, proto)) => {
                    let connection = Connection::new(proto, first, handle, Arc::clone(self));
                    let driver = self.drivers.spawn(Driver::new(connection.clone())).abort_handle();
                    let entry = Entry { connection: connection.clone(), first: first_id, driver };
                    table.connections.insert(handle, entry);
                    drop(table);
                    return porter.enter(connection, pass);
                }
                Err(error) => {
                    tracing::debug!(error = %error.cause, "QUIC handshake failed");
                    error.response
                }
            },
            // Not for one that has brought such a token.
            Verdict::Retry if incoming.may_retry() => table.proto.retry(incoming, &mut answer).ok(),
            Verdict::Retry | Verdict::Refuse => Some(table.proto.refuse(incoming, &mut answer)),
        };
        if let Some(transmit) = transmit {
            self.socket.try_send(&transmit, &answer);
        }
    }

    /// What a connection wants of the table: new ids, or to be forgotten.
    pub(super) fn heed(&self, handle: ConnectionHandle, event: EndpointEvent) -> Option<ConnectionEvent> {
        let mut table = self.table();
        if event.is_drained() {
            table.connections.remove(&handle);
        }
        table.proto.handle_event(handle, event)
    }

    /// Lets the last packets (CONNECTION_CLOSE, and again for who asks again) leave, and ends what is left.
    pub(super) async fn wind_up<P: Porter>(self: &Arc<Self>, sources: &mut Sources, porter: &P, patience: Duration) {
        self.drivers.close();
        tokio::select! {
            () = self.drivers.wait() => {}
            () = self.read(sources, porter) => {}
            () = sleep(patience) => {}
        }
        for (_, entry) in self.table().connections.drain() {
            entry.driver.abort();
        }
    }
}
