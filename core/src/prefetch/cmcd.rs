//! Common Media Client Data (CTA-5004, and version 2, CTA-5004-B): only the next object.
//!
//! Version 1 says `nor="PATH",nrr="0-524287"` with PATH percent-encoded; version 2 says
//! `nor=("PATH";r="0-524287" "OTHER")`. Both come in the field `CMCD-Request` or, encoded
//! once more, in the query parameter `CMCD`. All other keys are stepped over. Anybody can
//! write this: a text that does not parse to its end says nothing at all, and what it says
//! gives no right.

use crate::range::{RangeRequest, RangeSpec};

/// The longest text that is read, in bytes. Real ones are about 1,000; it is read on every request.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Most keys in one text. Both versions together define about 60.
pub const KEYS_MAX: usize = 128;

/// Most next objects that are taken from one text; those behind are dropped.
pub const NEXT_MAX: usize = 4;

/// What a client says it will ask for next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmcd {
    /// In the client's order, at most [`NEXT_MAX`].
    pub next: Vec<NextRequest>,
}

/// A request that a client announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRequest {
    /// Where: a reference relative to the current request, percent-decoded once.
    pub reference: String,
    /// Which bytes of it; all, or unsaid, without.
    pub range: Option<RangeSpec>,
}

impl Cmcd {
    /// Reads the value of a `CMCD-Request` field, several lines joined with `,`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let mut reader = Reader { rest: text };
        let mut said = Said::default();
        reader.skip_spaces();
        for _ in 0..KEYS_MAX {
            if reader.rest.is_empty() {
                return Some(said.into_cmcd());
            }
            let key = reader.key()?;
            let value = if reader.take('=') { reader.value()? } else { Value::Other };
            reader.range_parameter()?;
            said.hear(key, value);
            reader.skip_spaces();
            if reader.rest.is_empty() {
                return Some(said.into_cmcd());
            }
            if !reader.take(',') {
                return None;
            }
            reader.skip_spaces();
        }
        None
    }

    /// Reads the parameter `CMCD` of a query as it came; the first one counts.
    pub fn parse_query(query: &str) -> Option<Self> {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("CMCD="))?;
        Self::parse(&percent_decoded(value)?)
    }
}

/// The values of the keys that matter here; of a key said twice the last counts (RFC 9651, 4.2.2).
#[derive(Default)]
struct Said {
    next: Vec<Item>,
    range: Option<String>,
}

/// A text, and the value of its parameter `r`.
struct Item {
    text: String,
    range: Option<String>,
}

enum Value {
    Text(String),
    List(Vec<Item>),
    Other,
}

impl Said {
    fn hear(&mut self, key: &str, value: Value) {
        match (key, value) {
            ("nor", Value::Text(text)) => self.next = vec![Item { text, range: None }],
            ("nor", Value::List(items)) => self.next = items,
            ("nrr", Value::Text(text)) => self.range = Some(text),
            _ => {}
        }
    }

    fn into_cmcd(self) -> Cmcd {
        let Self { next, range } = self;
        // `nrr` speaks of the one `nor` of version 1. Alone it is about the current object.
        let announced = next.into_iter().take(NEXT_MAX).filter_map(|item| {
            let range = item.range.as_deref().or(range.as_deref()).map(byte_range);
            let reference = percent_decoded(&item.text)?;
            match range {
                None => Some(NextRequest { reference, range: None }),
                // A range that makes no sense spoils its announcement.
                Some(range) => Some(NextRequest { reference, range: Some(range?) }),
            }
        });
        Cmcd { next: announced.collect() }
    }
}

/// `A-`, `A-B` or `-N`: one member of a Range field without its unit.
fn byte_range(text: &str) -> Option<RangeSpec> {
    let request = RangeRequest::parse(&format!("bytes={text}"))?;
    match request.specs() {
        [only] if !text.contains(',') => Some(*only),
        _ => None,
    }
}

/// Reads a dictionary of structured fields (RFC 9651), and what version 1 has in its place,
/// from the front. Keys and bare values are taken more generously than either allows.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, sign: char) -> bool {
        self.rest.strip_prefix(sign).inspect(|rest| self.rest = rest).is_some()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn key(&mut self) -> Option<&'a str> {
        self.word(|byte| byte.is_ascii_alphanumeric() || b"_-.*".contains(&byte))
    }

    /// One or more of such characters.
    fn word(&mut self, is_part: impl Fn(u8) -> bool) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn value(&mut self) -> Option<Value> {
        if self.take('(') {
            return self.list();
        }
        let value = self.bare()?;
        match (value, self.range_parameter()?) {
            (Value::Text(text), range @ Some(_)) => Some(Value::List(vec![Item { text, range }])),
            (value, _) => Some(value),
        }
    }

    /// The members of an inner list, up to its `)`.
    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            self.skip_spaces();
            if self.take(')') {
                return Some(Value::List(items));
            }
            let member = self.bare()?;
            let range = self.range_parameter()?;
            if let Value::Text(text) = member
                && items.len() < NEXT_MAX
            {
                items.push(Item { text, range });
            }
            if !self.rest.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    /// A string, or anything without quotes up to the next sign that divides.
    fn bare(&mut self) -> Option<Value> {
        if self.take('"') {
            return self.quoted().map(Value::Text);
        }
        self.word(|byte| !b" ,;()\"=".contains(&byte)).map(|_| Value::Other)
    }

    /// The rest of a string; only `"` and `\` are escaped (RFC 9651, 3.3.3).
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                '\\' => match characters.next()? {
                    (_, escaped @ ('"' | '\\')) => text.push(escaped),
                    _ => return None,
                },
                plain => text.push(plain),
            }
        }
        None
    }

    /// Reads parameters and gives that of the name `r`, if it is a string.
    fn range_parameter(&mut self) -> Option<Option<String>> {
        let mut range = None;
        while self.take(';') {
            self.skip_spaces();
            let key = self.key()?;
            if !self.take('=') {
                continue;
            }
            if let ("r", Value::Text(text)) = (key, self.bare()?) {
                range = Some(text);
            }
        }
        Some(range)
    }
}

/// One round of percent-decoding to text of visible ASCII; a broken escape spoils the whole.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        decoded.push_str(plain);
        let byte = u8::from_str_radix(escaped.get(..2)?, 16).ok().filter(|_| !escaped.starts_with('+'))?;
        decoded.push(matches!(byte, b' '..=b'~').then_some(char::from(byte))?);
        rest = &escaped[2..];
    }
    decoded.push_str(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(text: &str) -> Vec<(String, Option<RangeSpec>)> {
        let cmcd = Cmcd::parse(text).unwrap_or_else(|| panic!("{text} parses"));
        cmcd.next.into_iter().map(|next| (next.reference, next.range)).collect()
    }

    fn one(reference: &str, range: Option<RangeSpec>) -> Vec<(String, Option<RangeSpec>)> {
        vec![(reference.to_owned(), range)]
    }

    #[test]
    fn version_1_names_one_object_and_a_range() {
        let text = r#"bl=21300,dl=18500,mtp=48100,nor="..%2FT2%2F160.ogg",nrr="0-524287",su"#;
        assert_eq!(next(text), one("../T2/160.ogg", Some(RangeSpec::Between(0, 524_287))));
        assert_eq!(next(r#"nor="b.ogg",nrr="99-""#), one("b.ogg", Some(RangeSpec::From(99))));
        assert_eq!(next(r#"nrr="-500",nor="b.ogg""#), one("b.ogg", Some(RangeSpec::Suffix(500))));
        assert_eq!(next(r#"nor="b.ogg""#), one("b.ogg", None));
    }

    #[test]
    fn version_2_names_a_list_of_objects_each_with_its_range() {
        let text = r#"br=(160;v 320);q=1,nor=("next.ogg";r="0-524287" "b.ogg"),sid="x\"y\\",v=2,ts=@1700000000"#;
        let both = [one("next.ogg", Some(RangeSpec::Between(0, 524_287))), one("b.ogg", None)].concat();
        assert_eq!(next(text), both);
        assert_eq!(next(r#"nor="a.ogg";r="7-""#), one("a.ogg", Some(RangeSpec::From(7))));
        assert_eq!(next("nor=()"), []);
    }

    #[test]
    fn a_query_says_the_same_encoded_once_more() {
        let query = "x=1&CMCD=bl%3D21300%2Cnor%3D%22..%252FT2%252F160.ogg%22%2Cnrr%3D%220-99%22&y";
        let cmcd = Cmcd::parse_query(query).unwrap();
        assert_eq!(cmcd, Cmcd::parse(r#"bl=21300,nor="..%2FT2%2F160.ogg",nrr="0-99""#).unwrap());
        assert_eq!(Cmcd::parse_query("cmcd=x&XCMCD=y"), None);
    }

    #[test]
    fn a_range_without_an_object_is_about_the_current_one() {
        assert_eq!(next(r#"nrr="0-99""#), []);
    }

    #[test]
    fn of_a_key_said_twice_the_last_counts() {
        assert_eq!(next(r#"nor="a",nor="b""#), one("b", None));
    }

    #[test]
    fn a_range_that_is_none_spoils_its_announcement_only() {
        assert_eq!(next(r#"nor=("a";r="9-1" "b";r="0-1,4-5" "c")"#), one("c", None));
    }

    #[test]
    fn what_does_not_parse_to_its_end_says_nothing() {
        let broken = [
            r#"nor="a"#,
            r#"nor="a\n""#,
            r#"nor=("a""#,
            r#"nor=("a""b")"#,
            r#"nor="a" su"#,
            r#"nor="a",,su"#,
            r#"nor="#,
            r#"=,nor="a""#,
            "nor=\"a\u{e9}\"",
            "nor=\"a\"\n",
        ];
        for text in broken {
            assert_eq!(Cmcd::parse(text), None, "{text:?}");
        }
        assert_eq!(Cmcd::parse(&format!("nor=\"{}\"", "a".repeat(TEXT_BYTES_MAX))), None);
        assert_eq!(Cmcd::parse(&vec!["a"; KEYS_MAX + 1].join(",")), None);
    }

    #[test]
    fn a_reference_with_escapes_that_are_none_is_dropped() {
        for text in [r#"nor="%""#, r#"nor="%2""#, r#"nor="%+1""#, r#"nor="%0a""#, r#"nor="%e9""#] {
            assert_eq!(next(text), [], "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let many = vec![r#""a""#; 40].join(" ");
        assert_eq!(next(&format!("nor=({many})")).len(), NEXT_MAX);
    }

    fn encoded(text: &str) -> String {
        text.bytes()
            .map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_reference_comes_through_header_and_query(reference in "[ -~]{1,40}", first in 0u64..1 << 40, len in 0u64..1 << 40) {
            let version_1 = format!("ot=a,nor=\"{}\",nrr=\"{first}-{}\",v=1", encoded(&reference), first + len);
            let expected = one(&reference, Some(RangeSpec::Between(first, first + len)));
            prop_assert_eq!(&next(&version_1), &expected);
            let version_2 = format!("v=2,nor=(\"{}\";r=\"{first}-{}\")", encoded(&reference), first + len);
            prop_assert_eq!(&next(&version_2), &expected);
            let query = Cmcd::parse_query(&format!("a&CMCD={}", encoded(&version_2))).unwrap();
            prop_assert_eq!(query, Cmcd::parse(&version_2).unwrap());
        }

        #[test]
        fn no_text_breaks_the_reader(text in r#"([ -~]|nor=|"|\(|\)|;r=|,|%){0,30}"#) {
            if let Some(cmcd) = Cmcd::parse(&text) {
                prop_assert!(cmcd.next.len() <= NEXT_MAX);
                prop_assert!(cmcd.next.iter().all(|next| next.reference.bytes().all(|byte| matches!(byte, b' '..=b'~'))));
            }
        }
    }
}
