//! SHA-256 digests, as the vault writes them: 43 characters of canonical base64url.
//!
//! One type for everything that is named by its bytes: source files, PCM, objects. It knows
//! nothing of what was hashed; `record` and `manifest` say that by their field names.

use std::fmt;
use std::io::{self, Read};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest. Displays and serialises as 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// How much is read at once while a file is hashed.
const READ_BYTES: usize = 256 * 1024;

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of several parts, each preceded by its length, so that no two lists of parts
    /// share a digest by moving a boundary.
    pub fn of_parts(parts: &[&[u8]]) -> Digest {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// Reads `source` to its end. `keep_going` is asked between reads; `None` when it said no.
    pub fn of_reader(source: &mut dyn Read, keep_going: &dyn Fn() -> bool) -> io::Result<Option<Digest>> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if !keep_going() {
                return Ok(None);
            }
            let count = match source.read(&mut buffer) {
                Ok(0) => return Ok(Some(Digest(hasher.finalize().into()))),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..count]);
        }
    }

    /// Reads the text form. `None` unless it is exactly 43 canonical base64url characters.
    pub fn parse(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
        (decoded.len() == 32).then_some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).ok_or_else(|| serde::de::Error::custom("not a base64url SHA-256"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_anything_else() {
        let digest = Digest::of(b"needle");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for bad in ["", "AAAA", &"A".repeat(44), &format!("{}=", "A".repeat(42))] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn parts_do_not_collide_by_moving_a_boundary() {
        assert_ne!(Digest::of_parts(&[b"ab", b"c"]), Digest::of_parts(&[b"a", b"bc"]));
    }

    #[test]
    fn a_reader_gives_the_same_digest_as_its_bytes_and_can_be_stopped() {
        let bytes = vec![7; READ_BYTES + 3];
        let read = Digest::of_reader(&mut bytes.as_slice(), &|| true).unwrap();
        assert_eq!(read, Some(Digest::of(&bytes)));
        let stopped = Digest::of_reader(&mut bytes.as_slice(), &|| false).unwrap();
        assert_eq!(stopped, None);
    }
}
