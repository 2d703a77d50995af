//! A server whose faults are known, to prove that a measurement sees them: on needledrop's own doors for HTTP/1.1,
//! HTTP/2 and HTTP/3, and on a bare socket for lies about lengths, which the doors refuse to tell.
//!
//! The object NAME is generated ([`crate::generated`]); what is planted stands in the path before it, in any order:
//! `/delay=50ms/stall=64k:500ms/size=4m/NAME`.
//!
//! | fault | what happens |
//! |---|---|
//! | `size=4m` | the object has this many bytes; 1 MiB without it |
//! | `delay=50ms` | the head waits |
//! | `after=50ms` | the head goes at once, the body waits |
//! | `stall=64k:500ms` | the body pauses before this byte of the object |
//! | `rate=20k` | bytes a second, in steps of 20 ms |
//! | `flip=1000` | this byte of the object is wrong |
//! | `cut=1000` | the stream is reset before this byte of the object |
//! | `short=10`, `long=10` | fewer or more bytes than the head says; on the doors this becomes a reset |
//! | `range=ignored` | a request for a range gets 200 and everything |
//! | `range=shifted` | a request for a range gets one that begins a byte later, and says so |
//! | `status=503` | the answer is this; 3xx leads to `/NAME` |
//! | `cache=edge;hit;detail=memory` | text of Cache-Status, `%20` for a blank |
//!
//! Waits are exact to some tens of microseconds: their last two milliseconds are spent looking at the clock.
#![allow(clippy::print_stdout)] // `run` prints the server's addresses, which is its answer

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::{HeaderName, HeaderValue, RANGE};
use http::{HeaderMap, StatusCode};
use needledrop_core::problem::Problem;
use needledrop_http::{
    Body, BodyError, Certificates, DevCerts, Doors, DoorsConfig, Handler, Limits, Request, Response, problem,
};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

mod bare;
mod plan;

pub use plan::{Plan, RangeFault, Reply};

/// Bytes of a piece of a body.
const PIECE_BYTES: u64 = 16 * 1024;
/// A slow body sends every so often.
const RATE_STEP: Duration = Duration::from_millis(20);
/// tokio's timers are a millisecond late at most; what is left is waited for by looking at the clock.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// An ending server waits this long for the answers under way.
const GOODBYE: Duration = Duration::from_millis(100);

/// Where a planted server listens. Port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct PlantedConfig {
    /// Address of all sockets.
    pub address: IpAddr,
    /// HTTP/1.1 without TLS.
    pub plain: u16,
    /// HTTP/1.1 and HTTP/2 over TLS.
    pub tls: u16,
    /// HTTP/3.
    pub quic: u16,
    /// HTTP/1.1 without TLS on a bare socket, which lies about lengths.
    pub bare: u16,
    /// Folder of development certificates, made if they are not there.
    pub certificates: PathBuf,
}

impl PlantedConfig {
    /// Free ports on 127.0.0.1.
    pub fn local(certificates: impl Into<PathBuf>) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, plain: 0, tls: 0, quic: 0, bare: 0, certificates: certificates.into() }
    }
}

/// A running server, on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Planted {
    /// HTTP/1.1 without TLS.
    pub plain: SocketAddr,
    /// HTTP/1.1 and HTTP/2 over TLS.
    pub tls: SocketAddr,
    /// HTTP/3.
    pub quic: SocketAddr,
    /// The bare socket.
    pub bare: SocketAddr,
    /// Certificate of the authority that clients must trust.
    pub ca: PathBuf,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Planted {
    /// Starts a server and returns once it listens.
    pub fn start(config: &PlantedConfig) -> io::Result<Self> {
        let (config, stop) = (config.clone(), CancellationToken::new());
        let (tell, told) = std::sync::mpsc::channel();
        let until = stop.clone();
        let thread = std::thread::Builder::new().name("planted".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let served = runtime.and_then(|runtime| runtime.block_on(serve(&config, &until, &tell)));
            if let Err(error) = served {
                let _ = tell.send(Err(error));
            }
        })?;
        let addresses = told.recv().map_err(|_| io::Error::other("the server's thread ended"))??;
        let Addresses { plain, tls, quic, bare, ca } = addresses;
        Ok(Self { plain, tls, quic, bare, ca, stop, thread: Some(thread) })
    }

    /// Waits until the server ends, which it does of itself only if something is broken.
    fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Addresses {
    plain: SocketAddr,
    tls: SocketAddr,
    quic: SocketAddr,
    bare: SocketAddr,
    ca: PathBuf,
}

async fn serve(
    config: &PlantedConfig,
    until: &CancellationToken,
    tell: &std::sync::mpsc::Sender<io::Result<Addresses>>,
) -> io::Result<()> {
    let certs = DevCerts::ensure(&config.certificates, &[config.address.to_string()], SystemTime::now());
    let certs = certs.map_err(io::Error::other)?;
    let certificates = Certificates::load(&certs.server, &certs.server_key).map_err(io::Error::other)?;
    let at = |port| vec![SocketAddr::new(config.address, port)];
    let doors = Doors::bind(DoorsConfig {
        plain: at(config.plain),
        tls: at(config.tls),
        quic: at(config.quic),
        certificates: Some(certificates),
        limits: Limits { connections: 65_536, quic_connections: 65_536, ..Limits::default() },
        ..DoorsConfig::default()
    });
    let doors = doors.map_err(io::Error::other)?;
    let bare = tokio::net::TcpListener::bind((config.address, config.bare)).await?;
    let addresses = Addresses {
        plain: doors.plain_addrs()[0],
        tls: doors.tls_addrs()[0],
        quic: doors.quic_addrs()[0],
        bare: bare.local_addr()?,
        ca: certs.ca,
    };
    let running = doors.serve(Arc::new(Garden));
    let _ = tell.send(Ok(addresses));
    tokio::select! {
        never = bare::serve(bare) => match never {},
        () = until.cancelled() => {}
    }
    running.drain(GOODBYE).await;
    Ok(())
}

/// Answers as planned by the path.
struct Garden;

impl Handler for Garden {
    async fn call(&self, request: Request) -> Response {
        let begun = Instant::now();
        let plan = match Plan::parse(request.target()) {
            Ok(plan) => plan,
            Err(why) => {
                return problem(&Problem::new("plan", "The path plants nothing that there is", 400).with_detail(why));
            }
        };
        let reply = plan.reply(asked_range(&request.headers));
        wait_until(begun + plan.delay).await;
        let declared = reply.to - reply.from;
        let mut response = Response::new(Body::stream(pieces(plan, &reply), Some(declared)));
        *response.status_mut() = reply.status;
        for (name, value) in reply.fields {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

fn asked_range(fields: &HeaderMap) -> Option<&str> {
    fields.get(RANGE)?.to_str().ok()
}

/// The body as it is planned: its bytes, its pauses, its end.
fn pieces(plan: Plan, reply: &Reply) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<> {
    let end = (reply.to + plan.long).saturating_sub(plan.short).max(reply.from);
    let is_empty = reply.status != StatusCode::OK && reply.status != StatusCode::PARTIAL_CONTENT;
    let end = if is_empty { reply.to } else { end };
    let start = (reply.from, None, false);
    stream::unfold(start, move |(from, begun, mut has_stalled): (u64, Option<Instant>, bool)| {
        let plan = plan.clone();
        async move {
            let mut begun = match begun {
                Some(begun) => begun,
                None => {
                    let now = Instant::now();
                    wait_until(now + plan.after).await;
                    now + plan.after
                }
            };
            if from >= end {
                return None;
            }
            if plan.cut == Some(from) {
                return Some((Err(BodyError::source("cut, as planned")), (end, Some(begun), has_stalled)));
            }
            if let Some((at, wait)) = plan.stall
                && at == from
                && !has_stalled
            {
                wait_until(Instant::now() + wait).await;
                (has_stalled, begun) = (true, begun + wait);
            }
            let mut until = end.min(from + PIECE_BYTES).min(plan.next_stop(from).unwrap_or(end));
            if let Some(rate) = plan.rate {
                let step = (rate as f64 * RATE_STEP.as_secs_f64()).ceil() as u64;
                until = until.min(from + step.max(1));
                // What is behind us of this body has taken its time; the beginning moves along.
                wait_until(begun).await;
                begun += Duration::from_secs_f64((until - from) as f64 / rate as f64);
            }
            let bytes = plan.bytes(from, (until - from) as usize);
            Some((Ok(Bytes::from(bytes)), (until, Some(begun), has_stalled)))
        }
    })
}

/// Waits exactly, at the price of a busy clock for the last two milliseconds.
async fn wait_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if left > TIMER_SLACK {
        tokio::time::sleep(left - TIMER_SLACK).await;
    }
    while Instant::now() < due {
        yield_now().await;
    }
}

/// Serves objects with planted faults, to see whether a measurement finds them.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub listen: IpAddr,
    /// Port of HTTP/1.1 without TLS.
    #[arg(long, default_value_t = 8480, value_name = "PORT")]
    pub plain_port: u16,
    /// Port of HTTP/1.1 and HTTP/2 over TLS, and of HTTP/3.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub tls_port: u16,
    /// Port of the bare HTTP/1.1 that lies about lengths.
    #[arg(long, default_value_t = 8481, value_name = "PORT")]
    pub bare_port: u16,
    /// Folder of the development certificates; made if they are not there.
    #[arg(long, default_value = "planted-certs", value_name = "FOLDER")]
    pub certs: PathBuf,
}

/// Serves until the process is ended. Gives an error only if it cannot begin.
pub fn run(args: Args) -> Result<Infallible, String> {
    let config = PlantedConfig {
        address: args.listen,
        plain: args.plain_port,
        tls: args.tls_port,
        quic: args.tls_port,
        bare: args.bare_port,
        certificates: args.certs,
    };
    let planted = Planted::start(&config).map_err(|error| format!("cannot serve: {error}"))?;
    println!("plain  http://{}/delay=50ms/size=1m/song", planted.plain);
    println!("TLS    https://{}/delay=50ms/size=1m/song  (HTTP/1.1, HTTP/2; HTTP/3 on UDP)", planted.tls);
    println!("bare   http://{}/short=10/song  (lies about lengths)", planted.bare);
    println!("faults size= delay= after= stall=AT:TIME rate= flip= cut= short= long= range= status= cache=");
    println!("trust  {}", planted.ca.display());
    planted.wait();
    Err("the server ended".to_owned())
}
