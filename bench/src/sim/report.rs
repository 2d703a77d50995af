//! What came of the runs, as tables and files.

use std::{fmt, fmt::Write, io, path::Path, time::SystemTime};

use super::{
    model::{Counted, Model},
    plot,
};

/// One run.
#[derive(Debug, serde::Serialize)]
pub struct Row {
    pub model: String,
    /// The cache's size in percent of the footprint.
    pub percent: f64,
    pub counted: Counted,
}

/// All runs over one trace.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    pub trace: String,
    pub footprint_bytes: u64,
    pub rows: Vec<Row>,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Blocks(blocks) = self else { return f.write_str("whole-object lru") };
        let heads = if blocks.shape.heads_permille > 0 { " + heads" } else { "" };
        let prefetch = if blocks.prefetch { " + prefetch" } else { "" };
        write!(f, "{}{heads}{prefetch}", blocks.shape.policy)
    }
}

impl Report {
    /// The sizes of the cache, smallest first.
    pub fn sizes(&self) -> Vec<f64> {
        let mut sizes: Vec<f64> = self.rows.iter().map(|row| row.percent).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        sizes
    }

    /// The run of a model over a cache of that size.
    pub fn find(&self, model: &str, percent: f64) -> Option<&Counted> {
        let row = self.rows.iter().find(|row| row.model == model && row.percent == percent);
        row.map(|row| &row.counted)
    }

    /// A table for each size of the cache.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}: footprint {:.1} GB\n", self.trace, self.footprint_bytes as f64 / 1e9);
        for percent in self.sizes() {
            let whole = self.find("whole-object lru", percent).copied().unwrap_or_default();
            let _ = write!(
                text,
                "\n### cache of {percent} %\n\n\
                 | policy | start misses | of whole-object lru's | byte hits | upstream / asked | prefetched / asked |\n\
                 |---|--:|--:|--:|--:|--:|\n"
            );
            for row in self.rows.iter().filter(|row| row.percent == percent) {
                let counted = &row.counted;
                let _ = writeln!(
                    text,
                    "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
                    row.model,
                    counted.start_miss_ratio(),
                    counted.start_miss_ratio() / whole.start_miss_ratio(),
                    counted.byte_hit_ratio(),
                    counted.upstream_ratio(),
                    counted.prefetched_bytes as f64 / counted.asked_bytes.max(1) as f64,
                );
            }
        }
        text
    }
}

/// Writes `cache-DATE.md` and `cache-DATE.svg`.
pub fn write(folder: &Path, reports: &[Report]) -> io::Result<()> {
    let date = today();
    std::fs::create_dir_all(folder)?;
    let tables: Vec<String> = reports.iter().map(Report::markdown).collect();
    let command: Vec<String> = std::env::args().skip(1).collect();
    let command = command.join(" ");
    let text = format!(
        "# The cache's policies, simulated on {date}\n\n\
         Made by `cargo run --release -p needledrop-bench -- {command}`; what is what stands in \
         [the README](../README.md).\n\n![start misses and upstream bytes](cache-{date}.svg)\n\n{}",
        tables.join("\n")
    );
    std::fs::write(folder.join(format!("cache-{date}.md")), text)?;
    std::fs::write(folder.join(format!("cache-{date}.svg")), plot::svg(reports))
}

/// `2026-01-31`, in UTC.
fn today() -> String {
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let (mut year, mut left) = (1970, days);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}
