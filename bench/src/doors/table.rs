//! The comparison as a table: a line for each work and protocol, columns for the servers, ratios to the peers.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use needledrop_loadtest::report::Machine;

use super::{Measured, work::Figures, work::Work};
use crate::servers::Kind;

/// What stands above the table.
pub struct About {
    pub date: String,
    pub commit: String,
    pub servers: String,
    pub rounds: u32,
    pub seconds: u64,
    pub listeners: u32,
    pub lasted: Duration,
    /// As it was found, before this process chose a core of it.
    pub machine: Machine,
}

/// The median over the rounds.
pub fn median(rounds: &[Figures], value: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(value).filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Processor time of the server for one answer, connection or listener's second. Unit: µs.
pub fn micros(figures: &Figures) -> f64 {
    figures.cpu * 1e6 / figures.count as f64
}

/// How much more work than `peer` ours does in a processor second, round by round, in the median.
pub fn ratio(ours: &[Figures], peer: &[Figures]) -> f64 {
    let mut ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| micros(peer) / micros(ours)).collect();
    ratios.retain(|ratio| ratio.is_finite());
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn markdown(measured: &Measured, about: &About) -> String {
    let kinds: BTreeSet<Kind> = measured.keys().map(|(_, _, kind)| *kind).collect();
    let machine: Vec<String> = about.machine.facts().iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    let mut out = format!(
        "# What the doors cost\n\nMade by `cargo xtask doors` on {} at commit {} ({}; {} rounds, servers in turns, {:.0} min). \
         {}.\n\nEach server has one core and the client the other; the same Ogg files, from memory, over TLS 1.3 with an \
         ECDSA P-256 certificate and AES-128-GCM; needledrop checks a signature, keeps its cache, its counts and its \
         prefetch besides. Medians of the rounds. *µs*: processor time of the server, user and system, for one range, one \
         new connection with a range of 1 KiB, or one second of one listener. *p50 / p99*: to the first body byte, of \
         connections that wait for each other in a closed loop. *busy*: share of its core that the server had to work: \
         where it is far from 1, the client was the limit. Ratios: work for each processor second, beside the peer in the \
         same round. A measurement lasts {} s; {} listeners each take 20 kB/s, and read what waits only then.\n",
        about.date,
        about.commit,
        about.servers,
        about.rounds,
        about.lasted.as_secs_f64() / 60.0,
        machine.join("; "),
        about.seconds,
        about.listeners,
    );
    let peers: Vec<Kind> = kinds.iter().copied().filter(|kind| *kind != Kind::Needledrop).collect();
    costs(&mut out, measured, &kinds, &peers);
    memory(&mut out, measured, &kinds);
    out
}

fn costs(out: &mut String, measured: &Measured, kinds: &BTreeSet<Kind>, peers: &[Kind]) {
    let _ = write!(out, "\n| |");
    out.extend(kinds.iter().map(|kind| format!(" {kind} µs (p50 / p99 ms; busy) |")));
    out.extend(peers.iter().map(|peer| format!(" times {peer} |")));
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(kinds.len() + peers.len()));
    let rows: BTreeSet<_> = measured.keys().map(|(work, protocol, _)| (*work, *protocol)).collect();
    for (work, protocol) in rows {
        let of = |kind: &Kind| measured.get(&(work, protocol, *kind));
        let _ = write!(out, "| {work}, {protocol} |");
        for kind in kinds {
            let Some(rounds) = of(kind) else {
                out.push_str(" – |");
                continue;
            };
            let late = |share: f64| {
                median(rounds, |figures| {
                    figures.first_byte.quantile(share).map_or(f64::NAN, |late| late.as_secs_f64() * 1e3)
                })
            };
            let busy = median(rounds, |figures| figures.busy);
            let _ = match work {
                Work::Paced => write!(out, " {:.1} ({busy:.2}) |", median(rounds, micros)),
                _ => write!(out, " {:.1} ({:.2} / {:.2}; {busy:.2}) |", median(rounds, micros), late(0.5), late(0.99)),
            };
        }
        for peer in peers {
            let _ = match of(&Kind::Needledrop).zip(of(peer)) {
                Some((ours, theirs)) => write!(out, " **{:.2}** |", ratio(ours, theirs)),
                None => write!(out, " – |"),
            };
        }
        out.push('\n');
    }
}

fn memory(out: &mut String, measured: &Measured, kinds: &BTreeSet<Kind>) {
    let paced: BTreeSet<_> = measured.keys().filter(|(work, ..)| *work == Work::Paced).map(|(_, p, _)| *p).collect();
    if paced.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "\nMemory of a paced listener in KiB: in the server's processes / in the kernel's TCP buffers of both ends.\n\n| |"
    );
    out.extend(kinds.iter().map(|kind| format!(" {kind} |")));
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(kinds.len()));
    for protocol in paced {
        let _ = write!(out, "| {protocol} |");
        for kind in kinds {
            let _ = match measured.get(&(Work::Paced, protocol, *kind)) {
                Some(rounds) => write!(
                    out,
                    " {:.1} / {:.0} |",
                    median(rounds, |figures| figures.memory as f64 / 1_024.0),
                    median(rounds, |figures| figures.kernel as f64 / 1_024.0)
                ),
                None => write!(out, " – |"),
            };
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(count: u64, cpu: f64) -> Figures {
        Figures { count, cpu, ..Figures::default() }
    }

    #[test]
    fn a_ratio_is_of_the_same_round_and_one_bad_round_does_not_move_it() {
        let ours = [figures(100, 1.0), figures(100, 2.0), figures(100, 50.0)];
        let theirs = [figures(100, 2.0), figures(100, 4.0), figures(100, 6.0)];
        assert_eq!(ratio(&ours, &theirs), 2.0);
        assert_eq!(median(&ours, micros), 20_000.0);
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(ratio(&[figures(0, 0.0)], &[figures(1, 1.0)]).is_nan());
    }
}
