//! Artists, albums and tracks as JSON, written straight into the answer.
//!
//! These are what most answers are made of, dozens at a time. A tree of values between them and the text would be a
//! thousand small allocations for an album; so they serialise themselves. Where an answer is put together as a tree all
//! the same, [`crate::shapes`] makes it of these.

use std::fmt;

use needledrop_catalog::model::{
    Artist as ArtistRecord, ArtistName, Release, ReleaseDate, ReleaseKind, ReleaseName, Track as TrackRecord,
    TrackRendition,
};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::shapes::Listed;

/// Sizes that artwork is made in, largest first. Unit: pixels of the longest side.
const ART_PX: [u32; 3] = [640, 300, 64];

/// An artist.
#[derive(Serialize)]
pub struct Artist<'a> {
    #[serde(flatten)]
    named: Named<'a>,
    genres: &'a [String],
    images: Images<'a>,
    popularity: u32,
    followers: Followers,
}

impl<'a> Artist<'a> {
    /// For an answer whose places begin with `here`: scheme and host, or nothing.
    pub fn new(artist: &'a ArtistRecord, here: &'a str) -> Self {
        Self {
            named: Named::new("artist", artist.id.as_str(), &artist.name, here),
            genres: &artist.genres,
            images: Images::new(artist.art.as_deref(), here),
            popularity: popularity(artist.plays),
            followers: Followers { href: None, total: 0 },
        }
    }
}

#[derive(Serialize)]
struct Followers {
    href: Option<()>,
    total: u32,
}

/// A release, with its tracks where they belong to it.
#[derive(Serialize)]
pub struct Album<'a> {
    #[serde(flatten)]
    named: Named<'a>,
    album_type: &'static str,
    total_tracks: u32,
    artists: Vec<Named<'a>>,
    images: Images<'a>,
    genres: &'a [String],
    label: &'a str,
    popularity: u32,
    duration_ms: u64,
    external_ids: Ids<'a>,
    copyrights: [(); 0],
    #[serde(flatten)]
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracks: Option<Page<Track<'a>>>,
}

impl<'a> Album<'a> {
    /// Without its tracks.
    pub fn new(release: &'a Release, here: &'a str) -> Self {
        Self {
            named: Named::new("album", release.id.as_str(), &release.title, here),
            album_type: album_type(release.kind),
            total_tracks: release.tracks,
            artists: artists(&release.artists, here),
            images: Images::new(release.art.as_deref(), here),
            genres: &release.genres,
            label: release.label.as_deref().unwrap_or_default(),
            popularity: popularity(release.plays),
            duration_ms: release.duration_ms,
            external_ids: Ids { upc: release.upc.as_deref(), isrc: None },
            copyrights: [],
            date: Date(release.date),
            tracks: None,
        }
    }

    /// With these.
    pub fn with_tracks(self, tracks: Page<Track<'a>>) -> Self {
        Self { tracks: Some(tracks), ..self }
    }
}

/// A track, with the release it stands on.
#[derive(Serialize)]
pub struct Track<'a> {
    #[serde(flatten)]
    named: Named<'a>,
    artists: Vec<Named<'a>>,
    album: AlbumName<'a>,
    disc_number: u32,
    track_number: u32,
    duration_ms: u64,
    explicit: bool,
    is_local: bool,
    is_playable: bool,
    popularity: u32,
    external_ids: Ids<'a>,
    loudness_lufs: Option<f64>,
    true_peak_dbtp: Option<f64>,
    renditions: Renditions<'a>,
}

impl<'a> Track<'a> {
    /// For an answer whose places begin with `here`.
    pub fn new(track: &'a TrackRecord, here: &'a str) -> Self {
        Self {
            named: Named::new("track", track.id.as_str(), &track.title, here),
            artists: artists(&track.artists, here),
            album: AlbumName::new(&track.release, &track.artists, here),
            disc_number: track.disc_no,
            track_number: track.track_no,
            duration_ms: track.duration_ms,
            explicit: false,
            is_local: false,
            is_playable: true,
            popularity: popularity(track.plays),
            external_ids: Ids { isrc: track.isrc.as_deref(), upc: None },
            loudness_lufs: track.loudness_lufs,
            true_peak_dbtp: track.true_peak_dbtp,
            renditions: Renditions(&track.renditions),
        }
    }
}

#[derive(Serialize)]
struct AlbumName<'a> {
    #[serde(flatten)]
    named: Named<'a>,
    // What the release's own record says better; here so that clients with strict types can read a track.
    album_type: &'static str,
    artists: Vec<Named<'a>>,
    images: Images<'a>,
    #[serde(flatten)]
    date: Date,
}

impl<'a> AlbumName<'a> {
    fn new(release: &'a ReleaseName, by: &'a [ArtistName], here: &'a str) -> Self {
        Self {
            named: Named::new("album", release.id.as_str(), &release.title, here),
            album_type: "album",
            artists: artists(by, here),
            images: Images::new(release.art.as_deref(), here),
            date: Date(release.date),
        }
    }
}

/// A page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    href: String,
    items: Vec<T>,
    limit: u64,
    offset: u64,
    total: u64,
    next: Option<String>,
    previous: Option<String>,
}

impl<T> Page<T> {
    /// These items of the list.
    pub fn new(listed: &Listed<'_>, items: Vec<T>, here: &str) -> Self {
        let Listed { limit, offset, total, .. } = *listed;
        let at = |offset| format!("{here}{}", listed.at(offset));
        Self {
            href: at(offset),
            items,
            limit,
            offset,
            total,
            next: (offset.saturating_add(limit) < total).then(|| at(offset + limit)),
            previous: (offset > 0).then(|| at(offset.saturating_sub(limit))),
        }
    }

    /// Where the page after this one is.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// What everything has that has an id.
#[derive(Serialize)]
pub struct Named<'a> {
    id: &'a str,
    name: &'a str,
    r#type: &'static str,
    uri: Uri<'a>,
    href: Href<'a>,
    external_urls: Empty,
}

impl<'a> Named<'a> {
    /// A thing of this kind.
    pub fn new(kind: &'static str, id: &'a str, name: &'a str, here: &'a str) -> Self {
        let (uri, href) = (Uri { kind, id }, Href { here, kind, id });
        Self { id, name, r#type: kind, uri, href, external_urls: Empty {} }
    }
}

fn artists<'a>(artists: &'a [ArtistName], here: &'a str) -> Vec<Named<'a>> {
    artists.iter().map(|artist| Named::new("artist", artist.id.as_str(), &artist.name, here)).collect()
}

#[derive(Serialize)]
struct Empty {}

/// Makes a type that is displayed be serialised as that text.
macro_rules! as_text {
    ($($text:ident)*) => {$(
        impl Serialize for $text<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

struct Uri<'a> {
    kind: &'static str,
    id: &'a str,
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "needledrop:{}:{}", self.kind, self.id)
    }
}

struct Href<'a> {
    here: &'a str,
    kind: &'static str,
    id: &'a str,
}

impl fmt::Display for Href<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1/{}s/{}", self.here, self.kind, self.id)
    }
}

struct ArtUrl<'a> {
    here: &'a str,
    art: &'a str,
    px: u32,
}

impl fmt::Display for ArtUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/art/{}/{}.jpg", self.here, self.art, self.px)
    }
}

as_text!(Uri Href ArtUrl);

#[derive(Serialize)]
struct Ids<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    isrc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upc: Option<&'a str>,
}

/// Artwork in its sizes; an empty list where there is none.
pub struct Images<'a> {
    art: Option<&'a str>,
    here: &'a str,
}

impl<'a> Images<'a> {
    /// Of this digest.
    pub fn new(art: Option<&'a str>, here: &'a str) -> Self {
        Self { art, here }
    }
}

impl Serialize for Images<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Image<'a> {
            url: ArtUrl<'a>,
            width: u32,
            height: u32,
        }
        let Self { art, here } = *self;
        let image = |(art, px)| Image { url: ArtUrl { here, art, px }, width: px, height: px };
        serializer.collect_seq(art.into_iter().flat_map(|art| ART_PX.map(|px| (art, px))).map(image))
    }
}

struct Renditions<'a>(&'a [TrackRendition]);

impl Serialize for Renditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Made {
            codec: &'static str,
            kbps: u32,
            bytes: u64,
            average_bps: u64,
        }
        let mut made = serializer.serialize_seq(Some(self.0.len()))?;
        for TrackRendition { rendition, bytes, average_bps, .. } in self.0 {
            let (codec, kbps) = (rendition.codec.extension(), rendition.kbps.value());
            made.serialize_element(&Made { codec, kbps, bytes: *bytes, average_bps: *average_bps })?;
        }
        made.end()
    }
}

/// When something came out, as far as anybody knows.
struct Date(Option<ReleaseDate>);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members {
            release_date: String,
            release_date_precision: &'static str,
        }
        let (release_date, release_date_precision) = match self.0 {
            None => ("0000".to_owned(), "year"),
            Some(ReleaseDate { year, month: Some(month), day: Some(day) }) => {
                (format!("{year:04}-{month:02}-{day:02}"), "day")
            }
            Some(ReleaseDate { year, month: Some(month), day: None }) => (format!("{year:04}-{month:02}"), "month"),
            Some(ReleaseDate { year, .. }) => (format!("{year:04}"), "year"),
        };
        Members { release_date, release_date_precision }.serialize(serializer)
    }
}

fn album_type(kind: ReleaseKind) -> &'static str {
    match kind {
        ReleaseKind::Album => "album",
        ReleaseKind::Single | ReleaseKind::Ep => "single",
        ReleaseKind::Compilation => "compilation",
    }
}

/// Plays on a scale of 0 to 100 on which a tenfold is 12.5: a hundred million plays are the top.
fn popularity(plays: u64) -> u32 {
    let tens = (plays.saturating_add(1) as f64).log10();
    (tens * 12.5).min(100.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_grows_with_the_order_of_magnitude() {
        assert_eq!([0, 9, 999, 99_999_999, u64::MAX].map(popularity), [0, 12, 37, 100, 100]);
    }
}
