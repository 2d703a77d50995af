//! What became of what was fetched ahead, for operators.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::{flight::Flight, shelf::Shelf};

/// Counters of heads, bytes and blocks since the start.
#[derive(Debug, Default)]
pub struct Counts {
    heads: AtomicU64,
    bytes: AtomicU64,
    joined: AtomicU64,
    given_up: AtomicU64,
    failed: AtomicU64,
}

/// All of it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Heads that were fetched ahead, or what was missing of them.
    pub heads: u64,
    /// Bytes that were.
    pub bytes: u64,
    /// Blocks of them that a listener used, or waited for already when they came.
    pub useful: u64,
    /// Blocks of them that left the cache unused.
    pub wasted: u64,
    /// Heads given up in the middle because listeners needed the room.
    pub given_up: u64,
    /// Heads that upstream did not bring.
    pub failed: u64,
    /// Wishes dropped because listeners needed the room.
    pub dropped_pressure: u64,
    /// Wishes dropped because too many were waiting.
    pub dropped_full: u64,
    /// Wishes dropped because they were due.
    pub dropped_late: u64,
    /// Heads being fetched now.
    pub in_flight: u64,
    /// Heads waiting for their turn now.
    pub waiting: u64,
}

impl Counts {
    /// A block has come; counted if it was fetched for nobody yet.
    pub(crate) fn landed(&self, flight: &Flight) {
        if flight.run().lease_until.is_none() {
            return;
        }
        self.bytes.fetch_add(flight.arrived_bytes() as u64, Ordering::Relaxed);
        if flight.lease_until().is_none() {
            self.joined.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn head(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tally {
    /// What an edge has fetched ahead so far.
    pub fn of(shelf: &Shelf) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &shelf.prefetch.counts;
        let cache = shelf.cache.counts();
        let planner = shelf.prefetch.planner();
        let drops = planner.drops();
        Self {
            heads: read(&counts.heads),
            bytes: read(&counts.bytes),
            useful: cache.prefetched_used + read(&counts.joined),
            wasted: cache.prefetched_wasted,
            given_up: read(&counts.given_up),
            failed: read(&counts.failed),
            dropped_pressure: drops.pressure,
            dropped_full: drops.full,
            dropped_late: drops.late,
            in_flight: planner.running() as u64,
            waiting: planner.waiting() as u64,
        }
    }
}

/// Has the tally read off at each scrape of the shelf's metrics.
pub(crate) fn register(shelf: &Arc<Shelf>) {
    let scraped = Scraped(Arc::downgrade(shelf));
    shelf.metrics.add(|registry: &mut Registry| registry.register_collector(Box::new(scraped)));
}

/// Weak, since the shelf owns the metrics that own this.
struct Scraped(Weak<Shelf>);

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prefetch::Scraped")
    }
}

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(shelf) = self.0.upgrade() else { return Ok(()) };
        let tally = Tally::of(&shelf);
        let counters = [
            ("prefetch_heads", "Heads fetched ahead, or what was missing of them", tally.heads),
            ("prefetch_bytes", "Bytes fetched ahead", tally.bytes),
            ("prefetch_useful_blocks", "Blocks fetched ahead that a listener used", tally.useful),
            ("prefetch_wasted_blocks", "Blocks fetched ahead that left the cache unused", tally.wasted),
            ("prefetch_given_up", "Heads given up in the middle because listeners needed the room", tally.given_up),
            ("prefetch_failed", "Heads that upstream did not bring", tally.failed),
        ];
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let help = "Wishes for a head that were dropped";
        let mut dropped = encoder.encode_descriptor("prefetch_dropped", help, None, MetricType::Counter)?;
        let reasons =
            [("pressure", tally.dropped_pressure), ("full", tally.dropped_full), ("late", tally.dropped_late)];
        for (reason, value) in reasons {
            ConstCounter::new(value).encode(dropped.encode_family(&[("reason", reason)])?)?;
        }
        let gauges = [
            ("prefetch_in_flight", "Heads being fetched now", tally.in_flight),
            ("prefetch_waiting", "Heads waiting for their turn", tally.waiting),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
