//! Programs of other people: registered, agreed to, and given tokens. The rules are in [`oauth`](crate::oauth).

use needledrop_core::{ClientId, TokenId, UnixSeconds};

use super::{Error, Issued, Playback, Renewed, locked, random};
use crate::account::{Account, DisplayName};
use crate::caller::Caller;
use crate::oauth::{CODE_SECONDS, Client, Code, REDIRECTS_MAX, RedirectUri, Refusal, Wish};
use crate::scope::{Scope, Scopes};
use crate::store::Presented;
use crate::token::{Kind, Secret};

/// Which program asks, and what it proves that with.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// `client_id`.
    pub client: &'a str,
    /// `client_secret`; None from a program that has none.
    pub secret: Option<&'a str>,
}

/// A program that was just registered: the only moment at which its secret is known.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What is kept of it.
    pub client: Client,
    /// To be shown once; None for a program that cannot keep one.
    pub secret: Option<Secret>,
}

impl Playback {
    /// Registers a program of the caller's, with the addresses it may be answered at.
    ///
    /// # Errors
    /// The credential does not allow it, there are too many programs, or too many addresses.
    pub async fn register_client(
        &self,
        caller: &Caller,
        name: DisplayName,
        redirects: Vec<RedirectUri>,
        is_secret: bool,
        now: UnixSeconds,
    ) -> Result<Registered, Error> {
        caller.may(Scope::Account)?;
        self.may_issue(caller)?;
        if redirects.len() > REDIRECTS_MAX {
            return Err(Error::TokensFull);
        }
        let secret = if is_secret { Some(Secret::of_client(random()?)) } else { None };
        let client = Client {
            id: ClientId::from_random(random()?),
            account: caller.account().id,
            name,
            secret: secret.as_ref().map(Secret::digest),
            redirects,
            created: now,
        };
        match self.store.add_client(&client).await {
            Ok(true) => Ok(Registered { client, secret }),
            Ok(false) => Err(Error::TokensFull),
            // The account was removed a moment ago.
            Err(error) if error.is_foreign_key_violation() => Err(Error::WrongCredential),
            Err(error) => Err(error.into()),
        }
    }

    /// The programs that the caller registered, oldest first.
    ///
    /// # Errors
    /// The credential does not allow it.
    pub async fn clients(&self, caller: &Caller) -> Result<Vec<Client>, Error> {
        caller.may(Scope::Account)?;
        Ok(self.store.clients(caller.account().id).await?)
    }

    /// Forgets a program of the caller's: everything that anybody gave it ends at once.
    ///
    /// # Errors
    /// The credential does not allow it, or there is none of that id.
    pub async fn remove_client(&self, caller: &Caller, id: ClientId) -> Result<(), Error> {
        caller.may(Scope::Account)?;
        let removed = self.store.remove_client(caller.account().id, id).await?;
        // Whose tokens ended is not known here: nobody is believed without a look into storage.
        locked(&self.cache).forget_all();
        if removed { Ok(()) } else { Err(Error::NotFound) }
    }

    /// The program of this id, whoever asks: its name is shown to everybody who is to agree.
    ///
    /// # Errors
    /// There is none.
    pub async fn client(&self, id: &str) -> Result<Client, Error> {
        let id = ClientId::parse(id).map_err(|_| Refusal::CLIENT)?;
        self.store.client(id).await?.ok_or_else(|| Refusal::CLIENT.into())
    }

    /// The caller agrees: a code for the program, good for a minute and one exchange.
    ///
    /// # Errors
    /// The credential does not allow it.
    pub async fn consent(&self, caller: &Caller, wish: &Wish, now: UnixSeconds) -> Result<Secret, Error> {
        caller.may(Scope::Account)?;
        self.may_issue(caller)?;
        let secret = Secret::code(random()?);
        let code = Code {
            digest: secret.digest(),
            client: wish.client.id,
            account: caller.account().id,
            redirect: wish.is_redirect_named.then(|| wish.redirect.as_str().into()),
            scopes: wish.scopes.and(caller.scopes()).and(Scopes::player()),
            challenge: wish.challenge,
            expires: now.plus(CODE_SECONDS),
            family: None,
        };
        match self.store.add_code(&code).await {
            Ok(()) => Ok(secret),
            Err(error) if error.is_foreign_key_violation() => Err(Refusal::CLIENT.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tokens for a code.
    ///
    /// # Errors
    /// The program is not proved, or the code is not good. A code that comes a second time ends what the first exchange
    /// gave (RFC 6749, 4.1.2).
    pub async fn exchange_code(
        &self,
        proof: Proof<'_>,
        code: &str,
        redirect: Option<&str>,
        verifier: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Renewed, Error> {
        let client = self.proved(proof).await?;
        let digest = Secret::present(code).ok_or(Refusal::GRANT)?.digest();
        let code = self.store.code(&digest).await?.ok_or(Refusal::GRANT)?;
        if let (true, Some(family)) = (code.client == client.id, code.family) {
            self.store.end_family(family).await?;
            locked(&self.cache).forget_all();
        }
        code.admits(client.id, redirect, verifier, now)?;
        let account = self.store.account(code.account).await?.ok_or(Refusal::GRANT)?.account;
        let renewed = self.pair(&account, code.scopes, &client, now)?;
        let tokens = [renewed.access.token.clone(), renewed.refresh.token.clone()];
        match self.store.exchange_code(&code, TokenId::from_random(random()?), &tokens, now).await {
            Ok(true) => Ok(renewed),
            Ok(false) => Err(Refusal::GRANT.into()),
            Err(error) if error.is_foreign_key_violation() => Err(Refusal::GRANT.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// New tokens for a refresh token: each is good for one exchange.
    ///
    /// # Errors
    /// The program is not proved, or the token is not good. One that comes a second time was stolen from the program or
    /// from the thief: everything that came of the same consent ends (RFC 9700, 4.14.2).
    pub async fn refresh(&self, proof: Proof<'_>, secret: &str, now: UnixSeconds) -> Result<Renewed, Error> {
        let client = self.proved(proof).await?;
        let digest = Secret::present(secret).ok_or(Refusal::GRANT)?.digest();
        match self.store.presented(&digest).await? {
            Presented::Good { token, account, client: of, family }
                if of == client.id && token.kind == Kind::Refresh && token.admits(&digest, now) =>
            {
                let renewed = self.pair(&account, token.scopes, &client, now)?;
                let tokens = [renewed.access.token.clone(), renewed.refresh.token.clone()];
                match self.store.exchange_refresh(&token, family, &tokens, now).await? {
                    true => Ok(renewed),
                    false => self.stolen(family).await,
                }
            }
            Presented::Spent { client: of, family } if of == client.id => self.stolen(family).await,
            _ => Err(Refusal::GRANT.into()),
        }
    }

    async fn stolen(&self, family: TokenId) -> Result<Renewed, Error> {
        tracing::warn!(%family, "a refresh token came twice: all that came of its consent has ended");
        self.store.end_family(family).await?;
        locked(&self.cache).forget_all();
        Err(Refusal::GRANT.into())
    }

    /// A token of the program's own: it reads the catalog, and is nobody's.
    ///
    /// # Errors
    /// The program is not proved, or has no secret.
    pub async fn client_token(&self, proof: Proof<'_>, now: UnixSeconds) -> Result<Issued, Error> {
        let client = self.proved(proof).await?;
        if client.secret.is_none() {
            return Err(Refusal::NO_SECRET.into());
        }
        let account = self.store.account(client.account).await?.ok_or(Refusal::CLIENT)?.account;
        let name = client.name.clone();
        let issued = Issued::new(&account, Kind::Client, Scopes::NONE, name, now, random()?, random()?);
        self.store.add_client_token(&client, TokenId::from_random(random()?), &issued.token, now).await?;
        Ok(issued)
    }

    /// Ends a token that the program was given, and all of the same consent (RFC 7009). One that is none is no error.
    ///
    /// # Errors
    /// The program is not proved.
    pub async fn revoke_by_client(&self, proof: Proof<'_>, secret: &str) -> Result<(), Error> {
        let client = self.proved(proof).await?;
        let Some(secret) = Secret::present(secret) else { return Ok(()) };
        if let Presented::Good { client: of, family, .. } = self.store.presented(&secret.digest()).await?
            && of == client.id
        {
            self.store.end_family(family).await?;
            locked(&self.cache).forget_all();
        }
        Ok(())
    }

    async fn proved(&self, proof: Proof<'_>) -> Result<Client, Error> {
        let client = self.client(proof.client).await?;
        let secret = match proof.secret {
            Some(text) => Some(Secret::present(text).ok_or(Refusal::CLIENT)?.digest()),
            None => None,
        };
        if client.is_proved_by(secret.as_ref()) { Ok(client) } else { Err(Refusal::CLIENT.into()) }
    }

    fn pair(&self, account: &Account, scopes: Scopes, client: &Client, now: UnixSeconds) -> Result<Renewed, Error> {
        let of =
            |kind| Ok::<_, Error>(Issued::new(account, kind, scopes, client.name.clone(), now, random()?, random()?));
        Ok(Renewed { access: of(Kind::Access)?, refresh: of(Kind::Refresh)? })
    }
}
