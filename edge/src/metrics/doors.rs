//! The doors' counters among the edge's, read off at each scrape as `needledrop_edge_door_*`.

use std::fmt;
use std::sync::Arc;

use needledrop_http::Counters;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::Metrics;

impl Metrics {
    /// Shows what a set of doors refuses and cuts off. Once for an edge.
    pub fn add_doors(&self, counters: Arc<Counters>) {
        self.add(|registry| registry.register_collector(Box::new(Doors(counters))));
    }
}

#[derive(Debug)]
struct Doors(Arc<Counters>);

impl Collector for Doors {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut outcome = Ok(());
        self.0.each(|name, help, value| {
            let metric = ConstCounter::new(value);
            outcome = outcome.and(show(&mut encoder, name, help, &metric));
        });
        self.0.levels(|name, help, value| {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            outcome = outcome.and(show(&mut encoder, name, help, &metric));
        });
        outcome
    }
}

fn show(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    let name = format!("door_{name}");
    let encoder = encoder.encode_descriptor(&name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_in_the_text_from_the_start() {
        let metrics = Metrics::new();
        let counters = Arc::new(Counters::default());
        metrics.add_doors(Arc::clone(&counters));
        counters.h2_flooded.bump();
        let text = metrics.encode();
        assert!(text.contains("needledrop_edge_door_h2_flooded_total 1\n"), "{text}");
        counters.each(|name, _, value| {
            assert!(text.contains(&format!("needledrop_edge_door_{name}_total {value}\n")), "{name} in {text}");
        });
        counters.levels(|name, _, _| assert!(text.contains(&format!("needledrop_edge_door_{name} 0\n")), "{text}"));
    }
}
