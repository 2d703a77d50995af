//! `needledrop verify`: whether a signed URL is good here and now, and what it claims.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use needledrop_core::{SignedUrl, UnixSeconds};
use serde_json::{Value, json};

use crate::{clock, keyfile};

/// Arguments of `needledrop verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The URL, with or without scheme and host
    url: String,

    /// Judge as if it were this moment, in Unix seconds
    #[arg(long, value_name = "UNIX")]
    at: Option<u64>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The key file [default: keys.toml in the data folder]
    #[arg(long, env = "NEEDLEDROP_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Runs the subcommand: exit code 0 if the URL is good, 1 if it is refused.
pub fn run(args: &Args, data: &Path) -> Result<ExitCode, String> {
    let keyring = keyfile::load(&args.keys.clone().unwrap_or_else(|| keyfile::default_path(data)))?;
    let now = args.at.map_or_else(clock::now, UnixSeconds);
    match needledrop_core::verify(target(&args.url), &keyring, now) {
        Ok(url) => {
            tell(&claims(&url, now), args.json);
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) if args.json => {
            println!("{}", json!({ "good": false, "refusal": refusal.slug(), "title": refusal.title() }));
            Ok(ExitCode::FAILURE)
        }
        Err(refusal) => {
            println!("refused: {refusal} ({})", refusal.slug());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Path and query, as they would be sent.
fn target(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return url };
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn claims(url: &SignedUrl, now: UnixSeconds) -> Value {
    let claims = url.claims();
    let next = claims.next.as_ref();
    json!({
        "good": true,
        "path": url.path().as_str(),
        "key": url.key().as_str(),
        "expires": claims.expires.0,
        "seconds_left": url.seconds_left(now),
        "not_before": claims.not_before.map(|at| at.0),
        "uid": claims.user.as_ref().map(|user| user.as_str()),
        "pid": claims.playback.as_ref().map(|id| id.as_str()),
        "head": claims.head.map(|head| head.get()),
        "dur_ms": claims.duration_ms,
        "next": next.map(|next| next.path.as_str()),
        "nhead": next.and_then(|next| next.head).map(|head| head.get()),
        "network": claims.network.map(|network| network.to_string()),
        "unsigned": url.unsigned_query(),
    })
}

fn tell(claims: &Value, as_json: bool) {
    if as_json {
        println!("{claims}");
        return;
    }
    println!("good");
    for (name, value) in claims.as_object().expect("made as an object above") {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => println!("  {name:<13} {text}"),
            other => println!("  {name:<13} {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_host_are_left_out_of_what_is_judged() {
        assert_eq!(target("https://edge.example:4443/t/a.ogg?exp=1"), "/t/a.ogg?exp=1");
        assert_eq!(target("/t/a.ogg?exp=1"), "/t/a.ogg?exp=1");
        assert_eq!(target("https://edge.example"), "/");
    }
}
