//! The servers under comparison, each fresh in a scratch folder, each on core 0, in front of one upstream.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use needledrop_core::{
    Claims, KeyId, Keyring, ObjectPath, UnixSeconds,
    range::{RangeRequest, Resolved},
    sign,
    signed_url::Secret,
};
use needledrop_http::{Body, Doors, DoorsConfig, Handler, Request, Running};

use super::OBJECT_BYTES;
use crate::machine;

/// Room for everything plus what a partly filled slice or block may waste. Unit: bytes beyond the objects.
const SPARE_BYTES: u64 = 512 << 20;

/// How long a server may take until it accepts connections.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Whom we measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our edge, signatures checked.
    Needledrop,
    /// nginx with its documented slice of 1 MiB.
    NginxMib,
    /// nginx with a slice as large as our block.
    NginxBlock,
}

/// In the order of the table.
pub const KINDS: [Kind; 3] = [Kind::Needledrop, Kind::NginxMib, Kind::NginxBlock];

impl Kind {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Needledrop => "needledrop",
            Self::NginxMib => "nginx, slice 1m",
            Self::NginxBlock => "nginx, slice 128k",
        }
    }
}

/// Why a server is not there.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It could not be started at all.
    #[error("{program} cannot be started: {reason}")]
    Missing {
        /// Which program.
        program: String,
        /// What the system says.
        reason: io::Error,
    },
    /// It was started and does not accept connections.
    #[error("{name} does not answer; it said: {said}")]
    Silent {
        /// Which server.
        name: &'static str,
        /// The end of its error output.
        said: String,
    },
    /// The workshop around it failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The doors of the upstream.
    #[error(transparent)]
    Doors(#[from] needledrop_http::DoorsError),
}

/// A scratch folder, an upstream and a signing key.
pub struct Workshop {
    folder: tempfile::TempDir,
    upstream: SocketAddr,
    sent: Arc<AtomicU64>,
    objects: u32,
    keyring: Keyring,
    _running: Running,
}

impl Workshop {
    /// A new one, with an upstream that has `objects` objects.
    pub async fn open(objects: u32) -> Result<Self, ServerError> {
        let doors =
            Doors::bind(DoorsConfig { plain: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..DoorsConfig::default() })?;
        let upstream = doors.plain_addrs()[0];
        let sent = Arc::new(AtomicU64::new(0));
        let source = Source { sent: sent.clone(), bytes: Bytes::from(noise(OBJECT_BYTES as usize)) };
        let key = KeyId::parse("bench").expect("a constant name");
        Ok(Self {
            folder: tempfile::tempdir()?,
            upstream,
            sent,
            objects,
            keyring: Keyring::new(key, Secret::from_bytes([9; 32])),
            _running: doors.serve(Arc::new(source)),
        })
    }

    /// Bytes of objects that went out of the upstream so far.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn cache_bytes(&self) -> u64 {
        u64::from(self.objects) * OBJECT_BYTES + SPARE_BYTES
    }
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// An upstream that has every object asked for.
struct Source {
    sent: Arc<AtomicU64>,
    bytes: Bytes,
}

impl Handler for Source {
    async fn call(&self, request: Request) -> Response<Body> {
        let asked = request.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let (status, part) = match asked.and_then(RangeRequest::parse).map(|range| range.resolve(OBJECT_BYTES)) {
            Some(Resolved::Parts(parts)) => (StatusCode::PARTIAL_CONTENT, parts[0].start()..parts[0].end()),
            _ => (StatusCode::OK, 0..OBJECT_BYTES),
        };
        let body = self.bytes.slice(part.start as usize..part.end as usize);
        self.sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        Response::builder()
            .status(status)
            .header(header::ETAG, "\"one\"")
            .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
            .header(header::CONTENT_TYPE, "audio/ogg")
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CONTENT_RANGE, format!("bytes {}-{}/{OBJECT_BYTES}", part.start, part.end - 1))
            .body(Body::full(body))
            .expect("constant fields")
    }
}

/// A running server; dropping it ends it.
pub struct Server {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    errors: PathBuf,
}

impl Server {
    /// Starts it and waits until it accepts connections.
    pub async fn start(
        kind: Kind,
        workshop: &Workshop,
        needledrop: Option<&Path>,
        nginx: &Path,
    ) -> Result<Self, ServerError> {
        let address = free_address()?;
        let errors = workshop.folder.path().join("errors");
        let mut command = match kind {
            Kind::Needledrop => needledrop_command(workshop, needledrop, address)?,
            Kind::NginxMib => nginx_command(workshop, nginx, address, "1m")?,
            Kind::NginxBlock => nginx_command(workshop, nginx, address, "128k")?,
        };
        let program = command.get_args().nth(2).unwrap_or_default().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&errors)?)
            .spawn()
            .map_err(|reason| ServerError::Missing { program, reason })?;
        let mut server = Self { kind, child, address, errors };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&mut self) -> Result<(), ServerError> {
        let until = std::time::Instant::now() + START_WITHIN;
        while TcpStream::connect(self.address).is_err() {
            let gone = self.child.try_wait()?.is_some();
            if gone || std::time::Instant::now() > until {
                let mut said = String::new();
                std::fs::File::open(&self.errors)?.read_to_string(&mut said)?;
                let tail = said.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
                return Err(ServerError::Silent { name: self.kind.name(), said: tail });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Where it listens, in plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to ask it for: one target for each object, signed for ours.
    pub fn targets(&self, workshop: &Workshop) -> Vec<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = Claims::until(UnixSeconds(now + 3_600));
        let path = |object| ObjectPath::parse(&format!("/tracks/{object:022}/1/160.ogg")).expect("a plain path");
        let target = |object| match self.kind {
            Kind::Needledrop => sign(&path(object), &claims, &workshop.keyring),
            _ => path(object).to_string(),
        };
        (0..workshop.objects).map(target).collect()
    }

    /// Processor seconds so far.
    pub fn cpu(&self) -> io::Result<f64> {
        machine::cpu_seconds(self.child.id())
    }

    /// Memory held now, without pages of mapped files.
    pub fn memory(&self) -> io::Result<u64> {
        machine::memory_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's master takes its workers with it only when asked to.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn on_core_zero(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

fn needledrop_command(workshop: &Workshop, program: Option<&Path>, address: SocketAddr) -> io::Result<Command> {
    let beside = std::env::current_exe()?.with_file_name("needledrop");
    let folder = workshop.folder.path();
    let keys = folder.join("keys.toml");
    std::fs::write(&keys, workshop.keyring.to_file())?;
    let mut command = on_core_zero(program.unwrap_or(&beside));
    command
        .args(["edge", "--upstream", &format!("http://{}", workshop.upstream), "--listen", &address.to_string()])
        .arg("--keys")
        .arg(keys)
        .arg("--cache")
        .arg(folder.join("cache"))
        .args(["--cache-size", &workshop.cache_bytes().to_string()]);
    Ok(command)
}

fn nginx_command(workshop: &Workshop, program: &Path, address: SocketAddr, slice: &str) -> io::Result<Command> {
    let folder = workshop.folder.path();
    let config = folder.join("nginx.conf");
    let text = format!(
        "daemon off; master_process on; worker_processes 1; pid {dir}/nginx.pid; error_log stderr warn;
         worker_rlimit_nofile 20000;
         events {{ worker_connections 8192; }}
         http {{
           access_log {dir}/access.log combined buffer=64k;
           sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 120s; send_timeout 120s;
           client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
           uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
           proxy_cache_path {dir}/cache levels=1:2 keys_zone=blocks:64m max_size={size} inactive=1d use_temp_path=off;
           upstream origin {{ server {upstream}; keepalive 32; }}
           server {{
             listen {address};
             location / {{
               slice {slice};
               proxy_cache blocks; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1d; proxy_cache_lock on;
               proxy_set_header Range $slice_range; proxy_http_version 1.1; proxy_set_header Connection \"\";
               proxy_pass http://origin;
             }}
           }}
         }}",
        dir = folder.display(),
        size = workshop.cache_bytes(),
        upstream = workshop.upstream,
    );
    std::fs::write(&config, text)?;
    let mut command = on_core_zero(program);
    command.arg("-c").arg(config).args(["-g", "user root;"]);
    Ok(command)
}

/// A port nobody listens on at this moment.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// What nginx calls itself, and our own version.
pub fn versions(nginx: &Path) -> String {
    let said =
        Command::new(nginx).arg("-v").output().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let nginx = said.unwrap_or_default().trim().trim_start_matches("nginx version: ").to_owned();
    format!("needledrop {}, {nginx}", env!("CARGO_PKG_VERSION"))
}
