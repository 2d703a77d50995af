//! From the fields of an answer to what the edge may believe of an object.
//!
//! Everything here is about one answer; whom it came from is unknown here.

use http::{HeaderMap, header};
use needledrop_core::{
    ByteRange, EntityTag, ObjectPath, UnixSeconds, Validators,
    block::OBJECT_BYTES_MAX,
    content_type_for,
    freshness::{Directives, Exchange, Statement, judge},
    range::ContentRange,
};

use crate::{
    error::FillError,
    limits::{TAG_BYTES_MAX, TAGS_MAX},
    object::{Freshness, Stale},
};

/// What a successful answer says of the object.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The object's whole length in bytes.
    pub len: u64,
    /// Where the body of this answer starts in the object.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Strong validators of the version.
    pub validators: Validators,
    /// Media type.
    pub content_type: String,
    /// For how long it may be reused.
    pub freshness: Freshness,
    /// What it belongs to, such as its album and artist (`Cache-Tag`): purged together.
    pub tags: Vec<String>,
}

impl Facts {
    /// Whether this answer is of the version that has `validators`.
    pub fn is_same_version(&self, validators: &Validators) -> bool {
        match (&self.validators.etag, &validators.etag) {
            (Some(here), Some(there)) => here.strong_eq(there),
            (None, None) => self.validators.last_modified == validators.last_modified,
            _ => false,
        }
    }
}

/// A 206 must start where we asked, must not go beyond it, and must know the whole length.
pub(super) fn partial_span(headers: &HeaderMap, asked: ByteRange) -> Result<(u64, u64, u64), FillError> {
    let value = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let Some(ContentRange::Part { range, len }) = value.and_then(ContentRange::parse) else {
        return Err(FillError::Nonsense("206 without a usable Content-Range"));
    };
    if range.start() != asked.start() || range.end() != asked.end().min(len) {
        return Err(FillError::Nonsense("206 of another range than asked for"));
    }
    if content_length(headers).is_some_and(|length| length != range.len()) {
        return Err(FillError::Nonsense("Content-Length and Content-Range disagree"));
    }
    Ok((range.start(), range.end(), len))
}

/// `None`: without a strong validator, with a coding, or forbidden to store, an object
/// cannot be cached in pieces.
pub(super) fn facts(
    path: &ObjectPath,
    headers: &HeaderMap,
    start: u64,
    end: u64,
    len: u64,
    now: UnixSeconds,
) -> Option<Facts> {
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if coded || len > OBJECT_BYTES_MAX {
        return None;
    }
    let validators = strong_validators(headers)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| content_type_for(path).to_owned(), str::to_owned);
    Some(Facts {
        len,
        start,
        end,
        validators,
        content_type,
        freshness: freshness_of(headers, now)?,
        tags: tags(headers),
    })
}

/// Pieces of two answers may be put together only under a strong validator (RFC 9110
/// section 13.3.4, 15.3.7.3): a strong ETag, or a Last-Modified that is at least a minute
/// older than the answer (section 8.8.2.2).
fn strong_validators(headers: &HeaderMap) -> Option<Validators> {
    let last_modified = date(headers, &header::LAST_MODIFIED);
    if let Some(value) = headers.get(header::ETAG) {
        let etag = value.to_str().ok().and_then(EntityTag::parse)?;
        return (!etag.is_weak()).then_some(Validators { etag: Some(etag), last_modified });
    }
    let modified = last_modified?;
    let answered = date(headers, &header::DATE)?;
    (modified.0 + 60 <= answered.0).then_some(Validators { etag: None, last_modified })
}

/// `None`: it must not be stored. The time upstream took is not counted into the Age: it is
/// bounded by the client's timeouts to a few seconds, and the objects live for long.
pub(super) fn freshness_of(headers: &HeaderMap, now: UnixSeconds) -> Option<Freshness> {
    let joined = |name| {
        let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    let (cache_control, expires) = (joined(header::CACHE_CONTROL), joined(header::EXPIRES));
    let (age, date, vary) = (joined(header::AGE), joined(header::DATE), joined(header::VARY));
    let statement = Statement {
        status: 200,
        cache_control: cache_control.as_deref(),
        expires: expires.as_deref(),
        age: age.as_deref(),
        date: date.as_deref(),
        vary: vary.as_deref(),
    };
    let storage = judge(&statement, Exchange { requested: now, answered: now });
    storage.store.then_some(Freshness {
        fresh_until: storage.fresh_until,
        born: now.minus(storage.initial_age_s),
        immutable: storage.immutable,
        stale: match storage.must_revalidate {
            true => Stale::default(),
            false => {
                let stated = Directives::parse(cache_control.as_deref().unwrap_or(""));
                Stale {
                    while_revalidating_s: storage.stale_while_revalidate_s,
                    if_error_s: stated.stale_if_error.map(|_| storage.stale_if_error_s),
                }
            }
        },
    })
}

/// The words of all `Cache-Tag` lines, separated by commas or spaces as origins write them. Beyond the
/// limits they are left out: such an object is then reached by path and prefix only.
fn tags(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all("cache-tag").iter().filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|word| !word.is_empty());
    words.filter(|word| word.len() <= TAG_BYTES_MAX).take(TAGS_MAX).map(str::to_owned).collect()
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<UnixSeconds> {
    UnixSeconds::parse_http(headers.get(name)?.to_str().ok()?)
}
