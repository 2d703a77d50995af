//! Which requests of a connection may be replays (RFC 8470).
//!
//! What comes with a ClientHello proves nothing about who sends it now. A stream that was there before the handshake
//! was complete is early until the handshake completes: its last message can only come from who holds the keys.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The early streams of one connection.
#[derive(Default)]
pub(super) struct Early {
    /// Streams with a number below this one were opened in early data; the peer opens them in order.
    until: AtomicU64,
    is_confirmed: AtomicBool,
}

impl Early {
    /// A stream that came before the end of the handshake.
    pub(super) fn mark(&self, stream: u64) {
        self.until.fetch_max(stream + 1, Ordering::AcqRel);
    }

    /// The handshake is complete.
    pub(super) fn confirm(&self) {
        self.is_confirmed.store(true, Ordering::Release);
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.is_confirmed.load(Ordering::Acquire)
    }

    /// Whether this stream may be a replay, as far as is known now.
    pub(super) fn covers(&self, stream: u64) -> bool {
        stream < self.until.load(Ordering::Acquire) && !self.is_confirmed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_early_until_the_handshake_is_complete() {
        let early = Early::default();
        assert!(!early.covers(0));
        early.mark(0);
        early.mark(4);
        assert!(early.covers(0) && early.covers(4) && !early.covers(8));
        early.confirm();
        assert!(!early.covers(4));
    }
}
