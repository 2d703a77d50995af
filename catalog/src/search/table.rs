//! Everything that is searched: documents in slots, the words they stand under, and their order by plays.
//!
//! One document costs a slot, a run of numbers in [`Doc::cells`], and four bytes under each of its words. All of it
//! changes in place: what is replaced or removed is taken out from under its words at once, so nothing needs merging
//! and nothing grows that is not in the catalog.

use std::hash::{BuildHasher, RandomState};

use hashbrown::hash_table::Entry;

use super::posts::Rank;
use super::shards::Shards;
use super::vocabulary::Vocabulary;
use super::{DocId, Document, Kind, Kinds, fold, score};

/// How many words of one name are kept. The longest real titles have some forty; nobody types the rest.
const NAME_WORDS_MAX: usize = 32;
/// How many words of the performers' names are kept: a compilation has hundreds.
const BY_WORDS_MAX: usize = 24;
/// How many aliases are kept.
pub const ALIASES_MAX: usize = 16;
/// How many documents one index takes: slots are 32 bits, less a few values with a meaning.
pub const DOCUMENTS_MAX: usize = 1 << 31;
/// Names up to this long are also kept as one word, to be found with spaces in the wrong places.
const SQUASHED_CHARS_MAX: usize = 40;
/// Powers of two of plays, for the order by popularity.
const BUCKETS: usize = 65;

/// What can be said of a document without looking at its words; these lie together, 8 bytes each.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Points for plays and kind.
    pub(super) points: f32,
    pub(super) kind: Kind,
    /// Words of its shortest name.
    pub(super) words_min: u8,
    /// The power of two above its plays.
    power: u8,
}

impl Head {
    fn rank(self) -> Rank {
        Rank { power: self.power, kind: self.kind }
    }
}

/// A document.
pub(super) struct Doc {
    pub(super) id: DocId,
    /// The name as it is written.
    pub(super) written: u32,
    pub(super) plays: u64,
    /// Its place in its bucket of plays.
    place: u32,
    /// How many cells are hashes of whole names.
    names: u8,
    /// How many cells behind these are words that are whole names.
    squashed: u8,
    /// How many cells behind these are words of performers.
    by: u8,
    /// Hashes of whole names; squashed names; words of the performers; then every form of the name: one cell with the
    /// number of words and of main words, and the words.
    cells: Box<[u32]>,
}

/// One form of a name.
pub(super) struct FormCells<'a> {
    pub(super) words: &'a [u32],
    pub(super) main: usize,
}

impl Doc {
    /// Words of the performers' names.
    pub(super) fn by(&self) -> &[u32] {
        let from = usize::from(self.names) + usize::from(self.squashed);
        &self.cells[from..from + usize::from(self.by)]
    }

    /// The forms of the name.
    pub(super) fn forms(&self) -> impl Iterator<Item = FormCells<'_>> {
        let mut rest = &self.cells[usize::from(self.names) + usize::from(self.squashed) + usize::from(self.by)..];
        std::iter::from_fn(move || {
            let (&counts, behind) = rest.split_first()?;
            let (words, behind) = behind.split_at((counts & 0xff) as usize);
            rest = behind;
            Some(FormCells { words, main: (counts >> 8) as usize })
        })
    }

    /// The distinct words of the names and of the performers.
    fn words(&self) -> std::collections::BTreeSet<u32> {
        self.forms().flat_map(|form| form.words).chain(self.by()).copied().collect()
    }

    fn names(&self) -> &[u32] {
        &self.cells[..usize::from(self.names)]
    }

    fn squashed(&self) -> &[u32] {
        &self.cells[usize::from(self.names)..][..usize::from(self.squashed)]
    }
}

/// The documents of one whole name.
struct Named {
    hash: u32,
    slots: Slots,
}

/// Most names belong to one document.
#[expect(clippy::box_collection, reason = "a bare Vec would double the size of what is there once per name")]
enum Slots {
    One(u32),
    Many(Box<Vec<u32>>),
}

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }
}

/// The documents and the ways to them.
pub(super) struct Table {
    /// None where a document was removed.
    docs: Vec<Option<Doc>>,
    heads: Vec<Head>,
    free: Vec<u32>,
    by_id: Shards<u32>,
    named: Shards<Named>,
    hasher: RandomState,
    /// Slots by the power of two of their plays, and for each power by kind.
    buckets: Vec<[Vec<u32>; Kind::ALL.len()]>,
    cells_bytes: usize,
    /// Single words.
    pub(super) words: Vocabulary,
    /// Whole names of artists, playlists and shows as one word each.
    pub(super) squashed: Vocabulary,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            docs: Vec::new(),
            heads: Vec::new(),
            free: Vec::new(),
            by_id: Shards::new(),
            named: Shards::new(),
            hasher: RandomState::new(),
            buckets: vec![Default::default(); BUCKETS],
            cells_bytes: 0,
            words: Vocabulary::new(),
            squashed: Vocabulary::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many slots there are, with and without documents.
    pub(super) fn slots(&self) -> usize {
        self.docs.len()
    }

    pub(super) fn doc(&self, slot: u32) -> &Doc {
        self.docs[slot as usize].as_ref().expect("slots under words hold documents")
    }

    pub(super) fn head(&self, slot: u32) -> Head {
        self.heads[slot as usize]
    }

    /// The documents with a whole name.
    pub(super) fn named(&self, squashed: &str) -> &[u32] {
        let hash = fold::squash_hash(squashed);
        self.named.find(spread(hash), |named| named.hash == hash).map_or(&[], |named| named.slots.as_slice())
    }

    /// All documents of some kinds, the most played first as far as powers of two tell, each with the power.
    pub(super) fn by_plays(&self, kinds: Kinds) -> impl Iterator<Item = (u8, &[u32])> {
        let powers = (0..BUCKETS as u8).zip(&self.buckets).rev();
        let by_kind = powers.flat_map(|(power, by_kind)| Kind::ALL.into_iter().zip(by_kind).map(move |at| (power, at)));
        let wanted = by_kind.filter(move |(_, (kind, slots))| kinds.has(*kind) && !slots.is_empty());
        wanted.map(|(power, (_, slots))| (power, slots.as_slice()))
    }

    /// The power of two above the plays of the most played document of some kinds.
    pub(super) fn power_max(&self, kinds: Kinds) -> u8 {
        self.by_plays(kinds).next().map_or(0, |(power, _)| power)
    }

    /// Takes a document in, in place of the one with its id.
    pub(super) fn insert(&mut self, folded: &Folded) {
        self.remove(folded.kind, &folded.id);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.docs.push(None);
            self.heads.push(Head { points: 0.0, kind: folded.kind, words_min: 0, power: 0 });
            u32::try_from(self.docs.len() - 1).expect("documents are bounded")
        });
        let points = score::popularity(folded.plays) + score::kind_points(folded.kind);
        let power = bucket_of(folded.plays) as u8;
        self.heads[slot as usize] = Head { points, kind: folded.kind, words_min: folded.words_min, power };
        let doc = self.put_words(folded, slot);
        self.cells_bytes += size_of_val(&*doc.cells);
        self.docs[slot as usize] = Some(doc);
        self.put_in_bucket(slot);
        let hash = self.hasher.hash_one((folded.kind, folded.id));
        let (docs, heads, hasher) = (&self.docs, &self.heads, &self.hasher);
        self.by_id.insert_unique(hash, slot, |&slot| {
            let doc = docs[slot as usize].as_ref().expect("ids belong to documents");
            hasher.hash_one((heads[slot as usize].kind, doc.id))
        });
    }

    /// Takes a document out.
    pub(super) fn remove(&mut self, kind: Kind, id: &DocId) -> bool {
        let Some(slot) = self.slot(kind, id) else { return false };
        self.take_from_bucket(slot);
        if let Ok(entry) = self.by_id.find_entry(self.hasher.hash_one((kind, *id)), |&known| known == slot) {
            entry.remove();
        }
        let doc = self.docs[slot as usize].take().expect("ids belong to documents");
        self.cells_bytes -= size_of_val(&*doc.cells);
        for &hash in doc.names() {
            self.take_name(hash, slot);
        }
        let rank = self.heads[slot as usize].rank();
        for &word in doc.squashed() {
            self.squashed.take(word, slot, rank);
        }
        for word in doc.words() {
            self.words.take(word, slot, rank);
        }
        self.free.push(slot);
        true
    }

    /// Sets how often a document was played.
    pub(super) fn set_plays(&mut self, kind: Kind, id: &DocId, plays: u64) -> bool {
        let Some(slot) = self.slot(kind, id) else { return false };
        self.take_from_bucket(slot);
        let doc = self.docs[slot as usize].as_mut().expect("ids belong to documents");
        doc.plays = plays;
        let head = &mut self.heads[slot as usize];
        head.points = score::popularity(plays) + score::kind_points(kind);
        let from = head.rank();
        head.power = bucket_of(plays) as u8;
        let to = head.rank();
        if from != to {
            for word in doc.words() {
                self.words.replay(word, slot, from, to);
            }
            for &word in doc.squashed() {
                self.squashed.replay(word, slot, from, to);
            }
        }
        self.put_in_bucket(slot);
        true
    }

    /// How many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let many: usize = self
            .named
            .iter()
            .map(|named| match &named.slots {
                Slots::One(_) => 0,
                Slots::Many(slots) => size_of::<Vec<u32>>() + slots.capacity() * size_of::<u32>(),
            })
            .sum();
        self.docs.capacity() * size_of::<Option<Doc>>()
            + self.heads.capacity() * size_of::<Head>()
            + self.free.capacity() * size_of::<u32>()
            + self.by_id.allocation_size()
            + self.named.allocation_size()
            + many
            + self.buckets.iter().flatten().map(|slots| slots.capacity() * size_of::<u32>()).sum::<usize>()
            + self.cells_bytes
            + self.words.memory_bytes()
            + self.squashed.memory_bytes()
    }

    fn slot(&self, kind: Kind, id: &DocId) -> Option<u32> {
        let is_it = |&slot: &u32| self.heads[slot as usize].kind == kind && self.doc(slot).id == *id;
        self.by_id.find(self.hasher.hash_one((kind, *id)), is_it).copied()
    }

    fn put_words(&mut self, folded: &Folded, slot: u32) -> Doc {
        let mut cells: Vec<u32> = Vec::with_capacity(32);
        for &hash in &folded.names {
            self.put_name(hash, slot);
            cells.push(hash);
        }
        let (heads, words) = (&self.heads, &mut self.words);
        let rank_of = |slot: u32| heads[slot as usize].rank();
        cells.extend(folded.squashed.iter().map(|text| self.squashed.put(text, slot, rank_of)));
        cells.extend(folded.by.iter().map(|text| words.put(text, slot, rank_of)));
        for form in &folded.forms {
            let counts = form.words.len() | form.main << 8;
            cells.push(u32::try_from(counts).expect("a form has few words"));
            cells.extend(form.words.iter().map(|text| words.put(text, slot, rank_of)));
        }
        let few = |count: usize| u8::try_from(count).expect("bounded when folded");
        Doc {
            id: folded.id,
            written: folded.written,
            plays: folded.plays,
            place: 0,
            names: few(folded.names.len()),
            squashed: few(folded.squashed.len()),
            by: few(folded.by.len()),
            cells: cells.into_boxed_slice(),
        }
    }

    fn put_name(&mut self, hash: u32, slot: u32) {
        match self.named.entry(spread(hash), |named| named.hash == hash, |named| spread(named.hash)) {
            Entry::Vacant(entry) => {
                entry.insert(Named { hash, slots: Slots::One(slot) });
            }
            Entry::Occupied(mut entry) => match &mut entry.get_mut().slots {
                Slots::Many(slots) => slots.push(slot),
                one => {
                    let first = one.as_slice()[0];
                    *one = Slots::Many(Box::new(vec![first, slot]));
                }
            },
        }
    }

    fn take_name(&mut self, hash: u32, slot: u32) {
        let Ok(mut entry) = self.named.find_entry(spread(hash), |named| named.hash == hash) else { return };
        match &mut entry.get_mut().slots {
            Slots::Many(slots) if slots.len() > 1 => {
                if let Some(place) = slots.iter().position(|&known| known == slot) {
                    slots.swap_remove(place);
                }
            }
            _ => {
                entry.remove();
            }
        }
    }

    fn put_in_bucket(&mut self, slot: u32) {
        let doc = self.docs[slot as usize].as_mut().expect("the document is in its slot");
        let kind = self.heads[slot as usize].kind;
        let bucket = &mut self.buckets[bucket_of(doc.plays)][kind as usize];
        doc.place = u32::try_from(bucket.len()).expect("documents are bounded");
        bucket.push(slot);
    }

    fn take_from_bucket(&mut self, slot: u32) {
        let doc = self.doc(slot);
        let (power, place) = (bucket_of(doc.plays), doc.place);
        let bucket = &mut self.buckets[power][self.heads[slot as usize].kind as usize];
        bucket.swap_remove(place as usize);
        if let Some(&moved) = bucket.get(place as usize) {
            self.docs[moved as usize].as_mut().expect("buckets hold documents").place = place;
        }
    }
}

/// The power of two above a number of plays.
fn bucket_of(plays: u64) -> usize {
    (u64::BITS - plays.leading_zeros()) as usize
}

/// A hash of 32 bits as the 64 that a table wants.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A document made ready, outside of any lock.
pub(super) struct Folded {
    kind: Kind,
    id: DocId,
    plays: u64,
    written: u32,
    words_min: u8,
    names: Vec<u32>,
    squashed: Vec<String>,
    by: Vec<String>,
    forms: Vec<fold::Form>,
}

impl Folded {
    pub(super) fn new(document: &Document) -> Self {
        let mut forms = fold::name(&document.name);
        for alias in document.aliases.iter().take(ALIASES_MAX) {
            forms.extend(fold::name(alias));
        }
        forms.retain(|form| !form.words.is_empty());
        let mut names = Vec::with_capacity(2);
        let mut squashed: Vec<String> = Vec::new();
        let is_squashed = matches!(document.kind, Kind::Artist | Kind::Playlist | Kind::Show);
        for form in &mut forms {
            add(&mut names, fold::squash_hash(&form.squashed));
            add(&mut names, fold::squash_hash(form.main_squashed()));
            if is_squashed && form.squashed.chars().count() <= SQUASHED_CHARS_MAX {
                add(&mut squashed, form.squashed.clone());
            }
            form.words.truncate(NAME_WORDS_MAX);
            form.main = form.main.min(NAME_WORDS_MAX);
        }
        let mut by: Vec<String> = Vec::new();
        for form in document.by.iter().flat_map(|name| fold::name(name)) {
            for word in form.words {
                if by.len() < BY_WORDS_MAX {
                    add(&mut by, word);
                }
            }
        }
        let words_min = forms.iter().map(|form| form.main).min().unwrap_or(0);
        Self {
            kind: document.kind,
            id: document.id,
            plays: document.plays,
            written: fold::written(&document.name),
            words_min: u8::try_from(words_min).expect("names are bounded"),
            names,
            squashed,
            by,
            forms,
        }
    }
}

/// Adds what is not there yet.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
