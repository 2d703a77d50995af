//! What a block is to a listener.

/// The class of a block. Start latency depends on heads alone, so they have a share of the cache of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Has a part in the first 30 s of its object.
    Head,
    /// Everything behind.
    Body,
}
