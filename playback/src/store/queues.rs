//! The play queue of each account.

use needledrop_core::{AccountId, TrackId};
use needledrop_database::{Error, Row};

use super::Store;
use super::read::{damaged, parsed};
use crate::account::DisplayName;
use crate::queue::{Queue, Repeat, UnixMs};

/// Characters of a track id.
const ID_CHARS: usize = 22;

impl Store {
    /// The queue of an account.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn queue(&self, account: AccountId) -> Result<Option<Queue>, Error> {
        let sql = "SELECT changed, client, place, position_ms, playing, shuffle, repeat_mode, items \
                   FROM play_queues WHERE account = $1";
        self.database.row(sql, vec![account.as_str().into()]).await?.as_ref().map(queue).transpose()
    }

    /// Writes a queue, unless a later one is there: in one statement, by the order of [`Queue::rank`]. False if the
    /// one that is there stays.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn write_queue(&self, account: AccountId, queue: &Queue) -> Result<bool, Error> {
        let sql = "INSERT INTO play_queues \
                   (account, changed, digest, client, place, position_ms, playing, shuffle, repeat_mode, items) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                   ON CONFLICT (account) DO UPDATE SET changed = excluded.changed, digest = excluded.digest, \
                   client = excluded.client, place = excluded.place, position_ms = excluded.position_ms, \
                   playing = excluded.playing, shuffle = excluded.shuffle, repeat_mode = excluded.repeat_mode, \
                   items = excluded.items \
                   WHERE play_queues.changed < excluded.changed \
                   OR (play_queues.changed = excluded.changed AND play_queues.digest <= excluded.digest)";
        let (changed, digest) = queue.rank();
        let items: String = queue.items.iter().map(TrackId::as_str).collect();
        let values = vec![
            account.as_str().into(),
            changed.0.into(),
            digest.as_slice().into(),
            queue.client.as_str().into(),
            queue.index.into(),
            queue.position_ms.into(),
            queue.playing.into(),
            queue.shuffle.into(),
            queue.repeat.name().into(),
            items.into(),
        ];
        Ok(self.database.execute(sql, values).await? == 1)
    }
}

fn queue(row: &Row) -> Result<Queue, Error> {
    Ok(Queue {
        changed: UnixMs(row.get(0)?),
        client: parsed(row, 1, |text| DisplayName::parse(text).ok())?,
        index: row.get(2)?,
        position_ms: row.get(3)?,
        playing: row.get(4)?,
        shuffle: row.get(5)?,
        repeat: parsed(row, 6, Repeat::from_name)?,
        items: items(&row.get::<String>(7)?).ok_or_else(|| damaged(7))?,
    })
}

fn items(text: &str) -> Option<Vec<TrackId>> {
    let ids = text.as_bytes().chunks(ID_CHARS).map(|id| TrackId::parse(std::str::from_utf8(id).ok()?).ok());
    ids.collect()
}
