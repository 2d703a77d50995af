//! What shapes a sound after it is made: envelopes and a filter. No notes and no instruments here.

use super::RATE;
use super::maths::{cos_turn, decay_per_frame, sin_turn};

/// Attack, decay and release in seconds (to -60 dB for the latter two), sustain as a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adsr(pub f32, pub f32, pub f32, pub f32);

/// A running envelope: straight attack, exponential decay and release.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    level: f32,
    rising: bool,
    attack_step: f32,
    decay: f32,
    sustain: f32,
    release: f32,
    frames_held: u32,
}

impl Envelope {
    /// An envelope whose key is let go after `frames_held`.
    pub(super) fn new(Adsr(attack, decay, sustain, release): Adsr, frames_held: u32) -> Self {
        Self {
            level: 0.0,
            rising: true,
            attack_step: 1.0 / (attack * RATE as f32).max(16.0),
            decay: decay_per_frame(f64::from(decay), RATE),
            sustain,
            release: decay_per_frame(f64::from(release), RATE),
            frames_held,
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> f32 {
        if self.frames_held == 0 {
            self.level *= self.release;
        } else {
            self.frames_held -= 1;
            if self.rising {
                self.level += self.attack_step;
                self.rising = self.level < 1.0;
            } else {
                self.level = self.sustain + (self.level - self.sustain) * self.decay;
            }
        }
        self.level
    }

    /// True once the sound has died away below hearing.
    pub(super) fn finished(&self) -> bool {
        self.level < 2e-4 && (self.frames_held == 0 || (!self.rising && self.sustain == 0.0))
    }
}

/// What a [`Filter`] lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Low,
    Band,
    High,
}

/// A two-pole state variable filter, stable at every setting used here.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    a1: f32,
    a2: f32,
    a3: f32,
    k: f32,
    s1: f32,
    s2: f32,
}

impl Filter {
    /// `damping` is 1/Q: 2 is dull, 0.2 rings.
    pub(super) fn new(hz: f64, damping: f32) -> Self {
        let mut me = Self { a1: 0.0, a2: 0.0, a3: 0.0, k: damping, s1: 0.0, s2: 0.0 };
        me.tune(hz);
        me
    }

    /// Moves the corner frequency.
    pub(super) fn tune(&mut self, hz: f64) {
        let turns = hz.clamp(20.0, 18_000.0) / RATE * 0.5;
        let g = (sin_turn(turns) / cos_turn(turns)) as f32;
        self.a1 = 1.0 / (1.0 + g * (g + self.k));
        self.a2 = g * self.a1;
        self.a3 = g * self.a2;
    }

    #[inline]
    pub(super) fn next(&mut self, x: f32, pass: Pass) -> f32 {
        let v3 = x - self.s2;
        let v1 = self.a1 * self.s1 + self.a2 * v3;
        let v2 = self.s2 + self.a2 * self.s1 + self.a3 * v3;
        self.s1 = 2.0 * v1 - self.s1;
        self.s2 = 2.0 * v2 - self.s2;
        match pass {
            Pass::Low => v2,
            Pass::Band => v1,
            Pass::High => x - self.k * v1 - v2,
        }
    }
}
