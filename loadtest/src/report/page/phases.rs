//! What a start is made of: one bar for each protocol at the median and at the 99th percentile, from the tap to the end
//! of the head. The numbers stand in a table below, since a bar alone cannot be read by everyone.

use std::{fmt::Write, time::Duration};

use super::{
    escape,
    plot::{Frame, figure, ticks},
};
use crate::{
    measured::{Measure, Protocol, Why},
    report::{figures, numbers},
    tally::Tally,
};

/// In the order in which they usually happen.
const MARKS: [Measure; 7] = [
    Measure::Url,
    Measure::Connect,
    Measure::FirstByte,
    Measure::FirstAudio,
    Measure::OneSecond,
    Measure::First64K,
    Measure::Head,
];

const BAR: f64 = 17.0;
const ROW: f64 = 25.0;

struct Row {
    name: String,
    /// When each mark was reached, if it was measured.
    marks: Vec<(usize, Option<Duration>)>,
}

fn rows(tally: &Tally) -> Vec<Row> {
    let mut rows = Vec::new();
    for protocol in Protocol::ALL {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let at =
                |measure| tally.sum(measure, |key| key.why == Why::Tap && key.protocol == protocol).quantile(share);
            let marks: Vec<_> = MARKS.into_iter().map(at).enumerate().collect();
            if marks.iter().any(|(_, at)| at.is_some()) {
                rows.push(Row { name: format!("{protocol} {name}"), marks });
            }
        }
    }
    rows
}

/// The picture.
pub fn draw(tally: &Tally) -> String {
    let rows = rows(tally);
    let longest = rows.iter().flat_map(|row| row.marks.iter().filter_map(|(_, at)| *at)).max();
    let Some(longest) = longest else { return String::new() };
    let frame = Frame { left: 58.0, height: 36.0 + rows.len() as f64 * ROW };
    let ticks = ticks(longest.as_secs_f64() * 1e6);
    let top = ticks.last().copied().unwrap_or(1.0);
    let mut body = String::new();
    for value in &ticks {
        let word = if *value == 0.0 { "0".into() } else { label(*value, top) };
        frame.mark_x(&mut body, value / top, &word);
    }
    for (at, row) in rows.iter().enumerate() {
        let y = 12.0 + at as f64 * ROW;
        let _ = write!(
            body,
            "<text class=\"strong\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            frame.left - 6.0,
            y + BAR * 0.72,
            escape(&row.name)
        );
        // 64 KiB can come before a second of sound: each piece ends where the next mark in time is.
        let mut marks: Vec<(usize, Duration)> =
            row.marks.iter().filter_map(|(mark, at)| Some((*mark, (*at)?))).collect();
        marks.sort_by_key(|(mark, at)| (*at, *mark));
        let mut from = Duration::ZERO;
        for (mark, until) in marks {
            let [left, right] = [from, until].map(|at| frame.x(at.as_secs_f64() * 1e6 / top));
            // A hair's breadth of ground keeps pieces of similar colour apart.
            let width = (right - left - 0.8).max(0.6);
            let name = figures::title(MARKS[mark]);
            let _ = write!(
                body,
                "<rect class=\"p{mark}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\">\
                 <title>{}: {name} at {}</title></rect>",
                escape(&row.name),
                numbers::took(until)
            );
            from = until;
        }
    }
    frame.ground(&mut body);
    let mut legend = String::from("<ul class=\"legend\">");
    for (mark, measure) in MARKS.into_iter().enumerate() {
        if rows.iter().any(|row| row.marks[mark].1.is_some()) {
            let _ = write!(
                legend,
                "<li><svg class=\"patch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"p{mark}\" \
                 width=\"12\" \
                 height=\"12\" rx=\"2\"/></svg>{}</li>",
                figures::title(measure)
            );
        }
    }
    legend.push_str("</ul>");
    let words = "Bars of what a start is made of, by protocol, at the median and the 99th percentile; the table has \
        the numbers.";
    figure("From tap to head", "what a start waits for", words, frame.height, &body, &legend)
}

/// All words of an axis in the unit of its end.
fn label(micros: f64, top: f64) -> String {
    if top >= 1e6 { format!("{} s", micros / 1e6) } else { format!("{} ms", micros / 1e3) }
}

/// The same as numbers.
pub fn table(tally: &Tally) -> String {
    let rows = rows(tally);
    let shown: Vec<usize> =
        (0..MARKS.len()).filter(|mark| rows.iter().any(|row| row.marks[*mark].1.is_some())).collect();
    let mut out = String::from("<table><caption>Reached after the tap</caption><thead><tr><th scope=\"col\">taps</th>");
    for mark in &shown {
        let _ = write!(out, "<th scope=\"col\">{}</th>", figures::title(MARKS[*mark]));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &rows {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(&row.name));
        for mark in &shown {
            let _ = write!(out, "<td>{}</td>", numbers::took_or_dash(row.marks[*mark].1));
        }
        out.push_str("</tr>");
    }
    out + "</tbody></table>"
}
