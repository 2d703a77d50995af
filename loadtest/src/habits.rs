//! What is published about how people listen to music, as numbers and draws.
//!
//! 61 % of plays follow from the one before, the others are a draw from a Zipf distribution
//! (Spotify 2010). 24.14 % are skipped in the first 5 s, 35.05 % in the first 30 s, 48.6 %
//! before the end (Lamere 2014). Players fetch 512 KiB at a time (Spotify 2018).

use crate::dice::Dice;

/// The share of plays that are the track after the one before.
pub const FOLLOWS: f64 = 0.61;

/// What a player asks for at once. Unit: bytes.
pub const CHUNK_BYTES: u64 = 512 * 1024;

/// How long before it needs them a player fetches the next bytes. Unit: seconds.
pub const FETCH_AHEAD_SECONDS: f64 = 10.0;

/// The share of plays that end before that second.
const SKIPPED_BY: [(f64, f64); 2] = [(0.2414, 5.0), (0.3505, 30.0)];

/// The share of plays that end before the track does.
const SKIPPED: f64 = 0.486;

/// How much of a track of this many seconds somebody hears before they skip it; all of it if they do not.
pub fn heard_seconds(seconds: f64, dice: &mut Dice) -> f64 {
    let chance = dice.unit();
    let mut from = 0.0;
    for (share, by) in SKIPPED_BY {
        if chance < share {
            return dice.between(from, by).min(seconds);
        }
        from = by;
    }
    if chance < SKIPPED { dice.between(from.min(seconds), seconds) } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_come_as_often_as_published() {
        let mut dice = Dice::new(7);
        let heard: Vec<f64> = (0..100_000).map(|_| heard_seconds(200.0, &mut dice)).collect();
        let share = |before: f64| heard.iter().filter(|seconds| **seconds < before).count() as f64 / 1e5;
        for (before, published) in [(5.0, 0.2414), (30.0, 0.3505), (200.0, 0.486)] {
            assert!((share(before) - published).abs() < 0.006, "{before} s: {}", share(before));
        }
    }

    #[test]
    fn nobody_hears_more_than_there_is() {
        let mut dice = Dice::new(7);
        assert!((0..10_000).all(|_| heard_seconds(3.0, &mut dice) <= 3.0));
    }
}
