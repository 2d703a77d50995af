//! The matrix as a picture: a panel for each path, a line for each kind of start, a mark for each server.

use std::{collections::BTreeSet, fmt::Write};

use needledrop_loadtest::measured::Measure;

use super::{
    Measured, Path,
    table::{of, rows},
};
use crate::servers::Kind;

const PANEL_WIDTH: f64 = 300.0;
const LABELS_WIDTH: f64 = 90.0;
const LINE_HEIGHT: f64 = 24.0;
const TOP: f64 = 60.0;
const MARGIN: f64 = 24.0;

/// Colours that stay apart for colour-blind eyes, and shapes for those who see none.
fn mark(kind: Kind, x: f64, y: f64) -> String {
    match kind {
        Kind::Needledrop => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"#d55e00\"/>"),
        Kind::Nginx => {
            format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"#0072b2\"/>", x - 4.5, y - 4.5)
        }
        Kind::Caddy => format!("<path d=\"M{x:.1} {:.1}l5.5 9.5h-11z\" fill=\"#009e73\"/>", y - 6.0),
        Kind::Floor => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"#777777\"/>"),
        Kind::H2o => format!("<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\" fill=\"#cc79a7\"/>", y - 5.0),
    }
}

pub fn svg(measured: &Measured) -> String {
    let rows: Vec<_> = rows(measured).into_iter().collect();
    let paths: BTreeSet<Path> = measured.keys().map(|(path, _)| *path).collect();
    let kinds: BTreeSet<Kind> = measured.keys().map(|(_, kind)| *kind).collect();
    let rtts: BTreeSet<u32> = paths.iter().map(|path| path.rtt_ms).collect();
    let losses: BTreeSet<u32> = paths.iter().map(|path| path.loss_permille).collect();
    let panel_height = TOP + rows.len() as f64 * LINE_HEIGHT + MARGIN;
    let (width, height) =
        (LABELS_WIDTH + rtts.len() as f64 * (PANEL_WIDTH + MARGIN) + MARGIN, losses.len() as f64 * panel_height + 40.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         role=\"img\"><title>Time from tap to the first sound, median and 90th percentile, by server, protocol, state of \
         the connection, round trip and loss</title><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (line, loss) in losses.iter().enumerate() {
        for (column, rtt) in rtts.iter().enumerate() {
            let path = Path { rtt_ms: *rtt, loss_permille: *loss };
            let (x, y) =
                (LABELS_WIDTH + MARGIN + column as f64 * (PANEL_WIDTH + MARGIN), line as f64 * panel_height + 10.0);
            let _ = writeln!(
                out,
                "<g transform=\"translate({x} {y})\">{}</g>",
                panel(measured, path, &kinds, &rows, column == 0)
            );
        }
    }
    let y = height - 20.0;
    for (at, kind) in kinds.iter().enumerate() {
        let x = LABELS_WIDTH + MARGIN + at as f64 * 120.0;
        let _ = writeln!(out, "{}<text x=\"{}\" y=\"{}\">{kind}</text>", mark(*kind, x, y), x + 10.0, y + 4.0);
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" fill=\"#555\">mark: median; line: to the 90th percentile; ms from the tap to the first sound</text>",
        LABELS_WIDTH + MARGIN + 380.0,
        y + 4.0
    );
    out + "</svg>\n"
}

fn panel(
    measured: &Measured,
    path: Path,
    kinds: &BTreeSet<Kind>,
    rows: &[super::table::Row],
    with_labels: bool,
) -> String {
    // Eight round trips fit: what takes longer is drawn at the edge.
    let most = f64::from(path.rtt_ms) * 8.0;
    let x = |ms: f64| ms.min(most) / most * PANEL_WIDTH;
    let bottom = TOP + rows.len() as f64 * LINE_HEIGHT;
    let mut out = format!(
        "<text x=\"0\" y=\"20\" font-weight=\"bold\">{} ms round trip, {} % loss</text>",
        path.rtt_ms,
        f64::from(path.loss_permille) / 10.0
    );
    for trips in 0..=8 {
        let at = x(f64::from(path.rtt_ms * trips));
        let _ = write!(out, "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>");
        if trips % 2 == 0 {
            let _ = write!(
                out,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
                TOP - 8.0,
                path.rtt_ms * trips
            );
        }
    }
    for (line, row) in rows.iter().enumerate() {
        let y = TOP + (line as f64 + 0.5) * LINE_HEIGHT;
        if with_labels {
            let _ = write!(out, "<text x=\"-10\" y=\"{}\" text-anchor=\"end\">{} {}</text>", y + 4.0, row.0, row.1);
        }
        for (at, kind) in kinds.iter().enumerate() {
            let latencies = of(&measured[&(path, *kind)], *row, Measure::FirstAudio);
            let (Some(median), Some(late)) = (latencies.quantile(0.5), latencies.quantile(0.9)) else { continue };
            let y = y + (at as f64 - (kinds.len() as f64 - 1.0) / 2.0) * 5.0;
            let (median, late) = (x(median.as_secs_f64() * 1e3), x(late.as_secs_f64() * 1e3));
            let _ =
                write!(out, "<path d=\"M{median:.1} {y:.1}H{late:.1}\" stroke=\"#777\"/>{}", mark(*kind, median, y));
        }
    }
    out
}
