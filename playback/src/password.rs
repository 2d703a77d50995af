//! Login passwords: argon2id, one way only.
//!
//! Pure: the salt is brought along, and the caller decides where the 19 MiB and the tens of milliseconds are spent
//! (see [`hasher`](crate::hasher)).

use std::fmt;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};

/// Memory of one hash, in KiB, and passes over it, on one lane: the first choice of OWASP's Password Storage Cheat
/// Sheet for argon2id (m = 19 MiB, t = 2, p = 1), above which a guesser's cost grows no faster than ours.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bytes of the result: 256 bits.
const HASH_BYTES: usize = 32;

/// Bytes of salt: what RFC 9106 (3.1) recommends for passwords.
pub const SALT_BYTES: usize = 16;

/// What is verified where there is no account, so that a name that exists takes no longer than one that does not.
/// The same parameters as ours; nobody knows a password of all zeros' hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password in the clear; never printed.
#[derive(Clone)]
pub struct Password(Box<str>);

impl Password {
    /// Fewest characters of a new one (NIST SP 800-63B, 3.1.1.2).
    pub const CHARS_MIN: usize = 8;

    /// Longest in bytes: sentences fit, and hashing it costs no more than the rest of argon2.
    pub const BYTES_MAX: usize = 1024;

    /// A password that an account may be given.
    ///
    /// # Errors
    /// Too short or too long.
    pub fn choose(text: &str) -> Result<Self, PasswordRefusal> {
        let password = Self::present(text)?;
        match text.chars().count() < Self::CHARS_MIN {
            true => Err(PasswordRefusal::TooShort),
            false => Ok(password),
        }
    }

    /// A password that somebody tries.
    ///
    /// # Errors
    /// Longer than any that was ever taken.
    pub fn present(text: &str) -> Result<Self, PasswordRefusal> {
        match text.len() > Self::BYTES_MAX {
            true => Err(PasswordRefusal::TooLong),
            false => Ok(Self(text.into())),
        }
    }

    /// A password that we make for somebody, to be typed once: 16 characters, 80 bits. In groups of four.
    pub fn one_time(random: [u8; 16]) -> Self {
        // Crockford's base 32: no i, l, o or u. 256 is a multiple of 32: each character is equally likely.
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let characters = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
        Self(groups.join("-").into())
    }

    /// The text, for who prints a one-time password once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Fewer than [`Password::CHARS_MIN`] characters.
    #[error("a password has at least 8 characters")]
    TooShort,
    /// More than [`Password::BYTES_MAX`] bytes.
    #[error("a password has at most 1024 bytes")]
    TooLong,
}

/// What is kept of a password: a PHC string of argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// Reads what [`hash`] made, by this version or an older one.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = phc::PasswordHash::new(text).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        // A damaged row must not take all memory or a reactor's minute.
        let bearable = params.m_cost() <= 16 * MEMORY_KIB && params.t_cost() <= 16 * PASSES && params.p_cost() <= 16;
        (parsed.algorithm.as_str() == "argon2id" && parsed.hash.is_some() && bearable).then(|| Self(text.into()))
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

/// Whether a password is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is, and was hashed with other parameters than today's: hash it anew.
    RightButOld,
    /// It is not, or there is no such account.
    Wrong,
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("parameters that argon2 takes");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What to keep of a password. Takes 19 MiB and tens of milliseconds.
pub fn hash(password: &Password, salt: [u8; SALT_BYTES]) -> PasswordHash {
    let hashed: phc::PasswordHash =
        argon2().hash_password_with_salt(password.0.as_bytes(), &salt).expect("lengths that argon2 takes");
    PasswordHash(hashed.to_string().into())
}

/// Compares in constant time; without an account it does the same work and says wrong.
pub fn verify(password: &Password, known: Option<&PasswordHash>) -> Verdict {
    let text = known.map_or(NOBODY, PasswordHash::as_str);
    let kept = phc::PasswordHash::new(text).expect("a password hash was parsed before");
    let fits = argon2().verify_password(password.0.as_bytes(), &kept).is_ok();
    match (fits && known.is_some(), is_current(&kept)) {
        (false, _) => Verdict::Wrong,
        (true, true) => Verdict::Right,
        (true, false) => Verdict::RightButOld,
    }
}

fn is_current(kept: &phc::PasswordHash) -> bool {
    let ours = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES);
    Params::try_from(kept).is_ok_and(ours) && kept.hash.is_some_and(|hash| hash.len() == HASH_BYTES)
}

#[cfg(test)]
mod tests;
