//! What HTTP/3 clients may do that other protocols cannot: say what is urgent, move, and say what nobody understands.

mod world;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Buf;
use http::Method;
use tokio::time::{sleep, timeout};
use world::{Session, Via, World, client_tls, quic_connection};

const SOON: Duration = Duration::from_secs(20);
/// As much of an urgent answer as is watched; far more than all windows.
const WATCHED: usize = 16 << 20;

/// A request stream with a hand-made head (RFC 9204, static table only).
async fn ask_raw(quic: &quinn::Connection, before: &[u8], path: &str) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, recv) = quic.open_bi().await.unwrap();
    // No dynamic table; `:method: GET` and `:scheme: https` by index, `:authority` and `:path` as literals.
    let mut fields = vec![0, 0, 0xc0 | 17, 0xc0 | 23, 0x50, 1, b'a', 0x51, u8::try_from(path.len()).unwrap()];
    fields.extend_from_slice(path.as_bytes());
    let head = [before, &[0x01, u8::try_from(fields.len()).unwrap()], &fields].concat();
    send.write_all(&head).await.unwrap();
    send.finish().unwrap();
    (send, recv)
}

/// The control stream, with empty SETTINGS.
async fn control(quic: &quinn::Connection) -> quinn::SendStream {
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(&[0x00, 0x04, 0x00]).await.unwrap();
    control
}

/// Reads `first` for a moment, then both until `WATCHED` of `second` came; what came of `first` meanwhile.
async fn compete(first: &mut quinn::RecvStream, second: &mut quinn::RecvStream) -> usize {
    let (mut of_first, mut of_second) = (0, 0);
    let watched = async {
        while of_second < WATCHED {
            tokio::select! {
                biased;
                chunk = first.read_chunk(1 << 20, true) => of_first += chunk.unwrap().unwrap().bytes.len(),
                chunk = second.read_chunk(1 << 20, true) => of_second += chunk.unwrap().unwrap().bytes.len(),
            }
        }
    };
    timeout(SOON, watched).await.expect("both make progress");
    of_first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_answer_overtakes_one_for_later() {
    let world = World::open();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    let Session::H3 { sender, .. } = &mut session else { unreachable!() };
    let ask =
        |priority: &str| http::Request::get("https://localhost/huge").header("priority", priority).body(()).unwrap();
    let mut later = sender.send_request(ask("u=7")).await.unwrap();
    later.finish().await.unwrap();
    later.recv_response().await.unwrap();
    later.recv_data().await.unwrap().unwrap();
    let mut urgent = sender.send_request(ask("u=0")).await.unwrap();
    urgent.finish().await.unwrap();
    urgent.recv_response().await.unwrap();
    let (mut of_later, mut of_urgent) = (0, 0);
    let watched = async {
        while of_urgent < WATCHED {
            tokio::select! {
                biased;
                piece = later.recv_data() => of_later += piece.unwrap().unwrap().remaining(),
                piece = urgent.recv_data() => of_urgent += piece.unwrap().unwrap().remaining(),
            }
        }
    };
    timeout(SOON, watched).await.expect("both make progress");
    assert!(of_later < WATCHED / 3, "{of_later} bytes that could wait came with {WATCHED} urgent ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_update_changes_the_order() {
    let world = World::open();
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    let mut control = control(&quic).await;
    let (_first_send, mut first) = ask_raw(&quic, &[], "/huge").await;
    first.read_chunk(1 << 20, true).await.unwrap().unwrap();
    // PRIORITY_UPDATE (0xf0700) for stream 0; without it the elder one goes first.
    control.write_all(&[0x80, 0x0f, 0x07, 0x00, 4, 0x00, b'u', b'=', b'7']).await.unwrap();
    let (_second_send, mut second) = ask_raw(&quic, &[], "/huge").await;
    let of_first = compete(&mut first, &mut second).await;
    assert!(of_first < WATCHED / 3, "{of_first} bytes that could wait came with {WATCHED} urgent ones");
    assert!(quic.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_understands_is_passed_over() {
    let world = World::open();
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    // Reserved setting 0x21 = 7, then a reserved frame of three bytes (RFC 9114 7.2.4.1, 7.2.8).
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(&[0x00, 0x04, 0x02, 0x21, 0x07, 0x21, 0x03, 1, 2, 3]).await.unwrap();
    // A stream of a reserved type (RFC 9114 6.2.3), and one that stays open without one.
    let mut reserved = quic.open_uni().await.unwrap();
    reserved.write_all(&[0x40, 0x5f, 1, 2, 3, 4]).await.unwrap();
    let _silent = quic.open_uni().await.unwrap();
    // A reserved frame before the head.
    let (_send, mut recv) = ask_raw(&quic, &[0x40, 0x40, 0x02, 8, 9], "/early").await;
    let answer = timeout(SOON, recv.read_to_end(10_000)).await.unwrap().unwrap();
    assert!(answer.ends_with(b"early: false"), "{answer:?}");
    assert!(quic.close_reason().is_none());
}

/// A counter of the doors.
fn counter(world: &World, wanted: &str) -> u64 {
    let mut found = None;
    world.counters.each(|name, _, value| found = if name == wanted { Some(value) } else { found });
    found.expect("a counter of this name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_rules_is_cut_off_and_counted() {
    let world = World::open();
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    let _control = control(&quic).await;
    // A head that is said to have 200,000 bytes (RFC 9000 16): stopped behind the first 64 KiB of it.
    let (mut send, _recv) = quic.open_bi().await.unwrap();
    let frame = [&[0x01, 0x80, 0x03, 0x0d, 0x40][..], &[0; 70_000]].concat();
    let _ = timeout(SOON, send.write_all(&frame)).await.unwrap();
    timeout(SOON, send.stopped()).await.unwrap().unwrap();
    assert_eq!((counter(&world, "h3_request_too_long"), counter(&world, "h3_broken")), (1, 0));
    assert!(quic.close_reason().is_none(), "one request only");
    // The stream of QPACK's encoder must not end (RFC 9204 4.2).
    let mut encoder = quic.open_uni().await.unwrap();
    encoder.write_all(&[0x02]).await.unwrap();
    encoder.finish().unwrap();
    let closed = timeout(SOON, quic.closed()).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, 0x104u32.into());
    assert_eq!(counter(&world, "h3_broken"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_one_answer_after_the_other_loses_none() {
    let world = World::open_with(|config, _| {
        config.limits.stream_stall = Duration::from_millis(100);
        config.limits.paused_streams = 1;
    });
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    let _control = control(&quic).await;
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (_send, mut recv) = ask_raw(&quic, &[], "/huge").await;
        reading.spawn(async move {
            let mut bytes = 0;
            while let Some(chunk) =
                recv.read_chunk(1 << 20, true).await.expect("reset, but the others had to come first")
            {
                bytes += chunk.bytes.len();
            }
            bytes
        });
    }
    let read = timeout(Duration::from_secs(60), reading.join_all()).await.unwrap();
    assert!(read.iter().all(|bytes| *bytes > world::HUGE), "{read:?}");
    assert_eq!(counter(&world, "stream_stalled") + counter(&world, "slow_reader"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_gave_up_is_no_longer_worked_on() {
    let world = World::open();
    let (_endpoint, quic) = quic_connection(world.quic, client_tls(&world.certs.ca, None, "h3")).await.unwrap();
    let _control = control(&quic).await;
    let (_send, mut recv) = ask_raw(&quic, &[], "/never").await;
    recv.read_chunk(1 << 20, true).await.unwrap().unwrap();
    recv.stop(0x10cu32.into()).unwrap();
    let delivered = timeout(Duration::from_secs(2), world.stage.receipts.next("/never")).await.unwrap();
    assert_eq!((delivered.bytes, delivered.end), (0, needledrop_http::End::Left));
    assert!(quic.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_is_told_from_a_full_handshake() {
    let world = World::open();
    let tls = client_tls(&world.certs.ca, None, "h3");
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(config));
    for expected in ["Some(false)", "Some(true)", "Some(true)"] {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let quic = endpoint.connect_with(config.clone(), world.quic, "localhost").unwrap().await.unwrap();
        let (_send, mut recv) = ask_raw(&quic, &[], "/resumed").await;
        let answer = timeout(SOON, recv.read_to_end(10_000)).await.unwrap().unwrap();
        assert!(answer.ends_with(expected.as_bytes()), "{expected}, but {}", String::from_utf8_lossy(&answer));
        // The ticket comes behind the handshake.
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moves_in_the_middle_of_a_track_keeps_playing() {
    let world = World::open();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    assert_eq!(session.ask(Method::GET, "/whoami", &[]).await.unwrap().text(), "nobody at 127.0.0.1 over h3");
    let Session::H3 { sender, _endpoint: endpoint, .. } = &mut session else { unreachable!() };
    let request = http::Request::get("https://localhost/huge").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    stream.recv_response().await.unwrap();
    let mut read = 0;
    let mut moved = false;
    let listening = async {
        while read < WATCHED {
            read += stream.recv_data().await.unwrap().expect("the track goes on").remaining();
            if read > 1 << 20 && !moved {
                // Another address and another port: what a phone does that leaves the house.
                let elsewhere = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
                endpoint.rebind(elsewhere).unwrap();
                moved = true;
            }
        }
    };
    timeout(SOON, listening).await.expect("the track goes on");
    drop(stream);
    sleep(Duration::from_millis(50)).await;
    // Validated meanwhile, so that this is the address an `ip` claim is held against.
    assert_eq!(session.ask(Method::GET, "/whoami", &[]).await.unwrap().text(), "nobody at 127.0.0.2 over h3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_port_at_the_same_address_is_the_same_client() {
    let world = World::open();
    let mut session = world.connect(Via::H3, None).await.unwrap();
    for _ in 0..3 {
        let Session::H3 { _endpoint: endpoint, .. } = &session else { unreachable!() };
        endpoint.rebind(UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()).unwrap();
        let answer = timeout(SOON, session.ask(Method::GET, "/whoami", &[])).await.unwrap().unwrap();
        assert_eq!(answer.text(), "nobody at 127.0.0.1 over h3");
    }
}
