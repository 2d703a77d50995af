//! The distinct words of all names, each with the documents it stands in.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::posts::{Posts, Rank};
use super::shards::Shards;
use super::trie::{Trie, Walk};

/// A word and where it stands.
#[derive(Default)]
pub(super) struct Word {
    /// As it is compared.
    pub(super) text: Box<str>,
    /// Its length in characters.
    pub(super) chars: u8,
    /// The documents.
    pub(super) posts: Posts,
}

/// All words.
pub(super) struct Vocabulary {
    words: Vec<Word>,
    /// The first bytes of each word, close together: most words that do not begin with what was typed are told by these.
    begins: Vec<Begin>,
    /// Numbers of words that no document holds any more.
    free: Vec<u32>,
    by_text: Shards<u32>,
    /// Keyed afresh for every index: names come from outside, and may be made to collide.
    hasher: RandomState,
    trie: Trie,
    text_bytes: usize,
    slots_bytes: usize,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        Self {
            words: Vec::new(),
            begins: Vec::new(),
            free: Vec::new(),
            by_text: Shards::new(),
            hasher: RandomState::new(),
            trie: Trie::new(),
            text_bytes: 0,
            slots_bytes: 0,
        }
    }

    /// A word by its number.
    pub(super) fn word(&self, number: u32) -> &Word {
        &self.words[number as usize]
    }

    /// The number of a word.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.by_text.find(self.hasher.hash_one(text), |&number| &*self.word(number).text == text).copied()
    }

    /// Whether a word begins with a text, given as [`Beginning::new`] made it.
    pub(super) fn begins_with(&self, number: u32, beginning: &Beginning<'_>) -> bool {
        let begin = self.begins[number as usize];
        begin & beginning.mask == beginning.first
            && (beginning.text.len() <= size_of::<Begin>() || self.word(number).text.starts_with(beginning.text))
    }

    /// Puts a document down under a word; gives the word's number.
    pub(super) fn put(&mut self, text: &str, slot: u32, rank_of: impl Fn(u32) -> Rank) -> u32 {
        let number = self.find(text).unwrap_or_else(|| self.add(text));
        let posts = &mut self.words[number as usize].posts;
        let before = posts.memory_bytes();
        posts.put(slot, rank_of);
        self.slots_bytes = self.slots_bytes + posts.memory_bytes() - before;
        number
    }

    /// Takes a document with so many plays from under a word; a word without documents goes too.
    pub(super) fn take(&mut self, number: u32, slot: u32, rank: Rank) {
        let word = &mut self.words[number as usize];
        let before = word.posts.memory_bytes();
        word.posts.take(slot, rank);
        self.slots_bytes = self.slots_bytes + word.posts.memory_bytes() - before;
        if word.posts.len() > 0 {
            return;
        }
        let word = std::mem::take(word);
        self.slots_bytes -= word.posts.memory_bytes();
        self.text_bytes -= word.text.len();
        self.trie.remove(&word.text);
        if let Ok(entry) = self.by_text.find_entry(self.hasher.hash_one(&*word.text), |&known| known == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// Puts a document under a word where it belongs with other plays.
    pub(super) fn replay(&mut self, number: u32, slot: u32, from: Rank, to: Rank) {
        let posts = &mut self.words[number as usize].posts;
        let before = posts.memory_bytes();
        posts.replay(slot, from, to);
        self.slots_bytes = self.slots_bytes + posts.memory_bytes() - before;
    }

    /// How many distinct words there are.
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }

    /// How many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Word>()
            + self.begins.capacity() * size_of::<Begin>()
            + self.free.capacity() * size_of::<u32>()
            + self.by_text.allocation_size()
            + self.trie.memory_bytes()
            + self.text_bytes
            + self.slots_bytes
    }

    /// Words near what was typed, and whether these are all.
    pub(super) fn walk(&self, walk: &Walk<'_>) -> (Vec<super::trie::Found>, bool) {
        self.trie.walk(walk)
    }

    fn add(&mut self, text: &str) -> u32 {
        let chars = u8::try_from(text.chars().count()).unwrap_or(u8::MAX);
        let word = Word { text: text.into(), chars, posts: Posts::default() };
        self.text_bytes += text.len();
        let number = match self.free.pop() {
            Some(number) => {
                self.words[number as usize] = word;
                self.begins[number as usize] = begin(text);
                number
            }
            None => {
                self.words.push(word);
                self.begins.push(begin(text));
                u32::try_from(self.words.len() - 1).expect("fewer words than 2^32: documents are bounded")
            }
        };
        self.trie.insert(text, number);
        let (words, hasher) = (&self.words, &self.hasher);
        let rehash = |&number: &u32| hasher.hash_one(&*words[number as usize].text);
        self.by_text.insert_unique(hasher.hash_one(text), number, rehash);
        number
    }
}

/// The first bytes of a word, the first one on top; zeros behind a shorter one, which no word holds.
type Begin = u32;

fn begin(text: &str) -> Begin {
    let mut bytes = [0; size_of::<Begin>()];
    bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    Begin::from_be_bytes(bytes)
}

/// A text that words may begin with.
pub(super) struct Beginning<'a> {
    text: &'a str,
    first: Begin,
    mask: Begin,
}

impl<'a> Beginning<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let behind = 8 * size_of::<Begin>().saturating_sub(text.len()) as u32;
        Self { text, first: begin(text), mask: Begin::MAX.checked_shl(behind).unwrap_or(0) }
    }
}

/// Hashes numbers that we gave out ourselves.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Builds [`NumberHasher`].
pub(super) type NumberHash = BuildHasherDefault<NumberHasher>;
