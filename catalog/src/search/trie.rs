//! A tree of words by their letters, walked with a bounded number of mistakes.
//!
//! The walk carries, for every number of mistakes, the set of places in the typed word that may have been reached, as
//! bits of one `u64` (Wu and Manber's automaton, with neighbouring letters swapped as one mistake). One step is a dozen
//! instructions, a branch without a bit left is not entered, and the tree takes new words at any time, which a
//! finite-state transducer does not. The children of a node lie side by side: a walk looks at all of them, and what it
//! waits for is memory.

/// How many mistakes a walk may allow.
pub(super) const MISTAKES_MAX: usize = 3;

/// How many places of the tree one walk may visit: about a ms. Reached only by words of a few letters in a vocabulary of
/// millions; then some of the farther words are not found.
const VISITS_MAX: usize = 50_000;

/// No word.
const NONE: u32 = u32::MAX;

/// A letter on a path.
#[derive(Clone, Copy)]
struct Node {
    letter: char,
    /// The word that ends here.
    word: u32,
    /// Where its children begin; they have room for the power of two above their number.
    first: u32,
    children: u32,
}

/// The tree.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Runs of nodes to be used again, by the power of two of their length.
    free: Vec<Vec<u32>>,
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

impl Trie {
    /// Without a word.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node { letter: '\0', word: NONE, first: 0, children: 0 }], free: Vec::new() }
    }

    /// Takes in a word under a number.
    pub(super) fn insert(&mut self, text: &str, word: u32) {
        let mut node = 0;
        for letter in text.chars() {
            node = self.child(node, letter).unwrap_or_else(|| self.add_child(node, letter));
        }
        self.nodes[node].word = word;
    }

    /// Takes a word out, with the part of its path that no other word uses.
    pub(super) fn remove(&mut self, text: &str) {
        let mut path = vec![0];
        for letter in text.chars() {
            let Some(child) = self.child(*path.last().expect("starts at the root"), letter) else { return };
            path.push(child);
        }
        self.nodes[*path.last().expect("starts at the root")].word = NONE;
        while let [.., parent, node] = path[..] {
            if self.nodes[node].children > 0 || self.nodes[node].word != NONE {
                return;
            }
            self.take_child(parent, node);
            path.pop();
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|runs| runs.capacity() * size_of::<u32>()).sum();
        self.nodes.capacity() * size_of::<Node>() + free
    }

    /// Finds words, fewest mistakes first. The second value says whether all were found.
    pub(super) fn walk(&self, walk: &Walk<'_>) -> (Vec<Found>, bool) {
        match walk.mistakes {
            0 => Walker::<1>::new(walk).run(self),
            1 => Walker::<2>::new(walk).run(self),
            2 => Walker::<3>::new(walk).run(self),
            _ => Walker::<{ MISTAKES_MAX + 1 }>::new(walk).run(self),
        }
    }

    fn children(&self, node: usize) -> std::ops::Range<usize> {
        let Node { first, children, .. } = self.nodes[node];
        first as usize..first as usize + children as usize
    }

    fn child(&self, node: usize, letter: char) -> Option<usize> {
        self.children(node).find(|&child| self.nodes[child].letter == letter)
    }

    fn add_child(&mut self, parent: usize, letter: char) -> usize {
        let old = self.children(parent);
        let now = old.len() + 1;
        if room(now) != room(old.len()) {
            self.move_children(parent, room(old.len()), room(now));
        }
        self.nodes[parent].children += 1;
        let place = self.children(parent).end - 1;
        self.nodes[place] = Node { letter, word: NONE, first: 0, children: 0 };
        place
    }

    /// Takes out a node without children; the last of its siblings takes its place.
    fn take_child(&mut self, parent: usize, node: usize) {
        let siblings = self.children(parent);
        self.nodes[node] = self.nodes[siblings.end - 1];
        self.nodes[parent].children -= 1;
        let left = siblings.len() - 1;
        if room(left) != room(siblings.len()) {
            self.move_children(parent, room(siblings.len()), room(left));
        }
    }

    fn move_children(&mut self, parent: usize, from: usize, to: usize) {
        let children = self.children(parent);
        let first = if to == 0 { 0 } else { self.run(to) };
        self.nodes.copy_within(children.clone(), first);
        if from > 0 {
            let power = from.trailing_zeros() as usize;
            self.free.resize_with(self.free.len().max(power + 1), Vec::new);
            self.free[power].push(node_number(children.start));
        }
        self.nodes[parent].first = node_number(first);
    }

    /// A run of nodes to write to.
    fn run(&mut self, length: usize) -> usize {
        let free = self.free.get_mut(length.trailing_zeros() as usize).and_then(Vec::pop);
        free.map_or_else(
            || {
                let first = self.nodes.len();
                self.nodes.resize(first + length, Node { letter: '\0', word: NONE, first: 0, children: 0 });
                first
            },
            |first| first as usize,
        )
    }
}

/// How many places a number of children has.
fn room(children: usize) -> usize {
    if children == 0 { 0 } else { children.next_power_of_two() }
}

fn node_number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer letters than 2^32: documents are bounded")
}

/// Where in the typed word the walk may be: bit i when i letters are behind. By number of mistakes, of which there are
/// fewer than `N`.
#[derive(Clone, Copy)]
struct Places<const N: usize> {
    at: [u64; N],
    /// Half way through a swap of two letters, by number of mistakes before it; the last is none.
    swapping: [u64; N],
}

impl<const N: usize> Places<N> {
    fn is_anywhere(&self) -> bool {
        self.at.iter().chain(&self.swapping).fold(0, |all, bits| all | bits) != 0
    }
}

/// A walk on its way, with fewer than `N` mistakes.
struct Walker<'q, const N: usize> {
    walk: &'q Walk<'q>,
    masks: Masks,
    end: u64,
    /// Mistakes with which words are still taken: where enough were found with so many, no more are.
    mistakes: usize,
    is_cut: bool,
    found: [Vec<Found>; N],
}

/// A node to enter.
struct Step<const N: usize> {
    node: u32,
    places: Places<N>,
    /// Mistakes allowed on this branch.
    mistakes: u8,
    /// The fewest mistakes with which all that was typed is behind; a prefix walk takes every word from there.
    done: Option<u8>,
}

impl<'q, const N: usize> Walker<'q, N> {
    fn new(walk: &'q Walk<'q>) -> Self {
        let end = 1 << walk.typed.len().min(63);
        let found = std::array::from_fn(|_| Vec::new());
        Self { walk, masks: Masks::new(walk.typed), end, mistakes: N - 1, is_cut: false, found }
    }

    fn run(mut self, trie: &Trie) -> (Vec<Found>, bool) {
        let mut steps = Vec::with_capacity(64);
        let mut start = Places { at: [0; N], swapping: [0; N] };
        for (allowed, at) in start.at.iter_mut().enumerate() {
            *at = (1 << (allowed + 1)) - 1; // leaving out the first letters typed
        }
        self.push_children(
            trie,
            &mut steps,
            &Step { node: 0, places: start, mistakes: self.mistakes as u8, done: None },
        );
        let mut visits_left = VISITS_MAX;
        while let Some(step) = steps.pop() {
            if visits_left == 0 {
                self.is_cut = true;
                break;
            }
            visits_left -= 1;
            let word = trie.nodes[step.node as usize].word;
            if word != NONE
                && let Some(mistakes) = if self.walk.is_prefix { step.done } else { self.behind(&step.places) }
                && !self.take(Found { word, mistakes })
            {
                break;
            }
            self.push_children(trie, &mut steps, &step);
        }
        (self.found.concat(), !self.is_cut)
    }

    /// Takes a word; false if no other can be taken.
    fn take(&mut self, found: Found) -> bool {
        let words = &mut self.found[usize::from(found.mistakes)];
        if words.len() < self.walk.words_max {
            words.push(found);
            return true;
        }
        self.is_cut = true;
        let wanted = self.found.iter().rposition(|words| words.len() < self.walk.words_max);
        self.mistakes = wanted.unwrap_or(0);
        wanted.is_some()
    }

    /// The fewest mistakes with which all that was typed is behind.
    fn behind(&self, places: &Places<N>) -> Option<u8> {
        places.at.iter().position(|at| at & self.end != 0).map(|mistakes| mistakes as u8)
    }

    fn push_children(&self, trie: &Trie, steps: &mut Vec<Step<N>>, from: &Step<N>) {
        let allowed = from.mistakes.min(self.mistakes as u8);
        for child in trie.children(from.node as usize) {
            let letter = trie.nodes[child].letter;
            let mut mistakes = allowed;
            if from.node == 0 && self.walk.typed.first() != Some(&letter) {
                mistakes = mistakes.min(1);
            }
            let places = self.step(&from.places, letter, mistakes.into());
            let mut done = from.done;
            if self.walk.is_prefix {
                done = match (from.done, self.behind(&places)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            if done.is_some_and(|done| done <= allowed) || places.is_anywhere() {
                steps.push(Step { node: child as u32, places, mistakes, done });
            }
        }
    }

    /// The places after one more letter of the tree.
    fn step(&self, from: &Places<N>, letter: char, mistakes: usize) -> Places<N> {
        let mask = self.masks.of(letter);
        let mut to = Places { at: [0; N], swapping: [0; N] };
        to.at[0] = (from.at[0] & mask) << 1;
        for k in 1..N {
            if k > mistakes {
                break;
            }
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

/// The places of each letter in what was typed.
struct Masks {
    /// Of `a` to `z`, which most letters are.
    plain: [u64; 26],
    others: Vec<(char, u64)>,
}

impl Masks {
    fn new(typed: &[char]) -> Self {
        let mut masks = Self { plain: [0; 26], others: Vec::new() };
        for (at, &letter) in typed.iter().enumerate().take(63) {
            if letter.is_ascii_lowercase() {
                masks.plain[usize::from(letter as u8 - b'a')] |= 1 << at;
            } else if let Some((_, mask)) = masks.others.iter_mut().find(|(known, _)| *known == letter) {
                *mask |= 1 << at;
            } else {
                masks.others.push((letter, 1 << at));
            }
        }
        masks
    }

    fn of(&self, letter: char) -> u64 {
        if letter.is_ascii_lowercase() {
            return self.plain[usize::from(letter as u8 - b'a')];
        }
        self.others.iter().find(|(known, _)| *known == letter).map_or(0, |&(_, mask)| mask)
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
            let out = out % words.len();
            trie.remove(&words[out]);
            for (number, word) in words.iter().enumerate() {
                let typed: Vec<char> = word.chars().collect();
                let (found, _) = trie.walk(&Walk { typed: &typed, mistakes: 0, is_prefix: false, words_max: 9 });
                prop_assert_eq!(found.len(), usize::from(number != out));
            }
            trie.insert(&words[out], 7);
            let nodes = trie.nodes.len();
            trie.remove(&words[out]);
            trie.insert(&words[out], 7);
            prop_assert_eq!(trie.nodes.len(), nodes, "freed nodes are used again");
        }
    }
}
