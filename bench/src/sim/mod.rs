//! The simulator: traces through policies, without bytes.
//!
//! `listening` or a file makes a trace; `model` runs it through a cache; `report` shows what
//! came of it as a table and a plot.

pub mod listening;
pub mod model;
pub mod plot;
pub mod report;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use needledrop_core::cache::{PolicyKind, Shape};
use needledrop_loadtest::trace::{Trace, file};

use self::{
    listening::{Listening, Says},
    model::{Blocks, Model},
    report::{Report, Row},
};

/// Traces through the eviction policies: start misses, byte hits and upstream bytes
#[derive(clap::Args)]
pub struct Args {
    /// Only this policy (lru, s3-fifo, sieve, w-tinylfu); may be given several times
    #[arg(long)]
    policy: Vec<PolicyKind>,
    /// zipf:0.9, zipf:1.2, cmcd, a .csv file, or a file of libCacheSim's oracleGeneral records
    #[arg(long, default_values = ["zipf:0.9", "zipf:1.2", "cmcd"])]
    trace: Vec<String>,
    /// Sizes of the cache in percent of the trace's footprint
    #[arg(long, value_delimiter = ',', default_values = ["1", "2", "5", "10"], value_parser = percent)]
    cache: Vec<f64>,
    /// A world so many times smaller
    #[arg(long, default_value_t = 1)]
    scale: u32,
    /// The share of the slots for heads, in thousandths, where heads are a class
    #[arg(long, default_value_t = Shape::default().heads_permille)]
    heads: u16,
    /// How many blocks of a head are kept in that share
    #[arg(long, default_value_t = Shape::default().kept_blocks)]
    kept_blocks: u32,
    /// How many blocks of a head are fetched ahead
    #[arg(long, default_value_t = u32::MAX)]
    prefetch_blocks: u32,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Draw the start misses and upstream bytes into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Write the tables (Markdown) and a plot, named by today's date, into this folder
    #[arg(long)]
    out: Option<PathBuf>,
}

/// "5" and "5%" alike.
fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err(format!("{text:?} is not a size between 0 and 100 %")),
    }
}

/// Runs everything that was asked for and prints it.
///
/// # Errors
/// A trace cannot be read, or a file cannot be written.
pub fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let models = models(args);
    let mut progress = Progress::new(args.trace.len() * models.len() * args.cache.len());
    let mut reports = Vec::new();
    for name in &args.trace {
        let trace = trace(name, args.scale)?;
        reports.push(measure(&trace, &models, &args.cache, &mut progress));
    }
    progress.done();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        reports.iter().for_each(|report| println!("{}", report.markdown()));
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, plot::svg(&reports))?;
    }
    if let Some(folder) = &args.out {
        report::write(folder, &reports)?;
    }
    Ok(())
}

/// The trace of that name.
///
/// # Errors
/// No such trace, or the file cannot be read.
pub fn trace(name: &str, scale: u32) -> Result<Trace, Box<dyn std::error::Error>> {
    let scale = scale.max(1);
    if name == "cmcd" {
        return Ok(Listening::full(0.9, Says::AtLastChunk).scaled(scale).trace(name));
    }
    match name.strip_prefix("zipf:") {
        Some(skew) => Ok(Listening::full(skew.parse()?, Says::AtStart).scaled(scale).trace(name)),
        None => Ok(file::read(Path::new(name))?),
    }
}

/// Whole objects first, then each policy without and with heads and prefetch.
fn models(args: &Args) -> Vec<Model> {
    let chosen = if args.policy.is_empty() { PolicyKind::ALL.to_vec() } else { args.policy.clone() };
    let blocks = chosen.into_iter().flat_map(|policy| {
        [(0, false), (args.heads, false), (0, true), (args.heads, true)].map(|(heads_permille, prefetch)| {
            let shape = Shape { policy, heads_permille, kept_blocks: args.kept_blocks };
            Model::Blocks(Blocks { shape, prefetch, prefetch_blocks: args.prefetch_blocks })
        })
    });
    std::iter::once(Model::WholeLru).chain(blocks).collect()
}

fn measure(trace: &Trace, models: &[Model], sizes: &[f64], progress: &mut Progress) -> Report {
    let footprint = trace.footprint();
    let mut rows = Vec::new();
    for percent in sizes {
        let bytes = (footprint as f64 * percent / 100.0) as u64;
        for model in models {
            progress.step(&trace.name);
            rows.push(Row { model: model.to_string(), percent: *percent, counted: model::run(trace, *model, bytes) });
        }
    }
    Report { trace: trace.name.clone(), footprint_bytes: footprint, rows }
}

/// Says on standard error how far it has come, once it takes longer than a second.
struct Progress {
    done: usize,
    of: usize,
    since: Instant,
    said: Option<Instant>,
}

impl Progress {
    fn new(of: usize) -> Self {
        Self { done: 0, of, since: Instant::now(), said: None }
    }

    fn step(&mut self, what: &str) {
        let (elapsed, now) = (self.since.elapsed(), Instant::now());
        let is_due = self.said.is_none_or(|said| now - said > Duration::from_secs(1));
        if elapsed > Duration::from_secs(1) && is_due {
            let left = elapsed.as_secs_f64() / self.done.max(1) as f64 * (self.of - self.done) as f64;
            eprint!("\r{}/{} {what}, about {left:.0} s left   ", self.done, self.of);
            self.said = Some(now);
        }
        self.done += 1;
    }

    fn done(&self) {
        if self.said.is_some() {
            eprintln!("\r{} runs in {:.0} s            ", self.of, self.since.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The targets, on a world ten times smaller: at 5 % of the footprint.
    #[test]
    fn the_default_starts_far_more_often_from_the_cache_than_whole_object_lru() {
        for (name, most) in [("zipf:0.9", 0.55), ("zipf:1.2", 0.42)] {
            let trace = trace(name, 10).unwrap();
            let bytes = trace.footprint() / 20;
            let ours = Blocks { shape: Shape::default(), prefetch: true, prefetch_blocks: u32::MAX };
            let whole = model::run(&trace, Model::WholeLru, bytes);
            let ours = model::run(&trace, Model::Blocks(ours), bytes);
            let ratio = ours.start_miss_ratio() / whole.start_miss_ratio();
            assert!(ratio <= most, "{name}: {ratio:.3} of whole-object LRU's start misses");
            assert!(ours.upstream_bytes < whole.upstream_bytes, "{name}: upstream bytes");
        }
    }

    /// A bigger cache never starts worse, and what was prefetched is part of what was fetched.
    #[test]
    fn the_counts_agree_with_each_other() {
        let trace = trace("cmcd", 50).unwrap();
        let ours = Blocks { shape: Shape::default(), prefetch: true, prefetch_blocks: u32::MAX };
        let sizes =
            [1, 5, 20, 100].map(|percent| model::run(&trace, Model::Blocks(ours), trace.footprint() * percent / 100));
        assert!(sizes.windows(2).all(|pair| pair[1].start_misses <= pair[0].start_misses + pair[0].taps / 100));
        for counted in sizes {
            assert!(counted.prefetched_bytes <= counted.upstream_bytes && counted.start_misses <= counted.taps);
            assert!(counted.hit_bytes <= counted.asked_bytes);
        }
    }

    #[test]
    fn a_size_is_read_with_and_without_its_sign() {
        assert_eq!((percent("5"), percent("2.5%")), (Ok(5.0), Ok(2.5)));
        assert!(percent("0").is_err() && percent("x").is_err());
    }
}
