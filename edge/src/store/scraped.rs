//! The store as operators see it: what is in it, what left it, and what had to come from the disk.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::shelf::Shelf;

/// Has the store read off at each scrape of the shelf's metrics.
pub(crate) fn register(shelf: &Arc<Shelf>) {
    let scraped = Scraped(Arc::downgrade(shelf));
    shelf.metrics.add(|registry| registry.register_collector(Box::new(scraped)));
}

/// Weak, since the shelf owns the metrics that own this.
struct Scraped(Weak<Shelf>);

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("store::Scraped")
    }
}

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(shelf) = self.0.upgrade() else { return Ok(()) };
        let (blocks, slots) = (shelf.cache.counts(), shelf.cache.slab().counts());
        let help = "Blocks in the cache by class";
        let mut present = encoder.encode_descriptor("cached_blocks", help, None, MetricType::Gauge)?;
        for (class, count) in [("head", blocks.heads), ("body", blocks.bodies)] {
            ConstGauge::new(u64::from(count)).encode(present.encode_family(&[("class", class)])?)?;
        }
        let help = "Blocks that left the cache to make room, by class";
        let mut evicted = encoder.encode_descriptor("evicted_blocks", help, None, MetricType::Counter)?;
        for (class, count) in [("head", blocks.evicted_heads), ("body", blocks.evicted_bodies)] {
            ConstCounter::new(count).encode(evicted.encode_family(&[("class", class)])?)?;
        }
        let gauges = [
            ("slots", "Blocks that the cache has room for", shelf.cache.slots()),
            ("pinned_slots", "Slots held by bytes on their way to a socket", slots.pinned),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(u64::from(value));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let counters = [
            ("populated_blocks", "Blocks brought from the disk or checked before they could be sent", slots.loaded),
            ("damaged_blocks", "Blocks that were not what was written, and were fetched again", slots.damaged),
            ("uncached_blocks", "Blocks that could not be stored and passed through", shelf.cache.uncached()),
        ];
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
