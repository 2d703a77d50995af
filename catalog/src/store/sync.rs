//! Keeping the catalog in step with what ingest has published.
//!
//! Everything that came from there is remembered with a fingerprint of the change that made it, written in the same
//! transaction. So a second run over the same library changes nothing, what ingest no longer has goes, and what came
//! by other ways (an import of JSON) is left alone.

use super::{Applied, Catalog, Error, Touched, rows};
use crate::change::Change;
use crate::intake::{self, Recorded};
use needledrop_database::{Insert, Transaction, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Changes of one batch: held for a second or so, after which readers and other writers get their turn.
const BATCH: usize = 2_000;
/// Marks read with one statement.
const MARKS_READ: u64 = 10_000;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Artists, releases and tracks that came or became otherwise.
    pub put: u64,
    /// Artists, releases and tracks that went.
    pub removed: u64,
    /// Artists and releases that ingest no longer has and that something else still names.
    pub kept: u64,
    /// All that its batches touched.
    pub touched: Touched,
}

/// That ingest brought a thing, or brings it no more.
#[derive(Debug)]
pub(super) struct Mark {
    thing: Thing,
    fingerprint: Option<String>,
}

/// Kind and id. Kinds are in the order in which things come; they go the other way round.
type Thing = (u8, String);

const ARTIST: u8 = 1;
const RELEASE: u8 = 2;
const TRACK: u8 = 3;

impl Catalog {
    /// Makes the catalog agree with all that ingest has. Batch by batch: readers see it on its way.
    pub async fn sync(&self, recorded: &[Recorded]) -> Result<Synced, Error> {
        let mut known = self.marks().await?;
        let mut synced = Synced::default();
        let mut pending = Vec::new();
        for change in intake::changes(recorded) {
            let thing = thing(&change).expect("intake puts artists, releases and tracks");
            let fingerprint = fingerprint(&change);
            if known.remove(&thing).is_some_and(|before| before == fingerprint) {
                continue;
            }
            synced.put += 1;
            pending.push((change, Mark { thing, fingerprint: Some(fingerprint) }));
        }
        for (thing, _) in known.into_iter().rev() {
            synced.removed += 1;
            pending.push((removal(&thing)?, Mark { thing, fingerprint: None }));
        }
        let mut pending = pending.into_iter().peekable();
        while pending.peek().is_some() {
            let (changes, marks) = pending.by_ref().take(BATCH).unzip();
            let (applied, touched) = self.apply_and_mark(changes, marks).await?;
            let Applied { kept_artists, kept_releases, .. } = applied;
            synced.touched.add(touched);
            let kept = (kept_artists.len() + kept_releases.len()) as u64;
            synced.kept += kept;
            synced.removed -= kept;
        }
        Ok(synced)
    }

    async fn marks(&self) -> Result<BTreeMap<Thing, String>, Error> {
        let sql = "SELECT kind, id, fingerprint FROM catalog_intake WHERE (kind, id) > ($1, $2) \
                   ORDER BY kind, id LIMIT $3";
        let mut marks: BTreeMap<Thing, String> = BTreeMap::new();
        let mut tx = self.0.database.snapshot().await?;
        loop {
            let (kind, id) = marks.last_key_value().map_or((0, ""), |((kind, id), _)| (*kind, id.as_str()));
            let rows = tx.rows(sql, vec![kind.into(), id.into(), MARKS_READ.into()]).await?;
            if rows.is_empty() {
                tx.commit().await?;
                return Ok(marks);
            }
            for row in &rows {
                marks.insert((row.get(0)?, row.get(1)?), row.get(2)?);
            }
        }
    }
}

pub(super) async fn write_marks(tx: &mut Transaction, marks: Vec<Mark>) -> Result<(), Error> {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    for Mark { thing: (kind, id), fingerprint } in marks {
        match fingerprint {
            Some(fingerprint) => put.extend::<[Value; 3]>([kind.into(), id.into(), fingerprint.into()]),
            None => gone.extend::<[Value; 2]>([kind.into(), id.into()]),
        }
    }
    tx.execute_in("DELETE FROM catalog_intake WHERE (kind, id) IN", 2, gone).await?;
    let insert = Insert {
        head: "INSERT INTO catalog_intake (kind, id, fingerprint)",
        width: 3,
        tail: "ON CONFLICT (kind, id) DO UPDATE SET fingerprint = excluded.fingerprint",
    };
    tx.insert(insert, put).await?;
    Ok(())
}

fn thing(change: &Change) -> Option<Thing> {
    match change {
        Change::Artist(artist) => Some((ARTIST, artist.id.to_string())),
        Change::Release(release) => Some((RELEASE, release.id.to_string())),
        Change::Track(track) => Some((TRACK, track.id.to_string())),
        _ => None,
    }
}

fn removal((kind, id): &Thing) -> Result<Change, Error> {
    let stored = || rows::stored("what ingest brought");
    match *kind {
        ARTIST => Ok(Change::RemoveArtist { id: id.parse().map_err(|_| stored())? }),
        RELEASE => Ok(Change::RemoveRelease { id: id.parse().map_err(|_| stored())? }),
        TRACK => Ok(Change::RemoveTrack { id: id.parse().map_err(|_| stored())? }),
        _ => Err(stored()),
    }
}

/// 128 bits of the digest of the change as JSON.
fn fingerprint(change: &Change) -> String {
    let json = serde_json::to_vec(change).expect("a change is JSON");
    Sha256::digest(json)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
