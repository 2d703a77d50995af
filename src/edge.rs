//! `needledrop edge`: signed range requests from a cache, in front of any origin.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, mpsc},
    time::Duration,
};

use arc_swap::ArcSwap;
use needledrop_core::{
    BLOCK_BYTES, Cidr, Keyring,
    cache::{PolicyKind, Shape},
};
use needledrop_edge::limits::DELIVERIES_BYTES_DEFAULT;
use needledrop_edge::purge::Log;
use needledrop_edge::{
    Clock, Deliveries, Edge, Shelf, Slab,
    slab::{self, Backend, Lease},
};
use needledrop_http::{
    Certificates, ClientAuth, ClientCa, Doors, DoorsConfig, Identity, KeyExchange, Roots, Running, Sockets,
    TicketSecret,
};

use crate::{
    admin, config, dns, inherited, keyfile,
    notify::Notify,
    origin, serve,
    takeover::{self, Desk, Held, Offer, Wish},
    units,
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

    /// The secret of session tickets, the same file on all edges of a cluster [default: one of this process]
    #[arg(long, env = "NEEDLEDROP_EDGE_TICKET_SECRET", value_name = "FILE")]
    ticket_secret: Option<PathBuf>,

    /// Whether clients that put post-quantum key exchange first get it [default: true]
    #[arg(long, env = "NEEDLEDROP_EDGE_PQ", value_name = "BOOL")]
    pq: Option<bool>,

    /// How long running answers may take to finish when the edge stops, in seconds [default: 10]
    #[arg(long, env = "NEEDLEDROP_EDGE_DRAIN_SECONDS", value_name = "SECONDS")]
    drain_seconds: Option<u64>,

    /// Take over from the edge that runs on the same data folder, if one does: its sockets and its cache
    #[arg(long)]
    take_over: bool,

    /// Print the DNS HTTPS records of this edge under a name, and do nothing
    #[arg(long, value_name = "NAME")]
    print_dns: Option<String>,

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
        config.ticket_secret = self.ticket_secret.clone().or(config.ticket_secret.take());
        config.pq = self.pq.or(config.pq).or(Some(true));
        config.drain_seconds = self.drain_seconds.or(config.drain_seconds).or(Some(DRAIN.as_secs()));
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
pub fn run(args: &Args, config: config::Edge, data: &Path) -> Result<ExitCode, String> {
    if let Some(name) = &args.print_dns {
        print!("{}", dns::records(name, &config.tls_listen)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (offer, given) = match args.take_over.then(|| takeover::ask(data)).transpose()?.flatten() {
        Some((offer, held)) => (Some(offer), held),
        None => (None, Held { public: inherited::take()?, admin: Sockets::default() }),
    };
    let Held { public: given, admin: given_admin } = given;
    if config.upstream.is_empty() && config.shields.is_empty() {
        return Err("say where the origin is: --upstream https://HOST:PORT".into());
    }
    if config.listen.is_empty() && config.tls_listen.is_empty() && given.is_empty() {
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
    let certificates = certificates(&config, &given)?;
    let tickets = config.ticket_secret.as_deref().map(TicketSecret::load).transpose();
    let tickets = tickets.map_err(|error| format!("--ticket-secret: {error}"))?;
    let mut doors_config = doors_config(&config, certificates.clone(), tickets.clone())?;
    // A service manager may have chosen the port.
    let given_port = given.quic.first().and_then(|socket| socket.local_addr().ok()).map(|address| address.port());
    doors_config.alt_svc = doors_config.alt_svc.or(given_port);
    let drain = config.drain_seconds.map_or(DRAIN, Duration::from_secs);
    let notify = Notify::from_env();
    let office = admin::Office::new(config.admin.clone(), data, certificates.clone(), roots, identity)?
        .in_region(config.region.clone());
    let shape = shape(&config)?;
    let admission = config.limits.admission()?;
    // From here on the running edge, if there is one, stores nothing any more.
    let lease = offer.as_ref().map(Offer::lease).transpose()?;
    let (go, gone) = mpsc::channel();
    let deliveries = deliveries(&config, lease.is_some().then_some(gone))?;
    let slab = slab(&config, data, lease)?;
    let shelf = shelf(plan, slab.clone(), shape)?;
    if let Some(log) = deliveries {
        shelf.keep_deliveries(log);
    }
    let edge = Edge::new(name.clone(), keys.clone(), config.public.clone().unwrap_or_default(), shelf.clone())
        .limited(admission);
    serve::block_on(async move {
        let mut stops = serve::Stops::watch()?;
        shelf.upstream.start_checks();
        let mut doors = Doors::bind_with(doors_config, given).map_err(|error| error.to_string())?;
        for address in doors.plain_addrs() {
            println!("edge on http://{address}");
        }
        for address in doors.tls_addrs() {
            println!("edge on https://{address} (HTTP/1.1, HTTP/2; HTTP/3 on the same UDP port)");
        }
        shelf.metrics.add_doors(doors.counters());
        let admin = office.open(&name, &shelf, &keys, given_admin)?;
        // Neighbours may take their time; nobody has to wait for them to stop us.
        tokio::select! {
            () = office.catch_up(&shelf) => {}
            () = stops.come() => return Ok(ExitCode::SUCCESS),
        }
        let public = doors.sockets().map_err(|error| format!("cannot copy the listening sockets: {error}"))?;
        let offer = match offer {
            Some(offer) => Some(join_quic(&mut doors, offer).await?),
            None => None,
        };
        let running = doors.serve(Arc::new(edge));
        let (admin_running, admin) = admin.map_or_else(Default::default, |(running, sockets)| (Some(running), sockets));
        notify.ready();
        if let Some(offer) = offer {
            let gone = move || {
                slab.former_owner_left();
                drop(go);
                tracing::info!("the edge before this one is gone; the cache is written again");
            };
            offer.serving(gone).map_err(|error| format!("take-over: {error}"))?;
        }
        let (wishes, wished) = tokio::sync::mpsc::channel(1);
        // An edge that cannot be taken over still serves.
        let desk = Desk::open(data, Held { public, admin }, wishes)
            .inspect_err(|error| tracing::warn!(%error, "no other process can take over from this one"))
            .ok();
        let neighbours = tokio::spawn(office.follow(shelf.clone()));
        let following = tokio::spawn(keyfile::follow(key_path, keys));
        let hangup = tokio::spawn(serve::on_hangup(reload(certificates, tickets, notify.clone())));
        let alive = tokio::spawn(notify.clone().keep_alive());
        tokio::select! {
            () = stops.come() => notify.stopping(),
            () = taken_over(wished, &shelf, &running) => println!("edge handed over; draining"),
        }
        for task in [following, neighbours, hangup] {
            task.abort();
        }
        if let Some(desk) = desk {
            desk.close();
        }
        serve::drain(vec![running], drain).await;
        alive.abort();
        drop(admin_running);
        Ok(ExitCode::SUCCESS)
    })
}

/// What is for the QUIC connections of the edge before goes there from now on.
async fn join_quic(doors: &mut Doors, offer: Offer) -> Result<Offer, String> {
    let asked = tokio::task::spawn_blocking(move || offer.quic().map(|links| (offer, links)));
    let (offer, links) = asked.await.map_err(|error| error.to_string())??;
    doors.join_quic(links).map_err(|error| format!("take-over: {error}"))?;
    Ok(offer)
}

/// Does what a new process asks for; ready when that one serves.
async fn taken_over(mut wished: Wishes, shelf: &Arc<Shelf>, running: &Running) {
    while let Some(wish) = wished.recv().await {
        match wish {
            Wish::Lease(reply) => {
                tracing::info!("a new process takes over: the cache is not written any more");
                let shelf = shelf.clone();
                let lease = tokio::task::spawn_blocking(move || shelf.hand_over()).await;
                let _ = reply.send(lease.unwrap_or_else(|error| Err(io::Error::other(error))));
            }
            Wish::Quic(reply) => drop(reply.send(running.hand_over_quic().await)),
            Wish::Leave => return,
        }
    }
    // Nobody listens for wishes: only a signal ends this process.
    std::future::pending::<()>().await;
}

/// Reads certificate and ticket secret again; a bad one leaves the former in use. The key file is watched anyway.
fn reload(
    certificates: Option<Arc<Certificates>>,
    tickets: Option<Arc<TicketSecret>>,
    notify: Notify,
) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        notify.reloading();
        if let Some(certificates) = &certificates {
            origin::reload(certificates);
        }
        match tickets.as_ref().map(|tickets| tickets.reload()) {
            Some(Ok(())) => tracing::info!("ticket secret reloaded"),
            Some(Err(error)) => tracing::error!(%error, "ticket secret not reloaded, the former one stays"),
            None => {}
        }
        notify.ready();
    })
}

/// The log of delivery records, if one is kept. Blocks on files.
/// `gone` is heard when the process before this one has ended, which writes to the same folder until then.
fn deliveries(config: &config::Edge, gone: Option<mpsc::Receiver<()>>) -> Result<Option<Arc<Deliveries>>, String> {
    let Some(dir) = &config.deliveries else { return Ok(None) };
    let bytes = match &config.deliveries_size {
        Some(size) => units::parse_bytes(size).map_err(|error| format!("deliveries_size: {error}"))?,
        None => DELIVERIES_BYTES_DEFAULT,
    };
    let log = match gone {
        Some(gone) => Deliveries::open_after(dir, bytes, Clock::system(), gone),
        None => Deliveries::open(dir, bytes, Clock::system()),
    };
    log.map(|log| Some(Arc::new(log))).map_err(|error| format!("deliveries folder {}: {error}", dir.display()))
}

/// The cache folder, by default one in the data folder; with a `lease` from the process that has it. Blocks on files.
pub fn slab(config: &config::Edge, data: &Path, lease: Option<Lease>) -> Result<Arc<Slab>, String> {
    let dir = config.cache.clone().unwrap_or_else(|| data.join("cache"));
    let bytes = match (config.cache_size.as_deref().unwrap_or(CACHE_SIZE), &lease) {
        // What suited the disk when the cache was made.
        ("auto", Some(lease)) => u64::from(lease.slots) * BLOCK_BYTES,
        ("auto", None) => auto_bytes(&dir)?,
        (size, _) => units::parse_bytes(size).map_err(|error| format!("cache size: {error}"))?,
    };
    let backend = config.cache_backend.as_deref().map_or(Ok(Backend::default()), str::parse)?;
    Slab::take_over(&dir, slab::Options { bytes, backend, drill: None }, lease.as_ref())
        .map_err(|error| error.to_string())
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

/// What new processes ask for.
type Wishes = tokio::sync::mpsc::Receiver<Wish>;

/// Signing keys as an edge holds them.
pub type Keys = Arc<ArcSwap<Keyring>>;

fn certificates(config: &config::Edge, given: &Sockets) -> Result<Option<Arc<Certificates>>, String> {
    let (Some(cert), Some(key)) = (&config.cert, &config.key) else { return Ok(None) };
    let is_asked_for = !config.tls_listen.is_empty() || config.admin.tls_listen.is_some();
    if !is_asked_for && given.tls.is_empty() && given.quic.is_empty() {
        return Ok(None);
    }
    Certificates::load(cert, key)
        .map(Some)
        .map_err(|error| format!("{error}; `needledrop certs` makes certificates for development"))
}

fn doors_config(
    config: &config::Edge,
    certificates: Option<Arc<Certificates>>,
    ticket_secret: Option<Arc<TicketSecret>>,
) -> Result<DoorsConfig, String> {
    let trusted: Result<Vec<_>, _> = config.trusted.iter().map(|network| Cidr::parse(network)).collect();
    let mut doors = DoorsConfig {
        plain: config.listen.clone(),
        tls: config.tls_listen.clone(),
        quic: config.tls_listen.clone(),
        certificates,
        ticket_secret,
        node: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        key_exchange: if config.pq == Some(false) { KeyExchange::Classical } else { KeyExchange::Hybrid },
        trusted: trusted.map_err(|error| format!("trusted: {error}"))?,
        proxy_v2: config.proxy_v2,
        alt_svc: config.tls_listen.first().map(SocketAddr::port).filter(|port| *port != 0),
        client_ca: config.client_ca.clone().map(|pem| ClientCa { pem, auth: ClientAuth::Optional }),
        ..DoorsConfig::default()
    };
    config.limits.apply(&mut doors)?;
    Ok(doors)
}
