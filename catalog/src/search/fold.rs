//! A name or a query as the words that are compared: folded, parted, and the ways to write it that mean the same.
//!
//! "Björk", "BJORK" and "bjork" fold to the same word; "AC/DC" folds to `ac dc` and, as punctuation both parts and
//! joins, also to `acdc`; "T.N.T." and "t n t" both fold to `tnt`. Names in scripts without spaces become pairs of
//! characters. [`super::letters`] holds the tables.

use unicode_normalization::UnicodeNormalization;

use super::letters;

/// How long one word may be, in characters; the rest is cut. The walk in [`super::trie`] holds a word in 64 bits.
pub(super) const WORD_CHARS_MAX: usize = 48;

/// One way to write a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// In order.
    pub(super) words: Vec<String>,
    /// How many of them stand before a bracket or a dash, such as "(Remastered)": the name that people know.
    pub(super) main: usize,
    /// Everything as one word.
    pub(super) squashed: String,
    /// How much of `squashed` is the main part, in bytes.
    pub(super) main_squashed_bytes: usize,
}

impl Form {
    /// The main part as one word.
    pub(super) fn main_squashed(&self) -> &str {
        &self.squashed[..self.main_squashed_bytes]
    }

    /// Parts the words of scripts without spaces into pairs of characters.
    fn into_pairs(self, is_name: bool) -> Self {
        let squashed = self.words.concat();
        let main_squashed_bytes = self.words[..self.main].iter().map(String::len).sum();
        let mut out = Self { squashed, main_squashed_bytes, ..Self::default() };
        for (at, word) in self.words.iter().enumerate() {
            out.words.extend(pairs(word, is_name));
            if at < self.main {
                out.main = out.words.len();
            }
        }
        out
    }
}

/// What separates two characters that stay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    /// Nothing: one word.
    None,
    /// Punctuation without a space: two words, or one ("AC/DC").
    Tight,
    /// A space: two words.
    Wide,
}

/// A word and what stood before it.
struct Piece {
    gap: Gap,
    /// The first word behind a bracket or a dash.
    aside: bool,
    text: String,
}

/// Folds a query: its words with the spaces it has.
pub(super) fn query(text: &str) -> Form {
    parted(&pieces(text)).into_pairs(false)
}

/// Folds a name into every form it may be typed as; the first is as it is written.
pub(super) fn name(text: &str) -> Vec<Form> {
    let pieces = pieces(text);
    let first = parted(&pieces);
    let second = joined(&pieces);
    if first.words == second.words {
        return vec![first.into_pairs(true)];
    }
    vec![first.into_pairs(true), second.into_pairs(true)]
}

/// The text as it was written apart from case and width: tells "Björk" from "Bjork" when both are found.
pub(super) fn written(text: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for c in text.trim().nfkc().flat_map(char::to_lowercase) {
        hash = (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0000_0100_0000_01b3);
    }
    fold_hash(hash)
}

/// Whether a query holds nothing but its words, so that how the name is written cannot be told from it.
pub(super) fn is_plain(text: &str, query: &Form) -> bool {
    let mut typed = text.split_whitespace();
    query.words.iter().all(|word| typed.next().is_some_and(|typed| typed.eq_ignore_ascii_case(word)))
        && typed.next().is_none()
}

/// Whether two names are the same to search: they differ only in case, accents, signs and spaces.
pub fn is_same_name(a: &str, b: &str) -> bool {
    let of_a = name(a);
    name(b).iter().any(|b| of_a.iter().any(|a| a.squashed == b.squashed))
}

/// A hash of squashed words.
pub(super) fn squash_hash(text: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    fold_hash(hash)
}

/// The better halves of 64 bits in 32.
fn fold_hash(hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u32::try_from(mixed >> 32).expect("32 bits are left")
}

/// Folded characters, with what is needed to part them.
fn folded(text: &str) -> Vec<char> {
    let mut out: Vec<char> = Vec::with_capacity(text.len() + 4);
    if text.is_ascii() {
        out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
        return out;
    }
    for c in text.nfkd() {
        if letters::is_dropped_mark(c) {
            continue;
        }
        if letters::is_voicing(c) {
            let voiced = out.last().and_then(|&last| unicode_normalization::char::compose(last, c));
            if let (Some(voiced), Some(last)) = (voiced, out.last_mut()) {
                *last = voiced;
            }
            continue;
        }
        for lower in c.to_lowercase().filter(|&c| !letters::is_dropped_mark(c)) {
            match letters::plain(lower) {
                Some(plain) => out.extend(plain.chars()),
                None => out.push(letters::as_hiragana(lower)),
            }
        }
    }
    out
}

/// Parts folded text into words. A name of signs alone, such as "!!!", is one word of those signs.
fn pieces(text: &str) -> Vec<Piece> {
    let chars = folded(text);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut word = String::new();
    let (mut gap, mut aside) = (Gap::None, false);
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1).copied();
        if let Some(letter) = in_word(c, before, after, &chars[at + 1..]) {
            word.push(letter);
            continue;
        }
        if letters::is_silent(c) {
            continue;
        }
        if !word.is_empty() {
            pieces.push(Piece { gap, aside, text: std::mem::take(&mut word) });
            (gap, aside) = (Gap::Tight, false);
        }
        if c == '&' || (c == '+' && is_apart(before, after)) {
            pieces.push(Piece { gap: Gap::Wide, aside, text: "and".to_owned() });
            (gap, aside) = (Gap::Wide, false);
        } else if c.is_whitespace() {
            gap = Gap::Wide;
        }
        aside |= matches!(c, '(' | '[') || (matches!(c, '-' | '\u{2013}' | '\u{2014}') && is_apart(before, after));
    }
    if !word.is_empty() {
        pieces.push(Piece { gap, aside, text: word });
    }
    if pieces.iter().all(|piece| piece.text == "and") && !chars.iter().any(|&c| letters::is_word(c)) {
        let signs: String = chars.into_iter().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        pieces.clear();
        if !signs.is_empty() {
            pieces.push(Piece { gap: Gap::None, aside: false, text: signs });
        }
    }
    and_for_n(&mut pieces);
    pieces
}

/// The letter that a character gives to the word it stands in, if it is part of one.
fn in_word(c: char, before: Option<char>, after: Option<char>, rest: &[char]) -> Option<char> {
    if letters::is_word(c) {
        return Some(c);
    }
    let letter = letters::sign_as_letter(c)?;
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let stands_in = match c {
        // "!" and "@" end and begin words too: only between letters are they letters.
        '!' | '@' | '£' | '¥' | '€' => is_letter(before) && is_letter(after),
        // "A$AP", "$uicideboy$", "Joey Bada$$".
        _ => {
            is_letter(before)
                || rest.iter().find(|&&c| letters::sign_as_letter(c).is_none()).is_some_and(|c| c.is_alphabetic())
        }
    };
    stands_in.then_some(letter)
}

/// Whether a sign stands alone between spaces or ends.
fn is_apart(before: Option<char>, after: Option<char>) -> bool {
    before.is_none_or(char::is_whitespace) && after.is_none_or(char::is_whitespace)
}

/// "Guns N' Roses", "Salt-N-Pepa": a lone n between words is "and".
fn and_for_n(pieces: &mut [Piece]) {
    for at in 1..pieces.len().saturating_sub(1) {
        if pieces[at].text == "n" && pieces[at - 1].text.len() > 1 && pieces[at + 1].text.len() > 1 {
            "and".clone_into(&mut pieces[at].text);
        }
    }
}

/// Every piece a word, but runs of single letters one word: "R.E.M." and "r e m" are `rem`.
fn parted(pieces: &[Piece]) -> Form {
    let mut form = Form::default();
    let mut is_aside = false;
    let mut run = false;
    for (at, piece) in pieces.iter().enumerate() {
        let single = is_single_letter(&piece.text);
        let goes_on = run && single && !piece.aside;
        match form.words.last_mut() {
            Some(last) if goes_on => last.push_str(&piece.text),
            _ => form.words.push(piece.text.clone()),
        }
        run = single;
        is_aside |= piece.aside && at > 0;
        if !is_aside {
            form.main = form.words.len();
        }
    }
    form
}

/// Pieces without a space between them as one word: "AC/DC" as `acdc`, "Jay-Z" as `jayz`.
fn joined(pieces: &[Piece]) -> Form {
    let mut glued: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match glued.last_mut() {
            Some(last) if piece.gap == Gap::Tight && !piece.aside => last.text.push_str(&piece.text),
            _ => glued.push(Piece { gap: piece.gap, aside: piece.aside, text: piece.text.clone() }),
        }
    }
    parted(&glued)
}

/// One ASCII letter.
fn is_single_letter(word: &str) -> bool {
    word.len() == 1 && word.as_bytes()[0].is_ascii_alphabetic()
}

/// A word as it is; one of a script without spaces as its overlapping pairs of characters. A name (`is_name`) ends with
/// its last character alone, so that every character begins a word that a query may be a prefix of.
fn pairs(word: &str, is_name: bool) -> Vec<String> {
    if word.is_ascii() || !word.chars().any(letters::is_unspaced) {
        return vec![word.chars().take(WORD_CHARS_MAX).collect()];
    }
    let chars: Vec<char> = word.chars().collect();
    let mut words = Vec::with_capacity(chars.len());
    let mut spaced = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if !letters::is_unspaced(c) {
            spaced.push(c);
            continue;
        }
        if !spaced.is_empty() {
            words.push(std::mem::take(&mut spaced).chars().take(WORD_CHARS_MAX).collect());
        }
        match chars.get(at + 1) {
            Some(&next) if letters::is_unspaced(next) => words.push([c, next].iter().collect()),
            _ if is_name || at == 0 || !letters::is_unspaced(chars[at - 1]) => words.push(c.to_string()),
            _ => {}
        }
    }
    if !spaced.is_empty() {
        words.push(spaced.chars().take(WORD_CHARS_MAX).collect());
    }
    words
}
