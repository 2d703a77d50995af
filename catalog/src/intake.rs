//! What ingest has published, as changes to the catalog: pure.
//!
//! Tags name artists and albums by text alone. The same text, apart from case and spaces, is the same artist, and their
//! album of the same title the same release; identities are digests of that text, so that every run and every machine
//! finds the same. A track without an album gets a release of its own, called as the track is.

use crate::change::{Change, NAMES_MAX, RENDITIONS_MAX};
use crate::model::{
    Artist, ArtistName, NAME_BYTES_MAX, Release, ReleaseDate, ReleaseKind, ReleaseName, Track, TrackRendition,
};
use needledrop_core::{ArtistId, ReleaseId, Rev, TrackId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Tracks of the longest single and of the longest EP; what has more is an album.
const SINGLE_TRACKS_MAX: usize = 3;
const EP_TRACKS_MAX: usize = 6;
/// Most genres that a release or an artist keeps: the most frequent.
const GENRES_KEPT: usize = 8;

/// A published track, as ingest records it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Stays when the file moves or is retagged.
    pub id: TrackId,
    /// Changes when the objects' bytes change.
    pub rev: Rev,
    /// Title, or the file's name.
    pub title: String,
    /// Performing artists, as tagged.
    pub artist: Option<String>,
    /// Album title.
    pub album: Option<String>,
    /// Artist of the whole album.
    pub album_artist: Option<String>,
    /// Place on the disc, from 1.
    pub track_no: Option<u32>,
    /// Disc, from 1.
    pub disc_no: Option<u32>,
    /// Year of release.
    pub year: Option<u32>,
    /// As the tag spells it.
    pub genre: Option<String>,
    /// As tagged.
    pub isrc: Option<String>,
    /// Length.
    pub duration_ms: u64,
    /// EBU R128 integrated loudness.
    pub loudness_lufs: Option<f64>,
    /// True peak in dBTP.
    pub true_peak_dbtp: Option<f64>,
    /// Artwork digest.
    pub art: Option<String>,
    /// The objects.
    pub renditions: Vec<TrackRendition>,
    /// When this rev was published, in Unix seconds.
    pub published: u64,
}

/// The changes that make a catalog of these tracks: artists, then releases, then tracks, each in the order of ids.
pub fn changes(recorded: &[Recorded]) -> Vec<Change> {
    let tracks: BTreeMap<TrackId, Facts> = recorded.iter().map(|track| (track.id, Facts::of(track))).collect();
    let mut releases: BTreeMap<ReleaseId, Vec<&Facts>> = BTreeMap::new();
    for facts in tracks.values() {
        releases.entry(facts.release).or_default().push(facts);
    }
    releases.values_mut().for_each(|on| on.sort_by_key(|facts| (facts.disc_no, facts.track_no, facts.id)));
    let releases: BTreeMap<ReleaseId, Release> = releases.into_iter().map(|(id, on)| (id, release(id, &on))).collect();

    let mut changes = artists(tracks.values(), releases.values());
    changes.extend(releases.values().cloned().map(Change::Release));
    changes.extend(tracks.values().map(|facts| Change::Track(Box::new(track(facts, &releases[&facts.release])))));
    changes
}

/// The artists that a tag names. `;`, ` / `, `feat.` and `ft.` part them; `&` and `,` do not, since they are in the
/// names of many.
pub fn split_artists(tag: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in tag.split(';').flat_map(|part| part.split(" / ")) {
        for name in split_featured(part) {
            if let Some(name) = clean(name).filter(|name| names.iter().all(|known| normal(known) != normal(name))) {
                names.push(name);
            }
        }
    }
    names.truncate(NAMES_MAX);
    names
}

/// The identity of whoever has this name.
pub fn artist_id(name: &str) -> ArtistId {
    ArtistId::from_digest(&digest(&["artist", &normal(name)]))
}

/// The identity of an album of this title by this artist.
pub fn release_id(artist: &str, title: &str) -> ReleaseId {
    ReleaseId::from_digest(&digest(&["release", &normal(artist), &normal(title)]))
}

/// A recorded track as we understand it; every text is clean.
struct Facts {
    id: TrackId,
    rev: Rev,
    title: String,
    artists: Vec<String>,
    release: ReleaseId,
    release_title: String,
    release_artists: Vec<String>,
    has_album: bool,
    disc_no: u32,
    track_no: u32,
    year: Option<u16>,
    genre: Option<String>,
    isrc: Option<String>,
    duration_ms: u64,
    loudness_lufs: Option<f64>,
    true_peak_dbtp: Option<f64>,
    art: Option<String>,
    renditions: Vec<TrackRendition>,
    published: u64,
}

impl Facts {
    fn of(from: &Recorded) -> Facts {
        let cleaned = |text: &Option<String>| text.as_deref().and_then(clean);
        let split = |text: &Option<String>| text.as_deref().map(split_artists).unwrap_or_default();
        let title = clean(&from.title).unwrap_or_else(|| from.id.to_string());
        let artists = split(&from.artist);
        let album = cleaned(&from.album);
        let mut release_artists = split(&from.album_artist);
        if release_artists.is_empty() {
            // Whoever is featured on one track does not take it off the album.
            release_artists.extend(artists.first().cloned());
        }
        let main = release_artists.first().map_or("", String::as_str);
        let release = match &album {
            Some(album) => release_id(main, album),
            None => ReleaseId::from_digest(&digest(&["track", from.id.as_str()])),
        };
        let mut renditions = from.renditions.clone();
        renditions.truncate(RENDITIONS_MAX);
        Facts {
            id: from.id,
            rev: from.rev,
            release,
            has_album: album.is_some(),
            release_title: album.unwrap_or_else(|| title.clone()),
            release_artists,
            title,
            artists,
            disc_no: from.disc_no.unwrap_or(1),
            track_no: from.track_no.unwrap_or(0),
            year: from.year.and_then(|year| u16::try_from(year).ok()).filter(|year| *year > 0),
            genre: cleaned(&from.genre),
            isrc: cleaned(&from.isrc),
            duration_ms: from.duration_ms,
            loudness_lufs: from.loudness_lufs.filter(|number| number.is_finite()),
            true_peak_dbtp: from.true_peak_dbtp.filter(|number| number.is_finite()),
            art: cleaned(&from.art),
            renditions,
            published: from.published,
        }
    }
}

fn artists<'a>(tracks: impl Iterator<Item = &'a Facts>, releases: impl Iterator<Item = &'a Release>) -> Vec<Change> {
    #[derive(Default)]
    struct Seen {
        spellings: BTreeMap<String, usize>,
        genres: BTreeMap<String, usize>,
        art: Option<(Option<ReleaseDate>, String)>,
    }
    let mut seen: BTreeMap<ArtistId, Seen> = BTreeMap::new();
    for facts in tracks {
        for name in facts.artists.iter().chain(&facts.release_artists) {
            *seen.entry(artist_id(name)).or_default().spellings.entry(name.clone()).or_default() += 1;
        }
        for name in &facts.artists {
            let genres = &mut seen.entry(artist_id(name)).or_default().genres;
            facts.genre.iter().for_each(|genre| *genres.entry(genre.clone()).or_default() += 1);
        }
    }
    for release in releases {
        for artist in &release.artists {
            let of = seen.entry(artist.id).or_default();
            // The cover of the latest release stands for the artist.
            if let Some(art) = release.art.clone().filter(|_| release.kind != ReleaseKind::Compilation) {
                of.art = of.art.take().max(Some((release.date, art)));
            }
        }
    }
    let artist = |(id, seen): (ArtistId, Seen)| {
        let name = most_frequent(seen.spellings).into_iter().next().expect("an artist has been named");
        let sort_name = sort_name(&name);
        let mut genres = most_frequent(seen.genres);
        genres.truncate(GENRES_KEPT);
        Change::Artist(Artist {
            id,
            name,
            sort_name,
            aliases: Vec::new(),
            genres,
            art: seen.art.map(|(_, art)| art),
            plays: 0,
        })
    };
    seen.into_iter().map(artist).collect()
}

/// `on` is in the order of the release and not empty.
fn release(id: ReleaseId, on: &[&Facts]) -> Release {
    let count = |texts: &mut dyn Iterator<Item = String>| {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        texts.for_each(|text| *counted.entry(text).or_default() += 1);
        most_frequent(counted)
    };
    let titles = count(&mut on.iter().map(|facts| facts.release_title.clone()));
    let mut genres = count(&mut on.iter().filter_map(|facts| facts.genre.clone()));
    genres.truncate(GENRES_KEPT);
    let artists = &on[0].release_artists;
    Release {
        id,
        title: titles.into_iter().next().expect("a release has tracks"),
        kind: kind(on[0].has_album, artists, on.len()),
        artists: artist_names(artists),
        // Of a reissue beside the first one the first counts.
        date: on.iter().filter_map(|facts| facts.year).min().map(|year| ReleaseDate { year, month: None, day: None }),
        upc: None,
        label: None,
        genres,
        art: on.iter().find_map(|facts| facts.art.clone()),
        tracks: 0,
        duration_ms: 0,
        added: on.iter().map(|facts| facts.published).min().unwrap_or(0),
        plays: 0,
    }
}

fn kind(has_album: bool, artists: &[String], tracks: usize) -> ReleaseKind {
    let is_various = artists.iter().any(|name| matches!(&*normal(name), "various artists" | "various" | "va"));
    if has_album && is_various {
        return ReleaseKind::Compilation;
    }
    match tracks {
        tracks if tracks <= SINGLE_TRACKS_MAX => ReleaseKind::Single,
        tracks if tracks <= EP_TRACKS_MAX => ReleaseKind::Ep,
        _ => ReleaseKind::Album,
    }
}

fn track(facts: &Facts, release: &Release) -> Track {
    Track {
        id: facts.id,
        rev: facts.rev,
        title: facts.title.clone(),
        artists: artist_names(&facts.artists),
        release: ReleaseName {
            id: release.id,
            title: release.title.clone(),
            art: release.art.clone(),
            date: release.date,
        },
        disc_no: facts.disc_no,
        track_no: facts.track_no,
        isrc: facts.isrc.clone(),
        duration_ms: facts.duration_ms,
        loudness_lufs: facts.loudness_lufs,
        true_peak_dbtp: facts.true_peak_dbtp,
        genre: facts.genre.clone(),
        added: facts.published,
        plays: 0,
        renditions: facts.renditions.clone(),
    }
}

fn artist_names(names: &[String]) -> Vec<ArtistName> {
    names.iter().map(|name| ArtistName { id: artist_id(name), name: name.clone() }).collect()
}

/// Parts `A feat. B` and `A (ft. B)`, in any case.
fn split_featured(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, bytes)) = featured(rest) {
        parts.push(rest[..at].trim_end_matches([' ', '(', '[']));
        rest = rest[at + bytes..].trim_end_matches([' ', ')', ']']);
    }
    parts.push(rest);
    parts
}

/// Where `feat.` or `ft.` stands as a word, and how long it is.
fn featured(text: &str) -> Option<(usize, usize)> {
    // Lowering ASCII alone keeps all places where they are.
    let lower = text.to_ascii_lowercase();
    let found = ["feat.", "ft."].iter().flat_map(|word| lower.match_indices(word));
    found
        .filter(|(at, _)| *at > 0 && matches!(lower.as_bytes()[at - 1], b' ' | b'(' | b'['))
        .map(|(at, word)| (at, word.len()))
        .min()
}

/// "Beatles, The".
fn sort_name(name: &str) -> String {
    match name.split_once(' ') {
        Some((the, rest)) if the.eq_ignore_ascii_case("the") && name.len() < NAME_BYTES_MAX => format!("{rest}, {the}"),
        _ => name.to_owned(),
    }
}

/// Most frequent first, then in their own order.
fn most_frequent(counted: BTreeMap<String, usize>) -> Vec<String> {
    let mut texts: Vec<(String, usize)> = counted.into_iter().collect();
    texts.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    texts.into_iter().map(|(text, _)| text).collect()
}

/// Without control characters and outer spaces, at most as long as names are; None when nothing is left.
fn clean(text: &str) -> Option<String> {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.truncate(text.floor_char_boundary(NAME_BYTES_MAX));
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Lower case with single spaces: what differs in nothing else is the same.
fn normal(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Parts are separated by NUL, which no clean text holds.
fn digest(parts: &[&str]) -> [u8; 32] {
    Sha256::digest(parts.join("\0")).into()
}

#[cfg(test)]
mod tests;
