//! Axes, lines and legends as SVG. A plot is as wide as a phone, so that its words are readable on one; wider screens
//! put several side by side. What a line is, its dashes say as well as its colour.

use std::fmt::Write;

use super::escape;

/// Width of every plot; the unit is a pixel on a phone.
pub const WIDTH: f64 = 360.0;

/// Kinds of line that can be told apart.
pub const SERIES: usize = 6;

/// Where the axes end, from the left and from the top.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Room for the words of the vertical axis.
    pub left: f64,
    /// Height of the whole plot.
    pub height: f64,
}

impl Frame {
    const RIGHT: f64 = WIDTH - 12.0;
    const TOP: f64 = 8.0;

    /// The horizontal place of a share of the axis.
    pub fn x(self, share: f64) -> f64 {
        self.left + share.clamp(0.0, 1.0) * (Self::RIGHT - self.left)
    }

    /// The vertical place of a share of the axis, upwards.
    pub fn y(self, share: f64) -> f64 {
        let bottom = self.bottom();
        bottom - share.clamp(0.0, 1.0) * (bottom - Self::TOP)
    }

    /// Where the horizontal axis is.
    pub fn bottom(self) -> f64 {
        self.height - 22.0
    }

    /// A line across at this share of the vertical axis, and its word.
    pub fn mark_y(self, out: &mut String, share: f64, word: &str) {
        let (y, right) = (self.y(share), Self::RIGHT);
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{:.1} {y:.1}H{right:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            self.left,
            self.left - 6.0,
            y + 4.0,
            escape(word)
        );
    }

    /// A line upwards at this share of the horizontal axis, and its word.
    pub fn mark_x(self, out: &mut String, share: f64, word: &str) {
        let x = self.x(share);
        // The first and last words stay within the picture.
        let anchor = if x > Self::RIGHT - 14.0 { "end" } else { "middle" };
        let x_word = if anchor == "end" { WIDTH - 2.0 } else { x };
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{x:.1} {:.1}V{:.1}\"/><text x=\"{x_word:.1}\" y=\"{:.1}\" \
             text-anchor=\"{anchor}\">{}</text>",
            Self::TOP,
            self.bottom(),
            self.height - 6.0,
            escape(word)
        );
    }

    /// A faint line upwards without a word.
    pub fn mark_x_minor(self, out: &mut String, share: f64) {
        let _ =
            write!(out, "<path class=\"minor\" d=\"M{:.1} {:.1}V{:.1}\"/>", self.x(share), Self::TOP, self.bottom());
    }

    /// The horizontal axis itself.
    pub fn ground(self, out: &mut String) {
        let _ = write!(out, "<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>", self.left, self.bottom(), Self::RIGHT);
    }
}

/// A picture in its frame, with its caption, what it shows in words, and its legend.
pub fn figure(caption: &str, about: &str, words: &str, height: f64, body: &str, legend: &str) -> String {
    format!(
        "<figure><figcaption>{} <span>{}</span></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">{body}</svg>{legend}</figure>\n",
        escape(caption),
        escape(about),
        escape(words),
    )
}

/// A line through these points; a None is a hole.
pub fn curve(out: &mut String, series: usize, points: impl IntoIterator<Item = Option<(f64, f64)>>, name: &str) {
    let (mut path, mut is_down, mut alone) = (String::new(), false, Vec::new());
    let mut last = None;
    for point in points.into_iter().chain([None]) {
        match point {
            Some((x, y)) => {
                let _ = write!(path, "{}{x:.1} {y:.1}", if is_down { "L" } else { "M" });
                last = if is_down { None } else { Some((x, y)) };
                is_down = true;
            }
            None => {
                // A single point between holes is a dot.
                alone.extend(last.take());
                is_down = false;
            }
        }
    }
    let series = series % SERIES;
    let _ =
        write!(out, "<path class=\"curve s{series} d{series}\" d=\"{path}\"><title>{}</title></path>", escape(name));
    for (x, y) in alone {
        let _ = write!(out, "<circle class=\"f{series}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
    }
}

/// Each line's look, name and what is worth saying of it.
pub fn legend<'a>(lines: impl IntoIterator<Item = (usize, &'a str, String)>) -> String {
    let mut out = String::from("<ul class=\"legend\">");
    for (series, name, worth) in lines {
        let series = series % SERIES;
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\"><path class=\"curve s{series} d{series}\" d=\"M1 \
             5H29\"/>\
             </svg><span><b>{}</b> {}</span></li>",
            escape(name),
            escape(&worth)
        );
    }
    out + "</ul>"
}

/// Round numbers from 0 to at least `top`: the last is the end of the axis.
pub fn ticks(top: f64) -> Vec<f64> {
    if !(top.is_finite() && top > 0.0) {
        return vec![0.0, 1.0];
    }
    let rough = top / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    (0..=(top / step * 0.999).ceil() as u32).map(|at| f64::from(at) * step).collect()
}

/// An axis of which each decade is as wide as the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogAxis {
    least: f64,
    most: f64,
}

impl LogAxis {
    /// From a little before to a little after these two; at least a factor of four, at most six decades.
    pub fn around(least: f64, most: f64) -> Self {
        let most = most.max(4.0) * 1.05;
        let least = (least / 1.05).max(most / 1e6).max(1.0).min(most / 4.0);
        Self { least, most }
    }

    /// How far along the axis a value is.
    pub fn share(self, value: f64) -> f64 {
        (value.max(self.least) / self.least).ln() / (self.most / self.least).ln()
    }

    /// Ones, twos and fives, upwards; those have a word that are not too near a rounder one.
    pub fn ticks(self) -> Vec<Tick> {
        let (first, last) = (self.least.log10().floor() as i32, self.most.log10().floor() as i32);
        let all = |step: f64| (first..=last).map(move |decade| step * 10f64.powi(decade));
        let mut ticks: Vec<Tick> = Vec::new();
        for value in all(1.0).chain(all(2.0)).chain(all(5.0)) {
            if (self.least..=self.most).contains(&value) {
                let near = |other: &Tick| (self.share(other.value) - self.share(value)).abs() < WORD_SHARE;
                let has_room = !ticks.iter().any(|other| other.has_room && near(other));
                ticks.push(Tick { value, has_room });
            }
        }
        ticks.sort_by(|one, other| one.value.total_cmp(&other.value));
        ticks
    }
}

/// How much of the axis a word takes.
const WORD_SHARE: f64 = 0.14;

/// A round value of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// The value.
    pub value: f64,
    /// Whether there is room for its word.
    pub has_room: bool,
}

/// Microseconds of a tick, short: `20 ms`.
pub fn tick_micros(micros: f64) -> String {
    match micros {
        ..999.0 => format!("{micros:.0} µs"),
        ..999_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.0} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(ticks(87.0), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(4.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((ticks(0.0), ticks(f64::NAN)), (vec![0.0, 1.0], vec![0.0, 1.0]));
        let worded = |least, most| {
            let ticks = LogAxis::around(least, most).ticks();
            let values: Vec<f64> = ticks.iter().filter(|tick| tick.has_room).map(|tick| tick.value).collect();
            assert!(!values.is_empty() && values.len() <= 8 && ticks.len() < 30, "{ticks:?}");
            values
        };
        assert_eq!(worded(41_200.0, 702_000.0), [50e3, 100e3, 200e3, 500e3]);
        assert_eq!(worded(0.0, 3e9).len(), 6);
        worded(0.0, 0.0);
    }
}
