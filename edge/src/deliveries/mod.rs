//! Delivery records: which bytes of which object arrived for which playback. What royalties are audited with.
//!
//! A request only hands its record over ([`Deliveries::record`], which never waits); a thread of its own commits
//! (`writer.rs`) at most a tenth of a second later. The log is a folder of files of JSON lines (`record.rs`,
//! `segment.rs`) whose numbers rise by one. Somebody ships it: [`Deliveries::read`] what follows a number, store it
//! elsewhere, then [`Deliveries::acknowledge`] it, which deletes it here. Until then it stays. When the log has
//! reached its bound the oldest records are kept and new ones refused: the log itself says so (`full`, `gap`),
//! and so do a counter and an error in the log. Nothing is ever missing without a line that says it.
//!
//! It does not know what a play or a stream is; adding up intervals is the reader's business.

mod record;
mod segment;
mod writer;

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;

use crate::{clock::Clock, limits::DELIVERIES_QUEUE};

pub use record::Delivery;
use segment::Segment;
use writer::{Command, Writer};

/// The delivery log of one edge. Dropping it commits what is left and writes that it ended in order.
#[derive(Debug)]
pub struct Deliveries {
    commands: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the thread and the handle share.
#[derive(Debug, Default)]
struct Shared {
    /// Records for which the queue had no room, not yet counted by the thread.
    overflowed: AtomicU64,
    /// The number behind the last committed line.
    next: AtomicU64,
    acknowledged: AtomicU64,
    segments: Mutex<Vec<Segment>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    recorded: Counter,
    refused: Counter,
    bytes: Gauge,
}

/// Committed lines in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Whole lines, each with its end.
    pub lines: String,
    /// The number of the last one; what to acknowledge once they are stored elsewhere, and what to read on from. The
    /// number asked for if there is nothing behind it.
    pub through: u64,
}

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The number of the last committed line.
    pub last: u64,
    /// The number up to which everything was shipped.
    pub acknowledged: u64,
    /// What the files hold. Unit: bytes.
    pub bytes: i64,
    /// Deliveries that were refused since the start.
    pub refused: u64,
}

impl Deliveries {
    /// Opens or makes the log in a folder, to hold at most about `bytes_max`. Blocks on the disk.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open(dir: &Path, bytes_max: u64, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer::open(dir, bytes_max, clock, shared.clone())?;
        let (commands, receiver) = sync_channel(DELIVERIES_QUEUE);
        let run = move || writer.run(&receiver);
        let thread = std::thread::Builder::new().name("deliveries".into()).spawn(run)?;
        Ok(Self { commands: Some(commands), thread: Some(thread), shared })
    }

    /// Like [`Deliveries::open`], in a folder that another process writes until `go` is sent or dropped: until then
    /// records wait in the queue.
    ///
    /// # Errors
    /// No thread can be had. That the folder cannot be opened later is logged, and records are counted as missing.
    pub fn open_after(dir: &Path, bytes_max: u64, clock: Clock, go: mpsc::Receiver<()>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (commands, receiver) = sync_channel(DELIVERIES_QUEUE);
        let (dir, writers) = (dir.to_owned(), shared.clone());
        let run = move || {
            let _ = go.recv();
            match Writer::open(&dir, bytes_max, clock, writers) {
                Ok(writer) => writer.run(&receiver),
                Err(error) => tracing::error!(%error, "deliveries folder {} cannot be used", dir.display()),
            }
        };
        let thread = std::thread::Builder::new().name("deliveries".into()).spawn(run)?;
        Ok(Self { commands: Some(commands), thread: Some(thread), shared })
    }

    /// Hands a record over. Never waits: without room in the queue the record is counted as missing.
    pub fn record(&self, delivery: Delivery) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.commands().try_send(Command::Record(Box::new(delivery)))
        {
            self.shared.overflowed.fetch_add(1, Ordering::AcqRel);
            self.shared.counts.refused.inc();
        }
    }

    /// Committed lines behind number `since`, up to about `bytes_max` of text and at least one. Blocks on the disk.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&self, since: u64, bytes_max: usize) -> io::Result<Page> {
        let to = self.shared.next.load(Ordering::Acquire);
        let segments = self.shared.segments.lock().expect("no code panics while holding the list of files").clone();
        let mut from = since.max(self.shared.acknowledged.load(Ordering::Acquire)) + 1;
        let mut lines = String::new();
        for segment in &segments {
            if segment.next <= from {
                continue;
            }
            from = match segment.read(from.max(segment.first), to, bytes_max, &mut lines) {
                // Shipped and deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                next => next?,
            };
            if lines.len() >= bytes_max || from < segment.next.min(to) {
                break;
            }
        }
        Ok(Page { lines, through: from - 1 })
    }

    /// Everything up to this number is safe elsewhere and may go. Blocks on the disk.
    ///
    /// # Errors
    /// The number could not be made to last; everything is still here.
    pub fn acknowledge(&self, through: u64) -> io::Result<()> {
        let (answer, answered) = sync_channel(1);
        let gone = |_| io::Error::other("the delivery log's thread has ended");
        self.commands().send(Command::Acknowledge(through, answer)).map_err(|_| gone(()))?;
        answered.recv().map_err(|_| gone(()))?
    }

    /// Waits until everything recorded so far is on the disk. Blocks.
    pub fn flush(&self) {
        let (answer, answered) = sync_channel(1);
        if self.commands().send(Command::Flush(answer)).is_ok() {
            let _ = answered.recv();
        }
    }

    /// Where the log stands.
    pub fn standing(&self) -> Standing {
        Standing {
            last: self.shared.next.load(Ordering::Acquire).saturating_sub(1),
            acknowledged: self.shared.acknowledged.load(Ordering::Acquire),
            bytes: self.shared.counts.bytes.get(),
            refused: self.shared.counts.refused.get(),
        }
    }

    /// Shows its counts to operators.
    pub fn register(&self, registry: &mut Registry) {
        let counts = &self.shared.counts;
        registry.register("deliveries_recorded", "Delivery records on the disk", counts.recorded.clone());
        registry.register("deliveries_refused", "Delivery records lost; each stands in a gap", counts.refused.clone());
        registry.register("deliveries_bytes", "Delivery records that were not shipped", counts.bytes.clone());
    }

    fn commands(&self) -> &SyncSender<Command> {
        self.commands.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
