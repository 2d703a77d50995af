//! Everything a run counted: histograms by key, troubles by kind, a timeline. Tallies of workers and agents add up.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::measured::{Key, Measure, Trouble};

/// Three digits: a percentile is off by at most 0.1 %.
const DIGITS: u8 = 3;

/// Longer waits are counted as this long: an hour, in microseconds.
const MICROS_MAX: u64 = 3_600_000_000;

/// Most steps of the timeline; when there are more, two become one. Keeps a report of any length readable and small.
const STEPS_MAX: usize = 600;

/// Longest step of a timeline that is taken from elsewhere: 600 of them are longer than any run.
const STEP_SECONDS_MAX: u64 = 1 << 24;

/// A generator that acts later than this shows its own delays instead of the server's: one start in a hundred is as
/// much as may be.
pub const LATE: Duration = Duration::from_millis(1);

/// Largest count that is taken from elsewhere: a thousand of them can be added up.
const COUNT_MAX: u64 = 1 << 53;

/// Latencies of one kind, in microseconds. The histogram is made for the first of them: most steps of a timeline, and
/// all that a worker hands over while nothing happens, have none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies(Option<Box<Histogram<u64>>>);

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(MICROS_MAX);
        self.histogram().record(micros).expect("the histogram grows by itself");
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (Some(all), Some(more)) => all.add(more.as_ref()).expect("the histogram grows by itself"),
            (none @ None, Some(all)) => *none = Some(all.clone()),
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// The value that this share of all (0 to 1) does not exceed; None when there is nothing.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        self.0.as_ref().map(|histogram| Duration::from_micros(histogram.value_at_quantile(share)))
    }

    /// The longest.
    pub fn max(&self) -> Option<Duration> {
        self.0.as_ref().map(|histogram| Duration::from_micros(histogram.max()))
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<Duration> {
        self.0.as_ref().map(|histogram| Duration::from_secs_f64(histogram.mean() / 1e6))
    }

    /// The sum of all, within the histogram's precision.
    pub fn total(&self) -> Duration {
        self.mean().unwrap_or_default().mul_f64(self.count() as f64)
    }

    /// Value in microseconds and how often it came, upwards.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let recorded = self.0.iter().flat_map(|histogram| histogram.iter_recorded());
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| {
            let mut histogram = Histogram::new(DIGITS).expect("three digits are between 0 and 5");
            histogram.auto(true);
            Box::new(histogram)
        })
    }
}

/// As `[[microseconds, count], …]`, upwards.
impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.buckets())
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut all = Self::default();
        for (micros, count) in Vec::<(u64, u64)>::deserialize(input)? {
            if count > 0 {
                all.histogram().record_n(micros.min(MICROS_MAX), count).map_err(serde::de::Error::custom)?;
            }
        }
        Ok(all)
    }
}

/// What happened within one step of the timeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Starts of any kind that were intended in it.
    pub starts: u64,
    /// Of those, from the first byte on in the cache.
    pub hits: u64,
    /// Troubles.
    pub troubles: u64,
    /// Body bytes that came.
    pub bytes: u64,
    /// Most listeners at once.
    pub listeners: u64,
    /// Taps to the first sound, or to 64 KiB of what does not sound.
    pub needle_drop: Latencies,
    /// Instants at which a listener was to act.
    #[serde(default)]
    pub due: u64,
    /// Those at which the generator was late by more than [`LATE`].
    #[serde(default)]
    pub late: u64,
}

impl Step {
    fn add(&mut self, other: &Self) {
        self.starts += other.starts;
        self.hits += other.hits;
        self.troubles += other.troubles;
        self.bytes += other.bytes;
        self.listeners += other.listeners;
        self.needle_drop.add(&other.needle_drop);
        self.due += other.due;
        self.late += other.late;
    }

    /// Two steps in a row: what is counted adds up, who is there at once does not.
    fn then(&mut self, later: &Self) {
        let listeners = self.listeners.max(later.listeners);
        self.add(later);
        self.listeners = listeners;
    }
}

/// Steps of equal length from the beginning of the run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of one step in seconds, a power of two.
    pub step_seconds: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { step_seconds: 1, steps: Vec::new() }
    }
}

impl Timeline {
    /// The step at this time after the beginning.
    pub fn at(&mut self, since: Duration) -> &mut Step {
        while since.as_secs() / self.step_seconds >= STEPS_MAX as u64 {
            self.widen();
        }
        let at = (since.as_secs() / self.step_seconds) as usize;
        if self.steps.len() <= at {
            self.steps.resize(at + 1, Step::default());
        }
        &mut self.steps[at]
    }

    fn widen(&mut self) {
        self.step_seconds *= 2;
        let pairs = self.steps.chunks(2).map(|pair| {
            let mut both = pair[0].clone();
            if let Some(later) = pair.get(1) {
                both.then(later);
            }
            both
        });
        self.steps = pairs.collect();
    }

    /// Adds what others counted at the same time.
    fn add(&mut self, other: &Self) {
        self.merge(other, Step::add);
    }

    /// Adds what the same ones counted later, perhaps still in the last step.
    fn then(&mut self, later: &Self) {
        self.merge(later, Step::then);
    }

    fn merge(&mut self, other: &Self, merge: impl Fn(&mut Step, &Step)) {
        let mut other = other.clone();
        while self.step_seconds < other.step_seconds {
            self.widen();
        }
        while other.step_seconds < self.step_seconds {
            other.widen();
        }
        if self.steps.len() < other.steps.len() {
            self.steps.resize(other.steps.len(), Step::default());
        }
        for (step, more) in self.steps.iter_mut().zip(&other.steps) {
            merge(step, more);
        }
    }
}

/// Everything that was counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Latencies by key.
    #[serde(with = "pairs")]
    pub latencies: BTreeMap<Key, Latencies>,
    /// The generator's own lateness, whatever it was doing.
    pub late: Latencies,
    /// What went wrong, by kind.
    pub troubles: BTreeMap<Trouble, u64>,
    /// The first sentences about each kind, to show a person.
    pub examples: BTreeMap<Trouble, Vec<String>>,
    /// Listeners who came.
    pub listeners: u64,
    /// Starts that were intended, whatever became of them.
    pub starts: u64,
    /// Requests sent.
    pub requests: u64,
    /// Body bytes that came.
    pub bytes: u64,
    /// Body bytes that were compared with the object's.
    pub checked_bytes: u64,
    /// Music that was played, in milliseconds of its own time.
    pub played_ms: u64,
    /// Silence in the middle of tracks, in milliseconds.
    pub stalled_ms: u64,
    /// How it went over time.
    pub timeline: Timeline,
}

/// Most example sentences kept of a kind.
const EXAMPLES_MAX: usize = 3;

impl Tally {
    /// Counts one latency.
    pub fn record(&mut self, key: Key, took: Duration) {
        self.latencies.entry(key).or_default().record(took);
    }

    /// Counts one trouble that came up `since` the beginning of the run.
    pub fn trouble(&mut self, since: Duration, trouble: Trouble, sentence: impl FnOnce() -> String) {
        *self.troubles.entry(trouble).or_default() += 1;
        self.timeline.at(since).troubles += 1;
        let examples = self.examples.entry(trouble).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push(sentence());
        }
    }

    /// Counts how late the generator itself acted on what was to happen `since` the beginning of the run.
    pub fn acted(&mut self, since: Duration, late: Duration) {
        self.late.record(late);
        let step = self.timeline.at(since);
        step.due += 1;
        step.late += u64::from(late > LATE);
    }

    /// Adds what another worker or agent counted in the same run.
    pub fn add(&mut self, other: &Self) {
        self.count(other);
        self.timeline.add(&other.timeline);
    }

    /// Adds what the same worker counted later.
    pub fn then(&mut self, later: &Self) {
        self.count(later);
        self.timeline.then(&later.timeline);
    }

    fn count(&mut self, other: &Self) {
        for (key, latencies) in &other.latencies {
            self.latencies.entry(*key).or_default().add(latencies);
        }
        self.late.add(&other.late);
        for (trouble, count) in &other.troubles {
            *self.troubles.entry(*trouble).or_default() += count;
        }
        for (trouble, sentences) in &other.examples {
            let examples = self.examples.entry(*trouble).or_default();
            let room = EXAMPLES_MAX.saturating_sub(examples.len());
            examples.extend(sentences.iter().take(room).cloned());
        }
        self.listeners += other.listeners;
        self.starts += other.starts;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.checked_bytes += other.checked_bytes;
        self.played_ms += other.played_ms;
        self.stalled_ms += other.stalled_ms;
    }

    /// All latencies whose key pleases, in one.
    pub fn sum(&self, measure: Measure, pleases: impl Fn(&Key) -> bool) -> Latencies {
        let mut sum = Latencies::default();
        for (key, latencies) in &self.latencies {
            if key.measure == measure && pleases(key) {
                sum.add(latencies);
            }
        }
        sum
    }

    /// Whether it can be added up and drawn: for tallies that came from a file or another machine.
    pub fn check(&self) -> Result<(), String> {
        let timeline = &self.timeline;
        if !timeline.step_seconds.is_power_of_two() || timeline.step_seconds > STEP_SECONDS_MAX {
            return Err(format!("steps of {} s in the timeline", timeline.step_seconds));
        }
        if timeline.steps.len() > STEPS_MAX {
            return Err(format!("{} steps in the timeline", timeline.steps.len()));
        }
        let steps = timeline.steps.iter();
        let counts = steps
            .flat_map(|step| {
                let counts = [step.starts, step.hits, step.troubles, step.bytes, step.listeners, step.due, step.late];
                counts.into_iter().chain([step.needle_drop.count()])
            })
            .chain(self.latencies.values().map(Latencies::count))
            .chain(self.troubles.values().copied())
            .chain([self.late.count(), self.listeners, self.starts, self.requests, self.bytes, self.checked_bytes])
            .chain([self.played_ms, self.stalled_ms]);
        match counts.max() {
            Some(most) if most > COUNT_MAX => Err(format!("a count of {most}")),
            _ if self.examples.values().any(|sentences| sentences.len() > EXAMPLES_MAX) => {
                Err("too many example sentences".into())
            }
            _ => Ok(()),
        }
    }

    /// Troubles of all kinds.
    pub fn troubled(&self) -> u64 {
        self.troubles.values().sum()
    }
}

/// A map whose keys are not strings, as a list of pairs.
mod pairs {
    use super::{BTreeMap, Deserialize, Key, Latencies, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Pair<L> {
        #[serde(flatten)]
        key: Key,
        micros: L,
    }

    pub fn serialize<S: serde::Serializer>(map: &BTreeMap<Key, Latencies>, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(map.iter().map(|(key, micros)| Pair { key: *key, micros }))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(input: D) -> Result<BTreeMap<Key, Latencies>, D::Error> {
        let list = Vec::<Pair<Latencies>>::deserialize(input)?;
        Ok(list.into_iter().map(|pair| (pair.key, pair.micros)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measured::{Cache, Opening, Protocol, Why};

    fn key(measure: Measure) -> Key {
        Key { measure, why: Why::Tap, protocol: Protocol::H1, opening: Opening::Full, cache: Cache::Unsaid }
    }

    fn tally(micros: &[u64], second: u64) -> Tally {
        let mut tally = Tally::default();
        for took in micros {
            tally.record(key(Measure::FirstByte), Duration::from_micros(*took));
            tally.timeline.at(Duration::from_secs(second)).starts += 1;
        }
        tally.trouble(Duration::from_secs(second), Trouble::Timeout, || "late".into());
        tally
    }

    proptest! {
        // A case adds up histograms of thousands of steps: fewer of them say as much.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_percentile_is_within_a_thousandth_of_the_sorted_list(mut micros in prop::collection::vec(1..600_000_000u64, 1..300)) {
            let all = tally(&micros, 0).sum(Measure::FirstByte, |_| true);
            micros.sort_unstable();
            let exact = micros[(micros.len() * 99).div_ceil(100) - 1] as f64;
            let said = all.quantile(0.99).unwrap().as_micros() as f64;
            prop_assert!((said - exact).abs() <= exact * 0.001 + 1.0, "{said} {exact}");
        }

        #[test]
        fn a_tally_survives_json_and_sums_are_the_same_in_any_order(
            one in prop::collection::vec(1..9_000_000u64, 0..50),
            two in prop::collection::vec(1..9_000_000u64, 0..50),
            seconds in (0..3_000u64, 0..3_000u64),
        ) {
            let (one, two) = (tally(&one, seconds.0), tally(&two, seconds.1));
            let (mut there, mut back) = (one.clone(), two.clone());
            there.add(&two);
            back.add(&one);
            prop_assert_eq!(&there, &back);
            let json = serde_json::to_string(&there).unwrap();
            prop_assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), there);
        }
    }

    #[test]
    fn a_long_timeline_gets_wider_steps_and_loses_nothing() {
        let mut timeline = Timeline::default();
        for second in 0..10_000 {
            let step = timeline.at(Duration::from_secs(second));
            step.starts += 1;
            step.listeners = 7;
        }
        assert_eq!(timeline.step_seconds, 32);
        assert_eq!(timeline.steps.iter().map(|step| step.starts).sum::<u64>(), 10_000);
        assert!(timeline.steps.iter().all(|step| step.listeners == 7));
    }
}
