//! Living through change: drain, deadline, and certificates replaced under running connections.

mod world;

use std::time::{Duration, Instant, SystemTime};

use http::Method;
use needledrop_http::{DevCerts, Drained};
use tokio::time::sleep;
use world::{ALL, Via, World, pattern};

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
        assert!(world::Session::connect(via, addr, &certs.ca, None).await.is_err(), "{via:?} still accepts");
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
