//! The catalog in a database: changes go in by batches, things and lists come out.
//!
//! A batch is one transaction ([`Catalog::apply`], played in `batch`); readers see it whole or not at all. Lists are
//! stretches of one table (`order`), found at any depth by counts that are kept with it (`landmarks`). Things that were
//! read are cached for the version of the catalog that they belong to (`cache`). The statements are written once for
//! both databases.

mod batch;
mod cache;
mod export;
mod landmarks;
mod list;
mod order;
mod page;
mod playable;
mod rows;
mod schema;
mod shuffle;
mod sync;
mod touched;

pub use list::{ArtistList, At, Cursor, NoCursor, PAGE_MAX, Page, ReleaseList, TrackList};
pub use playable::Playable;
pub use schema::MIGRATIONS;
pub use sync::Synced;
pub use touched::Touched;

use crate::change::{Change, Refusal};
use crate::model::{Artist, Credit, Episode, Release, Share, Show, Track, Window};
use batch::AllLandmarks;
use cache::{Cache, Cached};
use landmarks::Landmarks;
use list::{Way, limit};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, ShowId, TrackId};
use needledrop_database::{Database, Gathered, Row, Transaction};
use order::{List, Stretch};
use page::{Ids, Seats};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Most changes of one batch: a batch is held in memory and keeps other writers waiting.
pub const BATCH_MAX: usize = 10_000;
/// Most things asked for at once by id.
pub const IDS_MAX: usize = 1_000;

/// The name of our tables' versions, and of the section that one writer is in.
const SERVICE: &str = "catalog";

/// What can go wrong with the catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] needledrop_database::Error),
    /// A change is refused, and its batch with it.
    #[error("change {index} of the batch (from 0): {refusal}")]
    Refused {
        /// Its place in the batch, from 0.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// A batch is too long.
    #[error("{0} changes are more than a batch holds ({BATCH_MAX}): make several")]
    Batch(usize),
    /// Nobody reads so much, or nothing, at once.
    #[error("{0} at once are none, or more than are given at once ({PAGE_MAX})")]
    Limit(usize),
    /// The cursor belongs to another list.
    #[error("this cursor belongs to another list: take `next` of the page before as it is")]
    Cursor,
    /// The database holds what this program never wrote.
    #[error("the catalog's tables hold {0}: restore a backup, or import the catalog again")]
    Stored(String),
}

impl Error {
    /// Whether the same call may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Database(error) if error.is_transient())
    }
}

/// What a batch did, besides what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The catalog's version now. Each batch makes a new one.
    pub version: u64,
    /// Artists who were to go and whom something still names.
    pub kept_artists: Vec<ArtistId>,
    /// Releases that were to go and on which tracks still stand.
    pub kept_releases: Vec<ReleaseId>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Artists.
    pub artists: u64,
    /// Releases.
    pub releases: u64,
    /// Tracks.
    pub tracks: u64,
    /// Podcasts.
    pub shows: u64,
}

/// The catalog. Cheap to clone; all clones share one cache.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    with_following: Gathered,
    cache: Cache,
    /// Of the version they were last read or written at.
    landmarks: Mutex<(u64, AllLandmarks)>,
}

/// One reader's moment.
struct Reader {
    tx: Transaction,
    version: u64,
}

impl Catalog {
    /// Brings the tables up to date and opens the catalog on them.
    pub async fn open(database: Database) -> Result<Catalog, Error> {
        database.migrate(SERVICE, MIGRATIONS).await?;
        let now = Instant::now();
        let mut tx = database.snapshot().await?;
        let version = version(&mut tx).await?;
        tx.commit().await?;
        let landmarks = Mutex::new((version, AllLandmarks::new()));
        let with_following = playable::with_following(&database);
        Ok(Catalog(Arc::new(Inner { database, with_following, cache: Cache::new(version, now), landmarks })))
    }

    /// Applies changes in their order, all or none.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<Applied, Error> {
        Ok(self.apply_and_mark(changes, Vec::new()).await?.0)
    }

    /// Applies changes and remembers in the same transaction that ingest brought them.
    async fn apply_and_mark(&self, changes: Vec<Change>, marks: Vec<sync::Mark>) -> Result<(Applied, Touched), Error> {
        if changes.len() > BATCH_MAX {
            return Err(Error::Batch(changes.len()));
        }
        let mut tx = self.0.database.transaction().await?;
        tx.exclusive(SERVICE).await?;
        let before = version(&mut tx).await?;
        let mut landmarks = self.landmarks_at(before);
        let (mut applied, touched) = batch::run(&mut tx, changes, &mut landmarks).await?;
        sync::write_marks(&mut tx, marks).await?;
        tx.execute("UPDATE catalog_state SET version = version + 1", Vec::new()).await?;
        tx.commit().await?;
        applied.version = before + 1;
        self.committed(applied.version, &touched, landmarks);
        Ok((applied, touched))
    }

    /// Makes everything that is remembered agree with a batch that has just become visible.
    fn committed(&self, version: u64, touched: &Touched, landmarks: AllLandmarks) {
        self.0.cache.advance(version, touched, Instant::now());
        self.keep_landmarks(version, landmarks);
    }

    /// An artist.
    pub async fn artist(&self, id: ArtistId) -> Result<Option<Arc<Artist>>, Error> {
        Ok(self.artists(&[id]).await?.pop().flatten())
    }

    /// A release.
    pub async fn release(&self, id: ReleaseId) -> Result<Option<Arc<Release>>, Error> {
        Ok(self.releases(&[id]).await?.pop().flatten())
    }

    /// A track.
    pub async fn track(&self, id: TrackId) -> Result<Option<Arc<Track>>, Error> {
        Ok(self.tracks(&[id]).await?.pop().flatten())
    }

    /// Artists in the order of their ids; None for those that are not there.
    pub async fn artists(&self, ids: &[ArtistId]) -> Result<Vec<Option<Arc<Artist>>>, Error> {
        self.by_ids(ids).await
    }

    /// Releases in the order of their ids; None for those that are not there.
    pub async fn releases(&self, ids: &[ReleaseId]) -> Result<Vec<Option<Arc<Release>>>, Error> {
        self.by_ids(ids).await
    }

    /// Tracks in the order of their ids; None for those that are not there.
    pub async fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<Arc<Track>>>, Error> {
        self.by_ids(ids).await
    }

    /// Who did what for a track, in order.
    pub async fn credits(&self, track: TrackId) -> Result<Vec<Credit>, Error> {
        let mut tx = self.0.database.snapshot().await?;
        let credits = rows::credits(&mut tx, &track).await?;
        tx.commit().await?;
        Ok(credits)
    }

    /// Who owns what of a track, in the order they were put.
    pub async fn shares(&self, track: TrackId) -> Result<Vec<Share>, Error> {
        let mut tx = self.0.database.snapshot().await?;
        let shares = rows::shares(&mut tx, &track).await?;
        tx.commit().await?;
        Ok(shares)
    }

    /// Where and when a track may be heard; see [`crate::availability()`].
    pub async fn windows(&self, track: TrackId) -> Result<Vec<Window>, Error> {
        let mut tx = self.0.database.snapshot().await?;
        let windows = rows::windows(&mut tx, &track).await?;
        tx.commit().await?;
        Ok(windows)
    }

    /// A podcast.
    pub async fn show(&self, id: ShowId) -> Result<Option<Show>, Error> {
        let mut tx = self.0.database.snapshot().await?;
        let show = rows::shows(&mut tx, &[id]).await?.pop();
        tx.commit().await?;
        Ok(show)
    }

    /// An episode.
    pub async fn episode(&self, id: EpisodeId) -> Result<Option<Episode>, Error> {
        let mut tx = self.0.database.snapshot().await?;
        let episode = rows::episodes(&mut tx, &[id]).await?.pop();
        tx.commit().await?;
        Ok(episode)
    }

    /// A page of artists; a page has 1 to [`PAGE_MAX`] items.
    pub async fn list_artists(&self, list: &ArtistList, at: &At, limit: usize) -> Result<Page<Arc<Artist>>, Error> {
        Ok(self.page(list.way(), List::ArtistName, &ARTIST_SEATS, at, limit).await?.1)
    }

    /// A page of releases.
    pub async fn list_releases(&self, list: &ReleaseList, at: &At, limit: usize) -> Result<Page<Arc<Release>>, Error> {
        Ok(self.page(list.way(), List::ReleaseName, &RELEASE_SEATS, at, limit).await?.1)
    }

    /// A page of tracks.
    pub async fn list_tracks(&self, list: &TrackList, at: &At, page: usize) -> Result<Page<Arc<Track>>, Error> {
        match (list, at) {
            (TrackList::OnRelease(release), At::Offset(0)) => self.first_on(*release, limit(page)?).await,
            _ => Ok(self.page(list.way(), List::TrackName, &TRACK_SEATS, at, page).await?.1),
        }
    }

    /// The first tracks of a release. The order of whole releases is cached.
    async fn first_on(&self, release: ReleaseId, page: usize) -> Result<Page<Arc<Track>>, Error> {
        if self.0.cache.is_fresh(Instant::now())
            && let Some(items) = self.0.cache.tracks_on(&release)
            && items.len() <= page
        {
            return Ok(Page { total: items.len() as u64, items, next: None });
        }
        let way = TrackList::OnRelease(release).way();
        let (version, page) = self.page(way, List::TrackName, &TRACK_SEATS, &At::Offset(0), page).await?;
        if page.next.is_none() {
            let tracks = page.items.iter().map(|track: &Arc<Track>| track.id).collect();
            self.0.cache.put_tracklist(version, release, tracks);
        }
        Ok(page)
    }

    /// A page of podcasts, by title.
    pub async fn list_shows(&self, at: &At, page: usize) -> Result<Page<Show>, Error> {
        let mut reader = self.reader().await?;
        let marks = self.landmarks(&mut reader, List::ShowName).await?;
        let found: Ids<ShowId> =
            page::of_stretch(&mut reader.tx, &marks, &Stretch::all(List::ShowName), at, limit(page)?).await?;
        let shows = rows::shows(&mut reader.tx, &found.ids).await?;
        reader.tx.commit().await?;
        Ok(Page { items: in_order(&found.ids, shows, |show| show.id), total: found.total, next: found.next })
    }

    /// A page of a podcast's episodes, latest first.
    pub async fn list_episodes(&self, show: ShowId, at: &At, page: usize) -> Result<Page<Episode>, Error> {
        let mut reader = self.reader().await?;
        let marks = self.landmarks(&mut reader, List::EpisodeShow).await?;
        let stretch = Stretch::episodes_of(&show);
        let found: Ids<EpisodeId> = page::of_stretch(&mut reader.tx, &marks, &stretch, at, limit(page)?).await?;
        let episodes = rows::episodes(&mut reader.tx, &found.ids).await?;
        reader.tx.commit().await?;
        Ok(Page { items: in_order(&found.ids, episodes, |episode| episode.id), total: found.total, next: found.next })
    }

    /// The latest episodes of all podcasts.
    pub async fn newest_episodes(&self, most: usize) -> Result<Vec<Episode>, Error> {
        let most = limit(most)?;
        let mut tx = self.0.database.snapshot().await?;
        let sql = "SELECT id FROM catalog_episodes ORDER BY published DESC, id DESC LIMIT $1";
        let rows = tx.rows(sql, vec![(most as u64).into()]).await?;
        let ids: Vec<EpisodeId> = rows.iter().map(|row| rows::parsed(row, 0)).collect::<Result<_, _>>()?;
        let episodes = rows::episodes(&mut tx, &ids).await?;
        tx.commit().await?;
        Ok(in_order(&ids, episodes, |episode| episode.id))
    }

    /// How many there are.
    pub async fn counts(&self) -> Result<Counts, Error> {
        let mut reader = self.reader().await?;
        let counts = Counts {
            artists: self.landmarks(&mut reader, List::ArtistName).await?.total(),
            releases: self.landmarks(&mut reader, List::ReleaseName).await?.total(),
            tracks: self.landmarks(&mut reader, List::TrackName).await?.total(),
            shows: self.landmarks(&mut reader, List::ShowName).await?.total(),
        };
        reader.tx.commit().await?;
        Ok(counts)
    }

    /// How many releases each artist has who has any: one walk over an index, whatever a page of releases costs.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn releases_by_artist(&self) -> Result<HashMap<ArtistId, u64>, Error> {
        // The keys of this list begin with the artist's id (see `order.rs`).
        let sql = "SELECT substr(key, 1, 22), count(*) FROM catalog_listings WHERE list = $1 GROUP BY 1";
        let rows = self.0.database.rows(sql, vec![(List::ReleaseArtist as i64).into()]).await?;
        let count = |row: &Row| {
            let id: String = row.get(0)?;
            let id = ArtistId::parse(&id).map_err(|_| Error::Stored(format!("{id:?} is no artist")))?;
            Ok((id, row.get(1)?))
        };
        rows.iter().map(count).collect()
    }

    /// The catalog's version: another one after every batch.
    pub async fn version(&self) -> Result<u64, Error> {
        let reader = self.reader().await?;
        reader.tx.commit().await?;
        Ok(reader.version)
    }

    /// Brings the database's knowledge of the tables up to date, after a large import.
    pub async fn analyze(&self) -> Result<(), Error> {
        Ok(self.0.database.analyze().await?)
    }

    async fn by_ids<T: Stored>(&self, ids: &[T::Id]) -> Result<Vec<Option<Arc<T>>>, Error> {
        if ids.len() > IDS_MAX {
            return Err(Error::Limit(ids.len()));
        }
        if self.0.cache.is_fresh(Instant::now()) {
            let cached: Vec<_> = ids.iter().map_while(|id| self.0.cache.get(id)).map(Some).collect();
            if cached.len() == ids.len() {
                return Ok(cached);
            }
        }
        let mut reader = self.reader().await?;
        let found = self.things(&mut reader, ids).await?;
        reader.tx.commit().await?;
        Ok(found)
    }

    /// Things at a reader's moment, from the cache or the tables.
    async fn things<T: Stored>(&self, reader: &mut Reader, ids: &[T::Id]) -> Result<Vec<Option<Arc<T>>>, Error> {
        let mut found: Vec<Option<Arc<T>>> = self.0.cache.get_at(reader.version, ids);
        let without = ids.iter().zip(&found).filter(|(_, thing)| thing.is_none());
        let mut missing: Vec<T::Id> = without.map(|(id, _)| *id).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort();
        missing.dedup();
        let read: HashMap<T::Id, Arc<T>> =
            T::read(&mut reader.tx, &missing).await?.into_iter().map(|thing| (thing.id(), Arc::new(thing))).collect();
        for (id, thing) in ids.iter().zip(&mut found) {
            if thing.is_none() {
                *thing = read.get(id).cloned();
            }
        }
        self.0.cache.put(reader.version, read.into_iter());
        Ok(found)
    }

    /// A page, and the version that it is of.
    async fn page<T: Stored>(
        &self,
        way: Way,
        all: List,
        seats: &Seats,
        at: &At,
        page: usize,
    ) -> Result<(u64, Page<Arc<T>>), Error> {
        let page = limit(page)?;
        let mut reader = self.reader().await?;
        let found: Ids<T::Id> = match way {
            Way::Stretch(stretch) => {
                let marks = self.landmarks(&mut reader, stretch.list).await?;
                page::of_stretch(&mut reader.tx, &marks, &stretch, at, page).await?
            }
            Way::Shuffled(seed) => {
                let total = self.landmarks(&mut reader, all).await?.total();
                page::of_shuffle(&mut reader.tx, seats, seed, at, page, total).await?
            }
        };
        let things = self.things::<T>(&mut reader, &found.ids).await?;
        reader.tx.commit().await?;
        let items: Option<Vec<Arc<T>>> = things.into_iter().collect();
        let items = items.ok_or_else(|| Error::Stored("something in a list that is not there".into()))?;
        Ok((reader.version, Page { items, total: found.total, next: found.next }))
    }

    async fn reader(&self) -> Result<Reader, Error> {
        let now = Instant::now();
        let mut tx = self.0.database.snapshot().await?;
        let version = version(&mut tx).await?;
        self.0.cache.observe(version, now);
        Ok(Reader { tx, version })
    }

    /// The landmarks of a list at a reader's moment.
    async fn landmarks(&self, reader: &mut Reader, list: List) -> Result<Arc<Landmarks>, Error> {
        if let Some(known) = self.landmarks_at(reader.version).get(&list) {
            return Ok(known.clone());
        }
        let read = Arc::new(Landmarks::load(&mut reader.tx, list).await?);
        self.keep_landmarks(reader.version, AllLandmarks::from([(list, read.clone())]));
        Ok(read)
    }

    fn landmarks_at(&self, version: u64) -> AllLandmarks {
        let kept = self.0.landmarks.lock().expect("nothing panics while it holds the landmarks");
        if kept.0 == version { kept.1.clone() } else { AllLandmarks::new() }
    }

    fn keep_landmarks(&self, version: u64, landmarks: AllLandmarks) {
        let mut kept = self.0.landmarks.lock().expect("nothing panics while it holds the landmarks");
        if version > kept.0 {
            *kept = (version, landmarks);
        } else if version == kept.0 {
            kept.1.extend(landmarks);
        }
    }
}

const ARTIST_SEATS: Seats = Seats {
    last: "SELECT max(seat) FROM catalog_artists",
    sitting: "SELECT seat, id FROM catalog_artists WHERE seat IN",
};
const RELEASE_SEATS: Seats = Seats {
    last: "SELECT max(seat) FROM catalog_releases",
    sitting: "SELECT seat, id FROM catalog_releases WHERE seat IN",
};
const TRACK_SEATS: Seats = Seats {
    last: "SELECT max(seat) FROM catalog_tracks",
    sitting: "SELECT seat, id FROM catalog_tracks WHERE seat IN",
};

async fn version(tx: &mut Transaction) -> Result<u64, Error> {
    let row = tx.row("SELECT version FROM catalog_state", Vec::new()).await?;
    Ok(row.ok_or_else(|| Error::Stored("no version".into()))?.get(0)?)
}

/// A thing of which lists are made.
trait Stored: Cached<Id: Ord + std::str::FromStr> {
    fn id(&self) -> Self::Id;
    fn read(tx: &mut Transaction, ids: &[Self::Id]) -> impl Future<Output = Result<Vec<Self>, Error>> + Send;
}

macro_rules! stored {
    ($thing:ty, $id:ty, $read:path) => {
        impl Stored for $thing {
            fn id(&self) -> $id {
                self.id
            }

            async fn read(tx: &mut Transaction, ids: &[$id]) -> Result<Vec<Self>, Error> {
                Ok($read(tx, ids).await?.into_iter().map(|seated| seated.thing).collect())
            }
        }
    };
}

stored!(Artist, ArtistId, rows::artists);
stored!(Release, ReleaseId, rows::releases);
stored!(Track, TrackId, rows::tracks);

fn in_order<I: PartialEq, T>(ids: &[I], mut things: Vec<T>, id: impl Fn(&T) -> I) -> Vec<T> {
    things.sort_by_key(|thing| ids.iter().position(|wanted| *wanted == id(thing)));
    things
}
