//! The server's certificate, replaced without dropping a connection.
//!
//! One [`Certificates`] is shared by the TLS and the QUIC doors. A reload swaps the key that new handshakes see;
//! nothing else of a door's configuration is touched, so limits and ticket keys stay as they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::names::Facts;
use crate::tls;

/// Why a certificate or key was not taken. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the PEM reader says.
        reason: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("no certificate in {}", .0.display())]
    Empty(PathBuf),
    /// The key is of an unknown kind, or does not belong to the certificate.
    #[error("certificate {} and its key: {reason}", path.display())]
    Mismatch {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls says.
        reason: rustls::Error,
    },
}

/// A certificate chain and its key, read from two PEM files.
#[derive(Debug)]
pub struct Certificates {
    chain_path: PathBuf,
    key_path: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Reads chain (leaf first) and key. Blocks on the two files.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, CertificateError> {
        let current = ArcSwap::from_pointee(read_pair(chain, key)?);
        Ok(Arc::new(Self { chain_path: chain.to_owned(), key_path: key.to_owned(), current }))
    }

    /// Reads both files again. New handshakes get the new certificate, running connections notice nothing; after an
    /// error everything is as before. Blocks on the two files: call it from the blocking pool.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.current.store(Arc::new(read_pair(&self.chain_path, &self.key_path)?));
        Ok(())
    }
}

impl Certificates {
    /// Until when the leaf holds, in seconds since 1970; None if that cannot be read out of it.
    pub fn not_after(&self) -> Option<i64> {
        self.current.load().cert.first().and_then(|leaf| Facts::of(leaf)).map(|facts| facts.not_after)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read_pair(chain_path: &Path, key_path: &Path) -> Result<CertifiedKey, CertificateError> {
    let (chain, key) = read_pem_pair(chain_path, key_path)?;
    CertifiedKey::from_der(chain, key, &tls::provider())
        .map_err(|reason| CertificateError::Mismatch { path: chain_path.to_owned(), reason })
}

/// A chain and a key, parsed but not yet compared.
pub(crate) fn read_pem_pair(
    chain_path: &Path,
    key_path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let chain = read_chain(chain_path)?;
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|reason| CertificateError::Unreadable { path: key_path.to_owned(), reason })?;
    Ok((chain, key))
}

/// All certificates of a PEM file, at least one.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let unreadable = |reason| CertificateError::Unreadable { path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(CertificateError::Empty(path.to_owned()));
    }
    Ok(chain)
}
