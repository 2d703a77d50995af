//! Where `up` takes its music from, and the thread that turns it into tracks while others play.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    thread::JoinHandle,
};

use needledrop_gateway::Making;
use needledrop_media::compose::TRACKS;
use needledrop_origin::{
    Library, Vault, Writer,
    ingest::{Event, IngestOptions, Outcome, Report, ingest, ingest_built_in},
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
    pub fn start(self, stop: Arc<AtomicBool>, making: Arc<Making>) -> Option<JoinHandle<()>> {
        if matches!(self.work, Work::None) {
            return None;
        }
        Some(std::thread::spawn(move || {
            let why = self.make(&stop, &making);
            if let Some(why) = &why {
                eprintln!("needledrop: {why}");
            }
            making.note(|made| made.end(why));
        }))
    }

    /// Gives back why not everything was made, if something stands in the way.
    fn make(&self, stop: &AtomicBool, making: &Making) -> Option<String> {
        let writer = match Writer::open(&Vault::at(&self.vault)) {
            Ok(writer) => writer,
            Err(error) => return Some(format!("no tracks can be added: {error}")),
        };
        let is_quiet = matches!(self.work, Work::Demo { is_complete: true });
        let display = Display::new(is_quiet);
        let events = |event: Event<'_>| {
            display.show(&event);
            tell(making, &event, &display);
        };
        let options = IngestOptions::default();
        let report = match &self.work {
            Work::Music(paths) => ingest(paths, &writer, &options, stop, &events),
            Work::Demo { .. } => ingest_built_in(demo::sources(), &writer, &options, stop, &events),
            Work::None => return None,
        };
        display.finish();
        summarise(&report);
        tell_of_folders(making, &report);
        report.fatal.map(|fatal| fatal.to_string())
    }
}

/// Hands an event on to those who ask the gateway. Files are told by their names, without the folders they are in: not
/// everybody who listens may know how this machine is arranged.
fn tell(making: &Making, event: &Event<'_>, display: &Display) {
    let (seconds_done, seconds_due) = display.seconds();
    making.note(|made| {
        (made.seconds_done, made.seconds_due) = (seconds_done, seconds_due);
        match event {
            Event::Found { files, due } => (made.found, made.due) = (*files as u64, *due as u64),
            Event::Started { source, .. } => made.reads(&source.short_name()),
            Event::Settled { source, outcome } => match outcome {
                Outcome::Failed { reason } => made.fail(&source.short_name(), reason),
                outcome => made.settle(&source.short_name(), matches!(outcome, Outcome::Encoded { .. })),
            },
            Event::Sized { .. } | Event::Progress { .. } => {}
        }
    });
}

/// Folders that could not be looked into come first in the report, and no event told of them.
fn tell_of_folders(making: &Making, report: &Report) {
    making.note(|made| {
        let count = report.failed.len().saturating_sub(usize::try_from(made.failed).unwrap_or(usize::MAX));
        made.due += count as u64;
        for failure in &report.failed[..count] {
            let name = Path::new(&failure.source).file_name().unwrap_or_default();
            made.fail(&name.to_string_lossy(), &failure.reason);
        }
    });
}

fn tracks(vault: &Path) -> Result<usize, String> {
    let library = Library::open(&Vault::at(vault)).map_err(|error| error.to_string())?;
    Ok(library.len())
}

fn summarise(report: &Report) {
    for failure in &report.failed {
        eprintln!("needledrop: {}: {}", failure.source, failure.reason);
    }
    if report.encoded > 0 && !report.stopped {
        eprintln!("{} tracks added", report.encoded);
    }
}
