//! The first bytes of a TLS connection come in pieces that a client can use at once; later ones in full.

mod world;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use world::{BIG, World, pattern};

/// Plaintext bytes of a record that fits one segment, and of one that fits three.
const ONE_SEGMENT: usize = 1_360;
const THREE_SEGMENTS: usize = 3 * ONE_SEGMENT;
/// Content type and tag of a TLS 1.3 record (RFC 8446 5.2).
const RECORD_OVERHEAD: usize = 17;

/// What the records of a stream carry, in bytes, as they pass.
#[derive(Default)]
struct Records {
    sizes: Vec<usize>,
    header: Vec<u8>,
    left: usize,
}

impl Records {
    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let step = self.left.min(bytes.len());
                self.left -= step;
                bytes = &bytes[step..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if self.header.len() == 5 {
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                self.sizes.push(self.left.saturating_sub(RECORD_OVERHEAD));
                self.header.clear();
            }
        }
    }
}

struct Watched(TcpStream, Arc<Mutex<Records>>);

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.0).poll_read(cx, buf);
        self.1.lock().unwrap().see(&buf.filled()[before..]);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn connect(world: &World, alpn: &str) -> (TlsStream<Watched>, Arc<Mutex<Records>>) {
    let records = Arc::new(Mutex::new(Records::default()));
    let stream = Watched(TcpStream::connect(world.tls).await.unwrap(), Arc::clone(&records));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(world::client_tls(&world.certs.ca, None, alpn)));
    (connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap(), records)
}

/// Asks for /big over HTTP/1.1; the sizes of the records that brought it.
async fn fetch_big(stream: &mut TlsStream<Watched>, records: &Mutex<Records>) -> Vec<usize> {
    // What comes without a request (tickets) is not the answer.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _ = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 1])).await;
    records.lock().unwrap().sizes.clear();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let mut body = vec![0; BIG];
    stream.read_exact(&mut body).await.unwrap();
    assert!(body == pattern(BIG));
    std::mem::take(&mut records.lock().unwrap().sizes)
}

/// Whether records grow as they should: sizes allowed by what was sent before them.
fn is_a_first_flight(sizes: &[usize]) -> bool {
    let mut sent = 0;
    sizes.iter().all(|size| {
        let most = match sent {
            0..0x4000 => ONE_SEGMENT,
            0x4000..0x1_0000 => THREE_SEGMENTS,
            _ => usize::MAX,
        };
        sent += size;
        *size <= most
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h1_connection_begins_and_begins_again_with_records_of_one_segment() {
    let world = World::open();
    let (mut stream, records) = connect(&world, "http/1.1").await;
    let first = fetch_big(&mut stream, &records).await;
    assert!(is_a_first_flight(&first), "{first:?}");
    assert!(first.contains(&(16 * 1024)), "full records afterwards: {first:?}");
    assert!(first.len() < 60, "{} records", first.len());

    let second = fetch_big(&mut stream, &records).await;
    assert!(!is_a_first_flight(&second), "the window is open: {second:?}");
    assert!(second.len() < 30, "{} records", second.len());

    tokio::time::sleep(Duration::from_millis(1100)).await;
    let third = fetch_big(&mut stream, &records).await;
    assert!(is_a_first_flight(&third), "the window is gone: {third:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h2_connection_begins_with_frames_of_one_segment() {
    let world = World::open();
    let (stream, _) = connect(&world, "h2").await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..2 {
        let request = http::Request::get("https://localhost/big").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            sizes.push(data.len());
            bytes.extend_from_slice(&data);
        }
        assert!(bytes == pattern(BIG));
        frames.push(sizes);
    }
    // A frame and its header of 9 bytes fill records: nothing of a record waits for the next one.
    assert!(frames[0][..12].iter().all(|size| *size == ONE_SEGMENT - 9), "{:?}", frames[0]);
    assert!(frames[0][13..16].iter().all(|size| *size == THREE_SEGMENTS - 9), "{:?}", frames[0]);
    assert!(frames[0].contains(&(16 * 1024 - 9)), "{:?}", frames[0]);
    assert!(frames[1][0] > THREE_SEGMENTS, "the connection's first bytes, not each stream's: {:?}", frames[1]);
}
