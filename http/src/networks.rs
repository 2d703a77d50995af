//! How many connections a client network may hold, so that nobody takes all places.
//!
//! Counted twice: for what one subscriber has, and for the neighbourhood that one person can rent cheaply.
//!
//! | | subscriber | neighbourhood |
//! |---|---|---|
//! | IPv4 | one address, /32 | /24 |
//! | IPv6 | one LAN, /64 | a customer's site, /48 |
//!
//! An IPv4 address may be a carrier's translator with a few thousand listeners behind it, and so may its neighbours,
//! so both shares are generous: they are there to keep places free, not to judge who is honest. On IPv6 a host picks
//! any address of its LAN, hence nothing finer than /64. IPv4 dressed as IPv6 is IPv4. A listener at home on both
//! protocols has two shares, which does no harm.
//!
//! A network is in the table as long as it holds a connection: the table is as bounded as the connections are, there
//! is nothing to evict, and so no way to have somebody else evicted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use needledrop_core::network::{Cidr, any_contains};

use crate::counters::Counters;
use crate::limits::Limits;

/// Connections by client network.
pub(crate) struct Networks {
    /// Places of a subscriber and of a neighbourhood; 0 is no bound.
    shares: [usize; 2],
    /// Not counted: trusted proxies, which bring everybody's connections, and whom the operator exempts.
    exempt: Vec<Cidr>,
    held: Mutex<HashMap<Cidr, usize>>,
    counters: Arc<Counters>,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the client network has all of its places")]
    Network,
    #[error("the networks around the client's have all of their places")]
    Neighbourhood,
}

impl Networks {
    pub(crate) fn new(limits: &Limits, exempt: Vec<Cidr>, counters: Arc<Counters>) -> Arc<Self> {
        let shares = [limits.network_connections, limits.neighbourhood_connections];
        Arc::new(Self { shares, exempt, held: Mutex::default(), counters })
    }

    /// Takes a place for a connection from this address, until the guard is dropped.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Guard, Refusal> {
        let networks = self.networks(client);
        if let Some(networks) = networks {
            let mut held = self.held();
            for (network, share, refusal) in
                [(networks[0], self.shares[0], Refusal::Network), (networks[1], self.shares[1], Refusal::Neighbourhood)]
            {
                if share > 0 && held.get(&network).is_some_and(|count| *count >= share) {
                    drop(held);
                    self.count(refusal);
                    return Err(refusal);
                }
            }
            for network in networks {
                *held.entry(network).or_insert_with(|| {
                    self.counters.networks.up();
                    0
                }) += 1;
            }
        }
        self.counters.connections.up();
        Ok(Guard { networks, table: Arc::clone(self) })
    }

    /// Whether half of a share is taken. Where addresses can be forged (a QUIC client's first packet), the other
    /// half is for those who proved theirs, so that nobody can shut a network out in its name.
    pub(crate) fn is_busy(&self, client: IpAddr) -> bool {
        let Some(networks) = self.networks(client) else { return false };
        let held = self.held();
        let is_half = |(network, share): (Cidr, usize)| {
            share > 0 && held.get(&network).is_some_and(|count| *count >= share.div_ceil(2))
        };
        networks.into_iter().zip(self.shares).any(is_half)
    }

    /// Subscriber and neighbourhood of an address; None if it is exempt.
    fn networks(&self, client: IpAddr) -> Option<[Cidr; 2]> {
        if any_contains(&self.exempt, client) {
            return None;
        }
        let [own, around] = if client.to_canonical().is_ipv4() { [32, 24] } else { [64, 48] };
        Some([Cidr::around(client, own), Cidr::around(client, around)])
    }

    fn count(&self, refusal: Refusal) {
        match refusal {
            Refusal::Network => self.counters.network_refused.bump(),
            Refusal::Neighbourhood => self.counters.neighbourhood_refused.bump(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Cidr, usize>> {
        self.held.lock().expect("no code panics while holding the table")
    }
}

/// A connection's place. Dropping it gives the place back.
pub(crate) struct Guard {
    networks: Option<[Cidr; 2]>,
    table: Arc<Networks>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.table.counters.connections.down();
        let Some(networks) = self.networks else { return };
        let mut held = self.table.held();
        for network in networks {
            if let Entry::Occupied(mut entry) = held.entry(network) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                    self.table.counters.networks.down();
                }
            }
        }
        // Room of a past crowd is given back.
        if held.capacity() > 64 && held.len() < held.capacity() / 8 {
            held.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(network: usize, neighbourhood: usize) -> (Arc<Networks>, Arc<Counters>) {
        let limits =
            Limits { network_connections: network, neighbourhood_connections: neighbourhood, ..Limits::default() };
        let counters = Arc::new(Counters::default());
        (Networks::new(&limits, vec![Cidr::parse("10.9.0.0/16").unwrap()], Arc::clone(&counters)), counters)
    }

    fn admit(networks: &Arc<Networks>, client: &str) -> Result<Guard, Refusal> {
        networks.admit(client.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_share_and_no_other_network_pays_for_it() {
        let (networks, counters) = table(2, 3);
        let held: Vec<Guard> =
            ["203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"].map(|ip| admit(&networks, ip).unwrap()).into();
        assert_eq!(admit(&networks, "203.0.113.7").err(), Some(Refusal::Network));
        assert_eq!(admit(&networks, "203.0.113.9").err(), Some(Refusal::Neighbourhood));
        assert!(admit(&networks, "203.0.114.7").is_ok());
        assert_eq!((counters.network_refused.get(), counters.neighbourhood_refused.get()), (1, 1));
        drop(held);
        assert!(admit(&networks, "203.0.113.7").is_ok());
    }

    #[test]
    fn ipv6_is_counted_by_lan_and_by_site() {
        let (networks, _) = table(1, 2);
        let _held = [admit(&networks, "2001:db8:1:1::5").unwrap(), admit(&networks, "2001:db8:1:2::5").unwrap()];
        assert_eq!(admit(&networks, "2001:db8:1:1::6").err(), Some(Refusal::Network));
        assert_eq!(admit(&networks, "2001:db8:1:3::5").err(), Some(Refusal::Neighbourhood));
        assert!(admit(&networks, "2001:db8:2:1::5").is_ok());
    }

    #[test]
    fn the_exempt_are_not_counted_and_no_share_means_no_bound() {
        let (networks, counters) = table(1, 1);
        let held: Vec<Guard> = (0..50).map(|_| admit(&networks, "10.9.8.7").unwrap()).collect();
        assert_eq!((counters.connections.get(), counters.networks.get()), (50, 0));
        drop(held);
        let (unbounded, _) = table(0, 0);
        let held: Vec<Guard> = (0..50).map(|_| admit(&unbounded, "203.0.113.7").unwrap()).collect();
        assert!(!unbounded.is_busy("203.0.113.7".parse().unwrap()));
        drop(held);
    }

    #[test]
    fn half_a_share_is_busy() {
        let (networks, _) = table(4, 0);
        let client = "203.0.113.7".parse().unwrap();
        let _one = networks.admit(client).unwrap();
        assert!(!networks.is_busy(client));
        let _two = networks.admit(client).unwrap();
        assert!(networks.is_busy(client));
    }

    proptest! {
        /// Against the naive model: a list of open connections, counted anew for each question.
        #[test]
        fn the_table_counts_what_is_open(steps in prop::collection::vec((any::<bool>(), 0u8..6, 0usize..40), 0..200)) {
            let (networks, counters) = table(3, 5);
            let address = |host: u8| IpAddr::from([203, 0, 112 + host / 4, host]);
            let mut open: Vec<(u8, Guard)> = Vec::new();
            for (comes, host, which) in steps {
                if comes {
                    let own = open.iter().filter(|(other, _)| *other == host).count();
                    let around = open.iter().filter(|(other, _)| other / 4 == host / 4).count();
                    let admitted = networks.admit(address(host));
                    let expected = if own >= 3 { Some(Refusal::Network) }
                        else if around >= 5 { Some(Refusal::Neighbourhood) } else { None };
                    prop_assert_eq!(admitted.as_ref().err().copied(), expected);
                    open.extend(admitted.ok().map(|guard| (host, guard)));
                } else if !open.is_empty() {
                    open.swap_remove(which % open.len());
                }
                prop_assert_eq!(counters.connections.get(), open.len() as u64);
                let known = networks.held().len();
                prop_assert!(known <= 2 * open.len());
                prop_assert_eq!(counters.networks.get(), known as u64);
            }
        }
    }
}
