//! A catalog of a million invented tracks: how long it takes to load, and to read through the store and through `/v1`.
//!
//! [`songs`] invents it, [`store`] measures the crate alone, [`calls`] a real `needledrop up` on the same database over
//! HTTP, at fixed rates. Once on SQLite, and once on a PostgreSQL of its own, or on one that is named.

mod calls;
mod files;
mod postgres;
mod songs;
mod store;
mod table;

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use needledrop_database::Database;
use needledrop_loadtest::report::{Machine, numbers};

use crate::servers;
use files::Files;
use postgres::Postgres;
use table::Table;

/// Arguments of `needledrop-bench catalog`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The needledrop binary [default: the one beside this program; build it with --release]
    #[arg(long, value_name = "FILE")]
    needledrop: Option<PathBuf>,

    /// How many tracks
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(20_000..))]
    tracks: u32,

    /// What to measure on
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [On::Sqlite, On::Postgres])]
    on: Vec<On>,

    /// An empty PostgreSQL database to measure on [default: a server of this run's own, which syncs]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,

    /// Grants of signed URLs a second
    #[arg(long, default_value_t = 3_000)]
    per_second: u32,

    /// How long each kind of call is made in a round. Unit: seconds
    #[arg(long, default_value_t = 8)]
    seconds: u32,

    /// Rounds of all kinds of calls, one after the other
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Write the tables here instead of printing them only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// A file in the data folder.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// What went wrong, in words.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Runs it and prints or writes its tables.
///
/// # Errors
/// A database cannot be opened or is not empty, or our server does not start.
pub fn run(args: &Args) -> Result<(), Failure> {
    let beside = std::env::current_exe()?.with_file_name("needledrop");
    let program = args.needledrop.clone().unwrap_or(beside);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut text = preamble(args);
    for on in &args.on {
        let folder = tempfile::tempdir()?;
        let table = match (on, &args.postgres) {
            (On::Sqlite, _) => {
                let data = folder.path().join("data");
                std::fs::create_dir(&data)?;
                let file = data.join("needledrop.db").display().to_string();
                measure(args, &runtime, &program, folder.path(), &file, &Files(Some(data)))?
            }
            (On::Postgres, Some(url)) => measure(args, &runtime, &program, folder.path(), url, &Files(None))?,
            (On::Postgres, None) => {
                let server = Postgres::start()?;
                let files = Files(Some(server.folder().to_owned()));
                measure(args, &runtime, &program, folder.path(), &server.url(), &files)?
            }
        };
        text.push_str(&table.markdown(args.tracks));
    }
    println!("{text}");
    args.out.as_ref().map_or(Ok(()), |out| Ok(std::fs::write(out, &text)?))
}

/// One database, through the store and then through a server on it.
fn measure(
    args: &Args,
    runtime: &tokio::runtime::Runtime,
    program: &Path,
    folder: &Path,
    place: &str,
    files: &Files,
) -> Result<Table, Failure> {
    let mut table = runtime.block_on(async {
        let database = Database::open(place).await?;
        let mut table = Table::new(&database.version().await?);
        let measured = store::measure(&database, args.tracks, Path::new(place), files, &mut table).await;
        database.close().await;
        measured.map(|()| table)
    })?;
    let up = calls::Up::start(program, folder, place)?;
    table.once("search has read all names after a start", up.has_read(args.tracks)?);
    calls::measure(&up, args, files, &mut table)?;
    Ok(table)
}

fn preamble(args: &Args) -> String {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let machine: Vec<String> = Machine::here().facts().iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    format!(
        "# Loading and reading a catalog\n\n\
         Made by `cargo xtask catalog` on {} at commit {}: {}. Rows above the line of calls are the store alone, one \
         reading after the other. Calls go to a `needledrop up` on the same database over HTTP/1.1 without TLS on \
         loopback, on {} connections and the same cores, at a fixed rate for {} s each: they are due whether or not \
         those before are answered, and their time counts from then; {} rounds of all of them, of which the rows give \
         the median p50, the median p99 and the longest of all. PostgreSQL has `shared_buffers` 512 MB and \
         `max_wal_size` 4 GB, on a unix socket; both databases sync. Before each row the database's files are read \
         through, so that none of them is on the disk alone.\n",
        numbers::date(unix),
        servers::commit(),
        machine.join("; "),
        calls::CONNECTIONS,
        args.seconds,
        args.rounds,
    )
}
