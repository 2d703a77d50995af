//! What is bound to a statement and what is read from a row, the same for both databases.

use crate::Error;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

/// The text of a statement.
#[derive(Clone, Debug)]
pub struct Sql(pub(crate) SqlStr);

impl Sql {
    /// A text put together from our own constants. Nothing that came from outside may be in it: that is bound.
    pub fn assembled(text: String) -> Sql {
        Sql(AssertSqlSafe(text).into_sql_str())
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Sql {
        Sql(text.into_sql_str())
    }
}

/// What is bound. None of a kind is NULL; PostgreSQL wants to know of which type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// BIGINT.
    Int(Option<i64>),
    /// DOUBLE PRECISION.
    Real(Option<f64>),
    /// TEXT. PostgreSQL has no place for NUL in it and refuses the statement.
    Text(Option<String>),
    /// BLOB or BYTEA.
    Bytes(Option<Vec<u8>>),
}

impl Value {
    pub(crate) fn bind_sqlite<'q>(
        self,
        query: Query<'q, Sqlite, SqliteArguments>,
    ) -> Query<'q, Sqlite, SqliteArguments> {
        match self {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        }
    }

    pub(crate) fn bind_postgres<'q>(self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        match self {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        }
    }
}

/// Makes a type bindable, and its `Option` with it.
macro_rules! bindable {
    ($($from:ty => $kind:ident, $value:ident => $as:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Value {
                Value::$kind(Some($as))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Value {
                Value::$kind(value.map(|$value| $as))
            }
        }
    )*};
}

bindable! {
    i64 => Int, value => value;
    i32 => Int, value => value.into();
    u32 => Int, value => value.into();
    u16 => Int, value => value.into();
    u8 => Int, value => value.into();
    bool => Int, value => value.into();
    // Times, lengths and counts: what does not fit in 63 bits is none of them, and stays as large as can be.
    u64 => Int, value => i64::try_from(value).unwrap_or(i64::MAX);
    f64 => Real, value => value;
    String => Text, value => value;
    &str => Text, value => value.to_owned();
    &String => Text, value => value.clone();
    Vec<u8> => Bytes, value => value;
    &[u8] => Bytes, value => value.to_vec();
}

/// One row of an answer.
pub struct Row(pub(crate) Inner);

pub(crate) enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The column at this place of the statement's list, from 0.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, Error> {
        T::read(self, index)
    }

    /// How many columns it has; at least one.
    pub(crate) fn columns(&self) -> usize {
        match &self.0 {
            Inner::Sqlite(row) => row.len(),
            Inner::Postgres(row) => row.len(),
        }
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// Reads the column at this place, from 0.
    fn read(row: &Row, index: usize) -> Result<Self, Error>;
}

/// Types that the driver itself reads from both databases.
macro_rules! read_by_the_driver {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            fn read(row: &Row, index: usize) -> Result<Self, Error> {
                match &row.0 {
                    Inner::Sqlite(row) => row.try_get(index),
                    Inner::Postgres(row) => row.try_get(index),
                }
                .map_err(|why| Error::Column { index, why: why.to_string() })
            }
        }

        impl Column for Option<$kind> {
            fn read(row: &Row, index: usize) -> Result<Self, Error> {
                match &row.0 {
                    Inner::Sqlite(row) => row.try_get(index),
                    Inner::Postgres(row) => row.try_get(index),
                }
                .map_err(|why| Error::Column { index, why: why.to_string() })
            }
        }
    )*};
}

read_by_the_driver!(i64, f64, String, Vec<u8>);

/// Types that are kept as BIGINT.
macro_rules! read_as_integer {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            fn read(row: &Row, index: usize) -> Result<Self, Error> {
                let value: i64 = row.get(index)?;
                value.try_into().map_err(|_| out_of_range(index, value, stringify!($kind)))
            }
        }

        impl Column for Option<$kind> {
            fn read(row: &Row, index: usize) -> Result<Self, Error> {
                let value: Option<i64> = row.get(index)?;
                value.map(|value| value.try_into().map_err(|_| out_of_range(index, value, stringify!($kind)))).transpose()
            }
        }
    )*};
}

read_as_integer!(u64, u32, u16, u8);

impl Column for bool {
    fn read(row: &Row, index: usize) -> Result<Self, Error> {
        match row.get(index)? {
            0_i64 => Ok(false),
            1 => Ok(true),
            other => Err(out_of_range(index, other, "bool")),
        }
    }
}

fn out_of_range(index: usize, value: i64, kind: &str) -> Error {
    Error::Column { index, why: format!("{value} is no {kind}") }
}
