//! The doors: HTTP/1.1, HTTP/2 and HTTP/3 in front of one [`Handler`], and the client that pulls from an origin.
//!
//! A door accepts connections, makes sure that a request is well formed, finds out who asks, calls the handler and
//! sends what it answers. It does not know what a track, a signature or a cache is.
//!
//! Where to look next: [`Handler`] is what a role implements, [`Doors`] opens the sockets, [`Body`] says what happens
//! when an answer cannot be finished, `limits.rs` holds every bound, [`Client`] is the other direction, and
//! [`DevCerts`] makes certificates for a development machine.
//!
//! Which file may name which library is this table; `tests/libraries.rs` holds the sources to it. The crates around
//! the doors (core, media, origin, edge, the front door) name none of them; the load tester is a client of its own.
//!
//! | library | only in |
//! |---|---|
//! | `hyper::server`, `hyper::service`, `hyper::Request` | `h1.rs` |
//! | `hyper::body`, `hyper_util::rt` | `h1.rs`, `client.rs` |
//! | `hyper_util::client`, `hyper_rustls`, `rustls_native_certs`, `tower_service` | `client.rs` |
//! | `h2` | `h2.rs` |
//! | `h3`, `quinn_proto`, `quinn_udp` | `quic/` |
//! | `rustls` | `tls.rs`, `certificates.rs`, `tickets.rs`, `doors.rs`, `client.rs`, `quic/` |
//! | `tokio_rustls` | `doors.rs`, `first_flight/`, `unsent.rs` |
//! | `aws_lc_rs` | `tickets.rs` |
//! | `rcgen` | `dev_certs.rs` |
//! | `x509_parser` | `names.rs` |

mod body;
mod budget;
mod certificates;
mod client;
mod counters;
mod dev_certs;
mod doors;
mod exchange;
mod first_flight;
mod frames;
mod framing;
mod h1;
mod h2;
mod handshakes;
mod limits;
mod names;
mod networks;
pub mod outside;
mod patience;
mod proxy;
mod quic;
mod receipt;
mod request;
mod request_body;
mod running;
mod sockets;
mod tickets;
mod tls;
mod unsent;
mod watch;
mod wire;

pub use body::{Body, BodyError};
pub use certificates::{CertificateError, Certificates};
pub use client::{Client, ClientConfig, ClientError, Identity, IncomingBody, Roots};
pub use counters::{Count, Counters, Level};
pub use dev_certs::{DevCertError, DevCerts};
pub use doors::{ClientAuth, ClientCa, Doors, DoorsConfig, DoorsError, KeyExchange};
pub use exchange::{Handler, Response, problem};
pub use limits::Limits;
pub use outside::{Outside, Place, Unreachable};
pub use receipt::{Delivered, End, Receipt};
pub use request::{Peer, PeerIdentity, Protocol, Request};
pub use running::{Drained, Running};
pub use sockets::Sockets;
pub use tickets::{TicketError, TicketSecret};
