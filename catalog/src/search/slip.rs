//! How far a typed word is from a real one, in slips of the finger and of the ear.
//!
//! One plain slip costs 1. Slips that people make all the time cost less: a vowel for another, c for k, a letter
//! doubled or not, two neighbours swapped. A wrong first letter costs more. What is within a bounded number of slips is
//! the business of [`super::trie`]; here those words are put in order.

use std::sync::LazyLock;

use super::fold::WORD_CHARS_MAX;

/// Neighbours swapped.
const SWAP: f32 = 0.7;
/// A letter doubled, or not.
const DOUBLED: f32 = 0.4;
/// Letters that sound alike.
const SOUNDS_ALIKE: f32 = 0.6;
/// A key beside the right one.
const BESIDE: f32 = 0.8;
/// A vowel, an h or a last letter too many or too few: people write what they hear.
const WEAK: f32 = 0.8;
/// On top, where the first letter is wrong.
const FIRST: f32 = 0.5;

/// Sounds that are written with different letters.
const ALIKE: &[&str] = &["aeiouy", "ckqg", "szcx", "fvw", "dt", "bp", "mn", "gj", "uvw", "ij", "lr", "оа", "еи", "її"];

/// The keys of the commonest keyboard, by row.
const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// The cost of having typed a word for another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slips {
    /// For the whole of it.
    pub(super) whole: f32,
    /// For its best beginning.
    pub(super) begun: f32,
}

/// The cost of having typed `typed` for `word`. Weighs more in short words, where one slip is a larger part.
pub(super) fn weigh(typed: &[char], word: &[char]) -> Slips {
    let typed = &typed[..typed.len().min(WORD_CHARS_MAX)];
    let word = &word[..word.len().min(WORD_CHARS_MAX)];
    let columns = word.len();
    let mut alone = [0.0_f32; WORD_CHARS_MAX];
    let mut rows = [[0.0_f32; WORD_CHARS_MAX + 1]; 3];
    for at in 0..columns {
        alone[at] = lone(word, at);
        rows[0][at + 1] = rows[0][at] + alone[at];
    }
    for i in 0..typed.len() {
        let [before, now, two_before] = three(&mut rows, i);
        let typed_alone = lone(typed, i);
        now[0] = before[0] + typed_alone;
        for j in 0..columns {
            let mut cost = before[j] + swapped_for(typed[i], word[j], i == 0 && j == 0);
            cost = cost.min(before[j + 1] + typed_alone).min(now[j] + alone[j]);
            if i > 0 && j > 0 && typed[i] == word[j - 1] && typed[i - 1] == word[j] && typed[i] != word[j] {
                cost = cost.min(two_before[j - 1] + SWAP);
            }
            now[j + 1] = cost;
        }
    }
    let last = &rows[typed.len() % 3][..=columns];
    let share = 1.0 + 1.0 / typed.len().max(1) as f32;
    Slips { whole: last[columns] * share, begun: last.iter().copied().fold(f32::MAX, f32::min) * share }
}

/// The row above, the row to fill and the one above both, when row `i` is done.
fn three(rows: &mut [[f32; WORD_CHARS_MAX + 1]; 3], i: usize) -> [&mut [f32; WORD_CHARS_MAX + 1]; 3] {
    let [a, b, c] = rows;
    match i % 3 {
        0 => [a, b, c],
        1 => [b, c, a],
        _ => [c, a, b],
    }
}

/// The cost of a letter that only one side has.
fn lone(word: &[char], at: usize) -> f32 {
    let letter = word[at];
    if at > 0 && word[at - 1] == letter {
        DOUBLED
    } else if at == 0 {
        1.0 + FIRST
    } else if at + 1 == word.len() || matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'h') {
        WEAK
    } else {
        1.0
    }
}

/// The cost of one letter for another.
fn swapped_for(a: char, b: char, is_first: bool) -> f32 {
    if a == b {
        return 0.0;
    }
    let first = if is_first { FIRST } else { 0.0 };
    let cost = match (plain(a), plain(b)) {
        (Some(a), Some(b)) => PLAIN[a][b],
        _ => confused(a, b),
    };
    first + cost
}

/// The place of a letter in [`PLAIN`].
fn plain(letter: char) -> Option<usize> {
    letter.is_ascii_lowercase().then(|| usize::from(letter as u8 - b'a'))
}

/// [`confused`] for `a` to `z`: a search weighs hundreds of words, letter by letter.
static PLAIN: LazyLock<[[f32; 26]; 26]> = LazyLock::new(|| {
    let letter = |place: usize| char::from(b'a' + place as u8);
    std::array::from_fn(|a| std::array::from_fn(|b| confused(letter(a), letter(b))))
});

/// The cost of one letter for another one.
fn confused(a: char, b: char) -> f32 {
    if ALIKE.iter().any(|group| group.contains(a) && group.contains(b)) {
        SOUNDS_ALIKE
    } else if is_beside(a, b) {
        BESIDE
    } else {
        1.0
    }
}

/// Whether two keys touch.
fn is_beside(a: char, b: char) -> bool {
    let place = |key: char| ROWS.iter().enumerate().find_map(|(row, keys)| keys.find(key).map(|column| (row, column)));
    match (place(a), place(b)) {
        // A key touches its row's neighbours and two keys of the next row: its own column and the one before.
        (Some((row_a, a)), Some((row_b, b))) => match row_a.cmp(&row_b) {
            std::cmp::Ordering::Equal => a.abs_diff(b) == 1,
            std::cmp::Ordering::Less => row_b - row_a == 1 && (a == b || a == b + 1),
            std::cmp::Ordering::Greater => row_a - row_b == 1 && (a == b || b == a + 1),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(typed: &str, word: &str) -> f32 {
        weigh(&typed.chars().collect::<Vec<_>>(), &word.chars().collect::<Vec<_>>()).whole
    }

    #[test]
    fn the_right_word_costs_nothing() {
        assert_eq!(cost("taylor", "taylor"), 0.0);
        assert_eq!(weigh(&['t', 'a', 'y'], &"taylor".chars().collect::<Vec<_>>()).begun, 0.0);
    }

    #[test]
    fn slips_of_the_ear_cost_less_than_other_letters() {
        assert!(cost("tailer", "taylor") < cost("tampor", "taylor"));
        assert!(cost("skarface", "scarface") < cost("stcrface", "scarface"));
        assert!(cost("dark tranquility", "dark tranquillity") < cost("dark tranquilpity", "dark tranquility"));
        assert!(cost("brintey", "britney") < cost("brinbey", "britney"));
    }

    #[test]
    fn the_first_letter_matters_and_so_does_the_length() {
        assert!(cost("kanita", "tanita") > cost("takita", "tanita"));
        assert!(cost("ray", "roy") > cost("rayzzzzz", "royzzzzz"));
    }

    #[test]
    fn keys_that_touch_are_nearer() {
        assert!(is_beside('a', 's') && is_beside('q', 'a') && is_beside('s', 'w') && is_beside('a', 'z'));
        assert!(!is_beside('a', 'd') && !is_beside('q', 'z'));
    }
}
