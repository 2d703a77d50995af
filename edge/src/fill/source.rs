//! Where a fill's bytes come from: a wish, the body that answers it, and how well that goes.

use std::{sync::Arc, time::Duration};

use needledrop_core::{ByteRange, cdn_loop::Chain};
use tokio::time::Instant;

use crate::{
    error::FillError,
    limits::UPSTREAM_HEADERS_TIMEOUT,
    object::Object,
    shelf::Shelf,
    upstream::{Answered, Condition, Errand, UpstreamBody, WayId},
};

/// Bytes of one version that are wanted; owns all it needs, so that it can outlive a turn of the loop.
pub(super) struct Wish {
    pub(super) shelf: Arc<Shelf>,
    pub(super) object: Arc<Object>,
    pub(super) chain: Chain,
    pub(super) range: ByteRange,
    /// The way that brought the last body: asked last.
    pub(super) avoid: Option<WayId>,
}

impl Wish {
    /// A body that begins at or before the first wanted byte, of this very version.
    pub(super) async fn fetch(&self) -> Result<Source, FillError> {
        let errand = Errand {
            path: &self.object.path,
            chain: &self.chain,
            patience: UPSTREAM_HEADERS_TIMEOUT,
            avoid: self.avoid,
        };
        let condition = Condition::Unchanged(&self.object.validators);
        match self.shelf.upstream.get(errand, self.range, condition).await? {
            Answered::Body(facts, body)
                if facts.len == self.object.len && facts.is_same_version(&self.object.validators) =>
            {
                Ok(Source { body, at: facts.start })
            }
            _ => Err(FillError::Changed),
        }
    }
}

/// A body under way.
pub(super) struct Source {
    pub(super) body: UpstreamBody,
    /// Where its next byte stands in the object.
    pub(super) at: u64,
}

impl Source {
    /// So many bytes came; gives where the first of them stands.
    pub(super) fn advance(&mut self, bytes: usize) -> u64 {
        let at = self.at;
        self.at += bytes as u64;
        at
    }
}

/// Whether a body brings enough to play.
pub(super) struct Progress {
    /// Since when less than the minimum came.
    since: Instant,
    bytes: usize,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Takes what came; true each time that the minimum is reached.
    pub(super) fn brought(&mut self, bytes: usize, enough: usize) -> bool {
        self.bytes += bytes;
        let is_enough = self.bytes >= enough;
        if is_enough {
            *self = Self::new();
        }
        is_enough
    }

    /// Time that we took ourselves, as when there was no room for more bytes, is not the body's.
    pub(super) fn pause(&mut self, took: Duration) {
        self.since += took;
    }

    pub(super) fn is_stalled(&self, after: Duration) -> bool {
        self.since.elapsed() >= after
    }

    pub(super) fn stalls_at(&self, after: Duration) -> Instant {
        self.since + after
    }
}
