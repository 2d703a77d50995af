//! An upstream that makes bytes up as they are asked for, and counts those it sends.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

static PIECE: [u8; 64 << 10] = [b'~'; 64 << 10];

/// The path of an object.
pub fn path(id: u32) -> String {
    format!("/t/{id}.ogg")
}

/// The upstream, listening until it is dropped.
pub struct Source {
    pub address: SocketAddr,
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Source {
    /// Objects of these lengths, on a port of its own.
    pub async fn start(lens: Vec<u64>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, sent, lens) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)), Arc::new(lens));
        let counter = sent.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, lens.clone(), counter.clone()));
            }
        });
        Ok(Self { address, sent, task })
    }

    /// Body bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection: a request after the other, each a GET or HEAD with a range or without.
async fn converse(stream: TcpStream, lens: Arc<Vec<u64>>, sent: Arc<AtomicU64>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut range) = (String::new(), None);
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        loop {
            let mut field = String::new();
            if stream.read_line(&mut field).await? <= 2 {
                break;
            }
            let field = field.trim_end().to_ascii_lowercase();
            if let Some(wanted) = field.strip_prefix("range: bytes=") {
                let (first, last) = wanted.split_once('-').unwrap_or(("", ""));
                range = first.parse::<u64>().ok().map(|first| (first, last.parse::<u64>().unwrap_or(u64::MAX)));
            }
        }
        let mut words = line.split(' ');
        let is_head = words.next() == Some("HEAD");
        let id = words.next().and_then(|path| path.strip_prefix("/t/")?.strip_suffix(".ogg")?.parse::<usize>().ok());
        let Some(len) = id.and_then(|id| lens.get(id).copied()) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        let (start, end) = range.map_or((0, len), |(first, last)| (first.min(len), last.saturating_add(1).min(len)));
        let status = match range {
            Some(_) => format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{len}", end.saturating_sub(1)),
            None => "200 OK".to_owned(),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"v1\"\r\ncontent-type: audio/ogg\r\n\
             cache-control: public, max-age=31536000, immutable\r\naccept-ranges: bytes\r\n\r\n",
            end - start
        );
        stream.write_all(head.as_bytes()).await?;
        let mut left = if is_head { 0 } else { end - start };
        while left > 0 {
            let piece = PIECE.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            stream.write_all(&PIECE[..piece]).await?;
            left -= piece as u64;
            sent.fetch_add(piece as u64, Ordering::Relaxed);
        }
        stream.flush().await?;
    }
}
