//! What is kept of accounts: on SQLite or PostgreSQL, statement for statement the same.
//!
//! Whatever returns has been committed. Nothing here decides: rules are asked before, and where two writers could
//! meet, one statement or one section settles who wins.

mod accounts;
mod devices;
mod invitations;
mod oauth;
mod plays;
mod queues;
mod read;
mod schema;
mod tokens;

use needledrop_database::{Database, Error, Gathered, Migrated};

pub use accounts::{Added, Removed, WithPassword};
pub use invitations::{Joined, Joining};
pub use oauth::Presented;
pub use tokens::TokensFull;

/// Storage of accounts and what belongs to them.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    /// See [`Store::play`].
    plays: Gathered,
}

impl Store {
    /// Storage in this database, its tables brought up to date.
    ///
    /// # Errors
    /// The database refuses, or a newer program has written it.
    pub async fn open(database: Database) -> Result<(Self, Migrated), Error> {
        let migrated = database.migrate("playback", schema::MIGRATIONS).await?;
        let plays = plays::by_key(&database);
        Ok((Self { database, plays }, migrated))
    }
}
