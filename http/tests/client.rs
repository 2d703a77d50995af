//! The pooled client against our own doors and against servers that misbehave.

mod world;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use needledrop_http::{Client, ClientAuth, ClientCa, ClientConfig, ClientError, Identity, Roots};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use world::{BIG, World, pattern};

fn config(world: &World) -> ClientConfig {
    ClientConfig {
        roots: Roots::Pem(world.certs.ca.clone()),
        head_timeout: Duration::from_millis(700),
        body_timeout: Duration::from_millis(700),
        ..Default::default()
    }
}

async fn get(client: &Client, url: String) -> Result<http::Response<needledrop_http::IncomingBody>, ClientError> {
    client.send(http::Request::get(url).body(()).unwrap()).await
}

async fn text(client: &Client, url: String) -> String {
    let body = get(client, url).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn urls(world: &World, target: &str) -> [String; 2] {
    [format!("http://{}{target}", world.plain), format!("https://localhost:{}{target}", world.tls.port())]
}

/// A server that says `answer` to whoever connects and then keeps still.
async fn server_saying(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(answer).await;
            held.push(socket);
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_arrive_whole_over_http_and_https() {
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();
    for url in urls(&world, "/big") {
        let secure = url.starts_with("https");
        let mut response = get(&client, url).await.unwrap();
        assert_eq!(response.version() == http::Version::HTTP_2, secure);
        let mut bytes = Vec::new();
        while let Some(piece) = response.body_mut().chunk().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(bytes == pattern(BIG));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept_and_shared() {
    const REQUESTS: usize = 12;
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();
    for url in urls(&world, "/socket") {
        let mut sockets = HashSet::new();
        for _ in 0..REQUESTS {
            sockets.insert(text(&client, url.clone()).await);
            // An HTTP/1.1 connection is given back by a task of its own once the body has ended; a request that
            // comes before that task has run rightly opens another connection.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let most = if url.starts_with("https") { 1 } else { REQUESTS / 3 };
        assert!(sockets.len() <= most, "{url}: {sockets:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_is_sent_as_it_is() {
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();
    for url in urls(&world, "/a/%2e%2E//b?x=%41&&") {
        assert!(text(&client, url).await.starts_with("GET /a/%2e%2E//b?x=%41&& for "));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_body_is_a_protocol_error_and_never_short() {
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();
    for target in ["/broken-later", "/broken-later-unknown", "/short"] {
        for url in urls(&world, target) {
            // The reset may come before the head has been read.
            let error = match get(&client, url.clone()).await {
                Ok(response) => response.into_body().collect().await.expect_err("looked whole"),
                Err(error) => error,
            };
            assert!(matches!(error, ClientError::Protocol(_)), "{url}: {error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops_coming_is_a_timeout() {
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();
    for url in urls(&world, "/never") {
        let error = get(&client, url).await.unwrap().into_body().collect().await.unwrap_err();
        assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_what_kind_they_are() {
    let world = World::open();
    let client = Client::new(&config(&world)).unwrap();

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = get(&client, format!("http://{nobody}/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");

    let silent = server_saying(b"").await;
    let error = get(&client, format!("http://{silent}/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");

    let babbling = server_saying(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    let error = get(&client, format!("http://{babbling}/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");

    let error = get(&client, format!("https://localhost:{}/", world.plain.port())).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_of_another_authority_is_not_talked_to() {
    let world = World::open();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = world::dev_certs(elsewhere.path());
    for roots in [Roots::Pem(foreign.ca), Roots::System] {
        let client = Client::new(&ClientConfig { roots, ..config(&world) }).unwrap();
        let error = get(&client, urls(&world, "/")[1].clone()).await.unwrap_err();
        assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_identity_is_shown_to_an_origin_that_asks() {
    let world = World::open_with(|config, certs| {
        config.client_ca = Some(ClientCa { pem: certs.ca.clone(), auth: ClientAuth::Required });
    });
    let url = || format!("https://localhost:{}/whoami", world.tls.port());
    let identity = Identity { certificate: world.certs.edge.clone(), key: world.certs.edge_key.clone() };
    let known = Client::new(&ClientConfig { identity: Some(identity), ..config(&world) }).unwrap();
    assert!(text(&known, url()).await.starts_with("needledrop edge "));
    let unknown = Client::new(&config(&world)).unwrap();
    assert!(get(&unknown, url()).await.is_err());
}
