//! The figures that everything shown begins with, and the classes that a run falls into.

use std::{collections::BTreeSet, fmt};

use crate::{
    measured::{Cache, Key, Measure, Opening, Protocol, Trouble, Why},
    tally::{Latencies, Tally},
};

/// Above this at the 99th percentile, the generator itself spoils what it measures.
pub const LATE_MICROS_MAX: u64 = 1_000;

/// The headline of a run.
#[derive(Debug, Clone)]
pub struct Figures {
    /// From taps to the first sound.
    pub needle_drop: Latencies,
    /// False: nothing sounded, and `needle_drop` is to the first 64 KiB.
    pub sounded: bool,
    /// Starts that were intended.
    pub starts: u64,
    /// Troubles of all kinds.
    pub troubles: u64,
    /// Troubles for each start that was intended; one start can have several.
    pub trouble_share: Option<f64>,
    /// Hits among the starts whose answer said where it came from.
    pub hit_share: Option<f64>,
    /// Silences in the middle of tracks.
    pub stalls: Latencies,
    /// Seconds of silence for each second of music.
    pub stalled_share: Option<f64>,
}

impl Figures {
    /// Of everything that was counted.
    pub fn of(tally: &Tally) -> Self {
        let tap = |key: &Key| key.why == Why::Tap;
        let first_audio = tally.sum(Measure::FirstAudio, tap);
        let sounded = first_audio.count() > 0;
        let troubles = tally.troubled();
        Self {
            needle_drop: if sounded { first_audio } else { tally.sum(Measure::First64K, tap) },
            sounded,
            starts: tally.starts,
            troubles,
            trouble_share: share(troubles, tally.starts),
            hit_share: hit_share(tally, |_| true),
            stalls: tally.sum(Measure::Stall, |_| true),
            stalled_share: share(tally.stalled_ms, tally.played_ms),
        }
    }
}

/// One number as a part of another; None of nothing.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Hits among the first bytes whose key pleases and whose answer said where it came from.
pub fn hit_share(tally: &Tally, pleases: impl Fn(&Key) -> bool) -> Option<f64> {
    let (hits, said) = hits(tally, pleases);
    share(hits, said)
}

/// How many first bytes came out of a cache, and how many said whether they did.
pub fn hits(tally: &Tally, pleases: impl Fn(&Key) -> bool) -> (u64, u64) {
    let said = tally.sum(Measure::FirstByte, |key| key.cache != Cache::Unsaid && pleases(key)).count();
    let missed = tally.sum(Measure::FirstByte, |key| key.cache == Cache::Miss && pleases(key)).count();
    (said - missed, said)
}

/// Why the numbers of this run are not to be trusted: nothing, if they are.
pub fn distrust(tally: &Tally, missing: &[String]) -> Vec<String> {
    let mut reasons = Vec::new();
    let late = tally.late.quantile(0.99).unwrap_or_default();
    if late.as_micros() > u128::from(LATE_MICROS_MAX) {
        let late = super::numbers::took(late);
        reasons.push(format!(
            "the generator acted {late} late at p99: use --awake, fewer listeners, more cores or more agents"
        ));
    }
    let ours = tally.troubles.get(&Trouble::Ourselves).copied().unwrap_or(0);
    if ours > 0 {
        let ours = super::numbers::count(ours);
        reasons.push(format!("the generator failed to do its part (×{ours}, see the troubles)"));
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|name| super::numbers::harmless(name)).collect();
        reasons.push(format!("not whole: {} vanished before the end", names.join(", ")));
    }
    if tally.starts == 0 {
        reasons.push("nothing was started".into());
    }
    reasons
}

/// What a row of a table is of. Made so that the rows come in the order of the declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Class {
    /// How the bytes travelled.
    pub protocol: Protocol,
    /// The state of the connection.
    pub opening: Opening,
    /// What the cache said.
    pub cache: Cache,
}

impl Class {
    /// The class of a key.
    pub fn of(key: &Key) -> Self {
        Self { protocol: key.protocol, opening: key.opening, cache: key.cache }
    }

    /// All that come in these tallies.
    pub fn all<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> BTreeSet<Self> {
        tallies.into_iter().flat_map(|tally| tally.latencies.keys()).map(Self::of).collect()
    }
}

impl fmt::Display for Class {
    /// `h3 zero_rtt memory`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.protocol, self.opening, self.cache)
    }
}

/// What a measure is called on the page.
pub fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Url => "URL known",
        Measure::Connect => "connected",
        Measure::FirstByte => "first byte",
        Measure::FirstAudio => "first audio",
        Measure::OneSecond => "one second",
        Measure::First64K => "64 KiB",
        Measure::Head => "head complete",
        Measure::Gap => "gap between tracks",
        Measure::Stall => "stall",
        Measure::Late => "generator late",
    }
}
