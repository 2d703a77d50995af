//! Signing up, with an invitation or where everybody may; and making invitations.

use std::net::IpAddr;

use needledrop_catalog::model::Territory;
use needledrop_core::{TokenId, UnixSeconds};

use super::accounts::since_1970;
use super::tokens::Issued;
use super::{Error, Playback, locked, random};
use crate::account::{Account, DisplayName, Plan, UserName};
use crate::caller::Caller;
use crate::password::Password;
use crate::scope::{Scope, Scopes};
use crate::sign_up::{Invitation, Lifetime, Policy, Way};
use crate::store::{Joined, Joining};
use crate::token::{Kind, Secret};

/// Somebody who wants an account: texts as they came.
#[derive(Clone, Copy)]
pub struct SignUp<'a> {
    /// What he wants to sign in with.
    pub name: &'a str,
    /// His password.
    pub password: &'a str,
    /// Where he listens.
    pub territory: Option<Territory>,
    /// The program he uses.
    pub client: &'a str,
}

/// An invitation that was just made: the only moment at which its secret is known.
#[derive(Clone, Debug)]
pub struct Invited {
    /// To be shown once.
    pub secret: Secret,
    /// What is kept of it.
    pub invitation: Invitation,
}

impl Playback {
    /// The same service, which lets people sign up as the operator says.
    #[must_use]
    pub fn governed_by(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Who may sign up.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// A new account for who was invited or where everybody may, signed in. When this returns, the account is on disk
    /// and the invitation is used up; where it fails, the invitation is as good as before.
    ///
    /// # Errors
    /// Nobody may without an invitation, or this one is not good; the name is none or taken, the password too weak;
    /// there are too many accounts, or there were too many tries.
    pub async fn join(
        &self,
        wish: SignUp<'_>,
        invitation: Option<&str>,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        let refusal = || if invitation.is_some() { Error::NotInvited } else { Error::SignUpClosed };
        // Before anything is counted or compared: on a private server a stranger learns nothing and slows nobody down.
        let way = self.policy.way(invitation).ok_or_else(refusal)?;
        self.enter(wish, way, self.policy.most_accounts, address, now).await
    }

    /// The same where everybody may, on the free plan, whatever the policy: for whoever is the operator himself.
    ///
    /// # Errors
    /// The name is none or taken, the password too weak, too many tries.
    pub async fn sign_up(&self, wish: SignUp<'_>, address: IpAddr, now: UnixSeconds) -> Result<Issued, Error> {
        self.enter(wish, Way::Open(Plan::Free), u64::MAX, address, now).await
    }

    async fn enter(
        &self,
        wish: SignUp<'_>,
        way: Way,
        most_accounts: u64,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<Issued, Error> {
        let name = UserName::choose(wish.name)?;
        let password = Password::choose(wish.password)?;
        let client = DisplayName::parse(wish.client)?;
        locked(&self.limits).try_network(address, since_1970(now))?;
        // Before the hash: nonsense costs a look and not 19 MiB. What is taken is looked for after it, with the account.
        let (plan, invitation) = match way {
            Way::Open(plan) => (plan, None),
            Way::Invited(digest) => (self.store.invited(&digest, now).await?.ok_or(Error::NotInvited)?, Some(digest)),
        };
        let account = Account { plan, ..self.new_account(name, wish.territory)? };
        let hash = self.hasher.hash(password, random()?).await?;
        let issued = Issued::new(&account, Kind::Session, Scopes::all(), client, now, random()?, random()?);
        let joining = Joining {
            account: &account,
            password: &hash,
            token: &issued.token,
            invitation: invitation.as_ref(),
            most_accounts,
        };
        match self.store.join(joining, now).await? {
            Joined::New => Ok(issued),
            Joined::NameTaken => Err(Error::NameTaken),
            Joined::Full => Err(Error::AccountsFull),
            Joined::NotInvited => Err(Error::NotInvited),
        }
    }

    /// Invites somebody, on this plan; for administrators.
    ///
    /// # Errors
    /// The caller is none, or there are too many invitations that nobody has used.
    pub async fn invite(
        &self,
        caller: &Caller,
        plan: Plan,
        note: Option<DisplayName>,
        lifetime: Lifetime,
        now: UnixSeconds,
    ) -> Result<Invited, Error> {
        caller.may(Scope::Admin)?;
        let secret = Secret::invitation(random()?);
        let invitation = Invitation {
            id: TokenId::from_random(random()?),
            digest: secret.digest(),
            plan,
            note,
            made_by: caller.account().name.clone(),
            created: now,
            expires: now.plus(lifetime.seconds()),
        };
        let added = self.store.add_invitation(&invitation, caller.account().id, now).await;
        match added {
            Ok(true) => Ok(Invited { secret, invitation }),
            Ok(false) => Err(Error::InvitationsFull),
            // The administrator was removed a moment ago.
            Err(error) if error.is_foreign_key_violation() => Err(Error::WrongCredential),
            Err(error) => Err(error.into()),
        }
    }

    /// The invitations that can still be used, newest first; for administrators.
    ///
    /// # Errors
    /// The caller is none.
    pub async fn invitations(&self, caller: &Caller, now: UnixSeconds) -> Result<Vec<Invitation>, Error> {
        caller.may(Scope::Admin)?;
        let known = self.store.invitations().await?;
        Ok(known.into_iter().filter(|invitation| invitation.is_alive(now)).collect())
    }

    /// Takes an invitation back, at once; for administrators.
    ///
    /// # Errors
    /// The caller is none, or nobody has been invited under this id, or he has come already.
    pub async fn uninvite(&self, caller: &Caller, id: TokenId) -> Result<(), Error> {
        caller.may(Scope::Admin)?;
        if self.store.remove_invitation(id).await? { Ok(()) } else { Err(Error::NotFound) }
    }
}
