//! What an ingest says while it runs and when it is over. Plain values; printing is the caller's.

use std::path::PathBuf;

use needledrop_core::id::{Rev, TrackId};
use serde::Serialize;

use crate::record::SourceKey;
use crate::vault::VaultError;

/// Something happened. Sent from several threads, so the receiver must be quick.
#[derive(Debug)]
pub enum Event<'a> {
    /// The folders were walked.
    Found {
        /// Candidates in all.
        files: usize,
        /// Of which so many are not as they were last time, and have to be read.
        due: usize,
    },
    /// The length of a due source became known (it may still turn out to need no encoding).
    Sized {
        /// Which.
        source: &'a SourceKey,
        /// Seconds of audio.
        seconds: f64,
    },
    /// Encoding began.
    Started {
        /// Which.
        source: &'a SourceKey,
        /// Seconds of audio, where the file says so.
        seconds: Option<f64>,
    },
    /// Encoding goes on.
    Progress {
        /// Which.
        source: &'a SourceKey,
        /// Seconds of audio encoded so far.
        seconds: f64,
    },
    /// A due source is done with, one way or the other.
    Settled {
        /// Which.
        source: &'a SourceKey,
        /// Which way.
        outcome: &'a Outcome,
    },
}

/// How a due source ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Six renditions were made and published.
    Encoded {
        /// The track.
        id: TrackId,
        /// Its new rev.
        rev: Rev,
        /// Seconds of audio encoded.
        seconds: f64,
    },
    /// The bytes are known under another name: a moved or copied file.
    Recognised {
        /// The track.
        id: TrackId,
    },
    /// It sounds exactly like a track that is there already, which stays as it is.
    SameSound {
        /// That track.
        id: TrackId,
    },
    /// Only the artwork beside the file is new.
    NewArt {
        /// The track.
        id: TrackId,
    },
    /// It could not be taken in.
    Failed {
        /// Why, in words for its owner.
        reason: String,
    },
    /// The run was stopped first.
    Stopped,
}

/// A file that could not be taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which, as text for people.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// What stopped a whole run.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// No space, or no quota, left in the vault's folder.
    #[error("{}", disk_full_text(dir, *needed_bytes, *free_bytes))]
    DiskFull {
        /// The vault's folder.
        dir: PathBuf,
        /// What the track that did not fit needs, in bytes: exact where its renditions were done, estimated from its length otherwise.
        needed_bytes: Option<u64>,
        /// What was free after its own leftovers were removed, in bytes.
        free_bytes: Option<u64>,
    },
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn disk_full_text(dir: &std::path::Path, needed: Option<u64>, free: Option<u64>) -> String {
    let mut text = format!("no space left in {}", dir.display());
    if let Some(needed) = needed {
        text += &format!(": the track that did not fit needs about {needed} bytes");
    }
    if let Some(free) = free {
        text += &format!(", {free} are free now that unfinished work is removed");
    }
    text
}

/// The sum of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Candidates that were found.
    pub found: usize,
    /// Files that are as they were last time.
    pub unchanged: usize,
    /// Sources that were encoded and published.
    pub encoded: usize,
    /// Moved or copied files, recognised by their bytes.
    pub recognised: usize,
    /// Files that sound exactly like another track.
    pub same_sound: usize,
    /// Tracks that only got new artwork.
    pub new_art: usize,
    /// What could not be taken in.
    pub failed: Vec<Failure>,
    /// Sources that were due and not reached, because the run was stopped.
    pub not_reached: usize,
    /// Files taken in earlier, in the folders of this run, that are no longer there. Their tracks stay.
    pub vanished: usize,
    /// Whether the caller stopped the run.
    pub stopped: bool,
    /// Seconds of audio that were encoded.
    pub encoded_seconds: f64,
    /// Sound files decoded to their end, published or not: what the work really was.
    pub decoded: usize,
    /// Lines of `library.jsonl` that cannot be read, with the reason.
    pub damaged_lines: Vec<(u64, String)>,
    /// What ended the run early.
    #[serde(serialize_with = "as_text")]
    pub fatal: Option<Fatal>,
}

fn as_text<S: serde::Serializer>(fatal: &Option<Fatal>, serializer: S) -> Result<S::Ok, S::Error> {
    fatal.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Report {
    /// 0 when all is in the library, 1 when some files failed, 2 when the run could not go on, 130 when it was stopped.
    pub fn exit_code(&self) -> u8 {
        match self {
            Report { fatal: Some(_), .. } => 2,
            Report { stopped: true, .. } => 130,
            Report { failed, .. } if !failed.is_empty() => 1,
            _ => 0,
        }
    }

    /// Counts one settled source.
    pub(crate) fn count(&mut self, source: &SourceKey, outcome: &Outcome) {
        match outcome {
            Outcome::Encoded { seconds, .. } => {
                self.encoded += 1;
                self.encoded_seconds += seconds;
            }
            Outcome::Recognised { .. } => self.recognised += 1,
            Outcome::SameSound { .. } => self.same_sound += 1,
            Outcome::NewArt { .. } => self.new_art += 1,
            Outcome::Failed { reason } => self.fail(source.to_string(), reason.clone()),
            Outcome::Stopped => self.not_reached += 1,
        }
    }

    pub(crate) fn fail(&mut self, source: String, reason: String) {
        self.failed.push(Failure { source, reason });
    }
}
