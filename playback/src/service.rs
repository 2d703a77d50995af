//! The service: rules, storage, caches and the place where passwords are hashed, put together.
//!
//! What is answered has been committed, but for the playback ids (see [`writer`](crate::writer)). `now` comes from
//! the caller; randomness from the system.

mod accounts;
mod error;
mod listen;
mod oauth;
mod sign_up;
mod tokens;

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use needledrop_core::{AccountId, UnixSeconds};
use needledrop_database::{Database, Migrated};

use crate::account::{Account, DisplayName};
use crate::auth_cache::AuthCache;
use crate::hasher::Hasher;
use crate::limits::SignInLimits;
use crate::plays::Plays;
use crate::server_key::ServerKey;
use crate::sign_up::Policy;
use crate::store::Store;
use crate::writer::Writer;

pub use accounts::{Change, Leaving, OneTimePassword};
pub use error::Error;
pub use listen::Ask;
pub use oauth::{Proof, Registered};
pub use sign_up::{Invited, SignUp};
pub use tokens::{Issued, Renewed};

/// Devices whose last sighting is remembered, so that a request seldom looks into storage: 3 MB.
const SIGHTINGS_MAX: usize = 16_384;

/// Accounts, credentials, grants and queues.
#[derive(Debug)]
pub struct Playback {
    store: Store,
    key: ServerKey,
    hasher: Hasher,
    policy: Policy,
    limits: Mutex<SignInLimits>,
    cache: Mutex<AuthCache>,
    plays: Mutex<Plays>,
    sightings: Mutex<LruCache<(AccountId, DisplayName), (DisplayName, UnixSeconds)>>,
    writer: Writer,
    writing: tokio::task::JoinHandle<()>,
}

impl Playback {
    /// The service on this database; brings its tables up to date. Needs a tokio runtime, on which it starts the
    /// task that writes plays.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn open(database: Database, key: ServerKey) -> Result<(Self, Migrated), Error> {
        let (store, migrated) = Store::open(database).await?;
        let (writer, writing) = Writer::start(store.clone());
        let sightings = NonZeroUsize::new(SIGHTINGS_MAX).expect("the bound is not zero");
        let playback = Self {
            limits: Mutex::new(SignInLimits::new(key.clone())),
            store,
            key,
            hasher: Hasher::default(),
            policy: Policy::default(),
            cache: Mutex::default(),
            plays: Mutex::default(),
            sightings: Mutex::new(LruCache::new(sightings)),
            writer,
            writing,
        };
        Ok((playback, migrated))
    }

    /// Returns when every play that was granted until now is on disk.
    pub async fn flush(&self) {
        self.writer.flush().await;
    }

    /// Writes what is on its way and ends the task. The database stays open: others use it too.
    pub async fn close(self) {
        self.writer.flush().await;
        drop(self.writer);
        if let Err(error) = self.writing.await {
            tracing::error!(%error, "the writer of plays has failed");
        }
    }

    /// Forgets what has expired. To be called now and then, once an hour say; gives back how many rows went.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge(&self, now: UnixSeconds) -> Result<u64, Error> {
        let tokens = self.store.purge_tokens(now).await? + self.store.purge_oauth(now).await?;
        let invitations = self.store.purge_invitations(now).await?;
        Ok(tokens + invitations + self.store.purge_plays(now).await?)
    }

    /// Something about the account has changed in storage, and is committed.
    fn forget(&self, account: &Account) {
        locked(&self.cache).forget(account.id, &account.name);
    }
}

/// A lock for a few lines without I/O. Rules do not panic half way; should one, its table is still a table.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Randomness of the system.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}
