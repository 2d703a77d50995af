//! Things for catalogs, numbered, and what their lists should be.

use needledrop_catalog::Catalog;
use needledrop_catalog::change::Change;
use needledrop_catalog::intake::Recorded;
use needledrop_catalog::model::*;
use needledrop_catalog::store::{At, TrackList};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, Rendition, Rev, ShowId, TrackId};

/// How many artists [`fill`] makes.
pub const ARTISTS: usize = 11;

pub fn digest(n: u32) -> [u8; 32] {
    // Scattered, so that the order of ids is not that of numbers.
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    digest[4..8].copy_from_slice(&n.to_be_bytes());
    digest
}

pub fn artist_id(n: u32) -> ArtistId {
    ArtistId::from_digest(&digest(n))
}

pub fn release_id(n: u32) -> ReleaseId {
    ReleaseId::from_digest(&digest(n))
}

pub fn track_id(n: u32) -> TrackId {
    TrackId::from_digest(&digest(n))
}

fn named(n: u32) -> ArtistName {
    ArtistName { id: artist_id(n), name: format!("Artist {n}") }
}

pub fn artist(n: u32) -> Change {
    Change::Artist(Artist {
        id: artist_id(n),
        name: format!("Artist {n}"),
        sort_name: format!("Artist {n}"),
        aliases: vec![format!("Alias {n}")],
        genres: vec!["Rock".into()],
        art: None,
        plays: 0,
    })
}

pub fn a_release(n: u32, artist: u32) -> Release {
    let kinds = [ReleaseKind::Album, ReleaseKind::Single, ReleaseKind::Ep, ReleaseKind::Compilation];
    Release {
        id: release_id(n),
        title: format!("Release {n}"),
        kind: kinds[n as usize % 4],
        artists: vec![named(artist)],
        date: Some(ReleaseDate { year: 1950 + (n * 7 % 60) as u16, month: None, day: None }),
        upc: Some("0123456789012".into()),
        label: Some("Label".into()),
        genres: vec!["Rock".into(), "rock".into(), "Pop".into()],
        art: Some("art".into()),
        tracks: 0,
        duration_ms: 0,
        added: n.into(),
        plays: 0,
    }
}

pub fn release(n: u32, artist: u32) -> Change {
    Change::Release(a_release(n, artist))
}

pub fn a_track(n: u32, release: u32, artist: u32) -> Track {
    Track {
        id: track_id(n),
        rev: Rev::from_digest(&digest(n)),
        title: format!("Track {n}"),
        artists: vec![named(artist)],
        release: ReleaseName { id: release_id(release), title: String::new(), art: None, date: None },
        disc_no: 1 + n % 2,
        track_no: n,
        isrc: Some(format!("DEABC26{:05}", n % 100_000)),
        duration_ms: u64::from(n) * 1_000,
        loudness_lufs: Some(-14.25),
        true_peak_dbtp: None,
        genre: (!n.is_multiple_of(5)).then(|| ["Rock", "Pop", "Jazz"][n as usize % 3].into()),
        added: (n / 3).into(),
        plays: (n % 17).into(),
        renditions: Rendition::ALL
            .map(|rendition| TrackRendition { rendition, bytes: 1 << 20, head_bytes: 1 << 16, average_bps: 160_000 })
            .into(),
    }
}

pub fn track(n: u32, release: u32, artist: u32) -> Change {
    Change::Track(Box::new(a_track(n, release, artist)))
}

pub fn a_show(n: u32) -> Change {
    Change::Show(Show {
        id: ShowId::from_digest(&digest(n)),
        title: format!("Show {n}"),
        publisher: "We".into(),
        description: "About".into(),
        feed: Some("https://example.org/feed".into()),
        link: Some("https://example.org/".into()),
        image: Some("https://example.org/cover.jpg".into()),
        is_explicit: true,
        language: Some("de".into()),
        art: None,
        episodes: 0,
    })
}

pub fn an_episode(n: u32, show: ShowId) -> Change {
    Change::Episode(Episode {
        id: EpisodeId::from_digest(&digest(n)),
        show,
        title: format!("Episode {n}"),
        description: String::new(),
        published: n.into(),
        duration_ms: Some(60_000),
        enclosure: Some("https://example.org/1.mp3".into()),
        media_type: Some("audio/mpeg".into()),
        bytes: Some(u64::from(n) * 1_000),
        link: Some("https://example.org/1".into()),
        image: Some("https://example.org/1.jpg".into()),
        is_explicit: n.is_multiple_of(2),
        season: Some(2),
        number: Some(n),
        guid: format!("guid-{n}"),
    })
}

pub fn recorded(n: u32) -> Recorded {
    Recorded {
        id: track_id(n),
        rev: Rev::from_digest(&digest(n)),
        title: format!("Song {n}"),
        artist: Some(format!("Band {}", n % 4)),
        album: (!n.is_multiple_of(10)).then(|| format!("Album {}", n % 8)),
        album_artist: None,
        track_no: Some(n),
        disc_no: None,
        year: Some(2000),
        genre: Some("Rock".into()),
        isrc: None,
        duration_ms: 1_000,
        loudness_lufs: None,
        true_peak_dbtp: None,
        art: None,
        renditions: Vec::new(),
        published: 9,
    }
}

/// What [`fill`] made.
pub struct Many(Vec<(Track, u16)>);

/// Makes tracks on a release for every ten of them, by eleven artists.
pub async fn fill(catalog: &Catalog, tracks: u32) -> Many {
    let releases = tracks.div_ceil(10).max(8);
    catalog.apply((0..releases).map(|n| release(n, n % ARTISTS as u32)).collect()).await.unwrap();
    let all: Vec<Track> = (0..tracks).map(|n| a_track(n, n / 10, n / 10 % ARTISTS as u32)).collect();
    for batch in all.chunks(1_700) {
        let changes = batch.iter().map(|track| Change::Track(Box::new(track.clone()))).collect();
        catalog.apply(changes).await.unwrap();
    }
    let year = |n: usize| a_release(n as u32 / 10, 0).date.unwrap().year;
    Many(all.into_iter().enumerate().map(|(n, track)| (track, year(n))).collect())
}

impl Many {
    /// Lists and the ids that they should give, worked out the slow way.
    pub fn track_lists(&self) -> Vec<(&'static str, TrackList, Vec<String>)> {
        let rock = |track: &Track| track.genre.as_deref() == Some("Rock");
        let of = |track: &Track| track.artists[0].id == artist_id(3);
        vec![
            ("name", TrackList::ByName, self.sorted(|_, _| true, |t, _| t.title.to_lowercase())),
            ("newest", TrackList::Newest, self.sorted(|_, _| true, |t, _| std::cmp::Reverse(t.added))),
            ("plays", TrackList::MostPlayed, self.sorted(|_, _| true, |t, _| std::cmp::Reverse(t.plays))),
            ("year", TrackList::ByYear, self.sorted(|_, _| true, |t, year| (year, t.title.to_lowercase()))),
            (
                "years",
                TrackList::Years(1960, 1969),
                self.sorted(|_, year| (1960..1970).contains(&year), |t, year| (year, t.title.to_lowercase())),
            ),
            (
                "genres",
                TrackList::ByGenre,
                self.sorted(
                    |t, _| t.genre.is_some(),
                    |t, _| (t.genre.as_ref().unwrap().to_lowercase(), t.title.to_lowercase()),
                ),
            ),
            ("rock", TrackList::Genre("ROCK".into()), self.sorted(|t, _| rock(t), |t, _| t.title.to_lowercase())),
            ("artist", TrackList::OfArtist(artist_id(3)), self.sorted(|t, _| of(t), |t, _| std::cmp::Reverse(t.plays))),
            (
                "release",
                TrackList::OnRelease(release_id(2)),
                self.sorted(|t, _| t.release.id == release_id(2), |t, _| (t.disc_no, t.track_no)),
            ),
        ]
    }

    /// A shuffle's order is anything; only what is in it counts.
    pub fn track_lists_and_shuffle(&self) -> Vec<(&'static str, TrackList, Vec<String>)> {
        let mut lists = self.track_lists();
        lists.push(("shuffle", TrackList::Shuffled(9), self.sorted(|_, _| true, |_, _| 0)));
        lists
    }

    fn sorted<K: Ord>(&self, keep: impl Fn(&Track, u16) -> bool, key: impl Fn(&Track, u16) -> K) -> Vec<String> {
        let mut kept: Vec<_> = self.0.iter().filter(|(track, year)| keep(track, *year)).collect();
        kept.sort_by_key(|(track, year)| (key(track, *year), track.id));
        kept.into_iter().map(|(track, _)| track.id.to_string()).collect()
    }
}

/// Walks a list by its cursors.
pub async fn all_tracks(catalog: &Catalog, list: &TrackList, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut at = At::Offset(0);
    loop {
        let page = catalog.list_tracks(list, &at, limit).await.unwrap();
        ids.extend(page.items.iter().map(|track| track.id.to_string()));
        match page.next {
            Some(next) => at = At::After(next.to_string().parse().unwrap()),
            None => return ids,
        }
    }
}
