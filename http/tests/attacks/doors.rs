//! The doors under attack: a process of their own, so that their memory can be told from the attackers'.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use needledrop_core::Cidr;
use needledrop_http::Counters;

use crate::world::World;

/// Says to this program that it is the doors.
const ASKED: &str = "NEEDLEDROP_ATTACKED_DOORS";

/// Deadlines of the doors under attack: short, so that a test sees them pass.
pub const HANDSHAKE: Duration = Duration::from_millis(1_500);
pub const HEAD: Duration = Duration::from_millis(400);
pub const STALL: Duration = Duration::from_millis(500);
/// Connections of one attacker.
pub const NETWORK_CONNECTIONS: usize = 300;

/// The doors' process. Clones are of the same; the last one ends it.
#[derive(Clone)]
pub struct DoorsProcess {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub quic: SocketAddr,
    pub ca: PathBuf,
    pid: u32,
    talk: Arc<Mutex<Talk>>,
}

struct Talk {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl DoorsProcess {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["doors_for_the_others", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ASKED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = loop {
            let line = output.next().expect("the doors open").unwrap();
            if let Some((_, said)) = line.split_once("DOORS ") {
                break said.to_owned();
            }
        };
        let mut words = said.split(' ');
        let mut next = || words.next().unwrap();
        let (plain, tls, quic) = (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap());
        let (ca, pid) = (next().into(), child.id());
        Self { plain, tls, quic, ca, pid, talk: Arc::new(Mutex::new(Talk { child, input, output })) }
    }

    /// Resident memory.
    pub fn memory_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// A counter of the doors.
    pub fn counter(&self, name: &str) -> u64 {
        let mut talk = self.talk.lock().unwrap();
        talk.input.write_all(b"count\n").unwrap();
        let line = talk.output.next().unwrap().unwrap();
        let found = line.split(' ').find_map(|word| word.split_once('=').filter(|(key, _)| *key == name));
        found.unwrap_or_else(|| panic!("no {name} in {line}")).1.parse().unwrap()
    }

    /// Waits until a counter has come that far.
    pub async fn until(&self, name: &str, least: u64) {
        let reached = async {
            while self.counter(name) < least {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), reached).await.is_err() {
            panic!("{name} is {} and not {least}", self.counter(name));
        }
    }
}

/// Serves until nobody asks any more, if this is the doors' process.
pub fn serve_if_asked() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let world = World::open_with(|config, _| {
        config.exempt = Some(vec![Cidr::parse("127.0.0.1").unwrap()]);
        let limits = &mut config.limits;
        (limits.handshake, limits.head, limits.stream_stall) = (HANDSHAKE, HEAD, STALL);
        limits.network_connections = NETWORK_CONNECTIONS;
    });
    println!("\nDOORS {} {} {} {}", world.plain, world.tls, world.quic, world.certs.ca.display());
    // Its end is the end of whoever started this.
    for _ in std::io::stdin().lines() {
        println!("{}", told(&world.counters));
    }
}

fn told(counters: &Counters) -> String {
    let mut text = String::new();
    counters.each(|name, _, value| write!(text, "{name}={value} ").unwrap());
    counters.levels(|name, _, value| write!(text, "{name}={value} ").unwrap());
    text
}
