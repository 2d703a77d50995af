//! The end of a run, as text: a verdict first, a table by class, and what went wrong.

use std::{fmt::Write, time::Duration};

use super::{
    Report,
    figures::{self, Class, Figures},
    numbers::{bytes, clock, count, harmless, rate, share, took, took_or_dash},
};
use crate::{
    measured::{Key, Measure, Why},
    tally::{Latencies, Tally},
};

/// The measures of the table.
pub const TABLE: [Measure; 3] = [Measure::FirstByte, Measure::FirstAudio, Measure::First64K];

/// The percentiles of the table.
pub const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The table is of those for whom a person waits with a finger still on the button.
pub fn is_waited_for(key: &Key) -> bool {
    matches!(key.why, Why::Tap | Why::Skip)
}

impl Report {
    /// What a terminal shows at the end: 80 columns.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let (tally, figures) = (&self.tally, Figures::of(&self.tally));
        for (at, reason) in self.distrust().iter().enumerate() {
            let head = if at == 0 { "DO NOT TRUST THESE NUMBERS: " } else { "  and: " };
            writeln!(out, "{head}{reason}")?;
        }
        writeln!(
            out,
            "{} starts by {} listeners in {} ({} a second), {}",
            count(tally.starts),
            count(tally.listeners),
            clock(Duration::from_secs_f64(self.seconds)),
            rate(tally.starts as f64 / self.seconds.max(0.001)),
            bytes(tally.bytes),
        )?;
        let drop = &figures.needle_drop;
        writeln!(
            out,
            "needle drop{}: p50 {}, p99 {}   errors: {}   hits: {}",
            if figures.sounded { "" } else { " (to 64 KiB: nothing sounded)" },
            took_or_dash(drop.quantile(0.5)),
            took_or_dash(drop.quantile(0.99)),
            errors(&figures),
            figures.hit_share.map_or_else(|| "unsaid".into(), share),
        )?;
        writeln!(out, "\n{}", self.table())?;
        self.write_sound(out, &figures)?;
        self.write_troubles(out)?;
        let late = &tally.late;
        if late.count() > 0 {
            let p99 = took_or_dash(late.quantile(0.99));
            writeln!(out, "generator: late by {p99} at p99, {} at most", took_or_dash(late.max()))?;
        }
        for judged in &self.thresholds {
            let verdict = if judged.failed { "FAILED" } else { "passed" };
            writeln!(out, "{verdict}  {}  ({})", harmless(&judged.text), harmless(&judged.sentence))?;
        }
        Ok(())
    }

    /// Taps and skips by protocol, state of the connection and what the cache said.
    fn table(&self) -> String {
        let mut out = format!("{:<22} {:<11} {:>8}", "taps and skips", "", "count");
        for (name, _) in PERCENTILES {
            let _ = write!(out, " {name:>8}");
        }
        out.push('\n');
        let mut rows = |name: String, pleases: &dyn Fn(&Key) -> bool| {
            let mut name = name;
            for measure in TABLE {
                let latencies = self.tally.sum(measure, |key| is_waited_for(key) && pleases(key));
                if latencies.count() > 0 {
                    let name = std::mem::take(&mut name);
                    let _ = write!(out, "{name:<22} {:<11} {:>8}", figures::title(measure), count(latencies.count()));
                    for (_, quantile) in PERCENTILES {
                        let _ = write!(out, " {:>8}", took_or_dash(latencies.quantile(quantile)));
                    }
                    out.push('\n');
                }
            }
        };
        rows("all".into(), &|_| true);
        for class in Class::all([&self.tally]) {
            rows(class.to_string(), &|key| Class::of(key) == class);
        }
        out
    }

    fn write_sound(&self, out: &mut String, figures: &Figures) -> std::fmt::Result {
        let gaps = self.tally.sum(Measure::Gap, |_| true);
        if gaps.count() > 0 {
            writeln!(out, "gaps between tracks: {}", line(&gaps))?;
        }
        let played = Duration::from_millis(self.tally.played_ms);
        if figures.stalls.count() > 0 {
            let stalled = figures.stalled_share.map_or_else(|| "–".into(), share);
            writeln!(out, "stalls: {}; {stalled} of {} played", line(&figures.stalls), clock(played))?;
        } else if !played.is_zero() {
            writeln!(out, "stalls: none in {} of music played", clock(played))?;
        }
        Ok(())
    }

    fn write_troubles(&self, out: &mut String) -> std::fmt::Result {
        for (trouble, times) in &self.tally.troubles {
            writeln!(out, "trouble: {trouble} ×{}", count(*times))?;
            for sentence in self.tally.examples.get(trouble).into_iter().flatten() {
                writeln!(out, "    {}", harmless(sentence))?;
            }
        }
        Ok(())
    }
}

fn line(latencies: &Latencies) -> String {
    let [median, high, most] = [latencies.quantile(0.5), latencies.quantile(0.99), latencies.max()].map(took_or_dash);
    format!("{}, p50 {median}, p99 {high}, longest {most}", count(latencies.count()))
}

/// `12 (0.1 %)`, or `none`.
pub fn errors(figures: &Figures) -> String {
    match (figures.troubles, figures.trouble_share) {
        (0, _) => "none".into(),
        (troubles, None) => count(troubles),
        (troubles, Some(part)) => format!("{} ({})", count(troubles), share(part)),
    }
}

/// Each kind of trouble with how often it came, most frequent first.
pub fn kinds(tally: &Tally) -> String {
    let mut kinds: Vec<_> = tally.troubles.iter().map(|(trouble, times)| (*times, trouble.to_string())).collect();
    kinds.sort_by_key(|(times, _)| std::cmp::Reverse(*times));
    kinds.iter().map(|(times, name)| format!("{name} {}", count(*times))).collect::<Vec<_>>().join(", ")
}

/// How late the generator was, if that is too late.
pub fn lateness(tally: &Tally) -> Option<String> {
    let late = tally.late.quantile(0.99)?;
    (late.as_micros() > u128::from(figures::LATE_MICROS_MAX)).then(|| took(late))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measured::Trouble, report::example};

    #[test]
    fn the_end_of_a_run_fits_a_terminal_and_says_what_failed() {
        let text = example::report(1).text();
        let table = text.lines().skip_while(|line| !line.starts_with("taps")).take_while(|line| !line.is_empty());
        assert!(table.clone().count() > 100 && table.clone().all(|line| line.chars().count() <= 80), "{text}");
        for part in
            ["needle drop: p50 ", "h3 zero_rtt memory", "FAILED  start.p99>200ms", "passed  errors>0.5%", "no data"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains('\x1b') && !text.contains("TRUST"), "{text}");
    }

    #[test]
    fn a_run_that_cannot_be_trusted_says_so_first() {
        let mut report = example::report(1);
        report.tally.trouble(Duration::ZERO, Trouble::Ourselves, || "out of ports".into());
        report.missing = vec!["192.0.2.7:4711".into()];
        for _ in 0..1_000 {
            report.tally.late.record(Duration::from_millis(7));
        }
        let text = report.text();
        assert!(text.starts_with("DO NOT TRUST THESE NUMBERS: the generator acted 7.0"), "{text}");
        assert!(text.contains("and: not whole: 192.0.2.7:4711 vanished"), "{text}");
    }

    #[test]
    fn a_run_in_which_nothing_happened_says_that() {
        let report = Report::new(serde_json::json!({}), 0, 0.0, Tally::default(), Default::default());
        assert!(report.text().starts_with("DO NOT TRUST THESE NUMBERS: nothing was started"), "{}", report.text());
    }
}
