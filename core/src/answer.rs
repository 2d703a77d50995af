//! How an [`Outcome`] looks on the wire: status, fields, and the body as a recipe.
//!
//! The body is a list of segments, literal bytes and ranges of the object, so the shells
//! can send it from wherever the bytes are. Nothing here depends on the protocol, on time
//! or on chance: the same request gets the same bytes over h1, h2 and h3, from any node.

use sha2::{Digest, Sha256};

use crate::decide::{Method, Outcome, Validators};
use crate::range::ByteRange;

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Literal(Vec<u8>),
    /// These bytes of the object.
    Range(ByteRange),
}

impl Segment {
    /// How many bytes this is on the wire.
    pub fn len(&self) -> u64 {
        match self {
            Segment::Literal(bytes) => bytes.len() as u64,
            Segment::Range(range) => range.len(),
        }
    }

    /// Whether it is no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An answer about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status: 200, 206, 304, 412 or 416.
    pub status: u16,
    /// Content-Length: for HEAD what GET would send, absent with 304.
    pub content_length: Option<u64>,
    /// Content-Type, where there is content.
    pub content_type: Option<String>,
    /// Content-Range of a single part or of a 416.
    pub content_range: Option<String>,
    /// What to send, in order; empty for HEAD.
    pub body: Vec<Segment>,
}

impl Answer {
    /// Every field that this answer has by these rules, names in lower case. The shells add
    /// what is theirs: caching, tracing, CORS, the date.
    pub fn fields(&self, validators: &Validators) -> Vec<(&'static str, String)> {
        let mut fields = vec![("accept-ranges", "bytes".to_owned())];
        let mut add = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
        add("etag", validators.etag.as_ref().map(ToString::to_string));
        add("last-modified", validators.last_modified.map(|moment| moment.to_http()));
        add("content-type", self.content_type.clone());
        add("content-range", self.content_range.clone());
        add("content-length", self.content_length.map(|bytes| bytes.to_string()));
        fields
    }

    /// The bytes of the body on the wire; equals Content-Length unless it is an answer to HEAD or a 304.
    pub fn body_bytes(&self) -> u64 {
        self.body.iter().map(Segment::len).sum()
    }
}

/// Writes an outcome down for an object of `len` bytes.
pub fn answer(method: Method, outcome: &Outcome, len: u64, content_type: &str, validators: &Validators) -> Answer {
    let content = match outcome {
        Outcome::Full => full(len, content_type),
        Outcome::Partial(range) => partial(*range, len, content_type),
        Outcome::Multipart(parts) => multipart(parts, len, content_type, validators),
        // RFC 9110, 15.4.5: no content; a Content-Length would speak of the 200.
        Outcome::NotModified => {
            Answer { status: 304, content_length: None, content_type: None, content_range: None, body: Vec::new() }
        }
        Outcome::PreconditionFailed => empty(412, None),
        Outcome::Unsatisfiable => empty(416, Some(format!("bytes */{len}"))),
    };
    match method {
        Method::Get => content,
        Method::Head => Answer { body: Vec::new(), ..content },
    }
}

fn full(len: u64, content_type: &str) -> Answer {
    Answer {
        status: 200,
        content_length: Some(len),
        content_type: Some(content_type.to_owned()),
        content_range: None,
        body: ByteRange::whole(len).map(Segment::Range).into_iter().collect(),
    }
}

fn partial(range: ByteRange, len: u64, content_type: &str) -> Answer {
    Answer {
        status: 206,
        content_length: Some(range.len()),
        content_type: Some(content_type.to_owned()),
        content_range: Some(range.to_content_range(len)),
        body: vec![Segment::Range(range)],
    }
}

/// RFC 9110, 15.3.7.2, in the form of RFC 2046, 5.1: no Content-Range outside of the parts.
fn multipart(parts: &[ByteRange], len: u64, content_type: &str, validators: &Validators) -> Answer {
    let boundary = boundary(parts, len, validators);
    let mut body = Vec::with_capacity(parts.len() * 2 + 1);
    for (index, part) in parts.iter().enumerate() {
        let line_end = if index == 0 { "" } else { "\r\n" };
        let content_range = part.to_content_range(len);
        let head =
            format!("{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n");
        body.push(Segment::Literal(head.into_bytes()));
        body.push(Segment::Range(*part));
    }
    body.push(Segment::Literal(format!("\r\n--{boundary}--\r\n").into_bytes()));
    Answer {
        status: 206,
        content_length: Some(body.iter().map(Segment::len).sum()),
        content_type: Some(format!("multipart/byteranges; boundary={boundary}")),
        content_range: None,
        body,
    }
}

fn empty(status: u16, content_range: Option<String>) -> Answer {
    Answer { status, content_length: Some(0), content_type: None, content_range, body: Vec::new() }
}

/// The same for the same parts of the same version, on every node and protocol. 128 bits of
/// a digest that covers the entity tag do not turn up inside the object by chance.
fn boundary(parts: &[ByteRange], len: u64, validators: &Validators) -> String {
    let mut digest = Sha256::new();
    digest.update(b"needledrop multipart boundary 1\0");
    if let Some(etag) = &validators.etag {
        digest.update(etag.to_string());
    }
    digest.update(b"\0");
    digest.update(len.to_be_bytes());
    for part in parts {
        digest.update(part.start().to_be_bytes());
        digest.update(part.end().to_be_bytes());
    }
    digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Conditions, decide};
    use crate::etag::EntityTag;
    use crate::time::UnixSeconds;
    use proptest::prelude::*;

    fn validators() -> Validators {
        Validators { etag: Some(EntityTag::strong("v1")), last_modified: Some(UnixSeconds(784_111_777)) }
    }

    fn ask(range: &str, len: u64) -> Answer {
        let conditions = Conditions { range: Some(range), ..Conditions::plain(Method::Get) };
        let outcome = decide(&conditions, len, &validators(), UnixSeconds(1_000_000_000));
        answer(Method::Get, &outcome, len, "audio/ogg", &validators())
    }

    fn text_of(answer: &Answer) -> String {
        let piece = |segment: &Segment| match segment {
            Segment::Literal(bytes) => String::from_utf8(bytes.clone()).expect("our own text"),
            Segment::Range(range) => format!("<{}-{}>", range.start(), range.last()),
        };
        answer.body.iter().map(piece).collect()
    }

    #[test]
    fn a_multipart_body_is_written_as_rfc_2046_draws_it() {
        let answer = ask("bytes=0-1,50-59", 100);
        let content_type = answer.content_type.clone().expect("there is content");
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("the form");
        assert_eq!(boundary.len(), 32);
        assert_eq!(
            text_of(&answer),
            format!(
                "--{boundary}\r\nContent-Type: audio/ogg\r\nContent-Range: bytes 0-1/100\r\n\r\n<0-1>\r\n\
                 --{boundary}\r\nContent-Type: audio/ogg\r\nContent-Range: bytes 50-59/100\r\n\r\n<50-59>\r\n\
                 --{boundary}--\r\n"
            )
        );
        assert_eq!(answer.content_range, None);
    }

    #[test]
    fn the_boundary_depends_on_the_version_and_the_parts_and_nothing_else() {
        let one = ask("bytes=0-1,50-59", 100);
        assert_eq!(one, ask("bytes=0-1, 50-59", 100));
        assert_ne!(one.content_type, ask("bytes=0-1,50-58", 100).content_type);
        assert_ne!(one.content_type, ask("bytes=0-1,50-59", 101).content_type);
    }

    #[test]
    fn head_has_the_length_of_get_and_no_body() {
        let answer = answer(Method::Head, &Outcome::Full, 100, "audio/ogg", &validators());
        assert_eq!((answer.status, answer.content_length, answer.body.len()), (200, Some(100), 0));
    }

    #[test]
    fn an_empty_object_is_an_empty_body_with_its_length() {
        let answer = answer(Method::Get, &Outcome::Full, 0, "audio/ogg", &validators());
        assert_eq!((answer.status, answer.content_length, answer.body.len()), (200, Some(0), 0));
    }

    #[test]
    fn not_modified_says_nothing_about_content() {
        let answer = answer(Method::Get, &Outcome::NotModified, 100, "audio/ogg", &validators());
        let names: Vec<_> = answer.fields(&validators()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["accept-ranges", "etag", "last-modified"]);
    }

    proptest! {
        #[test]
        fn the_body_is_always_as_long_as_it_says(specs in prop::collection::vec((0u64..3000, 0u64..200), 1..12), len in 0u64..2500) {
            let members: Vec<String> = specs.iter().map(|(first, size)| format!("{first}-{}", first + size)).collect();
            let answer = ask(&format!("bytes={}", members.join(",")), len);
            prop_assert_eq!(answer.content_length, Some(answer.body_bytes()));
            let of_object: u64 = answer.body.iter().map(|segment| match segment {
                Segment::Range(range) => range.len(),
                Segment::Literal(_) => 0,
            }).sum();
            prop_assert!(of_object <= len);
        }
    }
}
