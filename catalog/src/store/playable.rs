//! What a grant needs of a track, and of the one after it: one statement for both, shared with others who ask at
//! that moment, and none while they are cached.
//!
//! A page of a catalog comes once a visit, a grant with every track that anybody plays. So this does not begin a
//! transaction, reads no names, and walks no release: the version comes in the same row, and what follows a track is
//! the next row of its release's list.

use super::cache::Cached;
use super::order::{self, List, Stretch};
use super::{Catalog, Error, rows};
use crate::model::{TrackRendition, Window};
use needledrop_core::{ReleaseId, Rev, TrackId};
use needledrop_database::{Database, Each, Gathered, Row, Value};
use std::sync::Arc;
use std::time::Instant;

/// A track as far as hearing it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Playable {
    /// Identity.
    pub id: TrackId,
    /// Revision of its bytes.
    pub rev: Rev,
    /// Length.
    pub duration_ms: u64,
    /// What was made of it.
    pub renditions: Vec<TrackRendition>,
    /// Where and when it may be heard; see [`crate::availability()`].
    pub windows: Vec<Window>,
    /// What it stands on.
    pub release: ReleaseId,
    /// Its key in the list of that release.
    key: String,
}

/// What follows a track on its release.
#[derive(Debug)]
pub(super) struct Following(pub(super) Option<TrackId>);

/// The track `$1`: a row for each of its windows, or one without.
const OF_ID: &str = concat!(
    "SELECT s.version, t.id, t.rev, t.duration_ms, t.renditions, t.release_id, t.disc_no, t.track_no, t.title, ",
    "w.position, w.territory, w.opens, w.closes FROM catalog_state s LEFT JOIN catalog_tracks t ON t.id = $1 ",
    "LEFT JOIN catalog_windows w ON w.track_id = t.id ORDER BY w.position"
);

/// The track that stands behind the key `$2` and id `$3` in the list `$1`, before the key `$4`.
const AFTER: &str = concat!(
    "SELECT s.version, t.id, t.rev, t.duration_ms, t.renditions, t.release_id, t.disc_no, t.track_no, t.title, ",
    "w.position, w.territory, w.opens, w.closes FROM catalog_state s LEFT JOIN (SELECT id FROM catalog_listings ",
    "WHERE list = $1 AND (key, id) > ($2, $3) AND key < $4 ORDER BY key, id LIMIT 1) n ON 1 = 1 ",
    "LEFT JOIN catalog_tracks t ON t.id = n.id LEFT JOIN catalog_windows w ON w.track_id = t.id ORDER BY w.position"
);

/// A track and what follows it, for each that is asked for. A track's key in the list `$1` is its release, `$2`, ten
/// digits each of its disc and number, and its title as it sorts, which no statement can say: so this takes the first two
/// that stand behind the number, before the release's end at `$3`. They are the track and what follows, where the first
/// is the track.
const WITH_FOLLOWING: Each = Each {
    key: &["id"],
    sql: concat!(
        ", own AS (SELECT a.n, t.id, t.release_id || $2 || substr(CAST(10000000000 + t.disc_no AS TEXT), 2) || ",
        "substr(CAST(10000000000 + t.track_no AS TEXT), 2) AS number, t.release_id || $3 AS past ",
        "FROM asked a CROSS JOIN catalog_tracks t WHERE t.id = a.id), ",
        "pair AS (SELECT n, id, (SELECT l.id FROM catalog_listings l WHERE l.list = $1 AND l.key >= own.number ",
        "AND l.key < own.past ORDER BY l.key, l.id LIMIT 1) AS head, ",
        "(SELECT l.id FROM catalog_listings l WHERE l.list = $1 AND l.key >= own.number ",
        "AND l.key < own.past ORDER BY l.key, l.id LIMIT 1 OFFSET 1) AS behind FROM own) ",
        "SELECT s.version, t.id, t.rev, t.duration_ms, t.renditions, t.release_id, t.disc_no, t.track_no, t.title, ",
        "w.position, w.territory, w.opens, w.closes, p.head, a.n FROM asked a CROSS JOIN catalog_state s ",
        "LEFT JOIN (SELECT n, id, head, 0 AS place FROM pair UNION ALL SELECT n, behind, head, 1 FROM pair) p ",
        "ON p.n = a.n LEFT JOIN catalog_tracks t ON t.id = p.id LEFT JOIN catalog_windows w ON w.track_id = t.id ",
        "ORDER BY a.n, p.place, w.position"
    ),
};

/// Reads of tracks with what follows them.
pub(super) fn with_following(database: &Database) -> Gathered {
    let list: Value = (List::TrackRelease as i64).into();
    database.gathered(WITH_FOLLOWING, vec![list, order::END.to_string().into(), order::PAST.to_string().into()])
}

impl Catalog {
    /// A track as far as hearing it goes, and the one after it on its release.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn playable_with_following(
        &self,
        id: TrackId,
    ) -> Result<Option<(Arc<Playable>, Option<Arc<Playable>>)>, Error> {
        if let Some(track) = self.known::<Playable>(&id) {
            let following = self.following(&track).await?;
            return Ok(Some((track, following)));
        }
        let now = Instant::now();
        let rows = self.0.with_following.rows(vec![id.as_str().into()]).await?;
        let (version, track) = self.keep(&rows, now)?;
        let Some(track) = track else { return Ok(None) };
        if rows[0].get::<Option<String>>(13)?.as_deref() != Some(id.as_str()) {
            // It shares its number with others of its release, and is not the first of them.
            let following = self.following(&track).await?;
            return Ok(Some((track, following)));
        }
        let mut behind = rows.as_slice();
        while let Some((row, others)) = behind.split_first()
            && row.get::<Option<String>>(1)?.as_deref() == Some(id.as_str())
        {
            behind = others;
        }
        let (_, following) = self.keep(behind, now)?;
        let known = Following(following.as_ref().map(|following| following.id));
        self.0.cache.put(version, std::iter::once((id, Arc::new(known))));
        Ok(Some((track, following)))
    }

    /// A track as far as hearing it goes.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn playable(&self, id: TrackId) -> Result<Option<Arc<Playable>>, Error> {
        if let Some(known) = self.known::<Playable>(&id) {
            return Ok(Some(known));
        }
        Ok(self.read_playable(OF_ID, vec![id.as_str().into()]).await?.1)
    }

    /// The track after this one on its release.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn following(&self, track: &Playable) -> Result<Option<Arc<Playable>>, Error> {
        match self.known::<Following>(&track.id).as_deref() {
            Some(Following(None)) => return Ok(None),
            Some(Following(Some(id))) => return self.playable(*id).await,
            None => {}
        }
        let until = Stretch::tracks_on(&track.release).until.expect("a release is a part");
        let values: Vec<Value> =
            vec![(List::TrackRelease as i64).into(), track.key.as_str().into(), track.id.as_str().into(), until.into()];
        let (version, found) = self.read_playable(AFTER, values).await?;
        // A caller's track may be of an older version, and have moved since: what follows its old place is not kept.
        let known = self.0.cache.get_at::<Playable>(version, &[track.id]);
        if known.first().and_then(Option::as_deref).is_some_and(|known| known.key == track.key) {
            let following = Following(found.as_ref().map(|found| found.id));
            self.0.cache.put(version, std::iter::once((track.id, Arc::new(following))));
        }
        Ok(found)
    }

    fn known<T: Cached>(&self, id: &T::Id) -> Option<Arc<T>> {
        if self.0.cache.is_fresh(Instant::now()) { self.0.cache.get(id) } else { None }
    }

    async fn read_playable(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<(u64, Option<Arc<Playable>>), Error> {
        let now = Instant::now();
        self.keep(&self.0.database.point(sql, values).await?, now)
    }

    /// The catalog's version, and the track of the first row, if it is of one; it is kept.
    fn keep(&self, rows: &[Row], now: Instant) -> Result<(u64, Option<Arc<Playable>>), Error> {
        let first = rows.first().ok_or_else(|| Error::Stored("no version".into()))?;
        let version = first.get(0)?;
        self.0.cache.observe(version, now);
        if first.get::<Option<String>>(1)?.is_none() {
            return Ok((version, None));
        }
        let found = Arc::new(read(first, rows)?);
        self.0.cache.put(version, std::iter::once((found.id, found.clone())));
        Ok((version, Some(found)))
    }
}

fn read(first: &Row, rows: &[Row]) -> Result<Playable, Error> {
    let release: ReleaseId = rows::parsed(first, 5)?;
    let (disc_no, track_no) = (first.get(6)?, first.get(7)?);
    let id = first.get::<String>(1)?;
    let mut windows = Vec::new();
    for row in rows {
        // Behind its own rows may stand those of the track after it.
        if row.get::<Option<String>>(1)?.as_ref() != Some(&id) {
            break;
        }
        if row.get::<Option<u64>>(9)?.is_some() {
            windows.push(rows::read_window(row, 10)?);
        }
    }
    Ok(Playable {
        id: rows::parsed(first, 1)?,
        rev: Rev::parse(&first.get::<String>(2)?).map_err(|_| rows::stored("a rev"))?,
        duration_ms: first.get(3)?,
        renditions: rows::read_renditions(&first.get::<String>(4)?)?,
        windows,
        key: order::on_release(&release, disc_no, track_no, &first.get::<String>(8)?),
        release,
    })
}
