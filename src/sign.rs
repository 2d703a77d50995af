//! `needledrop sign`: a signed URL for one object.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use needledrop_core::{
    Cidr, Claims, HeadBytes, NextObject, ObjectPath, PlaybackId, UnixSeconds, signed_url::Pseudonym,
};

use crate::{clock, keyfile, units::parse_duration};

/// Arguments of `needledrop sign`.
#[derive(clap::Args)]
pub struct Args {
    /// The object's path, such as /tracks/ID/REV/160.ogg
    path: String,

    /// For how long it is good
    #[arg(long, default_value = "1h", value_parser = parse_duration, value_name = "TIME")]
    expires_in: Duration,

    /// Until when it is good, in Unix seconds; instead of --expires-in
    #[arg(long, value_name = "UNIX", conflicts_with = "expires_in")]
    expires_at: Option<u64>,

    /// From when on it is good, in Unix seconds
    #[arg(long, value_name = "UNIX")]
    not_before: Option<u64>,

    /// A pseudonym of the listener
    #[arg(long, value_name = "NAME")]
    uid: Option<String>,

    /// The playback id
    #[arg(long, value_name = "ID")]
    pid: Option<String>,

    /// Bytes of this object's head (its first 30 seconds)
    #[arg(long, value_name = "BYTES")]
    head: Option<u64>,

    /// This object's duration in milliseconds
    #[arg(long, value_name = "MS")]
    dur: Option<u32>,

    /// The path of the object that will be played next
    #[arg(long, value_name = "PATH")]
    next: Option<String>,

    /// Bytes of the next object's head
    #[arg(long, value_name = "BYTES", requires = "next")]
    nhead: Option<u64>,

    /// Only for clients of this network, such as 203.0.113.0/24
    #[arg(long, value_name = "CIDR")]
    network: Option<Cidr>,

    /// Put in front of the path, such as https://edge.example
    #[arg(long, default_value = "", value_name = "URL")]
    base: String,

    /// The key file [default: keys.toml in the data folder]
    #[arg(long, env = "NEEDLEDROP_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Runs the subcommand: the URL goes to stdout.
pub fn run(args: &Args, data: &Path) -> Result<ExitCode, String> {
    let keyring = keyfile::load(&args.keys.clone().unwrap_or_else(|| keyfile::default_path(data)))?;
    let path = parse_path(&args.path)?;
    let target = needledrop_core::sign(&path, &claims(args)?, &keyring);
    println!("{}{target}", args.base.trim_end_matches('/'));
    Ok(ExitCode::SUCCESS)
}

fn claims(args: &Args) -> Result<Claims, String> {
    let expires = args.expires_at.map_or_else(|| clock::now().plus(args.expires_in.as_secs()), UnixSeconds);
    let user = args.uid.as_deref().map(|uid| Pseudonym::parse(uid).ok_or("--uid: use 1 to 64 of A-Z a-z 0-9 . _ -"));
    let playback = args.pid.as_deref().map(PlaybackId::parse);
    let next = args.next.as_deref().map(parse_path).transpose()?;
    Ok(Claims {
        expires,
        not_before: args.not_before.map(UnixSeconds),
        user: user.transpose()?,
        playback: playback.transpose().map_err(|error| format!("--pid: {error}"))?,
        head: args.head.map(|bytes| parse_head("--head", bytes)).transpose()?,
        duration_ms: args.dur,
        next: match next {
            Some(path) => {
                Some(NextObject { path, head: args.nhead.map(|bytes| parse_head("--nhead", bytes)).transpose()? })
            }
            None => None,
        },
        network: args.network,
    })
}

fn parse_path(path: &str) -> Result<ObjectPath, String> {
    ObjectPath::parse(path).map_err(|error| format!("{path:?} is not the path of an object: {error}"))
}

fn parse_head(flag: &str, bytes: u64) -> Result<HeadBytes, String> {
    HeadBytes::new(bytes).ok_or_else(|| format!("{flag}: a head has 1 to {} bytes", HeadBytes::MAX))
}
