//! Counts what passed and what failed, and says so at the end in one plain line.

use std::process::ExitCode;
use std::time::Instant;

/// The count of one run of xtask.
#[derive(Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl Tally {
    /// Adds tests that another runner has counted.
    pub fn add(&mut self, passed: u64, failed: u64) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Notes one failure by name.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    /// Notes what this machine does not allow to be tested, and why.
    pub fn skip(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("SKIPPED {what}");
        self.skipped.push(what);
    }

    /// Remembers a name for the list at the end without counting it again.
    pub fn name(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    /// Runs one step that either works or does not.
    pub fn step(&mut self, name: &str, act: impl FnOnce() -> Result<(), String>) -> bool {
        println!("\n=== {name}");
        let began = Instant::now();
        let outcome = act();
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                println!("ok {name} ({seconds:.1} s)");
                self.passed += 1;
                true
            }
            Err(why) => {
                println!("FAILED {name} ({seconds:.1} s): {why}");
                self.fail(format!("{name}: {why}"));
                false
            }
        }
    }

    /// Prints the closing lines.
    pub fn close(self) -> ExitCode {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        for skipped in &self.skipped {
            println!("skipped: {skipped}");
        }
        let skipped = match self.skipped.len() {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        println!("{} passed, {} failed{skipped}", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
