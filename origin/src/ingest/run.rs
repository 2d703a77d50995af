//! One ingest run: what is due, the worker threads, stopping, and the sum.
//!
//! Decides nothing about a single source; that is `work`.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use needledrop_core::id::TrackId;
use needledrop_media::{AacBackend, Transcoder};

use super::report::{Event, Fatal, Outcome, Report};
use super::work::{Job, Material, WorkError};
use super::{BuiltIn, scan};
use crate::digest::Digest;
use crate::record::{ArtSource, SourceKey, Stamp};
use crate::writer::Writer;

/// What the threads of one run share.
pub(crate) struct Run<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) transcoder: Transcoder,
    pub(crate) events: &'a (dyn Fn(Event<'_>) + Sync),
    stop: &'a AtomicBool,
    /// Set when the caller's flag was seen or the run cannot go on; what the encoders look at.
    pub(crate) halt: AtomicBool,
    report: Mutex<Report>,
    /// Pictures beside the files, by folder: looked up once per run.
    covers: Mutex<HashMap<PathBuf, ArtSource>>,
    /// Tracks published by this run and the job that did it: the earlier job wins.
    pub(crate) published: Mutex<HashMap<TrackId, usize>>,
    queue: Mutex<Queue>,
    settled: Condvar,
}

#[derive(Default)]
struct Queue {
    due: VecDeque<Job>,
    /// Jobs below this index have been begun.
    begun: usize,
    /// Jobs being worked on.
    running: usize,
    /// Files being encoded, by their bytes, with the jobs that turned out to be copies of them.
    copies: HashMap<Digest, Vec<Job>>,
}

/// A poisoned lock is taken all the same: every change under these locks is one insertion or one count.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        writer: &'a Writer,
        aac: AacBackend,
        stop: &'a AtomicBool,
        events: &'a (dyn Fn(Event<'_>) + Sync),
        mut report: Report,
    ) -> Run<'a> {
        let damage = writer.session().library().damage().to_vec();
        report.damaged_lines = damage.into_iter().map(|damage| (damage.line, damage.reason)).collect();
        Run {
            writer,
            transcoder: Transcoder { aac },
            events,
            stop,
            halt: AtomicBool::new(false),
            report: Mutex::new(report),
            covers: Mutex::default(),
            published: Mutex::default(),
            queue: Mutex::default(),
            settled: Condvar::new(),
        }
    }

    /// Whether to stop, passing the caller's wish on to the encoders.
    pub(crate) fn is_halted(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            self.halt.store(true, Ordering::Relaxed);
        }
        self.halt.load(Ordering::Relaxed)
    }

    /// A job, unless the file is as it was last time. One stat, and one more per folder for its cover.
    pub(crate) fn look_at(&self, path: PathBuf) -> Option<Job> {
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                locked(&self.report).fail(SourceKey::File(path).to_string(), error.to_string());
                return None;
            }
        };
        let stamp = Stamp::of(&metadata);
        let key = SourceKey::File(path.clone());
        let cover = self.cover_beside(&path);
        let session = self.writer.session();
        let fact = session.library().source(&key);
        let is_same = fact.is_some_and(|fact| fact.is_current(stamp));
        let has_same_art = fact.is_some_and(|fact| fact.art == ArtSource::Embedded || fact.art == cover);
        if is_same && has_same_art {
            locked(&self.report).unchanged += 1;
            return None;
        }
        let material = if is_same { Material::OnlyArt } else { Material::File(path) };
        Some(Job { index: 0, key, stamp, cover, material })
    }

    /// A job, unless this version of the built-in source was taken in before.
    pub(crate) fn look_at_built_in(&self, source: BuiltIn) -> Option<Job> {
        let stamp = Stamp { bytes: 0, mtime_ns: i128::from(source.version) };
        let key = SourceKey::BuiltIn(source.name.clone());
        let is_same = self.writer.session().library().source(&key).is_some_and(|fact| fact.is_current(stamp));
        if is_same {
            locked(&self.report).unchanged += 1;
            return None;
        }
        Some(Job { index: 0, key, stamp, cover: ArtSource::None, material: Material::BuiltIn(Some(source)) })
    }

    fn cover_beside(&self, path: &Path) -> ArtSource {
        let Some(dir) = path.parent() else {
            return ArtSource::None;
        };
        let mut covers = locked(&self.covers);
        if let Some(known) = covers.get(dir) {
            return known.clone();
        }
        let with_stamp = |path: PathBuf| {
            let stamp = Stamp::of(&fs::metadata(&path).ok()?);
            Some(ArtSource::Folder { path: SourceKey::File(path), stamp })
        };
        let cover = scan::folder_cover(dir).and_then(with_stamp).unwrap_or(ArtSource::None);
        covers.insert(dir.to_owned(), cover.clone());
        cover
    }

    /// Works off the jobs with `workers` threads and gives back the sum.
    pub(crate) fn work_off(self, jobs: Vec<Job>, workers: NonZeroUsize) -> Report {
        let found = locked(&self.report).found;
        (self.events)(Event::Found { files: found, due: jobs.len() });
        let mut numbered = jobs;
        for (index, job) in numbered.iter_mut().enumerate() {
            job.index = index;
        }
        let paths: Vec<_> = numbered.iter().map(|job| job.key.path().map(Path::to_owned)).collect();
        let count = workers.get().min(numbered.len());
        let is_survey_useful = numbered.len() > count;
        locked(&self.queue).due = numbered.into();
        std::thread::scope(|scope| {
            for number in 0..count {
                let worker = std::thread::Builder::new().name(format!("ingest-{number}"));
                worker.spawn_scoped(scope, || self.worker()).expect("the system has a thread for each core");
            }
            if is_survey_useful {
                scope.spawn(|| self.survey(paths));
            }
        });
        if let Some(error) = self.writer.sweep(super::work::now()).err() {
            // Scrap that stays is no failure of this run; the next one tries again.
            tracing::warn!(%error, "superseded objects could not be removed");
        }
        let is_stopped = self.stop.load(Ordering::Relaxed);
        let queue = self.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = self.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.not_reached += queue.due.len();
        report.stopped = is_stopped && report.not_reached > 0;
        report.failed.sort_by(|a, b| a.source.cmp(&b.source));
        if let Some(Fatal::DiskFull { dir, free_bytes: free, .. }) = &mut report.fatal {
            // Only now are all leftovers gone.
            *free = free_bytes(dir);
        }
        report
    }

    /// Finds out the lengths of what waits, so that the time left can be told. Gives way to the
    /// workers: it only looks at what nobody has begun.
    fn survey(&self, paths: Vec<Option<PathBuf>>) {
        for (index, path) in paths.into_iter().enumerate() {
            if self.is_halted() {
                return;
            }
            let Some(path) = path.filter(|_| locked(&self.queue).begun <= index) else {
                continue;
            };
            // A decoder that panics here will panic again where it is reported.
            let seconds = catch_unwind(|| super::work::seconds_of(&path)).ok().flatten();
            if let Some(seconds) = seconds.filter(|_| locked(&self.queue).begun <= index) {
                (self.events)(Event::Sized { source: &SourceKey::File(path), seconds });
            }
        }
    }

    fn worker(&self) {
        while let Some(job) = self.next_job() {
            self.take_on(job);
            let mut queue = locked(&self.queue);
            queue.running -= 1;
            drop(queue);
            self.settled.notify_all();
        }
    }

    /// Waits while others run: their failure hands copies back to the queue.
    fn next_job(&self) -> Option<Job> {
        let mut queue = locked(&self.queue);
        loop {
            if self.is_halted() {
                return None;
            }
            if let Some(job) = queue.due.pop_front() {
                queue.running += 1;
                queue.begun = queue.begun.max(job.index + 1);
                return Some(job);
            }
            if queue.running == 0 {
                return None;
            }
            queue = self.settled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_on(&self, mut job: Job) {
        // A decoder that panics on a hostile file costs that file, not the run.
        let worked = catch_unwind(AssertUnwindSafe(|| job.work(self)));
        let outcome = match worked {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(WorkError::CopyOf(sha256))) => return self.wait_for_twin(job, sha256),
            Ok(Err(WorkError::Stopped)) => Outcome::Stopped,
            Ok(Err(WorkError::Failed(reason))) => Outcome::Failed { reason },
            Ok(Err(error @ (WorkError::DiskFull(_) | WorkError::Vault(_)))) => {
                self.give_up(error);
                Outcome::Stopped
            }
            Err(_) => Outcome::Failed { reason: "internal error while it was read; please report this file".into() },
        };
        self.settle(&job, &outcome);
    }

    fn settle(&self, job: &Job, outcome: &Outcome) {
        locked(&self.report).count(&job.key, outcome);
        (self.events)(Event::Settled { source: &job.key, outcome });
    }

    /// Ends the run; the first reason is the one to report.
    fn give_up(&self, error: WorkError) {
        self.halt.store(true, Ordering::Relaxed);
        if let Some(fatal) = error.into_fatal(self) {
            locked(&self.report).fatal.get_or_insert(fatal);
        }
        self.settled.notify_all();
    }

    pub(crate) fn count_decoded(&self) {
        locked(&self.report).decoded += 1;
    }

    /// Claims the encoding of a file's bytes; false when another thread is at the same bytes.
    pub(crate) fn claim(&self, sha256: Digest) -> bool {
        let mut queue = locked(&self.queue);
        if queue.copies.contains_key(&sha256) {
            return false;
        }
        queue.copies.insert(sha256, Vec::new());
        true
    }

    /// Ends a claim; the copies that waited for it are due (and will be recognised by their bytes).
    pub(crate) fn release(&self, sha256: Digest) {
        let mut queue = locked(&self.queue);
        let copies = queue.copies.remove(&sha256).unwrap_or_default();
        for copy in copies.into_iter().rev() {
            queue.due.push_front(copy);
        }
        drop(queue);
        self.settled.notify_all();
    }

    fn wait_for_twin(&self, job: Job, sha256: Digest) {
        let mut queue = locked(&self.queue);
        match queue.copies.get_mut(&sha256) {
            Some(copies) => copies.push(job),
            // It ended in the meantime.
            None => queue.due.push_front(job),
        }
    }
}

/// The fatal error for a full disk, with what is free now.
pub(crate) fn disk_full(run: &Run<'_>, needed_bytes: Option<u64>) -> Fatal {
    let dir = run.writer.vault().dir().to_owned();
    let free_bytes = free_bytes(&dir);
    Fatal::DiskFull { dir, needed_bytes, free_bytes }
}

fn free_bytes(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}
