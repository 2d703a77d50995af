//! Who is connected, when a trusted balancer or proxy stands between: PROXY v2 on the connection, Forwarded or
//! X-Forwarded-For on the request. The grammars live in core; this reads the socket and picks the fields.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use needledrop_core::forwarded;
use needledrop_core::network::{Cidr, any_contains, unmapped};
use needledrop_core::proxy_v2::{self, Connection, Parsed};
use tokio::io::{AsyncRead, AsyncReadExt};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Reads a PROXY v2 header, and not one byte more.
pub(crate) async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Connection> {
    let mut bytes = Vec::with_capacity(64);
    loop {
        match proxy_v2::parse(&bytes).map_err(io::Error::other)? {
            Parsed::Done { connection, .. } => return Ok(connection),
            Parsed::NeedMore(missing) => {
                let have = bytes.len();
                bytes.resize(have + missing, 0);
                stream.read_exact(&mut bytes[have..]).await?;
            }
        }
    }
}

/// Whether the word of who is at the other end of the socket counts.
pub(crate) fn is_trusted(socket: IpAddr, trusted: &[Cidr]) -> bool {
    any_contains(trusted, unmapped(socket))
}

/// The client's address: the socket's, or what the chain of trusted proxies says.
pub(crate) fn client_address(socket: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    if !is_trusted(socket, trusted) {
        return unmapped(socket);
    }
    let forwarded = joined(headers, &FORWARDED);
    let x_forwarded_for = joined(headers, &X_FORWARDED_FOR);
    forwarded::client_address(socket, forwarded.as_deref(), x_forwarded_for.as_deref(), trusted)
}

/// All lines of a field as one (RFC 9110 5.2). A line that is not text makes the whole unreadable, not absent.
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("\u{fffd}"));
    let first = Cow::Borrowed(lines.next()?);
    Some(lines.fold(first, |all, line| Cow::Owned(format!("{all}, {line}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proxy_header_is_read_and_nothing_behind_it() {
        let mut bytes = proxy_v2::SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 12, 203, 0, 113, 9, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]);
        bytes.extend(b"GET /");
        let mut stream = bytes.as_slice();
        let Connection::Proxied { source, .. } = read_header(&mut stream).await.unwrap() else { panic!() };
        assert_eq!(source, "203.0.113.9:8080".parse().unwrap());
        assert_eq!(stream, b"GET /");
    }

    #[test]
    fn forwarded_counts_only_from_trusted_peers() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, "for=198.51.100.7".parse().unwrap());
        headers.append(FORWARDED, "for=\"[2001:db8::1]\"".parse().unwrap());
        let socket: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(client_address(socket, &headers, &Cidr::LOOPBACK), v6);
        assert_eq!(client_address(socket, &headers, &[]), "127.0.0.1".parse::<IpAddr>().unwrap());
    }
}
