//! Early data on the QUIC door (RFC 8470): answered in the first flight, safe methods only, and never twice.

mod world;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Method, StatusCode};
use needledrop_core::Cidr;
use needledrop_http::{Delivered, End};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use world::{ALL, World, client_tls};

const SOON: Duration = Duration::from_secs(5);
/// What the first answer of the server takes to its client: enough to make a request on a busy machine.
const CLIENT_THINKS: Duration = Duration::from_millis(150);

/// Carries datagrams between one client and the server, keeps what the client sends, and may stop carrying it once the
/// server has answered: then the server never learns that the handshake is complete.
struct Relay {
    address: SocketAddr,
    first_flight: Arc<Mutex<Vec<Bytes>>>,
    cuts: Arc<AtomicBool>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let first_flight = Arc::new(Mutex::new(Vec::new()));
        let cuts = Arc::new(AtomicBool::new(false));
        let (kept, cutting) = (Arc::clone(&first_flight), Arc::clone(&cuts));
        tokio::spawn(async move {
            let (mut client, mut back) = (None, None::<UdpSocket>);
            let mut has_answered = false;
            let (mut up, mut down) = (vec![0; 65_535], vec![0; 65_535]);
            loop {
                let from_server = async {
                    match &back {
                        Some(back) => back.recv(&mut down).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut up) => {
                        if client != Some(from) {
                            // A new connection, from a new address for the server too.
                            (client, has_answered) = (Some(from), false);
                            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                            socket.connect(server).await.unwrap();
                            back = Some(socket);
                        }
                        // Early data may come in a datagram of its own, behind the hello that is answered.
                        let is_early = up[0] & 0xb0 == 0x90;
                        if cutting.load(Ordering::Relaxed) && has_answered && !is_early {
                            continue;
                        }
                        kept.lock().unwrap().push(Bytes::copy_from_slice(&up[..len]));
                        let _ = back.as_ref().unwrap().send(&up[..len]).await;
                    }
                    Ok(len) = from_server => {
                        if cutting.load(Ordering::Relaxed) && !has_answered {
                            // With the server's hello the client's early data ends. Without a way between the two that
                            // takes time, the hello is there before the client has made its request.
                            sleep(CLIENT_THINKS).await;
                        }
                        has_answered = true;
                        let _ = front.send_to(&down[..len], client.unwrap()).await;
                    }
                }
            }
        });
        Self { address, first_flight, cuts }
    }

    /// From now on only first flights reach the server, and they are kept.
    fn cut(&self) {
        self.first_flight.lock().unwrap().clear();
        self.cuts.store(true, Ordering::Relaxed);
    }
}

/// A client that remembers sessions and tokens.
fn client(world: &World) -> quinn::ClientConfig {
    let mut tls = client_tls(&world.certs.ca, None, "h3");
    tls.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap()))
}

struct Asked {
    status: StatusCode,
    body: Bytes,
    quic: quinn::Connection,
    _endpoint: quinn::Endpoint,
    accepted: Option<quinn::ZeroRttAccepted>,
}

/// Asks on a new connection, in early data where the client has a session.
async fn ask(config: &quinn::ClientConfig, address: SocketAddr, method: Method, path: &str) -> Asked {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config.clone(), address, "localhost").unwrap();
    let (quic, accepted) = match connecting.into_0rtt() {
        Ok((quic, accepted)) => (quic, Some(accepted)),
        Err(connecting) => (connecting.await.unwrap(), None),
    };
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    let request = http::Request::builder().method(method).uri(format!("https://localhost{path}")).body(()).unwrap();
    let answer = async {
        let mut stream = sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        let status = stream.recv_response().await.unwrap().status();
        let mut body = Vec::new();
        while let Some(mut piece) = stream.recv_data().await.unwrap() {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        (status, Bytes::from(body))
    };
    let (status, body) = timeout(SOON, answer).await.expect("an answer");
    // What was acknowledged last leaves before the socket goes.
    sleep(Duration::from_millis(50)).await;
    Asked { status, body, quic, _endpoint: endpoint, accepted }
}

/// A client that has been here before, and a relay that lets only its first flight through.
async fn returning(world: &World) -> (Relay, quinn::ClientConfig) {
    let relay = Relay::to(world.quic).await;
    let config = client(world);
    let first = ask(&config, relay.address, Method::GET, "/early").await;
    assert!(first.accepted.is_none());
    assert_eq!(&first.body[..], b"early: false");
    first.quic.close(0u32.into(), b"");
    sleep(Duration::from_millis(50)).await;
    relay.cut();
    (relay, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_get_is_answered_in_the_first_flight() {
    let world = World::open();
    let (relay, config) = returning(&world).await;
    let asked = ask(&config, relay.address, Method::GET, "/early").await;
    assert_eq!((asked.status, &asked.body[..]), (StatusCode::OK, &b"early: true"[..]));
    assert!(asked.accepted.unwrap().await, "the server took it as early data");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_post_is_too_early_and_fine_afterwards() {
    let world = World::open();
    let (relay, config) = returning(&world).await;
    let calls = world.stage.calls.load(Ordering::Relaxed);
    let asked = ask(&config, relay.address, Method::POST, "/early").await;
    assert_eq!(asked.status, StatusCode::TOO_EARLY);
    assert!(asked.body.windows(9).any(|text| text == b"too-early"));
    assert_eq!(world.stage.calls.load(Ordering::Relaxed), calls, "nobody was asked");
    // Without the session, so after the handshake.
    let asked = ask(&client(&world), world.quic, Method::POST, "/early").await;
    assert_eq!((asked.status, &asked.body[..]), (StatusCode::OK, &b"early: false"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_flight_that_is_sent_again_is_not_served_again() {
    let world = World::open_with(|config, _| config.limits.handshake = Duration::from_secs(1));
    let (relay, config) = returning(&world).await;
    let asked = ask(&config, relay.address, Method::GET, "/early").await;
    assert_eq!(&asked.body[..], b"early: true");
    let calls = world.stage.calls.load(Ordering::Relaxed);
    let flight = relay.first_flight.lock().unwrap().clone();
    assert!(!flight.is_empty());
    // While the connection lives, and when the server has forgotten it.
    for wait in [Duration::ZERO, Duration::from_secs(2)] {
        sleep(wait).await;
        let replay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for datagram in &flight {
            replay.send_to(datagram, world.quic).await.unwrap();
        }
        sleep(Duration::from_millis(300)).await;
        assert_eq!(world.stage.calls.load(Ordering::Relaxed), calls, "a session is good for one first flight");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_acknowledged_is_not_delivered() {
    let world = World::open_with(|config, _| config.limits.handshake = Duration::from_secs(2));
    let (relay, config) = returning(&world).await;
    let _ = timeout(SOON, world.stage.receipts.next("/early")).await;
    // The answer leaves in the first flight, but that it arrived can only say who completes the handshake.
    ask(&config, relay.address, Method::GET, "/early").await;
    assert_eq!(world.stage.receipts.next("/early").await, Delivered { bytes: 0, end: End::Left });
}

/// What a proxy got in early data of its own (RFC 8470 5.1) may be a replay for us as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_data_of_a_trusted_proxy_is_early_here_as_well() {
    let world = World::open_with(|config, _| config.trusted = Cidr::LOOPBACK.to_vec());
    for via in ALL {
        let field = [("early-data", "1")];
        let answer = world.ask_with(via, Method::GET, "/early", &field).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "early: true"), "{via:?}");
        // Several, or with another value, they say the same (RFC 8470 5.1).
        let answer =
            world.ask_with(via, Method::GET, "/early", &[("early-data", "0"), ("early-data", "?")]).await.unwrap();
        assert_eq!(answer.text(), "early: true", "{via:?}");
        let calls = world.stage.calls.load(Ordering::Relaxed);
        for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
            let answer = world.ask_with(via, method, "/early", &field).await.unwrap();
            assert_eq!(answer.status, StatusCode::TOO_EARLY, "{via:?}");
            assert!(answer.text().contains("too-early"));
        }
        assert_eq!(world.stage.calls.load(Ordering::Relaxed), calls, "nobody was asked");
        let answer = world.ask_with(via, Method::GET, "/early", &[]).await.unwrap();
        assert_eq!(answer.text(), "early: false", "{via:?}");
    }
    assert_eq!(world.counters.early_refused.get(), 3 * ALL.len() as u64);
}

/// Who is not trusted could say so to be counted less. Whoever speaks the truth asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_data_that_a_stranger_speaks_of_is_refused() {
    let world = World::open();
    for via in ALL {
        for value in ["1", "0"] {
            let answer = world.ask_with(via, Method::GET, "/early", &[("early-data", value)]).await.unwrap();
            assert_eq!(answer.status, StatusCode::TOO_EARLY, "{via:?}");
        }
    }
    assert_eq!(world.stage.calls.load(Ordering::Relaxed), 0);
}
