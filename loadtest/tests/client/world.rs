//! A planted server, a client that trusts it, and a reader that writes everything down.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use needledrop_loadtest::client::{
    Answer, Client, ClientConfig, Connection, Device, Failure, Get, Head, Origin, Reader, Trust, Wish,
};
use needledrop_loadtest::measured::Protocol;
use needledrop_loadtest::planted::{Planted, PlantedConfig};

pub const ALL: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];

pub struct World {
    pub planted: Planted,
    pub client: Client,
    _dir: tempfile::TempDir,
}

pub fn config(trust: Trust) -> ClientConfig {
    ClientConfig { trust, ..ClientConfig::default() }
}

pub fn origin(tls: bool, address: SocketAddr) -> Origin {
    Origin { tls, name: "localhost".into(), port: address.port(), address }
}

impl World {
    pub fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub fn open_with(adjust: impl FnOnce(&mut ClientConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let planted = Planted::start(&PlantedConfig::local(dir.path())).unwrap();
        let mut config = config(Trust::Pem(planted.ca.clone()));
        adjust(&mut config);
        Self { client: Client::new(&config).unwrap(), planted, _dir: dir }
    }

    pub fn origin(&self, protocol: Protocol) -> Origin {
        origin(true, if protocol == Protocol::H3 { self.planted.quic } else { self.planted.tls })
    }

    pub async fn connect(&self, protocol: Protocol) -> Connection {
        self.client.device(None).open(&self.origin(protocol), protocol, Wish::Full).await.unwrap()
    }

    pub async fn bare(&self) -> Connection {
        let device = self.client.device(None);
        device.open(&origin(false, self.planted.bare), Protocol::H1, Wish::Full).await.unwrap()
    }

    /// Opens from a device that has been here before.
    pub async fn come_back(&self, protocol: Protocol, wish: Wish) -> (Device, Connection) {
        come_back(&self.client, &self.origin(protocol), protocol, wish).await
    }
}

pub async fn come_back(client: &Client, origin: &Origin, protocol: Protocol, wish: Wish) -> (Device, Connection) {
    let device = client.device(None);
    assert!(device.prime(origin, protocol).await.unwrap(), "{protocol}: no ticket came");
    let connection = device.open(origin, protocol, wish).await.unwrap();
    (device, connection)
}

/// What came, and when.
#[derive(Default)]
pub struct Notes {
    pub bytes: Vec<u8>,
    pub pieces: Vec<(Instant, usize)>,
    pub heads: usize,
    pub leave_after: Option<usize>,
}

impl Reader for Notes {
    fn head(&mut self, _: &Head) {
        self.heads += 1;
    }

    fn body(&mut self, at: Instant, bytes: &[u8]) -> ControlFlow<()> {
        self.bytes.extend_from_slice(bytes);
        self.pieces.push((at, bytes.len()));
        match self.leave_after {
            Some(enough) if self.bytes.len() >= enough => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Notes {
    /// The longest silence between two pieces, and how many bytes came before it.
    pub fn longest_gap(&self) -> (Duration, usize) {
        let mut before = 0;
        let gaps = self.pieces.windows(2).map(|pair| {
            before += pair[0].1;
            (pair[1].0 - pair[0].0, before)
        });
        gaps.max().unwrap_or_default()
    }
}

pub fn ask(target: &str) -> Get<'_> {
    Get { target, ..Get::default() }
}

pub async fn fetch(connection: &mut Connection, get: &Get<'_>) -> (Notes, Result<Answer, Failure>) {
    let mut notes = Notes::default();
    let answer = connection.get(get, &mut notes).await;
    (notes, answer)
}
