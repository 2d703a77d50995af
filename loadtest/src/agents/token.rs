//! The secret that coordinator and agents share.

use std::{fmt, fs::File, io::Read, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Fewer bytes could be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// More bytes are some other file.
const TOKEN_BYTES_MAX: usize = 4096;

/// At least 16 bytes that both sides know.
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file system refused.
    #[error("token file {0}: {1}")]
    File(String, std::io::Error),
    /// Too short to be a secret.
    #[error(
        "a token has 16 to 4096 bytes: make one with `head -c 32 /dev/urandom | base64 > FILE`, for all machines the \
         same"
    )]
    Size,
}

impl Token {
    /// Of the bytes in a file, without white space at the end.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |error| TokenError::File(path.display().to_string(), error);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(TOKEN_BYTES_MAX as u64 + 2).read_to_end(&mut bytes).map_err(failed)?;
        Self::new(bytes.trim_ascii_end())
    }

    /// Of these bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, TokenError> {
        if (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes.into()))
        } else {
            Err(TokenError::Size)
        }
    }

    /// The code of these pieces, each of a fixed length, for one purpose.
    pub(super) fn code(&self, purpose: &str, pieces: [&[u8]; 2]) -> [u8; 32] {
        let mut mac = mac(&self.0);
        mac.update(super::KIND.as_bytes());
        mac.update(b"\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        pieces.iter().for_each(|piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }
}

/// HMAC-SHA256 with this key, begun.
pub(super) fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(…)")
    }
}
