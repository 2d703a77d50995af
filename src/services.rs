//! What `needledrop up` runs around the edge: catalog, search, accounts, playlists and the gateway in front of them.
//!
//! What ingest has published is brought into the catalog, and the catalog's names into the search index, within a
//! second of its publication.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use needledrop_catalog::intake::Recorded;
use needledrop_catalog::model::TrackRendition;
use needledrop_catalog::search::Index;
use needledrop_catalog::{Catalog, Change};
use needledrop_database::Database;
use needledrop_gateway::api::Counted;
use needledrop_gateway::cors::Cors;
use needledrop_gateway::limits::{self, Limits};
use needledrop_gateway::ops::{Audit, Edge, Ops};
use needledrop_gateway::subsonic::readings::Readings;
use needledrop_gateway::{Documents, Gateway, House, Making, PublicLists};
use needledrop_origin::record::TrackRecord;
use needledrop_playback::{EdgeBase, Playback, Policy, ServerKey, UserName};
use needledrop_playlist::Playlists;
use needledrop_podcast::Podcasts;

use crate::clock;
use crate::config;
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
/// How often what has expired is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// Longest wait for the last writes: a person who stops us sees it, and a database that is well needs milliseconds.
const LAST_WRITES_WITHIN: Duration = Duration::from_secs(1);
/// How often the names of public playlists are compared with the store. Each change is told at once; this is for those
/// whose caller went away before it could be told.
const COMPARE_EVERY: Duration = Duration::from_secs(60);
/// How long the catalog waits after a failure of its database.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Where accounts, catalog and playlists are kept: at this URL, or in a file of the data folder.
pub fn place(data: &Path, database: Option<&str>) -> String {
    database.map_or_else(|| data.join(DATABASE_FILE).to_string_lossy().into_owned(), str::to_owned)
}

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
    /// How often somebody may call.
    pub limits: limits::Settings,
    /// Whose pages may call.
    pub cors: Cors,
    /// The edges that operators watch.
    pub edges: Vec<Edge>,
    /// Podcasts.
    pub feeds: &'a config::Feeds,
    /// Who may make an account.
    pub sign_up: Policy,
}

/// The services, opened.
pub struct Services {
    /// Answers pages and calls.
    pub gateway: Gateway,
    /// Keeps catalog and search in step with the library.
    pub follower: Follower,
    /// Keeps the accounts' tables.
    pub keeper: Keeper,
    /// The administrator's first password, if this is the first start.
    pub one_time_password: Option<String>,
    /// Watches the edges, while it is told to.
    pub ops: Arc<Ops>,
}

impl Services {
    /// Opens the database and everything that stands on it.
    pub async fn open(wish: Wish<'_>, keys: Keys, making: Arc<Making>) -> Result<Self, String> {
        let database = Database::open(&place(wish.data, wish.database)).await.map_err(|error| error.to_string())?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("the system gives no randomness: {error}"))?;
        let key_path = wish.data.join(KEY_FILE);
        let key =
            ServerKey::load_or_make(&key_path, random).map_err(|error| format!("{}: {error}", key_path.display()))?;
        let catalog = Catalog::open(database.clone()).await.map_err(|error| error.to_string())?;
        let audit = Audit::open(database.clone()).await.map_err(|error| error.to_string())?;
        let ops = Arc::new(Ops::new(wish.edges, audit).map_err(|error| error.to_string())?);
        let (playback, _) = Playback::open(database.clone(), key).await.map_err(|error| error.to_string())?;
        let playback = playback.governed_by(wish.sign_up);
        let admin = UserName::parse(ADMIN).expect("a constant name");
        let first = playback.first_start(&admin, clock::now()).await.map_err(|error| error.to_string())?;
        let edges = match wish.public_url {
            Some(url) => vec![EdgeBase::parse(url).ok_or_else(|| format!("--public-url {url}: not a host"))?],
            None => Vec::new(),
        };
        let (index, playback) = (Arc::new(Index::new()), Arc::new(playback));
        let documents = Arc::new(Documents::new(index.clone()));
        let (playlists, lists) = playlists(database.clone(), &index).await?;
        let podcasts = podcasts(database, &catalog, wish.feeds, &documents).await?;
        let house = House {
            catalog: catalog.clone(),
            index,
            playback: playback.clone(),
            playlists: playlists.clone(),
            podcasts: podcasts.clone(),
            keys,
            edges,
            counted: Counted::default(),
            readings: Readings::default(),
            has_demo: wish.is_local,
            ops: ops.clone(),
            making,
            limits: Limits::new(wish.limits),
            cors: wish.cors,
        };
        Ok(Self {
            gateway: Gateway::new(house, wish.public_url),
            follower: Follower { catalog, documents, podcasts, playlists, lists },
            keeper: Keeper { playback },
            one_time_password: first.map(|first| first.password.expose().to_owned()),
            ops,
        })
    }
}

/// Keeps the accounts' tables: forgets what has expired, and lets nothing be lost at the end.
#[derive(Clone)]
pub struct Keeper {
    playback: Arc<Playback>,
}

impl Keeper {
    /// Forgets what has expired, now and every hour, until dropped.
    pub async fn tidy(self) {
        let mut due = tokio::time::interval(TIDY_EVERY);
        loop {
            due.tick().await;
            match self.playback.purge(clock::now()).await {
                Ok(rows) => tracing::debug!(rows, "expired sessions and plays are forgotten"),
                Err(error) => tracing::error!(%error, "expired sessions and plays stay for another hour"),
            }
        }
    }

    /// Returns when what was answered is on disk. Call it when nothing is answered any more.
    pub async fn close(self) {
        if tokio::time::timeout(LAST_WRITES_WITHIN, self.playback.flush()).await.is_err() {
            tracing::error!("the database takes too long: plays of the last moment are lost");
        }
    }
}

/// Playlists, and what tells search of them.
async fn playlists(database: Database, index: &Arc<Index>) -> Result<(Playlists, Arc<PublicLists>), String> {
    let lists = Arc::new(PublicLists::new(index.clone()));
    let told = lists.clone();
    let playlists = Playlists::open(database).await.map_err(|error| error.to_string())?;
    Ok((playlists.telling(Box::new(move |news| told.tell(news))), lists))
}

/// Podcasts, and search told of what they change.
async fn podcasts(
    database: Database,
    catalog: &Catalog,
    feeds: &config::Feeds,
    documents: &Arc<Documents>,
) -> Result<Podcasts, String> {
    let settings = feeds.settings()?;
    let documents = documents.clone();
    let announce = move |changes: &[Change]| {
        if let Err(error) = documents.tell(changes) {
            tracing::error!(%error, "search does not know of a podcast");
        }
    };
    let opened = Podcasts::open(database, catalog.clone(), settings, Box::new(announce)).await;
    opened.map_err(|error| error.to_string())
}

/// Keeps catalog and search in step with the library.
pub struct Follower {
    catalog: Catalog,
    documents: Arc<Documents>,
    podcasts: Podcasts,
    playlists: Playlists,
    lists: Arc<PublicLists>,
}

impl Follower {
    /// Until dropped. Feeds of podcasts and public playlists are followed beside the library.
    pub async fn follow(self, listing: Arc<Listing>) {
        let feeds = self.podcasts.clone().run(clock::now);
        tokio::select! {
            () = self.follow_library(listing) => {}
            () = feeds => {}
            () = self.follow_playlists() => {}
        }
    }

    async fn follow_playlists(&self) {
        let mut due = tokio::time::interval(COMPARE_EVERY);
        loop {
            due.tick().await;
            match self.lists.follow(&self.playlists).await {
                Ok(looked) => tracing::debug!(?looked, "search follows the public playlists"),
                Err(error) => tracing::error!(%error, "search cannot follow the public playlists; trying again"),
            }
        }
    }

    async fn follow_library(&self, listing: Arc<Listing>) {
        let mut last: Option<Arc<Snapshot>> = None;
        // The index is empty at first.
        let mut is_behind = true;
        loop {
            let now = listing.now();
            if last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &now)) {
                match self.take_in(&now, &mut is_behind).await {
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

    /// Search looks at the whole catalog only if it may be behind it: a million tracks take a minute.
    async fn take_in(&self, snapshot: &Snapshot, is_behind: &mut bool) -> Result<(), String> {
        let recorded: Vec<_> = snapshot.tracks.iter().map(|track| recorded(track)).collect();
        // A run that fails may have changed something first.
        let was_behind = std::mem::replace(is_behind, true);
        let synced = self.catalog.sync(&recorded).await.map_err(|error| error.to_string())?;
        let indexed = if was_behind {
            self.documents.follow(&self.catalog).await?
        } else {
            self.documents.follow_touched(&self.catalog, &synced.touched).await?
        };
        *is_behind = false;
        tracing::debug!(?indexed, put = synced.put, removed = synced.removed, "the catalog follows the library");
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
