//! The two ways in which cached bytes reach a socket, side by side: through the mapping without a copy of
//! ours, and read into a buffer on the blocking pool (`pread`), checked each time.
//!
//! Both edges stand in this process behind plain doors of their own and have the same objects cached. They
//! are asked in turns for the same ranges over loopback by blocking clients, and each figure is the median
//! of the rounds. Processor time is the process's, less what the clients' threads used.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use needledrop_core::{
    KeyId, Keyring,
    range::{RangeRequest, Resolved},
    signed_url::Secret,
};
use needledrop_edge::{
    Clock, Edge, Shelf, Slab, SlabError, Upstream,
    slab::{Backend, Options},
};
use needledrop_http::{
    Body, Client, ClientConfig, ClientError, Doors, DoorsConfig, DoorsError, Handler, Request, Running,
};

use crate::machine;

/// The size of an object. Unit: bytes.
const OBJECT_BYTES: u64 = 4 << 20;

/// What a client asks for at a time, as players do. Unit: bytes.
const STEP_BYTES: u64 = 512 << 10;

/// Arguments of `needledrop-bench backends`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rounds; each figure is the median
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Seconds that each measurement lasts
    #[arg(long, default_value_t = 3)]
    seconds: u64,

    /// Objects in the cache, of 4 MiB each
    #[arg(long, default_value_t = 64)]
    objects: u64,

    /// Clients that ask at a time
    #[arg(long, default_value_t = 2)]
    clients: u64,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BackendsError {
    /// A cache could not be opened.
    #[error(transparent)]
    Slab(#[from] SlabError),
    /// A door could not be opened.
    #[error(transparent)]
    Doors(#[from] DoorsError),
    /// The way upstream could not be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A client was refused, or the system was.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Figures {
    mib_a_second: f64,
    cpu_seconds_a_gib: f64,
}

/// Measures and prints a table.
///
/// # Errors
/// Something could not be opened, or a client was refused.
pub fn run(args: &Args) -> Result<(), BackendsError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let (upstream, _source) = serve(Arc::new(Source(Bytes::from(vec![0x5a; OBJECT_BYTES as usize]))))?;
    let houses = [House::open(Backend::Mmap, upstream, args)?, House::open(Backend::Pread, upstream, args)?];
    for house in &houses {
        house.warm(args)?;
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 1..=args.rounds {
        for (house, figures) in houses.iter().zip(&mut rounds) {
            eprintln!("round {round} of {}: {}", args.rounds, house.backend);
            figures.push(house.measure(args)?);
        }
    }
    println!("| backend | hits, MiB/s | processor, s/GiB |");
    println!("|---|---|---|");
    for (house, figures) in houses.iter().zip(&rounds) {
        let speed = median(figures.iter().map(|figures| figures.mib_a_second));
        let work = median(figures.iter().map(|figures| figures.cpu_seconds_a_gib));
        println!("| {} | {speed:.0} | {work:.3} |", house.backend);
    }
    Ok(())
}

/// An edge behind a plain door.
struct House {
    backend: Backend,
    address: SocketAddr,
    _running: Running,
    _folder: tempfile::TempDir,
}

impl House {
    fn open(backend: Backend, upstream: SocketAddr, args: &Args) -> Result<Self, BackendsError> {
        let folder = tempfile::tempdir()?;
        // A quarter more than the objects need: nothing is evicted, whatever share the heads have.
        let bytes = (args.objects * OBJECT_BYTES * 5 / 4).max(16 << 20);
        let slab = Slab::open_with(folder.path(), Options { bytes, backend, drill: None })?;
        let base = format!("http://{upstream}").parse().expect("an address is an authority");
        let way = Upstream::new(Client::new(&ClientConfig::default())?, &base, Clock::system());
        let shelf = Shelf::new(slab, way, Clock::system());
        let key = KeyId::parse("bench").expect("a constant name");
        let keys = Arc::new(ArcSwap::from_pointee(Keyring::new(key, Secret::from_bytes([9; 32]))));
        let edge = Edge::new(backend.to_string(), keys, vec!["/art/".into()], shelf);
        let (address, running) = serve(Arc::new(edge))?;
        Ok(Self { backend, address, _running: running, _folder: folder })
    }

    /// Everything is asked for twice: once to be cached, once to be checked.
    fn warm(&self, args: &Args) -> io::Result<()> {
        let mut listener = Listener::connect(self.address)?;
        for step in 0..2 * args.objects * (OBJECT_BYTES / STEP_BYTES) {
            listener.fetch(step, args.objects)?;
        }
        Ok(())
    }

    fn measure(&self, args: &Args) -> io::Result<Figures> {
        let address = self.address;
        let (objects, until) = (args.objects, Instant::now() + Duration::from_secs(args.seconds));
        let own = std::process::id();
        let (started, worked) = (Instant::now(), machine::cpu_seconds(own)?);
        let clients = (0..args.clients).map(|client| {
            std::thread::spawn(move || -> io::Result<(u64, f64)> {
                let mut listener = Listener::connect(address)?;
                let (mut bytes, mut step) = (0, client * 7_919);
                while Instant::now() < until {
                    bytes += listener.fetch(step, objects)?;
                    step += 1;
                }
                Ok((bytes, thread_seconds()?))
            })
        });
        let clients: Vec<_> = clients.collect();
        let (mut bytes, mut theirs) = (0, 0.0);
        for client in clients {
            let (received, used) = client.join().expect("a client does not panic")?;
            bytes += received;
            theirs += used;
        }
        let (took, worked) = (started.elapsed(), machine::cpu_seconds(own)? - worked - theirs);
        let mib = bytes as f64 / f64::from(1 << 20);
        Ok(Figures { mib_a_second: mib / took.as_secs_f64(), cpu_seconds_a_gib: worked / (mib / 1_024.0) })
    }
}

/// One connection that asks for step after step.
struct Listener {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Listener {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 << 10] })
    }

    /// Fetches one step of one of the objects, and gives the length of its body.
    fn fetch(&mut self, step: u64, objects: u64) -> io::Result<u64> {
        let steps = OBJECT_BYTES / STEP_BYTES;
        let (object, first) = (step / steps % objects, step % steps * STEP_BYTES);
        let last = first + STEP_BYTES - 1;
        let head = format!("GET /art/{object}.ogg HTTP/1.1\r\nHost: bench\r\nRange: bytes={first}-{last}\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        let mut held = 0;
        let end = loop {
            held += self.read(held)?;
            if let Some(end) = self.buffer[..held].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 206") {
            return Err(io::Error::other("the edge did not answer 206"));
        }
        let mut left = STEP_BYTES - (held - end) as u64;
        while left > 0 {
            left -= self.read(0)? as u64;
        }
        Ok(STEP_BYTES)
    }

    fn read(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// An upstream that has every object asked for.
struct Source(Bytes);

impl Handler for Source {
    async fn call(&self, request: Request) -> Response<Body> {
        let asked = request.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let (status, part) = match asked.and_then(RangeRequest::parse).map(|range| range.resolve(OBJECT_BYTES)) {
            Some(Resolved::Parts(parts)) => (StatusCode::PARTIAL_CONTENT, parts[0].start()..parts[0].end()),
            _ => (StatusCode::OK, 0..OBJECT_BYTES),
        };
        let body = self.0.slice(part.start as usize..part.end as usize);
        let response = Response::builder()
            .status(status)
            .header(header::ETAG, "\"one\"")
            .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CONTENT_RANGE, format!("bytes {}-{}/{OBJECT_BYTES}", part.start, part.end - 1));
        response.body(Body::full(body)).expect("constant fields")
    }
}

fn serve(handler: Arc<impl Handler>) -> Result<(SocketAddr, Running), DoorsError> {
    let doors =
        Doors::bind(DoorsConfig { plain: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..DoorsConfig::default() })?;
    let address = doors.plain_addrs()[0];
    Ok((address, doors.serve(handler)))
}

/// Processor seconds of this thread.
fn thread_seconds() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
    Ok(nanoseconds / 1e9)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
