//! How listeners fetch: one connection, one request at a time, over HTTP/1.1, HTTP/2 or HTTP/3, with exact marks.
//!
//! A [`Client`] holds what all listeners share (roots, settings). A [`Device`] is one listener's: the tickets that
//! servers gave it and the address it speaks from. It opens a [`Connection`] in the state that was wished for (a full
//! handshake, a resumed one, the first request as early data), and the connection tells what really happened.
//! Nothing here knows what a track is, retries, follows a redirect or believes a length that it did not count.
//!
//! Everything that a server sends is hostile: heads, lengths and waits have bounds, and what breaks a rule is a
//! [`Failure`] with the [`Trouble`] that it counts as. Where to look next: `wire.rs` for TCP, TLS and early data,
//! `h1.rs`, `h2.rs`, `h3.rs` for the protocols, `answer.rs` for what is checked of every answer on all three.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::measured::{Opening, Protocol};

mod answer;
mod failure;
mod h1;
mod h2;
mod h3;
mod origin;
mod patience;
mod socket;
mod tickets;
mod tls;
mod wire;

pub use answer::{Answer, ContentRange, Get, Head, Reader};
pub use failure::{ClientError, Failure};
pub use origin::Origin;

use tickets::{Lane, Tickets};

/// How long [`Connection::close`] waits for its last words to leave.
const CLOSE_WAIT: Duration = Duration::from_millis(100);
/// How long [`Device::prime`] waits for a ticket: servers send it right after the handshake.
const TICKET_WAIT: Duration = Duration::from_secs(3);

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The roots of this machine.
    System,
    /// The roots in this PEM file, and no others.
    Pem(PathBuf),
    /// Every certificate, of whatever name and date. Only for servers of one's own.
    Anything,
}

/// What all connections of a client have in common.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Most time until a connection can carry a request, TLS included.
    pub connect_timeout: Duration,
    /// Most time from a request to the end of its answer's head.
    pub head_timeout: Duration,
    /// Most time between two pieces of a body.
    pub body_timeout: Duration,
    /// Bytes that one answer may send ahead on HTTP/2 and HTTP/3. 6 MiB, as Chromium: 500 Mbit/s at 100 ms. It
    /// costs memory only while bytes are under way.
    pub stream_window: u32,
    /// The same for a whole connection; 15 MiB, as Chromium.
    pub connection_window: u32,
    /// The receive buffer of a TCP socket, in bytes; None leaves it to the system, which lets it grow to megabytes.
    pub receive_buffer: Option<u32>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            trust: Trust::System,
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            stream_window: 6 << 20,
            connection_window: 15 << 20,
            receive_buffer: None,
        }
    }
}

/// What all listeners share. Clones are of the same.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    tls: tls::Templates,
    quic: h3::Shared,
}

impl Client {
    /// Reads the roots once and warms up what is slow when first used. Blocks on files.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let tls = tls::Templates::new(&config.trust)?;
        let quic = h3::Shared::new(config);
        Ok(Self(Arc::new(Shared { config: config.clone(), tls, quic })))
    }

    /// A new listener's device, without tickets. With `from` all its connections leave from this address.
    pub fn device(&self, from: Option<IpAddr>) -> Device {
        let verifier = self.0.tls.verifier_that_counts();
        Device { client: Arc::clone(&self.0), from, tickets: Arc::default(), verifier }
    }
}

/// One listener's: its tickets and its address. A few kilobytes once it holds tickets.
pub struct Device {
    client: Arc<Shared>,
    from: Option<IpAddr>,
    tickets: Arc<Tickets>,
    /// Of QUIC: rustls resumes only under the verifier that saw the first handshake, and quinn does not tell whether
    /// it resumed.
    verifier: Arc<tls::Counting>,
}

/// How a connection should begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// A full handshake: no ticket is offered.
    Full,
    /// A ticket is offered, if the device has one; never early data.
    Resumed,
    /// The first GET goes out as early data, if the device has a ticket that allows it.
    ZeroRtt,
}

impl Device {
    /// Opens a connection. With [`Wish::ZeroRtt`] nothing may have been sent yet when this returns.
    pub async fn open(&self, origin: &Origin, protocol: Protocol, wish: Wish) -> Result<Connection, Failure> {
        let limit = self.client.config.connect_timeout;
        let opening = async {
            Ok(match protocol {
                Protocol::H1 => Inner::H1(Box::new(h1::Connection::open(self, origin, wish).await?)),
                Protocol::H2 => Inner::H2(Box::new(h2::Connection::open(self, origin, wish).await?)),
                Protocol::H3 => Inner::H3(Box::new(h3::Connection::open(self, origin, wish).await?)),
            })
        };
        let inner = timeout(limit, opening)
            .await
            .unwrap_or_else(|_| Err(Failure::connect(format!("{origin} gave no connection within {limit:?}"))))?;
        Ok(Connection { inner, origin: origin.clone(), ready_at: Instant::now(), requests: 0 })
    }

    /// Opens a connection and closes it once a ticket has come, so that the next one can resume. Says whether one
    /// came: there are servers that give none.
    pub async fn prime(&self, origin: &Origin, protocol: Protocol) -> Result<bool, Failure> {
        let mut connection = self.open(origin, protocol, Wish::Full).await?;
        let lane = Lane::new(protocol, origin);
        let came = match &mut connection.inner {
            // Tickets are read where answers are, and nobody reads this connection but us.
            Inner::H1(h1) => timeout(TICKET_WAIT, h1.read_until(|| self.tickets.has_session(&lane))).await,
            _ => timeout(TICKET_WAIT, self.tickets.session_came(&lane)).await,
        };
        if let Inner::H3(h3) = &connection.inner
            && came.is_ok()
        {
            // The token that spares the server's limit before validation comes at about the same time, if at all.
            let wait = h3.rtt() * 2 + Duration::from_millis(20);
            let _ = timeout(wait, self.tickets.token_came(&lane)).await;
        }
        connection.close().await;
        Ok(self.tickets.has_session(&lane))
    }

    /// Says something once, as JSON, over an HTTP/1.1 connection of its own, and reads the answer: what a program does
    /// before it listens, such as signing in. Nothing of it is measured.
    pub async fn post(
        &self,
        origin: &Origin,
        target: &str,
        json: &str,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        let get = Get { target, range: None, fields: &[] };
        get.check()?;
        let limit = self.client.config.connect_timeout;
        let opening = timeout(limit, h1::Connection::open(self, origin, Wish::Full)).await;
        let mut connection = opening
            .unwrap_or_else(|_| Err(Failure::connect(format!("{origin} gave no connection within {limit:?}"))))?;
        connection.post(origin, &get, json, reader).await
    }

    /// Whether a ticket for this server is at hand.
    pub fn has_ticket(&self, origin: &Origin, protocol: Protocol) -> bool {
        self.tickets.has_session(&Lane::new(protocol, origin))
    }
}

/// An open connection. Carries one request at a time.
pub struct Connection {
    inner: Inner,
    origin: Origin,
    ready_at: Instant,
    requests: u64,
}

enum Inner {
    H1(Box<h1::Connection>),
    H2(Box<h2::Connection>),
    H3(Box<h3::Connection>),
}

impl Connection {
    /// How the connection began; [`Opening::Warm`] once it has answered a request and is used again is for the
    /// caller to say. After [`Wish::ZeroRtt`] this is known only after the first answer: until then it says
    /// [`Opening::ZeroRtt`] if early data is being tried. Early data that a server rejected is sent again, and the
    /// opening is then that of the handshake that took place.
    pub fn opening(&self) -> Opening {
        match &self.inner {
            Inner::H1(h1) => h1.opening(),
            Inner::H2(h2) => h2.opening(),
            Inner::H3(h3) => h3.opening(),
        }
    }

    /// When a request could go out.
    pub fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// How many requests it has been given.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Where it leads.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a GET and reads its answer, as it comes, to the end. Any status is an answer, except a redirect; see
    /// [`Head::trouble`]. If the future is dropped before its end, the connection is not usable any more on HTTP/1.1.
    pub async fn get(&mut self, get: &Get<'_>, reader: &mut impl Reader) -> Result<Answer, Failure> {
        self.requests += 1;
        get.check()?;
        match &mut self.inner {
            Inner::H1(h1) => h1.get(&self.origin, get, reader).await,
            Inner::H2(h2) => h2.get(&self.origin, get, reader).await,
            Inner::H3(h3) => h3.get(&self.origin, get, reader).await,
        }
    }

    /// Whether another request can be tried. Notices what the server did in the meantime, as far as it has arrived.
    pub fn is_usable(&self) -> bool {
        match &self.inner {
            Inner::H1(h1) => h1.is_usable(),
            Inner::H2(h2) => h2.is_usable(),
            Inner::H3(h3) => h3.is_usable(),
        }
    }

    /// Says good-bye and waits at most 100 ms for it to leave.
    pub async fn close(self) {
        let closing = async {
            match self.inner {
                Inner::H1(h1) => h1.close().await,
                Inner::H2(h2) => h2.close().await,
                Inner::H3(h3) => h3.close().await,
            }
        };
        let _ = timeout(CLOSE_WAIT, closing).await;
    }
}
