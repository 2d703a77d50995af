//! How often somebody may call, by account, or by network where nobody says who he is.
//!
//! The edge bounds networks whatever they ask for; this bounds one account wherever it is, by how much work a call is.
//! The rule is core's ([`rate`](needledrop_core::rate)): a bucket for each, in tables of fixed size that forget who owes
//! least. How often one name's password may be tried is decided where passwords are
//! (`needledrop_playback::limits`); the class for signing in bounds what checking them costs us.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Response};
use needledrop_core::network::any_contains;
use needledrop_core::rate::{Limited, Micros, Quota, Rates};
use needledrop_core::{AccountId, Cidr, Problem};
use needledrop_http::{Body, problem};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Calls of an account that only read, grants of signed URLs among them. A player that opens asks for some twenty
/// things, and a family has ten players; a program that copies the catalog reads 1,000 things a second, 50 to a page.
pub const READ: Quota = Quota { per_second: 20, burst: 600 };

/// Searches of an account. Each letter of two people who type fast is one; a search costs up to some milliseconds.
pub const SEARCH: Quota = Quota { per_second: 10, burst: 100 };

/// Changes of an account. Each waits for the disk; whoever moves his playlists here makes a few hundred at once.
pub const WRITE: Quota = Quota { per_second: 10, burst: 300 };

/// Sign-ins of a network (IPv4 /24, IPv6 /56). Each costs 19 MiB and some ten milliseconds of a core, right or wrong.
/// A school signs in in the morning.
pub const SIGN_IN: Quota = Quota { per_second: 1, burst: 60 };

/// Calls of a network (the same) that say nobody's name, or with a credential that is none.
pub const STRANGER: Quota = Quota { per_second: 5, burst: 100 };

/// Accounts or networks of each class that owe something, 16 B each, taken at the start: a quarter of a MiB. With more
/// of them at once those who owe least are forgotten.
const ENTRIES: usize = 16_384;

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// How much work a call is: each class has a bucket of its own for each account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It reads.
    Read,
    /// It looks for words.
    Search,
    /// It changes something that is kept.
    Write,
    /// It proves who somebody is.
    SignIn,
    /// Nobody is let in by it.
    Stranger,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Read, Self::Search, Self::Write, Self::SignIn, Self::Stranger];

    /// Its name in fields and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Write => "write",
            Self::SignIn => "sign-in",
            Self::Stranger => "stranger",
        }
    }
}

/// What is limited, and for whom not. `None` switches a class off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Client networks that nothing is counted for.
    pub exempt: Vec<Cidr>,
    /// See [`READ`].
    pub read: Option<Quota>,
    /// See [`SEARCH`].
    pub search: Option<Quota>,
    /// See [`WRITE`].
    pub write: Option<Quota>,
    /// See [`SIGN_IN`].
    pub sign_in: Option<Quota>,
    /// See [`STRANGER`].
    pub stranger: Option<Quota>,
}

impl Default for Settings {
    /// Every class as above; whoever asks from this very machine is exempt, as at the edge.
    fn default() -> Self {
        Self {
            exempt: Cidr::LOOPBACK.to_vec(),
            read: Some(READ),
            search: Some(SEARCH),
            write: Some(WRITE),
            sign_in: Some(SIGN_IN),
            stranger: Some(STRANGER),
        }
    }
}

impl Settings {
    /// No limit at all.
    pub fn off() -> Self {
        Self { exempt: Vec::new(), read: None, search: None, write: None, sign_in: None, stranger: None }
    }

    fn quota(&self, class: Class) -> Option<Quota> {
        match class {
            Class::Read => self.read,
            Class::Search => self.search,
            Class::Write => self.write,
            Class::SignIn => self.sign_in,
            Class::Stranger => self.stranger,
        }
    }
}

/// A call that must not be answered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    class: Class,
    quota: Quota,
    retry_after: Duration,
}

/// How many calls were refused, by class.
type Refused = Family<[(&'static str, &'static str); 1], Counter>;

/// Who has called how often.
pub struct Limits {
    exempt: Vec<Cidr>,
    /// Nobody can choose his neighbours in the tables.
    secret: RandomState,
    start: Instant,
    tables: [Option<(Quota, Mutex<Rates>)>; Class::ALL.len()],
    refused: Refused,
}

impl Limits {
    /// Nobody has called yet.
    pub fn new(settings: Settings) -> Self {
        let table = |class| settings.quota(class).map(|quota| (quota, Mutex::new(Rates::new(quota, ENTRIES))));
        let refused = Refused::default();
        for class in Class::ALL {
            // Shown from the start, as zero.
            drop(refused.get_or_create(&[("class", class.name())]));
        }
        Self {
            tables: Class::ALL.map(table),
            exempt: settings.exempt,
            secret: RandomState::new(),
            start: Instant::now(),
            refused,
        }
    }

    /// Shows what it counts.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("calls_limited", "Calls refused for coming too often, by class", self.refused.clone());
    }

    /// A call of this account, from this address.
    ///
    /// # Errors
    /// Too many of this class.
    pub fn ask(&self, class: Class, account: AccountId, client: IpAddr) -> Result<(), Held> {
        self.take(class, account, client, self.now())
    }

    /// A call of a class that no account answers for.
    ///
    /// # Errors
    /// Too many from its network.
    pub fn ask_unknown(&self, class: Class, client: IpAddr) -> Result<(), Held> {
        self.take(class, Cidr::client_network(client), client, self.now())
    }

    fn now(&self) -> Micros {
        Micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn take(&self, class: Class, who: impl Hash, client: IpAddr, now: Micros) -> Result<(), Held> {
        let Some((quota, rates)) = &self.tables[class as usize] else { return Ok(()) };
        if any_contains(&self.exempt, client) {
            return Ok(());
        }
        let key = self.secret.hash_one(who);
        let taken = rates.lock().unwrap_or_else(PoisonError::into_inner).ask(key, now);
        taken.map_err(|Limited { retry_after }| {
            self.refused.get_or_create(&[("class", class.name())]).inc();
            Held { class, quota: *quota, retry_after }
        })
    }
}

impl Held {
    /// The refusal.
    pub fn response(&self) -> Response<Body> {
        let seconds = self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0);
        let said = Problem::new("too-many-calls", "Too many calls", 429);
        let kind = self.class.name();
        let mut response =
            problem(&said.with_detail(format!("Of the kind \"{kind}\"; ask again in {seconds} seconds")));
        let Quota { per_second, burst } = self.quota;
        let whole_after = burst.div_ceil(per_second.max(1));
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        for (name, text) in
            [(POLICY, format!("\"{kind}\";q={burst};w={whole_after}")), (STATE, format!("\"{kind}\";r=0;t={seconds}"))]
        {
            headers.insert(name, HeaderValue::from_str(&text).expect("names of classes and digits"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn limits(settings: Settings) -> Limits {
        Limits::new(settings)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn account(n: u8) -> AccountId {
        AccountId::from_random([n; 16])
    }

    #[test]
    fn each_account_has_a_bucket_for_each_class_wherever_it_is() {
        let quota = Some(Quota { per_second: 2, burst: 3 });
        let limits = limits(Settings { read: quota, search: quota, ..Settings::off() });
        let take = |class, who, from: &str, now| limits.take(class, account(who), ip(from), Micros(now));
        assert!((0..3).all(|n| take(Class::Read, 1, &format!("203.0.113.{n}"), 0).is_ok()));
        let held = take(Class::Read, 1, "2001:db8::1", 0).unwrap_err();
        assert_eq!(held.retry_after, Duration::from_millis(500));
        assert!(take(Class::Search, 1, "203.0.113.1", 0).is_ok(), "another class");
        assert!(take(Class::Read, 2, "203.0.113.1", 0).is_ok(), "another account");
        assert!((0..1_000).all(|_| take(Class::Write, 1, "203.0.113.1", 0).is_ok()), "a class without a limit");
        assert!(take(Class::Read, 1, "203.0.113.1", SECOND / 2).is_ok());
        assert!(take(Class::Read, 1, "203.0.113.1", SECOND / 2).is_err());
    }

    #[test]
    fn a_network_is_one_stranger_and_the_exempt_are_nobody() {
        let quota = Some(Quota { per_second: 1, burst: 2 });
        let exempt = vec![Cidr::parse("198.51.100.0/24").unwrap()];
        let limits = limits(Settings { exempt, stranger: quota, ..Settings::off() });
        let ask = |from: &str| limits.ask_unknown(Class::Stranger, ip(from)).is_ok();
        assert!(ask("203.0.113.1") && ask("203.0.113.2"));
        assert!(!ask("203.0.113.3"));
        assert!(ask("203.0.114.1"));
        assert!((0..100).all(|_| ask("198.51.100.7")));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limits = limits(Settings { write: Some(Quota { per_second: 1, burst: 60 }), ..Settings::off() });
        let ask = || limits.take(Class::Write, account(1), ip("203.0.113.1"), Micros(0));
        assert!((0..60).all(|_| ask().is_ok()));
        let response = ask().unwrap_err().response();
        assert_eq!(response.status(), 429);
        let field = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(field("content-type"), "application/problem+json");
        assert_eq!(field("retry-after"), "1");
        assert_eq!(field("ratelimit-policy"), "\"write\";q=60;w=60");
        assert_eq!(field("ratelimit"), "\"write\";r=0;t=1");
    }

    #[test]
    fn a_crowd_does_not_grow_the_table_and_the_refused_are_counted() {
        let limits = limits(Settings { stranger: Some(Quota { per_second: 1, burst: 1 }), ..Settings::off() });
        for n in 0..100_000u32 {
            let from = IpAddr::from(n.rotate_left(8).to_be_bytes());
            let _ = limits.take(Class::Stranger, from, from, Micros(0));
        }
        let (_, rates) = limits.tables[Class::Stranger as usize].as_ref().unwrap();
        assert!(rates.lock().unwrap().owing(Micros(0)) <= ENTRIES);
        let from = ip("203.0.113.1");
        assert!((0..2).any(|_| limits.take(Class::Stranger, from, from, Micros(0)).is_err()));
        let mut registry = Registry::default();
        limits.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("calls_limited_total{class=\"stranger\"} "), "{text}");
        assert!(text.contains("calls_limited_total{class=\"read\"} 0"), "{text}");
    }
}
