//! How the run went over time: small pictures with the same horizontal axis.

use std::{fmt::Write, time::Duration};

use super::plot::{Frame, curve, figure, legend, ticks};
use crate::{
    report::{figures, numbers},
    tally::{Step, Tally},
};

const FRAME: Frame = Frame { left: 52.0, height: 150.0 };

/// Seconds between two words of the horizontal axis: the first with which they have room.
const EVERY: [u64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];

struct Panel<'a> {
    caption: &'a str,
    about: &'a str,
    /// A line's number, name and its value for each step.
    lines: Vec<(usize, &'a str, Vec<Option<f64>>)>,
    show: fn(f64) -> String,
    /// The end of the axis, where it does not depend on the values.
    top: Option<f64>,
}

/// All pictures of a run of so many seconds.
pub fn draw(tally: &Tally, seconds: f64) -> String {
    let timeline = &tally.timeline;
    if timeline.steps.is_empty() {
        return String::new();
    }
    let step_seconds = timeline.step_seconds as f64;
    let of = |value: &dyn Fn(&Step) -> Option<f64>| -> Vec<Option<f64>> { timeline.steps.iter().map(value).collect() };
    let last = timeline.steps.len() - 1;
    // The last step may be cut off by the end of the run.
    let cut = (seconds - last as f64 * step_seconds).clamp(0.1, step_seconds);
    let per_second = |value: &dyn Fn(&Step) -> u64| -> Vec<Option<f64>> {
        let length = |at| if at == last { cut } else { step_seconds };
        let rates = timeline.steps.iter().enumerate();
        // A scrap of a step says nothing of a rate.
        rates.map(|(at, step)| (length(at) > 0.4 * step_seconds).then(|| value(step) as f64 / length(at))).collect()
    };
    let drop = |share: f64| of(&|step| step.needle_drop.quantile(share).map(|took| took.as_secs_f64() * 1e6));
    let hits = of(&|step| figures::share(step.hits, step.starts).map(|share| share * 100.0));
    let mut panels = vec![
        Panel {
            caption: "Needle drop",
            about: "tap to first sound",
            lines: vec![(1, "p99", drop(0.99)), (0, "p50", drop(0.5))],
            show: numbers::micros,
            top: None,
        },
        Panel {
            caption: "Starts",
            about: "a second",
            lines: vec![(0, "starts", per_second(&|step| step.starts))],
            show: numbers::rate,
            top: None,
        },
        Panel {
            caption: "Listeners",
            about: "at once",
            lines: vec![(0, "listeners", of(&|step| Some(step.listeners as f64)))],
            show: |value| numbers::count(value as u64),
            top: None,
        },
        Panel {
            caption: "Troubles",
            about: "a second",
            lines: vec![(1, "troubles", per_second(&|step| step.troubles))],
            show: numbers::rate,
            top: None,
        },
        Panel {
            caption: "Own lateness",
            about: "share of acts later than 1 ms: the generator's, not the server's",
            lines: vec![(1, "late", of(&|step| figures::share(step.late, step.due).map(|share| share * 100.0)))],
            show: |value| format!("{value:.1} %"),
            top: None,
        },
        Panel {
            caption: "Received",
            about: "a second",
            lines: vec![(0, "bits", per_second(&|step| step.bytes.saturating_mul(8)))],
            show: numbers::bits,
            top: None,
        },
    ];
    if figures::hit_share(tally, |_| true).is_some() {
        let lines = vec![(2, "hits", hits)];
        panels.insert(
            3,
            Panel {
                caption: "Hits",
                about: "share of starts",
                lines,
                show: |value| format!("{value:.0} %"),
                top: Some(100.0),
            },
        );
    }
    panels.iter().map(|panel| panel.draw(step_seconds)).collect()
}

impl Panel<'_> {
    fn draw(&self, step_seconds: f64) -> String {
        let values = || self.lines.iter().flat_map(|(_, _, values)| values.iter().flatten().copied());
        let most = values().fold(0.0, f64::max);
        let ticks = ticks(self.top.unwrap_or(most));
        let top = ticks.last().copied().unwrap_or(1.0);
        let mut body = String::new();
        for value in &ticks {
            FRAME.mark_y(&mut body, value / top, &self.word(*value));
        }
        let steps = self.lines.first().map_or(0, |(_, _, values)| values.len());
        let length = steps as f64 * step_seconds;
        let every = EVERY.into_iter().find(|every| length / *every as f64 <= 6.0).unwrap_or(864_000);
        for at in (0..=length as u64).step_by(every as usize) {
            FRAME.mark_x(&mut body, at as f64 / length, &numbers::clock(Duration::from_secs(at)));
        }
        FRAME.ground(&mut body);
        let mut entries = Vec::new();
        for (series, name, values) in &self.lines {
            let place = |at: usize, value: f64| (FRAME.x((at as f64 + 0.5) / steps as f64), FRAME.y(value / top));
            if self.lines.len() == 1 {
                area(&mut body, 0, values.iter().enumerate().filter_map(|(at, value)| Some(place(at, (*value)?))));
            }
            let points = values.iter().enumerate().map(|(at, value)| Some(place(at, (*value)?)));
            curve(&mut body, if self.lines.len() == 1 { 0 } else { *series }, points, name);
            let (least, most) = values
                .iter()
                .flatten()
                .fold((f64::MAX, 0f64), |(least, most), value| (least.min(*value), most.max(*value)));
            let worth = if least > most {
                "nothing".into()
            } else {
                format!("{} to {}", (self.show)(least), (self.show)(most))
            };
            entries.push((*series, *name, worth));
        }
        let said: Vec<String> = entries.iter().map(|(_, name, worth)| format!("{name} {worth}")).collect();
        let words = format!("{} {} over time: {}", self.caption, self.about, said.join("; "));
        let legend = if entries.len() > 1 { legend(entries) } else { String::new() };
        let about = if legend.is_empty() {
            format!("{}, {}", self.about, said[0].split_once(' ').map_or("", |(_, worth)| worth))
        } else {
            self.about.into()
        };
        figure(self.caption, &about, &words, FRAME.height, &body, &legend)
    }

    fn word(&self, value: f64) -> String {
        let word = (self.show)(value);
        // "100.0" and "2.00 ms" say no more than "100" and "2 ms" on an axis.
        match word.split_once(' ') {
            _ if value == 0.0 => "0".into(),
            Some((number, unit)) if number.contains('.') => {
                format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
            }
            None if word.contains('.') => word.trim_end_matches('0').trim_end_matches('.').into(),
            _ => word,
        }
    }
}

fn area(out: &mut String, series: usize, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<(f64, f64)> = points.collect();
    let ([first, ..], [.., last]) = (points.as_slice(), points.as_slice()) else { return };
    let _ = write!(out, "<path class=\"area f{series}\" d=\"M{:.1} {:.1}", first.0, FRAME.bottom());
    for (x, y) in &points {
        let _ = write!(out, "L{x:.1} {y:.1}");
    }
    let _ = write!(out, "L{:.1} {:.1}Z\"/>", last.0, FRAME.bottom());
}
