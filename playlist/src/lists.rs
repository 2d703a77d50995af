//! Playlists as wholes: made, found, renamed, deleted.

use needledrop_core::{AccountId, PlaylistId, UnixSeconds};
use needledrop_database::{Error as Storage, Row, Sql, Transaction};

use crate::model::{About, Change, ListName, Playlist, Revision};
use crate::{Error, News, PLAYLISTS_MAX, Playlists};

/// The columns of a [`Playlist`], in the order in which [`playlist`] reads them.
pub(crate) const COLUMNS: &str = "id, owner, name, about, is_public, revision, items, created, changed";

/// Where a section of one writer is needed: counting an account's playlists before one more is made.
const SECTION: &str = "playlists of an account";

impl Playlists {
    /// Makes an empty, private playlist; the identity is the caller's randomness.
    ///
    /// # Errors
    /// The account has too many, or the identity is taken.
    pub async fn create(
        &self,
        owner: AccountId,
        id: PlaylistId,
        name: ListName,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        let mut tx = self.database.transaction().await?;
        tx.exclusive(SECTION).await?;
        let counted = tx.row("SELECT count(*) FROM playlists WHERE owner = $1", vec![owner.as_str().into()]).await?;
        let many: u64 = counted.expect("a count has a row").get(0)?;
        if many >= PLAYLISTS_MAX as u64 {
            return Err(Error::PlaylistsFull);
        }
        let sql = format!(
            "INSERT INTO playlists (id, owner, name, about, is_public, revision, items, next_item, created, changed) \
             VALUES ($1, $2, $3, '', 0, 1, 0, 1, $4, $4) ON CONFLICT (id) DO NOTHING RETURNING {COLUMNS}"
        );
        let values = vec![id.as_str().into(), owner.as_str().into(), name.as_str().into(), now.0.into()];
        let row = tx.row(Sql::assembled(sql), values).await?.ok_or(Error::Exists)?;
        let made = playlist(&row)?;
        tx.commit().await?;
        self.teller.tell(News::Is(&made));
        Ok(made)
    }

    /// The playlists of an account, oldest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn list(&self, owner: AccountId) -> Result<Vec<Playlist>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM playlists WHERE owner = $1 ORDER BY created, id LIMIT $2");
        let values = vec![owner.as_str().into(), (PLAYLISTS_MAX as u64).into()];
        let rows = self.database.rows(Sql::assembled(sql), values).await?;
        Ok(rows.iter().map(playlist).collect::<Result<_, Storage>>()?)
    }

    /// Changes what is said about a playlist.
    ///
    /// # Errors
    /// There is none, or it is somebody else's.
    pub async fn rename(
        &self,
        owner: AccountId,
        id: PlaylistId,
        change: Change,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        let mut tx = self.database.transaction().await?;
        touch(&mut tx, owner, id, None, now).await?;
        let sql = format!(
            "UPDATE playlists SET name = coalesce($2, name), about = coalesce($3, about), \
             is_public = coalesce($4, is_public) WHERE id = $1 RETURNING {COLUMNS}"
        );
        let values = vec![
            id.as_str().into(),
            change.name.as_ref().map(ListName::as_str).map(str::to_owned).into(),
            change.about.as_ref().map(About::as_str).map(str::to_owned).into(),
            change.is_public.into(),
        ];
        let row = tx.row(Sql::assembled(sql), values).await?;
        let changed = playlist(&row.expect("it was touched in this transaction"))?;
        tx.commit().await?;
        self.teller.tell(News::Is(&changed));
        Ok(changed)
    }

    /// Deletes a playlist with all its items.
    ///
    /// # Errors
    /// There is none, or it is somebody else's.
    pub async fn delete(&self, owner: AccountId, id: PlaylistId) -> Result<(), Error> {
        let mut tx = self.database.transaction().await?;
        let values = vec![id.as_str().into(), owner.as_str().into()];
        if tx.execute("DELETE FROM playlists WHERE id = $1 AND owner = $2", values).await? == 0 {
            return Err(why_not(&mut tx, owner, id).await?);
        }
        tx.commit().await?;
        self.teller.tell(News::Gone(id));
        Ok(())
    }

    /// Forgets everything that an account has collected: to be called when it is removed.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn forget(&self, account: AccountId) -> Result<(), Error> {
        let mut tx = self.database.transaction().await?;
        let rows =
            tx.rows("DELETE FROM playlists WHERE owner = $1 RETURNING id", vec![account.as_str().into()]).await?;
        let gone: Vec<PlaylistId> =
            rows.iter().map(|row| parsed(row, 0, |text| text.parse().ok())).collect::<Result<_, Storage>>()?;
        tx.execute("DELETE FROM playlist_marks WHERE account = $1", vec![account.as_str().into()]).await?;
        tx.commit().await?;
        gone.into_iter().for_each(|id| self.teller.tell(News::Gone(id)));
        Ok(())
    }
}

/// Makes the next revision. From here to the end of the transaction nobody else changes this playlist.
pub(crate) async fn touch(
    tx: &mut Transaction,
    owner: AccountId,
    id: PlaylistId,
    base: Option<Revision>,
    now: UnixSeconds,
) -> Result<(), Error> {
    let sql = "UPDATE playlists SET revision = revision + 1, changed = $3 WHERE id = $1 AND owner = $2 \
               AND ($4 IS NULL OR revision = $4)";
    let base = base.map(|revision| revision.0);
    let values = vec![id.as_str().into(), owner.as_str().into(), now.0.into(), base.into()];
    match tx.execute(sql, values).await? {
        0 => Err(why_not(tx, owner, id).await?),
        _ => Ok(()),
    }
}

/// Why this owner could not change this playlist.
async fn why_not(tx: &mut Transaction, owner: AccountId, id: PlaylistId) -> Result<Error, Error> {
    let row = tx.row("SELECT owner, is_public FROM playlists WHERE id = $1", vec![id.as_str().into()]).await?;
    let Some(row) = row else { return Ok(Error::NotFound) };
    let is_own = row.get::<String>(0)? == owner.as_str();
    Ok(match (is_own, row.get(1)?) {
        (true, _) => Error::Conflict,
        (false, true) => Error::NotYours,
        // Whether somebody else has a private playlist of this id is not told.
        (false, false) => Error::NotFound,
    })
}

/// Reads a row of [`COLUMNS`].
pub(crate) fn playlist(row: &Row) -> Result<Playlist, Storage> {
    Ok(Playlist {
        id: parsed(row, 0, |text| text.parse().ok())?,
        owner: parsed(row, 1, |text| text.parse().ok())?,
        name: parsed(row, 2, |text| ListName::parse(text).ok())?,
        about: parsed(row, 3, |text| About::parse(text).ok())?,
        is_public: row.get(4)?,
        revision: Revision(row.get(5)?),
        items: row.get(6)?,
        created: UnixSeconds(row.get(7)?),
        changed: UnixSeconds(row.get(8)?),
    })
}

/// What storage holds was written by us: a text that does not parse is damage, never a default.
pub(crate) fn parsed<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, Storage> {
    parse(&row.get::<String>(index)?)
        .ok_or_else(|| Storage::Column { index, why: "does not hold what this program writes".to_owned() })
}
