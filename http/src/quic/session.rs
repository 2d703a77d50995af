//! The TLS side of one QUIC connection: rustls behind quinn's seam for cryptography.
//!
//! quinn brings such a session itself, which tells less than rustls knows: whether an earlier one was resumed. So the session
//! is ours, and what belongs to the protocol version (initial keys, Retry) stays quinn's.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use rustls::quic::{Connection, DirectionalKeys, KeyChange, PacketKeySet, Secrets, ServerConnection, Version};

/// Versions that were drafts of the first (RFC 9000 15), with other keys.
const DRAFTS: std::ops::RangeInclusive<u32> = 0xff00_001d..=0xff00_0020;

/// Begins the sessions of one door.
pub(super) struct Sessions {
    tls: Arc<rustls::ServerConfig>,
    versions: Arc<QuicServerConfig>,
}

/// What is known of a session once its client has said hello.
pub(super) struct Handshake {
    pub(super) resumed: bool,
}

impl Sessions {
    pub(super) fn new(tls: &Arc<rustls::ServerConfig>) -> std::io::Result<Self> {
        let versions = QuicServerConfig::try_from(Arc::clone(tls)).map_err(std::io::Error::other)?;
        Ok(Self { tls: Arc::clone(tls), versions: Arc::new(versions) })
    }
}

impl ServerConfig for Sessions {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.versions.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.versions.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let mut said = Vec::new();
        params.write(&mut said);
        let in_tls = if DRAFTS.contains(&version) { Version::V1Draft } else { Version::V1 };
        let tls = ServerConnection::new(Arc::clone(&self.tls), in_tls, said)
            .expect("the settings of TLS were found fit for QUIC when the door was opened");
        let versions = Arc::clone(&self.versions);
        Box::new(TlsSession { tls: tls.into(), version, versions, secrets: None, has_said_hello: false })
    }
}

struct TlsSession {
    tls: Connection,
    version: u32,
    versions: Arc<QuicServerConfig>,
    /// Of the keys to come.
    secrets: Option<Secrets>,
    has_said_hello: bool,
}

impl Session for TlsSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, _side: Side) -> Keys {
        self.versions.initial_keys(self.version, dst_cid).expect("a session begins only in a version that has them")
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let kind = self.tls.handshake_kind()?;
        Some(Box::new(Handshake { resumed: kind == HandshakeKind::Resumed }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        let chain: Vec<CertificateDer<'static>> =
            self.tls.peer_certificates()?.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Some(Box::new(chain))
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        let DirectionalKeys { header, packet, .. } = self.tls.zero_rtt_keys()?;
        Some((Box::new(header), Box::new(packet)))
    }

    /// Only clients ask.
    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        if let Err(error) = self.tls.read_hs(buf) {
            let code = self
                .tls
                .alert()
                .map_or(TransportErrorCode::PROTOCOL_VIOLATION, |alert| TransportErrorCode::crypto(u8::from(alert)));
            return Err(TransportError { code, frame: None, reason: error.to_string() });
        }
        let says_hello = !self.has_said_hello && self.tls.handshake_kind().is_some();
        self.has_said_hello |= says_hello;
        Ok(says_hello)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(said) = self.tls.quic_transport_parameters() else { return Ok(None) };
        let parameters = TransportParameters::read(Side::Server, &mut Cursor::new(said))?;
        Ok(Some(parameters))
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = match self.tls.write_hs(buf)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.secrets = Some(next);
                keys
            }
        };
        Some(Keys {
            header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
            packet: KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let PacketKeySet { local, remote, .. } = self.secrets.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(local), remote: Box::new(remote) })
    }

    /// Only clients get one.
    fn is_valid_retry(&self, _orig_dst_cid: &ConnectionId, _header: &[u8], _payload: &[u8]) -> bool {
        false
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        let exported = self.tls.export_keying_material(output, label, Some(context));
        exported.map(drop).map_err(|_| ExportKeyingMaterialError)
    }
}
