//! The items of a playlist: read, replaced, appended, removed.

use std::collections::{HashMap, HashSet, VecDeque};

use needledrop_core::{AccountId, PlaylistId, TrackId, UnixSeconds};
use needledrop_database::{Error as Storage, Insert, Row, Sql, Transaction, Value};

use crate::lists::{COLUMNS, parsed, playlist, touch};
use crate::model::{Contents, Item, ItemId, Playlist, Revision};
use crate::{Error, ITEMS_MAX, Playlists};

const INSERT: Insert =
    Insert { head: "INSERT INTO playlist_items (playlist, place, item, track, added)", width: 5, tail: "" };

impl Playlists {
    /// A playlist with its items, for its owner, or for anybody if it is public.
    ///
    /// # Errors
    /// There is none that this reader may see.
    pub async fn get(&self, reader: AccountId, id: PlaylistId) -> Result<Contents, Error> {
        let mut tx = self.database.snapshot().await?;
        let sql = format!("SELECT {COLUMNS} FROM playlists WHERE id = $1 AND (owner = $2 OR is_public = 1)");
        let row = tx.row(Sql::assembled(sql), vec![id.as_str().into(), reader.as_str().into()]).await?;
        let playlist = playlist(&row.ok_or(Error::NotFound)?)?;
        let items = items(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Contents { playlist, items })
    }

    /// Makes these tracks the playlist, in this order. An item whose track stays keeps its name and its age, so that
    /// this is also how items are moved. With `base`, only if the playlist is still at that revision.
    ///
    /// # Errors
    /// It is not there, not the owner's, too long, or was changed meanwhile.
    pub async fn replace_items(
        &self,
        owner: AccountId,
        id: PlaylistId,
        tracks: &[TrackId],
        base: Option<Revision>,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        if tracks.len() > ITEMS_MAX {
            return Err(Error::ItemsFull);
        }
        let mut tx = self.database.transaction().await?;
        touch(&mut tx, owner, id, base, now).await?;
        let known = items(&mut tx, id).await?;
        let mut next = next_item(&mut tx, id).await?;
        let replaced = replaced(&known, tracks, &mut next, now);
        tx.execute("DELETE FROM playlist_items WHERE playlist = $1", vec![id.as_str().into()]).await?;
        insert(&mut tx, id, 0, &replaced).await?;
        finish(tx, id, next).await
    }

    /// Appends tracks.
    ///
    /// # Errors
    /// It is not there, not the owner's, or would be too long.
    pub async fn add(
        &self,
        owner: AccountId,
        id: PlaylistId,
        tracks: &[TrackId],
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        if tracks.len() > ITEMS_MAX {
            return Err(Error::ItemsFull);
        }
        let mut tx = self.database.transaction().await?;
        touch(&mut tx, owner, id, None, now).await?;
        let sql = "SELECT count(*), max(place) FROM playlist_items WHERE playlist = $1";
        let row = tx.row(sql, vec![id.as_str().into()]).await?.expect("a count has a row");
        let (many, last): (u64, Option<u64>) = (row.get(0)?, row.get(1)?);
        if many + tracks.len() as u64 > ITEMS_MAX as u64 {
            return Err(Error::ItemsFull);
        }
        let mut next = next_item(&mut tx, id).await?;
        let added: Vec<Item> = tracks.iter().map(|track| fresh(*track, &mut next, now)).collect();
        insert(&mut tx, id, last.map_or(0, |last| last + 1), &added).await?;
        finish(tx, id, next).await
    }

    /// Removes items; those that are gone already are left out.
    ///
    /// # Errors
    /// It is not there, not the owner's, or was changed meanwhile.
    pub async fn remove(
        &self,
        owner: AccountId,
        id: PlaylistId,
        items: &[ItemId],
        base: Option<Revision>,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        if items.len() > ITEMS_MAX {
            return Err(Error::TooMany);
        }
        let mut tx = self.database.transaction().await?;
        touch(&mut tx, owner, id, base, now).await?;
        let going: HashSet<ItemId> = items.iter().copied().collect();
        let staying: Vec<Item> =
            self::items(&mut tx, id).await?.into_iter().filter(|item| !going.contains(&item.id)).collect();
        let next = next_item(&mut tx, id).await?;
        tx.execute("DELETE FROM playlist_items WHERE playlist = $1", vec![id.as_str().into()]).await?;
        insert(&mut tx, id, 0, &staying).await?;
        finish(tx, id, next).await
    }
}

/// The items of a list of tracks; what was known of a track is used up in its order.
fn replaced(known: &[Item], tracks: &[TrackId], next: &mut u64, now: UnixSeconds) -> Vec<Item> {
    let mut by_track: HashMap<TrackId, VecDeque<Item>> = HashMap::new();
    for item in known {
        by_track.entry(item.track).or_default().push_back(*item);
    }
    let mut take = |track: TrackId| by_track.get_mut(&track).and_then(VecDeque::pop_front);
    tracks.iter().map(|track| take(*track).unwrap_or_else(|| fresh(*track, next, now))).collect()
}

fn fresh(track: TrackId, next: &mut u64, now: UnixSeconds) -> Item {
    let id = ItemId(*next);
    *next += 1;
    Item { id, track, added: now }
}

async fn items(tx: &mut Transaction, id: PlaylistId) -> Result<Vec<Item>, Error> {
    let sql = "SELECT item, track, added FROM playlist_items WHERE playlist = $1 ORDER BY place LIMIT $2";
    let rows = tx.rows(sql, vec![id.as_str().into(), (ITEMS_MAX as u64).into()]).await?;
    Ok(rows.iter().map(item).collect::<Result<_, Storage>>()?)
}

fn item(row: &Row) -> Result<Item, Storage> {
    Ok(Item {
        id: ItemId(row.get(0)?),
        track: parsed(row, 1, |text| text.parse().ok())?,
        added: UnixSeconds(row.get(2)?),
    })
}

async fn next_item(tx: &mut Transaction, id: PlaylistId) -> Result<u64, Error> {
    let row = tx.row("SELECT next_item FROM playlists WHERE id = $1", vec![id.as_str().into()]).await?;
    Ok(row.expect("it was touched in this transaction").get(0)?)
}

async fn insert(tx: &mut Transaction, id: PlaylistId, from: u64, items: &[Item]) -> Result<(), Error> {
    let mut values: Vec<Value> = Vec::with_capacity(items.len() * INSERT.width);
    for (place, item) in (from..).zip(items) {
        values.extend([
            id.as_str().into(),
            place.into(),
            item.id.0.into(),
            item.track.as_str().into(),
            item.added.0.into(),
        ]);
    }
    tx.insert(INSERT, values).await?;
    Ok(())
}

/// Writes what the items come to, and commits.
async fn finish(mut tx: Transaction, id: PlaylistId, next: u64) -> Result<Playlist, Error> {
    let sql = format!(
        "UPDATE playlists SET next_item = $2, \
         items = (SELECT count(*) FROM playlist_items WHERE playlist = $1) WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = tx.row(Sql::assembled(sql), vec![id.as_str().into(), next.into()]).await?;
    let changed = playlist(&row.expect("it was touched in this transaction"))?;
    tx.commit().await?;
    Ok(changed)
}
