//! The budget of one HTTP/3 connection for what brings nothing, as `frames.rs` has it for HTTP/2.
//!
//! Paid for are frames on the control stream, QPACK instructions, unidirectional streams, and twice as much each request
//! that is given up or not understood. Requests and bytes of ours that the peer takes earn. What QUIC itself carries
//! without an answer (PING, flow control) is quinn's, and costs no more than the packets that bring it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h3::error::Code;
use tokio::time::Instant;

use super::connection::Connection;
use super::stream::varint;
use crate::budget::Budget;
use crate::counters::Counters;
use crate::limits::Limits;

/// What a request that came to nothing costs.
const GIVEN_UP: u64 = 2;

/// The budget; whoever overdraws it loses the connection.
pub(super) struct Floods {
    budget: Mutex<Account>,
    connection: Connection,
    counters: Arc<Counters>,
}

struct Account {
    budget: Budget,
    is_overdrawn: bool,
}

impl Floods {
    pub(super) fn new(connection: Connection, limits: &Limits, counters: &Arc<Counters>) -> Arc<Self> {
        let budget = Budget::new(limits.idle_frames, limits.idle_frames_per_second, Instant::now());
        let budget = Mutex::new(Account { budget, is_overdrawn: false });
        Arc::new(Self { budget, connection, counters: Arc::clone(counters) })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many frames or instructions brought nothing, or a stream.
    pub(super) fn idle(&self, count: u64) {
        let mut account = self.account();
        if account.is_overdrawn || account.budget.spend(count, Instant::now) {
            return;
        }
        account.is_overdrawn = true;
        drop(account);
        self.counters.h3_flooded.bump();
        tracing::debug!(protocol = "h3", "too many frames that bring nothing");
        self.connection.close(varint(Code::H3_EXCESSIVE_LOAD.value()), b"");
    }

    /// A request was given up by its client, or was none.
    pub(super) fn given_up(&self) {
        self.idle(GIVEN_UP);
    }

    /// A request came.
    pub(super) fn asked(&self) {
        self.account().budget.earn(1);
    }

    /// The peer takes so many bytes of ours.
    pub(super) fn took(&self, bytes: u64) {
        self.account().budget.earn_bytes(bytes);
    }
}
