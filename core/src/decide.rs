//! What a GET or HEAD for an object gets: the whole, parts, or none of it, and why.
//!
//! Origin and edge ask the same function, so they cannot disagree. It knows lengths and
//! validators, never bytes; [`answer`](crate::answer::answer) writes the outcome down.

use crate::etag::EntityTag;
use crate::precondition::{self, Precondition};
use crate::range::{ByteRange, RangeRequest, Resolved};
use crate::time::UnixSeconds;

/// The methods that objects know. Everything else is 405 before it comes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
}

/// What a request says about ranges and versions, fields as they came. A field that came
/// in several lines is joined with `", "` by the shell (RFC 9110, 5.3).
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// The method.
    pub method: Method,
    /// Range.
    pub range: Option<&'a str>,
    /// If-Range.
    pub if_range: Option<&'a str>,
    /// If-Match.
    pub if_match: Option<&'a str>,
    /// If-None-Match.
    pub if_none_match: Option<&'a str>,
    /// If-Modified-Since.
    pub if_modified_since: Option<&'a str>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<&'a str>,
}

impl Conditions<'_> {
    /// A request without ranges or conditions.
    pub fn plain(method: Method) -> Self {
        Self {
            method,
            range: None,
            if_range: None,
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
        }
    }
}

/// What names the version of an object that is being served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    /// Its entity tag; ours are strong.
    pub etag: Option<EntityTag>,
    /// Last-Modified.
    pub last_modified: Option<UnixSeconds>,
}

/// What the request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 200: all of it.
    Full,
    /// 206: one part.
    Partial(ByteRange),
    /// 206 as multipart/byteranges: 2 to 8 parts, in this order, none touching another.
    Multipart(Vec<ByteRange>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// Decides for an object of `len` bytes, in the order of RFC 9110, 13.2.2.
pub fn decide(conditions: &Conditions<'_>, len: u64, validators: &Validators, now: UnixSeconds) -> Outcome {
    match precondition::evaluate(conditions, validators) {
        Precondition::Failed => return Outcome::PreconditionFailed,
        Precondition::NotModified => return Outcome::NotModified,
        Precondition::Passed => {}
    }
    // RFC 9110, 14.2: Range is defined for GET alone; If-Range without Range is ignored.
    let Some(field) = conditions.range.filter(|_| conditions.method == Method::Get) else {
        return Outcome::Full;
    };
    if !precondition::range_allowed(conditions.if_range, validators, now) {
        return Outcome::Full;
    }
    let Some(request) = RangeRequest::parse(field) else {
        return Outcome::Full;
    };
    match request.resolve(len) {
        Resolved::Ignored => Outcome::Full,
        Resolved::Unsatisfiable => Outcome::Unsatisfiable,
        Resolved::Parts(parts) => match parts[..] {
            [part] => Outcome::Partial(part),
            _ => Outcome::Multipart(parts),
        },
    }
}
