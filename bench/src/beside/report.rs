//! Figures of the rounds, and the table of their medians.

use std::fmt::Write;

/// Hits of one length.
#[derive(Debug, Clone, Copy)]
pub struct Hits {
    /// Bytes of each range.
    pub range_bytes: u64,
    /// Answers.
    pub requests: u64,
    /// Processor seconds of the server for all of them.
    pub cpu: f64,
}

impl Hits {
    fn micros(&self) -> f64 {
        self.cpu * 1e6 / self.requests.max(1) as f64
    }

    fn seconds_per_gb(&self) -> f64 {
        self.cpu * 1e9 / (self.requests.max(1) * self.range_bytes) as f64
    }
}

/// What one server showed in one round.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Hits of 64 KiB and of 512 KiB.
    pub hits: Vec<Hits>,
    /// Memory for each block of 128 KiB in the cache, in bytes.
    pub block_bytes: u64,
    /// Memory with a full cache and nobody connected, in bytes.
    pub filled_bytes: u64,
    /// Processor seconds to take in one listener, up to full buffers.
    pub listener_start_cpu: f64,
    /// Memory of the processes for each paced listener, in bytes.
    pub listener_bytes: u64,
    /// Socket buffers in the kernel for each paced listener (both ends), in bytes.
    pub listener_kernel_bytes: u64,
    /// Processor seconds a second for each paced listener.
    pub listener_cpu: f64,
    /// What each paced listener read, in bytes: shows that it was served.
    pub listener_read_bytes: u64,
}

/// All rounds.
pub struct Report {
    rounds: usize,
    objects: u32,
    rows: Vec<(&'static str, Vec<Figures>)>,
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize, objects: u32) -> Self {
        Self { rounds, objects, rows: Vec::new() }
    }

    /// Adds a round of a server.
    pub fn add(&mut self, name: &'static str, figures: Figures) {
        match self.rows.iter_mut().find(|(row, _)| *row == name) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.rows.push((name, vec![figures])),
        }
    }

    /// The medians, as a table with a column for each server.
    pub fn to_markdown(&self, versions: &str) -> String {
        let mut text = format!(
            "Medians of {} rounds, servers in turns, each on one core with the client on the other; {} objects of 4 MiB. \
             {versions}.\n\n|",
            self.rounds, self.objects
        );
        for (name, _) in &self.rows {
            let _ = write!(text, " | {name}");
        }
        let _ = writeln!(text, " |\n|---{}|", "|---:".repeat(self.rows.len()));
        let mut row = |label: &str, value: &dyn Fn(&Figures) -> f64, digits: usize| {
            let _ = write!(text, "| {label}");
            for (_, rounds) in &self.rows {
                let _ = write!(text, " | {:.digits$}", median(rounds.iter().map(value).collect()));
            }
            let _ = writeln!(text, " |");
        };
        row("CPU µs a hit of 64 KiB", &|figures| figures.hits[0].micros(), 1);
        row("CPU µs a hit of 512 KiB", &|figures| figures.hits[1].micros(), 1);
        row("CPU s a GB in hits of 512 KiB", &|figures| figures.hits[1].seconds_per_gb(), 3);
        row("memory, cache full, MiB", &|figures| figures.filled_bytes as f64 / 1_048_576.0, 1);
        row("memory a cached block, bytes", &|figures| figures.block_bytes as f64, 0);
        row("memory a paced listener, KiB", &|figures| figures.listener_bytes as f64 / 1_024.0, 1);
        row("kernel buffers a paced listener, KiB", &|figures| figures.listener_kernel_bytes as f64 / 1_024.0, 0);
        row("CPU µs to take in a listener", &|figures| figures.listener_start_cpu * 1e6, 0);
        row("CPU µs a second for a paced listener", &|figures| figures.listener_cpu * 1e6, 1);
        row("read by a paced listener, KiB", &|figures| figures.listener_read_bytes as f64 / 1_024.0, 0);
        text
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median(vec![3.0, 900.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn every_server_gets_a_column() {
        let hits = Hits { range_bytes: 65_536, requests: 100, cpu: 0.01 };
        let figures = Figures {
            hits: vec![hits, hits],
            block_bytes: 60,
            filled_bytes: 1 << 20,
            listener_start_cpu: 1e-4,
            listener_bytes: 40_960,
            listener_kernel_bytes: 0,
            listener_cpu: 1e-5,
            listener_read_bytes: 200_000,
        };
        let mut report = Report::new(1, 4);
        report.add("one", figures.clone());
        report.add("two", figures);
        let text = report.to_markdown("versions");
        assert!(text.contains("| one | two |\n|---|---:|---:|\n"), "{text}");
        assert!(text.contains("| CPU µs a hit of 64 KiB | 100.0 | 100.0 |"), "{text}");
    }
}
