//! The invented catalog: the same in every run.

use needledrop_catalog::model::{ArtistName, Release, ReleaseDate, ReleaseKind, ReleaseName, Track, TrackRendition};
use needledrop_core::{ArtistId, ReleaseId, Rendition, Rev, TrackId};

/// Tracks on a release, and releases of an artist.
pub(super) const TRACKS_ON: u32 = 10;
pub(super) const RELEASES_OF: u32 = 5;

/// Numbers that look like chance, the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

/// Scattered like real digests.
fn digest(n: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    for (at, chunk) in (0_u64..).zip(digest.chunks_mut(8)) {
        let mut dice = Dice(u64::from(n) << 2 | at);
        let (high, low) = (dice.roll(), dice.roll());
        chunk.copy_from_slice(&(u64::from(high) << 33 ^ u64::from(low)).to_be_bytes());
    }
    digest
}

pub(super) fn artist_id(n: u32) -> ArtistId {
    ArtistId::from_digest(&digest(n))
}

pub(super) fn release_id(n: u32) -> ReleaseId {
    ReleaseId::from_digest(&digest(n))
}

pub(super) fn track_id(n: u32) -> TrackId {
    TrackId::from_digest(&digest(n))
}

/// Words that many titles begin with, and some that few do.
pub(super) fn title(n: u32) -> String {
    const WORDS: [&str; 16] = [
        "The", "Love", "Night", "You", "Blue", "Summer", "Dance", "Home", "Heart", "River", "Zebra", "Élan", "Moon",
        "Fire", "Rain", "Ghost",
    ];
    let mut dice = Dice(n.into());
    let mut word = || WORDS[dice.roll() as usize % WORDS.len()];
    format!("{} {} {} {n}", word(), word(), word())
}

fn by(n: u32) -> ArtistName {
    ArtistName { id: artist_id(n), name: format!("{} Band", title(n)) }
}

pub(super) fn release(n: u32) -> Release {
    Release {
        id: release_id(n),
        title: title(n),
        kind: if n.is_multiple_of(4) { ReleaseKind::Ep } else { ReleaseKind::Album },
        artists: vec![by(n / RELEASES_OF)],
        date: Some(ReleaseDate { year: 1950 + (n % 75) as u16, month: Some(1 + (n % 12) as u8), day: None }),
        upc: Some(format!("{n:013}")),
        label: Some("Label".into()),
        genres: vec![format!("Genre {}", n % 20)],
        art: Some("0123456789abcdef0123456789abcdef".into()),
        tracks: 0,
        duration_ms: 0,
        added: 1_700_000_000 + u64::from(n),
        plays: 0,
    }
}

pub(super) fn track(n: u32) -> Track {
    let on = n / TRACKS_ON;
    let renditions = Rendition::ALL.map(|rendition| TrackRendition {
        rendition,
        bytes: 4_000_000 + u64::from(n),
        head_bytes: 600_000,
        average_bps: 158_123,
    });
    Track {
        id: track_id(n),
        rev: Rev::from_digest(&digest(n)),
        title: title(n),
        artists: vec![by(on / RELEASES_OF)],
        release: ReleaseName { id: release_id(on), title: String::new(), art: None, date: None },
        disc_no: 1,
        track_no: 1 + n % TRACKS_ON,
        isrc: Some(format!("DEABC{:07}", n)),
        duration_ms: 200_000 + u64::from(n % 60_000),
        loudness_lufs: Some(-9.5),
        true_peak_dbtp: Some(-0.3),
        genre: Some(format!("Genre {}", on % 20)),
        added: 1_700_000_000 + u64::from(n),
        plays: u64::from(Dice(n.into()).roll() % 100_000),
        renditions: renditions.into(),
    }
}
