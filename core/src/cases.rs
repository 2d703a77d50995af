//! The table of range and conditional cases, `core/cases/http.tsv`, as data and as a judge.
//!
//! The table is the contract that this crate's rules and every protocol's doors are held to.
//! [`table`] reads it; [`Case::request`] fills in a server's own validators; [`Case::check`]
//! judges what came back. How a request travels is the caller's business. The file explains
//! its own form, so that tests in other languages can read it too.

use crate::etag::EntityTag;
use crate::range::{ByteRange, ContentRange};
use crate::time::UnixSeconds;
use crate::{Method, Validators};

const TABLE: &str = include_str!("../cases/http.tsv");

/// Everything in the table.
#[derive(Debug, Clone)]
pub struct Table {
    /// What the cases ask for.
    pub objects: Vec<Object>,
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
}

/// An object with bytes that can be computed anywhere.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its name in the table.
    pub name: &'static str,
    /// Its length in bytes.
    pub len: u64,
    /// The validators it has in the table; a real server may have others, of the same strength.
    pub validators: Validators,
    /// Its Content-Type.
    pub content_type: &'static str,
}

/// One case: a request and what it must get.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique.
    pub name: &'static str,
    /// The name of the object asked for.
    pub object: &'static str,
    /// GET or HEAD.
    pub method: Method,
    /// The status to be got.
    pub status: u16,
    /// The body to be got.
    pub body: ExpectedBody,
    request: Vec<(&'static str, String)>,
    expected: Vec<(&'static str, String)>,
}

/// The body that a case expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedBody {
    /// All of the object.
    Full,
    /// No byte.
    Empty,
    /// These bytes of the object.
    Range(ByteRange),
    /// multipart/byteranges with these parts, in this order.
    Parts(Vec<ByteRange>),
}

/// What a server answered, for [`Case::check`].
#[derive(Debug, Clone)]
pub struct Received {
    /// The status.
    pub status: u16,
    /// The fields, in any case and order.
    pub fields: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Received {
    fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.as_str())
    }
}

/// Byte `index` of every object of the table.
pub fn byte_at(index: u64) -> u8 {
    (index.wrapping_mul(7).wrapping_add(index / 256 * 13).wrapping_add(index / 65536 * 101) % 256) as u8
}

impl Object {
    /// These bytes of the object.
    pub fn bytes(&self, range: ByteRange) -> Vec<u8> {
        (range.start()..range.end().min(self.len)).map(byte_at).collect()
    }

    /// All of the object.
    pub fn all_bytes(&self) -> Vec<u8> {
        (0..self.len).map(byte_at).collect()
    }
}

impl Table {
    /// The object of that name.
    ///
    /// # Panics
    /// If the table has none: it is checked by this crate's tests.
    pub fn object(&self, name: &str) -> &Object {
        self.objects.iter().find(|object| object.name == name).expect("cases name objects of the table")
    }
}

/// Reads the table.
///
/// # Panics
/// If the file is not in its form, which this crate's tests prove it is.
pub fn table() -> Table {
    let mut objects = Vec::new();
    let mut cases = Vec::new();
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let columns: Vec<&'static str> = line.split('\t').collect();
        match columns[..] {
            ["@object", name, len, etag, modified, content_type] => {
                objects.push(parse_object(name, len, etag, modified, content_type));
            }
            ["name", "object", ..] => {}
            [name, object, method, request, status, expected, body] => cases.push(Case {
                name,
                object,
                method: parse_method(method),
                status: status.parse().expect("a status is a number"),
                body: parse_body(body),
                request: parse_fields(request),
                expected: parse_fields(expected),
            }),
            _ => panic!("the table of cases has a line of another form: {line}"),
        }
    }
    Table { objects, cases }
}

/// The cases alone.
pub fn cases() -> Vec<Case> {
    table().cases
}

fn parse_object(name: &'static str, len: &str, etag: &str, modified: &str, content_type: &'static str) -> Object {
    let validators = Validators { etag: EntityTag::parse(etag), last_modified: UnixSeconds::parse_http(modified) };
    assert!(validators.etag.is_some() || etag == "-", "not an entity tag: {etag}");
    assert!(validators.last_modified.is_some() || modified == "-", "not a date: {modified}");
    Object { name, len: len.parse().expect("a length is a number"), validators, content_type }
}

fn parse_method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        other => panic!("the table of cases knows no method {other}"),
    }
}

fn parse_fields(text: &'static str) -> Vec<(&'static str, String)> {
    let fields = text.split('|').filter(|field| *field != "-");
    fields
        .map(|field| {
            let (name, value) = field.split_once(": ").expect("fields are `Name: value`");
            (name, value.replace("\\t", "\t"))
        })
        .collect()
}

fn parse_body(text: &str) -> ExpectedBody {
    match text {
        "full" => ExpectedBody::Full,
        "empty" => ExpectedBody::Empty,
        other => match other.strip_prefix("parts ") {
            Some(parts) => ExpectedBody::Parts(parts.split(' ').map(parse_range).collect()),
            None => ExpectedBody::Range(parse_range(other)),
        },
    }
}

fn parse_range(text: &str) -> ByteRange {
    let (first, last) = text.split_once('-').expect("a range is FIRST-LAST");
    let number = |digits: &str| digits.parse::<u64>().expect("a range is of numbers");
    ByteRange::new(number(first), number(last) + 1).expect("a range of the table is not empty")
}

impl Case {
    /// The fields to send, for an object that has these validators. For one without
    /// Last-Modified, `modified_instead` stands in the dates.
    pub fn request(&self, validators: &Validators, modified_instead: UnixSeconds) -> Vec<(&'static str, String)> {
        let filled = |(name, value): &(&'static str, String)| (*name, fill(value, validators, modified_instead));
        self.request.iter().map(filled).collect()
    }

    /// Whether that is the answer this case demands, of a server whose copy of `object` has
    /// these validators; otherwise what is wrong with it.
    pub fn check(&self, received: &Received, object: &Object, validators: &Validators) -> Result<(), String> {
        if received.status != self.status {
            return Err(format!("status {} instead of {}", received.status, self.status));
        }
        for (name, template) in &self.expected {
            let expected = fill(template, validators, UnixSeconds::default());
            check_field(name, &expected, received.field(name))?;
        }
        match &self.body {
            ExpectedBody::Empty => check_bytes(&[], &received.body),
            ExpectedBody::Full => check_bytes(&object.all_bytes(), &received.body),
            ExpectedBody::Range(range) => check_bytes(&object.bytes(*range), &received.body),
            ExpectedBody::Parts(parts) => check_parts(parts, received, object),
        }
    }
}

fn check_field(name: &str, expected: &str, found: Option<&str>) -> Result<(), String> {
    let fits = match (expected, found) {
        ("!", found) => found.is_none(),
        (_, None) => false,
        (expected, Some(found)) => match expected.strip_suffix('*') {
            Some(beginning) => found.starts_with(beginning),
            None => found == expected,
        },
    };
    if fits { Ok(()) } else { Err(format!("{name} is {found:?} instead of {expected:?}")) }
}

fn check_bytes(expected: &[u8], found: &[u8]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let same = expected.iter().zip(found).take_while(|(left, right)| left == right).count();
    let (wanted, got) = (expected.len(), found.len());
    Err(format!("the body has {got} bytes instead of {wanted} and differs from byte {same} on"))
}

/// Reads the body by its boundary (RFC 2046, 5.1) and the lengths in its Content-Ranges, and
/// holds every part against the object.
fn check_parts(parts: &[ByteRange], received: &Received, object: &Object) -> Result<(), String> {
    let content_type = received.field("content-type").unwrap_or("");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").ok_or("no boundary")?;
    let told = received.field("content-length").and_then(|text| text.parse().ok());
    if told.is_some_and(|bytes: usize| bytes != received.body.len()) {
        return Err(format!("Content-Length {told:?} for {} bytes", received.body.len()));
    }
    let mut rest = &received.body[..];
    for (index, part) in parts.iter().enumerate() {
        let delimiter = format!("{}--{boundary}\r\n", if index == 0 { "" } else { "\r\n" });
        rest = rest.strip_prefix(delimiter.as_bytes()).ok_or(format!("no delimiter in front of part {index}"))?;
        rest = check_part(*part, rest, object).map_err(|wrong| format!("part {index}: {wrong}"))?;
    }
    match rest == format!("\r\n--{boundary}--\r\n").as_bytes() {
        true => Ok(()),
        false => Err(format!("{} bytes behind the last part are not the end", rest.len())),
    }
}

/// The head and the bytes of one part; gives back what follows.
fn check_part<'a>(part: ByteRange, text: &'a [u8], object: &Object) -> Result<&'a [u8], String> {
    let end = text.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end of its head")?;
    let (head, body) = (&text[..end], &text[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| "a head that is no text")?;
    let field = |name: &str| {
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let placed = field("content-range").and_then(ContentRange::parse);
    if placed != Some(ContentRange::Part { range: part, len: object.len }) {
        return Err(format!("Content-Range is {placed:?} instead of {part:?}"));
    }
    if field("content-type") != Some(object.content_type) {
        return Err(format!("Content-Type is {:?}", field("content-type")));
    }
    let (bytes, rest) = body.split_at_checked(part.len() as usize).ok_or("cut short")?;
    check_bytes(&object.bytes(part), bytes)?;
    Ok(rest)
}

/// The text with the entity tag and the dates that its marks name.
fn fill(template: &str, validators: &Validators, modified_instead: UnixSeconds) -> String {
    let etag = validators.etag.as_ref().map(ToString::to_string).unwrap_or_default();
    let modified = validators.last_modified.unwrap_or(modified_instead);
    let mut text = template.replace("{etag}", &etag);
    while let Some((before, mark, behind)) = find_date(&text) {
        text = format!("{before}{}{behind}", date(mark, modified));
    }
    text
}

/// What stands before, inside of, and behind the first `{lm...}`.
fn find_date(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{lm")?;
    let (mark, behind) = rest.split_once('}')?;
    Some((before, mark, behind))
}

fn date(mark: &str, modified: UnixSeconds) -> String {
    let seconds = |digits: &str| digits.parse::<u64>().expect("a shift is in seconds");
    match mark.split_at_checked(1) {
        None => modified.to_http(),
        Some(("+", digits)) => modified.plus(seconds(digits)).to_http(),
        Some(("-", digits)) => modified.minus(seconds(digits)).to_http(),
        Some((":", "rfc850")) => obsolete_date(modified, |part| {
            format!("{}, {}-{}-{} {} GMT", long_day(part.day_name), part.day, part.month, &part.year[2..], part.time)
        }),
        Some((":", "asctime")) => obsolete_date(modified, |part| {
            let day = part.day.trim_start_matches('0');
            format!("{} {} {day:>2} {} {}", part.day_name, part.month, part.time, part.year)
        }),
        Some(_) => panic!("the table of cases knows no mark {{lm{mark}}}"),
    }
}

/// The pieces of an IMF-fixdate.
struct DateParts<'a> {
    day_name: &'a str,
    day: &'a str,
    month: &'a str,
    year: &'a str,
    time: &'a str,
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` put together in another way.
fn obsolete_date(moment: UnixSeconds, write: impl Fn(DateParts<'_>) -> String) -> String {
    let text = moment.to_http();
    write(DateParts {
        day_name: &text[..3],
        day: &text[5..7],
        month: &text[8..11],
        year: &text[12..16],
        time: &text[17..25],
    })
}

fn long_day(short: &str) -> &'static str {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    days.into_iter().find(|day| day.starts_with(short)).expect("a day of the week")
}

#[cfg(test)]
mod tests;
