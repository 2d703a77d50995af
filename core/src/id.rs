//! Names of things: tracks, revisions of their bytes, and plays.
//!
//! All are base62 text of bounded length, so they stand in paths and queries as they are.
//! Where they come from is the caller's business: a digest or 16 random bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62^22 is a little more than 2^128: this many digits hold 128 bits.
const DIGITS_128: usize = 22;
/// 62^11 is a little more than 2^64.
const DIGITS_64: usize = 11;

/// The text is not an identifier of this kind: wrong length or not base62.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this kind")]
pub struct IdRefusal;

/// A revision of a track's bytes: 1 to 16 base62 characters; changes when the bytes change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rev {
    // Unused bytes are zero, so that derived comparisons hold.
    text: [u8; Rev::MAX_CHARS],
    chars: u8,
}

impl Rev {
    /// The longest revision, in characters.
    pub const MAX_CHARS: usize = 16;

    /// 1 to 16 base62 characters.
    pub fn parse(text: &str) -> Result<Self, IdRefusal> {
        if text.is_empty() || text.len() > Self::MAX_CHARS || !is_base62(text) {
            return Err(IdRefusal);
        }
        let mut padded = [0; Self::MAX_CHARS];
        padded[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { text: padded, chars: text.len() as u8 })
    }

    /// The revision made of the first 64 bits of a digest: 11 characters.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let digits: [u8; DIGITS_64] = digits_of(first_128_bits(digest) >> 64);
        let mut text = [0; Self::MAX_CHARS];
        text[..DIGITS_64].copy_from_slice(&digits);
        Self { text, chars: DIGITS_64 as u8 }
    }

    /// The 1 to 16 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.text[..usize::from(self.chars)])
    }
}

fn parse_22(text: &str) -> Result<[u8; DIGITS_128], IdRefusal> {
    if !is_base62(text) {
        return Err(IdRefusal);
    }
    text.as_bytes().try_into().map_err(|_| IdRefusal)
}

fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn first_128_bits(digest: &[u8; 32]) -> u128 {
    let (first, _) = digest.split_first_chunk::<16>().expect("32 bytes hold 16");
    u128::from_be_bytes(*first)
}

/// The number in base 62, most significant digit first, padded with zeros.
fn digits_of<const N: usize>(mut number: u128) -> [u8; N] {
    let mut digits = [ALPHABET[0]; N];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

/// The number that these digits write, if it has 128 bits at most.
fn number_of(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        number.checked_mul(62)?.checked_add(value as u128)
    })
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("identifiers hold base62 characters only")
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = IdRefusal;

            fn from_str(text: &str) -> Result<Self, IdRefusal> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// An identifier of 128 bits: from the beginning of a digest, or from randomness that the caller brings.
macro_rules! id_128 {
    ($(#[$meaning:meta])* $name:ident) => {
        $(#[$meaning])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; DIGITS_128]);

        impl $name {
            /// Exactly 22 base62 characters.
            pub fn parse(text: &str) -> Result<Self, IdRefusal> {
                parse_22(text).map(Self)
            }

            /// The identifier made of the first 128 bits of a digest.
            pub fn from_digest(digest: &[u8; 32]) -> Self {
                Self(digits_of(first_128_bits(digest)))
            }

            /// The identifier made of 16 random bytes; the caller brings the randomness.
            pub fn from_random(random: [u8; 16]) -> Self {
                Self(digits_of(u128::from_be_bytes(random)))
            }

            /// The 22 characters.
            pub fn as_str(&self) -> &str {
                ascii(&self.0)
            }

            /// The bytes it was made of; None for characters that 16 bytes do not give, which nobody has made.
            pub fn to_bytes(&self) -> Option<[u8; 16]> {
                number_of(&self.0).map(u128::to_be_bytes)
            }
        }

        text_form!($name);
    };
}

id_128! {
    /// One recording; stays when its file moves or is retagged.
    TrackId
}
id_128! {
    /// One playback: one listener, one track, once. Minted with the signed URL.
    PlaybackId
}
id_128! {
    /// A person or a band, or whoever else is named as performing, writing or owning.
    ArtistId
}
id_128! {
    /// A release: an album, a single, a compilation.
    ReleaseId
}
id_128! {
    /// A podcast.
    ShowId
}
id_128! {
    /// One episode of a podcast.
    EpisodeId
}
id_128! {
    /// An ordered list of tracks that people edit.
    PlaylistId
}
id_128! {
    /// A listener's account. Never leaves in a signed URL.
    AccountId
}
id_128! {
    /// The public name of a credential: it lists and revokes, and never lets anybody in.
    TokenId
}
id_128! {
    /// A program of somebody else that asks for access by OAuth.
    ClientId
}
text_form!(Rev);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_zeros_and_one_of_ones_stay_inside_22_characters() {
        assert_eq!(TrackId::from_digest(&[0; 32]).as_str(), "0000000000000000000000");
        assert_eq!(TrackId::from_digest(&[0xff; 32]).as_str(), "7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(Rev::from_digest(&[0xff; 32]).as_str(), "LygHa16AHYF");
    }

    #[test]
    fn identifiers_survive_their_text() {
        let id = TrackId::from_digest(&[7; 32]);
        assert_eq!(TrackId::parse(&id.to_string()), Ok(id));
        let rev = Rev::from_digest(&[7; 32]);
        assert_eq!(rev.to_string().parse(), Ok(rev));
        let play = PlaybackId::from_random([9; 16]);
        assert_eq!(PlaybackId::parse(play.as_str()), Ok(play));
    }

    #[test]
    fn other_lengths_and_characters_are_refused() {
        for text in ["", "short", "00000000000000000000000", "000000000000000000000-", "00000000000000000000é"] {
            assert_eq!(TrackId::parse(text), Err(IdRefusal), "{text}");
        }
        for text in ["", "12345678901234567", "a/b", "a.b"] {
            assert_eq!(Rev::parse(text), Err(IdRefusal), "{text}");
        }
    }

    #[test]
    fn different_digests_order_like_their_numbers() {
        let mut low = [0; 32];
        low[15] = 1;
        let mut high = [0; 32];
        high[0] = 1;
        assert!(TrackId::from_digest(&low) < TrackId::from_digest(&high));
    }
}
