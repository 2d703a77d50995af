//! What is asked of a server, and what it cost there.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use needledrop_core::{Claims, Keyring, ObjectPath, UnixSeconds, sign};
use needledrop_loadtest::{
    client::{Client, ClientConfig, Device, Get, Head, Origin, Reader, Trust, Wish},
    measured::{Opening, Protocol},
    tally::Latencies,
};
use tokio::task::JoinSet;

use crate::{
    machine,
    servers::{Kind, Server, Workshop},
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Work {
    /// Ranges of 64 KiB over 64 kept connections.
    Hits64,
    /// Ranges of 512 KiB over 32 kept connections.
    Hits512,
    /// New connections with a full handshake and a range of 1 KiB each, four at a time.
    Full,
    /// The same with a ticket.
    Resumed,
    /// Listeners who read at the pace of the music.
    Paced,
}

impl Work {
    /// In the order of the table.
    pub const ALL: [Work; 5] = [Work::Hits64, Work::Hits512, Work::Full, Work::Resumed, Work::Paced];
}

impl fmt::Display for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Work::Hits64 => "64 KiB",
            Work::Hits512 => "512 KiB",
            Work::Full => "full handshake",
            Work::Resumed => "resumed",
            Work::Paced => "paced listener",
        })
    }
}

/// What one measurement showed.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Answers, connections, or listeners.
    pub count: u64,
    /// Body bytes.
    pub bytes: u64,
    /// Processor seconds of the server.
    pub cpu: f64,
    /// Share of its core that the server was busy; near 1 the server was the limit, else the client.
    pub busy: f64,
    /// From the request, or of a new connection from its beginning, to the first body byte.
    pub first_byte: Latencies,
    /// Memory of the server's processes for each paced listener, without pages of mapped files. Unit: bytes.
    pub memory: u64,
    /// TCP buffers in the kernel for each paced listener, of both ends. Unit: bytes.
    pub kernel: u64,
}

/// Connections that ask for 64 KiB.
const CONNECTIONS_64: u64 = 64;
/// Connections that ask for 512 KiB.
const CONNECTIONS_512: u64 = 32;
/// New connections under way at once.
const CONNECTIONS_NEW: u64 = 4;
/// How fast a paced listener reads: 160 kbit/s. Unit: bytes a second.
const PACE_BYTES: u64 = 20_000;
/// What a paced listener takes ahead of its reading on HTTP/2 and HTTP/3. Unit: bytes.
const LISTENER_WINDOW: u32 = 64 << 10;
/// The same on TCP, which doubles it for its own accounts. Unit: bytes.
const LISTENER_BUFFER: u32 = 16 << 10;
/// New listeners a second: those who come must not keep each other waiting until somebody gives up. A server that fills
/// large socket buffers for each of them is busy with that, and not with who comes next, beyond some 200.
const LISTENERS_PER_SECOND: u32 = 150;
/// From the last listener until all buffers are full and the server works at an even pace.
const SETTLE: Duration = Duration::from_secs(5);
/// How long paced listeners are watched at least: processor time is counted in hundredths of a second.
const PACED_AT_LEAST: Duration = Duration::from_secs(5);
/// How long signatures are valid; longer than any run.
const VALID_SECONDS: u64 = 6 * 3_600;

/// A server, what it has, and how it is asked.
pub struct Site {
    pid: u32,
    protocol: Protocol,
    origin: Origin,
    targets: Rc<[Target]>,
    client: Client,
    slow_client: Client,
}

/// An object.
struct Target {
    target: String,
    bytes: u64,
}

impl Site {
    /// Signs what has to be signed.
    pub fn new(server: &Server, workshop: &Workshop, protocol: Protocol) -> Result<Self, String> {
        let keys = std::fs::read_to_string(workshop.keys()).map_err(|error| error.to_string())?;
        let keyring = Keyring::parse(&keys).map_err(|error| error.to_string())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = Claims::until(UnixSeconds(now + VALID_SECONDS));
        let target = |path: &String| {
            let bytes = workshop.bytes(path).map_err(|error| format!("{path}: {error}"))?;
            let target = match server.kind() {
                Kind::Needledrop => {
                    let path = ObjectPath::parse(path).map_err(|error| error.to_string())?;
                    sign(&path, &claims, &keyring)
                }
                _ => path.clone(),
            };
            Ok::<_, String>(Target { target, bytes })
        };
        // A range of 512 KiB is to fit.
        let targets: Result<Vec<_>, _> = workshop.paths().iter().map(target).collect();
        let targets: Vec<_> = targets?.into_iter().filter(|target| target.bytes >= 512 << 10).collect();
        if targets.is_empty() {
            return Err("no object of the record is as long as 512 KiB".into());
        }
        let config = ClientConfig { trust: Trust::Pem(workshop.ca().to_owned()), ..ClientConfig::default() };
        let slow = ClientConfig {
            stream_window: LISTENER_WINDOW,
            connection_window: LISTENER_WINDOW,
            receive_buffer: Some(LISTENER_BUFFER),
            body_timeout: Duration::from_secs(60),
            ..config.clone()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        Ok(Self {
            pid: server.pid(),
            protocol,
            origin: Origin { tls: true, name: "localhost".into(), port: server.port(), address },
            targets: targets.into(),
            client: Client::new(&config).map_err(|error| error.to_string())?,
            slow_client: Client::new(&slow).map_err(|error| error.to_string())?,
        })
    }

    /// Fetches every object once, so that all of them are in memory.
    pub async fn warm_up(&self) -> Result<(), String> {
        let device = self.client.device(None);
        let mut connection = self.open(&device, Wish::Full).await?;
        for target in self.targets.iter() {
            fetch(&mut connection, &target.target, (0, target.bytes - 1)).await?;
        }
        connection.close().await;
        Ok(())
    }

    /// Does one kind of work for a while.
    pub async fn measure(&self, work: Work, lasting: Duration, listeners: u32) -> Result<Figures, String> {
        match work {
            Work::Hits64 => self.hits(64 << 10, CONNECTIONS_64, lasting).await,
            Work::Hits512 => self.hits(512 << 10, CONNECTIONS_512, lasting).await,
            Work::Full => self.connections(Wish::Full, lasting).await,
            Work::Resumed => self.connections(Wish::Resumed, lasting).await,
            Work::Paced => self.paced(listeners, lasting.max(PACED_AT_LEAST)).await,
        }
    }

    async fn open(&self, device: &Device, wish: Wish) -> Result<needledrop_loadtest::client::Connection, String> {
        device.open(&self.origin, self.protocol, wish).await.map_err(|failure| failure.sentence)
    }

    /// Ranges at seeded random places over kept connections, one at a time on each.
    async fn hits(&self, range_bytes: u64, connections: u64, lasting: Duration) -> Result<Figures, String> {
        let mut lines = Vec::new();
        for _ in 0..connections {
            lines.push(self.open(&self.client.device(None), Wish::Full).await?);
        }
        let asking = |seed: u64, until: Instant, counted: Rc<RefCell<Figures>>| {
            let mut connection = lines.pop().expect("as many as were opened");
            let targets = self.targets.clone();
            async move {
                let mut dice = Dice::new(seed);
                while Instant::now() < until {
                    let target = &targets[dice.below(targets.len() as u64) as usize];
                    let first = dice.below((target.bytes - range_bytes) / (64 << 10) + 1) * (64 << 10);
                    let asked_at = Instant::now();
                    let taken = fetch(&mut connection, &target.target, (first, first + range_bytes - 1)).await?;
                    counted.borrow_mut().count(asked_at, &taken);
                }
                Ok(())
            }
        };
        self.crowd(connections, lasting, asking).await
    }

    /// New connections, one after the other on each of a few devices.
    async fn connections(&self, wish: Wish, lasting: Duration) -> Result<Figures, String> {
        let mut devices = Vec::new();
        for _ in 0..CONNECTIONS_NEW {
            let device = self.client.device(None);
            if wish == Wish::Resumed {
                device.prime(&self.origin, self.protocol).await.map_err(|failure| failure.sentence)?;
            }
            devices.push(device);
        }
        let asking = |seed: u64, until: Instant, counted: Rc<RefCell<Figures>>| {
            let device = devices.pop().expect("as many as were made");
            let (targets, origin, protocol) = (self.targets.clone(), self.origin.clone(), self.protocol);
            async move {
                let mut dice = Dice::new(seed);
                while Instant::now() < until {
                    let target = &targets[dice.below(targets.len() as u64) as usize];
                    let began = Instant::now();
                    let opened = device.open(&origin, protocol, wish).await;
                    let mut connection = opened.map_err(|failure| failure.sentence)?;
                    let taken = fetch(&mut connection, &target.target, (0, 1_023)).await?;
                    // What was not resumed although it was wished for costs more: it is not counted as what it is not.
                    if (connection.opening() == Opening::Resumed) == (wish == Wish::Resumed) {
                        counted.borrow_mut().count(began, &taken);
                    }
                    connection.close().await;
                }
                Ok(())
            }
        };
        self.crowd(CONNECTIONS_NEW, lasting, asking).await
    }

    /// Runs tasks until they end, and books what they counted and what it cost.
    async fn crowd<F>(
        &self,
        tasks: u64,
        lasting: Duration,
        mut task: impl FnMut(u64, Instant, Rc<RefCell<Figures>>) -> F,
    ) -> Result<Figures, String>
    where
        F: Future<Output = Result<(), String>> + 'static,
    {
        let counted = Rc::new(RefCell::new(Figures::default()));
        let (cpu, began) = (self.cpu()?, Instant::now());
        let mut set = JoinSet::new();
        for seed in 1..=tasks {
            set.spawn_local(task(seed, began + lasting, counted.clone()));
        }
        while let Some(ended) = set.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        let mut figures = counted.take();
        figures.cpu = self.cpu()? - cpu;
        figures.busy = figures.cpu / began.elapsed().as_secs_f64();
        Ok(figures)
    }

    /// Listeners who each read one object at the pace of its music.
    async fn paced(&self, listeners: u32, lasting: Duration) -> Result<Figures, String> {
        let told = |error: std::io::Error| error.to_string();
        let (memory, kernel) =
            (machine::memory_bytes(self.pid).map_err(told)?, machine::kernel_socket_bytes().map_err(told)?);
        let read = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        let began = tokio::time::Instant::now();
        for number in 0..listeners {
            let device = self.slow_client.device(None);
            let (targets, origin, protocol, read) =
                (self.targets.clone(), self.origin.clone(), self.protocol, read.clone());
            set.spawn_local(async move {
                let opened = device.open(&origin, protocol, Wish::Full).await;
                let mut connection = opened.map_err(|failure| failure.sentence)?;
                for target in targets.iter().cycle().skip(number as usize % targets.len()) {
                    let get = Get { target: &target.target, range: Some((0, target.bytes - 1)), fields: &[] };
                    let mut reader = Slowly { read: read.clone(), began: Instant::now(), bytes: 0 };
                    connection.get(&get, &mut reader).await.map_err(|failure| failure.sentence)?;
                }
                Ok::<(), String>(())
            });
            tokio::time::sleep_until(began + Duration::from_secs(1) * (number + 1) / LISTENERS_PER_SECOND).await;
        }
        tokio::time::sleep(SETTLE).await;
        let (cpu, at, bytes) = (self.cpu()?, Instant::now(), read.get());
        tokio::time::sleep(lasting).await;
        let (cpu, seconds) = (self.cpu()? - cpu, at.elapsed().as_secs_f64());
        let memory = machine::memory_bytes(self.pid).map_err(told)?.saturating_sub(memory);
        let kernel = machine::kernel_socket_bytes().map_err(told)?.saturating_sub(kernel);
        if let Some(Ok(Err(sentence))) = set.try_join_next() {
            return Err(format!("a paced listener was cut off: {sentence}"));
        }
        let all = u64::from(listeners);
        Ok(Figures {
            count: all,
            bytes: read.get() - bytes,
            cpu: cpu / seconds,
            busy: cpu / seconds,
            memory: memory / all,
            kernel: kernel / all,
            ..Figures::default()
        })
    }

    fn cpu(&self) -> Result<f64, String> {
        machine::cpu_seconds(self.pid).map_err(|error| error.to_string())
    }
}

impl Figures {
    fn count(&mut self, since: Instant, taken: &Taken) {
        self.count += 1;
        self.bytes += taken.bytes;
        if let Some(first) = taken.first {
            self.first_byte.record(first.saturating_duration_since(since));
        }
    }
}

/// One range; anything but all of it is an error.
async fn fetch(
    connection: &mut needledrop_loadtest::client::Connection,
    target: &str,
    (first, last): (u64, u64),
) -> Result<Taken, String> {
    let mut taken = Taken::default();
    let get = Get { target, range: Some((first, last)), fields: &[] };
    let answer = connection.get(&get, &mut taken).await.map_err(|failure| failure.sentence)?;
    if answer.head.status.as_u16() != 206 || taken.bytes != last - first + 1 {
        return Err(format!("{} with {} bytes instead of {}", answer.head.status, taken.bytes, last - first + 1));
    }
    Ok(taken)
}

/// What came.
#[derive(Default)]
struct Taken {
    first: Option<Instant>,
    bytes: u64,
}

impl Reader for Taken {
    fn head(&mut self, _: &Head) {}

    fn body(&mut self, at: Instant, bytes: &[u8]) -> ControlFlow<()> {
        self.first.get_or_insert(at);
        self.bytes += bytes.len() as u64;
        ControlFlow::Continue(())
    }
}

/// Reads no faster than the music plays.
struct Slowly {
    read: Rc<Cell<u64>>,
    began: Instant,
    bytes: u64,
}

impl Reader for Slowly {
    fn head(&mut self, _: &Head) {}

    fn body(&mut self, _: Instant, bytes: &[u8]) -> ControlFlow<()> {
        self.bytes += bytes.len() as u64;
        self.read.set(self.read.get() + bytes.len() as u64);
        ControlFlow::Continue(())
    }

    fn rests_until(&self) -> Option<Instant> {
        Some(self.began + Duration::from_millis(self.bytes * 1_000 / PACE_BYTES))
    }
}

/// Seeded chance that costs nothing.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) % bound
    }
}
