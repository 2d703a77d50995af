//! Who may ask how often, and from how many places: limits by client network, listener and play.
//!
//! | what | by | answer |
//! |---|---|---|
//! | requests of a network | IPv4 address, IPv6 /64 | 429 `network-rate` |
//! | requests of its neighbourhood | IPv4 /24, IPv6 /48 | 429 `neighbourhood-rate` |
//! | requests of a listener | signed pseudonym (`uid`) | 429 `listener-rate` |
//! | networks that fetch one play | signed playback id (`pid`), by IPv4 /24 and IPv6 /56 | 403 `url-shared` |
//!
//! The rules are core's ([`rate`](needledrop_core::rate), [`sharing`](needledrop_core::sharing)); this holds their
//! tables, each of fixed size and in shards with a lock of its own that is held for a few memory accesses, and the
//! secret that keys are hashed with. The client's address is the door's word: PROXY v2 and Forwarded of trusted peers
//! only, IPv4-mapped ones unwrapped. Other edges, known by their certificate, are not limited: each limits its own.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use needledrop_core::network::any_contains;
use needledrop_core::rate::{Limited, Micros, Quota, Rates};
use needledrop_core::sharing::{Seated, Seats, Sharing};
use needledrop_core::{Cidr, PlaybackId, Pseudonym, SignedUrl};
use prometheus_client::metrics::counter::Counter;

use crate::limits::{
    PLAYBACK_IDLE_SECONDS, PLAYBACK_NETWORKS, PLAYS_SEATED_MAX, RATE_ENTRIES, RATE_LISTENER, RATE_NEIGHBOURHOOD,
    RATE_NETWORK,
};
use crate::metrics::{Metrics, Reason};

/// What is limited, and for whom not. `None` switches a limit off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Client networks that nothing is counted for.
    pub exempt: Vec<Cidr>,
    /// Requests of one client network.
    pub network: Option<Quota>,
    /// Requests of the networks around it, together.
    pub neighbourhood: Option<Quota>,
    /// Requests under one pseudonym.
    pub listener: Option<Quota>,
    /// Client networks that may fetch one play at a time.
    pub playback_networks: Option<usize>,
}

impl Default for Settings {
    /// Every limit as `limits` has it; whoever asks from this very machine is exempt.
    fn default() -> Self {
        Self {
            exempt: Cidr::LOOPBACK.to_vec(),
            network: Some(RATE_NETWORK),
            neighbourhood: Some(RATE_NEIGHBOURHOOD),
            listener: Some(RATE_LISTENER),
            playback_networks: Some(PLAYBACK_NETWORKS),
        }
    }
}

impl Settings {
    /// No limit at all.
    pub fn off() -> Self {
        Self { exempt: Vec::new(), network: None, neighbourhood: None, listener: None, playback_networks: None }
    }
}

/// A request that must not be served now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which limit it met.
    pub reason: Reason,
    /// When to ask again, where time helps.
    pub retry_after: Option<Duration>,
}

/// The tables of one edge.
pub struct Admission {
    exempt: Vec<Cidr>,
    secret: RandomState,
    start: Instant,
    network: Option<Sharded<Rates>>,
    neighbourhood: Option<Sharded<Rates>>,
    listener: Option<Sharded<Rates>>,
    seats: Option<Sharded<Seats>>,
    /// Plays that found no room to be remembered.
    unseated: Counter,
}

impl Admission {
    /// Empty tables.
    pub fn new(settings: Settings) -> Self {
        let rates = |quota: Quota| Sharded::new(|| Rates::new(quota, RATE_ENTRIES / SHARDS));
        let seats = |networks| {
            let sharing = Sharing { networks, idle_seconds: PLAYBACK_IDLE_SECONDS, plays: PLAYS_SEATED_MAX / SHARDS };
            Sharded::new(|| Seats::new(sharing))
        };
        Self {
            exempt: settings.exempt,
            secret: RandomState::new(),
            start: Instant::now(),
            network: settings.network.map(rates),
            neighbourhood: settings.neighbourhood.map(rates),
            listener: settings.listener.map(rates),
            seats: settings.playback_networks.map(seats),
            unseated: Counter::default(),
        }
    }

    /// Shows what it counts for itself.
    pub fn register(&self, metrics: &Metrics) {
        metrics.add(|registry| {
            let help = "Requests of plays for which there was no room to bound their networks";
            registry.register("plays_unseated", help, self.unseated.clone());
        });
    }

    /// Any request of a client, before anything is looked at; it counts as `requests`.
    ///
    /// # Errors
    /// Its network, or those around it, asked too often.
    pub fn ask(&self, client: IpAddr, requests: u32) -> Result<(), Held> {
        if any_contains(&self.exempt, client) {
            return Ok(());
        }
        let [own, around] = if client.to_canonical().is_ipv4() { [32, 24] } else { [64, 48] };
        self.take(self.network.as_ref(), Cidr::around(client, own), requests, Reason::NetworkRate)?;
        self.take(self.neighbourhood.as_ref(), Cidr::around(client, around), requests, Reason::NeighbourhoodRate)
    }

    /// A request with a good signature. One that may be a replay neither takes a seat nor keeps one; with a play full
    /// it is asked to come again after the handshake, when its address is known to be its own.
    ///
    /// # Errors
    /// Its listener asked too often, or its play is fetched from too many networks.
    pub fn play(&self, client: IpAddr, url: &SignedUrl, early_data: bool) -> Result<(), Held> {
        let claims = url.claims();
        self.play_of(client, claims.user.as_ref(), claims.playback.as_ref(), early_data)
    }

    fn play_of(
        &self,
        client: IpAddr,
        user: Option<&Pseudonym>,
        playback: Option<&PlaybackId>,
        early_data: bool,
    ) -> Result<(), Held> {
        if any_contains(&self.exempt, client) {
            return Ok(());
        }
        if let Some(user) = user {
            self.take(self.listener.as_ref(), user.as_str(), 1, Reason::ListenerRate)?;
        }
        let (Some(playback), Some(seats)) = (playback, &self.seats) else { return Ok(()) };
        let play = self.secret.hash_one(playback.as_str());
        // What a home keeps while its addresses change: a mobile network that moves a listener within its translators
        // shall not cost a seat each time.
        let network = self.secret.hash_one(Cidr::client_network(client));
        let now = u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX);
        let full = |reason| Err(Held { reason, retry_after: None });
        seats.with(play, |seats| {
            if early_data {
                return if seats.would_seat(play, network, now) { Ok(()) } else { full(Reason::TooEarly) };
            }
            match seats.ask(play, network, now) {
                Seated::Yes => Ok(()),
                Seated::Full => full(Reason::Shared),
                Seated::Unknown => {
                    self.unseated.inc();
                    Ok(())
                }
            }
        })
    }

    fn take(&self, rates: Option<&Sharded<Rates>>, who: impl Hash, requests: u32, reason: Reason) -> Result<(), Held> {
        let Some(rates) = rates else { return Ok(()) };
        let key = self.secret.hash_one(who);
        let now = Micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX));
        let taken = rates.with(key, |rates| rates.ask_for(key, requests, now));
        taken.map_err(|Limited { retry_after }| Held { reason, retry_after: Some(retry_after) })
    }
}

/// Parts of a table, each with its lock. A power of two.
const SHARDS: usize = 16;

struct Sharded<T>([Mutex<T>; SHARDS]);

impl<T> Sharded<T> {
    fn new(mut part: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(part())))
    }

    fn with<R>(&self, key: u64, act: impl FnOnce(&mut T) -> R) -> R {
        // The tables choose their places by other bits of the key.
        let shard = &self.0[key as usize % SHARDS];
        act(&mut shard.lock().expect("no code panics while holding a shard"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn reason(outcome: Result<(), Held>) -> Option<Reason> {
        outcome.err().map(|held| held.reason)
    }

    #[test]
    fn a_network_is_limited_with_its_neighbourhood_and_the_exempt_are_not() {
        let settings = Settings {
            network: Some(Quota { per_second: 1, burst: 3 }),
            neighbourhood: Some(Quota { per_second: 1, burst: 4 }),
            exempt: vec![Cidr::parse("198.51.100.0/24").unwrap()],
            ..Settings::off()
        };
        let admission = Admission::new(settings);
        for _ in 0..3 {
            assert_eq!(admission.ask(ip("203.0.113.7"), 1), Ok(()));
        }
        let held = admission.ask(ip("::ffff:203.0.113.7"), 1).unwrap_err();
        assert_eq!(held.reason, Reason::NetworkRate);
        assert!(held.retry_after.is_some_and(|wait| wait > Duration::ZERO && wait <= Duration::from_secs(1)));
        assert_eq!(reason(admission.ask(ip("203.0.113.8"), 1)), None);
        assert_eq!(reason(admission.ask(ip("203.0.113.9"), 1)), Some(Reason::NeighbourhoodRate));
        assert!((0..100).all(|_| admission.ask(ip("198.51.100.7"), 1).is_ok()));
        for lan in 0..4 {
            assert_eq!(reason(admission.ask(ip(&format!("2001:db8:1:{lan}::9")), 1)), None);
        }
        assert_eq!(reason(admission.ask(ip("2001:db8:1:9::9"), 1)), Some(Reason::NeighbourhoodRate));
    }

    #[test]
    fn a_listener_is_limited_wherever_he_is() {
        let settings = Settings { listener: Some(Quota { per_second: 1, burst: 2 }), ..Settings::off() };
        let admission = Admission::new(settings);
        let (anna, bert) = (Pseudonym::parse("anna").unwrap(), Pseudonym::parse("bert").unwrap());
        let ask = |user, client: &str| reason(admission.play_of(ip(client), Some(user), None, false));
        assert_eq!(ask(&anna, "203.0.113.7"), None);
        assert_eq!(ask(&anna, "2001:db8::1"), None);
        assert_eq!(ask(&anna, "198.51.100.7"), Some(Reason::ListenerRate));
        assert_eq!(ask(&bert, "198.51.100.7"), None);
    }

    #[test]
    fn a_shared_play_has_its_seats_and_early_data_touches_none() {
        let admission = Admission::new(Settings { playback_networks: Some(2), ..Settings::off() });
        let play = PlaybackId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let ask = |client: &str, early| reason(admission.play_of(ip(client), None, Some(&play), early));
        for stranger in 0..50 {
            assert_eq!(ask(&format!("10.0.{stranger}.1"), true), None);
        }
        assert_eq!(ask("203.0.113.7", false), None);
        assert_eq!(ask("203.0.113.99", false), None, "the same /24");
        assert_eq!(ask("2001:db8:1:2::9", false), None, "the same listener over IPv6");
        assert_eq!(ask("198.51.100.7", false), Some(Reason::Shared));
        assert_eq!(ask("198.51.100.7", true), Some(Reason::TooEarly));
        assert_eq!(ask("203.0.113.7", true), None);
        assert_eq!(ask("2001:db8:1:2::9", false), None);
    }
}
