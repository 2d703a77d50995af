//! The plot: for each trace, start misses and upstream bytes over the size of the cache.

use std::fmt::Write;

use super::{model::Counted, report::Report};

/// What is drawn of all that was run: the baselines, and each policy with everything.
const LINES: [(&str, &str); 6] = [
    ("whole-object lru", "#999999"),
    ("lru", "#555555"),
    ("lru + heads + prefetch", "#d55e00"),
    ("s3-fifo + heads + prefetch", "#0072b2"),
    ("sieve + heads + prefetch", "#009e73"),
    ("w-tinylfu + heads + prefetch", "#cc79a7"),
];

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const MARGIN: f64 = 50.0;

/// A number that is drawn, and its name.
type Measure = (&'static str, fn(&Counted) -> f64);

const MEASURES: [Measure; 2] =
    [("start misses", Counted::start_miss_ratio), ("upstream bytes / asked", Counted::upstream_ratio)];

/// One row of two pictures for each trace, and the legend below.
pub fn svg(reports: &[Report]) -> String {
    let (column, line) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let (width, height) = (2.0 * column, reports.len() as f64 * line + 20.0 * LINES.len() as f64 + 20.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (row, report) in reports.iter().enumerate() {
        for (place, measure) in MEASURES.iter().enumerate() {
            let (x, y) = (place as f64 * column + MARGIN, row as f64 * line + MARGIN);
            let _ = writeln!(out, "<g transform=\"translate({x} {y})\">{}</g>", picture(report, *measure));
        }
    }
    for (at, (name, colour)) in LINES.iter().enumerate() {
        let y = reports.len() as f64 * line + 20.0 * at as f64 + 10.0;
        let _ = writeln!(
            out,
            "<path d=\"M{MARGIN} {y}h30\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            MARGIN + 40.0,
            y + 4.0
        );
    }
    out + "</svg>\n"
}

fn picture(report: &Report, (name, measure): Measure) -> String {
    let sizes = report.sizes();
    let top = report.rows.iter().filter(|row| LINES.iter().any(|(line, _)| *line == row.model));
    // A whole-object cache may fetch many times what is asked for: the picture ends at two.
    let top = top.map(|row| measure(&row.counted)).fold(0.1, f64::max).min(2.0);
    // Sizes are drawn by their logarithm: each doubling is as wide as the one before.
    let (least, most) = (sizes[0].ln(), sizes[sizes.len() - 1].ln());
    let x = |size: f64| if most > least { (size.ln() - least) / (most - least) * WIDTH } else { WIDTH / 2.0 };
    let y = |value: f64| HEIGHT - value.min(top) / top * HEIGHT;
    let mut out = format!(
        "<path d=\"M0 0V{HEIGHT}H{WIDTH}\" fill=\"none\" stroke=\"black\"/>\
         <text x=\"0\" y=\"-12\">{}: {name}</text>",
        report.trace
    );
    for size in &sizes {
        let _ =
            write!(out, "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"middle\">{size} %</text>", x(*size), HEIGHT + 16.0);
    }
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let _ = write!(out, "<text x=\"-6\" y=\"{:.0}\" text-anchor=\"end\">{value:.2}</text>", y(value) + 4.0);
    }
    for (model, colour) in LINES {
        let points: Vec<String> = sizes
            .iter()
            .filter_map(|size| Some(format!("{:.1},{:.1}", x(*size), y(measure(report.find(model, *size)?)))))
            .collect();
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
    }
    out
}
