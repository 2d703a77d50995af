//! One UDP socket, two processes: what is under way goes on in the old one, what is new begins in the new one, and what
//! is forged does nothing. Two sets of doors stand for the processes; what they share is what processes would.

mod world;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Buf;
use http::Method;
use needledrop_http::{
    Body, Certificates, Counters, DevCerts, Doors, DoorsConfig, Drained, Handler, Request, Response, Running, Sockets,
    TicketSecret,
};
use tokio::time::{sleep, timeout};
use world::{HUGE, Session, Stage, Via, client_tls, dev_certs, localhost};

const SOON: Duration = Duration::from_secs(20);
const DRAIN: Duration = Duration::from_secs(10);
/// RFC 9114 8.1.
const H3_NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);

/// Says who it is at `/name`, and else does what the stage does.
struct Named(&'static str, Stage);

impl Handler for Named {
    async fn call(&self, request: Request) -> Response {
        match request.uri.path() {
            "/name" => Response::new(Body::full(self.0)),
            _ => self.1.call(request).await,
        }
    }
}

/// What both processes read from files.
struct House {
    certs: DevCerts,
    certificates: Arc<Certificates>,
    secret: Option<Arc<TicketSecret>>,
    /// Under way at once.
    handshakes: usize,
    _dir: tempfile::TempDir,
}

/// A process with QUIC doors.
struct Process {
    address: SocketAddr,
    sockets: Sockets,
    counters: Arc<Counters>,
    handler: Arc<Named>,
    running: Running,
}

impl House {
    fn new(secret: Option<Arc<TicketSecret>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certs = dev_certs(dir.path());
        let certificates = Certificates::load(&certs.server, &certs.server_key).unwrap();
        Self { certs, certificates, secret, handshakes: 512, _dir: dir }
    }

    fn doors(&self, given: Sockets) -> Doors {
        self.doors_of("this-node", given)
    }

    fn doors_of(&self, node: &str, given: Sockets) -> Doors {
        let mut config = DoorsConfig {
            certificates: Some(Arc::clone(&self.certificates)),
            ticket_secret: self.secret.clone(),
            node: Some(node.into()),
            ..Default::default()
        };
        if given.is_empty() {
            config.quic = localhost();
        }
        config.limits.handshake = Duration::from_secs(5);
        config.limits.handshakes = self.handshakes;
        Doors::bind_with(config, given).unwrap()
    }

    fn start(&self, name: &'static str, doors: Doors) -> Process {
        let (address, sockets, counters) = (doors.quic_addrs()[0], doors.sockets().unwrap(), doors.counters());
        let handler = Arc::new(Named(name, Stage::default()));
        Process { address, sockets, counters, running: doors.serve(Arc::clone(&handler)), handler }
    }

    fn first(&self) -> Process {
        self.start("first", self.doors(Sockets::default()))
    }

    /// A process that takes over from one, up to the moment when the elder is told to leave.
    async fn after(&self, old: &Process, name: &'static str) -> Process {
        let mut doors = self.doors(old.sockets.try_clone().unwrap());
        doors.join_quic(old.running.hand_over_quic().await.unwrap()).unwrap();
        self.start(name, doors)
    }

    async fn connect(&self, address: SocketAddr) -> Session {
        timeout(SOON, Session::connect(Via::H3, address, &self.certs.ca, None)).await.unwrap().unwrap()
    }

    async fn name(&self, address: SocketAddr) -> String {
        name(&mut self.connect(address).await).await
    }
}

impl Process {
    fn drain(self) -> tokio::task::JoinHandle<Drained> {
        // Its copies of the sockets go with it.
        drop(self.sockets);
        tokio::spawn(self.running.drain(DRAIN))
    }

    fn count(&self, wanted: &str) -> u64 {
        let mut found = None;
        self.counters.each(|name, _, value| found = if name == wanted { Some(value) } else { found });
        found.expect("a counter of this name")
    }
}

async fn name(session: &mut Session) -> String {
    timeout(SOON, session.ask(Method::GET, "/name", &[])).await.unwrap().unwrap().text().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_plays_through_a_take_over_and_new_clients_reach_the_new_process() {
    let house = House::new(None);
    let mut old = house.first();
    let address = old.address;
    // Three times, so that neither end of a link is taken for the other.
    for turn in ["second", "third", "fourth"] {
        let mut session = house.connect(address).await;
        let Session::H3 { sender, quic, .. } = &mut session else { unreachable!() };
        let request = http::Request::get("https://localhost/huge").body(()).unwrap();
        let mut track = sender.send_request(request).await.unwrap();
        track.finish().await.unwrap();
        track.recv_response().await.unwrap();
        let mut read = 0;
        while read < HUGE / 8 {
            read += track.recv_data().await.unwrap().expect("the track goes on").remaining();
        }
        let new = house.after(&old, turn).await;
        assert_eq!(house.name(address).await, turn);
        while read < HUGE / 4 {
            read += track.recv_data().await.unwrap().expect("the track goes on").remaining();
        }
        let leaving = old.drain();
        let playing = async {
            while let Some(piece) = track.recv_data().await.unwrap() {
                read += piece.remaining();
            }
        };
        timeout(SOON, playing).await.expect("the track ends");
        assert_eq!(read, HUGE);
        // The same connection to the end; behind its last answer the old process may close it, without complaint.
        let fine = |reason: &_| matches!(reason, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == H3_NO_ERROR);
        assert!(quic.close_reason().as_ref().is_none_or(fine), "{:?}", quic.close_reason());
        drop(track);
        drop(session);
        assert_eq!(leaving.await.unwrap(), Drained::Finished);
        assert_eq!(house.name(address).await, turn);
        assert!(new.count("quic_forwarded") > 0, "nothing went to the old process");
        assert_eq!(new.count("quic_forward_lost"), 0);
        old = new;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_may_have_connections_at_once() {
    let house = House::new(None);
    let first = house.first();
    let address = first.address;
    let mut of_first = house.connect(address).await;
    let second = house.after(&first, "second").await;
    let mut of_second = house.connect(address).await;
    let third = house.after(&second, "third").await;
    let mut of_third = house.connect(address).await;
    for _ in 0..3 {
        assert_eq!(name(&mut of_first).await, "first");
        assert_eq!(name(&mut of_second).await, "second");
        assert_eq!(name(&mut of_third).await, "third");
    }
    // Who moves is still the same process's client.
    let Session::H3 { _endpoint: endpoint, .. } = &of_first else { unreachable!() };
    endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(name(&mut of_first).await, "first");
    drop((of_first, of_second));
    assert_eq!(first.drain().await.unwrap(), Drained::Finished);
    assert_eq!(second.drain().await.unwrap(), Drained::Finished);
    assert_eq!(name(&mut of_third).await, "third");
    assert_eq!(third.count("quic_forward_lost"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_fails_leaves_the_old_one_as_it_was() {
    let house = House::new(None);
    let old = house.first();
    let mut session = house.connect(old.address).await;
    let links: Vec<OwnedFd> = old.running.hand_over_quic().await.unwrap();
    drop(links);
    assert_eq!(name(&mut session).await, "first");
    assert_eq!(house.name(old.address).await, "first");
    // One that served and ended.
    let new = house.after(&old, "second").await;
    assert_eq!(house.name(old.address).await, "second");
    drop(new);
    // A process that ends would not take leave.
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(name(&mut session).await, "first");
    assert_eq!(house.name(old.address).await, "first");
}

/// Carries the datagrams of one client, keeps what it sends, and may lose what it gets: a handshake that hangs.
struct Relay {
    address: SocketAddr,
    holds: Arc<AtomicBool>,
    /// Before each datagram of the server: what the way takes, in which a client makes its request.
    pauses: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(server).await.unwrap();
        let (address, holds) = (front.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let sent = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let pauses = Arc::new(AtomicBool::new(false));
        let (holding, pausing, keeping) = (Arc::clone(&holds), Arc::clone(&pauses), Arc::clone(&sent));
        tokio::spawn(async move {
            let (mut client, mut up, mut down) = (None, vec![0; 65_535], vec![0; 65_535]);
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut up) => {
                        client = Some(from);
                        keeping.lock().unwrap().push(up[..len].to_vec());
                        let _ = back.send(&up[..len]).await;
                    }
                    Ok(len) = back.recv(&mut down) => {
                        if pausing.load(Ordering::Relaxed) {
                            sleep(Duration::from_millis(150)).await;
                        }
                        if !holding.load(Ordering::Relaxed) && let Some(client) = client {
                            let _ = front.send_to(&down[..len], client).await;
                        }
                    }
                }
            }
        });
        Self { address, holds, pauses, sent }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_began_before_ends_after_in_the_process_where_it_began() {
    let house = House::new(None);
    let old = house.first();
    let relay = Relay::to(old.address).await;
    relay.holds.store(true, Ordering::Relaxed);
    let (address, ca) = (relay.address, house.certs.ca.clone());
    let shaking = tokio::spawn(async move {
        let mut session = Session::connect(Via::H3, address, &ca, None).await.unwrap();
        name(&mut session).await
    });
    // The first packet arrives, its answers are lost, and the client sends it again and again.
    while relay.sent.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(300)).await;
    let before = relay.sent.lock().unwrap().len();
    let new = house.after(&old, "second").await;
    assert_eq!(house.name(old.address).await, "second");
    let leaving = old.drain();
    sleep(Duration::from_millis(100)).await;
    relay.holds.store(false, Ordering::Relaxed);
    assert_eq!(timeout(SOON, shaking).await.unwrap().unwrap(), "first", "neither lost nor refused");
    assert!(relay.sent.lock().unwrap().len() > before);
    assert!(new.count("quic_forwarded") > 1);
    assert_eq!(leaving.await.unwrap(), Drained::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_sent_to_prove_its_address_comes_back_to_who_asked_for_it() {
    // With two of three handshakes hanging, the next client is asked.
    let house = House { handshakes: 3, ..House::new(None) };
    let old = house.first();
    let mut hanging = Vec::new();
    for _ in 0..2 {
        let relay = Relay::to(old.address).await;
        relay.holds.store(true, Ordering::Relaxed);
        let (address, ca) = (relay.address, house.certs.ca.clone());
        hanging.push(tokio::spawn(async move { Session::connect(Via::H3, address, &ca, None).await.map(drop) }));
        while relay.sent.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }
    sleep(Duration::from_millis(100)).await;
    let relay = Relay::to(old.address).await;
    relay.pauses.store(true, Ordering::Relaxed);
    let (address, ca) = (relay.address, house.certs.ca.clone());
    let asked = tokio::spawn(async move {
        let mut session = Session::connect(Via::H3, address, &ca, None).await.unwrap();
        name(&mut session).await
    });
    while old.count("quic_retried") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    // The Retry is on its way to the client.
    let new = house.after(&old, "second").await;
    let _leaving = old.drain();
    assert_eq!(timeout(SOON, asked).await.unwrap().unwrap(), "first");
    assert!(new.count("quic_forwarded") > 0);
    hanging.iter().for_each(|client| client.abort());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_packet_that_looks_like_the_old_ones_begins_in_the_new_one() {
    let house = House::new(None);
    let old = house.first();
    // The mark of the old process, from an id that it has given.
    let relay = Relay::to(old.address).await;
    assert_eq!(house.name(relay.address).await, "first");
    let mark = relay.sent.lock().unwrap().iter().find(|packet| packet[0] & 0x80 == 0).map(|packet| packet[1]);
    let mark = mark.expect("a packet with a short header");
    let new = house.after(&old, "second").await;
    let mut config = quinn::ClientConfig::new(Arc::new(
        quinn::crypto::rustls::QuicClientConfig::try_from(client_tls(&house.certs.ca, None, "h3")).unwrap(),
    ));
    config.initial_dst_cid_provider(Arc::new(move || {
        let mut id = [mark; 12];
        id[1..].copy_from_slice(&rand_bytes());
        quinn::ConnectionId::new(&id)
    }));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..3 {
        let connecting = endpoint.connect_with(config.clone(), new.address, "localhost").unwrap();
        timeout(SOON, connecting).await.unwrap().unwrap();
    }
    assert!(new.count("quic_forwarded") >= 3 && old.count("quic_forwarded") >= 3, "there and back");
}

fn rand_bytes() -> [u8; 11] {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut bytes = [5; 11];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Short headers, Handshake and Initial packets, with ids of every generation.
fn forge(address: SocketAddr, turns: u8) {
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for turn in 0..turns {
        for mark in 0..=255_u8 {
            let id = [&[mark][..], &[turn; 11]].concat();
            let long = |kind: u8| [&[0xc0 | kind << 4, 0, 0, 0, 1, 12], &id[..], &[0; 30]].concat();
            for packet in [[&[0x40], &id[..], &[turn; 40]].concat(), long(2), long(0)] {
                let _ = forger.send_to(&packet, address);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_generations_disturb_nobody() {
    let house = House::new(None);
    let old = house.first();
    let mut of_old = house.connect(old.address).await;
    let new = house.after(&old, "second").await;
    let address = new.address;
    let mut of_new = house.connect(address).await;
    let forwarded = || new.count("quic_forwarded") + old.count("quic_forwarded");
    let before = forwarded();
    tokio::task::spawn_blocking(move || forge(address, 20)).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    // Of each turn three packets have the mark of the old process, and its Initial comes back once; a few are honest.
    let cost = forwarded() - before;
    assert!((1..=20 * 4 + 20).contains(&cost), "{cost} messages for {} forged packets", 20 * 256 * 3);
    let forging = tokio::task::spawn_blocking(move || forge(address, 60));
    while !forging.is_finished() {
        assert_eq!(name(&mut of_old).await, "first");
        assert_eq!(name(&mut of_new).await, "second");
        assert_eq!(house.name(address).await, "second");
    }
    forging.await.unwrap();
}

/// Asks on a new connection, in early data where the client has a session.
async fn ask_early(config: &quinn::ClientConfig, address: SocketAddr) -> String {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config.clone(), address, "localhost").unwrap();
    let quic = match connecting.into_0rtt() {
        Ok((quic, _)) => quic,
        Err(connecting) => timeout(SOON, connecting).await.unwrap().unwrap(),
    };
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    let mut session = Session::H3 { sender, quic, _endpoint: endpoint };
    let answer = timeout(SOON, session.ask(Method::GET, "/early", &[])).await.unwrap().unwrap();
    // The session's ticket comes behind the handshake.
    sleep(Duration::from_millis(100)).await;
    answer.text().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_data_is_served_by_one_process_and_once() {
    let house = House::new(Some(TicketSecret::random().unwrap()));
    let old = house.first();
    let relay = Relay::to(old.address).await;
    let mut tls = client_tls(&house.certs.ca, None, "h3");
    tls.enable_early_data = true;
    let config = quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap()));
    assert_eq!(ask_early(&config, relay.address).await, "early: false");
    relay.sent.lock().unwrap().clear();
    relay.pauses.store(true, Ordering::Relaxed);
    assert_eq!(ask_early(&config, relay.address).await, "early: true");
    let flight = relay.sent.lock().unwrap().clone();
    // Early data may stand behind the Initial in one datagram; that it was there, the answer has said.
    assert!(!flight.is_empty());
    let calls = |process: &Process| process.handler.1.calls.load(Ordering::Relaxed);
    assert_eq!(calls(&old), 2);
    let new = house.after(&old, "second").await;
    let replay = async || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for packet in &flight {
            socket.send_to(packet, new.address).unwrap();
        }
        sleep(Duration::from_millis(300)).await;
    };
    replay().await;
    assert_eq!((calls(&old), calls(&new)), (2, 0), "while both live");
    let handler = Arc::clone(&old.handler);
    let _ = old.drain().await.unwrap();
    replay().await;
    assert_eq!((handler.1.calls.load(Ordering::Relaxed), calls(&new)), (2, 0), "when the old one is gone");
    assert_eq!(house.name(new.address).await, "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_its_process_is_told_by_the_next_one_on_this_node_only() {
    let secret = TicketSecret::random().unwrap();
    let cases = [(Some(&secret), "this-node", true), (Some(&secret), "that-node", false), (None, "this-node", false)];
    for (secret, node, is_told) in cases {
        let house = House::new(secret.cloned());
        let old = house.first();
        let relay = Relay::to(old.address).await;
        let mut session = house.connect(relay.address).await;
        assert_eq!(name(&mut session).await, "first");
        // It ends, and its last packets are lost.
        relay.holds.store(true, Ordering::Relaxed);
        let Process { running, sockets, address, .. } = old;
        drop(running);
        sleep(Duration::from_millis(1_500)).await;
        let next = house.start("next", house.doors_of(node, sockets));
        assert_eq!(next.address, address);
        relay.holds.store(false, Ordering::Relaxed);
        let asked = timeout(Duration::from_secs(2), session.ask(Method::GET, "/name", &[])).await;
        let Session::H3 { quic, .. } = &session else { unreachable!() };
        let reason = quic.close_reason();
        match is_told {
            true => assert_eq!(reason, Some(quinn::ConnectionError::Reset)),
            false => assert!(reason.is_none() && asked.is_err(), "{node}: {reason:?}"),
        }
        assert_eq!(house.name(address).await, "next");
    }
}
