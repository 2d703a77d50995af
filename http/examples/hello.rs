//! The whole of a role: a handler, three doors, and a drain on Ctrl-C. `cargo run -p needledrop-http --example hello`
//! makes certificates in a temporary folder; try it with `curl --cacert DIR/ca.pem https://localhost:4433/`.
#![allow(clippy::print_stdout)] // an example speaks to the terminal

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use needledrop_http::{Body, Certificates, DevCerts, Doors, DoorsConfig, Handler, Request, Response};

struct Hello;

impl Handler for Hello {
    async fn call(&self, request: Request) -> Response {
        Response::new(Body::full(format!("hello {} over {}\n", request.target(), request.peer.protocol.as_str())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("needledrop-hello");
    let certs = DevCerts::ensure(&dir, &[], SystemTime::now())?;
    let doors = Doors::bind(DoorsConfig {
        plain: vec!["127.0.0.1:8080".parse()?],
        tls: vec!["127.0.0.1:4433".parse()?],
        quic: vec!["127.0.0.1:4433".parse()?],
        certificates: Some(Certificates::load(&certs.server, &certs.server_key)?),
        alt_svc: Some(4433),
        ..Default::default()
    })?;
    println!("plain 8080, TLS and QUIC 4433; the authority to trust is {}", certs.ca.display());
    let running = doors.serve(Arc::new(Hello));
    tokio::signal::ctrl_c().await?;
    println!("{:?}", running.drain(Duration::from_secs(5)).await);
    Ok(())
}
