//! A feed of ours as text: RSS 2.0 with the words of iTunes and of Podcasting 2.0. Pure.
//!
//! What goes in is believed to be hostile: every text is escaped by the writer of the XML library, characters that XML
//! does not have are left out, and lengths are bounded. [`crate::feed`] reads what [`written`] writes.

use needledrop_core::UnixSeconds;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// Most items of a feed: five years of a weekly show, and half a megabyte that each client fetches again and again.
pub const ITEMS_MAX: usize = 300;
/// Characters of a title.
const LINE_CHARS_MAX: usize = 1_000;
/// Characters of a description, of which there are [`ITEMS_MAX`].
const NOTES_CHARS_MAX: usize = 4_000;

/// Namespaces of the elements that are written.
const SPACES: [(&str, &str); 4] = [
    ("version", "2.0"),
    ("xmlns:atom", "http://www.w3.org/2005/Atom"),
    ("xmlns:itunes", "http://www.itunes.com/dtds/podcast-1.0.dtd"),
    ("xmlns:podcast", "https://podcastindex.org/namespace/1.0"),
];

/// What a feed is of (`podcast:medium`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Episodes, the latest first.
    Podcast,
    /// Tracks, in their order.
    Music,
}

/// A feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// As it is shown.
    pub title: String,
    /// Who makes it; may be empty.
    pub author: String,
    /// Plain text; may be empty.
    pub description: String,
    /// The address of the feed itself.
    pub itself: String,
    /// A page about it.
    pub link: String,
    /// A picture.
    pub image: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// Not for everybody's ears.
    pub is_explicit: bool,
    /// Its name for ever, wherever it is read: a UUID.
    pub guid: String,
    /// What it is of.
    pub medium: Medium,
    /// In the order in which they are shown; the first [`ITEMS_MAX`] are written.
    pub items: Vec<Item>,
}

/// One piece of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name for ever.
    pub guid: String,
    /// As it is shown.
    pub title: String,
    /// Who made it; may be empty.
    pub author: String,
    /// Plain text; may be empty.
    pub description: String,
    /// When it came out.
    pub published: UnixSeconds,
    /// A page about it.
    pub link: Option<String>,
    /// A picture of its own.
    pub image: Option<String>,
    /// Not for everybody's ears.
    pub is_explicit: bool,
    /// Season.
    pub season: Option<u32>,
    /// Number.
    pub number: Option<u32>,
    /// Length.
    pub duration_ms: Option<u64>,
    /// Its sound.
    pub enclosure: Enclosure,
}

/// Sound at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// Where.
    pub url: String,
    /// Its length; 0 where nobody knows, as RSS wants it.
    pub bytes: u64,
    /// Its media type.
    pub media_type: String,
}

/// The feed as a document.
pub fn written(channel: &Channel) -> String {
    let mut page = Page(Writer::new(Vec::with_capacity(64 * 1024)));
    page.put(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    page.open("rss", &SPACES);
    page.open("channel", &[]);
    head(&mut page, channel);
    channel.items.iter().take(ITEMS_MAX).for_each(|made| item(&mut page, channel.medium, made));
    page.close("channel");
    page.close("rss");
    String::from_utf8(page.0.into_inner()).expect("what is written is text")
}

fn head(page: &mut Page, channel: &Channel) {
    page.text("title", &line(&channel.title));
    page.text("link", &line(&channel.link));
    // A description is wanted even where there is nothing to say.
    let about = if channel.description.is_empty() { &channel.title } else { &channel.description };
    page.text("description", &notes(about));
    page.text("language", &line(channel.language.as_deref().unwrap_or("en")));
    page.empty("atom:link", &[("href", &channel.itself), ("rel", "self"), ("type", "application/rss+xml")]);
    page.filled("itunes:author", &channel.author);
    page.text("itunes:explicit", yes_no(channel.is_explicit));
    page.text("itunes:type", if channel.medium == Medium::Music { "serial" } else { "episodic" });
    // An address that only its owner has is nothing for a directory, and nobody else may take the feed over.
    page.text("itunes:block", "Yes");
    page.text("podcast:locked", "yes");
    page.text("podcast:guid", &line(&channel.guid));
    page.text("podcast:medium", if channel.medium == Medium::Music { "music" } else { "podcast" });
    if let Some(image) = &channel.image {
        page.empty("itunes:image", &[("href", image)]);
        page.open("image", &[]);
        page.text("url", &line(image));
        page.text("title", &line(&channel.title));
        page.text("link", &line(&channel.link));
        page.close("image");
    }
}

fn item(page: &mut Page, medium: Medium, item: &Item) {
    page.open("item", &[]);
    page.text("title", &line(&item.title));
    page.open("guid", &[("isPermaLink", "false")]);
    page.put(Event::Text(BytesText::new(&line(&item.guid))));
    page.close("guid");
    page.text("pubDate", &item.published.to_http());
    if !item.description.is_empty() {
        page.text("description", &notes(&item.description));
    }
    if let Some(link) = &item.link {
        page.text("link", &line(link));
    }
    let Enclosure { url, bytes, media_type } = &item.enclosure;
    page.empty("enclosure", &[("url", url), ("length", &bytes.to_string()), ("type", media_type)]);
    page.filled("itunes:author", &item.author);
    page.text("itunes:explicit", yes_no(item.is_explicit));
    page.text("itunes:episodeType", "full");
    if let Some(image) = &item.image {
        page.empty("itunes:image", &[("href", image)]);
    }
    if let Some(ms) = item.duration_ms {
        page.text("itunes:duration", &ms.div_ceil(1_000).to_string());
    }
    if let Some(season) = item.season {
        page.text("itunes:season", &season.to_string());
        page.text("podcast:season", &season.to_string());
    }
    if let Some(number) = item.number {
        page.text("itunes:episode", &number.to_string());
        if medium == Medium::Podcast {
            page.text("podcast:episode", &number.to_string());
        }
    }
    page.close("item");
}

/// Elements, one after the other, into memory.
struct Page(Writer<Vec<u8>>);

impl Page {
    fn put(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("memory takes everything");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.put(Event::Start(start));
    }

    fn close(&mut self, name: &str) {
        self.put(Event::End(BytesEnd::new(name)));
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let values: Vec<(&str, String)> = attributes.iter().map(|(name, value)| (*name, line(value))).collect();
        let attributes = values.iter().map(|(name, value)| (*name, value.as_str()));
        self.put(Event::Empty(BytesStart::new(name).with_attributes(attributes)));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.put(Event::Text(BytesText::new(text)));
        self.close(name);
    }

    /// Nothing where there is nothing to say.
    fn filled(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, &line(text));
        }
    }
}

fn yes_no(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}

/// One line, of bounded length.
fn line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_whitespace() { ' ' } else { character })
        .filter(is_xml)
        .take(LINE_CHARS_MAX)
        .collect()
}

/// Lines, of bounded length.
fn notes(text: &str) -> String {
    text.chars().filter(is_xml).take(NOTES_CHARS_MAX).collect()
}

/// The characters that a document may have (XML 1.0, 2.2), without those of control that it allows for old times' sake.
fn is_xml(character: &char) -> bool {
    matches!(character, '\t' | '\n' | ' '..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
