//! `--fail-if`: when a run counts as failed, so that CI can end with an exit code.
//!
//! `start.p99>200ms`, `errors>0.1%`, `stalls.share>1%`, `first_byte.p99[h3,resumed,prefetched]>100ms`. What was not
//! measured cannot pass: no data is a failure, and the sentence says so.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{figures, numbers};
use crate::{
    measured::{Cache, Key, Measure, Opening, Protocol, Trouble, Why},
    tally::{Latencies, Tally},
};

/// When to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    what: What,
    filter: Filter,
    operator: Operator,
    limit: f64,
    unit: Unit,
}

/// What became of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// As it was asked for.
    pub text: String,
    /// What was measured, in the unit of the threshold.
    pub value: Option<f64>,
    /// The value as a person reads it, or why there is none.
    pub sentence: String,
    /// Whether the run fails by it.
    pub failed: bool,
}

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ThresholdError(String);

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// From a tap to the first sound.
    Start(Statistic),
    /// Anything else that is timed.
    Latency(Measure, Statistic),
    /// The generator's own lateness.
    Late(Statistic),
    /// Troubles, for each start or as such.
    Errors,
    /// Silence for each second of music.
    StallsShare,
    StallsCount,
    /// Hits among the answers that said where they came from.
    HitsShare,
    /// Starts in a second.
    StartsRate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistic {
    /// From 0 to 100.
    Percentile(f64),
    Mean,
    Max,
}

/// Empty sets let everything pass. Words of one kind are alternatives, words of different kinds must all hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Filter {
    protocols: BTreeSet<Protocol>,
    openings: BTreeSet<Opening>,
    caches: BTreeSet<Cache>,
    whys: BTreeSet<Why>,
    troubles: BTreeSet<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    More,
    AtLeast,
    Less,
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Micros,
    Millis,
    Seconds,
    Percent,
    None,
}

impl Threshold {
    /// What these numbers of a run of so many seconds make of it.
    pub fn judge(&self, tally: &Tally, seconds: f64) -> Judged {
        let text = self.to_string();
        match self.value(tally, seconds) {
            Err(reason) => Judged { text, value: None, sentence: format!("no data: {reason}"), failed: true },
            Ok(value) => {
                let failed = self.operator.holds(value, self.limit);
                Judged { text, value: Some(value), sentence: self.shown(value), failed }
            }
        }
    }

    /// In the unit of the threshold.
    fn value(&self, tally: &Tally, seconds: f64) -> Result<f64, String> {
        let pleases = |key: &Key| self.filter.pleases(key);
        match self.what {
            What::Start(statistic) => {
                let starts = tally.sum(Measure::FirstAudio, |key| key.why == Why::Tap && pleases(key));
                self.of(&starts, statistic)
            }
            What::Latency(measure, statistic) => self.of(&tally.sum(measure, pleases), statistic),
            What::Late(statistic) => self.of(&tally.late, statistic),
            What::Errors => {
                let chosen = |trouble| self.filter.troubles.is_empty() || self.filter.troubles.contains(trouble);
                let troubles: u64 =
                    tally.troubles.iter().filter(|(trouble, _)| chosen(trouble)).map(|(_, count)| count).sum();
                let share = figures::share(troubles, tally.starts).ok_or("nothing was started")?;
                Ok(if self.unit == Unit::Percent { share * 100.0 } else { troubles as f64 })
            }
            What::StallsShare => {
                let share = figures::share(tally.stalled_ms, tally.played_ms).ok_or("nothing was played")?;
                Ok(share * 100.0)
            }
            What::StallsCount => match tally.sum(Measure::FirstByte, pleases).count() {
                0 => Err(self.nothing_measured()),
                _ => Ok(tally.sum(Measure::Stall, pleases).count() as f64),
            },
            What::HitsShare => {
                let share = figures::hit_share(tally, pleases);
                Ok(share.ok_or("no answer said whether it came out of a cache")? * 100.0)
            }
            What::StartsRate if seconds > 0.0 => Ok(tally.starts as f64 / seconds),
            What::StartsRate => Err("the run took no time".into()),
        }
    }

    fn of(&self, latencies: &Latencies, statistic: Statistic) -> Result<f64, String> {
        let value = match statistic {
            // 99.9 / 100 is a hair more than 0.999, and would take one sample more: rounded after eleven digits, it
            // is not.
            Statistic::Percentile(percent) => latencies.quantile((percent * 1e9).round() / 1e11),
            Statistic::Mean => latencies.mean(),
            Statistic::Max => latencies.max(),
        };
        let micros = value.ok_or_else(|| self.nothing_measured())?.as_secs_f64() * 1e6;
        Ok(micros / self.unit.micros())
    }

    fn nothing_measured(&self) -> String {
        format!("nothing was measured of {}{}", self.what.measure(), self.filter)
    }

    fn shown(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => numbers::share(value / 100.0),
            Unit::None if self.what == What::StartsRate => format!("{} a second", numbers::rate(value)),
            Unit::None => numbers::count(value as u64),
            _ => numbers::took(Duration::from_secs_f64(value * self.unit.micros() / 1e6)),
        }
    }
}

impl Filter {
    fn pleases(&self, key: &Key) -> bool {
        fn any<T: Ord>(wanted: &BTreeSet<T>, is: &T) -> bool {
            wanted.is_empty() || wanted.contains(is)
        }
        any(&self.protocols, &key.protocol)
            && any(&self.openings, &key.opening)
            && any(&self.caches, &key.cache)
            && any(&self.whys, &key.why)
    }

    fn add(&mut self, what: What, text: &str) -> Result<(), String> {
        if what == What::Errors {
            let trouble = word(text).ok_or_else(|| {
                format!("errors are filtered by kind, and \"{text}\" is none of {}", list(&Trouble::ALL))
            })?;
            self.troubles.insert(trouble);
            return Ok(());
        }
        if matches!(what, What::Late(_) | What::StallsShare | What::StartsRate) {
            return Err(format!("{} is of the whole run: leave the [filter] out", what.measure()));
        }
        if let Some(protocol) = word(text) {
            self.protocols.insert(protocol);
        } else if let Some(opening) = word(text) {
            self.openings.insert(opening);
        } else if let Some(cache) = word(text) {
            self.caches.insert(cache);
        } else if let Some(why) = word(text) {
            if matches!(what, What::Start(_)) && why != Why::Tap {
                return Err(format!("start is of taps only: write first_audio instead of start for [{why}]"));
            }
            self.whys.insert(why);
        } else {
            let [protocols, openings, caches, whys] =
                [list(&Protocol::ALL), list(&Opening::ALL), list(&Cache::ALL), list(&Why::ALL)];
            return Err(format!("\"{text}\" is no filter: use {protocols}; {openings}; {caches}; {whys}"));
        }
        Ok(())
    }
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "errors" => return Ok(What::Errors),
            "stalls.share" => return Ok(What::StallsShare),
            "stalls.count" => return Ok(What::StallsCount),
            "hits.share" => return Ok(What::HitsShare),
            "starts.rate" => return Ok(What::StartsRate),
            _ => {}
        }
        let (measure, statistic) = text.split_once('.').unwrap_or((text, ""));
        let timed = match measure {
            "start" => None,
            _ => Some(word::<Measure>(measure).ok_or_else(|| {
                format!(
                    "\"{text}\" is not measured: use start, {} with .p50, .p99.9, .mean or .max, or one of errors, \
                     stalls.share, stalls.count, hits.share, starts.rate",
                    list(&Measure::ALL)
                )
            })?),
        };
        let statistic = Statistic::parse(statistic).ok_or_else(|| {
            format!(
                "which {measure}? write {measure}.p50, {measure}.p99.9 (up to p100), {measure}.mean or {measure}.max"
            )
        })?;
        Ok(match timed {
            None => What::Start(statistic),
            Some(Measure::Late) => What::Late(statistic),
            Some(measure) => What::Latency(measure, statistic),
        })
    }

    fn measure(self) -> String {
        match self {
            What::Start(_) => "start".into(),
            What::Latency(measure, _) => measure.to_string(),
            What::Late(_) => "late".into(),
            What::Errors => "errors".into(),
            What::StallsShare => "stalls.share".into(),
            What::StallsCount => "stalls.count".into(),
            What::HitsShare => "hits.share".into(),
            What::StartsRate => "starts.rate".into(),
        }
    }

    fn statistic(self) -> Option<Statistic> {
        match self {
            What::Start(statistic) | What::Latency(_, statistic) | What::Late(statistic) => Some(statistic),
            _ => None,
        }
    }

    /// The sentence that asks for another unit, if this one makes no sense.
    fn refuses(self, unit: Unit, limit: f64) -> Option<String> {
        let (name, is_share) = (self.measure(), matches!(unit, Unit::Percent));
        match self {
            What::Start(_) | What::Latency(..) | What::Late(_) => match unit {
                Unit::Micros | Unit::Millis | Unit::Seconds => None,
                _ => Some(format!("{name} is a time: write {limit}ms, or us or s")),
            },
            What::StallsShare | What::HitsShare if !is_share => Some(format!("{name} is a share: write {limit}%")),
            What::Errors if !is_share && unit != Unit::None => {
                Some(format!("errors are a share of the starts or a count: write {limit}% or {limit}"))
            }
            What::StallsCount if unit != Unit::None => Some(format!("{name} is a count: write {limit}")),
            What::StartsRate if unit != Unit::None => Some(format!("{name} is per second: write {limit}")),
            _ => None,
        }
    }
}

impl Statistic {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "mean" => return Some(Statistic::Mean),
            "max" => return Some(Statistic::Max),
            _ => {}
        }
        let percent = number(text.strip_prefix('p')?)?;
        (percent <= 100.0).then_some(Statistic::Percentile(percent))
    }
}

impl Operator {
    const ALL: [(&str, Operator); 4] =
        [(">=", Operator::AtLeast), ("<=", Operator::AtMost), (">", Operator::More), ("<", Operator::Less)];

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Operator::More => value > limit,
            Operator::AtLeast => value >= limit,
            Operator::Less => value < limit,
            Operator::AtMost => value <= limit,
        }
    }

    fn text(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("", |(text, _)| text)
    }
}

impl Unit {
    const ALL: [(&str, Unit); 5] =
        [("us", Unit::Micros), ("ms", Unit::Millis), ("s", Unit::Seconds), ("%", Unit::Percent), ("", Unit::None)];

    fn micros(self) -> f64 {
        match self {
            Unit::Millis => 1e3,
            Unit::Seconds => 1e6,
            _ => 1.0,
        }
    }

    fn text(self) -> &'static str {
        Self::ALL.iter().find(|(_, unit)| *unit == self).map_or("", |(text, _)| text)
    }
}

/// A word of one of the lists in [`crate::measured`].
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.into())).ok()
}

fn list<T: fmt::Display>(words: &[T]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Digits, with a fraction or not; nothing else that Rust takes for a number.
fn number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|letter| letter.is_ascii_digit() || letter == b'.');
    plain.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let fails = |reason: String| ThresholdError(format!("\"{}\": {reason}", numbers::harmless(text)));
        let squeezed: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let at = squeezed
            .find(['<', '>'])
            .ok_or_else(|| fails("nothing to compare with: write MEASURE>LIMIT, like start.p99>200ms".into()))?;
        let (left, right) = squeezed.split_at(at);
        let (sign, operator) = *Operator::ALL
            .iter()
            .find(|(sign, _)| right.starts_with(sign))
            .expect("what was found is one of the operators' first letters");

        let (name, words) = match left.split_once('[') {
            None => (left, None),
            Some((name, rest)) => {
                let words = rest.strip_suffix(']').ok_or_else(|| {
                    fails(
                        "the [filter] is not closed, or not the last thing before the sign: write start.p99[h3]>200ms"
                            .into(),
                    )
                })?;
                (name, Some(words))
            }
        };
        let what = What::parse(name).map_err(fails)?;
        let mut filter = Filter::default();
        for word in words.into_iter().flat_map(|words| words.split(',')) {
            filter.add(what, word).map_err(fails)?;
        }

        let limit = &right[sign.len()..];
        let digits = limit.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(limit.len());
        let (amount, unit) = limit.split_at(digits);
        let limit = number(amount).ok_or_else(|| {
            fails(format!("\"{limit}\" is no limit: write a number with its unit, like 200ms or 0.1%"))
        })?;
        let unit = Unit::ALL.iter().find(|(name, _)| *name == unit).map(|(_, unit)| *unit);
        let unit = unit.ok_or_else(|| fails(format!("unknown unit after {amount}: use us, ms, s or %")))?;
        match what.refuses(unit, limit) {
            Some(reason) => Err(fails(reason)),
            None => Ok(Self { what, filter, operator, limit, unit }),
        }
    }
}

impl fmt::Display for Threshold {
    /// Canonical, and parses back.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, filter, operator, limit, unit } = self;
        out.write_str(&what.measure())?;
        match what.statistic() {
            Some(Statistic::Percentile(percent)) => write!(out, ".p{percent}")?,
            Some(Statistic::Mean) => out.write_str(".mean")?,
            Some(Statistic::Max) => out.write_str(".max")?,
            None => {}
        }
        write!(out, "{filter}{}{limit}{}", operator.text(), unit.text())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.protocols.iter().map(ToString::to_string));
        words.extend(self.openings.iter().map(ToString::to_string));
        words.extend(self.caches.iter().map(ToString::to_string));
        words.extend(self.whys.iter().map(ToString::to_string));
        words.extend(self.troubles.iter().map(ToString::to_string));
        if words.is_empty() { Ok(()) } else { write!(out, "[{}]", words.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally { starts: 1_000, played_ms: 100_000, stalled_ms: 500, ..Tally::default() };
        for number in 1..=1_000u64 {
            let protocol = if number % 10 == 0 { Protocol::H3 } else { Protocol::H1 };
            let key = |measure| Key { measure, why: Why::Tap, protocol, opening: Opening::Full, cache: Cache::Memory };
            tally.record(key(Measure::FirstByte), Duration::from_millis(number));
            tally.record(key(Measure::FirstAudio), Duration::from_millis(2 * number));
        }
        tally.trouble(Duration::ZERO, Trouble::Timeout, || "slow".into());
        tally
    }

    fn judged(text: &str) -> Judged {
        text.parse::<Threshold>().unwrap().judge(&tally(), 10.0)
    }

    #[test]
    fn a_run_fails_by_what_its_numbers_exceed() {
        for (text, failed) in [
            ("first_byte.p50>499ms", true),
            ("first_byte.p50 > 501ms", false),
            ("start.max>1.9s", true),
            ("first_byte.p99.9>=1s", false),
            ("first_byte.p100>=1s", true),
            ("start.p99[h3]<1s", false),
            ("first_byte.mean>=500500us", true),
            ("errors>0.1%", false),
            ("errors>=0.1%", true),
            ("errors[bytes,length]>0", false),
            ("errors[timeout]>0", true),
            ("stalls.share>0.4%", true),
            ("stalls.count>0", false),
            ("hits.share<99%", false),
            ("starts.rate<100", false),
            ("starts.rate<=100", true),
        ] {
            assert_eq!(judged(text).failed, failed, "{text}: {}", judged(text).sentence);
        }
    }

    #[test]
    fn no_data_is_a_failure_that_says_so() {
        let none = judged("first_byte.p99[h3,resumed,prefetched]<100ms");
        assert_eq!(none.sentence, "no data: nothing was measured of first_byte[h3,resumed,prefetched]");
        assert!(none.failed && none.value.is_none());
        for text in ["errors>1%", "errors>1", "stalls.share>1%", "stalls.count>1", "hits.share<1%", "late.p99>1ms"] {
            assert!(text.parse::<Threshold>().unwrap().judge(&Tally::default(), 1.0).failed, "{text}");
        }
    }

    #[test]
    fn errors_name_the_fix() {
        for (text, fix) in [
            ("start.p99", "start.p99>200ms"),
            ("start>200ms", "write start.p50"),
            ("start.p101>200ms", "up to p100"),
            ("start.p99>200", "write 200ms"),
            ("start.p99>fast", "200ms or 0.1%"),
            ("start.p99>2h", "us, ms, s or %"),
            ("start.p99[skip]>2ms", "first_audio instead of start"),
            ("start.p99[h4]>2ms", "h1, h2, h3"),
            ("start.p99[h3>2ms", "not closed"),
            ("drop.p99>2ms", "first_audio"),
            ("errors>2ms", "2% or 2"),
            ("errors[h3]>2", "timeout"),
            ("stalls.share>1", "write 1%"),
            ("late.p99[h3]>1ms", "leave the [filter] out"),
            ("start.p99>1e3ms", "us, ms, s or %"),
            ("start.p99>-1ms", "write a number"),
            ("start.p99>1.2.3ms", "write a number"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(error.contains(fix), "{text}: {error}");
        }
    }

    fn statistic() -> impl Strategy<Value = Statistic> {
        prop_oneof![
            (0..=100_000u32).prop_map(|thousandths| Statistic::Percentile(f64::from(thousandths) / 1e3)),
            Just(Statistic::Mean),
            Just(Statistic::Max),
        ]
    }

    fn threshold() -> impl Strategy<Value = Threshold> {
        let what = prop_oneof![
            statistic().prop_map(What::Start),
            (select(&Measure::ALL[..9]), statistic())
                .prop_map(|(measure, statistic)| What::Latency(measure, statistic)),
            statistic().prop_map(What::Late),
            select(&[What::Errors, What::StallsShare, What::StallsCount, What::HitsShare, What::StartsRate][..]),
        ];
        let words = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
        let operator = select(&Operator::ALL[..]).prop_map(|(_, operator)| operator);
        (what, words, operator, 0.0..1e9f64, select(&Unit::ALL[..])).prop_map(|(what, words, operator, limit, unit)| {
            let all =
                [list(&Protocol::ALL), list(&Opening::ALL), list(&Cache::ALL), list(&Why::ALL), list(&Trouble::ALL)];
            let all = all.join(", ");
            let all: Vec<&str> = all.split(", ").collect();
            let mut filter = Filter::default();
            for word in words {
                // What does not belong to this measure is refused, and left out.
                let _ = filter.add(what, all[word.index(all.len())]);
            }
            let unit = [unit.1, Unit::Millis, Unit::Percent, Unit::None]
                .into_iter()
                .find(|unit| what.refuses(*unit, limit).is_none())
                .expect("every measure has a unit");
            Threshold { what, filter, operator, limit, unit }
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(threshold in threshold()) {
            let text = threshold.to_string();
            prop_assert_eq!(text.parse::<Threshold>(), Ok(threshold), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9_.,\\[\\]<>=%µ ]{0,40}") {
            if let Ok(threshold) = text.parse::<Threshold>() {
                let again = threshold.to_string().parse::<Threshold>();
                prop_assert_eq!(again, Ok(threshold));
            }
        }
    }
}
