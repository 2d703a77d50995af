//! What the doors cost: our edge, nginx, Caddy and h2o on the same files, over TLS and QUIC.
//!
//! Each server has core 0 to itself, the client core 1. A round starts every server once for each of its protocols, so
//! that none finds memory that another has used, and asks it the same things: ranges of 64 KiB and 512 KiB over kept
//! connections, new connections (full and resumed), and a crowd of listeners who read at the pace of the music. Figures
//! are medians of the rounds; processor time is what the kernel booked on the server's processes, which on loopback
//! includes what the client's side receives.
//!
//! [`work`] asks, [`table`] and [`plot`] show what came of it.

mod plot;
mod table;
mod work;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use needledrop_loadtest::{
    measured::Protocol,
    report::{Machine, numbers},
};
use tokio::runtime::{Builder, LocalOptions};

use crate::{
    machine,
    servers::{self, Kind, Peers, Server, Workshop},
};
use work::{Figures, Site, Work};

/// Arguments of `needledrop-bench doors`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The needledrop binary [default: the one beside this program; `cargo xtask doors` takes that of the dist profile]
    #[arg(long, value_name = "FILE")]
    needledrop: Option<PathBuf>,

    #[command(flatten)]
    peers: Peers,

    /// Servers to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    servers: Vec<Kind>,

    /// Protocols, where the server has them
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Protocol::ALL)]
    protocols: Vec<Protocol>,

    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Work::ALL)]
    works: Vec<Work>,

    /// Rounds; each figure is the median (paced listeners: of three at most)
    #[arg(long, default_value_t = 5)]
    rounds: u32,

    /// Seconds that each measurement lasts
    #[arg(long, default_value_t = 2)]
    seconds: u64,

    /// Paced listeners
    #[arg(long, default_value_t = 2_000)]
    listeners: u32,

    /// Write the table (.md) and the plot (.svg) under this name instead of printing the table only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Figures of the rounds, by what was done over which protocol by whom.
type Measured = BTreeMap<(Work, Protocol, Kind), Vec<Figures>>;

/// Thousands of listeners are their own average, and take half a minute to come.
const PACED_ROUNDS: u32 = 3;

/// The core of the servers, and that of the client.
const CORES: (u32, u32) = (0, 1);

/// Runs the comparison and prints or writes its table.
///
/// # Errors
/// A server cannot be started, or does not answer as it should.
pub fn run(args: &Args) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    machine::raise_file_limit().map_err(told)?;
    let workshop = Workshop::open(args.needledrop.as_deref())?;
    let machine = Machine::here();
    machine::stay_on_core(CORES.1).map_err(told)?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).map_err(told)?;
    let began = Instant::now();
    let mut measured = Measured::new();
    for round in 1..=args.rounds {
        for kind in &args.servers {
            let wanted = |protocol: &&Protocol| args.protocols.contains(protocol);
            for protocol in kind.protocols(&args.peers).iter().filter(wanted) {
                eprintln!(
                    "{:>4} s: round {round} of {}, {kind} over {protocol}",
                    began.elapsed().as_secs(),
                    args.rounds
                );
                let server = Server::start(*kind, &workshop, &args.peers, Some(CORES.0))?;
                let site = Site::new(&server, &workshop, *protocol)?;
                runtime.block_on(site.warm_up())?;
                let paced_is_done = |work: &&Work| **work != Work::Paced || round <= PACED_ROUNDS;
                for work in args.works.iter().filter(paced_is_done) {
                    let lasting = Duration::from_secs(args.seconds);
                    let figures = runtime.block_on(site.measure(*work, lasting, args.listeners))?;
                    measured.entry((*work, *protocol, *kind)).or_default().push(figures);
                }
            }
        }
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let about = table::About {
        date: numbers::date(unix),
        commit: servers::commit(),
        servers: servers::versions(&args.servers, &args.peers),
        rounds: args.rounds,
        seconds: args.seconds,
        listeners: args.listeners,
        lasted: began.elapsed(),
        machine,
    };
    let text = table::markdown(&measured, &about);
    println!("{text}");
    if let Some(out) = &args.out {
        let write = |extension, text: &str| {
            let file = out.with_extension(extension);
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
        };
        write("md", &text)?;
        write("svg", &plot::svg(&measured))?;
    }
    Ok(())
}
