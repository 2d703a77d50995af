//! What the catalog holds as JSON, in the shape that the Spotify Web API gives it, with our own members beside it.

use needledrop_catalog::model::{
    Artist, ArtistName, Episode, Release, ReleaseDate, ReleaseKind, ReleaseName, Show, Track,
};
use needledrop_core::UnixSeconds;
use needledrop_podcast::Position;
use serde_json::{Value, json};

/// Sizes that artwork is made in, largest first. Unit: pixels of the longest side.
const ART_PX: [u32; 3] = [640, 300, 64];

/// A page of a list: `href` is the path of the call with its own parameters but offset and limit.
pub struct Listed<'a> {
    /// Path and query of this list without offset and limit.
    pub href: &'a str,
    /// How many items were asked for.
    pub limit: u64,
    /// How many items come before the first.
    pub offset: u64,
    /// How many the whole list has.
    pub total: u64,
}

impl Listed<'_> {
    /// The page.
    pub fn page(&self, items: Vec<Value>) -> Value {
        let Self { limit, offset, total, .. } = *self;
        let next = (offset.saturating_add(limit) < total).then(|| self.at(offset + limit));
        let previous = (offset > 0).then(|| self.at(offset.saturating_sub(limit)));
        json!({
            "href": self.at(offset), "items": items, "limit": limit, "offset": offset, "total": total,
            "next": next, "previous": previous,
        })
    }

    fn at(&self, offset: u64) -> String {
        let joint = if self.href.contains('?') { '&' } else { '?' };
        format!("{}{joint}offset={offset}&limit={}", self.href, self.limit)
    }
}

/// Puts scheme and host before the paths of an answer: clients take `next` as an address, and show pictures by theirs.
pub fn make_absolute(said: &mut Value, here: &str) {
    match said {
        Value::Array(items) => items.iter_mut().for_each(|item| make_absolute(item, here)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(path) if path.starts_with('/') && is_place(name) => path.insert_str(0, here),
                    Value::Array(_) | Value::Object(_) => make_absolute(value, here),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn is_place(name: &str) -> bool {
    matches!(name, "href" | "next" | "previous" | "url")
}

/// An artist.
pub fn artist(artist: &Artist) -> Value {
    let mut shape = named("artist", artist.id.as_str(), &artist.name);
    shape["genres"] = json!(artist.genres);
    shape["images"] = images(artist.art.as_deref());
    shape["popularity"] = json!(popularity(artist.plays));
    shape["followers"] = json!({ "href": null, "total": 0 });
    shape
}

fn artist_name(artist: &ArtistName) -> Value {
    named("artist", artist.id.as_str(), &artist.name)
}

/// A release without its tracks.
pub fn album(release: &Release) -> Value {
    let mut shape = named("album", release.id.as_str(), &release.title);
    shape["album_type"] = json!(album_type(release.kind));
    shape["total_tracks"] = json!(release.tracks);
    shape["artists"] = release.artists.iter().map(artist_name).collect();
    shape["images"] = images(release.art.as_deref());
    shape["genres"] = json!(release.genres);
    shape["label"] = json!(release.label.as_deref().unwrap_or_default());
    shape["popularity"] = json!(popularity(release.plays));
    shape["duration_ms"] = json!(release.duration_ms);
    shape["external_ids"] = release.upc.as_ref().map_or_else(|| json!({}), |upc| json!({ "upc": upc }));
    shape["copyrights"] = json!([]);
    put_date(&mut shape, release.date);
    shape
}

/// A track, with the release it stands on.
pub fn track(track: &Track) -> Value {
    let mut shape = named("track", track.id.as_str(), &track.title);
    shape["artists"] = track.artists.iter().map(artist_name).collect();
    shape["album"] = album_name(&track.release, &track.artists);
    shape["disc_number"] = json!(track.disc_no);
    shape["track_number"] = json!(track.track_no);
    shape["duration_ms"] = json!(track.duration_ms);
    shape["explicit"] = json!(false);
    shape["is_local"] = json!(false);
    shape["is_playable"] = json!(true);
    shape["popularity"] = json!(popularity(track.plays));
    shape["external_ids"] = track.isrc.as_ref().map_or_else(|| json!({}), |isrc| json!({ "isrc": isrc }));
    shape["loudness_lufs"] = json!(track.loudness_lufs);
    shape["true_peak_dbtp"] = json!(track.true_peak_dbtp);
    shape["renditions"] = track
        .renditions
        .iter()
        .map(|made| {
            json!({
                "codec": made.rendition.codec.extension(), "kbps": made.rendition.kbps.value(),
                "bytes": made.bytes, "average_bps": made.average_bps,
            })
        })
        .collect();
    shape
}

/// A show without its episodes.
pub fn show(show: &Show) -> Value {
    let mut shape = named("show", show.id.as_str(), &show.title);
    shape["publisher"] = json!(show.publisher);
    shape["description"] = json!(show.description);
    shape["html_description"] = json!(escaped(&show.description));
    shape["explicit"] = json!(show.is_explicit);
    shape["images"] = pictures(show.art.as_deref(), show.image.as_deref());
    shape["languages"] = json!(show.language.iter().collect::<Vec<_>>());
    shape["media_type"] = json!("audio");
    shape["total_episodes"] = json!(show.episodes);
    shape["is_externally_hosted"] = json!(show.feed.is_some());
    shape["copyrights"] = json!([]);
    shape["available_markets"] = json!([]);
    shape["external_urls"] = elsewhere(show.link.as_deref());
    shape["feed"] = json!(show.feed);
    shape
}

/// An episode, and how far the caller has heard it.
pub fn episode(episode: &Episode, position: Option<Position>) -> Value {
    let mut shape = named("episode", episode.id.as_str(), &episode.title);
    let day = crate::subsonic::response::date_time(UnixSeconds(episode.published));
    shape["description"] = json!(episode.description);
    shape["html_description"] = json!(escaped(&episode.description));
    shape["duration_ms"] = json!(episode.duration_ms.unwrap_or(0));
    shape["explicit"] = json!(episode.is_explicit);
    shape["images"] = pictures(None, episode.image.as_deref());
    shape["is_externally_hosted"] = json!(episode.enclosure.is_some());
    shape["is_playable"] = json!(episode.enclosure.is_some());
    shape["language"] = json!("");
    shape["languages"] = json!([]);
    shape["release_date"] = json!(&day[..10]);
    shape["release_date_precision"] = json!("day");
    shape["audio_preview_url"] = Value::Null;
    shape["external_urls"] = elsewhere(episode.link.as_deref());
    shape["published"] = json!(episode.published);
    shape["media_type"] = json!(episode.media_type);
    shape["bytes"] = json!(episode.bytes);
    shape["season"] = json!(episode.season);
    shape["number"] = json!(episode.number);
    shape["guid"] = json!(episode.guid);
    shape["show_id"] = json!(episode.show.as_str());
    if let Some(Position { ms, is_played }) = position {
        shape["resume_point"] = json!({ "fully_played": is_played, "resume_position_ms": ms });
    }
    shape
}

/// Our own picture in its sizes, else the publisher's, of a size that nobody knows.
fn pictures(art: Option<&str>, image: Option<&str>) -> Value {
    match (art, image) {
        (None, Some(image)) => json!([{ "url": image, "width": null, "height": null }]),
        (art, _) => images(art),
    }
}

fn elsewhere(link: Option<&str>) -> Value {
    link.map_or_else(|| json!({}), |link| json!({ "publisher": link }))
}

/// Plain text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

fn album_name(release: &ReleaseName, artists: &[ArtistName]) -> Value {
    let mut shape = named("album", release.id.as_str(), &release.title);
    // What the release's own record says better; here so that clients with strict types can read a track.
    shape["album_type"] = json!("album");
    shape["artists"] = artists.iter().map(artist_name).collect();
    shape["images"] = images(release.art.as_deref());
    put_date(&mut shape, release.date);
    shape
}

fn named(kind: &str, id: &str, name: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "type": kind,
        "uri": format!("needledrop:{kind}:{id}"),
        "href": format!("/v1/{kind}s/{id}"),
        "external_urls": {},
    })
}

fn album_type(kind: ReleaseKind) -> &'static str {
    match kind {
        ReleaseKind::Album => "album",
        ReleaseKind::Single | ReleaseKind::Ep => "single",
        ReleaseKind::Compilation => "compilation",
    }
}

fn put_date(shape: &mut Value, date: Option<ReleaseDate>) {
    let (text, precision) = match date {
        None => ("0000".to_owned(), "year"),
        Some(ReleaseDate { year, month: Some(month), day: Some(day) }) => {
            (format!("{year:04}-{month:02}-{day:02}"), "day")
        }
        Some(ReleaseDate { year, month: Some(month), day: None }) => (format!("{year:04}-{month:02}"), "month"),
        Some(ReleaseDate { year, .. }) => (format!("{year:04}"), "year"),
    };
    shape["release_date"] = json!(text);
    shape["release_date_precision"] = json!(precision);
}

fn images(art: Option<&str>) -> Value {
    let Some(art) = art else { return json!([]) };
    ART_PX.map(|px| json!({ "url": format!("/art/{art}/{px}.jpg"), "width": px, "height": px })).into()
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
    fn a_page_names_its_neighbours() {
        let listed = Listed { href: "/v1/albums?order=name", limit: 2, offset: 2, total: 5 };
        let page = listed.page(vec![json!(1), json!(2)]);
        assert_eq!(page["next"], "/v1/albums?order=name&offset=4&limit=2");
        assert_eq!(page["previous"], "/v1/albums?order=name&offset=0&limit=2");
        let last = Listed { offset: 4, ..listed }.page(vec![json!(3)]);
        assert_eq!(last["next"], Value::Null);
    }

    #[test]
    fn places_become_addresses_and_names_stay() {
        let mut said =
            json!({ "next": "/v1/x", "name": "/v1/x", "items": [{ "images": [{ "url": "/art/1" }], "href": null }] });
        make_absolute(&mut said, "http://a:1");
        let items = json!([{ "images": [{ "url": "http://a:1/art/1" }], "href": null }]);
        assert_eq!(said, json!({ "next": "http://a:1/v1/x", "name": "/v1/x", "items": items }));
    }

    #[test]
    fn popularity_grows_with_the_order_of_magnitude() {
        assert_eq!([0, 9, 999, 99_999_999, u64::MAX].map(popularity), [0, 12, 37, 100, 100]);
    }
}
