//! A service on a database, and people who use it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::net::IpAddr;
use std::sync::Arc;

use needledrop_catalog::model::TrackRendition;
use needledrop_core::{KeyId, Keyring, Rendition, Rev, Secret, TrackId, UnixSeconds};
use needledrop_database::Database;
use needledrop_playback::grant::EdgeBase;
use needledrop_playback::oauth::{self, Client, RedirectUri, Wish};
use needledrop_playback::service::{Proof, Registered};
use needledrop_playback::token::Secret as Credential;
use needledrop_playback::{
    Ask, Asked, Caller, DisplayName, Edge, Error, Issued, Playback, Renewed, ServerKey, SignUp, Start, TrackFacts,
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

/// The verifier and challenge of RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const REDIRECT: &str = "http://127.0.0.1/callback";

/// Registers a program; public ones have no secret.
pub async fn register(playback: &Playback, caller: &Caller, is_secret: bool) -> Registered {
    let redirect = RedirectUri::parse(REDIRECT).unwrap();
    playback.register_client(caller, text("An app"), vec![redirect], is_secret, NOW).await.unwrap()
}

/// What the program asks for.
pub fn wish(client: &Client, scope: &str) -> Wish {
    let asked = oauth::Asked {
        response_type: Some("code"),
        scope: Some(scope),
        challenge: Some(CHALLENGE),
        method: Some("S256"),
    };
    let redirect = client.redirect(Some(REDIRECT)).unwrap();
    Wish::read(client.clone(), redirect, true, asked).unwrap()
}

/// What a program proves itself with.
pub fn proof_of(registered: &Registered) -> Proof<'_> {
    Proof { client: registered.client.id.as_str(), secret: registered.secret.as_ref().map(Credential::expose) }
}

/// The whole way: somebody agrees, and the program exchanges its code.
pub async fn agree(playback: &Playback, caller: &Caller, app: &Registered, scope: &str) -> Renewed {
    let code = playback.consent(caller, &wish(&app.client, scope), NOW).await.unwrap();
    let proof = proof_of(app);
    playback.exchange_code(proof, code.expose(), Some(REDIRECT), Some(VERIFIER), NOW).await.unwrap()
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
