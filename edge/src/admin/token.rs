//! The secret of the admin port: made on first start, readable by its owner only, compared in constant time.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// 32 random bytes in hexadecimal, or what an operator wrote: 16 to 256 visible characters.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file system refuses.
    #[error("the token file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the token file {0} can be read by others: chmod 600 {0}")]
    Open(PathBuf),
    /// The file holds no token.
    #[error("the token file {0} must hold one line of 16 to 256 visible characters")]
    Malformed(PathBuf),
    /// There is no randomness for a new one.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

impl Token {
    /// Reads the file.
    ///
    /// # Errors
    /// It is missing, open to others, or holds no token.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let io_error = |source| TokenError::Io { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(io_error)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(TokenError::Open(path.to_owned()));
        }
        let text = fs::read_to_string(path).map_err(io_error)?;
        Self::parse(text.trim_end_matches('\n')).ok_or_else(|| TokenError::Malformed(path.to_owned()))
    }

    /// Reads the file, or makes one with a new token.
    ///
    /// # Errors
    /// As [`Token::load`], or it cannot be made.
    pub fn load_or_make(path: &Path) -> Result<Self, TokenError> {
        let io_error = |source| TokenError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(io_error)?;
        }
        let token = Self::fresh()?;
        // Only one process can make it; whoever comes second reads what the first one wrote.
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                file.write_all(format!("{}\n", token.0).as_bytes()).and_then(|()| file.sync_all()).map_err(io_error)?;
                Ok(token)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(io_error(error)),
        }
    }

    /// A token from its text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self(text.to_owned()))
    }

    /// A new one that nobody knows.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn fresh() -> Result<Self, TokenError> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The value of Authorization (RFC 6750 section 2.1).
    pub fn to_field(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a value of Authorization bears this token. Takes the same time wherever two tokens of
    /// one length differ.
    pub fn is_borne_by(&self, field: &[u8]) -> bool {
        let Some((scheme, offered)) = field.split_at_checked(7) else { return false };
        if !scheme.eq_ignore_ascii_case(b"bearer ") || offered.len() != self.0.len() {
            return false;
        }
        let differences = self.0.bytes().zip(offered).fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        std::hint::black_box(differences) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/admin.token");
        let made = Token::load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Token::load_or_make(&path).unwrap().is_borne_by(made.to_field().as_bytes()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::load(&path), Err(TokenError::Open(_))));
    }

    #[test]
    fn only_the_very_token_is_good() {
        let token = Token::parse("0123456789abcdef").unwrap();
        assert!(token.is_borne_by(b"bearer 0123456789abcdef"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef ", "Basic  0123456789abcdef"]
        {
            assert!(!token.is_borne_by(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(Token::parse("short").is_none() && Token::parse("0123456789 abcdef").is_none());
    }
}
