//! Benchmarks of the cache: traces through the policies alone, and through a real edge.
#![allow(clippy::print_stdout, reason = "tables on standard output are what it is for")]

mod backends;
mod beside;
mod replay;
mod sim;

use clap::Parser;

/// Measures needledrop's cache.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The cache read through its mapping and by pread, side by side
    Backends(backends::Args),
    /// Our edge beside nginx with slice and proxy_cache
    Beside(beside::Args),
    /// Traces through the eviction policies: start misses, byte hits and upstream bytes
    Sim(sim::Args),
    /// A trace through a real edge, beside the simulator
    Replay(replay::Args),
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().command {
        Command::Backends(args) => backends::run(&args).map_err(|error| error.to_string()),
        Command::Beside(args) => beside::run(&args).map_err(|error| error.to_string()),
        Command::Replay(args) => replay::run(&args).map_err(|error| error.to_string()),
        Command::Sim(args) => sim::run(&args).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("needledrop-bench: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
