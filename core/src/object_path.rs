//! The name of an object on the wire, proven harmless.
//!
//! Nothing is decoded: a path that would need decoding, or that a file system or another
//! server could read in two ways, is refused here and never met again deeper inside.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Rev, TrackId};
use crate::media::Rendition;

/// An absolute path of unreserved characters (RFC 3986, 2.3) and `/`, without empty or
/// dot segments, not ending in `/`, at most [`ObjectPath::MAX_BYTES`] long. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectPath(Arc<str>);

/// Why a text is not an object path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// Longer than [`ObjectPath::MAX_BYTES`].
    #[error("the path is longer than 1024 bytes")]
    TooLong,
    /// Does not begin with `/`, or is nothing but that.
    #[error("the path does not name an object")]
    NotAbsolute,
    /// Holds a character that is neither unreserved nor `/`; percent signs are among them.
    #[error("the path holds a character that is not allowed")]
    Character,
    /// Holds an empty, `.` or `..` segment, or ends in `/`.
    #[error("the path holds an empty or dot segment")]
    Segment,
}

impl ObjectPath {
    /// Longest path in bytes: four times what our own layout needs, a fraction of any request line limit.
    pub const MAX_BYTES: usize = 1024;

    /// Takes the text as it is, or refuses it; never normalises.
    pub fn parse(text: &str) -> Result<Self, PathRefusal> {
        if text.len() > Self::MAX_BYTES {
            return Err(PathRefusal::TooLong);
        }
        let inner = text.strip_prefix('/').filter(|inner| !inner.is_empty()).ok_or(PathRefusal::NotAbsolute)?;
        if !inner.bytes().all(|byte| byte == b'/' || is_unreserved(byte)) {
            return Err(PathRefusal::Character);
        }
        if inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PathRefusal::Segment);
        }
        Ok(Self(text.into()))
    }

    /// Where a rendition of a track lives: `/tracks/{track}/{rev}/{kbps}.{ext}`.
    pub fn rendition(track: &TrackId, rev: &Rev, rendition: Rendition) -> Self {
        Self(format!("/tracks/{track}/{rev}/{rendition}").into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes; at least one, none empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// What follows the last dot of the last segment, if there is one and it is not all of it.
    pub fn extension(&self) -> Option<&str> {
        let (_, file_name) = self.0.rsplit_once('/')?;
        let (stem, extension) = file_name.rsplit_once('.')?;
        (!stem.is_empty()).then_some(extension)
    }
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectPath({})", self.0)
    }
}

impl FromStr for ObjectPath {
    type Err = PathRefusal;

    fn from_str(text: &str) -> Result<Self, PathRefusal> {
        Self::parse(text)
    }
}

impl AsRef<str> for ObjectPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// Sound: equality, order and hash of the path are those of its text.
impl std::borrow::Borrow<str> for ObjectPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ObjectPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ObjectPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tricks_with_paths_are_refused() {
        let refused = [
            ("", PathRefusal::NotAbsolute),
            ("/", PathRefusal::NotAbsolute),
            ("tracks/a", PathRefusal::NotAbsolute),
            ("//a", PathRefusal::Segment),
            ("/a//b", PathRefusal::Segment),
            ("/a/", PathRefusal::Segment),
            ("/a/./b", PathRefusal::Segment),
            ("/a/../b", PathRefusal::Segment),
            ("/..", PathRefusal::Segment),
            ("/a/.", PathRefusal::Segment),
            ("/a/%2e%2e/b", PathRefusal::Character),
            ("/a%2fb", PathRefusal::Character),
            ("/a%00", PathRefusal::Character),
            ("/a\0", PathRefusal::Character),
            ("/a\\..\\b", PathRefusal::Character),
            ("/a;b", PathRefusal::Character),
            ("/a?b", PathRefusal::Character),
            ("/a#b", PathRefusal::Character),
            ("/a b", PathRefusal::Character),
            ("/a+b", PathRefusal::Character),
            ("/a:b", PathRefusal::Character),
            ("/é", PathRefusal::Character),
            ("/．．/a", PathRefusal::Character),
            ("/a\r\nHost:x", PathRefusal::Character),
        ];
        for (text, refusal) in refused {
            assert_eq!(ObjectPath::parse(text), Err(refusal), "{text:?}");
        }
    }

    #[test]
    fn length_is_bounded_to_the_byte() {
        let longest = format!("/{}", "a".repeat(ObjectPath::MAX_BYTES - 1));
        assert!(ObjectPath::parse(&longest).is_ok());
        assert_eq!(ObjectPath::parse(&format!("{longest}a")), Err(PathRefusal::TooLong));
    }

    #[test]
    fn names_with_dots_that_are_not_dot_segments_pass() {
        for text in ["/a", "/...", "/.hidden", "/a..b/c.d", "/~a/_b/-c", "/tracks/x/y/160.ogg"] {
            assert_eq!(ObjectPath::parse(text).map(|path| path.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_extension_is_what_follows_the_last_dot_of_the_last_segment() {
        let extension = |text| ObjectPath::parse(text).expect("a plain path").extension().map(str::to_owned);
        assert_eq!(extension("/a.b/c"), None);
        assert_eq!(extension("/a/.ogg"), None);
        assert_eq!(extension("/a/b.tar.gz").as_deref(), Some("gz"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_the_text_itself_and_has_no_odd_segment(text in "[/a.%~\\x00é]{0,12}") {
            if let Ok(path) = ObjectPath::parse(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(path.segments().all(|segment| !matches!(segment, "" | "." | "..")));
                prop_assert_eq!(format!("/{}", path.segments().collect::<Vec<_>>().join("/")), text);
            }
        }
    }
}
