//! The distinct words of all names, each with the documents it stands in.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use hashbrown::HashTable;

use super::trie::{Trie, Walk};

/// A word and where it stands.
#[derive(Default)]
pub(super) struct Word {
    /// As it is compared.
    pub(super) text: Box<str>,
    /// Its length in characters.
    pub(super) chars: u8,
    /// Slots of documents, ascending.
    pub(super) slots: Vec<u32>,
}

/// All words.
pub(super) struct Vocabulary {
    words: Vec<Word>,
    /// Numbers of words that no document holds any more.
    free: Vec<u32>,
    by_text: HashTable<u32>,
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
            free: Vec::new(),
            by_text: HashTable::new(),
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

    /// Puts a document down under a word; gives the word's number.
    pub(super) fn put(&mut self, text: &str, slot: u32) -> u32 {
        let number = self.find(text).unwrap_or_else(|| self.add(text));
        let slots = &mut self.words[number as usize].slots;
        let before = slots.capacity();
        match slots.last() {
            Some(&last) if last >= slot => {
                if let Err(place) = slots.binary_search(&slot) {
                    slots.insert(place, slot);
                }
            }
            _ => slots.push(slot),
        }
        self.slots_bytes += (slots.capacity() - before) * size_of::<u32>();
        number
    }

    /// Takes a document from under a word; a word without documents goes too.
    pub(super) fn take(&mut self, number: u32, slot: u32) {
        let word = &mut self.words[number as usize];
        let Ok(place) = word.slots.binary_search(&slot) else { return };
        word.slots.remove(place);
        if !word.slots.is_empty() {
            return;
        }
        let word = std::mem::take(word);
        self.slots_bytes -= word.slots.capacity() * size_of::<u32>();
        self.text_bytes -= word.text.len();
        self.trie.remove(&word.text);
        if let Ok(entry) = self.by_text.find_entry(self.hasher.hash_one(&*word.text), |&known| known == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// How many distinct words there are.
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }

    /// How many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Word>()
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
        let word = Word { text: text.into(), chars, slots: Vec::new() };
        self.text_bytes += text.len();
        let number = match self.free.pop() {
            Some(number) => {
                self.words[number as usize] = word;
                number
            }
            None => {
                self.words.push(word);
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
