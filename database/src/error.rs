//! What can go wrong with a database, and whether trying again helps.

use std::sync::Arc;

/// An operation on a database failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text names no database we can open.
    #[error(
        "`{place}` names no database: write a file's path, or postgres://user:password@host/name for a PostgreSQL server"
    )]
    Place {
        /// As it was given.
        place: String,
    },
    /// It could not be opened.
    #[error("cannot open the database {place}: {source}")]
    Open {
        /// Which, without its password.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A newer program has written this schema.
    #[error(
        "the tables of {service} are at version {found}, this program knows them up to {known}: run the newer \
         needledrop again, or restore the backup from before its first start"
    )]
    Newer {
        /// Whose tables.
        service: &'static str,
        /// Version in the database.
        found: u32,
        /// The last version known here.
        known: u32,
    },
    /// A migration that was applied is not the one of this program.
    #[error(
        "migration {version} of {service} was applied in another form than this program has: run the release that \
         made this database, or restore a backup"
    )]
    Edited {
        /// Whose tables.
        service: &'static str,
        /// Of the migration.
        version: u32,
    },
    /// A migration failed; nothing of it or of those after it was applied.
    #[error("migration {version} of {service} failed and was undone: {source}")]
    Migration {
        /// Whose tables.
        service: &'static str,
        /// Of the migration.
        version: u32,
        /// Why.
        source: sqlx::Error,
    },
    /// A column holds what the reader does not expect.
    #[error("column {index} of a row: {why}")]
    Column {
        /// From 0.
        index: usize,
        /// In words.
        why: String,
    },
    /// A statement failed.
    #[error("the database refused: {0}")]
    Statement(#[from] sqlx::Error),
    /// A statement failed that several had asked for.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// More wait for the database than it can answer.
    #[error("too many wait for the database")]
    Crowded,
}

/// PostgreSQL's names for "somebody else was in the way", Appendix A of its manual.
const POSTGRES_TRANSIENT: &[&str] = &["40001", "40P01", "55P03", "57014", "57P01", "57P03"];
/// SQLITE_BUSY and SQLITE_LOCKED; the extended codes carry these in their low byte.
const SQLITE_TRANSIENT: &[u32] = &[5, 6];

impl Error {
    /// Whether a row with this key is already there.
    pub fn is_unique_violation(&self) -> bool {
        self.database().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }

    /// Whether a row that another one points to is missing.
    pub fn is_foreign_key_violation(&self) -> bool {
        self.database().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
    }

    /// Whether the same transaction may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        let source = match self {
            Error::Statement(source) => source,
            Error::Shared(error) => return error.is_transient(),
            Error::Crowded => return true,
            _ => return false,
        };
        if matches!(source, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) {
            return true;
        }
        let Some(code) = source.as_database_error().and_then(|e| e.code()) else { return false };
        POSTGRES_TRANSIENT.contains(&&*code)
            || code.parse::<u32>().is_ok_and(|code| SQLITE_TRANSIENT.contains(&(code & 0xff)))
    }

    fn database(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        match self {
            Error::Statement(source) => source.as_database_error(),
            Error::Shared(error) => error.database(),
            _ => None,
        }
    }
}
