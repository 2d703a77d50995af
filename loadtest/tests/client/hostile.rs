//! Servers of whose every byte we decide: what is HTTP and what is not, on each protocol.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use needledrop_loadtest::client::{Client, ClientConfig, Connection, Get, Trust, Wish};
use needledrop_loadtest::measured::{Protocol, Trouble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::early::{H3, quic, sessions, tls};
use crate::world::{ALL, World, ask, fetch, origin};

/// What a server writes after each request, piece by piece, and whether it closes then.
#[derive(Clone)]
struct Script {
    pieces: Vec<Vec<u8>>,
    closes: bool,
}

async fn play(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let script = script.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut request).await {
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    request.clear();
                    for piece in &script.pieces {
                        if stream.write_all(piece).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    if script.closes {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn client() -> Client {
    let mut config = ClientConfig { trust: Trust::Anything, ..ClientConfig::default() };
    config.head_timeout = Duration::from_secs(5);
    config.body_timeout = Duration::from_secs(1);
    Client::new(&config).unwrap()
}

async fn open(address: SocketAddr, protocol: Protocol) -> Connection {
    client().device(None).open(&origin(false, address), protocol, Wish::Full).await.unwrap()
}

/// Body and whether the connection can go on, or the trouble.
async fn talk(pieces: &[&str], closes: bool) -> Result<(Vec<u8>, bool), Trouble> {
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
    let mut connection = open(play(Script { pieces, closes }).await, Protocol::H1).await;
    let (notes, answer) = fetch(&mut connection, &ask("/song")).await;
    answer.map_err(|failure| failure.trouble)?;
    Ok((notes.bytes, connection.is_usable()))
}

#[tokio::test]
async fn every_framing_of_http_1_is_read() {
    let whole = |text: &str, lives| Ok((text.as_bytes().to_vec(), lives));
    for (pieces, closes, wanted) in [
        (&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"][..], false, whole("hello", true)),
        (&["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\n\r", "\nhe", "llo"], false, whole("hello", true)),
        (&["HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"], false, whole("hello", true)),
        (
            &["HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
            false,
            whole("ok", true),
        ),
        (&["HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], false, whole("ok", true)),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"], false, whole("ok", false)),
        (&["HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"], false, whole("ok", false)),
        (&["HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: Keep-Alive\r\n\r\nok"], false, whole("ok", true)),
        (&["HTTP/1.1 200 OK\r\n\r\nall ", "of it"], true, whole("all of it", false)),
        (&["HTTP/1.1 204 No\r\n\r\n"], false, whole("", true)),
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n",
                "1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
            ],
            false,
            whole("hello world", true),
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "5",
                "\r",
                "\nhel",
                "lo\r",
                "\n0\r\nA: b\r",
                "\nC: d\r\n",
                "\r\n",
            ],
            false,
            whole("hello", true),
        ),
    ] {
        assert_eq!(talk(pieces, closes).await, wanted, "{pieces:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_1_is_told_from_what_is_broken() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(500));
    for (pieces, closes, wanted) in [
        (&["SSH-2.0-OpenSSH_9.6\r\n"][..], false, Trouble::Protocol),
        (&["HTTP/1.1 2x0 OK\r\n\r\n"], false, Trouble::Protocol),
        (&["HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"], false, Trouble::Protocol),
        (&[&long], false, Trouble::Protocol),
        (&[&many], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\nok"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"], false, Trouble::Protocol),
        (&["HTTP/1.1 206 OK\r\ncontent-length: 2\r\ncontent-range: bytes 0-1/2\r\n\r\nok"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111\r\n"], false, Trouble::Protocol),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"], false, Trouble::Length),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"], true, Trouble::Length),
        (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP"], false, Trouble::Length),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"], true, Trouble::Length),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello!"], false, Trouble::Length),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"], false, Trouble::Timeout),
        (&["HTTP/1.1 200 OK\r\ncontent-le"], true, Trouble::Broken),
        (&[""], true, Trouble::Broken),
        (&["HTTP/1.1 301 Moved\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n"], false, Trouble::Refused),
    ] {
        let start: String = pieces[0].chars().take(90).collect();
        assert_eq!(talk(pieces, closes).await, Err(wanted), "{start:?}");
    }
}

/// Lies about lengths on HTTP/2: the head says 50 bytes, the body has 100 or 10.
async fn lying_h2(body_bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut http = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = http.accept().await {
                    let head = http::Response::builder().header("content-length", 50).body(()).unwrap();
                    let mut stream = respond.send_response(head, false).unwrap();
                    stream.send_data(Bytes::from(vec![0; body_bytes]), true).unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn lengths_are_counted_on_http_2_and_3_too() {
    for bytes in [10, 100] {
        let mut connection = open(lying_h2(bytes).await, Protocol::H2).await;
        for _ in 0..2 {
            let failure = fetch(&mut connection, &ask("/song")).await.1.unwrap_err();
            assert_eq!(failure.trouble, Trouble::Length, "h2, {bytes}: {failure}");
        }
        let dir = tempfile::tempdir().unwrap();
        let server = H3::start_with(quic(tls(dir.path(), b"h3", 0, &sessions())), bytes, 50);
        let mut connection = client().device(None).open(&server.origin(), Protocol::H3, Wish::Full).await.unwrap();
        for _ in 0..2 {
            let failure = fetch(&mut connection, &ask("/song")).await.1.unwrap_err();
            assert_eq!(failure.trouble, Trouble::Length, "h3, {bytes}: {failure}");
        }
    }
}

/// A QUIC integer of four bytes.
fn long(number: usize) -> [u8; 4] {
    (number as u32 | 0x8000_0000).to_be_bytes()
}

/// An HTTP/3 frame.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind], &long(payload.len())[..], payload].concat()
}

#[tokio::test]
async fn heads_of_http_3_that_are_none_are_refused_without_a_panic_of_ours() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    // QPACK: no dynamic table; 103 and 200 are entries 24 and 25 of the static one (RFC 9204 appendix A).
    let interim = frame(HEADERS, &[0, 0, 0xC0 | 24]);
    let fine = frame(HEADERS, &[0, 0, 0xC0 | 25]);
    // A field of one name's byte and very many of value, their number in a prefix of seven bits.
    let huge_value = [&[0, 0, 0xC0 | 25, 0x21, b'x', 0x7F, 0xF1, 0xA1, 0x04][..], &[b'y'; 70_000][..]].concat();
    let huge = frame(HEADERS, &huge_value);
    let bad = frame(HEADERS, &[0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let data = frame(DATA, b"hello");
    for (answer, wanted) in [
        ([&interim[..], &fine, &data].concat(), Ok(5)),
        (huge.clone(), Err(Trouble::Protocol)),
        ([&interim[..], &huge].concat(), Err(Trouble::Protocol)),
        ([&interim[..], &bad].concat(), Err(Trouble::Protocol)),
        (bad, Err(Trouble::Protocol)),
        (data, Err(Trouble::Protocol)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = quic(tls(dir.path(), b"h3", 0, &sessions()));
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let origin = origin(true, endpoint.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(&[0, 4, 0]).await.unwrap();
            while let Ok((mut send, _receive)) = connection.accept_bi().await {
                let _ = send.write_all(&answer).await;
                let _ = send.finish();
            }
        });
        let mut connection = client().device(None).open(&origin, Protocol::H3, Wish::Full).await.unwrap();
        let (_, got) = fetch(&mut connection, &ask("/song")).await;
        let got = got.map(|answer| answer.body_bytes);
        assert_eq!(got.clone().map_err(|failure| failure.trouble), wanted, "{got:?}");
        drop(connection);
        server.abort();
    }
}

#[tokio::test]
async fn a_server_without_the_protocol_is_a_refusal_of_tls() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open();
    for (wanted, other) in [(Protocol::H2, &b"http/1.1"[..]), (Protocol::H1, b"h2")] {
        let config = tls(dir.path(), other, 0, &sessions());
        let server = crate::early::Terminator::start(config, world.planted.plain);
        let failure =
            client().device(None).open(&origin(true, server.address), wanted, Wish::Full).await.err().unwrap();
        assert_eq!(failure.trouble, Trouble::Tls, "{failure}");
    }
    // No TLS at all.
    let failure = client().device(None).open(&origin(true, world.planted.plain), Protocol::H1, Wish::Full).await;
    assert_eq!(failure.err().unwrap().trouble, Trouble::Tls);
    // No HTTP/2 behind a plain door.
    let mut connection = open(world.planted.plain, Protocol::H2).await;
    let failure = fetch(&mut connection, &ask("/song")).await.1.unwrap_err();
    assert!(matches!(failure.trouble, Trouble::Broken | Trouble::Protocol), "{failure}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_noticed_while_nothing_is_asked() {
    for protocol in ALL {
        let world = World::open();
        let mut connection = world.connect(protocol).await;
        fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap();
        assert!(connection.is_usable());
        let World { planted, .. } = world;
        tokio::task::spawn_blocking(move || drop(planted)).await.unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while connection.is_usable() {
            assert!(std::time::Instant::now() < deadline, "{protocol}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let failure = fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap_err();
        assert_eq!(failure.trouble, Trouble::Broken, "{protocol}: {failure}");
    }
}

#[tokio::test]
async fn a_get_that_is_given_up_leaves_the_connection_to_the_next_one() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let get = Get { range: Some((0, 99)), ..ask("/delay=10s/song") };
        let given_up = tokio::time::timeout(Duration::from_millis(50), fetch(&mut connection, &get)).await;
        assert!(given_up.is_err());
        assert_eq!(connection.is_usable(), protocol != Protocol::H1, "{protocol}");
        if protocol != Protocol::H1 {
            fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap();
        }
    }
}
