//! One folder, one edge.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use rustix::fs::FlockOperation;

/// The right to use a cache folder; ends with the process or when dropped, whichever is first.
///
/// The lock belongs to the open file, not to the process: a process that hands its work over to
/// another one gives it this very file (as an inherited descriptor), and the folder is never
/// without an owner. [`FolderLock::adopt`] is the receiving end. Who hands over must have stopped
/// writing first; two processes with one table each would write one slot twice.
pub struct FolderLock(File);

impl FolderLock {
    /// Takes the folder, or says at once that somebody has it (`WouldBlock`).
    ///
    /// # Errors
    /// Another edge has it, or the file cannot be made.
    pub fn take(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(file))
    }

    /// A lock that another process held and handed over with its open file.
    ///
    /// # Errors
    /// The file is not locked by its former owner, but by somebody else.
    pub fn adopt(file: File) -> io::Result<Self> {
        // For the holder's own file this changes nothing; for any other it fails.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(file))
    }

    /// The open file, to be handed over.
    pub fn file(&self) -> &File {
        &self.0
    }
}
