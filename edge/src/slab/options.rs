//! How a slab is to be opened, and what may keep it from being.

use std::{fmt, fs::File, io, path::PathBuf, str::FromStr, sync::Arc};

use needledrop_core::cache::Slot;

use crate::limits::CACHE_BYTES_MIN;

/// Why a cache folder cannot be used. Each message names the fix.
#[derive(Debug, thiserror::Error)]
pub enum SlabError {
    /// Another process owns the folder.
    #[error("the cache folder {0} is in use by another edge; give this one a folder of its own")]
    Locked(PathBuf),
    /// Less room than configured.
    #[error("the disk has no room for {bytes} bytes of cache in {dir}; lower cache size or free space")]
    Full {
        /// The cache folder.
        dir: PathBuf,
        /// The size asked for.
        bytes: u64,
    },
    /// The process that hands the folder over reads slots that would no longer be there.
    #[error("a cache that is taken over keeps its size; start without --take-over to change it")]
    Resized,
    /// Below the smallest useful cache.
    #[error("a cache of {0} bytes is too small; the least is {CACHE_BYTES_MIN}")]
    TooSmall(u64),
    /// Anything else the file system said.
    #[error("cache folder {dir}: {source}")]
    Io {
        /// The cache folder.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// How bytes come out of the slab files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// Through one mapping a file, without a copy of ours.
    #[default]
    Mmap,
    /// Read into a buffer on the blocking pool, each time, and checked each time.
    Pread,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mmap" => Ok(Self::Mmap),
            "pread" => Ok(Self::Pread),
            _ => Err(format!("{text:?} is no cache backend; there are mmap and pread")),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mmap => "mmap",
            Self::Pread => "pread",
        })
    }
}

/// A disk that is slower or worse than the real one: for tests.
pub trait Drill: Send + Sync {
    /// Called on the blocking pool before a slot's bytes are brought into memory. May wait.
    ///
    /// # Errors
    /// The disk shall be taken to have failed with this.
    fn before_load(&self, slot: Slot) -> io::Result<()>;
}

/// The right to a cache folder, handed over by the process that had it. That process goes on reading every slot for
/// as long as it lives.
#[derive(Debug)]
pub struct Lease {
    /// The folder's lock, as an open file.
    pub lock: File,
    /// How many slots the cache has.
    pub slots: u32,
}

/// How a slab is to be opened.
#[derive(Clone, Default)]
pub struct Options {
    /// The cache's size, rounded down to whole blocks. Unit: bytes.
    pub bytes: u64,
    /// How bytes come out.
    pub backend: Backend,
    /// In tests, what the disk does.
    pub drill: Option<Arc<dyn Drill>>,
}
