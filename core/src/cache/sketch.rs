//! About how often was a key asked for lately? A count-min sketch of four-bit counters.
//!
//! Cormode, Muthukrishnan 2005; with the ageing of TinyLFU (Einziger et al., 2017): after so many
//! counts all counters are halved, so that yesterday's hit does not block today's.

/// Counters looked at for one key; the least of them is the answer.
const ROWS: u32 = 4;

/// Counts after which all are halved, as a multiple of the slots.
const PERIOD: u64 = 10;

#[derive(Debug)]
pub(super) struct Sketch {
    /// Sixteen counters each.
    words: Box<[u64]>,
    counted: u64,
    period: u64,
}

impl Sketch {
    /// For a cache of `slots`: 16 counters, 8 bytes, for each slot.
    pub(super) fn new(slots: u32) -> Self {
        let words = slots.max(16) as usize;
        Self { words: vec![0; words].into(), counted: 0, period: words as u64 * PERIOD }
    }

    /// Counts a key once more.
    pub(super) fn count(&mut self, spread: u64) {
        let mut grew = false;
        for row in 0..ROWS {
            let (word, shift) = self.cell(spread, row);
            let counter = (self.words[word] >> shift) & 0xf;
            if counter < 0xf {
                self.words[word] += 1 << shift;
                grew = true;
            }
        }
        self.counted += u64::from(grew);
        if self.counted >= self.period {
            self.age();
        }
    }

    /// About how often a key was counted, 15 at most; never too low but for ageing.
    pub(super) fn estimate(&self, spread: u64) -> u64 {
        let counters = (0..ROWS).map(|row| {
            let (word, shift) = self.cell(spread, row);
            (self.words[word] >> shift) & 0xf
        });
        counters.min().expect("four rows")
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    fn age(&mut self) {
        for word in &mut self.words {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
        self.counted /= 2;
    }

    /// Rows take different words by different mixes of the same 64 bits.
    fn cell(&self, spread: u64, row: u32) -> (usize, u32) {
        let mixed = spread.rotate_left(row * 16).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let word = (u128::from(mixed) * self.words.len() as u128) >> 64;
        // Each row has four of a word's sixteen counters to itself.
        let counter = row * 4 + (mixed & 3) as u32;
        (word as usize, counter * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::key::{BlockKey, VersionId},
        *,
    };

    fn spread(block: u32) -> u64 {
        BlockKey { version: VersionId(1), block }.spread()
    }

    #[test]
    fn estimates_are_never_too_low_and_rarely_too_high() {
        let mut sketch = Sketch::new(1_000);
        for block in 0..1_000 {
            (0..block % 5).for_each(|_| sketch.count(spread(block)));
        }
        let errors = (0..1_000).map(|block| sketch.estimate(spread(block)) as i64 - i64::from(block % 5));
        assert!(errors.clone().all(|error| error >= 0));
        assert!(errors.filter(|error| *error > 0).count() < 50);
    }

    #[test]
    fn old_counts_fade() {
        let mut sketch = Sketch::new(100);
        (0..15).for_each(|_| sketch.count(spread(1)));
        (0..1_500).for_each(|other| sketch.count(spread(100 + other)));
        assert!(sketch.estimate(spread(1)) < 15);
    }
}
