//! How a run goes, while it goes: a block that is drawn over on a terminal, a plain line now and then elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::{
    figures,
    numbers::{clock, count, harmless, rate, share, took_or_dash},
    text,
};
use crate::tally::{Latencies, Tally};

/// How often a terminal is drawn over: quick enough to feel alive, slow enough to read.
const REDRAW: Duration = Duration::from_millis(250);

/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(5);

/// Starts a second and the needle drop are those of the last so many seconds.
const RECENT: Duration = Duration::from_secs(10);

/// Most characters of the bar of progress.
const BAR: usize = 24;

/// What is known of a run at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Since the run began.
    pub since: Duration,
    /// How long it will take, if that is known.
    pub planned: Option<Duration>,
    /// Listeners who are there now.
    pub listeners: u64,
    /// Starts in a second, recently.
    pub starts_per_second: f64,
    /// Starts since the beginning.
    pub starts: u64,
    /// Needle drop, recently: median and 99th percentile.
    pub needle_drop: [Option<Duration>; 2],
    /// Hits among the answers that said where they came from, since the beginning.
    pub hit_share: Option<f64>,
    /// Troubles by kind since the beginning; empty when there are none.
    pub troubles: String,
    /// How late the generator is at the 99th percentile, if that is too late.
    pub late: Option<String>,
    /// Generators that vanished.
    pub missing: Vec<String>,
}

impl Snapshot {
    /// From what was counted so far.
    pub fn of(tally: &Tally, since: Duration, planned: Option<Duration>) -> Self {
        let timeline = &tally.timeline;
        let steps = (RECENT.as_secs() / timeline.step_seconds.max(1)).max(1) as usize;
        // The last step has only begun: it counts for nothing until the next one does.
        let whole = &timeline.steps[..timeline.steps.len().saturating_sub(1)];
        let recent = &whole[whole.len().saturating_sub(steps)..];
        let (mut needle_drop, mut starts) = (Latencies::default(), 0);
        for step in recent {
            needle_drop.add(&step.needle_drop);
            starts += step.starts;
        }
        let seconds = (recent.len() as u64 * timeline.step_seconds).max(1);
        Self {
            since,
            planned,
            listeners: timeline.steps.last().map_or(0, |step| step.listeners),
            starts_per_second: starts as f64 / seconds as f64,
            starts: tally.starts,
            needle_drop: [needle_drop.quantile(0.5), needle_drop.quantile(0.99)],
            hit_share: figures::hit_share(tally, |_| true),
            troubles: text::kinds(tally),
            late: text::lateness(tally),
            missing: Vec::new(),
        }
    }

    /// One line without a bar.
    fn line(&self) -> String {
        let mut line = format!("{}: {}", self.progress(), self.facts().join(", "));
        for warning in self.warnings() {
            line.push_str("; ");
            line.push_str(&warning);
        }
        line
    }

    /// The lines of the block.
    fn block(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.bar(), self.progress()), format!("  {}", self.facts().join("   "))];
        lines.extend(self.warnings().into_iter().map(|warning| format!("  {warning}")));
        lines
    }

    fn part(&self) -> Option<f64> {
        let planned = self.planned?.as_secs_f64();
        (planned > 0.0).then(|| (self.since.as_secs_f64() / planned).clamp(0.0, 1.0))
    }

    fn bar(&self) -> String {
        let full = (self.part().unwrap_or(0.0) * BAR as f64) as usize;
        format!("{}{}", "━".repeat(full), "─".repeat(BAR - full))
    }

    fn progress(&self) -> String {
        match (self.planned, self.part()) {
            (Some(planned), Some(part)) => {
                format!("{} of {} ({:.0} %)", clock(self.since), clock(planned), part * 100.0)
            }
            _ => clock(self.since),
        }
    }

    fn facts(&self) -> Vec<String> {
        let [median, high] = self.needle_drop.map(took_or_dash);
        vec![
            format!("{} listeners", count(self.listeners)),
            format!("{} starts/s", rate(self.starts_per_second)),
            format!("needle drop p50 {median} p99 {high}"),
            format!("hits {}", self.hit_share.map_or_else(|| "unsaid".into(), share)),
        ]
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.troubles.is_empty() {
            warnings.push(format!("errors: {}", self.troubles));
        }
        if let Some(late) = &self.late {
            warnings.push(format!(
                "the generator is late by {late} at p99: these numbers are not to be trusted (--awake may help)"
            ));
        }
        for name in &self.missing {
            warnings.push(format!("{} has vanished", harmless(name)));
        }
        warnings
    }
}

/// The place where a run is shown. Dropping it leaves the cursor below what was shown last.
pub struct Live {
    out: Box<dyn Write + Send>,
    is_terminal: bool,
    shown_at: Option<Instant>,
    lines: usize,
}

impl Live {
    /// On standard error, so that standard output can be a file.
    pub fn stderr() -> Self {
        let is_terminal = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self::new(Box::new(io::stderr()), is_terminal)
    }

    /// Anywhere.
    pub fn new(out: Box<dyn Write + Send>, is_terminal: bool) -> Self {
        Self { out, is_terminal, shown_at: None, lines: 0 }
    }

    /// Whether it is time to show something again: a snapshot costs something to make.
    pub fn is_due(&self, now: Instant) -> bool {
        let every = if self.is_terminal { REDRAW } else { LINE };
        self.shown_at.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }

    /// Shows it, if it is time to. A terminal that is gone does not end the run.
    pub fn show(&mut self, snapshot: &Snapshot, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        self.shown_at = Some(now);
        let _ = if self.is_terminal { self.redraw(snapshot) } else { writeln!(self.out, "{}", snapshot.line()) };
    }

    fn redraw(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let block = snapshot.block();
        // Lines are not wrapped while they are drawn: going up counts them.
        let mut text = String::from("\x1b[?7l");
        if self.lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines));
        }
        text.push_str("\r\x1b[J");
        for line in &block {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[?7h");
        self.lines = block.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::report::example;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(is_terminal: bool) -> String {
        let (screen, begin) = (Screen::default(), Instant::now());
        let mut live = Live::new(Box::new(screen.clone()), is_terminal);
        let tally = example::tally(1, 1.0);
        for millis in (0..10_000).step_by(50) {
            let since = Duration::from_millis(millis);
            let snapshot = Snapshot::of(&tally, since, Some(Duration::from_secs(120)));
            live.show(&snapshot, begin + since);
        }
        let bytes = screen.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_file_gets_a_plain_line_every_five_seconds() {
        let text = shown(false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("0:00 of 2:00 (0 %): 2,400 listeners, "), "{text}");
        assert!(text.contains("errors: overload ") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn a_terminal_is_drawn_over_four_times_a_second() {
        let text = shown(true);
        assert_eq!(text.matches("\x1b[J").count(), 40);
        assert_eq!(text.matches("\x1b[3A").count(), 39, "a block of three lines goes up by three");
    }

    #[test]
    fn a_run_that_has_only_begun_shows_dashes() {
        let snapshot = Snapshot::of(&Tally::default(), Duration::ZERO, None);
        assert_eq!(snapshot.line(), "0:00: 0 listeners, 0.0 starts/s, needle drop p50 – p99 –, hits unsaid");
    }
}
