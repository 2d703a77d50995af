//! The order of what is found, in points, and why.
//!
//! Points go down for what was typed and is not in the name, and for what is in the name and was not typed; they go up
//! with the logarithm of plays. A name that was typed in full stands above all others however little it is played,
//! since [`WHOLE_NAME`] is more than popularity can ever give.

use std::fmt;

use super::Kind;

/// The name, or its part before a bracket, is exactly what was typed.
pub const WHOLE_NAME: f32 = 100.0;
/// The same where only the spaces differ, or only the part before a bracket is meant.
pub const WHOLE_NAME_NEARLY: f32 = 0.5;
/// For a name spelled with the very accents and signs that were typed: more than popularity can give, since
/// nobody types those by accident.
pub const WRITTEN_WITH_CARE: f32 = 30.0;
/// For a name spelled as it was typed, without any of these: many type "bjork" for "Björk".
pub const WRITTEN: f32 = 6.0;
/// For one doubling of plays. 2^40 plays are 24 points: two slips and a half.
pub const DOUBLING: f32 = 0.6;
/// For one plain slip.
pub const SLIP: f32 = 9.0;
/// For a typed word that is nowhere in the name.
pub const MISSING: f32 = 22.0;
/// For a typed article or "and" that is nowhere in the name.
pub const MISSING_LITTLE: f32 = 4.0;
/// For a word of the name that was not typed.
pub const EXTRA: f32 = 3.0;
/// The most that extra words cost: long titles are not worse than long-ish ones.
pub const EXTRA_MAX: f32 = 9.0;
/// For a character not yet typed of the last word.
pub const UNFINISHED: f32 = 0.4;
/// The most that those cost.
pub const UNFINISHED_MAX: f32 = 3.0;
/// For a word found in the performers' names, not in the title.
pub const BY: f32 = 1.5;
/// For words in another order.
pub const ORDER: f32 = 3.0;
/// For a name that does not begin with the first typed word.
pub const START: f32 = 1.5;
/// For words that had to be joined or split.
pub const JOINED: f32 = 2.0;

/// Why a hit stands where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The points; more is better.
    pub total: f32,
    /// Words typed.
    pub words: u8,
    /// Of these, found exactly.
    pub exact: u8,
    /// Of these, found nowhere.
    pub missing: u8,
    /// Letters to change, over all words.
    pub edits: u8,
    /// The same in slips, where likely slips count less.
    pub slips: f32,
    /// Whether the whole name was typed.
    pub whole_name: bool,
    /// Characters of the last word not typed yet.
    pub unfinished: u8,
    /// Words of the name that were not typed.
    pub extra: u8,
    /// Words found among the performers.
    pub by: u8,
    /// Whether the words stand in another order.
    pub reordered: bool,
    /// Whether words had to be joined or split.
    pub joined: bool,
    /// Points for popularity.
    pub popularity: f32,
}

/// Points for popularity.
pub(super) fn popularity(plays: u64) -> f32 {
    let doublings = (plays.min(1 << 40) as f32 + 1.0).log2();
    doublings * DOUBLING
}

/// Points that plays below this power of two give at most.
pub(super) fn popularity_below(power: u8) -> f32 {
    // The logarithm of 2^power, and what adding one to it changes at most.
    (f32::from(power.min(40)) + 0.001) * DOUBLING
}

/// The most points that a kind gives.
pub(super) const KIND_MAX: f32 = 2.0;

/// Points for being what people mostly look for.
pub(super) fn kind_points(kind: Kind) -> f32 {
    match kind {
        Kind::Artist => KIND_MAX,
        Kind::Release | Kind::Track | Kind::Show => 0.0,
        Kind::Playlist | Kind::Episode => -2.0,
    }
}

/// Points lost for words that were not typed.
pub(super) fn extra_points(extra: usize) -> f32 {
    (extra as f32 * EXTRA).min(EXTRA_MAX)
}

/// Points lost for characters that were not typed.
pub(super) fn unfinished_points(chars: u8) -> f32 {
    (f32::from(chars) * UNFINISHED).min(UNFINISHED_MAX)
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}: ", self.total)?;
        if self.whole_name {
            f.write_str("the whole name, ")?;
        }
        write!(f, "{} of {} words exact", self.exact, self.words)?;
        for (count, what) in [
            (self.edits, "letters changed"),
            (self.missing, "words not found"),
            (self.by, "words found in the performers"),
            (self.extra, "words of the name not typed"),
            (self.unfinished, "letters not typed yet"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for (is_so, what) in [(self.reordered, "other order"), (self.joined, "words joined or split")] {
            if is_so {
                write!(f, ", {what}")?;
            }
        }
        write!(f, ", popularity {:.1}", self.popularity)
    }
}
