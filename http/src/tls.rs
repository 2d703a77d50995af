//! TLS settings. The provider is named in every configuration, so no process-wide default is needed and no other
//! crate's features can change what we use.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::certificates::{CertificateError, Certificates, read_chain};
use crate::doors::{ClientAuth, ClientCa, DoorsError, KeyExchange};
use crate::names::Facts;
use crate::request::PeerIdentity;
use crate::tickets::TicketSecret;

/// Resumable QUIC sessions kept; rustls's own default of 256 is a minute's listeners.
const QUIC_SESSIONS: usize = 65_536;

/// The one provider of this house. Its first random number takes 30 ms, which no handshake should pay.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        let provider = default_provider();
        // Without random numbers the first handshake will say so.
        let _ = provider.secure_random.fill(&mut [0; 32]);
        Arc::new(provider)
    }))
}

/// The provider of servers. The client's order decides (as in rustls): one that knows the hybrid group and puts it
/// first gets it, and never a second round trip for it, because such clients send its share along.
fn server_provider(key_exchange: KeyExchange) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider());
    let classical = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    provider.kx_groups = match key_exchange {
        KeyExchange::Hybrid => [kx_group::X25519MLKEM768].into_iter().chain(classical).collect(),
        KeyExchange::Classical => classical.to_vec(),
    };
    Arc::new(provider)
}

/// TLS 1.2 and 1.3 over TCP, with stateless tickets. No early data: tokio-rustls's acceptor does not read it, so an
/// early request would hang.
pub(crate) fn tcp_server(
    certificates: &Arc<Certificates>,
    client_ca: Option<&ClientCa>,
    tickets: &Arc<TicketSecret>,
    key_exchange: KeyExchange,
) -> Result<ServerConfig, DoorsError> {
    let mut config = ServerConfig::builder_with_provider(server_provider(key_exchange))
        .with_safe_default_protocol_versions()
        .map_err(DoorsError::Tls)?
        .with_client_cert_verifier(verifier(client_ca)?)
        .with_cert_resolver(Arc::clone(certificates) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = tickets.ticketer(&realm(client_ca)?);
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// What the sessions of one set of doors have in common that those of others have not.
fn realm(client_ca: Option<&ClientCa>) -> Result<Vec<u8>, DoorsError> {
    let Some(client_ca) = client_ca else { return Ok(Vec::new()) };
    let chain = read_chain(&client_ca.pem).map_err(DoorsError::Certificate)?;
    Ok(chain.iter().flat_map(|certificate| certificate.iter().copied()).collect())
}

/// TLS 1.3 for QUIC, with early data. Sessions are kept on this node, because rustls gives 0-RTT only to those: each is
/// taken once, so that a first flight that is sent again finds none.
pub(crate) fn quic_server(
    certificates: &Arc<Certificates>,
    client_ca: Option<&ClientCa>,
    key_exchange: KeyExchange,
) -> Result<ServerConfig, DoorsError> {
    let mut config = ServerConfig::builder_with_provider(server_provider(key_exchange))
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
