//! A run as a file: everything that was counted, what was asked for, and on what it ran.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Judged, Machine, Threshold, figures, machine};
use crate::tally::Tally;

/// What the first field of a report says. Changes when an older reader could misread a newer report.
pub const KIND: &str = "needledrop-loadtest/1";

/// Largest report that is read: a hundred times what a run of a day with every class writes.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`KIND`].
    pub kind: String,
    /// Version of the tool.
    pub version: String,
    /// What was asked for, as the run itself describes it.
    pub settings: Value,
    /// Where the generator (or the coordinator) ran.
    pub machine: Machine,
    /// When the run began, in seconds since 1970.
    pub began: u64,
    /// How long it took.
    pub seconds: f64,
    /// What was counted.
    pub tally: Tally,
    /// What the generator itself used.
    pub own: Own,
    /// Each generator, when the test was run by several.
    #[serde(default)]
    pub generators: Vec<Generator>,
    /// Generators that vanished before the end: the run is not whole.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What became of the thresholds.
    pub thresholds: Vec<Judged>,
}

/// What a generator used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Seconds of processor time.
    pub cpu_seconds: f64,
    /// Highest memory use, in bytes.
    pub peak_memory_bytes: u64,
    /// Threads that carried listeners.
    pub workers: u64,
}

impl Own {
    /// Of this process since it began.
    pub fn so_far(workers: u64) -> Self {
        Self { cpu_seconds: machine::cpu_seconds(), peak_memory_bytes: machine::peak_memory_bytes(), workers }
    }

    /// Adds what another generator used.
    pub fn add(&mut self, other: &Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.saturating_add(other.peak_memory_bytes);
        self.workers = self.workers.saturating_add(other.workers);
    }
}

/// One of several generators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Its address.
    pub name: String,
    /// Where it ran.
    pub machine: Machine,
    /// What it used.
    pub own: Own,
}

/// Why a report cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The file is none of ours.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Report {
    /// A run of this machine that began at `began` (seconds since 1970).
    pub fn new(settings: Value, began: u64, seconds: f64, tally: Tally, own: Own) -> Self {
        Self {
            kind: KIND.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            settings,
            machine: Machine::here(),
            began,
            seconds,
            tally,
            own,
            generators: Vec::new(),
            missing: Vec::new(),
            thresholds: Vec::new(),
        }
    }

    /// Judges the run by these thresholds, in place of those before.
    pub fn judge(&mut self, thresholds: &[Threshold]) {
        self.thresholds = thresholds.iter().map(|threshold| threshold.judge(&self.tally, self.seconds)).collect();
    }

    /// Whether a threshold failed.
    pub fn failed(&self) -> bool {
        self.thresholds.iter().any(|judged| judged.failed)
    }

    /// Why the numbers are not to be trusted: nothing, if they are.
    pub fn distrust(&self) -> Vec<String> {
        figures::distrust(&self.tally, &self.missing)
    }

    /// Writes it beside its place and moves it there: a reader sees all of it or none.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_aside(path, |out| serde_json::to_writer(out, self).map_err(io::Error::from))
    }

    /// Reads and checks one.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let failed = |error| ReportError::File { path: path.into(), error };
        let mut text = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(REPORT_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        Self::parse(&text).map_err(|reason| ReportError::Content { path: path.into(), reason })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() as u64 > REPORT_BYTES_MAX {
            return Err(format!("larger than the {} MiB that a report can have", REPORT_BYTES_MAX >> 20));
        }
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let kind = serde_json::from_slice::<Kind>(text)
            .map_err(|error| format!("not a report of needledrop-loadtest: {error}"))?
            .kind;
        if kind != KIND {
            let kind = super::numbers::harmless(&kind);
            return Err(format!("a report of kind \"{kind}\", and this version reads \"{KIND}\""));
        }
        let report: Self = serde_json::from_slice(text).map_err(|error| format!("damaged: {error}"))?;
        if !(report.seconds.is_finite() && report.seconds >= 0.0 && report.own.cpu_seconds.is_finite()) {
            return Err("damaged: a run of no length that a clock shows".into());
        }
        report.tally.check().map_err(|reason| format!("damaged: {reason}"))?;
        Ok(report)
    }
}

/// Writes a file beside its place and moves it there when it is whole.
pub fn write_aside(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.{}.aside", std::process::id()));
    let written = File::create(&aside).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&aside, path)
    });
    written.map_err(|error| {
        // What could not be finished is of no use; if it cannot be removed either, the first error says more.
        let _ = fs::remove_file(&aside);
        ReportError::File { path: path.into(), error }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn a_report_is_read_as_it_was_written_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, report) = (folder.path().join("run.json"), example::report(1));
        report.write(&path).unwrap();
        report.write(&path).unwrap();
        assert!(Report::read(&path).unwrap() == report, "see the two files, they are too long to be printed");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(fs::metadata(&path).unwrap().len() < 2 << 20);
    }

    #[test]
    fn what_is_not_a_report_is_refused_with_its_reason() {
        let mut json = serde_json::to_value(example::report(1)).unwrap();
        let refused = |json: &Value| Report::parse(&serde_json::to_vec(json).unwrap()).unwrap_err();
        assert!(refused(&serde_json::json!({"a": 1})).contains("not a report"));
        json["tally"]["timeline"]["step_seconds"] = 0.into();
        assert!(refused(&json).contains("timeline"), "{}", refused(&json));
        json["tally"]["starts"] = u64::MAX.into();
        assert!(refused(&json).contains("damaged"), "{}", refused(&json));
        json["kind"] = "needledrop-loadtest/2".into();
        assert!(refused(&json).contains("this version reads"));
        let error = Report::read(Path::new("/nowhere/run.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/run.json: "), "{error}");
    }
}
