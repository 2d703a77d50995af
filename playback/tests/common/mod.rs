//! A service on a database, and people who use it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::net::IpAddr;
use std::sync::Arc;

use needledrop_catalog::model::TrackRendition;
use needledrop_core::{KeyId, Keyring, Rendition, Rev, Secret, TrackId, UnixSeconds};
use needledrop_database::Database;
use needledrop_playback::grant::EdgeBase;
use needledrop_playback::{
    Ask, Asked, Caller, DisplayName, Edge, Error, Issued, Playback, ServerKey, SignUp, Start, TrackFacts,
};

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub const PASSWORD: &str = "correct horse battery";

pub async fn open(database: Database) -> Playback {
    Playback::open(database, ServerKey::from_bytes([42; 32])).await.unwrap().0
}

/// Everybody comes from a network of his own, unless a test says otherwise.
pub fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 1, n, 1])
}

pub fn text(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

pub async fn sign_up(playback: &Playback, name: &str) -> Result<Issued, Error> {
    let wish = SignUp { name, password: PASSWORD, territory: None, client: "test" };
    playback.sign_up(wish, address(name.len() as u8), NOW).await
}

/// Signs up and comes in.
pub async fn arrive(playback: &Playback, name: &str) -> Arc<Caller> {
    let issued = sign_up(playback, name).await.unwrap();
    playback.authenticate(issued.secret.expose(), NOW).await.unwrap()
}

/// A world with one edge and as many tracks as anybody wants.
pub struct World {
    pub keys: Keyring,
    pub base: EdgeBase,
    renditions: Vec<TrackRendition>,
}

impl Default for World {
    fn default() -> Self {
        let made = |rendition: &Rendition| TrackRendition {
            rendition: *rendition,
            bytes: 4_000_000,
            head_bytes: 600_000,
            average_bps: 160_000,
        };
        Self {
            keys: Keyring::new(KeyId::parse("k1").unwrap(), Secret::from_bytes([9; 32])),
            base: EdgeBase::parse("https://edge.example").unwrap(),
            renditions: Rendition::ALL.iter().map(made).collect(),
        }
    }
}

impl World {
    pub fn edges(&self) -> [Edge<'_>; 1] {
        [Edge { base: &self.base, keys: &self.keys }]
    }

    pub fn track(&self, n: u64) -> TrackFacts<'_> {
        TrackFacts {
            id: TrackId::from_random(u128::from(n).to_be_bytes()),
            rev: Rev::from_digest(&[1; 32]),
            duration_ms: 200_000,
            renditions: &self.renditions,
            windows: &[],
        }
    }

    pub fn ask(&self, n: u64) -> Ask<'_> {
        Ask {
            track: self.track(n),
            next: Some(self.track(n + 1)),
            asked: Asked::default(),
            start: Start::Resume,
            device: None,
        }
    }
}
