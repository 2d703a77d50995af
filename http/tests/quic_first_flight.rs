//! How soon the head of a track is there over a line with a delay, a rate and a queue: round trips, not CPU.

#![expect(clippy::print_stdout, reason = "how long it took, whatever the bounds say")]

mod world;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::time::{sleep, timeout};
use world::{World, client_tls};

const HEAD: usize = 64 * 1024;
/// IPv4 and UDP around a QUIC packet.
const HEADERS: usize = 28;

#[derive(Clone, Copy)]
struct Line {
    one_way: Duration,
    bytes_per_second: f64,
    queue_bytes: f64,
}

const FAST: Line = Line { one_way: Duration::from_millis(20), bytes_per_second: 50e6 / 8.0, queue_bytes: 256e3 };
const SLOW: Line = Line { one_way: Duration::from_millis(50), bytes_per_second: 5e6 / 8.0, queue_bytes: 65_536.0 };

/// What went down a line to its client.
#[derive(Default)]
struct Traffic {
    carried: AtomicU64,
    dropped: AtomicU64,
}

type Due = (Instant, Vec<u8>);

/// Puts what arrives on the line: behind what waits, or nowhere if the queue is full.
fn enqueue(line: Line, inbound: &UdpSocket, out: &Sender<Due>, traffic: &Traffic, mut first: Option<Vec<u8>>) {
    let mut free_at = Instant::now();
    let mut buffer = vec![0; 65_535];
    loop {
        let packet = match first.take() {
            Some(packet) => packet,
            None => match inbound.recv(&mut buffer) {
                Ok(len) => buffer[..len].to_vec(),
                Err(_) => return,
            },
        };
        let now = Instant::now();
        free_at = free_at.max(now);
        if (free_at - now).as_secs_f64() * line.bytes_per_second > line.queue_bytes {
            traffic.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        traffic.carried.fetch_add(1, Ordering::Relaxed);
        free_at += Duration::from_secs_f64((packet.len() + HEADERS) as f64 / line.bytes_per_second);
        if out.send((free_at + line.one_way, packet)).is_err() {
            return;
        }
    }
}

fn deliver(due: &Receiver<Due>, outbound: &UdpSocket) {
    for (at, packet) in due {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let _ = outbound.send(&packet);
    }
}

/// A line for one connection: its near end, and what went down it.
fn lay(line: Line, server: SocketAddr) -> (SocketAddr, Arc<Traffic>) {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = near.local_addr().unwrap();
    let traffic = Arc::new(Traffic::default());
    let counted = Arc::clone(&traffic);
    thread::spawn(move || {
        let mut buffer = vec![0; 65_535];
        let Ok((len, client)) = near.recv_from(&mut buffer) else { return };
        let first = Some(buffer[..len].to_vec());
        near.connect(client).unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(server).unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        }
        let (up, up_due) = channel();
        let (down, down_due) = channel();
        let (near, far, counted) = (&near, &far, &counted);
        thread::scope(|scope| {
            scope.spawn(move || enqueue(line, near, &up, &Traffic::default(), first));
            scope.spawn(move || enqueue(line, far, &down, counted, None));
            scope.spawn(move || deliver(&up_due, far));
            scope.spawn(move || deliver(&down_due, near));
        });
    });
    (address, traffic)
}

/// From the first packet to the last byte of a head.
async fn start(config: &quinn::ClientConfig, address: SocketAddr) -> Duration {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let began = Instant::now();
    let connecting = endpoint.connect_with(config.clone(), address, "localhost").unwrap();
    let quic = match connecting.into_0rtt() {
        Ok((quic, _)) => quic,
        Err(connecting) => connecting.await.unwrap(),
    };
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
    let driver = tokio::spawn(async move { driver.wait_idle().await });
    let request = http::Request::get("https://localhost/head-of-a-track").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    stream.recv_response().await.unwrap();
    let mut read = 0;
    while let Some(piece) = stream.recv_data().await.unwrap() {
        read += piece.remaining();
    }
    assert_eq!(read, HEAD);
    let took = began.elapsed();
    // Sessions and tokens are on their way.
    sleep(Duration::from_millis(300)).await;
    quic.close(0u32.into(), b"");
    driver.abort();
    took
}

/// The quickest of some full handshakes and of some resumed ones with early data, in ms, and the share of packets that
/// the line dropped on the worst of them: the machine may be busy, but it is never too fast.
async fn quickest(world: &World, line: Line) -> (f64, f64, f64) {
    let (mut full, mut early, mut lost) = (f64::MAX, f64::MAX, 0f64);
    for _ in 0..6 {
        let mut tls = client_tls(&world.certs.ca, None, "h3");
        tls.enable_early_data = true;
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        for best in [&mut full, &mut early] {
            let (address, traffic) = lay(line, world.quic);
            let took = timeout(Duration::from_secs(10), start(&config, address)).await.expect("a head in time");
            *best = best.min(took.as_secs_f64() * 1e3);
            let [carried, dropped] = [&traffic.carried, &traffic.dropped].map(|count| count.load(Ordering::Relaxed));
            lost = lost.max(dropped as f64 / (carried + dropped) as f64);
        }
    }
    (full, early, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_takes_two_round_trips_and_a_resumed_one_takes_one() {
    let world = World::open();
    let (full, early, lost) = quickest(&world, FAST).await;
    println!("40 ms, 50 Mbit/s: full {full:.1} ms, early data {early:.1} ms, lost {:.1} %", lost * 1e2);
    // Two round trips and one, and 11 ms for the bytes.
    assert!(full <= 112.0, "{full} ms with a full handshake");
    assert!(early <= 75.0, "{early} ms in early data");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_loses_nothing_of_a_head() {
    let world = World::open();
    let (full, early, lost) = quickest(&world, SLOW).await;
    println!("100 ms, 5 Mbit/s: full {full:.1} ms, early data {early:.1} ms, lost {:.1} %", lost * 1e2);
    // Two round trips and one, and 110 ms for the bytes.
    assert!(full <= 360.0, "{full} ms with a full handshake");
    assert!(early <= 260.0, "{early} ms in early data");
    assert!(lost <= 0.02, "{lost} of the packets fell out of the queue");
}
