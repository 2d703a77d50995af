//! Our edge beside nginx with `slice` and `proxy_cache`: what a hit, a cached block and a paced listener cost.
//!
//! Both stand on one core in front of the same upstream, cache the same objects, and are asked the same
//! ranges by the same client on the other core, in turns; a figure is the median of the rounds. Processor
//! time is what the kernel booked on the server's processes, memory what they hold besides mapped files.
//!
//! [`crate::machine`] reads processes, [`servers`] starts them, [`crowd`] asks.

mod crowd;
mod report;
mod servers;

use std::{path::PathBuf, time::Duration};

use report::{Figures, Report};
use servers::{Server, ServerError, Workshop};

use crate::machine;

/// Arguments of `needledrop-bench beside`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The needledrop binary [default: the one beside this program; build it with --release]
    #[arg(long, value_name = "FILE")]
    needledrop: Option<PathBuf>,

    /// The nginx binary
    #[arg(long, env = "NGINX", default_value = "nginx", value_name = "FILE")]
    nginx: PathBuf,

    /// Rounds; each figure is the median
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Seconds that each measurement of hits lasts
    #[arg(long, default_value_t = 4)]
    seconds: u64,

    /// Objects in the cache, of 4 MiB each
    #[arg(long, default_value_t = 128)]
    objects: u32,

    /// Paced listeners
    #[arg(long, default_value_t = 500)]
    listeners: usize,

    /// Write the table here as Markdown instead of printing it only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// A server did not start, or stopped.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The client could not ask, or got something else than it asked for.
    #[error("asking {server}: {reason}")]
    Asking {
        /// Whom.
        server: &'static str,
        /// What happened.
        reason: String,
    },
    /// A file of the system or the report cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Length of each object in bytes: a track of three and a half minutes at 160 kbit/s.
pub const OBJECT_BYTES: u64 = 4 << 20;

/// Connections that ask for hits, each one request at a time.
const CONNECTIONS: usize = 16;

/// How fast a paced listener reads: 160 kbit/s. Unit: bytes a second.
const PACE_BYTES: usize = 20_000;

/// How long the paced listeners may take until the server works at an even pace.
const SETTLE_SECONDS_MAX: u32 = 30;

/// How long the paced listeners are watched.
const PACED: Duration = Duration::from_secs(10);

/// Runs the comparison and prints or writes its table.
///
/// # Errors
/// A server cannot be started or does not answer as it should.
pub fn run(args: &Args) -> Result<(), BesideError> {
    machine::raise_file_limit()?;
    machine::stay_on_core(1)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut report = Report::new(args.rounds, args.objects);
    for round in 1..=args.rounds {
        for kind in servers::KINDS {
            eprintln!("round {round} of {}: {}", args.rounds, kind.name());
            let figures = runtime.block_on(measure(kind, args))?;
            report.add(kind.name(), figures);
        }
    }
    let text = report.to_markdown(&servers::versions(args.nginx.as_path()));
    println!("{text}");
    if let Some(out) = &args.out {
        std::fs::write(out, text)?;
    }
    Ok(())
}

/// A fresh server, filled, asked and paced.
async fn measure(kind: servers::Kind, args: &Args) -> Result<Figures, BesideError> {
    let workshop = Workshop::open(args.objects).await?;
    let server = Server::start(kind, &workshop, args.needledrop.as_deref(), &args.nginx).await?;
    let asking = |reason: std::io::Error| BesideError::Asking { server: kind.name(), reason: reason.to_string() };
    let targets = server.targets(&workshop);
    // The first half brings the heap to its working size; what the second half adds is for the blocks.
    let (first, second) = targets.split_at(targets.len() / 2);
    crowd::fill(server.address(), first).await.map_err(asking)?;
    let half_bytes = server.memory()?;
    crowd::fill(server.address(), second).await.map_err(asking)?;
    let full_bytes = server.memory()?;
    let blocks = second.len() as u64 * OBJECT_BYTES.div_ceil(needledrop_core::BLOCK_BYTES);
    let fetched = workshop.bytes_sent();
    let lasting = Duration::from_secs(args.seconds);
    let mut hits = Vec::new();
    for range_bytes in [64 << 10, 512 << 10] {
        let before = server.cpu()?;
        let done = crowd::ask(server.address(), &targets, range_bytes, CONNECTIONS, lasting).await.map_err(asking)?;
        hits.push(report::Hits { range_bytes, requests: done, cpu: server.cpu()? - before });
    }
    if workshop.bytes_sent() != fetched {
        return Err(BesideError::Asking { server: kind.name(), reason: "a hit went upstream".into() });
    }
    let kernel_before = machine::kernel_socket_bytes()?;
    let (memory_before, cpu_before) = (server.memory()?, server.cpu()?);
    let listeners =
        crowd::Paced::start(server.address(), &targets, args.listeners, PACE_BYTES).await.map_err(asking)?;
    let settled_cpu = settle(&server).await?;
    tokio::time::sleep(PACED).await;
    let paced_cpu = server.cpu()? - settled_cpu;
    let memory = server.memory()?.saturating_sub(memory_before);
    let kernel = machine::kernel_socket_bytes()?.saturating_sub(kernel_before);
    let read = listeners.stop().await.map_err(asking)?;
    let count = args.listeners.max(1) as u64;
    Ok(Figures {
        hits,
        block_bytes: full_bytes.saturating_sub(half_bytes) / blocks.max(1),
        filled_bytes: full_bytes,
        listener_start_cpu: (settled_cpu - cpu_before) / count as f64,
        listener_bytes: memory / count,
        listener_kernel_bytes: kernel / count,
        listener_cpu: paced_cpu / PACED.as_secs_f64() / count as f64,
        listener_read_bytes: read / count,
    })
}

/// Waits until the buffers are full and the server works at an even pace; gives its processor time then.
async fn settle(server: &Server) -> Result<f64, BesideError> {
    let (mut cpu, mut pace) = (server.cpu()?, f64::INFINITY);
    for _ in 0..SETTLE_SECONDS_MAX {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.cpu()?;
        let even = now - cpu > pace * 0.8;
        (cpu, pace) = (now, now - cpu);
        if even {
            break;
        }
    }
    Ok(cpu)
}
