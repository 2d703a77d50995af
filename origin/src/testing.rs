//! What the tests of this crate share: tracks made of any bytes, without an encoder.

use std::fs;
use std::path::Path;

use needledrop_core::id::{Rev, TrackId};
use needledrop_core::media::Rendition;

use crate::digest::Digest;
use crate::manifest::{Manifest, ObjectRecord};
use crate::record::{
    ArtSource, ENCODER_SETTINGS, FORMAT_VERSION, LoudnessRecord, Record, RenditionRecord, SourceFact, SourceKey, Stamp,
    TrackRecord,
};
use crate::vault::{Vault, VaultError};
use crate::writer::Writer;

/// When test tracks were published: the date of the examples in RFC 9110.
pub(crate) const PUBLISHED: u64 = 784_111_777;

pub(crate) fn id_of(name: &str) -> TrackId {
    TrackId::from_digest(&Digest::of(name.as_bytes()).0)
}

pub(crate) fn rev_of(bytes: &[u8]) -> Rev {
    Rev::from_digest(&Digest::of(bytes).0)
}

/// Publishes a track whose six objects all are `bytes`.
pub(crate) fn publish(writer: &Writer, name: &str, bytes: &[u8]) -> Result<(TrackId, Rev), VaultError> {
    let (id, rev) = (id_of(name), rev_of(bytes));
    let stage = writer.stage()?;
    let facts = |rendition| RenditionRecord {
        rendition,
        bytes: bytes.len() as u64,
        sha256: Digest::of(bytes),
        head_bytes: bytes.len() as u64,
        average_bps: 1000,
        duration_ms: 1000,
    };
    let renditions: Vec<_> = Rendition::ALL.into_iter().map(facts).collect();
    for facts in &renditions {
        let path = stage.dir().join(facts.rendition.file_name());
        fs::write(&path, bytes).map_err(VaultError::io("writing", &path))?;
    }
    let object = |facts| ObjectRecord { facts, time_index: vec![0] };
    let pcm_sha256 = Digest::of(name.as_bytes());
    let manifest = Manifest {
        version: FORMAT_VERSION,
        id,
        rev,
        pcm_sha256,
        settings: ENCODER_SETTINGS,
        frames: 48_000,
        rate: 48_000,
        published: PUBLISHED,
        objects: renditions.iter().cloned().map(object).collect(),
    };
    let source = SourceKey::BuiltIn(name.into());
    let track = TrackRecord {
        id,
        rev,
        title: name.into(),
        artist: None,
        album: None,
        album_artist: None,
        track_no: None,
        disc_no: None,
        year: None,
        genre: None,
        isrc: None,
        duration_ms: 1000,
        loudness: LoudnessRecord::default(),
        art: None,
        renditions,
        pcm_sha256,
        source: source.clone(),
        published: PUBLISHED,
    };
    let fact = SourceFact {
        source,
        stamp: Stamp::default(),
        sha256: pcm_sha256,
        track: id,
        settings: ENCODER_SETTINGS,
        art: ArtSource::None,
    };
    let sealed = writer.seal(stage, manifest)?;
    let mut session = writer.session();
    session.place(sealed)?;
    session.append(&[Record::Track(Box::new(track)), Record::Source(fact)])?;
    Ok((id, rev))
}

/// Every rev that is visible is whole: its manifest reads, and every object in it has its digest.
pub(crate) fn assert_all_visible_is_whole(vault: &Vault) {
    for track in folders(&vault.dir().join("tracks")) {
        for rev in folders(&vault.dir().join("tracks").join(&track)) {
            let (id, rev) = (TrackId::parse(&track).unwrap(), Rev::parse(&rev).unwrap());
            let manifest = vault.manifest(&id, &rev).unwrap().expect("a visible rev has its manifest");
            assert_eq!(manifest.objects.len(), Rendition::ALL.len());
            for object in manifest.objects {
                let bytes = fs::read(vault.object_path(&id, &rev, object.facts.rendition)).unwrap();
                assert_eq!(Digest::of(&bytes), object.facts.sha256);
            }
        }
    }
}

fn folders(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// How many entries a folder has.
pub(crate) fn count(dir: &Path) -> usize {
    folders(dir).len()
}

/// A photograph of a folder, as a kill at this moment would leave it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
