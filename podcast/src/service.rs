//! Podcasts put together: feeds are added, looked at again when they are due, and removed.
//!
//! A look goes out, reads, compares with the catalog and writes what differs. Nobody is locked out meanwhile: the row of
//! the feed decides, and a look that finds it gone after it has written takes back what it wrote.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use needledrop_catalog::model::Episode;
use needledrop_catalog::store::{At, PAGE_MAX};
use needledrop_catalog::{Catalog, Change};
use needledrop_core::{AccountId, EpisodeId, ShowId, UnixSeconds};
use needledrop_database::Database;
use needledrop_http::{ClientError, Outside, Roots, Unreachable};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::differ;
use crate::feed::{self, Feed, NotFeed};
use crate::fetch::{FetchError, Fetched, Fetcher, Known};
use crate::schedule::{self, Hints};
use crate::store::{FEEDS_MAX, FeedState, Position, Store};

/// Looks at once in the background.
const LOOKS_MAX: usize = 4;
/// How long a feed that was taken up is put off: longer than any look. Unit: seconds.
const LEASE: u64 = 600;
/// How long the background sleeps at most, since another process may add feeds too.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long it waits after a failure of the database.
const DATABASE_WAIT: Duration = Duration::from_secs(5);
/// Changes of one batch, after which readers get their turn.
const BATCH: usize = 2_000;
/// Bytes of a problem that is kept for people.
const PROBLEM_BYTES_MAX: usize = 300;
/// How often a feed may fail before there is a show of it: half an hour of trying.
const FAILURES_WITHOUT_SHOW_MAX: u32 = 3;
/// How long ago a feed must have been looked at to be looked at again because somebody asks: what a program that asks at
/// each start does not make us do more often. Unit: seconds.
const REFRESH_AFTER: u64 = 300;

/// Told what the catalog has just been changed by, so that search knows it at once.
pub type Announce = Box<dyn Fn(&[Change]) + Send + Sync>;

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where feeds may be.
    pub outside: Outside,
    /// Whose certificates their servers may show.
    pub roots: Roots,
    /// Whether every account may add feeds, or administrators only.
    pub is_open: bool,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The feed did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What came is no feed.
    #[error(transparent)]
    NotFeed(#[from] NotFeed),
    /// A feed that had episodes has none any more: more often a mistake than meant.
    #[error("the feed has no episodes with audio")]
    Empty,
    /// There are as many feeds as there may be.
    #[error("there are {FEEDS_MAX} feeds already: remove one first")]
    Full,
    /// It comes from no feed.
    #[error("this show comes from no feed")]
    NoFeed,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] needledrop_catalog::store::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] needledrop_database::Error),
    /// Roots of certificates cannot be read.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<Unreachable> for Error {
    fn from(refusal: Unreachable) -> Self {
        Self::Fetch(refusal.into())
    }
}

impl Error {
    /// In words for whoever asked; None for our own failures, whose words are the operator's. What a connection broke by
    /// is not told: whoever may add feeds could ask our network questions by it.
    pub fn told(&self) -> Option<String> {
        match self {
            Error::Fetch(FetchError::Broken(_)) => Some("the feed's server cannot be reached, or broke off".to_owned()),
            Error::Fetch(_) | Error::NotFeed(_) | Error::Empty | Error::Full | Error::NoFeed => Some(self.to_string()),
            Error::Catalog(_) | Error::Database(_) | Error::Client(_) => None,
        }
    }

    /// Whether it is the feed's own fault, or its server's.
    fn is_theirs(&self) -> bool {
        matches!(self, Error::Fetch(_) | Error::NotFeed(_) | Error::Empty)
    }
}

/// Podcasts. Cheap to clone.
#[derive(Clone)]
pub struct Podcasts(Arc<Inner>);

struct Inner {
    store: Store,
    catalog: Catalog,
    fetcher: Fetcher,
    is_open: bool,
    announce: Announce,
    wake: Notify,
}

impl fmt::Debug for Podcasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Podcasts").finish_non_exhaustive()
    }
}

impl Podcasts {
    /// Brings the tables up to date. Blocks on the files of the roots.
    ///
    /// # Errors
    /// The database or the roots cannot be read.
    pub async fn open(
        database: Database,
        catalog: Catalog,
        settings: Settings,
        announce: Announce,
    ) -> Result<Self, Error> {
        let Settings { outside, roots, is_open } = settings;
        let fetcher = Fetcher::new(outside, roots)?;
        let store = Store::open(database).await?;
        Ok(Self(Arc::new(Inner { store, catalog, fetcher, is_open, announce, wake: Notify::new() })))
    }

    /// Whether every account may add feeds, or administrators only.
    pub fn is_open(&self) -> bool {
        self.0.is_open
    }

    /// Adds a feed and fetches it. One that is known already is its show.
    ///
    /// # Errors
    /// It may not be fetched, does not come, or is no feed; or there are too many.
    pub async fn add(&self, url: &str, account: AccountId, now: UnixSeconds) -> Result<ShowId, Error> {
        let url = self.0.fetcher.canonical(url)?;
        let own = self.clone();
        // Once begun it is done or undone, even if whoever asked has gone.
        let added = tokio::spawn(async move { own.add_canonical(url, account, now).await }).await;
        added.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()))
    }

    async fn add_canonical(&self, url: String, account: AccountId, now: UnixSeconds) -> Result<ShowId, Error> {
        let show = differ::show_id(&url);
        let known = match self.0.store.feed(show).await? {
            Some(known) => Some(known),
            None => self.0.store.feed_at(&url).await?,
        };
        if let Some(known) = known
            && self.0.catalog.show(known.show).await?.is_some()
        {
            return Ok(known.show);
        }
        let state = FeedState {
            show,
            url,
            added_by: account,
            added: now,
            known: Known::default(),
            checked: None,
            next: Some(now.plus(LEASE)),
            failures: 0,
            problem: None,
        };
        if !self.0.store.put(&state).await? {
            return Err(Error::Full);
        }
        if let Err(error) = self.look(state, now).await {
            // Whoever adds the same feed beside us may have been luckier.
            if self.0.catalog.show(show).await?.is_none() {
                self.0.store.remove(show).await?;
            }
            return Err(error);
        }
        self.0.wake.notify_one();
        Ok(show)
    }

    /// Removes a show and its feed, and how far anybody has heard its episodes.
    ///
    /// # Errors
    /// It comes from no feed.
    pub async fn remove(&self, show: ShowId) -> Result<(), Error> {
        if !self.0.store.remove(show).await? {
            return Err(Error::NoFeed);
        }
        self.take_out(show).await
    }

    async fn take_out(&self, show: ShowId) -> Result<(), Error> {
        let episodes: Vec<EpisodeId> = self.episodes(show).await?.iter().map(|episode| episode.id).collect();
        self.0.catalog.apply(vec![Change::RemoveShow { id: show }]).await?;
        let mut gone = vec![Change::RemoveShow { id: show }];
        gone.extend(episodes.iter().map(|id| Change::RemoveEpisode { id: *id }));
        (self.0.announce)(&gone);
        for some in episodes.chunks(BATCH) {
            self.0.store.forget(some).await?;
        }
        Ok(())
    }

    /// Looks at a feed now, whenever it was due.
    ///
    /// # Errors
    /// As for adding.
    pub async fn refresh(&self, show: ShowId, now: UnixSeconds) -> Result<(), Error> {
        let state = self.0.store.feed(show).await?.ok_or(Error::NoFeed)?;
        self.look(state, now).await
    }

    /// Has all feeds looked at as soon as there are places, but for those that have gone for good and those that were
    /// looked at in the last minutes, whatever that gave: a publisher who asks for time gets it.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn refresh_all(&self, now: UnixSeconds) -> Result<(), Error> {
        self.0.store.make_due(now, now.minus(REFRESH_AFTER)).await?;
        self.0.wake.notify_one();
        Ok(())
    }

    /// What is known of a show's feed.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn feed(&self, show: ShowId) -> Result<Option<FeedState>, Error> {
        Ok(self.0.store.feed(show).await?)
    }

    /// What is known of all feeds, in the order in which they were added.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn feeds(&self) -> Result<Vec<FeedState>, Error> {
        Ok(self.0.store.feeds().await?)
    }

    /// How far an account has heard these episodes, in their order.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn positions(&self, account: AccountId, of: &[EpisodeId]) -> Result<Vec<Position>, Error> {
        Ok(self.0.store.positions(account, of).await?)
    }

    /// Forgets how far an account has heard anything: to be called when it is removed. Feeds that it added stay.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn forget(&self, account: AccountId) -> Result<(), Error> {
        Ok(self.0.store.forget_account(account).await?)
    }

    /// Keeps how far an account has heard an episode.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn set_position(
        &self,
        account: AccountId,
        episode: EpisodeId,
        position: Position,
        now: UnixSeconds,
    ) -> Result<(), Error> {
        Ok(self.0.store.set_position(account, episode, position, now).await?)
    }

    /// Looks at feeds when they are due, until dropped.
    pub async fn run(self, clock: impl Fn() -> UnixSeconds) {
        let mut looks = JoinSet::new();
        loop {
            let wait = match self.take_up(&mut looks, clock()).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "feeds cannot be looked at; trying again");
                    DATABASE_WAIT
                }
            };
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(done) = looks.join_next() => {
                    if let Err(error) = done {
                        tracing::error!(%error, "a look at a feed broke off");
                    }
                }
            }
        }
    }

    /// Takes up what is due, as far as there are places; gives how long nothing more will be.
    async fn take_up(&self, looks: &mut JoinSet<()>, now: UnixSeconds) -> Result<Duration, Error> {
        while looks.len() < LOOKS_MAX {
            let Some(state) = self.0.store.due(now).await? else { break };
            if self.0.store.take_up(&state, now.plus(LEASE)).await? {
                let podcasts = self.clone();
                looks.spawn(async move {
                    let show = state.show;
                    match podcasts.look(state, now).await {
                        Ok(()) => {}
                        Err(error) if error.is_theirs() => tracing::info!(%show, %error, "a feed could not be read"),
                        Err(error) => tracing::error!(%show, %error, "a feed could not be kept"),
                    }
                });
            }
        }
        let next = self.0.store.next_due().await?.map_or(SLEEP_MAX, |next| Duration::from_secs(next.since(now)));
        Ok(next.clamp(Duration::from_secs(1), SLEEP_MAX))
    }

    /// Looks at a feed, writes what differs into the catalog, and notes when to look again.
    async fn look(&self, mut state: FeedState, now: UnixSeconds) -> Result<(), Error> {
        let seen = self.see(&mut state, now).await;
        let dice = dice();
        state.checked = Some(now);
        match &seen {
            Ok(hints) => {
                (state.failures, state.problem) = (0, None);
                state.next = Some(schedule::after_success(now, *hints, dice));
            }
            Err(Error::Fetch(error @ FetchError::Gone)) => {
                (state.next, state.problem) = (None, Some(error.to_string()));
            }
            Err(error) => {
                let told = if let Error::Fetch(error) = error { error.retry_after() } else { None };
                state.failures = state.failures.saturating_add(1);
                state.problem = Some(problem(error));
                state.next = Some(schedule::after_failure(now, state.failures, told, dice));
            }
        }
        self.0.store.update(&state).await?;
        if self.0.store.feed(state.show).await?.is_none() {
            // It was removed while we looked.
            self.take_out(state.show).await?;
        } else if self.never_came(&state).await? {
            tracing::info!(feed = state.url, "a feed that never came is forgotten");
            self.0.store.remove(state.show).await?;
        }
        seen.map(drop)
    }

    /// Whether a feed is asked for in vain: nobody ever saw its show, and nobody could remove what they do not see. Adding
    /// ends with a show or takes the feed back, unless the process ends in between.
    async fn never_came(&self, state: &FeedState) -> Result<bool, Error> {
        let is_vain = state.next.is_none() || state.failures >= FAILURES_WITHOUT_SHOW_MAX;
        Ok(is_vain && self.0.catalog.show(state.show).await?.is_none())
    }

    /// The feed as it is now, in the catalog.
    async fn see(&self, state: &mut FeedState, now: UnixSeconds) -> Result<Hints, Error> {
        let shown = self.0.catalog.show(state.show).await?;
        // What was known counts only as long as what it stood for is there.
        let known = if shown.is_some() { state.known.clone() } else { Known::default() };
        let Fetched { moved, max_age, fresh } = self.0.fetcher.fetch(&state.url, &known).await?;
        let before = self.episodes(state.show).await?;
        let latest = |moments: &mut dyn Iterator<Item = u64>| moments.max().map(UnixSeconds);
        let Some(fresh) = fresh else {
            if shown.is_none() {
                // Nothing was said to be known, so nothing can be as it was.
                return Err(FetchError::Status { status: 304, retry_after: None }.into());
            }
            self.moved(state, moved);
            let latest = latest(&mut before.iter().map(|episode| episode.published));
            return Ok(Hints { max_age, latest, ..Hints::default() });
        };
        let feed = read(fresh.bytes).await?;
        if feed.items.is_empty() && !before.is_empty() {
            return Err(Error::Empty);
        }
        // What is there is a feed: a page of a provider that parks the address for an hour never gets so far.
        state.known = fresh.known;
        self.moved(state, moved);
        if let Some(told) = self.told_to_move(&state.url, &feed).await {
            // Tags of the old address say nothing at the new one.
            state.known = Known::default();
            self.moved(state, Some(told));
        }
        let changes = differ::changes(state.show, &state.url, &feed, shown.as_ref(), &before, now);
        if let Err(error) = self.write(changes).await {
            state.known = Known::default();
            return Err(error);
        }
        Ok(Hints {
            ttl_minutes: feed.ttl_minutes,
            max_age,
            latest: latest(&mut feed.items.iter().filter_map(|item| Some(item.published?.0))),
            is_complete: feed.is_complete,
        })
    }

    fn moved(&self, state: &mut FeedState, to: Option<String>) {
        if let Some(to) = to {
            tracing::info!(show = %state.show, from = state.url, to, "a feed has moved");
            state.url = to;
        }
    }

    /// Where the feed itself says that it is from now on, if there is a feed: a slip in that line would lose it for good.
    async fn told_to_move(&self, from: &str, feed: &Feed) -> Option<String> {
        let told = self.0.fetcher.beside(from, feed.moved.as_deref()?).ok().filter(|told| told != from)?;
        let Ok(Fetched { fresh: Some(fresh), .. }) = self.0.fetcher.fetch(&told, &Known::default()).await else {
            return None;
        };
        let is_there = read(fresh.bytes).await.is_ok_and(|feed| !feed.items.is_empty());
        is_there.then_some(told)
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        for some in changes.chunks(BATCH) {
            self.0.catalog.apply(some.to_vec()).await?;
            (self.0.announce)(some);
        }
        let gone = changes.iter().filter_map(|change| match change {
            Change::RemoveEpisode { id } => Some(*id),
            _ => None,
        });
        let gone: Vec<EpisodeId> = gone.collect();
        for some in gone.chunks(BATCH) {
            self.0.store.forget(some).await?;
        }
        Ok(())
    }

    async fn episodes(&self, show: ShowId) -> Result<Vec<Episode>, Error> {
        let mut episodes = Vec::new();
        let mut at = Some(At::Offset(0));
        while let Some(here) = at {
            let page = self.0.catalog.list_episodes(show, &here, PAGE_MAX).await?;
            episodes.extend(page.items);
            at = page.next.map(At::After);
        }
        Ok(episodes)
    }
}

/// Reads a feed away from the reactor: the largest take a tenth of a second.
async fn read(bytes: Vec<u8>) -> Result<Feed, Error> {
    let parsed = tokio::task::spawn_blocking(move || feed::parse(&bytes)).await;
    Ok(parsed.unwrap_or_else(|broken| Err(NotFeed::Xml(format!("reading broke off: {broken}"))))?)
}

/// For people; the feed's own words may be in it.
fn problem(error: &Error) -> String {
    let mut text = error.told().unwrap_or_else(|| "our own database failed".to_owned());
    let end = (0..=text.len().min(PROBLEM_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text.replace('\0', "")
}

/// Without randomness feeds are not spread, and that is all.
fn dice() -> u32 {
    getrandom::u32().unwrap_or(0)
}
