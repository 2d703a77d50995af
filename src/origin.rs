//! `needledrop origin`: serves a vault to edges that show a certificate.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use needledrop_http::{Certificates, ClientAuth, ClientCa, Doors, DoorsConfig};
use needledrop_origin::{Origin, Vault};

use crate::{config, serve};

/// Time for edges to finish what they are fetching.
const DRAIN: Duration = Duration::from_secs(10);

/// Where an origin listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:4500";

/// Arguments of `needledrop origin`.
#[derive(clap::Args)]
pub struct Args {
    /// Where edges connect: TLS, HTTP/2 and HTTP/1.1 [default: 127.0.0.1:4500]
    #[arg(long, env = "NEEDLEDROP_ORIGIN_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Certificate chain, PEM [default: certs/origin.pem]
    #[arg(long, env = "NEEDLEDROP_ORIGIN_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key, PEM [default: certs/origin.key]
    #[arg(long, env = "NEEDLEDROP_ORIGIN_KEY", value_name = "FILE")]
    key: Option<PathBuf>,

    /// The authority of the edges' certificates, PEM [default: certs/ca.pem]
    #[arg(long, env = "NEEDLEDROP_ORIGIN_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
}

impl Args {
    /// Flags and environment go over the file.
    pub fn decide(&self, config: &mut config::Origin) {
        config.listen = self.listen.or(config.listen).or_else(|| LISTEN.parse().ok());
        let certs = needledrop_http::DevCerts::paths(Path::new("certs"));
        config.cert = self.cert.clone().or(config.cert.take()).or(Some(certs.origin));
        config.key = self.key.clone().or(config.key.take()).or(Some(certs.origin_key));
        config.client_ca = self.client_ca.clone().or(config.client_ca.take()).or(Some(certs.ca));
    }
}

/// Runs the subcommand until it is told to stop.
pub fn run(config: config::Origin, data: &Path) -> Result<ExitCode, String> {
    let (Some(listen), Some(cert), Some(key), Some(client_ca)) =
        (config.listen, config.cert, config.key, config.client_ca)
    else {
        unreachable!("decided from flags or defaults")
    };
    let certificates = Certificates::load(&cert, &key)
        .map_err(|error| format!("{error}; `needledrop certs` makes certificates for development"))?;
    let vault = Vault::at(config::vault(data));
    serve::block_on(async move {
        let mut stops = serve::Stops::watch()?;
        let doors = bind(listen, &certificates, &client_ca)?;
        let running = doors.0.serve(Arc::new(Origin::new(vault)));
        println!("origin on https://{} for edges of {}", doors.1, client_ca.display());
        let hangup = tokio::spawn(serve::on_hangup(Arc::new(move || reload(&certificates))));
        stops.come().await;
        hangup.abort();
        serve::drain(vec![running], DRAIN).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Opens the origin's door: TLS with a client certificate, or none at all.
pub fn bind(
    listen: SocketAddr,
    certificates: &Arc<Certificates>,
    client_ca: &Path,
) -> Result<(Doors, SocketAddr), String> {
    let config = DoorsConfig {
        tls: vec![listen],
        certificates: Some(certificates.clone()),
        // Optional, so that a stranger gets a 403 in words rather than a broken handshake.
        client_ca: Some(ClientCa { pem: client_ca.to_owned(), auth: ClientAuth::Optional }),
        ..DoorsConfig::default()
    };
    let doors = Doors::bind(config).map_err(|error| error.to_string())?;
    let address = doors.tls_addrs()[0];
    Ok((doors, address))
}

/// Reads the certificate again; a bad one leaves the former in use. Blocks on files.
pub fn reload(certificates: &Certificates) {
    match certificates.reload() {
        Ok(()) => tracing::info!("certificate reloaded"),
        Err(error) => tracing::error!(%error, "certificate not reloaded, the former one stays"),
    }
}
