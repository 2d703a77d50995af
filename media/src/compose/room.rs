//! The end of the desk: echo, reverb and the limiter. They hear the whole mix and know nothing of notes.

use super::RATE;
use super::maths::decay_per_frame;

/// A stereo echo whose repeats change sides and grow darker.
#[derive(Debug)]
pub(super) struct Echo {
    line: [Vec<f32>; 2],
    at: usize,
    dull: [f32; 2],
    feedback: f32,
}

impl Echo {
    pub(super) fn new(frames: usize, feedback: f32) -> Self {
        let frames = frames.max(64);
        Self { line: [vec![0.0; frames], vec![0.0; frames]], at: 0, dull: [0.0; 2], feedback }
    }

    #[inline]
    pub(super) fn next(&mut self, x: f32) -> (f32, f32) {
        let (l, r) = (self.line[0][self.at], self.line[1][self.at]);
        self.dull[0] += (r - self.dull[0]) * 0.45;
        self.dull[1] += (l - self.dull[1]) * 0.45;
        self.line[0][self.at] = x + self.dull[0] * self.feedback;
        self.line[1][self.at] = self.dull[1] * (0.3 + self.feedback).min(0.95);
        self.at = if self.at + 1 == self.line[0].len() { 0 } else { self.at + 1 };
        (l, r)
    }
}

/// Lengths of the reverb's lines in frames: primes, so that echoes do not pile up.
const LINES: [usize; 8] = [1187, 1361, 1559, 1777, 2011, 2239, 2473, 2699];

/// A feedback delay network of eight lines mixed by a Householder reflection.
#[derive(Debug)]
pub(super) struct Reverb {
    lines: [Vec<f32>; 8],
    at: [usize; 8],
    dull: [f32; 8],
    gain: [f32; 8],
    damping: f32,
}

impl Reverb {
    /// `seconds` to -60 dB; `damping` 0 (bright) to 1 (dark).
    pub(super) fn new(seconds: f64, damping: f32) -> Self {
        Self {
            lines: LINES.map(|n| vec![0.0; n]),
            at: [0; 8],
            dull: [0.0; 8],
            gain: LINES.map(|n| decay_per_frame(seconds, RATE / n as f64)),
            damping,
        }
    }

    #[inline]
    pub(super) fn next(&mut self, x: f32) -> (f32, f32) {
        let mut out = [0.0f32; 8];
        for (i, out) in out.iter_mut().enumerate() {
            let raw = self.lines[i][self.at[i]];
            self.dull[i] = raw + (self.dull[i] - raw) * self.damping;
            *out = self.dull[i] * self.gain[i];
        }
        let mix = out.iter().sum::<f32>() * 0.25;
        for (i, out) in out.iter().enumerate() {
            let sign = if i & 2 == 0 { 1.0 } else { -1.0 };
            self.lines[i][self.at[i]] = out - mix + x * sign;
            self.at[i] = if self.at[i] + 1 == LINES[i] { 0 } else { self.at[i] + 1 };
        }
        (out[0] - out[2] + out[4] - out[6], out[1] - out[3] + out[5] - out[7])
    }
}

/// Frames the limiter looks ahead: about 2 ms.
const AHEAD: usize = 96;
/// Loudest sample that leaves. The encoders overshoot a little, and a decibel keeps them out of clipping.
const CEILING: f32 = 0.87;

/// A look-ahead limiter on both channels at once.
#[derive(Debug)]
pub(super) struct Limiter {
    line: [(f32, f32); AHEAD],
    at: usize,
    gain: f32,
    /// Peak within the window: what it is and for how many frames it still counts.
    peak: f32,
    peak_frames: usize,
    release: f32,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            line: [(0.0, 0.0); AHEAD],
            at: 0,
            gain: 1.0,
            peak: 0.0,
            peak_frames: 0,
            release: 1.0 / (0.09 * RATE as f32),
        }
    }

    /// Takes a frame and gives the one [`Self::latency`] before it.
    #[inline]
    pub(super) fn next(&mut self, l: f32, r: f32) -> (f32, f32) {
        let loud = l.abs().max(r.abs());
        if loud >= self.peak || self.peak_frames == 0 {
            self.peak = loud;
            self.peak_frames = AHEAD;
        } else {
            self.peak_frames -= 1;
        }
        let wanted = if self.peak > CEILING { CEILING / self.peak } else { 1.0 };
        let speed = if wanted < self.gain { 3.0 / AHEAD as f32 } else { self.release };
        self.gain += (wanted - self.gain) * speed;
        let (dl, dr) = self.line[self.at];
        self.line[self.at] = (l, r);
        self.at = if self.at + 1 == AHEAD { 0 } else { self.at + 1 };
        (soft(dl * self.gain), soft(dr * self.gain))
    }

    pub(super) const fn latency() -> usize {
        AHEAD
    }
}

/// Straight up to 0.8, then bends towards 0.98 and never passes it.
#[inline]
fn soft(x: f32) -> f32 {
    const KNEE: f32 = 0.8;
    const SPAN: f32 = 0.18;
    let over = x.abs() - KNEE;
    if over <= 0.0 {
        return x;
    }
    let bent = KNEE + SPAN * over / (over + SPAN);
    bent.copysign(x)
}
