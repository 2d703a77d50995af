//! Byte ranges: the Range request field (RFC 9110, 14.2), what it means for an object of
//! known length, and Content-Range in both directions (14.4).
//!
//! The policy where the RFC leaves a choice: a field that is not valid is ignored, as is
//! one whose unit is not bytes, one with more than [`SPECS_MAX`] members, and one that needs
//! more than [`PARTS_MAX`] parts; overlapping and adjacent parts become one. Parts keep the
//! order in which they were asked for (15.3.7.2). A multipart answer can therefore never
//! hold more of the object than the object itself, whatever is asked.

use std::cmp::Ordering;
use std::fmt;

use crate::block::OBJECT_BYTES_MAX;

/// Most members of a Range field that are looked at: eight times what is ever answered in parts.
pub const SPECS_MAX: usize = 64;

/// Most parts of a multipart answer: players ask for one or two.
pub const PARTS_MAX: usize = 8;

/// A run of bytes of an object: never empty; `end` is exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// The bytes from `start` up to, not including, `end`; `None` if there are none.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Every byte of an object of `len` bytes; `None` if it has none.
    pub fn whole(len: u64) -> Option<Self> {
        Self::new(0, len)
    }

    /// The first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// The byte behind the last one.
    pub fn end(self) -> u64 {
        self.end
    }

    /// The last byte, as HTTP counts.
    pub fn last(self) -> u64 {
        self.end - 1
    }

    /// How many bytes; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// The bytes that both have.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Whether every byte of `other` is in this range.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// One range for both, if no byte lies between them.
    fn joined(self, other: Self) -> Option<Self> {
        let touching = self.start <= other.end && other.start <= self.end;
        touching.then(|| Self { start: self.start.min(other.start), end: self.end.max(other.end) })
    }

    /// The Range field that asks for this range: `bytes=0-99`.
    pub fn to_range_field(self) -> String {
        format!("bytes={}-{}", self.start, self.last())
    }

    /// The Content-Range field of this part of an object of `len` bytes: `bytes 0-99/200`.
    pub fn to_content_range(self, len: u64) -> String {
        format!("bytes {}-{}/{len}", self.start, self.last())
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// One member of a Range field (RFC 9110, 14.1.2). Numbers too large for 64 bits stand at
/// their end: they lie beyond every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-`: from there to the end.
    From(u64),
    /// `first-last`, both inclusive; first is never behind last.
    Between(u64, u64),
    /// `-count`: that many bytes at the end.
    Suffix(u64),
}

impl RangeSpec {
    /// The bytes meant in an object of `len` bytes; `None` if there are none.
    fn resolve(self, len: u64) -> Option<ByteRange> {
        match self {
            RangeSpec::From(first) => ByteRange::new(first, len),
            RangeSpec::Between(first, last) => ByteRange::new(first, len.min(last.saturating_add(1))),
            RangeSpec::Suffix(count) => ByteRange::new(len.saturating_sub(count), len),
        }
    }
}

/// A valid Range field in bytes: 1 to [`SPECS_MAX`] members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    specs: Vec<RangeSpec>,
}

/// What a Range field means for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// These parts: 1 to [`PARTS_MAX`], in the order asked for, none touching another.
    Parts(Vec<ByteRange>),
    /// No byte of the object is meant: 416.
    Unsatisfiable,
    /// As if there were no Range field.
    Ignored,
}

impl RangeRequest {
    /// The member asked for first, of at least one.
    pub fn first(&self) -> RangeSpec {
        self.specs[0]
    }

    /// Reads a Range field; `None` means that it is to be ignored.
    ///
    /// The unit is case-insensitive (RFC 9110, 14.1). Empty members and whitespace around
    /// members are tolerated (5.6.1.2), nothing else is.
    pub fn parse(field: &str) -> Option<Self> {
        let (unit, set) = field.trim_matches(is_ows).split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut specs = Vec::new();
        for member in set.split(',').map(|member| member.trim_matches(is_ows)).filter(|member| !member.is_empty()) {
            if specs.len() == SPECS_MAX {
                return None;
            }
            specs.push(parse_spec(member)?);
        }
        (!specs.is_empty()).then_some(Self { specs })
    }

    /// The members, as they were written.
    pub fn specs(&self) -> &[RangeSpec] {
        &self.specs
    }

    /// Which bytes of an object of `len` bytes are to be sent.
    pub fn resolve(&self, len: u64) -> Resolved {
        let mut parts: Vec<ByteRange> = Vec::new();
        for wanted in self.specs.iter().filter_map(|spec| spec.resolve(len)) {
            add_part(&mut parts, wanted);
        }
        if parts.is_empty() {
            return self.resolve_nothing(len);
        }
        // The length of a multipart body about an object beyond all objects might not fit 64 bits.
        if parts.len() > PARTS_MAX || (parts.len() > 1 && len > OBJECT_BYTES_MAX) {
            return Resolved::Ignored;
        }
        Resolved::Parts(parts)
    }

    /// A suffix of an empty object is satisfiable (RFC 9110, 14.1.2: the whole is used), but
    /// no Content-Range can say so: the whole is sent, as 200.
    fn resolve_nothing(&self, len: u64) -> Resolved {
        let wants_suffix = |spec: &RangeSpec| matches!(spec, RangeSpec::Suffix(count) if *count > 0);
        if len == 0 && self.specs.iter().any(wants_suffix) {
            return Resolved::Ignored;
        }
        Resolved::Unsatisfiable
    }
}

/// Adds a part in the place of the earliest one it touches, swallowing all that it touches.
fn add_part(parts: &mut Vec<ByteRange>, wanted: ByteRange) {
    let mut merged = wanted;
    let mut place = None;
    let mut index = 0;
    while index < parts.len() {
        // The parts in the list touch each other nowhere, but growing by one may reach
        // another that was passed already: start over after each union.
        match parts[index].joined(merged) {
            Some(union) => {
                merged = union;
                parts.remove(index);
                place = Some(place.map_or(index, |earlier: usize| earlier.min(index)));
                index = 0;
            }
            None => index += 1,
        }
    }
    parts.insert(place.unwrap_or(parts.len()), merged);
}

/// OWS of RFC 9110, 5.6.3.
fn is_ows(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

fn parse_spec(member: &str) -> Option<RangeSpec> {
    let (first, last) = member.split_once('-')?;
    if first.is_empty() {
        return parse_number(last).map(RangeSpec::Suffix);
    }
    let start = parse_number(first)?;
    if last.is_empty() {
        return Some(RangeSpec::From(start));
    }
    let end = parse_number(last)?;
    // RFC 9110, 14.1.1: "last-pos ... less than first-pos" makes the spec invalid. Judged on
    // the digits: two numbers beyond 64 bits are not equal because both saturate.
    (compare_digits(first, last) != Ordering::Greater).then_some(RangeSpec::Between(start, end))
}

/// A run of ASCII digits; a number past 64 bits becomes the largest one.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn compare_digits(left: &str, right: &str) -> Ordering {
    let left = left.trim_start_matches('0');
    let right = right.trim_start_matches('0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// A Content-Range field of an upstream answer (RFC 9110, 14.4), read strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/len`: a part of an object of known length, inside of it.
    Part {
        /// The bytes enclosed.
        range: ByteRange,
        /// The complete length of the object.
        len: u64,
    },
    /// `bytes */len`: an answer to a range that could not be satisfied.
    Unsatisfied {
        /// The complete length of the object.
        len: u64,
    },
}

impl ContentRange {
    /// Reads the field as one of the two forms with a complete length.
    ///
    /// Anything else is `None`: another unit, a length that is not told, numbers out of
    /// order, outside the object, beyond 64 bits or with signs or spaces. An answer that
    /// cannot be placed must not be cached.
    pub fn parse(field: &str) -> Option<Self> {
        let (unit, rest) = field.trim_matches(is_ows).split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (place, len) = rest.split_once('/')?;
        let len = parse_exact(len)?;
        if place == "*" {
            return Some(ContentRange::Unsatisfied { len });
        }
        let (first, last) = place.split_once('-')?;
        let range = ByteRange::new(parse_exact(first)?, parse_exact(last)?.checked_add(1)?)?;
        (range.end() <= len).then_some(ContentRange::Part { range, len })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentRange::Part { range, len } => f.write_str(&range.to_content_range(*len)),
            ContentRange::Unsatisfied { len } => write!(f, "bytes */{len}"),
        }
    }
}

/// A run of ASCII digits that fits 64 bits.
fn parse_exact(digits: &str) -> Option<u64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
