//! Search over the names of everything in the catalog, in memory.
//!
//! [`Index`] takes [`Document`]s and answers each keystroke with [`Hit`]s in an order that [`Score`] explains. A name is
//! found with slips of the finger and the ear, without its accents, with its words joined, split or in another order,
//! and before it is typed to the end; plays lift it, but never above a name that was typed exactly.
//!
//! Inside: `fold` makes words of names, `vocabulary` and `trie` find words near the typed ones, `posts` are
//! the documents of a word, `table` holds all of them, `plan` says what words may stand for what was typed, `find` goes through the documents and
//! `judge` gives each its score. Nothing is stored: the catalog's store is the truth, and an index is loaded from it.

mod find;
mod fold;
mod index;
mod judge;
mod letters;
mod plan;
mod posts;
pub mod score;
mod shards;
mod sieve;
mod slip;
mod table;
mod trie;
mod vocabulary;

pub use find::{DEPTH_MAX, Found, Hit, Matches, QUERY_CHARS_MAX};
pub use fold::is_same_name;
pub use index::{BATCH, Full, Index};
pub use score::Score;
pub use table::{ALIASES_MAX, DOCUMENTS_MAX};

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A person or a band.
    Artist,
    /// An album or a single.
    Release,
    /// A recording.
    Track,
    /// A list that people made.
    Playlist,
    /// A podcast.
    Show,
    /// One piece of a podcast.
    Episode,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Artist, Self::Release, Self::Track, Self::Playlist, Self::Show, Self::Episode];
}

/// Some of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self(0b11_1111);

    /// These kinds.
    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |bits, &kind| bits | 1 << kind as u8))
    }

    /// Whether a kind is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// Identity of a document: the 22 characters of the catalog's ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId([u8; 22]);

/// The text is not 22 base62 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 22 base62 characters")]
pub struct NoDocId;

impl DocId {
    /// Exactly 22 base62 characters.
    pub fn parse(text: &str) -> Result<Self, NoDocId> {
        let bytes: [u8; 22] = text.as_bytes().try_into().map_err(|_| NoDocId)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(NoDocId) }
    }

    /// The 22 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base62 characters")
    }
}

impl std::fmt::Debug for DocId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DocId({})", self.as_str())
    }
}

macro_rules! from_catalog_id {
    ($($id:ident),*) => {$(
        impl From<needledrop_core::$id> for DocId {
            fn from(id: needledrop_core::$id) -> Self {
                Self::parse(id.as_str()).expect("catalog ids are 22 base62 characters")
            }
        }
    )*};
}
from_catalog_id!(ArtistId, ReleaseId, TrackId, PlaylistId, ShowId, EpisodeId);

/// Something to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: DocId,
    /// As it is shown.
    pub name: String,
    /// Other names people look for; the first [`ALIASES_MAX`] count.
    pub aliases: Vec<String>,
    /// Who performs it: words of these names find it too.
    pub by: Vec<String>,
    /// How often it was played.
    pub plays: u64,
}

/// What somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// As it was typed.
    pub text: &'a str,
    /// What to look for.
    pub kinds: Kinds,
    /// How many hits to give.
    pub limit: usize,
    /// How many of the first to leave out.
    pub offset: usize,
    /// Whether the last word may be unfinished, as on each keystroke.
    pub is_prefix: bool,
}

impl<'a> Query<'a> {
    /// A keystroke: ten hits of all kinds.
    pub fn typeahead(text: &'a str) -> Self {
        Self { text, kinds: Kinds::ALL, limit: 10, offset: 0, is_prefix: true }
    }

    /// A finished query.
    pub fn full(text: &'a str, kinds: Kinds, limit: usize) -> Self {
        Self { text, kinds, limit, offset: 0, is_prefix: false }
    }
}
