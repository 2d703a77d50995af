//! The couriers: one thread for each direction, which reads packets from one device, asks the model when they come out
//! at the other end of their listener's line, and writes them to the other device at that instant.

use super::addresses::Addresses;
use super::model::{At, Line, Verdict, Way};
use super::namespace::{Hurry, hurry};
use super::packet::Packet;
use super::profile::Direction;
use super::tun::{MTU, Tun};
use crate::dice::Dice;
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::Pid;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What passed in one direction, over all lines.
#[derive(Debug, Clone, Serialize)]
pub struct Passed {
    /// Packets that came out.
    pub packets: u64,
    /// Their bytes, with their IP headers.
    pub bytes: u64,
    /// Packets lost by chance, as asked.
    pub lost: u64,
    /// Packets for which a line's queue had no room, as asked.
    pub queue_full: u64,
    /// Packets dropped because the emulator itself carried [`ON_THE_WAY_BYTES`]: a fault of the emulation.
    pub overflow: u64,
    /// Packets that the kernel dropped before or behind the emulator: a fault of the emulation.
    pub kernel_dropped: u64,
    /// Packets on nobody's line, which are dropped: IPv6, and what was not from or for a listener.
    pub strangers: u64,
    /// Listeners' lines that were used.
    pub lines: u32,
    /// How much later than the model said packets came out.
    pub late: Late,
    /// The processor time that this direction took, with what the kernel did to receive its packets.
    pub cpu_seconds: f64,
}

/// The emulator's own error, over the packets that came out. Microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Late {
    /// The median.
    pub p50_us: f64,
    /// One packet in a hundred was later.
    pub p99_us: f64,
    /// The latest.
    pub max_us: f64,
}

/// What one direction carries at most at a time, over all lines: 10 Gbit/s for a tenth of a second.
pub const ON_THE_WAY_BYTES: usize = 128 << 20;

/// Packets read before those that are due get their turn.
const BATCH: usize = 32;

/// Counts that the courier writes and others read: a copy, since a courier who waits for a reader is late.
#[derive(Debug, Clone)]
pub struct Counts {
    packets: u64,
    bytes: u64,
    lost: u64,
    queue_full: u64,
    overflow: u64,
    untaken: u64,
    strangers: u64,
    lines: u32,
    late_ns: Histogram<u64>,
    courier: Option<Pid>,
}

impl Default for Counts {
    fn default() -> Self {
        // To two digits, up to what nobody waits for; later than that counts as that.
        let late_ns = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("one is less than a minute");
        Self {
            packets: 0,
            bytes: 0,
            lost: 0,
            queue_full: 0,
            overflow: 0,
            untaken: 0,
            strangers: 0,
            lines: 0,
            late_ns,
            courier: None,
        }
    }
}

impl Counts {
    /// With what the kernel says about the two devices.
    pub fn passed(&self, kernel_dropped: u64) -> Passed {
        let us = |ns: u64| ns as f64 / 1e3;
        Passed {
            packets: self.packets,
            bytes: self.bytes,
            lost: self.lost,
            queue_full: self.queue_full,
            overflow: self.overflow,
            kernel_dropped: kernel_dropped + self.untaken,
            strangers: self.strangers,
            lines: self.lines,
            late: Late {
                p50_us: us(self.late_ns.value_at_quantile(0.5)),
                p99_us: us(self.late_ns.value_at_quantile(0.99)),
                max_us: us(self.late_ns.max()),
            },
            cpu_seconds: self.courier.and_then(cpu_seconds).unwrap_or(0.0),
        }
    }
}

/// What the kernel says of a thread of ours, if it was built to say so.
fn cpu_seconds(thread: Pid) -> Option<f64> {
    let times = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero())).ok()?;
    Some(times.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// What carries the packets of one direction.
pub struct Courier {
    /// Which.
    pub direction: Direction,
    /// What a line does in this direction.
    pub way: Way,
    /// Which address is what.
    pub addresses: Addresses,
    /// Where packets enter.
    pub from: Arc<Tun>,
    /// Where they come out.
    pub to: Arc<Tun>,
    /// Readable once the courier shall stop.
    pub stop: Arc<OwnedFd>,
    /// When the emulation began.
    pub began: Instant,
    /// Every line has dice of its own, from this and its number: what befalls it does not depend on its neighbours.
    pub seed: u64,
    /// For others to read.
    pub counts: Arc<Mutex<Counts>>,
}

/// A packet on its way. The sooner one is greater.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parcel {
    due: Reverse<At>,
    nth: Reverse<u64>,
    packet: Box<[u8]>,
}

/// The lines and all that is on them.
#[derive(Default)]
struct Lines {
    // At most one for each address of a /16; a line is about 80 bytes.
    lines: HashMap<u16, (Line, Dice)>,
    on_the_way: BinaryHeap<Parcel>,
    on_the_way_bytes: usize,
    taken: u64,
}

impl Courier {
    /// Carries until told to stop.
    pub fn run(self) {
        hurry(Hurry::Carrying);
        lock(&self.counts).courier = Some(rustix::thread::gettid());
        let mut lines = Lines::default();
        let mut room = [0; MTU];
        loop {
            let mut counts = lock(&self.counts);
            let more = self.take_in(&mut lines, &mut room, &mut counts);
            self.hand_out(&mut lines, &mut counts);
            drop(counts);
            let wait = match lines.on_the_way.peek() {
                _ if more => Some(Duration::ZERO),
                Some(next) => Some(next.due.0.saturating_sub(self.began.elapsed())),
                None => None,
            };
            if self.wait(wait) {
                return;
            }
        }
    }

    /// Reads what there is; says whether there may be more.
    fn take_in(&self, lines: &mut Lines, room: &mut [u8], counts: &mut Counts) -> bool {
        for _ in 0..BATCH {
            let Ok(Some(bytes)) = self.from.receive(room) else { return false };
            self.take(lines, bytes, counts);
        }
        true
    }

    fn take(&self, lines: &mut Lines, bytes: &mut [u8], counts: &mut Counts) {
        let now = self.began.elapsed();
        let len = bytes.len();
        let Some(listener) = Packet::new(bytes).and_then(|packet| self.addresses.translate(self.direction, packet))
        else {
            counts.strangers += 1;
            return;
        };
        let (line, dice) = lines.lines.entry(listener).or_insert_with(|| {
            counts.lines += 1;
            let mut dice = Dice::new(self.seed ^ u64::from(listener) << 32 ^ (self.direction as u64) << 63);
            (Line::new(&self.way, &mut dice), dice)
        });
        match line.offer(&self.way, now, len as u64, dice) {
            Verdict::Lost => counts.lost += 1,
            Verdict::QueueFull => counts.queue_full += 1,
            Verdict::Deliver(_) if lines.on_the_way_bytes + len > ON_THE_WAY_BYTES => counts.overflow += 1,
            Verdict::Deliver(due) => {
                lines.taken += 1;
                lines.on_the_way_bytes += len;
                lines.on_the_way.push(Parcel {
                    due: Reverse(due),
                    nth: Reverse(lines.taken),
                    packet: (&*bytes).into(),
                });
            }
        }
    }

    /// Writes what is due.
    fn hand_out(&self, lines: &mut Lines, counts: &mut Counts) {
        while let Some(parcel) = lines.on_the_way.peek() {
            let now = self.began.elapsed();
            if parcel.due.0 > now {
                return;
            }
            counts.late_ns.saturating_record((now - parcel.due.0).as_nanos() as u64);
            match self.to.send(&parcel.packet) {
                Ok(()) => {
                    counts.packets += 1;
                    counts.bytes += parcel.packet.len() as u64;
                }
                Err(_) => counts.untaken += 1,
            }
            lines.on_the_way_bytes -= parcel.packet.len();
            lines.on_the_way.pop();
        }
    }

    /// Until a packet comes, the next is due, or it is time to stop: then true.
    fn wait(&self, longest: Option<Duration>) -> bool {
        let longest = longest.and_then(|wait| Timespec::try_from(wait).ok());
        let mut ready = [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
        // An error is a signal's interruption; the next round looks again.
        let _ = poll(&mut ready, longest.as_ref());
        !ready[1].revents().is_empty()
    }
}

/// Counts are whole numbers at every instant, so a panic of another thread does not spoil them.
pub fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
