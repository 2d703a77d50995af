//! The vault: a folder that holds every object, and how parsed names become file names in it.
//!
//! ```text
//! DATA/library.jsonl                      journal of published tracks and their sources
//! DATA/tracks/{id}/{rev}/{kbps}.{ext}     objects, immutable
//! DATA/tracks/{id}/{rev}/track.json       their manifest, with the time index
//! DATA/art/{art}/{px}.jpg, art.json       artwork, content-addressed
//! DATA/tmp/                               what is being made; emptied when a writer starts
//! DATA/lock                               held by the one writer
//! ```
//!
//! A `Vault` only reads and needs no lock: whatever is visible is whole. Putting things in is
//! `writer`; what is in it, as a list, is `library`; serving it is `server`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use needledrop_core::id::{Rev, TrackId};
use needledrop_core::media::Rendition;

use crate::art::{ArtId, ArtManifest};
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};

/// What can go wrong with the vault itself.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The filesystem refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as in "writing".
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another writer holds the folder.
    #[error("another ingest{} is writing to {}; wait for it or stop it", holder_text(holder), dir.display())]
    Locked {
        /// The vault's folder.
        dir: PathBuf,
        /// Process id of the holder, where it could be read.
        holder: Option<u32>,
    },
    /// A file of the vault does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a later version of this program.
    #[error("{} has format version {found}, newer than this program's {}", path.display(), crate::record::FORMAT_VERSION)]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

fn holder_text(holder: &Option<u32>) -> String {
    holder.map_or(String::new(), |pid| format!(" (process {pid})"))
}

impl VaultError {
    /// Turns a system's error into one that says where; for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VaultError {
        let path = path.to_owned();
        move |source| VaultError::Io { doing, path, source }
    }
}

/// A vault folder, for reading. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    dir: Arc<Path>,
}

impl Vault {
    /// The vault in `dir`. Touches nothing: a folder without a vault is an empty vault.
    pub fn at(dir: impl Into<PathBuf>) -> Vault {
        Vault { dir: dir.into().into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where an object's bytes are.
    pub fn object_path(&self, id: &TrackId, rev: &Rev, rendition: Rendition) -> PathBuf {
        self.rev_dir(id, rev).join(rendition.file_name())
    }

    /// Where an image's bytes are.
    pub fn art_path(&self, art: &ArtId, px: u32) -> PathBuf {
        self.art_dir(art).join(format!("{px}.jpg"))
    }

    /// The manifest of a published rev, time indexes included; `None` when there is no such rev.
    ///
    /// # Errors
    /// When it cannot be read, or is not a manifest of this rev.
    pub fn manifest(&self, id: &TrackId, rev: &Rev) -> Result<Option<Manifest>, VaultError> {
        let path = self.rev_dir(id, rev).join("track.json");
        let Some(manifest) = read_json::<Manifest>(&path)? else {
            return Ok(None);
        };
        if manifest.id != *id || manifest.rev != *rev {
            return Err(VaultError::Damaged { path, reason: "it describes another rev".into() });
        }
        Ok(Some(manifest))
    }

    /// Second -> byte for one object: entry `s` is where a reader starts who wants second `s`.
    ///
    /// # Errors
    /// As for [`Vault::manifest`].
    pub fn time_index(&self, id: &TrackId, rev: &Rev, rendition: Rendition) -> Result<Option<Vec<u64>>, VaultError> {
        let manifest = self.manifest(id, rev)?;
        let mut objects = manifest.into_iter().flat_map(|manifest| manifest.objects);
        let object = objects.find(|object| object.facts.rendition == rendition);
        Ok(object.map(|object| object.time_index))
    }

    /// What the folder of one piece of artwork holds; `None` when there is no such artwork.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub fn art_manifest(&self, art: &ArtId) -> Result<Option<ArtManifest>, VaultError> {
        read_json(&self.art_dir(art).join("art.json"))
    }

    pub(crate) fn rev_dir(&self, id: &TrackId, rev: &Rev) -> PathBuf {
        self.track_dir(id).join(rev.to_string())
    }

    pub(crate) fn track_dir(&self, id: &TrackId) -> PathBuf {
        self.dir.join("tracks").join(id.to_string())
    }

    pub(crate) fn art_dir(&self, art: &ArtId) -> PathBuf {
        self.dir.join("art").join(art.to_string())
    }

    pub(crate) fn tmp_dir(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.dir.join("library.jsonl")
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }
}

/// Reads a small JSON file; `None` when there is none.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, VaultError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VaultError::io("opening", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes).map_err(VaultError::io("reading", path))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| VaultError::Damaged { path: path.to_owned(), reason: error.to_string() })
}
