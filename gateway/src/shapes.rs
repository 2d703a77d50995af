//! What the catalog holds as JSON, in the shape that the Spotify Web API gives it, with our own members beside it.

use needledrop_catalog::model::{Artist, Episode, Release, Show, Track};
use needledrop_core::UnixSeconds;
use needledrop_podcast::Position;
use serde_json::{Value, json};

use crate::shown::{self, Page};

/// Places begin with nothing: [`make_absolute`] comes later.
const NOWHERE: &str = "";

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
        json!(Page::new(self, items, NOWHERE))
    }

    /// Path and query of the page that begins there.
    pub(crate) fn at(&self, offset: u64) -> String {
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
    json!(shown::Artist::new(artist, NOWHERE))
}

/// A release without its tracks.
pub fn album(release: &Release) -> Value {
    json!(shown::Album::new(release, NOWHERE))
}

/// A track, with the release it stands on.
pub fn track(track: &Track) -> Value {
    json!(shown::Track::new(track, NOWHERE))
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

fn named(kind: &'static str, id: &str, name: &str) -> Value {
    json!(shown::Named::new(kind, id, name, NOWHERE))
}

fn images(art: Option<&str>) -> Value {
    json!(shown::Images::new(art, NOWHERE))
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
}
