//! Pitched voices: subtractive, FM and plucked string. A voice turns one note into samples and then ends.
//!
//! The instruments themselves are the table in [`super::timbre`]; drums have their own file, [`super::drum`].

use super::RATE;
use super::dice::Noise;
use super::maths::{decay_per_frame, exp2, hz, sin_turn};
use super::shape::{Adsr, Envelope, Filter, Pass};
use super::wave::{Oscillator, Wave};

/// Frames between two updates of slow things (filter corner, vibrato).
const CONTROL_FRAMES: usize = 32;

/// How an instrument makes its sound.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timbre {
    /// Two detuned oscillators through a low-pass that opens and closes.
    Tone(Tone),
    /// One sine bends the phase of another.
    Fm(Fm),
    /// A burst of noise going round a string.
    Pluck(Pluck),
}

/// A subtractive instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tone {
    pub wave: Wave,
    pub detune_cents: f64,
    /// Level of a sine an octave below.
    pub sub: f32,
    pub cutoff_hz: f64,
    /// Octaves the envelope opens the filter by.
    pub sweep: f64,
    /// Seconds until the sweep has closed again.
    pub sweep_s: f64,
    pub damping: f32,
    pub amp: Adsr,
    pub vibrato_cents: f64,
}

/// A two-operator FM instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fm {
    /// Modulator frequency as a multiple of the note's.
    pub ratio: f64,
    /// Modulation at the start of the note, in turns.
    pub index: f32,
    pub index_s: f64,
    /// Part of the index that stays.
    pub index_floor: f32,
    pub amp: Adsr,
    /// Depth of a slow tremolo, 0 to 1.
    pub tremolo: f32,
}

/// A plucked string.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pluck {
    /// 0 is felt, 1 is steel.
    pub bright: f32,
    /// Seconds until the string is silent (at the A of 220 Hz).
    pub ring_s: f64,
    pub release_s: f64,
    /// Soft clipping, for buzz.
    pub drive: f32,
}

/// One sounding note.
#[derive(Debug)]
pub(super) enum Voice {
    Tone(Box<ToneVoice>),
    Fm(FmVoice),
    Pluck(PluckVoice),
}

impl Voice {
    /// Starts `note` (MIDI number) for `frames` frames. `seed` only varies phases and noise.
    pub(super) fn start(timbre: &Timbre, note: f64, frames: u32, seed: u32) -> Self {
        match timbre {
            Timbre::Tone(spec) => Self::Tone(Box::new(ToneVoice::new(*spec, note, frames, seed))),
            Timbre::Fm(spec) => Self::Fm(FmVoice::new(*spec, note, frames)),
            Timbre::Pluck(spec) => Self::Pluck(PluckVoice::new(*spec, note, frames, seed)),
        }
    }

    /// Fills `out` and says whether there is more to come.
    pub(super) fn render(&mut self, out: &mut [f32]) -> bool {
        match self {
            Self::Tone(v) => v.render(out),
            Self::Fm(v) => v.render(out),
            Self::Pluck(v) => v.render(out),
        }
    }
}

/// State of a [`Tone`].
#[derive(Debug)]
pub(super) struct ToneVoice {
    spec: Tone,
    hz: f64,
    first: Oscillator,
    second: Oscillator,
    sub: Oscillator,
    filter: Filter,
    envelope: Envelope,
    age: u32,
    opening: f64,
    opening_decay: f64,
}

impl ToneVoice {
    fn new(spec: Tone, note: f64, frames: u32, seed: u32) -> Self {
        let hz = hz(note);
        let phase = (seed % 97) as f32 / 97.0;
        let spread = exp2(spec.detune_cents / 2400.0);
        Self {
            spec,
            hz,
            first: Oscillator::new(spec.wave, hz * spread, RATE, phase),
            second: Oscillator::new(spec.wave, hz / spread, RATE, 1.0 - phase),
            sub: Oscillator::new(Wave::Sine, hz * 0.5, RATE, 0.0),
            filter: Filter::new(spec.cutoff_hz, spec.damping),
            envelope: Envelope::new(spec.amp, frames),
            age: 0,
            opening: 1.0,
            opening_decay: f64::from(decay_per_frame(spec.sweep_s, RATE / CONTROL_FRAMES as f64)),
        }
    }

    fn control(&mut self) {
        // Brighter notes higher up: the corner follows the pitch half way.
        let tracking = exp2((self.hz / 261.6 - 1.0).clamp(-0.5, 1.5) * 0.5);
        self.filter.tune(self.spec.cutoff_hz * tracking * exp2(self.spec.sweep * self.opening));
        self.opening *= self.opening_decay;
        if self.spec.vibrato_cents > 0.0 {
            let seconds = f64::from(self.age) / RATE;
            let depth = self.spec.vibrato_cents * (seconds - 0.18).clamp(0.0, 0.4) / 0.4;
            let bend = exp2(depth * sin_turn(seconds * 5.3) / 1200.0);
            let spread = exp2(self.spec.detune_cents / 2400.0);
            self.first.tune(self.hz * bend * spread, RATE);
            self.second.tune(self.hz * bend / spread, RATE);
        }
        self.age += CONTROL_FRAMES as u32;
    }

    fn render(&mut self, out: &mut [f32]) -> bool {
        for chunk in out.chunks_mut(CONTROL_FRAMES) {
            self.control();
            for sample in chunk {
                let sub = if self.spec.sub > 0.0 { self.spec.sub * self.sub.next() } else { 0.0 };
                let raw = 0.5 * (self.first.next() + self.second.next()) + sub;
                *sample = self.filter.next(raw, Pass::Low) * self.envelope.next();
            }
        }
        !self.envelope.finished()
    }
}

/// State of an [`Fm`].
#[derive(Debug)]
pub(super) struct FmVoice {
    carrier: Oscillator,
    modulator: Oscillator,
    wobble: Oscillator,
    tremolo: f32,
    index: f32,
    index_floor: f32,
    index_decay: f32,
    envelope: Envelope,
}

impl FmVoice {
    fn new(spec: Fm, note: f64, frames: u32) -> Self {
        let hz = hz(note);
        // High notes need less modulation or they whistle.
        let turn = 4_294_967_296.0 / (1.0 + (hz / 1200.0) as f32);
        Self {
            carrier: Oscillator::new(Wave::Sine, hz, RATE, 0.0),
            modulator: Oscillator::new(Wave::Sine, hz * spec.ratio, RATE, 0.0),
            wobble: Oscillator::new(Wave::Sine, 4.6, RATE, 0.25),
            tremolo: spec.tremolo,
            index: spec.index * turn * (1.0 - spec.index_floor),
            index_floor: spec.index * turn * spec.index_floor,
            index_decay: decay_per_frame(spec.index_s, RATE),
            envelope: Envelope::new(spec.amp, frames),
        }
    }

    fn render(&mut self, out: &mut [f32]) -> bool {
        for sample in out {
            let bend = self.modulator.next() * (self.index + self.index_floor);
            self.index *= self.index_decay;
            let tremolo = 1.0 - self.tremolo * (0.5 + 0.5 * self.wobble.next());
            // `as i32` saturates; indices stay below half a turn, so it never has to.
            *sample = self.carrier.next_bent(bend as i32) * self.envelope.next() * tremolo;
        }
        !self.envelope.finished()
    }
}

/// State of a [`Pluck`]: a delay line one period long, losing its highs as it goes round.
#[derive(Debug)]
pub(super) struct PluckVoice {
    string: Vec<f32>,
    at: usize,
    last: f32,
    tune_in: f32,
    tune_out: f32,
    tune: f32,
    loss: f32,
    smooth: f32,
    drive: f32,
    frames_held: u32,
    gain: f32,
    release: f32,
}

impl PluckVoice {
    fn new(spec: Pluck, note: f64, frames: u32, seed: u32) -> Self {
        let hz = hz(note);
        let smooth = 0.5 - 0.38 * spec.bright;
        // The smoothing average delays by `smooth` frames, the all-pass by the rest of the period's fraction.
        let period = RATE / hz - f64::from(smooth);
        let length = (period - 0.3).floor().max(2.0);
        let rest = (period - length) as f32;
        let mut noise = Noise::new(seed ^ 0x5bd1_e995);
        let mut previous = 0.0;
        let soften = 0.75 - 0.6 * spec.bright;
        let mut string: Vec<f32> = (0..length as usize)
            .map(|_| {
                previous = noise.next() * (1.0 - soften) + previous * soften;
                previous
            })
            .collect();
        let mean = string.iter().sum::<f32>() / string.len() as f32;
        let peak = string.iter().fold(1e-3f32, |m, s| m.max((s - mean).abs()));
        string.iter_mut().for_each(|s| *s = (*s - mean) / peak * 0.8);
        let ring_s = spec.ring_s * (220.0 / hz).clamp(0.35, 1.6);
        Self {
            string,
            at: 0,
            last: 0.0,
            tune_in: 0.0,
            tune_out: 0.0,
            tune: (1.0 - rest) / (1.0 + rest),
            loss: decay_per_frame(ring_s, hz),
            smooth,
            drive: spec.drive,
            frames_held: frames,
            gain: 1.0,
            release: decay_per_frame(spec.release_s, RATE),
        }
    }

    fn render(&mut self, out: &mut [f32]) -> bool {
        let mut peak = 0.0f32;
        for sample in out {
            let here = self.string[self.at];
            let soft = (here + (self.last - here) * self.smooth) * self.loss;
            self.last = here;
            let tuned = self.tune * (soft - self.tune_out) + self.tune_in;
            self.tune_in = soft;
            self.tune_out = tuned;
            self.string[self.at] = tuned;
            self.at = if self.at + 1 == self.string.len() { 0 } else { self.at + 1 };
            if self.frames_held == 0 {
                self.gain *= self.release;
            } else {
                self.frames_held -= 1;
            }
            let x = here * self.gain;
            *sample = if self.drive > 0.0 { x * (1.0 + self.drive) / (1.0 + self.drive * x.abs()) } else { x };
            peak = peak.max(x.abs());
        }
        peak > 2e-4
    }
}
