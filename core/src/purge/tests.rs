use proptest::prelude::*;

use super::*;

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

fn target(name: &str, value: &str) -> Target {
    Target::parse(name, value).unwrap().unwrap()
}

#[test]
fn a_prefix_is_a_folder_and_takes_no_neighbour_along() {
    let folder = target("prefix", "/tracks/1/");
    assert!(folder.matches(&path("/tracks/1/a.ogg"), &[]));
    assert!(!folder.matches(&path("/tracks/10/a.ogg"), &[]));
    assert!(!folder.matches(&path("/tracks/1"), &[]));
    assert!(target("prefix", "/").matches(&path("/anything"), &[]));
    for wrong in ["", "tracks/", "/tracks", "//", "/a//", "/a/../", "/a%2f/", "/a b/"] {
        assert_eq!(Prefix::parse(wrong), Err(TargetRefusal::Prefix), "{wrong:?}");
    }
}

#[test]
fn a_tag_is_one_word() {
    assert!(target("tag", "album:42").matches(&path("/a"), &["artist:1".into(), "album:42".into()]));
    assert!(!target("tag", "album:4").matches(&path("/a"), &["album:42".into()]));
    for wrong in ["", "a b", "a,b", "a\n", "é", &"x".repeat(129)] {
        assert_eq!(Tag::parse(wrong), Err(TargetRefusal::Tag), "{wrong:?}");
    }
}

#[test]
fn only_the_three_names_are_targets() {
    assert!(Target::parse("paths", "/a").is_none());
    assert_eq!(Target::parse("path", "/a/"), Some(Err(TargetRefusal::Path)));
}

#[test]
fn a_version_numbered_after_the_purge_is_not_covered() {
    let mut coverage = Coverage::default();
    coverage.add(&target("path", "/a"), VersionId(5));
    assert!(coverage.covers(&path("/a"), &[], VersionId(4)));
    assert!(!coverage.covers(&path("/a"), &[], VersionId(5)));
    assert!(!coverage.covers(&path("/b"), &[], VersionId(4)));
}

#[test]
fn ids_have_one_spelling() {
    let id = PurgeId { node: NodeId(0xab), number: 12 };
    assert_eq!(id.to_string(), "00000000000000ab-12");
    assert_eq!(id.to_string().parse(), Ok(id));
    for wrong in
        ["", "ab-12", "00000000000000AB-12", "00000000000000ab-012", "00000000000000ab-0", "00000000000000ab-+1"]
    {
        assert_eq!(wrong.parse::<PurgeId>(), Err(NotAPurgeId), "{wrong:?}");
    }
}

#[test]
fn a_gap_holds_the_mark_back_until_it_is_filled() {
    let node = NodeId(1);
    let mut heard = Heard::default();
    assert!(heard.add(PurgeId { node, number: 1 }));
    assert!(heard.add(PurgeId { node, number: 3 }));
    assert!(!heard.add(PurgeId { node, number: 3 }), "heard already");
    assert_eq!((heard.mark(node), heard.highest(node)), (1, 3));
    assert!(heard.add(PurgeId { node, number: 2 }));
    assert_eq!(heard.mark(node), 3);
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        "/[ab]{1,2}(/[ab]{1,2}){0,2}".prop_map(|text| target("path", &text)),
        "/([ab]{1,2}/){0,3}".prop_map(|text| target("prefix", &text)),
        "[xyz]".prop_map(|text| target("tag", &text)),
    ]
}

proptest! {
    #[test]
    fn coverage_is_what_going_through_the_list_would_say(
        purges in prop::collection::vec((any_target(), 0u64..20), 0..12),
        asked in "/[ab]{1,2}(/[ab]{1,2}){0,3}",
        tags in prop::collection::vec("[xyz]", 0..3),
        version in 0u64..20,
    ) {
        let (path, version) = (path(&asked), VersionId(version));
        let mut coverage = Coverage::default();
        for (target, before) in &purges {
            coverage.add(target, VersionId(*before));
        }
        let listed = purges.iter().any(|(target, before)| target.matches(&path, &tags) && version < VersionId(*before));
        prop_assert_eq!(coverage.covers(&path, &tags, version), listed);
    }

    #[test]
    fn what_was_heard_is_a_set_with_a_mark(numbers in prop::collection::vec(1u64..30, 0..40)) {
        let node = NodeId(7);
        let mut heard = Heard::default();
        let mut naive = BTreeSet::new();
        for number in numbers {
            prop_assert_eq!(heard.add(PurgeId { node, number }), naive.insert(number));
        }
        for number in 1..31 {
            prop_assert_eq!(heard.has(PurgeId { node, number }), naive.contains(&number));
        }
        let mark = (1..).take_while(|number| naive.contains(number)).last().unwrap_or(0);
        prop_assert_eq!(heard.mark(node), mark);
        prop_assert_eq!(heard.highest(node), naive.last().copied().unwrap_or(0));
    }

    #[test]
    fn a_target_survives_its_own_text(target in any_target()) {
        prop_assert_eq!(Target::parse(target.name(), target.value()), Some(Ok(target)));
    }
}
