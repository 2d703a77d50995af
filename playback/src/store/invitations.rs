//! Invitations, each by the digest of its secret, and the accounts that are made with or without one.

use needledrop_core::{AccountId, TokenId, UnixSeconds};
use needledrop_database::{Error, Row};

use super::accounts::{Added, insert};
use super::read::{damaged, parsed, parsed_or_null};
use super::{Store, tokens};
use crate::account::{Account, DisplayName, Plan, UserName};
use crate::password::PasswordHash;
use crate::sign_up::{INVITATIONS_MAX, Invitation};
use crate::token::{Digest, Token};

/// Whoever counts before he adds.
const ACCOUNTS: &str = "playback accounts";
const INVITATIONS: &str = "playback invitations";

/// An account that somebody wants, with everything that comes into being with it.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// The account.
    pub account: &'a Account,
    /// What is kept of its password.
    pub password: &'a PasswordHash,
    /// Its first session.
    pub token: &'a Token,
    /// What it is made with, and ends by it.
    pub invitation: Option<&'a Digest>,
    /// With so many accounts there is room for no more.
    pub most_accounts: u64,
}

/// Whether somebody got an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is there now.
    New,
    /// Somebody else has the name.
    NameTaken,
    /// There are too many accounts.
    Full,
    /// The invitation was used, taken back, or is over.
    NotInvited,
}

impl Store {
    /// Adds an account with its first session and uses up its invitation: all of it, or nothing.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn join(&self, joining: Joining<'_>, now: UnixSeconds) -> Result<Joined, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive(ACCOUNTS).await?;
        if let Some(digest) = joining.invitation {
            let sql = "DELETE FROM invitations WHERE digest = $1 AND expires > $2";
            if transaction.execute(sql, vec![digest.as_bytes().as_slice().into(), now.0.into()]).await? == 0 {
                return Ok(Joined::NotInvited);
            }
        }
        let counted = transaction.row("SELECT count(*) FROM accounts", vec![]).await?;
        if counted.expect("a count has a row").get::<u64>(0)? >= joining.most_accounts {
            return Ok(Joined::Full);
        }
        if insert(&mut transaction, joining.account, joining.password, now).await? == Added::NameTaken {
            return Ok(Joined::NameTaken);
        }
        tokens::insert(&mut transaction, joining.token).await?;
        transaction.commit().await?;
        Ok(Joined::New)
    }

    /// The plan of the invitation of this digest, if it is still good.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn invited(&self, digest: &Digest, now: UnixSeconds) -> Result<Option<Plan>, Error> {
        let sql = "SELECT plan FROM invitations WHERE digest = $1 AND expires > $2";
        let row = self.database.row(sql, vec![digest.as_bytes().as_slice().into(), now.0.into()]).await?;
        row.map(|row| parsed(&row, 0, Plan::from_name)).transpose()
    }

    /// Adds an invitation; what is over goes. False if there are as many as there may be.
    ///
    /// # Errors
    /// The database refuses, or the account that makes it is gone (a foreign key).
    pub async fn add_invitation(
        &self,
        invitation: &Invitation,
        made_by: AccountId,
        now: UnixSeconds,
    ) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive(INVITATIONS).await?;
        transaction.execute("DELETE FROM invitations WHERE expires <= $1", vec![now.0.into()]).await?;
        let counted = transaction.row("SELECT count(*) FROM invitations", vec![]).await?;
        if counted.expect("a count has a row").get::<u64>(0)? >= INVITATIONS_MAX as u64 {
            return Ok(false);
        }
        let sql = "INSERT INTO invitations (id, digest, plan, note, made_by, created, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = vec![
            invitation.id.as_str().into(),
            invitation.digest.as_bytes().as_slice().into(),
            invitation.plan.name().into(),
            invitation.note.as_ref().map(|note| note.as_str().to_owned()).into(),
            made_by.as_str().into(),
            invitation.created.0.into(),
            invitation.expires.0.into(),
        ];
        transaction.execute(sql, values).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// All invitations that nobody has used, newest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        let sql = "SELECT i.id, i.digest, i.plan, i.note, a.name, i.created, i.expires \
                   FROM invitations i JOIN accounts a ON a.id = i.made_by ORDER BY i.created DESC, i.id";
        self.database.rows(sql, vec![]).await?.iter().map(invitation).collect()
    }

    /// Takes an invitation back; false if there is none of this id.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn remove_invitation(&self, id: TokenId) -> Result<bool, Error> {
        let removed = self.database.execute("DELETE FROM invitations WHERE id = $1", vec![id.as_str().into()]).await?;
        Ok(removed == 1)
    }

    /// Forgets invitations that are over.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge_invitations(&self, now: UnixSeconds) -> Result<u64, Error> {
        self.database.execute("DELETE FROM invitations WHERE expires <= $1", vec![now.0.into()]).await
    }
}

fn invitation(row: &Row) -> Result<Invitation, Error> {
    let digest: Vec<u8> = row.get(1)?;
    Ok(Invitation {
        id: parsed(row, 0, |text| TokenId::parse(text).ok())?,
        digest: Digest::from_bytes(digest.try_into().map_err(|_| damaged(1))?),
        plan: parsed(row, 2, Plan::from_name)?,
        note: parsed_or_null(row, 3, |text| DisplayName::parse(text).ok())?,
        made_by: parsed(row, 4, |text| UserName::parse(text).ok())?,
        created: UnixSeconds(row.get(5)?),
        expires: UnixSeconds(row.get(6)?),
    })
}
