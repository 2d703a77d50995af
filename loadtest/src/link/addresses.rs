//! Which address is what in an emulation: two neighbouring /16 that nothing else on the machine uses.
//!
//! In the first, every address is a listener. In the second are the servers of this machine: 127.0.b.c under the same
//! last 16 bits, and one address for all that listen on no address in particular.

use super::LinkError;
use super::packet::{End, Net, Packet};
use super::profile::Direction;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The two nets.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Of the listeners.
    pub listeners: Net,
    /// Of the servers.
    pub servers: Net,
}

/// The last 16 bits of the machine's own address among the servers; 127.0.255.1 can therefore not be reached.
const MACHINE: u16 = 0xFF01;

/// What commands use that bind no address of their own.
const UNBOUND: u16 = 1;

impl Addresses {
    /// All that may be used: private space (RFC 1918) that few use, and the space for benchmarks (RFC 2544). Each
    /// emulation begins elsewhere, since for some minutes servers go on sending to listeners who are gone.
    pub fn candidates(begin: usize) -> impl Iterator<Item = Self> {
        let pair = |(a, b)| Self { listeners: Net::new(a, b), servers: Net::new(a, b + 1) };
        let tens = (64..=254).step_by(2).map(|b| (10, b));
        let others = (16..=30).step_by(2).map(|b| (172, b)).chain([(198, 18)]);
        let all: Vec<_> = tens.chain(others).map(pair).collect();
        let count = all.len();
        all.into_iter().cycle().skip(begin % count).take(count)
    }

    /// The listener with this number. There are 65,534; beyond, listeners share lines.
    pub fn listener(&self, number: u32) -> Ipv4Addr {
        // 0 is left out since programs take it for the name of the net, 1 is for those who bind no address.
        self.listeners.address((2 + number % 65_534) as u16)
    }

    /// Who sends from the listeners' side without binding an address.
    pub fn unbound(&self) -> Ipv4Addr {
        self.listeners.address(UNBOUND)
    }

    /// The machine, as the listeners see it.
    pub fn machine(&self) -> Ipv4Addr {
        self.servers.address(MACHINE)
    }

    /// What a listener connects to in place of this address, which is none of the machine's others.
    pub fn reach(&self, server: SocketAddr) -> Result<SocketAddr, LinkError> {
        let address = match server.ip() {
            // Who listens on [::] takes IPv4 as well, unless told otherwise.
            IpAddr::V6(v6) if v6.is_unspecified() => self.machine(),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().ok_or(LinkError::V6(server))?,
            IpAddr::V4(v4) => v4,
        };
        let there = match Net::LOOPBACK.host(address) {
            _ if address.is_unspecified() => self.machine(),
            Some(MACHINE) => return Err(LinkError::Loopback(server)),
            Some(host) => self.servers.address(host),
            None if address.is_loopback() => return Err(LinkError::Loopback(server)),
            None => address,
        };
        Ok((there, server.port()).into())
    }

    /// Exchanges the servers' addresses for their aliases or back. Gives the listener on whose line the packet is.
    pub fn translate(&self, direction: Direction, mut packet: Packet<'_>) -> Option<u16> {
        match direction {
            Direction::Up => {
                let listener = self.listeners.host(packet.address(End::Source))?;
                if packet.address(End::Destination) != self.machine() {
                    packet.renumber(End::Destination, self.servers, Net::LOOPBACK);
                }
                Some(listener)
            }
            Direction::Down => {
                let listener = self.listeners.host(packet.address(End::Destination))?;
                packet.renumber(End::Source, Net::LOOPBACK, self.servers);
                Some(listener)
            }
        }
    }

    /// Whether a route or an address that the machine has (`10.64.0.0/12`, `10.64.0.1`, `default`) is in the way.
    pub fn meets(&self, route: &str) -> bool {
        let (address, bits) = route.split_once('/').unwrap_or((route, "32"));
        let (Ok(address), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return false };
        // The pair is a /15. Two nets share an address if they agree on the bits that both have.
        let shift = 32 - bits.min(15);
        let prefix = |address: Ipv4Addr| u32::from(address).checked_shr(shift).unwrap_or(0);
        bits > 0 && prefix(address) == prefix(self.listeners.address(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ADDRESSES: Addresses = Addresses { listeners: Net::new(10, 64), servers: Net::new(10, 65) };

    fn reach(server: &str) -> Result<String, String> {
        let reached = ADDRESSES.reach(server.parse().unwrap());
        reached.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn servers_of_this_machine_have_an_address_on_the_lines() {
        assert_eq!(reach("127.0.0.1:80").unwrap(), "10.65.0.1:80");
        assert_eq!(reach("127.0.3.4:80").unwrap(), "10.65.3.4:80");
        assert_eq!(reach("0.0.0.0:80").unwrap(), "10.65.255.1:80");
        assert_eq!(reach("[::]:80").unwrap(), "10.65.255.1:80");
        assert_eq!(reach("[::ffff:127.0.0.1]:80").unwrap(), "10.65.0.1:80");
        assert_eq!(reach("192.0.2.1:80").unwrap(), "192.0.2.1:80");
        assert!(reach("[::1]:80").unwrap_err().contains("127.0.0.1"));
        assert!(reach("127.1.0.1:80").unwrap_err().contains("127.0.0.1"));
        assert!(reach("127.0.255.1:80").unwrap_err().contains("127.0.0.1"));
    }

    #[test]
    fn listeners_are_as_many_as_addresses() {
        let all: HashSet<_> = (0..65_534).map(|number| ADDRESSES.listener(number)).collect();
        assert!(all.len() == 65_534 && !all.contains(&ADDRESSES.unbound()));
        assert!(all.iter().all(|address| ADDRESSES.listeners.host(*address).is_some()));
        assert_eq!(ADDRESSES.listener(65_534), ADDRESSES.listener(0));
    }

    #[test]
    fn a_route_that_overlaps_is_in_the_way() {
        for route in ["10.0.0.0/8", "10.64.0.0/16", "10.65.3.0/24", "10.65.255.255", "10.64.0.0/15", "0.0.0.0/1"] {
            assert!(ADDRESSES.meets(route), "{route}");
        }
        for route in ["default", "0.0.0.0/0", "10.66.0.0/16", "10.63.255.255", "192.0.2.0/24", "unreachable", "::1/128"]
        {
            assert!(!ADDRESSES.meets(route), "{route}");
        }
    }
}
