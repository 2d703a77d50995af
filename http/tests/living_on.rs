//! Living through change: drain, deadline, and certificates replaced under running connections.

mod world;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use needledrop_http::{DevCerts, Drained};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use world::{ALL, Session, Via, World, pattern};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_running_bodies_and_refuses_new_connections() {
    for via in ALL {
        let world = World::open();
        let mut session = world.connect(via, None).await.unwrap();
        let running = tokio::spawn(async move { session.ask(Method::GET, "/slow", &[]).await });
        sleep(Duration::from_millis(150)).await;
        let World { running: doors, plain, tls, quic, certs, _dir, .. } = world;
        let draining = tokio::spawn(doors.drain(Duration::from_secs(10)));
        sleep(Duration::from_millis(100)).await;
        let addr = match via {
            Via::H1 => plain,
            Via::H1Tls | Via::H2 => tls,
            Via::H3 => quic,
        };
        assert!(Session::connect(via, addr, &certs.ca, None).await.is_err(), "{via:?} still accepts");
        let answer = running.await.unwrap().unwrap();
        assert_eq!(answer.body.unwrap().len(), 5000, "{via:?}");
        assert_eq!(draining.await.unwrap(), Drained::Finished, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_hold_up_a_drain() {
    let world = World::open();
    let mut sessions = Vec::new();
    for via in ALL {
        let mut used = world.connect(via, None).await.unwrap();
        used.ask(Method::GET, "/", &[]).await.unwrap();
        sessions.push(used);
        sessions.push(world.connect(via, None).await.unwrap());
    }
    let began = Instant::now();
    assert_eq!(world.running.drain(Duration::from_secs(10)).await, Drained::Finished);
    assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlives_the_deadline_is_broken_off_and_does_not_look_whole() {
    for via in ALL {
        let world = World::open();
        let mut session = world.connect(via, None).await.unwrap();
        let running = tokio::spawn(async move { session.ask(Method::GET, "/never", &[]).await });
        sleep(Duration::from_millis(150)).await;
        let drained = world.running.drain(Duration::from_millis(200)).await;
        assert!(matches!(drained, Drained::BrokenOff(_)), "{via:?}");
        let whole = running.await.unwrap().is_ok_and(|answer| answer.body.is_ok());
        assert!(!whole, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let world = World::open();
    for via in [Via::H1Tls, Via::H2, Via::H3] {
        let mut old = world.connect(via, None).await.unwrap();
        let before = old.server_leaf();
        // Another name makes a new leaf under the same authority.
        let dir = world.certs.ca.parent().unwrap();
        DevCerts::ensure(dir, &[format!("{via:?}.example").to_lowercase()], SystemTime::now()).unwrap();
        world.certificates.reload().unwrap();
        let mut new = world.connect(via, None).await.unwrap();
        assert_ne!(new.server_leaf(), before, "{via:?}");
        for session in [&mut old, &mut new] {
            let answer = session.ask(Method::GET, "/big", &[]).await.unwrap();
            assert_eq!(answer.body.unwrap(), pattern(world::BIG), "{via:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_certificate_file_leaves_the_old_one_in_use() {
    let world = World::open();
    std::fs::write(&world.certs.server, "nonsense").unwrap();
    assert!(world.certificates.reload().is_err());
    // A certificate whose key is another one's is refused as well.
    std::fs::copy(&world.certs.origin, &world.certs.server).unwrap();
    assert!(world.certificates.reload().is_err());
    assert_eq!(world.ask(Via::H2, "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_on_the_way_out_say_that_we_are_leaving() {
    for via in ALL {
        let world = World::open_with(|config, _| config.alt_svc = Some(443));
        let mut session = world.connect(via, None).await.unwrap();
        let before = session.ask(Method::GET, "/", &[]).await.unwrap();
        let has_alt_svc = matches!(via, Via::H1Tls | Via::H2);
        assert_eq!(before.headers.contains_key("alt-svc"), has_alt_svc, "{via:?}");
        let asked = tokio::spawn(async move { session.ask(Method::GET, "/later", &[]).await });
        sleep(Duration::from_millis(100)).await;
        let draining = tokio::spawn(world.running.drain(Duration::from_secs(10)));
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.text(), "later", "{via:?}");
        let said = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        // Whoever is at the HTTP/3 door has come by it.
        let is_told = has_alt_svc || via == Via::H3;
        assert_eq!(said("alt-svc"), is_told.then(|| "clear".to_owned()), "{via:?}");
        let is_h1 = matches!(via, Via::H1 | Via::H1Tls);
        assert_eq!(said("connection"), is_h1.then(|| "close".to_owned()), "{via:?}");
        assert_eq!(draining.await.unwrap(), Drained::Finished, "{via:?}");
    }
}

async fn open(world: &World, via: Via) -> Box<dyn Stream> {
    match via {
        Via::H1 => Box::new(TcpStream::connect(world.plain).await.unwrap()),
        _ => {
            Box::new(world::tls_stream(world.tls, world::client_tls(&world.certs.ca, None, "http/1.1")).await.unwrap())
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Asks once and reads until the server closes.
async fn ask_once(stream: &mut dyn Stream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_accepted_before_the_drain_has_its_first_request_answered() {
    for via in [Via::H1, Via::H1Tls] {
        let world = World::open();
        let mut stream = open(&world, via).await;
        sleep(Duration::from_millis(50)).await;
        let draining = tokio::spawn(world.running.drain(Duration::from_secs(10)));
        sleep(Duration::from_millis(100)).await;
        let answer = ask_once(&mut *stream).await;
        assert!(answer.starts_with("http/1.1 200 ok") && answer.contains("connection: close"), "{via:?}: {answer}");
        assert_eq!(draining.await.unwrap(), Drained::Finished, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_too_late_to_be_finished_gets_503_and_a_time_to_come_back() {
    for via in [Via::H1, Via::H1Tls] {
        let world = World::open();
        let mut stream = open(&world, via).await;
        sleep(Duration::from_millis(50)).await;
        let draining = tokio::spawn(world.running.drain(Duration::from_millis(1200)));
        sleep(Duration::from_millis(700)).await;
        let answer = ask_once(&mut *stream).await;
        assert!(answer.starts_with("http/1.1 503 "), "{via:?}: {answer}");
        for field in ["retry-after: 1\r\n", "connection: close\r\n", "content-type: application/problem+json\r\n"] {
            assert!(answer.contains(field), "{via:?}: no {field:?} in {answer}");
        }
        // We wait a moment for the other half of the connection.
        drop(stream);
        assert_eq!(draining.await.unwrap(), Drained::Finished, "{via:?}");
    }
}

/// Asserts that this is what is said to who asks too late.
async fn assert_leaving(answer: http::Response<h2::RecvStream>) {
    let (head, mut body) = answer.into_parts();
    assert_eq!(head.status, 503);
    for (name, value) in [("retry-after", "1"), ("alt-svc", "clear"), ("content-type", "application/problem+json")] {
        assert_eq!(head.headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
    }
    let text = timeout(Duration::from_secs(5), body.data()).await.unwrap().unwrap().unwrap();
    assert!(text.windows(7).any(|word| word == b"leaving"));
}

/// A stream that can be deaf for a while.
struct Deaf<S> {
    inner: S,
    ears: Ears,
}

#[derive(Clone, Default)]
struct Ears(Arc<Mutex<(bool, Option<Waker>)>>);

impl Ears {
    fn shut(&self) {
        self.0.lock().unwrap().0 = true;
    }

    fn open(&self) {
        let mut ears = self.0.lock().unwrap();
        ears.0 = false;
        if let Some(waker) = ears.1.take() {
            waker.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deaf<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        {
            let mut ears = self.ears.0.lock().unwrap();
            if ears.0 {
                ears.1 = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deaf<S> {
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

/// HTTP/2 clients that have not heard yet that they should ask elsewhere: one whose connection comes about late, and one
/// that is deaf for a while, so that we do not see that it knows (RFC 9113 6.8).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_too_late_over_h2_gets_503_as_well() {
    let request = || http::Request::get("https://localhost/").body(()).unwrap();
    for is_used in [false, true] {
        let world = World::open_with(|config, _| config.alt_svc = Some(443));
        let tcp = TcpStream::connect(world.tls).await.unwrap();
        let tls = Arc::new(world::client_tls(&world.certs.ca, None, "h2"));
        let ears = Ears::default();
        let connect = async {
            let inner =
                tokio_rustls::TlsConnector::from(tls).connect("localhost".try_into().unwrap(), tcp).await.unwrap();
            ears.shut();
            let (client, connection) = h2::client::handshake(Deaf { inner, ears: ears.clone() }).await.unwrap();
            tokio::spawn(connection);
            client
        };
        let mut connect = Some(Box::pin(connect));
        let mut client = None;
        if is_used {
            let mut used = connect.take().unwrap().await;
            ears.open();
            let (first, _) = used.send_request(request(), true).unwrap();
            assert_eq!(first.await.unwrap().status(), 200);
            ears.shut();
            client = Some(used);
        }
        sleep(Duration::from_millis(50)).await;
        let draining = tokio::spawn(world.running.drain(Duration::from_millis(1200)));
        sleep(Duration::from_millis(700)).await;
        let mut client = match client {
            Some(used) => used,
            None => connect.take().unwrap().await,
        };
        let (answer, _) = client.send_request(request(), true).unwrap();
        sleep(Duration::from_millis(50)).await;
        ears.open();
        assert_leaving(timeout(Duration::from_secs(5), answer).await.unwrap().unwrap()).await;
        drop(client);
        draining.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_too_late_over_h3_gets_503_as_well() {
    let world = World::open_with(|config, _| config.alt_svc = Some(443));
    let mut session = world.connect(Via::H3, None).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let draining = tokio::spawn(world.running.drain(Duration::from_millis(1200)));
    sleep(Duration::from_millis(700)).await;
    let answer = session.ask(Method::GET, "/", &[]).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("leaving"));
    for (name, value) in [("retry-after", "1"), ("alt-svc", "clear"), ("content-type", "application/problem+json")] {
        assert_eq!(answer.headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
    }
    assert_eq!(draining.await.unwrap(), Drained::Finished);
}

/// What had left its client before the client could know that we leave is answered (RFC 9114 5.2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_when_an_h3_drain_begins_is_answered() {
    let world = World::open();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    session.ask(Method::GET, "/", &[]).await.unwrap();
    let Session::H3 { quic, .. } = &session else { unreachable!() };
    let draining = tokio::spawn(world.running.drain(Duration::from_secs(10)));
    sleep(Duration::from_millis(10)).await;
    // By hand, since h3's client has heard of the GOAWAY: GET / from `a`, in QPACK by the static table.
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(&[0x01, 8, 0, 0, 0xc0 | 17, 0xc0 | 23, 0xc0 | 1, 0x50, 1, b'a']).await.unwrap();
    send.finish().unwrap();
    let answer = timeout(Duration::from_secs(5), recv.read_to_end(10_000)).await.unwrap().expect("it was rejected");
    assert!(answer.ends_with(b"GET / for a"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(draining.await.unwrap(), Drained::Finished);
    let closed = timeout(Duration::from_secs(5), quic.closed()).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, 0x100u32.into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_h2_and_h3_clients_to_ask_elsewhere() {
    // HTTP/2.
    let world = World::open();
    let stream = world::tls_stream(world.tls, world::client_tls(&world.certs.ca, None, "h2")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = || http::Request::get("https://localhost/slow").body(()).unwrap();
    let mut client = client.ready().await.unwrap();
    let (running, _) = client.send_request(request(), true).unwrap();
    let mut body = running.await.unwrap().into_body();
    let draining = tokio::spawn(world.running.drain(Duration::from_secs(10)));
    sleep(Duration::from_millis(100)).await;
    let refused = match client.ready().await {
        Ok(mut client) => match client.send_request(request(), true) {
            Ok((answer, _)) => answer.await.is_err(),
            Err(_) => true,
        },
        Err(_) => true,
    };
    assert!(refused, "no GOAWAY");
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        bytes += data.unwrap().len();
    }
    assert_eq!(bytes, 5000);
    assert_eq!(draining.await.unwrap(), Drained::Finished);
    assert!(timeout(Duration::from_secs(2), ended).await.unwrap().unwrap().is_ok());

    // HTTP/3.
    let world = World::open();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    let Session::H3 { sender, .. } = &mut session else { unreachable!() };
    let mut other = sender.clone();
    let running = tokio::spawn(async move { session.ask(Method::GET, "/slow", &[]).await });
    sleep(Duration::from_millis(100)).await;
    let draining = tokio::spawn(world.running.drain(Duration::from_secs(10)));
    sleep(Duration::from_millis(100)).await;
    assert!(other.send_request(request()).await.is_err(), "no GOAWAY");
    assert_eq!(running.await.unwrap().unwrap().body.unwrap().len(), 5000);
    assert_eq!(draining.await.unwrap(), Drained::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_drops_neither_connections_nor_limits() {
    let world = World::open_with(|config, _| config.limits.connections = 2);
    let target: SocketAddr = world.tls;
    let mut first = world.connect(Via::H1Tls, None).await.unwrap();
    let mut second = world.connect(Via::H2, None).await.unwrap();
    for _ in 0..3 {
        world.certificates.reload().unwrap();
    }
    let mut third = {
        let ca = world.certs.ca.clone();
        tokio::spawn(
            async move { Session::connect(Via::H1Tls, target, &ca, None).await.map_err(|error| error.to_string()) },
        )
    };
    assert!(timeout(Duration::from_millis(300), &mut third).await.is_err(), "the limit is gone");
    for session in [&mut first, &mut second] {
        assert_eq!(session.ask(Method::GET, "/big", &[]).await.unwrap().body.unwrap(), pattern(world::BIG));
    }
    drop(first);
    let mut third = timeout(Duration::from_secs(5), third).await.unwrap().unwrap().unwrap();
    assert_eq!(third.ask(Method::GET, "/", &[]).await.unwrap().status, 200);
}
