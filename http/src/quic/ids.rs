//! Connection ids of our making.
//!
//! The first byte is the generation of the process that made them, so that a packet can be told from those for the
//! process that had the socket before. The rest is random: an id must not say which others belong to its connection
//! (RFC 9000 5.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};

use crate::tls;

/// Longer than what clients usually make up for their first packet, so that the two are seldom confused.
pub(super) const ID_BYTES: usize = 12;

/// What becomes of a packet to an id that nobody living has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strangers {
    /// A stateless reset: the key is that of the process which made the id, and that one is gone (RFC 9000 10.3).
    Reset,
    /// Nothing: our reset would say nothing to its receiver.
    Silence,
}

/// The mark of one endpoint's ids.
pub(super) struct Generation {
    mark: AtomicU8,
    strangers: Strangers,
}

impl Generation {
    /// Random, because nobody knows how many came before.
    pub(super) fn new(strangers: Strangers) -> Arc<Self> {
        Arc::new(Self { mark: AtomicU8::new(random_mark()), strangers })
    }

    pub(super) fn mark(&self) -> u8 {
        self.mark.load(Ordering::Relaxed)
    }

    /// Takes another mark if this one is among those in use. Before the first id is made.
    pub(super) fn avoid(&self, used: &[u8]) {
        while used.contains(&self.mark()) {
            self.mark.store(random_mark(), Ordering::Relaxed);
        }
    }

    /// Makes ids with this mark.
    pub(super) fn generator(self: &Arc<Self>) -> Box<dyn ConnectionIdGenerator> {
        Box::new(Ids(Arc::clone(self)))
    }
}

fn random_mark() -> u8 {
    let mut byte = [0];
    random(&mut byte);
    byte[0]
}

fn random(bytes: &mut [u8]) {
    tls::provider().secure_random.fill(bytes).expect("a system without random numbers has no TLS either");
}

struct Ids(Arc<Generation>);

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; ID_BYTES];
        random(&mut bytes);
        bytes[0] = self.0.mark();
        ConnectionId::new(&bytes)
    }

    /// Whether a packet to an unknown id may get a stateless reset. What is for a process that lives does not come here
    /// (`former.rs`).
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let is_ours = id.first() == Some(&self.0.mark());
        match is_ours || self.0.strangers == Strangers::Reset {
            true => Ok(()),
            false => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_bear_the_mark_which_is_no_one_elses() {
        let generation = Generation::new(Strangers::Silence);
        let used: Vec<u8> = (0..=255).filter(|mark| *mark != 77).collect();
        generation.avoid(&used);
        let mut ids = generation.generator();
        let (one, two) = (ids.generate_cid(), ids.generate_cid());
        assert_eq!((one[0], two[0], one.len()), (77, 77, ids.cid_len()));
        assert_ne!(one, two);
        let foreign = ConnectionId::new(&[78; ID_BYTES]);
        assert!(ids.validate(&one).is_ok() && ids.validate(&foreign).is_err());
        assert!(Generation::new(Strangers::Reset).generator().validate(&foreign).is_ok());
    }
}
