//! One database for every service: a SQLite file by default, PostgreSQL by configuration.
//!
//! A service writes each statement once, in the subset of SQL that both speak (`$1` binds, `RETURNING`, `ON CONFLICT`;
//! no clock and no randomness of the database), binds [`Value`]s and reads [`Row`]s; which database answers it cannot
//! tell. That subset is kept by one behaviour suite per service that runs on `testing::databases()`.
//!
//! Start with [`Database::open`], then [`Database::migrate`]; [`Transaction`] has the statements, [`bulk`] many rows at
//! once. Nothing here knows a table of any service.

pub mod bulk;
mod database;
mod error;
mod gathered;
mod migrate;
mod place;
#[cfg(feature = "testing")]
pub mod testing;
mod transaction;
mod value;

pub use bulk::Insert;
pub use database::{Database, Kind};
pub use error::Error;
pub use gathered::{Each, Gathered};
pub use migrate::{Migrated, Migration, Script};
pub use place::Place;
pub use transaction::Transaction;
pub use value::{Column, Row, Sql, Value};
