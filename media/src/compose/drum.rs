//! The drum kit: every piece is a falling sine, filtered noise, or both, from one table of numbers.

use super::RATE;
use super::dice::Noise;
use super::maths::decay_per_frame;
use super::shape::{Filter, Pass};
use super::wave::{Oscillator, Wave};

/// The pieces of the kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drum {
    Kick,
    SoftKick,
    Snare,
    Brush,
    Clap,
    Rim,
    Hat,
    OpenHat,
    Shaker,
    Tom,
    Crash,
    Bit,
}

/// How one piece sounds.
struct Piece {
    /// Sine: start and end pitch in Hz, seconds of the fall, seconds of the sound, level.
    body: (f64, f64, f64, f64, f32),
    /// Noise: what passes, corner in Hz, damping, seconds, level.
    noise: (Pass, f64, f32, f64, f32),
    /// Extra attacks of the noise, 11 ms apart: hands never clap at once.
    bursts: u8,
    pan: f32,
    room: f32,
}

impl Drum {
    fn piece(self) -> Piece {
        use Pass::{Band, High};
        let (body, noise, bursts, pan, room) = match self {
            Self::Kick => ((190.0, 46.0, 0.11, 0.42, 1.0), (Band, 3200.0, 1.2, 0.02, 0.25), 0, 0.0, 0.02),
            Self::SoftKick => ((120.0, 50.0, 0.09, 0.34, 0.85), (Band, 1200.0, 1.2, 0.02, 0.12), 0, 0.0, 0.04),
            Self::Snare => ((240.0, 175.0, 0.06, 0.17, 0.5), (Band, 2600.0, 1.6, 0.24, 0.85), 0, 0.04, 0.16),
            Self::Brush => ((210.0, 170.0, 0.06, 0.1, 0.12), (Band, 4200.0, 1.8, 0.3, 0.6), 0, -0.1, 0.15),
            Self::Clap => ((0.0, 0.0, 0.1, 0.0, 0.0), (Band, 1500.0, 0.7, 0.22, 1.1), 3, 0.1, 0.22),
            Self::Rim => ((840.0, 780.0, 0.05, 0.07, 0.45), (Band, 2400.0, 0.6, 0.03, 0.5), 0, 0.25, 0.12),
            Self::Hat => ((0.0, 0.0, 0.1, 0.0, 0.0), (High, 8200.0, 0.9, 0.06, 0.42), 0, 0.28, 0.02),
            Self::OpenHat => ((0.0, 0.0, 0.1, 0.0, 0.0), (High, 7600.0, 0.9, 0.38, 0.36), 0, 0.28, 0.05),
            Self::Shaker => ((0.0, 0.0, 0.1, 0.0, 0.0), (Band, 6800.0, 0.7, 0.09, 0.4), 0, -0.4, 0.05),
            Self::Tom => ((170.0, 88.0, 0.14, 0.45, 0.8), (Band, 900.0, 1.2, 0.05, 0.2), 0, -0.25, 0.18),
            Self::Crash => ((0.0, 0.0, 0.1, 0.0, 0.0), (High, 5200.0, 0.8, 1.7, 0.3), 0, -0.3, 0.2),
            Self::Bit => ((900.0, 120.0, 0.05, 0.09, 0.3), (Band, 5200.0, 1.0, 0.1, 0.55), 0, 0.0, 0.02),
        };
        Piece { body, noise, bursts, pan, room }
    }

    /// Place in the stereo picture, -1 to 1.
    pub(super) fn pan(self) -> f32 {
        self.piece().pan
    }

    /// How much of it goes to the reverb.
    pub(super) fn room(self) -> f32 {
        self.piece().room
    }
}

/// One stroke.
#[derive(Debug)]
pub(super) struct DrumVoice {
    body: Oscillator,
    body_level: f32,
    body_decay: f32,
    hz: f64,
    end_hz: f64,
    fall: f64,
    noise: Noise,
    filter: Filter,
    pass: Pass,
    noise_level: f32,
    noise_start: f32,
    noise_decay: f32,
    bursts: u8,
    age: u32,
}

/// Frames between two strokes of a clap, and between two steps of a falling pitch.
const BURST_FRAMES: u32 = 480;
const FALL_FRAMES: usize = 16;

impl DrumVoice {
    /// Strikes; `bend` is a pitch factor (toms come in sizes), `seed` varies the noise.
    pub(super) fn start(drum: Drum, bend: f64, seed: u32) -> Self {
        let piece = drum.piece();
        let (from, to, fall_s, body_s, body_level) = piece.body;
        let (pass, corner_hz, damping, noise_s, noise_level) = piece.noise;
        Self {
            body: Oscillator::new(Wave::Sine, from * bend, RATE, 0.0),
            body_level,
            body_decay: decay_per_frame(body_s, RATE),
            hz: from * bend,
            end_hz: to * bend,
            fall: f64::from(decay_per_frame(fall_s, RATE / FALL_FRAMES as f64)),
            noise: Noise::new(seed),
            filter: Filter::new(corner_hz, damping),
            pass,
            noise_level,
            noise_start: noise_level,
            noise_decay: decay_per_frame(noise_s, RATE),
            bursts: piece.bursts,
            age: 0,
        }
    }

    /// Fills `out` and says whether there is more to come.
    pub(super) fn render(&mut self, out: &mut [f32]) -> bool {
        for chunk in out.chunks_mut(FALL_FRAMES) {
            self.hz = self.end_hz + (self.hz - self.end_hz) * self.fall;
            self.body.tune(self.hz, RATE);
            if self.bursts > 0 && self.age >= BURST_FRAMES {
                self.bursts -= 1;
                self.age = 0;
                self.noise_level = self.noise_start;
            }
            self.age += FALL_FRAMES as u32;
            for sample in chunk {
                let hiss = self.filter.next(self.noise.next(), self.pass);
                *sample = self.body.next() * self.body_level + hiss * self.noise_level;
                self.body_level *= self.body_decay;
                self.noise_level *= self.noise_decay;
            }
        }
        self.body_level > 2e-4 || self.noise_level > 2e-4
    }
}
