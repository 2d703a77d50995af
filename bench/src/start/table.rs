//! The matrix as a table: a block for each path, a line for each kind of start, a column for each server.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use needledrop_loadtest::{
    measured::{Key, Measure, Opening, Protocol},
    report::Machine,
    tally::{Latencies, Tally},
};

use super::{Measured, Path};
use crate::servers::Kind;

/// What stands above the table.
pub struct About {
    pub date: String,
    pub commit: String,
    pub servers: String,
    pub rate: String,
    pub rounds: u64,
    pub lasted: Duration,
}

/// Fewer starts than this say nothing about a median.
const COUNT_MIN: u64 = 5;

/// A kind of start.
pub type Row = (Protocol, Opening);

/// All kinds that some server gave often enough.
pub fn rows(measured: &Measured) -> BTreeSet<Row> {
    let keys = measured.values().flat_map(|tally| tally.latencies.keys());
    keys.map(|key| (key.protocol, key.opening))
        .filter(|row| measured.values().any(|tally| of(tally, *row, Measure::FirstByte).count() >= COUNT_MIN))
        .collect()
}

/// What one kind of start took at one server.
pub fn of(tally: &Tally, (protocol, opening): Row, measure: Measure) -> Latencies {
    tally.sum(measure, |key: &Key| key.protocol == protocol && key.opening == opening)
}

pub fn markdown(measured: &Measured, about: &About) -> String {
    let mut out = String::from("# From tap to sound: three servers over emulated links\n\n");
    let machine: Vec<String> = Machine::here().facts().iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    let _ = writeln!(
        out,
        "Made by `cargo xtask start` on {} at commit {} ({}, {} rounds, {:.0} min). {}.\n\nEach listener has a line of its own of {} with the \
         round trip and loss (each way) of the block, emulated at the IP level. Every server gives the same Ogg files at \
         160 kbit/s from memory, over TLS 1.3 with an ECDSA certificate; needledrop checks a signature besides. A cell is \
         median / 90th percentile in ms from the tap, and the number of starts: to the last byte that a decoder needs \
         for its first sound, and to the 65,536th byte. *full*: new connection. *resumed*: new, with a session ticket. \
         *zero_rtt*: the request travels with the first flight; a dash where the server does not take it. *warm*: the \
         connection has carried 64 KiB before. nginx of Debian has no HTTP/3.\n",
        about.date,
        about.commit,
        about.servers,
        about.rounds,
        about.lasted.as_secs_f64() / 60.0,
        machine.join("; "),
        about.rate,
    );
    let paths: BTreeSet<Path> = measured.keys().map(|(path, _)| *path).collect();
    let kinds: BTreeSet<Kind> = measured.keys().map(|(_, kind)| *kind).collect();
    for path in paths {
        let _ = writeln!(out, "## {} ms round trip, {} % loss\n", path.rtt_ms, f64::from(path.loss_permille) / 10.0);
        let titles: Vec<String> = kinds.iter().map(|kind| format!("{kind}: first sound | 64 KiB")).collect();
        let _ = writeln!(out, "| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(2 * kinds.len()));
        for row in rows(measured) {
            let cells: Vec<String> = kinds.iter().map(|kind| cell(&measured[&(path, *kind)], row)).collect();
            let _ = writeln!(out, "| {} {} | {} |", row.0, row.1, cells.join(" | "));
        }
        let troubles: Vec<String> = kinds
            .iter()
            .map(|kind| (kind, measured[&(path, *kind)].troubled()))
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{kind}: {count}"))
            .collect();
        let _ = writeln!(
            out,
            "\n{}",
            if troubles.is_empty() {
                "No start failed.\n".to_owned()
            } else {
                format!("Starts that failed: {}.\n", troubles.join(", "))
            }
        );
    }
    out
}

fn cell(tally: &Tally, row: Row) -> String {
    let show = |measure| {
        let latencies = of(tally, row, measure);
        let ms = |share| latencies.quantile(share).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        if latencies.count() < COUNT_MIN {
            "–".to_owned()
        } else {
            format!("{:.0} / {:.0} ({})", ms(0.5), ms(0.9), latencies.count())
        }
    };
    format!("{} | {}", show(Measure::FirstAudio), show(Measure::First64K))
}
