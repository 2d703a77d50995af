//! What was made of a source, and how it is written down: names, record, manifest.
//!
//! A track id is made from the decoded samples alone, so it stays when a file is moved, copied or
//! retagged. A rev is made from the samples, the tags, the encoder settings and the objects' own
//! digests, so no two different bytes ever share a path. Whether to publish it is `work`'s to decide.

use std::fs;

use needledrop_core::id::{Rev, TrackId};
use needledrop_media::{Tags, Transcoded};

use super::run::Run;
use crate::art::ArtId;
use crate::digest::Digest;
use crate::manifest::{Manifest, ObjectRecord};
use crate::record::{
    ArtSource, ENCODER_SETTINGS, FORMAT_VERSION, LoudnessRecord, RenditionRecord, SourceKey, TrackRecord, clip,
};
use crate::vault::VaultError;
use crate::writer::{Sealed, Stage};

/// Everything that was made of a source, before it is decided whether to publish it.
pub(super) struct Made {
    pub(super) id: TrackId,
    pub(super) rev: Rev,
    pub(super) sha256: Digest,
    pub(super) tags: Tags,
    pub(super) transcoded: Transcoded,
    pub(super) art: Option<ArtId>,
    pub(super) art_source: ArtSource,
    pub(super) stage: Stage,
}

/// A rev for these bytes, and for no others.
pub(super) fn rev_of(transcoded: &Transcoded, tags: &Tags) -> Rev {
    let tags = serde_json::to_vec(tags).expect("tags are texts and numbers");
    let settings = ENCODER_SETTINGS.to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![&transcoded.pcm_sha256, &tags, &settings];
    parts.extend(transcoded.renditions.iter().map(|file| file.sha256.as_slice()));
    Rev::from_digest(&Digest::of_parts(&parts).0)
}

impl Made {
    pub(super) fn seconds(&self) -> f64 {
        self.transcoded.frames as f64 / f64::from(self.transcoded.rate.max(1))
    }

    fn renditions(&self) -> Vec<RenditionRecord> {
        let facts = |file: &needledrop_media::RenditionFile| RenditionRecord {
            rendition: file.rendition,
            bytes: file.bytes,
            sha256: Digest(file.sha256),
            head_bytes: file.head_bytes,
            average_bps: file.average_bps,
            duration_ms: file.duration_ms,
        };
        self.transcoded.renditions.iter().map(facts).collect()
    }

    pub(super) fn record(&self, source: SourceKey, published: u64) -> TrackRecord {
        let text = |text: &Option<String>| text.as_deref().map(clip).filter(|text| !text.is_empty());
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        let loudness = &self.transcoded.loudness;
        TrackRecord {
            id: self.id,
            rev: self.rev,
            title: text(&self.tags.title).unwrap_or_else(|| clip(&source.file_stem())),
            artist: text(&self.tags.artist),
            album: text(&self.tags.album),
            album_artist: text(&self.tags.album_artist),
            track_no: self.tags.track_no,
            disc_no: self.tags.disc_no,
            year: self.tags.year,
            genre: text(&self.tags.genre),
            isrc: text(&self.tags.isrc),
            duration_ms: self.transcoded.duration_ms,
            loudness: LoudnessRecord {
                integrated_lufs: finite(loudness.integrated_lufs),
                true_peak_dbtp: finite(loudness.true_peak_dbtp),
                range_lu: finite(loudness.range_lu),
            },
            art: self.art,
            renditions: self.renditions(),
            pcm_sha256: Digest(self.transcoded.pcm_sha256),
            source,
            published,
        }
    }

    /// Gives the objects their file names and makes them durable.
    pub(super) fn seal(self, run: &Run<'_>, published: u64) -> Result<Sealed, VaultError> {
        let mut objects = Vec::new();
        for (file, facts) in self.transcoded.renditions.iter().zip(self.renditions()) {
            let place = self.stage.dir().join(facts.rendition.file_name());
            if file.file != place {
                fs::rename(&file.file, &place).map_err(VaultError::io("naming", &place))?;
            }
            objects.push(ObjectRecord { facts, time_index: file.time_index.clone() });
        }
        let manifest = Manifest {
            version: FORMAT_VERSION,
            id: self.id,
            rev: self.rev,
            pcm_sha256: Digest(self.transcoded.pcm_sha256),
            settings: ENCODER_SETTINGS,
            frames: self.transcoded.frames,
            rate: self.transcoded.rate,
            published,
            objects,
        };
        run.writer.seal(self.stage, manifest)
    }
}
