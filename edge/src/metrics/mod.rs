//! What an operator sees of an edge: counters and a histogram in the text format that scrapers read.
//!
//! Everything that a request touches is resolved once and is atomic afterwards: no lock, no lookup by
//! label. Parts of the edge that count for themselves keep their counters near their code and
//! [`Metrics::add`] them here; what can be read off at any time is a collector, asked at each scrape.

mod doors;
mod labels;
mod latency;
pub mod threads;

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use needledrop_http::{End, Protocol};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, counter::Counter, family::Family},
    registry::Registry,
};

use labels::{ByEnd, ByKindAndServed, ByKindAndTier, ByKindTierAndStatus, ByProtocol, ByProtocolAndServed, ByReason};
pub use labels::{Kind, Reason, Served, Tier};
pub use latency::Latency;

/// The statuses that the edge gives, each with a counter of its own; any other counts as the last.
const STATUSES: [u16; 21] =
    [200, 204, 206, 304, 400, 403, 404, 405, 408, 412, 414, 416, 421, 425, 429, 431, 500, 502, 503, 504, 508];

/// The protocols, in the order of their counters.
const PROTOCOLS: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];

/// What was asked for, by whom and how.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The class of the answer's first block.
    pub class: Kind,
    /// Who asked.
    pub tier: Tier,
    /// Over which protocol.
    pub protocol: Protocol,
}

/// Counters of one edge.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<ByKindTierAndStatus, Counter>,
    requests_known: Box<[OnceLock<Counter>]>,
    lookups: [[Counter; Served::ALL.len()]; Kind::ALL.len()],
    start: [[Latency; Served::ALL.len()]; Kind::ALL.len()],
    delivered: [[Counter; Tier::ALL.len()]; Kind::ALL.len()],
    ends: [Counter; End::ALL.len()],
    protocols: [Counter; PROTOCOLS.len()],
    protocol_lookups: [[Counter; Served::ALL.len()]; PROTOCOLS.len()],
    protocol_start: [Latency; PROTOCOLS.len()],
    limited: [Counter; Reason::ALL.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("needledrop_edge");
        let requests = Family::default();
        registry.register("requests", "Answers by class of the first block, who asked, and status", requests.clone());
        let lookups = Family::<ByKindAndServed, Counter>::default();
        registry.register("lookups", "Answers by class of the first block and what the cache had", lookups.clone());
        let start = Family::<ByKindAndServed, Latency>::default();
        registry.register("start_seconds", "Time from request to first byte at hand", start.clone());
        let delivered = Family::<ByKindAndTier, Counter>::default();
        registry.register("delivered_bytes", "Body bytes that arrived, as far as is known", delivered.clone());
        let ends = Family::<ByEnd, Counter>::default();
        registry.register("answers", "How bodies ended", ends.clone());
        let protocols = Family::<ByProtocol, Counter>::default();
        registry.register("requests_by_protocol", "Requests by protocol", protocols.clone());
        let protocol_lookups = Family::<ByProtocolAndServed, Counter>::default();
        let help = "Answers by protocol and what the cache had";
        registry.register("lookups_by_protocol", help, protocol_lookups.clone());
        let protocol_start = Family::<ByProtocol, Latency>::default();
        let help = "Time from request to first byte at hand, by protocol, of what has bytes";
        registry.register("start_by_protocol_seconds", help, protocol_start.clone());
        let limited = Family::<ByReason, Counter>::default();
        registry.register(
            "limited",
            "Requests refused for asking too often or from too many networks",
            limited.clone(),
        );
        registry.register_collector(Box::new(Faults));
        Self {
            lookups: Kind::ALL.map(|class| {
                Served::ALL.map(|outcome| lookups.get_or_create_owned(&ByKindAndServed { class, outcome }))
            }),
            start: Kind::ALL
                .map(|class| Served::ALL.map(|outcome| start.get_or_create_owned(&ByKindAndServed { class, outcome }))),
            delivered: Kind::ALL
                .map(|class| Tier::ALL.map(|tier| delivered.get_or_create_owned(&ByKindAndTier { class, tier }))),
            ends: End::ALL.map(|end| ends.get_or_create_owned(&ByEnd { end: end.into() })),
            protocols: PROTOCOLS
                .map(|protocol| protocols.get_or_create_owned(&ByProtocol { protocol: protocol.as_str() })),
            protocol_lookups: PROTOCOLS.map(|protocol| {
                let protocol = protocol.as_str();
                Served::ALL
                    .map(|outcome| protocol_lookups.get_or_create_owned(&ByProtocolAndServed { protocol, outcome }))
            }),
            protocol_start: PROTOCOLS
                .map(|protocol| protocol_start.get_or_create_owned(&ByProtocol { protocol: protocol.as_str() })),
            limited: Reason::ALL.map(|reason| limited.get_or_create_owned(&ByReason { reason })),
            requests,
            requests_known: (0..Kind::ALL.len() * Tier::ALL.len() * (STATUSES.len() + 1))
                .map(|_| OnceLock::new())
                .collect(),
            registry: Mutex::new(registry),
        }
    }

    /// Registers what another part of the edge counts. Its names get the prefix `needledrop_edge_`.
    pub fn add(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().expect("no code panics while registering"));
    }

    /// Everything, in the OpenMetrics text format (`application/openmetrics-text; version=1.0.0`).
    /// Reads `/proc`; a scrape takes well under a millisecond.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let registry = self.registry.lock().expect("no code panics while registering");
        text::encode(&mut text, &registry).expect("a String takes all that is written");
        text
    }

    /// A request came.
    pub fn asked(&self, protocol: Protocol) {
        self.protocols[place(protocol)].inc();
    }

    /// A request met a limit on who may ask how often.
    pub fn limited(&self, reason: Reason) {
        self.limited[reason as usize].inc();
    }

    /// A response head is ready after so long.
    pub fn answered(&self, asked: Asked, outcome: Served, status: u16, took: Duration) {
        let Asked { class, tier, protocol } = asked;
        self.protocol_lookups[place(protocol)][outcome as usize].inc();
        if class != Kind::None {
            self.protocol_start[place(protocol)].observe(took);
        }
        self.lookups[class as usize][outcome as usize].inc();
        self.start[class as usize][outcome as usize].observe(took);
        let column = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        let row = class as usize * Tier::ALL.len() + tier as usize;
        let counter = self.requests_known[row * (STATUSES.len() + 1) + column].get_or_init(|| {
            let status = STATUSES.get(column).copied().unwrap_or(0);
            self.requests.get_or_create_owned(&ByKindTierAndStatus { class, tier, status })
        });
        counter.inc();
    }

    /// A body ended, and so many of its bytes arrived.
    pub fn ended(&self, class: Kind, tier: Tier, end: End, delivered_bytes: u64) {
        self.ends[end as usize].inc();
        self.delivered[class as usize][tier as usize].inc_by(delivered_bytes);
    }
}

/// Where a protocol's counters are.
fn place(protocol: Protocol) -> usize {
    match protocol {
        Protocol::H1 => 0,
        Protocol::H2 => 1,
        Protocol::H3 => 2,
    }
}

/// Major faults of reactors, read off at each scrape.
#[derive(Debug)]
struct Faults;

impl Collector for Faults {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let faults = ConstCounter::new(threads::reactor_major_faults());
        let help = "Page faults for which a thread that answers requests waited for a disk";
        let metric = encoder.encode_descriptor("reactor_major_faults", help, None, faults.metric_type())?;
        faults.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text() {
        let metrics = Metrics::new();
        metrics.asked(Protocol::H3);
        let head = Asked { class: Kind::Head, tier: Tier::Listener, protocol: Protocol::H3 };
        let none = Asked { class: Kind::None, tier: Tier::Edge, protocol: Protocol::H1 };
        metrics.answered(head, Served::Hit, 206, Duration::from_micros(300));
        metrics.answered(none, Served::Refused, 999, Duration::from_secs(9));
        metrics.ended(Kind::Head, Tier::Listener, End::Left, 4_711);
        metrics.limited(Reason::Shared);
        let text = metrics.encode();
        for line in [
            "needledrop_edge_requests_total{class=\"head\",tier=\"listener\",status=\"206\"} 1",
            "needledrop_edge_requests_total{class=\"none\",tier=\"edge\",status=\"0\"} 1",
            "needledrop_edge_lookups_total{class=\"head\",outcome=\"hit\"} 1",
            "needledrop_edge_delivered_bytes_total{class=\"head\",tier=\"listener\"} 4711",
            "needledrop_edge_answers_total{end=\"left\"} 1",
            "needledrop_edge_limited_total{reason=\"url-shared\"} 1",
            "needledrop_edge_limited_total{reason=\"network-rate\"} 0",
            "needledrop_edge_requests_by_protocol_total{protocol=\"h3\"} 1",
            "needledrop_edge_start_seconds_bucket{le=\"0.0005\",class=\"head\",outcome=\"hit\"} 1",
            "needledrop_edge_start_seconds_bucket{le=\"+Inf\",class=\"head\",outcome=\"hit\"} 1",
            "needledrop_edge_start_seconds_count{class=\"none\",outcome=\"refused\"} 1",
            "needledrop_edge_lookups_by_protocol_total{protocol=\"h3\",outcome=\"hit\"} 1",
            "needledrop_edge_start_by_protocol_seconds_bucket{le=\"0.0005\",protocol=\"h3\"} 1",
            "needledrop_edge_start_by_protocol_seconds_count{protocol=\"h1\"} 0",
            "needledrop_edge_reactor_major_faults_total",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn parts_count_for_themselves_under_the_same_prefix() {
        let metrics = Metrics::new();
        let hedges = Counter::<u64>::default();
        metrics.add(|registry| registry.register("hedges", "Second requests", hedges.clone()));
        hedges.inc();
        assert!(metrics.encode().contains("needledrop_edge_hedges_total 1"));
    }
}
