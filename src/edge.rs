//! `needledrop edge`: signed range requests from a cache, in front of any origin.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use needledrop_core::{
    Cidr, Keyring,
    cache::{PolicyKind, Shape},
};
use needledrop_edge::limits::DELIVERIES_BYTES_DEFAULT;
use needledrop_edge::purge::Log;
use needledrop_edge::{
    Clock, Deliveries, Edge, Shelf, Slab,
    slab::{self, Backend},
};
use needledrop_http::{Certificates, ClientAuth, ClientCa, Doors, DoorsConfig, Identity, Roots};

use crate::{
    admin, config, keyfile, origin, serve, units,
    upstreams::{self, Plan},
};

/// Time for listeners to finish what they are fetching: two steps of 512 KiB on a slow line.
const DRAIN: Duration = Duration::from_secs(10);

/// How large a cache is that nobody gave a size.
pub const CACHE_SIZE: &str = "auto";
/// What `auto` is where the disk has room. Unit: bytes.
const CACHE_BYTES_AUTO: u64 = 1 << 30;

/// Arguments of `needledrop edge`.
#[derive(clap::Args)]
pub struct Args {
    /// Scheme and authority of an origin, such as https://origin.example:4500 (repeatable)
    #[arg(long, env = "NEEDLEDROP_EDGE_UPSTREAM", value_name = "URL", value_delimiter = ',')]
    upstream: Vec<String>,

    /// Another edge to fill from, shown the certificate of --client-cert (repeatable)
    #[arg(long, env = "NEEDLEDROP_EDGE_SHIELD", value_name = "URL", value_delimiter = ',')]
    shield: Vec<String>,

    /// The region of this edge, by which shields are chosen
    #[arg(long, env = "NEEDLEDROP_EDGE_REGION", value_name = "NAME")]
    region: Option<String>,

    /// The authority of other edges' certificates, PEM: such a peer needs no signed URL
    #[arg(long, env = "NEEDLEDROP_EDGE_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Plain HTTP listener (repeatable)
    #[arg(long, env = "NEEDLEDROP_EDGE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    /// TLS (HTTP/1.1, HTTP/2) and QUIC (HTTP/3) listener (repeatable)
    #[arg(long, env = "NEEDLEDROP_EDGE_TLS_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    tls_listen: Vec<SocketAddr>,

    /// Certificate chain, PEM [default: certs/server.pem]
    #[arg(long, env = "NEEDLEDROP_EDGE_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key, PEM [default: certs/server.key]
    #[arg(long, env = "NEEDLEDROP_EDGE_KEY", value_name = "FILE")]
    key: Option<PathBuf>,

    /// The key file of signed URLs [default: keys.toml in the data folder]
    #[arg(long, env = "NEEDLEDROP_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Authorities to trust upstream, PEM [default: the system's]
    #[arg(long, env = "NEEDLEDROP_EDGE_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<PathBuf>,

    /// Certificate to show upstream, PEM
    #[arg(long, env = "NEEDLEDROP_EDGE_CLIENT_CERT", value_name = "FILE")]
    client_cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(long, env = "NEEDLEDROP_EDGE_CLIENT_KEY", value_name = "FILE")]
    client_key: Option<PathBuf>,

    /// The cache folder, this edge's alone [default: cache in the data folder]
    #[arg(long, env = "NEEDLEDROP_EDGE_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,

    /// Cache size, such as 200GiB [default: auto, which is 1GiB or what suits the disk]
    #[arg(long, env = "NEEDLEDROP_EDGE_CACHE_SIZE", value_name = "SIZE")]
    cache_size: Option<String>,

    /// How blocks come out of the cache's files: mmap or pread [default: mmap]
    #[arg(long, env = "NEEDLEDROP_EDGE_CACHE_BACKEND", value_name = "BACKEND")]
    cache_backend: Option<String>,

    /// Who leaves when the cache is full: s3-fifo, w-tinylfu, sieve or lru [default: s3-fifo]
    #[arg(long, env = "NEEDLEDROP_EDGE_CACHE_POLICY", value_name = "POLICY")]
    cache_policy: Option<String>,

    /// Keep delivery records in this folder, until they are shipped over the admin port
    #[arg(long, env = "NEEDLEDROP_EDGE_DELIVERIES", value_name = "DIR")]
    deliveries: Option<PathBuf>,

    /// The name in Cache-Status [default: needledrop]
    #[arg(long, env = "NEEDLEDROP_EDGE_NAME", value_name = "NAME")]
    name: Option<String>,

    /// A network whose Forwarded header (or PROXY v2) is believed (repeatable)
    #[arg(long, value_name = "CIDR")]
    trusted: Vec<String>,

    /// Connections from trusted peers begin with a PROXY v2 header
    #[arg(long)]
    proxy_v2: bool,

    #[command(flatten)]
    admin: admin::Args,
}

impl Args {
    /// Flags and environment go over the file.
    pub fn decide(&self, config: &mut config::Edge) {
        let certs = needledrop_http::DevCerts::paths(Path::new("certs"));
        if !self.upstream.is_empty() {
            config.upstream = self.upstream.iter().map(|url| url.as_str().into()).collect();
        }
        if !self.shield.is_empty() {
            config.shields = self.shield.iter().map(|url| url.as_str().into()).collect();
        }
        config.region = self.region.clone().or(config.region.take());
        config.client_ca = self.client_ca.clone().or(config.client_ca.take());
        if !self.listen.is_empty() || !self.tls_listen.is_empty() {
            config.listen.clone_from(&self.listen);
            config.tls_listen.clone_from(&self.tls_listen);
        }
        config.cert = self.cert.clone().or(config.cert.take()).or(Some(certs.server));
        config.key = self.key.clone().or(config.key.take()).or(Some(certs.server_key));
        config.keys = self.keys.clone().or(config.keys.take());
        config.upstream_ca = self.upstream_ca.clone().or(config.upstream_ca.take());
        config.client_cert = self.client_cert.clone().or(config.client_cert.take());
        config.client_key = self.client_key.clone().or(config.client_key.take());
        config.cache = self.cache.clone().or(config.cache.take());
        config.cache_size = self.cache_size.clone().or(config.cache_size.take()).or(Some(CACHE_SIZE.into()));
        config.cache_policy =
            self.cache_policy.clone().or(config.cache_policy.take()).or(Some(Shape::default().policy.to_string()));
        config.cache_backend =
            self.cache_backend.clone().or(config.cache_backend.take()).or(Some(Backend::default().to_string()));
        config.deliveries = self.deliveries.clone().or(config.deliveries.take());
        config.name = self.name.clone().or(config.name.take()).or(Some("needledrop".into()));
        config.public.get_or_insert_with(|| vec!["/art/".into()]);
        if !self.trusted.is_empty() {
            config.trusted.clone_from(&self.trusted);
        }
        config.proxy_v2 |= self.proxy_v2;
        config.limits.decide();
        self.admin.decide(&mut config.admin);
    }
}

/// Runs the subcommand until it is told to stop.
pub fn run(config: config::Edge, data: &Path) -> Result<ExitCode, String> {
    if config.upstream.is_empty() && config.shields.is_empty() {
        return Err("say where the origin is: --upstream https://HOST:PORT".into());
    }
    if config.listen.is_empty() && config.tls_listen.is_empty() {
        return Err("say where to listen: --listen ADDR for plain HTTP, --tls-listen ADDR for TLS and QUIC".into());
    }
    let key_path = config.keys.clone().unwrap_or_else(|| keyfile::default_path(data));
    let keys = Arc::new(ArcSwap::from_pointee(keyfile::load(&key_path)?));
    let roots = config.upstream_ca.clone().map_or(Roots::System, Roots::Pem);
    let identity = match (config.client_cert.clone(), config.client_key.clone()) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        _ => return Err("--client-cert and --client-key go together".into()),
    };
    let slab = slab(&config, data)?;
    let name = parse_name(config.name.as_deref().unwrap_or("needledrop"))?;
    let plan = Plan {
        name: &name,
        region: config.region.as_deref(),
        origins: &config.upstream,
        shields: &config.shields,
        health: config.health_path.as_deref(),
        first_byte_ms: config.first_byte_ms,
        stale_if_error: config.stale_if_error,
        roots: roots.clone(),
        identity: identity.clone(),
    };
    let shelf = shelf(plan, slab, shape(&config)?)?;
    if let Some(log) = deliveries(&config)? {
        shelf.keep_deliveries(log);
    }
    let certificates = certificates(&config)?;
    let doors_config = doors_config(&config, certificates.clone())?;
    let office = admin::Office::new(config.admin.clone(), data, certificates.clone(), roots, identity)?;
    let edge = Edge::new(name.clone(), keys.clone(), config.public.clone().unwrap_or_default(), shelf.clone())
        .limited(config.limits.admission()?);
    serve::block_on(async move {
        shelf.upstream.start_checks();
        let doors = Doors::bind(doors_config).map_err(|error| error.to_string())?;
        for address in doors.plain_addrs() {
            println!("edge on http://{address}");
        }
        for address in doors.tls_addrs() {
            println!("edge on https://{address} (HTTP/1.1, HTTP/2; HTTP/3 on the same UDP port)");
        }
        shelf.metrics.add_doors(doors.counters());
        let admin_running = office.open(&name, &shelf, &keys)?;
        office.catch_up(&shelf).await;
        let running = doors.serve(Arc::new(edge));
        let neighbours = tokio::spawn(office.follow(shelf));
        let following = tokio::spawn(keyfile::follow(key_path, keys));
        let hangup = certificates.map(|certificates| tokio::spawn(serve::on_hangup(origin::reload(certificates))));
        serve::until_stopped().await?;
        following.abort();
        neighbours.abort();
        if let Some(hangup) = hangup {
            hangup.abort();
        }
        serve::drain(vec![running], DRAIN).await;
        drop(admin_running);
        Ok(ExitCode::SUCCESS)
    })
}

/// The log of delivery records, if one is kept. Blocks on files.
fn deliveries(config: &config::Edge) -> Result<Option<Arc<Deliveries>>, String> {
    let Some(dir) = &config.deliveries else { return Ok(None) };
    let bytes = match &config.deliveries_size {
        Some(size) => units::parse_bytes(size).map_err(|error| format!("deliveries_size: {error}"))?,
        None => DELIVERIES_BYTES_DEFAULT,
    };
    let log = Deliveries::open(dir, bytes, Clock::system());
    log.map(|log| Some(Arc::new(log))).map_err(|error| format!("deliveries folder {}: {error}", dir.display()))
}

/// The cache folder, by default one in the data folder. Blocks on files.
pub fn slab(config: &config::Edge, data: &Path) -> Result<Arc<Slab>, String> {
    let dir = config.cache.clone().unwrap_or_else(|| data.join("cache"));
    let bytes = match config.cache_size.as_deref().unwrap_or(CACHE_SIZE) {
        "auto" => auto_bytes(&dir)?,
        size => units::parse_bytes(size).map_err(|error| format!("cache size: {error}"))?,
    };
    let backend = config.cache_backend.as_deref().map_or(Ok(Backend::default()), str::parse)?;
    Slab::open_with(&dir, slab::Options { bytes, backend, drill: None }).map_err(|error| error.to_string())
}

/// A GiB, or less on a disk that is nearly full.
fn auto_bytes(dir: &Path) -> Result<u64, String> {
    let bytes = slab::fitting_bytes(dir, CACHE_BYTES_AUTO).map_err(|error| format!("{}: {error}", dir.display()))?;
    if bytes < CACHE_BYTES_AUTO {
        tracing::warn!(mib = bytes >> 20, "the disk has little room: a small cache; --cache-size decides otherwise");
    }
    Ok(bytes)
}

/// The policy of the cache.
fn shape(config: &config::Edge) -> Result<Shape, String> {
    let policy = config.cache_policy.as_deref().map(str::parse::<PolicyKind>).transpose();
    let policy = policy.map_err(|error| format!("cache policy: {error}"))?;
    Ok(policy.map_or_else(Shape::default, |policy| Shape { policy, ..Shape::default() }))
}

/// Objects, blocks and the way upstream. Blocks on files.
pub fn shelf(plan: Plan<'_>, slab: Arc<Slab>, shape: Shape) -> Result<Arc<Shelf>, String> {
    let clock = Clock::system();
    let upstreams = upstreams::group(plan, &clock)?;
    // The slab's lock is held: the log, like the slab, is one process's alone.
    let purges = Log::open(slab.dir()).map_err(|error| error.to_string())?;
    Ok(Shelf::with_purges(slab, upstreams, clock, shape, purges))
}

/// The name of an edge is a token in structured fields (RFC 9651 section 3.3.4).
pub fn parse_name(name: &str) -> Result<String, String> {
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let goes_on_well = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match begins_well && goes_on_well && name.len() <= 64 {
        true => Ok(name.to_owned()),
        false => {
            Err(format!("--name {name:?}: begin with a letter, then letters, digits, `-`, `_` and `.`, at most 64"))
        }
    }
}

/// Signing keys as an edge holds them.
pub type Keys = Arc<ArcSwap<Keyring>>;

fn certificates(config: &config::Edge) -> Result<Option<Arc<Certificates>>, String> {
    let (Some(cert), Some(key)) = (&config.cert, &config.key) else { return Ok(None) };
    if config.tls_listen.is_empty() && config.admin.tls_listen.is_none() {
        return Ok(None);
    }
    Certificates::load(cert, key)
        .map(Some)
        .map_err(|error| format!("{error}; `needledrop certs` makes certificates for development"))
}

fn doors_config(config: &config::Edge, certificates: Option<Arc<Certificates>>) -> Result<DoorsConfig, String> {
    let trusted: Result<Vec<_>, _> = config.trusted.iter().map(|network| Cidr::parse(network)).collect();
    let mut doors = DoorsConfig {
        plain: config.listen.clone(),
        tls: config.tls_listen.clone(),
        quic: config.tls_listen.clone(),
        certificates,
        trusted: trusted.map_err(|error| format!("trusted: {error}"))?,
        proxy_v2: config.proxy_v2,
        alt_svc: config.tls_listen.first().map(SocketAddr::port).filter(|port| *port != 0),
        client_ca: config.client_ca.clone().map(|pem| ClientCa { pem, auth: ClientAuth::Optional }),
        ..DoorsConfig::default()
    };
    config.limits.apply(&mut doors)?;
    Ok(doors)
}
