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
    /// Break off what is left.
    pub(crate) kill: CancellationToken,
    /// Every listener, connection and stream.
    pub(crate) tasks: TaskTracker,
}

/// Doors that accept connections. Dropping this breaks everything off at once; see [`Running::drain`].
pub struct Running {
    stop: Stop,
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
    pub(crate) fn new(stop: Stop) -> Self {
        Self { stop }
    }

    /// Refuses new connections, tells the peers to go (Connection: close, GOAWAY), lets running answers finish, and
    /// after `deadline` resets the rest.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.stop.drain.cancel();
        self.stop.tasks.close();
        if timeout(deadline, self.stop.tasks.wait()).await.is_ok() {
            return Drained::Finished;
        }
        let left = self.stop.tasks.len();
        self.stop.kill.cancel();
        self.stop.tasks.wait().await;
        Drained::BrokenOff(left)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.drain.cancel();
        self.stop.kill.cancel();
    }
}
