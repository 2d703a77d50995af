//! What is written beside each block, so that a start knows the block and a reader can trust it.
//!
//! A record has 64 bytes, so none lies across a sector or a page. Integers are little-endian.
//!
//! ```text
//!  offset  bytes  field
//!       0      4  magic "ndBR"
//!       4      1  format, 1
//!       5      1  class: 0 head, 1 body
//!       6      2  zero
//!       8      4  the slot that this record is about (a record read at another place is none)
//!      12      4  block, its number in the object
//!      16      8  version, the number of the object's version (the journal says which object)
//!      24      4  length of the block's bytes, 1..=131,072
//!      28      4  zero
//!      32      8  xxh3-64 of the block's bytes
//!      40     16  zero
//!      56      8  xxh3-64 of bytes 0..56
//! ```
//!
//! Sixty-four zero bytes are the record of an empty slot. Anything else that does not decode is
//! treated as one: the block is fetched again.

use needledrop_core::{
    BLOCK_BYTES,
    cache::{BlockKey, Class, Slot, VersionId},
};
use twox_hash::XxHash3_64;

/// The size of a record. Unit: bytes.
pub const RECORD_BYTES: usize = 64;

const MAGIC: [u8; 4] = *b"ndBR";
const FORMAT: u8 = 1;
const SUMMED: usize = 56;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub slot: Slot,
    /// Which block of which version.
    pub key: BlockKey,
    /// What it is to a listener.
    pub class: Class,
    /// How many bytes of the slot are the block's. Unit: bytes, at least 1.
    pub len: u32,
    /// xxh3-64 of these bytes.
    pub sum: u64,
}

impl Record {
    /// As it is written.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = FORMAT;
        bytes[5] = match self.class {
            Class::Head => 0,
            Class::Body => 1,
        };
        bytes[8..12].copy_from_slice(&self.slot.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.key.block.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.key.version.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.sum.to_le_bytes());
        let sum = XxHash3_64::oneshot(&bytes[..SUMMED]);
        bytes[SUMMED..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The record that was written for `slot`; `None` for an empty slot and for everything damaged,
    /// misplaced or from a format that this program does not know.
    pub fn decode(slot: Slot, bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || bytes[4] != FORMAT {
            return None;
        }
        if u64_at(bytes, SUMMED) != XxHash3_64::oneshot(&bytes[..SUMMED]) {
            return None;
        }
        let class = match bytes[5] {
            0 => Class::Head,
            1 => Class::Body,
            _ => return None,
        };
        let len = u32_at(bytes, 24);
        if u32_at(bytes, 8) != slot.0 || len == 0 || u64::from(len) > BLOCK_BYTES {
            return None;
        }
        let key = BlockKey { version: VersionId(u64_at(bytes, 16)), block: u32_at(bytes, 12) };
        Some(Self { slot, key, class, len, sum: u64_at(bytes, 32) })
    }
}

fn u32_at(bytes: &[u8; RECORD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; RECORD_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        (any::<u32>(), any::<u64>(), any::<u32>(), any::<bool>(), 1..=BLOCK_BYTES as u32, any::<u64>()).prop_map(
            |(slot, version, block, head, len, sum)| Record {
                slot: Slot(slot),
                key: BlockKey { version: VersionId(version), block },
                class: if head { Class::Head } else { Class::Body },
                len,
                sum,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(record in record()) {
            prop_assert_eq!(Record::decode(record.slot, &record.encode()), Some(record));
        }

        #[test]
        fn a_record_with_any_bit_flipped_is_none(record in record(), bit in 0..RECORD_BYTES * 8) {
            let mut bytes = record.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Record::decode(record.slot, &bytes), None);
        }

        #[test]
        fn a_record_in_another_place_is_none(record in record(), other in any::<u32>()) {
            prop_assume!(other != record.slot.0);
            prop_assert_eq!(Record::decode(Slot(other), &record.encode()), None);
        }
    }

    #[test]
    fn an_empty_slot_has_no_record() {
        assert_eq!(Record::decode(Slot(0), &[0; RECORD_BYTES]), None);
    }
}
