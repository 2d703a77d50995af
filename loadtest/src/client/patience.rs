//! A limit on silence: it counts from the last sign of life, and costs one timer however many pieces come.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

pub(super) struct Patience {
    limit: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, last: Instant::now(), timer: Box::pin(sleep(limit)) }
    }

    /// Something came.
    pub(super) fn renew(&mut self) {
        self.last = Instant::now();
    }

    /// Ready when nothing has come for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let due = self.last + self.limit;
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}
