//! A request as handlers see it: already admitted by a door, the same on all three protocols.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Uri};

/// One request. Its body is read only for a handler that [wants](crate::Handler::wants_body) it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, as sent.
    pub method: Method,
    /// The target. Use [`Request::target`] for the origin-form, the bytes that signatures are made over.
    pub uri: Uri,
    /// The fields, as sent.
    pub headers: HeaderMap,
    /// Who asks, and how.
    pub peer: Peer,
    /// The whole body, if the handler wanted it.
    pub body: Bytes,
}

/// Who asks. `client` is what rules should look at, `socket` is for log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address: that of the socket, or what a trusted PROXY v2 or Forwarded peer says. Never an
    /// IPv4-mapped IPv6 address.
    pub client: IpAddr,
    /// The other end of the socket, as the kernel (or PROXY v2, on a connection that brought it) gives it.
    pub socket: SocketAddr,
    /// Our end of the socket.
    pub local: SocketAddr,
    /// The protocol of this request.
    pub protocol: Protocol,
    /// True over TLS and QUIC.
    pub secure: bool,
    /// True if this request may be a replay (0-RTT, RFC 8470): it came before our handshake with its sender was complete,
    /// or a trusted proxy says that so it came to itself.
    pub early_data: bool,
    /// True in the second of these cases: then not even an acknowledgement proves that somebody wanted the answer.
    pub early_at_proxy: bool,
    /// Whether the TLS session was resumed from an earlier one; None without TLS.
    pub resumed: Option<bool>,
    /// The verified client certificate's name, if there is one.
    pub identity: Option<PeerIdentity>,
}

/// The three protocols, one behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// "h1", "h2" or "h3", for log fields and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

/// The name in a client certificate that our client authority signed: the subject's common name, or without one the
/// first subject alternative name. Only a finished verification makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity(pub String);

impl PeerIdentity {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Request {
    /// A request as a handler's own tests need it: no fields, from 127.0.0.1 over plain HTTP/1.1.
    ///
    /// # Panics
    /// If `target` is not an origin-form target.
    pub fn local(method: Method, target: &str) -> Self {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let uri = target.parse().expect("a test's target is an origin-form target");
        let peer = Peer {
            client: socket.ip(),
            socket,
            local,
            protocol: Protocol::H1,
            secure: false,
            early_data: false,
            early_at_proxy: false,
            resumed: None,
            identity: None,
        };
        Self { method, uri, headers: HeaderMap::new(), peer, body: Bytes::new() }
    }

    /// Host and port the client meant: `:authority`, the authority of an absolute-form target, or Host, in this
    /// order (RFC 9112 3.2.2, RFC 9113 8.3.1). None only for HTTP/1.0 without Host; anything malformed was refused
    /// at the door.
    pub fn authority(&self) -> Option<&str> {
        if let Some(authority) = self.uri.authority() {
            return Some(authority.as_str());
        }
        self.headers.get(HOST)?.to_str().ok()
    }

    /// Path and query exactly as sent, nothing decoded or normalised.
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }
}
