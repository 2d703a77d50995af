//! A feed as values: RSS 2.0 with the words of iTunes and of Podcasting 2.0, or Atom. Pure.
//!
//! [`parse`] is the door. What it gives is clean: plain text of bounded length, absolute http(s) URLs, no item without
//! audio, no two items of one guid. What a feed says twice is believed the first time. `xml` bounds the document,
//! `text` its texts, `date` and `encoding` know the spellings.

mod date;
mod encoding;
mod fields;
mod text;
mod xml;

use std::collections::HashSet;

use needledrop_core::UnixSeconds;

use fields::Field;
use xml::{Element, Space, Step, Steps};

/// Most bytes of a feed, decompressed: the longest that are known have some six MiB.
pub const FEED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most episodes that are kept of a feed, the first ones: a daily show of thirteen years.
pub const EPISODES_MAX: usize = 5_000;
/// Bytes of a title, a name or a guid, as in the catalog.
const LINE_BYTES_MAX: usize = 1_024;
/// Bytes of a description, as in the catalog.
const NOTES_BYTES_MAX: usize = 65_536;
/// Bytes of one element's text that are looked at: markup is longer than what it says.
const TEXT_BYTES_MAX: usize = 4 * NOTES_BYTES_MAX;

/// What a feed says of its show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// Never empty.
    pub title: String,
    /// Who makes it; empty where nobody says.
    pub publisher: String,
    /// Plain text.
    pub description: String,
    /// BCP 47, as written.
    pub language: Option<String>,
    /// The publisher's page.
    pub link: Option<String>,
    /// The publisher's picture.
    pub image: Option<String>,
    /// Not for everybody's ears.
    pub is_explicit: bool,
    /// `podcast:guid`.
    pub guid: Option<String>,
    /// Where the feed has gone, as `itunes:new-feed-url` says.
    pub moved: Option<String>,
    /// How long it may be kept, as `ttl` says.
    pub ttl_minutes: Option<u32>,
    /// Nothing more will come.
    pub is_complete: bool,
    /// In the order of the feed.
    pub items: Vec<Item>,
}

/// What a feed says of an episode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its name for ever; the enclosure's URL where the feed gives none.
    pub guid: String,
    /// Never empty.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// When it came out.
    pub published: Option<UnixSeconds>,
    /// Length.
    pub duration_ms: Option<u64>,
    /// The audio.
    pub enclosure: String,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its bytes; what feeds say who do not know (0, 1) is left out.
    pub bytes: Option<u64>,
    /// The publisher's page.
    pub link: Option<String>,
    /// A picture of its own.
    pub image: Option<String>,
    /// Not for everybody's ears; where nothing is said, as the show.
    pub is_explicit: Option<bool>,
    /// Season.
    pub season: Option<u32>,
    /// Number.
    pub number: Option<u32>,
}

/// Why bytes are no feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFeed {
    /// Longer than [`FEED_BYTES_MAX`], or with more elements than any feed has.
    #[error("the feed is larger than any that is kept")]
    Large,
    /// An encoding that nobody needs any more.
    #[error("the encoding {0} is not read: feeds are UTF-8")]
    Encoding(String),
    /// It is not well formed.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// It ends in the middle.
    #[error("the document ends in the middle")]
    Cut,
    /// It declares entities of its own.
    #[error("the document declares things of its own (DOCTYPE with [ ]): feeds do not")]
    Declares,
    /// Elements inside elements without end.
    #[error("elements are nested too deeply")]
    Deep,
    /// XML, but neither RSS nor Atom: often a web page.
    #[error("neither RSS nor Atom: give the address of the feed, not of a page")]
    Other,
    /// Nobody says what it is called.
    #[error("the feed has no title")]
    Untitled,
}

/// Reads a feed.
///
/// # Errors
/// The bytes are none.
pub fn parse(bytes: &[u8]) -> Result<Feed, NotFeed> {
    if bytes.len() > FEED_BYTES_MAX {
        return Err(NotFeed::Large);
    }
    let text = encoding::decoded(bytes)?;
    let mut reading = Reading::default();
    let mut steps = Steps::of(text.trim_start());
    loop {
        match steps.next()? {
            Step::Open(element) => reading.open(&element)?,
            Step::Text(text) => reading.text(&text),
            Step::Close => reading.close(),
            Step::End => return reading.finish(),
        }
    }
}

/// Where in a document we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `rss` itself.
    Root,
    /// What says something of the show: `channel`, Atom's `feed`.
    Show,
    /// The same of an episode: `item`, `entry`.
    Episode,
    /// A group whose members belong to what is around it: `image`, `itunes:owner`, Atom's `author`.
    Group(Group),
    /// Text that is wanted.
    Wanted(Field),
    /// Inside wanted text, whose own text belongs to it.
    Inside,
    /// Nothing of interest.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Image,
    Person,
}

#[derive(Default)]
struct Reading {
    places: Vec<Place>,
    text: String,
    show: fields::Show,
    item: Option<fields::Episode>,
    items: Vec<Item>,
    guids: HashSet<String>,
    is_feed: bool,
}

impl Reading {
    fn open(&mut self, element: &Element) -> Result<(), NotFeed> {
        let place = match self.places.last() {
            None => self.root(element)?,
            Some(Place::Root) if element.is(Space::Plain, "channel") => Place::Show,
            Some(Place::Show) => self.in_show(element),
            Some(Place::Episode) => self.in_episode(element),
            Some(Place::Group(group)) => in_group(*group, element),
            Some(Place::Wanted(_) | Place::Inside) => Place::Inside,
            Some(Place::Root | Place::Nothing) => Place::Nothing,
        };
        if matches!(place, Place::Wanted(_)) {
            self.text.clear();
        }
        self.places.push(place);
        Ok(())
    }

    fn root(&mut self, element: &Element) -> Result<Place, NotFeed> {
        let place = match (element.space, element.name.as_str()) {
            (Space::Plain, "rss") => Place::Root,
            (Space::Atom, "feed") => Place::Show,
            _ => return Err(NotFeed::Other),
        };
        // A second root is no XML, which the reader under us does not mind.
        if std::mem::replace(&mut self.is_feed, true) {
            return Err(NotFeed::Xml("two root elements".to_owned()));
        }
        Ok(place)
    }

    fn in_show(&mut self, element: &Element) -> Place {
        let is_item = element.is(Space::Plain, "item") || element.is(Space::Atom, "entry");
        if is_item {
            self.item = Some(fields::Episode::default());
            return Place::Episode;
        }
        match (element.space, element.name.as_str()) {
            (Space::Plain, "image") => Place::Group(Group::Image),
            (Space::Itunes, "owner") | (Space::Atom, "author") => Place::Group(Group::Person),
            _ => {
                self.show.attributes(element);
                Field::of_show(element).map_or(Place::Nothing, Place::Wanted)
            }
        }
    }

    fn in_episode(&mut self, element: &Element) -> Place {
        if let Some(item) = &mut self.item {
            item.attributes(element);
        }
        Field::of_episode(element).map_or(Place::Nothing, Place::Wanted)
    }

    fn text(&mut self, text: &str) {
        if matches!(self.places.last(), Some(Place::Wanted(_) | Place::Inside)) {
            let room = TEXT_BYTES_MAX.saturating_sub(self.text.len());
            let end = (0..=text.len().min(room)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            self.text.push_str(&text[..end]);
        }
    }

    fn close(&mut self) {
        match self.places.pop() {
            Some(Place::Wanted(field)) => {
                let text = std::mem::take(&mut self.text);
                match &mut self.item {
                    Some(item) => item.put(field, text),
                    None => self.show.put(field, text),
                }
            }
            Some(Place::Episode) => {
                let item = self.item.take().and_then(fields::Episode::finish);
                let item = item.filter(|_| self.items.len() < EPISODES_MAX);
                if let Some(item) = item.filter(|item| self.guids.insert(item.guid.clone())) {
                    self.items.push(item);
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> Result<Feed, NotFeed> {
        if !self.is_feed {
            return Err(NotFeed::Other);
        }
        let feed = self.show.finish(self.items);
        if feed.title.is_empty() { Err(NotFeed::Untitled) } else { Ok(feed) }
    }
}

fn in_group(group: Group, element: &Element) -> Place {
    match (group, element.space, element.name.as_str()) {
        (Group::Image, Space::Plain, "url") => Place::Wanted(Field::Image),
        (Group::Person, Space::Itunes | Space::Atom, "name") => Place::Wanted(Field::Owner),
        _ => Place::Nothing,
    }
}

#[cfg(test)]
mod tests;
