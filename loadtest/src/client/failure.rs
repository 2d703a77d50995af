//! What can go wrong, and what it counts as.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::measured::Trouble;

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file of roots cannot be read or has none.
    #[error("{}: {reason}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The machine has no roots.
    #[error("this machine has no root certificates ({0}); name a file of them, or trust anything")]
    NoRoots(String),
    /// TLS settings that rustls refuses.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A request or a connection that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    /// What it counts as.
    pub trouble: Trouble,
    /// What happened, for a person.
    pub sentence: String,
}

impl Failure {
    pub(super) fn new(trouble: Trouble, sentence: impl Into<String>) -> Self {
        Self { trouble, sentence: sentence.into() }
    }

    pub(super) fn connect(sentence: impl Into<String>) -> Self {
        Self::new(Trouble::Connect, sentence)
    }

    pub(super) fn tls(sentence: impl Into<String>) -> Self {
        Self::new(Trouble::Tls, sentence)
    }

    pub(super) fn protocol(sentence: impl Into<String>) -> Self {
        Self::new(Trouble::Protocol, sentence)
    }

    pub(super) fn length(sentence: impl Into<String>) -> Self {
        Self::new(Trouble::Length, sentence)
    }

    pub(super) fn broken(sentence: impl Into<String>) -> Self {
        Self::new(Trouble::Broken, sentence)
    }

    pub(super) fn no_head(limit: Duration) -> Self {
        Self::new(Trouble::Timeout, format!("no answer within {limit:?}"))
    }

    pub(super) fn no_piece(limit: Duration, come: u64) -> Self {
        Self::new(Trouble::Timeout, format!("nothing more came for {limit:?} after {come} bytes of the body"))
    }

    /// From an error of the system or of TLS. `trouble` is what it counts as if it is neither our own machine's
    /// fault nor TLS's.
    pub(super) fn io(trouble: Trouble, doing: impl fmt::Display, error: &io::Error) -> Self {
        let trouble = match of_tls(error) {
            _ if is_ours(error) => Trouble::Ourselves,
            Some(_) => Trouble::Tls,
            None => trouble,
        };
        Self::new(trouble, format!("{doing}: {error}"))
    }
}

/// Whether this machine has run out of something: files, ports, memory.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    let ours = [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::EADDRINUSE, libc::ENOMEM, libc::ENOBUFS];
    code.is_some_and(|code| ours.contains(&code)) || error.kind() == io::ErrorKind::OutOfMemory
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_our_machine_lacks_is_not_counted_against_the_server() {
        for (code, trouble) in [
            (libc::EMFILE, Trouble::Ourselves),
            (libc::EADDRNOTAVAIL, Trouble::Ourselves),
            (libc::ENOMEM, Trouble::Ourselves),
            (libc::ECONNREFUSED, Trouble::Connect),
            (libc::EHOSTUNREACH, Trouble::Connect),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(Failure::io(Trouble::Connect, "connecting", &error).trouble, trouble, "{error}");
        }
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(Failure::io(Trouble::Broken, "reading", &tls).trouble, Trouble::Tls);
    }
}
