//! What an index has done since it was made.

/// Blocks now present, and what became of those that came. Unit: blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Present blocks of heads.
    pub heads: u32,
    /// Present blocks behind heads.
    pub bodies: u32,
    /// Present blocks that a lease holds.
    pub leased: u32,
    /// Blocks of heads that left to make room.
    pub evicted_heads: u64,
    /// Blocks behind heads that left to make room.
    pub evicted_bodies: u64,
    /// Prefetched blocks that were used.
    pub prefetched_used: u64,
    /// Those of them that were used only after their lease had ended.
    pub prefetched_late: u64,
    /// Prefetched blocks that left unused.
    pub prefetched_wasted: u64,
    /// Leases that ended early because too many slots were leased.
    pub leases_dropped: u64,
}

impl Counts {
    /// Blocks that left to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted_heads + self.evicted_bodies
    }
}
