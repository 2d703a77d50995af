//! The library: the journal folded into a list of published tracks.
//!
//! Any number of processes may follow a library while one writer adds to it; [`Library::refresh`]
//! costs one stat when nothing was added. A line that cannot be read is skipped and named in
//! [`Library::damage`]: one bad line does not take the other tracks away.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use needledrop_core::id::{Rev, TrackId};

use crate::digest::Digest;
use crate::journal::{Followed, Follower, Line};
use crate::record::{FORMAT_VERSION, Record, SourceFact, SourceKey, Superseded, TrackRecord};
use crate::vault::{Vault, VaultError};

/// The published tracks of a vault, as far as the journal was read.
#[derive(Debug)]
pub struct Library {
    vault: Vault,
    follower: Follower,
    /// In order of first publication; `None` where a track was removed.
    tracks: Vec<Option<Arc<TrackRecord>>>,
    places: HashMap<TrackId, usize>,
    sources: HashMap<SourceKey, SourceFact>,
    /// Which sources had which bytes; kept in step with `sources`.
    by_bytes: HashMap<Digest, BTreeSet<SourceKey>>,
    /// Revs that no listing names any more and that lie on the disk, oldest first.
    superseded: Vec<Superseded>,
    damage: Vec<Damage>,
}

/// A journal line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Line of `library.jsonl`, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Library {
    /// Reads the library of a vault. A folder without a journal is an empty library.
    ///
    /// # Errors
    /// When the journal cannot be read or was written by a later version of this program.
    pub fn open(vault: &Vault) -> Result<Library, VaultError> {
        let mut library = Library {
            vault: vault.clone(),
            follower: Follower::new(vault.journal_path()),
            tracks: Vec::new(),
            places: HashMap::new(),
            sources: HashMap::new(),
            by_bytes: HashMap::new(),
            superseded: Vec::new(),
            damage: Vec::new(),
        };
        library.refresh()?;
        Ok(library)
    }

    /// The vault this is the list of; it has the manifests with the time indexes.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// All tracks, in order of first publication.
    pub fn list(&self) -> impl Iterator<Item = &Arc<TrackRecord>> {
        self.tracks.iter().flatten()
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.list().count()
    }

    /// Whether there is no track.
    pub fn is_empty(&self) -> bool {
        self.list().next().is_none()
    }

    /// One track.
    pub fn get(&self, id: &TrackId) -> Option<&Arc<TrackRecord>> {
        self.tracks[*self.places.get(id)?].as_ref()
    }

    /// Journal lines that could not be read.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Takes up what was added since. Returns whether anything was. One stat when not.
    ///
    /// # Errors
    /// As for [`Library::open`].
    pub fn refresh(&mut self) -> Result<bool, VaultError> {
        let path = self.vault.journal_path();
        let followed = self.follower.follow().map_err(VaultError::io("reading", &path))?;
        let lines = match followed {
            Followed::Same => return Ok(false),
            Followed::More(lines) => lines,
            Followed::Anew(lines) => {
                self.tracks.clear();
                self.places.clear();
                self.sources.clear();
                self.by_bytes.clear();
                self.superseded.clear();
                self.damage.clear();
                lines
            }
        };
        for line in lines {
            self.take_line(line)?;
        }
        Ok(true)
    }

    fn take_line(&mut self, line: Line) -> Result<(), VaultError> {
        let parsed = match &line.text {
            None => Err("longer than any record, or not UTF-8".to_owned()),
            Some(text) => serde_json::from_str::<Record>(text).map_err(|error| error.to_string()),
        };
        match parsed {
            Ok(Record::Library { version }) if version > FORMAT_VERSION => {
                Err(VaultError::TooNew { path: self.vault.journal_path(), found: version })
            }
            Ok(record) => {
                self.apply(record);
                Ok(())
            }
            Err(reason) => {
                tracing::warn!(line = line.number, reason, "library.jsonl: line skipped");
                self.damage.push(Damage { line: line.number, reason });
                Ok(())
            }
        }
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Library { .. } => {}
            Record::Track(track) => self.put(*track),
            Record::Source(fact) => {
                self.forget(&fact.source);
                self.by_bytes.entry(fact.sha256).or_default().insert(fact.source.clone());
                self.sources.insert(fact.source.clone(), fact);
            }
            Record::Forgotten { source } => self.forget(&source),
            Record::Superseded(old) => self.superseded.push(old),
            Record::Swept { id, rev } => self.revive(&id, &rev),
            Record::Removed { id } => {
                self.superseded.retain(|old| old.id != id);
                if let Some(place) = self.places.remove(&id) {
                    self.tracks[place] = None;
                }
                let of_track = self.sources.values().filter(|fact| fact.track == id);
                let gone: Vec<_> = of_track.map(|fact| fact.source.clone()).collect();
                gone.iter().for_each(|source| self.forget(source));
            }
        }
    }

    fn forget(&mut self, source: &SourceKey) {
        let Some(fact) = self.sources.remove(source) else {
            return;
        };
        if let Some(twins) = self.by_bytes.get_mut(&fact.sha256) {
            twins.remove(source);
            if twins.is_empty() {
                self.by_bytes.remove(&fact.sha256);
            }
        }
    }

    fn put(&mut self, track: TrackRecord) {
        let next = self.tracks.len();
        let place = *self.places.entry(track.id).or_insert(next);
        if place == next {
            self.tracks.push(None);
        }
        // A track that is retagged back has its earlier rev again.
        self.revive(&track.id, &track.rev);
        if let Some(old) = self.tracks[place].as_ref().filter(|old| old.rev != track.rev) {
            self.superseded.push(Superseded { id: old.id, rev: old.rev, at: track.published });
        }
        self.tracks[place] = Some(Arc::new(track));
    }

    fn revive(&mut self, id: &TrackId, rev: &Rev) {
        self.superseded.retain(|old| old.id != *id || old.rev != *rev);
    }

    /// Revs that gave way to others and lie on the disk.
    pub(crate) fn superseded(&self) -> &[Superseded] {
        &self.superseded
    }

    /// What is known of a source.
    pub(crate) fn source(&self, key: &SourceKey) -> Option<&SourceFact> {
        self.sources.get(key)
    }

    /// All known sources, in no order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceFact> {
        self.sources.values()
    }

    /// The sources that had these bytes, in order of their names.
    pub(crate) fn sources_with(&self, sha256: &Digest) -> Vec<SourceFact> {
        let twins = self.by_bytes.get(sha256).into_iter().flatten();
        twins.filter_map(|source| self.sources.get(source)).cloned().collect()
    }

    /// Where the last complete line ends, in bytes.
    pub(crate) fn complete_bytes(&self) -> u64 {
        self.follower.offset()
    }

    /// Lines that later lines have made void.
    pub(crate) fn dead_lines(&self) -> u64 {
        let live = 1 + self.len() + self.sources.len() + self.superseded.len() + self.damage.len();
        self.follower.lines().saturating_sub(live as u64)
    }

    /// Lines in the journal.
    pub(crate) fn lines(&self) -> u64 {
        self.follower.lines()
    }

    /// The records that say the same in as few lines as possible.
    pub(crate) fn compacted(&self) -> Vec<Record> {
        let mut records = vec![Record::Library { version: FORMAT_VERSION }];
        records.extend(self.list().map(|track| Record::Track(Box::new((**track).clone()))));
        let mut facts: Vec<_> = self.sources.values().cloned().collect();
        facts.sort_by(|a, b| a.source.cmp(&b.source));
        records.extend(facts.into_iter().map(Record::Source));
        records.extend(self.superseded.iter().copied().map(Record::Superseded));
        records
    }
}
