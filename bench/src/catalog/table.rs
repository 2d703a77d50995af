//! The rows of one database.

use std::time::Duration;

use needledrop_loadtest::tally::Latencies;

/// One table of measurements.
pub(super) struct Table {
    version: String,
    rows: Vec<String>,
}

impl Table {
    pub(super) fn new(version: &str) -> Self {
        Self { version: version.to_owned(), rows: Vec::new() }
    }

    /// What was done once.
    pub(super) fn once(&mut self, what: &str, took: Duration) {
        self.row(format!("| {what} | {:.1} s | | |", took.as_secs_f64()));
    }

    /// What was done again and again.
    pub(super) fn many(&mut self, what: &str, times: &Latencies) {
        self.rounds(what, &[times]);
    }

    /// The same in rounds: medians of their quantiles, so that what befell the machine in one of them does not stand for
    /// all, and the longest time of all, in which it shows.
    pub(super) fn rounds(&mut self, what: &str, rounds: &[&Latencies]) {
        let median = |q: f64| {
            let mut times: Vec<_> = rounds.iter().filter_map(|times| times.quantile(q)).collect();
            times.sort_unstable();
            times.get(times.len() / 2).copied()
        };
        let longest = rounds.iter().filter_map(|times| times.max()).max();
        self.row(format!("| {what} | {} | {} | {} |", shown(median(0.5)), shown(median(0.99)), shown(longest)));
    }

    /// A number that is no time.
    pub(super) fn fact(&mut self, what: &str, fact: &str) {
        self.row(format!("| {what} | {fact} | | |"));
    }

    fn row(&mut self, row: String) {
        eprintln!("{row}");
        self.rows.push(row);
    }

    pub(super) fn markdown(&self, tracks: u32) -> String {
        let rows = self.rows.join("\n");
        format!(
            "\n## {tracks} tracks on {}\n\n| what | p50 or once | p99 | longest |\n|---|---:|---:|---:|\n{rows}\n",
            self.version
        )
    }
}

fn shown(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.2} ms", time.as_secs_f64() * 1e3))
}
