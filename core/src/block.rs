//! Block arithmetic: objects are cached and filled in aligned pieces of 128 KiB.

use crate::range::ByteRange;

/// The size of a block in bytes: the smallest piece worth a request upstream, about 6.6 s of 160 kbit/s.
pub const BLOCK_BYTES: u64 = 128 * 1024;

/// The head (first 30 s) of an object of which nobody told: 640 KiB, five blocks, are 30 s of 160 kbit/s
/// with tags and a cover before them. Unit: bytes.
pub const HEAD_BYTES_DEFAULT: u64 = 5 * BLOCK_BYTES;

/// The largest object, in bytes: as many blocks as [`BlockIndex`] can number, 512 TiB. Whoever says
/// that an object is longer is not believed.
pub const OBJECT_BYTES_MAX: u64 = BLOCK_BYTES << 32;

/// Which block of an object, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

impl BlockIndex {
    /// The block that holds this byte; `None` beyond 512 TiB, where the number ends.
    pub fn of_byte(position: u64) -> Option<Self> {
        u32::try_from(position / BLOCK_BYTES).ok().map(Self)
    }

    /// Where the block begins in the object.
    pub fn start(self) -> u64 {
        u64::from(self.0) * BLOCK_BYTES
    }

    /// The bytes of this block in an object of `len` bytes: the last one may be short;
    /// `None` if the object ends before it.
    pub fn range(self, len: u64) -> Option<ByteRange> {
        ByteRange::new(self.start(), len.min(self.start() + BLOCK_BYTES))
    }

    /// The block behind this one.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// How many blocks an object of `len` bytes has.
pub fn block_count(len: u64) -> u64 {
    len.div_ceil(BLOCK_BYTES)
}

/// The blocks that a range touches, in order. Blocks beyond 512 TiB do not exist and are left out.
pub fn blocks_of(range: ByteRange) -> impl DoubleEndedIterator<Item = BlockIndex> + Clone {
    let end = range.end().div_ceil(BLOCK_BYTES).min(u64::from(u32::MAX) + 1);
    (range.start() / BLOCK_BYTES..end).map(|index| BlockIndex(index as u32))
}

/// The smallest range of whole blocks around `range`, cut at the object's end: what a fill asks upstream for.
pub fn aligned(range: ByteRange, len: u64) -> Option<ByteRange> {
    let start = range.start() / BLOCK_BYTES * BLOCK_BYTES;
    let end = range.end().div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
    ByteRange::new(start, end.min(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).expect("not empty")
    }

    #[test]
    fn edges_of_blocks_fall_where_they_should() {
        let touched = |start, end| blocks_of(range(start, end)).map(|block| block.0).collect::<Vec<_>>();
        assert_eq!(touched(0, 1), [0]);
        assert_eq!(touched(0, BLOCK_BYTES), [0]);
        assert_eq!(touched(0, BLOCK_BYTES + 1), [0, 1]);
        assert_eq!(touched(BLOCK_BYTES - 1, BLOCK_BYTES + 1), [0, 1]);
        assert_eq!(touched(BLOCK_BYTES, BLOCK_BYTES + 1), [1]);
        assert_eq!(block_count(0), 0);
        assert_eq!(block_count(BLOCK_BYTES), 1);
        assert_eq!(block_count(BLOCK_BYTES + 1), 2);
    }

    #[test]
    fn the_last_block_is_short_and_none_follows_it() {
        let len = BLOCK_BYTES + 10;
        assert_eq!(BlockIndex(1).range(len), Some(range(BLOCK_BYTES, len)));
        assert_eq!(BlockIndex(2).range(len), None);
        assert_eq!(BlockIndex(0).range(0), None);
        assert_eq!(BlockIndex(1).range(BLOCK_BYTES), None);
    }

    #[test]
    fn the_far_end_of_the_numbers_is_left_out_not_wrapped() {
        let far = range(u64::MAX - 1, u64::MAX);
        assert_eq!(blocks_of(far).count(), 0);
        assert_eq!(BlockIndex::of_byte(u64::MAX), None);
        assert_eq!(BlockIndex(u32::MAX).next(), None);
    }

    proptest! {
        #[test]
        fn blocks_cover_a_range_exactly_once(start in 0..10 * BLOCK_BYTES, size in 1..3 * BLOCK_BYTES, more in 0..BLOCK_BYTES) {
            let wanted = range(start, start + size);
            let len = wanted.end() + more;
            let pieces: Vec<_> = blocks_of(wanted)
                .map(|block| block.range(len).expect("inside the object").intersection(wanted).expect("touched"))
                .collect();
            prop_assert_eq!(pieces.first().map(|piece| piece.start()), Some(wanted.start()));
            prop_assert_eq!(pieces.last().map(|piece| piece.end()), Some(wanted.end()));
            prop_assert!(pieces.windows(2).all(|pair| pair[0].end() == pair[1].start()));
            let whole = aligned(wanted, len).expect("not empty");
            prop_assert_eq!(whole.start() % BLOCK_BYTES, 0);
            prop_assert!(whole.end() == len || whole.end().is_multiple_of(BLOCK_BYTES));
            prop_assert_eq!(whole.intersection(wanted), Some(wanted));
        }
    }
}
