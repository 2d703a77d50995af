//! What was typed, as words of the catalog that may be meant.
//!
//! A [`Plan`] holds one way to read a query: its words, and for each the real words it may stand for with what that
//! costs. Other readings join two typed words or split one; they are plans of their own.

use std::collections::HashMap;

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

impl Meaning {
    /// Points lost.
    pub(super) fn cost(&self) -> f32 {
        self.slips * score::SLIP + score::unfinished_points(self.unfinished)
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
    /// Whether so many words begin with it that [`Plan::meanings`] does not hold them.
    pub(super) is_open: bool,
    /// The real words, cheapest first.
    pub(super) real: Vec<(u32, f32)>,
    /// How many documents these stand in, together.
    pub(super) volume: usize,
}

/// One reading of a query.
pub(super) struct Plan {
    pub(super) typed: Vec<Typed>,
    /// Whether words were joined or split.
    pub(super) is_joined: bool,
    first: HashMap<u32, u32, NumberHash>,
    meanings: Vec<Meaning>,
}

impl Plan {
    /// Reads words, each with no more than `mistakes`.
    pub(super) fn new(table: &Table, words: &[String], is_prefix: bool, is_joined: bool, mistakes: usize) -> Self {
        let mut plan = Self { typed: Vec::new(), is_joined, first: HashMap::default(), meanings: Vec::new() };
        for (at, text) in words.iter().enumerate() {
            plan.add(table, text, is_prefix && at + 1 == words.len(), mistakes);
        }
        plan
    }

    /// What a real word may stand for.
    pub(super) fn meanings(&self, word: u32) -> impl Iterator<Item = &Meaning> {
        let mut next = self.first.get(&word).copied().unwrap_or(LAST);
        std::iter::from_fn(move || {
            let meaning = self.meanings.get(next as usize)?;
            next = meaning.next;
            Some(meaning)
        })
    }

    fn add(&mut self, table: &Table, text: &str, is_prefix: bool, mistakes: usize) {
        let chars: Vec<char> = text.chars().take(WORD_CHARS_MAX).collect();
        let mut typed = Typed {
            text: text.to_owned(),
            is_little: LITTLE.contains(&text),
            chars,
            is_prefix,
            is_open: false,
            real: Vec::new(),
            volume: 0,
        };
        if let Some(word) = table.words.find(text) {
            self.mean(table, &mut typed, word, 0);
        }
        if is_prefix {
            let begun = walk(table, &typed, 0, true, PREFIX_WORDS_MAX);
            typed.is_open = !begun.1;
            if !typed.is_open {
                begun.0.into_iter().for_each(|(word, _)| self.mean(table, &mut typed, word, 0));
            }
        }
        let (whole, begun) = mistakes_allowed(&typed);
        let (whole, begun) = (whole.min(mistakes), begun.min(mistakes));
        if whole > 0 {
            let near = walk(table, &typed, whole, false, NEAR_WORDS_MAX);
            near.0.into_iter().for_each(|(word, edits)| self.mean(table, &mut typed, word, edits));
        }
        if begun > 0 {
            let near = walk(table, &typed, begun, true, NEAR_WORDS_MAX);
            near.0.into_iter().for_each(|(word, edits)| self.mean(table, &mut typed, word, edits));
        }
        typed.real.sort_by(|a, b| a.1.total_cmp(&b.1));
        self.typed.push(typed);
    }

    /// Takes a real word for a typed one, unless it was already.
    fn mean(&mut self, table: &Table, typed: &mut Typed, word: u32, edits: u8) {
        let number = u8::try_from(self.typed.len()).expect("queries have few words");
        let first = self.first.get(&word).copied().unwrap_or(LAST);
        if self.meanings.get(first as usize).is_some_and(|meaning| meaning.typed == number) {
            return;
        }
        let real = table.words.word(word);
        let mut meaning = Meaning { typed: number, edits, unfinished: 0, slips: 0.0, next: first };
        if edits == 0 {
            meaning.unfinished = real.chars.saturating_sub(typed.chars.len() as u8);
        } else {
            let real_chars: Vec<char> = real.text.chars().collect();
            meaning.slips = weigh(&typed.chars, &real_chars, false);
            if typed.is_prefix {
                let begun = weigh(&typed.chars, &real_chars, true);
                let unfinished = real.chars.saturating_sub(typed.chars.len() as u8);
                let as_begun = Meaning { slips: begun, unfinished, ..meaning };
                if as_begun.cost() < meaning.cost() {
                    meaning = as_begun;
                }
            }
        }
        self.first.insert(word, self.meanings.len() as u32);
        self.meanings.push(meaning);
        typed.real.push((word, meaning.cost()));
        typed.volume += real.slots.len();
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
            let known = table.words.find(right).map_or(0, |right| table.words.word(right).slots.len());
            if right.chars().count() < 2 || (known == 0 && !(goes_on && begins_a_word(table, right))) {
                continue;
            }
            let mut reading = words[..at].to_vec();
            reading.extend([left.to_owned(), right.to_owned()]);
            reading.extend_from_slice(&words[at + 1..]);
            readings.push((known.min(table.words.word(left_word).slots.len()), reading));
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
