//! The emulation through the kernel's sockets, as listeners use it.

use super::namespace::{Hurry, hurry};
use super::*;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

fn emulation(link: &str) -> Option<Emulation> {
    needs_root().then(|| Emulation::start(&link.parse().unwrap(), 1).unwrap_or_else(|error| panic!("{error}")))
}

/// A listener's socket, connected to this server.
fn socket(side: &Side, listener: u32, server: SocketAddr) -> UdpSocket {
    let there = side.reach(server).unwrap();
    let make = || {
        let socket = UdpSocket::bind((side.address(listener), 0))?;
        socket.connect(there)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        io::Result::Ok(socket)
    };
    side.within(make).unwrap()
}

/// Sends back what it gets, until it gets nothing.
fn echo(address: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let serve = move || {
        hurry(Hurry::Measuring);
        let mut room = [0; 2_000];
        while let Ok((len @ 1.., from)) = socket.recv_from(&mut room) {
            let _ = socket.send_to(&room[..len], from);
        }
    };
    std::thread::spawn(serve);
    address
}

#[test]
fn a_round_trip_takes_as_long_as_asked_to_every_server_of_this_machine() {
    let Some(emulation) = emulation("rtt=30ms") else { return };
    hurry(Hurry::Measuring);
    // Given servers on loopback alone, on no address in particular, and on each other that the machine has, when
    // listeners ask them,
    let servers = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 8, 9), Ipv4Addr::UNSPECIFIED];
    for bound in servers.iter().chain(&emulation.side().0.machine) {
        let server = echo(*bound);
        let round_trip = |listener| {
            let socket = socket(&emulation.side(), listener, server);
            let began = Instant::now();
            socket.send(b"ping").unwrap();
            assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 4);
            began.elapsed()
        };
        let mut round_trips: Vec<_> = (0..9).map(round_trip).collect();
        round_trips.sort();
        // then no answer is early, and half of them are hardly late, whatever else the machine does.
        assert!(round_trips[0] >= Duration::from_millis(30), "{round_trips:?}");
        assert!(round_trips[4] < Duration::from_millis(36), "{round_trips:?}");
    }
    let Counted { down, up } = emulation.counted();
    assert!(up.packets >= 27 && down.packets >= 27 && up.lines >= 9, "{down:?} {up:?}");
}

#[test]
fn a_download_is_as_fast_as_the_line_and_a_neighbours_is_too() {
    let Some(emulation) = emulation("rtt=10ms,rate=40mbit") else { return };
    // Given a server of a million bytes on loopback, when two listeners fetch them at once,
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in server.incoming().take(2).flatten() {
            std::thread::spawn(move || stream.write_all(&[7; 1_000_000]));
        }
    });
    let fetch = |listener| {
        let side = emulation.side();
        let there = side.reach(address).unwrap();
        side.within(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((side.address(listener), 0)).into())?;
            let began = Instant::now();
            socket.connect(&there.into())?;
            let mut bytes = Vec::new();
            TcpStream::from(socket).read_to_end(&mut bytes)?;
            assert!(bytes.len() == 1_000_000 && bytes.iter().all(|byte| *byte == 7));
            io::Result::Ok(began.elapsed())
        })
        .unwrap()
    };
    let taken = std::thread::scope(|scope| {
        let fetches = [1, 2].map(|listener| scope.spawn(move || fetch(listener)));
        fetches.map(|fetch| fetch.join().unwrap())
    });
    // then each takes what it takes alone: 207 ms of packets on the line and a few round trips. On one line both would
    // take 414 ms.
    for time in taken {
        assert!(time >= Duration::from_millis(217) && time < Duration::from_millis(400), "{taken:?}");
    }
}

#[test]
fn what_is_lost_is_as_much_as_asked_and_is_counted() {
    let Some(emulation) = emulation("loss=20%") else { return };
    let (side, sink) = (emulation.side(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let server = sink.local_addr().unwrap();
    for listener in 0..20 {
        let socket = socket(&side, listener, server);
        (0..100).for_each(|_| assert_eq!(socket.send(b"?").unwrap(), 1));
    }
    // Given that all came out, one way or the other,
    let deadline = Instant::now() + Duration::from_secs(5);
    let up = loop {
        let up = emulation.counted().up;
        if up.packets + up.lost == 2_000 || Instant::now() > deadline {
            break up;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((up.packets + up.lost, up.kernel_dropped, up.strangers), (2_000, 0, 0), "{up:?}");
    // then 20 % of them are lost, give or take five deviations.
    assert!((310..490).contains(&up.lost), "{up:?}");
}

#[test]
fn a_port_at_which_nobody_listens_refuses_over_the_line() {
    let Some(emulation) = emulation("rtt=1ms") else { return };
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = socket(&emulation.side(), 0, closed);
    socket.send(b"anybody?").unwrap();
    assert_eq!(socket.recv(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn nothing_stays_when_it_ends_and_two_do_not_meet() {
    let (Some(one), Some(other)) = (emulation("rtt=1ms"), emulation("rtt=1ms")) else { return };
    assert_ne!(one.side().address(0), other.side().address(0));
    let (side, device) = (one.side(), one.here.name().to_owned());
    drop(one);
    assert!(!ip(&["link"]).unwrap().contains(&format!("{device}:")));
    let device = side.within(|| ip(&["link"])).unwrap();
    assert!(!device.contains("line"), "{device}");
}

#[test]
fn listeners_on_all_threads_share_a_side() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Side>();
    shared::<Emulation>();
}

#[test]
fn a_server_elsewhere_is_refused_with_what_to_do() {
    let Some(emulation) = emulation("ideal") else { return };
    let error = emulation.side().reach("203.0.113.1:443".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("leave --link out"), "{error}");
}
