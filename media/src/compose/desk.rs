//! The mixing desk: starts the voices a score asks for, sums them, and sends them through echo, room and limiter.

use super::RATE;
use super::book::Recipe;
use super::drum::DrumVoice;
use super::maths::{cos_turn, from_db, sin_turn};
use super::room::{Echo, Limiter, Reverb};
use super::score::{Event, Part, Score, Sound};
use super::voice::{Timbre, Voice};

/// Frames rendered at a time.
pub(super) const BLOCK: usize = 1024;
/// Voices that sound at once; a new one beyond that takes the oldest one's place. The fullest piece needs about 60.
const VOICES_MAX: usize = 96;
/// Seconds over which the very end goes to silence.
const FADE_S: f64 = 0.8;

#[derive(Debug)]
enum Sounding {
    Note(Voice),
    Stroke(DrumVoice),
}

#[derive(Debug)]
struct Channel {
    sounding: Sounding,
    /// Frames of the current block before it begins.
    wait: usize,
    left: f32,
    right: f32,
    echo: f32,
    room: f32,
    ducks: bool,
}

/// Level that gives way to the kick.
#[derive(Debug)]
struct Pump {
    depth: f32,
    /// 0 right after a kick, 1 at rest.
    rest: f32,
    kicks: Vec<usize>,
}

/// A recipe being played.
#[derive(Debug)]
pub(super) struct Desk {
    recipe: &'static Recipe,
    score: Score,
    next_event: usize,
    channels: Vec<Channel>,
    pump: Pump,
    echo: Echo,
    reverb: Reverb,
    limiter: Limiter,
    trim: f32,
    rendered: u64,
    produced: u64,
}

impl Desk {
    pub(super) fn new(recipe: &'static Recipe, score: Score) -> Self {
        let beat_frames = 60.0 / recipe.bpm * RATE;
        Self {
            recipe,
            next_event: 0,
            channels: Vec::with_capacity(VOICES_MAX),
            pump: Pump { depth: recipe.pump, rest: 1.0, kicks: Vec::new() },
            echo: Echo::new((recipe.echo_beats * beat_frames) as usize, recipe.echo_feedback),
            reverb: Reverb::new(recipe.reverb_s, recipe.reverb_damping),
            limiter: Limiter::new(),
            trim: from_db(recipe.trim_db) as f32,
            rendered: 0,
            produced: 0,
            score,
        }
    }

    pub(super) fn frames(&self) -> u64 {
        self.score.frames
    }

    /// Appends the next frames, interleaved left and right; false when the piece is over.
    pub(super) fn render(&mut self, out: &mut Vec<f32>) -> bool {
        if self.produced >= self.score.frames {
            return false;
        }
        let mut mix = Mix::new();
        self.start_events();
        self.sum_channels(&mut mix);
        self.master(&mut mix, out);
        true
    }

    fn start_events(&mut self) {
        let end = self.rendered + BLOCK as u64;
        self.pump.kicks.clear();
        while let Some(event) = self.score.events.get(self.next_event).filter(|e| e.start < end) {
            let event = *event;
            let wait = event.start.saturating_sub(self.rendered) as usize;
            let channel = self.channel(&event, wait);
            if self.channels.len() >= VOICES_MAX {
                self.channels.remove(0);
            }
            self.channels.push(channel);
            self.next_event += 1;
        }
    }

    fn channel(&mut self, event: &Event, wait: usize) -> Channel {
        use super::drum::Drum::{Kick, SoftKick};
        let seed = self.next_event as u32;
        let band = &self.recipe.band;
        // Equal power: the ear hears the same loudness anywhere between the speakers.
        let turns = f64::from(event.pan + 1.0) / 8.0;
        let (left, right) = (cos_turn(turns) as f32 * event.level, sin_turn(turns) as f32 * event.level);
        let (sounding, echo, room) = match event.sound {
            Sound::Stroke(drum, bend) => {
                if matches!(drum, Kick | SoftKick) {
                    self.pump.kicks.push(wait);
                }
                (Sounding::Stroke(DrumVoice::start(drum, bend, seed)), 0.0, drum.room())
            }
            Sound::Note(note) => {
                let player = match event.part {
                    Part::Melody => &band.melody,
                    Part::Counter => &band.counter,
                    Part::Comp => &band.comp,
                    Part::Pad => &band.pad,
                    Part::Bass | Part::Drums => &band.bass,
                };
                let timbre: &Timbre = player.timbre;
                (Sounding::Note(Voice::start(timbre, note, event.frames, seed)), player.echo, player.room)
            }
        };
        let ducks = matches!(event.part, Part::Pad | Part::Comp | Part::Bass | Part::Counter);
        Channel { sounding, wait, left, right, echo: echo * event.level, room: room * event.level, ducks }
    }

    fn sum_channels(&mut self, mix: &mut Mix) {
        let pump = self.pump.curve();
        let mut scratch = [0.0f32; BLOCK];
        self.channels.retain_mut(|channel| {
            let from = std::mem::take(&mut channel.wait);
            let part = &mut scratch[from..];
            let alive = match &mut channel.sounding {
                Sounding::Note(v) => v.render(part),
                Sounding::Stroke(v) => v.render(part),
            };
            if channel.ducks && self.pump.depth > 0.0 {
                part.iter_mut().zip(&pump[from..]).for_each(|(s, g)| *s *= g);
            }
            mix.add(from, part, channel);
            alive
        });
    }

    fn master(&mut self, mix: &mut Mix, out: &mut Vec<f32>) {
        let total = self.score.frames;
        let fade_from = total - ((FADE_S * RATE) as u64).min(total);
        out.reserve(2 * BLOCK);
        for i in 0..BLOCK {
            let (el, er) = self.echo.next(mix.echo[i]);
            let (rl, rr) = self.reverb.next(mix.room[i] + 0.2 * (el + er));
            let l = (mix.left[i] + el + rl) * self.trim;
            let r = (mix.right[i] + er + rr) * self.trim;
            let (l, r) = self.limiter.next(l, r);
            self.rendered += 1;
            // The limiter is late by its look-ahead: what it says first is from before the piece.
            if self.rendered <= Limiter::latency() as u64 || self.produced >= total {
                continue;
            }
            let fade = match self.produced.checked_sub(fade_from) {
                None => 1.0,
                Some(into) => 1.0 - into as f32 / (total - fade_from) as f32,
            };
            out.push(l * fade);
            out.push(r * fade);
            self.produced += 1;
        }
    }
}

impl Pump {
    /// Gain for each frame of the block.
    fn curve(&mut self) -> [f32; BLOCK] {
        let mut gain = [1.0f32; BLOCK];
        if self.depth == 0.0 {
            return gain;
        }
        let recover = 1.0 / (0.22 * RATE as f32);
        for (i, g) in gain.iter_mut().enumerate() {
            if self.kicks.contains(&i) {
                self.rest = 0.0;
            }
            self.rest = (self.rest + recover).min(1.0);
            *g = 1.0 - self.depth * (1.0 - self.rest) * (1.0 - self.rest);
        }
        gain
    }
}

/// The sums of one block.
struct Mix {
    left: [f32; BLOCK],
    right: [f32; BLOCK],
    echo: [f32; BLOCK],
    room: [f32; BLOCK],
}

impl Mix {
    fn new() -> Self {
        Self { left: [0.0; BLOCK], right: [0.0; BLOCK], echo: [0.0; BLOCK], room: [0.0; BLOCK] }
    }

    fn add(&mut self, from: usize, part: &[f32], channel: &Channel) {
        let add = |bus: &mut [f32; BLOCK], gain: f32| {
            if gain != 0.0 {
                bus[from..].iter_mut().zip(part).for_each(|(b, s)| *b += s * gain);
            }
        };
        add(&mut self.left, channel.left);
        add(&mut self.right, channel.right);
        add(&mut self.echo, channel.echo);
        add(&mut self.room, channel.room);
    }
}
