//! The items of a playlist: read, replaced, appended, removed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use needledrop_core::{AccountId, PlaylistId, TrackId, UnixSeconds};
use needledrop_database::{Error as Storage, Insert, Row, Sql, Transaction, Value};

use crate::lists::{COLUMNS, parsed, playlist, touch};
use crate::model::{Contents, Item, ItemId, Playlist, Revision};
use crate::{Error, ITEMS_MAX, Playlists, merge};

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
        self.rewrite(owner, id, base, now, |known, next| replaced(known, tracks, next, now)).await
    }

    /// The same for who read the list a while ago as `base`: what others did since holds too (see [`merge`]).
    ///
    /// # Errors
    /// It is not there, not the owner's, or would be too long.
    pub async fn merge_items(
        &self,
        owner: AccountId,
        id: PlaylistId,
        tracks: &[TrackId],
        base: &[Item],
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        if tracks.len() > ITEMS_MAX {
            return Err(Error::ItemsFull);
        }
        let both = |known: &[Item], next: &mut u64| merge::merged(base, known, &replaced(base, tracks, next, now));
        self.rewrite(owner, id, None, now, both).await
    }

    /// Puts tracks before the item at this place; at the end if there is none.
    ///
    /// # Errors
    /// It is not there, not the owner's, or would be too long.
    pub async fn insert(
        &self,
        owner: AccountId,
        id: PlaylistId,
        tracks: &[TrackId],
        place: usize,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        if tracks.len() > ITEMS_MAX {
            return Err(Error::ItemsFull);
        }
        let inserted = |known: &[Item], next: &mut u64| {
            let mut items = known.to_vec();
            let place = place.min(items.len());
            items.splice(place..place, tracks.iter().map(|track| fresh(*track, next, now)));
            items
        };
        self.rewrite(owner, id, None, now, inserted).await
    }

    /// Moves a range of items before the one at `to`, all counted in the list as it is before. Beyond its end is its
    /// end.
    ///
    /// # Errors
    /// It is not there, not the owner's, or was changed meanwhile.
    pub async fn move_range(
        &self,
        owner: AccountId,
        id: PlaylistId,
        range: Range<usize>,
        to: usize,
        base: Option<Revision>,
        now: UnixSeconds,
    ) -> Result<Playlist, Error> {
        self.rewrite(owner, id, base, now, |known, _| moved(known, range.clone(), to)).await
    }

    /// Makes a list of another, in one transaction in which nobody else changes it.
    async fn rewrite(
        &self,
        owner: AccountId,
        id: PlaylistId,
        base: Option<Revision>,
        now: UnixSeconds,
        becomes: impl FnOnce(&[Item], &mut u64) -> Vec<Item> + Send,
    ) -> Result<Playlist, Error> {
        let mut tx = self.database.transaction().await?;
        touch(&mut tx, owner, id, base, now).await?;
        let known = items(&mut tx, id).await?;
        let mut next = next_item(&mut tx, id).await?;
        let written = becomes(&known, &mut next);
        if written.len() > ITEMS_MAX {
            return Err(Error::ItemsFull);
        }
        tx.execute("DELETE FROM playlist_items WHERE playlist = $1", vec![id.as_str().into()]).await?;
        insert(&mut tx, id, 0, &written).await?;
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
        let going: HashSet<ItemId> = items.iter().copied().collect();
        let stays = |item: &&Item| !going.contains(&item.id);
        self.rewrite(owner, id, base, now, |known, _| known.iter().filter(stays).copied().collect()).await
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

fn moved(known: &[Item], range: Range<usize>, to: usize) -> Vec<Item> {
    let end = range.end.min(known.len());
    let start = range.start.min(end);
    let to = to.min(known.len());
    let (going, behind) = (&known[start..end], known.get(end..).unwrap_or_default());
    let staying = [&known[..start], behind].concat();
    let to = if to <= start { to } else { to.saturating_sub(going.len()).max(start) };
    [&staying[..to], going, &staying[to..]].concat()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_moves_before_the_item_that_was_named() {
        let known: Vec<Item> =
            (0..6).map(|n| fresh(TrackId::from_random([0; 16]), &mut { n }, UnixSeconds(0))).collect();
        let order = |range, to| moved(&known, range, to).iter().map(|item| item.id.0).collect::<Vec<_>>();
        assert_eq!(order(0..1, 6), [1, 2, 3, 4, 5, 0]);
        assert_eq!(order(4..6, 1), [0, 4, 5, 1, 2, 3]);
        assert_eq!(order(1..3, 5), [0, 3, 4, 1, 2, 5]);
        assert_eq!(order(1..3, 2), [0, 1, 2, 3, 4, 5], "into itself");
        assert_eq!(order(1..99, 0), [1, 2, 3, 4, 5, 0]);
        assert_eq!(order(9..12, 0), [0, 1, 2, 3, 4, 5]);
    }
}
