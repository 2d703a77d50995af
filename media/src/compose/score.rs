//! From a recipe to a score: the arranger. Walks the form bar by bar and writes every note as an event in frames.
//!
//! It knows harmony and rhythm but makes no sound; [`super::desk`] plays what is written here.

use super::RATE;
use super::book::{Player, Recipe, Section};
use super::dice::Dice;
use super::drum::Drum;
use super::harmony::{Chord, Key, place};

/// Who plays an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Melody,
    Counter,
    Comp,
    Pad,
    Bass,
    Drums,
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sound {
    /// A MIDI note number, with cents as fractions.
    Note(f64),
    /// A stroke and its pitch factor.
    Stroke(Drum, f64),
}

/// One note or stroke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub start: u64,
    pub frames: u32,
    pub part: Part,
    pub sound: Sound,
    pub level: f32,
    pub pan: f32,
}

/// A whole piece, events in order of their start.
#[derive(Clone, Debug)]
pub(super) struct Score {
    pub events: Vec<Event>,
    pub frames: u64,
}

/// One step of a pattern: where and how long in beats, and the token that stands there.
struct Step<'a> {
    at: f64,
    beats: f64,
    token: &'a str,
}

/// Splits a bar into equal steps at spaces: `.` rests, `-` holds what came before.
fn steps(pattern: &str, bar_beats: f64) -> Vec<Step<'_>> {
    let tokens: Vec<&str> = pattern.split_whitespace().collect();
    let unit = bar_beats / tokens.len().max(1) as f64;
    let mut out: Vec<Step<'_>> = Vec::new();
    let mut sounding = false;
    for (i, token) in tokens.into_iter().enumerate() {
        match token {
            "." => sounding = false,
            "-" if sounding => out.last_mut().expect("a sounding step was pushed").beats += unit,
            "-" => {}
            _ => {
                sounding = true;
                out.push(Step { at: i as f64 * unit, beats: unit, token });
            }
        }
    }
    out
}

/// What is the same for all of one bar.
struct Bar<'a> {
    section: Section,
    /// Which time this kind of section comes round, from 0.
    pass: usize,
    /// Index in the section, and the section's length.
    index: usize,
    of: usize,
    start_beats: f64,
    chord: &'a Chord,
    next_chord: &'a Chord,
}

impl Bar<'_> {
    fn second_half(&self) -> bool {
        self.index * 2 >= self.of
    }
    fn last(&self) -> bool {
        self.index + 1 == self.of
    }
    fn full(&self) -> bool {
        self.section == Section::Chorus
    }
}

/// Writes the score of a recipe.
pub(super) fn write(recipe: &Recipe) -> Score {
    let mut writer = Writer {
        recipe,
        key: Key { tonic: recipe.tonic, mode: recipe.mode },
        dice: Dice::new(recipe.seed),
        events: Vec::new(),
        last_note: recipe.tonic + 12 * recipe.band.melody.octave,
    };
    let bars = writer.walk_form();
    let music = writer.frame(bars as f64 * recipe.beats as f64);
    let mut events = writer.events;
    events.sort_by_key(|e| e.start);
    Score { events, frames: music + (recipe.tail_s * RATE) as u64 }
}

struct Writer<'r> {
    recipe: &'r Recipe,
    key: Key,
    dice: Dice,
    events: Vec<Event>,
    /// Last melody note, so that cadences end near it.
    last_note: i32,
}

impl Writer<'_> {
    fn walk_form(&mut self) -> usize {
        let recipe = self.recipe;
        let read = |symbols: &[&str]| -> Vec<Chord> { symbols.iter().map(|s| Chord::read(s, &self.key)).collect() };
        let (verse, chorus) = (read(recipe.verse), read(recipe.chorus));
        let mut passes = [0usize; 5];
        let mut bar_at = 0;
        for &(section, of) in recipe.form {
            let chords = if section == Section::Chorus { &chorus } else { &verse };
            let pass = passes[section as usize];
            passes[section as usize] += 1;
            for index in 0..of {
                let bar = Bar {
                    section,
                    pass,
                    index,
                    of,
                    start_beats: (bar_at * recipe.beats) as f64,
                    chord: &chords[index % chords.len()],
                    next_chord: &chords[(index + 1) % chords.len()],
                };
                self.write_bar(&bar);
                bar_at += 1;
            }
        }
        bar_at
    }

    fn write_bar(&mut self, bar: &Bar<'_>) {
        if bar.section == Section::Outro && bar.last() {
            return self.write_ending(bar);
        }
        self.write_drums(bar);
        let plays_bass = match bar.section {
            Section::Intro | Section::Break => bar.second_half(),
            _ => true,
        };
        if plays_bass {
            self.write_bass(bar);
        }
        self.write_comp(bar);
        if bar.section != Section::Verse || bar.pass > 0 {
            self.write_pad(bar);
        }
        let arpeggio = match bar.section {
            Section::Chorus => true,
            Section::Intro | Section::Break => bar.second_half(),
            Section::Verse => bar.pass > 0,
            Section::Outro => !bar.second_half(),
        };
        if arpeggio {
            self.write_counter(bar);
        }
        match bar.section {
            Section::Verse | Section::Chorus | Section::Break => self.write_melody(bar),
            Section::Outro if !bar.second_half() => self.write_melody(bar),
            _ => {}
        }
    }

    /// The last bar: one chord that rings out, on the tonic.
    fn write_ending(&mut self, bar: &Bar<'_>) {
        let tonic = Chord::read("1", &self.key);
        let beats = self.recipe.beats as f64 * 0.9;
        let band = &self.recipe.band;
        for (i, note) in tonic.voiced(self.key.tonic + 12 * band.comp.octave).into_iter().enumerate() {
            self.note(Part::Comp, &band.comp, bar.start_beats + 0.06 * i as f64, beats, note, 0.9);
        }
        for note in tonic.voiced(self.key.tonic + 12 * band.pad.octave) {
            self.note(Part::Pad, &band.pad, bar.start_beats, beats, note, 0.9);
        }
        let low = place(self.key.tonic, band.bass_low);
        self.note(Part::Bass, &band.bass, bar.start_beats, beats, low, 1.0);
        let end = tonic.nearest(self.last_note, 6);
        self.note(Part::Melody, &band.melody, bar.start_beats, beats, end, 0.9);
        self.stroke(Drum::SoftKick, bar.start_beats, 1.0, 0.9);
        self.stroke(Drum::Crash, bar.start_beats, 1.0, 0.7);
    }

    fn write_drums(&mut self, bar: &Bar<'_>) {
        let beats = self.recipe.beats as f64;
        let groove = if bar.full() { self.recipe.grooves[1] } else { self.recipe.grooves[0] };
        let light = |d: Drum| matches!(d, Drum::Hat | Drum::OpenHat | Drum::Shaker | Drum::Rim | Drum::Brush);
        let filling = bar.last() && matches!(bar.section, Section::Intro | Section::Verse | Section::Break);
        for &(drum, pattern) in groove {
            let plays = match bar.section {
                Section::Intro => bar.second_half() && light(drum),
                Section::Break => light(drum) || bar.second_half() && drum != Drum::Snare,
                Section::Outro => !bar.second_half() || light(drum),
                Section::Verse | Section::Chorus => true,
            };
            if !plays {
                continue;
            }
            let unit = beats / pattern.len() as f64;
            for (i, mark) in pattern.bytes().enumerate() {
                let at = i as f64 * unit;
                let level = match mark {
                    b'X' => 1.0,
                    b'x' => 0.78,
                    b'o' => 0.5,
                    b'g' => 0.26,
                    _ => continue,
                };
                // A fill takes the last quarter of its bar for itself.
                if filling && at >= beats * 0.75 && !light(drum) {
                    continue;
                }
                self.stroke(drum, bar.start_beats + at, 1.0, level);
            }
        }
        if filling {
            self.write_fill(bar, beats);
        }
        if bar.index == 0 && bar.full() {
            self.stroke(Drum::Crash, bar.start_beats, 1.0, 0.6);
        }
    }

    /// Three or four strokes that lead into the next section.
    fn write_fill(&mut self, bar: &Bar<'_>, beats: f64) {
        let drum = self.recipe.fill;
        let from = beats * 0.75;
        let shape = self.dice.pick(&[[1.0, 0.7, 0.85, 1.0], [1.0, 0.0, 0.8, 0.9], [0.8, 0.9, 0.0, 1.0]]);
        for (i, level) in shape.into_iter().enumerate() {
            if level > 0.0 {
                let bend = 1.5 - 0.2 * i as f64;
                self.stroke(drum, bar.start_beats + from + beats * i as f64 / 16.0, bend, level * 0.8);
            }
        }
    }

    fn write_bass(&mut self, bar: &Bar<'_>) {
        let recipe = self.recipe;
        let root = place(bar.chord.notes[0], recipe.band.bass_low);
        for step in steps(recipe.bass[usize::from(bar.full())], recipe.beats as f64) {
            let note = match step.token {
                "3" => place(bar.chord.notes[1], root),
                "5" => place(bar.chord.notes[2], root),
                "4" => place(bar.chord.notes[2], root - 12),
                "8" => root + 12,
                // A step below where the next bar begins.
                "a" => place(self.key.note(bar.next_chord.root - 1), recipe.band.bass_low - 2),
                _ => root,
            };
            self.note(
                Part::Bass,
                &recipe.band.bass,
                bar.start_beats + step.at,
                step.beats * 0.94,
                note,
                accent(step.at),
            );
        }
    }

    fn write_comp(&mut self, bar: &Bar<'_>) {
        let recipe = self.recipe;
        let player = &recipe.band.comp;
        let notes = bar.chord.voiced(self.key.tonic + 12 * player.octave);
        let quieter = if bar.section == Section::Break { 0.8 } else { 1.0 };
        for step in steps(recipe.comp[usize::from(bar.full())], recipe.beats as f64) {
            let level = accent(step.at) * quieter;
            let at = bar.start_beats + step.at;
            if let Ok(index) = step.token.parse::<usize>() {
                self.note(Part::Comp, player, at, step.beats, ladder(&notes, index), level);
                continue;
            }
            // Up-strokes start at the top; `u` is one.
            let up = step.token == "u";
            let count = notes.len();
            for i in 0..count {
                let note = notes[if up { count - 1 - i } else { i }];
                let late = i as f64 * player.strum_s * recipe.bpm / 60.0;
                self.note(Part::Comp, player, at + late, step.beats * 0.95, note, level);
            }
        }
    }

    fn write_pad(&mut self, bar: &Bar<'_>) {
        let player = &self.recipe.band.pad;
        for note in bar.chord.voiced(self.key.tonic + 12 * player.octave) {
            self.note(Part::Pad, player, bar.start_beats, self.recipe.beats as f64, note, 0.9);
        }
    }

    fn write_counter(&mut self, bar: &Bar<'_>) {
        let recipe = self.recipe;
        let player = &recipe.band.counter;
        let notes = bar.chord.voiced(self.key.tonic + 12 * player.octave);
        for step in steps(recipe.arpeggio, recipe.beats as f64) {
            let index = step.token.parse().unwrap_or(1);
            let level = accent(step.at) * if bar.full() { 0.85 } else { 0.7 };
            self.note(Part::Counter, player, bar.start_beats + step.at, step.beats, ladder(&notes, index), level);
        }
    }

    /// The tune: a two-bar motif, stated, varied, moved, and brought home, over eight bars.
    fn write_melody(&mut self, bar: &Bar<'_>) {
        let recipe = self.recipe;
        let motif = if bar.full() { recipe.hook } else { recipe.theme };
        let (phrase, second_bar) = ((bar.index / 2) % 4, bar.index % 2);
        if bar.section == Section::Break && phrase % 2 == 1 {
            return; // The break lets the tune breathe: a call without its answer.
        }
        let beats = recipe.beats as f64;
        let homeward = (phrase == 3 || bar.of <= 4 && phrase == 1) && second_bar == 1;
        let shift = if phrase == 2 { recipe.sequence } else { 0 };
        let steps = steps(motif[second_bar], beats);
        let count = steps.len();
        for (i, step) in steps.into_iter().enumerate() {
            let degree: i32 = step.token.parse().expect("themes are written in degrees");
            if homeward && step.at >= beats * 0.5 {
                let home = bar.chord.nearest(self.last_note, 6);
                self.sing(bar, step.at, beats - step.at, home, 1.0);
                return;
            }
            let varied = phrase == 1 && second_bar == 1 && i + 1 == count;
            let turn = if varied { self.dice.pick(&[-1, 1, 2]) } else { 0 };
            let degree = degree - 1 + shift + turn;
            let strong = step.at.fract() == 0.0 && (step.beats >= 1.0 || step.at == 0.0);
            let plain = self.key.note(degree) + 12 * recipe.band.melody.octave;
            let note = if strong { bar.chord.nearest(plain, 2) } else { plain };
            self.sing_ornamented(bar, &step, degree, note);
        }
    }

    /// A long note may turn around its upper neighbour when its section comes again.
    fn sing_ornamented(&mut self, bar: &Bar<'_>, step: &Step<'_>, degree: i32, note: i32) {
        let level = accent(step.at);
        if bar.pass == 0 || step.beats < 1.0 || !self.dice.chance(0.4) {
            return self.sing(bar, step.at, step.beats, note, level);
        }
        let upper = self.key.note(degree + 1) + 12 * self.recipe.band.melody.octave;
        let (first, turn) = (step.beats * 0.5, step.beats * 0.25);
        self.sing(bar, step.at, first, note, level);
        self.sing(bar, step.at + first, turn, upper, level * 0.8);
        self.sing(bar, step.at + first + turn, turn, note, level * 0.85);
    }

    fn sing(&mut self, bar: &Bar<'_>, at: f64, beats: f64, note: i32, level: f32) {
        self.last_note = note;
        let band = &self.recipe.band;
        // In the break the counter's instrument takes the tune, in its own octave.
        let (part, player, move_by) = match bar.section {
            Section::Break => (Part::Counter, &band.counter, 12 * (band.counter.octave - band.melody.octave)),
            _ => (Part::Melody, &band.melody, 0),
        };
        self.note(part, player, bar.start_beats + at, beats * 0.96, note + move_by, level);
        if bar.full() && bar.pass > 0 && beats >= 0.75 {
            let below = bar.chord.nearest(note - 4, 2);
            if below < note {
                self.note(part, player, bar.start_beats + at, beats * 0.9, below + move_by, level * 0.5);
            }
        }
    }

    /// Writes a note with a player's level and place, a few milliseconds from where a machine would put it.
    fn note(&mut self, part: Part, player: &Player, at: f64, beats: f64, note: i32, level: f32) {
        let human = f64::from(self.dice.bipolar()) * 0.003 * RATE;
        let start = (self.frame(at) as f64 + human).max(0.0) as u64;
        let frames = self.frame(at + beats).saturating_sub(self.frame(at)).clamp(400, 30 * RATE as u64) as u32;
        let level = level * player.level * (1.0 + 0.08 * self.dice.bipolar());
        let note = f64::from(note);
        if player.wide {
            for side in [-1.0f32, 1.0] {
                let sound = Sound::Note(note + f64::from(side) * 0.05);
                let pan = (player.pan + side * 0.8).clamp(-1.0, 1.0);
                self.events.push(Event { start, frames, part, sound, level: level * 0.6, pan });
            }
            return;
        }
        self.events.push(Event { start, frames, part, sound: Sound::Note(note), level, pan: player.pan });
    }

    fn stroke(&mut self, drum: Drum, at: f64, bend: f64, level: f32) {
        let start = self.frame(at);
        let level = level * self.recipe.band.drums * (1.0 + 0.06 * self.dice.bipolar());
        let bend = bend * (1.0 + 0.01 * f64::from(self.dice.bipolar()));
        let sound = Sound::Stroke(drum, bend);
        self.events.push(Event { start, frames: 0, part: Part::Drums, sound, level, pan: drum.pan() });
    }

    /// Frame of a position in beats, with swing: the second half of each pair comes late.
    fn frame(&self, beats: f64) -> u64 {
        let pair = self.recipe.swing_pair_beats;
        let pairs = (beats / pair).floor();
        let within = beats / pair - pairs;
        let swing = self.recipe.swing;
        let warped = if within < 0.5 { within * 2.0 * swing } else { swing + (within - 0.5) * 2.0 * (1.0 - swing) };
        ((pairs + warped) * pair * 60.0 / self.recipe.bpm * RATE).round() as u64
    }
}

/// Rung `index` (from 1) of the ladder that repeats the chord in every octave.
fn ladder(notes: &[i32], index: usize) -> i32 {
    let rung = index.max(1) - 1;
    notes[rung % notes.len()] + 12 * (rung / notes.len()) as i32
}

/// How hard a step is played: bars lean on one, beats on themselves.
fn accent(at: f64) -> f32 {
    if at == 0.0 {
        1.0
    } else if at.fract() == 0.0 {
        0.9
    } else {
        0.78
    }
}
