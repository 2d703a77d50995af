//! The tracks that listeners pick from, and where each is found: listed, signed here, or asked of a gateway.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::{SystemTime, UNIX_EPOCH},
};

use http::Uri;
use needledrop_core::{Claims, HeadBytes, Keyring, NextObject, ObjectPath, UnixSeconds, sign};
use serde::Deserialize;

use crate::{
    client::Origin,
    settings::{Listed, Source},
};

/// A URL that is signed here is good for an hour, or for twice the track where that is longer. Unit: seconds.
const LIFETIME_SECONDS_MIN: u64 = 3_600;

/// Tracks of a gateway that listeners pick from. By Zipf's law those behind would hardly be picked, and 200 pages of
/// them take a second to read.
const TRACKS_MAX: usize = 10_000;

/// One track.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path and query at its origin; the track's id at a gateway.
    pub target: String,
    /// Which of [`Catalog::origins`].
    pub origin: usize,
    /// Duration, if known. Unit: seconds.
    pub seconds: Option<f64>,
    /// Bytes of the first 30 s, if known.
    pub head: Option<u64>,
    /// SHA-256 of the object, if known, as hexadecimal digits.
    pub sha256: Option<String>,
}

/// All of them, the most popular first.
pub struct Catalog {
    /// Servers, each with the address that is used.
    pub origins: Vec<Origin>,
    /// Tracks.
    pub entries: Vec<Entry>,
    kind: Kind,
}

enum Kind {
    Listed,
    Signed(Box<Keyring>),
    Gateway {
        wish: String,
        /// The value of Authorization; empty until somebody signed in.
        bearer: String,
    },
}

/// Where a track is, decided.
#[derive(Debug, Clone)]
pub struct Place {
    /// The server.
    pub origin: Origin,
    /// Path and query.
    pub target: String,
    /// Bytes of its first 30 s, if known.
    pub head: Option<u64>,
    /// Duration, if known. Unit: seconds.
    pub seconds: Option<f64>,
    /// Path of what comes next and the bytes of its head, for those who tell.
    pub next: Option<(String, u64)>,
}

impl Place {
    /// The path without the query: what names the object.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What is needed of a gateway's list of tracks.
#[derive(Deserialize)]
pub struct Tracks {
    items: Vec<Track>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Track {
    id: String,
    duration_ms: Option<u64>,
}

/// What is needed of a gateway's answer to a tap.
#[derive(Deserialize)]
struct Stream {
    urls: Vec<String>,
    #[serde(default)]
    duration_ms: Option<u64>,
    #[serde(default)]
    rendition: Option<Rendition>,
}

#[derive(Deserialize)]
struct Rendition {
    head_bytes: Option<u64>,
}

impl Catalog {
    /// Reads lists and keys and looks up addresses. A gateway's tracks are added by [`Catalog::add_tracks`].
    /// Blocks on files and names.
    ///
    /// # Errors
    /// A sentence that names the fix.
    pub fn open(source: &Source) -> Result<Self, String> {
        match source {
            Source::Urls(list) => Self::listed(list),
            Source::Signed { base, keys, paths } => Self::signed(base, keys, paths),
            Source::Gateway { base, kbps, codec, .. } => {
                let kbps = kbps.map(|kbps| format!("&kbps={kbps}")).unwrap_or_default();
                let codec = codec.as_ref().map(|codec| format!("&codec={codec}")).unwrap_or_default();
                let origins = vec![split_url(base)?.0];
                let kind = Kind::Gateway { wish: format!("{kbps}{codec}"), bearer: String::new() };
                Ok(Self { origins, entries: Vec::new(), kind })
            }
        }
    }

    fn listed(list: &[Listed]) -> Result<Self, String> {
        let mut catalog = Self { origins: Vec::new(), entries: Vec::new(), kind: Kind::Listed };
        let mut seen = std::collections::HashMap::new();
        for listed in list {
            let (authority, target) = authority_of(&listed.url)?;
            let origin = match seen.get(&authority) {
                Some(at) => *at,
                None => {
                    catalog.origins.push(split_url(&listed.url)?.0);
                    seen.insert(authority, catalog.origins.len() - 1);
                    catalog.origins.len() - 1
                }
            };
            catalog.entries.push(Entry { target, origin, ..Entry::of(listed) });
        }
        catalog.checked()
    }

    fn signed(base: &str, keys: &std::path::Path, paths: &[Listed]) -> Result<Self, String> {
        let text = std::fs::read_to_string(keys).map_err(|error| format!("{}: {error}", keys.display()))?;
        let keyring = Keyring::parse(&text).map_err(|error| format!("{}: {error}", keys.display()))?;
        let mut entries = Vec::new();
        for listed in paths {
            ObjectPath::parse(&listed.url).map_err(|error| format!("{:?} is no path to sign: {error}", listed.url))?;
            entries.push(Entry { target: listed.url.clone(), origin: 0, ..Entry::of(listed) });
        }
        Self { origins: vec![split_url(base)?.0], entries, kind: Kind::Signed(Box::new(keyring)) }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.entries.is_empty() {
            Err("there is no track to listen to: the list is empty".to_owned())
        } else {
            Ok(self)
        }
    }

    /// Whether a tap has to ask for its URL first.
    pub fn asks(&self) -> bool {
        matches!(self.kind, Kind::Gateway { .. })
    }

    /// What every question to a gateway bears from now on.
    pub fn sign_in(&mut self, token: &str) {
        if let Kind::Gateway { bearer, .. } = &mut self.kind {
            *bearer = format!("Bearer {token}");
        }
    }

    /// The fields of a question to a gateway.
    pub fn credential(&self) -> Option<(&'static str, &str)> {
        match &self.kind {
            Kind::Gateway { bearer, .. } if !bearer.is_empty() => Some(("authorization", bearer)),
            _ => None,
        }
    }

    /// Takes a page of a gateway's list of tracks, and says whether more are to come.
    ///
    /// # Errors
    /// It is none, or the list is empty.
    pub fn add_tracks(&mut self, json: &[u8]) -> Result<bool, String> {
        let Tracks { items, total } = serde_json::from_slice(json)
            .map_err(|error| format!("the gateway's list of tracks cannot be read: {error}"))?;
        let before = self.entries.len();
        self.entries.extend(items.into_iter().map(|track| Entry {
            seconds: track.duration_ms.map(|ms| ms as f64 / 1e3),
            target: track.id,
            origin: 0,
            head: None,
            sha256: None,
        }));
        match self.entries.len() {
            0 => Err("the gateway has no tracks yet".to_owned()),
            there => Ok(there > before && there < total.min(TRACKS_MAX)),
        }
    }

    /// What to ask a gateway for at a tap: the track, and what will follow.
    pub fn question(&self, entry: usize, next: usize) -> String {
        let Kind::Gateway { wish, .. } = &self.kind else { return String::new() };
        format!("/v1/tracks/{}/stream?next={}{wish}", self.entries[entry].target, self.entries[next].target)
    }

    /// Where a gateway's answer leads to. Its URL may name a host that was not seen before.
    ///
    /// # Errors
    /// A sentence about what it lacks.
    pub fn answer(&self, json: &[u8]) -> Result<Place, String> {
        let stream: Stream =
            serde_json::from_slice(json).map_err(|error| format!("no stream in the answer: {error}"))?;
        let url = stream.urls.first().ok_or("the answer holds no URL")?;
        let (authority, target) = authority_of(url)?;
        let known = self
            .origins
            .iter()
            .find(|origin| url.starts_with("https:") == origin.tls && authority == authority_text(origin));
        Ok(Place {
            origin: known
                .cloned()
                .ok_or_else(|| format!("the answer leads to {authority}, which was not there when the run began"))?,
            target,
            head: stream.rendition.and_then(|rendition| rendition.head_bytes),
            seconds: stream.duration_ms.map(|ms| ms as f64 / 1e3),
            next: None,
        })
    }

    /// Learns the servers to which a gateway's answers lead. Blocks on names.
    ///
    /// # Errors
    /// The answer holds no URL, or the name no address.
    pub fn learn_origins(&mut self, json: &[u8]) -> Result<(), String> {
        let stream: Stream =
            serde_json::from_slice(json).map_err(|error| format!("no stream in the answer: {error}"))?;
        for url in &stream.urls {
            let origin = split_url(url)?.0;
            if !self
                .origins
                .iter()
                .any(|known| authority_text(known) == authority_text(&origin) && known.tls == origin.tls)
            {
                self.origins.push(origin);
            }
        }
        Ok(())
    }

    /// Where a track is, without asking anybody.
    pub fn place(&self, entry: usize, next: usize) -> Place {
        let (this, following) = (&self.entries[entry], &self.entries[next]);
        let target = match &self.kind {
            Kind::Signed(keyring) => sign_for(this, following, keyring, now()),
            _ => this.target.clone(),
        };
        Place {
            origin: self.origins[this.origin].clone(),
            target,
            head: this.head,
            seconds: this.seconds,
            next: Some((following.target.clone(), following.head.unwrap_or(0))),
        }
    }
}

impl Entry {
    fn of(listed: &Listed) -> Self {
        Self {
            target: String::new(),
            origin: 0,
            seconds: listed.seconds,
            head: listed.head,
            sha256: listed.sha256.clone(),
        }
    }
}

fn sign_for(this: &Entry, next: &Entry, keyring: &Keyring, now: UnixSeconds) -> String {
    let parse = |path: &str| ObjectPath::parse(path).expect("paths were parsed when the list was read");
    let twice = this.seconds.map_or(0, |seconds| (seconds * 2.0) as u64);
    let claims = Claims {
        head: this.head.map(HeadBytes::clamped),
        duration_ms: this.seconds.map(|seconds| (seconds * 1e3) as u32),
        next: Some(NextObject { path: parse(&next.target), head: next.head.map(HeadBytes::clamped) }),
        ..Claims::until(now.plus(LIFETIME_SECONDS_MIN.max(twice)))
    };
    sign(&parse(&this.target), &claims, keyring)
}

fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn authority_text(origin: &Origin) -> String {
    if origin.port == default_port(origin.tls) {
        origin.name.clone()
    } else {
        format!("{}:{}", origin.name, origin.port)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Host with port if it is not the usual one, and path with query.
fn authority_of(url: &str) -> Result<(String, String), String> {
    let (tls, name, port, target) = parts_of(url)?;
    let authority = if port == default_port(tls) { name } else { format!("{name}:{port}") };
    Ok((authority, target))
}

fn parts_of(url: &str) -> Result<(bool, String, u16, String), String> {
    let told = || format!("{url:?} is no URL: write https://HOST[:PORT]/PATH, or http:// without TLS");
    let uri: Uri = url.parse().map_err(|_| told())?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(told()),
    };
    let name = uri.host().filter(|host| !host.is_empty()).ok_or_else(told)?.to_owned();
    let port = uri.port_u16().unwrap_or(default_port(tls));
    let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    Ok((tls, name, port, target))
}

/// The server of a URL, its address looked up, and path with query.
///
/// # Errors
/// It is no URL, or its name has no address.
pub fn split_url(url: &str) -> Result<(Origin, String), String> {
    let (tls, name, port, target) = parts_of(url)?;
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<SocketAddr> =
        (bare, port).to_socket_addrs().map_err(|error| format!("{name} has no address: {error}"))?.collect();
    // IPv4 first: a development server on localhost seldom listens on both.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let address = *addresses.first().ok_or_else(|| format!("{name} has no address"))?;
    Ok((Origin { tls, name, port, address }, target))
}

#[cfg(test)]
mod tests {
    use needledrop_core::{KeyId, Secret, verify};

    use super::*;
    use crate::settings::Credential;

    #[test]
    fn a_path_is_signed_with_head_duration_and_what_comes_next() {
        let keyring = Keyring::new(KeyId::parse("k1").unwrap(), Secret::from_bytes([7; 32]));
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.toml");
        std::fs::write(&keys, keyring.to_file()).unwrap();
        let paths = ["/a/1.ogg seconds=4000 head=500", "/a/2.ogg head=700"].map(|line| line.parse().unwrap()).to_vec();
        let source = Source::Signed { base: "https://127.0.0.1:4443".into(), keys, paths };
        let catalog = Catalog::open(&source).unwrap();
        let place = catalog.place(0, 1);
        let signed = verify(&place.target, &keyring, now()).unwrap();
        assert_eq!(signed.claims().head.unwrap().get(), 500);
        assert_eq!(signed.claims().next.as_ref().unwrap().path.as_str(), "/a/2.ogg");
        assert!(signed.seconds_left(now()) >= 7_990, "twice the track is longer than an hour");
        assert_eq!(place.path(), "/a/1.ogg");
        assert_eq!((place.origin.tls, place.origin.port), (true, 4443));
    }

    #[test]
    fn servers_of_a_list_are_looked_up_once_each() {
        let list: Vec<Listed> = ["http://127.0.0.1/a", "http://127.0.0.1:80/b?c", "http://127.0.0.1:81/"]
            .map(|url| url.parse().unwrap())
            .to_vec();
        let catalog = Catalog::open(&Source::Urls(list)).unwrap();
        assert_eq!(catalog.origins.len(), 2);
        assert_eq!(catalog.place(1, 0).target, "/b?c");
    }

    #[test]
    fn what_cannot_be_listened_to_is_said_with_its_fix() {
        assert!(Catalog::open(&Source::Urls(Vec::new())).err().unwrap().contains("empty"));
        let bad = Catalog::open(&Source::Urls(vec!["ftp://x/".parse().unwrap()]));
        assert!(bad.err().unwrap().contains("https://HOST"));
    }

    #[test]
    fn a_gateway_tells_tracks_and_where_a_tap_leads() {
        let base = "http://127.0.0.1:4880".into();
        let source = Source::Gateway { base, kbps: Some(96), codec: None, credential: Credential::Demo };
        let mut catalog = Catalog::open(&source).unwrap();
        assert!(catalog.add_tracks(b"{\"items\":[]}").unwrap_err().contains("no tracks"));
        assert!(catalog.add_tracks(br#"{"items":[{"id":"x","duration_ms":1500}],"total":2}"#).unwrap());
        assert!(!catalog.add_tracks(br#"{"items":[{"id":"y"}],"total":2}"#).unwrap());
        assert!(!catalog.add_tracks(br#"{"items":[],"total":3}"#).unwrap(), "a page without tracks is the last");
        assert_eq!(catalog.credential(), None);
        catalog.sign_in("t");
        assert_eq!(catalog.credential(), Some(("authorization", "Bearer t")));
        assert_eq!(catalog.question(0, 1), "/v1/tracks/x/stream?next=y&kbps=96");
        let answer =
            br#"{"urls":["http://127.0.0.1:4880/t/96.ogg?sig=1"],"rendition":{"head_bytes":9},"duration_ms":1500}"#;
        let place = catalog.answer(answer).unwrap();
        assert_eq!((place.path(), place.head, place.seconds), ("/t/96.ogg", Some(9), Some(1.5)));
        let elsewhere = br#"{"urls":["http://127.0.0.2/t"]}"#;
        assert!(catalog.answer(elsewhere).is_err());
        catalog.learn_origins(elsewhere).unwrap();
        assert_eq!(catalog.answer(elsewhere).unwrap().origin.port, 80);
    }
}
