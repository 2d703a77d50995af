//! Who waits for what on a connection: one task for each thing.

use std::collections::HashMap;
use std::task::{Context, Waker};

use quinn_proto::{Dir, StreamEvent, StreamId};

/// Wakers of tasks that could not go on. Bounded by the streams that the peer may have open.
#[derive(Default)]
pub(super) struct Waiters {
    accepting: [Option<Waker>; 2],
    opening: [Option<Waker>; 2],
    readers: HashMap<StreamId, Waker>,
    writers: HashMap<StreamId, Waker>,
    finishers: HashMap<StreamId, Waker>,
}

impl Waiters {
    /// For a stream of the peer's.
    pub(super) fn accept(&mut self, dir: Dir, cx: &Context<'_>) {
        self.accepting[dir as usize] = Some(cx.waker().clone());
    }

    /// Until the peer allows another stream.
    pub(super) fn open(&mut self, dir: Dir, cx: &Context<'_>) {
        self.opening[dir as usize] = Some(cx.waker().clone());
    }

    /// For bytes to read.
    pub(super) fn read(&mut self, id: StreamId, cx: &Context<'_>) {
        self.readers.insert(id, cx.waker().clone());
    }

    /// For room to write.
    pub(super) fn write(&mut self, id: StreamId, cx: &Context<'_>) {
        self.writers.insert(id, cx.waker().clone());
    }

    /// Until the peer has all of a stream, or wants no more of it.
    pub(super) fn finish(&mut self, id: StreamId, cx: &Context<'_>) {
        self.finishers.insert(id, cx.waker().clone());
    }

    /// Nobody reads this stream any more.
    pub(super) fn forget_reader(&mut self, id: StreamId) {
        self.readers.remove(&id);
    }

    /// Nobody writes to this stream any more.
    pub(super) fn forget_writer(&mut self, id: StreamId) {
        self.writers.remove(&id);
        self.finishers.remove(&id);
    }

    /// Hands out those for whom this is news.
    pub(super) fn call(&mut self, event: StreamEvent, woken: &mut Vec<Waker>) {
        match event {
            StreamEvent::Opened { dir } => woken.extend(self.accepting[dir as usize].take()),
            StreamEvent::Available { dir } => woken.extend(self.opening[dir as usize].take()),
            StreamEvent::Readable { id } => woken.extend(self.readers.remove(&id)),
            StreamEvent::Writable { id } => woken.extend(self.writers.remove(&id)),
            StreamEvent::Finished { id } => woken.extend(self.finishers.remove(&id)),
            StreamEvent::Stopped { id, .. } => {
                woken.extend(self.writers.remove(&id));
                woken.extend(self.finishers.remove(&id));
            }
        }
    }

    /// Hands out everybody.
    pub(super) fn all(&mut self) -> Vec<Waker> {
        let single = self.accepting.iter_mut().chain(&mut self.opening).filter_map(Option::take);
        let streams = self.readers.drain().chain(self.writers.drain()).chain(self.finishers.drain());
        single.chain(streams.map(|(_, waker)| waker)).collect()
    }
}
