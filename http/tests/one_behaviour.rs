//! The same handler behind three protocols: the same status, fields and bytes, and the same honesty about the end.

mod world;

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{ALL, BIG, Via, World, pattern};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_protocol_gives_the_same_answer() {
    let world = World::open();
    for target in ["/big", "/unknown", "/nothing", "/same", "/panic", "/hop-by-hop", "/a?b=%2F&&c=%zz;+~'{}|"] {
        let first = world.ask(Via::H1, target).await;
        for via in ALL {
            let answer = world.ask(via, target).await;
            assert_eq!(answer.status, first.status, "{target} over {via:?}");
            assert_eq!(answer.lasting_headers(), first.lasting_headers(), "{target} over {via:?}");
            assert_eq!(answer.body, first.body, "{target} over {via:?}");
            assert!(answer.headers.contains_key("date"), "{target} over {via:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_arrives_whole_and_with_its_length() {
    let world = World::open();
    for via in ALL {
        let answer = world.ask(via, "/big").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-length"], BIG.to_string());
        assert!(answer.body.unwrap() == pattern(BIG), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_reaches_the_handler_byte_for_byte() {
    let world = World::open();
    for target in ["/a/%2e%2E/b//c?x=%41&sig=a-_.~&y=", "/?", "/a?x=1?y=/../&&", "/%00%ff"] {
        for via in ALL {
            let answer = world.ask(via, target).await;
            assert_eq!(answer.text(), format!("GET {target} for localhost"), "{via:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_keeps_the_length_and_sends_no_body() {
    let world = World::open();
    for via in ALL {
        let answer = world.ask_with(via, Method::HEAD, "/big", &[]).await.unwrap();
        assert_eq!(answer.headers["content-length"], BIG.to_string(), "{via:?}");
        assert!(answer.body.unwrap().is_empty(), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_finished_is_never_taken_for_whole() {
    let world = World::open();
    for target in ["/broken", "/broken-later", "/broken-unknown", "/short", "/panicking-body"] {
        for via in ALL {
            // The reset may overtake the head; what may not be is an answer that looks whole.
            let answer = world.ask_with(via, Method::GET, target, &[]).await;
            let whole = answer.is_ok_and(|answer| answer.body.is_ok());
            assert!(!whole, "{target} over {via:?} looked whole");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_handler_is_a_500_and_the_connection_goes_on() {
    let world = World::open();
    for via in ALL {
        let mut session = world.connect(via, None).await.unwrap();
        let answer = session.ask(Method::GET, "/panic", &[]).await.unwrap();
        assert_eq!(answer.status, 500, "{via:?}");
        let answer = session.ask(Method::GET, "/after", &[]).await.unwrap();
        assert_eq!(answer.status, 200, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_body_ends_only_its_own_stream() {
    let world = World::open();
    for via in [Via::H2, Via::H3] {
        let mut session = world.connect(via, None).await.unwrap();
        assert!(session.ask(Method::GET, "/broken-later", &[]).await.unwrap().body.is_err());
        assert!(session.ask(Method::GET, "/big", &[]).await.unwrap().body.is_ok(), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_long_targets_get_414_and_too_large_heads_431() {
    let world = World::open();
    let long = format!("/{}", "a".repeat(9_000));
    let fat = "x".repeat(20_000);
    for via in ALL {
        assert_eq!(world.ask(via, &long).await.status, 414, "{via:?}");
        // Over h2 and h3 the server may also end the stream before our client has read the status.
        if let Ok(answer) = world.ask_with(via, Method::GET, "/", &[("x-fat", &fat)]).await {
            assert_eq!(answer.status, 431, "{via:?}");
        } else {
            assert!(matches!(via, Via::H3), "{via:?}");
        }
        assert_eq!(world.ask(via, "/after").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alt_svc_is_advertised_on_secure_tcp_only() {
    let world = World::open_with(|config, _| config.alt_svc = Some(4433));
    for via in ALL {
        let answer = world.ask(via, "/").await;
        let advertised = answer.headers.get("alt-svc").map(|value| value.to_str().unwrap().to_owned());
        let expected = matches!(via, Via::H1Tls | Via::H2).then(|| "h3=\":4433\"; ma=86400".to_owned());
        assert_eq!(advertised, expected, "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_body_is_answered_without_it() {
    let world = World::open();
    let stream = world::tls_stream(world.tls, world::client_tls(&world.certs.ca, None, "h2")).await.unwrap();
    let (mut h2, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let post = || http::Request::post("https://localhost/take").body(()).unwrap();
    let (answer, mut body) = h2.send_request(post(), false).unwrap();
    // The answer may have come, and the stream ended, before this is sent.
    let _ = body.send_data(vec![7; 10_000].into(), false);
    assert_eq!(answer.await.unwrap().status(), 200);

    let mut session = world.connect(Via::H3, None).await.unwrap();
    let world::Session::H3 { sender, .. } = &mut session else { unreachable!() };
    let mut stream = sender.send_request(post()).await.unwrap();
    let _ = stream.send_data(vec![7; 10_000].into()).await;
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    assert_eq!(session.ask(Method::GET, "/after", &[]).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_gets_the_body_it_wants() {
    let world = World::open();
    for via in ALL {
        for len in [0, 1, 20_000, 60 * 1024] {
            let mut session = world.connect(via, None).await.unwrap();
            let answer = session.send(Method::POST, "/echo", &[], pattern(len)).await.unwrap();
            assert_eq!(answer.status, 200, "{via:?} {len}");
            assert!(answer.body.unwrap() == pattern(len), "{via:?} {len}");
            let answer = session.send(Method::PUT, "/echo", &[], pattern(7)).await.unwrap();
            assert!(answer.body.unwrap() == pattern(7), "{via:?}: the connection goes on");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_its_bounds_is_refused() {
    let world = World::open_with(|config, _| {
        config.limits.body_bytes = 1_000;
        config.limits.bodies_bytes = 900;
        config.limits.body = Duration::from_millis(300);
    });
    for via in ALL {
        let before = world.counters.body_refused.get();
        let mut session = world.connect(via, None).await.unwrap();
        let answer = session.send(Method::POST, "/echo", &[("content-length", "900")], pattern(900)).await.unwrap();
        assert_eq!((answer.status.as_u16(), world.counters.body_refused.get()), (200, before), "{via:?}");
        let answer = session.send(Method::POST, "/echo", &[("content-length", "901")], pattern(901)).await;
        // Over h3 the stream may be stopped before our client has read the status.
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 503), "{via:?}: no room for it");
        let mut session = world.connect(via, None).await.unwrap();
        let answer = session.send(Method::POST, "/echo", &[("content-length", "1001")], pattern(1_001)).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413), "{via:?}: too large");
        assert_eq!(world.counters.body_refused.get(), before + 2, "{via:?}");
    }
    // Announced and never sent.
    let mut stream = tokio::net::TcpStream::connect(world.plain).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}
