//! The few functions a synthesiser needs, from additions and multiplications alone.
//!
//! The system's `sin` and `exp` differ in the last bit from one C library to the next, and the identity of a track is
//! a digest of its samples: with these the demo library has the same ids on every machine.
//! Nothing here knows about music; see [`super::wave`] for the first user.

use std::f64::consts::{LN_2, TAU};

/// Sine of an angle given in turns (1.0 is a full circle), to about 1e-10.
pub(super) fn sin_turn(turns: f64) -> f64 {
    let x = turns - (turns + 0.5).floor();
    // Fold into the quarter where the series converges fast.
    let x = if x > 0.25 {
        0.5 - x
    } else if x < -0.25 {
        -0.5 - x
    } else {
        x
    };
    let y = x * TAU;
    let z = y * y;
    let mut sum = 1.0;
    for k in [210.0, 156.0, 110.0, 72.0, 42.0, 20.0, 6.0] {
        sum = 1.0 - z / k * sum;
    }
    y * sum
}

/// Cosine of an angle given in turns.
pub(super) fn cos_turn(turns: f64) -> f64 {
    sin_turn(turns + 0.25)
}

/// Two to the power of `x`, for |x| < 1000.
pub(super) fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1000.0, 1000.0);
    let whole = x.floor();
    let f = (x - whole) * LN_2;
    let mut sum = 1.0;
    for k in (1..=14).rev() {
        sum = 1.0 + f / f64::from(k) * sum;
    }
    // The clamp above keeps the exponent inside the normal range.
    let scale = f64::from_bits(((whole as i64 + 1023) as u64) << 52);
    sum * scale
}

/// Decibels to a linear factor.
pub(super) fn from_db(db: f64) -> f64 {
    exp2(db * (std::f64::consts::LOG2_10 / 20.0))
}

/// Frequency in Hz of a MIDI note number; 69 is the A at 440 Hz.
pub(super) fn hz(note: f64) -> f64 {
    440.0 * exp2((note - 69.0) / 12.0)
}

/// Per-frame factor that falls to 1/1000 (-60 dB) in `seconds`.
pub(super) fn decay_per_frame(seconds: f64, rate: f64) -> f32 {
    exp2(-9.965_784_284_662_087 / (seconds.max(1e-4) * rate)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_system_library() {
        for i in -2000..2000 {
            let x = f64::from(i) / 317.0;
            assert!((sin_turn(x) - (x * TAU).sin()).abs() < 1e-7, "sin at {x}");
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-9, "exp2 at {x}");
        }
        assert!((from_db(-6.0) - 0.501_187).abs() < 1e-5);
        assert!((hz(57.0) - 220.0).abs() < 1e-6);
    }
}
