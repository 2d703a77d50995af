//! Range and conditional fields against what they promise: parts lie inside of the object and
//! never touch, they hold exactly the bytes that some member asks for, bodies are as long as
//! they say, and Content-Range survives its own text.
//!
//! Input: eight bytes of object length, then up to six fields, one a line: Range, If-Range,
//! If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since. A line of `-` is no field.

#![no_main]

use libfuzzer_sys::fuzz_target;
use needledrop_core::range::{ContentRange, PARTS_MAX, RangeRequest, RangeSpec, Resolved, SPECS_MAX};
use needledrop_core::{
    Answer, ByteRange, Conditions, EntityTag, Method, Outcome, Segment, UnixSeconds, Validators, answer, decide,
};

const MODIFIED: UnixSeconds = UnixSeconds(784_111_777);

fuzz_target!(|data: &[u8]| {
    let Some((length, text)) = data.split_first_chunk::<8>() else { return };
    let len = u64::from_le_bytes(*length);
    let text = String::from_utf8_lossy(text);
    let fields: Vec<Option<&str>> = text.splitn(6, '\n').map(|field| (field != "-").then_some(field)).collect();

    if let Some(field) = fields.first().copied().flatten() {
        check_range(field, len);
        check_content_range(field);
    }
    check_answer(&fields, len);
});

fn check_range(field: &str, len: u64) {
    let Some(request) = RangeRequest::parse(field) else { return };
    let specs = request.specs();
    assert!((1..=SPECS_MAX).contains(&specs.len()));
    // What was read means the same when it is written again in its plainest form.
    let plain: Vec<String> = specs.iter().map(written).collect();
    assert_eq!(RangeRequest::parse(&format!("bytes={}", plain.join(","))).as_ref(), Some(&request));

    match request.resolve(len) {
        Resolved::Ignored => {}
        Resolved::Unsatisfiable => assert!(interesting(&[], specs, len).all(|position| !asked(specs, position, len))),
        Resolved::Parts(parts) => {
            assert!((1..=PARTS_MAX).contains(&parts.len()));
            for position in interesting(&parts, specs, len) {
                let holders = parts.iter().filter(|part| part.start() <= position && position < part.end()).count();
                assert_eq!(holders, usize::from(asked(specs, position, len)), "byte {position}");
            }
            for (index, part) in parts.iter().enumerate() {
                assert!(part.end() <= len);
                let touches = |other: &ByteRange| part.start() <= other.end() && other.start() <= part.end();
                assert!(!parts[..index].iter().any(touches));
            }
        }
    }
}

fn written(spec: &RangeSpec) -> String {
    match spec {
        RangeSpec::From(first) => format!("{first}-"),
        RangeSpec::Between(first, last) => format!("{first}-{last}"),
        RangeSpec::Suffix(count) => format!("-{count}"),
    }
}

/// Whether some member asks for this byte: the definition, without any of the cleverness.
fn asked(specs: &[RangeSpec], position: u64, len: u64) -> bool {
    specs.iter().any(|spec| match *spec {
        RangeSpec::From(first) => first <= position,
        RangeSpec::Between(first, last) => first <= position && position <= last,
        RangeSpec::Suffix(count) => u128::from(position) + u128::from(count) >= u128::from(len),
    })
}

/// Bytes of the object next to every border there is.
fn interesting(parts: &[ByteRange], specs: &[RangeSpec], len: u64) -> impl Iterator<Item = u64> {
    let mut borders = vec![0, len];
    borders.extend(parts.iter().flat_map(|part| [part.start(), part.end()]));
    for spec in specs {
        match *spec {
            RangeSpec::From(first) => borders.push(first),
            RangeSpec::Between(first, last) => borders.extend([first, last]),
            RangeSpec::Suffix(count) => borders.push(len.saturating_sub(count)),
        }
    }
    let around = |border: u64| [border.saturating_sub(1), border, border.saturating_add(1)];
    borders.into_iter().flat_map(around).filter(move |position| *position < len)
}

fn check_content_range(field: &str) {
    let Some(read) = ContentRange::parse(field) else { return };
    assert_eq!(ContentRange::parse(&read.to_string()), Some(read));
    if let ContentRange::Part { range, len } = read {
        assert!(range.end() <= len);
    }
}

fn check_answer(fields: &[Option<&str>], len: u64) {
    let field = |index: usize| fields.get(index).copied().flatten();
    let validators = Validators { etag: Some(EntityTag::strong("v1")), last_modified: Some(MODIFIED) };
    for method in [Method::Get, Method::Head] {
        let conditions = Conditions {
            method,
            range: field(0),
            if_range: field(1),
            if_match: field(2),
            if_none_match: field(3),
            if_modified_since: field(4),
            if_unmodified_since: field(5),
        };
        let outcome = decide(&conditions, len, &validators, MODIFIED.plus(60));
        let answer = answer(method, &outcome, len, "audio/ogg", &validators);
        match method {
            Method::Get if answer.status != 304 => assert_eq!(answer.content_length, Some(answer.body_bytes())),
            Method::Get => assert!(answer.body.is_empty() && answer.content_length.is_none()),
            Method::Head => assert!(answer.body.is_empty() && !matches!(answer.status, 206 | 416)),
        }
        check_body(&outcome, &answer, len);
    }
}

/// Every range of the body is announced, in the fields or in the head of its part.
fn check_body(outcome: &Outcome, answer: &Answer, len: u64) {
    let mut announced = answer.content_range.clone();
    for segment in &answer.body {
        match segment {
            Segment::Literal(bytes) => {
                let head = std::str::from_utf8(bytes).expect("heads of parts are text");
                announced = head.lines().find_map(|line| line.strip_prefix("Content-Range: ")).map(str::to_owned);
            }
            Segment::Range(range) if *outcome == Outcome::Full => assert_eq!(Some(*range), ByteRange::whole(len)),
            Segment::Range(range) => {
                let told = announced.take().expect("a part is announced");
                assert_eq!(ContentRange::parse(&told), Some(ContentRange::Part { range: *range, len }));
            }
        }
    }
}
