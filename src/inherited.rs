//! Sockets that a service manager opened for us (sd_listen_fds(3)). One of the few files with `unsafe`. Its contract:
//!
//! - Descriptors 3 and on, as many as `LISTEN_FDS` says, are ours alone if `LISTEN_PID` names this process: whoever
//!   started us put them there for us, and nothing in this process has opened or taken one of these before.
//! - They are taken once, in the first steps of `main`, while there is one thread: [`take`] answers a second call with
//!   nothing.
//! - Each is checked to be an open socket before anything is done with it.
#![allow(unsafe_code)]

use std::{
    env,
    net::{TcpListener, UdpSocket},
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use needledrop_http::Sockets;
use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{SocketType, sockopt::socket_type},
};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// More than this is a mistake.
const MOST: usize = 64;

/// The sockets that were passed to this process; none if none were.
///
/// # Errors
/// A name that says nothing, or something that is not a socket of its kind.
pub fn take() -> Result<Sockets, String> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let value = |name| env::var(name).unwrap_or_default();
    if value("LISTEN_PID") != process::id().to_string() || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Sockets::default());
    }
    let count = value("LISTEN_FDS").parse::<usize>().ok().filter(|count| *count <= MOST);
    let count = count.ok_or_else(|| format!("LISTEN_FDS is not a number up to {MOST}"))?;
    let names = value("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let mut sockets = Sockets::default();
    for fd in (FIRST..).take(count) {
        let name = names.next().unwrap_or_default();
        sort(owned(fd)?, name, &mut sockets).map_err(|error| format!("inherited socket {fd} ({name:?}): {error}"))?;
    }
    Ok(sockets)
}

fn owned(fd: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: borrowed for one call, which fails for a descriptor that is not open or not a socket.
    let kind = socket_type(unsafe { BorrowedFd::borrow_raw(fd) });
    kind.map_err(|error| format!("descriptor {fd} is not a socket: {error}"))?;
    // SAFETY: open, as was seen; and ours alone by the contract above, which `take` keeps.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn sort(fd: OwnedFd, name: &str, sockets: &mut Sockets) -> Result<(), String> {
    let kind = socket_type(&fd).map_err(|error| error.to_string())?;
    // Programs that we start have no use for it.
    fcntl_setfd(&fd, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    match (name, kind) {
        ("plain", SocketType::STREAM) => sockets.plain.push(TcpListener::from(fd)),
        ("tls", SocketType::STREAM) => sockets.tls.push(TcpListener::from(fd)),
        ("quic", SocketType::DGRAM) => sockets.quic.push(UdpSocket::from(fd)),
        ("plain" | "tls" | "quic", _) => {
            return Err("plain and tls are stream sockets, quic is a datagram socket".into());
        }
        _ => return Err("name it plain, tls or quic (FileDescriptorName= in the socket unit)".into()),
    }
    Ok(())
}
