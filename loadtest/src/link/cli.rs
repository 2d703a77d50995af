//! The commands about links.
#![allow(clippy::print_stdout, reason = "tables on standard output are what it is for")]

use super::profile::{Link, PROFILES};
use super::{Emulation, self_test};
use std::process::{Command, ExitCode};

/// What to do with links.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Measure an emulated link with the kernel's own sockets: exit 0 only if it is what was asked
    Test(self_test::Args),
    /// The named links, and how a link is written
    Profiles,
    /// Run any command at the listeners' end of an emulated link
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// A named link, or rtt=40ms,rate=50mbit,loss=1%,jitter=5ms[,up=10mbit][,queue=512k][,burst=3]
    #[arg(long, value_name = "LINK")]
    link: Link,
    /// Gives the same losses and jitter again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The command; NEEDLEDROP_SERVER in its environment is the address of this machine's servers
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

/// Does what the command line says.
pub fn run(args: Args) -> Result<ExitCode, String> {
    match args.what {
        What::Test(args) => self_test::run(&args),
        What::Profiles => {
            profiles();
            Ok(ExitCode::SUCCESS)
        }
        What::Run(args) => run_command(&args),
    }
}

fn profiles() {
    let width = PROFILES.iter().map(|profile| profile.spec.len()).max().unwrap_or(0);
    for profile in PROFILES {
        println!("{:<10} {:<width$}  {}", profile.name, profile.spec, profile.reason);
    }
    println!(
        "\nA link is a name, a name with changes (4g,loss=2%), or its numbers:\n\
         \x20 rtt=40ms       there and back, for a packet that waits for nothing\n\
         \x20 rate=50mbit    both ways, of whole IP packets; down= and up= change one way; none has no limit\n\
         \x20 loss=1%        of the packets, each way, after they used the rate\n\
         \x20 burst=3        losses come in runs of this mean length\n\
         \x20 jitter=5ms     up to so much is added to the delay, each way; packets stay in order\n\
         \x20 queue=512k     bytes that wait for the rate before packets are dropped; else 100 ms worth, at least 32k"
    );
}

fn run_command(args: &RunArgs) -> Result<ExitCode, String> {
    let emulation = Emulation::start(&args.link, args.seed).map_err(|error| error.to_string())?;
    let side = emulation.side();
    let server = side.reach(([127, 0, 0, 1], 0).into()).map_err(|error| error.to_string())?.ip();
    eprintln!("link {}: the servers of this machine are at {server} (NEEDLEDROP_SERVER)", args.link);
    let (program, words) = args.command.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    command.args(words).env("NEEDLEDROP_SERVER", server.to_string());
    let status =
        side.within(|| command.status()).map_err(|error| format!("{} did not start: {error}", program.display()))?;
    let counted = emulation.counted();
    for (name, passed) in [("down", &counted.down), ("up", &counted.up)] {
        eprintln!(
            "link {name}: {} packets, {} bytes; {} lost, {} dropped by the queue; {:.0} us late at p99, {:.2} s of a core",
            passed.packets, passed.bytes, passed.lost, passed.queue_full, passed.late.p99_us, passed.cpu_seconds
        );
    }
    // As shells say it: 128 and the signal.
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    Ok(ExitCode::from(status.code().unwrap_or(128 + signal) as u8))
}
