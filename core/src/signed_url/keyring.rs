//! The keys of a region: exactly one signs, several verify, retired ones do nothing.
//!
//! Rotation without a gap has three steps, each rolled out everywhere before the next:
//! [`add`](Keyring::add) a key that verifies, [`promote`](Keyring::promote) it (the former one
//! goes on verifying), and when the last URL of the former has expired,
//! [`retire`](Keyring::retire) it.
//!
//! The key file is TOML:
//!
//! ```toml
//! [[key]]
//! id = "eu-2026-11"
//! state = "signing"            # or "verifying", "retired"
//! secret = "..."               # 32 random bytes in base64url: 43 characters
//! ```

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};

use super::canonical::is_word;

/// Most keys in a ring: a year of weekly rotations; more is a mistake.
pub const KEYS_MAX: usize = 64;

/// The name of a key: 1 to 32 characters of `A-Za-z0-9._-`. It is public.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// Longest name in characters.
    pub const MAX_CHARS: usize = 32;

    /// The text as it is, if it can be a key's name.
    pub fn parse(text: &str) -> Option<Self> {
        is_word(text, Self::MAX_CHARS).then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// 32 secret bytes; never printed, except into a key file.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret made of these bytes, which the caller has from a good source of randomness.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 43 canonical base64url characters.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
        (decoded.len() == 32).then_some(Self(bytes))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Signs new URLs, and verifies.
    Signing,
    /// Verifies.
    Verifying,
    /// Nothing: its URLs are refused. Kept so that its name is not used again.
    Retired,
}

impl KeyState {
    /// The word used in the key file.
    pub fn name(self) -> &'static str {
        match self {
            KeyState::Signing => "signing",
            KeyState::Verifying => "verifying",
            KeyState::Retired => "retired",
        }
    }
}

/// One key of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub id: KeyId,
    /// What it may do.
    pub state: KeyState,
    secret: Secret,
}

/// Why keys do not make a ring, or a step of rotation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The file is not TOML of the right shape. The text says where, and never quotes a secret.
    #[error("the key file cannot be read: {0}")]
    Syntax(String),
    /// A key's name is not 1 to 32 characters of `A-Za-z0-9._-`.
    #[error("key {0}: an id is 1 to 32 characters of A-Za-z0-9._-")]
    Id(usize),
    /// A secret is not 32 bytes in canonical base64url.
    #[error("key `{0}`: a secret is 32 bytes in base64url (43 characters, no padding)")]
    Secret(KeyId),
    /// Two keys of one name.
    #[error("key `{0}` appears twice")]
    Duplicate(KeyId),
    /// Not exactly one key signs.
    #[error("exactly one key must be in state `signing`, but {0} are")]
    Signers(usize),
    /// More than [`KEYS_MAX`] keys.
    #[error("more than 64 keys")]
    TooMany,
    /// There is no key of that name.
    #[error("there is no key `{0}`")]
    Unknown(KeyId),
    /// The key that signs cannot be retired or removed: promote another one first.
    #[error("key `{0}` is the one that signs: promote another key first")]
    InUse(KeyId),
    /// A retired key cannot come back: its URLs were declared void.
    #[error("key `{0}` is retired and stays so")]
    Retired(KeyId),
}

/// Keys of which exactly one signs. At most [`KEYS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: String,
    state: KeyState,
    secret: String,
}

impl Keyring {
    /// A ring of one key, which signs.
    pub fn new(id: KeyId, secret: Secret) -> Self {
        Self { keys: vec![Key { id, state: KeyState::Signing, secret }] }
    }

    /// Reads the text of a key file.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let file: KeyFile = toml::from_str(text).map_err(|error| KeyringError::Syntax(place_of(&error, text)))?;
        if file.key.len() > KEYS_MAX {
            return Err(KeyringError::TooMany);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(file.key.len());
        for (index, entry) in file.key.into_iter().enumerate() {
            let id = KeyId::parse(&entry.id).ok_or(KeyringError::Id(index + 1))?;
            if keys.iter().any(|known| known.id == id) {
                return Err(KeyringError::Duplicate(id));
            }
            let secret = Secret::parse(&entry.secret).ok_or_else(|| KeyringError::Secret(id.clone()))?;
            keys.push(Key { id, state: entry.state, secret });
        }
        match keys.iter().filter(|key| key.state == KeyState::Signing).count() {
            1 => Ok(Self { keys }),
            signers => Err(KeyringError::Signers(signers)),
        }
    }

    /// The text of the key file; holds the secrets. [`parse`](Self::parse) reads it back.
    pub fn to_file(&self) -> String {
        let mut text =
            String::from("# Keys of signed URLs. Whoever reads this file can sign: keep its mode at 0600.\n");
        for key in &self.keys {
            let secret = Base64UrlUnpadded::encode_string(key.secret.expose());
            text.push_str(&format!(
                "\n[[key]]\nid = \"{}\"\nstate = \"{}\"\nsecret = \"{secret}\"\n",
                key.id,
                key.state.name()
            ));
        }
        text
    }

    /// The keys, in the order of the file.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds a key that verifies.
    pub fn add(&mut self, id: KeyId, secret: Secret) -> Result<(), KeyringError> {
        if self.keys.iter().any(|known| known.id == id) {
            return Err(KeyringError::Duplicate(id));
        }
        if self.keys.len() == KEYS_MAX {
            return Err(KeyringError::TooMany);
        }
        self.keys.push(Key { id, state: KeyState::Verifying, secret });
        Ok(())
    }

    /// Makes this key the one that signs; the former one goes on verifying.
    pub fn promote(&mut self, id: &KeyId) -> Result<(), KeyringError> {
        let index = self.index_of(id)?;
        if self.keys[index].state == KeyState::Retired {
            return Err(KeyringError::Retired(id.clone()));
        }
        for key in self.keys.iter_mut().filter(|key| key.state == KeyState::Signing) {
            key.state = KeyState::Verifying;
        }
        self.keys[index].state = KeyState::Signing;
        Ok(())
    }

    /// Ends a key: from now on its URLs are refused.
    pub fn retire(&mut self, id: &KeyId) -> Result<(), KeyringError> {
        let index = self.index_of_idle(id)?;
        self.keys[index].state = KeyState::Retired;
        Ok(())
    }

    /// Forgets a key altogether.
    pub fn remove(&mut self, id: &KeyId) -> Result<(), KeyringError> {
        let index = self.index_of_idle(id)?;
        self.keys.remove(index);
        Ok(())
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> (&KeyId, &Secret) {
        let key = self.keys.iter().find(|key| key.state == KeyState::Signing).expect("a ring has one key that signs");
        (&key.id, &key.secret)
    }

    /// The name of the key that signs.
    pub fn signing_id(&self) -> &KeyId {
        self.signing().0
    }

    /// The secret of a key whose signatures count.
    pub(super) fn verifying(&self, id: &KeyId) -> Option<&Secret> {
        let key = self.keys.iter().find(|key| key.id == *id)?;
        (key.state != KeyState::Retired).then_some(&key.secret)
    }

    fn index_of(&self, id: &KeyId) -> Result<usize, KeyringError> {
        self.keys.iter().position(|key| key.id == *id).ok_or_else(|| KeyringError::Unknown(id.clone()))
    }

    /// The place of a key that does not sign.
    fn index_of_idle(&self, id: &KeyId) -> Result<usize, KeyringError> {
        let index = self.index_of(id)?;
        match self.keys[index].state {
            KeyState::Signing => Err(KeyringError::InUse(id.clone())),
            KeyState::Verifying | KeyState::Retired => Ok(index),
        }
    }
}

/// Line and message of a TOML error. Its own `Display` quotes the line, and a message may quote
/// a value or a long word: either might be a secret.
fn place_of(error: &toml::de::Error, text: &str) -> String {
    let quotes_something =
        |message: &&str| message.contains('"') || message.split([' ', '`']).any(|word| word.len() > 24);
    let message =
        Some(error.message()).filter(|message| !quotes_something(message)).unwrap_or("not of the expected form");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
