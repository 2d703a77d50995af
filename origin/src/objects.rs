//! Which object a request path names, and what is known of it without reading it.
//!
//! A path becomes typed names or nothing; file names are made from the types, never from the
//! text of a request. Lengths and digests come from the manifests, through a bounded memory.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use needledrop_core::etag::EntityTag;
use needledrop_core::id::{Rev, TrackId};
use needledrop_core::media::Rendition;
use needledrop_core::object_path::ObjectPath;
use needledrop_core::time::UnixSeconds;

use crate::art::ArtId;
use crate::digest::Digest;
use crate::vault::{Vault, VaultError};

/// Folders whose facts are remembered. About 600 bytes each: 10 MiB for what listeners ask for.
const FOLDERS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// An object, by its parsed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectName {
    /// `/tracks/{id}/{rev}/{kbps}.{ext}`
    Rendition { id: TrackId, rev: Rev, rendition: Rendition },
    /// `/art/{art}/{px}.jpg`
    Art { art: ArtId, px: u32 },
}

impl ObjectName {
    /// The object a path names, if it is spelt exactly so.
    pub(crate) fn parse(path: &ObjectPath) -> Option<ObjectName> {
        let mut segments = path.segments();
        let name = match segments.next()? {
            "tracks" => ObjectName::Rendition {
                id: TrackId::parse(segments.next()?).ok()?,
                rev: Rev::parse(segments.next()?).ok()?,
                rendition: Rendition::parse(segments.next()?)?,
            },
            "art" => ObjectName::Art { art: ArtId::parse(segments.next()?)?, px: parse_px(segments.next()?)? },
            _ => return None,
        };
        segments.next().is_none().then_some(name)
    }

    /// Where its bytes are.
    pub(crate) fn file(&self, vault: &Vault) -> PathBuf {
        match self {
            ObjectName::Rendition { id, rev, rendition } => vault.object_path(id, rev, *rendition),
            ObjectName::Art { art, px } => vault.art_path(art, *px),
        }
    }

    fn folder(&self) -> FolderName {
        match *self {
            ObjectName::Rendition { id, rev, .. } => FolderName::Rev(id, rev),
            ObjectName::Art { art, .. } => FolderName::Art(art),
        }
    }
}

/// `300.jpg` -> 300; one spelling for one number.
fn parse_px(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(".jpg")?;
    let px: u32 = digits.parse().ok()?;
    (px.to_string() == digits).then_some(px)
}

/// What the server says of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectFacts {
    pub(crate) bytes: u64,
    pub(crate) published: UnixSeconds,
    sha256: Digest,
}

impl ObjectFacts {
    /// Strong: made from the bytes.
    pub(crate) fn etag(&self) -> EntityTag {
        EntityTag::strong(&self.sha256.to_string())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FolderName {
    Rev(TrackId, Rev),
    Art(ArtId),
}

/// The facts of one folder, without the time indexes.
type Folder = Arc<[(ObjectName, ObjectFacts)]>;

/// Remembers the facts of the folders that were asked for last. What is published never changes,
/// so nothing in here ever goes stale; a removed object is noticed when its file is opened.
pub(crate) struct Facts {
    vault: Vault,
    folders: Mutex<LruCache<FolderName, Folder>>,
}

impl Facts {
    pub(crate) fn new(vault: Vault) -> Facts {
        Facts { vault, folders: Mutex::new(LruCache::new(FOLDERS_MAX)) }
    }

    /// Looks an object up; `None` when there is none. May read a manifest: not for a reactor thread.
    pub(crate) fn of(&self, name: &ObjectName) -> Result<Option<ObjectFacts>, VaultError> {
        let folder = name.folder();
        let known = self.locked().get(&folder).cloned();
        let facts = match known {
            Some(facts) => facts,
            None => {
                let Some(read) = self.read(folder)? else {
                    return Ok(None);
                };
                self.locked().put(folder, read.clone());
                read
            }
        };
        Ok(facts.iter().find(|(known, _)| known == name).map(|(_, facts)| facts.clone()))
    }

    /// One read or one insertion happens under this lock, nothing that could leave it half done.
    fn locked(&self) -> std::sync::MutexGuard<'_, LruCache<FolderName, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, folder: FolderName) -> Result<Option<Folder>, VaultError> {
        match folder {
            FolderName::Rev(id, rev) => {
                let Some(manifest) = self.vault.manifest(&id, &rev)? else {
                    return Ok(None);
                };
                let published = UnixSeconds(manifest.published);
                let facts = manifest.objects.into_iter().map(|object| {
                    let name = ObjectName::Rendition { id, rev, rendition: object.facts.rendition };
                    let (bytes, sha256) = (object.facts.bytes, object.facts.sha256);
                    (name, ObjectFacts { bytes, published, sha256 })
                });
                Ok(Some(facts.collect()))
            }
            FolderName::Art(art) => {
                let Some(manifest) = self.vault.art_manifest(&art)? else {
                    return Ok(None);
                };
                let published = UnixSeconds(manifest.published);
                let facts = manifest.images.into_iter().map(|image| {
                    let name = ObjectName::Art { art, px: image.px };
                    (name, ObjectFacts { bytes: image.bytes, published, sha256: image.sha256 })
                });
                Ok(Some(facts.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<ObjectName> {
        ObjectName::parse(&ObjectPath::parse(text).ok()?)
    }

    #[test]
    fn only_exact_spellings_name_objects() {
        let id = "0123456789ABCDEFGHIJKL";
        assert!(matches!(parse(&format!("/tracks/{id}/r1/160.ogg")), Some(ObjectName::Rendition { .. })));
        assert!(matches!(parse(&format!("/art/{id}/300.jpg")), Some(ObjectName::Art { px: 300, .. })));
        for other in [
            format!("/tracks/{id}/r1/track.json"),
            format!("/tracks/{id}/r1/161.ogg"),
            format!("/tracks/{id}/r1/160.ogg/x"),
            format!("/tracks/{id}/160.ogg"),
            format!("/tracks/{id}"),
            format!("/art/{id}/art.json"),
            format!("/art/{id}/0300.jpg"),
            format!("/art/{id}/+300.jpg"),
            format!("/art/{id}/99999999999.jpg"),
            "/library.jsonl".into(),
            "/lock".into(),
            "/tmp/0/160.ogg".into(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
