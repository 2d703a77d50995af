//! A UDP socket whose reading costs its connection little memory.
//!
//! quinn keeps a receive buffer for every socket that holds 32 times what the kernel may merge into one read, 3 MiB,
//! and every burst leaves more of it in memory. Here a read goes into one buffer of the thread, and quinn gets it in
//! portions of a few datagrams, so that a socket's own buffer stays at a few pages. What does not fit into a portion
//! waits here until the next one, which quinn asks for at once.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Most bytes that the kernel merges into one read.
const MERGED_BYTES: usize = 64 * 1024;
/// Datagrams handed over at a time: each has a buffer of its own, of quinn's, that stays in memory.
const PORTION: usize = 8;

thread_local! {
    /// Where all sockets of a worker read into. Nothing stays in it between two polls.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; MERGED_BYTES]);
}

pub(super) struct Frugal {
    inner: Arc<dyn AsyncUdpSocket>,
    rest: Mutex<Option<Rest>>,
}

/// Datagrams that were read and not yet handed over.
struct Rest {
    bytes: Vec<u8>,
    taken: usize,
    meta: RecvMeta,
}

impl Frugal {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self { inner, rest: Mutex::default() })
    }
}

/// Copies datagrams from one merged read into buffers for one each. Gives the bytes and the datagrams copied.
fn split(merged: &[u8], meta: RecvMeta, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> (usize, usize) {
    let (mut bytes, mut count) = (0, 0);
    let datagrams = merged.chunks(meta.stride.max(1)).take(PORTION);
    for ((datagram, buffer), into) in datagrams.zip(buffers).zip(metas) {
        // One that is longer than we said we would take is cut short, as the kernel does; quinn discards it.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        *into = RecvMeta { len: length, stride: length, ..meta };
        bytes += datagram.len();
        count += 1;
    }
    (bytes, count)
}

impl AsyncUdpSocket for Frugal {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.rest.lock().expect("nothing panics under this lock");
        if let Some(rest) = waiting.as_mut() {
            let (bytes, count) = split(&rest.bytes[rest.taken..], rest.meta, buffers, metas);
            rest.taken += bytes;
            if rest.taken == rest.bytes.len() {
                *waiting = None;
            }
            return Poll::Ready(Ok(count));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = [RecvMeta::default()];
            let messages = ready!(self.inner.poll_recv(cx, &mut [IoSliceMut::new(scratch)], &mut read))?;
            let [meta] = read;
            if messages == 0 {
                return Poll::Ready(Ok(0));
            }
            let (bytes, count) = split(&scratch[..meta.len], meta, buffers, metas);
            if bytes < meta.len {
                *waiting = Some(Rest { bytes: scratch[bytes..meta.len].to_vec(), taken: 0, meta });
            }
            Poll::Ready(Ok(count))
        })
    }

    /// One, so that quinn's buffers are for one datagram each.
    fn max_receive_segments(&self) -> usize {
        1
    }

    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }
}

impl fmt::Debug for Frugal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(out)
    }
}
