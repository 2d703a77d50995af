//! How often somebody may try to sign in: per name, so that nobody guesses one password for long, and per network,
//! so that nobody tries one password on many names.
//!
//! Names that do not exist are slowed down as those that do. A stranger who tries a name in vain can slow its owner
//! down by minutes, not lock him out; sessions and app passwords that exist go on working meanwhile.

use std::net::IpAddr;
use std::time::Duration;

use needledrop_core::Cidr;
use needledrop_core::rate::{Limited, Micros, Quota, Rates};

use crate::account::UserName;
use crate::server_key::{Purpose, ServerKey};

/// The buckets count in requests per second, which is too fast for passwords: their second is our minute.
const SLOWER: u64 = 60;

/// Tries on one name: 10 at once, then one a minute. 1,500 a day find one of the 1,500 most common passwords.
const PER_NAME: Quota = Quota { per_second: 1, burst: 10 };

/// Tries from one network (IPv4 /24, IPv6 /56): 60 at once, then 10 a minute. A school signs in in the morning.
const PER_NETWORK: Quota = Quota { per_second: 10, burst: 60 };

/// Names and networks that are remembered, 16 bytes each.
const ENTRIES: usize = 65_536;

/// Who has tried how often.
#[derive(Debug)]
pub struct SignInLimits {
    key: ServerKey,
    names: Rates,
    networks: Rates,
}

impl SignInLimits {
    /// Nobody has tried yet. The key hides from strangers who is neighbour of whom in the tables.
    pub fn new(key: ServerKey) -> Self {
        Self { key, names: Rates::new(PER_NAME, ENTRIES), networks: Rates::new(PER_NETWORK, ENTRIES) }
    }

    /// A try to sign in under this name from this address. `now` counts from any fixed moment.
    ///
    /// # Errors
    /// Too many; the error says for how long to wait.
    pub fn try_name(&mut self, name: &UserName, address: IpAddr, now: Duration) -> Result<(), Limited> {
        self.try_network(address, now)?;
        let key = self.place(&[b"name", name.as_str().as_bytes()]);
        self.names.ask(key, slowly(now)).map_err(in_real_time)
    }

    /// A try that names nobody: a sign-up, a token that is none.
    ///
    /// # Errors
    /// Too many.
    pub fn try_network(&mut self, address: IpAddr, now: Duration) -> Result<(), Limited> {
        let key = self.place(&[b"network", Cidr::client_network(address).to_string().as_bytes()]);
        self.networks.ask(key, slowly(now)).map_err(in_real_time)
    }

    fn place(&self, parts: &[&[u8]]) -> u64 {
        let derived = self.key.derive(Purpose::Throttle, parts);
        u64::from_be_bytes(*derived.first_chunk().expect("32 bytes hold 8"))
    }
}

fn slowly(now: Duration) -> Micros {
    Micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX) / SLOWER)
}

fn in_real_time(limited: Limited) -> Limited {
    Limited { retry_after: limited.retry_after * SLOWER as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> SignInLimits {
        SignInLimits::new(ServerKey::from_bytes([1; 32]))
    }

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, n, 1])
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn one_name_is_tried_ten_times_and_then_once_a_minute_from_wherever() {
        let mut limits = limits();
        let mut tries = |n: u8, now: Duration| limits.try_name(&name("ada"), address(n), now);
        assert!((0..10).all(|n| tries(n, DAY).is_ok()));
        let limited = tries(11, DAY).unwrap_err();
        assert!(limited.retry_after <= Duration::from_secs(60) && limited.retry_after > Duration::from_secs(59));
        assert!(tries(12, DAY + Duration::from_secs(61)).is_ok());
        assert!(tries(13, DAY + Duration::from_secs(62)).is_err());
    }

    #[test]
    fn one_network_is_slowed_down_whatever_names_it_tries() {
        let mut limits = limits();
        let mut passed = 0;
        for n in 0..200 {
            passed += u32::from(limits.try_name(&name(&format!("user{n}")), address(1), DAY).is_ok());
        }
        assert_eq!(passed, 60);
        assert!(limits.try_name(&name("somebody"), address(2), DAY).is_ok(), "others go on");
        assert!(limits.try_network(address(1), DAY + Duration::from_secs(7)).is_ok());
    }

    #[test]
    fn over_a_day_a_name_is_tried_less_than_fifteen_hundred_times() {
        let mut limits = limits();
        let tried = (0..86_400u64)
            .filter(|second| {
                let now = DAY + Duration::from_secs(*second);
                limits.try_name(&name("ada"), address((second % 250) as u8), now).is_ok()
            })
            .count();
        assert!((1_400..1_500).contains(&tried), "{tried}");
    }
}
