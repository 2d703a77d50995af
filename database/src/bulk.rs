//! Many rows with few statements: a round trip per row is what makes loads slow.
//!
//! Statements come in lengths that are powers of two, so that only a few different ones are ever prepared.

use crate::{Error, Row, Sql, Transaction, Value};
use std::fmt::Write;

/// Values in one statement: half of what SQLite allows (32,766); PostgreSQL allows 65,535.
const VALUES_MAX: usize = 16_384;
/// Rows in one statement: beyond this nothing is gained.
const ROWS_MAX: usize = 256;

/// An insertion of many rows of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Insert {
    /// Such as `INSERT INTO plays (track, day, n)`.
    pub head: &'static str,
    /// How many values make a row.
    pub width: usize,
    /// Such as `ON CONFLICT (track, day) DO UPDATE SET n = excluded.n`; no key may be in the rows twice then.
    pub tail: &'static str,
}

impl Transaction {
    /// Inserts rows, given one after the other; returns how many were touched.
    pub async fn insert(&mut self, insert: Insert, values: Vec<Value>) -> Result<u64, Error> {
        let Insert { head, width, tail } = insert;
        assert!(width > 0 && values.len().is_multiple_of(width), "values are whole rows");
        let mut touched = 0;
        let mut left = values.len() / width;
        let mut values = values.into_iter();
        while left > 0 {
            let rows = step(left, width);
            let sql = Sql::assembled(format!("{head} VALUES {} {tail}", tuples(rows, width)));
            touched += self.execute(sql, values.by_ref().take(rows * width).collect()).await?;
            left -= rows;
        }
        Ok(touched)
    }

    /// The rows of `{head} ($1,$2,…) {tail}` for all keys, or `(VALUES ($1,$2),…)` where a key has several columns.
    /// `head` ends in `IN`; rows come in no order.
    pub async fn rows_in(
        &mut self,
        head: &'static str,
        width: usize,
        keys: Vec<Value>,
        tail: &'static str,
    ) -> Result<Vec<Row>, Error> {
        assert!(width > 0 && keys.len().is_multiple_of(width), "keys are whole");
        let mut found = Vec::new();
        let mut left = keys.len() / width;
        let mut keys = keys.into_iter();
        while left > 0 {
            let count = step(left, width);
            let sql = Sql::assembled(format!("{head} {} {tail}", set(count, width)));
            found.extend(self.rows(sql, keys.by_ref().take(count * width).collect()).await?);
            left -= count;
        }
        Ok(found)
    }

    /// Runs the like for all keys and returns how many rows were touched, such as `DELETE FROM t WHERE (a, b) IN`.
    pub async fn execute_in(&mut self, head: &'static str, width: usize, keys: Vec<Value>) -> Result<u64, Error> {
        assert!(width > 0 && keys.len().is_multiple_of(width), "keys are whole");
        let mut touched = 0;
        let mut left = keys.len() / width;
        let mut keys = keys.into_iter();
        while left > 0 {
            let count = step(left, width);
            let sql = Sql::assembled(format!("{head} {}", set(count, width)));
            touched += self.execute(sql, keys.by_ref().take(count * width).collect()).await?;
            left -= count;
        }
        Ok(touched)
    }
}

/// The largest power of two that is not more than what is left, and within the bounds.
fn step(left: usize, width: usize) -> usize {
    let most = left.min(ROWS_MAX).min((VALUES_MAX / width).max(1));
    1 << most.ilog2()
}

/// What follows `IN`. PostgreSQL finds single columns of a list in an index whatever it believes about the table;
/// lists of several columns are a table to both databases.
fn set(keys: usize, width: usize) -> String {
    if width > 1 {
        return format!("(VALUES {})", tuples(keys, width));
    }
    let mut text = String::with_capacity(keys * 6 + 2);
    for n in 1..=keys {
        write!(text, "{}${n}", if n == 1 { "(" } else { "," }).expect("a String takes all text");
    }
    text.push(')');
    text
}

/// `($1,$2),($3,$4)`.
fn tuples(rows: usize, width: usize) -> String {
    let mut text = String::with_capacity(rows * (width * 6 + 3));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..width {
            let comma = if column == 0 { "" } else { "," };
            write!(text, "{comma}${}", row * width + column + 1).expect("a String takes all text");
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_powers_of_two_within_the_bounds() {
        assert_eq!((step(1, 3), step(5, 3), step(1000, 3)), (1, 4, 256));
        assert_eq!(step(1000, 1000), 16);
        assert_eq!(step(1, 20_000), 1);
        assert_eq!(tuples(2, 2), "($1,$2),($3,$4)");
        assert_eq!(set(3, 1), "($1,$2,$3)");
    }
}
