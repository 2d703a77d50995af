//! `needledrop keys`: make, list, rotate, promote and retire signing keys.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use needledrop_core::{KeyId, Keyring};

use crate::keyfile;

/// Arguments of `needledrop keys`.
#[derive(clap::Args)]
pub struct Args {
    /// The key file [default: keys.toml in the data folder]
    #[arg(long, global = true, env = "NEEDLEDROP_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,

    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Make a key file; in one that is there, add a key that verifies but does not sign yet
    Make {
        /// Its name [default: the day and a number]
        id: Option<String>,
    },
    /// List the keys and what each may do; secrets stay hidden
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a key and sign with it from now on; former keys still verify
    Rotate,
    /// Sign with this key from now on. With several edges: `make`, copy the file to all, then `promote`
    Promote {
        /// Its name
        id: String,
    },
    /// Refuse this key's URLs from now on
    Retire {
        /// Its name
        id: String,
    },
}

/// Runs the subcommand.
pub fn run(args: Args, data: &Path) -> Result<ExitCode, String> {
    let path = args.keys.unwrap_or_else(|| keyfile::default_path(data));
    match args.step {
        Step::Make { id } => make(&path, id.as_deref())?,
        Step::List { json } => list(&keyfile::load(&path)?, json),
        Step::Rotate => {
            let added = change(&path, |keyring| {
                let id = add(keyring, None)?;
                keyring.promote(&id).map_err(|error| error.to_string())?;
                Ok(id)
            })?;
            println!("{added} signs now; the former keys still verify. Running edges notice within a second or two.");
        }
        Step::Promote { id } => {
            let id = parse(&id)?;
            change(&path, |keyring| keyring.promote(&id).map_err(|error| error.to_string()))?;
            println!("{id} signs now");
        }
        Step::Retire { id } => {
            let id = parse(&id)?;
            change(&path, |keyring| keyring.retire(&id).map_err(|error| error.to_string()))?;
            println!("{id} is retired: its URLs are refused");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn make(path: &Path, id: Option<&str>) -> Result<(), String> {
    if path.exists() {
        let id = change(path, |keyring| add(keyring, id))?;
        println!("{id} verifies in {}; `needledrop keys promote {id}` lets it sign", path.display());
        return Ok(());
    }
    let id = id.map_or_else(|| keyfile::new_id(&[]), parse)?;
    keyfile::save(path, &Keyring::new(id.clone(), keyfile::new_secret()?))?;
    println!("{id} signs and verifies in {}", path.display());
    Ok(())
}

fn list(keyring: &Keyring, json: bool) {
    if json {
        let keys: Vec<_> = keyring
            .keys()
            .iter()
            .map(|key| serde_json::json!({ "id": key.id.as_str(), "state": key.state.name() }))
            .collect();
        println!("{}", serde_json::json!({ "keys": keys }));
        return;
    }
    println!("{:<32}  may", "key");
    for key in keyring.keys() {
        println!("{:<32}  {}", key.id, key.state.name());
    }
}

fn change<T>(path: &Path, step: impl FnOnce(&mut Keyring) -> Result<T, String>) -> Result<T, String> {
    let mut keyring = keyfile::load(path)?;
    let done = step(&mut keyring)?;
    keyfile::save(path, &keyring)?;
    Ok(done)
}

fn add(keyring: &mut Keyring, id: Option<&str>) -> Result<KeyId, String> {
    let taken: Vec<_> = keyring.keys().iter().map(|key| &key.id).collect();
    let id = id.map_or_else(|| keyfile::new_id(&taken), parse)?;
    keyring.add(id.clone(), keyfile::new_secret()?).map_err(|error| error.to_string())?;
    Ok(id)
}

fn parse(id: &str) -> Result<KeyId, String> {
    KeyId::parse(id).ok_or_else(|| format!("{id:?} cannot name a key: use 1 to 32 of A-Z a-z 0-9 . _ -"))
}
