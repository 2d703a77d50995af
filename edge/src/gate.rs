//! Whether this edge takes requests: not before it has caught up, and not while it drains.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// What the edge tells a balancer and a listener. Clones are one gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU8>);

/// Where the gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Requests are taken.
    Open,
    /// Purges are being caught up on; requests get 503.
    Starting,
    /// New requests get 503, running answers go on.
    Draining,
}

impl Gate {
    /// Where it stands.
    pub fn standing(&self) -> Standing {
        match self.0.load(Ordering::Relaxed) {
            0 => Standing::Open,
            1 => Standing::Starting,
            _ => Standing::Draining,
        }
    }

    /// Whether requests are taken.
    pub fn is_open(&self) -> bool {
        self.standing() == Standing::Open
    }

    /// Moves it.
    pub fn set(&self, standing: Standing) {
        self.0.store(standing as u8, Ordering::Relaxed);
    }

    /// The start is over: requests are taken, unless a drain was asked for meanwhile.
    pub fn started(&self) {
        let (starting, open) = (Standing::Starting as u8, Standing::Open as u8);
        let _ = self.0.compare_exchange(starting, open, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Standing {
    /// A word for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "ready",
            Self::Starting => "starting",
            Self::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_asked_for_during_the_start_stays() {
        let gate = Gate::default();
        gate.set(Standing::Starting);
        gate.set(Standing::Draining);
        gate.started();
        assert_eq!(gate.standing(), Standing::Draining);
        gate.set(Standing::Open);
        assert!(gate.is_open());
    }
}
