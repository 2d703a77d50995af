//! The servers that are compared: each gives the objects of one demo record over TLS, and over QUIC where it can.

use std::{
    fmt,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use needledrop_http::DevCerts;
use needledrop_loadtest::{
    measured::Protocol,
    settings::{Listed, Source},
};

/// How long a server may take until it accepts connections.
const START_WITHIN: Duration = Duration::from_secs(15);

/// How long the demo record may take to be made.
const RECORD_WITHIN: Duration = Duration::from_secs(300);

/// Tracks of the demo record.
const TRACKS: usize = 12;

/// Whom we measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Our edge.
    Needledrop,
    /// nginx: HTTP/1.1 and HTTP/2, with session tickets and early data.
    Nginx,
    /// Caddy: all three.
    Caddy,
    /// h2o, where one is named: HTTP/1.1 and HTTP/2, and HTTP/3 of a newer one than Debian's.
    H2o,
    /// The least that our libraries do without us: all three. No server.
    Floor,
}

/// Where the others are.
#[derive(Debug, Clone, clap::Args)]
pub struct Peers {
    /// The nginx binary; with HTTP/3 in it, that is measured too
    #[arg(long, env = "NGINX", default_value = "nginx", value_name = "FILE")]
    pub nginx: PathBuf,

    /// The Caddy binary
    #[arg(long, env = "CADDY", default_value = "caddy", value_name = "FILE")]
    pub caddy: PathBuf,

    /// The h2o binary
    #[arg(long, env = "H2O", default_value = "h2o", value_name = "FILE")]
    pub h2o: PathBuf,
}

impl Peers {
    /// Whether this nginx was built with HTTP/3.
    fn nginx_has_h3(&self) -> bool {
        said(&self.nginx, "-V").contains("http_v3_module")
    }
}

impl Kind {
    /// Those that a run without further words compares, in the order of the table.
    pub const USUAL: [Kind; 3] = [Kind::Needledrop, Kind::Nginx, Kind::Caddy];

    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Needledrop, Kind::Nginx, Kind::Caddy, Kind::H2o, Kind::Floor];

    /// What it speaks.
    pub fn protocols(self, peers: &Peers) -> &'static [Protocol] {
        match self {
            Kind::Nginx if !peers.nginx_has_h3() => &[Protocol::H1, Protocol::H2],
            Kind::H2o => &[Protocol::H1, Protocol::H2],
            Kind::Needledrop | Kind::Nginx | Kind::Caddy | Kind::Floor => &[Protocol::H1, Protocol::H2, Protocol::H3],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Needledrop => "needledrop",
            Kind::Nginx => "nginx",
            Kind::Caddy => "caddy",
            Kind::H2o => "h2o",
            Kind::Floor => "floor",
        })
    }
}

/// A record, a certificate, and a folder for all that servers write.
pub struct Workshop {
    folder: tempfile::TempDir,
    needledrop: PathBuf,
    certs: DevCerts,
    paths: Vec<String>,
}

impl Workshop {
    /// Makes the record with our own program: its first start does.
    pub fn open(needledrop: Option<&Path>) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let beside = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("needledrop");
        let needledrop = needledrop.map_or(beside, Path::to_owned);
        // `up` makes the certificates too, in the same folder.
        let mut workshop = Self {
            certs: DevCerts::ensure(&folder.path().join("data/certs"), &[], SystemTime::now())
                .map_err(|error| error.to_string())?,
            folder,
            needledrop,
            paths: Vec::new(),
        };
        eprintln!("making the record");
        let port = free_port()?;
        let server = Server::wait(Kind::Needledrop, &workshop, up(&workshop, port)?, port)?;
        let until = Instant::now() + RECORD_WITHIN;
        while workshop.find_tracks().len() < TRACKS {
            if Instant::now() > until {
                return Err(format!("the record was not made within {} s", RECORD_WITHIN.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        drop(server);
        workshop.paths = workshop.find_tracks();
        Ok(workshop)
    }

    /// Paths of the Ogg renditions at 160 kbit/s.
    fn find_tracks(&self) -> Vec<String> {
        let root = self.objects();
        let inside = |folder: PathBuf| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let revisions = inside(root.join("tracks")).into_iter().flat_map(inside);
        let files = revisions.map(|folder| folder.join("160.ogg")).filter(|file| file.is_file());
        let path = |file: PathBuf| Some(format!("/{}", file.strip_prefix(&root).ok()?.to_str()?));
        let mut paths: Vec<String> = files.filter_map(path).collect();
        paths.sort_unstable();
        paths
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn objects(&self) -> PathBuf {
        self.data().join("demo")
    }

    /// How many tracks there are.
    pub fn tracks(&self) -> u32 {
        self.paths.len() as u32
    }

    /// Their paths.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// How long the object at a path is.
    pub fn bytes(&self, path: &str) -> std::io::Result<u64> {
        Ok(std::fs::metadata(self.objects().join(path.trim_start_matches('/')))?.len())
    }

    /// The certificate that clients trust.
    pub fn ca(&self) -> &Path {
        &self.certs.ca
    }

    /// The key that signs URLs for our edge.
    pub fn keys(&self) -> PathBuf {
        self.data().join("keys.toml")
    }
}

/// A running server; dropping it ends it.
pub struct Server {
    kind: Kind,
    child: Child,
    port: u16,
}

impl Server {
    /// Starts it on loopback, on one core if one is named, and waits until it accepts connections.
    pub fn start(kind: Kind, workshop: &Workshop, peers: &Peers, core: Option<u32>) -> Result<Self, String> {
        let port = free_port()?;
        let command = match kind {
            Kind::Needledrop => up(workshop, port)?,
            Kind::Nginx => nginx(workshop, peers, port)?,
            Kind::Caddy => caddy(workshop, peers, port)?,
            Kind::H2o => h2o(workshop, peers, port)?,
            Kind::Floor => floor(workshop, port)?,
        };
        Self::wait(kind, workshop, on_core(command, core), port)
    }

    fn wait(kind: Kind, workshop: &Workshop, mut command: Command, port: u16) -> Result<Self, String> {
        let errors = workshop.folder.path().join(format!("{kind}.log"));
        let log = std::fs::File::create(&errors).map_err(|error| format!("{}: {error}", errors.display()))?;
        let told = |error: std::io::Error| format!("{kind} cannot be started: {error}");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().map_err(told)?;
        let mut server = Self { kind, child, port };
        let until = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let gone = server.child.try_wait().is_ok_and(|ended| ended.is_some());
            if gone || Instant::now() > until {
                let said = std::fs::read_to_string(&errors).unwrap_or_default();
                let tail = said.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
                return Err(format!("{kind} does not answer; it said: {tail}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Which one.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its port for TLS and QUIC.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What to ask it for, as the load tester takes it.
    pub fn source(&self, workshop: &Workshop) -> Source {
        let listed = |url: String| Listed { url, ..Listed::default() };
        let base = format!("https://localhost:{}", self.port);
        match self.kind {
            Kind::Needledrop => Source::Signed {
                base,
                keys: workshop.keys(),
                paths: workshop.paths().iter().cloned().map(listed).collect(),
            },
            _ => Source::Urls(workshop.paths().iter().map(|path| listed(format!("{base}{path}"))).collect()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's master takes its workers with it only when asked to.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The same command, kept on one core.
fn on_core(command: Command, core: Option<u32>) -> Command {
    let Some(core) = core else { return command };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &core.to_string()]).arg(command.get_program()).args(command.get_args());
    pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    pinned
}

fn up(workshop: &Workshop, port: u16) -> Result<Command, String> {
    let mut command = Command::new(&workshop.needledrop);
    let address = |port: u16| format!("127.0.0.1:{port}");
    command.arg("up").arg("--data").arg(workshop.data());
    command.args(["--listen", &address(free_port()?), "--tls-listen", &address(port)]);
    // As its peers: a line for each request, into a file.
    command.args(["--log", "warn,needledrop::access=info"]);
    Ok(command)
}

fn nginx(workshop: &Workshop, peers: &Peers, port: u16) -> Result<Command, String> {
    let folder = workshop.folder.path();
    let config = folder.join("nginx.conf");
    let quic = if peers.nginx_has_h3() {
        format!("listen 127.0.0.1:{port} quic reuseport; http3 on; quic_gso on;")
    } else {
        String::new()
    };
    let text = format!(
        "daemon off; master_process on; worker_processes 1; pid {dir}/nginx.pid; error_log stderr warn;
         worker_rlimit_nofile 20000;
         events {{ worker_connections 8192; }}
         http {{
           access_log {dir}/access.log combined buffer=64k;
           sendfile on; tcp_nopush on; tcp_nodelay on; open_file_cache max=1000;
           keepalive_requests 1000000000; keepalive_timeout 120s; send_timeout 120s;
           types {{ audio/ogg ogg; audio/mp4 m4a; }}
           client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
           uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
           server {{
             listen 127.0.0.1:{port} ssl http2; {quic}
             ssl_certificate {certificate}; ssl_certificate_key {key};
             ssl_protocols TLSv1.3; ssl_early_data on; ssl_session_cache shared:s:8m;
             root {root};
           }}
         }}",
        dir = folder.display(),
        certificate = workshop.certs.server.display(),
        key = workshop.certs.server_key.display(),
        root = workshop.objects().display(),
    );
    std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut command = Command::new(&peers.nginx);
    command.arg("-c").arg(config).args(["-g", "user root;"]);
    Ok(command)
}

fn caddy(workshop: &Workshop, peers: &Peers, port: u16) -> Result<Command, String> {
    let folder = workshop.folder.path();
    let config = folder.join("Caddyfile");
    let text = format!(
        "{{\n admin off\n auto_https off\n persist_config off\n storage file_system {dir}/caddy\n}}\n\
         https://localhost:{port} {{\n bind 127.0.0.1\n tls {certificate} {key}\n root * {root}\n file_server\n}}\n",
        dir = folder.display(),
        certificate = workshop.certs.server.display(),
        key = workshop.certs.server_key.display(),
        root = workshop.objects().display(),
    );
    std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut command = Command::new(&peers.caddy);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    Ok(command)
}

fn h2o(workshop: &Workshop, peers: &Peers, port: u16) -> Result<Command, String> {
    let folder = workshop.folder.path();
    let config = folder.join("h2o.conf");
    let text = format!(
        "user: root\nnum-threads: 1\nmax-connections: 8192\npid-file: {dir}/h2o.pid\naccess-log: {dir}/h2o-access.log\n\
         listen:\n  host: 127.0.0.1\n  port: {port}\n  ssl:\n    certificate-file: {certificate}\n    key-file: {key}\n\
         hosts:\n  default:\n    paths:\n      /:\n        file.dir: {root}\n",
        dir = folder.display(),
        certificate = workshop.certs.server.display(),
        key = workshop.certs.server_key.display(),
        root = workshop.objects().display(),
    );
    std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut command = Command::new(&peers.h2o);
    command.arg("-c").arg(config);
    Ok(command)
}

fn floor(workshop: &Workshop, port: u16) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["floor", "--port", &port.to_string(), "--certificate"]).arg(&workshop.certs.server);
    command.arg("--key").arg(&workshop.certs.server_key).arg("--root").arg(workshop.objects());
    workshop.paths.iter().for_each(|path| _ = command.args(["--object", path]));
    Ok(command)
}

/// A port nobody listens on at this moment.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// What the servers call themselves.
pub fn versions(kinds: &[Kind], peers: &Peers) -> String {
    let version = |kind: &Kind| match kind {
        Kind::Needledrop => format!("needledrop {}", env!("CARGO_PKG_VERSION")),
        Kind::Nginx => format!("nginx {}", number(&said(&peers.nginx, "-v")).trim_start_matches("nginx/")),
        Kind::Caddy => format!("Caddy {}", number(&said(&peers.caddy, "version")).trim_start_matches('v')),
        Kind::H2o => format!("h2o {}", number(&said(&peers.h2o, "--version"))),
        Kind::Floor => "the floor: rustls, h2, quinn and h3 alone".to_owned(),
    };
    kinds.iter().map(version).collect::<Vec<_>>().join(", ")
}

fn number(text: &str) -> &str {
    text.split_whitespace().find(|word| word.contains('.')).unwrap_or("unknown")
}

/// All that a program prints when asked with one flag.
fn said(program: &Path, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// The commit of the tree that this is run in.
pub fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if said.is_empty() { "unknown".to_owned() } else { said }
}
