//! A mix of kinds by weight: `h3:70,h2:30`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::dice::Dice;

/// Kinds and how often each is drawn, in relation to the sum of all weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mix<T>(Vec<(T, f64)>);

/// Why a text is no mix.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0:?} is no mix: write one kind, or kinds with weights such as {1}")]
pub struct NoMix(String, &'static str);

/// A kind that can be mixed: its words are those of the reports.
pub trait Kind: Copy + PartialEq + DeserializeOwned + fmt::Display {
    /// For error messages.
    const EXAMPLE: &'static str;
}

impl Kind for crate::measured::Protocol {
    const EXAMPLE: &'static str = "h3:70,h2:25,h1:5";
}

impl Kind for crate::measured::Opening {
    const EXAMPLE: &'static str = "full:50,resumed:30,zero_rtt:10,warm:10";
}

impl<T: Kind> Mix<T> {
    /// Only this one.
    pub fn only(kind: T) -> Self {
        Self(vec![(kind, 1.0)])
    }

    /// Draws one.
    pub fn draw(&self, dice: &mut Dice) -> T {
        let sum: f64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = dice.unit() * sum;
        for (kind, weight) in &self.0 {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        self.0.last().expect("a mix is never empty").0
    }

    /// Whether it is ever drawn.
    pub fn has(&self, kind: T) -> bool {
        self.0.iter().any(|(one, _)| *one == kind)
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().map(|(kind, _)| *kind)
    }
}

impl<T: Kind> FromStr for Mix<T> {
    type Err = NoMix;

    fn from_str(text: &str) -> Result<Self, NoMix> {
        let told = || NoMix(text.to_owned(), T::EXAMPLE);
        let one = |part: &str| {
            let (word, weight) = part.split_once(':').unwrap_or((part, "1"));
            let kind = serde_json::from_value(word.trim().replace('-', "_").into()).ok()?;
            let weight = weight.trim().parse().ok().filter(|weight| (1e-9..=1e9).contains(weight))?;
            Some((kind, weight))
        };
        text.split(',').map(|part| one(part).ok_or_else(told)).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl<T: Kind> fmt::Display for Mix<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, weight)) in self.0.iter().enumerate() {
            write!(out, "{}{kind}:{weight}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{Opening, Protocol};

    #[test]
    fn kinds_are_drawn_as_often_as_their_weights_say() {
        let mix: Mix<Protocol> = "h3:70,h2:25,h1:5".parse().unwrap();
        let mut dice = Dice::new(5);
        let drawn: Vec<Protocol> = (0..10_000).map(|_| mix.draw(&mut dice)).collect();
        for (kind, share) in [(Protocol::H3, 7_000), (Protocol::H2, 2_500), (Protocol::H1, 500)] {
            let count = drawn.iter().filter(|one| **one == kind).count() as i64;
            assert!((count - share).abs() < 200, "{kind} {count}");
        }
    }

    #[test]
    fn a_mix_reads_as_it_is_written_and_says_how_to_write_one() {
        let mix: Mix<Opening> = "zero-rtt:2,warm".parse().unwrap();
        assert_eq!(mix.to_string(), "zero_rtt:2,warm:1");
        assert_eq!(mix.to_string().parse::<Mix<Opening>>().unwrap(), mix);
        assert!("h4".parse::<Mix<Protocol>>().unwrap_err().to_string().contains("h3:70"));
        assert!("h3:0".parse::<Mix<Protocol>>().is_err());
    }
}
