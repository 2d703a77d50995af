//! Which element says what, and which of several that say the same is believed.

use url::Url;

use super::text::{line, plain};
use super::xml::{Element, Space};
use super::{Feed, Item, LINE_BYTES_MAX, NOTES_BYTES_MAX, date};

/// Longest URL that is kept, in bytes.
const URL_BYTES_MAX: usize = 8 * 1024;
/// A longer time to live is a mistake. Unit: minutes; four weeks.
const TTL_MINUTES_MAX: u32 = 40_320;

/// A text that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Title,
    Description,
    /// The same with more markup and more words.
    Content,
    Summary,
    Author,
    Owner,
    Language,
    Link,
    Image,
    Explicit,
    Guid,
    Moved,
    Ttl,
    Complete,
    Published,
    Updated,
    Duration,
    Season,
    Number,
}

impl Field {
    /// What an element of the show says in its text.
    pub(super) fn of_show(element: &Element) -> Option<Self> {
        Some(match (element.space, element.name.as_str()) {
            (Space::Plain | Space::Atom, "title") => Self::Title,
            (Space::Plain, "description") => Self::Description,
            (Space::Itunes, "summary") | (Space::Atom, "subtitle") => Self::Summary,
            (Space::Itunes, "author") => Self::Author,
            (Space::Plain, "language") => Self::Language,
            (Space::Plain, "link") => Self::Link,
            (Space::Atom, "logo") => Self::Image,
            (Space::Itunes, "explicit") => Self::Explicit,
            (Space::Podcast, "guid") => Self::Guid,
            (Space::Itunes, "new-feed-url") => Self::Moved,
            (Space::Plain, "ttl") => Self::Ttl,
            (Space::Itunes, "complete") => Self::Complete,
            _ => return None,
        })
    }

    /// What an element of an episode says in its text.
    pub(super) fn of_episode(element: &Element) -> Option<Self> {
        Some(match (element.space, element.name.as_str()) {
            (Space::Plain | Space::Atom, "title") => Self::Title,
            (Space::Plain, "description") | (Space::Atom, "summary") => Self::Description,
            (Space::Content, "encoded") | (Space::Atom, "content") => Self::Content,
            (Space::Itunes, "summary") => Self::Summary,
            (Space::Plain, "guid") | (Space::Atom, "id") => Self::Guid,
            (Space::Plain, "link") => Self::Link,
            (Space::Plain, "pubDate") | (Space::Atom, "published") => Self::Published,
            (Space::Atom, "updated") => Self::Updated,
            (Space::Itunes, "duration") => Self::Duration,
            (Space::Itunes, "explicit") => Self::Explicit,
            (Space::Itunes | Space::Podcast, "season") => Self::Season,
            (Space::Itunes | Space::Podcast, "episode") => Self::Number,
            _ => return None,
        })
    }
}

/// A show as far as it has been read.
#[derive(Default)]
pub(super) struct Show {
    feed: Feed,
    summary: String,
    owner: String,
    /// The picture of iTunes is the larger one.
    square: Option<String>,
}

impl Show {
    /// What an element says in its attributes.
    pub(super) fn attributes(&mut self, element: &Element) {
        match (element.space, element.name.as_str()) {
            (Space::Itunes, "image") => first(&mut self.square, element.attribute("href").and_then(web_url)),
            (Space::Atom, "link") if matches!(element.attribute("rel"), None | Some("alternate")) => {
                first(&mut self.feed.link, element.attribute("href").and_then(web_url));
            }
            (Space::Podcast, "updateFrequency") => {
                self.feed.is_complete |= element.attribute("complete") == Some("true");
            }
            _ => {}
        }
    }

    pub(super) fn put(&mut self, field: Field, text: String) {
        let feed = &mut self.feed;
        match field {
            Field::Title => filled(&mut feed.title, || line(&plain(&text, LINE_BYTES_MAX), LINE_BYTES_MAX)),
            Field::Description => filled(&mut feed.description, || plain(&text, NOTES_BYTES_MAX)),
            Field::Summary => filled(&mut self.summary, || plain(&text, NOTES_BYTES_MAX)),
            Field::Author => filled(&mut feed.publisher, || line(&text, LINE_BYTES_MAX)),
            Field::Owner => filled(&mut self.owner, || line(&text, LINE_BYTES_MAX)),
            Field::Language => first(&mut feed.language, word(&text)),
            Field::Link => first(&mut feed.link, web_url(&text)),
            Field::Image => first(&mut feed.image, web_url(&text)),
            Field::Explicit => feed.is_explicit = is_explicit(&text).unwrap_or(false),
            Field::Guid => first(&mut feed.guid, word(&text)),
            Field::Moved => first(&mut feed.moved, web_url(&text)),
            Field::Ttl => {
                first(&mut feed.ttl_minutes, text.trim().parse().ok().map(|ttl: u32| ttl.min(TTL_MINUTES_MAX)));
            }
            Field::Complete => feed.is_complete |= text.trim().eq_ignore_ascii_case("yes"),
            _ => {}
        }
    }

    pub(super) fn finish(self, items: Vec<Item>) -> Feed {
        let Self { mut feed, summary, owner, square } = self;
        filled(&mut feed.description, || summary);
        filled(&mut feed.publisher, || owner);
        feed.image = square.or(feed.image);
        feed.items = items;
        feed
    }
}

/// An episode as far as it has been read.
#[derive(Default)]
pub(super) struct Episode {
    item: Item,
    content: String,
    summary: String,
    updated: Option<needledrop_core::UnixSeconds>,
}

impl Episode {
    /// What an element says in its attributes.
    pub(super) fn attributes(&mut self, element: &Element) {
        let item = &mut self.item;
        match (element.space, element.name.as_str()) {
            (Space::Plain, "enclosure") => enclose(item, element, "url"),
            (Space::Atom, "link") if element.attribute("rel") == Some("enclosure") => enclose(item, element, "href"),
            (Space::Atom, "link") if matches!(element.attribute("rel"), None | Some("alternate")) => {
                first(&mut item.link, element.attribute("href").and_then(web_url));
            }
            (Space::Itunes, "image") => first(&mut item.image, element.attribute("href").and_then(web_url)),
            _ => {}
        }
    }

    pub(super) fn put(&mut self, field: Field, text: String) {
        let item = &mut self.item;
        match field {
            Field::Title => filled(&mut item.title, || line(&plain(&text, LINE_BYTES_MAX), LINE_BYTES_MAX)),
            Field::Description => filled(&mut item.description, || plain(&text, NOTES_BYTES_MAX)),
            Field::Content => filled(&mut self.content, || plain(&text, NOTES_BYTES_MAX)),
            Field::Summary => filled(&mut self.summary, || plain(&text, NOTES_BYTES_MAX)),
            Field::Guid => filled(&mut item.guid, || line(&text, LINE_BYTES_MAX)),
            Field::Link => first(&mut item.link, web_url(&text)),
            Field::Published => first(&mut item.published, date::moment(&text)),
            Field::Updated => first(&mut self.updated, date::moment(&text)),
            Field::Duration => first(&mut item.duration_ms, date::duration_ms(&text)),
            Field::Explicit => first(&mut item.is_explicit, is_explicit(&text)),
            Field::Season => first(&mut item.season, number(&text)),
            Field::Number => first(&mut item.number, number(&text)),
            _ => {}
        }
    }

    /// The episode; None without audio.
    pub(super) fn finish(self) -> Option<Item> {
        let Self { mut item, content, summary, updated } = self;
        if item.enclosure.is_empty() {
            return None;
        }
        filled(&mut item.description, || content);
        filled(&mut item.description, || summary);
        item.published = item.published.or(updated);
        let enclosure = line(&item.enclosure, LINE_BYTES_MAX);
        filled(&mut item.guid, || enclosure);
        let guid = item.guid.clone();
        filled(&mut item.title, || guid);
        Some(item)
    }
}

/// The first enclosure that a player could play counts.
fn enclose(item: &mut Item, element: &Element, url: &str) {
    let media_type = element.attribute("type").and_then(word).filter(|kind| kind.contains('/'));
    let is_other = media_type.as_deref().is_some_and(|kind| kind.starts_with("image/") || kind.starts_with("text/"));
    let url = element.attribute(url).and_then(web_url).filter(|_| item.enclosure.is_empty() && !is_other);
    if let Some(url) = url {
        item.enclosure = url;
        item.media_type = media_type;
        item.bytes = element.attribute("length").and_then(|n| n.trim().parse().ok()).filter(|bytes| *bytes > 1);
    }
}

/// An absolute http or https URL, in ASCII.
fn web_url(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(String::from(url)).filter(|url| url.len() <= URL_BYTES_MAX)
}

fn word(text: &str) -> Option<String> {
    Some(line(text, 128)).filter(|word| !word.is_empty())
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

fn is_explicit(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "explicit" => Some(true),
        "no" | "false" | "clean" => Some(false),
        _ => None,
    }
}

fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn filled(slot: &mut String, value: impl FnOnce() -> String) {
    if slot.is_empty() {
        *slot = value();
    }
}
