//! The doors: HTTP/1.1, HTTP/2 and HTTP/3 in front of one [`Handler`], and the client that pulls from an origin.
//!
//! A door accepts connections, makes sure that a request is well formed, finds out who asks, calls the handler and
//! sends what it answers. It does not know what a track, a signature or a cache is.
//!
//! Where to look next: [`Handler`] is what a role implements, [`Doors`] opens the sockets, [`Body`] says what happens
//! when an answer cannot be finished, `limits.rs` holds every bound, [`Client`] is the other direction, and
//! [`DevCerts`] makes certificates for a development machine.
//!
//! Which file may name which library: quinn and h3 only `quic/`, hyper's server only `h1.rs`, h2 only `h2.rs`,
//! hyper's client only `client.rs`, rcgen only `dev_certs.rs`, x509-parser only `names.rs`.

mod body;
mod certificates;
mod client;
mod dev_certs;
mod doors;
mod exchange;
mod framing;
mod h1;
mod h2;
mod limits;
mod names;
mod proxy;
mod quic;
mod receipt;
mod request;
mod running;
mod tls;
mod unsent;
mod watch;
mod wire;

pub use body::{Body, BodyError};
pub use certificates::{CertificateError, Certificates};
pub use client::{Client, ClientConfig, ClientError, Identity, IncomingBody, Roots};
pub use dev_certs::{DevCertError, DevCerts};
pub use doors::{ClientAuth, ClientCa, Doors, DoorsConfig, DoorsError};
pub use exchange::{Handler, Response, problem};
pub use limits::Limits;
pub use receipt::{Delivered, End, Receipt};
pub use request::{Peer, PeerIdentity, Protocol, Request};
pub use running::{Drained, Running};
