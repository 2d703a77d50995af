//! Attacks on sockets and on HTTP/1.1.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::doors::{DoorsProcess, HEAD, NETWORK_CONNECTIONS};
use crate::withstand;

/// Connects as one of the attackers' hosts.
pub async fn connect(to: std::net::SocketAddr, host: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // A flood must not run out of ports.
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 66, host, 1], 0).into())?;
    socket.connect(to).await
}

/// Whether the other end closes within this time.
pub async fn is_cut(stream: &mut (impl AsyncReadExt + Unpin), within: Duration) -> bool {
    let closed = async { while !matches!(stream.read(&mut [0; 4096]).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(within, closed).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_byte_by_byte() {
    let doors = withstand("slow heads", async |doors: DoorsProcess| {
        let mut attackers = JoinSet::new();
        for host in 0..4 {
            for _ in 0..100 {
                let mut stream = connect(doors.plain, host).await.unwrap();
                attackers.spawn(async move {
                    let begun = Instant::now();
                    let mut head =
                        b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(b"a".iter().cycle());
                    while stream.write_all(&[*head.next().unwrap()]).await.is_ok() {
                        assert!(begun.elapsed() < HEAD * 5, "a head may take for ever");
                        sleep(Duration::from_millis(50)).await;
                    }
                });
            }
        }
        attackers.join_all().await;
        std::future::pending::<()>().await;
    })
    .await;
    doors.until("head_late", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_the_sockets_one_can_open() {
    let doors = withstand("sockets hoarded", async |doors: DoorsProcess| {
        let mut hoard = Vec::new();
        for _ in 0..NETWORK_CONNECTIONS + 200 {
            hoard.extend(connect(doors.plain, 1).await);
        }
        for stream in &mut hoard[NETWORK_CONNECTIONS..] {
            assert!(is_cut(stream, Duration::from_secs(2)).await, "more than a share was kept");
        }
        std::future::pending::<()>().await;
    })
    .await;
    assert!(doors.counter("network_refused") >= 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads() {
    withstand("h1 answers unread", async |doors: DoorsProcess| {
        let mut hoard = Vec::new();
        for host in 0..3 {
            for _ in 0..100 {
                let mut stream = connect(doors.plain, host).await.unwrap();
                stream.write_all(b"GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                hoard.push(stream);
            }
        }
        std::future::pending::<()>().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_without_end() {
    withstand("h1 heads too large", async |doors: DoorsProcess| {
        loop {
            for tail in [&b"X: "[..], b"a: b\r\n"] {
                let Ok(mut stream) = connect(doors.plain, 1).await else { continue };
                let _ = stream.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n").await;
                let _ = stream.write_all(&tail.repeat(20_000)).await;
                assert!(is_cut(&mut stream, Duration::from_secs(4)).await, "a head without end was taken");
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
