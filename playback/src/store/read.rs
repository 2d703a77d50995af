//! Reading columns as types of ours: what storage holds was written by us, so a text that does not parse is damage
//! and an error, never a default.

use needledrop_database::{Error, Row};

/// The text at this place, read by a parser that gives an `Option`.
pub(super) fn parsed<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| damaged(index))
}

/// The same where NULL is None.
pub(super) fn parsed_or_null<T>(
    row: &Row,
    index: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| parse(&text).ok_or_else(|| damaged(index))).transpose()
}

/// Does not repeat what it found: it might be a secret.
pub(super) fn damaged(index: usize) -> Error {
    Error::Column { index, why: "does not hold what this program writes".to_owned() }
}
