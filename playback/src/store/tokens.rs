//! Credentials, each by the digest of its secret.

use std::collections::BTreeMap;

use needledrop_core::{AccountId, TokenId, UnixSeconds};
use needledrop_database::{Error, Row, Transaction};

use super::read::{damaged, parsed};
use super::{Store, accounts, oauth};
use crate::account::{Account, DisplayName, UserName};
use crate::scope::Scopes;
use crate::token::{Digest, Kind, TOKENS_MAX, Token};

/// How many columns a token has, as [`token`] reads them.
pub(super) const COLUMNS: usize = 9;

/// The account has as many credentials of its own making as it may have: it must revoke one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensFull;

impl Store {
    /// Adds a token. What has expired goes; where too many people's sessions pile up, the least recently used goes.
    ///
    /// # Errors
    /// The database refuses, or the account is gone (a foreign key).
    pub async fn add_token(&self, token: &Token, now: UnixSeconds) -> Result<Result<(), TokensFull>, Error> {
        let mut transaction = self.database.transaction().await?;
        // Counted and inserted in one section, or two at once would both be the last.
        transaction.exclusive("playback tokens").await?;
        let added = make_room(&mut transaction, token.account, token.kind, now).await?;
        if added.is_ok() {
            insert(&mut transaction, token).await?;
            transaction.commit().await?;
        }
        Ok(added)
    }

    /// The token of this digest with its account; whether it is still good is for the caller to say.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn token(&self, digest: &Digest) -> Result<Option<(Token, Account)>, Error> {
        let sql = "SELECT t.id, t.account, t.kind, t.digest, t.scopes, t.client, t.created, t.last_used, t.expires, \
                   a.id, a.name, a.shown_as, a.plan, a.territory, a.is_admin, a.must_change_password, a.quality, \
                   a.data_saver, a.normalise \
                   FROM account_tokens t JOIN accounts a ON a.id = t.account WHERE t.digest = $1";
        let rows = self.database.point(sql, vec![digest.as_bytes().as_slice().into()]).await?;
        rows.first().map(with_account).transpose()
    }

    /// The app passwords of the account of this name; none if there is no such account.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn app_passwords(&self, name: &UserName) -> Result<Vec<(Token, Account)>, Error> {
        let sql = "SELECT t.id, t.account, t.kind, t.digest, t.scopes, t.client, t.created, t.last_used, t.expires, \
                   a.id, a.name, a.shown_as, a.plan, a.territory, a.is_admin, a.must_change_password, a.quality, \
                   a.data_saver, a.normalise \
                   FROM account_tokens t JOIN accounts a ON a.id = t.account \
                   WHERE a.name = $1 AND t.kind = 'app-password' ORDER BY t.id";
        self.database.rows(sql, vec![name.as_str().into()]).await?.iter().map(with_account).collect()
    }

    /// All tokens of an account, oldest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn tokens(&self, account: AccountId) -> Result<Vec<Token>, Error> {
        let sql = "SELECT id, account, kind, digest, scopes, client, created, last_used, expires \
                   FROM account_tokens WHERE account = $1 ORDER BY created, id";
        self.database.rows(sql, vec![account.as_str().into()]).await?.iter().map(token).collect()
    }

    /// Ends a token of this account, and those of the same consent; false if the account has none of that id.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn revoke_token(&self, account: AccountId, id: TokenId) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        let sql = "SELECT family FROM oauth_tokens WHERE token = $1";
        let family = transaction.row(sql, vec![id.as_str().into()]).await?;
        let family = family.map(|row| parsed(&row, 0, |text| TokenId::parse(text).ok())).transpose()?;
        let sql = "DELETE FROM account_tokens WHERE id = $1 AND account = $2";
        let values = vec![id.as_str().into(), account.as_str().into()];
        let ended = transaction.execute(sql, values).await? == 1;
        if let (true, Some(family)) = (ended, family) {
            oauth::end_family(&mut transaction, family).await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }

    /// Writes down when tokens were used, all at once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn write_uses(&self, uses: &BTreeMap<TokenId, UnixSeconds>) -> Result<(), Error> {
        let mut transaction = self.database.transaction().await?;
        for (id, at) in uses {
            let sql = "UPDATE account_tokens SET last_used = $2 \
                       WHERE id = $1 AND (last_used IS NULL OR last_used < $2)";
            transaction.execute(sql, vec![id.as_str().into(), at.0.into()]).await?;
        }
        transaction.commit().await
    }

    /// Forgets tokens that have expired.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge_tokens(&self, now: UnixSeconds) -> Result<u64, Error> {
        self.database.execute("DELETE FROM account_tokens WHERE expires <= $1", vec![now.0.into()]).await
    }
}

/// Kinds that are made without asking: the oldest makes room. The others were given to a program by hand.
fn is_transient(kind: Kind) -> bool {
    matches!(kind, Kind::Session | Kind::Access | Kind::Refresh | Kind::Client)
}

pub(super) async fn make_room(
    transaction: &mut Transaction,
    account: AccountId,
    kind: Kind,
    now: UnixSeconds,
) -> Result<Result<(), TokensFull>, Error> {
    let expired = "DELETE FROM account_tokens WHERE account = $1 AND expires <= $2";
    transaction.execute(expired, vec![account.as_str().into(), now.0.into()]).await?;
    let sql = "SELECT id FROM account_tokens WHERE account = $1 AND kind = $2 \
               ORDER BY COALESCE(last_used, created) DESC, id";
    let there = transaction.rows(sql, vec![account.as_str().into(), kind.name().into()]).await?;
    if there.len() >= TOKENS_MAX && !is_transient(kind) {
        return Ok(Err(TokensFull));
    }
    for row in there.iter().skip(TOKENS_MAX - 1) {
        let id: String = row.get(0)?;
        transaction.execute("DELETE FROM account_tokens WHERE id = $1", vec![id.into()]).await?;
    }
    Ok(Ok(()))
}

pub(super) async fn insert(transaction: &mut Transaction, token: &Token) -> Result<(), Error> {
    let sql = "INSERT INTO account_tokens (id, account, kind, digest, scopes, client, created, last_used, expires) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = vec![
        token.id.as_str().into(),
        token.account.as_str().into(),
        token.kind.name().into(),
        token.digest.as_bytes().as_slice().into(),
        token.scopes.to_string().into(),
        token.client.as_str().into(),
        token.created.0.into(),
        token.last_used.map(|at| at.0).into(),
        token.expires.map(|at| at.0).into(),
    ];
    transaction.execute(sql, values).await.map(drop)
}

/// Ends everything that came from signing in, but for one; what was made by hand for a program stays.
pub(super) async fn end_sessions(
    transaction: &mut Transaction,
    account: AccountId,
    keep: Option<TokenId>,
) -> Result<(), Error> {
    let sql = "DELETE FROM account_tokens WHERE account = $1 AND id <> $2 \
               AND kind IN ('session', 'access', 'refresh', 'client')";
    let keep = keep.map_or(String::new(), |id| id.to_string());
    transaction.execute(sql, vec![account.as_str().into(), keep.into()]).await.map(drop)
}

pub(super) fn with_account(row: &Row) -> Result<(Token, Account), Error> {
    Ok((token(row)?, accounts::account(row, COLUMNS)?))
}

fn token(row: &Row) -> Result<Token, Error> {
    let digest: Vec<u8> = row.get(3)?;
    Ok(Token {
        id: parsed(row, 0, |text| TokenId::parse(text).ok())?,
        account: parsed(row, 1, |text| AccountId::parse(text).ok())?,
        kind: parsed(row, 2, Kind::from_name)?,
        digest: Digest::from_bytes(digest.try_into().map_err(|_| damaged(3))?),
        scopes: parsed(row, 4, |text| Some(Scopes::parse(text)))?,
        client: parsed(row, 5, |text| DisplayName::parse(text).ok())?,
        created: UnixSeconds(row.get(6)?),
        last_used: row.get::<Option<u64>>(7)?.map(UnixSeconds),
        expires: row.get::<Option<u64>>(8)?.map(UnixSeconds),
    })
}
