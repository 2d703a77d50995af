//! The secret of this service: 32 bytes in a file beside the database, and what is derived from it.
//!
//! Who has the database alone can neither name a listener of the day nor know an app password; who has the file
//! alone has nothing to use it on. A backup that keeps both apart keeps that property.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// 32 secret bytes; never printed.
#[derive(Clone)]
pub struct ServerKey([u8; 32]);

/// What a derived value is for: no two purposes ever share an input of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Secrets of app passwords.
    AppPassword,
    /// A listener's name of the day.
    Pseudonym,
    /// Places in the tables that slow down guessing.
    Throttle,
    /// Whose a playback id is.
    Play,
}

impl Purpose {
    /// Stands before every input; none is the beginning of another.
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::AppPassword => b"needledrop app-password 1\0",
            Purpose::Pseudonym => b"needledrop pseudonym 1\0",
            Purpose::Throttle => b"needledrop throttle 1\0",
            Purpose::Play => b"needledrop play 1\0",
        }
    }
}

/// Longest key file that is read, in bytes: 43 characters, a line end, and room for a mistake to be told apart.
const FILE_BYTES_MAX: u64 = 256;

impl ServerKey {
    /// The key of these bytes, which the caller has from a good source of randomness.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 43 canonical base64url characters.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
        (decoded.len() == 32).then_some(Self(bytes))
    }

    /// HMAC-SHA256 of the purpose and the parts; each part is preceded by its length, so that no two lists of parts
    /// are the same bytes.
    pub fn derive(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.label());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Reads the key file, or makes one of these random bytes, readable by its owner only and synced to disk.
    ///
    /// Who finds another process ahead takes that one's key: the file is linked into place whole or not at all.
    ///
    /// # Errors
    /// The file is there but is no key, or the file system refuses.
    pub fn load_or_make(path: &Path, random: [u8; 32]) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        // Named after a digest of the key: tells nothing of it, and no two makers write to one file.
        let name = Base64UrlUnpadded::encode_string(&Sha256::digest(random)[..6]);
        let aside = path.with_extension(format!("new-{name}"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        let written = writeln!(file, "{}", Base64UrlUnpadded::encode_string(&random)).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| match std::fs::hard_link(&aside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        std::fs::remove_file(&aside)?;
        linked?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Self::load(path)
    }

    fn load(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let refused = || io::Error::new(io::ErrorKind::InvalidData, "not a key: 43 characters of base64url in a line");
        Self::parse(text.trim_end_matches(['\n', '\r'])).ok_or_else(refused)
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        let made = ServerKey::load_or_make(&path, [1; 32]).unwrap();
        let again = ServerKey::load_or_make(&path, [2; 32]).unwrap();
        assert_eq!(made.0, again.0);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_no_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        std::fs::write(&path, "short").unwrap();
        assert_eq!(ServerKey::load_or_make(&path, [1; 32]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
    }

    #[test]
    fn purposes_and_the_borders_of_parts_make_a_difference() {
        let key = ServerKey::from_bytes([7; 32]);
        let one = key.derive(Purpose::AppPassword, &[b"ab", b"c"]);
        assert_eq!(one, key.derive(Purpose::AppPassword, &[b"ab", b"c"]));
        assert_ne!(one, key.derive(Purpose::AppPassword, &[b"a", b"bc"]));
        assert_ne!(one, key.derive(Purpose::Pseudonym, &[b"ab", b"c"]));
        assert_eq!(format!("{key:?}"), "ServerKey(hidden)");
    }
}
