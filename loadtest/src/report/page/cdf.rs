//! Latency distributions: along the waiting time, how many waited no longer. Upwards, each line is ten times rarer than
//! the one below, since it is the tail that listeners complain about.

use super::plot::{Frame, LogAxis, curve, figure, legend, tick_micros};
use crate::{report::numbers, tally::Latencies};

const FRAME: Frame = Frame { left: 53.0, height: 236.0 };

/// Points of a curve: one for each two pixels of height.
const POINTS: usize = 110;

/// The words of the vertical axis, and how rare what is above them is.
const RARITIES: [(&str, f64); 6] = [
    ("0 %", 0.0),
    ("50 %", std::f64::consts::LOG10_2),
    ("90 %", 1.0),
    ("99 %", 2.0),
    ("99.9 %", 3.0),
    ("99.99 %", 4.0),
];

/// A distribution and its name.
pub struct Line {
    /// Which kind of line.
    pub series: usize,
    /// What it is called.
    pub name: String,
    /// What it is of.
    pub latencies: Latencies,
}

/// All in one picture; nothing when nothing was measured.
pub fn draw(caption: &str, about: &str, lines: &[Line]) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|line| line.latencies.count() > 0).collect();
    let micros = |line: &Line, share: f64| line.latencies.quantile(share).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    let Some(most) = lines.iter().map(|line| micros(line, 1.0)).max_by(f64::total_cmp) else {
        return String::new();
    };
    let least = lines.iter().map(|line| micros(line, 0.002)).min_by(f64::total_cmp).unwrap_or(1.0);
    let axis = LogAxis::around(least, most);
    // The axis ends where one sample is left of the longest line, but has at least three words and at most all.
    let rarest = lines.iter().map(|line| (line.latencies.count() as f64).log10()).fold(2.0, f64::max).min(4.0);

    let mut body = String::new();
    for (word, rarity) in RARITIES.into_iter().filter(|(_, rarity)| *rarity <= rarest) {
        FRAME.mark_y(&mut body, rarity / rarest, word);
    }
    for tick in axis.ticks() {
        if tick.has_room {
            FRAME.mark_x(&mut body, axis.share(tick.value), &tick_micros(tick.value));
        } else {
            FRAME.mark_x_minor(&mut body, axis.share(tick.value));
        }
    }
    FRAME.ground(&mut body);
    let mut entries = Vec::new();
    for line in &lines {
        let last = (line.latencies.count() as f64).log10().min(rarest);
        let points = (0..=POINTS).map(|at| {
            let rarity = last * at as f64 / POINTS as f64;
            let share = 1.0 - 10f64.powf(-rarity);
            Some((FRAME.x(axis.share(micros(line, share))), FRAME.y(rarity / rarest)))
        });
        let [median, high] = [0.5, 0.99].map(|share| numbers::took_or_dash(line.latencies.quantile(share)));
        let worth = format!("p50 {median}, p99 {high}");
        curve(&mut body, line.series, points, &format!("{}: {worth}", line.name));
        entries.push((line.series, line.name.as_str(), worth));
    }
    let said: Vec<String> = entries.iter().map(|(_, name, worth)| format!("{name}: {worth}")).collect();
    let words = format!("{caption} {about}: distribution of waiting times. {}", said.join("; "));
    figure(caption, about, &words, FRAME.height, &body, &legend(entries))
}
