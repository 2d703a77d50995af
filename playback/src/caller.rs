//! Somebody who was let in: the account, and what the credential in use allows.

use needledrop_core::{TokenId, UnixSeconds};

use crate::account::{Account, DisplayName};
use crate::scope::{Scope, Scopes};
use crate::token::{Kind, Token};

/// Somebody who was let in. Made only from a credential that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    account: Account,
    token: TokenId,
    kind: Kind,
    scopes: Scopes,
    client: DisplayName,
    expires: Option<UnixSeconds>,
}

/// The credential does not allow this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential does not allow `{}`", .0.name())]
pub struct NotAllowed(pub Scope);

impl Caller {
    /// Whoever holds this token of this account. The caller has seen the secret.
    pub(crate) fn new(token: &Token, account: Account) -> Self {
        Self {
            scopes: effective(token.scopes, &account),
            token: token.id,
            kind: token.kind,
            client: token.client.clone(),
            expires: token.expires,
            account,
        }
    }

    /// Refuses what the credential does not allow.
    ///
    /// # Errors
    /// It does not.
    pub fn may(&self, scope: Scope) -> Result<(), NotAllowed> {
        if self.scopes.allow(scope) { Ok(()) } else { Err(NotAllowed(scope)) }
    }

    /// Whether the credential is still good.
    pub fn is_alive(&self, now: UnixSeconds) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whose it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The credential's public name.
    pub fn token(&self) -> TokenId {
        self.token
    }

    /// What kind of credential.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it allows at the moment.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The program or device that holds it.
    pub fn client(&self) -> &DisplayName {
        &self.client
    }
}

/// What a token's scopes come to on this account: everybody reads the catalog, nobody administers who is no
/// administrator, and who must change his password can do that and nothing else.
fn effective(scopes: Scopes, account: &Account) -> Scopes {
    if account.must_change_password {
        return scopes.and([Scope::Account].into_iter().collect());
    }
    scopes.iter().chain([Scope::CatalogRead]).filter(|scope| *scope != Scope::Admin || account.is_admin).collect()
}
