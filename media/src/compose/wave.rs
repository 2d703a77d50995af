//! Band-limited wavetables: one cycle of each waveform, once per octave, with only the harmonics that fit.
//!
//! Built once per process by adding harmonics up; a sample then costs one look-up and one interpolation.

use super::maths::sin_turn;
use std::sync::OnceLock;

const BITS: u32 = 11;
const SIZE: usize = 1 << BITS;
/// Tables per waveform: the first serves notes up to [`LOWEST_HZ`], each next one an octave more.
const OCTAVES: usize = 9;
const LOWEST_HZ: f64 = 40.0;
/// Highest harmonic kept, in Hz; below the 22.05 kHz where aliasing would begin.
const CEILING_HZ: f64 = 18_000.0;

/// The waveforms on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wave {
    Sine,
    Triangle,
    Saw,
    Square,
    /// Drawbars: fundamental, octave, twelfth, and a little of the fourth.
    Organ,
    /// Odd harmonics that fall slowly: something between clarinet and oboe.
    Reed,
}

impl Wave {
    const ALL: [Self; 6] = [Self::Sine, Self::Triangle, Self::Saw, Self::Square, Self::Organ, Self::Reed];

    /// Amplitude of harmonic `h` (1 is the fundamental).
    fn harmonic(self, h: usize) -> f64 {
        let n = h as f64;
        let odd = h % 2 == 1;
        match self {
            Self::Sine if h == 1 => 1.0,
            Self::Triangle if odd => (if h % 4 == 1 { 0.81 } else { -0.81 }) / (n * n),
            Self::Saw => 0.55 / n,
            Self::Square if odd => 0.9 / n,
            Self::Organ => [0.0, 0.5, 0.3, 0.25, 0.12, 0.0, 0.08, 0.0, 0.05].get(h).copied().unwrap_or(0.0),
            Self::Reed if odd => 0.6 / (1.0 + 0.45 * (n - 1.0) + 0.06 * (n - 1.0) * (n - 1.0)),
            Self::Reed => 0.12 / n,
            _ => 0.0,
        }
    }
}

type Table = [f32; SIZE + 1];

fn tables() -> &'static [Vec<Table>] {
    static TABLES: OnceLock<Vec<Vec<Table>>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let sine: Vec<f64> = (0..SIZE).map(|i| sin_turn(i as f64 / SIZE as f64)).collect();
        Wave::ALL.iter().map(|&wave| octaves(wave, &sine)).collect()
    })
}

/// All octaves of one waveform, highest first while building: each lower one adds harmonics to the one above.
fn octaves(wave: Wave, sine: &[f64]) -> Vec<Table> {
    let mut sum = vec![0.0f64; SIZE];
    let mut built = 0usize;
    let mut out = Vec::with_capacity(OCTAVES);
    for octave in (0..OCTAVES).rev() {
        let top_hz = LOWEST_HZ * (1u32 << octave) as f64;
        let fit = ((CEILING_HZ / top_hz) as usize).max(1);
        for h in built + 1..=fit {
            let level = wave.harmonic(h);
            if level != 0.0 {
                sum.iter_mut().enumerate().for_each(|(i, s)| *s += level * sine[(h * i) % SIZE]);
            }
        }
        built = fit;
        let mut table = [0.0f32; SIZE + 1];
        table.iter_mut().enumerate().for_each(|(i, t)| *t = sum[i % SIZE] as f32);
        out.push(table);
    }
    out.reverse();
    out
}

/// A running oscillator. Phase is a 32-bit fraction of a turn, so it wraps for free.
#[derive(Clone, Debug)]
pub(super) struct Oscillator {
    table: &'static Table,
    phase: u32,
    step: u32,
}

impl Oscillator {
    pub(super) fn new(wave: Wave, hz: f64, rate: f64, phase: f32) -> Self {
        let octave = (0..OCTAVES - 1).find(|&o| hz <= LOWEST_HZ * (1u32 << o) as f64).unwrap_or(OCTAVES - 1);
        let mut me = Self { table: &tables()[wave as usize][octave], phase: (phase * 4_294_967_040.0) as u32, step: 0 };
        me.tune(hz, rate);
        me
    }

    /// Changes the pitch without a jump in phase.
    pub(super) fn tune(&mut self, hz: f64, rate: f64) {
        self.step = (hz / rate * 4_294_967_296.0) as u32;
    }

    #[inline]
    pub(super) fn next(&mut self) -> f32 {
        self.next_bent(0)
    }

    /// The sample at the current phase moved by `bend` (2^32 is a turn): phase modulation.
    #[inline]
    pub(super) fn next_bent(&mut self, bend: i32) -> f32 {
        let phase = self.phase.wrapping_add(bend as u32);
        let index = (phase >> (32 - BITS)) as usize;
        let fraction = (phase << BITS >> 8) as f32 * (1.0 / (1 << 24) as f32);
        self.phase = self.phase.wrapping_add(self.step);
        let (a, b) = (self.table[index], self.table[index + 1]);
        a + (b - a) * fraction
    }
}
