//! TLS settings: aws-lc-rs and nothing else, roots parsed once, whose certificates are believed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::tickets::Offer;
use super::{ClientError, Trust, Wish};

/// The one provider. Its first random number takes 30 ms, which no handshake should pay.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let provider = aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut [0; 32]).expect("the system has random numbers");
    Arc::new(provider)
});

/// What every connection's settings start from.
pub(super) struct Templates {
    tcp: ClientConfig,
    quic: ClientConfig,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Templates {
    pub(super) fn new(trust: &Trust) -> Result<Self, ClientError> {
        let verifier = verifier(trust)?;
        let start = |versions| -> Result<ClientConfig, rustls::Error> {
            Ok(ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
                .with_protocol_versions(versions)?
                .dangerous() // Not more so than the verifier is.
                .with_custom_certificate_verifier(Arc::clone(&verifier))
                .with_no_client_auth())
        };
        let tcp = start(rustls::DEFAULT_VERSIONS)?;
        let mut quic = start(&[&rustls::version::TLS13])?;
        quic.alpn_protocols = vec![b"h3".to_vec()];
        Ok(Self { tcp, quic, verifier })
    }

    pub(super) fn verifier_that_counts(&self) -> Arc<Counting> {
        Arc::new(Counting { inner: Arc::clone(&self.verifier), shown: AtomicU64::new(0) })
    }

    /// Settings of one connection over TCP.
    pub(super) fn tcp(&self, alpn: &[u8], offer: Arc<Offer>, wish: Wish) -> Arc<ClientConfig> {
        let mut config = self.tcp.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(begin(config, offer, wish))
    }

    /// Settings of one QUIC connection.
    pub(super) fn quic(&self, verifier: &Arc<Counting>, offer: Arc<Offer>, wish: Wish) -> Arc<ClientConfig> {
        let mut config = self.quic.clone();
        config.dangerous().set_certificate_verifier(Arc::clone(verifier) as _);
        Arc::new(begin(config, offer, wish))
    }
}

fn begin(mut config: ClientConfig, offer: Arc<Offer>, wish: Wish) -> ClientConfig {
    config.resumption = Resumption::store(offer);
    config.enable_early_data = wish == Wish::ZeroRtt;
    config
}

fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let roots = match trust {
        Trust::Anything => return Ok(Arc::new(Gullible)),
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
                return Err(ClientError::NoRoots(why));
            }
            roots
        }
        Trust::Pem(path) => {
            let failed = |reason: String| ClientError::Roots { path: path.clone(), reason };
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("holds no certificate".to_owned()));
            }
            roots
        }
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER)).build();
    Ok(verifier.expect("there are roots and no revocation lists"))
}

/// Counts the certificates that it is shown. A server shows one in every full handshake and in no resumed one.
#[derive(Debug)]
pub(super) struct Counting {
    inner: Arc<dyn ServerCertVerifier>,
    shown: AtomicU64,
}

impl Counting {
    pub(super) fn shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Counting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.shown.fetch_add(1, Ordering::Relaxed);
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Believes every certificate, but not that its key signed what it did not: the work stays that of a real handshake.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
