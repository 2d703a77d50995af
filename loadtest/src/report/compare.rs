//! Two runs side by side: what is slower, by how much, and whether that is more than noise.
//!
//! Noise is judged by bootstrap. To draw as many samples as there were, with replacement, and to take the k-th of them,
//! is to take the value at a share that is Beta(k, n - k + 1) distributed; so a resampled percentile costs one draw and
//! one search, however many samples there were, and needs nothing but the histogram. Of the ratio of two such draws,
//! the middle 99.9 % must not contain 1. Shares are judged alike, by draws from their Jeffreys posterior.
#![allow(clippy::print_stdout, reason = "the comparison on standard output is what it is for")]

use std::{
    f64::consts::TAU,
    fmt::{self, Write},
    path::PathBuf,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    Report,
    figures::{self, Class, Figures},
    json,
    numbers::{self, harmless, took_or_dash},
    page::{self, cdf},
    text,
};
use crate::{
    dice::Dice,
    measured::{Key, Measure, Opening, Protocol},
    tally::{Latencies, Tally},
};

/// Resampled pairs for each row. Two thousandths of them at each end are not believed.
const DRAWS: usize = 4_000;
const TAIL: usize = DRAWS / 2_000;

/// The same two files give the same verdicts.
const SEED: u64 = 0x6e65_6564_6c65;

/// Samples that must lie beyond a percentile, on either side, before anything is said about it.
const BEYOND_MIN: f64 = 5.0;

/// A histogram knows a value to a thousandth: ratios nearer to 1 are none.
const RESOLUTION: f64 = 0.002;

/// Most pairs of curves on the page.
const CURVES_MAX: usize = 12;

/// Most differences of settings that are named.
const DIFFERENCES_MAX: usize = 20;

/// Each row of text in the same place.
const METHOD: &str = "noise: bootstrap of each percentile (4,000 seeded draws), 99.9 % interval of the ratio; starts \
    of \
    one run are taken to be independent, and what differs from day to day is not in it: repeat the runs";

/// Puts two reports side by side.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run to compare with
    pub a: PathBuf,
    /// The run that is compared
    pub b: PathBuf,
    /// Print JSON in place of a table
    #[arg(long)]
    pub json: bool,
    /// Write a page with the curves of both laid over each other
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Reads both, prints the comparison, and writes the page if it is wanted.
pub fn run(args: Args) -> Result<(), String> {
    let read = |path: &PathBuf| Report::read(path).map_err(|error| error.to_string());
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let comparison = Comparison::of(&a, &b);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&comparison).map_err(|error| error.to_string())?);
    } else {
        print!("{comparison}");
    }
    if let Some(path) = &args.html {
        let page = comparison.page(&a, &b);
        json::write_aside(path, |out| out.write_all(page.as_bytes())).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What became of a number from one run to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More than noise, and more.
    More,
    /// More than noise, and less.
    Less,
    /// Not more than noise.
    Same,
    /// Too few samples to tell.
    TooFew,
    /// Only one of the runs has it.
    Missing,
}

/// A percentile of a class in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which starts; None is all.
    pub class: Option<Class>,
    /// What was timed.
    pub measure: Measure,
    /// `p50` or `p99`.
    pub statistic: &'static str,
    /// In the first run, in microseconds.
    pub a_us: Option<u64>,
    /// In the second.
    pub b_us: Option<u64>,
    /// The second as a multiple of the first.
    pub ratio: Option<f64>,
    /// The middle 99.9 % of the ratio.
    pub interval: Option<(f64, f64)>,
    /// What that means.
    pub verdict: Verdict,
}

/// A share in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct ShareRow {
    /// What it is a share of.
    pub name: &'static str,
    /// In the first run.
    pub a: Option<f64>,
    /// In the second.
    pub b: Option<f64>,
    /// What that means; None where chance is not known well enough to say.
    pub verdict: Option<Verdict>,
}

/// Two runs side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Why they may not be comparable.
    pub warnings: Vec<String>,
    /// How noise was told from difference.
    pub method: &'static str,
    /// Errors, hits and stalls.
    pub shares: Vec<ShareRow>,
    /// All starts first, then each class.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// What there is to say of the second run beside the first.
    pub fn of(a: &Report, b: &Report) -> Self {
        let mut dice = Dice::new(SEED);
        let classes = Class::all([&a.tally, &b.tally]);
        let mut rows = Vec::new();
        for class in std::iter::once(None).chain(classes.into_iter().map(Some)) {
            for measure in Measure::ALL.into_iter().filter(|measure| *measure != Measure::Late) {
                let samples = [&a.tally, &b.tally].map(|tally| Samples::of(&chosen(tally, class, measure)));
                rows.extend(pair(&samples, &mut dice).into_iter().map(|figures| figures.of(class, measure)));
            }
        }
        Self { warnings: warnings(a, b), method: METHOD, shares: shares(&a.tally, &b.tally, &mut dice), rows }
    }

    /// One HTML page with the curves of both.
    pub fn page(&self, a: &Report, b: &Report) -> String {
        let mut curves = String::new();
        let mut drawn = 0;
        let mut draw = |caption: &str, pleases: &dyn Fn(&Key) -> bool| {
            let sum =
                |report: &Report| report.tally.sum(Measure::FirstAudio, |key| text::is_waited_for(key) && pleases(key));
            let (one, two) = (sum(a), sum(b));
            if one.count() > 0 && two.count() > 0 && drawn < CURVES_MAX {
                drawn += 1;
                let line = |series, name: &str, latencies| cdf::Line { series, name: name.into(), latencies };
                curves.push_str(&cdf::draw(caption, "tap to first sound", &[line(0, "A", one), line(1, "B", two)]));
            }
        };
        draw("All", &|_| true);
        for protocol in Protocol::ALL {
            draw(&protocol.to_string(), &|key| key.protocol == protocol);
        }
        for opening in Opening::ALL {
            draw(&opening.to_string(), &|key| key.opening == opening);
        }
        for cache in crate::measured::Cache::ALL {
            draw(&cache.to_string(), &|key| key.cache == cache);
        }
        let content = [
            page::distrusted("These runs may not be comparable", &self.warnings),
            page::section("In short", "", &page::boxed("Shares", &self.share_table()), true),
            page::section(
                "How long people waited",
                "Taps and skips. Along: the wait. Upwards: how many waited no longer; each line is rarer than the one \
                 below.",
                &format!("<div class=\"plots\">{curves}</div>"),
                !curves.is_empty(),
            ),
            page::section("By class", METHOD, &page::boxed("Latencies by class", &self.row_table()), true),
        ];
        let about = format!(
            "A of {}, B of {}; a ratio above 1 means that B is slower",
            numbers::date(a.began),
            numbers::date(b.began)
        );
        page::document("Two runs side by side", &about, &content.concat())
    }

    fn share_table(&self) -> String {
        let mut out = String::from(HEAD);
        for row in &self.shares {
            let [a, b] = [row.a, row.b].map(share_or_dash);
            let verdict = row.verdict.map_or("", Verdict::of_a_share);
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{a}</td><td>{b}</td><td class=\"none\">{verdict}</td></tr>",
                row.name
            );
        }
        for row in self.rows.iter().filter(|row| row.class.is_none() && row.measure == Measure::FirstAudio) {
            row.write_html(&mut out, &format!("{} {}", figures::title(row.measure), row.statistic));
        }
        out + "</tbody></table>"
    }

    fn row_table(&self) -> String {
        let mut out = String::from(HEAD);
        let mut before = None;
        for row in &self.rows {
            if before.replace(row.class) != Some(row.class) {
                let name = row.class.map_or_else(|| "all".into(), |class| class.to_string());
                let _ = write!(
                    out,
                    "<tr class=\"all first\"><th scope=\"row\">{name}</th><td></td><td></td><td></td></tr>"
                );
            }
            row.write_html(&mut out, &format!("{} {}", figures::title(row.measure), row.statistic));
        }
        out + "</tbody></table>"
    }
}

const HEAD: &str = "<table><thead><tr><th scope=\"col\">measure</th><th scope=\"col\">A</th><th scope=\"col\">B</th>\
    <th scope=\"col\">B / A</th></tr></thead><tbody>";

impl Row {
    fn values(&self) -> [String; 3] {
        let took = |micros: Option<u64>| took_or_dash(micros.map(std::time::Duration::from_micros));
        let ratio = self.ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.3}"));
        [took(self.a_us), took(self.b_us), ratio]
    }

    fn write_html(&self, out: &mut String, name: &str) {
        let [a, b, ratio] = self.values();
        let class = match self.verdict {
            Verdict::More => "slower",
            Verdict::Less => "faster",
            _ => "none",
        };
        let verdict = self.verdict.of_a_time();
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{name}</th><td>{a}</td><td>{b}</td><td class=\"{class}\">{ratio} <span \
             class=\"verdict\">{verdict}</span></td></tr>"
        );
    }
}

impl Verdict {
    fn of_a_time(self) -> &'static str {
        match self {
            Verdict::More => "▲ slower",
            Verdict::Less => "▼ faster",
            Verdict::Same => "noise",
            Verdict::TooFew => "too few",
            Verdict::Missing => "only in one",
        }
    }

    fn of_a_share(self) -> &'static str {
        match self {
            Verdict::More => "▲ more",
            Verdict::Less => "▼ less",
            Verdict::Same => "noise",
            Verdict::TooFew => "too few",
            Verdict::Missing => "only in one",
        }
    }
}

impl fmt::Display for Comparison {
    /// For a terminal.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(out, "WARNING: {warning}")?;
        }
        writeln!(out, "{:<22} {:<15} {:>9} {:>9} {:>7}  verdict", "", "", "A", "B", "B/A")?;
        for row in &self.shares {
            let [a, b] = [row.a, row.b].map(share_or_dash);
            let verdict = row.verdict.map_or("", Verdict::of_a_share);
            writeln!(out, "{:<22} {:<15} {a:>9} {b:>9} {:>7}  {verdict}", row.name, "", "")?;
        }
        let mut before = None;
        for row in &self.rows {
            let is_new = before.replace(row.class) != Some(row.class);
            let name =
                if is_new { row.class.map_or_else(|| "all".into(), |class| class.to_string()) } else { String::new() };
            let [a, b, ratio] = row.values();
            let what = format!("{} {}", row.measure, row.statistic);
            writeln!(out, "{name:<22} {what:<15} {a:>9} {b:>9} {ratio:>7}  {}", row.verdict.of_a_time())?;
        }
        writeln!(out, "{}", self.method)
    }
}

fn share_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), numbers::share)
}

/// Starts are those that a person waits for; silences are all.
fn chosen(tally: &Tally, class: Option<Class>, measure: Measure) -> Latencies {
    let is_silence = matches!(measure, Measure::Gap | Measure::Stall);
    tally.sum(measure, |key| {
        (is_silence || text::is_waited_for(key)) && class.is_none_or(|class| Class::of(key) == class)
    })
}

/// Why two runs may not be comparable.
fn warnings(a: &Report, b: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, report) in [("A", a), ("B", b)] {
        warnings.extend(report.distrust().into_iter().map(|reason| format!("{name} is not to be trusted: {reason}")));
    }
    if a.version != b.version {
        warnings.push(format!("versions differ: {}, {}", harmless(&a.version), harmless(&b.version)));
    }
    let machine = |report: &Report| serde_json::to_value(&report.machine).unwrap_or_default();
    let differences = [("machines", machine(a), machine(b)), ("settings", a.settings.clone(), b.settings.clone())];
    for (what, one, two) in differences {
        let differences = differences_of(&one, &two);
        let more = differences.len().saturating_sub(DIFFERENCES_MAX);
        warnings.extend(differences.into_iter().take(DIFFERENCES_MAX).map(|text| format!("{what} differ: {text}")));
        if more > 0 {
            warnings.push(format!("{what} differ in {more} more"));
        }
    }
    let (shorter, longer) = (a.seconds.min(b.seconds), a.seconds.max(b.seconds));
    if longer > shorter * 1.1 {
        warnings.push(format!("lengths differ: {:.0} s, {:.0} s", a.seconds, b.seconds));
    }
    warnings
}

fn differences_of(a: &Value, b: &Value) -> Vec<String> {
    let flat = |value: &Value| {
        let mut out = Vec::new();
        page::flatten(String::new(), value, &mut out);
        out.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let (a, b) = (flat(a), flat(b));
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let said = |side: Option<&String>| side.map_or_else(|| "(none)".into(), |value| harmless(value));
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| format!("{}: {}, {}", harmless(name), said(a.get(name)), said(b.get(name))))
        .collect()
}

/// Samples in order, for searching.
struct Samples {
    micros: Vec<u64>,
    /// How many are at most as long as this one.
    cumulated: Vec<u64>,
}

impl Samples {
    fn of(latencies: &Latencies) -> Self {
        let (mut micros, mut cumulated, mut sum) = (Vec::new(), Vec::new(), 0);
        for (value, count) in latencies.buckets() {
            sum += count;
            micros.push(value);
            cumulated.push(sum);
        }
        Self { micros, cumulated }
    }

    fn count(&self) -> u64 {
        self.cumulated.last().copied().unwrap_or(0)
    }

    /// The value of this rank, from 1 on.
    fn at(&self, rank: u64) -> Option<u64> {
        self.micros.get(self.cumulated.partition_point(|sum| *sum < rank)).copied()
    }

    fn rank(&self, share: f64) -> u64 {
        ((share * self.count() as f64).ceil() as u64).max(1)
    }

    /// The percentile of a resample.
    fn resampled(&self, share: f64, dice: &mut Dice) -> f64 {
        let (count, rank) = (self.count() as f64, self.rank(share) as f64);
        let at = beta(dice, rank, count - rank + 1.0);
        self.at(((at * count).ceil() as u64).clamp(1, self.count())).unwrap_or(0) as f64
    }

    fn are_enough_for(&self, share: f64) -> bool {
        self.count() as f64 * share.min(1.0 - share) >= BEYOND_MIN
    }
}

/// The numbers of a row.
struct Pair {
    statistic: &'static str,
    values: [Option<u64>; 2],
    ratio: Option<f64>,
    interval: Option<(f64, f64)>,
    verdict: Verdict,
}

impl Pair {
    fn of(self, class: Option<Class>, measure: Measure) -> Row {
        let Self { statistic, values: [a_us, b_us], ratio, interval, verdict } = self;
        Row { class, measure, statistic, a_us, b_us, ratio, interval, verdict }
    }
}

fn pair(samples: &[Samples; 2], dice: &mut Dice) -> Vec<Pair> {
    if samples.iter().all(|samples| samples.count() == 0) {
        return Vec::new();
    }
    let each = [("p50", 0.5), ("p99", 0.99)].into_iter().map(|(statistic, share)| {
        let values = [0, 1].map(|side: usize| samples[side].at(samples[side].rank(share)));
        let [Some(a), Some(b)] = values else {
            return Pair { statistic, values, ratio: None, interval: None, verdict: Verdict::Missing };
        };
        // Less than a microsecond counts as one.
        let ratio = b.max(1) as f64 / a.max(1) as f64;
        if !samples.iter().all(|samples| samples.are_enough_for(share)) {
            return Pair { statistic, values, ratio: Some(ratio), interval: None, verdict: Verdict::TooFew };
        }
        let interval = interval(dice, |dice| {
            samples[1].resampled(share, dice).max(1.0) / samples[0].resampled(share, dice).max(1.0)
        });
        Pair { statistic, values, ratio: Some(ratio), interval: Some(interval), verdict: verdict(interval, ratio) }
    });
    each.collect()
}

/// The middle 99.9 % of many draws.
fn interval(dice: &mut Dice, draw: impl Fn(&mut Dice) -> f64) -> (f64, f64) {
    let mut draws: Vec<f64> = (0..DRAWS).map(|_| draw(dice)).collect();
    draws.sort_by(f64::total_cmp);
    (draws[TAIL], draws[DRAWS - 1 - TAIL])
}

fn verdict((low, high): (f64, f64), ratio: f64) -> Verdict {
    match () {
        () if (ratio - 1.0).abs() <= RESOLUTION => Verdict::Same,
        () if low > 1.0 => Verdict::More,
        () if high < 1.0 => Verdict::Less,
        () => Verdict::Same,
    }
}

fn shares(a: &Tally, b: &Tally, dice: &mut Dice) -> Vec<ShareRow> {
    // A start can have several troubles: they are a rate. Stalls come in bursts, of which chance says too little.
    let errors = [a, b].map(|tally| (tally.troubled(), tally.starts));
    let hits = [a, b].map(|tally| figures::hits(tally, |_| true));
    let [stalled_before, stalled_after] = [a, b].map(|tally| Figures::of(tally).stalled_share);
    let rate = |dice: &mut Dice, (part, whole): (u64, u64)| gamma(dice, part as f64 + 0.5) / whole as f64;
    let share = |dice: &mut Dice, (part, whole): (u64, u64)| {
        beta(dice, part as f64 + 0.5, whole.saturating_sub(part) as f64 + 0.5)
    };
    vec![
        judged("errors per start", errors, dice, rate),
        judged("hits", hits, dice, share),
        ShareRow { name: "stalled", a: stalled_before, b: stalled_after, verdict: None },
    ]
}

fn judged(
    name: &'static str,
    counted: [(u64, u64); 2],
    dice: &mut Dice,
    drawn: impl Fn(&mut Dice, (u64, u64)) -> f64,
) -> ShareRow {
    let [a, b] = counted.map(|(part, whole)| figures::share(part, whole));
    let verdict = match (a, b) {
        (Some(a), Some(b)) if a == b => Verdict::Same,
        (Some(a), Some(b)) => {
            let interval = interval(dice, |dice| drawn(dice, counted[1]) / drawn(dice, counted[0]));
            verdict(interval, b / a)
        }
        _ => Verdict::Missing,
    };
    ShareRow { name, a, b, verdict: Some(verdict) }
}

/// A draw from Beta(one, two).
fn beta(dice: &mut Dice, one: f64, two: f64) -> f64 {
    let (one, two) = (gamma(dice, one), gamma(dice, two));
    one / (one + two).max(f64::MIN_POSITIVE)
}

/// A draw from Gamma(shape, 1) (Marsaglia, Tsang: "A simple method for generating gamma variables").
fn gamma(dice: &mut Dice, shape: f64) -> f64 {
    if shape < 1.0 {
        let unit = 1.0 - dice.unit();
        return gamma(dice, shape + 1.0) * unit.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = normal(dice);
        let v = (1.0 + c * normal).powi(3);
        if v > 0.0 && (1.0 - dice.unit()).ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A draw from the normal distribution (Box, Muller).
fn normal(dice: &mut Dice) -> f64 {
    let radius = (-2.0 * (1.0 - dice.unit()).ln()).sqrt();
    radius * (TAU * dice.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn verdicts(comparison: &Comparison) -> Vec<Verdict> {
        comparison.rows.iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn two_runs_of_the_same_server_differ_by_noise() {
        let comparison = Comparison::of(&example::report(1), &example::report(2));
        let all = verdicts(&comparison);
        let different = all.iter().filter(|verdict| matches!(verdict, Verdict::More | Verdict::Less)).count();
        assert!(all.len() > 300 && different <= 2, "{different} of {}\n{comparison}", all.len());
        assert_eq!(comparison.warnings, ["settings differ: seed: 1, 2"]);
    }

    #[test]
    fn a_run_that_is_a_tenth_slower_is_found_out() {
        let comparison = Comparison::of(&example::report(1), &example::slower(2, 1.1));
        let starts =
            comparison.rows.iter().find(|row| row.class.is_none() && row.measure == Measure::FirstAudio).unwrap();
        assert_eq!((starts.verdict, starts.statistic), (Verdict::More, "p50"));
        assert!((1.07..1.13).contains(&starts.ratio.unwrap()), "{:?}", starts.ratio);
        let back = Comparison::of(&example::slower(2, 1.1), &example::report(1));
        assert_eq!(back.rows.iter().find(|row| row.measure == Measure::FirstAudio).unwrap().verdict, Verdict::Less);
        assert_eq!(back.to_string(), Comparison::of(&example::slower(2, 1.1), &example::report(1)).to_string());
    }

    #[test]
    fn few_samples_and_missing_classes_are_named_as_such() {
        let (mut a, b) = (example::report(1), example::report(1));
        let mut kept = 0;
        a.tally.latencies.retain(|key, _| {
            kept += 1;
            key.protocol == Protocol::H1 || kept > 90
        });
        let all = verdicts(&Comparison::of(&a, &b));
        assert!(all.contains(&Verdict::Missing) && all.contains(&Verdict::TooFew));
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let mut dice = Dice::new(7);
        for (one, two) in [(0.5, 0.5), (3.0, 9.0), (500.0, 5.0)] {
            let draws: Vec<f64> = (0..40_000).map(|_| beta(&mut dice, one, two)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let (sum, expected) = (one + two, one / (one + two));
            let spread = one * two / (sum * sum * (sum + 1.0));
            assert!((mean - expected).abs() < 4.0 * (spread / 40_000.0).sqrt(), "{mean} {expected}");
            assert!((variance / spread - 1.0).abs() < 0.05, "{variance} {spread}");
        }
    }

    #[test]
    fn the_page_lays_both_over_each_other_and_runs_of_other_machines_are_warned_of() {
        let (a, mut b) = (example::report(1), example::slower(1, 1.2));
        b.machine.cpu = "<b>another</b>".into();
        b.settings["link"] = "rtt=80ms".into();
        let comparison = Comparison::of(&a, &b);
        let page = comparison.page(&a, &b);
        assert!(
            page.contains("settings differ: link: rtt=40ms,rate=50mbit,jitter=5ms, rtt=80ms"),
            "{:?}",
            comparison.warnings
        );
        assert!(page.contains("&lt;b&gt;another") && !page.contains("<b>another"));
        assert!(page.matches("<svg viewBox=\"0 0 360").count() >= 8 && page.contains("▲ slower"));
        assert!(serde_json::to_value(&comparison).unwrap()["rows"][0]["verdict"].is_string());
        if let Some(path) = std::env::var_os("NEEDLEDROP_COMPARED_PAGE") {
            std::fs::write(path, page).unwrap();
        }
    }
}
