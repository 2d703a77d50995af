//! The book of twelve pieces: everything that makes one different from the next, as data.
//!
//! Patterns are one bar long. Steps are separated by spaces and share the bar evenly: `.` rests, `-` holds.
//! Themes are scale degrees (8 is the octave), arpeggios and numbered comping are rungs of the chord, `x` and `u` are
//! a whole chord down and up, basses are chord notes (1, 3, 5, 8, 4 for the fifth below, `a` to approach the next bar).
//! Drum patterns have one letter per step: `X x o g` from hard to ghostly.

use super::cover::Cover;
use super::drum::Drum;
use super::harmony::Mode;
use super::voice::Timbre;

mod first;
mod second;

/// The parts of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Intro,
    Verse,
    Chorus,
    Break,
    Outro,
}

/// One player of the band and their place on the desk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Player {
    pub timbre: &'static Timbre,
    /// Octaves from the tonic.
    pub octave: i32,
    pub level: f32,
    pub pan: f32,
    pub echo: f32,
    pub room: f32,
    /// Seconds between the notes of a chord.
    pub strum_s: f64,
    /// Doubled, one on each side.
    pub wide: bool,
}

/// A player in the middle of a small room; the pieces change what differs.
pub(super) const PLAYER: Player = Player {
    timbre: &super::timbre::EPIANO,
    octave: 0,
    level: 0.3,
    pan: 0.0,
    echo: 0.0,
    room: 0.15,
    strum_s: 0.0,
    wide: false,
};

/// Who plays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub melody: Player,
    pub counter: Player,
    pub comp: Player,
    pub pad: Player,
    pub bass: Player,
    /// Lowest note a bass line begins on.
    pub bass_low: i32,
    /// Level of the drums.
    pub drums: f32,
}

/// A kit's bar: which piece plays which pattern.
pub(super) type Groove = &'static [(Drum, &'static str)];

/// A piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub title: &'static str,
    pub artist: &'static str,
    pub genre: &'static str,
    pub seed: u64,
    pub bpm: f64,
    /// Beats per bar.
    pub beats: usize,
    pub tonic: i32,
    pub mode: Mode,
    /// Where the second half of a pair falls: 0.5 is straight, 0.667 a triplet.
    pub swing: f64,
    pub swing_pair_beats: f64,
    pub verse: &'static [&'static str],
    pub chorus: &'static [&'static str],
    pub form: &'static [(Section, usize)],
    /// Two bars of tune for the verse.
    pub theme: [&'static str; 2],
    /// Two bars of tune for the chorus.
    pub hook: [&'static str; 2],
    /// Degrees by which the third phrase moves the motif.
    pub sequence: i32,
    /// Verse and chorus.
    pub bass: [&'static str; 2],
    pub comp: [&'static str; 2],
    pub grooves: [Groove; 2],
    pub arpeggio: &'static str,
    pub fill: Drum,
    pub band: Band,
    pub echo_beats: f64,
    pub echo_feedback: f32,
    pub reverb_s: f64,
    pub reverb_damping: f32,
    /// How far the kick pushes the others down, 0 to 1.
    pub pump: f32,
    /// Seconds after the last bar.
    pub tail_s: f64,
    /// Brings the piece to about -16 LUFS; found by measuring.
    pub trim_db: f64,
    pub cover: Cover,
}

/// The pieces in their order on the record.
pub(super) static BOOK: [Recipe; super::TRACKS] = [
    first::RUN_IN_GROOVE,
    first::PAPER_LANTERNS,
    first::COPPER_WIRE,
    first::MARBLE_RUN,
    first::LOW_TIDE,
    first::THREE_COINS,
    second::MIDNIGHT_FERRY,
    second::GLASSHOUSE,
    second::SLOW_COMETS,
    second::TIN_PARADE,
    second::SAFFRON_ROAD,
    second::LAST_TRAM_HOME,
];
