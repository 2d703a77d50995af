//! Entity tags (RFC 9110, 8.8.3) and their two ways of being equal.

use std::fmt;

/// An entity tag: opaque text in quotes, weak or strong.
///
/// Deliberately no `PartialEq` by another name: ask [`strong_eq`](Self::strong_eq) or
/// [`weak_eq`](Self::weak_eq); `==` compares the tags as texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntityTag {
    weak: bool,
    opaque: Box<str>,
}

impl EntityTag {
    /// Longest opaque part, in bytes: a SHA-512 in hexadecimal twice over; foreign origins are hostile.
    pub const MAX_BYTES: usize = 256;

    /// The strong tag with this opaque text, which comes from us (a digest in hexadecimal).
    ///
    /// # Panics
    /// If the text could not stand between the quotes; foreign text goes through [`parse`](Self::parse).
    pub fn strong(opaque: &str) -> Self {
        assert!(is_opaque(opaque), "an entity tag of our own making is visible ASCII without quotes");
        Self { weak: false, opaque: opaque.into() }
    }

    /// Exactly one tag, `"..."` or `W/"..."`; anything around or within that does not belong is refused.
    ///
    /// Octets above ASCII, which the grammar allows for history's sake, are refused too:
    /// as text they could not be compared faithfully.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, rest) = Self::take(text)?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that `text` begins with, and what follows it.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        is_opaque(opaque).then(|| (Self { weak, opaque: opaque.into() }, rest))
    }

    /// Whether the tag is weak.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// The text between the quotes.
    pub fn opaque(&self) -> &str {
        &self.opaque
    }

    /// Both strong and the same (RFC 9110, 8.8.3.2): the bytes are the same.
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The same apart from weakness (RFC 9110, 8.8.3.2): the meaning is the same.
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }
}

/// etagc of RFC 9110, 8.8.3, without obs-text.
fn is_opaque(text: &str) -> bool {
    text.len() <= EntityTag::MAX_BYTES && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e))
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.weak { "W/" } else { "" };
        write!(f, "{prefix}\"{}\"", self.opaque)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text).expect("a tag")
    }

    #[test]
    fn comparison_follows_the_table_of_rfc_9110() {
        // RFC 9110, 8.8.3.2, table 3: tag, tag, strong, weak.
        let table = [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
        ];
        for (left, right, strong, weak) in table {
            assert_eq!(tag(left).strong_eq(&tag(right)), strong, "{left} {right}");
            assert_eq!(tag(left).weak_eq(&tag(right)), weak, "{left} {right}");
        }
    }

    #[test]
    fn what_is_not_one_tag_is_refused() {
        for text in [
            "",
            "a",
            "\"",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W/a",
            "W/ \"a\"",
            "\"a\" ",
            " \"a\"",
            "\"a\"\"b\"",
            "\"a b\"",
            "\"é\"",
            "*",
            "\"a\", \"b\"",
        ] {
            assert_eq!(EntityTag::parse(text), None, "{text}");
        }
        assert_eq!(EntityTag::parse(&format!("\"{}\"", "a".repeat(257))), None);
        assert_eq!(tag("\"\"").opaque(), "");
    }

    proptest! {
        #[test]
        fn a_tag_survives_its_text(weak: bool, opaque in "[!#-~]{0,40}") {
            let text = format!("{}\"{opaque}\"", if weak { "W/" } else { "" });
            let tag = EntityTag::parse(&text).expect("a tag by the grammar");
            prop_assert_eq!((tag.is_weak(), tag.opaque()), (weak, opaque.as_str()));
            prop_assert_eq!(tag.to_string(), text);
        }
    }
}
