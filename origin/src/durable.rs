//! The few verbs that make bytes durable: write and sync a file, sync a folder, rename.
//!
//! The vault's promise (nothing half-written is ever visible) rests on their order, which
//! `writer` decides. Each verb announces itself as a [`Step`] first, so that a test can stop,
//! fail or photograph the world at every point where a kill could strike.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A point in a publication. The hook runs before the step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An object file is about to be synced.
    SyncObject,
    /// The manifest is about to be written and synced.
    WriteManifest,
    /// A folder's entries are about to be synced.
    SyncFolder,
    /// A finished folder is about to become visible under its final name.
    Rename,
    /// A journal line is about to be appended and synced.
    AppendLine,
    /// The compacted journal is about to replace the old one.
    ReplaceJournal,
}

/// Called before each [`Step`]; an error stands for the failure of that step.
pub type Hook = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// The verbs, with the hook that tests hang in.
#[derive(Clone, Default)]
pub(crate) struct Durable {
    hook: Option<Hook>,
}

impl Durable {
    pub(crate) fn with_hook(hook: Hook) -> Durable {
        Durable { hook: Some(hook) }
    }

    /// Announces a step to the hook.
    pub(crate) fn announce(&self, step: Step) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step))
    }

    /// Syncs a file that somebody else has written.
    pub(crate) fn sync_object(&self, path: &Path) -> io::Result<()> {
        self.announce(Step::SyncObject)?;
        File::open(path)?.sync_all()
    }

    /// Writes a new small file and syncs it. The folder it is in still has to be synced.
    pub(crate) fn write_manifest(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.announce(Step::WriteManifest)?;
        write_synced(path, bytes)
    }

    /// Makes the entries of a folder (new names, renames) survive a power cut.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.announce(Step::SyncFolder)?;
        File::open(path)?.sync_all()
    }

    /// Moves a finished file or folder to its visible name. Both must be on one filesystem.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.announce(Step::Rename)?;
        fs::rename(from, to)
    }

    /// Creates `path` below `root` and syncs every folder that gained an entry.
    pub(crate) fn create_folders(&self, root: &Path, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(root);
        if parent != root && !parent.is_dir() {
            self.create_folders(root, parent)?;
        }
        match fs::create_dir(path) {
            Ok(()) => self.sync_folder(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Creates or replaces a file and syncs its bytes.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether an error, or anything it was caused by, says that the disk or the quota is full.
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            if matches!(io_error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return true;
            }
            // `io::Error::source` skips the custom error it wraps.
            if let Some(inner) = io_error.get_ref() {
                return is_disk_full(inner);
            }
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_full_is_seen_through_wrapping() {
        let plain = io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_disk_full(&plain));
        let wrapped = io::Error::other(io::Error::from(io::ErrorKind::QuotaExceeded));
        assert!(is_disk_full(&wrapped));
        assert!(!is_disk_full(&io::Error::other("no")));
    }
}
