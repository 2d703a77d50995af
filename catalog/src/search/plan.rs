//! What was typed, as words of the catalog that may be meant.
//!
//! A [`Plan`] holds one way to read a query: its words, and for each the real words it may stand for with what that
//! costs. Other readings join two typed words or split one; they are plans of their own.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::Kinds;
use super::fold::WORD_CHARS_MAX;
use super::score;
use super::slip::weigh;
use super::table::Table;
use super::trie::Walk;
use super::vocabulary::NumberHash;

/// How many words a beginning may stand for, before it is tried on documents instead of the other way round.
const PREFIX_WORDS_MAX: usize = 2_000;
/// How many words with the same number of mistakes a typed word may stand for.
const NEAR_WORDS_MAX: usize = 400;
/// How many ways to split are tried.
const SPLITS_MAX: usize = 3;

/// Words that are often left out or put in, and are too short and too frequent to be looked for with mistakes.
const LITTLE: [&str; 5] = ["the", "and", "of", "a", "an"];

/// A real word that a typed one may stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Real {
    pub(super) word: u32,
    pub(super) edits: u8,
    pub(super) unfinished: u8,
    pub(super) slips: f32,
    /// Points lost.
    pub(super) cost: f32,
}

impl Real {
    fn new(word: u32, edits: u8, unfinished: u8, slips: f32) -> Self {
        Self { word, edits, unfinished, slips, cost: slips * score::SLIP + score::unfinished_points(unfinished) }
    }
}

/// A typed word.
pub(super) struct Typed {
    pub(super) text: String,
    pub(super) chars: Vec<char>,
    /// Whether it matters little.
    pub(super) is_little: bool,
    /// Whether it may go on.
    pub(super) is_prefix: bool,
    /// Whether so many words begin with it that `real` does not hold them.
    pub(super) is_open: bool,
    /// The real words, cheapest first.
    pub(super) real: Vec<Real>,
    /// How many documents of the wanted kinds these stand in, together.
    pub(super) volume: usize,
}

/// Reads typed words. The readings of a query share most of theirs, and each is looked for once.
pub(super) struct Reader<'a> {
    table: &'a Table,
    kinds: Kinds,
    known: Vec<(usize, Rc<Typed>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table, kinds: Kinds) -> Self {
        Self { table, kinds, known: Vec::new() }
    }

    fn read(&mut self, text: &str, is_prefix: bool, mistakes: usize) -> Rc<Typed> {
        let is_it =
            |(of, typed): &&(usize, Rc<Typed>)| *of == mistakes && typed.is_prefix == is_prefix && typed.text == text;
        if let Some((_, typed)) = self.known.iter().find(is_it) {
            return typed.clone();
        }
        let typed = Rc::new(Typed::read((self.table, self.kinds), text, is_prefix, mistakes));
        self.known.push((mistakes, typed.clone()));
        typed
    }
}

impl Typed {
    /// Looks for the real words, with no more than `mistakes`.
    fn read((table, kinds): (&Table, Kinds), text: &str, is_prefix: bool, mistakes: usize) -> Self {
        let chars: Vec<char> = text.chars().take(WORD_CHARS_MAX).collect();
        let is_little = LITTLE.contains(&text);
        let (mut real, volume) = (Vec::new(), 0);
        let mut typed = Self { text: text.to_owned(), is_little, chars, is_prefix, is_open: false, real, volume };
        let begun = if is_prefix { walk(table, &typed, 0, true, PREFIX_WORDS_MAX) } else { (Vec::new(), true) };
        typed.is_open = !begun.1;
        let (whole, begun_with) = mistakes_allowed(&typed);
        let (whole, begun_with) = (whole.min(mistakes), begun_with.min(mistakes));
        let mut found: Vec<(u32, u8)> = table.words.find(text).map(|word| (word, 0)).into_iter().collect();
        if !typed.is_open {
            found.extend(begun.0);
        }
        if whole > 0 {
            found.extend(walk(table, &typed, whole, false, NEAR_WORDS_MAX).0);
        }
        if begun_with > 0 {
            found.extend(walk(table, &typed, begun_with, true, NEAR_WORDS_MAX).0);
        }
        let mut seen: HashSet<u32, NumberHash> = HashSet::with_capacity_and_hasher(found.len(), NumberHash::default());
        real = Vec::with_capacity(found.len());
        let mut letters = Vec::new();
        for (word, edits) in found {
            if seen.insert(word) {
                real.push(typed.mean(table, word, edits, &mut letters));
                typed.volume += table.words.word(word).posts.len_of(kinds);
            }
        }
        real.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        typed.real = real;
        typed
    }

    /// What it costs to take a real word for it.
    fn mean(&self, table: &Table, word: u32, edits: u8, letters: &mut Vec<char>) -> Real {
        let real = table.words.word(word);
        let unfinished = real.chars.saturating_sub(self.chars.len() as u8);
        if edits == 0 {
            return Real::new(word, 0, unfinished, 0.0);
        }
        letters.clear();
        letters.extend(real.text.chars());
        let slips = weigh(&self.chars, letters);
        let whole = Real::new(word, edits, 0, slips.whole);
        let begun = Real::new(word, edits, unfinished, slips.begun);
        if self.is_prefix && begun.cost < whole.cost { begun } else { whole }
    }

    /// The fewest points lost where it must be found: none where little is known of it.
    pub(super) fn cost_min(&self) -> f32 {
        if self.is_little || self.is_open { 0.0 } else { self.real.first().map_or(0.0, |real| real.cost) }
    }

    /// Whether no document has it.
    pub(super) fn is_nowhere(&self) -> bool {
        !self.is_little && !self.is_open && self.real.is_empty()
    }
}

/// One way to take a real word for a typed one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    /// Which typed word.
    pub(super) typed: u8,
    pub(super) edits: u8,
    pub(super) unfinished: u8,
    pub(super) slips: f32,
    /// The next meaning of the same real word, or [`LAST`].
    next: u32,
}

/// No other meaning.
const LAST: u32 = u32::MAX;

/// Bits that say of most words at once that they have no meaning: as many as fit into the nearest cache beside all else.
const SIEVE_BITS: usize = 1 << 14;

/// One reading of a query.
pub(super) struct Plan {
    pub(super) typed: Vec<Rc<Typed>>,
    /// What is looked for.
    pub(super) kinds: Kinds,
    /// Whether words were joined or split.
    pub(super) is_joined: bool,
    /// The typed words that must be found, as bits.
    pub(super) needed: u32,
    sieve: Vec<u64>,
    first: HashMap<u32, u32, NumberHash>,
    meanings: Vec<Meaning>,
}

impl Plan {
    /// Reads words, each with no more than `mistakes`.
    pub(super) fn new(
        reader: &mut Reader<'_>,
        words: &[String],
        is_prefix: bool,
        is_joined: bool,
        mistakes: usize,
    ) -> Self {
        let read = |(at, text): (usize, &String)| reader.read(text, is_prefix && at + 1 == words.len(), mistakes);
        let typed: Vec<Rc<Typed>> = words.iter().enumerate().map(read).collect();
        let count = typed.iter().map(|typed| typed.real.len()).sum();
        let mut plan = Self {
            needed: (0..).zip(&typed).map(|(at, typed)| u32::from(!typed.is_little) << at).sum(),
            typed,
            kinds: reader.kinds,
            is_joined,
            sieve: vec![0; SIEVE_BITS / 64],
            first: HashMap::with_capacity_and_hasher(count, NumberHash::default()),
            meanings: Vec::with_capacity(count),
        };
        plan.mean();
        plan
    }

    /// What a real word may stand for.
    pub(super) fn meanings(&self, word: u32) -> impl Iterator<Item = &Meaning> {
        let bit = word as usize % SIEVE_BITS;
        let mut next = match self.sieve[bit / 64] >> (bit % 64) & 1 {
            0 => LAST,
            _ => self.first.get(&word).copied().unwrap_or(LAST),
        };
        std::iter::from_fn(move || {
            let meaning = self.meanings.get(next as usize)?;
            next = meaning.next;
            Some(meaning)
        })
    }

    fn mean(&mut self) {
        for (number, typed) in (0_u8..).zip(&self.typed) {
            for &Real { word, edits, unfinished, slips, .. } in &typed.real {
                let bit = word as usize % SIEVE_BITS;
                self.sieve[bit / 64] |= 1 << (bit % 64);
                let next = self.first.insert(word, self.meanings.len() as u32).unwrap_or(LAST);
                self.meanings.push(Meaning { typed: number, edits, unfinished, slips, next });
            }
        }
    }
}

/// Mistakes to allow in a whole word, and in the beginning of one. Short words have too many neighbours.
fn mistakes_allowed(typed: &Typed) -> (usize, usize) {
    if typed.is_little || !typed.chars.iter().any(|c| c.is_alphabetic()) {
        return (0, 0);
    }
    let whole = match typed.chars.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let begun = match typed.chars.len() {
        _ if !typed.is_prefix => 0,
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    (whole, begun)
}

fn walk(table: &Table, typed: &Typed, mistakes: usize, is_prefix: bool, words_max: usize) -> (Vec<(u32, u8)>, bool) {
    let (found, all) = table.words.walk(&Walk { typed: &typed.chars, mistakes, is_prefix, words_max });
    (found.into_iter().map(|found| (found.word, found.mistakes)).collect(), all)
}

/// Readings with two neighbours joined to a word that exists, or begins one at the end of an unfinished query.
pub(super) fn joins(table: &Table, words: &[String], is_prefix: bool) -> Vec<Vec<String>> {
    let mut readings = Vec::new();
    for at in 1..words.len() {
        let joined = [&*words[at - 1], &*words[at]].concat();
        if joined.chars().count() > WORD_CHARS_MAX {
            continue;
        }
        let goes_on = is_prefix && at + 1 == words.len();
        if table.words.find(&joined).is_some() || (goes_on && begins_a_word(table, &joined)) {
            let mut reading = words[..at - 1].to_vec();
            reading.push(joined);
            reading.extend_from_slice(&words[at + 1..]);
            readings.push(reading);
        }
    }
    readings
}

/// Readings with one word split into two that exist, those of more frequent words first.
pub(super) fn splits(table: &Table, words: &[String], is_prefix: bool) -> Vec<Vec<String>> {
    let mut readings: Vec<(usize, Vec<String>)> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let goes_on = is_prefix && at + 1 == words.len();
        for (cut, _) in word.char_indices().skip(2) {
            let (left, right) = word.split_at(cut);
            let Some(left_word) = table.words.find(left) else { continue };
            let known = table.words.find(right).map_or(0, |right| table.words.word(right).posts.len());
            if right.chars().count() < 2 || (known == 0 && !(goes_on && begins_a_word(table, right))) {
                continue;
            }
            let mut reading = words[..at].to_vec();
            reading.extend([left.to_owned(), right.to_owned()]);
            reading.extend_from_slice(&words[at + 1..]);
            readings.push((known.min(table.words.word(left_word).posts.len()), reading));
        }
    }
    readings.sort_by_key(|(frequency, _)| std::cmp::Reverse(*frequency));
    readings.truncate(SPLITS_MAX);
    readings.into_iter().map(|(_, reading)| reading).collect()
}

fn begins_a_word(table: &Table, beginning: &str) -> bool {
    let chars: Vec<char> = beginning.chars().collect();
    !table.words.walk(&Walk { typed: &chars, mistakes: 0, is_prefix: true, words_max: 1 }).0.is_empty()
}
