//! One source, from its bytes to a published track: hash, recognise or encode, decide, publish.
//!
//! How the result is named and written down is `made`; which thread does what when is `run`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use needledrop_core::id::{Rev, TrackId};
use needledrop_media::{MediaError, PcmSource, Tags, Transcoded};

use super::BuiltIn;
use super::made::{Made, rev_of};
use super::report::{Event, Fatal, Outcome};
use super::run::{Run, disk_full, locked};
use crate::art::ArtId;
use crate::digest::Digest;
use crate::durable::is_disk_full;
use crate::library::Library;
use crate::record::{ArtSource, ENCODER_SETTINGS, Record, SourceFact, SourceKey, Stamp, TrackRecord};
use crate::vault::VaultError;
use crate::writer::{Session, Stage};

/// The largest picture beside a file that is read, in bytes; print-quality covers stay below.
const COVER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What six renditions take together, in bytes per second of audio: twice 96, 160 and 320 kbit/s.
const BYTES_PER_SECOND: f64 = 144_000.0;

/// A source that is due.
pub(crate) struct Job {
    /// Place in the order of the run; among equal sounds the earlier wins.
    pub(crate) index: usize,
    pub(crate) key: SourceKey,
    pub(crate) stamp: Stamp,
    /// The picture beside it, for when it has none inside.
    pub(crate) cover: ArtSource,
    pub(crate) material: Material,
}

pub(crate) enum Material {
    File(PathBuf),
    /// Taken when its work begins; there is no second attempt.
    BuiltIn(Option<BuiltIn>),
    /// The file is as it was; only the picture beside it is not.
    OnlyArt,
}

/// Why a job did not end in an [`Outcome`] of its own.
pub(crate) enum WorkError {
    Stopped,
    Failed(String),
    /// Another thread is encoding the same bytes.
    CopyOf(Digest),
    /// No space in the vault; the bytes that the whole track needs, where known.
    DiskFull(Option<u64>),
    Vault(VaultError),
}

impl WorkError {
    /// The end of the whole run, if this is one. Asked when the job's leftovers are gone.
    pub(crate) fn into_fatal(self, run: &Run<'_>) -> Option<Fatal> {
        match self {
            WorkError::DiskFull(needed_bytes) => Some(disk_full(run, needed_bytes)),
            WorkError::Vault(error) => Some(Fatal::Vault(error)),
            WorkError::Stopped | WorkError::Failed(_) | WorkError::CopyOf(_) => None,
        }
    }
}

impl From<VaultError> for WorkError {
    fn from(error: VaultError) -> WorkError {
        if is_disk_full(&error) { WorkError::DiskFull(None) } else { WorkError::Vault(error) }
    }
}

impl From<MediaError> for WorkError {
    fn from(error: MediaError) -> WorkError {
        match error {
            MediaError::Stopped => WorkError::Stopped,
            error if is_disk_full(&error) => WorkError::DiskFull(None),
            error => WorkError::Failed(error.to_string()),
        }
    }
}

/// What to do with a sound, given what the library has under its id.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Make this rev the track.
    Publish,
    /// The objects are there; the track's facts are this source's to state.
    Restate,
    /// Another source was first and is still there.
    Yield,
}

/// Seconds of audio in a file, where its headers say so.
pub(crate) fn seconds_of(path: &Path) -> Option<f64> {
    seconds_hint(&needledrop_media::open(path).ok()?.decoder)
}

fn seconds_hint(pcm: &dyn PcmSource) -> Option<f64> {
    Some(pcm.total_frames_hint()? as f64 / f64::from(pcm.format().rate.max(1)))
}

/// Unix seconds. A shell owns the clock; nothing is decided by it, it is only written down.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Job {
    pub(crate) fn work(&mut self, run: &Run<'_>) -> Result<Outcome, WorkError> {
        if run.is_halted() {
            return Err(WorkError::Stopped);
        }
        match &mut self.material {
            Material::OnlyArt => self.new_art(run),
            Material::File(path) => {
                let path = path.clone();
                self.work_file(run, &path)
            }
            Material::BuiltIn(source) => {
                let source = source.take().expect("a built-in source is worked on once");
                self.work_built_in(run, source)
            }
        }
    }

    fn work_file(&self, run: &Run<'_>, path: &Path) -> Result<Outcome, WorkError> {
        if self.stamp.bytes == 0 {
            return Err(WorkError::Failed("empty file".into()));
        }
        let sha256 = self.hash(run, path)?;
        if let Some(outcome) = self.recognise(run, sha256)? {
            return Ok(outcome);
        }
        if !run.claim(sha256) {
            return Err(WorkError::CopyOf(sha256));
        }
        let _claim = Claim { run, sha256 };
        // The thread that had the claim a moment ago may have published it.
        if let Some(outcome) = self.recognise(run, sha256)? {
            return Ok(outcome);
        }
        let mut source = needledrop_media::open(path)?;
        let picture = source.picture.take().map(|picture| picture.bytes);
        let (stage, transcoded) = self.encode(run, &mut source.decoder, &source.tags)?;
        self.refuse_changed(path)?;
        let (art, art_source) = self.put_art(run, picture)?;
        self.conclude(run, stage, transcoded, source.tags, sha256, art, art_source)
    }

    fn work_built_in(&self, run: &Run<'_>, source: BuiltIn) -> Result<Outcome, WorkError> {
        let version = source.version.to_le_bytes();
        let sha256 = Digest::of_parts(&[b"built-in", source.name.as_bytes(), &version]);
        let mut sound = (source.make)()?;
        let (stage, transcoded) = self.encode(run, &mut *sound.pcm, &source.tags)?;
        let (art, art_source) = self.put_art(run, sound.picture)?;
        self.conclude(run, stage, transcoded, source.tags, sha256, art, art_source)
    }

    fn hash(&self, run: &Run<'_>, path: &Path) -> Result<Digest, WorkError> {
        let failed = |error: std::io::Error| WorkError::Failed(format!("cannot be read: {error}"));
        let mut file = File::open(path).map_err(failed)?;
        let hashed = Digest::of_reader(&mut file, &|| !run.is_halted()).map_err(failed)?;
        self.refuse_changed(path)?;
        hashed.ok_or(WorkError::Stopped)
    }

    /// What was read must be what was statted, or the stamp would vouch for other bytes.
    fn refuse_changed(&self, path: &Path) -> Result<(), WorkError> {
        match fs::metadata(path) {
            Ok(metadata) if Stamp::of(&metadata) == self.stamp => Ok(()),
            Ok(_) => Err(WorkError::Failed("it changed while it was being read; ingest it again".into())),
            Err(error) => Err(WorkError::Failed(format!("it went away while it was being read: {error}"))),
        }
    }

    fn encode(&self, run: &Run<'_>, pcm: &mut dyn PcmSource, tags: &Tags) -> Result<(Stage, Transcoded), WorkError> {
        let seconds = seconds_hint(pcm);
        (run.events)(Event::Started { source: &self.key, seconds });
        let rate = f64::from(pcm.format().rate.max(1));
        let progress = |frames: u64| {
            run.is_halted();
            (run.events)(Event::Progress { source: &self.key, seconds: frames as f64 / rate });
        };
        let stage = run.writer.stage()?;
        let transcoded = run.transcoder.run(pcm, tags, stage.dir(), &progress, &run.halt);
        match transcoded {
            Ok(transcoded) => {
                run.count_decoded();
                if transcoded.damaged_packets > 0 {
                    let packets = transcoded.damaged_packets;
                    tracing::warn!(source = %self.key, packets, "damaged packets became silence");
                }
                Ok((stage, transcoded))
            }
            Err(error) if is_disk_full(&error) => {
                Err(WorkError::DiskFull(seconds.map(|seconds| (seconds * BYTES_PER_SECOND) as u64)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the picture inside the file, or else the one beside it, into the vault. A picture that
    /// cannot be used is no reason to refuse the sound.
    fn put_art(&self, run: &Run<'_>, embedded: Option<Vec<u8>>) -> Result<(Option<ArtId>, ArtSource), WorkError> {
        if let Some(picture) = embedded
            && let Some(art) = put_picture(run, &picture, &self.key)?
        {
            return Ok((Some(art), ArtSource::Embedded));
        }
        Ok((self.put_cover(run)?, self.cover.clone()))
    }

    fn put_cover(&self, run: &Run<'_>) -> Result<Option<ArtId>, WorkError> {
        let ArtSource::Folder { path, .. } = &self.cover else {
            return Ok(None);
        };
        let Some(file) = path.path().and_then(|path| File::open(path).ok()) else {
            return Ok(None);
        };
        let mut picture = Vec::new();
        if file.take(COVER_BYTES_MAX).read_to_end(&mut picture).is_err() {
            return Ok(None);
        }
        put_picture(run, &picture, path)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of Made, joined here once")]
    fn conclude(
        &self,
        run: &Run<'_>,
        stage: Stage,
        transcoded: Transcoded,
        tags: Tags,
        sha256: Digest,
        art: Option<ArtId>,
        art_source: ArtSource,
    ) -> Result<Outcome, WorkError> {
        let id = TrackId::from_digest(&transcoded.pcm_sha256);
        let rev = rev_of(&transcoded, &tags);
        let made = Made { id, rev, sha256, tags, transcoded, art, art_source, stage };
        // Bytes that the six objects really need, for the message when they do not fit.
        let needed = made.transcoded.renditions.iter().map(|file| file.bytes).sum();
        self.publish(run, made).map_err(|error| match error {
            WorkError::DiskFull(None) => WorkError::DiskFull(Some(needed)),
            other => other,
        })
    }

    fn publish(&self, run: &Run<'_>, made: Made) -> Result<Outcome, WorkError> {
        let published = now();
        let fact = self.fact(made.sha256, made.id, made.art_source.clone());
        let outcome = Outcome::Encoded { id: made.id, rev: made.rev, seconds: made.seconds() };
        let record = made.record(self.key.clone(), published);
        let mut session = run.writer.session();
        if self.verdict(run, session.library(), made.id, made.rev) == Verdict::Publish {
            // Syncing takes long: let the others decide meanwhile, and decide again afterwards.
            drop(session);
            let sealed = made.seal(run, published)?;
            session = run.writer.session();
            if self.verdict(run, session.library(), record.id, record.rev) == Verdict::Publish {
                session.place(sealed)?;
                let outdated = self.outdated(session.library(), record.id);
                self.append(run, &mut session, record, fact)?;
                drop(session);
                if let Some(outdated) = outdated {
                    run.writer.remove(&outdated)?;
                }
                return Ok(outcome);
            }
        }
        if self.verdict(run, session.library(), record.id, record.rev) == Verdict::Restate {
            let id = record.id;
            self.append(run, &mut session, record, fact)?;
            return Ok(Outcome::Recognised { id });
        }
        let id = record.id;
        session.append(&[Record::Source(fact)])?;
        Ok(Outcome::SameSound { id })
    }

    /// The track that an earlier version of a built-in source was. Nobody else's: what a file was
    /// is never deleted.
    fn outdated(&self, library: &Library, new: TrackId) -> Option<TrackId> {
        if self.key.path().is_some() {
            return None;
        }
        let old = library.source(&self.key)?.track;
        let is_ours = library.get(&old).is_some_and(|track| track.source == self.key);
        (is_ours && old != new).then_some(old)
    }

    /// Writes down a track that is this job's to state.
    fn append(
        &self,
        run: &Run<'_>,
        session: &mut Session<'_>,
        record: TrackRecord,
        fact: SourceFact,
    ) -> Result<(), VaultError> {
        let id = record.id;
        session.append(&[Record::Track(Box::new(record)), Record::Source(fact)])?;
        locked(&run.published).insert(id, self.index);
        Ok(())
    }

    fn verdict(&self, run: &Run<'_>, library: &Library, id: TrackId, rev: Rev) -> Verdict {
        match library.get(&id) {
            None => Verdict::Publish,
            Some(track) if !self.may_state(run, library, track) => Verdict::Yield,
            Some(track) if track.rev == rev => Verdict::Restate,
            Some(_) => Verdict::Publish,
        }
    }

    /// Whether this source speaks for a track: it is the track's own source, or that one is gone,
    /// or that one came later in this very run (workers finish in any order, the result must not).
    fn may_state(&self, run: &Run<'_>, library: &Library, track: &TrackRecord) -> bool {
        if track.source == self.key {
            return true;
        }
        if let Some(index) = locked(&run.published).get(&track.id) {
            return self.index < *index;
        }
        let is_known = library.source(&track.source).is_some_and(|fact| fact.track == track.id);
        let is_there = track.source.path().is_none_or(Path::exists);
        !(is_known && is_there)
    }

    /// Ends the job without encoding when files with the same bytes were taken in before.
    fn recognise(&self, run: &Run<'_>, sha256: Digest) -> Result<Option<Outcome>, WorkError> {
        let session = run.writer.session();
        let Some(twin) = find_twin(session.library(), &sha256) else {
            return Ok(None);
        };
        drop(session);
        let has_inner_art = twin.art == ArtSource::Embedded;
        let art_source = if has_inner_art { ArtSource::Embedded } else { self.cover.clone() };
        let art = if has_inner_art { None } else { self.put_cover(run)? };

        let mut session = run.writer.session();
        let library = session.library();
        let Some(track) = library.get(&twin.track).cloned() else {
            return Ok(None);
        };
        let is_mine = self.may_state(run, library, &track);
        let fact = self.fact(sha256, track.id, art_source);
        let mut records: Vec<Record> = moved_away(library, &sha256, &self.key);
        records.push(Record::Source(fact));
        if is_mine {
            let mut track = (*track).clone();
            track.source = self.key.clone();
            track.art = if has_inner_art { track.art } else { art };
            records.push(Record::Track(Box::new(track)));
        }
        session.append(&records)?;
        if is_mine {
            locked(&run.published).insert(track.id, self.index);
        }
        Ok(Some(Outcome::Recognised { id: track.id }))
    }

    /// Takes up a changed picture beside a file that is otherwise as it was.
    fn new_art(&self, run: &Run<'_>) -> Result<Outcome, WorkError> {
        let art = self.put_cover(run)?;
        let mut session = run.writer.session();
        let library = session.library();
        let Some(mut fact) = library.source(&self.key).cloned() else {
            return Err(WorkError::Failed("it was removed from the library meanwhile".into()));
        };
        let id = fact.track;
        fact.art = self.cover.clone();
        let mut records = vec![Record::Source(fact)];
        if let Some(track) = library.get(&id).filter(|track| track.source == self.key && track.art != art) {
            let mut track = (**track).clone();
            track.art = art;
            records.push(Record::Track(Box::new(track)));
        }
        session.append(&records)?;
        Ok(Outcome::NewArt { id })
    }

    fn fact(&self, sha256: Digest, track: TrackId, art: ArtSource) -> SourceFact {
        SourceFact { source: self.key.clone(), stamp: self.stamp, sha256, track, settings: ENCODER_SETTINGS, art }
    }
}

/// Gives a claim back, also when the encoder panicked.
struct Claim<'a, 'b> {
    run: &'a Run<'b>,
    sha256: Digest,
}

impl Drop for Claim<'_, '_> {
    fn drop(&mut self) {
        self.run.release(self.sha256);
    }
}

fn find_twin(library: &Library, sha256: &Digest) -> Option<SourceFact> {
    let is_usable = |fact: &SourceFact| fact.settings == ENCODER_SETTINGS && library.get(&fact.track).is_some();
    library.sources_with(sha256).into_iter().find(is_usable)
}

/// Facts about files with these bytes that are no longer where they were.
fn moved_away(library: &Library, sha256: &Digest, new: &SourceKey) -> Vec<Record> {
    let twins = library.sources_with(sha256).into_iter().filter(|fact| fact.source != *new);
    let gone = twins.filter(|fact| fact.source.path().is_some_and(|path| !path.exists()));
    gone.map(|fact| Record::Forgotten { source: fact.source }).collect()
}

fn put_picture(run: &Run<'_>, picture: &[u8], source: &SourceKey) -> Result<Option<ArtId>, WorkError> {
    let art = ArtId::of_picture(picture);
    if run.writer.vault().art_dir(&art).is_dir() {
        return Ok(Some(art));
    }
    let images = match needledrop_media::artwork(picture) {
        Ok(images) => images,
        Err(error) => {
            tracing::warn!(%source, %error, "picture left out");
            return Ok(None);
        }
    };
    let images = images.each_ref().map(|image| (image.px, image.jpeg.as_slice()));
    run.writer.put_art(art, &images, now())?;
    Ok(Some(art))
}
