//! Connection ids of our making.
//!
//! The first byte is the generation of the process that made them, so that a packet can be told from those for the
//! process that had the socket before. The rest is random: an id must not say which others belong to its connection
//! (RFC 9000 5.1).

use std::sync::OnceLock;
use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};

use crate::tls;

/// Longer than what clients usually make up for their first packet, so that the two are seldom confused.
const ID_BYTES: usize = 12;

/// One for an endpoint.
pub(super) fn generator() -> Box<dyn ConnectionIdGenerator> {
    Box::new(Ids { generation: generation() })
}

/// Of this process: random, because nobody knows how many came before.
fn generation() -> u8 {
    static GENERATION: OnceLock<u8> = OnceLock::new();
    *GENERATION.get_or_init(|| {
        let mut byte = [0];
        random(&mut byte);
        byte[0]
    })
}

fn random(bytes: &mut [u8]) {
    tls::provider().secure_random.fill(bytes).expect("a system without random numbers has no TLS either");
}

struct Ids {
    generation: u8,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; ID_BYTES];
        random(&mut bytes);
        bytes[0] = self.generation;
        ConnectionId::new(&bytes)
    }

    /// What another process made gets no stateless reset from us: its connection may live there.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        match id.first() {
            Some(first) if *first == self.generation => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
