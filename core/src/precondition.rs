//! Preconditions (RFC 9110, 13) in the order of section 13.2.2, for GET and HEAD.
//!
//! A field that cannot be read never lets a request through that it might have stopped:
//! If-Match that is no list matches nothing. Dates that are no dates are ignored (13.1.3, 13.1.4).

use crate::decide::{Conditions, Validators};
use crate::etag::EntityTag;
use crate::time::UnixSeconds;

/// What the preconditions, other than If-Range, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Go on with the method; steps 1 to 4 are passed.
    Passed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Most members of an If-Match or If-None-Match list that are looked at: a client holds a few versions at most.
pub const TAGS_MAX: usize = 64;

/// Steps 1 to 4 of RFC 9110, 13.2.2. The object exists, or nobody would ask here.
pub fn evaluate(conditions: &Conditions<'_>, validators: &Validators) -> Precondition {
    // Steps 1 and 2: a lost update, so to say, before everything else.
    let may_proceed = match conditions.if_match {
        Some(field) => matches_strongly(field, validators),
        None => is_unmodified(conditions.if_unmodified_since, validators),
    };
    if !may_proceed {
        return Precondition::Failed;
    }
    // Steps 3 and 4: If-None-Match hides If-Modified-Since.
    let is_known = match conditions.if_none_match {
        Some(field) => matches_weakly(field, validators),
        None => is_known_by_date(conditions.if_modified_since, validators),
    };
    if is_known { Precondition::NotModified } else { Precondition::Passed }
}

/// Step 5: whether Range may be honoured (RFC 9110, 13.1.5).
///
/// A weak or different tag, a date that is not exactly ours or not strong yet, and text
/// that is neither: all mean that the client holds something else, so the whole is sent.
pub fn range_allowed(if_range: Option<&str>, validators: &Validators, now: UnixSeconds) -> bool {
    let Some(field) = if_range.map(trim_ows) else {
        return true;
    };
    if field.starts_with('"') || field.starts_with("W/") {
        let (Some(theirs), Some(ours)) = (EntityTag::parse(field), &validators.etag) else {
            return false;
        };
        return theirs.strong_eq(ours);
    }
    let (Some(theirs), Some(ours)) = (UnixSeconds::parse_http(field), validators.last_modified) else {
        return false;
    };
    // RFC 9110, 8.8.2.2: a date is strong once the second it names is over.
    theirs == ours && ours < now
}

fn matches_strongly(field: &str, validators: &Validators) -> bool {
    if trim_ows(field) == "*" {
        return true;
    }
    let Some(ours) = &validators.etag else {
        return false;
    };
    tags(field).any(|theirs| theirs.strong_eq(ours))
}

fn matches_weakly(field: &str, validators: &Validators) -> bool {
    if trim_ows(field) == "*" {
        return true;
    }
    let Some(ours) = &validators.etag else {
        return false;
    };
    tags(field).any(|theirs| theirs.weak_eq(ours))
}

/// If-Unmodified-Since; true when there is nothing to compare.
fn is_unmodified(field: Option<&str>, validators: &Validators) -> bool {
    match (field.and_then(parse_date), validators.last_modified) {
        (Some(since), Some(modified)) => modified <= since,
        _ => true,
    }
}

/// If-Modified-Since; false when there is nothing to compare.
fn is_known_by_date(field: Option<&str>, validators: &Validators) -> bool {
    match (field.and_then(parse_date), validators.last_modified) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// The tags of a list (RFC 9110, 5.6.1 and 8.8.3) up to the first place that is not one.
/// Commas may stand inside of a tag, so the list is walked, not split.
fn tags(field: &str) -> impl Iterator<Item = EntityTag> {
    let mut rest = field;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (tag, behind) = EntityTag::take(rest)?;
        let behind = behind.trim_start_matches([' ', '\t']);
        if !behind.is_empty() && !behind.starts_with(',') {
            return None;
        }
        rest = behind;
        Some(tag)
    })
    .take(TAGS_MAX)
}

fn parse_date(field: &str) -> Option<UnixSeconds> {
    UnixSeconds::parse_http(trim_ows(field))
}

fn trim_ows(field: &str) -> &str {
    field.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Method;

    const MODIFIED: UnixSeconds = UnixSeconds(784_111_777);

    fn validators() -> Validators {
        Validators { etag: Some(EntityTag::strong("a")), last_modified: Some(MODIFIED) }
    }

    fn blank() -> Conditions<'static> {
        Conditions::plain(Method::Get)
    }

    #[test]
    fn lists_are_walked_with_commas_inside_tags() {
        let found = |field| tags(field).map(|tag| tag.to_string()).collect::<Vec<_>>();
        assert_eq!(found(r#""a,b", W/"c" ,, "d""#), [r#""a,b""#, r#"W/"c""#, r#""d""#]);
        assert_eq!(found(r#""a" "b""#), Vec::<String>::new());
        assert_eq!(found(r#""a", b, "c""#), [r#""a""#]);
        assert_eq!(tags(&r#""a","#.repeat(1000)).count(), TAGS_MAX);
    }

    #[test]
    fn each_step_hides_the_ones_behind_it() {
        let earlier = MODIFIED.minus(1).to_http();
        let same = MODIFIED.to_http();
        // If-Match true makes If-Unmodified-Since unheard (13.1.4).
        let conditions = Conditions { if_match: Some("\"a\""), if_unmodified_since: Some(&earlier), ..blank() };
        assert_eq!(evaluate(&conditions, &validators()), Precondition::Passed);
        // If-Match false ends it, whatever If-None-Match says.
        let conditions = Conditions { if_match: Some("\"b\""), if_none_match: Some("\"a\""), ..blank() };
        assert_eq!(evaluate(&conditions, &validators()), Precondition::Failed);
        // If-None-Match without a match makes If-Modified-Since unheard (13.1.3).
        let conditions = Conditions { if_none_match: Some("\"b\""), if_modified_since: Some(&same), ..blank() };
        assert_eq!(evaluate(&conditions, &validators()), Precondition::Passed);
        // Both of the first pair and the second pair.
        let conditions = Conditions { if_unmodified_since: Some(&same), if_modified_since: Some(&same), ..blank() };
        assert_eq!(evaluate(&conditions, &validators()), Precondition::NotModified);
    }

    #[test]
    fn without_validators_nothing_matches_but_the_star() {
        let bare = Validators { etag: None, last_modified: None };
        let same = MODIFIED.to_http();
        for (conditions, expected) in [
            (Conditions { if_match: Some("\"a\""), ..blank() }, Precondition::Failed),
            (Conditions { if_match: Some("*"), ..blank() }, Precondition::Passed),
            (Conditions { if_none_match: Some("\"a\""), ..blank() }, Precondition::Passed),
            (Conditions { if_none_match: Some(" * "), ..blank() }, Precondition::NotModified),
            (Conditions { if_modified_since: Some(&same), ..blank() }, Precondition::Passed),
            (Conditions { if_unmodified_since: Some(&same), ..blank() }, Precondition::Passed),
        ] {
            assert_eq!(evaluate(&conditions, &bare), expected, "{conditions:?}");
        }
        assert!(!range_allowed(Some("\"a\""), &bare, MODIFIED.plus(60)));
        assert!(!range_allowed(Some(&same), &bare, MODIFIED.plus(60)));
    }

    #[test]
    fn if_range_takes_only_strong_validators() {
        let now = MODIFIED.plus(60);
        let same = MODIFIED.to_http();
        let later = MODIFIED.plus(1).to_http();
        for (field, allowed) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            ("\"a\", \"a\"", false),
            ("*", false),
            ("a", false),
            ("", false),
            (same.as_str(), true),
            (later.as_str(), false),
        ] {
            assert_eq!(range_allowed(Some(field), &validators(), now), allowed, "{field}");
        }
        assert!(range_allowed(None, &validators(), now));
        // The second is not over: another version of the same second may follow.
        assert!(!range_allowed(Some(&same), &validators(), MODIFIED));
        let weak = Validators { etag: EntityTag::parse("W/\"a\""), last_modified: None };
        assert!(!range_allowed(Some("W/\"a\""), &weak, now));
        assert!(!range_allowed(Some("\"a\""), &weak, now));
    }
}
