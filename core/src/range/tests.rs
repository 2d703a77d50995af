//! Ranges against tables and against a naive model that marks bytes one by one.

use super::*;
use proptest::prelude::*;

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end).expect("not empty")
}

fn resolve(field: &str, len: u64) -> Resolved {
    RangeRequest::parse(field).map_or(Resolved::Ignored, |request| request.resolve(len))
}

fn parts(field: &str, len: u64) -> Vec<(u64, u64)> {
    match resolve(field, len) {
        Resolved::Parts(parts) => parts.into_iter().map(|part| (part.start(), part.end())).collect(),
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn fields_that_are_not_valid_are_ignored() {
    let invalid = [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes= , ,",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-b",
        "bytes=0",
        "bytes=5-2",
        "bytes=0-1,5-2",
        "bytes=0-1-2",
        "bytes=--1",
        "bytes=+0-1",
        "bytes=0-+1",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes 0-1",
        "bytes =0-1",
        "bytes:0-1",
        "bytes=0x0-0x1",
        "bytes=1.0-2",
        "bytes=٠-١",
        "bytes=0-1;2-3",
        "items=0-1",
        "byte=0-1",
        "bytes=0-1, bytes=2-3",
        "seconds=1-2",
        "bytes=0-\u{a0}1",
        "=0-1",
        "bytes==0-1",
        "bytes=99999999999999999999-88888888888888888888",
    ];
    for field in invalid {
        assert_eq!(resolve(field, 100), Resolved::Ignored, "{field}");
    }
}

#[test]
fn single_ranges_mean_what_the_rfc_says() {
    assert_eq!(parts("bytes=0-1", 100), [(0, 2)]);
    assert_eq!(parts("bytes=0-0", 100), [(0, 1)]);
    assert_eq!(parts("bytes=99-", 100), [(99, 100)]);
    assert_eq!(parts("bytes=90-1000", 100), [(90, 100)]);
    assert_eq!(parts("bytes=-1", 100), [(99, 100)]);
    assert_eq!(parts("bytes=-1000", 100), [(0, 100)]);
    assert_eq!(parts("BYTES=0-1", 100), [(0, 2)]);
    assert_eq!(parts(" bytes=0-1\t", 100), [(0, 2)]);
    assert_eq!(parts("bytes=000-0001", 100), [(0, 2)]);
    assert_eq!(parts("bytes=5-99999999999999999999999", 100), [(5, 100)]);
    assert_eq!(parts("bytes=-99999999999999999999999", 100), [(0, 100)]);
    assert_eq!(parts("bytes=0-18446744073709551615", 100), [(0, 100)]);
}

#[test]
fn ranges_beyond_the_object_cannot_be_satisfied() {
    for field in [
        "bytes=100-",
        "bytes=100-200",
        "bytes=-0",
        "bytes=18446744073709551615-",
        "bytes=99999999999999999999-",
        "bytes=100-,-0",
    ] {
        assert_eq!(resolve(field, 100), Resolved::Unsatisfiable, "{field}");
    }
}

#[test]
fn an_empty_object_has_no_ranges_but_a_suffix_of_it_is_the_whole() {
    for field in ["bytes=0-", "bytes=0-0", "bytes=-0", "bytes=5-9"] {
        assert_eq!(resolve(field, 0), Resolved::Unsatisfiable, "{field}");
    }
    assert_eq!(resolve("bytes=-5", 0), Resolved::Ignored);
}

#[test]
fn members_may_be_empty_or_spaced_and_those_out_of_reach_are_left_out() {
    assert_eq!(parts("bytes=,0-1,, \t,4-5,", 100), [(0, 2), (4, 6)]);
    assert_eq!(parts("bytes=0-1 , 200-300 ,4-5", 100), [(0, 2), (4, 6)]);
    assert_eq!(parts("bytes=-0,5-5", 100), [(5, 6)]);
}

#[test]
fn touching_parts_become_one_in_the_place_of_the_first() {
    assert_eq!(parts("bytes=0-1,2-3", 100), [(0, 4)]);
    assert_eq!(parts("bytes=2-3,0-1", 100), [(0, 4)]);
    assert_eq!(parts("bytes=0-,0-,0-", 100), [(0, 100)]);
    assert_eq!(parts("bytes=50-59,0-9,55-70", 100), [(50, 71), (0, 10)]);
    assert_eq!(parts("bytes=0-9,20-29,5-24", 100), [(0, 30)]);
    assert_eq!(parts("bytes=20-29,0-9,40-49,10-19", 100), [(0, 30), (40, 50)]);
    assert_eq!(parts("bytes=-10,0-9", 100), [(90, 100), (0, 10)]);
}

#[test]
fn eight_parts_are_answered_and_nine_are_not() {
    let field = |count: u64| {
        let specs: Vec<String> = (0..count).map(|index| format!("{0}-{0}", index * 2)).collect();
        format!("bytes={}", specs.join(","))
    };
    assert_eq!(parts(&field(8), 100).len(), 8);
    assert_eq!(resolve(&field(9), 100), Resolved::Ignored);
    let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
    assert_eq!(parts(&many(SPECS_MAX), 100), [(0, 1)]);
    assert_eq!(resolve(&many(SPECS_MAX + 1), 100), Resolved::Ignored);
}

#[test]
fn content_range_is_read_strictly() {
    let part = |start, end, len| Some(ContentRange::Part { range: range(start, end), len });
    assert_eq!(ContentRange::parse("bytes 0-99/200"), part(0, 100, 200));
    assert_eq!(ContentRange::parse("Bytes 199-199/200"), part(199, 200, 200));
    assert_eq!(ContentRange::parse("bytes */200"), Some(ContentRange::Unsatisfied { len: 200 }));
    let refused = [
        "",
        "bytes",
        "bytes 0-99",
        "bytes 0-99/*",
        "bytes 0-200/200",
        "bytes 5-4/200",
        "bytes */*",
        "bytes=0-99/200",
        "bytes 0-99/+200",
        "bytes +0-99/200",
        "bytes  0-99/200",
        "bytes 0 -99/200",
        "bytes 0-99 /200",
        "bytes 0-99/ 200",
        "bytes -99/200",
        "bytes 0-/200",
        "items 0-99/200",
        "bytes 0-18446744073709551615/18446744073709551615",
        "bytes 0-99/18446744073709551616",
        "bytes 0-99/200,bytes 0-99/200",
        "bytes /200",
        "bytes 0-99/",
        "bytes */",
    ];
    for field in refused {
        assert_eq!(ContentRange::parse(field), None, "{field}");
    }
}

/// The model: which bytes are meant, one flag per byte; `None` if the field is not valid.
fn marked(specs: &[(Option<u64>, Option<u64>)], len: usize) -> Option<Vec<bool>> {
    let mut marks = vec![false; len];
    for spec in specs {
        for (index, mark) in marks.iter_mut().enumerate() {
            let position = index as u64;
            let meant = match *spec {
                (Some(first), Some(last)) if last < first => return None,
                (None, None) => return None,
                (Some(first), Some(last)) => first <= position && position <= last,
                (Some(first), None) => first <= position,
                (None, Some(count)) => position + count >= len as u64,
            };
            *mark |= meant;
        }
    }
    Some(marks)
}

fn written(specs: &[(Option<u64>, Option<u64>)]) -> String {
    let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let members: Vec<String> =
        specs.iter().map(|(first, last)| format!("{}-{}", number(*first), number(*last))).collect();
    format!("bytes={}", members.join(","))
}

fn number() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 6 => (0u64..70).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn resolving_agrees_with_marking_bytes_one_by_one(specs in prop::collection::vec((number(), number()), 1..7), len in 1usize..64) {
        let outcome = resolve(&written(&specs), len as u64);
        let Some(marks) = marked(&specs, len) else {
            prop_assert_eq!(outcome, Resolved::Ignored);
            return Ok(());
        };
        let Resolved::Parts(parts) = outcome else {
            prop_assert_eq!(outcome, Resolved::Unsatisfiable);
            prop_assert!(marks.iter().all(|mark| !mark));
            return Ok(());
        };
        let mut sent = vec![false; len];
        for part in &parts {
            for position in part.start()..part.end() {
                prop_assert!(!sent[position as usize], "sent twice");
                sent[position as usize] = true;
            }
        }
        prop_assert_eq!(sent, marks);
        let touching = parts.iter().enumerate().any(|(index, part)| parts[..index].iter().any(|other| other.joined(*part).is_some()));
        prop_assert!(!touching);
    }

    #[test]
    fn any_text_resolves_within_bounds(field in "bytes ?=[-0-9, \t]{0,40}|\\PC{0,30}", len: u64) {
        if let Resolved::Parts(parts) = resolve(&field, len) {
            prop_assert!(!parts.is_empty() && parts.len() <= PARTS_MAX);
            prop_assert!(parts.iter().all(|part| part.end() <= len));
            prop_assert!(parts.iter().map(|part| part.len()).sum::<u64>() <= len);
        }
    }

    #[test]
    fn content_range_survives_a_round_trip(start in 0..u64::MAX - 2, size: u64, more: u64) {
        let end = start.saturating_add(size.max(1)).min(u64::MAX - 1);
        let part = range(start, end);
        let len = end.saturating_add(more);
        let text = part.to_content_range(len);
        prop_assert_eq!(ContentRange::parse(&text), Some(ContentRange::Part { range: part, len }));
        prop_assert_eq!(ContentRange::parse(&text).expect("just read").to_string(), text);
    }

    #[test]
    fn a_range_field_of_ours_is_read_as_itself(start in 0u64..1000, size in 1u64..1000) {
        let wanted = range(start, start + size);
        prop_assert_eq!(resolve(&wanted.to_range_field(), 5000), Resolved::Parts(vec![wanted]));
    }
}

#[test]
fn several_parts_of_an_object_beyond_all_objects_are_not_answered_in_parts() {
    let request = RangeRequest::parse("bytes=0-0,14-").expect("valid");
    assert_eq!(request.resolve(u64::MAX), Resolved::Ignored, "their length does not fit 64 bits");
    assert!(matches!(request.resolve(OBJECT_BYTES_MAX), Resolved::Parts(_)));
}
