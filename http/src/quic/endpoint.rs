//! One UDP socket and the connections behind it: reads datagrams, brings each to its connection, and asks a [`Porter`]
//! about new ones. Everything that a connection sends, it sends itself (`connection.rs`).
//!
//! Locks: the table's and a connection's are never held together.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn_proto::{
    ConnectionEvent, ConnectionHandle, DatagramEvent, EndpointConfig, EndpointEvent, Incoming, ServerConfig,
};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Driver, First};
use super::socket::{Datagram, Inbox, Socket};

/// Batches read in one turn, before others get theirs.
const BATCHES_PER_TURN: usize = 16;
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
    /// No answer: another process will give it.
    Ignore,
}

/// The socket and who is behind it. Shared by all its connections.
pub(super) struct Endpoint {
    pub(super) socket: Socket,
    table: Mutex<Table>,
    drivers: TaskTracker,
}

struct Table {
    proto: quinn_proto::Endpoint,
    connections: HashMap<ConnectionHandle, Entry>,
}

struct Entry {
    connection: Connection,
    driver: AbortHandle,
}

impl Endpoint {
    pub(super) fn of(
        socket: std::net::UdpSocket,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Arc<Self>> {
        let socket = Socket::of(socket)?;
        let probes_mtu = !socket.may_fragment();
        let proto = quinn_proto::Endpoint::new(Arc::new(config), Some(Arc::new(server)), probes_mtu, None);
        let table = Mutex::new(Table { proto, connections: HashMap::new() });
        Ok(Arc::new(Self { socket, table, drivers: TaskTracker::new() }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic under this lock leaves at worst a connection that nobody finds any more; it times out.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for ever.
    pub(super) async fn read<P: Porter>(self: &Arc<Self>, porter: &P) {
        let mut inbox = Inbox::new();
        loop {
            if let Err(error) = self.read_turn(&mut inbox, porter).await {
                tracing::warn!(%error, "cannot read datagrams");
                sleep(ERROR_PAUSE).await;
            }
        }
    }

    async fn read_turn<P: Porter>(self: &Arc<Self>, inbox: &mut Inbox, porter: &P) -> io::Result<()> {
        self.socket.readable().await?;
        let now = Instant::now();
        for _ in 0..BATCHES_PER_TURN {
            if !self.socket.receive(inbox, |datagram| self.take(datagram, now, porter))? {
                return Ok(());
            }
        }
        yield_now().await;
        Ok(())
    }

    fn take<P: Porter>(self: &Arc<Self>, datagram: Datagram, now: Instant, porter: &P) {
        let Datagram { remote, local_ip, ecn, bytes } = datagram;
        let (mut answer, len) = (Vec::new(), bytes.len() as u64);
        let mut table = self.table();
        match table.proto.handle(now, remote, local_ip, ecn, bytes, &mut answer) {
            None => {}
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
            Some(DatagramEvent::NewConnection(incoming)) => {
                drop(table);
                self.admit(incoming, len, now, porter);
            }
        }
    }

    fn admit<P: Porter>(self: &Arc<Self>, incoming: Incoming, bytes: u64, now: Instant, porter: &P) {
        let mut answer = Vec::new();
        let first = First { bytes, is_validated: incoming.remote_address_validated() };
        let verdict = porter.judge(&incoming);
        let mut table = self.table();
        let transmit = match verdict {
            Verdict::Accept(pass) => match table.proto.accept(incoming, now, &mut answer, None) {
                Ok((handle, proto)) => {
                    let connection = Connection::new(proto, first, handle, Arc::clone(self));
                    let driver = self.drivers.spawn(Driver::new(connection.clone())).abort_handle();
                    table.connections.insert(handle, Entry { connection: connection.clone(), driver });
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
            Verdict::Ignore => {
                table.proto.ignore(incoming);
                None
            }
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
    pub(super) async fn wind_up<P: Porter>(self: &Arc<Self>, porter: &P, patience: Duration) {
        self.drivers.close();
        tokio::select! {
            () = self.drivers.wait() => {}
            () = self.read(porter) => {}
            () = sleep(patience) => {}
        }
        for (_, entry) in self.table().connections.drain() {
            entry.driver.abort();
        }
    }
}
