//! Many rows with few statements: a round trip per row is what makes loads slow.
//!
//! Statements come in lengths that are powers of two, so that only a few different ones are ever prepared.

use crate::{Error, Kind, Row, Sql, Transaction, Value};
use std::fmt::Write;

/// Values in one statement: half of what SQLite allows (32,766); PostgreSQL allows 65,535.
const VALUES_MAX: usize = 16_384;
/// Rows in one statement: beyond this nothing is gained.
const ROWS_MAX: usize = 256;
/// Keys of several columns in one statement on SQLite, where each nests an expression; it allows 1,000 levels.
const ALTERNATIVES_MAX: usize = 128;

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

    /// The rows of a statement for all keys of `width` values each. `head` ends in `id IN`, or in `(a, b) IN` where a
    /// key has several columns; `tail` follows. Rows come in no order.
    pub async fn rows_in(
        &mut self,
        head: &'static str,
        width: usize,
        keys: Vec<Value>,
        tail: &'static str,
    ) -> Result<Vec<Row>, Error> {
        let mut found = Vec::new();
        for (sql, keys) in statements(self.kind(), head, width, keys, tail) {
            found.extend(self.rows(sql, keys).await?);
        }
        Ok(found)
    }

    /// Runs the like for all keys and returns how many rows were touched, such as `DELETE FROM t WHERE (a, b) IN`.
    pub async fn execute_in(&mut self, head: &'static str, width: usize, keys: Vec<Value>) -> Result<u64, Error> {
        let mut touched = 0;
        for (sql, keys) in statements(self.kind(), head, width, keys, "") {
            touched += self.execute(sql, keys).await?;
        }
        Ok(touched)
    }
}

/// The statements for all keys, and the keys of each.
fn statements(
    kind: Kind,
    head: &'static str,
    width: usize,
    keys: Vec<Value>,
    tail: &'static str,
) -> impl Iterator<Item = (Sql, Vec<Value>)> {
    assert!(width > 0 && keys.len().is_multiple_of(width), "keys are whole");
    let most = if kind == Kind::Sqlite && width > 1 { ALTERNATIVES_MAX } else { ROWS_MAX };
    let mut left = keys.len() / width;
    let mut keys = keys.into_iter();
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let count = step(left.min(most), width);
        left -= count;
        let sql = Sql::assembled(format!("{} {tail}", condition(kind, head, width, count)));
        Some((sql, keys.by_ref().take(count * width).collect()))
    })
}

/// `head` and the keys. PostgreSQL finds single columns of a list in an index whatever it believes about the table, and
/// joins a list of several columns; SQLite would walk through the whole table for such a list, but not for
/// alternatives.
fn condition(kind: Kind, head: &str, width: usize, keys: usize) -> String {
    if width == 1 {
        let list: Vec<String> = (1..=keys).map(|n| format!("${n}")).collect();
        return format!("{head} ({})", list.join(","));
    }
    if kind == Kind::Postgres {
        return format!("{head} (VALUES {})", tuples(keys, width));
    }
    let columns = head.trim_end().strip_suffix("IN").and_then(|head| head.trim_end().strip_suffix(')'));
    let (before, columns) = columns.and_then(|head| head.rsplit_once('(')).expect("the head ends in `(a, b) IN`");
    let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
    assert_eq!(columns.len(), width, "a key has a value for each column");
    let same = |key: usize| {
        let pairs = columns.iter().zip(key * width + 1..).map(|(column, n)| format!("{column} = ${n}"));
        format!("({})", pairs.collect::<Vec<_>>().join(" AND "))
    };
    format!("{before}({})", (0..keys).map(same).collect::<Vec<_>>().join(" OR "))
}

/// The largest power of two that is not more than what is left, and within the bounds.
fn step(left: usize, width: usize) -> usize {
    let most = left.min(ROWS_MAX).min((VALUES_MAX / width).max(1));
    1 << most.ilog2()
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
    }

    #[test]
    fn keys_of_several_columns_are_found_in_an_index_by_either() {
        assert_eq!(condition(Kind::Sqlite, "DELETE FROM t WHERE id IN", 1, 2), "DELETE FROM t WHERE id IN ($1,$2)");
        let head = "DELETE FROM t WHERE (a, b) IN";
        let sqlite = "DELETE FROM t WHERE ((a = $1 AND b = $2) OR (a = $3 AND b = $4))";
        assert_eq!(condition(Kind::Sqlite, head, 2, 2), sqlite);
        assert_eq!(condition(Kind::Postgres, head, 2, 1), "DELETE FROM t WHERE (a, b) IN (VALUES ($1,$2))");
    }
}
