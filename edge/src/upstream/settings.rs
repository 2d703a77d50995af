//! What an operator may decide about the way upstream.

use std::time::Duration;

use super::HealthCheck;
use crate::limits::{FIRST_BYTE_WAIT, HEDGE_AFTER, STALE_IF_ERROR_DEFAULT_SECONDS};

/// Settings of [`Upstreams`](super::Upstreams).
#[derive(Debug, Clone)]
pub struct Settings {
    /// This edge's id in `CDN-Loop` (RFC 8586): a token, different at each edge.
    pub loop_id: String,
    /// How long a request that nothing has been sent of waits for upstream. Then it is a 504.
    pub first_byte_wait: Duration,
    /// How long upstream may bring nothing before somebody else is asked as well.
    pub hedge_after: Duration,
    /// For how long a stale object is served if upstream cannot be asked and its last answer stated
    /// nothing about that. Unit: seconds.
    pub stale_if_error_seconds: u64,
    /// How upstreams are checked while nobody asks them; `None`: only real requests tell.
    pub health: Option<HealthCheck>,
}

impl Settings {
    /// The defaults, for an edge of this name. A random part is added to the id: two edges that were
    /// given one name must not take each other for themselves.
    pub fn named(name: &str) -> Self {
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Self {
            loop_id: format!("{name}-{random:08x}"),
            first_byte_wait: FIRST_BYTE_WAIT,
            hedge_after: HEDGE_AFTER,
            stale_if_error_seconds: STALE_IF_ERROR_DEFAULT_SECONDS,
            health: None,
        }
    }
}
