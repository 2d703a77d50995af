//! Who asks: client certificates, PROXY v2 and Forwarded, believed only from whom we trust.

mod world;

use http::Method;
use needledrop_core::Cidr;
use needledrop_http::{ClientAuth, ClientCa};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::{ALL, Session, Via, World};

const SECURE: [Via; 3] = [Via::H1Tls, Via::H2, Via::H3];

fn mutual(auth: ClientAuth) -> World {
    World::open_with(|config, certs| config.client_ca = Some(ClientCa { pem: certs.ca.clone(), auth }))
}

async fn whoami(session: &mut Session) -> Result<String, world::Failure> {
    Ok(session.ask(Method::GET, "/whoami", &[]).await?.text().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_gives_the_peer_its_name() {
    let world = mutual(ClientAuth::Required);
    let identity = Some((world.certs.edge.as_path(), world.certs.edge_key.as_path()));
    for via in SECURE {
        let mut session = world.connect(via, identity).await.unwrap();
        let name = whoami(&mut session).await.unwrap();
        assert!(name.starts_with("needledrop edge at 127.0.0.1 over h"), "{name} over {via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_keeps_its_name() {
    let world = mutual(ClientAuth::Required);
    let identity = Some((world.certs.edge.as_path(), world.certs.edge_key.as_path()));
    let config = world::client_tls(&world.certs.ca, identity, "http/1.1");
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = world::tls_stream(world.tls, config.clone()).await.unwrap();
        stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("needledrop edge at"), "{answer}");
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_required_certificate_nothing_is_served() {
    let world = mutual(ClientAuth::Required);
    for via in SECURE {
        // With TLS 1.3 the client may think that it is connected until its first read.
        let refused = match world.connect(via, None).await {
            Err(_) => true,
            Ok(mut session) => whoami(&mut session).await.is_err(),
        };
        assert!(refused, "{via:?}");
    }
    assert_eq!(world.stage.calls.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_refused_even_where_none_is_needed() {
    let world = mutual(ClientAuth::Optional);
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = world::dev_certs(elsewhere.path());
    for via in SECURE {
        let mut nobody = world.connect(via, None).await.unwrap();
        assert!(whoami(&mut nobody).await.unwrap().starts_with("nobody "), "{via:?}");
        let refused = match world.connect(via, Some((&foreign.edge, &foreign.edge_key))).await {
            Err(_) => true,
            Ok(mut session) => whoami(&mut session).await.is_err(),
        };
        assert!(refused, "{via:?}");
    }
}

/// Connects and speaks PROXY v2 for this client.
async fn connect_behind_proxy(world: &World, client: [u8; 4]) -> TcpStream {
    let mut socket = TcpStream::connect(world.plain).await.unwrap();
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(client);
    bytes.extend([10, 0, 0, 1, 0x1f, 0x90, 0, 80]);
    socket.write_all(&bytes).await.unwrap();
    socket
}

/// Asks once for 203.0.113.9.
async fn ask_behind_proxy(world: &World) -> String {
    let mut socket = connect_behind_proxy(world, [203, 0, 113, 9]).await;
    socket.write_all(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    answer
}

/// Whether the connection answers; it stays open.
async fn is_served(socket: &mut TcpStream) -> bool {
    let asked = socket.write_all(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n").await;
    asked.is_ok() && matches!(socket.read(&mut [0; 1024]).await, Ok(1..))
}

#[tokio::test]
async fn a_network_has_its_share_of_connections_by_the_address_a_trusted_peer_tells() {
    let world = World::open_with(|config, _| {
        config.trusted = Cidr::LOOPBACK.to_vec();
        config.proxy_v2 = true;
        config.limits.network_connections = 2;
    });
    let mut open = Vec::new();
    for expected in [true, true, false] {
        let mut socket = connect_behind_proxy(&world, [203, 0, 113, 9]).await;
        assert_eq!(is_served(&mut socket).await, expected);
        open.push(socket);
    }
    let mut neighbour = connect_behind_proxy(&world, [203, 0, 113, 10]).await;
    assert!(is_served(&mut neighbour).await, "a neighbour pays for nobody");
    assert_eq!(world.counters.network_refused.get(), 1);
    drop(open);
    while world.counters.connections.get() > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut again = connect_behind_proxy(&world, [203, 0, 113, 9]).await;
    assert!(is_served(&mut again).await, "a place is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_of_all_protocols_together() {
    let world = World::open_with(|config, _| {
        config.exempt = Some(Vec::new());
        config.limits.network_connections = 2;
    });
    let mut quic = world.connect(Via::H3, None).await.unwrap();
    let mut tcp = world.connect(Via::H2, None).await.unwrap();
    for via in ALL {
        let refused = match world.connect(via, None).await {
            Err(_) => true,
            Ok(mut session) => whoami(&mut session).await.is_err(),
        };
        assert!(refused, "{via:?}");
    }
    assert!(world.counters.network_refused.get() >= 4);
    assert!(whoami(&mut quic).await.is_ok() && whoami(&mut tcp).await.is_ok());
}

#[tokio::test]
async fn a_proxy_header_is_believed_from_a_trusted_peer() {
    let world = World::open_with(|config, _| {
        config.trusted = Cidr::LOOPBACK.to_vec();
        config.proxy_v2 = true;
    });
    let answer = ask_behind_proxy(&world).await;
    assert!(answer.ends_with("nobody at 203.0.113.9 over h1"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_from_anybody_else_is_refused() {
    let world = World::open_with(|config, _| config.proxy_v2 = true);
    let answer = ask_behind_proxy(&world).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_trusted_peer_that_must_speak_proxy_and_does_not_is_closed() {
    let world = World::open_with(|config, _| {
        config.trusted = Cidr::LOOPBACK.to_vec();
        config.proxy_v2 = true;
    });
    assert!(world.ask_with(Via::H1, Method::GET, "/whoami", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_is_believed_from_trusted_peers_only() {
    let trusting = World::open_with(|config, _| config.trusted = Cidr::LOOPBACK.to_vec());
    let wary = World::open();
    for via in ALL {
        for field in ["forwarded", "x-forwarded-for"] {
            let value = if field == "forwarded" { "for=198.51.100.7" } else { "198.51.100.7" };
            let believed = trusting.ask_with(via, Method::GET, "/whoami", &[(field, value)]).await.unwrap();
            assert!(believed.text().starts_with("nobody at 198.51.100.7 over"), "{}", believed.text());
            let ignored = wary.ask_with(via, Method::GET, "/whoami", &[(field, value)]).await.unwrap();
            assert!(ignored.text().starts_with("nobody at 127.0.0.1 over"), "{}", ignored.text());
        }
    }
}
