//! How connections begin: what was wished for, and what really happened.

use needledrop_loadtest::client::{Client, Trust, Wish};
use needledrop_loadtest::generated;
use needledrop_loadtest::measured::{Opening, Protocol, Trouble};

use crate::world::{ALL, World, ask, config, fetch, origin};

#[tokio::test]
async fn each_protocol_opens_as_wished_and_reads_the_right_bytes() {
    let world = World::open();
    for protocol in ALL {
        // These doors take early data over QUIC only. Over TCP it must come as a resumed start, and be answered.
        let early = if protocol == Protocol::H3 { Opening::ZeroRtt } else { Opening::Resumed };
        for (wish, wanted) in [(Wish::Full, Opening::Full), (Wish::Resumed, Opening::Resumed), (Wish::ZeroRtt, early)] {
            let (_device, mut connection) = world.come_back(protocol, wish).await;
            let get = needledrop_loadtest::client::Get { range: Some((1000, 99_999)), ..ask("/size=300k/song") };
            for request in 0..2 {
                let (notes, answer) = fetch(&mut connection, &get).await;
                let answer = answer.unwrap_or_else(|failure| panic!("{protocol} {wish:?} {request}: {failure}"));
                assert_eq!(answer.head.status, 206);
                assert_eq!((answer.body_bytes, notes.bytes.len(), notes.heads), (99_000, 99_000, 1));
                assert!(generated::matches("song", 1000, &notes.bytes), "{protocol} {wish:?}");
                assert_eq!(connection.opening(), wanted, "{protocol} {wish:?}");
                assert!(connection.is_usable(), "{protocol} {wish:?}");
            }
            connection.close().await;
        }
    }
}

#[tokio::test]
async fn plain_http_needs_no_tls() {
    let world = World::open();
    let origin = origin(false, world.planted.plain);
    let device = world.client.device(Some("127.0.0.1".parse().unwrap()));
    let mut connection = device.open(&origin, Protocol::H1, Wish::ZeroRtt).await.unwrap();
    let (notes, answer) = fetch(&mut connection, &ask("/size=100k/song?a=b")).await;
    assert_eq!((answer.unwrap().head.status.as_u16(), connection.opening()), (200, Opening::Full));
    assert!(generated::matches("song", 0, &notes.bytes));
}

#[tokio::test]
async fn a_first_visit_has_nothing_to_resume() {
    let world = World::open();
    for protocol in ALL {
        let device = world.client.device(None);
        for wish in [Wish::Resumed, Wish::Full] {
            let mut connection = device.open(&world.origin(protocol), protocol, wish).await.unwrap();
            fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap();
            assert_eq!(connection.opening(), Opening::Full, "{protocol} {wish:?}");
        }
        assert!(device.has_ticket(&world.origin(protocol), protocol), "an answer brings the ticket along");
        let mut connection = device.open(&world.origin(protocol), protocol, Wish::Resumed).await.unwrap();
        fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap();
        assert_eq!(connection.opening(), Opening::Resumed, "{protocol}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_unless_anything_goes() {
    let world = World::open();
    let stranger = tempfile::tempdir().unwrap();
    let other = needledrop_http::DevCerts::ensure(stranger.path(), &[], std::time::SystemTime::now()).unwrap();
    let wary = Client::new(&config(Trust::Pem(other.ca))).unwrap();
    let easy = Client::new(&config(Trust::Anything)).unwrap();
    for protocol in ALL {
        let origin = world.origin(protocol);
        let failure = wary.device(None).open(&origin, protocol, Wish::Full).await.err().unwrap();
        assert_eq!(failure.trouble, Trouble::Tls, "{protocol}: {failure}");
        let mut connection = easy.device(None).open(&origin, protocol, Wish::Full).await.unwrap();
        fetch(&mut connection, &ask("/size=10/song")).await.1.unwrap();
    }
    assert!(Client::new(&config(Trust::Pem(stranger.path().join("none.pem")))).is_err());
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let world = World::open_with(|config| config.connect_timeout = std::time::Duration::from_millis(300));
    // A port that was free a moment ago, on TCP and on UDP.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in ALL {
        let failure = world.client.device(None).open(&origin(true, free), protocol, Wish::Full).await.err().unwrap();
        assert_eq!(failure.trouble, Trouble::Connect, "{protocol}: {failure}");
    }
    // An address that is not this machine's: our own fault.
    let device = world.client.device(Some("192.0.2.1".parse().unwrap()));
    for protocol in ALL {
        let failure = device.open(&world.origin(protocol), protocol, Wish::Full).await.err().unwrap();
        assert_eq!(failure.trouble, Trouble::Ourselves, "{protocol}: {failure}");
    }
}

/// Listeners are tasks, and a runtime may move them.
#[test]
fn connections_may_be_moved_between_threads() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    async fn listen(device: needledrop_loadtest::client::Device, origin: needledrop_loadtest::client::Origin) {
        let mut connection = device.open(&origin, Protocol::H3, Wish::ZeroRtt).await.unwrap();
        fetch(&mut connection, &ask("/song")).await.1.unwrap();
        connection.close().await;
    }
    let client = Client::new(&config(Trust::Anything)).unwrap();
    drop(moves(listen(moves(client).device(None), origin(true, "127.0.0.1:1".parse().unwrap()))));
}

#[tokio::test]
async fn early_data_to_nobody_is_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(Trust::Anything);
    config.head_timeout = std::time::Duration::from_millis(300);
    let client = Client::new(&config).unwrap();
    let server = crate::early::H3::start(crate::early::willing_quic(dir.path()));
    let device = client.device(None);
    assert!(device.prime(&server.origin(), Protocol::H3).await.unwrap());
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The same server by name and port, as after a crash, but nobody hears.
    let nobody = needledrop_loadtest::client::Origin { address: free, ..server.origin() };
    let mut connection = device.open(&nobody, Protocol::H3, Wish::ZeroRtt).await.unwrap();
    assert_eq!(connection.opening(), Opening::ZeroRtt);
    let failure = fetch(&mut connection, &ask("/song")).await.1.unwrap_err();
    assert_eq!(failure.trouble, Trouble::Connect, "{failure}");
}
