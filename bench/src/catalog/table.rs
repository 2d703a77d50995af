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
        let shown =
            |time: Option<Duration>| time.map_or("-".to_owned(), |t| format!("{:.2} ms", t.as_secs_f64() * 1e3));
        let (p50, p99) = (times.quantile(0.5), times.quantile(0.99));
        self.row(format!("| {what} | {} | {} | {} |", shown(p50), shown(p99), shown(times.max())));
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
