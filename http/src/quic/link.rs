//! The way of datagrams between two processes that share a UDP socket: the one that reads it, and the one before it,
//! where older connections live. Who shall have which datagram is decided in `former.rs`.
//!
//! A pair of unix sockets that keep messages apart and tell when the other end is gone (SOCK_SEQPACKET). The elder's
//! first message is its notice; every other one, either way, is a datagram as it came from the network:
//!
//! ```text
//!  address  = family (1 byte: 4 or 6, 0 for none) | port (2) | scope (4) | ip (16, IPv4 in the first 4)
//!  datagram = ECN (1) | remote address | local address, whose port and scope are 0 | payload
//!  notice   = local address | number of generations (1) | generations | id: length (1), id | id …
//! ```
//!
//! What waits in between is bounded by the kernel's buffer of the pair: a datagram that finds it full is lost, as one
//! that finds a full UDP buffer is.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use bytes::BytesMut;
use quinn_proto::EcnCodepoint;
use socket2::{Domain, SockRef, Type};
use tokio::net::UnixDatagram;

use super::socket::Datagram;

/// Datagrams that wait for the other process, in each direction: about two hundred full ones, which is what all
/// listeners of an edge send in a few milliseconds. Most are acknowledgements, and their loss costs little.
const BUFFER_BYTES: usize = 512 * 1024;
/// The largest message: a datagram of 64 KiB and its addresses.
const MESSAGE_BYTES: usize = 64 * 1024 + HEAD_BYTES;

const ADDRESS_BYTES: usize = 23;
const HEAD_BYTES: usize = 1 + 2 * ADDRESS_BYTES;

/// One end.
pub(super) struct Link {
    /// tokio has no type for SOCK_SEQPACKET; sending and receiving are the same calls.
    io: UnixDatagram,
    buffer: Vec<u8>,
}

/// What an end has for its reader.
pub(super) enum Message<'a> {
    Some(&'a [u8]),
    Nothing,
    /// The other process is gone, or done with its connections.
    End,
}

impl Link {
    /// Our end, and one for another process. Must run inside a tokio runtime.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socket2::Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        for end in [&ours, &theirs] {
            // The system clamps it to its own limit.
            let _ = end.set_send_buffer_size(BUFFER_BYTES);
        }
        Ok((Self::of(ours.into())?, theirs.into()))
    }

    /// The end that the process before made, and its notice, which was sent before the end was. Must run inside a tokio
    /// runtime.
    pub(super) fn join(end: OwnedFd) -> io::Result<(Self, Notice)> {
        let mut link = Self::of(end)?;
        let len = Read::read(&mut &*SockRef::from(&link.io), &mut link.buffer)?;
        let notice = Notice::decode(&link.buffer[..len]).ok_or_else(|| io::Error::other("a link without a notice"))?;
        Ok((link, notice))
    }

    fn of(end: OwnedFd) -> io::Result<Self> {
        let end = std::os::unix::net::UnixDatagram::from(end);
        end.set_nonblocking(true)?;
        Ok(Self { io: UnixDatagram::from_std(end)?, buffer: vec![0; MESSAGE_BYTES] })
    }

    /// Whether the message is on its way.
    pub(super) fn send(&self, message: &[u8]) -> bool {
        // Without asking tokio whether there is room: it does not know yet of a new one, and nobody waits here.
        SockRef::from(&self.io).send_with_flags(message, libc::MSG_NOSIGNAL).is_ok()
    }

    pub(super) async fn readable(&self) {
        // An error shows again when receiving.
        let _ = self.io.readable().await;
    }

    pub(super) fn receive(&mut self) -> Message<'_> {
        match self.io.try_recv(&mut self.buffer) {
            Ok(0) => Message::End,
            Ok(len) => Message::Some(&self.buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Message::Nothing,
            Err(_) => Message::End,
        }
    }
}

/// What the process before says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// Of the socket that this link belongs to.
    pub(super) local: SocketAddr,
    /// Of the connection ids that it, or one before it, has made.
    pub(super) generations: Vec<u8>,
    /// First destination ids of the handshakes that have begun there: their clients' own.
    pub(super) begun: Vec<Vec<u8>>,
}

impl Notice {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_address(&mut out, Some(self.local));
        put_short(&mut out, &self.generations);
        self.begun.iter().for_each(|id| put_short(&mut out, id));
        out
    }

    pub(super) fn decode(mut message: &[u8]) -> Option<Self> {
        let local = take_address(&mut message)??;
        let generations = take_short(&mut message)?.to_vec();
        let mut begun = Vec::new();
        while !message.is_empty() {
            begun.push(take_short(&mut message)?.to_vec());
        }
        Some(Self { local, generations, begun })
    }
}

impl Datagram {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.bytes.len());
        out.push(self.ecn.map_or(0, |ecn| ecn as u8));
        put_address(&mut out, Some(self.remote));
        put_address(&mut out, self.local_ip.map(|ip| SocketAddr::new(ip, 0)));
        out.extend_from_slice(&self.bytes);
        out
    }

    pub(super) fn decode(mut message: &[u8]) -> Option<Self> {
        let (ecn, rest) = message.split_first()?;
        message = rest;
        Some(Self {
            ecn: EcnCodepoint::from_bits(*ecn),
            remote: take_address(&mut message)??,
            local_ip: take_address(&mut message)?.map(|address| address.ip()),
            bytes: BytesMut::from(message),
        })
    }
}

fn put_address(out: &mut Vec<u8>, address: Option<SocketAddr>) {
    let start = out.len();
    match address {
        None => out.push(0),
        Some(address) => {
            out.push(if address.is_ipv4() { 4 } else { 6 });
            out.extend_from_slice(&address.port().to_be_bytes());
            let scope = if let SocketAddr::V6(v6) = address { v6.scope_id() } else { 0 };
            out.extend_from_slice(&scope.to_be_bytes());
            match address.ip() {
                IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
            }
        }
    }
    out.resize(start + ADDRESS_BYTES, 0);
}

/// None if this is no address, Some(None) if it says that there is none.
fn take_address(message: &mut &[u8]) -> Option<Option<SocketAddr>> {
    let (address, rest) = message.split_first_chunk::<ADDRESS_BYTES>()?;
    *message = rest;
    let [family, port_high, port_low, s0, s1, s2, s3, ip @ ..] = *address;
    let port = u16::from_be_bytes([port_high, port_low]);
    match family {
        0 => Some(None),
        4 => {
            let [a, b, c, d, ..] = ip;
            Some(Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))))
        }
        6 => {
            let scope = u32::from_be_bytes([s0, s1, s2, s3]);
            Some(Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope).into()))
        }
        _ => None,
    }
}

fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).expect("ids have up to 20 bytes, and generations are few"));
    out.extend_from_slice(bytes);
}

fn take_short<'a>(message: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = message.split_first()?;
    let (bytes, rest) = rest.split_at_checked(usize::from(*len))?;
    *message = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_datagram_arrives_as_it_was_with_its_addresses_and_mark() {
        for (remote, local_ip) in [
            ("192.0.2.7:4433", None),
            ("192.0.2.7:1", Some("198.51.100.1")),
            ("[2001:db8::7]:65535", Some("2001:db8::1")),
            ("[fe80::7%3]:443", Some("fe80::1")),
        ] {
            for ecn in [None, EcnCodepoint::from_bits(1), EcnCodepoint::from_bits(2), EcnCodepoint::from_bits(3)] {
                let local_ip = local_ip.map(|ip| ip.parse().unwrap());
                let sent = Datagram { remote: address(remote), local_ip, ecn, bytes: BytesMut::from("a packet") };
                let got = Datagram::decode(&sent.encode()).unwrap();
                let parts = |one: &Datagram| (one.remote, one.local_ip, one.ecn, one.bytes.clone());
                assert_eq!(parts(&got), parts(&sent));
            }
        }
    }

    #[test]
    fn a_notice_arrives_as_it_was_and_a_piece_of_one_is_none() {
        let notice = Notice {
            local: address("[::]:443"),
            generations: vec![3, 200],
            begun: vec![vec![1; 8], vec![], vec![2; 20]],
        };
        let message = notice.encode();
        assert_eq!(Notice::decode(&message), Some(notice.clone()));
        for len in 0..message.len() {
            assert_ne!(Notice::decode(&message[..len]), Some(notice.clone()), "{len} bytes");
            let _ = Datagram::decode(&message[..len]);
        }
    }

    #[tokio::test]
    async fn the_end_is_noticed_and_a_full_pair_takes_no_more() {
        let (mut ours, theirs) = Link::pair().unwrap();
        let mut theirs = Link::of(theirs).unwrap();
        let sent = (0..100_000).take_while(|_| ours.send(&[7; 1200])).count();
        assert!((50..10_000).contains(&sent), "{sent} datagrams wait");
        theirs.readable().await;
        let mut received = 0;
        while let Message::Some(message) = theirs.receive() {
            assert_eq!(message, [7; 1200]);
            received += 1;
        }
        assert_eq!(received, sent);
        drop(theirs);
        ours.readable().await;
        assert!(matches!(ours.receive(), Message::End));
        assert!(!ours.send(b"x"));
    }
}
