//! The front door: the command line. One file per subcommand; this one only chooses.
#![allow(clippy::print_stdout, reason = "this is the part of the house that speaks to the terminal")]

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod admin;
mod calls;
mod catalog;
mod certs;
mod clock;
mod config;
mod demo;
mod dns;
mod edge;
mod front;
mod ingest;
mod inherited;
mod keyfile;
mod keys;
mod limits;
mod listing;
mod log;
mod notify;
mod ops;
mod origin;
mod purge;
mod serve;
mod services;
mod sign;
mod source;
mod takeover;
mod units;
mod up;
mod upstreams;
mod verify;

/// About a tenth less CPU on HTTP/3 than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A music CDN in one binary: origin, edge and player.
#[derive(Parser)]
#[command(name = "needledrop", version, max_term_width = 100, after_help = "To hear music at once: needledrop up")]
struct Cli {
    #[command(flatten)]
    common: Common,

    #[command(subcommand)]
    command: Command,
}

/// What every subcommand understands.
#[derive(clap::Args)]
struct Common {
    /// The configuration file [default: needledrop.toml here, if there is one]
    #[arg(long, global = true, env = "NEEDLEDROP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The folder that everything is kept in [default: needledrop in your data folder]
    #[arg(long, global = true, env = "NEEDLEDROP_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// What to log on stderr: error, warn, info, debug, or a filter such as needledrop::access=info
    #[arg(long, global = true, env = "NEEDLEDROP_LOG", default_value = "warn", value_name = "LEVEL")]
    log: String,

    /// How to log: text for people, json for programs
    #[arg(long, global = true, env = "NEEDLEDROP_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: log::Format,

    /// Print the configuration that was decided, and do nothing
    #[arg(long, global = true)]
    print_config: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process, and play
    Up(up::Args),
    /// Turn music files into objects: six renditions a track
    Ingest(ingest::Args),
    /// Import changes to the catalog, or export it
    Catalog(catalog::Args),
    /// Serve the objects to edges
    Origin(origin::Args),
    /// Serve signed range requests to listeners from a cache
    Edge(Box<edge::Args>),
    /// Make objects gone at an edge and its neighbours
    Purge(purge::Args),
    /// Make, list and rotate signing keys
    Keys(keys::Args),
    /// Sign a URL
    Sign(sign::Args),
    /// Say whether a signed URL is good, and what it claims
    Verify(verify::Args),
    /// Make development certificates
    Certs(certs::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            // One line that says what to do; 2 means that nothing was done.
            eprintln!("needledrop: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, String> {
    let _log = log::start(&cli.common.log, cli.common.log_format)?;
    let mut config = config::Config::load(cli.common.config.as_deref()).map_err(|error| error.to_string())?;
    let data = cli.common.data.or(config.data.take()).unwrap_or_else(config::default_data);
    config.data = Some(data.clone());
    match &cli.command {
        Command::Up(args) => args.decide(&mut config.up),
        Command::Origin(args) => args.decide(&mut config.origin),
        Command::Edge(args) => args.decide(&mut config.edge),
        _ => {}
    }
    if cli.common.print_config {
        print!("{}", config.to_toml());
        return Ok(ExitCode::SUCCESS);
    }
    match cli.command {
        Command::Up(args) => up::run(&args, config.up, &config.ops, &data),
        Command::Ingest(args) => Ok(ingest::run(args, &config::vault(&data))),
        Command::Catalog(args) => catalog::run(args, config.up.database, &data),
        Command::Origin(_) => origin::run(config.origin, &data),
        Command::Edge(args) => edge::run(&args, config.edge, &data),
        Command::Purge(args) => purge::run(&args, &data),
        Command::Keys(args) => keys::run(args, &data),
        Command::Sign(args) => sign::run(&args, &data),
        Command::Verify(args) => verify::run(&args, &data),
        Command::Certs(args) => certs::run(&args),
    }
}
