//! Who may see which playlists: what search asks for.

use std::collections::HashMap;

use needledrop_core::{AccountId, PlaylistId};
use needledrop_database::{Error as Storage, Sql};

use crate::lists::{COLUMNS, playlist};
use crate::model::Playlist;
use crate::{Error, Playlists, THINGS_MAX};

/// Public playlists in one answer of [`Playlists::public_after`]: 3 MB if everybody uses all room for words.
pub const PUBLIC_AT_ONCE: usize = 1_000;

/// [`COLUMNS`] of some playlists, as one text that is known when this is compiled.
const SEEN_HEAD: &str = "SELECT id, owner, name, about, is_public, revision, items, created, changed \
                         FROM playlists WHERE id IN";

impl Playlists {
    /// Of these playlists those that this reader may see, in the same order: his own, and public ones.
    ///
    /// # Errors
    /// Too many at once, or the database refuses.
    pub async fn seen_by(&self, reader: AccountId, ids: &[PlaylistId]) -> Result<Vec<Playlist>, Error> {
        if ids.len() > THINGS_MAX {
            return Err(Error::TooMany);
        }
        let keys = ids.iter().map(|id| id.as_str().into()).collect();
        let mut tx = self.database.snapshot().await?;
        let rows = tx.rows_in(SEEN_HEAD, 1, keys, "").await?;
        tx.commit().await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in &rows {
            let found = playlist(row)?;
            if found.is_public || found.owner == reader {
                known.insert(found.id, found);
            }
        }
        Ok(ids.iter().filter_map(|id| known.remove(id)).collect())
    }

    /// Public playlists of everybody by id, those behind `after`; at most [`PUBLIC_AT_ONCE`]. None follow a shorter answer.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn public_after(&self, after: Option<PlaylistId>) -> Result<Vec<Playlist>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM playlists WHERE is_public = 1 AND id > $1 ORDER BY id LIMIT $2");
        let after = after.as_ref().map_or("", PlaylistId::as_str);
        let rows = self.database.rows(Sql::assembled(sql), vec![after.into(), (PUBLIC_AT_ONCE as u64).into()]).await?;
        Ok(rows.iter().map(playlist).collect::<Result<_, Storage>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_that_are_read() {
        assert_eq!(SEEN_HEAD, format!("SELECT {COLUMNS} FROM playlists WHERE id IN"));
    }
}
