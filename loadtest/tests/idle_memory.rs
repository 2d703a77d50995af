//! What a connection costs while its listener only listens: ten thousand of them must fit on one core.
//!
//! The server runs in a process of its own, so that this process holds the client's side only.
#![allow(clippy::print_stdout)] // the server tells its addresses, and the measured numbers are worth reading

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use needledrop_loadtest::client::{Client, ClientConfig, Get, Head, Origin, Reader, Trust, Wish};
use needledrop_loadtest::measured::Protocol;
use needledrop_loadtest::planted::{Planted, PlantedConfig};

/// The test below starts this file's other test as a server.
const FOLDER: &str = "NEEDLEDROP_TEST_SERVER";
const CONNECTIONS: usize = 300;
const EACH_MAX: usize = 64 * 1024;
/// A socket, a state machine and the datagrams of a burst; quinn's own socket makes it 250 to 380 KiB.
const EACH_QUIC_MAX: usize = 200 * 1024;

struct Server {
    child: Child,
    tls: SocketAddr,
    quic: SocketAddr,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_server_for_the_other_test", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
            let (_, address) = line.split_once("listening ")?;
            address.trim().parse().ok()
        });
        let (tls, quic) = (addresses.next().unwrap(), addresses.next().unwrap());
        Self { child, tls, quic }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a server, which the other test starts"]
fn a_server_for_the_other_test() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let planted = Planted::start(&PlantedConfig::local(folder)).unwrap();
    println!("\nlistening {}\nlistening {}", planted.tls, planted.quic);
    // The other end of stdin closes with the test, however that ends.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Anonymous bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

struct Ignored;

impl Reader for Ignored {
    fn head(&mut self, _: &Head) {}

    fn body(&mut self, _: Instant, _: &[u8]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let trust = Trust::Pem(folder.path().join("ca.pem"));
    let client = Client::new(&ClientConfig { trust, ..ClientConfig::default() }).unwrap();
    let mut kept = Vec::new();
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        let address = if protocol == Protocol::H3 { server.quic } else { server.tls };
        let origin = Origin { tls: true, name: "localhost".into(), port: address.port(), address };
        let mut before = 0;
        for number in 0..CONNECTIONS + 10 {
            if number == 10 {
                // The first ones pay for what all share.
                before = resident();
            }
            let device = client.device(None);
            let mut connection = device.open(&origin, protocol, Wish::Full).await.unwrap();
            let get = Get { range: Some((0, (512 << 10) - 1)), ..Get::default() };
            let get = Get { target: "/song", ..get };
            connection.get(&get, &mut Ignored).await.unwrap();
            kept.push((device, connection));
        }
        let each = (resident() - before) / CONNECTIONS;
        println!("{protocol}: {each} bytes for each idle connection and its device");
        let max = if protocol == Protocol::H3 { EACH_QUIC_MAX } else { EACH_MAX };
        assert!(each <= max, "{protocol}: {each}");
    }
}
