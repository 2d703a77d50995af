//! The picture of what has none: a record of its own colours, made of its id.
//!
//! Programs show a broken image where a cover is missing, so there is none missing. The same id always gives the same
//! picture; nothing is kept.

use std::hash::Hasher;

/// Sides that are drawn, in pixels: what is asked for is rounded up, and the largest is enough for a phone.
const SIDES: [u32; 2] = [128, 320];

/// How far from the middle things end, as parts of half the side.
const HOLE: f32 = 0.035;
const LABEL: f32 = 0.30;
const VINYL: f32 = 0.88;
/// Grooves from the label to the rim.
const GROOVES: f32 = 46.0;

type Colour = [f32; 3];

/// A PNG of about this side.
pub(super) fn png_of(id: &str, side: u64) -> Vec<u8> {
    let side = SIDES.into_iter().find(|made| u64::from(*made) >= side).unwrap_or(SIDES[1]);
    let look = Look::of(id);
    let mut pixels = Vec::with_capacity((side * side * 3) as usize);
    for y in 0..side {
        for x in 0..side {
            let at = |n: u32| (n as f32 + 0.5) / side as f32 * 2.0 - 1.0;
            pixels.extend(look.colour(at(x), at(y)).map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.expect("a picture of this size fits into memory");
    file
}

/// What an id decides.
struct Look {
    ground: [Colour; 2],
    label: [Colour; 2],
    /// From where light falls, in turns.
    light: f32,
}

impl Look {
    fn of(id: &str) -> Self {
        // FNV-1a: the same in every version of the program.
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.write(id.as_bytes());
        let number = hash.finish();
        let part = |shift: u32| ((number >> shift) & 0xff) as f32 / 256.0;
        let hue = part(0);
        Self {
            ground: [from_hsl(hue, 0.42, 0.40), from_hsl(hue + 0.08 + part(8) * 0.14, 0.45, 0.24)],
            label: [from_hsl(hue + 0.45 + part(16) * 0.2, 0.72, 0.58), from_hsl(hue + 0.4, 0.60, 0.40)],
            light: part(24),
        }
    }

    /// At a place from -1 to 1 in both directions.
    fn colour(&self, x: f32, y: f32) -> Colour {
        let far = x.hypot(y);
        let turn = y.atan2(x) / std::f32::consts::TAU;
        if far < HOLE {
            return self.ground[1];
        }
        if far < LABEL {
            return mixed(self.label, (y / LABEL + 1.0) / 2.0);
        }
        if far < VINYL {
            // Two beams of light over fine grooves, as a record shows them.
            let beam = ((turn - self.light) * std::f32::consts::TAU * 2.0).cos().max(0.0).powi(6);
            let groove = ((far - LABEL) * GROOVES * std::f32::consts::TAU).sin() * 0.012;
            return [0.075 + beam * 0.17 + groove; 3];
        }
        mixed(self.ground, (x + y + 2.0) / 4.0)
    }
}

fn mixed([one, other]: [Colour; 2], share: f32) -> Colour {
    std::array::from_fn(|n| one[n] * (1.0 - share) + other[n] * share)
}

/// Hue in turns, saturation and lightness from 0 to 1 (CSS Color 4, 7.1).
fn from_hsl(hue: f32, saturation: f32, lightness: f32) -> Colour {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|n| {
        let place = (n + hue * 12.0).rem_euclid(12.0);
        lightness - reach * (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0)
    })
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // The last bytes have not reached the upper bits yet.
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_picture_and_another_id_another() {
        let one = png_of("al-1", 300);
        assert_eq!(&one[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(one, png_of("al-1", 300));
        assert_ne!(one, png_of("al-2", 300));
        assert!(png_of("al-1", 60).len() < one.len() && one.len() < 200_000, "{}", one.len());
    }

    #[test]
    fn every_pixel_of_the_picture_is_there() {
        let reader = png::Decoder::new(std::io::Cursor::new(png_of("x", 10_000))).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (320, 320));
        assert_eq!(from_hsl(0.0, 1.0, 0.5), [1.0, 0.0, 0.0]);
        assert_eq!(from_hsl(1.0 / 3.0, 1.0, 0.5).map(f32::round), [0.0, 1.0, 0.0]);
    }
}
