//! The start-latency matrix: servers by protocol, by the state of the connection, by round trip and loss.
//!
//! All servers give the same files, the demo record of a `needledrop up`, from memory; ours checks signatures while it
//! does. Every start is one by `needledrop-loadtest`: a listener with a line of its own, at the IP level. All kinds of
//! starts to one server over one link are mixed in one run, the servers take turns, and rounds repeat it all: drift of
//! the machine falls on everybody.
//!
//! [`crate::servers`] starts them, [`table`] and [`plot`] show what came of it.

mod plot;
mod table;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use needledrop_loadtest::{
    crowd::{self, Share},
    measured::{Opening, Protocol},
    mix::Mix,
    report::numbers,
    settings::{Popularity, Settings},
    tally::Tally,
    verify::Against,
};
use tokio_util::sync::CancellationToken;

use crate::servers::{self, Kind, Peers, Server, Workshop};

/// Arguments of `needledrop-bench start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The needledrop binary [default: the one beside this program; build it with --release]
    #[arg(long, value_name = "FILE")]
    needledrop: Option<PathBuf>,

    #[command(flatten)]
    peers: Peers,

    /// Servers to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::USUAL)]
    servers: Vec<Kind>,

    /// Round trip times in ms
    #[arg(long, value_delimiter = ',', default_values_t = [20, 40, 80])]
    rtts: Vec<u32>,

    /// Losses in per cent, each way
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 1.0])]
    losses: Vec<f64>,

    /// Rate of each listener's line
    #[arg(long, default_value = "50mbit")]
    rate: String,

    /// Starts of each kind over each link, in each round
    #[arg(long, default_value_t = 10)]
    starts: u32,

    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: u64,

    /// Write the table (.md) and the plot (.svg) under this name instead of printing the table only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a server is measured over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Round trip. Unit: ms.
    pub rtt_ms: u32,
    /// Loss each way. Unit: per mille.
    pub loss_permille: u32,
}

/// All that was measured.
pub type Measured = BTreeMap<(Path, Kind), Tally>;

/// Starts a second. So few that they do not disturb each other on the server or the generator.
const STARTS_PER_SECOND: u32 = 6;

/// Runs the matrix and prints or writes its table.
///
/// # Errors
/// A server cannot be started, or the link cannot be emulated.
pub fn run(args: &Args) -> Result<(), String> {
    let workshop = Workshop::open(args.needledrop.as_deref())?;
    let began = Instant::now();
    let paths: Vec<Path> = args
        .losses
        .iter()
        .flat_map(|loss| args.rtts.iter().map(move |rtt| Path { rtt_ms: *rtt, loss_permille: (loss * 10.0) as u32 }))
        .collect();
    let all = args.rounds as usize * paths.len() * args.servers.len();
    let mut measured = Measured::new();
    let mut done = 0;
    for round in 1..=args.rounds {
        for path in &paths {
            for kind in &args.servers {
                done += 1;
                eprintln!(
                    "{done} of {all}: round {round}, {} ms, {} % loss, {kind}",
                    path.rtt_ms,
                    f64::from(path.loss_permille) / 10.0
                );
                let server = Server::start(*kind, &workshop, &args.peers, None)?;
                let tally = measure(&server, &workshop, *path, args, round)?;
                measured.entry((*path, *kind)).or_default().add(&tally);
            }
        }
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let about = table::About {
        date: numbers::date(unix),
        commit: servers::commit(),
        servers: servers::versions(&args.servers, &args.peers),
        rate: args.rate.clone(),
        rounds: args.rounds,
        lasted: began.elapsed(),
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

/// One server over one link: once without it, so that everything is in memory, then the starts.
fn measure(server: &Server, workshop: &Workshop, path: Path, args: &Args, round: u64) -> Result<Tally, String> {
    let cells = (server.kind().protocols(&args.peers).len() * OPENINGS.len()) as u32;
    let warm_up = settings(server, workshop, args, (2 * workshop.tracks(), 8), None, round);
    go(Settings { openings: Mix::only(Opening::Full), ..warm_up })?;
    let link = format!("rtt={}ms,rate={},loss={}%", path.rtt_ms, args.rate, f64::from(path.loss_permille) / 10.0);
    let tally = go(settings(server, workshop, args, (cells * args.starts, STARTS_PER_SECOND), Some(link), round))?;
    if tally.late.quantile(0.5).is_some_and(|late| late > Duration::from_millis(1)) {
        eprintln!("  the generator was late by {:?} in the median: is the machine busy?", tally.late.quantile(0.5));
    }
    for (trouble, sentences) in &tally.examples {
        eprintln!("  {trouble}: {}", sentences.first().map_or("", String::as_str));
    }
    Ok(tally)
}

fn go(settings: Settings) -> Result<Tally, String> {
    let share = Share { index: 0, of: 1 };
    crowd::run(settings, share, None, &CancellationToken::new(), |_, _| {}).map(|outcome| outcome.tally)
}

/// The states that are asked for; what came of it is what is counted.
const OPENINGS: [Opening; 4] = [Opening::Full, Opening::Resumed, Opening::ZeroRtt, Opening::Warm];

fn settings(
    server: &Server,
    workshop: &Workshop,
    args: &Args,
    (starts, per_second): (u32, u32),
    link: Option<String>,
    seed: u64,
) -> Settings {
    let even = format!("even:{per_second}").parse().expect("a constant form");
    let mix = |kinds: Vec<String>| kinds.join(",");
    let protocols = mix(server.kind().protocols(&args.peers).iter().map(Protocol::to_string).collect());
    let openings = mix(OPENINGS.iter().map(Opening::to_string).collect());
    Settings {
        source: server.source(workshop),
        arrivals: even,
        trace: None,
        trace_speed: 1.0,
        // One more step, since the last one comes at its very end.
        lasting_ms: u64::from(starts + 1) * 1_000 / u64::from(per_second),
        grace_ms: 10_000,
        popularity: Popularity::InOrder,
        plays: Some(1),
        starts_only: true,
        listeners_max: 1_000,
        protocols: protocols.parse().expect("their own words"),
        openings: openings.parse().expect("their own words"),
        chunk_bytes: 128 * 1024,
        ahead_seconds: 1.0,
        speed: 1.0,
        skips: false,
        seeks: 0.0,
        cmcd: needledrop_loadtest::cmcd::Cmcd::Off,
        against: Against::Nothing,
        link,
        ca: Some(workshop.ca().to_owned()),
        insecure: false,
        workers: 1,
        awake: true,
        seed,
        timeout_ms: 10_000,
    }
}
