//! The least that a server on our libraries can do: ranges of files that it holds in memory, over rustls, with hyper for
//! HTTP/1.1, the h2 library for HTTP/2, quinn and h3 for HTTP/3 as they come, on one thread.
//!
//! It checks no signature, has no cache, counts nothing, bounds nothing and answers no error: it is no server, but what
//! the doors are measured against to tell our own cost from that of the libraries and the kernel. Over HTTP/3 our doors
//! may well stand below it, since they do without some of what it uses.

use std::{collections::HashMap, io, net::Ipv4Addr, path::PathBuf, rc::Rc, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Arguments of `needledrop-bench floor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,

    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,

    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// Folder of the objects
    #[arg(long, value_name = "DIR")]
    root: PathBuf,

    /// Path of an object, as it is asked for; may be given several times
    #[arg(long = "object", value_name = "PATH")]
    objects: Vec<String>,
}

type Objects = Rc<HashMap<String, Bytes>>;

/// What one writev takes: an answer of 64 KiB and its head, as the doors have it.
const TLS_BUFFER_BYTES: usize = 68 << 10;

/// Serves until it is ended by a signal.
///
/// # Errors
/// A file cannot be read, the port is taken, or a socket cannot be had.
pub fn run(args: &Args) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let read = |path: &String| {
        let file = args.root.join(path.trim_start_matches('/'));
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok::<_, String>((path.clone(), Bytes::from(bytes)))
    };
    let objects: Objects = Rc::new(args.objects.iter().map(read).collect::<Result<_, _>>()?);
    let tls = |protocols: &[&str]| tls(args, protocols).map_err(|error| error.to_string());
    let acceptor = TlsAcceptor::from(Arc::new(tls(&["h2", "http/1.1"])?));
    let quic = QuicServerConfig::try_from(tls(&["h3"])?).map_err(|error| error.to_string())?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).map_err(told)?;
    runtime.block_on(async {
        let config = quinn::ServerConfig::with_crypto(Arc::new(quic));
        let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, args.port).into()).map_err(told)?;
        let over_quic = objects.clone();
        tokio::task::spawn_local(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::task::spawn_local(h3(incoming, over_quic.clone()));
            }
        });
        let listener = TcpListener::bind(("127.0.0.1", args.port)).await.map_err(told)?;
        loop {
            let (stream, _) = listener.accept().await.map_err(told)?;
            // Ends with its client: what goes wrong on a connection, the client sees.
            tokio::task::spawn_local(converse(acceptor.clone(), stream, objects.clone()));
        }
    })
}

fn tls(args: &Args, protocols: &[&str]) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_file_iter(&args.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&args.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.send_tls13_tickets = 1;
    Ok(config)
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, objects: Objects) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = acceptor.accept(stream).await.ok()?;
    stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => h2(stream, objects).await,
        _ => h1(stream, objects).await,
    }
}

async fn h1(stream: TlsStream<TcpStream>, objects: Objects) -> Option<()> {
    let answer = service_fn(|request: http::Request<Incoming>| {
        let answered = whole(&objects, &request);
        async { answered.ok_or(io::Error::other("not what the bench asks for")) }
    });
    http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await.ok()
}

fn whole(objects: &Objects, request: &http::Request<Incoming>) -> Option<http::Response<Full<Bytes>>> {
    let range = request.headers().get(http::header::RANGE)?.to_str().ok()?;
    let (part, range, len) = part(objects, request.uri().path(), range)?;
    Some(head(&part, range, len)?.map(|()| Full::new(part)))
}

async fn h2(stream: TlsStream<TcpStream>, objects: Objects) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    loop {
        let (request, mut respond) = connection.accept().await?.ok()?;
        let range = request.headers().get(http::header::RANGE)?.to_str().ok()?;
        let (part, range, len) = part(&objects, request.uri().path(), range)?;
        let mut body = respond.send_response(head(&part, range, len)?, false).ok()?;
        body.send_data(part, true).ok()?;
    }
}

async fn h3(incoming: quinn::Incoming, objects: Objects) -> Option<()> {
    let quic = h3_quinn::Connection::new(incoming.await.ok()?);
    let mut connection: h3::server::Connection<_, Bytes> = h3::server::Connection::new(quic).await.ok()?;
    while let Some(request) = connection.accept().await.ok()? {
        let objects = objects.clone();
        tokio::task::spawn_local(async move {
            let (request, mut stream) = request.resolve_request().await.ok()?;
            let range = request.headers().get(http::header::RANGE)?.to_str().ok()?;
            let (part, range, len) = part(&objects, request.uri().path(), range)?;
            stream.send_response(head(&part, range, len)?).await.ok()?;
            stream.send_data(part).await.ok()?;
            stream.finish().await.ok()
        });
    }
    Some(())
}

fn head(part: &Bytes, range: &str, len: usize) -> Option<http::Response<()>> {
    let head = http::Response::builder()
        .status(206)
        .header("content-type", "audio/ogg")
        .header("content-length", part.len())
        .header("content-range", format!("bytes {range}/{len}"));
    head.body(()).ok()
}

/// The part of an object that `bytes=FIRST-LAST` names, that range, and the length of the whole.
fn part<'a>(objects: &Objects, target: &str, range: &'a str) -> Option<(Bytes, &'a str, usize)> {
    let object = objects.get(target)?;
    let range = range.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < object.len()).then(|| (object.slice(first..=last), range, object.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_and_nothing_else_is_answered() {
        let objects: Objects = Rc::new([("/a".to_owned(), Bytes::from_static(b"0123456789"))].into());
        assert_eq!(part(&objects, "/a", "bytes=2-4").unwrap(), (Bytes::from_static(b"234"), "2-4", 10));
        for none in ["bytes=4-2", "bytes=0-10", "bytes=2-", "items=0-1"] {
            assert_eq!(part(&objects, "/a", none), None, "{none}");
        }
        assert_eq!(part(&objects, "/b", "bytes=2-4"), None);
    }
}
