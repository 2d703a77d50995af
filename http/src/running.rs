//! Doors in operation, and how they close: stop accepting, tell the peers, wait with a deadline.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// Signals of some of the doors: they end with all, and by themselves.
    pub(crate) fn part(&self) -> Self {
        Self {
            drain: self.drain.child_token(),
            late: self.late.clone(),
            kill: self.kill.child_token(),
            tasks: TaskTracker::new(),
        }
    }

    async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Doors that accept connections. Dropping this breaks everything off at once; see [`Running::drain`].
pub struct Running {
    stop: Stop,
    /// The QUIC doors among them.
    quic: Stop,
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
    pub(crate) fn new(stop: Stop, quic: Stop) -> Self {
        Self { stop, quic }
    }

    /// Ends the QUIC doors alone, so that another process can have their sockets: two cannot read one. Connections are
    /// told to go, and reset after `deadline`; their ids are of no use to anybody else.
    pub async fn leave_quic(&self, deadline: Duration) {
        self.quic.drain.cancel();
        if timeout(deadline, self.quic.wait()).await.is_err() {
            self.quic.kill.cancel();
            self.quic.wait().await;
        }
    }

    /// Refuses new connections, tells the peers to go (Connection: close, GOAWAY, `alt-svc: clear`) and lets running
    /// answers finish. Requests that were under way to us are answered in the first half of `deadline`; in the second
    /// half they get 503, because their answers would be broken off. After `deadline` the rest is reset.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.stop.drain.cancel();
        let ended = async || {
            self.stop.wait().await;
            self.quic.wait().await;
        };
        for _ in 0..2 {
            if timeout(deadline / 2, ended()).await.is_ok() {
                return Drained::Finished;
            }
            self.stop.late.cancel();
        }
        let left = self.stop.tasks.len() + self.quic.tasks.len();
        self.stop.kill.cancel();
        ended().await;
        Drained::BrokenOff(left)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.drain.cancel();
        self.stop.kill.cancel();
    }
}
