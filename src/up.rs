//! `needledrop up`: origin, edge, library, accounts and player in one process, over the real path.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::Uri;
use needledrop_core::cache::Shape;
use needledrop_edge::{Edge, admin::Token};
use needledrop_gateway::Making;
use needledrop_http::{Certificates, DevCerts, Doors, DoorsConfig, DoorsError, Identity, Roots, Running, Sockets};
use needledrop_origin::{Origin, Vault};

use crate::{
    admin, config, edge,
    front::Front,
    keyfile,
    listing::Listing,
    ops, origin, serve,
    services::{self, Services},
    source::Source,
    upstreams::Plan,
};

/// Player and audio over plain HTTP: loopback only, so nothing must be trusted first.
const LISTEN: &str = "127.0.0.1:4040";
/// The same over TLS and QUIC.
const TLS_LISTEN: &str = "127.0.0.1:4443";
/// How many ports above the usual one are tried when that is taken.
const PORTS_TRIED: u16 = 10;
/// The built-in edge in Cache-Status and on the operator page.
const NAME: &str = "needledrop";
/// Time for running answers to finish on Ctrl-C. A player in the middle of a song is cut off then.
const DRAIN: Duration = Duration::from_millis(700);

/// Arguments of `needledrop up`.
#[derive(clap::Args)]
pub struct Args {
    /// A folder of music (repeatable) [default: what was ingested, else a demo library made here]
    #[arg(long, env = "NEEDLEDROP_MUSIC", value_name = "DIR", value_delimiter = ',')]
    music: Vec<PathBuf>,

    /// Plain HTTP for player, calls and audio [default: 127.0.0.1:4040]
    #[arg(long, env = "NEEDLEDROP_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// TLS (HTTP/1.1, HTTP/2) and QUIC (HTTP/3) for the same [default: 127.0.0.1:4443]
    #[arg(long, env = "NEEDLEDROP_TLS_LISTEN", value_name = "ADDR")]
    tls_listen: Option<SocketAddr>,

    /// Scheme and host put into URLs [default: those the client used]
    #[arg(long, env = "NEEDLEDROP_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Folder of certificates, as made by `needledrop certs` [default: certs in the data folder]
    #[arg(long, env = "NEEDLEDROP_CERTS", value_name = "DIR")]
    certs: Option<PathBuf>,

    /// Cache size, such as 20GiB [default: auto, which is 1GiB or what suits the disk]
    #[arg(long, env = "NEEDLEDROP_CACHE_SIZE", value_name = "SIZE")]
    cache_size: Option<String>,

    /// Admin port of the edge, plain HTTP on loopback [default: none]
    #[arg(long, env = "NEEDLEDROP_ADMIN", value_name = "ADDR")]
    admin: Option<SocketAddr>,

    /// An origin whose pages may call /v1 and /rest, such as https://music.example, or * (repeatable) [default: *]
    #[arg(long, env = "NEEDLEDROP_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,

    /// Where accounts, catalog and playlists are kept, postgres://USER@HOST/NAME [default: a SQLite file in the data
    /// folder]
    #[arg(long, env = "NEEDLEDROP_DATABASE", value_name = "URL")]
    database: Option<String>,
}

impl Args {
    /// Flags and environment go over the file; where nobody decided, a free port may be taken.
    pub fn decide(&self, config: &mut config::Up) {
        if !self.music.is_empty() {
            config.music.clone_from(&self.music);
        }
        config.listen = self.listen.or(config.listen);
        config.tls_listen = self.tls_listen.or(config.tls_listen);
        config.admin = self.admin.or(config.admin);
        config.database = self.database.clone().or(config.database.take());
        config.public_url = self.public_url.clone().or(config.public_url.take());
        config.certs = self.certs.clone().or(config.certs.take());
        config.cache_size = self.cache_size.clone().or(config.cache_size.take()).or(Some(edge::CACHE_SIZE.into()));
        if !self.cors_origin.is_empty() {
            config.calls.cors_origins = Some(self.cors_origin.clone());
        }
        config.limits.decide();
        config.calls.decide();
        config.sign_up.decide();
    }
}

/// Runs the subcommand until it is told to stop.
pub fn run(_: &Args, config: config::Up, ops: &config::Ops, data: &Path) -> Result<ExitCode, String> {
    for music in &config.music {
        std::fs::metadata(music).map_err(|error| format!("--music {}: {error}", music.display()))?;
    }
    let public_url = config.public_url.as_deref().map(parse_public_url).transpose()?;
    let key_path = keyfile::default_path(data);
    let keys = Arc::new(ArcSwap::from_pointee(keyfile::load_or_make(&key_path)?));
    let certs_dir = config.certs.clone().unwrap_or_else(|| data.join("certs"));
    let certs = DevCerts::ensure(&certs_dir, &[], SystemTime::now()).map_err(|error| error.to_string())?;
    let source = Source::choose(&config.music, data)?;
    let desk = config::Admin { listen: config.admin, ..config::Admin::default() };
    let office = admin::Office::new(desk, data, None, Roots::System, None)?.in_region(ops.region.clone());
    let ops = ops.clone();
    let (listing, library) = Listing::open(source.vault.clone())?;

    serve::block_on(async move {
        let mut stops = serve::Stops::watch()?;
        let (origin, upstream) = start_origin(&certs, &source.vault)?;
        let identity = Identity { certificate: certs.edge.clone(), key: certs.edge_key.clone() };
        let cache = config::Edge { cache_size: config.cache_size.clone(), ..config::Edge::default() };
        let slab = edge::slab(&cache, data, None)?;
        let shelf = edge::shelf(
            Plan::simple(&[upstream.as_str().into()], Roots::Pem(certs.ca.clone()), identity),
            slab,
            Shape::default(),
        )?;
        let certificates = Certificates::load(&certs.server, &certs.server_key).map_err(|error| error.to_string())?;
        let doors = open_doors(&config, &certificates)?;
        let making = Arc::new(Making::new(source.has_work()));
        let addresses = Addresses::of(&doors);
        let hosts = addresses.hosts(public_url.as_deref());
        let mut built_in = office.desk(NAME, &shelf, &keys, Token::fresh().map_err(|error| error.to_string())?);
        built_in.about.certificates = Some(certificates.clone());
        let wish = services::Wish {
            data,
            database: config.database.as_deref(),
            public_url: public_url.as_deref(),
            is_local: addresses.are_local(public_url.as_deref()),
            limits: config.calls.settings(config.limits.not_counted()?),
            cors: config.calls.cors()?,
            edges: ops::edges(built_in, &ops)?,
            feeds: &config.feeds,
            sign_up: config.sign_up.policy()?,
        };
        let has_demo = wish.is_local;
        let services = Services::open(wish, keys.clone(), making.clone()).await?;
        let front = Front {
            gateway: services.gateway,
            edge: Edge::new(NAME.into(), keys.clone(), vec!["/art/".into()], shelf.clone())
                .limited(config.limits.admission()?),
            hosts,
        };
        shelf.metrics.add(|registry| front.gateway.register(registry));
        shelf.metrics.add_doors(doors.counters());
        let admin_running = office.open(NAME, &shelf, &keys, Sockets::default())?;
        let running = doors.serve(Arc::new(front));
        let tasks = [
            tokio::spawn(keyfile::follow(key_path, keys)),
            tokio::spawn(listing.clone().follow(library)),
            tokio::spawn(services.follower.follow(listing.clone())),
            tokio::spawn(services.keeper.clone().tidy()),
            tokio::spawn(services.ops.watch()),
            tokio::spawn(serve::on_hangup(Arc::new(move || origin::reload(&certificates)))),
        ];
        tell(&addresses, listing.now().tracks.len(), &source, &certs);
        tell_who(has_demo, services.one_time_password.as_deref());
        let stop = Arc::new(AtomicBool::new(false));
        let maker = source.start(stop.clone(), making);
        stops.come().await;
        eprintln!("\nstopping");
        stop.store(true, Ordering::Relaxed);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        serve::drain(vec![running, origin], DRAIN).await;
        services.keeper.close().await;
        drop(admin_running);
        if let Some(maker) = maker {
            let _ = tokio::task::spawn_blocking(|| maker.join()).await;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn start_origin(certs: &DevCerts, vault: &Path) -> Result<(Running, String), String> {
    let certificates = Certificates::load(&certs.origin, &certs.origin_key).map_err(|error| error.to_string())?;
    let (doors, address) = origin::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &certificates, &certs.ca)?;
    let running = doors.serve(Arc::new(Origin::new(Vault::at(vault))));
    Ok((running, format!("https://{address}")))
}

/// Opens the doors where they were asked for, or near the usual ports.
fn open_doors(config: &config::Up, certificates: &Arc<Certificates>) -> Result<Doors, String> {
    let usual = |text: &str| text.parse::<SocketAddr>().expect("a constant address");
    let plain = config.listen.unwrap_or_else(|| usual(LISTEN));
    let tls = config.tls_listen.unwrap_or_else(|| usual(TLS_LISTEN));
    let (mut plain_port, mut tls_port) = (plain.port(), tls.port());
    loop {
        let (plain, tls) = (with_port(plain, plain_port), with_port(tls, tls_port));
        let mut doors = DoorsConfig {
            plain: vec![plain],
            tls: vec![tls],
            quic: vec![tls],
            certificates: Some(certificates.clone()),
            alt_svc: Some(tls.port()).filter(|port| *port != 0),
            ..DoorsConfig::default()
        };
        config.limits.apply(&mut doors)?;
        match Doors::bind(doors) {
            Err(DoorsError::Bind { address, reason }) if reason.kind() == ErrorKind::AddrInUse => {
                let is_plain = address == plain;
                let (asked, port, first) = match is_plain {
                    true => (config.listen.is_some(), &mut plain_port, usual(LISTEN).port()),
                    false => (config.tls_listen.is_some(), &mut tls_port, usual(TLS_LISTEN).port()),
                };
                if asked || *port + 1 >= first + PORTS_TRIED {
                    let flag = if is_plain { "--listen" } else { "--tls-listen" };
                    return Err(format!("{address} is in use by another program; choose another with {flag} ADDR"));
                }
                *port += 1;
            }
            bound => return bound.map_err(|error| error.to_string()),
        }
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn parse_public_url(text: &str) -> Result<String, String> {
    let url: Uri = text.parse().map_err(|error| format!("--public-url {text}: {error}"))?;
    let is_base = matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some() && url.path() == "/";
    match is_base && url.query().is_none() {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(format!("--public-url {text}: write it as https://HOST or https://HOST:PORT")),
    }
}

/// Where the doors are.
struct Addresses {
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Addresses {
    fn of(doors: &Doors) -> Self {
        Self { plain: doors.plain_addrs()[0], tls: doors.tls_addrs()[0] }
    }

    fn are_on_loopback(&self) -> bool {
        self.plain.ip().is_loopback() && self.tls.ip().is_loopback()
    }

    /// Whether no stranger can ask: the doors are on loopback, and no other name leads to them, as that of a proxy would.
    fn are_local(&self, public_url: Option<&str>) -> bool {
        let is_local = |host: String| LOCAL_HOSTS.contains(&host.as_str());
        self.are_on_loopback() && public_url.is_none_or(|url| host_of(url).is_some_and(is_local))
    }

    /// Hosts that may be asked for: anything once the doors are open to other machines.
    fn hosts(&self, public_url: Option<&str>) -> Vec<String> {
        if !self.are_on_loopback() {
            return Vec::new();
        }
        LOCAL_HOSTS.into_iter().map(str::to_owned).chain(public_url.and_then(host_of)).collect()
    }
}

/// Names of this machine for itself.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn host_of(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

/// `localhost` rather than an address where it is one: browsers trust it more.
fn host(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    }
}

fn tell(addresses: &Addresses, tracks: usize, source: &Source, certs: &DevCerts) {
    let count = match (tracks, source.has_work()) {
        (0, true) => "the first track in a few seconds".to_owned(),
        (1, _) => "1 track".to_owned(),
        (count, _) => format!("{count} tracks"),
    };
    println!("needledrop {}\n", env!("CARGO_PKG_VERSION"));
    println!("  listen    http://{}/", host(addresses.plain));
    println!(
        "  TLS       https://{}/   HTTP/1.1, HTTP/2, HTTP/3; trust {} first",
        host(addresses.tls),
        certs.ca.display()
    );
    println!("  library   {count}, in {}", source.vault.display());
    println!("  stop      Ctrl-C\n");
}

/// Who may sign in.
fn tell_who(has_demo: bool, first_password: Option<&str>) {
    if let Some(password) = first_password {
        println!("  admin     sign in as admin with {password} (shown once; it asks for another)");
    }
    if has_demo {
        println!("  demo      one click signs in as demo: nobody but this machine can ask");
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_scheme_and_host() {
        assert_eq!(parse_public_url("https://music.example/"), Ok("https://music.example".to_owned()));
        for wrong in ["music.example", "ftp://music.example", "https://music.example/path", "https://music.example/?q"]
        {
            assert!(parse_public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn on_loopback_only_local_hosts_are_answered() {
        let local = Addresses { plain: "127.0.0.1:1".parse().unwrap(), tls: "127.0.0.1:2".parse().unwrap() };
        let hosts = local.hosts(Some("https://music.example:8443"));
        assert!(hosts.contains(&"localhost".to_owned()) && hosts.contains(&"music.example".to_owned()));
        let open = Addresses { plain: "0.0.0.0:1".parse().unwrap(), ..local };
        assert!(open.hosts(None).is_empty());
    }

    #[test]
    fn a_demo_account_is_for_this_machine_alone() {
        let local = Addresses { plain: "127.0.0.1:1".parse().unwrap(), tls: "[::1]:2".parse().unwrap() };
        assert!(local.are_local(None) && local.are_local(Some("http://localhost:4040")));
        assert!(!local.are_local(Some("https://music.example")), "a proxy lets strangers in");
        assert!(!Addresses { tls: "0.0.0.0:2".parse().unwrap(), ..local }.are_local(None));
    }
}
