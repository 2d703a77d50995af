//! Seeded chance: the same seed gives the same trace on every machine.

/// A generator of 64-bit numbers (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed; two seeds that differ in one bit give unlike numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 up to and without 1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From `low` up to and without `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}

/// Ranks from 0, of which rank `r` comes with a weight of `1 / (r + 1) ^ skew`.
#[derive(Debug)]
pub struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    /// This many ranks. Time and memory grow with them: eight bytes a rank.
    pub fn new(ranks: u32, skew: f64) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=ranks).map(|rank| {
            sum += f64::from(rank).powf(-skew);
            sum
        });
        Self { cumulated: cumulated.collect() }
    }

    /// Draws one.
    pub fn rank(&self, dice: &mut Dice) -> u32 {
        let total = self.cumulated.last().copied().unwrap_or(0.0);
        let wanted = dice.unit() * total;
        self.cumulated.partition_point(|sum| *sum <= wanted) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_of_a_zipf_comes_as_often_as_its_weight_says() {
        let (zipf, mut dice) = (Zipf::new(1_000, 1.0), Dice::new(1));
        let firsts = (0..100_000).filter(|_| zipf.rank(&mut dice) == 0).count();
        // One in the thousandth harmonic number, 7.485.
        assert!((12_900..13_900).contains(&firsts), "{firsts}");
    }
}
