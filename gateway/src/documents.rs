//! The catalog's names in the search index, kept in step.
//!
//! What was given to the index is remembered by a fingerprint, so that a second look at an unchanged library changes
//! nothing, and what has gone is taken out.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use needledrop_catalog::model::{ArtistName, Track};
use needledrop_catalog::search::{DocId, Document, Index, Kind};
use needledrop_catalog::store::{IDS_MAX, Touched};
use needledrop_catalog::{Catalog, Change};

/// Documents that are given to the index in one go.
const BATCH: usize = 4_096;

/// A document, and the fingerprint of what the index has of it.
type Prints = HashMap<(Kind, DocId), u64>;

/// The index and what it was given.
pub struct Documents {
    index: Arc<Index>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    prints: Prints,
    /// What was told while a look at the whole catalog is under way, which may have read it as it was before. None
    /// while there is no such look.
    told: Option<HashSet<(Kind, DocId)>>,
}

impl Known {
    fn is_told(&self, place: &(Kind, DocId)) -> bool {
        self.told.as_ref().is_some_and(|told| told.contains(place))
    }
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

    /// Makes the index agree with the catalog. One look at a time.
    ///
    /// # Errors
    /// The catalog cannot be read, or the index is full: in words. The next look goes on from there.
    pub async fn follow(&self, catalog: &Catalog) -> Result<Indexed, String> {
        let mut look = self.begin();
        let mut full = None;
        let exported = catalog
            .export_named(|change| {
                let Some(document) = document(&change) else { return ControlFlow::Continue(()) };
                self.see(&mut look, document);
                if look.fresh.len() < BATCH {
                    return ControlFlow::Continue(());
                }
                match self.put(&mut look) {
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
            (Ok(()), None) => self.put(&mut look),
        };
        self.end(look, outcome)
    }

    /// Gives the index what these changes put and takes out what they take away, at once: what the catalog has just been
    /// changed by.
    ///
    /// # Errors
    /// The index is full: in words.
    pub fn tell(&self, changes: &[Change]) -> Result<(), String> {
        let documents: Vec<Document> = changes.iter().filter_map(document).collect();
        let gone: Vec<_> = changes.iter().filter_map(removed).collect();
        self.tell_documents(&documents, &gone).map(drop)
    }

    /// Makes the index agree with the catalog where it was touched: what others read of it stays unread.
    ///
    /// # Errors
    /// The catalog cannot be read, or the index is full: in words. Then only [`Documents::follow`] makes them agree.
    pub async fn follow_touched(&self, catalog: &Catalog, touched: &Touched) -> Result<Indexed, String> {
        if touched.artist_renamed {
            // Whoever is named by others is looked for among all.
            return self.follow(catalog).await;
        }
        let mut indexed = Indexed::default();
        macro_rules! agree {
            ($kind:expr, $ids:expr, $read:ident, $change:expr) => {
                for ids in $ids.chunks(IDS_MAX) {
                    let found = catalog.$read(ids).await.map_err(|error| error.to_string())?;
                    let there = found.iter().flatten().map(|thing| $change(Arc::unwrap_or_clone(thing.clone())));
                    let documents: Vec<Document> = there.filter_map(|change| document(&change)).collect();
                    let gone = ids.iter().zip(&found).filter(|(_, thing)| thing.is_none());
                    let gone: Vec<_> = gone.map(|(id, _)| ($kind, DocId::from(*id))).collect();
                    let told = self.tell_documents(&documents, &gone)?;
                    indexed.put += told.put;
                    indexed.removed += told.removed;
                }
            };
        }
        agree!(Kind::Artist, touched.artists, artists, Change::Artist);
        agree!(Kind::Release, touched.releases, releases, Change::Release);
        agree!(Kind::Track, touched.tracks, tracks, |track| Change::Track(Box::new(track)));
        Ok(indexed)
    }

    fn tell_documents(&self, documents: &[Document], gone: &[(Kind, DocId)]) -> Result<Indexed, String> {
        let mut known = self.known();
        let known = &mut *known;
        let mut indexed = Indexed::default();
        let is_news =
            |document: &&Document| known.prints.get(&(document.kind, document.id)) != Some(&fingerprint(document));
        let fresh: Vec<&Document> = documents.iter().filter(is_news).collect();
        self.index.load(fresh.iter().copied()).map_err(|full| full.to_string())?;
        for document in fresh {
            known.prints.insert((document.kind, document.id), fingerprint(document));
            indexed.put += 1;
        }
        for place in gone {
            self.index.remove(place.0, &place.1);
            indexed.removed += usize::from(known.prints.remove(place).is_some());
        }
        if let Some(told) = &mut known.told {
            told.extend(documents.iter().map(|document| (document.kind, document.id)).chain(gone.iter().copied()));
        }
        Ok(indexed)
    }

    fn begin(&self) -> Look {
        self.known().told = Some(HashSet::new());
        Look::default()
    }

    /// Takes note of a document, and keeps what the index does not have.
    fn see(&self, look: &mut Look, document: Document) {
        let place = (document.kind, document.id);
        look.seen.insert(place);
        if self.known().prints.get(&place) != Some(&fingerprint(&document)) {
            look.fresh.push(document);
        }
    }

    fn put(&self, look: &mut Look) -> Result<(), String> {
        let mut known = self.known();
        look.fresh.retain(|document| !known.is_told(&(document.kind, document.id)));
        self.index.load(look.fresh.iter()).map_err(|full| full.to_string())?;
        for document in look.fresh.drain(..) {
            known.prints.insert((document.kind, document.id), fingerprint(&document));
            look.indexed.put += 1;
        }
        Ok(())
    }

    /// Takes out what was not seen, if all was seen.
    fn end(&self, look: Look, outcome: Result<(), String>) -> Result<Indexed, String> {
        let Look { seen, mut indexed, .. } = look;
        let mut known = self.known();
        let told = known.told.take().unwrap_or_default();
        outcome?;
        known.prints.retain(|place, _| {
            let is_there = seen.contains(place) || told.contains(place);
            if !is_there {
                self.index.remove(place.0, &place.1);
                indexed.removed += 1;
            }
            is_there
        });
        Ok(indexed)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One look at the whole catalog.
#[derive(Default)]
struct Look {
    seen: HashSet<(Kind, DocId)>,
    /// What goes into the index next.
    fresh: Vec<Document>,
    indexed: Indexed,
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

#[cfg(test)]
mod tests {
    use super::*;
    use needledrop_catalog::search::{Kinds, Query};
    use needledrop_core::ShowId;

    fn show(n: u8, title: &str) -> Change {
        let text = |text: &str| serde_json::to_string(text).unwrap();
        let id = text(ShowId::from_digest(&[n; 32]).as_str());
        let line = format!(r#"{{"change":"show","id":{id},"title":{},"publisher":"","description":""}}"#, text(title));
        serde_json::from_str(&line).unwrap()
    }

    fn found(documents: &Documents, text: &str) -> usize {
        let query = Query { text, kinds: Kinds::of(&[Kind::Show]), limit: 10, offset: 0, is_prefix: false };
        documents.index.search(&query).hits.len()
    }

    fn look(documents: &Documents, shows: &[Change]) -> Look {
        let mut look = documents.begin();
        shows.iter().filter_map(document).for_each(|document| documents.see(&mut look, document));
        look
    }

    #[test]
    fn a_look_that_fails_leaves_nothing_out_of_the_next() {
        let documents = Documents::new(Arc::new(Index::new()));
        let shows = [show(1, "Gardening"), show(2, "Whaling")];
        let failed = look(&documents, &shows);
        assert!(documents.end(failed, Err("the database has gone".into())).is_err());
        assert_eq!(found(&documents, "gardening"), 0);
        let mut again = look(&documents, &shows);
        documents.put(&mut again).unwrap();
        assert_eq!(documents.end(again, Ok(())), Ok(Indexed { put: 2, removed: 0 }));
        assert_eq!((found(&documents, "gardening"), found(&documents, "whaling")), (1, 1));
        let less = look(&documents, &shows[..1]);
        assert_eq!(documents.end(less, Ok(())), Ok(Indexed { put: 0, removed: 1 }));
        assert_eq!(found(&documents, "whaling"), 0);
    }

    #[test]
    fn what_is_told_during_a_look_is_newer_than_what_it_read() {
        let documents = Documents::new(Arc::new(Index::new()));
        documents.tell(&[show(3, "Knitting")]).unwrap();
        let mut read_before = look(&documents, &[show(1, "Gardening"), show(2, "Whaling")]);
        documents.tell(&[show(1, "Cooking"), show(4, "Sailing")]).unwrap();
        documents.tell(&[Change::RemoveShow { id: ShowId::from_digest(&[2; 32]) }]).unwrap();
        documents.put(&mut read_before).unwrap();
        assert_eq!(documents.end(read_before, Ok(())), Ok(Indexed { put: 0, removed: 1 }));
        let there = ["gardening", "whaling", "knitting", "cooking", "sailing"].map(|text| found(&documents, text));
        assert_eq!(there, [0, 0, 0, 1, 1]);
    }
}
