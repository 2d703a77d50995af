//! Doors in operation, and how they close: stop accepting, tell the peers, wait with a deadline.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::quic::QuicSockets;

/// The two signals that end connections, and the tasks they wait for.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    /// Finish what runs, accept nothing new.
    pub(crate) drain: CancellationToken,
    /// What is asked for from here on could not be finished any more: 503.
    pub(crate) late: CancellationToken,
    /// Break off what is left.
    pub(crate) kill: CancellationToken,
    /// Every listener, connection and stream.
    pub(crate) tasks: TaskTracker,
}

impl Stop {
    async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Doors that accept connections. Dropping this breaks everything off at once; see [`Running::drain`].
pub struct Running {
    stop: Stop,
    quic: QuicSockets,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every answer was finished.
    Finished,
    /// The deadline came first; this many connections and streams were reset.
    BrokenOff(usize),
}

impl Running {
    pub(crate) fn new(stop: Stop, quic: QuicSockets) -> Self {
        Self { stop, quic }
    }

    /// Lets another process read the UDP sockets, and gives it a link for each, to join its doors to
    /// ([`Doors::join_quic`](crate::Doors::join_quic)). Two cannot read one socket: from here on datagrams for the
    /// connections of these doors come over the links. When the other ends of the links are closed, they read again.
    ///
    /// # Errors
    /// Out of file descriptors, or the doors are closed.
    pub async fn hand_over_quic(&self) -> io::Result<Vec<OwnedFd>> {
        self.quic.hand_over().await
    }

    /// Refuses new connections, tells the peers to go (Connection: close, GOAWAY, `alt-svc: clear`) and lets running
    /// answers finish. Requests that were under way to us are answered in the first half of `deadline`; in the second
    /// half they get 503, because their answers would be broken off. After `deadline` the rest is reset.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.stop.drain.cancel();
        for _ in 0..2 {
            if timeout(deadline / 2, self.stop.wait()).await.is_ok() {
                return Drained::Finished;
            }
            self.stop.late.cancel();
        }
        let left = self.stop.tasks.len();
        self.stop.kill.cancel();
        self.stop.wait().await;
        Drained::BrokenOff(left)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.drain.cancel();
        self.stop.kill.cancel();
    }
}
