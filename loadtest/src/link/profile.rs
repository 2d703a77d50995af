//! What a line is asked to be: `rtt=40ms,rate=50mbit,loss=1%,jitter=5ms`, or a named profile, or one with changes.
//!
//! Words in, numbers out, and back: nothing here knows packets or clocks. What the numbers do is in [`super::model`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The numbers of one listener's line. Every listener has a line of his own.
///
/// `Display` gives the canonical form, which parses back to the same link.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Link {
    /// There and back, for a packet that waits for nothing: half of it each way.
    pub rtt: Duration,
    /// Bits a second towards the listener, counting whole IP packets. None: as fast as the machine.
    pub down_bps: Option<u64>,
    /// Bits a second towards the server, counting whole IP packets. None: as fast as the machine.
    pub up_bps: Option<u64>,
    /// The share of packets that is lost, each way: 0.01 is 1 %. A multiple of a millionth.
    pub loss: f64,
    /// The mean number of packets that are lost in a row. None: each is lost or not without regard to its neighbours.
    pub burst: Option<f64>,
    /// The most that is added to the delay, each way; what is added is uniform between nothing and this.
    pub jitter: Duration,
    /// The bytes that wait for the rate, each way, before packets are dropped. None: see [`Link::queue_bytes`].
    pub queue: Option<u64>,
}

/// A direction of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the server to the listener.
    Down,
    /// From the listener to the server.
    Up,
}

/// A link that people have a name for.
#[derive(Debug)]
pub struct Profile {
    /// As in `--link 4g`.
    pub name: &'static str,
    /// What the name stands for.
    pub spec: &'static str,
    /// Why these numbers.
    pub reason: &'static str,
}

/// The named links, from the best to the worst. The numbers are our choice; where somebody's are known well, those.
pub const PROFILES: &[Profile] = &[
    Profile { name: "ideal", spec: "rtt=0ms", reason: "nothing is added: what the emulation itself costs" },
    Profile {
        name: "fibre",
        spec: "rtt=8ms,rate=300mbit,up=100mbit,jitter=500us",
        reason: "glass to the house, an edge in the same city",
    },
    Profile {
        name: "cable",
        spec: "rtt=28ms,rate=100mbit,up=10mbit,jitter=2ms",
        reason: "the round trip of WebPageTest's Cable, at today's rates",
    },
    Profile {
        name: "dsl",
        spec: "rtt=50ms,rate=16mbit,up=1mbit,jitter=1ms",
        reason: "the round trip of WebPageTest's DSL (interleaved), at the rates of ADSL2+",
    },
    Profile {
        name: "wifi",
        spec: "rtt=20ms,rate=40mbit,loss=0.2%,jitter=5ms,burst=3",
        reason: "a crowded room behind a good line: what is left after Wi-Fi's own retries is lost in bursts",
    },
    Profile {
        name: "5g",
        spec: "rtt=30ms,rate=150mbit,up=20mbit,loss=0.05%,jitter=4ms",
        reason: "mid-band outdoors, an edge in the same country",
    },
    Profile {
        name: "4g",
        spec: "rtt=70ms,rate=12mbit,loss=0.1%,jitter=10ms",
        reason: "rate and round trip of WebPageTest's LTE, with the jitter of a shared cell",
    },
    Profile {
        name: "slow-4g",
        spec: "rtt=150ms,rate=1600kbit,up=750kbit",
        reason: "Lighthouse's default, WebPageTest's 3G Fast: the slowest quarter of 4G",
    },
    Profile {
        name: "3g",
        spec: "rtt=300ms,rate=1600kbit,up=768kbit,loss=0.5%,jitter=20ms",
        reason: "rate and round trip of WebPageTest's 3G, with loss and jitter",
    },
    Profile {
        name: "edge-2g",
        spec: "rtt=840ms,rate=240kbit,up=200kbit,loss=1%,jitter=50ms",
        reason: "EDGE, as WebPageTest has it, with loss: below the bit rate of most streams",
    },
    Profile {
        name: "train",
        spec: "rtt=90ms,rate=6mbit,up=2mbit,loss=2%,jitter=30ms,burst=8",
        reason: "4G in motion: handovers and cuttings lose packets in bursts",
    },
    Profile {
        name: "low-orbit",
        spec: "rtt=45ms,rate=100mbit,up=15mbit,loss=0.5%,jitter=12ms,burst=4",
        reason: "a low-orbit constellation: short ways, rescheduled every few seconds",
    },
    Profile {
        name: "satellite",
        spec: "rtt=600ms,rate=20mbit,up=3mbit,loss=0.5%,jitter=10ms",
        reason: "geostationary: 4 x 35,786 km at the speed of light are 480 ms, the rest is waiting for a slot",
    },
];

/// What is wrong with the words for a link, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unclear(String);

impl Link {
    /// The bytes that may wait for the rate: what was asked, or 100 ms worth at this rate and at least 32 KiB, about
    /// what home routers and base stations hold.
    pub fn queue_bytes(&self, direction: Direction) -> u64 {
        let tenth_of_a_second = self.rate_bps(direction).unwrap_or(0) / 8 / 10;
        self.queue.unwrap_or(tenth_of_a_second.max(32 * 1024))
    }

    /// Bits a second in this direction.
    pub fn rate_bps(&self, direction: Direction) -> Option<u64> {
        match direction {
            Direction::Down => self.down_bps,
            Direction::Up => self.up_bps,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Unclear> {
        match key {
            "rtt" => self.rtt = duration(key, value)?,
            "jitter" => self.jitter = duration(key, value)?,
            "rate" => (self.down_bps, self.up_bps) = (rate(key, value)?, rate(key, value)?),
            "down" => self.down_bps = rate(key, value)?,
            "up" => self.up_bps = rate(key, value)?,
            "loss" => self.loss = share(key, value)?,
            "burst" => self.burst = burst(key, value)?,
            "queue" => self.queue = bytes(key, value)?,
            _ => {
                let keys = "rtt, rate, down, up, loss, burst, jitter and queue";
                return Err(Unclear(format!("a link has no {key:?}: it has {keys}")));
            }
        }
        Ok(())
    }

    /// What cannot be true at once.
    fn agree(self) -> Result<Self, Unclear> {
        let Some(burst) = self.burst else { return Ok(self) };
        // Between two bursts there is at least one packet that arrives.
        if self.loss > burst / (burst + 1.0) {
            let most = 100.0 * burst / (burst + 1.0);
            return Err(Unclear(format!(
                "bursts of {burst} lose {most:.1} % at most, since a packet arrives between two of them: \
                 lower loss={}% or raise burst",
                percent(self.loss)
            )));
        }
        Ok(self)
    }
}

/// The longest round trip and the longest jitter: past the moon and back, and a guard against a forgotten unit.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// The slowest and the fastest line. Below, a packet takes longer than TCP's patience; above, the emulator is slower.
const RATE_BPS: std::ops::RangeInclusive<u64> = 1_000..=100_000_000_000;
/// The smallest queue holds a packet; the largest is more than any router has.
const QUEUE_BYTES: std::ops::RangeInclusive<u64> = 1_500..=1 << 30;

impl FromStr for Link {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Self, Unclear> {
        let mut link = Link::default();
        let mut keys = Vec::new();
        for (nth, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once('=') {
                Some((key, value)) => {
                    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
                    if keys.contains(&key) {
                        return Err(Unclear(format!("{key} is there twice in {text:?}: leave one")));
                    }
                    link.set(&key, &value)?;
                    keys.push(key);
                    // `up=1mbit,rate=5mbit` reads as if the order did not matter; so it must not.
                    if keys.last().is_some_and(|key| key == "rate")
                        && keys.iter().any(|key| key == "up" || key == "down")
                    {
                        return Err(Unclear(format!("write rate= before up= and down= in {text:?}: it sets both")));
                    }
                }
                None if nth == 0 => link = named(part)?,
                None => return Err(Unclear(format!("{part:?} is not KEY=VALUE; a profile's name comes first"))),
            }
        }
        link.agree()
    }
}

fn named(name: &str) -> Result<Link, Unclear> {
    let name = name.to_ascii_lowercase();
    // The other spelling of a word is not worth an error.
    let name = if name == "fiber" { "fibre" } else { name.as_str() };
    match PROFILES.iter().find(|profile| profile.name == name) {
        Some(profile) => profile.spec.parse(),
        None => {
            let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            Err(Unclear(format!(
                "{name:?} is no named link ({}); a link of your own is written rtt=40ms,rate=50mbit,loss=1%,jitter=5ms",
                names.join(", ")
            )))
        }
    }
}

/// A number and its unit. The number has digits and at most one point.
fn measured<'a>(key: &str, value: &'a str, example: &str) -> Result<(f64, &'a str), Unclear> {
    let unit_at = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let number = value[..unit_at]
        .parse()
        .map_err(|_| Unclear(format!("{key}={value} has no number in front: write {key}={example}")))?;
    Ok((number, value[unit_at..].trim()))
}

fn duration(key: &str, value: &str) -> Result<Duration, Unclear> {
    let (number, unit) = measured(key, value, "40ms")?;
    let nanos = match unit {
        "s" => 1e9,
        "ms" => 1e6,
        "us" | "µs" => 1e3,
        "ns" => 1.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(Unclear(format!("{key}={value} needs a unit: write {key}=40ms (or us, s)"))),
    };
    if number * nanos > DELAY_MAX.as_nanos() as f64 {
        return Err(Unclear(format!("{key}={value} is more than {} s: is the unit right?", DELAY_MAX.as_secs())));
    }
    Ok(Duration::from_nanos((number * nanos).round() as u64))
}

fn rate(key: &str, value: &str) -> Result<Option<u64>, Unclear> {
    if value == "none" {
        return Ok(None);
    }
    let (number, unit) = measured(key, value, "50mbit")?;
    let bits = match unit.trim_end_matches("/s") {
        "bit" | "bps" => 1.0,
        "kbit" | "kbps" => 1e3,
        "mbit" | "mbps" => 1e6,
        "gbit" | "gbps" => 1e9,
        _ => return Err(Unclear(format!("{key}={value} needs a unit: write {key}=50mbit (or kbit, gbit, none)"))),
    };
    let bps = (number * bits).round() as u64;
    if !RATE_BPS.contains(&bps) {
        return Err(Unclear(format!("{key}={value} is outside 1kbit to 100gbit; without a limit it is {key}=none")));
    }
    Ok(Some(bps))
}

fn share(key: &str, value: &str) -> Result<f64, Unclear> {
    let (number, unit) = measured(key, value, "1%")?;
    let millionths = match unit {
        "%" => (number * 1e4).round(),
        "" if number == 0.0 => 0.0,
        _ => return Err(Unclear(format!("{key}={value} needs a unit: write {key}=1%"))),
    };
    if millionths == 0.0 && number > 0.0 {
        return Err(Unclear(format!(
            "{key}={value} is less than one packet in a million, which is the finest there is"
        )));
    }
    if millionths > 1e6 {
        return Err(Unclear(format!("{key}={value} is more than everything: 100% loses all")));
    }
    Ok(millionths / 1e6)
}

fn burst(key: &str, value: &str) -> Result<Option<f64>, Unclear> {
    if value == "none" {
        return Ok(None);
    }
    let (number, unit) = measured(key, value, "3")?;
    if !unit.is_empty() || !(1.0..=10_000.0).contains(&number) {
        let range = "1 to 10000 packets in a row, in the mean";
        return Err(Unclear(format!("{key}={value} is not a number from {range}: write {key}=3 (or none)")));
    }
    Ok(Some(number))
}

fn bytes(key: &str, value: &str) -> Result<Option<u64>, Unclear> {
    if value == "none" {
        return Ok(None);
    }
    let (number, unit) = measured(key, value, "512k")?;
    let size = match unit {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        _ => return Err(Unclear(format!("{key}={value} is not in bytes: write {key}=512k (or 1m, 65536, none)"))),
    };
    let bytes = (number * size).round() as u64;
    if !QUEUE_BYTES.contains(&bytes) {
        return Err(Unclear(format!("{key}={value} is outside 1500 (one packet) to 1024m")));
    }
    Ok(Some(bytes))
}

impl fmt::Display for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "rtt={}", Short(self.rtt))?;
        if let Some(bps) = self.down_bps {
            write!(out, ",{}={}", if self.up_bps.is_some() { "rate" } else { "down" }, bits(bps))?;
        }
        match self.up_bps {
            Some(bps) if self.up_bps != self.down_bps => write!(out, ",up={}", bits(bps))?,
            _ => {}
        }
        if self.loss > 0.0 {
            write!(out, ",loss={}%", percent(self.loss))?;
        }
        if self.jitter > Duration::ZERO {
            write!(out, ",jitter={}", Short(self.jitter))?;
        }
        if let Some(bytes) = self.queue {
            match bytes % 1024 {
                0 => write!(out, ",queue={}k", bytes / 1024)?,
                _ => write!(out, ",queue={bytes}")?,
            }
        }
        if let Some(burst) = self.burst {
            write!(out, ",burst={burst}")?;
        }
        Ok(())
    }
}

/// In reports a link is its canonical form.
impl serde::Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Exact, in the largest unit that has no fraction.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_nanos() {
            nanos if nanos.is_multiple_of(1_000_000) => write!(out, "{}ms", nanos / 1_000_000),
            nanos if nanos.is_multiple_of(1_000) => write!(out, "{}us", nanos / 1_000),
            nanos => write!(out, "{nanos}ns"),
        }
    }
}

/// Exact, in the largest unit that has no fraction.
pub(super) fn bits(bps: u64) -> String {
    match bps {
        _ if bps.is_multiple_of(1_000_000_000) => format!("{}gbit", bps / 1_000_000_000),
        _ if bps.is_multiple_of(1_000_000) => format!("{}mbit", bps / 1_000_000),
        _ if bps.is_multiple_of(1_000) => format!("{}kbit", bps / 1_000),
        _ => format!("{bps}bit"),
    }
}

/// Exact: losses are multiples of a millionth.
pub(super) fn percent(loss: f64) -> f64 {
    (loss * 1e6).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(text: &str) -> Link {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        text.parse::<Link>().expect_err(text).to_string()
    }

    #[test]
    fn the_example_of_the_help_means_what_it_says() {
        let asked = Link {
            rtt: Duration::from_millis(40),
            down_bps: Some(50_000_000),
            up_bps: Some(10_000_000),
            loss: 0.01,
            burst: Some(3.0),
            jitter: Duration::from_millis(5),
            queue: Some(512 * 1024),
        };
        assert_eq!(link("rtt=40ms,rate=50mbit,loss=1%,jitter=5ms,up=10mbit,queue=512k,burst=3"), asked);
        assert_eq!(link(" RTT = 40ms , rate=50Mbit/s, up=10Mbps, loss=1.0%, jitter=5000us,queue=0.5m,burst=3"), asked);
    }

    #[test]
    fn a_profile_is_itself_or_itself_with_changes() {
        assert_eq!(link("4g").loss, 0.001);
        assert_eq!(link("4g,loss=2%"), Link { loss: 0.02, ..link("4g") });
        assert_eq!(link("fiber,rate=none").down_bps, None);
    }

    #[test]
    fn every_profile_is_a_link_and_says_so_in_its_canonical_form() {
        for profile in PROFILES {
            assert_eq!(link(profile.spec).to_string(), profile.spec, "{}", profile.name);
        }
    }

    #[test]
    fn without_a_queue_the_rate_decides_it() {
        let link = link("rate=50mbit,up=1mbit");
        assert_eq!((link.queue_bytes(Direction::Down), link.queue_bytes(Direction::Up)), (625_000, 32 * 1024));
    }

    #[test]
    fn an_error_says_what_to_write() {
        assert!(error("rtt=40").contains("write rtt=40ms"));
        assert!(error("rtt=fast").contains("write rtt=40ms"));
        assert!(error("loss=0.01").contains("write loss=1%"));
        assert!(error("rate=50").contains("write rate=50mbit"));
        assert!(error("queue=100ms").contains("write queue=512k"));
        assert!(error("lag=3ms").contains("rtt, rate, down, up, loss, burst, jitter and queue"));
        assert!(error("6g").contains("satellite"));
        assert!(error("rtt=1ms,4g").contains("comes first"));
        assert!(error("rtt=1ms,rtt=2ms").contains("twice"));
        assert!(error("up=1mbit,rate=5mbit").contains("before up="));
        assert!(error("loss=90%,burst=2").contains("66.7 % at most"));
        assert!(error("").contains("rtt=40ms"));
    }

    fn links() -> impl Strategy<Value = Link> {
        let rate = || proptest::option::of(RATE_BPS);
        let burst = proptest::option::of((1.0..10_000.0f64).prop_map(|burst| (burst * 8.0).round() / 8.0));
        (
            0..10_000_000_000u64,
            rate(),
            rate(),
            0..500_000u32,
            burst,
            0..10_000_000_000u64,
            proptest::option::of(QUEUE_BYTES),
        )
            .prop_map(|(rtt, down_bps, up_bps, loss, burst, jitter, queue)| Link {
                rtt: Duration::from_nanos(rtt),
                down_bps,
                up_bps,
                loss: f64::from(loss) / 1e6,
                burst,
                jitter: Duration::from_nanos(jitter),
                queue,
            })
    }

    proptest! {
        #[test]
        fn the_canonical_form_parses_back(asked in links()) {
            prop_assert_eq!(link(&asked.to_string()), asked);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9=,.% ]{0,40}") {
            let _ = text.parse::<Link>();
        }
    }
}
