//! Credentials: made, shown once, recognised, renewed and revoked.

use std::sync::Arc;

use needledrop_core::{TokenId, UnixSeconds};

use super::{Error, Playback, locked, random};
use crate::account::{Account, DisplayName, UserName};
use crate::auth_cache::AppPasswords;
use crate::caller::Caller;
use crate::scope::{Scope, Scopes};
use crate::token::{Kind, Md5Proof, Secret, Token};

/// A credential that was just made: the only moment at which its secret is known.
#[derive(Clone, Debug)]
pub struct Issued {
    /// To be shown once.
    pub secret: Secret,
    /// What is kept of it.
    pub token: Token,
    /// Whose it is.
    pub account: Account,
}

impl Issued {
    /// A bearer token of this account.
    pub(super) fn new(
        account: &Account,
        kind: Kind,
        scopes: Scopes,
        client: DisplayName,
        now: UnixSeconds,
        id: [u8; 16],
        secret: [u8; 32],
    ) -> Self {
        Self::of(account, kind, scopes, client, now, TokenId::from_random(id), Secret::bearer(kind, secret))
    }

    fn of(
        account: &Account,
        kind: Kind,
        scopes: Scopes,
        client: DisplayName,
        now: UnixSeconds,
        id: TokenId,
        secret: Secret,
    ) -> Self {
        let token = Token {
            id,
            account: account.id,
            kind,
            digest: secret.digest(),
            scopes,
            client,
            created: now,
            last_used: None,
            expires: kind.lifetime_seconds().map(|seconds| now.plus(seconds)),
        };
        Self { secret, token, account: account.clone() }
    }
}

/// What a refresh token was exchanged for.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// Good for an hour.
    pub access: Issued,
    /// Takes the place of the one that was spent.
    pub refresh: Issued,
}

impl Playback {
    /// Who holds this credential.
    ///
    /// # Errors
    /// It is none, has expired or was revoked, or lets nobody in by itself.
    pub async fn authenticate(&self, secret: &str, now: UnixSeconds) -> Result<Arc<Caller>, Error> {
        let caller = self.holder(secret, now).await?;
        if caller.kind().authenticates() { Ok(caller) } else { Err(Error::WrongCredential) }
    }

    /// Who holds this part of a feed's address: no other kind of credential opens feeds, and this one nothing else.
    ///
    /// # Errors
    /// It is none, was revoked, or is a credential of another kind.
    pub async fn authenticate_feed(&self, secret: &str, now: UnixSeconds) -> Result<Arc<Caller>, Error> {
        let caller = self.holder(secret, now).await?;
        if caller.kind() == Kind::Feed { Ok(caller) } else { Err(Error::WrongCredential) }
    }

    /// Who holds a credential of any kind that a request may bring.
    async fn holder(&self, secret: &str, now: UnixSeconds) -> Result<Arc<Caller>, Error> {
        let digest = Secret::present(secret).ok_or(Error::WrongCredential)?.digest();
        let epoch = {
            let mut cache = locked(&self.cache);
            if let Some(caller) = cache.caller(&digest, now) {
                return Ok(caller);
            }
            cache.epoch()
        };
        let found = self.store.token(&digest).await?;
        let good = found.filter(|(token, _)| token.admits(&digest, now) && token.kind != Kind::Refresh);
        let (token, account) = good.ok_or(Error::WrongCredential)?;
        self.note_use(&token, now);
        let caller = Arc::new(Caller::new(&token, account));
        locked(&self.cache).put_caller(epoch, &digest, caller.clone(), now);
        Ok(caller)
    }

    /// Who holds the app password that this Subsonic proof (`u`, `t`, `s`) was made with. A name that does not exist
    /// takes the same way as one without app passwords.
    ///
    /// # Errors
    /// The proof fits none of the account's app passwords, or there is no such account.
    pub async fn authenticate_md5(&self, name: &str, proof: &Md5Proof, now: UnixSeconds) -> Result<Arc<Caller>, Error> {
        let name = UserName::parse(name).map_err(|_| Error::WrongCredential)?;
        let secrets = self.secrets_of(name, now).await?;
        // All are tried, so that the time does not tell which one fits.
        let mut fitting = None;
        for (secret, caller) in secrets.iter() {
            if proof.proves(secret) && caller.is_alive(now) {
                fitting = Some(caller.clone());
            }
        }
        fitting.ok_or(Error::WrongCredential)
    }

    /// Who holds this app password or API key, if the account has this name: Subsonic's `u` and `p`. Login passwords
    /// are not taken here, since programs keep what they are given.
    ///
    /// # Errors
    /// It is none, or somebody else's.
    pub async fn authenticate_as(&self, name: &str, secret: &str, now: UnixSeconds) -> Result<Arc<Caller>, Error> {
        let name = UserName::parse(name).map_err(|_| Error::WrongCredential)?;
        let caller = self.authenticate(secret, now).await?;
        if caller.account().name == name { Ok(caller) } else { Err(Error::WrongCredential) }
    }

    async fn secrets_of(&self, name: UserName, now: UnixSeconds) -> Result<AppPasswords, Error> {
        let epoch = {
            let mut cache = locked(&self.cache);
            if let Some(secrets) = cache.app_passwords(&name, now) {
                return Ok(secrets);
            }
            cache.epoch()
        };
        let mut secrets = Vec::new();
        for (token, account) in self.store.app_passwords(&name).await? {
            let secret = Secret::app_password(&self.key, token.id);
            // Of another server key: it was made before the key file was replaced, and nobody can use it any more.
            if token.admits(&secret.digest(), now) {
                self.note_use(&token, now);
                secrets.push((secret, Arc::new(Caller::new(&token, account))));
            }
        }
        let secrets = Arc::new(secrets);
        // Names that do not exist are not remembered: whoever makes them up would push out the others.
        if !secrets.is_empty() {
            locked(&self.cache).put_app_passwords(epoch, name, secrets.clone(), now);
        }
        Ok(secrets)
    }

    /// A password for one client program, with what a player needs: not for changing the account.
    ///
    /// # Errors
    /// The credential does not allow it, or the account has too many.
    pub async fn make_app_password(
        &self,
        caller: &Caller,
        client: DisplayName,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        caller.may(Scope::Account)?;
        self.may_issue(caller)?;
        let id = TokenId::from_random(random()?);
        let secret = Secret::app_password(&self.key, id);
        let issued = Issued::of(caller.account(), Kind::AppPassword, Scopes::player(), client, now, id, secret);
        let kept = self.keep(issued, now).await;
        // Those that were read a moment ago do not have it.
        self.forget(caller.account());
        kept
    }

    /// A key for one client program: as much of `scopes` as a player needs.
    ///
    /// # Errors
    /// The credential does not allow it, or the account has too many.
    pub async fn make_api_key(
        &self,
        caller: &Caller,
        scopes: Scopes,
        client: DisplayName,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        caller.may(Scope::Account)?;
        self.may_issue(caller)?;
        self.issue_to(caller.account(), Kind::ApiKey, scopes.and(Scopes::player()), client, now).await
    }

    /// What one podcast program needs in the addresses of feeds.
    ///
    /// # Errors
    /// The credential does not allow it, or the account has too many.
    pub async fn make_feed_key(&self, caller: &Caller, client: DisplayName, now: UnixSeconds) -> Result<Issued, Error> {
        caller.may(Scope::Account)?;
        self.may_issue(caller)?;
        self.issue_to(caller.account(), Kind::Feed, Scopes::feeds(), client, now).await
    }

    /// The credentials of the caller's account, oldest first. No secrets: nobody has them any more.
    ///
    /// # Errors
    /// The credential does not allow it.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<Token>, Error> {
        caller.may(Scope::Account)?;
        Ok(self.store.tokens(caller.account().id).await?)
    }

    /// Ends a credential of the caller's account, at once, and with it all that came of the same consent.
    ///
    /// # Errors
    /// The account has none of that id, or the credential in use does not allow it.
    pub async fn revoke(&self, caller: &Caller, id: TokenId) -> Result<(), Error> {
        caller.may(Scope::Account)?;
        self.end(caller, id).await
    }

    /// Ends the credential in use; every credential may do that.
    ///
    /// # Errors
    /// It was ended already.
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), Error> {
        self.end(caller, caller.token()).await
    }

    async fn end(&self, caller: &Caller, id: TokenId) -> Result<(), Error> {
        let account = caller.account();
        let ended = self.store.revoke_token(account.id, id).await?;
        self.forget(account);
        if ended { Ok(()) } else { Err(Error::NotFound) }
    }

    pub(super) async fn issue_to(
        &self,
        account: &Account,
        kind: Kind,
        scopes: Scopes,
        client: DisplayName,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        self.keep(Issued::new(account, kind, scopes, client, now, random()?, random()?), now).await
    }

    async fn keep(&self, issued: Issued, now: UnixSeconds) -> Result<Issued, Error> {
        match self.store.add_token(&issued.token, now).await {
            Ok(Ok(())) => Ok(issued),
            Ok(Err(_)) => Err(Error::TokensFull),
            // The account was removed a moment ago.
            Err(error) if error.is_foreign_key_violation() => Err(Error::WrongCredential),
            Err(error) => Err(error.into()),
        }
    }

    /// Who must change his password gets no other credentials: they would outlive the change.
    pub(super) fn may_issue(&self, caller: &Caller) -> Result<(), Error> {
        match caller.account().must_change_password {
            true => Err(crate::caller::NotAllowed(Scope::Streaming).into()),
            false => Ok(()),
        }
    }

    fn note_use(&self, token: &Token, now: UnixSeconds) {
        if token.use_is_news(now) {
            self.writer.used(token.id, now);
        }
    }
}
