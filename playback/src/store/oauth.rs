//! Programs of other people, what they were allowed, and what came of it.

use needledrop_core::{AccountId, ClientId, TokenId, UnixSeconds};
use needledrop_database::{Error, Row, Transaction};

use super::Store;
use super::read::{damaged, parsed};
use super::tokens::{insert, make_room, with_account};
use crate::account::{Account, DisplayName};
use crate::oauth::{CLIENTS_MAX, CODE_REMEMBERED_SECONDS, Challenge, Client, Code, RedirectUri};
use crate::scope::Scopes;
use crate::token::{Digest, Token};

/// Codes of one account that wait to be exchanged: a person does not agree ten times in a minute.
const CODES_MAX: u64 = 10;

/// What somebody presents as a refresh token.
#[derive(Clone, Debug)]
pub enum Presented {
    /// One that is good, of this program's family.
    Good {
        /// The token.
        token: Box<Token>,
        /// Whose it is.
        account: Box<Account>,
        /// The program it was given to.
        client: ClientId,
        /// What came of the same consent.
        family: TokenId,
    },
    /// One that was exchanged before.
    Spent {
        /// The program it was given to.
        client: ClientId,
        /// What came of the same consent.
        family: TokenId,
    },
    /// None of ours.
    Unknown,
}

impl Store {
    /// Adds a program; false if the account has as many as it may have.
    ///
    /// # Errors
    /// The database refuses, or the account is gone (a foreign key).
    pub async fn add_client(&self, client: &Client) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive("playback clients").await?;
        let sql = "SELECT count(*) FROM oauth_clients WHERE account = $1";
        let counted = transaction.row(sql, vec![client.account.as_str().into()]).await?;
        if counted.expect("a count has a row").get::<u64>(0)? >= CLIENTS_MAX as u64 {
            return Ok(false);
        }
        let sql = "INSERT INTO oauth_clients (id, account, name, secret, redirects, created) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let redirects: Vec<&str> = client.redirects.iter().map(RedirectUri::as_str).collect();
        let values = vec![
            client.id.as_str().into(),
            client.account.as_str().into(),
            client.name.as_str().into(),
            client.secret.map(|secret| secret.as_bytes().to_vec()).into(),
            redirects.join("\n").into(),
            client.created.0.into(),
        ];
        transaction.execute(sql, values).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The program of this id.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn client(&self, id: ClientId) -> Result<Option<Client>, Error> {
        let sql = "SELECT id, account, name, secret, redirects, created FROM oauth_clients WHERE id = $1";
        self.database.row(sql, vec![id.as_str().into()]).await?.as_ref().map(client).transpose()
    }

    /// The programs that an account registered, oldest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn clients(&self, account: AccountId) -> Result<Vec<Client>, Error> {
        let sql = "SELECT id, account, name, secret, redirects, created FROM oauth_clients WHERE account = $1 \
                   ORDER BY created, id";
        self.database.rows(sql, vec![account.as_str().into()]).await?.iter().map(client).collect()
    }

    /// Forgets a program of this account and ends all that it was given, by whomever; false if there is none.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn remove_client(&self, account: AccountId, id: ClientId) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        let sql = "SELECT id FROM oauth_clients WHERE id = $1 AND account = $2";
        if transaction.row(sql, vec![id.as_str().into(), account.as_str().into()]).await?.is_none() {
            return Ok(false);
        }
        let sql = "DELETE FROM account_tokens WHERE id IN (SELECT t.token FROM oauth_tokens t \
                   JOIN oauth_families f ON f.id = t.family WHERE f.client = $1)";
        transaction.execute(sql, vec![id.as_str().into()]).await?;
        transaction.execute("DELETE FROM oauth_clients WHERE id = $1", vec![id.as_str().into()]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Keeps a code until it is exchanged. Of too many that wait, the account's oldest go.
    ///
    /// # Errors
    /// The database refuses, or account or program are gone (a foreign key).
    pub async fn add_code(&self, code: &Code) -> Result<(), Error> {
        let mut transaction = self.database.transaction().await?;
        let sql = "DELETE FROM oauth_codes WHERE account = $1 AND family IS NULL AND digest NOT IN \
                   (SELECT digest FROM oauth_codes WHERE account = $1 AND family IS NULL \
                   ORDER BY expires DESC LIMIT $2)";
        transaction.execute(sql, vec![code.account.as_str().into(), (CODES_MAX - 1).into()]).await?;
        let sql = "INSERT INTO oauth_codes (digest, client, account, redirect, scopes, challenge, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = vec![
            code.digest.as_bytes().as_slice().into(),
            code.client.as_str().into(),
            code.account.as_str().into(),
            code.redirect.as_deref().into(),
            code.scopes.to_string().into(),
            code.challenge.map(|challenge| challenge.as_bytes().to_vec()).into(),
            code.expires.0.into(),
        ];
        transaction.execute(sql, values).await?;
        transaction.commit().await
    }

    /// The code of this digest, with the account that agreed.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn code(&self, digest: &Digest) -> Result<Option<Code>, Error> {
        let sql = "SELECT digest, client, account, redirect, scopes, challenge, expires, family FROM oauth_codes \
                   WHERE digest = $1";
        let row = self.database.row(sql, vec![digest.as_bytes().as_slice().into()]).await?;
        row.as_ref().map(code).transpose()
    }

    /// Exchanges a code for these tokens of a new family; false if somebody else did so meanwhile.
    ///
    /// # Errors
    /// The database refuses, or account or program are gone (a foreign key).
    pub async fn exchange_code(
        &self,
        code: &Code,
        family: TokenId,
        tokens: &[Token],
        now: UnixSeconds,
    ) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive("playback tokens").await?;
        let sql = "UPDATE oauth_codes SET family = $2 WHERE digest = $1 AND family IS NULL";
        let values = vec![code.digest.as_bytes().as_slice().into(), family.as_str().into()];
        if transaction.execute(sql, values).await? == 0 {
            return Ok(false);
        }
        add_family(&mut transaction, family, code.client, code.account, now).await?;
        add_tokens(&mut transaction, family, tokens, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// A token of a program's own, in a family of its own.
    ///
    /// # Errors
    /// The database refuses, or the program is gone (a foreign key).
    pub async fn add_client_token(
        &self,
        client: &Client,
        family: TokenId,
        token: &Token,
        now: UnixSeconds,
    ) -> Result<(), Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive("playback tokens").await?;
        add_family(&mut transaction, family, client.id, client.account, now).await?;
        add_tokens(&mut transaction, family, std::slice::from_ref(token), now).await?;
        transaction.commit().await
    }

    /// What a refresh token of this digest is.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn presented(&self, digest: &Digest) -> Result<Presented, Error> {
        let sql = "SELECT t.id, t.account, t.kind, t.digest, t.scopes, t.client, t.created, t.last_used, t.expires, \
                   a.id, a.name, a.shown_as, a.plan, a.territory, a.is_admin, a.must_change_password, a.quality, \
                   a.data_saver, a.normalise, f.client, f.id \
                   FROM account_tokens t JOIN accounts a ON a.id = t.account JOIN oauth_tokens o ON o.token = t.id \
                   JOIN oauth_families f ON f.id = o.family WHERE t.digest = $1";
        let values = || vec![digest.as_bytes().as_slice().into()];
        if let Some(row) = self.database.row(sql, values()).await? {
            let (token, account) = with_account(&row)?;
            let (token, account) = (Box::new(token), Box::new(account));
            let client = parsed(&row, 19, |text| ClientId::parse(text).ok())?;
            return Ok(Presented::Good { token, account, client, family: family_at(&row, 20)? });
        }
        let sql =
            "SELECT f.client, f.id FROM oauth_spent s JOIN oauth_families f ON f.id = s.family WHERE s.digest = $1";
        match self.database.row(sql, values()).await? {
            Some(row) => {
                let client = parsed(&row, 0, |text| ClientId::parse(text).ok())?;
                Ok(Presented::Spent { client, family: family_at(&row, 1)? })
            }
            None => Ok(Presented::Unknown),
        }
    }

    /// Exchanges a refresh token for these tokens of its family; false if somebody else did so meanwhile.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn exchange_refresh(
        &self,
        spent: &Token,
        family: TokenId,
        tokens: &[Token],
        now: UnixSeconds,
    ) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive("playback tokens").await?;
        let sql = "DELETE FROM account_tokens WHERE id = $1";
        if transaction.execute(sql, vec![spent.id.as_str().into()]).await? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO oauth_spent (digest, family, expires) VALUES ($1, $2, $3)";
        let expires = spent.expires.unwrap_or(now);
        let values = vec![spent.digest.as_bytes().as_slice().into(), family.as_str().into(), expires.0.into()];
        transaction.execute(sql, values).await?;
        add_tokens(&mut transaction, family, tokens, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends everything that came of one consent.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn end_family(&self, family: TokenId) -> Result<(), Error> {
        let mut transaction = self.database.transaction().await?;
        end_family(&mut transaction, family).await?;
        transaction.commit().await
    }

    /// Forgets what nobody can use any more.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge_oauth(&self, now: UnixSeconds) -> Result<u64, Error> {
        let over = now.minus(CODE_REMEMBERED_SECONDS);
        let codes = self.database.execute("DELETE FROM oauth_codes WHERE expires <= $1", vec![over.0.into()]).await?;
        let sql = "DELETE FROM oauth_spent WHERE expires <= $1";
        let spent = self.database.execute(sql, vec![now.0.into()]).await?;
        let sql = "DELETE FROM oauth_families WHERE created <= $1 \
                   AND NOT EXISTS (SELECT 1 FROM oauth_tokens t WHERE t.family = oauth_families.id)";
        Ok(codes + spent + self.database.execute(sql, vec![over.0.into()]).await?)
    }
}

/// Ends everything that came of one consent.
pub(super) async fn end_family(transaction: &mut Transaction, family: TokenId) -> Result<(), Error> {
    let sql = "DELETE FROM account_tokens WHERE id IN (SELECT token FROM oauth_tokens WHERE family = $1)";
    transaction.execute(sql, vec![family.as_str().into()]).await?;
    transaction.execute("DELETE FROM oauth_families WHERE id = $1", vec![family.as_str().into()]).await.map(drop)
}

async fn add_family(
    transaction: &mut Transaction,
    family: TokenId,
    client: ClientId,
    account: AccountId,
    now: UnixSeconds,
) -> Result<(), Error> {
    let sql = "INSERT INTO oauth_families (id, client, account, created) VALUES ($1, $2, $3, $4)";
    let values = vec![family.as_str().into(), client.as_str().into(), account.as_str().into(), now.0.into()];
    transaction.execute(sql, values).await.map(drop)
}

/// Their kinds make room by themselves: the oldest of too many goes.
async fn add_tokens(
    transaction: &mut Transaction,
    family: TokenId,
    tokens: &[Token],
    now: UnixSeconds,
) -> Result<(), Error> {
    for token in tokens {
        let room = make_room(transaction, token.account, token.kind, now).await?;
        debug_assert!(room.is_ok(), "tokens of OAuth make room");
        insert(transaction, token).await?;
        let sql = "INSERT INTO oauth_tokens (token, family) VALUES ($1, $2)";
        transaction.execute(sql, vec![token.id.as_str().into(), family.as_str().into()]).await?;
    }
    Ok(())
}

fn client(row: &Row) -> Result<Client, Error> {
    let addresses = |text: &str| text.lines().map(|line| RedirectUri::parse(line).ok()).collect::<Option<Vec<_>>>();
    Ok(Client {
        id: parsed(row, 0, |text| ClientId::parse(text).ok())?,
        account: parsed(row, 1, |text| AccountId::parse(text).ok())?,
        name: parsed(row, 2, |text| DisplayName::parse(text).ok())?,
        secret: bytes(row, 3)?.map(Digest::from_bytes),
        redirects: parsed(row, 4, addresses)?,
        created: UnixSeconds(row.get(5)?),
    })
}

fn code(row: &Row) -> Result<Code, Error> {
    Ok(Code {
        digest: Digest::from_bytes(bytes(row, 0)?.ok_or_else(|| damaged(0))?),
        client: parsed(row, 1, |text| ClientId::parse(text).ok())?,
        account: parsed(row, 2, |text| AccountId::parse(text).ok())?,
        redirect: row.get::<Option<String>>(3)?.map(Into::into),
        scopes: parsed(row, 4, |text| Some(Scopes::parse(text)))?,
        challenge: bytes(row, 5)?.map(Challenge::from_bytes),
        expires: UnixSeconds(row.get(6)?),
        family: match row.get::<Option<String>>(7)? {
            Some(_) => Some(family_at(row, 7)?),
            None => None,
        },
    })
}

fn family_at(row: &Row, index: usize) -> Result<TokenId, Error> {
    parsed(row, index, |text| TokenId::parse(text).ok())
}

fn bytes(row: &Row, index: usize) -> Result<Option<[u8; 32]>, Error> {
    let bytes: Option<Vec<u8>> = row.get(index)?;
    bytes.map(|bytes| bytes.try_into().map_err(|_| damaged(index))).transpose()
}
