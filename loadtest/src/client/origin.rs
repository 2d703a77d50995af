//! Where requests go: a name for the server to know itself by, and an address to send packets to.

use std::fmt;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;

use super::Failure;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// https; HTTP/3 is always secure.
    pub tls: bool,
    /// DNS name or address, for SNI and Host, an IPv6 address without its brackets.
    pub name: String,
    /// The port of the URL, which is part of Host.
    pub port: u16,
    /// Where the packets go: of the name, or of a link in between.
    pub address: SocketAddr,
}

impl Origin {
    /// Host and, where it is not the scheme's own, port: the value of Host and `:authority`.
    pub fn authority(&self) -> String {
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => name,
            (_, port) => format!("{name}:{port}"),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    pub(super) fn server_name(&self) -> Result<ServerName<'static>, Failure> {
        ServerName::try_from(self.name.clone())
            .map_err(|_| Failure::tls(format!("{:?} is no name that a certificate could have", self.name)))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_names_a_port_only_if_it_is_not_the_usual_one() {
        let at = |tls, name: &str, port| {
            let address = "127.0.0.1:1".parse().unwrap();
            Origin { tls, name: name.into(), port, address }.authority()
        };
        assert_eq!(at(true, "localhost", 443), "localhost");
        assert_eq!(at(false, "localhost", 443), "localhost:443");
        assert_eq!(at(true, "::1", 8443), "[::1]:8443");
    }
}
