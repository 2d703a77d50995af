//! Accounts.

use needledrop_catalog::model::Territory;
use needledrop_core::{AccountId, TokenId, UnixSeconds};
use needledrop_database::{Error, Row, Transaction, Value};

use super::read::{parsed, parsed_or_null};
use super::{Store, tokens};
use crate::account::{Account, DisplayName, Plan, Settings, UserName};
use crate::password::PasswordHash;
use crate::quality::Wish;

/// The columns of an account, as [`account`] reads them from place 0.
pub(super) const COLUMNS: usize = 10;

/// An account with what proves its password.
#[derive(Clone, Debug)]
pub struct WithPassword {
    /// The account.
    pub account: Account,
    /// What is kept of its password.
    pub password: PasswordHash,
}

/// Whether a name could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The account is there now.
    New,
    /// Somebody else has the name.
    NameTaken,
}

/// Whether an account has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It has.
    Gone,
    /// There was none.
    Nobody,
    /// Nobody would be left who administers.
    LastAdmin,
}

/// Whoever looks at how many administrate before he adds or removes one.
const ADMINS: &str = "playback administrators";

impl Store {
    /// Adds an account that nobody is signed in to yet.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_account(
        &self,
        account: &Account,
        password: &PasswordHash,
        now: UnixSeconds,
    ) -> Result<Added, Error> {
        let mut transaction = self.database.transaction().await?;
        let added = insert(&mut transaction, account, password, now).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Adds an administrator if there is none; of several who try at once, one does.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_first_admin(
        &self,
        account: &Account,
        password: &PasswordHash,
        now: UnixSeconds,
    ) -> Result<Option<Added>, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive(ADMINS).await?;
        if transaction.row("SELECT id FROM accounts WHERE is_admin = 1 LIMIT 1", vec![]).await?.is_some() {
            return Ok(None);
        }
        let added = insert(&mut transaction, account, password, now).await?;
        transaction.commit().await?;
        Ok(Some(added))
    }

    /// Whether there is an administrator.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        Ok(self.database.row("SELECT id FROM accounts WHERE is_admin = 1 LIMIT 1", vec![]).await?.is_some())
    }

    /// The account of this name.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn account_named(&self, name: &UserName) -> Result<Option<WithPassword>, Error> {
        let sql = "SELECT id, name, shown_as, plan, territory, is_admin, must_change_password, quality, data_saver, \
                   normalise, password FROM accounts WHERE name = $1";
        self.database.row(sql, vec![name.as_str().into()]).await?.as_ref().map(with_password).transpose()
    }

    /// The account of this id.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn account(&self, id: AccountId) -> Result<Option<WithPassword>, Error> {
        let sql = "SELECT id, name, shown_as, plan, territory, is_admin, must_change_password, quality, data_saver, \
                   normalise, password FROM accounts WHERE id = $1";
        self.database.row(sql, vec![id.as_str().into()]).await?.as_ref().map(with_password).transpose()
    }

    /// Writes what an account may change about itself: how it is shown, where and how it listens. False if there is
    /// no such account.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn update_account(&self, account: &Account) -> Result<bool, Error> {
        let sql = "UPDATE accounts SET shown_as = $2, territory = $3, quality = $4, data_saver = $5, normalise = $6 \
                   WHERE id = $1";
        let values = vec![
            account.id.as_str().into(),
            account.shown_as.as_str().into(),
            account.territory.map(|territory| territory.as_str().to_owned()).into(),
            account.settings.quality.name().into(),
            account.settings.data_saver.into(),
            account.settings.normalise.into(),
        ];
        Ok(self.database.execute(sql, values).await? == 1)
    }

    /// Puts an account on a plan. False if there is no such account.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn set_plan(&self, id: AccountId, plan: Plan) -> Result<bool, Error> {
        let sql = "UPDATE accounts SET plan = $2 WHERE id = $1";
        Ok(self.database.execute(sql, vec![id.as_str().into(), plan.name().into()]).await? == 1)
    }

    /// Writes a password that its owner chose or that we made, in place of the one that was verified, and ends all
    /// sessions but one. False if the account is gone or its password was changed meanwhile.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn replace_password(
        &self,
        account: AccountId,
        old: Option<&PasswordHash>,
        new: &PasswordHash,
        must_change: bool,
        keep: Option<TokenId>,
    ) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        let mut values: Vec<Value> = vec![account.as_str().into(), new.as_str().into(), must_change.into()];
        let sql = match old {
            Some(_) => "UPDATE accounts SET password = $2, must_change_password = $3 WHERE id = $1 AND password = $4",
            None => "UPDATE accounts SET password = $2, must_change_password = $3 WHERE id = $1",
        };
        values.extend(old.map(|old| Value::from(old.as_str())));
        if transaction.execute(sql, values).await? == 0 {
            return Ok(false);
        }
        tokens::end_sessions(&mut transaction, account, keep).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Writes the same password hashed anew, unless it was changed meanwhile.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn rehash(&self, account: AccountId, old: &PasswordHash, new: &PasswordHash) -> Result<(), Error> {
        let sql = "UPDATE accounts SET password = $3 WHERE id = $1 AND password = $2";
        let values = vec![account.as_str().into(), old.as_str().into(), new.as_str().into()];
        self.database.execute(sql, values).await.map(drop)
    }

    /// Forgets an account and all that belongs to it, unless nobody would be left who administers. Plays have
    /// [`Self::forget_plays`]: they are written by a task of their own.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn remove_account(&self, id: AccountId) -> Result<Removed, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive(ADMINS).await?;
        if is_last_admin(&mut transaction, id).await? {
            return Ok(Removed::LastAdmin);
        }
        let removed = transaction.execute("DELETE FROM accounts WHERE id = $1", vec![id.as_str().into()]).await?;
        transaction.commit().await?;
        Ok(if removed == 1 { Removed::Gone } else { Removed::Nobody })
    }

    /// Whether without this account nobody would be left who administers.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn is_last_admin(&self, id: AccountId) -> Result<bool, Error> {
        let mut transaction = self.database.snapshot().await?;
        is_last_admin(&mut transaction, id).await
    }
}

async fn is_last_admin(transaction: &mut Transaction, id: AccountId) -> Result<bool, Error> {
    let sql = "SELECT id FROM accounts WHERE is_admin = 1 LIMIT 2";
    let admins = transaction.rows(sql, vec![]).await?;
    Ok(matches!(&admins[..], [only] if only.get::<String>(0)? == id.as_str()))
}

pub(super) async fn insert(
    transaction: &mut Transaction,
    account: &Account,
    password: &PasswordHash,
    now: UnixSeconds,
) -> Result<Added, Error> {
    let sql = "INSERT INTO accounts (id, name, shown_as, plan, territory, is_admin, must_change_password, quality, \
               data_saver, normalise, password, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
               ON CONFLICT (name) DO NOTHING";
    let values = vec![
        account.id.as_str().into(),
        account.name.as_str().into(),
        account.shown_as.as_str().into(),
        account.plan.name().into(),
        account.territory.map(|territory| territory.as_str().to_owned()).into(),
        account.is_admin.into(),
        account.must_change_password.into(),
        account.settings.quality.name().into(),
        account.settings.data_saver.into(),
        account.settings.normalise.into(),
        password.as_str().into(),
        now.0.into(),
    ];
    Ok(if transaction.execute(sql, values).await? == 1 { Added::New } else { Added::NameTaken })
}

fn with_password(row: &Row) -> Result<WithPassword, Error> {
    let password = parsed(row, COLUMNS, PasswordHash::parse)?;
    Ok(WithPassword { account: account(row, 0)?, password })
}

/// An account whose columns begin at `first`.
pub(super) fn account(row: &Row, first: usize) -> Result<Account, Error> {
    Ok(Account {
        id: parsed(row, first, |text| AccountId::parse(text).ok())?,
        name: parsed(row, first + 1, |text| UserName::parse(text).ok())?,
        shown_as: parsed(row, first + 2, |text| DisplayName::parse(text).ok())?,
        plan: parsed(row, first + 3, Plan::from_name)?,
        territory: parsed_or_null(row, first + 4, |text| Territory::parse(text).ok())?,
        is_admin: row.get(first + 5)?,
        must_change_password: row.get(first + 6)?,
        settings: Settings {
            quality: parsed(row, first + 7, Wish::from_name)?,
            data_saver: row.get(first + 8)?,
            normalise: row.get(first + 9)?,
        },
    })
}
