//! Where `up` takes its music from, and the thread that turns it into tracks while others play.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use needledrop_media::compose::TRACKS;
use needledrop_origin::{
    Library, Vault, Writer,
    ingest::{Event, IngestOptions, Report, ingest, ingest_built_in},
};

use crate::{config, demo, ingest::Display};

/// Where the music comes from.
pub struct Source {
    /// The vault that is served.
    pub vault: PathBuf,
    work: Work,
}

enum Work {
    /// The library as it is.
    None,
    /// These folders.
    Music(Vec<PathBuf>),
    /// The demo library; what is there already costs a look.
    Demo {
        /// Whether all of it was there at the start.
        is_complete: bool,
    },
}

impl Source {
    /// These folders; else what was ingested earlier; else the demo library. Blocks on the journal.
    pub fn choose(music: &[PathBuf], data: &Path) -> Result<Self, String> {
        let vault = config::vault(data);
        if !music.is_empty() {
            return Ok(Self { vault, work: Work::Music(music.to_vec()) });
        }
        if tracks(&vault)? > 0 {
            return Ok(Self { vault, work: Work::None });
        }
        let vault = config::demo_vault(data);
        let is_complete = tracks(&vault)? >= TRACKS;
        Ok(Self { vault, work: Work::Demo { is_complete } })
    }

    /// Whether tracks are likely to come.
    pub fn has_work(&self) -> bool {
        matches!(self.work, Work::Music(_) | Work::Demo { is_complete: false })
    }

    /// Makes tracks in a thread of its own, while what is there already plays.
    pub fn start(self, stop: Arc<AtomicBool>, ingesting: Arc<AtomicBool>) -> Option<JoinHandle<()>> {
        if matches!(self.work, Work::None) {
            return None;
        }
        Some(std::thread::spawn(move || {
            self.make(&stop);
            ingesting.store(false, Ordering::Relaxed);
        }))
    }

    fn make(&self, stop: &AtomicBool) {
        let writer = match Writer::open(&Vault::at(&self.vault)) {
            Ok(writer) => writer,
            Err(error) => return eprintln!("needledrop: no tracks can be added: {error}"),
        };
        let is_quiet = matches!(self.work, Work::Demo { is_complete: true });
        let display = Display::new(is_quiet);
        let events = |event: Event<'_>| display.show(&event);
        let options = IngestOptions::default();
        let report = match &self.work {
            Work::Music(paths) => ingest(paths, &writer, &options, stop, &events),
            Work::Demo { .. } => ingest_built_in(demo::sources(), &writer, &options, stop, &events),
            Work::None => return,
        };
        display.finish();
        summarise(&report);
    }
}

fn tracks(vault: &Path) -> Result<usize, String> {
    let library = Library::open(&Vault::at(vault)).map_err(|error| error.to_string())?;
    Ok(library.len())
}

fn summarise(report: &Report) {
    for failure in &report.failed {
        eprintln!("needledrop: {}: {}", failure.source, failure.reason);
    }
    if let Some(fatal) = &report.fatal {
        eprintln!("needledrop: {fatal}");
    }
    if report.encoded > 0 && !report.stopped {
        eprintln!("{} tracks added", report.encoded);
    }
}
