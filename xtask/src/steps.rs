//! What each recipe does, in order.

use crate::job::Job;
use crate::tally::Tally;
use crate::{perf, tools};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;

/// Seconds that each fuzz target runs.
const FUZZ_SECONDS: &str = "60";

pub fn ci(tally: &mut Tally, _: &[String]) {
    fmt(tally, &[]);
    clippy(tally, &[]);
    deny(tally, &[]);
    test(tally, &[]);
    perf::check(tally, &[]);
}

pub fn test(tally: &mut Tally, _: &[String]) {
    tools(tally, &[]);
    unit(tally, &[]);
    fuzz(tally, &[]);
    e2e(tally, &[]);
}

pub fn tools(tally: &mut Tally, _: &[String]) {
    tally.step("tools", tools::ensure);
}

pub fn fmt(tally: &mut Tally, _: &[String]) {
    tally.step("fmt", || Job::new("cargo", &["fmt", "--all", "--check"]).dir(&tools::root()).minutes(2).run());
}

pub fn clippy(tally: &mut Tally, _: &[String]) {
    let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    tally.step("clippy", || Job::new("cargo", &args).dir(&tools::root()).minutes(30).run());
}

pub fn deny(tally: &mut Tally, _: &[String]) {
    tally.step("deny", || {
        let args = ["--log-level", "error", "check", "bans", "licenses", "sources"];
        Job::new(tools::cargo_deny()?, &args).dir(&tools::root()).minutes(5).run()
    });
}

/// `cargo test`, whose own counts are added up.
pub fn unit(tally: &mut Tally, more: &[String]) {
    println!("\n=== unit tests");
    let mut job = Job::new("cargo", &["test", "--workspace", "--no-fail-fast"]).dir(&tools::root()).minutes(40);
    if let Some(why) = tools::no_link() {
        tally.skip(format!("unit tests of emulated links: {why}"));
        job = job.env(tools::NO_LINK, "1");
    }
    for arg in more {
        job = job.arg(arg);
    }
    let (mut passed, mut failed) = (0, 0);
    let mut names = Vec::new();
    let mut skipped = BTreeSet::new();
    let outcome = job.run_lines(|line| {
        // A test that leaves something out says so and passes; the words may stand behind others on its line.
        if let Some(at) = line.find("SKIPPED ") {
            skipped.insert(line[at + "SKIPPED ".len()..].to_string());
        }
        if let Some((p, f)) = counts(line) {
            passed += p;
            failed += f;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            names.push(name.to_string());
        }
    });
    tally.add(passed, failed);
    names.into_iter().for_each(|name| tally.name(name));
    skipped.into_iter().for_each(|what| tally.skip(format!("unit tests: {what}")));
    if let (Err(why), 0) = (outcome, failed) {
        tally.fail(format!("unit tests: {why}"));
    }
}

/// Reads `test result: ok. 12 passed; 0 failed; ...`.
fn counts(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        let before = rest.split(word).next()?.trim_end();
        before.rsplit([' ', ';']).next()?.parse().ok()
    };
    Some((number("passed")?, number("failed")?))
}

/// Builds the fuzz targets and runs them two at a time.
pub fn fuzz(tally: &mut Tally, args: &[String]) {
    let dir = tools::root().join("fuzz");
    let seconds = args.first().map_or(FUZZ_SECONDS, String::as_str).to_string();
    // The flags stand in fuzz/.cargo/config.toml, which cargo reads only when it is run in that folder, and only
    // while RUSTFLAGS does not hide them.
    let build = tools::scratch().join("fuzz");
    let built = tally.step("fuzz: build", || {
        let job = Job::new("cargo", &["build", "--quiet"]).dir(&dir).env("CARGO_TARGET_DIR", &build);
        job.without_env("RUSTFLAGS").minutes(20).run()
    });
    if !built {
        return;
    }
    let targets = match fuzz_targets(&dir) {
        Ok(targets) if !targets.is_empty() => targets,
        Ok(_) => return tally.fail("fuzz: there are no targets"),
        Err(why) => return tally.fail(format!("fuzz: {why}")),
    };
    for pair in targets.chunks(2) {
        let running: Vec<_> = pair
            .iter()
            .map(|name| {
                let (name, build, seconds) = (name.clone(), build.clone(), seconds.clone());
                thread::spawn(move || (name.clone(), fuzz_one(&build, &name, &seconds)))
            })
            .collect();
        for handle in running {
            match handle.join() {
                Ok((name, outcome)) => {
                    tally.step(&format!("fuzz: {name} for {seconds} s"), || outcome);
                }
                Err(_) => tally.fail("fuzz: a runner broke"),
            }
        }
    }
}

/// What a target's log says it broke on, whole: where only the output is kept, the input is else lost.
fn finding(log: &str) -> String {
    let panic: Vec<&str> = log.lines().skip_while(|line| !line.contains(" panicked at ")).take(4).collect();
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim());
    let input = match input.map(std::fs::read) {
        Some(Ok(bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("its input of {} bytes, for `xxd -r -p`:\n{hex}", bytes.len())
        }
        Some(Err(why)) => format!("its input cannot be read: {why}"),
        None => "it names no input".to_owned(),
    };
    format!("{}\n{input}", panic.join("\n"))
}

/// The names of the programs under fuzz_targets/.
fn fuzz_targets(dir: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(dir.join("fuzz_targets")).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    Ok(names)
}

fn fuzz_one(build: &Path, name: &str, seconds: &str) -> Result<(), String> {
    let program = find_program(build, name).ok_or_else(|| format!("{name} was not built"))?;
    let scratch = tools::scratch();
    let corpus = scratch.join("corpus").join(name);
    std::fs::create_dir_all(&corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
    let crashes = format!("-artifact_prefix={}/{name}-", scratch.display());
    // libFuzzer's own limits: seconds for one input, megabytes of memory.
    let time = format!("-max_total_time={seconds}");
    let args = [time.as_str(), "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1", &crashes];
    let minutes = 2 + seconds.parse::<u64>().unwrap_or(60) / 60;
    let mut job = Job::new(program, &args).arg(&corpus).minutes(minutes);
    let seeds = tools::root().join("fuzz/seeds").join(name);
    if seeds.is_dir() {
        job = job.arg(seeds);
    }
    let log = scratch.join(format!("fuzz-{name}.log"));
    let outcome = job.run_logged(&log);
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    outcome.map_err(|why| format!("{why}\n{}", finding(&text)))?;
    let inputs = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    match inputs.and_then(|n| n.trim().parse::<u64>().ok()) {
        Some(n) if n > 0 => {
            println!("fuzz: {name} took {n} inputs, all clean");
            Ok(())
        }
        _ => Err(format!("{} does not say that any input ran", log.display())),
    }
}

/// A build for a named target lies one folder deeper than a plain one.
fn find_program(build: &Path, name: &str) -> Option<PathBuf> {
    let plain = build.join("debug").join(name);
    if plain.is_file() {
        return Some(plain);
    }
    let below = std::fs::read_dir(build).ok()?;
    below.filter_map(|e| Some(e.ok()?.path().join("debug").join(name))).find(|file| file.is_file())
}

/// The end-to-end checks, which print a line each.
pub fn e2e(tally: &mut Tally, names: &[String]) {
    let root = tools::root();
    let built = tally.step("e2e: build", || {
        // With all targets the features of the dependencies are those of the unit tests, so nothing is compiled twice.
        let args = ["build", "--quiet", "--workspace", "--all-targets"];
        Job::new("cargo", &args).dir(&root).minutes(40).run()
    });
    if !built {
        return;
    }
    println!("\n=== end to end");
    let mut job = Job::new(tools::venv_python(), &[])
        .arg(root.join("tests/e2e/run.py"))
        .arg("--binary")
        .arg(tools::target().join("debug/needledrop"))
        .arg("--scratch")
        .arg(tools::scratch().join("e2e"))
        .arg("--node-modules")
        .arg(tools::node_modules())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .dir(&root)
        .minutes(30);
    if tools::no_link().is_some() {
        job = job.env(tools::NO_LINK, "1");
    }
    for name in names {
        job = job.arg(name);
    }
    let (mut passed, mut failed) = (0, 0);
    let (mut broken, mut left_out) = (Vec::new(), Vec::new());
    let outcome = job.run_lines(|line| {
        if line.starts_with("ok ") {
            passed += 1;
        } else if let Some(name) = line.strip_prefix("SKIPPED ") {
            left_out.push(format!("e2e: {name}"));
        } else if let Some(name) = line.strip_prefix("FAILED ") {
            failed += 1;
            broken.push(format!("e2e: {name}"));
        }
    });
    tally.add(passed, failed);
    broken.into_iter().for_each(|name| tally.name(name));
    left_out.into_iter().for_each(|name| tally.skip(name));
    match outcome {
        Err(why) if failed == 0 => tally.fail(format!("e2e: {why}")),
        Ok(()) if passed == 0 => tally.fail("e2e: no check ran"),
        _ => {}
    }
}
