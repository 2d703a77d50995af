//! How much of what was written to a socket the peer's system has not acknowledged yet. One of the few
//! files with `unsafe`. Its contract:
//!
//! - The descriptor is borrowed from a live socket for the length of one call.
//! - The call writes one C `int`, for which there is room, and nothing else.
//!
//! Linux answers with everything between the first unacknowledged byte and the last written one
//! (SIOCOUTQ, tcp(7)), also after the connection was reset. Other systems are not asked: there nothing
//! counts as acknowledged.
#![allow(unsafe_code)]

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::first_flight::TLS_BUFFER_BYTES;
use crate::watch::WriteStall;

/// What rustls may hold of our writes while the socket takes none, with the records around it. Unit: bytes.
const HELD_BYTES: u64 = 16 * 1024 + TLS_BUFFER_BYTES as u64;

/// A stream that knows how much of what it took has not arrived.
pub(crate) trait Unsent {
    /// At most so many of the bytes written to this stream have not reached the peer. None: nobody knows.
    fn unsent(&self) -> Option<u64>;
}

impl Unsent for WriteStall<TcpStream> {
    fn unsent(&self) -> Option<u64> {
        unacknowledged(self.get_ref())
    }
}

impl<S: Unsent> Unsent for TlsStream<S> {
    /// A record is longer than what it carries, so the count of its bytes is safe for theirs.
    fn unsent(&self) -> Option<u64> {
        let (below, session) = self.get_ref();
        let held = if session.wants_write() { HELD_BYTES } else { 0 };
        Some(below.unsent()? + held)
    }
}

#[cfg(target_os = "linux")]
fn unacknowledged(socket: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and TIOCOUTQ (which is SIOCOUTQ)
    // writes one int to the address of a living one.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if answer == 0 { u64::try_from(bytes).ok() } else { None }
}

#[cfg(not(target_os = "linux"))]
fn unacknowledged(_: &TcpStream) -> Option<u64> {
    None
}
