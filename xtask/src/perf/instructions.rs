//! How many instructions our server executes for one request: counted, and held against what it was.
//!
//! Time depends on the machine and on what else it does; a count hardly does. `tests/e2e/instructions.py` counts, in the
//! build of the tests; here the counts meet `bench/instructions.tsv`.

use crate::job::Job;
use crate::tally::Tally;
use crate::tools;
use std::path::PathBuf;

/// How much a count may grow, in per cent. Packets and wake-ups fall a little differently each time.
const TOLERANCE_PERCENT: u64 = 10;
/// Asks for the counts to become the baseline.
pub const RENEW: &str = "--renew";
const HEAD: &str = "# Instructions of the server for one request on a warm connection, in the build of the tests.\n\
                    # Written by `cargo xtask perf --renew`.\n";

/// What is counted, and the count.
type Count = (String, u64);

/// Counts with what has been built.
pub fn check(tally: &mut Tally, is_new: bool) {
    tally.step("instructions per request", || {
        let counts = count()?;
        if is_new { keep(&counts) } else { compare(&baseline()?, &counts) }
    });
}

fn file() -> PathBuf {
    tools::root().join("bench/instructions.tsv")
}

fn count() -> Result<Vec<Count>, String> {
    let mut counts = Vec::new();
    Job::new(tools::venv_python(), &[])
        .arg(tools::root().join("tests/e2e/instructions.py"))
        .arg("--binary")
        .arg(tools::target().join("debug/needledrop"))
        .arg("--scratch")
        .arg(tools::scratch().join("instructions"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .dir(&tools::root())
        .minutes(10)
        .run_lines(|line| counts.extend(line.strip_prefix("COUNT ").and_then(|rest| pair(rest, ' '))))?;
    if counts.is_empty() { Err("nothing was counted".into()) } else { Ok(counts) }
}

fn pair(line: &str, between: char) -> Option<Count> {
    let (name, count) = line.split_once(between)?;
    Some((name.to_owned(), count.trim().parse().ok()?))
}

fn baseline() -> Result<Vec<Count>, String> {
    let path = file();
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| pair(line, '\t').ok_or_else(|| format!("{}: {line:?}", path.display()))).collect()
}

fn keep(counts: &[Count]) -> Result<(), String> {
    let lines: String = counts.iter().map(|(name, count)| format!("{name}\t{count}\n")).collect();
    std::fs::write(file(), format!("{HEAD}{lines}")).map_err(|e| format!("{}: {e}", file().display()))
}

/// Fails for what grew, and for what is counted in one place only.
fn compare(baseline: &[Count], counts: &[Count]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (name, now) in counts {
        let Some((_, then)) = baseline.iter().find(|(known, _)| known == name) else {
            wrong.push(format!("{name} has no baseline"));
            continue;
        };
        let change = *now as f64 / *then as f64 * 100.0 - 100.0;
        println!("{name:12} {now:10} instructions per request, {change:+.1} % of {then}");
        if now * 100 > then * (100 + TOLERANCE_PERCENT) {
            wrong.push(format!("{name} grew by {change:.1} %, from {then} to {now}"));
        } else if now * (100 + TOLERANCE_PERCENT) < then * 100 {
            println!("{name} became cheaper: `cargo xtask perf {RENEW}` keeps it so");
        }
    }
    let gone = baseline.iter().filter(|(name, _)| !counts.iter().any(|(counted, _)| counted == name));
    wrong.extend(gone.map(|(name, _)| format!("{name} was not counted")));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}. If it is worth it: `cargo xtask perf {RENEW}`, and say why", wrong.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Vec<Count> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_grew_is_named_and_noise_is_not() {
        let before = counts(&[("h1-64KiB", 1000), ("h2-64KiB", 1000), ("h3-64KiB", 1000)]);
        let same = counts(&[("h1-64KiB", 1100), ("h2-64KiB", 950), ("h3-64KiB", 500)]);
        assert_eq!(compare(&before, &same), Ok(()));
        let grown = counts(&[("h1-64KiB", 1000), ("h2-64KiB", 1101), ("h3-64KiB", 1000)]);
        let why = compare(&before, &grown).unwrap_err();
        assert!(why.starts_with("h2-64KiB grew by 10.1 %, from 1000 to 1101."), "{why}");
    }

    #[test]
    fn what_is_counted_in_one_place_only_fails() {
        let why = compare(&counts(&[("old", 1)]), &counts(&[("new", 1)])).unwrap_err();
        assert!(why.contains("new has no baseline") && why.contains("old was not counted"), "{why}");
    }

    #[test]
    fn lines_are_read() {
        assert_eq!(pair("h1-64KiB 123", ' '), Some(("h1-64KiB".into(), 123)));
        assert_eq!(pair("h1-64KiB\tmany", '\t'), None);
    }
}
