//! The PROXY protocol, version 2: what a trusted load balancer says before the first byte
//! of the connection it passes on.
//!
//! ```text
//!  0..12  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//!  12     version 2 in the high half; 0 LOCAL or 1 PROXY in the low half
//!  13     family (0 none, 1 IPv4, 2 IPv6, 3 unix) high; 0 none, 1 stream, 2 datagram low
//!  14..16 length of the rest, big-endian
//!  16..   source and destination address, source and destination port, then TLVs
//! ```
//!
//! Reads from a growing buffer and says how much is missing; sockets are not its business,
//! and neither is who may be trusted to speak it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses.
const FIXED_BYTES: usize = 16;

/// Longest header in bytes, TLVs included: the specification promises that 536 bytes arrive
/// in one piece, and senders keep to it.
pub const HEADER_BYTES_MAX: usize = 536;

/// TLV type of a CRC-32C over the whole header.
const TLV_CRC32C: u8 = 0x03;

/// Who is connected, by the word of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// The proxy itself (a health check), or somebody without an internet address:
    /// the socket's own addresses count.
    Local,
    /// Somebody behind the proxy.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// At least so many more bytes are needed; at least 1, and never more than the header holds.
    NeedMore(usize),
    /// A whole header stood at the beginning.
    Done {
        /// Its length in bytes: the connection's own data begins there.
        consumed: usize,
        /// Who is connected.
        connection: Connection,
    },
}

/// The bytes are not a header that is understood here; the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyRefusal {
    /// Does not begin with the signature.
    #[error("not a PROXY v2 header")]
    Signature,
    /// Another version, or a command that is neither LOCAL nor PROXY.
    #[error("a PROXY version or command that is not understood")]
    Command,
    /// A family or transport that does not exist.
    #[error("a PROXY address family that is not understood")]
    Family,
    /// Longer than [`HEADER_BYTES_MAX`].
    #[error("the PROXY header is longer than 536 bytes")]
    TooLong,
    /// Too short for its addresses, or TLVs that do not fill it exactly.
    #[error("the PROXY header does not add up")]
    Length,
    /// Its checksum is wrong.
    #[error("the PROXY header's checksum is wrong")]
    Checksum,
}

/// Reads a header from the beginning of `bytes`; gives up as early as it can.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyRefusal> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] != SIGNATURE[..common] {
        return Err(ProxyRefusal::Signature);
    }
    if bytes.get(12).is_some_and(|byte| !matches!(byte, 0x20 | 0x21)) {
        return Err(ProxyRefusal::Command);
    }
    if bytes.get(13).is_some_and(|byte| byte >> 4 > 3 || byte & 0x0f > 2) {
        return Err(ProxyRefusal::Family);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(Parsed::NeedMore(FIXED_BYTES - bytes.len()));
    };
    let consumed = FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if consumed > HEADER_BYTES_MAX {
        return Err(ProxyRefusal::TooLong);
    }
    let Some(header) = bytes.get(..consumed) else {
        return Ok(Parsed::NeedMore(consumed - bytes.len()));
    };
    let connection = read_whole(header)?;
    Ok(Parsed::Done { consumed, connection })
}

/// A header that is all there.
fn read_whole(header: &[u8]) -> Result<Connection, ProxyRefusal> {
    let (fixed, rest) = header.split_at(FIXED_BYTES);
    // The specification: with LOCAL, whatever follows is skipped.
    if fixed[12] == 0x20 {
        return Ok(Connection::Local);
    }
    let (connection, tlvs) = match fixed[13] {
        0x11 | 0x12 => addresses_v4(rest)?,
        0x21 | 0x22 => addresses_v6(rest)?,
        // Unspecified, unix, or a family without its transport: nobody with an address.
        _ => return Ok(Connection::Local),
    };
    check_tlvs(header, tlvs)?;
    Ok(connection)
}

fn addresses_v4(rest: &[u8]) -> Result<(Connection, &[u8]), ProxyRefusal> {
    let (block, tlvs) = rest.split_first_chunk::<12>().ok_or(ProxyRefusal::Length)?;
    let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]));
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let source = SocketAddr::new(ip(0), port(8));
    let destination = SocketAddr::new(ip(4), port(10));
    Ok((Connection::Proxied { source, destination }, tlvs))
}

fn addresses_v6(rest: &[u8]) -> Result<(Connection, &[u8]), ProxyRefusal> {
    let (block, tlvs) = rest.split_first_chunk::<36>().ok_or(ProxyRefusal::Length)?;
    let ip = |at: usize| {
        let octets: [u8; 16] = block[at..at + 16].try_into().expect("a slice of 16");
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let source = SocketAddr::new(ip(0), port(32));
    let destination = SocketAddr::new(ip(16), port(34));
    Ok((Connection::Proxied { source, destination }, tlvs))
}

/// TLVs must fill the header exactly; only the checksum is looked into.
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), ProxyRefusal> {
    while !tlvs.is_empty() {
        let ([kind, high, low], behind) = tlvs.split_first_chunk::<3>().ok_or(ProxyRefusal::Length)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(ProxyRefusal::Length)?;
        if *kind == TLV_CRC32C {
            let place = header.len() - behind.len() - length;
            check_crc(header, place, value)?;
        }
        tlvs = behind;
    }
    Ok(())
}

/// The checksum covers the header with its own four bytes as zeros.
fn check_crc(header: &[u8], place: usize, value: &[u8]) -> Result<(), ProxyRefusal> {
    let told = u32::from_be_bytes(value.try_into().map_err(|_| ProxyRefusal::Length)?);
    let mut blanked = header.to_vec();
    blanked[place..place + 4].fill(0);
    if crc32c(&blanked) == told { Ok(()) } else { Err(ProxyRefusal::Checksum) }
}

/// CRC-32C (Castagnoli), bit by bit: at most 536 bytes, once per connection.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * carry);
        }
    }
    !crc
}

/// Writes the header that says `connection`, without TLVs. Two addresses of different
/// families are both written as IPv6.
pub fn encode(connection: &Connection) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Connection::Proxied { source, destination } = connection else {
        header.extend([0x20, 0x00, 0, 0]);
        return header;
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x21, 0x11, 0, 12]);
            header.extend(from.octets());
            header.extend(to.octets());
        }
        (from, to) => {
            header.extend([0x21, 0x21, 0, 36]);
            header.extend(as_v6(from).octets());
            header.extend(as_v6(to).octets());
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxied(source: &str, destination: &str) -> Connection {
        Connection::Proxied {
            source: source.parse().expect("a socket"),
            destination: destination.parse().expect("a socket"),
        }
    }

    /// A header with these bytes behind the fixed part.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn done(bytes: &[u8]) -> Connection {
        match parse(bytes) {
            Ok(Parsed::Done { consumed, connection }) => {
                assert_eq!(consumed, bytes.len());
                connection
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_read_from_a_header_written_by_hand() {
        let bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x0a\x00\x00\x01\x30\x39\x01\xbb";
        assert_eq!(done(bytes), proxied("203.0.113.9:12345", "10.0.0.1:443"));
    }

    #[test]
    fn who_has_no_internet_address_is_local() {
        assert_eq!(done(&header(0x20, 0x00, b"")), Connection::Local);
        assert_eq!(done(&header(0x20, 0x11, b"anything")), Connection::Local);
        assert_eq!(done(&header(0x21, 0x00, b"")), Connection::Local);
        assert_eq!(done(&header(0x21, 0x31, &[0; 216])), Connection::Local);
        assert_eq!(done(&header(0x21, 0x10, b"")), Connection::Local);
    }

    #[test]
    fn tlvs_are_passed_over_if_they_add_up() {
        let mut rest = vec![1; 12];
        rest.extend([0xe0, 0, 2, 7, 7, 0x04, 0, 0]);
        assert!(matches!(done(&header(0x21, 0x11, &rest)), Connection::Proxied { .. }));
        for tail in [&[0xe0][..], &[0xe0, 0], &[0xe0, 0, 2, 7], &[0xe0, 0xff, 0xff]] {
            let mut rest = vec![1; 12];
            rest.extend(tail);
            assert_eq!(parse(&header(0x21, 0x11, &rest)), Err(ProxyRefusal::Length), "{tail:?}");
        }
    }

    #[test]
    fn a_checksum_is_checked() {
        // The check value of CRC-32C, as catalogues of checksums give it.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut rest = vec![1; 12];
        rest.extend([0x03, 0, 4, 0, 0, 0, 0]);
        let mut bytes = header(0x21, 0x11, &rest);
        let crc = crc32c(&bytes).to_be_bytes();
        let place = bytes.len() - 4;
        bytes[place..].copy_from_slice(&crc);
        assert!(matches!(done(&bytes), Connection::Proxied { .. }));
        bytes[16] ^= 1;
        assert_eq!(parse(&bytes), Err(ProxyRefusal::Checksum));
    }

    #[test]
    fn hostile_headers_are_refused_as_early_as_possible() {
        assert_eq!(parse(b"G"), Err(ProxyRefusal::Signature));
        assert_eq!(parse(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), Err(ProxyRefusal::Signature));
        assert_eq!(parse(&header(0x11, 0x11, b"")[..13]), Err(ProxyRefusal::Command));
        assert_eq!(parse(&header(0x22, 0x11, b"")[..13]), Err(ProxyRefusal::Command));
        assert_eq!(parse(&header(0x21, 0x41, b"")[..14]), Err(ProxyRefusal::Family));
        assert_eq!(parse(&header(0x21, 0x13, b"")[..14]), Err(ProxyRefusal::Family));
        assert_eq!(parse(&header(0x21, 0x11, &[0; 521])[..16]), Err(ProxyRefusal::TooLong));
        assert_eq!(parse(&header(0x21, 0x11, &[0; 11])), Err(ProxyRefusal::Length));
        assert_eq!(parse(&header(0x21, 0x21, &[0; 35])), Err(ProxyRefusal::Length));
        assert!(matches!(parse(&header(0x20, 0x00, &[0; 520])), Ok(Parsed::Done { consumed: 536, .. })));
    }

    fn socket() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((Ipv4Addr::from_bits(ip), port))),
            (any::<u128>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((Ipv6Addr::from_bits(ip), port))),
        ]
    }

    proptest! {
        #[test]
        fn a_header_survives_any_slicing(source in socket(), destination in socket(), behind in prop::collection::vec(any::<u8>(), 0..20)) {
            let header = encode(&Connection::Proxied { source, destination });
            for end in 0..header.len() {
                let Ok(Parsed::NeedMore(missing)) = parse(&header[..end]) else { panic!("{end} bytes are not a header") };
                prop_assert!(missing >= 1 && end + missing <= header.len());
            }
            let mut stream = header.clone();
            stream.extend(&behind);
            let Ok(Parsed::Done { consumed, connection: Connection::Proxied { source: found, destination: reached } }) = parse(&stream) else {
                panic!("a whole header is read")
            };
            prop_assert_eq!(consumed, header.len());
            prop_assert_eq!((found.port(), reached.port()), (source.port(), destination.port()));
            prop_assert_eq!(found.ip().to_canonical(), source.ip().to_canonical());
            prop_assert_eq!(reached.ip().to_canonical(), destination.ip().to_canonical());
        }

        #[test]
        fn hostile_bytes_never_ask_for_more_than_a_header(tail in prop::collection::vec(any::<u8>(), 0..600), genuine: bool) {
            let mut bytes = if genuine { SIGNATURE.to_vec() } else { Vec::new() };
            bytes.extend(&tail);
            match parse(&bytes) {
                Ok(Parsed::NeedMore(missing)) => prop_assert!(missing >= 1 && bytes.len() + missing <= HEADER_BYTES_MAX),
                Ok(Parsed::Done { consumed, .. }) => prop_assert!(consumed <= bytes.len() && consumed <= HEADER_BYTES_MAX),
                Err(_) => {}
            }
        }
    }
}
