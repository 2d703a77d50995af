//! TLS settings. The provider is named in every configuration, so no process-wide default is needed and no other
//! crate's features can change what we use.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::certificates::{CertificateError, Certificates, read_chain};
use crate::doors::{ClientAuth, ClientCa, DoorsError};
use crate::names::Facts;
use crate::request::PeerIdentity;

/// Resumable QUIC sessions kept; rustls's own default of 256 is a minute's listeners.
const QUIC_SESSIONS: usize = 65_536;

/// The one provider of this house. Its first random number takes 30 ms, which no handshake should pay.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        let provider = aws_lc_rs::default_provider();
        // Without random numbers the first handshake will say so.
        let _ = provider.secure_random.fill(&mut [0; 32]);
        Arc::new(provider)
    }))
}

/// TLS 1.2 and 1.3 over TCP, with stateless tickets. No early data: nothing on this path could tell it apart.
pub(crate) fn tcp_server(
    certificates: &Arc<Certificates>,
    client_ca: Option<&ClientCa>,
) -> Result<ServerConfig, DoorsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(DoorsError::Tls)?
        .with_client_cert_verifier(verifier(client_ca)?)
        .with_cert_resolver(Arc::clone(certificates) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(DoorsError::Tls)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// TLS 1.3 for QUIC, with early data. Sessions are kept on this node, because rustls gives 0-RTT only to those: each is
/// taken once, so that a first flight that is sent again finds none.
pub(crate) fn quic_server(
    certificates: &Arc<Certificates>,
    client_ca: Option<&ClientCa>,
) -> Result<ServerConfig, DoorsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(DoorsError::Tls)?
        .with_client_cert_verifier(verifier(client_ca)?)
        .with_cert_resolver(Arc::clone(certificates) as _);
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(QUIC_SESSIONS);
    // All or nothing in QUIC (RFC 9001 4.6.1).
    config.max_early_data_size = u32::MAX;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Who may come in: everybody, or who holds a certificate of our client authority.
fn verifier(client_ca: Option<&ClientCa>) -> Result<Arc<dyn ClientCertVerifier>, DoorsError> {
    let Some(client_ca) = client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = read_roots(&client_ca.pem).map_err(DoorsError::Certificate)?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = match client_ca.auth {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|reason| DoorsError::ClientCa { path: client_ca.pem.clone(), reason })
}

/// A root store of the certificates in a PEM file.
pub(crate) fn read_roots(path: &Path) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots.add(certificate).map_err(|reason| CertificateError::Mismatch { path: path.to_owned(), reason })?;
    }
    Ok(roots)
}

/// The name in a chain that rustls has verified.
pub(crate) fn identity(chain: Option<&[CertificateDer<'_>]>) -> Option<PeerIdentity> {
    Facts::of(chain?.first()?)?.identity()
}
