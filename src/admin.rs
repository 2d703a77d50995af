//! The admin port of an edge and its neighbours: flags, configuration, doors.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use needledrop_edge::{
    Admin, Cluster, Shelf,
    admin::{About, Token},
    gate::Standing,
    limits::{CATCH_UP_WAIT, NEIGHBOUR_WAIT},
};
use needledrop_http::{
    Certificates, Client, ClientAuth, ClientCa, ClientConfig, Doors, DoorsConfig, Identity, Roots, Running, Sockets,
};

use crate::{clock, config, edge::Keys};

/// Flags of the admin port.
#[derive(clap::Args)]
#[group(id = "admin-port")]
pub struct Args {
    /// Admin port over plain HTTP, on loopback [default: none]
    #[arg(long = "admin", env = "NEEDLEDROP_ADMIN", value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,

    /// Admin port over TLS, for the other edges and operators elsewhere [default: none]
    #[arg(long = "admin-tls", env = "NEEDLEDROP_ADMIN_TLS", value_name = "ADDR")]
    admin_tls_listen: Option<SocketAddr>,

    /// The file of the admin token, made when it is missing [default: admin.token in the data folder]
    #[arg(long = "admin-token", env = "NEEDLEDROP_ADMIN_TOKEN", value_name = "FILE")]
    admin_token: Option<PathBuf>,

    /// The authority of the other edges' certificates, PEM: with one of its certificates an edge may purge here
    #[arg(long = "admin-client-ca", env = "NEEDLEDROP_ADMIN_CLIENT_CA", value_name = "FILE")]
    admin_client_ca: Option<PathBuf>,

    /// The admin port of another edge, told of every purge (repeatable)
    #[arg(long = "peer", env = "NEEDLEDROP_PEERS", value_name = "URL", value_delimiter = ',')]
    peers: Vec<String>,
}

impl Args {
    /// Flags and environment go over the file.
    pub fn decide(&self, config: &mut config::Admin) {
        config.listen = self.admin_listen.or(config.listen);
        config.tls_listen = self.admin_tls_listen.or(config.tls_listen);
        config.token = self.admin_token.clone().or(config.token.take());
        config.client_ca = self.admin_client_ca.clone().or(config.client_ca.take());
        if !self.peers.is_empty() {
            config.peers.clone_from(&self.peers);
        }
    }
}

/// Where the token is unless said otherwise.
pub fn token_path(data: &Path) -> PathBuf {
    data.join("admin.token")
}

/// What an edge has for its operators: doors, if any were asked for, and its neighbours.
pub struct Office {
    cluster: Cluster,
    token: Option<Token>,
    config: config::Admin,
    certificates: Option<Arc<Certificates>>,
    region: Option<String>,
}

impl Office {
    /// Reads the token and makes the client for the neighbours. `certificates`, `roots` and `identity` are the
    /// edge's own. Blocks on files.
    pub fn new(
        config: config::Admin,
        data: &Path,
        certificates: Option<Arc<Certificates>>,
        roots: Roots,
        identity: Option<Identity>,
    ) -> Result<Self, String> {
        if let Some(address) = config.listen.filter(|address| !address.ip().is_loopback()) {
            return Err(format!(
                "--admin {address}: plain HTTP would show the token to the network; use --admin-tls, or 127.0.0.1"
            ));
        }
        if config.tls_listen.is_some() && certificates.is_none() {
            return Err("--admin-tls needs a certificate: --cert and --key".into());
        }
        let is_needed = config.listen.is_some() || config.tls_listen.is_some() || !config.peers.is_empty();
        let path = config.token.clone().unwrap_or_else(|| token_path(data));
        let token = is_needed.then(|| Token::load_or_make(&path)).transpose().map_err(|error| error.to_string())?;
        let client = Client::new(&ClientConfig {
            roots,
            identity,
            connect_timeout: NEIGHBOUR_WAIT,
            head_timeout: CATCH_UP_WAIT,
            body_timeout: CATCH_UP_WAIT,
            ..ClientConfig::default()
        });
        let client = client.map_err(|error| format!("peers: {error}"))?;
        let cluster = Cluster::new(client, &config.peers, token.clone()).map_err(|error| error.to_string())?;
        Ok(Self { cluster, token, config, certificates, region: None })
    }

    /// The same of an edge that stands there.
    #[must_use]
    pub fn in_region(self, region: Option<String>) -> Self {
        Self { region, ..self }
    }

    /// What answers behind the admin doors, and, in the house's own process, without any.
    pub fn desk(&self, name: &str, shelf: &Arc<Shelf>, keys: &Keys, token: Token) -> Admin {
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
            region: self.region.clone(),
            started: clock::now(),
            certificates: self.certificates.clone(),
        };
        let (shelf, keys) = (shelf.clone(), keys.clone());
        Admin { name: name.to_owned(), shelf, keys, token, cluster: self.cluster.clone(), about }
    }

    /// Opens the admin doors, so that neighbours which start at the same time find each other. `given` are sockets that
    /// are open already; all of them once more come back with the doors.
    pub fn open(
        &self,
        name: &str,
        shelf: &Arc<Shelf>,
        keys: &Keys,
        given: Sockets,
    ) -> Result<Option<(Running, Sockets)>, String> {
        if !self.cluster.is_alone() {
            shelf.gate.set(Standing::Starting);
        }
        let Some(token) = self.token.clone().filter(|_| self.has_doors()) else { return Ok(None) };
        let ca = self.config.client_ca.clone();
        let config = DoorsConfig {
            plain: self.config.listen.into_iter().collect(),
            tls: self.config.tls_listen.into_iter().collect(),
            certificates: self.certificates.clone().filter(|_| self.config.tls_listen.is_some()),
            client_ca: ca.map(|pem| ClientCa { pem, auth: ClientAuth::Optional }),
            ..DoorsConfig::default()
        };
        let doors = Doors::bind_with(config, given);
        let doors = doors.map_err(|error| format!("admin: {error}"))?;
        for address in doors.plain_addrs() {
            println!("admin on http://{address}");
        }
        for address in doors.tls_addrs() {
            println!("admin on https://{address}");
        }
        let admin = self.desk(name, shelf, keys, token);
        let sockets = doors.sockets().map_err(|error| format!("admin: {error}"))?;
        Ok(Some((doors.serve(Arc::new(admin)), sockets)))
    }

    /// Applies the purges that were missed. To be awaited before the edge serves.
    pub async fn catch_up(&self, shelf: &Arc<Shelf>) {
        let caught_up = self.cluster.join(shelf).await;
        if !self.cluster.is_alone() {
            tracing::info!(answered = caught_up.answered, applied = caught_up.applied, "caught up with the neighbours");
        }
    }

    /// Goes on catching up until dropped.
    pub async fn follow(self, shelf: Arc<Shelf>) {
        self.cluster.follow(shelf).await;
    }

    fn has_doors(&self) -> bool {
        self.config.listen.is_some() || self.config.tls_listen.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_live_beside_the_edges_own() {
        use clap::{Args as _, Command};
        crate::edge::Args::augment_args(Command::new("edge")).debug_assert();
    }

    #[test]
    fn a_plain_admin_port_is_for_loopback_only() {
        let data = tempfile::tempdir().unwrap();
        let office = |listen: &str| {
            let config = config::Admin { listen: listen.parse().ok(), ..config::Admin::default() };
            Office::new(config, data.path(), None, Roots::System, None)
        };
        assert!(office("0.0.0.0:4600").is_err() && office("10.1.2.3:4600").is_err());
        assert!(office("127.0.0.1:4600").is_ok() && office("[::1]:4600").is_ok());
        assert!(token_path(data.path()).exists());
    }
}
