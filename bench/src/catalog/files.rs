//! The files of a database, kept in the system's memory while they are measured.
//!
//! A machine with room for them has them there. Some give such memory back within a minute of no use, and then a row
//! would measure a disk: on ours, reads that waited behind a sync took up to half a second.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The folder that they lie in, if they are on this machine.
pub(super) struct Files(pub(super) Option<PathBuf>);

impl Files {
    /// Reads all of them once: before each row, since what the rows before did not read may have gone.
    pub(super) fn read(&self) -> io::Result<()> {
        self.0.as_deref().map_or(Ok(()), read)
    }
}

fn read(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let done = match entry.file_type()? {
            kind if kind.is_dir() => read(&path),
            kind if kind.is_file() => through(&path),
            _ => Ok(()),
        };
        // A database takes files away while it runs.
        done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

fn through(path: &Path) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while io::Read::read(&mut file, &mut buffer)? > 0 {}
    Ok(())
}
