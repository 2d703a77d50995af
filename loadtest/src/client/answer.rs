//! A request and its answer as the caller sees them, and what is checked of every answer on all three protocols:
//! that it is the range that was asked for, and has as many bytes as it says.

use std::ops::ControlFlow;
use std::time::Instant;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE, USER_AGENT};
use http::{HeaderMap, StatusCode};

use super::Failure;
use crate::measured::Trouble;

const OUR_NAME: &str = concat!("needledrop-loadtest/", env!("CARGO_PKG_VERSION"));

/// A GET.
#[derive(Debug, Clone, Copy, Default)]
pub struct Get<'a> {
    /// Path and query, as they should stand in the request.
    pub target: &'a str,
    /// First and last byte wanted.
    pub range: Option<(u64, u64)>,
    /// Further fields.
    pub fields: &'a [(&'a str, &'a str)],
}

impl Get<'_> {
    /// That it can be written on every protocol.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let is_target = self.target.starts_with('/') && self.target.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_target {
            return Err(Failure::new(Trouble::Ourselves, format!("{:?} is no path of a URL", self.target)));
        }
        if let Some((first, last)) = self.range
            && first > last
        {
            return Err(Failure::new(Trouble::Ourselves, format!("a range from {first} to {last} has no bytes")));
        }
        self.fields().map(drop)
    }

    /// All fields but Host.
    pub(super) fn fields(&self) -> Result<HeaderMap, Failure> {
        let mut fields = HeaderMap::with_capacity(4 + self.fields.len());
        fields.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some((first, last)) = self.range {
            let range = format!("bytes={first}-{last}");
            fields.insert(RANGE, HeaderValue::from_str(&range).expect("digits are a field value"));
        }
        for (name, value) in self.fields {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else {
                return Err(Failure::new(Trouble::Ourselves, format!("{name:?}: {value:?} is no header field")));
            };
            fields.insert(name, value);
        }
        Ok(fields)
    }
}

/// Who takes an answer while it comes. Called in the middle of reading: must neither wait nor touch a connection.
pub trait Reader {
    /// The head, before any byte of the body.
    fn head(&mut self, head: &Head);

    /// The next bytes of the body, and when they could be read. After `Break` nothing more comes: HTTP/1.1 closes
    /// the connection, the others reset the stream.
    fn body(&mut self, at: Instant, bytes: &[u8]) -> ControlFlow<()>;

    /// Until when nothing more is read: one who reads slowly lets the server wait. None: goes on at once.
    fn rests_until(&self) -> Option<Instant> {
        None
    }
}

/// Status and fields of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// 206 for a range, 200 from a server that sends all of the object instead.
    pub status: StatusCode,
    /// The fields, names in lower case.
    pub fields: HeaderMap,
    /// When its last byte could be read.
    pub at: Instant,
    /// Content-Length.
    pub length: Option<u64>,
    /// Content-Range.
    pub content_range: Option<ContentRange>,
}

/// The range of an answer (RFC 9110 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte.
    pub first: u64,
    /// Last byte, included.
    pub last: u64,
    /// Bytes of the whole object, if the server knows.
    pub total: Option<u64>,
}

impl ContentRange {
    /// From `bytes 0-99/200` or `bytes 0-99/*`.
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" { None } else { Some(digits(total)?) };
        let range = Self { first: digits(first)?, last: digits(last)?, total };
        (range.first <= range.last && total.is_none_or(|total| range.last < total)).then_some(range)
    }
}

/// A number without sign or blank, which `str::parse` would let pass.
fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

impl Head {
    /// Reads the lengths, which must be sound.
    pub(super) fn new(status: StatusCode, fields: HeaderMap, at: Instant) -> Result<Self, Failure> {
        let mut length = None;
        for value in fields.get_all(CONTENT_LENGTH) {
            let said = value.to_str().ok().and_then(digits);
            if said.is_none() || length.is_some_and(|length| Some(length) != said) {
                return Err(Failure::protocol(format!("the answer has a bad Content-Length: {value:?}")));
            }
            length = said;
        }
        let content_range = match fields.get(CONTENT_RANGE) {
            Some(value) if status == StatusCode::PARTIAL_CONTENT => {
                let range = value.to_str().ok().and_then(ContentRange::parse);
                Some(range.ok_or_else(|| Failure::protocol(format!("the answer has a bad Content-Range: {value:?}")))?)
            }
            _ => None,
        };
        Ok(Self { status, fields, at, length, content_range })
    }

    /// What a status counts as; None for one that carries what was asked for.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.status.as_u16() {
            200..=299 => None,
            429 | 503 => Some(Trouble::Overload),
            500..=599 => Some(Trouble::Server),
            _ => Some(Trouble::Refused),
        }
    }
}

/// A whole answer, or one that the reader left.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Bytes of the body that the reader got.
    pub body_bytes: u64,
    /// When its end could be read, or it was left.
    pub ended_at: Instant,
    /// The reader left in the middle.
    pub left: bool,
}

/// How many bytes must come, and how many have.
#[derive(Debug)]
pub(super) struct Account {
    declared: Option<u64>,
    come: u64,
}

impl Account {
    /// Checks a head against what was asked.
    pub(super) fn open(get: &Get<'_>, head: &Head) -> Result<Self, Failure> {
        if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
            let to = head.fields.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let sentence = format!("{} to {to}: redirects are not followed, give the last URL", head.status.as_u16());
            return Err(Failure::new(Trouble::Refused, sentence));
        }
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Self::of_range(get, head);
        }
        let is_empty = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Self { declared: if is_empty { Some(0) } else { head.length }, come: 0 })
    }

    fn of_range(get: &Get<'_>, head: &Head) -> Result<Self, Failure> {
        let Some((first, last)) = get.range else {
            return Err(Failure::protocol("a 206 answers a request without Range"));
        };
        let Some(range) = head.content_range else {
            return Err(Failure::protocol("a 206 has no Content-Range"));
        };
        // What is asked beyond the end is left out (RFC 9110 14.1.2); without a total nobody can tell.
        let wanted = range.total.map_or(range.last.min(last), |total| last.min(total - 1));
        if (range.first, range.last) != (first, wanted) {
            return Err(Failure::protocol(format!(
                "bytes {first}-{last} were asked for, the answer has {}-{}",
                range.first, range.last
            )));
        }
        let bytes = range.last - range.first + 1;
        match head.length {
            Some(length) if length != bytes => {
                Err(Failure::length(format!("Content-Length says {length} bytes, Content-Range {bytes}")))
            }
            _ => Ok(Self { declared: Some(bytes), come: 0 }),
        }
    }

    /// Bytes that must come, if the answer says.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Bytes that have come.
    pub(super) fn come(&self) -> u64 {
        self.come
    }

    /// Counts more bytes, which must still be due.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.come += bytes as u64;
        match self.declared {
            Some(declared) if self.come > declared => Err(self.too_long()),
            _ => Ok(()),
        }
    }

    /// The body ended well: all that was declared must have come.
    pub(super) fn end(&self) -> Result<(), Failure> {
        match self.declared {
            Some(declared) if self.come < declared => {
                Err(Failure::length(format!("the body ended after {} of {declared} bytes", self.come)))
            }
            _ => Ok(()),
        }
    }

    /// The failure of a body that goes on.
    pub(super) fn too_long(&self) -> Failure {
        Failure::length(format!("the body goes on after its {} bytes", self.declared.unwrap_or(self.come)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&'static str, &str)]) -> Result<Head, Failure> {
        let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        Head::new(StatusCode::from_u16(status).unwrap(), fields.collect(), Instant::now())
    }

    fn trouble(get: &Get<'_>, status: u16, fields: &[(&'static str, &str)]) -> Option<Trouble> {
        head(status, fields).and_then(|head| Account::open(get, &head)).err().map(|failure| failure.trouble)
    }

    #[test]
    fn a_range_must_be_the_one_that_was_asked_for() {
        let get = Get { target: "/a", range: Some((100, 199)), fields: &[] };
        let ranged = |range: &str| trouble(&get, 206, &[("content-range", range)]);
        assert_eq!(ranged("bytes 100-199/1000"), None);
        assert_eq!(ranged("bytes 100-199/*"), None);
        assert_eq!(ranged("bytes 100-149/150"), None, "an object that ends there");
        for wrong in ["bytes 0-99/1000", "bytes 100-198/1000", "bytes 100-200/1000", "bytes 101-199/1000"] {
            assert_eq!(ranged(wrong), Some(Trouble::Protocol), "{wrong}");
        }
        for bad in ["bytes 100-199", "items 100-199/1000", "bytes 100-199/150", "bytes +100-199/1000", "bytes */1000"] {
            assert_eq!(ranged(bad), Some(Trouble::Protocol), "{bad}");
        }
        assert_eq!(trouble(&get, 206, &[]), Some(Trouble::Protocol));
        assert_eq!(trouble(&get, 200, &[]), None, "a server may send all of it");
        assert_eq!(
            trouble(&Get { range: None, ..get }, 206, &[("content-range", "bytes 0-1/2")]),
            Some(Trouble::Protocol)
        );
    }

    #[test]
    fn lengths_must_agree() {
        let get = Get { target: "/a", range: Some((0, 9)), fields: &[] };
        let both = |length: &str| trouble(&get, 206, &[("content-range", "bytes 0-9/20"), ("content-length", length)]);
        assert_eq!(both("10"), None);
        assert_eq!(both("11"), Some(Trouble::Length));
        assert_eq!(both("+10"), Some(Trouble::Protocol));
        assert_eq!(trouble(&get, 200, &[("content-length", "5"), ("content-length", "6")]), Some(Trouble::Protocol));
        assert_eq!(trouble(&get, 200, &[("content-length", "5"), ("content-length", "5")]), None);
        assert_eq!(trouble(&get, 302, &[("location", "/b")]), Some(Trouble::Refused));
    }

    #[test]
    fn an_account_tells_too_few_and_too_many() {
        let get = Get { target: "/a", ..Get::default() };
        let mut account = Account::open(&get, &head(200, &[("content-length", "10")]).unwrap()).unwrap();
        account.take(9).unwrap();
        assert_eq!(account.end().unwrap_err().trouble, Trouble::Length);
        account.take(1).unwrap();
        account.end().unwrap();
        assert_eq!(account.take(1).unwrap_err().trouble, Trouble::Length);
    }

    #[test]
    fn what_cannot_be_a_request_is_our_own_fault() {
        let long = Get { target: "/a b", ..Get::default() };
        let field = Get { target: "/a", fields: &[("cmcd-request", "bl=1\r\nhost: x")], ..Get::default() };
        let range = Get { target: "/a", range: Some((2, 1)), ..Get::default() };
        for get in [long, field, range] {
            assert_eq!(get.check().unwrap_err().trouble, Trouble::Ourselves, "{get:?}");
        }
    }
}
