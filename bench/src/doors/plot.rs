//! The ratios as a picture: a bar for each work, protocol and peer, from the line where both are even.

use std::{collections::BTreeSet, fmt::Write};

use super::{Measured, table::ratio};
use crate::servers::Kind;

const LABELS_WIDTH: f64 = 150.0;
const BARS_WIDTH: f64 = 560.0;
const BAR_HEIGHT: f64 = 13.0;
const GAP: f64 = 9.0;
const TOP: f64 = 56.0;
/// What is drawn at most; longer bars say their number all the same.
const RATIO_MAX: f64 = 6.0;

fn colour(kind: Kind) -> &'static str {
    // Apart for colour-blind eyes; each bar is named besides.
    match kind {
        Kind::Needledrop => "#d55e00",
        Kind::Nginx => "#0072b2",
        Kind::Caddy => "#009e73",
        Kind::H2o => "#cc79a7",
        Kind::Floor => "#777777",
    }
}

pub fn svg(measured: &Measured) -> String {
    let rows: BTreeSet<_> = measured.keys().map(|(work, protocol, _)| (*work, *protocol)).collect();
    let peers: BTreeSet<Kind> = measured.keys().map(|key| key.2).filter(|kind| *kind != Kind::Needledrop).collect();
    let x = |ratio: f64| LABELS_WIDTH + ratio.min(RATIO_MAX) / RATIO_MAX * BARS_WIDTH;
    let (mut bars, mut y) = (String::new(), TOP);
    for (work, protocol) in rows {
        let Some(ours) = measured.get(&(work, protocol, Kind::Needledrop)) else { continue };
        let began = y;
        for peer in &peers {
            let Some(theirs) = measured.get(&(work, protocol, *peer)) else { continue };
            let ratio = ratio(ours, theirs);
            if !ratio.is_finite() {
                continue;
            }
            let _ = writeln!(
                bars,
                "<rect x=\"{LABELS_WIDTH}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{ratio:.2}</text>",
                x(ratio) - LABELS_WIDTH,
                colour(*peer),
                x(ratio) + 4.0,
                y + BAR_HEIGHT - 2.0
            );
            y += BAR_HEIGHT;
        }
        if y > began {
            let middle = f64::midpoint(began, y) + 4.0;
            let _ = writeln!(
                bars,
                "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{work}, {protocol}</text>",
                LABELS_WIDTH - 8.0
            );
            y += GAP;
        }
    }
    let (width, height) = (LABELS_WIDTH + BARS_WIDTH + 60.0, y + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\"><title>Work that needledrop does in a processor second, as a multiple of what its \
         peers do</title><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LABELS_WIDTH}\" y=\"20\" font-weight=\"bold\">Work for each processor second, as a multiple of</text>\n"
    );
    for (at, peer) in peers.iter().enumerate() {
        let x = LABELS_WIDTH + 300.0 + at as f64 * 90.0;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"20\">{peer}</text>",
            colour(*peer),
            x + 17.0
        );
    }
    for number in 0..=RATIO_MAX as u32 {
        let (at, weight) = (x(f64::from(number)), if number == 1 { "#333" } else { "#ddd" });
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {}V{y:.1}\" stroke=\"{weight}\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" \
             fill=\"#555\">{number}</text>",
            TOP - 6.0,
            TOP - 10.0
        );
    }
    out + &bars + "</svg>\n"
}
