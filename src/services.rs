//! What `needledrop up` runs around the edge: catalog, search, accounts, playlists and the gateway in front of them.
//!
//! What ingest has published is brought into the catalog, and the catalog's names into the search index, within a
//! second of its publication.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use needledrop_catalog::Catalog;
use needledrop_catalog::intake::Recorded;
use needledrop_catalog::model::TrackRendition;
use needledrop_catalog::search::Index;
use needledrop_database::Database;
use needledrop_gateway::api::Counted;
use needledrop_gateway::{Documents, Gateway, House};
use needledrop_origin::record::TrackRecord;
use needledrop_playback::{EdgeBase, Playback, ServerKey, UserName};
use needledrop_playlist::Playlists;

use crate::clock;
use crate::edge::Keys;
use crate::listing::{Listing, Snapshot};

/// The database of one machine, in the data folder.
const DATABASE_FILE: &str = "needledrop.db";
/// What makes pseudonyms and app passwords, beside it.
const KEY_FILE: &str = "accounts.key";
/// The name of the account that is made on the first start.
const ADMIN: &str = "admin";
/// How often the listing is looked at: it is a pointer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the catalog waits after a failure of its database.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What `up` decided about it.
pub struct Wish<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// `postgres://…`; without it a file in the data folder.
    pub database: Option<&'a str>,
    /// Scheme and host of URLs, if they are not those the client used.
    pub public_url: Option<&'a str>,
    /// Whether no stranger can ask, so that a demo account does no harm.
    pub is_local: bool,
}

/// The services, opened.
pub struct Services {
    /// Answers pages and calls.
    pub gateway: Gateway,
    /// The administrator's first password, if this is the first start.
    pub one_time_password: Option<String>,
}

impl Services {
    /// Opens the database and everything that stands on it.
    pub async fn open(wish: Wish<'_>, keys: Keys, ingesting: Arc<AtomicBool>) -> Result<(Self, Follower), String> {
        let file = wish.data.join(DATABASE_FILE);
        let place = wish.database.map_or_else(|| file.to_string_lossy().into_owned(), str::to_owned);
        let database = Database::open(&place).await.map_err(|error| error.to_string())?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("the system gives no randomness: {error}"))?;
        let key_path = wish.data.join(KEY_FILE);
        let key =
            ServerKey::load_or_make(&key_path, random).map_err(|error| format!("{}: {error}", key_path.display()))?;
        let catalog = Catalog::open(database.clone()).await.map_err(|error| error.to_string())?;
        let playlists = Playlists::open(database.clone()).await.map_err(|error| error.to_string())?;
        let (playback, _) = Playback::open(database, key).await.map_err(|error| error.to_string())?;
        let admin = UserName::parse(ADMIN).expect("a constant name");
        let first = playback.first_start(&admin, clock::now()).await.map_err(|error| error.to_string())?;
        let edges = match wish.public_url {
            Some(url) => vec![EdgeBase::parse(url).ok_or_else(|| format!("--public-url {url}: not a host"))?],
            None => Vec::new(),
        };
        let index = Arc::new(Index::new());
        let house = House {
            catalog: catalog.clone(),
            index: index.clone(),
            playback: Arc::new(playback),
            playlists,
            keys,
            edges,
            counted: Counted::default(),
            has_demo: wish.is_local,
            ingesting,
        };
        let services = Self {
            gateway: Gateway::new(house, wish.public_url),
            one_time_password: first.map(|first| first.password.expose().to_owned()),
        };
        Ok((services, Follower { catalog, documents: Documents::new(index) }))
    }
}

/// Keeps catalog and search in step with the library.
pub struct Follower {
    catalog: Catalog,
    documents: Documents,
}

impl Follower {
    /// Until dropped.
    pub async fn follow(self, listing: Arc<Listing>) {
        let mut last: Option<Arc<Snapshot>> = None;
        loop {
            let now = listing.now();
            if last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &now)) {
                match self.take_in(&now).await {
                    Ok(()) => last = Some(now),
                    Err(error) => {
                        tracing::error!(%error, "the catalog cannot follow the library; trying again");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn take_in(&self, snapshot: &Snapshot) -> Result<(), String> {
        let recorded: Vec<_> = snapshot.tracks.iter().map(|track| recorded(track)).collect();
        let synced = self.catalog.sync(&recorded).await.map_err(|error| error.to_string())?;
        let indexed = self.documents.follow(&self.catalog).await?;
        tracing::debug!(?synced, ?indexed, "the catalog follows the library");
        Ok(())
    }
}

/// A track of the library, as the catalog takes it in.
fn recorded(track: &TrackRecord) -> Recorded {
    Recorded {
        id: track.id,
        rev: track.rev,
        title: track.title.clone(),
        artist: track.artist.clone(),
        album: track.album.clone(),
        album_artist: track.album_artist.clone(),
        track_no: track.track_no,
        disc_no: track.disc_no,
        year: track.year,
        genre: track.genre.clone(),
        isrc: track.isrc.clone(),
        duration_ms: track.duration_ms,
        loudness_lufs: track.loudness.integrated_lufs,
        true_peak_dbtp: track.loudness.true_peak_dbtp,
        art: track.art.map(|art| art.to_string()),
        renditions: track
            .renditions
            .iter()
            .map(|made| TrackRendition {
                rendition: made.rendition,
                bytes: made.bytes,
                head_bytes: made.head_bytes,
                average_bps: made.average_bps,
            })
            .collect(),
        published: track.published,
    }
}
