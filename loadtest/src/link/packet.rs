//! IPv4 packets, as far as a line must read them: whose line they are on, and which addresses they carry.
//!
//! The servers of this machine may listen on 127.0.0.0/16 only, and no packet with such an address crosses a device.
//! On the lines these servers carry addresses of another /16, and the emulator exchanges the two: since both are /16,
//! that changes one 16-bit word, and checksums follow by arithmetic (RFC 1624) instead of by summing anew.

use std::net::Ipv4Addr;

/// The first 16 bits of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net(u16);

impl Net {
    /// 127.0.0.0/16, where servers listen that are for this machine only.
    pub const LOOPBACK: Net = Net(0x7F00);

    /// a.b.0.0/16.
    pub const fn new(a: u8, b: u8) -> Self {
        Self(u16::from_be_bytes([a, b]))
    }

    /// The address of this net with these last 16 bits.
    pub fn address(self, host: u16) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.0) << 16 | u32::from(host))
    }

    /// The last 16 bits of an address in this net.
    pub fn host(self, address: Ipv4Addr) -> Option<u16> {
        let bits = u32::from(address);
        (bits >> 16 == u32::from(self.0)).then_some(bits as u16)
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/16", self.address(0))
    }
}

/// A field of the header of IPv4 (RFC 791, section 3.1), by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Who sent it.
    Source = 12,
    /// For whom it is.
    Destination = 16,
}

/// One whole IPv4 packet; nothing else becomes one.
pub struct Packet<'a> {
    bytes: &'a mut [u8],
    header_len: usize,
}

impl<'a> Packet<'a> {
    /// None for IPv6, and for what is shorter than it says.
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header_len = usize::from(first & 0x0F) * 4;
        let whole = first >> 4 == 4 && header_len >= 20 && bytes.len() >= header_len;
        whole.then_some(Self { bytes, header_len })
    }

    /// The address at this end.
    pub fn address(&self, end: End) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.word(end as usize)) << 16 | u32::from(self.word(end as usize + 2)))
    }

    /// Moves the address at this end from one net to another, if it is in the first. Errors of ICMP quote a packet of
    /// the other direction, whose other end moves along: without that no socket would know that it is meant.
    pub fn renumber(&mut self, end: End, from: Net, to: Net) {
        if self.word(end as usize) != from.0 {
            return;
        }
        self.put(end as usize, to.0);
        self.adjust(10, from, to);
        // TCP and UDP sum the addresses too; they are in the first fragment only.
        let first_fragment = self.word(6) & 0x1FFF == 0;
        match self.bytes[9] {
            _ if !first_fragment => {}
            ICMP => self.renumber_quoted(end, from, to),
            TCP => self.adjust(self.header_len + 16, from, to),
            UDP => self.adjust_unless_absent(self.header_len + 6, from, to),
            _ => {}
        }
    }

    fn renumber_quoted(&mut self, end: End, from: Net, to: Net) {
        // Unreachable, time exceeded, parameter problem (RFC 792); the quoted packet follows eight bytes.
        if !matches!(self.bytes.get(self.header_len), Some(3 | 11 | 12)) {
            return;
        }
        let other_end = match end {
            End::Source => End::Destination,
            End::Destination => End::Source,
        };
        let quoted_at = self.header_len + 8;
        let Some(mut quoted) = self.bytes.get_mut(quoted_at..).and_then(Packet::new) else { return };
        if quoted.word(other_end as usize) == from.0 {
            quoted.put(other_end as usize, to.0);
            // The sum over a whole IP header does not change with its addresses, so the sum of ICMP stays as it is.
            quoted.adjust(10, from, to);
        }
    }

    /// RFC 768: a sum of zero says that there is none, and a sum that comes out as zero is sent as its other zero.
    fn adjust_unless_absent(&mut self, at: usize, from: Net, to: Net) {
        if at + 2 > self.bytes.len() || self.word(at) == 0 {
            return;
        }
        self.adjust(at, from, to);
        if self.word(at) == 0 {
            self.put(at, 0xFFFF);
        }
    }

    /// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
    fn adjust(&mut self, at: usize, from: Net, to: Net) {
        if at + 2 > self.bytes.len() {
            return;
        }
        let sum = u32::from(!self.word(at)) + u32::from(!from.0) + u32::from(to.0);
        let folded = (sum & 0xFFFF) + (sum >> 16);
        let folded = (folded & 0xFFFF) + (folded >> 16);
        self.put(at, !(folded as u16));
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn put(&mut self, at: usize, word: u16) {
        self.bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: Net = Net::new(10, 65);

    /// The Internet checksum as RFC 1071 defines it: the naive way, to compare with.
    fn sum(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        let mut sum: u32 = words.sum();
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum as u16
    }

    fn pseudo(packet: &[u8]) -> Vec<u8> {
        let len = (packet.len() - 20) as u16;
        [&packet[12..20], &[0, packet[9]], &len.to_be_bytes(), &packet[20..]].concat()
    }

    /// A packet with right checksums.
    fn packet(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
        bytes.extend(source.octets().iter().chain(&destination.octets()));
        bytes.extend(payload);
        let len = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        let header = !sum(&bytes[..20]);
        bytes[10..12].copy_from_slice(&header.to_be_bytes());
        if let Some((at, value)) = match protocol {
            TCP => Some((36, !sum(&pseudo(&bytes)))),
            UDP => Some((
                26,
                match !sum(&pseudo(&bytes)) {
                    0 => 0xFFFF,
                    sum => sum,
                },
            )),
            ICMP => Some((22, !sum(&bytes[20..]))),
            _ => None,
        } {
            bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    fn assert_sums(bytes: &[u8]) {
        assert_eq!(sum(&bytes[..20]), 0xFFFF, "header");
        match bytes[9] {
            TCP => assert_eq!(sum(&pseudo(bytes)), 0xFFFF, "TCP"),
            UDP => assert!(sum(&pseudo(bytes)) == 0xFFFF && bytes[26..28] != [0, 0], "UDP"),
            ICMP => assert_eq!(sum(&bytes[20..]), 0xFFFF, "ICMP"),
            _ => {}
        }
    }

    #[test]
    fn an_error_that_quotes_a_packet_speaks_of_the_address_that_the_listener_knows() {
        // Given a listener's datagram to the alias of 127.0.0.1, which arrived as one to 127.0.0.1 and was refused,
        let listener = Ipv4Addr::new(10, 64, 0, 9);
        let sent = packet(UDP, listener, Net::LOOPBACK.address(1), &[0x30, 0x39, 0, 9, 0, 8, 0, 0]);
        let refusal = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &sent].concat();
        let mut answer = packet(ICMP, Net::LOOPBACK.address(1), listener, &refusal);
        // when the refusal goes back down the line, then both it and what it quotes carry the alias.
        Packet::new(&mut answer).unwrap().renumber(End::Source, Net::LOOPBACK, LINE);
        assert_sums(&answer);
        let mut quoted = answer[28..].to_vec();
        assert_eq!(sum(&quoted[..20]), 0xFFFF);
        assert_eq!(Packet::new(&mut quoted).unwrap().address(End::Destination), LINE.address(1));
    }

    #[test]
    fn a_datagram_without_a_sum_stays_without() {
        let mut bytes = packet(UDP, Net::LOOPBACK.address(1), LINE.address(7), &[0, 1, 0, 2, 0, 8, 0, 0]);
        bytes[26..28].copy_from_slice(&[0, 0]);
        Packet::new(&mut bytes).unwrap().renumber(End::Source, Net::LOOPBACK, LINE);
        assert_eq!(bytes[26..28], [0, 0]);
    }

    proptest! {
        #[test]
        fn sums_stay_right_and_back_again_is_as_before(
            protocol in prop_oneof![Just(TCP), Just(UDP), Just(47u8)], host: u16, other: u32, at_source: bool,
            payload in proptest::collection::vec(any::<u8>(), 20..100),
        ) {
            let mut payload = payload;
            payload[6..8].fill(0); // where UDP's sum goes,
            if protocol == TCP { payload[16..18].fill(0); } // and TCP's
            let (inside, other) = (Net::LOOPBACK.address(host), Ipv4Addr::from(other));
            let (end, ends) = if at_source { (End::Source, (inside, other)) } else { (End::Destination, (other, inside)) };
            let before = packet(protocol, ends.0, ends.1, &payload);
            let mut bytes = before.clone();
            Packet::new(&mut bytes).unwrap().renumber(end, Net::LOOPBACK, LINE);
            assert_sums(&bytes);
            prop_assert_eq!(Packet::new(&mut bytes).unwrap().address(end), LINE.address(host));
            Packet::new(&mut bytes).unwrap().renumber(end, LINE, Net::LOOPBACK);
            // Checksums have two zeros, so those are compared by what they say.
            assert_sums(&bytes);
            prop_assert_eq!(&bytes[12..20], &before[12..20]);
        }

        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), version_4: bool, icmp: bool) {
            if let (true, Some(first)) = (version_4, bytes.first_mut()) { *first = 0x40 | (*first & 0x0F) }
            if let (true, Some(protocol)) = (icmp, bytes.get_mut(9)) { *protocol = ICMP }
            if let Some(mut packet) = Packet::new(&mut bytes) {
                let word = packet.word(12);
                packet.renumber(End::Source, Net(word), LINE);
            }
        }
    }
}
