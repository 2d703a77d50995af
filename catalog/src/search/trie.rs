//! A tree of words by their letters, walked with a bounded number of mistakes.
//!
//! The walk carries, for every number of mistakes, the set of places in the typed word that may have been reached, as
//! bits of one `u64` (Wu and Manber's automaton, with neighbouring letters swapped as one mistake). One step is a dozen
//! instructions, a branch without a bit left is not entered, and the tree takes new words at any time, which a
//! finite-state transducer does not.

/// How many mistakes a walk may allow.
pub(super) const MISTAKES_MAX: usize = 3;

/// How many places of the tree one walk may visit: one or two ms. Reached only by words of a few letters in a vocabulary of
/// millions; then some of the farther words are not found.
const VISITS_MAX: usize = 50_000;

/// No node, no word.
const NONE: u32 = u32::MAX;

/// A letter on a path.
#[derive(Clone, Copy)]
struct Node {
    letter: char,
    first_child: u32,
    next_sibling: u32,
    /// The word that ends here.
    word: u32,
}

/// The tree.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Nodes of words that are gone, to be used again.
    free: Vec<u32>,
}

/// A word that a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its number.
    pub(super) word: u32,
    /// Mistakes on the way.
    pub(super) mistakes: u8,
}

/// What a walk looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk<'q> {
    /// Typed letters, at most 63.
    pub(super) typed: &'q [char],
    /// Mistakes allowed; only one where the first letter differs, since people seldom get that one wrong.
    pub(super) mistakes: usize,
    /// Whether words may go on behind what was typed.
    pub(super) is_prefix: bool,
    /// How many words to find for each number of mistakes.
    pub(super) words_max: usize,
}

/// Where in the typed word the walk may be: bit i when i letters are behind.
#[derive(Clone, Copy, Default)]
struct Places {
    /// By number of mistakes.
    at: [u64; MISTAKES_MAX + 1],
    /// Half way through a swap of two letters, by number of mistakes before it.
    swapping: [u64; MISTAKES_MAX],
}

impl Trie {
    /// Without a word.
    pub(super) fn new() -> Self {
        let root = Node { letter: '\0', first_child: NONE, next_sibling: NONE, word: NONE };
        Self { nodes: vec![root], free: Vec::new() }
    }

    /// Takes in a word under a number.
    pub(super) fn insert(&mut self, text: &str, word: u32) {
        let mut node = 0;
        for letter in text.chars() {
            node = match self.child(node, letter) {
                Some(child) => child,
                None => self.add_child(node, letter),
            };
        }
        self.nodes[index(node)].word = word;
    }

    /// Takes a word out, with the part of its path that no other word uses.
    pub(super) fn remove(&mut self, text: &str) {
        let mut path = vec![0];
        for letter in text.chars() {
            let Some(child) = self.child(*path.last().expect("starts at the root"), letter) else { return };
            path.push(child);
        }
        self.nodes[index(*path.last().expect("starts at the root"))].word = NONE;
        while let [.., parent, node] = path[..] {
            let Node { first_child, word, .. } = self.nodes[index(node)];
            if first_child != NONE || word != NONE {
                return;
            }
            self.unlink(parent, node);
            path.pop();
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * size_of::<u32>()
    }

    /// Finds words, fewest mistakes first. The second value says whether all were found.
    pub(super) fn walk(&self, walk: &Walk<'_>) -> (Vec<Found>, bool) {
        let mut walker = Walker::new(walk);
        walker.run(self);
        let all = walker.visits_left > 0 && !walker.is_cut;
        (walker.found.concat(), all)
    }

    fn child(&self, node: u32, letter: char) -> Option<u32> {
        let mut child = self.nodes[index(node)].first_child;
        while child != NONE {
            let Node { letter: here, next_sibling, .. } = self.nodes[index(child)];
            if here == letter {
                return Some(child);
            }
            child = next_sibling;
        }
        None
    }

    fn add_child(&mut self, parent: u32, letter: char) -> u32 {
        let node = Node { letter, first_child: NONE, next_sibling: self.nodes[index(parent)].first_child, word: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[index(place)] = node;
                place
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer letters than 2^32: documents are bounded")
            }
        };
        self.nodes[index(parent)].first_child = place;
        place
    }

    fn unlink(&mut self, parent: u32, node: u32) {
        let next = self.nodes[index(node)].next_sibling;
        let mut before = self.nodes[index(parent)].first_child;
        if before == node {
            self.nodes[index(parent)].first_child = next;
        } else {
            while self.nodes[index(before)].next_sibling != node {
                before = self.nodes[index(before)].next_sibling;
            }
            self.nodes[index(before)].next_sibling = next;
        }
        self.free.push(node);
    }
}

/// Node numbers as places in the vector.
fn index(node: u32) -> usize {
    node as usize
}

/// A walk on its way.
struct Walker<'q> {
    walk: &'q Walk<'q>,
    /// The places of each letter in what was typed.
    masks: Vec<(char, u64)>,
    end: u64,
    visits_left: usize,
    is_cut: bool,
    found: [Vec<Found>; MISTAKES_MAX + 1],
}

/// A node to enter.
struct Step {
    node: u32,
    places: Places,
    /// Mistakes allowed on this branch.
    mistakes: usize,
    /// The fewest mistakes with which all that was typed is behind; a prefix walk takes every word from there.
    done: Option<u8>,
}

impl<'q> Walker<'q> {
    fn new(walk: &'q Walk<'q>) -> Self {
        let mut masks: Vec<(char, u64)> = Vec::with_capacity(walk.typed.len());
        for (at, &letter) in walk.typed.iter().enumerate().take(63) {
            match masks.iter_mut().find(|(known, _)| *known == letter) {
                Some((_, mask)) => *mask |= 1 << at,
                None => masks.push((letter, 1 << at)),
            }
        }
        let end = 1 << walk.typed.len().min(63);
        Self { walk, masks, end, visits_left: VISITS_MAX, is_cut: false, found: Default::default() }
    }

    fn run(&mut self, trie: &Trie) {
        let mut steps = Vec::with_capacity(64);
        let mistakes = self.walk.mistakes.min(MISTAKES_MAX);
        let mut start = Places::default();
        for (allowed, at) in start.at.iter_mut().enumerate() {
            *at = (1 << (allowed + 1)) - 1; // leaving out the first letters typed
        }
        self.push_children(trie, &mut steps, &Step { node: 0, places: start, mistakes, done: None });
        while let Some(step) = steps.pop() {
            if self.visits_left == 0 {
                return;
            }
            self.visits_left -= 1;
            let word = trie.nodes[index(step.node)].word;
            if word != NONE
                && let Some(mistakes) = if self.walk.is_prefix { step.done } else { self.behind(&step) }
            {
                self.take(Found { word, mistakes });
            }
            self.push_children(trie, &mut steps, &step);
        }
    }

    fn take(&mut self, found: Found) {
        let words = &mut self.found[usize::from(found.mistakes)];
        if words.len() < self.walk.words_max {
            words.push(found);
        } else {
            self.is_cut = true;
        }
    }

    /// The fewest mistakes with which all that was typed is behind.
    fn behind(&self, step: &Step) -> Option<u8> {
        (0..=step.mistakes).find(|&mistakes| step.places.at[mistakes] & self.end != 0).map(|mistakes| mistakes as u8)
    }

    fn push_children(&self, trie: &Trie, steps: &mut Vec<Step>, from: &Step) {
        let mut child = trie.nodes[index(from.node)].first_child;
        while child != NONE {
            let Node { letter, next_sibling, .. } = trie.nodes[index(child)];
            let mut mistakes = from.mistakes;
            if from.node == 0 && self.walk.typed.first() != Some(&letter) {
                mistakes = mistakes.min(1);
            }
            let places = self.step(&from.places, letter, mistakes);
            let mut step = Step { node: child, places, mistakes, done: from.done };
            if self.walk.is_prefix {
                step.done = match (from.done, self.behind(&step)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            if step.done.is_some()
                || places.at[..=mistakes].iter().any(|&at| at != 0)
                || places.swapping.iter().any(|&at| at != 0)
            {
                steps.push(step);
            }
            child = next_sibling;
        }
    }

    /// The places after one more letter of the tree.
    fn step(&self, from: &Places, letter: char, mistakes: usize) -> Places {
        let mask = self.masks.iter().find(|(known, _)| *known == letter).map_or(0, |&(_, mask)| mask);
        let mut to = Places::default();
        to.at[0] = (from.at[0] & mask) << 1;
        for k in 1..=mistakes {
            let fewer = from.at[k - 1];
            to.at[k] = ((from.at[k] & mask) << 1) // this letter was typed
                | fewer // the letter was left out when typing
                | (fewer << 1) // another was typed instead
                | (to.at[k - 1] << 1) // the next typed letter is one too many
                | ((from.swapping[k - 1] & mask) << 2); // it was typed one place early
            to.swapping[k - 1] = fewer & (mask >> 1);
        }
        let inside = self.end | (self.end - 1);
        to.at.iter_mut().for_each(|at| *at &= inside);
        to
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Edit distance with swaps of neighbours that are not edited again, by the table of the textbook.
    fn distance(a: &[char], b: &[char]) -> usize {
        let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                rows[i][j] = match (i, j) {
                    (0, _) => j,
                    (_, 0) => i,
                    _ => {
                        let same = usize::from(a[i - 1] != b[j - 1]);
                        let mut least = (rows[i - 1][j - 1] + same).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                        if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                            least = least.min(rows[i - 2][j - 2] + 1);
                        }
                        least
                    }
                };
            }
        }
        rows[a.len()][b.len()]
    }

    fn least(typed: &[char], word: &[char], is_prefix: bool) -> usize {
        let from = if is_prefix { 1 } else { word.len() };
        (from..=word.len()).map(|end| distance(typed, &word[..end])).min().expect("words have letters")
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_comparing_with_every_word_finds(
            words in proptest::collection::btree_set("[abc]{1,7}", 1..40),
            typed in "[abc]{1,7}",
            mistakes in 0_usize..=3,
            is_prefix: bool,
        ) {
            let mut trie = Trie::new();
            let words: Vec<String> = words.into_iter().collect();
            for (number, word) in words.iter().enumerate() {
                trie.insert(word, number as u32);
            }
            let typed: Vec<char> = typed.chars().collect();
            let walk = Walk { typed: &typed, mistakes, is_prefix, words_max: 1000 };
            let (found, all) = trie.walk(&walk);
            prop_assert!(all);
            let found: BTreeSet<(u32, usize)> = found.into_iter().map(|f| (f.word, f.mistakes.into())).collect();
            let expected: BTreeSet<(u32, usize)> = words
                .iter()
                .enumerate()
                .filter_map(|(number, word)| {
                    let word: Vec<char> = word.chars().collect();
                    let allowed = if word[0] == typed[0] { mistakes } else { mistakes.min(1) };
                    let least = least(&typed, &word, is_prefix);
                    (least <= allowed).then_some((number as u32, least))
                })
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_taken_out_is_gone_and_leaves_the_rest(
            words in proptest::collection::btree_set("[ab]{1,5}", 2..20),
            out in 0_usize..100,
        ) {
            let mut trie = Trie::new();
            let words: Vec<String> = words.into_iter().collect();
            for (number, word) in words.iter().enumerate() {
                trie.insert(word, number as u32);
            }
            let nodes = trie.nodes.len();
            let out = out % words.len();
            trie.remove(&words[out]);
            for (number, word) in words.iter().enumerate() {
                let typed: Vec<char> = word.chars().collect();
                let (found, _) = trie.walk(&Walk { typed: &typed, mistakes: 0, is_prefix: false, words_max: 9 });
                prop_assert_eq!(found.len(), usize::from(number != out));
            }
            trie.insert(&words[out], 7);
            prop_assert_eq!(trie.nodes.len(), nodes, "freed nodes are used again");
        }
    }
}
