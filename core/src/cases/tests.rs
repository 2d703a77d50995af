//! The table against the rules of this crate, and the judge against wrong answers.

use super::*;
use crate::answer::{Answer, Segment, answer};
use crate::decide::{Conditions, decide};
use std::collections::BTreeSet;

/// A day after everything in the table was modified.
const NOW: UnixSeconds = UnixSeconds(784_111_777 + 86_400);

fn modified_of_tone(table: &Table) -> UnixSeconds {
    table.object("tone").validators.last_modified.expect("tone has a date")
}

/// The fields of one name joined as the shells join them.
fn joined(request: &[(&'static str, String)], name: &str) -> Option<String> {
    let values: Vec<&str> =
        request.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// A server that is nothing but the rules.
fn serve(case: &Case, object: &Object, request: &[(&'static str, String)]) -> Received {
    let field = |name| joined(request, name);
    let (range, if_range) = (field("range"), field("if-range"));
    let (if_match, if_none_match) = (field("if-match"), field("if-none-match"));
    let (since, unmodified) = (field("if-modified-since"), field("if-unmodified-since"));
    let conditions = Conditions {
        method: case.method,
        range: range.as_deref(),
        if_range: if_range.as_deref(),
        if_match: if_match.as_deref(),
        if_none_match: if_none_match.as_deref(),
        if_modified_since: since.as_deref(),
        if_unmodified_since: unmodified.as_deref(),
    };
    let outcome = decide(&conditions, object.len, &object.validators, NOW);
    let answer = answer(case.method, &outcome, object.len, object.content_type, &object.validators);
    if case.method == Method::Get && answer.status != 304 {
        assert_eq!(answer.content_length, Some(answer.body_bytes()), "{}", case.name);
    }
    Received { status: answer.status, fields: fields_of(&answer, object), body: bytes_of(&answer, object) }
}

fn fields_of(answer: &Answer, object: &Object) -> Vec<(String, String)> {
    answer.fields(&object.validators).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn bytes_of(answer: &Answer, object: &Object) -> Vec<u8> {
    let piece = |segment: &Segment| match segment {
        Segment::Literal(bytes) => bytes.clone(),
        Segment::Range(range) => object.bytes(*range),
    };
    answer.body.iter().flat_map(piece).collect()
}

#[test]
fn the_rules_give_every_case_its_answer() {
    let table = table();
    let modified = modified_of_tone(&table);
    let mut wrong = Vec::new();
    for case in &table.cases {
        let object = table.object(case.object);
        let request = case.request(&object.validators, modified);
        let received = serve(case, object, &request);
        if let Err(reason) = case.check(&received, object, &object.validators) {
            wrong.push(format!("{}: {reason}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_more_than_two_hundred_cases_each_with_its_own_name() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 200, "{}", cases.len());
    // Every status that the rules can give is asked for.
    let statuses: BTreeSet<_> = cases.iter().map(|case| case.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 206, 304, 412, 416]));
}

#[test]
fn bytes_of_objects_tell_their_place() {
    assert_eq!([byte_at(0), byte_at(1), byte_at(256), byte_at(65536)], [0, 7, 13, (13 * 256 + 101) as u8]);
    // Blocks differ from each other.
    let object = table().object("tone").clone();
    let block = |index: u64| object.bytes(ByteRange::new(index * 131_072, index * 131_072 + 4096).expect("not empty"));
    assert_ne!(block(0), block(1));
    assert_ne!(block(1), block(2));
}

#[test]
fn marks_are_filled_with_the_servers_own_validators() {
    let validators = Validators { etag: Some(EntityTag::strong("x")), last_modified: Some(UnixSeconds(784_111_777)) };
    let filled = |template: &str| fill(template, &validators, UnixSeconds(0));
    assert_eq!(filled("W/{etag}, {etag}"), "W/\"x\", \"x\"");
    assert_eq!(filled("{lm}"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(filled("{lm+1}, {lm-37}"), "Sun, 06 Nov 1994 08:49:38 GMT, Sun, 06 Nov 1994 08:49:00 GMT");
    assert_eq!(filled("{lm:rfc850}"), "Sunday, 06-Nov-94 08:49:37 GMT");
    assert_eq!(filled("{lm:asctime}"), "Sun Nov  6 08:49:37 1994");
}

#[test]
fn the_judge_notices_wrong_answers() {
    let table = table();
    let modified = modified_of_tone(&table);
    let case_of = |name: &str| table.cases.iter().find(|case| case.name == name).expect("a case").clone();
    let right = |case: &Case| {
        let object = table.object(case.object);
        serve(case, object, &case.request(&object.validators, modified))
    };
    let verdict = |case: &Case, received: &Received| {
        let object = table.object(case.object);
        case.check(received, object, &object.validators)
    };

    let probe = case_of("range-safari-probe");
    let good = right(&probe);
    assert_eq!(verdict(&probe, &good), Ok(()));
    assert!(verdict(&probe, &Received { status: 200, ..good.clone() }).is_err());
    assert!(verdict(&probe, &Received { body: vec![0, 8], ..good.clone() }).is_err());
    assert!(verdict(&probe, &Received { body: vec![0], ..good.clone() }).is_err());
    assert!(verdict(&probe, &Received { fields: Vec::new(), ..good }).is_err());

    let multi = case_of("multi-two");
    let good = right(&multi);
    assert_eq!(verdict(&multi, &good), Ok(()));
    for index in 0..good.body.len() {
        let mut bad = good.clone();
        bad.body[index] ^= 1;
        assert!(verdict(&multi, &bad).is_err(), "byte {index}");
        bad.body.truncate(index);
        assert!(verdict(&multi, &bad).is_err(), "cut at {index}");
    }

    let full = case_of("invalid-reversed");
    let mut bad = right(&full);
    bad.fields.push(("Content-Range".to_owned(), "bytes 0-1/2".to_owned()));
    assert!(verdict(&full, &bad).is_err());
}
