//! Benchmarks in release builds, their results written where the documents look for them.

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

/// A million tracks on SQLite and PostgreSQL: loading them, and calls to them at fixed rates.
pub fn catalog(tally: &mut Tally, args: &[String]) {
    let found = tally.step("catalog: PostgreSQL", || tools::ensure_one(tools::POSTGRES, "postgresql-15"));
    if found && build(tally) {
        let out = tools::root().join("bench/results/catalog.md");
        tally.step("catalog: run", || run(&["catalog", "--out", &out.to_string_lossy()], args));
    }
}

/// From tap to sound: our edge, nginx and Caddy over emulated links.
pub fn start(tally: &mut Tally, args: &[String]) {
    let found = tally.step("start: nginx and Caddy", || {
        tools::ensure_one("nginx", "nginx")?;
        tools::ensure_one("ip", "iproute2")?;
        tools::caddy().map(drop)
    });
    if found && build(tally) && build_for_packages(tally) {
        tally.step("start: run", || beside_packages("start", "start", &[], args));
    }
}

/// What an answer, a connection and a listener cost: our edge, nginx, Caddy and h2o over TLS and QUIC, and the floor.
pub fn doors(tally: &mut Tally, args: &[String]) {
    let found = tally.step("doors: nginx, Caddy and h2o", || {
        tools::ensure_one("nginx", "nginx")?;
        tools::ensure_one("h2o", "h2o")?;
        tools::caddy().map(drop)
    });
    if found && build(tally) && build_for_packages(tally) {
        let quick = ["--works", "hits64,hits512,full,resumed"];
        tally.step("doors: answers and connections", || beside_packages("doors", "doors", &quick, args));
        // The floor has nothing to say about memory.
        let paced = ["--works", "paced", "--servers", "needledrop,nginx,caddy,h2o"];
        tally.step("doors: paced listeners", || beside_packages("doors", "paced", &paced, args));
    }
}

/// What the load generator itself costs, and how late it is: ten thousand listeners on one core, which may sleep, and
/// which is kept awake.
pub fn overhead(tally: &mut Tally, args: &[String]) {
    if build(tally) {
        let results = tools::root().join("bench/results");
        let (cost, lateness) = (results.join("overhead.md"), results.join("lateness.md"));
        tally.step("overhead: cost", || run(&["overhead", "--out", &cost.to_string_lossy()], args));
        tally.step("overhead: lateness", || run(&["overhead", "--awake", "--out", &lateness.to_string_lossy()], args));
    }
}

/// Where the server's CPU goes, by kind of work, crate and symbol.
pub fn profile(tally: &mut Tally, args: &[String]) {
    let found = tally.step("profile: tools", || tools::ensure().and_then(|()| tools::ensure_one("perf", "linux-perf")));
    if found && build(tally) {
        tally.step("profile: run", || {
            let mut job = Job::new(tools::venv_python(), &[])
                .arg(tools::root().join("tests/e2e/hotspots.py"))
                .arg("--binary")
                .arg(tools::target().join("release/needledrop"))
                .arg("--scratch")
                .arg(tools::scratch().join("profile"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .dir(&tools::root())
                .minutes(10);
            for arg in args {
                job = job.arg(arg);
            }
            job.run()
        });
    }
}

fn build(tally: &mut Tally) -> bool {
    let packages = ["--package", "needledrop", "--package", "needledrop-bench", "--package", "needledrop-loadtest"];
    let args = [&["build", "--quiet", "--release"], packages.as_slice()].concat();
    tally.step("release build", || Job::new("cargo", &args).dir(&tools::root()).minutes(BUILD_MINUTES).run())
}

/// What the others are is what a package maintainer built; so is ours here.
fn build_for_packages(tally: &mut Tally) -> bool {
    let args = ["build", "--quiet", "--profile", "dist", "--package", "needledrop"];
    tally.step("dist build", || Job::new("cargo", &args).dir(&tools::root()).minutes(BUILD_MINUTES).run())
}

/// Runs a comparison of that build with others, its results under `name`.
fn beside_packages(bench: &str, name: &str, how: &[&str], more: &[String]) -> Result<(), String> {
    let (ours, caddy) = (tools::target().join("dist/needledrop"), tools::caddy()?);
    let out = tools::root().join("bench/results").join(name);
    let [ours, caddy, out] = [&ours, &caddy, &out].map(|path| path.to_string_lossy());
    run(&[&[bench, "--needledrop", &ours, "--caddy", &caddy, "--out", &out], how].concat(), more)
}

fn run(args: &[&str], more: &[String]) -> Result<(), String> {
    let mut job = Job::new(tools::target().join("release/needledrop-bench"), args).dir(&tools::root()).minutes(60);
    for arg in more {
        job = job.arg(arg);
    }
    job.run()
}
