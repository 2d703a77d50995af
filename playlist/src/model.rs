//! What is kept, as values.

use needledrop_core::{AccountId, ArtistId, PlaylistId, ReleaseId, TrackId, UnixSeconds};
use serde::Serialize;

/// A playlist without its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Playlist {
    /// Identity.
    pub id: PlaylistId,
    /// Whose it is.
    pub owner: AccountId,
    /// As it is shown.
    pub name: ListName,
    /// What the owner says about it; may be empty.
    pub about: About,
    /// Whether everybody may read it.
    pub is_public: bool,
    /// From 1; each change makes the next one.
    pub revision: Revision,
    /// How many items it has.
    pub items: u32,
    /// When it was made.
    pub created: UnixSeconds,
    /// When it was last changed.
    pub changed: UnixSeconds,
}

/// A playlist with its items, of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The playlist.
    pub playlist: Playlist,
    /// In order. A track may be there several times.
    pub items: Vec<Item>,
}

/// A place in a playlist that has a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name within the playlist; stays when it moves and is never given again.
    pub id: ItemId,
    /// The track.
    pub track: TrackId,
    /// When it was put in.
    pub added: UnixSeconds,
}

/// An item's name within its playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ItemId(pub u64);

/// A state of a playlist, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// What is to be changed of a playlist beside its items; None stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The name.
    pub name: Option<ListName>,
    /// What the owner says.
    pub about: Option<About>,
    /// Whether everybody may read it.
    pub is_public: Option<bool>,
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextRefusal {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than this many characters.
    #[error("it has more than {0} characters")]
    TooLong(usize),
    /// A control character.
    #[error("it has a control character")]
    Control,
}

/// The name of a playlist: 1 to 256 characters, none of control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ListName(Box<str>);

impl ListName {
    /// Longest name in characters.
    pub const CHARS_MAX: usize = 256;

    /// Trims white space, then takes what is left.
    ///
    /// # Errors
    /// Empty, too long or with a control character.
    pub fn parse(text: &str) -> Result<Self, TextRefusal> {
        let text = bounded(text, Self::CHARS_MAX)?;
        match text {
            "" => Err(TextRefusal::Empty),
            _ if text.chars().any(char::is_control) => Err(TextRefusal::Control),
            _ => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody says about a playlist: at most 2,000 characters; lines may be broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct About(Box<str>);

impl About {
    /// Longest text in characters.
    pub const CHARS_MAX: usize = 2_000;

    /// Trims white space, then takes what is left.
    ///
    /// # Errors
    /// Too long, or with a control character other than a line feed or a tab.
    pub fn parse(text: &str) -> Result<Self, TextRefusal> {
        let text = bounded(text, Self::CHARS_MAX)?;
        let is_odd = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
        if text.chars().any(is_odd) { Err(TextRefusal::Control) } else { Ok(Self(text.into())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn bounded(text: &str, chars_max: usize) -> Result<&str, TextRefusal> {
    // A character has at most 4 bytes: a megabyte is refused without being walked over.
    if text.len() > chars_max * 8 {
        return Err(TextRefusal::TooLong(chars_max));
    }
    let text = text.trim();
    if text.chars().count() > chars_max { Err(TextRefusal::TooLong(chars_max)) } else { Ok(text) }
}

/// Something that can be starred and rated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Thing {
    /// A person or a band.
    Artist(ArtistId),
    /// A release.
    Release(ReleaseId),
    /// A track.
    Track(TrackId),
}

impl Thing {
    /// The number of its kind in storage, and its id.
    pub(crate) fn key(&self) -> (i64, &str) {
        match self {
            Thing::Artist(id) => (0, id.as_str()),
            Thing::Release(id) => (1, id.as_str()),
            Thing::Track(id) => (2, id.as_str()),
        }
    }

    pub(crate) fn from_key(kind: i64, id: &str) -> Option<Self> {
        match kind {
            0 => id.parse().ok().map(Thing::Artist),
            1 => id.parse().ok().map(Thing::Release),
            2 => id.parse().ok().map(Thing::Track),
            _ => None,
        }
    }
}

/// A star.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Star {
    /// On what.
    pub thing: Thing,
    /// Since when.
    pub at: UnixSeconds,
}

/// One to five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Rating(u8);

impl Rating {
    /// 1 to 5.
    pub fn new(value: u8) -> Option<Self> {
        (1..=5).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_trimmed_bounded_and_free_of_controls() {
        assert_eq!(ListName::parse("  Λ & <b> ").unwrap().as_str(), "Λ & <b>");
        assert_eq!(ListName::parse(" \t"), Err(TextRefusal::Empty));
        assert_eq!(ListName::parse("a\nb"), Err(TextRefusal::Control));
        assert_eq!(ListName::parse(&"愛".repeat(257)), Err(TextRefusal::TooLong(256)));
        assert!(ListName::parse(&"愛".repeat(256)).is_ok());
        assert_eq!(About::parse("").unwrap(), About::default());
        assert_eq!(About::parse("a\nb").unwrap().as_str(), "a\nb");
        assert_eq!(About::parse("a\0b"), Err(TextRefusal::Control));
    }

    #[test]
    fn a_rating_is_one_to_five() {
        let taken: Vec<u8> = (0..=255).filter(|value| Rating::new(*value).is_some()).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
    }

    proptest! {
        #[test]
        fn a_thing_survives_its_key(random: [u8; 16], kind in 0i64..3) {
            let id = TrackId::from_random(random);
            let thing = Thing::from_key(kind, id.as_str()).unwrap();
            prop_assert_eq!(thing.key(), (kind, id.as_str()));
        }
    }
}
