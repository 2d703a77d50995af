//! `needledrop-loadtest`: the command line. Each subcommand is a module's `Args` and `run`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use needledrop_loadtest::{agents::agent, link, planted, report::compare, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the needle drop, the time from tap to sound, of any audio server: with listeners who come when they come,
/// connect, read by range, play, seek, skip and go on, over real or emulated links.
#[derive(Parser)]
#[command(name = "needledrop-loadtest", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let listeners come, and report what they waited for
    Run(Box<run::Args>),
    /// Put two reports side by side
    Compare(compare::Args),
    /// Play listeners for a coordinator: `run --agents` on another machine
    Agent(agent::Args),
    /// Emulated links: prove them, list them, run any command behind one
    Link(link::Args),
    /// Serve generated objects with planted faults, to test load testers with
    Planted(planted::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Compare(args) => compare::run(args).map(|()| ExitCode::SUCCESS),
        Command::Agent(args) => agent::run(args, run::Crowd).map(|()| ExitCode::SUCCESS),
        Command::Link(args) => link::run(args),
        Command::Planted(args) => planted::run(args).map(|never| match never {}),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
