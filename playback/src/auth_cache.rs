//! Callers of late, so that a request costs no look into storage.
//!
//! A revocation takes effect at once: it forgets the account's callers and moves the epoch, and whoever looked into
//! storage before that may no longer put what he found. Other processes on the same database learn of it within
//! [`CACHED_SECONDS_MAX`].

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use needledrop_core::{AccountId, UnixSeconds};

use crate::account::UserName;
use crate::caller::Caller;
use crate::token::{Digest, Secret};

/// How long a caller is believed without looking, in seconds: how late another process hears of a revocation.
pub const CACHED_SECONDS_MAX: u64 = 5;

/// Callers in memory: about 700 bytes each, 12 MB. Beyond that requests look into storage.
const CALLERS_MAX: usize = 16_384;

/// The moment before a look into storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

/// The app passwords of a name, in the clear: what a proof by `md5` is tried against.
pub type AppPasswords = Arc<Vec<(Secret, Arc<Caller>)>>;

/// Callers by credential, and app passwords by name.
#[derive(Debug)]
pub struct AuthCache {
    callers: LruCache<[u8; 32], (Arc<Caller>, UnixSeconds)>,
    names: LruCache<UserName, (AppPasswords, UnixSeconds)>,
    epoch: u64,
}

impl Default for AuthCache {
    fn default() -> Self {
        let room = NonZeroUsize::new(CALLERS_MAX).expect("the bound is not zero");
        // Each name holds up to a hundred secrets: a sixteenth as many.
        let names = NonZeroUsize::new(CALLERS_MAX / 16).expect("the bound is not zero");
        Self { callers: LruCache::new(room), names: LruCache::new(names), epoch: 0 }
    }
}

impl AuthCache {
    /// To be taken before looking into storage.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// The caller of this credential, if he was seen a moment ago and the credential is still good.
    pub fn caller(&mut self, digest: &Digest, now: UnixSeconds) -> Option<Arc<Caller>> {
        let (caller, found) = self.callers.get(digest.as_bytes())?;
        (is_fresh(*found, now) && caller.is_alive(now)).then(|| caller.clone())
    }

    /// The app passwords of this name, if they were read a moment ago.
    pub fn app_passwords(&mut self, name: &UserName, now: UnixSeconds) -> Option<AppPasswords> {
        let (secrets, found) = self.names.get(name)?;
        is_fresh(*found, now).then(|| secrets.clone())
    }

    /// What was found, unless something was revoked since the epoch.
    pub fn put_caller(&mut self, epoch: Epoch, digest: &Digest, caller: Arc<Caller>, now: UnixSeconds) {
        if epoch == self.epoch() {
            self.callers.put(*digest.as_bytes(), (caller, now));
        }
    }

    /// What was found, unless something was revoked since the epoch.
    pub fn put_app_passwords(&mut self, epoch: Epoch, name: UserName, secrets: AppPasswords, now: UnixSeconds) {
        if epoch == self.epoch() {
            self.names.put(name, (secrets, now));
        }
    }

    /// Something about the account has changed in storage: everybody must look again.
    pub fn forget(&mut self, account: AccountId, name: &UserName) {
        self.epoch += 1;
        self.names.pop(name);
        let stale = self.callers.iter().filter(|(_, (caller, _))| caller.account().id == account);
        let stale: Vec<_> = stale.map(|(digest, _)| *digest).collect();
        for digest in stale {
            self.callers.pop(&digest);
        }
    }

    /// Somebody's credentials ended, and it is not known whose: everybody must look again.
    pub fn forget_all(&mut self) {
        self.epoch += 1;
        self.names.clear();
        self.callers.clear();
    }
}

/// A clock that went back makes nothing fresh for longer.
fn is_fresh(found: UnixSeconds, now: UnixSeconds) -> bool {
    found <= now && now.since(found) < CACHED_SECONDS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, DisplayName, Plan, Settings};
    use crate::scope::Scopes;
    use crate::token::{Kind, Token};
    use needledrop_core::TokenId;

    fn known(n: u8, expires: Option<u64>) -> (Digest, Arc<Caller>) {
        let name = UserName::parse(&format!("user{n}")).unwrap();
        let account = Account {
            id: AccountId::from_random([n; 16]),
            shown_as: DisplayName::from(&name),
            name,
            plan: Plan::Free,
            territory: None,
            is_admin: false,
            must_change_password: false,
            settings: Settings::default(),
        };
        let token = Token {
            id: TokenId::from_random([n; 16]),
            account: account.id,
            kind: Kind::Session,
            digest: Secret::bearer(Kind::Session, [n; 32]).digest(),
            scopes: Scopes::all(),
            client: DisplayName::parse("test").unwrap(),
            created: UnixSeconds(0),
            last_used: None,
            expires: expires.map(UnixSeconds),
        };
        (token.digest, Arc::new(Caller::new(&token, account)))
    }

    #[test]
    fn a_caller_is_believed_for_a_moment_and_never_past_his_token() {
        let mut cache = AuthCache::default();
        let (digest, caller) = known(1, Some(102));
        cache.put_caller(cache.epoch(), &digest, caller, UnixSeconds(100));
        assert!(cache.caller(&digest, UnixSeconds(101)).is_some());
        assert!(cache.caller(&digest, UnixSeconds(102)).is_none(), "expired");
        let (digest, caller) = known(2, None);
        cache.put_caller(cache.epoch(), &digest, caller, UnixSeconds(100));
        assert!(cache.caller(&digest, UnixSeconds(100 + CACHED_SECONDS_MAX)).is_none());
        assert!(cache.caller(&digest, UnixSeconds(99)).is_none(), "a clock that went back");
    }

    #[test]
    fn who_looked_before_a_revocation_may_not_put_what_he_found() {
        let mut cache = AuthCache::default();
        let (ada, bob) = (known(1, None), known(2, None));
        cache.put_caller(cache.epoch(), &ada.0, ada.1.clone(), UnixSeconds(100));
        cache.put_caller(cache.epoch(), &bob.0, bob.1, UnixSeconds(100));
        let before = cache.epoch();
        cache.forget(ada.1.account().id, &ada.1.account().name);
        assert!(cache.caller(&ada.0, UnixSeconds(100)).is_none());
        assert!(cache.caller(&bob.0, UnixSeconds(100)).is_some(), "others are not touched");
        cache.put_caller(before, &ada.0, ada.1, UnixSeconds(100));
        assert!(cache.caller(&ada.0, UnixSeconds(100)).is_none());
    }
}
