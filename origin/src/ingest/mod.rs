//! Ingest: from files (and built-in sources) to published tracks.
//!
//! ```text
//! scan       which files, in which order
//! (stat)     the same size and time as last time: nothing to do
//! work       one source: hash, recognise or encode, decide, publish
//! made       names, record and manifest of what was made
//! run        a worker thread per core, the stop flag, the report
//! ```
//!
//! Rules: a finished track stays finished, whatever happens afterwards; a source that cannot be
//! taken in is named with its reason and the rest goes on; only a vault that cannot be written to
//! (full disk) ends the run. Nothing is ever deleted because its file vanished.

mod made;
mod report;
mod run;
mod scan;
mod sniff;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use needledrop_media::{AacBackend, MediaError, PcmSource, Tags};

pub use report::{Event, Failure, Fatal, Outcome, Report};

use crate::record::SourceKey;
use crate::writer::Writer;
use run::Run;
use work::Job;

/// How an ingest runs.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Worker threads; each makes one track at a time.
    pub jobs: NonZeroUsize,
    /// What makes the AAC renditions.
    pub aac: AacBackend,
}

impl Default for IngestOptions {
    /// One worker per core.
    fn default() -> IngestOptions {
        let one = NonZeroUsize::MIN;
        IngestOptions { jobs: std::thread::available_parallelism().unwrap_or(one), aac: AacBackend::default() }
    }
}

/// A source that this program makes itself: a demo track, a test tone.
pub struct BuiltIn {
    /// Its name, unique among the built-in sources, for example `demo/03`.
    pub name: String,
    /// Raised when it sounds different: the track is then made again.
    pub version: u32,
    /// What is written into its renditions.
    pub tags: Tags,
    /// A picture (JPEG, PNG, …) and the sound, asked for only when there is work to do.
    pub make: Box<dyn FnOnce() -> Result<BuiltInSound, MediaError> + Send>,
}

/// The picture and the sound of a [`BuiltIn`].
pub struct BuiltInSound {
    /// An encoded picture, if it has one.
    pub picture: Option<Vec<u8>>,
    /// The sound.
    pub pcm: Box<dyn PcmSource>,
}

/// Takes in `paths`: files, and folders with everything below them. Returns when all is done, the
/// run cannot go on, or `stop` was set (tracks in the making are then discarded).
///
/// `events` is called from several threads. What went wrong is in the report.
pub fn ingest(
    paths: &[PathBuf],
    writer: &Writer,
    options: &IngestOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Report {
    let found = scan::scan(paths, writer.vault().dir(), &|| stop.load(Ordering::Relaxed));
    let (count, vanished) = (found.files.len() + found.failed.len(), vanished(writer, &found));
    let mut report = Report { found: count, vanished, ..Report::default() };
    for (path, reason) in &found.failed {
        report.fail(SourceKey::File(path.clone()).to_string(), reason.clone());
    }
    let run = Run::new(writer, options.aac, stop, events, report);
    let jobs = found.files.into_iter().filter_map(|path| run.look_at(path)).collect();
    run.work_off(jobs, options.jobs)
}

/// Takes in built-in sources, as [`ingest`] takes in files. One that is known under its name and version costs nothing.
pub fn ingest_built_in(
    sources: Vec<BuiltIn>,
    writer: &Writer,
    options: &IngestOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Report {
    let report = Report { found: sources.len(), ..Report::default() };
    let run = Run::new(writer, options.aac, stop, events, report);
    let jobs: Vec<Job> = sources.into_iter().filter_map(|source| run.look_at_built_in(source)).collect();
    run.work_off(jobs, options.jobs)
}

/// Takes in one source from memory under a built-in name; as [`ingest_built_in`] with one source.
pub fn ingest_source(
    source: BuiltIn,
    writer: &Writer,
    stop: &AtomicBool,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Report {
    ingest_built_in(
        vec![source],
        writer,
        &IngestOptions { jobs: NonZeroUsize::MIN, ..IngestOptions::default() },
        stop,
        events,
    )
}

/// Files known from earlier runs that belong to the walked folders and were not met.
fn vanished(writer: &Writer, found: &scan::Found) -> usize {
    let met: std::collections::HashSet<&PathBuf> = found.files.iter().collect();
    let session = writer.session();
    let known = session.library().sources().filter_map(|fact| match &fact.source {
        SourceKey::File(path) => Some(path),
        SourceKey::BuiltIn(_) => None,
    });
    let in_roots = known.filter(|path| found.roots.iter().any(|root| path.starts_with(root)));
    in_roots.filter(|path| !met.contains(path) && !path.exists()).count()
}
