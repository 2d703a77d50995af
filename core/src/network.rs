//! Networks of addresses: parsing, membership, and how much of an address is a client's own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address prefix as `203.0.113.0/24` or `2001:db8::/56`; bits behind the prefix are zero.
///
/// IPv4 addresses that come dressed as IPv6 (`::ffff:203.0.113.9`) are IPv4 here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// The text is not a network: address, slash, prefix length, and no bits behind the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a network (expected as 203.0.113.0/24, 2001:db8::/56, or a single address)")]
pub struct CidrRefusal;

impl Cidr {
    /// IPv4 and IPv6 loopback.
    pub const LOOPBACK: [Cidr; 2] = [
        Cidr { network: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix_bits: 8 },
        Cidr { network: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix_bits: 128 },
    ];

    /// Reads `ADDRESS/BITS`, or a single address as a network of one.
    ///
    /// Bits behind the prefix are refused rather than dropped: whoever wrote `10.0.0.5/8`
    /// meant something else than `10.0.0.0/8`. An IPv4-mapped prefix must cover the mapping.
    pub fn parse(text: &str) -> Result<Self, CidrRefusal> {
        let Some((address, bits)) = text.split_once('/') else {
            return text.parse().map(Self::single).map_err(|_| CidrRefusal);
        };
        let address: IpAddr = address.parse().map_err(|_| CidrRefusal)?;
        let bits = parse_bits(bits)?;
        let (address, bits) = match (address, unmapped(address)) {
            (IpAddr::V6(_), IpAddr::V4(inner)) => (IpAddr::V4(inner), bits.checked_sub(96).ok_or(CidrRefusal)?),
            _ => (address, bits),
        };
        if bits > width(address) || masked(address, bits) != address {
            return Err(CidrRefusal);
        }
        Ok(Self { network: address, prefix_bits: bits })
    }

    /// The network of this address alone.
    pub fn single(address: IpAddr) -> Self {
        let address = unmapped(address);
        Self { network: address, prefix_bits: width(address) }
    }

    /// The network of `prefix_bits` bits around an address; more bits than it has mean all of them.
    pub fn around(address: IpAddr, prefix_bits: u8) -> Self {
        let address = unmapped(address);
        let prefix_bits = prefix_bits.min(width(address));
        Self { network: masked(address, prefix_bits), prefix_bits }
    }

    /// What a home or a company keeps while its addresses change: IPv4 /24, IPv6 /56.
    pub fn client_network(address: IpAddr) -> Self {
        match unmapped(address) {
            IpAddr::V4(_) => Self::around(address, 24),
            IpAddr::V6(_) => Self::around(address, 56),
        }
    }

    /// Whether the address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = unmapped(address);
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix_bits) == self.network
    }

    /// The first address of the network.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// How many leading bits are fixed.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

/// The IPv4 address inside an IPv4-mapped IPv6 address; every other address as it is.
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether any of the networks holds the address.
pub fn any_contains(networks: &[Cidr], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// One to three digits, no sign, no leading zero: one text for each number.
fn parse_bits(text: &str) -> Result<u8, CidrRefusal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(CidrRefusal)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cidr({self})")
    }
}

impl FromStr for Cidr {
    type Err = CidrRefusal;

    fn from_str(text: &str) -> Result<Self, CidrRefusal> {
        Self::parse(text)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn membership_respects_the_prefix_to_the_bit() {
        let network = Cidr::parse("10.1.128.0/17").expect("a network");
        assert!(network.contains(address("10.1.128.0")) && network.contains(address("10.1.255.255")));
        assert!(!network.contains(address("10.1.127.255")) && !network.contains(address("10.2.128.0")));
        assert!(network.contains(address("::ffff:10.1.200.1")));
        assert!(!network.contains(address("::10.1.200.1")));
        let all = Cidr::parse("0.0.0.0/0").expect("a network");
        assert!(all.contains(address("255.1.2.3")) && !all.contains(address("::1")));
    }

    #[test]
    fn texts_that_are_not_networks_are_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.5/8",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/8 ",
            "010.0.0.0/8",
            "::ffff:10.0.0.0/8",
            "a/b",
            "10.0.0.0/8/8",
            "10.0.0.0/256",
        ] {
            assert_eq!(Cidr::parse(text), Err(CidrRefusal), "{text}");
        }
    }

    #[test]
    fn mapped_networks_are_the_networks_inside() {
        assert_eq!(Cidr::parse("::ffff:10.0.0.0/104"), Cidr::parse("10.0.0.0/8"));
        assert_eq!(Cidr::parse("::ffff:10.0.0.1"), Cidr::parse("10.0.0.1/32"));
    }

    #[test]
    fn a_client_network_is_a_24_or_a_56() {
        assert_eq!(Cidr::client_network(address("203.0.113.77")).to_string(), "203.0.113.0/24");
        assert_eq!(Cidr::client_network(address("::ffff:203.0.113.77")).to_string(), "203.0.113.0/24");
        assert_eq!(Cidr::client_network(address("2001:db8:1:22ff::9")).to_string(), "2001:db8:1:2200::/56");
    }

    proptest! {
        #[test]
        fn a_network_survives_its_text_and_holds_its_address(v4: u32, v6: u128, bits: u8) {
            for address in [IpAddr::V4(Ipv4Addr::from_bits(v4)), IpAddr::V6(Ipv6Addr::from_bits(v6))] {
                let network = Cidr::around(address, bits % 129);
                prop_assert!(network.contains(address));
                prop_assert_eq!(Cidr::parse(&network.to_string()), Ok(network));
            }
        }
    }
}
