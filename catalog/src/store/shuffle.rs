//! An order that looks like chance, is the same for the same seed, and needs no table: a permutation of seats.
//!
//! Every thing gets a seat number when it comes. A Feistel network over the next power of four permutes the numbers;
//! what falls outside of the seats is sent round again until it falls inside, which keeps it a permutation. It
//! shuffles music and keeps no secret.

/// Rounds: from four on neighbours have nothing to do with each other.
const ROUNDS: u64 = 4;

/// A permutation of `0..seats`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shuffle {
    seed: u64,
    seats: u64,
    half_bits: u32,
}

impl Shuffle {
    pub(super) fn new(seed: u64, seats: u64) -> Self {
        let bits = 64 - seats.saturating_sub(1).leading_zeros();
        Self { seed, seats, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The seat at a place of the order; `at` is below the number of seats.
    pub(super) fn seat(&self, at: u64) -> u64 {
        assert!(at < self.seats, "the order has as many places as seats");
        let mut number = at;
        loop {
            number = self.network(number);
            if number < self.seats {
                return number;
            }
        }
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (mix(right ^ mix(self.seed.wrapping_add(round))) & mask));
        }
        left << self.half_bits | right
    }
}

/// The finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_seat_comes_once(seed: u64, seats in 1..3_000_u64) {
            let shuffle = Shuffle::new(seed, seats);
            let mut order: Vec<u64> = (0..seats).map(|at| shuffle.seat(at)).collect();
            order.sort();
            prop_assert_eq!(order, (0..seats).collect::<Vec<_>>());
        }
    }

    #[test]
    fn another_seed_is_another_order_without_the_same_neighbours() {
        let pairs = |seed| {
            let shuffle = Shuffle::new(seed, 1_000);
            (0..999).map(|at| (shuffle.seat(at), shuffle.seat(at + 1))).collect::<std::collections::HashSet<_>>()
        };
        assert!(pairs(1).intersection(&pairs(2)).count() < 10);
    }
}
