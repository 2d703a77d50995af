//! The catalog's names in the search index, kept in step.
//!
//! What was given to the index is remembered by a fingerprint, so that a second look at an unchanged library changes
//! nothing, and what has gone is taken out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use needledrop_catalog::model::{ArtistName, Track};
use needledrop_catalog::search::{DocId, Document, Index, Kind};
use needledrop_catalog::{Catalog, Change};

/// Documents that are given to the index in one go.
const BATCH: usize = 4_096;

/// The index and what it was given.
pub struct Documents {
    index: Arc<Index>,
    known: Mutex<HashMap<(Kind, DocId), u64>>,
}

/// What a look at the catalog did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Documents that are new or have changed.
    pub put: usize,
    /// Documents that have gone.
    pub removed: usize,
}

impl Documents {
    /// For an index without documents.
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, known: Mutex::default() }
    }

    /// Makes the index agree with the catalog.
    ///
    /// # Errors
    /// The catalog cannot be read, or the index is full: in words.
    pub async fn follow(&self, catalog: &Catalog) -> Result<Indexed, String> {
        let mut before = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let mut now = HashMap::with_capacity(before.len());
        let mut fresh = Vec::new();
        let mut indexed = Indexed::default();
        let mut full = None;
        let exported = catalog
            .export(|change| {
                let Some(document) = document(&change) else { return ControlFlow::Continue(()) };
                let place = (document.kind, document.id);
                let print = fingerprint(&document);
                if before.remove(&place) != Some(print) {
                    fresh.push(document);
                }
                now.insert(place, print);
                if fresh.len() < BATCH {
                    return ControlFlow::Continue(());
                }
                match self.put(&mut fresh, &mut indexed) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(why) => {
                        full = Some(why);
                        ControlFlow::Break(())
                    }
                }
            })
            .await;
        let outcome = match (exported, full) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(()), Some(why)) => Err(why),
            (Ok(()), None) => self.put(&mut fresh, &mut indexed),
        };
        if let Err(why) = outcome {
            // What was not seen this time may be there all the same.
            now.extend(before);
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = now;
            return Err(why);
        }
        for (kind, id) in before.into_keys() {
            self.index.remove(kind, &id);
            indexed.removed += 1;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(indexed)
    }

    /// Gives the index what these changes put and takes out what they take away, at once: what the catalog has just been
    /// changed by. A look at the whole catalog that is under way at the same time may find a document anew; the next one
    /// puts right what it does not know of.
    ///
    /// # Errors
    /// The index is full: in words.
    pub fn tell(&self, changes: &[Change]) -> Result<(), String> {
        let documents: Vec<Document> = changes.iter().filter_map(document).collect();
        self.index.load(documents.iter()).map_err(|full| full.to_string())?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(documents.iter().map(|document| ((document.kind, document.id), fingerprint(document))));
        for place in changes.iter().filter_map(removed) {
            self.index.remove(place.0, &place.1);
            known.remove(&place);
        }
        Ok(())
    }

    fn put(&self, fresh: &mut Vec<Document>, indexed: &mut Indexed) -> Result<(), String> {
        self.index.load(fresh.iter()).map_err(|full| full.to_string())?;
        indexed.put += fresh.len();
        fresh.clear();
        Ok(())
    }
}

fn fingerprint(document: &Document) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&document.name, &document.aliases, &document.by, document.plays).hash(&mut hasher);
    hasher.finish()
}

/// What people may look for, of what a change puts.
fn document(change: &Change) -> Option<Document> {
    let id = |text: &str| DocId::parse(text).expect("the catalog's ids are of this form");
    Some(match change {
        Change::Artist(artist) => Document {
            kind: Kind::Artist,
            id: id(artist.id.as_str()),
            name: artist.name.clone(),
            aliases: artist.aliases.clone(),
            by: Vec::new(),
            plays: artist.plays,
        },
        Change::Release(release) => Document {
            kind: Kind::Release,
            id: id(release.id.as_str()),
            name: release.title.clone(),
            aliases: Vec::new(),
            by: names(&release.artists),
            plays: release.plays,
        },
        Change::Track(track) => of_track(track, id(track.id.as_str())),
        Change::Show(show) => Document {
            kind: Kind::Show,
            id: id(show.id.as_str()),
            name: show.title.clone(),
            aliases: Vec::new(),
            by: vec![show.publisher.clone()],
            plays: 0,
        },
        Change::Episode(episode) => Document {
            kind: Kind::Episode,
            id: id(episode.id.as_str()),
            name: episode.title.clone(),
            aliases: Vec::new(),
            by: Vec::new(),
            plays: 0,
        },
        _ => return None,
    })
}

/// What a change takes away.
fn removed(change: &Change) -> Option<(Kind, DocId)> {
    match change {
        Change::RemoveShow { id } => Some((Kind::Show, DocId::from(*id))),
        Change::RemoveEpisode { id } => Some((Kind::Episode, DocId::from(*id))),
        _ => None,
    }
}

fn of_track(track: &Track, id: DocId) -> Document {
    Document {
        kind: Kind::Track,
        id,
        name: track.title.clone(),
        aliases: Vec::new(),
        by: names(&track.artists),
        plays: track.plays,
    }
}

fn names(artists: &[ArtistName]) -> Vec<String> {
    artists.iter().map(|artist| artist.name.clone()).collect()
}
