//! `needledrop ingest PATH…`: music in, tracks out, with a progress bar.
//!
//! Only talks to the person (or the program) that started it; the work is `needledrop_origin::ingest`.
//! On a terminal there is one bar over all audio with the time left; elsewhere one line a file. The
//! sum goes to stdout, as a table or with `--json` as JSON, and everything else to stderr.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use needledrop_media::AacBackend;
use needledrop_origin::ingest::{Event, Fatal, IngestOptions, Outcome, Report, ingest};
use needledrop_origin::record::SourceKey;
use needledrop_origin::{Vault, VaultError, Writer};

/// Takes music into the library: folders with everything below them, and single files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders of music (FLAC, WAV, AIFF, MP3, AAC, M4A, ALAC, Ogg Vorbis, Opus)
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Tracks that are worked on at the same time [default: one per core]
    #[arg(long, short, value_name = "COUNT")]
    pub jobs: Option<NonZeroUsize>,

    /// What makes the AAC renditions; tracks that are there already stay as they are
    #[arg(long, value_enum, default_value_t, value_name = "ENCODER")]
    pub aac: Aac,

    /// Print the report as JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// Say nothing but failures and the report
    #[arg(long, short)]
    pub quiet: bool,
}

/// The AAC encoders to choose from.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum Aac {
    /// The bundled Fraunhofer FDK encoder
    #[cfg(feature = "aac-fdk")]
    #[default]
    Fdk,
    /// The ffmpeg program, where it is installed
    #[cfg_attr(not(feature = "aac-fdk"), default)]
    Ffmpeg,
}

impl From<Aac> for AacBackend {
    fn from(aac: Aac) -> AacBackend {
        match aac {
            #[cfg(feature = "aac-fdk")]
            Aac::Fdk => AacBackend::Fdk,
            Aac::Ffmpeg => AacBackend::Ffmpeg,
        }
    }
}

/// Runs the subcommand on the vault in `data`. The exit code is 0 when everything is in the
/// library, 1 when some files failed, 2 when the run could not go on, 130 after Ctrl-C.
pub fn run(args: Args, data: &Path) -> ExitCode {
    let began = Instant::now();
    let stop = stop_on_ctrl_c();
    let report = match Writer::open(&Vault::at(data)) {
        Ok(writer) => {
            let display = Display::new(args.quiet);
            let usual = IngestOptions::default();
            let options = IngestOptions { jobs: args.jobs.unwrap_or(usual.jobs), aac: args.aac.into() };
            let report = ingest(&args.paths, &writer, &options, &stop, &|event| display.show(&event));
            display.finish();
            report
        }
        Err(error) => refused(error, data),
    };
    let told = if args.json { tell_json(&report) } else { tell(&report, data, began.elapsed()) };
    if let Some(fatal) = &report.fatal {
        say(&format!("error: {fatal}"));
    }
    // A reader of stdout that went away (`| head`) is no failure of the ingest.
    drop(told);
    ExitCode::from(report.exit_code())
}

/// The report of a run that never began.
fn refused(error: VaultError, data: &Path) -> Report {
    let is_full = needledrop_origin::is_disk_full(&error);
    let dir = data.to_owned();
    let full = Fatal::DiskFull { dir, needed_bytes: None, free_bytes: None };
    Report { fatal: Some(if is_full { full } else { Fatal::Vault(error) }), ..Report::default() }
}

/// The first Ctrl-C asks the workers to stop, the second one does not ask.
fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            flag.store(true, Ordering::Relaxed);
            say("\nstopping: tracks that are finished stay (Ctrl-C again to quit at once)");
            if tokio::signal::ctrl_c().await.is_ok() {
                // Safe at any point: what is not published is scrap in DATA/tmp, removed at the next start.
                std::process::exit(130);
            }
        });
    });
    stop
}

/// A line on stderr. Nobody to read it is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What the person sees while it runs.
pub struct Display {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    progress: Mutex<Progress>,
}

/// Seconds of audio, as far as they are known.
#[derive(Default)]
struct Progress {
    due: usize,
    settled: usize,
    /// Seconds of sources that are done.
    done_seconds: f64,
    /// Lengths of sources that are not done, and their sum: a collection may have many.
    waiting: BTreeMap<SourceKey, f64>,
    waiting_seconds: f64,
    /// Sources in the making: how far they are.
    running: BTreeMap<SourceKey, f64>,
}

/// The guess for a source whose length is not known yet, in seconds, when no other is known either.
const SECONDS_GUESS: f64 = 240.0;

impl Progress {
    fn now_seconds(&self) -> f64 {
        self.done_seconds + self.running.values().sum::<f64>()
    }

    /// All there is to do, unknown lengths taken as the mean of the known ones.
    fn total_seconds(&self) -> f64 {
        let known = self.waiting_seconds;
        let unknown = self.due.saturating_sub(self.settled + self.waiting.len());
        let mean = if self.waiting.is_empty() { SECONDS_GUESS } else { known / self.waiting.len() as f64 };
        self.done_seconds + known + unknown as f64 * mean
    }

    fn wait_for(&mut self, source: &SourceKey, seconds: f64) {
        self.waiting_seconds += seconds - self.waiting.insert(source.clone(), seconds).unwrap_or(0.0);
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Found { due, .. } => self.due = *due,
            Event::Sized { source, seconds } => self.wait_for(source, *seconds),
            Event::Started { source, seconds } => {
                if let Some(seconds) = seconds {
                    self.wait_for(source, *seconds);
                }
                self.running.insert((*source).clone(), 0.0);
            }
            Event::Progress { source, seconds } => {
                self.running.insert((*source).clone(), *seconds);
            }
            Event::Settled { source, outcome } => {
                self.settled += 1;
                self.waiting_seconds -= self.waiting.remove(source).unwrap_or(0.0);
                let reached = self.running.remove(source).unwrap_or(0.0);
                self.done_seconds += match outcome {
                    Outcome::Encoded { seconds, .. } => *seconds,
                    _ => reached,
                };
            }
        }
    }

    fn running_names(&self) -> String {
        let names: Vec<_> = self.running.keys().map(SourceKey::short_name).collect();
        names.join(" · ")
    }
}

impl Display {
    /// A bar when stderr is a terminal, else lines.
    pub fn new(is_quiet: bool) -> Display {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (is_terminal && !is_quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Display { bar, is_quiet, progress: Mutex::default() }
    }

    /// Takes up one event of an ingest.
    pub fn show(&self, event: &Event<'_>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.take(event);
        match (&self.bar, event) {
            (_, Event::Settled { source, outcome: Outcome::Failed { reason } }) => {
                self.line(&format!("failed: {source}: {reason}"));
            }
            (None, Event::Found { files, due }) if !self.is_quiet => {
                self.line(&format!("{files} found, {due} to look at"));
            }
            (None, Event::Settled { source, outcome }) if !self.is_quiet => {
                let Progress { settled, due, .. } = *progress;
                if let Some(done) = outcome_text(outcome) {
                    self.line(&format!("[{settled}/{due}] {source}: {done}"));
                }
            }
            _ => {}
        }
        if let Some(bar) = &self.bar {
            bar.set_length(in_ms(progress.total_seconds()));
            bar.set_position(in_ms(progress.now_seconds()));
            bar.set_message(progress.running_names());
        }
    }

    /// Audio that is encoded, and all there is to encode as far as is known, in seconds.
    pub fn seconds(&self) -> (f64, f64) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        (progress.now_seconds(), progress.total_seconds())
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

fn outcome_text(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Encoded { id, seconds, .. } => format!("{} encoded as {id}", clock(*seconds)),
        Outcome::Recognised { id } => format!("known already as {id}"),
        Outcome::SameSound { id } => format!("sounds exactly like {id}, which stays"),
        Outcome::NewArt { id } => format!("new artwork for {id}"),
        Outcome::Failed { .. } | Outcome::Stopped => return None,
    })
}

fn style() -> ProgressStyle {
    let template = "{wide_bar} {audio_done} of {audio_all}, {speed}, {eta} left\n  {wide_msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    style
        .with_key("audio_done", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&clock(state.pos() as f64 / 1000.0));
        })
        .with_key("audio_all", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&clock(state.len().unwrap_or(0) as f64 / 1000.0));
        })
        .with_key("speed", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{:.0}x real time", state.per_sec() / 1000.0);
        })
}

fn in_ms(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// `3:07`, `1:02:03`.
fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

fn tell_json(report: &Report) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(report).expect("a report is plain values");
    writeln!(std::io::stdout().lock(), "{text}")
}

/// The sum for people.
fn tell(report: &Report, data: &Path, took: Duration) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let rows = [
        (report.encoded, "encoded"),
        (report.unchanged, "unchanged"),
        (report.recognised, "moved or copied, known by their bytes"),
        (report.same_sound, "with the sound of another track, which stays"),
        (report.new_art, "with new artwork"),
        (report.vanished, "no longer there; their tracks stay"),
        (report.not_reached, "not reached"),
        (report.failed.len(), "failed"),
    ];
    for (count, what) in rows.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{count:>8}  {what}")?;
    }
    for failure in &report.failed {
        writeln!(out, "          {}: {}", failure.source, failure.reason)?;
    }
    for (line, reason) in &report.damaged_lines {
        writeln!(out, "warning: line {line} of {} cannot be read: {reason}", data.join("library.jsonl").display())?;
    }
    if report.encoded > 0 {
        let speed = report.encoded_seconds / took.as_secs_f64().max(0.001);
        let audio = clock(report.encoded_seconds);
        writeln!(out, "{audio} of audio in {}, {speed:.0}x real time", clock(took.as_secs_f64()))?;
    }
    if report.found == 0 && report.fatal.is_none() {
        writeln!(out, "no audio files found")?;
    }
    if report.not_reached > 0 {
        let when = if report.fatal.is_some() { " when that is mended" } else { "" };
        writeln!(out, "finished tracks are kept; to go on, run the same command again{when}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_guessed_from_what_is_known_and_ends_exact() {
        let [a, b] = ["a", "b"].map(|name| SourceKey::BuiltIn(name.into()));
        let mut progress = Progress::default();
        progress.take(&Event::Found { files: 3, due: 2 });
        assert_eq!(progress.total_seconds(), 2.0 * SECONDS_GUESS);
        progress.take(&Event::Started { source: &a, seconds: Some(100.0) });
        assert_eq!(progress.total_seconds(), 200.0);
        progress.take(&Event::Progress { source: &a, seconds: 40.0 });
        assert_eq!(progress.now_seconds(), 40.0);
        progress.take(&Event::Sized { source: &b, seconds: 10.0 });
        assert_eq!(progress.total_seconds(), 110.0);
        progress.take(&Event::Settled { source: &a, outcome: &Outcome::Stopped });
        progress.take(&Event::Settled { source: &b, outcome: &Outcome::Failed { reason: "no".into() } });
        assert_eq!((progress.now_seconds(), progress.total_seconds()), (40.0, 40.0));
    }

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!([0.4, 59.6, 187.0, 3723.0].map(clock), ["0:00", "1:00", "3:07", "1:02:03"]);
    }
}
