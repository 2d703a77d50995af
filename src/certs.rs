//! `needledrop certs`: certificates for a development machine.

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use needledrop_http::DevCerts;

/// Arguments of `needledrop certs`.
#[derive(clap::Args)]
pub struct Args {
    /// Where they go
    #[arg(long, default_value = "certs", value_name = "DIR")]
    dir: PathBuf,

    /// Names and addresses the servers go by, besides localhost, 127.0.0.1 and ::1
    names: Vec<String>,
}

/// Runs the subcommand: makes what is missing, renews what ends soon, keeps the rest.
pub fn run(args: &Args) -> Result<ExitCode, String> {
    let certs = DevCerts::ensure(&args.dir, &args.names, SystemTime::now()).map_err(|error| error.to_string())?;
    println!("authority    {}   <- let browsers and players trust this one", certs.ca.display());
    println!("server       {}", certs.server.display());
    println!("origin       {}", certs.origin.display());
    println!("edge         {}   (shown to the origin)", certs.edge.display());
    println!("\nUse them:    needledrop up --certs {}", args.dir.display());
    Ok(ExitCode::SUCCESS)
}
