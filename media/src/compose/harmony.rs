//! Scales and chords: degrees in, MIDI note numbers out.

/// Semitones of the seven degrees above the tonic.
pub(super) type Mode = [i32; 7];

pub(super) const MAJOR: Mode = [0, 2, 4, 5, 7, 9, 11];
pub(super) const LYDIAN: Mode = [0, 2, 4, 6, 7, 9, 11];
pub(super) const MIXOLYDIAN: Mode = [0, 2, 4, 5, 7, 9, 10];
pub(super) const DORIAN: Mode = [0, 2, 3, 5, 7, 9, 10];
pub(super) const MINOR: Mode = [0, 2, 3, 5, 7, 8, 10];
pub(super) const HIJAZ: Mode = [0, 1, 4, 5, 7, 8, 10];

/// A tonic and its mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub tonic: i32,
    pub mode: Mode,
}

impl Key {
    /// Note of a degree counted from 0 at the tonic; negative degrees lie below.
    pub(super) fn note(&self, degree: i32) -> i32 {
        self.tonic + 12 * degree.div_euclid(7) + self.mode[degree.rem_euclid(7) as usize]
    }
}

/// A chord: its root's degree, and its notes in close position from the root up.
#[derive(Clone, Debug)]
pub(super) struct Chord {
    pub root: i32,
    pub notes: Vec<i32>,
}

impl Chord {
    /// Reads a symbol: a degree 1 to 7, then any of `7` (seventh), `9` (seventh and ninth), `!` (raised third: the
    /// dominant of a minor key) and `s` (fourth for third).
    ///
    /// The symbols are the composer's own tables, so a bad one is our mistake.
    pub(super) fn read(symbol: &str, key: &Key) -> Self {
        let mut marks = symbol.chars();
        let degree =
            marks.next().and_then(|c| c.to_digit(10)).expect("a chord symbol begins with its degree") as i32 - 1;
        let mut notes: Vec<i32> = [0, 2, 4].iter().map(|d| key.note(degree + d)).collect();
        for mark in marks {
            match mark {
                '7' => notes.push(key.note(degree + 6)),
                '9' => notes.extend([key.note(degree + 6), key.note(degree + 8)]),
                '!' => notes[1] = notes[0] + 4,
                's' => notes[1] = key.note(degree + 3),
                other => unreachable!("no chord mark {other:?} is used in the book"),
            }
        }
        Self { root: degree, notes }
    }

    /// The notes moved by octaves to lie closest around `centre`, lowest first: neighbours lead smoothly by themselves.
    pub(super) fn voiced(&self, centre: i32) -> Vec<i32> {
        let mut notes: Vec<i32> = self.notes.iter().map(|n| place(*n, centre - 6)).collect();
        notes.sort_unstable();
        notes.dedup();
        notes
    }

    /// The chord note nearest to `note`, or `note` itself where the nearest is more than `reach` away.
    pub(super) fn nearest(&self, note: i32, reach: i32) -> i32 {
        let near = self.notes.iter().map(|n| place(*n, note - 6)).min_by_key(|n| ((n - note).abs(), *n));
        near.filter(|n| (n - note).abs() <= reach).unwrap_or(note)
    }
}

/// Moves a note by octaves into the twelve semitones from `lowest`.
pub(super) fn place(note: i32, lowest: i32) -> i32 {
    lowest + (note - lowest).rem_euclid(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: Key = Key { tonic: 60, mode: MAJOR };
    const A_MINOR: Key = Key { tonic: 57, mode: MINOR };

    #[test]
    fn chords_are_thirds_of_the_scale() {
        assert_eq!(Chord::read("1", &C).notes, [60, 64, 67]);
        assert_eq!(Chord::read("27", &C).notes, [62, 65, 69, 72]);
        assert_eq!(Chord::read("5!", &A_MINOR).notes, [64, 68, 71]);
        assert_eq!(Chord::read("5s", &C).notes, [67, 72, 74]);
    }

    #[test]
    fn voicings_stay_around_their_centre() {
        assert_eq!(Chord::read("5", &C).voiced(64), [59, 62, 67]);
        assert_eq!(C.note(-1), 59);
        assert_eq!(Chord::read("1", &C).nearest(65, 2), 64);
    }
}
