//! What can go wrong between the edge and its upstream, in the edge's own words.
//!
//! HTTP status codes are given once, in `respond`.

/// Why a fill did not bring the bytes it was sent for. Cheap to clone: every waiting
/// reader gets one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// Upstream has no such object (404 or 410).
    #[error("upstream has no such object")]
    NotFound,
    /// Upstream answered, but with a refusal or a failure of its own.
    #[error("upstream answered {0}")]
    Refused(u16),
    /// No connection, or no byte in time.
    #[error("no byte from upstream in time")]
    Silent,
    /// Every upstream is known to be down: nobody was asked.
    #[error("no upstream can be asked just now")]
    Down,
    /// The connection broke in the middle.
    #[error("upstream broke off")]
    Broken,
    /// The answer contradicts itself or what was asked: a wrong Content-Range, a missing
    /// length, too many bytes.
    #[error("upstream's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// The object is another one now; its old blocks are gone.
    #[error("the object changed upstream")]
    Changed,
    /// Nobody waited for the rest of the run any more.
    #[error("the fill was given up")]
    Deserted,
    /// Too many bytes are on their way already.
    #[error("too many fills at once")]
    Overloaded,
}

impl FillError {
    /// Whether the same request may succeed when tried again at once.
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Silent | Self::Broken)
    }

    /// Whether another upstream may do better.
    pub fn is_worth_another_way(&self) -> bool {
        match self {
            Self::Silent | Self::Broken | Self::Nonsense(_) => true,
            Self::Refused(status) => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// Whether it is an error in the sense of stale-if-error (RFC 5861 section 4): upstream cannot be
    /// asked, or fails by its own fault.
    pub fn is_an_outage(&self) -> bool {
        matches!(self, Self::Silent | Self::Down | Self::Broken | Self::Refused(500..=504))
    }

    /// Whether it speaks against the upstream itself. A 500 or a nonsensical answer may be about one
    /// object only, and must not cut off the rest.
    pub fn is_the_ways_fault(&self) -> bool {
        matches!(self, Self::Silent | Self::Broken | Self::Refused(502..=504))
    }
}
