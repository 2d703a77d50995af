//! Credentials that programs hold: made of randomness, shown once, kept as a digest.
//!
//! A bearer token has 256 bits, so a plain SHA-256 of it cannot be guessed back and needs no salt. An app password
//! must be known again in the clear, because the Subsonic protocol proves it as `md5(password + salt)`; it is
//! therefore not stored at all but derived from the server's key and the credential's public id whenever it is
//! needed. Compared with storing it encrypted under the same key there is no ciphertext to lose and no nonce to
//! repeat, and the database alone says nothing about it.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use md5::Md5;
use needledrop_core::{AccountId, TokenId, UnixSeconds};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::account::DisplayName;
use crate::scope::Scopes;
use crate::server_key::{Purpose, ServerKey};

/// Most credentials of an account: every device, program and site of a family several times over. Bounds what one
/// proof by `md5` must try, and what one account can fill.
pub const TOKENS_MAX: usize = 100;

/// How often the last use is written, in seconds: who looks wants to know the day, and a write for each request
/// would cost more than the request.
pub const USE_WRITTEN_EVERY_SECONDS: u64 = 60;

/// Longest secret that is looked at, in bytes; ours are 47.
const SECRET_BYTES_MAX: usize = 128;

/// Longest salt of the Subsonic proof, in bytes; clients send 6 to 36.
const SALT_BYTES_MAX: usize = 256;

/// What kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person signed in.
    Session,
    /// A password for one client program.
    AppPassword,
    /// A key for one client program.
    ApiKey,
    /// OAuth: short, renewed with a refresh token.
    Access,
    /// OAuth: gives new access tokens, and nothing else.
    Refresh,
    /// OAuth: a program's own, without anybody who agreed: reads the catalog.
    Client,
    /// Part of the address of a feed, for one podcast program: opens feeds and the sound in them, and nothing else.
    Feed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] =
        [Kind::Session, Kind::AppPassword, Kind::ApiKey, Kind::Access, Kind::Refresh, Kind::Client, Kind::Feed];

    /// The word for it in storage and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Session => "session",
            Kind::AppPassword => "app-password",
            Kind::ApiKey => "api-key",
            Kind::Access => "access",
            Kind::Refresh => "refresh",
            Kind::Client => "client",
            Kind::Feed => "feed",
        }
    }

    /// The kind of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How long it is good for, in seconds; None until it is revoked.
    pub fn lifetime_seconds(self) -> Option<u64> {
        const DAY: u64 = 86_400;
        match self {
            Kind::Session => Some(90 * DAY),
            Kind::AppPassword | Kind::ApiKey | Kind::Feed => None,
            Kind::Access | Kind::Client => Some(3_600),
            Kind::Refresh => Some(180 * DAY),
        }
    }

    /// What a secret of this kind begins with, so that scanners of source code find leaked ones.
    fn prefix(self) -> &'static str {
        match self {
            Kind::Session => "nds_",
            Kind::AppPassword => "",
            Kind::ApiKey => "ndk_",
            Kind::Access => "nda_",
            Kind::Refresh => "ndr_",
            Kind::Client => "ndc_",
            Kind::Feed => "ndf_",
        }
    }

    /// Whether it lets anybody in by itself; a refresh token is only good for another token, and what stands in the
    /// address of a feed only for feeds.
    pub fn authenticates(self) -> bool {
        !matches!(self, Kind::Refresh | Kind::Feed)
    }
}

/// A credential in the clear; never printed but by who shows it once.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// A new bearer token of 256 random bits. App passwords are [derived](Self::app_password).
    pub fn bearer(kind: Kind, random: [u8; 32]) -> Self {
        Self(format!("{}{}", kind.prefix(), Base64UrlUnpadded::encode_string(&random)).into())
    }

    /// What a program proves itself with, of 256 random bits.
    pub fn of_client(random: [u8; 32]) -> Self {
        Self(format!("ndp_{}", Base64UrlUnpadded::encode_string(&random)).into())
    }

    /// A code that is exchanged for tokens, of 256 random bits.
    pub fn code(random: [u8; 32]) -> Self {
        Self(format!("ndo_{}", Base64UrlUnpadded::encode_string(&random)).into())
    }

    /// What somebody makes an account with, of 256 random bits.
    pub fn invitation(random: [u8; 32]) -> Self {
        Self(format!("ndi_{}", Base64UrlUnpadded::encode_string(&random)).into())
    }

    /// The secret of an app password: 24 characters that can be typed on a phone, 120 bits, far beyond what can be
    /// tried even against an `md5` that was overheard.
    pub fn app_password(key: &ServerKey, id: TokenId) -> Self {
        // Crockford's base 32: no i, l, o or u.
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        const CHARS: usize = 24;
        let derived = key.derive(Purpose::AppPassword, &[id.as_str().as_bytes()]);
        // 256 is a multiple of 32: each character is equally likely.
        Self(
            derived[..CHARS].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect::<String>().into(),
        )
    }

    /// A credential that somebody presents; None if it is longer than any of ours.
    pub fn present(text: &str) -> Option<Self> {
        (1..=SECRET_BYTES_MAX).contains(&text.len()).then(|| Self(text.into()))
    }

    /// The text, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// SHA-256 of a credential. Equality takes the same time for all.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes, as storage has them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

/// What is kept of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its public name.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
    /// What kind.
    pub kind: Kind,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The program or device that holds it.
    pub client: DisplayName,
    /// When it was made.
    pub created: UnixSeconds,
    /// When it was last used, to the minute.
    pub last_used: Option<UnixSeconds>,
    /// The first second in which it is no longer good.
    pub expires: Option<UnixSeconds>,
}

impl Token {
    /// Whether a secret of this digest is this credential, and still good.
    pub fn admits(&self, presented: &Digest, now: UnixSeconds) -> bool {
        self.digest == *presented && self.is_alive(now)
    }

    /// Whether it is still good.
    pub fn is_alive(&self, now: UnixSeconds) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether this use is to be written down.
    pub fn use_is_news(&self, now: UnixSeconds) -> bool {
        self.last_used.is_none_or(|last| now.since(last) >= USE_WRITTEN_EVERY_SECONDS)
    }
}

/// The proof `t`, `s` of the Subsonic protocol: `t = md5(password + salt)` in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Md5Proof {
    token: [u8; 16],
    salt: Box<str>,
}

impl Md5Proof {
    /// Reads the two parameters; None if they cannot be a proof.
    pub fn parse(token: &str, salt: &str) -> Option<Self> {
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX || token.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(token.as_bytes().chunks_exact(2)) {
            let digit = |character: u8| char::from(character).to_digit(16);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self { token: bytes, salt: salt.into() })
    }

    /// Whether the secret was known to who made the proof. In constant time.
    pub fn proves(&self, secret: &Secret) -> bool {
        let sum = Md5::new().chain_update(secret.0.as_bytes()).chain_update(self.salt.as_bytes()).finalize();
        sum.as_slice().ct_eq(&self.token).into()
    }
}

#[cfg(test)]
mod tests;
