//! The outside: what of the Internet a stranger's URL may lead us to.
//!
//! Whoever adds a feed chooses where this machine connects, and so does every redirect on the way. Three rules keep that
//! from becoming a way into the operator's own networks (server-side request forgery):
//!
//! - A URL is http or https, without user information, at port 80 or 443 ([`Outside::place`]). After https nothing leads
//!   to http ([`Outside::next`]).
//! - An address is public, or the operator has exempted its network ([`Outside::judge`]). IPv6 is public by a list of what
//!   is, IPv4 by a list of what is not; an IPv4 address inside an IPv6 one is judged as what it is.
//! - We resolve a name ourselves and connect to an address that was judged a line before ([`Outside::dial`]). Nobody
//!   resolves it a second time, so a name that changes its mind in between (DNS rebinding) gains nothing.
//!
//! How much is read, for how long, and how many redirects are followed is the fetcher's to bound.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use needledrop_core::network::{Cidr, any_contains, unmapped};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// Longest URL, in bytes: what most servers take as a request target.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Ports of the web. Other services of a host are not for feeds, and some of them take a request for a command.
const PORTS: [u16; 2] = [80, 443];
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// What may be reached.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Networks that the operator exempts, whatever they are, at any port.
    allow: Vec<Cidr>,
}

/// A URL that may be tried: its form is judged, its address not yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Place(Url);

/// Why a URL or an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// It is no URL.
    #[error("not a URL: write it as https://HOST/PATH")]
    NotUrl,
    /// It is longer than [`URL_BYTES_MAX`].
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    Long,
    /// Neither http nor https.
    #[error("only http and https are fetched, not {0}")]
    Scheme(String),
    /// It carries a name or a password.
    #[error("a URL with a user name or password is not fetched: leave them out")]
    Credentials,
    /// A port that is not the web's.
    #[error("port {0} is not fetched from: only 80 and 443 are")]
    Port(u16),
    /// An address of the operator's own or of nobody's.
    #[error("{0} is not a public address: an operator may exempt its network (feeds.allow_networks)")]
    Address(IpAddr),
    /// A redirect from https to http.
    #[error("a redirect leads from https to http")]
    Downgrade,
}

impl Outside {
    /// Everything public, and these networks at any port.
    pub fn new(allow: Vec<Cidr>) -> Self {
        Self { allow }
    }

    /// Judges the form of a URL, and its address if it has one instead of a name.
    ///
    /// # Errors
    /// It may not be tried.
    pub fn place(&self, text: &str) -> Result<Place, Unreachable> {
        if text.len() > URL_BYTES_MAX {
            return Err(Unreachable::Long);
        }
        let url = Url::parse(text.trim()).map_err(|_| Unreachable::NotUrl)?;
        self.judge_url(url)
    }

    /// Where a redirect leads, relative to the place that gave it.
    ///
    /// # Errors
    /// It may not be followed.
    pub fn next(&self, from: &Place, location: &str) -> Result<Place, Unreachable> {
        if location.len() > URL_BYTES_MAX {
            return Err(Unreachable::Long);
        }
        let url = from.0.join(location.trim()).map_err(|_| Unreachable::NotUrl)?;
        if from.0.scheme() == "https" && url.scheme() == "http" {
            return Err(Unreachable::Downgrade);
        }
        self.judge_url(url)
    }

    fn judge_url(&self, mut url: Url) -> Result<Place, Unreachable> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Unreachable::Scheme(url.scheme().chars().take(32).collect()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unreachable::Credentials);
        }
        // What stands behind # is the client's own and is never sent.
        url.set_fragment(None);
        // What a URL parser takes in a host is not all that a request target may be made of.
        http::Uri::try_from(url.as_str()).map_err(|_| Unreachable::NotUrl)?;
        let place = Place(url);
        let (host, port) = (place.0.host().ok_or(Unreachable::NotUrl)?, place.port());
        match host {
            Host::Ipv4(address) => self.judge(SocketAddr::new(address.into(), port))?,
            Host::Ipv6(address) => self.judge(SocketAddr::new(address.into(), port))?,
            // A name may lead into an exempted network; that is known when it is resolved.
            Host::Domain(_) if self.allow.is_empty() && !PORTS.contains(&port) => return Err(Unreachable::Port(port)),
            Host::Domain(_) => {}
        }
        Ok(place)
    }

    /// Judges an address that a connection would go to.
    ///
    /// # Errors
    /// It is not public, or the port is not the web's, and its network is not exempted.
    pub fn judge(&self, to: SocketAddr) -> Result<(), Unreachable> {
        if any_contains(&self.allow, to.ip()) {
            return Ok(());
        }
        if !is_public(to.ip()) {
            return Err(Unreachable::Address(unmapped(to.ip())));
        }
        if !PORTS.contains(&to.port()) {
            return Err(Unreachable::Port(to.port()));
        }
        Ok(())
    }

    /// Resolves a host and connects to the first of its addresses that is judged good and answers.
    ///
    /// # Errors
    /// None may be reached (`PermissionDenied`, with the [`Unreachable`] inside), or none answers in time.
    pub(crate) async fn dial(&self, host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
        let until = Instant::now() + within;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        // An IPv6 address stands in brackets in a URL.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let found = timeout_at(until, lookup_host((host, port))).await.map_err(|_| late())??;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in found.take(ADDRESSES_MAX) {
            if let Err(refusal) = self.judge(address) {
                last = io::Error::new(io::ErrorKind::PermissionDenied, refusal);
                continue;
            }
            match timeout_at(until, TcpStream::connect(address)).await {
                Err(_) => return Err(late()),
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
            }
        }
        Err(last)
    }
}

impl Place {
    /// As it is written, without what stands behind `#`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Host and port: what connections are counted by.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.0.host_str().unwrap_or_default(), self.port())
    }

    fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.as_str())
    }
}

/// Whether an address belongs to the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IPv4 networks that are not public (IANA special-purpose registry), and what is public by number only.
const NOT_PUBLIC_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),          // this network
    ([10, 0, 0, 0], 8),         // private
    ([100, 64, 0, 0], 10),      // carriers' translators; Alibaba's metadata
    ([127, 0, 0, 0], 8),        // loopback
    ([168, 63, 129, 16], 32),   // Azure's metadata, at a public address
    ([169, 254, 0, 0], 16),     // link-local; metadata of nearly all clouds
    ([172, 16, 0, 0], 12),      // private
    ([192, 0, 0, 0], 24),       // protocol assignments; Oracle's metadata
    ([192, 0, 2, 0], 24),       // documentation
    ([192, 88, 99, 0], 24),     // 6to4 relays
    ([192, 168, 0, 0], 16),     // private
    ([198, 18, 0, 0], 15),      // benchmarks
    ([198, 51, 100, 0], 24),    // documentation
    ([203, 0, 113, 0], 24),     // documentation
    ([224, 0, 0, 0], 4),        // multicast
    ([240, 0, 0, 0], 4),        // reserved
    ([255, 255, 255, 255], 32), // broadcast
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, bits): &([u8; 4], u32)| {
        let mask = u32::MAX << (32 - bits);
        address.to_bits() & mask == Ipv4Addr::from(*network).to_bits()
    };
    !NOT_PUBLIC_V4.iter().any(within)
}

/// Only what is given out as global unicast is public, less what stands in the special-purpose registry. So loopback,
/// link-local, unique local, multicast, IPv4-compatible and all that is invented later is refused without being named.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // NAT64 (RFC 6052): the translator takes what is inside for where to go. Its local prefix, 64:ff9b:1::/48, is none
    // of ours.
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., high, low] = segments;
        return is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    let is_global = segments[0] & 0xe000 == 0x2000; // 2000::/3
    let is_special = match segments {
        [0x2001, second, ..] => second < 0x200 || second == 0xdb8, // protocols with Teredo and ORCHID; documentation
        [0x2002, ..] => true,                                      // 6to4, with an IPv4 address inside
        [0x3fff, second, ..] => second < 0x1000,                   // documentation (RFC 9637)
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests;
