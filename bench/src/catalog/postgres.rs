//! A PostgreSQL server of one run, which syncs as one in service does.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::Failure;

/// Where Debian and its relatives keep the programs, newest first.
const VERSIONS: std::ops::RangeInclusive<u32> = 13..=20;
/// How long it may take until it accepts connections.
const START_WITHIN: Duration = Duration::from_secs(30);
/// The user who runs it where we are root, whom it refuses.
const USER: &str = "postgres";

/// A running server; dropping it ends it and removes its files.
pub(super) struct Postgres {
    child: Child,
    folder: tempfile::TempDir,
}

impl Postgres {
    pub(super) fn start() -> Result<Self, Failure> {
        let programs = programs().ok_or("no `initdb` here: install postgresql, or name a database with --postgres")?;
        let folder = tempfile::Builder::new().prefix("needledrop-bench-pg-").tempdir()?;
        if is_root() {
            done(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        let data = folder.path().join("data");
        done(as_user(&programs.join("initdb"), folder.path()).arg("-D").arg(&data).args([
            "-U",
            "needledrop",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]))?;
        let mut server = as_user(&programs.join("postgres"), folder.path());
        server.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-c", "listen_addresses="]);
        server.args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]);
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, folder };
        let until = Instant::now() + START_WITHIN;
        while done(Command::new(programs.join("pg_isready")).arg("-q").arg("-h").arg(server.folder.path())).is_err() {
            if Instant::now() > until {
                return Err(
                    format!("PostgreSQL does not accept connections within {} s", START_WITHIN.as_secs()).into()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://needledrop@localhost/postgres?host={}", self.folder.path().display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is its fast shutdown; between it and the files that go afterwards nothing is worth a word.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The folder of its programs.
fn programs() -> Option<PathBuf> {
    let debian = VERSIONS.rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").is_file())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program as whom it accepts, which ends when we do.
fn as_user(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT"]).arg(program).current_dir(folder);
    command
}

/// Runs to the end.
fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim()).into())
}
