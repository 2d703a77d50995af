//! Benchmarks: traces through the cache's policies and through a real edge, our edge beside other servers.
#![allow(clippy::print_stdout, reason = "tables on standard output are what it is for")]

mod backends;
mod beside;
mod catalog;
mod doors;
mod floor;
mod machine;
mod overhead;
mod replay;
mod servers;
mod sim;
mod start;

use clap::Parser;

// As in the server: what the floor costs is compared with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures needledrop, alone and beside other servers.
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
    /// A million tracks: loading them, and calls to them at fixed rates, on SQLite and PostgreSQL
    Catalog(catalog::Args),
    /// What an answer, a connection and a listener cost: our edge, nginx and Caddy over TLS and QUIC
    Doors(doors::Args),
    /// The least that a server on our libraries can do, to be measured beside the doors
    #[command(hide = true)]
    Floor(floor::Args),
    /// Traces through the eviction policies: start misses, byte hits and upstream bytes
    Sim(sim::Args),
    /// What the load generator itself costs
    Overhead(overhead::Args),
    /// A trace through a real edge, beside the simulator
    Replay(replay::Args),
    /// From tap to sound: our edge, nginx and Caddy over emulated links
    Start(start::Args),
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().command {
        Command::Backends(args) => backends::run(&args).map_err(|error| error.to_string()),
        Command::Beside(args) => beside::run(&args).map_err(|error| error.to_string()),
        Command::Catalog(args) => catalog::run(&args).map_err(|error| error.to_string()),
        Command::Doors(args) => doors::run(&args),
        Command::Floor(args) => floor::run(&args),
        Command::Overhead(args) => overhead::run(&args),
        Command::Replay(args) => replay::run(&args).map_err(|error| error.to_string()),
        Command::Start(args) => start::run(&args),
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
