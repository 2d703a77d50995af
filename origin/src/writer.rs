//! Putting things into the vault, so that nothing half-written is ever visible.
//!
//! A track is made in a folder of its own under `DATA/tmp`. [`Writer::seal`] syncs its objects,
//! writes and syncs `track.json` and syncs the folder; then, under the writer's lock, one rename
//! makes the whole rev visible, its parents are synced, and last the journal gets its lines. A
//! kill between any two steps leaves either nothing or a whole rev that no line names yet.
//!
//! What to publish is decided by `ingest`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use needledrop_core::id::TrackId;

use crate::art::{ArtId, ArtImageRecord, ArtManifest};
use crate::digest::Digest;
use crate::durable::{Durable, Hook, Step, write_synced};
use crate::journal::Appender;
use crate::library::Library;
use crate::manifest::Manifest;
use crate::record::{FORMAT_VERSION, Record, Superseded};
use crate::vault::{Vault, VaultError};

/// How long the objects of a superseded rev are kept: a signed URL lives at most twice the longest
/// track, which is a day.
pub(crate) const SUPERSEDED_KEEP_SECONDS: u64 = 48 * 3600;

/// A journal with fewer lines is not worth compacting.
const COMPACT_LINES_MIN: u64 = 64;

/// The one process that may add to a vault. Shared by its threads; ends when dropped.
pub struct Writer {
    vault: Vault,
    durable: Durable,
    state: Mutex<State>,
    stages: AtomicU64,
    /// Holds the advisory lock until it is closed.
    _lock: File,
}

struct State {
    library: Library,
    journal: Appender,
}

/// A folder under `DATA/tmp` in which something is being made; removed when dropped.
pub(crate) struct Stage {
    dir: PathBuf,
}

/// A [`Stage`] whose files are all on the disk, ready to become visible.
pub(crate) struct Sealed {
    stage: Stage,
    manifest: Manifest,
}

impl Stage {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a publication the folder is gone already; anything else is scrap, and what cannot
        // be removed now is removed when the next writer starts.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Writer {
    /// Takes the lock, makes the folders, removes what a killed writer left in `tmp`, cuts a torn
    /// journal line, and compacts a journal that is mostly dead lines.
    ///
    /// # Errors
    /// [`VaultError::Locked`] when another writer is at work; else what the filesystem says.
    pub fn open(vault: &Vault) -> Result<Writer, VaultError> {
        Writer::open_with(vault, Durable::default())
    }

    /// As [`Writer::open`], with a hook that sees every step and can make it fail. For tests.
    ///
    /// # Errors
    /// As for [`Writer::open`].
    #[doc(hidden)]
    pub fn open_with_hook(vault: &Vault, hook: Hook) -> Result<Writer, VaultError> {
        Writer::open_with(vault, Durable::with_hook(hook))
    }

    fn open_with(vault: &Vault, durable: Durable) -> Result<Writer, VaultError> {
        let dir = vault.dir();
        fs::create_dir_all(dir).map_err(VaultError::io("creating", dir))?;
        let lock = take_lock(vault)?;
        for folder in [dir.join("tracks"), dir.join("art"), vault.tmp_dir()] {
            durable.create_folders(dir, &folder).map_err(VaultError::io("creating", &folder))?;
        }
        refuse_foreign_tmp(vault)?;
        empty_folder(&vault.tmp_dir())?;
        let mut library = Library::open(vault)?;
        let journal = open_journal(vault, &durable, &mut library)?;
        let state = Mutex::new(State { library, journal });
        Ok(Writer { vault: vault.clone(), durable, state, stages: AtomicU64::new(0), _lock: lock })
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// A new empty folder to make something in.
    pub(crate) fn stage(&self) -> Result<Stage, VaultError> {
        let number = self.stages.fetch_add(1, Ordering::Relaxed);
        let dir = self.vault.tmp_dir().join(number.to_string());
        fs::create_dir(&dir).map_err(VaultError::io("creating", &dir))?;
        Ok(Stage { dir })
    }

    /// Makes what lies in the stage durable: `manifest.objects` under their file names, then
    /// `track.json`, then the folder. Takes no lock; other threads go on.
    pub(crate) fn seal(&self, stage: Stage, manifest: Manifest) -> Result<Sealed, VaultError> {
        for object in &manifest.objects {
            let path = stage.dir.join(object.facts.rendition.file_name());
            self.durable.sync_object(&path).map_err(VaultError::io("syncing", &path))?;
        }
        let path = stage.dir.join("track.json");
        let text = serde_json::to_vec(&manifest).expect("a manifest holds no map with odd keys");
        self.durable.write_manifest(&path, &text).map_err(VaultError::io("writing", &path))?;
        self.durable.sync_folder(&stage.dir).map_err(VaultError::io("syncing", &stage.dir))?;
        Ok(Sealed { stage, manifest })
    }

    /// Puts artwork in place, once: `images` are (longest side in pixels, JPEG bytes).
    pub(crate) fn put_art(&self, art: ArtId, images: &[(u32, &[u8])], published: u64) -> Result<(), VaultError> {
        let place = self.vault.art_dir(&art);
        if place.is_dir() {
            return Ok(());
        }
        let stage = self.stage()?;
        for (px, jpeg) in images {
            let path = stage.dir.join(format!("{px}.jpg"));
            self.durable
                .announce(Step::SyncObject)
                .and_then(|()| write_synced(&path, jpeg))
                .map_err(VaultError::io("writing", &path))?;
        }
        let record =
            |(px, jpeg): &(u32, &[u8])| ArtImageRecord { px: *px, bytes: jpeg.len() as u64, sha256: Digest::of(jpeg) };
        let images = images.iter().map(record).collect();
        let manifest = ArtManifest { version: FORMAT_VERSION, published, images };
        let text = serde_json::to_vec(&manifest).expect("a manifest holds no map with odd keys");
        let path = stage.dir.join("art.json");
        self.durable.write_manifest(&path, &text).map_err(VaultError::io("writing", &path))?;
        self.durable.sync_folder(&stage.dir).map_err(VaultError::io("syncing", &stage.dir))?;
        match self.durable.rename(&stage.dir, &place) {
            Ok(()) => {}
            // Another thread had the same cover: the same bytes are there already.
            Err(_) if place.is_dir() => return Ok(()),
            Err(error) => return Err(VaultError::io("publishing", &place)(error)),
        }
        let parent = self.vault.dir().join("art");
        self.durable.sync_folder(&parent).map_err(VaultError::io("syncing", &parent))
    }

    /// Removes a track from the library, and then its objects. Returns whether there was one.
    ///
    /// # Errors
    /// What the filesystem says.
    pub fn remove(&self, id: &TrackId) -> Result<bool, VaultError> {
        let mut session = self.session();
        if session.library().get(id).is_none() {
            return Ok(false);
        }
        session.append(&[Record::Removed { id: *id }])?;
        drop(session);
        let from = self.vault.track_dir(id);
        let stage = self.stage()?;
        self.scrap(&from, &stage)?;
        Ok(true)
    }

    /// Moves a folder out of sight, into a stage that is about to be dropped. One that is gone is fine.
    fn scrap(&self, from: &Path, stage: &Stage) -> Result<(), VaultError> {
        match self.durable.rename(from, &stage.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VaultError::io("removing", from)(error)),
            _ => Ok(()),
        }
    }

    /// Removes the objects of revs that gave way to others at least `SUPERSEDED_KEEP_SECONDS`
    /// before `now` (Unix seconds). Returns how many revs went.
    ///
    /// # Errors
    /// What the filesystem says.
    pub fn sweep(&self, now: u64) -> Result<usize, VaultError> {
        let mut session = self.session();
        let is_due = |old: &&Superseded| now.saturating_sub(old.at) >= SUPERSEDED_KEEP_SECONDS;
        let due: Vec<_> = session.library().superseded().iter().filter(is_due).copied().collect();
        for Superseded { id, rev, .. } in &due {
            let (from, stage) = (self.vault.rev_dir(id, rev), self.stage()?);
            self.scrap(&from, &stage)?;
            session.append(&[Record::Swept { id: *id, rev: *rev }])?;
        }
        Ok(due.len())
    }

    /// Exclusive use of library and journal, to decide and publish in one go.
    pub(crate) fn session(&self) -> Session<'_> {
        // A thread that panicked here left the journal at a line's end: `Appender::append` is all or nothing.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Session { writer: self, state }
    }
}

/// Exclusive use of a [`Writer`]'s library and journal.
pub(crate) struct Session<'a> {
    writer: &'a Writer,
    state: MutexGuard<'a, State>,
}

impl Session<'_> {
    pub(crate) fn library(&self) -> &Library {
        &self.state.library
    }

    /// Makes a sealed rev visible. The journal does not know it until [`Session::append`].
    pub(crate) fn place(&mut self, sealed: Sealed) -> Result<(), VaultError> {
        let Sealed { stage, manifest } = sealed;
        let Writer { vault, durable, .. } = self.writer;
        let track_dir = vault.track_dir(&manifest.id);
        let tracks = vault.dir().join("tracks");
        durable.create_folders(&tracks, &track_dir).map_err(VaultError::io("creating", &track_dir))?;
        let place = vault.rev_dir(&manifest.id, &manifest.rev);
        if place.exists() {
            if self.is_whole_twin(&manifest) {
                return Ok(());
            }
            let scrap = self.writer.stage()?;
            fs::rename(&place, scrap.dir()).map_err(VaultError::io("replacing", &place))?;
        }
        durable.rename(&stage.dir, &place).map_err(VaultError::io("publishing", &place))?;
        durable.sync_folder(&track_dir).map_err(VaultError::io("syncing", &track_dir))
    }

    /// Whether the rev lies there already, left by a kill between rename and journal line.
    fn is_whole_twin(&self, manifest: &Manifest) -> bool {
        let vault = &self.writer.vault;
        let Ok(Some(found)) = vault.manifest(&manifest.id, &manifest.rev) else {
            return false;
        };
        found.objects == manifest.objects
            && found.objects.iter().all(|object| {
                let path = vault.object_path(&found.id, &found.rev, object.facts.rendition);
                fs::metadata(path).is_ok_and(|metadata| metadata.len() == object.facts.bytes)
            })
    }

    /// Appends records, all or nothing, and takes them up.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), VaultError> {
        let path = self.writer.vault.journal_path();
        let lines = to_lines(records);
        let state = &mut *self.state;
        state.journal.append(&self.writer.durable, &lines).map_err(VaultError::io("writing", &path))?;
        state.library.refresh()?;
        Ok(())
    }
}

fn to_lines(records: &[Record]) -> String {
    let line = |record| serde_json::to_string(record).expect("a record holds no map with odd keys") + "\n";
    records.iter().map(line).collect()
}

fn take_lock(vault: &Vault) -> Result<File, VaultError> {
    let path = vault.lock_path();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let mut file = options.open(&path).map_err(VaultError::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(32).read_to_string(&mut text);
            return Err(VaultError::Locked { dir: vault.dir().to_owned(), holder: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(VaultError::io("locking", &path)(error)),
    }
    // Only a courtesy to the one who finds it locked, so a full disk is no reason to stop here.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// A folder that has a `tmp` with something in it and no journal is not a vault but somebody's
/// home: `--data ~` must not empty it. (Before the first journal, only the journal is in `tmp`.)
fn refuse_foreign_tmp(vault: &Vault) -> Result<(), VaultError> {
    if vault.journal_path().exists() {
        return Ok(());
    }
    let tmp = vault.tmp_dir();
    let entries = fs::read_dir(&tmp).map_err(VaultError::io("reading", &tmp))?;
    let is_foreign = entries.flatten().any(|entry| entry.file_name() != "library.jsonl");
    if !is_foreign {
        return Ok(());
    }
    let reason = "it holds files that are not ours, and the folder has no library.jsonl; choose another data folder";
    Err(VaultError::Damaged { path: tmp, reason: reason.into() })
}

fn empty_folder(dir: &Path) -> Result<(), VaultError> {
    for entry in fs::read_dir(dir).map_err(VaultError::io("reading", dir))? {
        let entry = entry.map_err(VaultError::io("reading", dir))?;
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(VaultError::io("removing", &path))?;
    }
    Ok(())
}

/// Opens the journal for appending, compacted or begun where that is due.
fn open_journal(vault: &Vault, durable: &Durable, library: &mut Library) -> Result<Appender, VaultError> {
    let path = vault.journal_path();
    let is_new = library.lines() == 0;
    let is_mostly_dead = library.lines() >= COMPACT_LINES_MIN && library.dead_lines() * 2 > library.lines();
    // Damaged lines are kept for whoever wants to repair them by hand.
    if is_new || (is_mostly_dead && library.damage().is_empty()) {
        replace_journal(vault, durable, library).map_err(VaultError::io("writing", &path))?;
        library.refresh()?;
    }
    Appender::open(&path, library.complete_bytes()).map_err(VaultError::io("opening", &path))
}

fn replace_journal(vault: &Vault, durable: &Durable, library: &Library) -> io::Result<()> {
    let aside = vault.tmp_dir().join("library.jsonl");
    durable.announce(Step::ReplaceJournal)?;
    write_synced(&aside, to_lines(&library.compacted()).as_bytes())?;
    durable.rename(&aside, &vault.journal_path())?;
    durable.sync_folder(vault.dir())
}

#[cfg(test)]
mod tests;
