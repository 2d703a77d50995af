//! `needledrop catalog`: the catalog as JSON lines, in and out. What a line may say stands in `catalog/src/json.rs`.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use needledrop_catalog::{Catalog, json};
use needledrop_database::Database;
use tokio::runtime::Runtime;

use crate::services;

/// Arguments of `needledrop catalog`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the catalog is kept, postgres://USER@HOST/NAME [default: as for `up`]
    #[arg(long, global = true, env = "NEEDLEDROP_DATABASE", value_name = "URL")]
    database: Option<String>,

    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Apply changes, one on each line: artists, releases, credits, shares, windows, …
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Write the catalog as changes that would make it
    Export,
}

/// Runs the subcommand. `configured` is the database of `[up]`.
pub fn run(args: Args, configured: Option<String>, data: &Path) -> Result<ExitCode, String> {
    let place = services::place(data, args.database.or(configured).as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    if matches!(args.step, Step::Export) && !place.contains("://") && !Path::new(&place).exists() {
        return Err(format!("{place} is not there yet: `needledrop up` or `needledrop catalog import` makes it"));
    }
    let catalog = runtime.block_on(open(&place))?;
    match args.step {
        Step::Import { file } => import(&runtime, &catalog, &file)?,
        Step::Export => export(&runtime, &catalog)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(place: &str) -> Result<Catalog, String> {
    let database = Database::open(place).await.map_err(|error| error.to_string())?;
    Catalog::open(database).await.map_err(|error| error.to_string())
}

/// Batch by batch; what was applied before a bad line stays, and the message says how much that is.
fn import(runtime: &Runtime, catalog: &Catalog, file: &Path) -> Result<(), String> {
    let name = file.display();
    let input: Box<dyn BufRead> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(file).map_err(|error| format!("{name}: {error}"))?)),
    };
    let mut applied = 0;
    let failed = |applied: usize, error: &dyn std::fmt::Display| {
        format!("{name}: {error} ({applied} changes before it were applied; correct it and import again)")
    };
    for batch in json::batches(input) {
        let batch = batch.map_err(|error| failed(applied, &error))?;
        let count = batch.changes().len();
        runtime.block_on(catalog.import(batch)).map_err(|error| failed(applied, &error))?;
        applied += count;
    }
    eprintln!("{applied} changes applied");
    Ok(())
}

fn export(runtime: &Runtime, catalog: &Catalog) -> Result<(), String> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    let each = |change| {
        written = writeln!(out, "{}", json::line(&change));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    runtime.block_on(catalog.export(each)).map_err(|error| error.to_string())?;
    match written.and_then(|()| out.flush()) {
        // A reader that has enough (`| head`) is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
