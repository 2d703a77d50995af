//! The cache's benchmarks in release builds, their results written where the documents look for them.

use crate::job::Job;
use crate::tally::Tally;
use crate::tools;

/// Minutes a release build may take on two cores.
const BUILD_MINUTES: u64 = 40;

/// Our edge beside nginx: builds both of our programs and runs the comparison.
pub fn beside(tally: &mut Tally, args: &[String]) {
    if tally.step("beside: nginx", || tools::ensure_one("nginx", "nginx")) && build(tally) {
        let out = tools::root().join("bench/results/beside.md");
        tally.step("beside: run", || run(&["beside", "--out", &out.to_string_lossy()], args));
    }
}

fn build(tally: &mut Tally) -> bool {
    let args = ["build", "--quiet", "--release", "--package", "needledrop", "--package", "needledrop-bench"];
    tally.step("release build", || Job::new("cargo", &args).dir(&tools::root()).minutes(BUILD_MINUTES).run())
}

fn run(args: &[&str], more: &[String]) -> Result<(), String> {
    let mut job = Job::new(tools::target().join("release/needledrop-bench"), args).dir(&tools::root()).minutes(60);
    for arg in more {
        job = job.arg(arg);
    }
    job.run()
}
