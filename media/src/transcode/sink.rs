//! A file that is counted and hashed while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::MediaError;

/// Bytes gathered before they go to the file.
const BUFFER_BYTES: usize = 128 << 10;

/// A rendition on its way to the disk.
pub(crate) struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl HashedFile {
    pub(crate) fn create(path: &Path) -> Result<Self, MediaError> {
        let file = File::create(path).map_err(|error| writing(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands everything to the system; syncing is the caller's decision.
    pub(crate) fn close(mut self) -> Result<(PathBuf, u64, [u8; 32]), MediaError> {
        self.file.flush().map_err(|error| writing(&self.path, error))?;
        Ok((self.path, self.bytes, self.hash.finalize().into()))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Names the file in the error, not its folder: the reason is shown to users.
pub(crate) fn writing(path: &Path, error: io::Error) -> MediaError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    MediaError::io(format!("writing {name}"), error)
}
