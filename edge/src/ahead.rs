//! How far a reader's wish is taken at its word: the rule against amplification (RangeAmp).
//!
//! Whatever a client asks, upstream sends at most the bytes that the client took, two blocks
//! for each part (the rest of its first and of its current block), and [`READ_AHEAD_BLOCKS`]
//! once the reader is sequential. It is sequential when it has come to the second block of a
//! part, or if the whole part lies within the read-ahead: then one request brings it.

use crate::limits::{FIRST_RUN_BLOCKS, READ_AHEAD_BLOCKS, RUN_BLOCKS_MAX};

/// The last block that may be fetched for a reader at `block` of a part `first..=last`.
pub fn reach(first: u32, last: u32, block: u32) -> u32 {
    let is_sequential = block > first || last - first < RUN_BLOCKS_MAX;
    let ahead = if is_sequential { READ_AHEAD_BLOCKS } else { FIRST_RUN_BLOCKS - 1 };
    last.min(block.saturating_add(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_player_is_one_request_and_a_whole_file_begins_small() {
        assert_eq!(reach(3, 3, 3), 3, "one byte touches one block");
        assert_eq!(reach(0, 3, 0), 3, "512 KiB from a block's start");
        assert_eq!(reach(0, 4, 0), 4, "512 KiB across five blocks");
        assert_eq!(reach(0, 5, 0), 1, "more than that begins with two");
        assert_eq!(reach(7, u32::MAX, 7), 8);
    }

    #[test]
    fn from_the_second_block_on_four_are_fetched_ahead_and_never_beyond_the_part() {
        assert_eq!(reach(0, 100, 1), 5);
        assert_eq!(reach(0, 100, 98), 100);
        assert_eq!(reach(u32::MAX - 9, u32::MAX, u32::MAX - 1), u32::MAX);
    }
}
