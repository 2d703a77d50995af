//! XML as steps, bounded: what a stranger sends must not cost more than its length.
//!
//! No entity is expanded but the five of XML, characters by number, and a few names of HTML that feeds are full of; a
//! document that declares its own (`<!DOCTYPE … [`) is refused. Depth, elements and attributes have bounds. Namespaces
//! are known by what the root element declares, and by their usual prefixes where it says nothing.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::NotFeed;

/// Depth of elements: feeds have five or six, and marked-up text inside a few more.
const DEPTH_MAX: usize = 64;
/// Elements of a document: five thousand episodes of sixty elements each.
const ELEMENTS_MAX: usize = 300_000;
/// Attributes of an element that are read; the rest is passed over.
const ATTRIBUTES_MAX: usize = 32;
/// Bytes of an attribute's value that are kept.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Prefixes of the root element that are kept.
const PREFIXES_MAX: usize = 64;

/// Whose word a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// RSS itself, which has none.
    Plain,
    Atom,
    Itunes,
    Podcast,
    Content,
    Other,
}

/// The beginning of an element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) space: Space,
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, space: Space, name: &str) -> bool {
        self.space == space && self.name == name
    }
}

/// One step through a document.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Open(Element),
    Text(Cow<'a, str>),
    Close,
    End,
}

/// A document on its way.
pub(super) struct Steps<'a> {
    reader: Reader<&'a [u8]>,
    prefixes: Vec<(String, Space)>,
    depth: usize,
    elements: usize,
    /// The element just opened closes by itself.
    closes: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = false;
        config.allow_dangling_amp = true; // "Q&A" is in the titles of many
        Self { reader, prefixes: Vec::new(), depth: 0, elements: 0, closes: false }
    }

    /// The next step.
    pub(super) fn next(&mut self) -> Result<Step<'a>, NotFeed> {
        if std::mem::take(&mut self.closes) {
            return Ok(self.close());
        }
        loop {
            match self.reader.read_event().map_err(|error| NotFeed::Xml(shortened(&error.to_string())))? {
                Event::Start(start) => return self.open(&start, false),
                Event::Empty(start) => return self.open(&start, true),
                Event::End(_) => return Ok(self.close()),
                Event::Text(text) => return Ok(Step::Text(lossy(text.into_inner()))),
                Event::CData(text) => return Ok(Step::Text(lossy(text.into_inner()))),
                Event::GeneralRef(reference) => return Ok(Step::Text(resolved(&reference))),
                Event::DocType(doctype) if doctype.contains(&b'[') => return Err(NotFeed::Declares),
                Event::Eof if self.depth > 0 => return Err(NotFeed::Cut),
                Event::Eof => return Ok(Step::End),
                Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, closes: bool) -> Result<Step<'a>, NotFeed> {
        self.depth += 1;
        self.elements += 1;
        if self.depth > DEPTH_MAX {
            return Err(NotFeed::Deep);
        }
        if self.elements > ELEMENTS_MAX {
            return Err(NotFeed::Large);
        }
        self.closes = closes;
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false).take(ATTRIBUTES_MAX).flatten() {
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            let mut value = unescaped(&String::from_utf8_lossy(&attribute.value));
            super::text::shorten(&mut value, VALUE_BYTES_MAX);
            attributes.push((key, value));
        }
        if self.depth == 1 {
            self.declare(&attributes);
        }
        let name = String::from_utf8_lossy(start.name().into_inner()).into_owned();
        let (space, name) = match name.split_once(':') {
            None => (self.space(""), name),
            Some((prefix, local)) => (self.space(prefix), local.to_owned()),
        };
        Ok(Step::Open(Element { space, name, attributes }))
    }

    fn close(&mut self) -> Step<'a> {
        self.depth = self.depth.saturating_sub(1);
        Step::Close
    }

    fn declare(&mut self, attributes: &[(String, String)]) {
        for (name, value) in attributes.iter().take(PREFIXES_MAX) {
            if name == "xmlns" {
                self.prefixes.push((String::new(), space_of(value)));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                self.prefixes.push((prefix.to_owned(), space_of(value)));
            }
        }
    }

    fn space(&self, prefix: &str) -> Space {
        if let Some((_, space)) = self.prefixes.iter().find(|(known, _)| known == prefix) {
            return *space;
        }
        match prefix {
            "" => Space::Plain,
            "atom" | "atom10" => Space::Atom,
            "itunes" => Space::Itunes,
            "podcast" => Space::Podcast,
            "content" => Space::Content,
            _ => Space::Other,
        }
    }
}

/// Feeds write these in either case and with or without the last slash.
fn space_of(uri: &str) -> Space {
    let uri = uri.trim().to_ascii_lowercase();
    match uri.trim_end_matches('/').trim_start_matches("https://").trim_start_matches("http://") {
        "www.w3.org/2005/atom" => Space::Atom,
        "www.itunes.com/dtds/podcast-1.0.dtd" => Space::Itunes,
        "podcastindex.org/namespace/1.0" => Space::Podcast,
        "github.com/podcastindex-org/podcast-namespace/blob/main/docs/1.0.md" => Space::Podcast,
        "purl.org/rss/1.0/modules/content" => Space::Content,
        // Old RSS in a namespace of its own.
        "backend.userland.com/rss2" | "backend.userland.com/rss" => Space::Plain,
        _ => Space::Other,
    }
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// A reference that is not known stays as it was written.
fn resolved(reference: &BytesRef<'_>) -> Cow<'static, str> {
    let name = String::from_utf8_lossy(reference);
    Cow::Owned(super::text::entity(&name).map_or_else(|| format!("&{name};"), String::from))
}

/// An attribute's value with its references resolved, once.
fn unescaped(value: &str) -> String {
    super::text::unescape(value)
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(120).collect()
}
