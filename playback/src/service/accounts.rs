//! Signing in, passwords, and what an account may change about itself.

use std::net::IpAddr;
use std::time::Duration;

use needledrop_catalog::model::Territory;
use needledrop_core::{AccountId, UnixSeconds};

use super::tokens::Issued;
use super::{Error, Playback, locked, random};
use crate::account::{Account, DisplayName, Plan, Settings, UserName};
use crate::caller::Caller;
use crate::password::{Password, PasswordHash, Verdict};
use crate::scope::{Scope, Scopes};
use crate::store::{Added, Removed, WithPassword};
use crate::token::Kind;

/// The name of the account that listens to the demo library.
const DEMO: &str = "demo";

/// What is to be changed of an account; None stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What others see.
    pub shown_as: Option<DisplayName>,
    /// Where it listens.
    pub territory: Option<Territory>,
    /// How it listens.
    pub settings: Option<Settings>,
}

/// An account whose owner has said his password to remove it. Made only from a password that was right.
#[derive(Debug)]
pub struct Leaving(Account);

impl Leaving {
    /// Whose account.
    pub fn account(&self) -> AccountId {
        self.0.id
    }
}

/// A password that we made, to be shown once. Nothing but changing it works before it is changed.
#[derive(Debug)]
pub struct OneTimePassword {
    /// Whose.
    pub name: UserName,
    /// The password.
    pub password: Password,
}

impl Playback {
    /// A new session of an account. A name that does not exist takes as long as a wrong password.
    ///
    /// # Errors
    /// Name or password are wrong, or there were too many tries.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        client: &str,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        let client = DisplayName::parse(client)?;
        let account = self.verified(name, password, address, now).await?;
        self.issue_to(&account, Kind::Session, Scopes::all(), client, now).await
    }

    /// The account of this name and password.
    async fn verified(&self, name: &str, password: &str, address: IpAddr, now: UnixSeconds) -> Result<Account, Error> {
        let Ok(name) = UserName::parse(name) else {
            // No account can have it, which is no secret.
            locked(&self.limits).try_network(address, since_1970(now))?;
            return Err(Error::WrongPassword);
        };
        locked(&self.limits).try_name(&name, address, since_1970(now))?;
        let password = Password::present(password).map_err(|_| Error::WrongPassword)?;
        let known = self.store.account_named(&name).await?;
        let kept = known.as_ref().map(|known| known.password.clone());
        let verdict = self.hasher.verify(password.clone(), kept).await?;
        let (Some(known), Verdict::Right | Verdict::RightButOld) = (known, verdict) else {
            return Err(Error::WrongPassword);
        };
        if verdict == Verdict::RightButOld {
            let anew = self.hasher.hash(password, random()?).await?;
            self.store.rehash(known.account.id, &known.password, &anew).await?;
        }
        Ok(known.account)
    }

    /// Changes the caller's password, and ends every session but this one. App passwords and API keys stay: they do
    /// not come from the password, and are revoked one by one.
    ///
    /// # Errors
    /// The old one is wrong, the new one too weak, or there were too many tries.
    pub async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), Error> {
        caller.may(Scope::Account)?;
        let new = Password::choose(new)?;
        let account = caller.account();
        locked(&self.limits).try_name(&account.name, address, since_1970(now))?;
        let old = Password::present(old).map_err(|_| Error::WrongPassword)?;
        let known = self.store.account(account.id).await?.ok_or(Error::NotFound)?;
        if self.hasher.verify(old, Some(known.password.clone())).await? == Verdict::Wrong {
            return Err(Error::WrongPassword);
        }
        let hash = self.hasher.hash(new, random()?).await?;
        let keep = Some(caller.token());
        let replaced = self.store.replace_password(account.id, Some(&known.password), &hash, false, keep).await?;
        self.forget(account);
        if replaced { Ok(()) } else { Err(Error::Conflict) }
    }

    /// Changes what an account may change about itself, and gives back how it is now.
    ///
    /// # Errors
    /// The credential does not allow it, or the account is gone.
    pub async fn change_account(&self, caller: &Caller, change: Change) -> Result<Account, Error> {
        caller.may(Scope::Account)?;
        let known = self.store.account(caller.account().id).await?.ok_or(Error::NotFound)?.account;
        let account = Account {
            shown_as: change.shown_as.unwrap_or(known.shown_as),
            territory: change.territory.or(known.territory),
            settings: change.settings.unwrap_or(known.settings),
            ..known
        };
        let written = self.store.update_account(&account).await?;
        self.forget(&account);
        if written { Ok(account) } else { Err(Error::NotFound) }
    }

    /// Puts an account on a plan; for administrators.
    ///
    /// # Errors
    /// The caller is none, or there is no such account.
    pub async fn set_plan(&self, caller: &Caller, name: &UserName, plan: Plan) -> Result<Account, Error> {
        caller.may(Scope::Admin)?;
        let known = self.store.account_named(name).await?.ok_or(Error::NotFound)?.account;
        let written = self.store.set_plan(known.id, plan).await?;
        self.forget(&known);
        if written { Ok(Account { plan, ..known }) } else { Err(Error::NotFound) }
    }

    /// The caller wants to leave, and has said his password once more. Nothing is gone yet: what other services keep of
    /// the account goes first, so that nothing is left behind that nobody can reach.
    ///
    /// # Errors
    /// The credential does not allow it, the password is wrong, there were too many tries, or nobody would be left who
    /// administers.
    pub async fn leave(
        &self,
        caller: &Caller,
        password: &str,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<Leaving, Error> {
        caller.may(Scope::Account)?;
        let account = self.verified(caller.account().name.as_str(), password, address, now).await?;
        if account.is_admin && self.store.is_last_admin(account.id).await? {
            return Err(Error::LastAdmin);
        }
        Ok(Leaving(account))
    }

    /// Forgets the account of who leaves, and everything that belongs to it here: credentials, programs, queue, devices,
    /// plays and invitations.
    ///
    /// # Errors
    /// It is gone already, or nobody would be left who administers.
    pub async fn remove_account(&self, Leaving(account): Leaving) -> Result<(), Error> {
        let removed = self.store.remove_account(account.id).await?;
        self.forget(&account);
        match removed {
            Removed::Gone => {
                // What was granted a moment ago is written after the account has gone.
                self.writer.flush().await;
                Ok(self.store.forget_plays(account.id).await?)
            }
            Removed::Nobody => Err(Error::NotFound),
            Removed::LastAdmin => Err(Error::LastAdmin),
        }
    }

    /// Makes an administrator of this name with a password to be shown once, if there is no administrator yet.
    ///
    /// # Errors
    /// The database refuses, or somebody has the name and is no administrator.
    pub async fn first_start(&self, name: &UserName, now: UnixSeconds) -> Result<Option<OneTimePassword>, Error> {
        if self.store.has_admin().await? {
            return Ok(None);
        }
        let (password, hash) = self.one_time().await?;
        let account = self.new_account(name.clone(), None)?;
        let admin = Account { is_admin: true, must_change_password: true, plan: Plan::Premium, ..account };
        match self.store.add_first_admin(&admin, &hash, now).await? {
            None => Ok(None),
            Some(Added::New) => Ok(Some(OneTimePassword { name: admin.name, password })),
            Some(Added::NameTaken) => Err(Error::NameTaken),
        }
    }

    /// Gives an account a new password to be shown once and ends its sessions: for an operator at the machine, who
    /// needs no credential.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn reset_password(&self, name: &UserName) -> Result<OneTimePassword, Error> {
        let WithPassword { account, .. } = self.store.account_named(name).await?.ok_or(Error::NotFound)?;
        let (password, hash) = self.one_time().await?;
        let replaced = self.store.replace_password(account.id, None, &hash, true, None).await?;
        self.forget(&account);
        if replaced { Ok(OneTimePassword { name: account.name, password }) } else { Err(Error::NotFound) }
    }

    /// A session of the demo account, which is made when it is not there: on the premium plan, without a password
    /// that anybody knows.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn demo(&self, client: &DisplayName, now: UnixSeconds) -> Result<Issued, Error> {
        let name = UserName::parse(DEMO)?;
        let known = match self.store.account_named(&name).await? {
            Some(known) => known,
            None => {
                let account = Account { plan: Plan::Premium, ..self.new_account(name.clone(), None)? };
                // Whether we or another process made it just now is all the same.
                self.store.add_account(&account, &self.one_time().await?.1, now).await?;
                self.store.account_named(&name).await?.ok_or(Error::NotFound)?
            }
        };
        self.issue_to(&known.account, Kind::Session, Scopes::player(), client.clone(), now).await
    }

    pub(super) fn new_account(&self, name: UserName, territory: Option<Territory>) -> Result<Account, Error> {
        Ok(Account {
            id: AccountId::from_random(random()?),
            shown_as: DisplayName::from(&name),
            name,
            plan: Plan::Free,
            territory,
            is_admin: false,
            must_change_password: false,
            settings: Settings::default(),
        })
    }

    async fn one_time(&self) -> Result<(Password, PasswordHash), Error> {
        let password = Password::one_time(random()?);
        let hash = self.hasher.hash(password.clone(), random()?).await?;
        Ok((password, hash))
    }
}

pub(super) fn since_1970(now: UnixSeconds) -> Duration {
    Duration::from_secs(now.0)
}
