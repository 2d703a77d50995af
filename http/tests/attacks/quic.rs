//! Attacks on QUIC and HTTP/3.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig, VarInt};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::doors::{DoorsProcess, HANDSHAKE, STALL};
use crate::withstand;
use crate::world::{Session, Via, client_tls};

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
    let mut attackers = JoinSet::new();
    loop {
        while attackers.len() < usize::from(count) {
            let Some(connection) = connect(&doors, &endpoint, transport()).await else { break };
            attackers.spawn(attack(connection));
        }
        tokio::select! {
            Some(ended) = attackers.join_next() => ended.unwrap(),
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
    let doors = withstand("h3 rapid reset", |doors| {
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
    doors.until("h3_flooded", 1).await;
}

/// Says `opening` on a stream and then what `next` gives for 0, 1, 2… until it is cut, which must be soon.
async fn flood(connection: Connection, opening: &[u8], next: impl Fn(u64) -> Vec<u8>) {
    let Ok(mut stream) = connection.open_uni().await else { return };
    let _ = stream.write_all(opening).await;
    let writes = async {
        for batch in 0u64.. {
            let frames: Vec<u8> = (batch * 50..batch * 50 + 50).flat_map(&next).collect();
            if stream.write_all(&frames).await.is_err() {
                return;
            }
            sleep(Duration::from_micros(500)).await;
        }
    };
    assert!(timeout(Duration::from_secs(5), writes).await.is_ok(), "a flood is taken for ever");
    assert_flooded(&connection).await;
}

/// Cut as what it was: H3_EXCESSIVE_LOAD (RFC 9114 8.1).
async fn assert_flooded(connection: &Connection) {
    let closed = timeout(Duration::from_secs(5), connection.closed()).await.expect("a flooding connection stays open");
    let ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, VarInt::from_u32(0x107));
    sleep(Duration::from_millis(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_h3_frames_that_bring_nothing() {
    // The beginning of a control stream: its type, and empty SETTINGS.
    const CONTROL: &[u8] = &[0x00, 0x04, 0x00];
    let doors = withstand(
        "PRIORITY_UPDATE, MAX_PUSH_ID, GOAWAY, unknown frames, QPACK, streams",
        async |doors: DoorsProcess| {
            let mut floods = JoinSet::new();
            let plain = TransportConfig::default;
            floods.spawn(on_connections(doors.clone(), 1, plain, |connection| {
                // Streams that are there, that are to come, that are over: it is the number that counts.
                flood(connection, CONTROL, |n| {
                    [&[0x80, 0x0f, 0x07, 0x00, 0x04, (n % 16 * 4) as u8], &b"u=1"[..]].concat()
                })
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, |connection| {
                flood(connection, CONTROL, |n| [&[0x0d, 0x08], &(0xc000_0000_0000_0000 | n).to_be_bytes()[..]].concat())
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, async |connection| {
                // A client that goes away has its connection closed, unless it still waits for something.
                let Ok((mut send, _waits)) = connection.open_bi().await else { return };
                let _ = send.write_all(&request("/never")).await;
                sleep(Duration::from_millis(20)).await;
                flood(connection, CONTROL, |_| vec![0x07, 0x01, 0x00]).await;
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, |connection| {
                flood(connection, CONTROL, |_| vec![0x21, 0x00])
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, |connection| {
                flood(connection, &[0x02], |_| vec![0x20])
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, |connection| {
                flood(connection, &[0x03], |_| vec![0x44])
            }));
            floods.spawn(on_connections(doors.clone(), 1, plain, async |connection| {
                // Streams of a type that is nothing to anybody.
                while let Ok(mut stream) = connection.open_uni().await {
                    let _ = stream.write_all(&[0x21, 1]).await;
                    let _ = stream.finish();
                }
                assert_flooded(&connection).await;
            }));
            floods.join_all().await;
        },
    )
    .await;
    doors.until("h3_flooded", 7).await;
    assert_eq!(doors.counter("h3_broken"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_of_streams_to_come_cost_no_memory() {
    let doors = withstand("priorities of the future", |doors| {
        on_connections(doors, 2, TransportConfig::default, async |connection| {
            let Ok(mut control) = connection.open_uni().await else { return };
            let update = |stream: u64| {
                [&[0x80, 0x0f, 0x07, 0x00, 11], &(0xc000_0000_0000_0000 | stream).to_be_bytes()[..], b"u=1"].concat()
            };
            let all: Vec<u8> = (0..128).flat_map(|request| update(request * 4)).collect();
            let _ = control.write_all(&[&[0x00, 0x04, 0x00], &all[..]].concat()).await;
            sleep(Duration::from_millis(20)).await;
            assert!(connection.close_reason().is_none(), "as many as may be opened may be announced");
            let _ = control.write_all(&update(1_000_000)).await;
            let closed = timeout(Duration::from_secs(5), connection.closed()).await.unwrap();
            let ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
            // H3_ID_ERROR (RFC 9218 7.2).
            assert_eq!(close.error_code, VarInt::from_u32(0x108));
        })
    })
    .await;
    doors.until("h3_broken", 1).await;
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

/// A client whose streams let so many bytes through until it reads some.
fn windows(bytes: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(bytes)).receive_window(VarInt::from_u32(100_000));
    transport
}

/// Asks for as much as it may, and reads nothing of it.
async fn ask_and_never_read(connection: Connection) {
    let mut open = Vec::new();
    while let Ok((mut send, receive)) = connection.open_bi().await {
        let _ = send.write_all(&request("/huge")).await;
        let _ = send.finish();
        open.push((send, receive));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3_windows_that_stay_shut() {
    // Room for our settings, and hardly for the head of an answer.
    let attack = |doors| on_connections(doors, 5, || windows(60), ask_and_never_read);
    let doors = withstand("h3 windows shut", attack).await;
    // A few of each connection may be paused players.
    let cut = doors.counter("stream_stalled") + doors.counter("slow_reader");
    assert!(cut >= 5 * 124, "{cut} were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3_windows_with_no_room_for_our_settings() {
    let attack = |doors| on_connections(doors, 5, || windows(0), ask_and_never_read);
    let doors = withstand("h3 windows of nothing", attack).await;
    let endpoint = endpoint(1);
    let connection = connect(&doors, &endpoint, windows(0)).await.unwrap();
    let closed = timeout(HANDSHAKE * 3, connection.closed()).await.expect("it may say nothing for ever");
    let ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, VarInt::from_u32(0x107));
    assert_eq!(doors.counter("stream_stalled"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3_windows_that_open_a_few_bytes_at_a_time() {
    let doors = withstand("h3 slow windows", |doors| {
        on_connections(
            doors,
            2,
            || windows(400),
            async |connection| {
                let mut open = Vec::new();
                loop {
                    while open.len() < 100 {
                        let Ok((mut send, receive)) = connection.open_bi().await else { return };
                        let _ = send.write_all(&request("/huge")).await;
                        let _ = send.finish();
                        open.push(receive);
                    }
                    sleep(Duration::from_millis(200)).await;
                    let mut kept = Vec::new();
                    for mut receive in open {
                        // What came, but not more than 50 bytes: an eighth of the window is news to the other end.
                        let read = timeout(Duration::from_millis(1), receive.read_chunk(50, true)).await;
                        if !matches!(read, Ok(Err(_) | Ok(None))) {
                            kept.push(receive);
                        }
                    }
                    open = kept;
                }
            },
        )
    })
    .await;
    doors.until("slow_reader", 96).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_h3_player_is_no_attacker() {
    let _turn = crate::ONE_AT_A_TIME.lock().await;
    let doors = DoorsProcess::start();
    let endpoint = endpoint(9);
    let connection = connect(&doors, &endpoint, windows(60_000)).await.unwrap();
    let mut tracks = Vec::new();
    for _ in 0..2 {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&request("/big")).await.unwrap();
        send.finish().unwrap();
        tracks.push(receive);
    }
    sleep(STALL * 3).await;
    for mut track in tracks {
        let answer = timeout(Duration::from_secs(5), track.read_to_end(1 << 20)).await.unwrap();
        assert!(answer.expect("a paused track was reset").len() > crate::world::BIG);
    }
    assert_eq!(doors.counter("stream_stalled") + doors.counter("slow_reader"), 0);
}

/// Stands between clients and doors, and sends some of the clients' datagrams twice: first from an address that is not
/// theirs. What comes back there is what somebody gets who never asked.
struct Forger {
    address: SocketAddr,
    sent: Arc<AtomicUsize>,
    came: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Forger {
    const AT: [u8; 4] = [127, 66, 7, 1];

    async fn before(doors: SocketAddr) -> Self {
        let bind = async |ip: [u8; 4]| UdpSocket::bind(SocketAddr::new(ip.into(), 0)).await.unwrap();
        let (front, back, false_one) = (bind(Self::AT).await, bind(Self::AT).await, bind([127, 66, 66, 66]).await);
        let address = front.local_addr().unwrap();
        let (sent, came) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (sending, coming) = (Arc::clone(&sent), Arc::clone(&came));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut client = None;
            let (mut up, mut down, mut stray) = (vec![0; 65_535], vec![0; 65_535], vec![0; 65_535]);
            let mut number = 0u64;
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut up) => {
                        client = Some(from);
                        number += 1;
                        // Packets behind the handshake have short headers (RFC 9000 17.3).
                        if up[0] & 0x80 == 0 && number.is_multiple_of(10) {
                            false_one.send_to(&up[..len], doors).await.unwrap();
                            sending.fetch_add(len, Ordering::Relaxed);
                            // It is there first.
                            sleep(Duration::from_millis(1)).await;
                        }
                        back.send_to(&up[..len], doors).await.unwrap();
                    }
                    Ok((len, _)) = back.recv_from(&mut down) => {
                        if let Some(client) = client {
                            let _ = front.send_to(&down[..len], client).await;
                        }
                    }
                    Ok((len, _)) = false_one.recv_from(&mut stray) => {
                        coming.fetch_add(len, Ordering::Relaxed);
                    }
                }
            }
        });
        Self { address, sent, came, _task: task }
    }
}

/// A client's packets from an address that is not the client's: nothing leaves for there beyond three times what came from
/// there, no claim is held against it, and the client plays on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_that_are_forged() {
    let (sent, came, played) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    withstand("QUIC moves forged", async |doors: DoorsProcess| {
        let forger = Forger::before(doors.quic).await;
        let mut session = Session::connect(Via::H3, forger.address, &doors.ca, None).await.unwrap();
        let here = format!("nobody at {} over h3", std::net::Ipv4Addr::from(Forger::AT));
        for number in 0.. {
            // A track, and between its pieces the address that a claim would be held against.
            let answer = timeout(Duration::from_secs(10), session.ask(Method::GET, "/big", &[])).await;
            assert_eq!(answer.expect("the client plays on").unwrap().body.unwrap().len(), crate::world::BIG);
            let answer = timeout(Duration::from_secs(10), session.ask(Method::GET, "/whoami", &[])).await;
            assert_eq!(answer.expect("the client plays on").unwrap().text(), here);
            // And a while in which only copies are under way.
            if number % 4 == 3 {
                sleep(Duration::from_millis(30)).await;
            }
            played.fetch_add(1, Ordering::Relaxed);
            sent.store(forger.sent.load(Ordering::Relaxed), Ordering::Relaxed);
            came.store(forger.came.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    })
    .await;
    let (sent, came, played) = (sent.into_inner(), came.into_inner(), played.into_inner());
    println!("forged moves: {came} bytes for {sent}, {played} tracks");
    assert!(sent > 1_000 && came <= 3 * sent, "{came} bytes for {sent}");
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
