//! Signed URLs: the right to read one object until a moment, as text.
//!
//! ```text
//! /tracks/T/R/160.ogg?exp=1760003600&kid=eu-1&pid=P&head=600000&sig=SIG&CMCD=...
//! |<------------- signed: every byte, as it came ---------->|     |  |<- unsigned ->
//!                                             43 base64url characters
//! ```
//!
//! This page holds what a URL can say; `canonical` its one spelling, `sign` and `verify`
//! the two directions, `keyring` the keys. It knows no clock and no request: `now` and the
//! client's address are brought by the caller.

mod canonical;
mod keyring;
mod sign;
mod verify;

use std::fmt;
use std::net::IpAddr;

use crate::id::PlaybackId;
use crate::network::Cidr;
use crate::object_path::ObjectPath;
use crate::refusal::Refusal;
use crate::time::UnixSeconds;

pub use keyring::{KEYS_MAX, Key, KeyId, KeyState, Keyring, KeyringError, Secret};
pub use sign::sign;
pub use verify::verify;

/// Longest target that is looked at, in bytes. Ours stay below 3,000; the rest is for what
/// players append (CMCD is about 1,000). Longer ones are 414.
pub const TARGET_BYTES_MAX: usize = 8192;

/// How far two honest clocks may differ, in seconds.
pub const SKEW_SECONDS: u64 = 5;

/// What a signed URL says besides the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `exp`: the first second in which the URL is no longer honoured, skew apart.
    pub expires: UnixSeconds,
    /// `nbf`: not before this second.
    pub not_before: Option<UnixSeconds>,
    /// `uid`: a pseudonym that rotates daily, never a raw user id.
    pub user: Option<Pseudonym>,
    /// `pid`: the playback this URL was minted for.
    pub playback: Option<PlaybackId>,
    /// `head`: the bytes of this object's head.
    pub head: Option<HeadBytes>,
    /// `dur`: this object's duration in milliseconds.
    pub duration_ms: Option<u32>,
    /// `next` and `nhead`: what will be played after it.
    pub next: Option<NextObject>,
    /// `ip`: the network of the client it was issued to.
    pub network: Option<Cidr>,
}

impl Claims {
    /// Nothing but an end.
    pub fn until(expires: UnixSeconds) -> Self {
        Self {
            expires,
            not_before: None,
            user: None,
            playback: None,
            head: None,
            duration_ms: None,
            next: None,
            network: None,
        }
    }
}

/// The object that will be played next, so that its head can be fetched ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextObject {
    /// Where it is.
    pub path: ObjectPath,
    /// The bytes of its head, if known.
    pub head: Option<HeadBytes>,
}

/// The length of a head in bytes: 1 to 2 MiB, which bounds what a prefetch can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeadBytes(u32);

impl HeadBytes {
    /// The largest head that may be claimed: 30 s at 559 kbit/s.
    pub const MAX: u32 = 2 * 1024 * 1024;

    /// The number, if it is one that may be claimed.
    pub fn new(bytes: u64) -> Option<Self> {
        u32::try_from(bytes).ok().filter(|bytes| (1..=Self::MAX).contains(bytes)).map(Self)
    }

    /// The number brought into the range that may be claimed.
    pub fn clamped(bytes: u64) -> Self {
        Self(bytes.clamp(1, u64::from(Self::MAX)) as u32)
    }

    /// The length in bytes.
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }
}

/// A user's name of the day: 1 to 64 characters of `A-Za-z0-9._-`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pseudonym(Box<str>);

impl Pseudonym {
    /// Longest pseudonym in characters: a SHA-256 in hexadecimal.
    pub const MAX_CHARS: usize = 64;

    /// The text as it is, if it can stand in a URL unescaped.
    pub fn parse(text: &str) -> Option<Self> {
        canonical::is_word(text, Self::MAX_CHARS).then(|| Self(text.into()))
    }

    /// The pseudonym as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({})", self.0)
    }
}

/// A URL whose signature has been checked: holding one is proof of the right to read `path`
/// at the moment it was verified, apart from [`admit`](Self::admit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUrl {
    path: ObjectPath,
    key: KeyId,
    claims: Claims,
    unsigned_query: Option<Box<str>>,
}

impl SignedUrl {
    /// The object.
    pub fn path(&self) -> &ObjectPath {
        &self.path
    }

    /// The key that signed.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// What was signed besides the path.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What followed the signature, as it came, without its first `&`. Anybody can have
    /// written it: it gives no right.
    pub fn unsigned_query(&self) -> Option<&str> {
        self.unsigned_query.as_deref()
    }

    /// Whether a client at this address may use it: refused if the URL is bound to another network.
    pub fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        match self.claims.network {
            Some(network) if !network.contains(client) => Err(Refusal::OtherNetwork),
            _ => Ok(()),
        }
    }

    /// For how many more seconds it is honoured: what bounds a client's own caching.
    pub fn seconds_left(&self, now: UnixSeconds) -> u64 {
        self.claims.expires.since(now)
    }
}

#[cfg(test)]
mod tests;
