//! What listeners collect: playlists, and their stars and ratings on artists, releases and tracks.
//!
//! [`Playlists`] keeps them on SQLite or PostgreSQL. A playlist has one owner, who alone changes it; a public one may be
//! read by everybody. Each change makes a new revision, and who names the revision that he saw never overwrites what he
//! did not see. Whether a track exists is not known here: the caller asks the catalog, when it is put in and when it is
//! shown. Time and new identities are brought along.

mod error;
mod items;
mod lists;
mod marks;
pub mod merge;
mod model;
mod news;
mod schema;
mod seen;

pub use error::Error;
pub use marks::Mark;
pub use model::{
    About, Change, Contents, Item, ItemId, ListName, Playlist, Rating, Revision, Star, TextRefusal, Thing,
};
pub use news::{Listener, News};
pub use seen::PUBLIC_AT_ONCE;

use needledrop_database::Database;

/// Most playlists of an account: a whole answer that lists them stays below a megabyte.
pub const PLAYLISTS_MAX: usize = 1_000;

/// Most items of a playlist: what listeners know from elsewhere, and 600 kB of text as an answer.
pub const ITEMS_MAX: usize = 10_000;

/// Most things an account has starred or rated: a library of a large collector; a row each.
pub const MARKS_MAX: usize = 100_000;

/// Most things that are starred or looked up at once.
pub const THINGS_MAX: usize = 10_000;

/// Storage of playlists, stars and ratings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Playlists {
    database: Database,
    teller: news::Teller,
}

impl Playlists {
    /// Storage in this database, its tables brought up to date.
    ///
    /// # Errors
    /// The database refuses, or a newer program has written it.
    pub async fn open(database: Database) -> Result<Self, Error> {
        database.migrate("playlist", schema::MIGRATIONS).await?;
        Ok(Self { database, teller: news::Teller::default() })
    }

    /// The same, and whoever keeps something in step with playlists is told of each change that was committed.
    #[must_use]
    pub fn telling(self, listener: Listener) -> Self {
        Self { teller: news::Teller::to(listener), ..self }
    }
}
