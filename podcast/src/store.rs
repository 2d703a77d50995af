//! What is known of each feed, and how far each account has heard each episode.
//!
//! The shows and episodes themselves are the catalog's. A feed is due when its `next` has come; whoever takes it up puts
//! that moment off first, so that two processes on one database do not fetch the same feed.

use std::collections::HashMap;

use needledrop_core::{AccountId, EpisodeId, ShowId, UnixSeconds};
use needledrop_database::{Database, Error, Migration, Row, Script, Transaction, Value};

use crate::fetch::Known;

/// Feeds of one installation: at one look an hour each they are one fetch every two seconds.
pub const FEEDS_MAX: u64 = 2_000;
/// Positions that an account keeps; the ones changed longest ago go first.
pub const POSITIONS_MAX: u64 = 5_000;
/// Positions looked up with one statement.
const POSITIONS_AT_ONCE: usize = 500;

/// The name of our tables' versions, and of the section in which feeds are counted.
const SERVICE: &str = "podcasts";

/// In order. A version that was released never changes.
pub const MIGRATIONS: &[Migration] = &[Migration { version: 1, name: "feeds and positions", script: Script::Both(V1) }];

/// Times are Unix seconds. `next` is empty of a feed that is never looked at again by itself.
const V1: &str = "
CREATE TABLE podcast_feeds (
    show_id {key} NOT NULL PRIMARY KEY, url TEXT NOT NULL, added_by {key} NOT NULL, added BIGINT NOT NULL,
    etag TEXT, last_modified TEXT, checked BIGINT, next BIGINT, failures BIGINT NOT NULL, problem TEXT
);
CREATE INDEX podcast_feeds_next ON podcast_feeds (next);
CREATE INDEX podcast_feeds_url ON podcast_feeds (url);
CREATE TABLE podcast_positions (
    account {key} NOT NULL, episode {key} NOT NULL, position_ms BIGINT NOT NULL, played BIGINT NOT NULL,
    changed BIGINT NOT NULL, PRIMARY KEY (account, episode)
) {clustered};
";

/// What is known of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// Whose.
    pub show: ShowId,
    /// Where it is now.
    pub url: String,
    /// Who added it.
    pub added_by: AccountId,
    /// When.
    pub added: UnixSeconds,
    /// What to say to its server.
    pub known: Known,
    /// When it was looked at last.
    pub checked: Option<UnixSeconds>,
    /// When it will be; None for never.
    pub next: Option<UnixSeconds>,
    /// How often in a row that has failed.
    pub failures: u32,
    /// Why, in words.
    pub problem: Option<String>,
}

/// How far somebody has heard an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Where to go on, in milliseconds.
    pub ms: u64,
    /// Heard to the end.
    pub is_played: bool,
}

/// The tables.
#[derive(Clone, Debug)]
pub(crate) struct Store(Database);

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT show_id, url, added_by, added, etag, last_modified, checked, next, failures, problem ",
            "FROM podcast_feeds ",
            $tail
        )
    };
}

impl Store {
    pub(crate) async fn open(database: Database) -> Result<Self, Error> {
        database.migrate(SERVICE, MIGRATIONS).await?;
        Ok(Self(database))
    }

    pub(crate) async fn feed(&self, show: ShowId) -> Result<Option<FeedState>, Error> {
        let rows = self.0.rows(select!("WHERE show_id = $1"), vec![show.as_str().into()]).await?;
        rows.first().map(feed).transpose()
    }

    pub(crate) async fn feed_at(&self, url: &str) -> Result<Option<FeedState>, Error> {
        let rows = self.0.rows(select!("WHERE url = $1 LIMIT 1"), vec![url.into()]).await?;
        rows.first().map(feed).transpose()
    }

    pub(crate) async fn feeds(&self) -> Result<Vec<FeedState>, Error> {
        let rows = self.0.rows(select!("ORDER BY added, show_id LIMIT $1"), vec![FEEDS_MAX.into()]).await?;
        rows.iter().map(feed).collect()
    }

    /// Writes a feed; false if there are as many as there may be.
    pub(crate) async fn put(&self, state: &FeedState) -> Result<bool, Error> {
        let mut tx = self.0.transaction().await?;
        tx.exclusive(SERVICE).await?;
        let is_known = is_there(&mut tx, state.show).await?;
        let count: Option<u64> = match tx.row("SELECT count(*) FROM podcast_feeds", Vec::new()).await? {
            Some(row) => row.get(0)?,
            None => None,
        };
        if !is_known && count.unwrap_or(0) >= FEEDS_MAX {
            return Ok(false);
        }
        let sql = "INSERT INTO podcast_feeds \
                   (show_id, url, added_by, added, etag, last_modified, checked, next, failures, problem) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (show_id) DO UPDATE SET \
                   url = excluded.url, etag = excluded.etag, last_modified = excluded.last_modified, \
                   checked = excluded.checked, next = excluded.next, failures = excluded.failures, \
                   problem = excluded.problem";
        tx.execute(sql, values(state)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Writes what a look found, unless the feed was removed meanwhile.
    pub(crate) async fn update(&self, state: &FeedState) -> Result<(), Error> {
        let sql = "UPDATE podcast_feeds SET url = $2, etag = $3, last_modified = $4, checked = $5, next = $6, \
                   failures = $7, problem = $8 WHERE show_id = $1";
        let mut all = values(state);
        all.drain(2..4);
        self.0.execute(sql, all).await?;
        Ok(())
    }

    /// Forgets a feed; false if it was not there.
    pub(crate) async fn remove(&self, show: ShowId) -> Result<bool, Error> {
        let sql = "DELETE FROM podcast_feeds WHERE show_id = $1";
        Ok(self.0.execute(sql, vec![show.as_str().into()]).await? > 0)
    }

    /// The feed that is due longest.
    pub(crate) async fn due(&self, now: UnixSeconds) -> Result<Option<FeedState>, Error> {
        let rows = self.0.rows(select!("WHERE next <= $1 ORDER BY next LIMIT 1"), vec![now.0.into()]).await?;
        rows.first().map(feed).transpose()
    }

    /// Takes up a feed that is due: puts it off until `until`; false if somebody else was faster.
    pub(crate) async fn take_up(&self, state: &FeedState, until: UnixSeconds) -> Result<bool, Error> {
        let sql = "UPDATE podcast_feeds SET next = $3 WHERE show_id = $1 AND next = $2";
        let values = vec![state.show.as_str().into(), state.next.map(|next| next.0).into(), until.0.into()];
        Ok(self.0.execute(sql, values).await? > 0)
    }

    /// Makes feeds due that were not looked at since, but for those that have gone for good.
    pub(crate) async fn make_due(&self, now: UnixSeconds, since: UnixSeconds) -> Result<(), Error> {
        let sql = "UPDATE podcast_feeds SET next = $1 WHERE next > $1 AND checked <= $2";
        self.0.execute(sql, vec![now.0.into(), since.0.into()]).await?;
        Ok(())
    }

    /// When the next feed is due.
    pub(crate) async fn next_due(&self) -> Result<Option<UnixSeconds>, Error> {
        let rows = self.0.rows("SELECT min(next) FROM podcast_feeds", Vec::new()).await?;
        let next: Option<u64> = rows.first().map_or(Ok(None), |row| row.get(0))?;
        Ok(next.map(UnixSeconds))
    }

    /// How far an account has heard these episodes, in their order.
    pub(crate) async fn positions(&self, account: AccountId, of: &[EpisodeId]) -> Result<Vec<Position>, Error> {
        let head = "SELECT episode, position_ms, played FROM podcast_positions WHERE (account, episode) IN";
        let mut found: HashMap<String, Position> = HashMap::new();
        let mut tx = self.0.snapshot().await?;
        for some in of.chunks(POSITIONS_AT_ONCE) {
            let keys = some.iter().flat_map(|episode| [account.as_str().into(), episode.as_str().into()]).collect();
            for row in tx.rows_in(head, 2, keys, "").await? {
                found.insert(row.get(0)?, Position { ms: row.get(1)?, is_played: row.get(2)? });
            }
        }
        tx.commit().await?;
        Ok(of.iter().map(|episode| found.get(episode.as_str()).copied().unwrap_or_default()).collect())
    }

    /// Keeps how far an account has heard an episode.
    pub(crate) async fn set_position(
        &self,
        account: AccountId,
        episode: EpisodeId,
        position: Position,
        now: UnixSeconds,
    ) -> Result<(), Error> {
        let mut tx = self.0.transaction().await?;
        let sql = "INSERT INTO podcast_positions (account, episode, position_ms, played, changed) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, episode) DO UPDATE SET \
                   position_ms = excluded.position_ms, played = excluded.played, changed = excluded.changed";
        let values: Vec<Value> = vec![
            account.as_str().into(),
            episode.as_str().into(),
            position.ms.into(),
            position.is_played.into(),
            now.0.into(),
        ];
        tx.execute(sql, values).await?;
        let sql = "DELETE FROM podcast_positions WHERE account = $1 AND episode IN (SELECT episode FROM podcast_positions \
                   WHERE account = $1 ORDER BY changed DESC, episode LIMIT 1000 OFFSET $2)";
        tx.execute(sql, vec![account.as_str().into(), POSITIONS_MAX.into()]).await?;
        tx.commit().await
    }

    /// Forgets how far an account has heard anything.
    pub(crate) async fn forget_account(&self, account: AccountId) -> Result<(), Error> {
        let sql = "DELETE FROM podcast_positions WHERE account = $1";
        self.0.execute(sql, vec![account.as_str().into()]).await.map(drop)
    }

    /// Forgets how far anybody has heard these episodes.
    pub(crate) async fn forget(&self, episodes: &[EpisodeId]) -> Result<(), Error> {
        if episodes.is_empty() {
            return Ok(());
        }
        let mut tx = self.0.transaction().await?;
        let ids = episodes.iter().map(|episode| episode.as_str().into()).collect();
        tx.execute_in("DELETE FROM podcast_positions WHERE episode IN", 1, ids).await?;
        tx.commit().await
    }
}

async fn is_there(tx: &mut Transaction, show: ShowId) -> Result<bool, Error> {
    Ok(tx.row("SELECT 1 FROM podcast_feeds WHERE show_id = $1", vec![show.as_str().into()]).await?.is_some())
}

fn values(state: &FeedState) -> Vec<Value> {
    vec![
        state.show.as_str().into(),
        state.url.as_str().into(),
        state.added_by.as_str().into(),
        state.added.0.into(),
        state.known.etag.as_deref().into(),
        state.known.last_modified.as_deref().into(),
        state.checked.map(|checked| checked.0).into(),
        state.next.map(|next| next.0).into(),
        state.failures.into(),
        state.problem.as_deref().into(),
    ]
}

fn feed(row: &Row) -> Result<FeedState, Error> {
    let moment = |at| row.get::<Option<u64>>(at).map(|moment| moment.map(UnixSeconds));
    Ok(FeedState {
        show: ShowId::parse(&row.get::<String>(0)?)
            .map_err(|_| Error::Column { index: 0, why: "no show's id".into() })?,
        url: row.get(1)?,
        added_by: AccountId::parse(&row.get::<String>(2)?)
            .map_err(|_| Error::Column { index: 2, why: "no account's id".into() })?,
        added: UnixSeconds(row.get(3)?),
        known: Known { etag: row.get(4)?, last_modified: row.get(5)? },
        checked: moment(6)?,
        next: moment(7)?,
        failures: row.get(8)?,
        problem: row.get(9)?,
    })
}
