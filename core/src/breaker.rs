//! Whether an upstream should be asked at all: circuit breaker, health, retry budget.
//!
//! Three small state machines that know neither clocks nor sockets. Times are milliseconds of
//! one monotonic clock of the caller, dice are the caller's too. [`Breaker`] learns from real
//! requests, [`Health`] from checks made for the purpose, [`RetryBudget`] bounds what all
//! second attempts together may add to an upstream's load.

/// Failures in a row after which a way is left alone. Unit: failures. One restarting worker or
/// one broken object stays below; a dead origin is found out within the first few misses.
pub const FAILURES_MAX: u32 = 5;

/// How long a way is left alone the first time. Unit: ms.
pub const OPEN_MS_MIN: u64 = 1_000;

/// How long it is left alone at most; each failed trial doubles the time. Unit: ms. Longer would
/// keep an origin that is back without its listeners.
pub const OPEN_MS_MAX: u64 = 10_000;

/// A trial that nobody reported on is forgotten after this. Unit: ms.
pub const TRIAL_MS_MAX: u64 = 5_000;

/// A circuit breaker: closed, open for a while, then one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    failures: u32,
    /// How often it opened since the last success.
    openings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until_ms: u64,
    },
    Trial {
        since_ms: u64,
    },
}

impl Breaker {
    /// Whether a request may go out now. After the open time this is true for one request, the
    /// trial, until that is reported on.
    pub fn may_ask(&mut self, now_ms: u64) -> bool {
        let free_at = match self.state {
            State::Closed => return true,
            State::Open { until_ms } => until_ms,
            State::Trial { since_ms } => since_ms.saturating_add(TRIAL_MS_MAX),
        };
        if now_ms < free_at {
            return false;
        }
        self.state = State::Trial { since_ms: now_ms };
        true
    }

    /// Whether nothing speaks against this way: for a look that sends nothing.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// A request brought what it was sent for.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A request failed by the way's fault. `dice` spreads the trials of many edges over time.
    pub fn failed(&mut self, now_ms: u64, dice: u64) {
        match self.state {
            // A straggler from before it opened.
            State::Open { .. } => {}
            State::Trial { .. } => self.open(now_ms, dice),
            State::Closed => {
                self.failures += 1;
                if self.failures >= FAILURES_MAX {
                    self.open(now_ms, dice);
                }
            }
        }
    }

    /// The trial was given up without a word about the way: the next request may be one.
    pub fn abandoned(&mut self, now_ms: u64) {
        if let State::Trial { .. } = self.state {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    /// A health check found the way alive: the next request may be the trial.
    pub fn encourage(&mut self, now_ms: u64) {
        if let State::Open { .. } = self.state {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    fn open(&mut self, now_ms: u64, dice: u64) {
        let full = OPEN_MS_MIN.saturating_mul(1 << self.openings.min(16)).min(OPEN_MS_MAX);
        // Between four fifths of it and the whole.
        let wait = full - dice % (full / 5 + 1);
        self.openings = self.openings.saturating_add(1);
        self.failures = 0;
        self.state = State::Open { until_ms: now_ms.saturating_add(wait) };
    }
}

/// Checks in a row that must fail before a way counts as down.
pub const FALL: u32 = 3;

/// Checks in a row that must succeed before it counts as up again.
pub const RISE: u32 = 2;

/// What active checks say about a way: up until proven otherwise, and slow to change its mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    is_down: bool,
    /// Checks in a row that spoke against the present state.
    against: u32,
}

impl Health {
    /// Takes the outcome of a check; true if the state changed by it.
    pub fn checked(&mut self, is_well: bool) -> bool {
        if is_well != self.is_down {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < if self.is_down { RISE } else { FALL } {
            return false;
        }
        *self = Self { is_down: !self.is_down, against: 0 };
        true
    }

    /// Whether it counts as up.
    pub fn is_up(&self) -> bool {
        !self.is_down
    }
}

/// Second attempts allowed for each hundred first ones. Unit: per cent.
pub const RETRY_PERCENT: u32 = 20;

/// Second attempts allowed whatever the traffic; comes back at one a second. Unit: attempts.
pub const RETRY_RESERVE: u32 = 10;

/// Second attempts that a quiet time can save up. Unit: attempts.
pub const RETRY_SAVED_MAX: u32 = 100;

const TOKEN: u64 = 1_000;

/// A token bucket for retries, fail-overs and hedges together, so that trouble upstream never
/// becomes a storm of our making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// In thousandths of an attempt.
    tokens: u64,
    refilled_ms: u64,
}

impl RetryBudget {
    /// The reserve, full.
    pub fn new(now_ms: u64) -> Self {
        Self { tokens: u64::from(RETRY_RESERVE) * TOKEN, refilled_ms: now_ms }
    }

    /// A first attempt went out.
    pub fn first_attempt(&mut self) {
        let earned = u64::from(RETRY_PERCENT) * TOKEN / 100;
        self.tokens = (self.tokens + earned).min(u64::from(RETRY_SAVED_MAX) * TOKEN);
    }

    /// Takes a second attempt out of the budget; false if there is none left.
    pub fn second_attempt(&mut self, now_ms: u64) -> bool {
        let reserve = u64::from(RETRY_RESERVE) * TOKEN;
        if self.tokens < reserve {
            // One a second is one thousandth each millisecond.
            self.tokens = (self.tokens + now_ms.saturating_sub(self.refilled_ms)).min(reserve);
        }
        self.refilled_ms = self.refilled_ms.max(now_ms);
        match self.tokens.checked_sub(TOKEN) {
            Some(left) => self.tokens = left,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn broken(now_ms: u64) -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(now_ms, 0));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (1..FAILURES_MAX).for_each(|_| breaker.failed(0, 0));
            breaker.succeeded();
        }
        assert!(breaker.may_ask(0));
        assert!(!broken(0).may_ask(OPEN_MS_MIN - 1));
    }

    #[test]
    fn after_a_while_one_trial_goes_out_and_decides() {
        let mut breaker = broken(0);
        assert!(breaker.may_ask(OPEN_MS_MIN));
        assert!(!breaker.may_ask(OPEN_MS_MIN), "one trial at a time");
        breaker.succeeded();
        assert!(breaker.is_closed() && breaker.may_ask(OPEN_MS_MIN));

        let mut breaker = broken(0);
        assert!(breaker.may_ask(OPEN_MS_MIN));
        breaker.failed(OPEN_MS_MIN, 0);
        assert!(!breaker.may_ask(2 * OPEN_MS_MIN), "the second time it is left alone for longer");
        assert!(breaker.may_ask(OPEN_MS_MIN + 2 * OPEN_MS_MIN));
    }

    #[test]
    fn a_trial_without_a_report_does_not_close_the_way_for_ever() {
        let mut breaker = broken(0);
        assert!(breaker.may_ask(OPEN_MS_MIN));
        assert!(breaker.may_ask(OPEN_MS_MIN + TRIAL_MS_MAX));
        breaker.abandoned(OPEN_MS_MIN + TRIAL_MS_MAX);
        assert!(breaker.may_ask(OPEN_MS_MIN + TRIAL_MS_MAX));
    }

    #[test]
    fn a_good_check_shortens_the_wait() {
        let mut breaker = broken(0);
        breaker.encourage(1);
        assert!(breaker.may_ask(1) && !breaker.may_ask(1));
    }

    #[test]
    fn health_changes_only_after_several_checks() {
        let mut health = Health::default();
        let changes: Vec<_> = [false, false, true, false, false, false, true, false, true, true]
            .into_iter()
            .map(|well| (health.checked(well), health.is_up()))
            .collect();
        let up: Vec<_> = changes.iter().map(|(_, up)| *up).collect();
        assert_eq!(up, [true, true, true, true, true, false, false, false, false, true]);
        assert_eq!(changes.iter().filter(|(changed, _)| *changed).count(), 2);
    }

    #[test]
    fn the_budget_is_the_reserve_and_a_share_of_the_traffic() {
        let mut budget = RetryBudget::new(0);
        let spent = |budget: &mut RetryBudget, now| (0..1_000).take_while(|_| budget.second_attempt(now)).count();
        assert_eq!(spent(&mut budget, 0), 10);
        (0..100).for_each(|_| budget.first_attempt());
        assert_eq!(spent(&mut budget, 0), 20);
        assert_eq!(spent(&mut budget, 3_000), 3, "the reserve comes back at one a second");
        assert_eq!(spent(&mut budget, 1_000_000), 10, "and not beyond itself");
        (0..1_000_000).for_each(|_| budget.first_attempt());
        assert_eq!(spent(&mut budget, 1_000_000), 100);
    }

    proptest! {
        #[test]
        fn an_open_breaker_lets_at_most_one_request_through_a_window(
            steps in prop::collection::vec((0u64..400, any::<bool>(), any::<u64>()), 1..200)
        ) {
            let mut breaker = broken(0);
            let (mut now, mut last_trial) = (0, None::<u64>);
            for (step, asks, dice) in steps {
                now += step;
                if asks {
                    if breaker.may_ask(now) {
                        prop_assert!(last_trial.is_none_or(|last| now - last >= OPEN_MS_MIN * 4 / 5));
                        last_trial = Some(now);
                    }
                } else {
                    breaker.failed(now, dice);
                }
            }
        }

        #[test]
        fn second_attempts_never_exceed_share_and_reserve(
            steps in prop::collection::vec((0u64..50, any::<bool>()), 1..500)
        ) {
            let mut budget = RetryBudget::new(0);
            let (mut now, mut firsts, mut seconds) = (0, 0u64, 0u64);
            for (step, first) in steps {
                now += step;
                if first {
                    budget.first_attempt();
                    firsts += 1;
                } else if budget.second_attempt(now) {
                    seconds += 1;
                }
            }
            prop_assert!(seconds * 1_000 <= u64::from(RETRY_RESERVE) * 1_000 + firsts * 200 + now);
        }
    }
}
