//! What a stranger may try on a door, and what it costs him.

mod world;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use needledrop_http::{Body, Doors, DoorsConfig, Handler, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use world::{Via, World, client_tls, quic_connection, tls_stream};

const SOON: Duration = Duration::from_secs(5);

fn impatient() -> World {
    World::open_with(|config, _| {
        config.limits.head = Duration::from_millis(300);
        config.limits.handshake = Duration::from_millis(300);
        config.limits.idle = Duration::from_millis(1200);
    })
}

/// Everything until the connection ends, and how it ended.
async fn read_all(socket: &mut TcpStream) -> (String, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let ended = timeout(SOON, socket.read_to_end(&mut bytes)).await.expect("the server must end this");
    (String::from_utf8_lossy(&bytes).into_owned(), ended.map(drop).map_err(|error| error.kind()))
}

async fn say(world: &World, text: &str) -> (String, Result<(), ErrorKind>) {
    let mut socket = TcpStream::connect(world.plain).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    read_all(&mut socket).await
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let world = impatient();
    let mut socket = TcpStream::connect(world.plain).await.unwrap();
    let began = Instant::now();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    read_all(&mut socket).await.1.ok();
    assert!(began.elapsed() >= Duration::from_millis(250));
    assert!(began.elapsed() < Duration::from_millis(1000), "took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_at_the_same_time() {
    let world = impatient();
    let (mut reader, mut writer) = TcpStream::connect(world.plain).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        for byte in b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter().cycle() {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let began = Instant::now();
    let _ = timeout(SOON, reader.read(&mut [0; 100])).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1000), "took {:?}", began.elapsed());
    trickle.abort();
}

#[tokio::test]
async fn a_kept_connection_outlives_the_head_deadline_but_not_the_idle_one() {
    let world = impatient();
    let mut socket = TcpStream::connect(world.plain).await.unwrap();
    for _ in 0..2 {
        sleep(Duration::from_millis(600)).await;
        socket.write_all(b"HEAD /again HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let count = socket.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    }
    let (rest, ended) = read_all(&mut socket).await;
    assert_eq!((rest.as_str(), ended), ("", Ok(())), "an idle connection ends in order");
}

#[tokio::test]
async fn silent_tls_and_h2_peers_are_cut() {
    let world = impatient();
    let mut silent = TcpStream::connect(world.tls).await.unwrap();
    read_all(&mut silent).await.1.ok();
    let mut speechless = tls_stream(world.tls, client_tls(&world.certs.ca, None, "h2")).await.unwrap();
    let _ = timeout(SOON, speechless.read_to_end(&mut Vec::new())).await.expect("no preface, no connection");
}

#[tokio::test]
async fn a_body_nobody_asked_for_is_not_taken_for_a_request() {
    let world = World::open();
    for framing in ["Content-Length: 40\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n28\r\n"] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n     ";
        let text = format!("POST /first HTTP/1.1\r\nHost: x\r\n{framing}{smuggled}");
        let (answer, ended) = say(&world, &text).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("POST /first for x"), "{answer}");
        assert_eq!(ended, Ok(()), "the answer arrives in order");
    }
    // Both framings at once are the classic disguise (RFC 9112 6.3).
    let both = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(!say(&world, both).await.0.contains("smuggled"));
}

#[tokio::test]
async fn malformed_requests_are_400() {
    let world = World::open();
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0",
    ] {
        let text = text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let (answer, _) = say(&world, &text).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{text:?} gave {answer:?}");
    }
    let (answer, _) = say(&world, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}

#[tokio::test]
async fn an_absolute_target_overrides_host() {
    let world = World::open();
    let text = "GET http://real.example:81/a?b HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n";
    let (answer, _) = say(&world, text).await;
    assert!(answer.ends_with("GET /a?b for real.example:81"), "{answer}");
}

#[tokio::test]
async fn too_many_fields_and_too_large_heads_are_431() {
    let world = World::open();
    let many = "X: y\r\n".repeat(100);
    let (answer, _) = say(&world, &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let large = "x".repeat(20_000);
    let (answer, _) = say(&world, &format!("GET / HTTP/1.1\r\nHost: x\r\nX: {large}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_broken_body_of_unknown_length_ends_in_a_reset_for_http_1_0() {
    let world = World::open();
    let whole = say(&world, "GET /unknown HTTP/1.0\r\n\r\n").await;
    assert_eq!(whole.1, Ok(()));
    let broken = say(&world, "GET /broken-later-unknown HTTP/1.0\r\n\r\n").await;
    assert_eq!(broken.1, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let world = World::open_with(|config, _| config.limits.write_stall = Duration::from_millis(300));
    let mut socket = TcpStream::connect(world.plain).await.unwrap();
    socket.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(1500)).await;
    let mut sink = vec![0; 1 << 20];
    let ended = async {
        loop {
            match socket.read(&mut sink).await {
                Ok(0) => panic!("an endless body must not end well"),
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    };
    assert_eq!(timeout(SOON, ended).await.unwrap(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_or_are_refused() {
    let world = World::open_with(|config, _| {
        config.limits.connections = 1;
        config.limits.quic_connections = 1;
    });
    let first = TcpStream::connect(world.plain).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let waiting = world.ask(Via::H1, "/");
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "the second one must wait");
    drop(first);
    assert_eq!(timeout(SOON, waiting).await.unwrap().status, 200);

    let _held = world.connect(Via::H3, None).await.unwrap();
    assert!(world.connect(Via::H3, None).await.is_err());
}

#[tokio::test]
async fn an_endless_h3_head_is_stopped_and_costs_its_stream_only() {
    let world = World::open();
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    // HEADERS, declared 2^30 - 1 bytes long (RFC 9114 7.2.2).
    send.write_all(&[0x01, 0xbf, 0xff, 0xff, 0xff]).await.unwrap();
    let mut sent = 0;
    let stopped = loop {
        match send.write(&[0; 4096]).await {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
        assert!(sent < 1 << 20, "one stream may bring 64 KiB, not {sent}");
    };
    assert!(matches!(stopped, quinn::WriteError::Stopped(_)), "{stopped}");
    assert!(recv.read_to_end(1000).await.is_err(), "the answer's half is reset");
    assert!(quic.close_reason().is_none());
    assert_eq!(world.ask(Via::H3, "/").await.status, 200);
}

#[tokio::test]
async fn a_withheld_h3_head_stalls_nothing_and_is_cut() {
    let world = impatient();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    let world::Session::H3 { quic, .. } = &session else { unreachable!() };
    let (mut withheld, mut recv) = quic.open_bi().await.unwrap();
    withheld.write_all(&[0x01, 0x40]).await.unwrap();
    let answer = session.ask(http::Method::GET, "/meanwhile", &[]).await.unwrap();
    assert_eq!(answer.status, 200);
    let ended = timeout(SOON, recv.read_to_end(1000)).await.expect("the deadline must end this");
    assert!(ended.is_err());
}

/// Counts what a connection takes from an endless body.
struct Spring(Arc<AtomicUsize>);

impl Handler for Spring {
    async fn call(&self, _: Request) -> Response<Body> {
        let taken = self.0.clone();
        let drops = futures_util::stream::repeat_with(move || {
            taken.fetch_add(16_384, Ordering::Relaxed);
            Ok(Bytes::from_static(&[7; 16_384]))
        });
        Response::new(Body::stream(drops, None))
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_pauses_makes_the_kernel_hold_little() {
    let taken = Arc::new(AtomicUsize::new(0));
    let plain = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let doors = Doors::bind(DoorsConfig { plain, ..DoorsConfig::default() }).unwrap();
    let address = doors.plain_addrs()[0];
    let _running = doors.serve(Arc::new(Spring(taken.clone())));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    let mut paused = socket.connect(address).await.unwrap();
    paused.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut before = 0;
    // Until nothing moves any more.
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = taken.load(Ordering::Relaxed);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < 1_000_000, "{before} bytes wait for a reader who pauses");
}
