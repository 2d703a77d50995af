//! Stars and ratings of an account.

use std::collections::HashMap;

use needledrop_core::{AccountId, UnixSeconds};
use needledrop_database::{Insert, Row, Transaction, Value};

use crate::model::{Rating, Star, Thing};
use crate::{Error, MARKS_MAX, Playlists, THINGS_MAX};

/// What an account thinks of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Since when it has a star.
    pub starred: Option<UnixSeconds>,
    /// How many of five.
    pub rating: Option<Rating>,
}

/// A thing that has a star keeps the moment it got it.
const STAR: Insert = Insert {
    head: "INSERT INTO playlist_marks (account, kind, thing, starred)",
    width: 4,
    tail: "ON CONFLICT (account, kind, thing) DO UPDATE SET \
           starred = coalesce(playlist_marks.starred, excluded.starred)",
};

/// Counting an account's marks before more are made.
const SECTION: &str = "marks of an account";

impl Playlists {
    /// Gives stars.
    ///
    /// # Errors
    /// Too many at once or in all.
    pub async fn star(&self, account: AccountId, things: &[Thing], now: UnixSeconds) -> Result<(), Error> {
        if things.len() > THINGS_MAX {
            return Err(Error::TooMany);
        }
        // No key may be twice in one statement.
        let mut things = things.to_vec();
        things.sort();
        things.dedup();
        let mut values: Vec<Value> = Vec::with_capacity(things.len() * STAR.width);
        for thing in &things {
            let (kind, id) = thing.key();
            values.extend([account.as_str().into(), kind.into(), id.into(), now.0.into()]);
        }
        let mut tx = self.database.transaction().await?;
        tx.exclusive(SECTION).await?;
        tx.insert(STAR, values).await?;
        bounded(&mut tx, account).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes stars away; what has none is left out.
    ///
    /// # Errors
    /// Too many at once.
    pub async fn unstar(&self, account: AccountId, things: &[Thing]) -> Result<(), Error> {
        if things.len() > THINGS_MAX {
            return Err(Error::TooMany);
        }
        let mut tx = self.database.transaction().await?;
        for thing in things {
            let (kind, id) = thing.key();
            let sql = "UPDATE playlist_marks SET starred = NULL WHERE account = $1 AND kind = $2 AND thing = $3";
            tx.execute(sql, vec![account.as_str().into(), kind.into(), id.into()]).await?;
        }
        sweep(&mut tx, account).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Everything with a star, the last starred first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn starred(&self, account: AccountId) -> Result<Vec<Star>, Error> {
        let sql = "SELECT kind, thing, starred FROM playlist_marks WHERE account = $1 AND starred IS NOT NULL \
                   ORDER BY starred DESC, kind, thing LIMIT $2";
        let values = vec![account.as_str().into(), (MARKS_MAX as u64).into()];
        let rows = self.database.rows(sql, values).await?;
        rows.iter().map(|row| Ok(Star { thing: thing(row)?, at: UnixSeconds(row.get(2)?) })).collect()
    }

    /// Rates something; None takes the rating away.
    ///
    /// # Errors
    /// Too many in all.
    pub async fn rate(&self, account: AccountId, thing: Thing, rating: Option<Rating>) -> Result<(), Error> {
        let sql = "INSERT INTO playlist_marks (account, kind, thing, rating) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (account, kind, thing) DO UPDATE SET rating = excluded.rating";
        let (kind, id) = thing.key();
        let rating = rating.map(Rating::value);
        let mut tx = self.database.transaction().await?;
        tx.exclusive(SECTION).await?;
        tx.execute(sql, vec![account.as_str().into(), kind.into(), id.into(), rating.into()]).await?;
        sweep(&mut tx, account).await?;
        bounded(&mut tx, account).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Everything that is rated, the best first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn ratings(&self, account: AccountId) -> Result<Vec<(Thing, Rating)>, Error> {
        let sql = "SELECT kind, thing, rating FROM playlist_marks WHERE account = $1 AND rating IS NOT NULL \
                   ORDER BY rating DESC, kind, thing LIMIT $2";
        let values = vec![account.as_str().into(), (MARKS_MAX as u64).into()];
        let rows = self.database.rows(sql, values).await?;
        rows.iter().map(|row| Ok((thing(row)?, rating(row, 2)?.ok_or_else(|| damaged(2))?))).collect()
    }

    /// What the account thinks of these things. What it has not marked is not in the map.
    ///
    /// # Errors
    /// Too many at once.
    pub async fn marks(&self, account: AccountId, things: &[Thing]) -> Result<HashMap<Thing, Mark>, Error> {
        if things.len() > THINGS_MAX {
            return Err(Error::TooMany);
        }
        let mut keys: Vec<Value> = Vec::with_capacity(things.len() * 3);
        for thing in things {
            let (kind, id) = thing.key();
            keys.extend([account.as_str().into(), kind.into(), id.into()]);
        }
        let mut tx = self.database.snapshot().await?;
        let head = "SELECT kind, thing, starred, rating FROM playlist_marks WHERE (account, kind, thing) IN";
        let rows = tx.rows_in(head, 3, keys, "").await?;
        tx.commit().await?;
        let read = |row: &Row| {
            let starred: Option<u64> = row.get(2)?;
            Ok((thing(row)?, Mark { starred: starred.map(UnixSeconds), rating: rating(row, 3)? }))
        };
        rows.iter().map(read).collect()
    }
}

/// A mark that says nothing is no mark.
async fn sweep(tx: &mut Transaction, account: AccountId) -> Result<(), Error> {
    let sql = "DELETE FROM playlist_marks WHERE account = $1 AND starred IS NULL AND rating IS NULL";
    tx.execute(sql, vec![account.as_str().into()]).await?;
    Ok(())
}

async fn bounded(tx: &mut Transaction, account: AccountId) -> Result<(), Error> {
    let sql = "SELECT count(*) FROM playlist_marks WHERE account = $1";
    let many: u64 = tx.row(sql, vec![account.as_str().into()]).await?.expect("a count has a row").get(0)?;
    if many > MARKS_MAX as u64 { Err(Error::MarksFull) } else { Ok(()) }
}

fn thing(row: &Row) -> Result<Thing, Error> {
    let id: String = row.get(1)?;
    Thing::from_key(row.get(0)?, &id).ok_or_else(|| damaged(1))
}

fn rating(row: &Row, index: usize) -> Result<Option<Rating>, Error> {
    let value: Option<u8> = row.get(index)?;
    value.map(|value| Rating::new(value).ok_or_else(|| damaged(index))).transpose()
}

fn damaged(index: usize) -> Error {
    needledrop_database::Error::Column { index, why: "does not hold what this program writes".to_owned() }.into()
}
