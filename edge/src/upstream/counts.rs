//! What is counted about upstreams, in words of the group as a whole.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Counters; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Requests that went upstream, second attempts included.
    pub requests: Counter,
    /// Attempts that failed by the upstream's fault: no connection, silence, a broken body, 502 to 504.
    pub failures: Counter,
    /// Second requests sent because the first one brought nothing for a while.
    pub hedges: Counter,
    /// Hedges that brought the bytes first.
    pub hedges_won: Counter,
    /// Requests sent to another upstream because the first one failed.
    pub failovers: Counter,
    /// Fills that went on with another request after a failure.
    pub retries: Counter,
    /// Second attempts that the retry budget did not allow.
    pub budget_spent: Counter,
    /// Requests that no upstream could be asked for: all were known to be down.
    pub nobody: Counter,
    /// Bytes of bodies that came from upstream.
    pub bytes: Counter,
    /// Answers with a stale object, because it is being revalidated or cannot be.
    pub stale_served: Counter,
}

impl Counts {
    /// Puts all of them into a registry, whose prefix says whose they are.
    pub fn register(&self, registry: &mut Registry) {
        let family = [
            ("requests", "Requests sent upstream", &self.requests),
            ("failures", "Attempts that failed by the upstream's fault", &self.failures),
            ("hedges", "Second requests sent while the first one was silent", &self.hedges),
            ("hedges_won", "Hedges that brought the bytes first", &self.hedges_won),
            ("failovers", "Requests sent to another upstream after a failure", &self.failovers),
            ("retries", "Fills that went on with another request", &self.retries),
            ("budget_spent", "Second attempts that the retry budget did not allow", &self.budget_spent),
            ("nobody", "Requests for which all upstreams were known to be down", &self.nobody),
            ("bytes", "Body bytes that came from upstream", &self.bytes),
            ("stale_served", "Answers with a stale object", &self.stale_served),
        ];
        for (name, help, counter) in family {
            registry.register(format!("upstream_{name}"), help, counter.clone());
        }
    }
}
