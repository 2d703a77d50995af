//! `needledrop-loadtest run`: flags become settings, a run becomes a report, thresholds become an exit code.
#![allow(clippy::print_stdout)] // the end of a run goes to standard output

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    agents::{Coordinator, Load, Progress, Share, Token},
    arrivals::{Arrivals, parse_duration},
    cmcd::Cmcd,
    crowd,
    link::Link,
    measured::{Opening, Protocol},
    mix::Mix,
    report::{
        Own, Report, Threshold,
        terminal::{Live, Snapshot},
    },
    settings::{Credential, Listed, Popularity, Settings, Source},
    tally::Tally,
    verify::Against,
};

/// What the exit code says when a threshold failed. 2 is: it could not run.
const FAILED: u8 = 1;

/// Let listeners come, and report what they waited for
///
/// One of --url, --urls, --gateway or --edge says where the music is.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    player: PlayerArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    several: AgentsArgs,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Where the music is")]
struct Target {
    /// A URL of an audio file on any server; may be given several times, the most popular first
    #[arg(long, value_name = "URL", group = "where")]
    url: Vec<String>,
    /// A file with a URL on each line, optionally followed by seconds=S, head=BYTES, sha256=HEX
    #[arg(long, value_name = "FILE", group = "where")]
    urls: Option<PathBuf>,
    /// A needledrop gateway: its tracks, and a URL from it for each tap
    #[arg(long, value_name = "URL", group = "where")]
    gateway: Option<String>,
    /// A needledrop edge, for URLs that are signed here: needs --keys and --paths
    #[arg(long, value_name = "URL", group = "where", requires_all = ["keys", "paths"])]
    edge: Option<String>,
    /// The key file to sign with
    #[arg(long, value_name = "FILE", requires = "edge")]
    keys: Option<PathBuf>,
    /// A file like that of --urls, with paths instead of URLs
    #[arg(long, value_name = "FILE", requires = "edge")]
    paths: Option<PathBuf>,
    /// Bitrate to ask a gateway for
    #[arg(long, value_name = "KBIT/S", requires = "gateway")]
    kbps: Option<u32>,
    /// Codec to ask a gateway for: ogg or m4a
    #[arg(long, value_name = "CODEC", requires = "gateway")]
    codec: Option<String>,
    /// Account at the gateway [default: its demo account, if the gateway is on this machine]
    #[arg(long, value_name = "NAME", requires_all = ["gateway", "password_file"])]
    user: Option<String>,
    /// A file with the account's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// A file with a session's token or an API key, in place of an account
    #[arg(long, value_name = "FILE", requires = "gateway", conflicts_with = "user")]
    bearer_file: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Who comes")]
struct CrowdArgs {
    /// New listeners a second, by chance: 50; evenly: even:50; a ramp: 10..200:60s,200; steps: 50:30s,100:30s
    #[arg(long, value_name = "RATE", default_value = "10")]
    arrivals: Arrivals,
    /// Replay the requests of a trace instead: CSV with time,id,size[,start,end], or oracleGeneral
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Seconds of the trace in a second
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    trace_speed: f64,
    /// How long they come
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    lasting: Duration,
    /// How long starts under way may take at the end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    grace: Duration,
    /// Which tracks they pick: zipf:SKEW, uniform or in-order
    #[arg(long, value_name = "LAW", default_value = "zipf:0.9")]
    popularity: Popularity,
    /// Tracks that each hears before leaving [default: until the run ends]
    #[arg(long, value_name = "N")]
    tracks: Option<u32>,
    /// They leave with the first sound: starts are all there is
    #[arg(long, conflicts_with = "tracks")]
    starts_only: bool,
    /// Most listeners at once
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    listeners_max: u32,
    /// Of all chance: the same seed makes the same listeners
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Generator threads [default: one for each core]
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Keep the workers' cores from going to sleep: taps are on time on virtual machines too, for all of their cores' time
    #[arg(long)]
    awake: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "What a player does")]
struct PlayerArgs {
    /// Bytes asked for at once
    #[arg(long, value_name = "BYTES", default_value_t = crate::habits::CHUNK_BYTES, value_parser = clap::value_parser!(u64).range(1..))]
    chunk: u64,
    /// Music kept ahead, in seconds; the first 30 s come at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = positive)]
    ahead: f64,
    /// Seconds of music in a second
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// Nobody skips: every track is heard to its end
    #[arg(long)]
    no_skips: bool,
    /// Share of the plays with a seek, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    seeks: f64,
    /// How players say what they do and what comes next (CTA-5004)
    #[arg(long, value_enum, default_value_t = Cmcd::Fields)]
    cmcd: Cmcd,
    /// Compare every byte: with `generator`, with `fetched` (each object once before the run), or with files in a folder
    #[arg(long, value_name = "WHAT", default_value = "nothing")]
    verify: Against,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Over what")]
struct NetworkArgs {
    /// h1, h2, h3, or a mix such as h3:70,h2:30
    #[arg(long, value_name = "MIX", default_value = "h2")]
    protocol: Mix<Protocol>,
    /// State of the connection at the first tap: full, resumed, zero-rtt, warm, or a mix such as full:60,resumed:40
    #[arg(long, value_name = "MIX", default_value = "full")]
    open: Mix<Opening>,
    /// A line of its own for each listener: rtt=40ms,rate=50mbit,loss=1%,jitter=5ms, or a name (`link profiles` lists them)
    #[arg(long, value_name = "LINK")]
    link: Option<Link>,
    /// Trust these certificates too: a PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    insecure: bool,
    /// Limit for connecting, for an answer's head, and between two pieces of a body
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Several generators")]
struct AgentsArgs {
    /// Let these machines play the listeners, each running `needledrop-loadtest agent`: host:port,host:port
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', requires = "token_file")]
    agents: Vec<String>,
    /// File with the secret that all of them share
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "What comes of it")]
struct ReportArgs {
    /// Exit with 1 if this is so, such as start.p99>200ms or errors>0.1%; may be given several times
    #[arg(long, value_name = "EXPRESSION")]
    fail_if: Vec<Threshold>,
    /// Write the report as JSON: `-` is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Nothing on the terminal while it runs
    #[arg(long, short)]
    quiet: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| format!("{text:?} is no number above 0"))
}

/// Runs the subcommand.
///
/// # Errors
/// It could not run; the sentence names the fix.
pub fn run(args: Args) -> Result<ExitCode, String> {
    let settings = args.settings()?;
    raise_file_limit(settings.listeners_max);
    let stop = CancellationToken::new();
    end_by_signal(stop.clone())?;
    let live = (!args.report.quiet).then(Live::stderr);
    let report = match &args.several.token_file {
        Some(token) if !args.several.agents.is_empty() => {
            by_agents(&settings, &args.several.agents, token, &stop, live)?
        }
        _ => here(&settings, &stop, live)?,
    };
    finish(report, &args.report)
}

/// One generator: this process.
fn here(settings: &Settings, stop: &CancellationToken, mut live: Option<Live>) -> Result<Report, String> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let planned = Some(settings.lasting());
    let look = |tally: &_, since: Duration| {
        if let Some(live) = live.as_mut().filter(|live| live.is_due(Instant::now())) {
            live.show(&Snapshot::of(tally, since, planned), Instant::now());
        }
    };
    let outcome = crowd::run(settings.clone(), Share { index: 0, of: 1 }, None, stop, look)?;
    let mut described = described(settings)?;
    if let Some(link) = outcome.link {
        described["link_counted"] = link;
    }
    let own = Own::so_far(u64::from(settings.workers));
    Ok(Report::new(described, began, outcome.lasted.as_secs_f64(), outcome.tally, own))
}

/// Several generators: this process tells them what to run and adds up.
fn by_agents(
    settings: &Settings,
    agents: &[String],
    token: &Path,
    stop: &CancellationToken,
    mut live: Option<Live>,
) -> Result<Report, String> {
    let token = Token::read(token).map_err(|error| error.to_string())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let planned = Some(settings.lasting());
    let look = |tally: &_, since, missing: &[String]| {
        if let Some(live) = live.as_mut().filter(|live| live.is_due(Instant::now())) {
            live.show(&Snapshot { missing: missing.to_vec(), ..Snapshot::of(tally, since, planned) }, Instant::now());
        }
    };
    let outcome = runtime
        .block_on(async {
            let coordinator = Coordinator::connect(agents, &token).await?;
            coordinator.start(described(settings).unwrap_or_default(), stop.clone(), look).await
        })
        .map_err(|error| error.to_string())?;
    let began = outcome.began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut report = Report::new(described(settings)?, began, outcome.seconds, outcome.tally, outcome.own);
    report.generators = outcome.generators;
    report.missing = outcome.missing;
    Ok(report)
}

/// What an agent runs for its coordinator.
pub struct Crowd;

impl Load for Crowd {
    fn run(
        &self,
        plan: Value,
        share: Share,
        begin: Instant,
        progress: Progress,
        stop: CancellationToken,
    ) -> Result<(Tally, Own), String> {
        let settings: Settings =
            serde_json::from_value(plan).map_err(|error| format!("the plan is none of ours: {error}"))?;
        raise_file_limit(settings.listeners_max);
        let workers = u64::from(settings.workers);
        let look = |tally: &Tally, _| progress.tell(tally.clone());
        let outcome = crowd::run(settings, share, Some(begin), &stop, look)?;
        Ok((outcome.tally, Own::so_far(workers)))
    }
}

fn described(settings: &Settings) -> Result<Value, String> {
    let mut described = serde_json::to_value(settings).map_err(|error| error.to_string())?;
    described["target"] = settings.source.name().into();
    Ok(described)
}

fn finish(mut report: Report, wanted: &ReportArgs) -> Result<ExitCode, String> {
    report.judge(&wanted.fail_if);
    let to_stdout = wanted.json.as_ref().is_some_and(|file| file.as_os_str() == "-");
    if to_stdout {
        println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{}", report.text());
    }
    if let Some(file) = wanted.json.as_ref().filter(|_| !to_stdout) {
        report.write(file).map_err(|error| error.to_string())?;
    }
    if let Some(file) = &wanted.html {
        std::fs::write(file, report.page()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(if report.failed() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

impl Args {
    fn settings(&self) -> Result<Settings, String> {
        let (crowd, player, network) = (&self.crowd, &self.player, &self.network);
        if !(0.0..=1.0).contains(&player.seeks) {
            return Err(format!("--seeks {} is no share: write a number from 0 to 1", player.seeks));
        }
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        Ok(Settings {
            source: self.target.source()?,
            arrivals: crowd.arrivals.clone(),
            trace: crowd.trace.clone(),
            trace_speed: crowd.trace_speed,
            lasting_ms: crowd.lasting.as_millis() as u64,
            grace_ms: crowd.grace.as_millis() as u64,
            popularity: crowd.popularity,
            plays: crowd.tracks,
            starts_only: crowd.starts_only,
            listeners_max: crowd.listeners_max,
            protocols: network.protocol.clone(),
            openings: network.open.clone(),
            chunk_bytes: player.chunk,
            ahead_seconds: player.ahead,
            speed: player.speed,
            skips: !player.no_skips,
            seeks: player.seeks,
            cmcd: player.cmcd,
            against: player.verify.clone(),
            link: network.link.as_ref().map(ToString::to_string),
            ca: network.ca.clone(),
            insecure: network.insecure,
            workers: crowd.workers.unwrap_or(cores).max(1),
            awake: crowd.awake,
            seed: crowd.seed,
            timeout_ms: network.timeout.as_millis() as u64,
        })
    }
}

impl Target {
    fn source(&self) -> Result<Source, String> {
        if let Some(base) = &self.gateway {
            let (kbps, codec, credential) = (self.kbps, self.codec.clone(), self.credential());
            return Ok(Source::Gateway { base: base.clone(), kbps, codec, credential });
        }
        if let (Some(base), Some(keys), Some(paths)) = (&self.edge, &self.keys, &self.paths) {
            return Ok(Source::Signed { base: base.clone(), keys: keys.clone(), paths: list(paths)? });
        }
        if let Some(file) = &self.urls {
            return Ok(Source::Urls(list(file)?));
        }
        if self.url.is_empty() {
            return Err(
                "where is the music? Give --url, --urls, --gateway, or --edge with --keys and --paths".to_owned()
            );
        }
        self.url.iter().map(|url| url.parse()).collect::<Result<Vec<Listed>, _>>().map(Source::Urls)
    }
}

impl Target {
    fn credential(&self) -> Credential {
        match (&self.user, &self.password_file, &self.bearer_file) {
            (_, _, Some(file)) => Credential::Bearer(file.clone()),
            (Some(user), Some(file), _) => Credential::Account { user: user.clone(), password: file.clone() },
            _ => Credential::Demo,
        }
    }
}

/// Reads a list: a URL or path on each line, `#` begins a comment.
fn list(file: &PathBuf) -> Result<Vec<Listed>, String> {
    let told = |error: String| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.parse().map_err(told)).collect()
}

/// Two files for each listener, and some for ourselves, as far as the system lets us.
fn raise_file_limit(listeners: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let has = getrlimit(Resource::Nofile);
    let wants = u64::from(listeners) * 2 + 256;
    if has.current.is_some_and(|current| current < wants) {
        let current = has.maximum.map_or(wants, |maximum| maximum.min(wants));
        // If it is refused, listeners without a file are counted as our own trouble.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: has.maximum });
    }
}

/// Ctrl-C ends a run early, with its report; a second one ends the program.
fn end_by_signal(stop: CancellationToken) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let wait = move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop).map_err(|error| error.to_string())
}
