//! Sockets that somebody else opened: a service manager before we started, or the process whose work we take over.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Listening sockets by the doors they belong to.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Plain HTTP/1.1.
    pub plain: Vec<TcpListener>,
    /// TLS.
    pub tls: Vec<TcpListener>,
    /// QUIC.
    pub quic: Vec<UdpSocket>,
}

impl Sockets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.tls.is_empty() && self.quic.is_empty()
    }

    /// The same sockets once more, for another process.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        let tcp = |list: &[TcpListener]| list.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
        let quic = self.quic.iter().map(UdpSocket::try_clone).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { plain: tcp(&self.plain)?, tls: tcp(&self.tls)?, quic })
    }
}

/// The sockets of one kind of door: for each address the one that is bound to it already, else a new one; and all
/// others that were given, since whoever opened them wants them served.
pub(crate) fn open_all<S, E>(
    addresses: &[SocketAddr],
    mut given: Vec<S>,
    local: impl Fn(&S) -> io::Result<SocketAddr>,
    open: impl Fn(SocketAddr) -> Result<S, E>,
) -> Result<Vec<S>, E> {
    let is_asked_for = |address: SocketAddr, socket: &S| {
        local(socket).is_ok_and(|bound| bound.ip() == address.ip() && [0, bound.port()].contains(&address.port()))
    };
    let mut sockets = Vec::with_capacity(addresses.len().max(given.len()));
    for &address in addresses {
        sockets.push(match given.iter().position(|socket| is_asked_for(address, socket)) {
            Some(index) => given.remove(index),
            None => open(address)?,
        });
    }
    sockets.append(&mut given);
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_sockets_are_taken_by_address_and_the_rest_is_served_too() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let given = vec![address("10.0.0.1:80"), address("127.0.0.1:9"), address("10.0.0.2:4000")];
        let asked = [address("127.0.0.1:9"), address("127.0.0.1:10"), address("10.0.0.2:0")];
        let opened = open_all(&asked, given, |bound| Ok(*bound), Ok::<_, ()>).unwrap();
        assert_eq!(opened, ["127.0.0.1:9", "127.0.0.1:10", "10.0.0.2:4000", "10.0.0.1:80"].map(address));
    }
}
