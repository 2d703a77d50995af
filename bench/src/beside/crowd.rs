//! The client: HTTP/1.1 by hand, so that it costs little and counts every byte.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use super::OBJECT_BYTES;

/// The receive buffer of a paced listener, so that waiting bytes wait at the server. Unit: bytes.
const LISTENER_BUFFER_BYTES: u32 = 16 << 10;

/// How often a paced listener reads.
const PACE_EVERY: Duration = Duration::from_millis(250);

/// Fetches every object once in steps of 512 KiB, as players do.
pub async fn fill(address: SocketAddr, targets: &[String]) -> io::Result<()> {
    let mut line = Line::open(address).await?;
    for target in targets {
        for first in (0..OBJECT_BYTES).step_by(512 << 10) {
            line.fetch(target, first, 512 << 10).await?;
        }
    }
    Ok(())
}

/// Asks for ranges at seeded random places from several connections for a while; gives the number of answers.
pub async fn ask(
    address: SocketAddr,
    targets: &[String],
    range_bytes: u64,
    connections: usize,
    lasting: Duration,
) -> io::Result<u64> {
    let until = Instant::now() + lasting;
    let targets: Arc<[String]> = targets.into();
    let mut tasks = JoinSet::new();
    for seed in 1..=connections as u64 {
        let targets = targets.clone();
        tasks.spawn(async move {
            let mut line = Line::open(address).await?;
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut done = 0;
            while Instant::now() < until {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                let target = &targets[(dice >> 32) as usize % targets.len()];
                let places = OBJECT_BYTES / range_bytes;
                line.fetch(target, (dice & 0xffff) % places * range_bytes, range_bytes).await?;
                done += 1;
            }
            Ok::<_, io::Error>(done)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done.expect("the task does not panic")?;
    }
    Ok(total)
}

/// Listeners who each hold a connection and read it at the pace of the music.
pub struct Paced {
    tasks: JoinSet<io::Result<()>>,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
}

impl Paced {
    /// Connects them all, and returns once each has asked for a whole object.
    pub async fn start(address: SocketAddr, targets: &[String], count: usize, pace_bytes: usize) -> io::Result<Self> {
        let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(LISTENER_BUFFER_BYTES)?;
            let mut stream = socket.connect(address).await?;
            let target = &targets[number % targets.len()];
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes()).await?;
            let (stop, read) = (stop.clone(), read.clone());
            tasks.spawn(async move {
                let mut buffer = vec![0; pace_bytes * PACE_EVERY.as_millis() as usize / 1_000];
                let mut tick = tokio::time::interval(PACE_EVERY);
                while !stop.load(Ordering::Relaxed) {
                    tick.tick().await;
                    let got = stream.read(&mut buffer).await?;
                    if got == 0 {
                        return Err(io::Error::other("a paced listener was cut off"));
                    }
                    read.fetch_add(got as u64, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self { tasks, stop, read })
    }

    /// Ends them; gives the bytes they read. An error if one of them was cut off.
    pub async fn stop(mut self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("the task does not panic")?;
        }
        Ok(self.read.load(Ordering::Relaxed))
    }
}

/// One kept connection.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 << 10] })
    }

    /// One range; anything but a 206 of exactly that length is an error.
    async fn fetch(&mut self, target: &str, first: u64, len: u64) -> io::Result<()> {
        let last = first + len - 1;
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\nRange: bytes={first}-{last}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let mut have = 0;
        let head_len = loop {
            let got = self.stream.read(&mut self.buffer[have..]).await?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            have += got;
            if let Some(end) = self.buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 206") {
            let line = String::from_utf8_lossy(&self.buffer[..head_len.min(80)]).into_owned();
            return Err(io::Error::other(format!("wanted a 206: {line}")));
        }
        let mut left = len as usize - (have - head_len);
        while left > 0 {
            let room = left.min(self.buffer.len());
            let got = self.stream.read(&mut self.buffer[..room]).await?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= got;
        }
        Ok(())
    }
}
