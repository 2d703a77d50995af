//! The index: readers and writers of one [`Table`].
//!
//! Names are folded outside the lock; under it an insert is a few microseconds, and a load gives the lock back every
//! [`BATCH`] documents, so that a reader never waits for a whole one. What was inserted is found by the next search.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::table::{Folded, Table};
use super::{DOCUMENTS_MAX, DocId, Document, Found, Kind, Query, find};

/// How many documents a load takes in before readers have their turn: about half a millisecond.
pub const BATCH: usize = 32;

/// The index is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index holds {DOCUMENTS_MAX} documents and takes no more")]
pub struct Full;

/// All names, searchable.
pub struct Index {
    table: RwLock<Table>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// Without a document.
    pub fn new() -> Self {
        Self { table: RwLock::new(Table::new()) }
    }

    /// Takes a document in, in place of the one with its kind and id.
    pub fn insert(&self, document: &Document) -> Result<(), Full> {
        self.load(std::slice::from_ref(document))
    }

    /// Takes many documents in, as [`Index::insert`] does.
    pub fn load<'a>(&self, documents: impl IntoIterator<Item = &'a Document>) -> Result<(), Full> {
        let mut folded: Vec<Folded> = Vec::with_capacity(BATCH);
        for document in documents {
            folded.push(Folded::new(document));
            if folded.len() == BATCH {
                self.take_in(&mut folded)?;
            }
        }
        self.take_in(&mut folded)
    }

    /// Takes a document out; false if there was none.
    pub fn remove(&self, kind: Kind, id: &DocId) -> bool {
        self.write().remove(kind, id)
    }

    /// Sets how often a document was played; false if there is none. The next search knows it.
    pub fn set_plays(&self, kind: Kind, id: &DocId, plays: u64) -> bool {
        self.write().set_plays(kind, id, plays)
    }

    /// What is found, best first.
    pub fn search(&self, query: &Query<'_>) -> Found {
        find::search(&self.read(), query)
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many distinct words the names have.
    pub fn words(&self) -> usize {
        self.read().words.len()
    }

    /// How many bytes it holds, without what the allocator adds.
    pub fn memory_bytes(&self) -> usize {
        self.read().memory_bytes()
    }

    fn take_in(&self, folded: &mut Vec<Folded>) -> Result<(), Full> {
        let mut table = self.write();
        if table.len() + folded.len() > DOCUMENTS_MAX {
            return Err(Full);
        }
        folded.drain(..).for_each(|folded| table.insert(&folded));
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().expect("no change of the table panics")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().expect("no change of the table panics")
    }
}
