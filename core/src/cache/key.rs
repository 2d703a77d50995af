//! The names of blocks and of the places for them.

use serde::{Deserialize, Serialize};

/// One version of one object: a number the edge gives to each (path, ETag) pair.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionId(pub u64);

/// A block of one version of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    /// The version the bytes belong to; blocks of two versions never mix.
    pub version: VersionId,
    /// Which aligned 128 KiB piece, from 0.
    pub block: u32,
}

/// A place for one block in the store, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl BlockKey {
    /// Spreads keys over 64 bits. Version numbers are the edge's own, given one after the
    /// other, so nobody outside can choose keys that collide: mixing is enough.
    pub(super) fn spread(self) -> u64 {
        let mut bits = self.version.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(self.block) << 17;
        for factor in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB_u64] {
            bits = (bits ^ (bits >> 31)).wrapping_mul(factor);
        }
        bits ^ (bits >> 29)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbouring_blocks_and_versions_spread_apart() {
        let keys =
            (0..200).flat_map(|version| (0..50).map(move |block| BlockKey { version: VersionId(version), block }));
        let top: HashSet<u64> = keys.clone().map(|key| key.spread() >> 40).collect();
        let low: HashSet<u64> = keys.map(|key| key.spread() & 0xff_ffff).collect();
        // 10,000 keys in 2^24 cells: chance alone makes about three collisions.
        assert!(top.len() > 9_980 && low.len() > 9_980, "{} {}", top.len(), low.len());
    }
}
