//! One written character as search compares it: lower case, without marks, in the letters most keyboards have.
//!
//! Unicode's compatibility decomposition (NFKD) takes marks and widths apart. What it does not know, because to
//! Unicode these are letters of their own, is in the small table here. No dictionary of any language is needed.

/// What a decomposed, lower-case letter is searched as, where decomposition leaves it alone.
pub(super) fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'ı' => "i",
        'ŋ' => "ng",
        'ħ' => "h",
        'ŧ' => "t",
        'ə' => "e",
        'ĸ' => "k",
        'ʻ' | 'ʼ' | 'ʹ' => "",
        'ς' => "σ",
        _ => return None,
    })
}

/// What a sign stands for when it is written instead of a letter, as in "Ke$ha" and "P!nk".
pub(super) fn sign_as_letter(sign: char) -> Option<char> {
    Some(match sign {
        '$' => 's',
        '!' => 'i',
        '@' => 'a',
        '€' => 'e',
        '¥' => 'y',
        '£' => 'l',
        _ => return None,
    })
}

/// Signs that are left out without parting the word: "Don't" is looked for as "dont".
pub(super) fn is_silent(sign: char) -> bool {
    matches!(
        sign,
        '\'' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' | '`' | '\u{b4}' | '\u{ad}' | '\u{640}'
    ) || is_invisible(sign)
}

/// Joiners, direction marks and variation selectors: nobody types them on purpose.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Marks that people leave out when they type. Vowel signs of Indic scripts and Thai are not among them: without
/// those the word is another one.
pub(super) fn is_dropped_mark(mark: char) -> bool {
    matches!(mark,
        '\u{300}'..='\u{36f}'       // Latin, Greek, Cyrillic
        | '\u{483}'..='\u{487}'     // Old Cyrillic
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' // Hebrew points
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' // Arabic vowels
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// The two marks that make another Japanese sound, which NFKD splits off: they are put back.
pub(super) fn is_voicing(mark: char) -> bool {
    matches!(mark, '\u{3099}' | '\u{309a}')
}

/// Katakana as hiragana, so that either finds the other; all else unchanged.
pub(super) fn as_hiragana(letter: char) -> char {
    match letter {
        '\u{30a1}'..='\u{30f6}' => char::from_u32(u32::from(letter) - 0x60).expect("hiragana lie 0x60 below katakana"),
        _ => letter,
    }
}

/// Whether a script is written without spaces between words: such text is searched by pairs of characters.
pub(super) fn is_unspaced(letter: char) -> bool {
    matches!(letter,
        '\u{0e00}'..='\u{0eff}'     // Thai, Lao
        | '\u{1000}'..='\u{109f}'   // Burmese
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' // Japanese kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}')
}

/// Whether a character is part of a word: letters, digits, and the vowel signs that [`is_dropped_mark`] spares.
pub(super) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || unicode_normalization::char::is_combining_mark(letter)
}
