//! The plays that go on, so that a restart of the server does not begin them anew.

use std::collections::BTreeMap;

use needledrop_core::{AccountId, PlaybackId, UnixSeconds};
use needledrop_database::{Database, Each, Error, Gathered, Insert, Row, Value};

use super::Store;
use super::read::parsed;
use crate::plays::{PLAY_SECONDS_MAX, Play, PlayKey};

/// Plays that are kept, the newest of the last day: about 150 MB of rows.
const PLAYS_MAX: u32 = 1_000_000;

/// The plays of the keys that are asked for.
const BY_KEY: Each = Each {
    key: &["account", "client", "track"],
    sql: "SELECT p.playback, p.begun, p.granted, p.ends, a.n FROM asked a CROSS JOIN current_plays p \
          WHERE p.account = a.account AND p.client = a.client AND p.track = a.track",
};

/// Reads of plays.
pub(super) fn by_key(database: &Database) -> Gathered {
    database.gathered(BY_KEY, Vec::new())
}

impl Store {
    /// The play of this key, whether it still goes on or not.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn play(&self, key: &PlayKey) -> Result<Option<Play>, Error> {
        let key = vec![key.account.as_str().into(), key.client.as_str().into(), key.track.as_str().into()];
        self.plays.rows(key).await?.first().map(play).transpose()
    }

    /// Writes plays over what was there, and forgets those that ended (None); each key once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn write_plays(&self, plays: &BTreeMap<PlayKey, Option<Play>>) -> Result<(), Error> {
        let insert = Insert {
            head: "INSERT INTO current_plays (account, client, track, playback, begun, granted, ends)",
            width: 7,
            tail: "ON CONFLICT (account, client, track) DO UPDATE SET playback = excluded.playback, \
                   begun = excluded.begun, granted = excluded.granted, ends = excluded.ends",
        };
        let (mut rows, mut ended) = (Vec::new(), Vec::new());
        for (key, play) in plays {
            let key: [Value; 3] = [key.account.as_str().into(), key.client.as_str().into(), key.track.as_str().into()];
            match play {
                Some(play) => rows.extend(key.into_iter().chain([
                    play.id.as_str().into(),
                    play.begun.0.into(),
                    play.granted.0.into(),
                    play.ends.map(|ends| ends.0).into(),
                ])),
                None => ended.extend(key),
            }
        }
        let mut transaction = self.database.transaction().await?;
        transaction.insert(insert, rows).await?;
        transaction.execute_in("DELETE FROM current_plays WHERE (account, client, track) IN", 3, ended).await?;
        transaction.commit().await
    }

    /// Forgets all plays of an account.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn forget_plays(&self, account: AccountId) -> Result<(), Error> {
        let sql = "DELETE FROM current_plays WHERE account = $1";
        self.database.execute(sql, vec![account.as_str().into()]).await.map(drop)
    }

    /// Forgets plays that no longer go on, and the oldest of too many.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge_plays(&self, now: UnixSeconds) -> Result<u64, Error> {
        let over = now.minus(PLAY_SECONDS_MAX);
        let old = self.database.execute("DELETE FROM current_plays WHERE granted <= $1", vec![over.0.into()]).await?;
        let sql = "DELETE FROM current_plays WHERE granted <= \
                   (SELECT granted FROM current_plays ORDER BY granted DESC LIMIT 1 OFFSET $1)";
        Ok(old + self.database.execute(sql, vec![PLAYS_MAX.into()]).await?)
    }
}

fn play(row: &Row) -> Result<Play, Error> {
    let id = parsed(row, 0, |text| PlaybackId::parse(text).ok())?;
    Ok(Play {
        id,
        begun: UnixSeconds(row.get(1)?),
        granted: UnixSeconds(row.get(2)?),
        ends: row.get::<Option<u64>>(3)?.map(UnixSeconds),
    })
}
