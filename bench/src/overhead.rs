//! What the load generator itself costs: ten thousand listeners in real time from one core, a server on the other.
//!
//! The server is the load tester's own planted one, a process of its own. Listeners hear music of 160 kbit/s in ranges
//! of 512 KiB, one connection each.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use needledrop_loadtest::{
    awake::Awake,
    measured::Measure,
    report::{Machine, Report, numbers},
    tally::{LATE, Latencies},
};

use crate::{machine, servers};

/// Arguments of `needledrop-bench overhead`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The needledrop-loadtest binary [default: the one beside this program; build it with --release]
    #[arg(long, value_name = "FILE")]
    loadtest: Option<PathBuf>,

    /// Listeners
    #[arg(long, default_value_t = 10_000)]
    listeners: u32,

    /// How many come in a second
    #[arg(long, default_value_t = 100)]
    per_second: u32,

    /// How long all of them stay, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,

    /// Keep the generator's core awake: shows its lateness without the machine's, but no longer what a listener costs
    #[arg(long)]
    awake: bool,

    /// Over what: h1 or h2 with TLS
    #[arg(long, default_value = "h1")]
    protocol: String,

    /// Write the table here instead of printing it only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Length of each object: three and a half minutes at 160 kbit/s. Unit: bytes.
const OBJECT_BYTES: u32 = 4_200_000;

/// Seconds of it.
const OBJECT_SECONDS: u32 = 210;

/// Runs it and prints or writes its table.
///
/// # Errors
/// A program cannot be started, or the report cannot be read.
pub fn run(args: &Args) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let beside = std::env::current_exe().map_err(told)?.with_file_name("needledrop-loadtest");
    let program = args.loadtest.clone().unwrap_or(beside);
    let folder = tempfile::tempdir().map_err(told)?;
    let (server, url) = Planted::start(&program, folder.path())?;
    let (list, json) = (folder.path().join("list"), folder.path().join("report.json"));
    eprintln!("a bare timer first");
    let here = Machine::here();
    machine::stay_on_core(1).map_err(told)?;
    let mut naps = 2_000;
    let asleep = bare_timer(|| count_down(&mut naps));
    let awake = {
        let _awake = Awake::start(1).map_err(told)?;
        let mut naps = 2_000;
        bare_timer(|| count_down(&mut naps))
    };
    let lines: String =
        (0..100).map(|number| format!("{url}/size={OBJECT_BYTES}/{number} seconds={OBJECT_SECONDS}\n")).collect();
    std::fs::write(&list, lines).map_err(told)?;
    let comes = args.listeners.div_ceil(args.per_second);
    let beside = Beside::start()?;
    let status = Command::new("taskset")
        .args(["-c", "1"])
        .arg(&program)
        .args(["run", "--no-skips", "--seeks", "0", "--workers", "1", "--protocol", &args.protocol])
        .args(["--arrivals", &format!("even:{}:{comes}s,0", args.per_second)])
        .args(["--for", &format!("{}s", comes + args.seconds), "--listeners-max", &(args.listeners + 1).to_string()])
        .args(args.awake.then_some("--awake"))
        .arg("--urls")
        .arg(&list)
        .arg("--ca")
        .arg(folder.path().join("certs/ca.pem"))
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::null())
        .status()
        .map_err(told)?;
    let (meanwhile, stolen) = beside.end()?;
    drop(server);
    if !status.success() {
        return Err(format!("the load tester ended with {status}"));
    }
    let report = Report::read(&json).map_err(|error| error.to_string())?;
    let text =
        table(args, &here, &report, &[("asleep", asleep), ("awake", awake), ("during the run", meanwhile)], stolen);
    println!("{text}");
    args.out.as_ref().map_or(Ok(()), |out| std::fs::write(out, &text).map_err(told))
}

/// True for so many times.
fn count_down(left: &mut u32) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
}

/// How late a thread wakes that has nothing to do but to wake every 4 ms: what the machine leaves to be had. Its instants
/// stand beforehand, as those of listeners do: who wakes 20 ms late was late five times.
fn bare_timer(mut goes_on: impl FnMut() -> bool) -> Latencies {
    let mut late = Latencies::default();
    let mut due = Instant::now();
    while goes_on() {
        due += Duration::from_millis(4);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late.record(due.elapsed());
    }
    late
}

/// A bare timer on the generator's core while it works, ahead of it at the kernel's: how late it is, the machine alone
/// is, whatever the generator does.
struct Beside {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Latencies, String>>,
    began: Instant,
    stolen: Duration,
}

impl Beside {
    fn start() -> Result<Self, String> {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = thread::spawn(move || {
            rustix::process::nice(-20)
                .map_err(|error| format!("no priority for the bare timer: {error}; run as root"))?;
            Ok(bare_timer(|| !ends.load(Ordering::Relaxed)))
        });
        Ok(Self { over, thread, began: Instant::now(), stolen: stolen(1)? })
    }

    /// The lateness, and which share of the core's time the host gave to others.
    fn end(self) -> Result<(Latencies, f64), String> {
        self.over.store(true, Ordering::Relaxed);
        let late = self.thread.join().map_err(|_| "the bare timer panicked: see above".to_owned())??;
        let stolen = stolen(1)?.saturating_sub(self.stolen);
        Ok((late, stolen.as_secs_f64() / self.began.elapsed().as_secs_f64()))
    }
}

/// What the host of a virtual machine took from a core since it started (proc(5), the eighth number of its line, in
/// hundredths of a second).
fn stolen(core: u32) -> Result<Duration, String> {
    let text = std::fs::read_to_string("/proc/stat").map_err(|error| format!("/proc/stat: {error}"))?;
    let name = format!("cpu{core} ");
    let ticks = text.lines().find_map(|line| line.strip_prefix(&name)?.split_whitespace().nth(7)?.parse::<u64>().ok());
    Ok(Duration::from_millis(10 * ticks.ok_or("/proc/stat tells nothing of stolen time")?))
}

fn table(args: &Args, here: &Machine, report: &Report, bare: &[(&str, Latencies)], stolen: f64) -> String {
    let tally = &report.tally;
    let ms = |late: &Latencies, share| late.quantile(share).map_or(f64::NAN, |late| late.as_secs_f64() * 1e3);
    let shares = |late: &Latencies| format!("{:.2} / {:.2} / {:.2} ms", ms(late, 0.5), ms(late, 0.99), ms(late, 0.999));
    let steps = &tally.timeline.steps;
    let present: u64 = steps.iter().map(|step| step.listeners).sum::<u64>() * tally.timeline.step_seconds;
    let most = steps.iter().map(|step| step.listeners).max().unwrap_or(0);
    let machine: Vec<String> = here.facts().iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    let later = |there: &dyn Fn(u64) -> bool| {
        let steps = || steps.iter().filter(|step| there(step.listeners));
        let (late, due) = (steps().map(|step| step.late).sum::<u64>(), steps().map(|step| step.due).sum::<u64>());
        format!("{:.2} % of {due}", late as f64 * 100.0 / due.max(1) as f64)
    };
    let stalls = tally.sum(Measure::Stall, |_| true).count();
    let rows = [
        ("listeners at once", most.to_string()),
        ("processor time of the generator", format!("{:.1} s of {:.0} s", report.own.cpu_seconds, report.seconds)),
        ("per listener and second", format!("{:.1} µs", report.own.cpu_seconds * 1e6 / present.max(1) as f64)),
        ("memory of the generator at its peak", format!("{} MiB", report.own.peak_memory_bytes >> 20)),
        ("per listener", format!("{:.1} KiB", report.own.peak_memory_bytes as f64 / 1024.0 / most.max(1) as f64)),
        ("its lateness, p50 / p99 / p99.9", shares(&tally.late)),
        ("its acts later than 1 ms, while listeners come", later(&|there| there < most)),
        ("its acts later than 1 ms, while all are there", later(&|there| there == most)),
        ("starts", tally.starts.to_string()),
        ("body bytes", format!("{} MiB", tally.bytes >> 20)),
        ("troubles", tally.troubled().to_string()),
        ("stalls", stalls.to_string()),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let bare = bare.iter().map(|(core, late)| {
        let beyond = late.buckets().filter(|(micros, _)| u128::from(*micros) > LATE.as_micros());
        let beyond = beyond.map(|(_, count)| count).sum::<u64>() as f64 * 100.0 / late.count().max(1) as f64;
        format!("| of a bare timer on that core, {core} | {}; {beyond:.2} % later than 1 ms |\n", shares(late))
    });
    let stolen = format!("| that core's time which the host gave to others | {:.1} % |\n", stolen * 100.0);
    let rows = rows + &bare.collect::<String>() + &stolen;
    format!(
        "# What the load generator costs\n\nMade by `cargo xtask overhead` on {} at commit {}: {} listeners come within {} s over {} and TLS \
         and stay {} s, in real time at 160 kbit/s in ranges of 512 KiB, from one core{}; the planted server has the other. \
         {}.\n\n| | |\n|---|---|\n{rows}",
        numbers::date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
        servers::commit(),
        args.listeners,
        args.listeners.div_ceil(args.per_second),
        args.protocol,
        args.seconds,
        if args.awake { " that is kept awake (which is counted as its processor time)" } else { "" },
        machine.join("; "),
    )
}

/// The load tester's own server, on core 0; dropping it ends it.
struct Planted(Child);

impl Planted {
    fn start(program: &std::path::Path, folder: &std::path::Path) -> Result<(Self, String), String> {
        let told = |error: std::io::Error| format!("{}: {error}", program.display());
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(["planted", "--plain-port", "0", "--tls-port", "0", "--bare-port", "0", "--certs"])
            .arg(folder.join("certs"))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(told)?;
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let planted = Self(child);
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let word =
            lines.find_map(|line| line.split_whitespace().find(|word| word.starts_with("https://")).map(str::to_owned));
        let url = word.ok_or("the planted server printed no https:// address")?;
        let authority = url.split('/').nth(2).unwrap_or_default();
        // What it prints later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok((planted, format!("https://{authority}")))
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
