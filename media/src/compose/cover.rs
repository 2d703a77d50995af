//! Cover art: one geometric drawing per piece, computed point by point.
//!
//! A drawing is a function from a point to a colour; four points make a pixel, which is all the smoothing there is.

use super::maths::{cos_turn, sin_turn};

/// Side of the picture in pixels; the artwork pipeline makes its three sizes from this.
const SIDE: u32 = 720;

/// The drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    Grooves,
    Lanterns,
    Wires,
    Marbles,
    Tide,
    Coins,
    Ferry,
    Glass,
    Comets,
    Parade,
    Saffron,
    Tram,
}

/// Red, green and blue from 0 to 1.
type Colour = [f64; 3];

const fn rgb(hex: u32) -> Colour {
    [((hex >> 16) & 255) as f64 / 255.0, ((hex >> 8) & 255) as f64 / 255.0, (hex & 255) as f64 / 255.0]
}

fn mix(a: Colour, b: Colour, t: f64) -> Colour {
    let t = t.clamp(0.0, 1.0);
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// A triangle wave between 0 and 1 with period 1.
fn zigzag(x: f64) -> f64 {
    2.0 * (x - (x + 0.5).floor()).abs()
}

impl Cover {
    /// The picture as RGB bytes, row by row.
    pub(super) fn pixels(self) -> Vec<u8> {
        let mut out = Vec::with_capacity((SIDE * SIDE * 3) as usize);
        for row in 0..SIDE {
            for column in 0..SIDE {
                let mut sum = [0.0f64; 3];
                for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                    let x = (f64::from(column) + dx) / f64::from(SIDE) * 2.0 - 1.0;
                    let y = (f64::from(row) + dy) / f64::from(SIDE) * 2.0 - 1.0;
                    let c = self.at(x, y);
                    [0, 1, 2].iter().for_each(|&i| sum[i] += c[i]);
                }
                out.extend(sum.map(|c| (c * 0.25 * 255.0 + 0.5).clamp(0.0, 255.0) as u8));
            }
        }
        out
    }

    /// The picture as a PNG file.
    pub(super) fn png(self) -> Vec<u8> {
        let image = image::RgbImage::from_raw(SIDE, SIDE, self.pixels()).expect("pixels() fills SIDE by SIDE");
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, image::ImageFormat::Png).expect("an RGB image always fits a PNG in memory");
        file.into_inner()
    }

    /// Colour at a point; both coordinates run from -1 to 1, y downwards.
    fn at(self, x: f64, y: f64) -> Colour {
        match self {
            Self::Grooves => grooves(x, y),
            Self::Lanterns => lanterns(x, y),
            Self::Wires => wires(x, y),
            Self::Marbles => marbles(x, y),
            Self::Tide => tide(x, y),
            Self::Coins => coins(x, y),
            Self::Ferry => ferry(x, y),
            Self::Glass => glass(x, y),
            Self::Comets => comets(x, y),
            Self::Parade => parade(x, y),
            Self::Saffron => saffron(x, y),
            Self::Tram => tram(x, y),
        }
    }
}

/// A record from above, and the needle's arm.
fn grooves(x: f64, y: f64) -> Colour {
    let ground = mix(rgb(0xff6b4a), rgb(0xf2a65a), (x + y + 2.0) / 4.0);
    let (cx, cy) = (x + 0.12, y - 0.1);
    let r = length(cx, cy);
    // The arm: a line from the upper right to the groove.
    let along = (x - 0.86) * -0.62 + (y + 0.86) * 0.78;
    let across = ((x - 0.86) * 0.78 + (y + 0.86) * 0.62).abs();
    if along > -0.02 && along < 1.05 && across < 0.022 || along > 0.98 && along < 1.16 && across < 0.05 {
        return rgb(0xfdf3e3);
    }
    if length(x - 0.86, y + 0.86) < 0.12 {
        return rgb(0xfdf3e3);
    }
    match r {
        r if r < 0.028 => ground,
        r if r < 0.26 => rgb(0xffd166),
        r if r < 0.8 => {
            let shine = (cx * cy).abs() / (r * r) * 0.22;
            mix(rgb(0x1d1a26), rgb(0x6b6480), shine + 0.12 * zigzag(r * 34.0))
        }
        _ => ground,
    }
}

/// Lanterns over dark water.
fn lanterns(x: f64, y: f64) -> Colour {
    let mut c = mix(rgb(0x1b2a4e), rgb(0x4a3b6b), (y + 1.0) / 2.0);
    if y > 0.62 {
        c = mix(c, rgb(0x0e1730), 0.5 + 0.3 * zigzag(y * 9.0 + 0.1 * sin_turn(x * 1.5)));
    }
    for (lx, ly, size, hue) in [
        (-0.55, -0.35, 0.3, 0xffb25b),
        (0.35, -0.52, 0.22, 0xff8a5b),
        (0.55, 0.18, 0.34, 0xffd27a),
        (-0.18, 0.28, 0.19, 0xf96f5d),
        (-0.78, 0.42, 0.13, 0xffc56b),
    ] {
        let (dx, dy) = ((x - lx) / (0.82 * size), (y - ly) / size);
        let d = length(dx, dy);
        if d < 1.0 && dy.abs() < 0.9 {
            let rib = 0.12 * zigzag(dy * 3.5);
            return mix(mix(rgb(0xfff2c9), rgb(hue), 0.25 + 0.7 * d), rgb(0x7a2e2e), rib);
        }
        if dx.abs() < 0.35 && dy.abs() < 1.08 {
            return rgb(0x2b1a2a);
        }
        c = mix(rgb(hue), c, (0.62 + 0.38 * (d - 1.0)).min(1.0));
    }
    c
}

/// Copper lines that bend around a bright centre.
fn wires(x: f64, y: f64) -> Colour {
    let pull = 0.42 / (0.25 + 2.2 * (x * x + y * y));
    let wave = y * 11.0 + pull * sin_turn(x * 0.5 + 0.25) * if y < 0.0 { -2.2 } else { 2.2 };
    let line = zigzag(wave);
    let ground = mix(rgb(0x071a1c), rgb(0x12343a), (1.0 - y) / 2.0);
    let copper = mix(rgb(0xb4562b), rgb(0xffc48a), 0.5 + 0.5 * sin_turn(x * 0.7 - 0.1));
    let glow = (1.0 - length(x, y) * 1.4).max(0.0);
    if length(x, y) < 0.2 {
        return mix(rgb(0xffe9cf), rgb(0xff9a52), length(x, y) * 4.5);
    }
    if line < 0.34 { copper } else { mix(ground, rgb(0xd8703a), glow * 0.6) }
}

/// Marbles on their rails.
fn marbles(x: f64, y: f64) -> Colour {
    let ground = mix(rgb(0xeef3ea), rgb(0xcfe3dc), (y + 1.0) / 2.0);
    let places = [
        (-0.62, -0.52, 0xe4572e),
        (0.12, -0.3, 0x17bebb),
        (0.68, -0.12, 0xffc914),
        (0.3, 0.3, 0x2e282a),
        (-0.36, 0.5, 0x76b041),
        (-0.72, 0.68, 0x5b5f97),
    ];
    for (mx, my, hue) in places {
        let d = length(x - mx, y - my) / 0.16;
        if d < 1.0 {
            let shine = length(x - mx + 0.055, y - my + 0.06) / 0.16;
            return mix(mix(rgb(0xffffff), rgb(hue), (shine * 2.4 - 0.2).min(1.0)), rgb(0x101018), (d * d * d) * 0.35);
        }
    }
    // Two ramps and a bowl; each is a band just below the marbles that run on it.
    let first = y - (-0.3 + (x + 0.62) * 0.3);
    let second = y - (0.42 - (x - 0.3) * 0.3 + 0.06);
    let on_first = x < 0.86 && (0.0..0.045).contains(&first);
    let on_second = x < 0.62 && (0.0..0.045).contains(&second);
    if on_first || on_second {
        return rgb(0x35524a);
    }
    ground
}

/// A moon and the waves that answer it.
fn tide(x: f64, y: f64) -> Colour {
    let moon = length(x - 0.15, y + 0.38);
    let mut c = mix(rgb(0x0b132b), rgb(0x3a506b), (y + 1.0) / 2.0);
    if moon < 0.36 {
        c = mix(rgb(0xfdf6d8), rgb(0xd9cfa3), length(x - 0.02, y + 0.5));
    } else if moon < 0.6 {
        c = mix(rgb(0x8a9bb0), c, 0.5 + (moon - 0.36) * 2.0);
    }
    for (i, hue) in [0x5bc0be, 0x3a8f9c, 0x27667b, 0x1c4a5f, 0x0f2f44].into_iter().enumerate() {
        let n = i as f64;
        let crest = 0.08 + 0.2 * n + 0.06 * sin_turn(x * (0.7 + 0.13 * n) + 0.31 * n);
        if y > crest {
            c = mix(rgb(0xe8fbf6), rgb(hue), ((y - crest) * 40.0).min(1.0));
        }
    }
    c
}

/// Three discs that share each other's colours.
fn coins(x: f64, y: f64) -> Colour {
    let ground = rgb(0xf4ecd8);
    let inside = |cx: f64, cy: f64| length(x - cx, y - cy) < 0.46;
    let ring = |cx: f64, cy: f64| (length(x - cx, y - cy) - 0.38).abs() < 0.012;
    let (a, b, c) = (inside(0.0, -0.3), inside(-0.32, 0.24), inside(0.32, 0.24));
    let hole = |cx: f64, cy: f64| (x - cx).abs().max((y - cy).abs()) < 0.07;
    if hole(0.0, -0.3) || hole(-0.32, 0.24) || hole(0.32, 0.24) {
        return ground;
    }
    let colour = match (a, b, c) {
        (true, true, true) => rgb(0x3b1f2b),
        (true, true, false) => rgb(0x9c3d2e),
        (true, false, true) => rgb(0x4b6b3c),
        (false, true, true) => rgb(0x2f5266),
        (true, false, false) => rgb(0xe0a526),
        (false, true, false) => rgb(0xd1603d),
        (false, false, true) => rgb(0x5b9279),
        _ => return if zigzag((x + y) * 6.0) < 0.06 { rgb(0xe6dabd) } else { ground },
    };
    if ring(0.0, -0.3) && a || ring(-0.32, 0.24) && b || ring(0.32, 0.24) && c {
        mix(colour, ground, 0.55)
    } else {
        colour
    }
}

/// A ferry's lights and what the water makes of them.
fn ferry(x: f64, y: f64) -> Colour {
    let horizon = 0.12;
    let sky = mix(rgb(0x241b4b), rgb(0xe26d5c), ((y + 1.0) / 1.15).powi(3));
    let hull = (x.abs() < 0.62 - (y - horizon).max(0.0) * 1.4) && (0.0..0.12).contains(&(y - horizon + 0.1));
    let cabin = x.abs() < 0.42 && (-0.26..-0.1).contains(&(y - horizon))
        || (-0.2..0.24).contains(&x) && (-0.38..-0.26).contains(&(y - horizon));
    let funnel = (0.02..0.14).contains(&x) && (-0.56..-0.38).contains(&(y - horizon));
    let window = cabin && zigzag(x * 7.0 + 0.25) > 0.45 && zigzag((y - horizon) * 8.3) < 0.5;
    if window {
        return rgb(0xffe08a);
    }
    if hull || cabin || funnel {
        return if funnel && (y - horizon) < -0.47 { rgb(0xf28482) } else { rgb(0x14112b) };
    }
    if y > horizon + 0.02 {
        let sea = mix(rgb(0x50366f), rgb(0x0d0b26), (y - horizon) / 0.8);
        let wobble = x + 0.03 * sin_turn(y * 5.0);
        let glint =
            wobble.abs() < 0.42 && zigzag(wobble * 7.0 + 0.25) > 0.55 && zigzag(y * 11.0) > (y - horizon) * 0.9 + 0.2;
        return if glint { mix(rgb(0xffe08a), sea, (y - horizon) * 1.0) } else { sea };
    }
    if length(x + 0.55, y + 0.6) < 0.13 { rgb(0xfff4d6) } else { sky }
}

/// Panes.
fn glass(x: f64, y: f64) -> Colour {
    let tint = [0x9fd8cb, 0x2d936c, 0x517664, 0xcacfd6, 0xd6e5e3, 0x1e6f5c, 0x83c5be, 0xedf6f9];
    let u = x * 2.0 + y * 1.1547;
    let v = y * 2.3094;
    let (iu, iv) = (u.floor(), v.floor());
    let (fu, fv) = (u - iu, v - iv);
    let upper = fu + fv > 1.0;
    let frame = fu.min(fv).min((fu + fv - 1.0).abs()).min(1.0 - fu).min(1.0 - fv);
    if frame < 0.03 {
        return rgb(0x0c2a24);
    }
    let pick = (iu * 5.0 + iv * 3.0 + if upper { 7.0 } else { 0.0 }).rem_euclid(8.0) as usize;
    let light = 0.18 * (1.0 - length(x - 0.4, y + 0.5));
    mix(rgb(tint[pick]), rgb(0xffffff), light + 0.2 * frame)
}

/// Comets on their long ways round.
fn comets(x: f64, y: f64) -> Colour {
    let mut c = mix(rgb(0x0a0920), rgb(0x2c1a52), length(x + 0.6, y - 0.8) / 2.6);
    for (cx, cy, radius, head, hue) in [
        (-0.9, 1.1, 1.25, 0.86, 0x9be7ff),
        (-0.9, 1.1, 0.85, 0.93, 0xffb3d9),
        (-0.9, 1.1, 1.65, 0.80, 0xfff1a8),
        (-0.9, 1.1, 0.5, 0.9, 0xb8ffcf),
    ] {
        let (dx, dy) = (x - cx, y - cy);
        let off = (length(dx, dy) - radius).abs();
        // The tail fades with the angle behind the head; a rational stand-in for the arc tangent is enough.
        let (hx, hy) = (cos_turn(head) * radius, sin_turn(head) * radius);
        let behind = (dx * hy - dy * hx) / (radius * radius);
        if length(dx - hx, dy - hy) < 0.06 {
            return rgb(0xffffff);
        }
        let width = 0.05 * (1.0 - behind);
        if behind < 0.0 && off < 0.05 && behind > -1.0 && dx * hx + dy * hy > 0.0 {
            c = mix(rgb(hue), c, (-behind + off / width.max(0.01)).min(1.0));
        }
    }
    let star = sin_turn(x * 37.1 + 0.3 * sin_turn(y * 7.7)) * sin_turn(y * 41.3 + 0.2 * sin_turn(x * 9.1));
    if star > 0.995 { rgb(0xf5f3ff) } else { c }
}

/// Flags and drums on parade.
fn parade(x: f64, y: f64) -> Colour {
    const COLOURS: [u32; 5] = [0xef476f, 0xffd166, 0x06d6a0, 0x118ab2, 0xf78c6b];
    // Snap to a coarse grid: this one is made of pixels, like its sound.
    let (gx, gy) = (((x + 1.0) * 18.0).floor(), ((y + 1.0) * 18.0).floor());
    let ground = if (gx + gy) as i64 % 2 == 0 { rgb(0xfff8e7) } else { rgb(0xfcefd0) };
    let column = (gx / 6.0).floor();
    let (cx, cy) = (gx - column * 6.0, gy);
    let hue = rgb(COLOURS[(column as usize) % 5]);
    let lift = if column as i64 % 2 == 0 { 0.0 } else { 3.0 };
    let row = cy - 6.0 - lift;
    if cx == 1.0 && (0.0..22.0).contains(&row) {
        return rgb(0x3d2c2e);
    }
    if (2.0..6.0).contains(&cx) && (0.0..6.0).contains(&row) && cx - 2.0 <= 5.0 - (row - 2.5).abs() * 1.2 {
        return hue;
    }
    if cy > 31.0 { rgb(0x073b4c) } else { ground }
}

/// A sun of many points over dunes.
fn saffron(x: f64, y: f64) -> Colour {
    let (dx, dy) = (x, y + 0.15);
    let r = length(dx, dy);
    // Twelve points by folding the plane: no arc tangent needed.
    let mut points = 0.0f64;
    for i in 0..12 {
        let turn = f64::from(i) / 24.0;
        points = points.max((dx * cos_turn(turn) + dy * sin_turn(turn)).abs() / r.max(1e-6));
    }
    let star = r * (2.0 - points * points * points * points * points * points * points * points);
    let mut c = mix(rgb(0xfbe3b5), rgb(0xf2b880), (y + 1.0) / 2.0);
    for (edge, hue) in
        [(0.72, 0xe8871e), (0.6, 0xfff1d0), (0.54, 0xc8553d), (0.38, 0xf4a300), (0.22, 0xfff1d0), (0.16, 0x8f2d56)]
    {
        if star < edge {
            c = rgb(hue);
        }
    }
    for (i, hue) in [0xb5651d, 0x8c4a1f, 0x5c2e1a].into_iter().enumerate() {
        let n = i as f64;
        let crest = 0.52 + 0.17 * n + 0.09 * sin_turn(x * 0.45 + 0.37 * n + 0.1);
        if y > crest {
            c = rgb(hue);
        }
    }
    c
}

/// Tram lines, meeting far away.
fn tram(x: f64, y: f64) -> Colour {
    let horizon = -0.25;
    if y < horizon {
        let lamp = [(-0.62, -0.62), (-0.34, -0.45), (0.62, -0.62), (0.34, -0.45)];
        for (lx, ly) in lamp {
            let d = length(x - lx, y - ly);
            if d < 0.05 {
                return rgb(0xfff3b0);
            }
            if (x - lx).abs() < 0.008 && y > ly {
                return rgb(0x0b0c1e);
            }
        }
        let wire = (y + 0.25 + 0.9 * x.abs()).abs() < 0.008;
        let house = y > -0.25 - 0.34 * zigzag(x * 2.6 + 0.2).round().max(0.35) - 0.1 * zigzag(x * 0.9);
        let lit = house && zigzag(x * 14.0) > 0.6 && zigzag(y * 16.0) > 0.55 && sin_turn(x * 3.3 + y * 7.0) > 0.2;
        return match (wire, lit, house) {
            (true, _, _) => rgb(0x0b0c1e),
            (_, true, _) => rgb(0xffd97d),
            (_, _, true) => rgb(0x1c1d3c),
            _ => mix(rgb(0x22577a), rgb(0xe07a5f), ((y + 1.0) / 0.75).powi(2)),
        };
    }
    let depth = y - horizon + 0.02;
    let across = x / depth;
    let rail = [(-0.95f64), -0.45, 0.45, 0.95].iter().any(|r| (across - r).abs() < 0.045);
    if rail {
        return mix(rgb(0xe07a5f), rgb(0xfff3e0), depth);
    }
    let sleeper = zigzag(1.2 / depth) < 0.3 && (0.3..1.1).contains(&across.abs());
    let street = mix(rgb(0x3d3a5c), rgb(0x12122b), depth);
    if sleeper { mix(street, rgb(0x0b0c1e), 0.6) } else { street }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cover_is_a_square_png_with_more_than_one_colour() {
        let png = Cover::Grooves.png();
        let image = image::load_from_memory(&png).expect("our own PNG decodes");
        assert_eq!((image.width(), image.height()), (SIDE, SIDE));
        let pixels = Cover::Grooves.pixels();
        assert!(pixels.chunks(3).any(|p| p != &pixels[..3]));
    }
}
