//! When listeners come: a rate over time, and by chance (Poisson) or evenly.
//!
//! The schedule is open: it knows nothing of how the server fares. The same seed gives the same instants however many
//! workers and agents share them, since every one of them draws all and takes its own.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// Highest rate that is taken. Unit: listeners per second. One machine opens far fewer connections.
const PER_SECOND_MAX: f64 = 1e6;

/// How the rate goes over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arrivals {
    /// Evenly spaced instead of by chance.
    even: bool,
    /// One after the other; the last one goes on for ever at its last rate.
    pieces: Vec<Piece>,
}

/// A rate that goes from one value to another in a straight line. Units: per second, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    from: f64,
    to: f64,
    seconds: Option<f64>,
}

/// Why a text is no schedule.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "{0:?} is no schedule of arrivals: write 50 (a second, by chance), even:50, 10..200:60s,200 (a ramp), or 50:30s,100:30s (steps)"
)]
pub struct NoSchedule(String);

impl FromStr for Arrivals {
    type Err = NoSchedule;

    fn from_str(text: &str) -> Result<Self, NoSchedule> {
        let no = || NoSchedule(text.to_owned());
        let (even, rates) = match text.strip_prefix("even:") {
            Some(rates) => (true, rates),
            None => (false, text),
        };
        let pieces = rates.split(',').map(|piece| Piece::parse(piece).ok_or_else(no)).collect::<Result<Vec<_>, _>>()?;
        let all_but_last = &pieces[..pieces.len() - 1];
        let is_good = all_but_last.iter().all(|piece| piece.seconds.is_some());
        let comes_anybody = pieces.iter().any(|piece| piece.from > 0.0 || piece.to > 0.0);
        if is_good && comes_anybody { Ok(Self { even, pieces }) } else { Err(no()) }
    }
}

impl Piece {
    fn parse(text: &str) -> Option<Self> {
        let (rates, seconds) = match text.split_once(':') {
            Some((rates, time)) => (rates, Some(parse_seconds(time)?)),
            None => (text, None),
        };
        let rates = rates.strip_suffix("/s").unwrap_or(rates);
        let rate = |text: &str| text.parse::<f64>().ok().filter(|rate| (0.0..=PER_SECOND_MAX).contains(rate));
        match rates.split_once("..") {
            // A ramp has to end.
            Some((from, to)) => seconds.and_then(|_| Some(Self { from: rate(from)?, to: rate(to)?, seconds })),
            None => rate(rates).map(|rate| Self { from: rate, to: rate, seconds }),
        }
    }

    /// Listeners who come within it.
    fn count(self) -> f64 {
        self.seconds.map_or(f64::INFINITY, |seconds| (self.from + self.to) / 2.0 * seconds)
    }

    /// When the `count`-th of them comes: `from t + (to - from) t^2 / (2 seconds) = count`.
    fn when(self, count: f64) -> f64 {
        let slope = self.seconds.map_or(0.0, |seconds| (self.to - self.from) / seconds);
        if slope.abs() < 1e-12 {
            return count / self.from;
        }
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        2.0 * count / (self.from + root)
    }
}

/// `30s`, `2m`, `500ms`, `1h`.
fn parse_seconds(text: &str) -> Option<f64> {
    parse_duration(text).ok().map(|time| time.as_secs_f64()).filter(|seconds| *seconds > 0.0)
}

/// A time with its unit: `250us`, `500ms`, `30s`, `2m`, `1h`.
///
/// # Errors
/// A sentence that says how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let told = || format!("{text:?} is no time: write 500ms, 30s, 2m or 1h");
    let at = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(told)?;
    let unit = match &text[at..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(told()),
    };
    let number: f64 = text[..at].parse().map_err(|_| told())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| told())
}

impl fmt::Display for Arrivals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.even {
            out.write_str("even:")?;
        }
        for (at, piece) in self.pieces.iter().enumerate() {
            if at > 0 {
                out.write_str(",")?;
            }
            write!(out, "{}", piece.from)?;
            if piece.to != piece.from {
                write!(out, "..{}", piece.to)?;
            }
            if let Some(seconds) = piece.seconds {
                write!(out, ":{seconds}s")?;
            }
        }
        Ok(())
    }
}

impl From<Arrivals> for String {
    fn from(arrivals: Arrivals) -> Self {
        arrivals.to_string()
    }
}

impl TryFrom<String> for Arrivals {
    type Error = NoSchedule;

    fn try_from(text: String) -> Result<Self, NoSchedule> {
        text.parse()
    }
}

impl Arrivals {
    /// The instants, counted from the beginning of the run, upwards and without end unless the rate ends at zero.
    pub fn instants(&self, seed: u64) -> impl Iterator<Item = Duration> + use<> {
        let (even, pieces) = (self.even, self.pieces.clone());
        let mut dice = Dice::new(seed);
        let mut count = 0.0;
        std::iter::from_fn(move || {
            // A Poisson process of any rate is one of rate 1 seen through the inverse of the summed rate.
            count += if even { 1.0 } else { -(1.0 - dice.unit()).ln() };
            when(&pieces, count).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        })
    }
}

/// When the summed rate reaches this count.
fn when(pieces: &[Piece], mut count: f64) -> Option<f64> {
    let mut begun = 0.0;
    for piece in pieces {
        if count <= piece.count() {
            return Some(begun + piece.when(count)).filter(|seconds| seconds.is_finite());
        }
        count -= piece.count();
        begun += piece.seconds.unwrap_or(0.0);
    }
    let last = pieces.last()?;
    (last.to > 0.0).then(|| begun + count / last.to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn within(schedule: &str, seed: u64, from: f64, to: f64) -> usize {
        let arrivals: Arrivals = schedule.parse().unwrap();
        arrivals.instants(seed).map(|at| at.as_secs_f64()).skip_while(|at| *at < from).take_while(|at| *at < to).count()
    }

    #[test]
    fn even_arrivals_are_evenly_spaced() {
        let at: Vec<f64> =
            "even:4".parse::<Arrivals>().unwrap().instants(1).take(4).map(|at| at.as_secs_f64()).collect();
        assert_eq!(at, [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn arrivals_by_chance_scatter_as_a_poisson_process_does() {
        let seconds: Vec<f64> =
            (0..1_000).map(|second| within("100", 3, f64::from(second), f64::from(second) + 1.0) as f64).collect();
        let mean = seconds.iter().sum::<f64>() / 1_000.0;
        let variance = seconds.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1_000.0;
        // Mean and variance of a Poisson distribution are one number.
        assert!((mean - 100.0).abs() < 2.0 && (variance / mean - 1.0).abs() < 0.15, "{mean} {variance}");
    }

    #[test]
    fn ramps_and_steps_have_the_area_that_they_say() {
        assert!((within("even:0..200:10s,200", 1, 0.0, 10.0) as i64 - 1_000).abs() <= 1);
        assert!((within("even:0..200:10s,200", 1, 0.0, 5.0) as i64 - 250).abs() <= 1);
        assert!((within("even:50:2s,100:3s", 1, 0.0, 2.0) as i64 - 100).abs() <= 1);
        assert!((within("even:50:2s,100:3s", 1, 2.0, 7.0) as i64 - 500).abs() <= 1);
        assert_eq!(within("even:50:2s,0", 1, 0.0, 1e9), 100);
    }

    #[test]
    fn what_is_no_schedule_is_told_how_to_write_one() {
        for text in ["", "x", "-1", "10..20", "50,60", "0", "1e9", "10:0s", "even:"] {
            let told = text.parse::<Arrivals>().unwrap_err().to_string();
            assert!(told.contains("10..200:60s"), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn a_schedule_is_written_as_it_is_read(
            even: bool,
            pieces in prop::collection::vec((0..5_000u32, 0..5_000u32, 1..5_000u32), 1..5),
        ) {
            let pieces: Vec<Piece> = pieces.into_iter().map(|(from, to, tenths)| Piece {
                from: f64::from(from) / 10.0 + 0.1,
                to: f64::from(to) / 10.0,
                seconds: Some(f64::from(tenths) / 10.0),
            }).collect();
            let arrivals = Arrivals { even, pieces };
            prop_assert_eq!(arrivals.to_string().parse::<Arrivals>().unwrap(), arrivals);
        }

        #[test]
        fn nobody_comes_before_the_one_before(seed: u64, ramp in (0..100u32, 1..100u32)) {
            let arrivals: Arrivals = format!("{}..{}:5s,3", ramp.0, ramp.1).parse().unwrap();
            let instants: Vec<Duration> = arrivals.instants(seed).take(200).collect();
            prop_assert!(instants.is_sorted());
        }
    }
}
