//! A budget for what brings nothing: credits that are spent, earned back, and refilled by time. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The parts of a credit that are counted: one byte of ours earns one.
const CREDIT: u64 = 1024;

/// Credits of one connection.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    full: u64,
    per_second: u64,
    /// Time has been paid out until here.
    paid: Instant,
}

impl Budget {
    /// A full one.
    pub(crate) fn new(credits: u32, per_second: u32, now: Instant) -> Self {
        let full = u64::from(credits) * CREDIT;
        Self { left: full, full, per_second: u64::from(per_second) * CREDIT, paid: now }
    }

    /// Takes credits; false if there are not so many. The clock is asked only then: time may have brought them.
    pub(crate) fn spend(&mut self, credits: u64, now: impl FnOnce() -> Instant) -> bool {
        let cost = credits.saturating_mul(CREDIT);
        if self.left < cost {
            let now = now();
            let passed = now.saturating_duration_since(self.paid);
            self.paid = now;
            self.refill(passed);
        }
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    fn refill(&mut self, passed: Duration) {
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX / CREDIT);
        self.add(millis.saturating_mul(self.per_second) / 1000);
    }

    /// A credit for each.
    pub(crate) fn earn(&mut self, credits: u64) {
        self.add(credits.saturating_mul(CREDIT));
    }

    /// A credit for each KiB of ours that the peer takes.
    pub(crate) fn earn_bytes(&mut self, bytes: u64) {
        self.add(bytes);
    }

    fn add(&mut self, parts: u64) {
        self.left = self.left.saturating_add(parts).min(self.full);
    }

    /// What is left, in parts of a credit.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_bytes_and_credits_refill_what_was_spent_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::new(3, 10, start);
        assert!((0..3).all(|_| budget.spend(1, || start)));
        assert!(!budget.spend(1, || start));
        assert!(budget.spend(1, || start + Duration::from_millis(100)));
        assert!(!budget.spend(1, || start + Duration::from_millis(100)), "time is paid once");
        budget.earn_bytes(1024);
        budget.earn(1);
        assert!(budget.spend(2, || start + Duration::from_millis(100)));
        budget.earn(u64::MAX);
        assert_eq!(budget.left(), 3 * 1024);
        assert!(!budget.spend(4, || start + Duration::from_secs(100)));
    }
}
