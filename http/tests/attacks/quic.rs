//! Attacks on QUIC and HTTP/3.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::doors::DoorsProcess;
use crate::withstand;
use crate::world::client_tls;

fn config(doors: &DoorsProcess, transport: TransportConfig) -> ClientConfig {
    let tls = client_tls(&doors.ca, None, "h3");
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    config
}

fn endpoint(host: u8) -> Endpoint {
    Endpoint::client(SocketAddr::new(IpAddr::from([127, 66, host, 1]), 0)).unwrap()
}

async fn connect(doors: &DoorsProcess, endpoint: &Endpoint, transport: TransportConfig) -> Option<Connection> {
    let connecting = endpoint.connect_with(config(doors, transport), doors.quic, "localhost").ok()?;
    connecting.await.ok()
}

/// An HTTP/3 frame: type, length, payload, with both numbers in eight bytes or less.
fn frame(kind: u8, len: usize, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend((0xc000_0000_0000_0000 | len as u64).to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET in QPACK, by the static table only (RFC 9204 appendix A).
fn head(path: &str) -> Vec<u8> {
    let mut block = vec![0, 0, 0xc0 | 17, 0xc0 | 23, 0x51, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x50, 9]);
    block.extend(b"localhost");
    block
}

fn request(path: &str) -> Vec<u8> {
    let block = head(path);
    frame(1, block.len(), &block)
}

/// Attacks over connections of their own, as long as they are let.
async fn on_connections<F: Future<Output = ()> + Send + 'static>(
    doors: DoorsProcess,
    count: u8,
    transport: impl Fn() -> TransportConfig,
    attack: impl Fn(Connection) -> F,
) {
    let endpoint = endpoint(1);
    let mut attackers = tokio::task::JoinSet::new();
    loop {
        while attackers.len() < usize::from(count) {
            let Some(connection) = connect(&doors, &endpoint, transport()).await else { break };
            attackers.spawn(attack(connection));
        }
        tokio::select! {
            _ = attackers.join_next(), if !attackers.is_empty() => {}
            () = sleep(Duration::from_millis(50)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_end_their_head() {
    let doors = withstand("h3 slow heads", |doors| {
        on_connections(doors, 10, TransportConfig::default, async |connection| {
            let mut open = Vec::new();
            while let Ok((mut send, receive)) = connection.open_bi().await {
                let _ = send.write_all(&frame(1, 2_000, &[0])).await;
                open.push((send, receive));
            }
        })
    })
    .await;
    doors.until("head_late", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_sixty_megabytes() {
    withstand("h3 huge HEADERS", |doors| {
        on_connections(doors, 4, TransportConfig::default, async |connection| {
            while let Ok((mut send, _receive)) = connection.open_bi().await {
                let _ = send.write_all(&frame(1, 60 << 20, &[0; 1_000])).await;
                while send.write_all(&[0; 16_000]).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
                sleep(Duration::from_millis(2)).await;
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3_rapid_reset() {
    withstand("h3 rapid reset", |doors| {
        on_connections(doors, 2, TransportConfig::default, async |connection| {
            for number in 0u64.. {
                let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
                let _ = send.write_all(&request("/never")).await;
                let _ = send.reset(VarInt::from_u32(0x10c));
                let _ = receive.stop(VarInt::from_u32(0x10c));
                if number % 20 == 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qpack_bomb() {
    withstand("QPACK bomb", |doors| {
        on_connections(doors, 4, TransportConfig::default, async |connection| {
            // The encoder stream: a dynamic table of a megabyte that nobody allowed, and entries for it.
            if let Ok(mut encoder) = connection.open_uni().await {
                let mut instructions = vec![0x02, 0x3f, 0xe1, 0xff, 0x3f];
                for _ in 0..50 {
                    instructions.extend([0x41, b'a', 0x7f, 0xa1, 0x1e]);
                    instructions.extend([b'b'; 4_000]);
                }
                let _ = encoder.write_all(&instructions).await;
                std::mem::forget(encoder);
            }
            // Heads that repeat a static field a few thousand times, and one that refers to entries to come.
            while let Ok((mut send, mut receive)) = connection.open_bi().await {
                let mut block = head("/hello");
                block.extend([0xc0 | 46; 12_000]);
                let _ = send.write_all(&frame(1, block.len(), &block)).await;
                let _ = send.finish();
                let _ = receive.read_to_end(4_096).await;
                let Ok((mut send, _blocked)) = connection.open_bi().await else { return };
                let _ = send.write_all(&frame(1, 4, &[0x32, 0, 0x80, 0x81])).await;
                sleep(Duration::from_millis(2)).await;
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3_windows_that_stay_shut() {
    let shut = || {
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(1_200)).receive_window(VarInt::from_u32(100_000));
        transport
    };
    withstand("h3 windows shut", |doors| {
        on_connections(doors, 5, shut, async |connection| {
            let mut open = Vec::new();
            while let Ok((mut send, receive)) = connection.open_bi().await {
                let _ = send.write_all(&request("/huge")).await;
                let _ = send.finish();
                open.push((send, receive));
            }
        })
    })
    .await;
}

/// First packets from one address that never proves itself: at most three times as much comes back (RFC 9000 8.1), and
/// from half of a share on senders must prove their address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_packets_from_an_address_that_never_answers() {
    let (sent, came) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let doors = withstand("QUIC first packets", |doors| {
        let (sent, came) = (Arc::clone(&sent), Arc::clone(&came));
        async move {
            // Clients connect to this socket, which passes on only what the first of them send.
            let between = Arc::new(UdpSocket::bind("127.66.7.1:0").await.unwrap());
            let at = between.local_addr().unwrap();
            let endpoint = Endpoint::client("127.66.8.1:0".parse().unwrap()).unwrap();
            let (socket, to) = (Arc::clone(&between), doors.quic);
            let passing = tokio::spawn(async move {
                let mut packet = [0; 2048];
                while let Ok((len, from)) = socket.recv_from(&mut packet).await {
                    if from == to {
                        came.fetch_add(len, Ordering::Relaxed);
                    } else if len >= 1_200 && socket.send_to(&packet[..len], to).await.is_ok() {
                        sent.fetch_add(len, Ordering::Relaxed);
                    }
                }
            });
            let _ends = passing.abort_handle();
            let mut hoard = Vec::new();
            loop {
                for _ in 0..10 {
                    let config = config(&doors, TransportConfig::default());
                    hoard.extend(endpoint.connect_with(config, at, "localhost"));
                }
                if hoard.len() > 400 {
                    hoard.drain(..200);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
    let (sent, came) = (sent.load(Ordering::Relaxed), came.load(Ordering::Relaxed));
    println!("amplification: {came} bytes for {sent}");
    assert!(sent > 100_000 && came <= 3 * sent, "{came} bytes for {sent}");
    doors.until("quic_retried", 1).await;
}
