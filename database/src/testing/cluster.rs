//! A PostgreSQL cluster of this process: made when first asked for, gone when the process ends, however it ends.
//!
//! The server refuses root, so root runs it as the user `postgres`. A shell stands between us and it: the kernel
//! tells the shell when the thread that started it dies, and it stops the server and removes the files.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

/// Where Debian and its relatives keep the programs, newest first.
const VERSIONS: std::ops::RangeInclusive<u32> = 13..=20;
/// A cluster takes 1 to 3 s to make; a loaded machine some more.
const START_WAIT: Duration = Duration::from_secs(60);

/// Nothing here is worth a sync. The collation is one that does not order by bytes, so that a key that forgets to is
/// found.
const SCRIPT: &str = r#"
bin="$1"
umask 077
dir=$(mktemp -d /tmp/needledrop-pg-XXXXXX) || exit 1
cd "$dir" || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' TERM INT HUP
"$bin/initdb" -D "$dir/data" -U needledrop -A trust -E UTF8 --no-sync \
    --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
    -c full_page_writes=off -c shared_buffers=64MB -c max_connections=200 >"$dir/log" 2>&1 </dev/null &
server=$!
trap 'kill -QUIT $server 2>/dev/null' TERM INT HUP
for i in $(seq 600); do
    "$bin/pg_isready" -q -h "$dir" && break
    kill -0 $server 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.1
done
echo "$dir"
exec >&- 2>&-
wait $server
wait $server 2>/dev/null
"#;

/// The URL of the cluster; starts it when there is none yet.
pub(super) fn url() -> Result<String, String> {
    static CLUSTER: OnceLock<Result<String, String>> = OnceLock::new();
    CLUSTER.get_or_init(start).clone()
}

fn start() -> Result<String, String> {
    let programs = programs()?;
    let (started, outcome) = mpsc::channel();
    // The death signal comes when this thread ends, not the process: it sleeps for as long as there is one.
    let keeper = std::thread::Builder::new().name("postgres-keeper".into());
    let spawned = keeper.spawn(move || {
        let run = run(&programs);
        // Nobody waits any more when the start took too long; the cluster then goes with the process all the same.
        let _ = started.send(run);
        loop {
            std::thread::park();
        }
    });
    spawned.map_err(|e| format!("no thread to keep PostgreSQL: {e}"))?;
    let folder =
        outcome.recv_timeout(START_WAIT).map_err(|_| format!("PostgreSQL did not start in {START_WAIT:?}"))??;
    Ok(format!("postgres://needledrop@localhost/postgres?host={folder}"))
}

/// The folder of `initdb` and `postgres`.
fn programs() -> Result<PathBuf, String> {
    let debian = VERSIONS.rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.chain(std::env::split_paths(&path));
    let has_all = |folder: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|p| folder.join(p).is_file());
    folders.find(has_all).ok_or_else(|| "no `initdb` here: install postgresql-15".to_owned())
}

/// Starts the shell and waits until it names the socket's folder.
fn run(programs: &Path) -> Result<String, String> {
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "TERM", "sh", "-c", SCRIPT, "sh"]).arg(programs).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = command.spawn().map_err(|e| format!("setpriv (util-linux) does not start: {e}"))?;
    let mut folder = String::new();
    let stdout = shell.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut folder).map_err(|e| format!("PostgreSQL's shell: {e}"))?;
    if folder.is_empty() {
        let output = shell.wait_with_output().map_err(|e| format!("PostgreSQL's shell: {e}"))?;
        return Err(format!("PostgreSQL does not start: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(folder.trim().to_owned())
}
