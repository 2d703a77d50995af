//! Whether the bytes that come are those of the object.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::generated;

/// What the bytes are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Nothing.
    Nothing,
    /// The generator of the planted server: byte k of an object is a function of its name.
    Generator,
    /// Files below this folder, whose paths are those of the URLs.
    Folder(PathBuf),
    /// Each object fetched whole once before the run, itself compared with the list's SHA-256 where there is one.
    Fetched,
}

impl std::str::FromStr for Against {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "nothing" => Self::Nothing,
            "generator" => Self::Generator,
            "fetched" => Self::Fetched,
            folder => Self::Folder(folder.into()),
        })
    }
}

/// Most bytes of objects that are kept to compare with. A crowd's objects are a few hundred of some MB.
pub const KEPT_BYTES_MAX: u64 = 4 << 30;

/// The objects as they should be.
#[derive(Debug, Clone, Default)]
pub enum Book {
    /// Everything pleases.
    #[default]
    Shut,
    /// See [`generated`].
    Generated,
    /// By path.
    Known(HashMap<String, Arc<[u8]>>),
}

impl Book {
    /// Whether these are the bytes of the object at that place; None if the object is not known.
    pub fn agrees(&self, path: &str, first: u64, bytes: &[u8]) -> Option<bool> {
        match self {
            Self::Shut => None,
            Self::Generated => Some(generated::matches(name_of(path), first, bytes)),
            Self::Known(objects) => objects.get(path).map(|object| {
                let first = usize::try_from(first).unwrap_or(usize::MAX);
                first.checked_add(bytes.len()).and_then(|end| object.get(first..end)) == Some(bytes)
            }),
        }
    }

    /// Reads the files of these paths below a folder.
    ///
    /// # Errors
    /// A file is not there, or all of them are too much.
    pub fn from_folder(folder: &Path, paths: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut objects = HashMap::new();
        let mut kept = 0;
        for path in paths {
            let file = folder.join(path.trim_start_matches('/'));
            let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            kept += bytes.len() as u64;
            if kept > KEPT_BYTES_MAX {
                return Err(format!(
                    "{} holds more than {} GiB to compare with",
                    folder.display(),
                    KEPT_BYTES_MAX >> 30
                ));
            }
            objects.insert(path, bytes.into());
        }
        Ok(Self::Known(objects))
    }
}

/// The last segment of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// SHA-256 as lowercase hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_and_a_byte_too_many_are_seen_wherever_they_are() {
        let object: Arc<[u8]> = (0..100u8).collect();
        let book = Book::Known(HashMap::from([("/a".to_owned(), object.clone())]));
        assert_eq!(book.agrees("/a", 10, &object[10..20]), Some(true));
        assert_eq!(book.agrees("/a", 11, &object[10..20]), Some(false));
        assert_eq!(book.agrees("/a", 95, &[95, 96, 97, 98, 99, 0]), Some(false));
        assert_eq!(book.agrees("/a", u64::MAX, &[1]), Some(false));
        assert_eq!(book.agrees("/b", 0, &[1]), None);
    }

    #[test]
    fn digests_are_those_that_everybody_knows() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
