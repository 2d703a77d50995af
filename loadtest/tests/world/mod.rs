//! A planted server and a short crowd, for tests that judge what is reported of it.
#![allow(dead_code)] // each test binary uses its part

use needledrop_loadtest::{
    crowd::{self, Outcome, Share},
    measured::Protocol,
    planted::{Planted, PlantedConfig},
    settings::{Listed, Popularity, Settings, Source},
    verify::Against,
};
use tokio_util::sync::CancellationToken;

/// A server, and a crowd that is told only what a test is about.
pub struct World {
    pub planted: Planted,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let planted = Planted::start(&PlantedConfig::local(folder.path())).unwrap();
        Self { planted, _folder: folder }
    }

    pub fn url(&self, protocol: Protocol, path: &str) -> Listed {
        let port = match protocol {
            Protocol::H3 => self.planted.quic.port(),
            _ => self.planted.tls.port(),
        };
        Listed { url: format!("https://localhost:{port}{path}"), ..Listed::default() }
    }

    pub fn bare(&self, path: &str) -> Listed {
        Listed { url: format!("http://127.0.0.1:{}{path}", self.planted.bare.port()), ..Listed::default() }
    }

    /// Twenty starts within a second, over one protocol.
    pub fn settings(&self, protocol: Protocol, urls: Vec<Listed>) -> Settings {
        Settings {
            source: Source::Urls(urls),
            arrivals: "even:20".parse().unwrap(),
            trace: None,
            trace_speed: 1.0,
            lasting_ms: 1_050,
            grace_ms: 5_000,
            popularity: Popularity::InOrder,
            plays: Some(1),
            starts_only: true,
            listeners_max: 1_000,
            protocols: protocol.to_string().parse().unwrap(),
            openings: "full".parse().unwrap(),
            chunk_bytes: 128 * 1024,
            ahead_seconds: 30.0,
            speed: 1.0,
            skips: false,
            seeks: 0.0,
            cmcd: needledrop_loadtest::cmcd::Cmcd::Fields,
            against: Against::Generator,
            link: None,
            ca: Some(self.planted.ca.clone()),
            insecure: false,
            workers: 1,
            awake: false,
            seed: 1,
            timeout_ms: 2_000,
        }
    }
}

pub fn run(settings: Settings) -> Outcome {
    crowd::run(settings, Share { index: 0, of: 1 }, None, &CancellationToken::new(), |_, _| {}).unwrap()
}
