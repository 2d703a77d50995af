//! Whole numbers in bodies.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A whole number that every program that reads JSON can hold: 0 to 2^53 - 1 (RFC 8259, 6). Written as `3.0` it is as
/// whole as `3`; some programs know no other numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole(pub u64);

impl Whole {
    /// The largest.
    pub const MAX: u64 = (1 << 53) - 1;
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {}", Whole::MAX)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        if number <= Whole::MAX { Ok(Whole(number)) } else { Err(E::custom("the number is too large")) }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        let is_whole = number.fract() == 0.0 && (0.0..=Whole::MAX as f64).contains(&number);
        if is_whole { Ok(Whole(number as u64)) } else { Err(E::custom("the number is not whole, or too large")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Whole>(text).ok().map(|whole| whole.0);
        assert_eq!([read("0"), read("3.0"), read("1e3"), read("-0.0")], [Some(0), Some(3), Some(1_000), Some(0)]);
        assert_eq!(read("9007199254740991"), Some(Whole::MAX));
        for wrong in ["9007199254740992", "1e300", "0.5", "-1", "-1.0", "\"3\"", "null", "true", "[3]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
