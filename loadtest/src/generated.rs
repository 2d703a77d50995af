//! Objects made of nothing but their name, so that every byte of them can be checked anywhere, without a file.
//!
//! Byte `k` of an object is byte `k % 8` (little endian) of its word `k / 8`. With the name's 64-bit FNV-1a hash `h`,
//! word `i` is the finaliser of SplitMix64 over `h + (i + 1) * 0x9E3779B97F4A7C15`, all modulo 2^64:
//! `z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) * 0x94D049BB133111EB; z ^ z >> 31`. Nothing but the
//! name counts: the object is endless, and how much of it there is, is for the server to say.

/// Writes the bytes of an object from `offset` on.
pub fn fill(name: &str, offset: u64, bytes: &mut [u8]) {
    let hash = hash(name);
    let (head, rest) = bytes.split_at_mut(unaligned(offset, bytes.len()));
    copy_word(hash, offset, head);
    let start = offset + head.len() as u64;
    let mut words = rest.chunks_exact_mut(8);
    let mut index = start / 8;
    for word in &mut words {
        word.copy_from_slice(&self::word(hash, index).to_le_bytes());
        index += 1;
    }
    copy_word(hash, index * 8, words.into_remainder());
}

/// Whether these are the object's bytes from `offset` on.
pub fn matches(name: &str, offset: u64, bytes: &[u8]) -> bool {
    let hash = hash(name);
    let is_same = |offset: u64, bytes: &[u8]| {
        let mut wanted = [0; 8];
        let wanted = &mut wanted[..bytes.len()];
        copy_word(hash, offset, wanted);
        bytes == wanted
    };
    let (head, rest) = bytes.split_at(unaligned(offset, bytes.len()));
    let first = (offset + head.len() as u64) / 8;
    let words = rest.chunks_exact(8);
    let tail = words.remainder();
    // One look at the end of all words: without a branch in it, the loop runs at memory speed.
    let mut difference = 0;
    for (word, index) in words.zip(first..) {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of 8"));
        difference |= word ^ self::word(hash, index);
    }
    difference == 0 && is_same(offset, head) && is_same((first + (rest.len() / 8) as u64) * 8, tail)
}

/// The position of the first byte that is not the object's, counted from the object's beginning.
pub fn first_difference(name: &str, offset: u64, bytes: &[u8]) -> Option<u64> {
    if matches(name, offset, bytes) {
        return None;
    }
    let mut wanted = vec![0; bytes.len()];
    fill(name, offset, &mut wanted);
    let at = bytes.iter().zip(&wanted).position(|(one, other)| one != other)?;
    Some(offset + at as u64)
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

fn word(hash: u64, index: u64) -> u64 {
    let mut bits = hash.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// How many bytes stand before the next whole word.
fn unaligned(offset: u64, length: usize) -> usize {
    ((8 - offset % 8) % 8).min(length as u64) as usize
}

/// Bytes of one word, from where `offset` stands in it.
fn copy_word(hash: u64, offset: u64, bytes: &mut [u8]) {
    let word = word(hash, offset / 8).to_le_bytes();
    let from = (offset % 8) as usize;
    bytes.copy_from_slice(&word[from..from + bytes.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, byte by byte.
    fn byte(name: &str, k: u64) -> u8 {
        word(hash(name), k / 8).to_le_bytes()[(k % 8) as usize]
    }

    proptest! {
        #[test]
        fn any_part_is_what_the_definition_says(offset in 0u64..100, length in 0usize..100, far in any::<bool>()) {
            let offset = if far { offset + (1 << 40) } else { offset };
            let mut bytes = vec![0; length];
            fill("/song", offset, &mut bytes);
            let wanted: Vec<u8> = (offset..offset + length as u64).map(|k| byte("/song", k)).collect();
            prop_assert_eq!(&bytes, &wanted);
            prop_assert!(matches("/song", offset, &bytes));
        }

        #[test]
        fn one_wrong_bit_is_found(offset in 0u64..20, length in 1usize..100, at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = vec![0; length];
            fill("/song", offset, &mut bytes);
            let at = at.index(length);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(first_difference("/song", offset, &bytes), Some(offset + at as u64));
        }
    }

    #[test]
    fn the_function_stays_what_it_is() {
        let mut bytes = [0; 12];
        fill("a", 0, &mut bytes);
        assert_eq!(bytes, FIRST_OF_A);
        assert!(!matches("b", 0, &bytes));
    }

    /// Computed once by a script in another language from the text above.
    const FIRST_OF_A: [u8; 12] = [39, 133, 155, 221, 170, 194, 41, 95, 79, 136, 211, 182];
}
