//! What stands behind the question mark, decoded into values with bounds.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use needledrop_core::Problem;

/// Parameters of one request, decoded, in their order.
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Parameters that one request may bring: a target is 8 KiB, so that only a body could bring more.
const PARAMS_MAX: usize = 4_096;

impl<'a> Params<'a> {
    /// Reads `application/x-www-form-urlencoded`.
    pub fn read(text: &'a [u8]) -> Self {
        Self(form_urlencoded::parse(text).take(PARAMS_MAX).collect())
    }

    /// The first of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// All of this name.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// A value that has a form; None where it is not there.
    ///
    /// # Errors
    /// It does not have it.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| wrong(name, &error.to_string()))
    }

    /// A number within bounds, or what is usual.
    ///
    /// # Errors
    /// It is no number, or out of bounds.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u64>, usual: u64) -> Result<u64, Problem> {
        let number = self.parsed::<u64>(name)?.unwrap_or(usual);
        match bounds.contains(&number) {
            true => Ok(number),
            false => Err(wrong(name, &format!("it is {} to {}", bounds.start(), bounds.end()))),
        }
    }
}

/// A parameter is not what it must be.
pub fn wrong(name: &str, why: &str) -> Problem {
    Problem::new("parameter", "A parameter is wrong", 400).with_detail(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_bounded() {
        let params = Params::read(b"q=AC%2FDC+live&limit=5&id=a&id=b&empty=");
        assert_eq!(params.text("q"), Some("AC/DC live"));
        assert_eq!(params.all("id").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(params.text("empty"), Some(""));
        assert_eq!(params.number("limit", 1..=50, 20).unwrap(), 5);
        assert_eq!(params.number("offset", 0..=10, 7).unwrap(), 7);
        assert_eq!(params.number("limit", 1..=4, 2).unwrap_err().status, 400);
        assert!(params.number("q", 0..=9, 1).is_err());
    }
}
