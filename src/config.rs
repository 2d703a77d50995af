//! The configuration file: what may stand in it, and what the roles decided from it.
//!
//! Every role reads the same TOML file (`--config`, or `needledrop.toml` in the working
//! folder if there is one). Environment variables and flags go over it. An unknown key is
//! an error that names it. `--print-config` shows what was decided, in the same format.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use needledrop_core::network::Cidr;
use needledrop_http::{Outside, Roots};
use needledrop_playback::account::Plan;
use needledrop_playback::sign_up::{MOST_ACCOUNTS_MAX, Policy};
use serde::{Deserialize, Serialize};

use crate::upstreams;

/// The file in the working folder that is read without being named.
pub const DEFAULT_FILE: &str = "needledrop.toml";

/// The whole file. Every section and every key may be left out.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder that everything is kept in.
    pub data: Option<PathBuf>,
    /// `needledrop up`.
    pub up: Up,
    /// `needledrop origin`.
    pub origin: Origin,
    /// `needledrop edge`.
    pub edge: Edge,
    /// The operator page of `needledrop up`.
    pub ops: Ops,
}

/// Settings of `needledrop up`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Up {
    /// Folders of music; without any, the built-in demo library plays.
    pub music: Vec<PathBuf>,
    /// Where player, calls and audio are served over plain HTTP.
    pub listen: Option<SocketAddr>,
    /// Where they are served over TLS (HTTP/1.1, HTTP/2) and QUIC (HTTP/3).
    pub tls_listen: Option<SocketAddr>,
    /// Scheme and authority put into URLs instead of the Host that was used.
    pub public_url: Option<String>,
    /// Folder of certificates.
    pub certs: Option<PathBuf>,
    /// Cache size, such as "20GiB", or "auto": 1 GiB, or what suits the disk.
    pub cache_size: Option<String>,
    /// The edge's admin port, on loopback; none without it.
    pub admin: Option<SocketAddr>,
    /// Where accounts, catalog and playlists are kept: a `postgres://` URL; without it a SQLite file in the data folder.
    pub database: Option<String>,
    /// Who may ask how often: for player, calls and audio together.
    pub limits: Limits,
    /// Who may call `/v1` and `/rest`, and how often.
    pub calls: Calls,
    /// Feeds of podcasts.
    pub feeds: Feeds,
    /// Who may make an account.
    pub sign_up: SignUp,
}

/// Who may make an account. Without a word here only who was invited by an administrator (`POST /v1/invitations`).
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignUp {
    /// Whether strangers may, without an invitation.
    pub open: bool,
    /// The plan of who comes without an invitation: "free", which is the default, or "premium".
    pub plan: Option<Plan>,
    /// With so many accounts nobody signs up any more, invited or not: 1,000 where nobody says otherwise, at most
    /// 1,000,000. The reasons stand with the numbers (`sign_up.rs` of playback).
    pub most_accounts: Option<u64>,
}

impl SignUp {
    /// Writes the defaults where nobody decided.
    pub fn decide(&mut self) {
        let usual = Policy::default();
        self.plan.get_or_insert(usual.plan);
        self.most_accounts.get_or_insert(usual.most_accounts);
    }

    /// As the accounts take it.
    ///
    /// # Errors
    /// No account, or too many.
    pub fn policy(&self) -> Result<Policy, String> {
        let usual = Policy::default();
        let most_accounts = self.most_accounts.unwrap_or(usual.most_accounts);
        if !(1..=MOST_ACCOUNTS_MAX).contains(&most_accounts) {
            return Err(format!("up.sign_up.most_accounts: {most_accounts}: it is 1 to {MOST_ACCOUNTS_MAX}"));
        }
        Ok(Policy { open: self.open, plan: self.plan.unwrap_or(usual.plan), most_accounts })
    }
}

/// What one account, or one network of strangers, may call. Zero switches a limit off; networks in `limits.exempt` are
/// not counted here either. The numbers' reasons stand with the defaults (`limits.rs` of the gateway).
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// Origins whose pages may call, such as "https://music.example"; "*" for all, which is the default, and an empty
    /// list for none. Never with the player's cookie.
    pub cors_origins: Option<Vec<String>>,
    /// Calls of an account that read, per second in the long run, and at once.
    pub read_rate: Option<u32>,
    /// See `read_rate`.
    pub read_burst: Option<u32>,
    /// Searches of an account.
    pub search_rate: Option<u32>,
    /// See `search_rate`.
    pub search_burst: Option<u32>,
    /// Changes of an account.
    pub write_rate: Option<u32>,
    /// See `write_rate`.
    pub write_burst: Option<u32>,
    /// Sign-ins of a network (IPv4 /24, IPv6 /56).
    pub sign_in_rate: Option<u32>,
    /// See `sign_in_rate`.
    pub sign_in_burst: Option<u32>,
    /// Calls of such a network without a good credential.
    pub stranger_rate: Option<u32>,
    /// See `stranger_rate`.
    pub stranger_burst: Option<u32>,
}

/// Where feeds of podcasts may be, and who adds them.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feeds {
    /// Whether every account adds, refreshes and removes feeds; without it administrators only.
    pub open: bool,
    /// Networks that feeds may be in although they are not public, at any port, such as "192.168.1.0/24". Whoever may
    /// add feeds can make this machine ask there.
    pub allow_networks: Vec<String>,
    /// Authorities of the feeds' servers, PEM; without it the system's.
    pub ca: Option<PathBuf>,
}

impl Feeds {
    /// As the podcasts take them.
    ///
    /// # Errors
    /// A network is none.
    pub fn settings(&self) -> Result<needledrop_podcast::Settings, String> {
        let network =
            |text: &String| Cidr::parse(text).map_err(|error| format!("feeds.allow_networks: {text}: {error}"));
        let allow = self.allow_networks.iter().map(network).collect::<Result<_, _>>()?;
        let roots = self.ca.clone().map_or(Roots::System, Roots::Pem);
        Ok(needledrop_podcast::Settings { outside: Outside::new(allow), roots, is_open: self.open })
    }
}

/// Settings of `needledrop origin`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// Where edges connect (TLS).
    pub listen: Option<SocketAddr>,
    /// Certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authority whose certificates edges show, PEM.
    pub client_ca: Option<PathBuf>,
}

/// Settings of `needledrop edge`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// The name in Cache-Status.
    pub name: Option<String>,
    /// Plain HTTP listeners.
    pub listen: Vec<SocketAddr>,
    /// TLS and QUIC listeners.
    pub tls_listen: Vec<SocketAddr>,
    /// Certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The file of the secret that session tickets are sealed with, the same on all edges of a cluster: 32 random
    /// bytes or more, readable by their owner only. Without it each process reads its own tickets alone.
    pub ticket_secret: Option<PathBuf>,
    /// Whether clients that put post-quantum key exchange first (X25519MLKEM768) get it.
    pub pq: Option<bool>,
    /// How long running answers may take to finish when the edge stops, in seconds.
    pub drain_seconds: Option<u64>,
    /// The file of signing keys.
    pub keys: Option<PathBuf>,
    /// Origins: a URL, or a list of URLs and of tables of `url` and `weight` (0 is a spare).
    #[serde(deserialize_with = "upstreams::one_or_many")]
    pub upstream: Vec<upstreams::Node>,
    /// Edges to fill from before an origin is asked: those of the own `region`, or of none.
    #[serde(deserialize_with = "upstreams::one_or_many")]
    pub shields: Vec<upstreams::Node>,
    /// Where this edge stands.
    pub region: Option<String>,
    /// What upstreams are asked for with HEAD to see whether they are alive, such as "/"; without it
    /// only real requests tell.
    pub health_path: Option<String>,
    /// How long a request that nothing has been sent of waits before it is a 504, in ms.
    pub first_byte_ms: Option<u64>,
    /// How long stale objects are served in an outage where upstream stated nothing, in seconds.
    pub stale_if_error: Option<u64>,
    /// The authority of other edges' certificates, PEM: with one of them no signed URL is needed.
    pub client_ca: Option<PathBuf>,
    /// Authorities to trust upstream, PEM; without it the system's.
    pub upstream_ca: Option<PathBuf>,
    /// Certificate to show upstream, PEM.
    pub client_cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub client_key: Option<PathBuf>,
    /// The folder of the cache; this edge's alone.
    pub cache: Option<PathBuf>,
    /// Cache size, such as "20GiB".
    pub cache_size: Option<String>,
    /// Who leaves when the cache is full: "s3-fifo", "w-tinylfu", "sieve" or "lru".
    pub cache_policy: Option<String>,
    /// How blocks come out of the cache's files: "mmap" or "pread".
    pub cache_backend: Option<String>,
    /// The folder of delivery records; without it none are kept. They stay until somebody ships them.
    pub deliveries: Option<PathBuf>,
    /// What unshipped delivery records may take, such as "512MiB"; beyond it new ones are refused.
    pub deliveries_size: Option<String>,
    /// Path prefixes served without a signature.
    pub public: Option<Vec<String>>,
    /// Networks whose Forwarded header is believed.
    pub trusted: Vec<String>,
    /// Whether trusted peers begin connections with a PROXY v2 header.
    pub proxy_v2: bool,
    /// Who may ask how often.
    pub limits: Limits,
    /// The admin port and the other edges.
    pub admin: Admin,
}

/// What one client network, listener or play may take of an edge. Zero switches a limit off; the numbers' reasons
/// stand with the defaults (`limits.rs` of http and edge).
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Networks that nothing of this is counted for; without it this machine's own addresses. Trusted proxies are
    /// never counted as connections, and their listeners by the address they tell.
    pub exempt: Option<Vec<String>>,
    /// Connections of an IPv4 address or IPv6 /64 at once.
    pub network_connections: Option<u32>,
    /// Connections of an IPv4 /24 or IPv6 /48 at once.
    pub neighbourhood_connections: Option<u32>,
    /// Requests per second of an IPv4 address or IPv6 /64 in the long run, and at once.
    pub network_rate: Option<u32>,
    /// See `network_rate`.
    pub network_burst: Option<u32>,
    /// Requests per second of an IPv4 /24 or IPv6 /48 in the long run, and at once.
    pub neighbourhood_rate: Option<u32>,
    /// See `neighbourhood_rate`.
    pub neighbourhood_burst: Option<u32>,
    /// Requests per second under one pseudonym (`uid`) in the long run, and at once.
    pub listener_rate: Option<u32>,
    /// See `listener_rate`.
    pub listener_burst: Option<u32>,
    /// Client networks that may fetch one play (`pid`) at a time.
    pub playback_networks: Option<u32>,
}

/// Settings of an edge's admin port.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Plain HTTP, on loopback.
    pub listen: Option<SocketAddr>,
    /// TLS, with the edge's certificate.
    pub tls_listen: Option<SocketAddr>,
    /// The file of the token; made when it is missing.
    pub token: Option<PathBuf>,
    /// The authority of the other edges' certificates, PEM.
    pub client_ca: Option<PathBuf>,
    /// The admin ports of the other edges.
    pub peers: Vec<String>,
}

/// The edges that the operator page watches, beside the one in its own process.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    /// Where the built-in edge stands.
    pub region: Option<String>,
    /// The others, at most 255.
    pub edges: Vec<OpsEdge>,
}

/// An edge elsewhere, as the operator page reaches it.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsEdge {
    /// How the page calls it.
    pub name: String,
    /// Where it stands; without it what the edge says itself.
    #[serde(default)]
    pub region: Option<String>,
    /// Its admin port, `https://HOST:PORT`; plain http on loopback only.
    pub admin: String,
    /// The file of its admin token, readable by its owner only.
    pub token: PathBuf,
    /// Authorities to trust, PEM; without it the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// The file is not what this version understands; the message names key and line.
    #[error("{path}: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads `file`, or the default file if that exists, or gives the defaults.
    ///
    /// # Errors
    /// The named file is missing or unreadable, or has an unknown key or a wrong value.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = match file {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }

    /// The configuration as TOML, for `--print-config`.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("plain tables of strings, numbers and lists")
    }
}

/// The folder for data that nobody named: the user's data folder, else one here.
pub fn default_data() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    base.map_or_else(|| PathBuf::from("needledrop-data"), |base| base.join("needledrop"))
}

/// The vault of ingested music in a data folder.
pub fn vault(data: &Path) -> PathBuf {
    data.join("vault")
}

/// The vault of the demo library in a data folder.
pub fn demo_vault(data: &Path) -> PathBuf {
    data.join("demo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<Config>("[edge]\nlissten = []\n").unwrap_err().to_string();
        assert!(error.contains("lissten"), "{error}");
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let mut config = Config::default();
        config.edge.name = Some("edge-fra1".into());
        config.up.listen = Some("127.0.0.1:4040".parse().unwrap());
        config.ops.edges.push(OpsEdge { name: "sin-1".into(), admin: "https://a:1".into(), ..OpsEdge::default() });
        let again: Config = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(again.to_toml(), config.to_toml());
    }

    #[test]
    fn sign_up_is_closed_unless_it_is_opened() {
        let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.up.sign_up);
        assert_eq!(read("").unwrap().policy(), Ok(Policy::default()));
        let said = read("[up.sign_up]\nopen = true\nplan = \"premium\"\nmost_accounts = 20\n").unwrap();
        assert_eq!(said.policy(), Ok(Policy { open: true, plan: Plan::Premium, most_accounts: 20 }));
        let mut decided = SignUp::default();
        decided.decide();
        assert_eq!(decided.policy(), Ok(Policy::default()));
        assert!(read("[up.sign_up]\nplan = \"gold\"\n").is_err());
        for most in [0, MOST_ACCOUNTS_MAX + 1] {
            let refused = SignUp { most_accounts: Some(most), ..SignUp::default() }.policy().unwrap_err();
            assert!(refused.contains("up.sign_up.most_accounts"), "{refused}");
        }
    }

    #[test]
    fn a_missing_named_file_is_an_error_and_a_missing_default_is_not() {
        assert!(Config::load(Some(Path::new("/nowhere/at-all.toml"))).is_err());
    }
}
