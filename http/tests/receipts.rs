//! A receipt tells what arrived: all of it when the client has it all, and of a client that leaves no more than it got.

mod world;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http::Method;
use needledrop_http::{Delivered, End};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use world::{ALL, BIG, HUGE, PART, Session, Via, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_arrived_whole_is_receipted_whole() {
    let world = World::open();
    for via in ALL {
        // The connection stays open and silent: nothing but acknowledgements tell.
        let mut session = world.connect(via, None).await.unwrap();
        for (target, len) in [("/big", BIG), ("/unknown", 2 * PART), ("/big", BIG)] {
            assert_eq!(session.ask(Method::GET, target, &[]).await.unwrap().body.unwrap().len(), len);
            let delivered = world.stage.receipts.next(target).await;
            assert_eq!(delivered, Delivered { bytes: len as u64, end: End::Sent }, "{target} over {via:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_body_delivers_nothing_well() {
    let world = World::open();
    for via in ALL {
        world.ask_with(via, Method::HEAD, "/big", &[]).await.unwrap();
        assert_eq!(world.stage.receipts.next("/big").await, Delivered { bytes: 0, end: End::Sent }, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_we_break_off_counts_what_arrived_of_it() {
    let world = World::open();
    for via in ALL {
        for target in ["/broken", "/short", "/panicking-body"] {
            let _ = world.ask_with(via, Method::GET, target, &[]).await;
            let delivered = world.stage.receipts.next(target).await;
            assert_eq!(delivered.end, End::Broken, "{target} over {via:?}");
            assert!(delivered.bytes <= 2 * PART as u64, "{target} over {via:?}: {delivered:?}");
        }
    }
}

/// A TCP stream that counts what the program took from the system.
struct Counting {
    inner: TcpStream,
    taken: Arc<AtomicU64>,
}

impl Counting {
    /// With a small receive buffer, so that much is still on the server's side.
    async fn connect(addr: SocketAddr) -> (Self, Arc<AtomicU64>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let taken = Arc::new(AtomicU64::new(0));
        (Self { inner: socket.connect(addr).await.unwrap(), taken: Arc::clone(&taken) }, taken)
    }

    /// Everything that this system has got, once nothing more fits.
    async fn got(&self) -> u64 {
        let mut buffer = vec![0; 4 << 20];
        let (mut waiting, mut same) = (0, 0);
        while same < 10 {
            let now = self.inner.peek(&mut buffer).await.unwrap();
            same = if now == waiting { same + 1 } else { 0 };
            waiting = now;
            sleep(Duration::from_millis(10)).await;
        }
        self.taken.load(Ordering::Relaxed) + waiting as u64
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.taken.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Reads the head of an HTTP/1.1 answer byte by byte; its length.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> u64 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    head.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h1_client_that_leaves_has_got_what_its_system_has() {
    let world = World::open();
    for (target, reads) in [("/huge", 1_000_000), ("/huge", 10_000), ("/big", 10_000)] {
        let (mut stream, _) = Counting::connect(world.plain).await;
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        stream.read_exact(&mut vec![0; reads]).await.unwrap();
        let got = stream.got().await - head;
        drop(stream);
        let delivered = world.stage.receipts.next(target).await;
        assert_eq!(delivered.end, End::Left);
        assert!(delivered.bytes <= got, "{target}: {delivered:?}, and the client got {got}");
        assert!(delivered.bytes >= reads as u64, "{target}: {delivered:?}, and the client read {reads}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h1_client_over_tls_that_leaves_has_got_no_more_than_its_system_has() {
    let world = World::open();
    for (target, reads) in [("/huge", 1_000_000), ("/big", 10_000)] {
        let (stream, _) = Counting::connect(world.tls).await;
        let config = world::client_tls(&world.certs.ca, None, "http/1.1");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream.read_exact(&mut vec![0; reads]).await.unwrap();
        let got = stream.get_ref().0.got().await;
        drop(stream);
        let delivered = world.stage.receipts.next(target).await;
        assert_eq!(delivered.end, End::Left);
        assert!(delivered.bytes <= got, "{target}: {delivered:?}, and the client got {got} with its records");
        // Records that rustls had made and no socket had taken are counted as not sent, whatever their size.
        assert!(target != "/huge" || delivered.bytes + 200_000 >= reads as u64, "{delivered:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h2_stream_that_is_given_up_counts_by_itself() {
    let world = World::open();
    let (stream, _) = Counting::connect(world.tls).await;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(world::client_tls(&world.certs.ca, None, "h2")));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(50_000).initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = |target: &str| http::Request::get(format!("https://localhost{target}")).body(()).unwrap();
    let mut client = client.ready().await.unwrap();

    // As far as the window of its stream lets it go.
    let (huge, _) = client.send_request(request("/huge"), true).unwrap();
    let mut huge = huge.await.unwrap().into_body();
    let mut got = 0;
    while got < 50_000 {
        got += huge.data().await.unwrap().unwrap().len();
    }

    // Meanwhile another one goes through whole, and its receipt does not wait.
    let (big, _) = client.send_request(request("/big"), true).unwrap();
    let mut big = big.await.unwrap().into_body();
    let mut len = 0;
    while let Some(data) = big.data().await {
        let data = data.unwrap();
        len += data.len();
        big.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(len, BIG);
    let whole = Delivered { bytes: BIG as u64, end: End::Sent };
    assert_eq!(world.stage.receipts.next("/big").await, whole);

    assert!(world.stage.receipts.is_empty(), "the stalled one is still going");
    drop(huge);
    assert_eq!(world.stage.receipts.next("/huge").await, Delivered { bytes: 50_000, end: End::Left });

    // What was thrown away with that stream does not take anything from those that come later.
    let (big, _) = client.send_request(request("/big"), true).unwrap();
    let mut big = big.await.unwrap().into_body();
    while let Some(data) = big.data().await {
        big.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    assert_eq!(world.stage.receipts.next("/big").await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h2_client_that_vanishes_has_got_no_more_than_its_window() {
    let world = World::open();
    let stream = world::tls_stream(world.tls, world::client_tls(&world.certs.ca, None, "h2")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/huge").body(()).unwrap();
    let (huge, _) = client.send_request(request, true).unwrap();
    let mut huge = huge.await.unwrap().into_body();
    let got = huge.data().await.unwrap().unwrap().len();
    driver.abort();
    let delivered = world.stage.receipts.next("/huge").await;
    assert_eq!(delivered.end, End::Left);
    assert!(got > 0 && delivered.bytes <= 65_535, "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h3_client_that_leaves_has_got_no_more_than_what_arrived() {
    let world = World::open();
    for (reads, closes) in [(20_000, false), (8 << 20, false), (8 << 20, true)] {
        let mut session = world.connect(Via::H3, None).await.unwrap();
        let Session::H3 { sender, quic, .. } = &mut session else { unreachable!() };
        let request = http::Request::get("https://localhost/huge").body(()).unwrap();
        let mut stream = sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        stream.recv_response().await.unwrap();
        let mut read = 0;
        while read < reads {
            read += stream.recv_data().await.unwrap().unwrap().remaining();
        }
        match closes {
            true => quic.close(0u32.into(), b"gone"),
            false => stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED),
        }
        let delivered = world.stage.receipts.next("/huge").await;
        let got = quic.stats().udp_rx.bytes;
        assert_eq!(delivered.end, End::Left);
        assert!(delivered.bytes <= got && delivered.bytes < HUGE as u64, "{delivered:?}, and {got} bytes came");
        // Known to within the send window.
        assert!(delivered.bytes + (1 << 20) >= read as u64, "{delivered:?}, and the client read {read}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_drain_breaks_off_is_receipted() {
    for via in ALL {
        let world = World::open();
        let mut session = world.connect(via, None).await.unwrap();
        let running = tokio::spawn(async move { session.ask(Method::GET, "/never", &[]).await });
        while world.stage.calls.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        world.running.drain(Duration::from_millis(50)).await;
        let delivered = world.stage.receipts.next("/never").await;
        assert_eq!(delivered, Delivered { bytes: 0, end: End::Left }, "{via:?}");
        let _ = running.await;
    }
}
