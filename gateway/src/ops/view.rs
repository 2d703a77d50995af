//! What the page shows, as JSON: the edges, what they do together over time, what is wanted, what went wrong.
//!
//! Everything is taken from what the last looks told; nobody is asked here. Numbers that are not known are null, never 0.

use std::collections::BTreeMap;

use needledrop_core::UnixSeconds;
use serde_json::{Value, json};

use super::rings::Range;
use super::sample::{Group, Sum};
use super::watched::{Failure, Failures, Object, State, Top, Watched};
use super::{Edge, LOOK_EVERY, Ops};

/// What "now" is in rates: the last minute, in slots of the finest ring.
const NOW_SLOTS: u64 = 6;
/// Objects that are shown.
const TOP_SHOWN: usize = 25;
/// Examples of one kind of failure that are shown, of all edges together.
const EXAMPLES_SHOWN: usize = 12;

/// Of which edges something is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// All of them.
    All,
    /// Those of a region.
    Region(String),
    /// One.
    Edge(String),
}

impl Of {
    /// Longest name that is looked for, in characters.
    pub const NAME_CHARS_MAX: usize = 200;

    /// `all`, `region:NAME` or `edge:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| name.chars().count() <= Self::NAME_CHARS_MAX && !name.contains(char::is_control);
        if text.split_once(':').is_some_and(|(_, name)| !is_name(name)) {
            return None;
        }
        match text.split_once(':') {
            None if text == "all" => Some(Self::All),
            Some(("region", name)) => Some(Self::Region(name.to_owned())),
            Some(("edge", name)) => Some(Self::Edge(name.to_owned())),
            _ => None,
        }
    }

    fn covers(&self, seen: &Seen) -> bool {
        match self {
            Self::All => true,
            Self::Region(name) => seen.region.as_deref().unwrap_or_default() == name,
            Self::Edge(name) => seen.name == *name,
        }
    }
}

/// An edge at this moment.
struct Seen {
    name: String,
    region: Option<String>,
    is_built_in: bool,
    watched: Watched,
}

impl Seen {
    fn of(edge: &Edge) -> Self {
        let watched = edge.watched().clone();
        let told = watched.last.as_ref().and_then(|look| look.status.region.clone());
        Self { name: edge.name.clone(), region: edge.region.clone().or(told), is_built_in: edge.is_built_in, watched }
    }
}

/// What is wanted, added up over edges.
pub struct Wanted {
    /// The most wanted first.
    pub objects: Vec<Object>,
    /// From when on it was counted, at the latest.
    pub since: Option<u64>,
    /// Requests since then.
    pub requests: u64,
}

/// All that the page shows, but for names of objects.
pub struct Overview {
    /// The answer, with an empty list of objects.
    pub value: Value,
    /// The objects, to be named by who knows the catalog.
    pub wanted: Wanted,
}

impl Ops {
    /// Everything about these edges over this range.
    pub fn overview(&self, of: &Of, range: Range, now: UnixSeconds) -> Overview {
        let all: Vec<Seen> = self.edges.iter().map(|edge| Seen::of(edge)).collect();
        let chosen: Vec<&Seen> = all.iter().filter(|seen| of.covers(seen)).collect();
        let wanted = wanted(&chosen);
        let value = json!({
            "now": now.0,
            "look_every_s": LOOK_EVERY.as_secs(),
            "edges": all.iter().map(|seen| edge(seen, now)).collect::<Vec<_>>(),
            "totals": totals(&chosen, now),
            "series": series(&chosen, range, now),
            "top": { "since": wanted.since, "requests": wanted.requests, "objects": [] },
            "errors": errors(&chosen),
        });
        Overview { value, wanted }
    }
}

fn edge(seen: &Seen, now: UnixSeconds) -> Value {
    let Watched { state, since, heard, trouble, last, .. } = &seen.watched;
    let mut value = json!({
        "name": seen.name,
        "region": seen.region,
        "built_in": seen.is_built_in,
        "state": state,
        "since": since.map(|since| since.0),
        "heard": heard.map(|heard| heard.0),
        "trouble": trouble,
    });
    if let Some(look) = last {
        let status = &look.status;
        value["version"] = json!(status.version);
        value["started"] = json!(status.started.0);
        value["certificate_until"] = json!(status.certificate_until);
        value["keys"] = json!(status.keys);
        value["cache"] = cache([seen].into_iter());
        value["connections"] = json!(look.levels.connections);
    }
    value["rates"] = rates(&lately(&[seen], now));
    value
}

/// The last minute of these edges. Who cannot be reached does not add what he did before.
fn lately(chosen: &[&Seen], now: UnixSeconds) -> Sum {
    let first = (now.0 / Range::HalfHour.step()).saturating_sub(NOW_SLOTS);
    let mut sum = Sum::default();
    for seen in chosen.iter().filter(|seen| seen.watched.state != State::Unreachable) {
        let mut minute: Option<super::sample::Window> = None;
        for (_, window) in seen.watched.history.slots(Range::HalfHour, first) {
            match &mut minute {
                Some(minute) => minute.append(window),
                None => minute = Some(window.clone()),
            }
        }
        minute.iter().for_each(|minute| sum.add(minute));
    }
    sum
}

fn rates(sum: &Sum) -> Value {
    if !sum.is_seen {
        return Value::Null;
    }
    let by = |groups: [Group; 3]| {
        let each = groups.map(|group| (group.name().to_owned(), figures(sum, group)));
        Value::Object(each.into_iter().collect())
    };
    json!({
        "requests": rounded(sum.requests),
        "refused": rounded(sum.refused),
        "failed": rounded(sum.failed),
        "bytes": sum.bytes.round(),
        "upstream_bytes": sum.upstream_bytes.round(),
        "hit_ratio": sum.hit_ratio(&Group::CLASSES).map(rounded),
        "classes": by(Group::CLASSES),
        "protocols": by(Group::PROTOCOLS),
    })
}

fn figures(sum: &Sum, group: Group) -> Value {
    json!({
        "hit_ratio": sum.hit_ratio(&[group]).map(rounded),
        "p50_ms": sum.start_ms(group, 0.5).map(rounded),
        "p95_ms": sum.start_ms(group, 0.95).map(rounded),
    })
}

fn totals(chosen: &[&Seen], now: UnixSeconds) -> Value {
    let reached = || chosen.iter().filter(|seen| seen.watched.state != State::Unreachable);
    let connections: u64 =
        reached().filter_map(|seen| seen.watched.last.as_ref()).map(|look| look.levels.connections).sum();
    let count = |state| chosen.iter().filter(|seen| seen.watched.state == state).count();
    json!({
        "edges": chosen.len(),
        "up": count(State::Up),
        "draining": count(State::Draining),
        "unreachable": count(State::Unreachable),
        "connections": connections,
        "cache": cache(reached().copied()),
        "rates": rates(&lately(chosen, now)),
    })
}

/// Caches added up, in blocks of one size; null where none is known.
fn cache<'a>(seen: impl Iterator<Item = &'a Seen>) -> Value {
    let looks: Vec<_> = seen.filter_map(|seen| seen.watched.last.as_ref()).collect();
    let Some(first) = looks.first() else { return Value::Null };
    let sum = |of: fn(&super::watched::Look) -> u64| looks.iter().map(|look| of(look)).sum::<u64>();
    json!({
        "block_bytes": first.status.cache.block_bytes,
        "slots": sum(|look| look.levels.slots),
        "heads": sum(|look| look.levels.heads),
        "bodies": sum(|look| look.levels.bodies),
        "pinned": sum(|look| look.levels.pinned),
        "leased": sum(|look| look.status.cache.blocks_leased),
        "objects": sum(|look| look.status.cache.objects),
    })
}

/// Columns of equal length, one place a slot; null where nobody was looked at.
fn series(chosen: &[&Seen], range: Range, now: UnixSeconds) -> Value {
    let first = range.first(now);
    let mut sums: Vec<Sum> = (0..range.slots()).map(|_| Sum::default()).collect();
    for seen in chosen {
        for (number, window) in seen.watched.history.slots(range, first) {
            if let Some(sum) = usize::try_from(number - first).ok().and_then(|place| sums.get_mut(place)) {
                sum.add(window);
            }
        }
    }
    let column = |of: &dyn Fn(&Sum) -> Option<f64>| -> Value {
        sums.iter().map(|sum| sum.is_seen.then(|| of(sum)).flatten().map(rounded)).collect::<Vec<_>>().into()
    };
    let groups = |groups: [Group; 3]| {
        let each = groups.map(|group| {
            let columns = json!({
                "hit_ratio": column(&|sum| sum.hit_ratio(&[group])),
                "p50_ms": column(&|sum| sum.start_ms(group, 0.5)),
                "p95_ms": column(&|sum| sum.start_ms(group, 0.95)),
            });
            (group.name().to_owned(), columns)
        });
        Value::Object(each.into_iter().collect())
    };
    json!({
        "range": range.name(),
        "step_s": range.step(),
        "from": first * range.step(),
        "requests": column(&|sum| Some(sum.requests)),
        "refused": column(&|sum| Some(sum.refused)),
        "failed": column(&|sum| Some(sum.failed)),
        "bytes": column(&|sum| Some(sum.bytes)),
        "upstream_bytes": column(&|sum| Some(sum.upstream_bytes)),
        "hit_ratio": column(&|sum| sum.hit_ratio(&Group::CLASSES)),
        "classes": groups(Group::CLASSES),
        "protocols": groups(Group::PROTOCOLS),
    })
}

fn wanted(chosen: &[&Seen]) -> Wanted {
    let tops: Vec<&Top> = chosen.iter().filter_map(|seen| Some(&seen.watched.last.as_ref()?.top)).collect();
    let mut sums: BTreeMap<&str, Object> = BTreeMap::new();
    for object in tops.iter().flat_map(|top| &top.objects) {
        let empty = || Object { path: object.path.clone(), count: 0, error: 0, bytes: 0 };
        let sum = sums.entry(object.path.as_str()).or_insert_with(empty);
        sum.count += object.count;
        sum.error += object.error;
        sum.bytes += object.bytes;
    }
    let mut objects: Vec<Object> = sums.into_values().collect();
    objects.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.path.cmp(&b.path)));
    objects.truncate(TOP_SHOWN);
    let busy = || tops.iter().filter(|top| top.requests > 0);
    Wanted { objects, since: busy().map(|top| top.since).min(), requests: busy().map(|top| top.requests).sum() }
}

/// An example, and the edge that has it.
type Example<'a> = (&'a Failure, &'a str);

fn errors(chosen: &[&Seen]) -> Value {
    let mut kinds: BTreeMap<&str, (u64, Vec<Example<'_>>)> = BTreeMap::new();
    for seen in chosen {
        let failures: &[Failures] = seen.watched.last.as_ref().map_or(&[], |look| &look.errors.kinds);
        for kind in failures {
            let (count, examples) = kinds.entry(kind.kind.as_str()).or_default();
            *count += kind.count;
            examples.extend(kind.recent.iter().map(|example| (example, seen.name.as_str())));
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|(a_name, (a, _)), (b_name, (b, _))| b.cmp(a).then_with(|| a_name.cmp(b_name)));
    let shown = kinds.into_iter().map(|(kind, (count, mut examples))| {
        examples.sort_by_key(|(example, _)| std::cmp::Reverse(example.at));
        let recent: Vec<_> = examples
            .iter()
            .take(EXAMPLES_SHOWN)
            .map(|(example, edge)| {
                let mut value = json!(example);
                value["edge"] = json!(edge);
                value
            })
            .collect();
        json!({ "kind": kind, "count": count, "recent": recent })
    });
    shown.collect::<Vec<_>>().into()
}

/// Four digits behind the point are more than any plot shows.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::watched::tests::look;

    const NOW: u64 = 1_800_000_600;

    fn seen(name: &str, region: &str, requests: u64) -> Seen {
        let mut watched = Watched::default();
        for (number, seconds) in (0..).zip((0..=120).step_by(5)) {
            watched.looked(Ok(look(1, number * requests, "ready")), (NOW - 120 + seconds) * 1_000);
        }
        Seen { name: name.into(), region: Some(region.into()), is_built_in: false, watched }
    }

    #[test]
    fn names_say_of_which_edges() {
        assert_eq!(Of::parse("all"), Some(Of::All));
        assert_eq!(Of::parse("region:eu"), Some(Of::Region("eu".into())));
        assert_eq!(Of::parse("edge:a:b"), Some(Of::Edge("a:b".into())));
        assert_eq!((Of::parse(""), Of::parse("node:1")), (None, None));
        assert_eq!((Of::parse("edge:\n"), Of::parse(&format!("region:{}", "x".repeat(201)))), (None, None));
    }

    #[test]
    fn two_hundred_edges_add_up_slot_by_slot() {
        let all: Vec<Seen> = (0..200).map(|n| seen(&format!("edge-{n}"), ["fra", "sin"][n % 2], 10)).collect();
        let chosen: Vec<&Seen> = all.iter().collect();
        let now = UnixSeconds(NOW);
        let series = series(&chosen, Range::HalfHour, now);
        let requests = series["requests"].as_array().unwrap();
        assert_eq!(requests.len(), 180);
        assert_eq!(requests[170], 400.0, "200 edges, 2 requests a second each");
        assert_eq!(requests[0], Value::Null, "nobody was looked at then");
        assert_eq!(series["classes"]["head"]["hit_ratio"][170], 0.5);
        assert_eq!(series["classes"]["body"]["p95_ms"][170], Value::Null);
        let totals = totals(&chosen, now);
        assert_eq!((&totals["up"], &totals["connections"]), (&json!(200), &json!(400)));
        assert_eq!(totals["rates"]["requests"], 400.0);
        assert_eq!(totals["cache"]["slots"], 20_000);
        let of = Of::Region("sin".into());
        assert_eq!(all.iter().filter(|seen| of.covers(seen)).count(), 100);
        let wanted = wanted(&chosen);
        assert_eq!((wanted.objects.len(), wanted.objects[0].count), (1, 200 * 240));
    }

    #[test]
    fn with_no_edge_and_no_look_there_are_numbers_missing_and_no_error() {
        let now = UnixSeconds(NOW);
        let nobody = totals(&[], now);
        assert_eq!((&nobody["rates"], &nobody["cache"]), (&Value::Null, &Value::Null));
        let unseen = Seen { name: "a".into(), region: None, is_built_in: true, watched: Watched::default() };
        let value = edge(&unseen, now);
        assert_eq!(
            (&value["state"], &value["rates"], &value["version"]),
            (&json!("unknown"), &Value::Null, &Value::Null)
        );
        assert_eq!(series(&[&unseen], Range::Day, now)["bytes"].as_array().unwrap().len(), 144);
    }

    #[test]
    fn an_edge_that_is_gone_keeps_its_past_and_adds_nothing_to_now() {
        let mut gone = seen("a", "fra", 10);
        for seconds in [5, 10] {
            gone.watched.looked(Err("connection refused".into()), (NOW + seconds) * 1_000);
        }
        let now = UnixSeconds(NOW + 10);
        let value = edge(&gone, now);
        assert_eq!((&value["state"], &value["trouble"]), (&json!("unreachable"), &json!("connection refused")));
        assert_eq!(value["rates"], Value::Null);
        assert_eq!(totals(&[&gone], now)["connections"], 0);
        assert!(series(&[&gone], Range::HalfHour, now)["requests"].as_array().unwrap().iter().any(|v| !v.is_null()));
    }

    #[test]
    fn failures_of_edges_are_one_list_with_the_newest_examples() {
        let example = |at| Failure {
            at,
            status: 403,
            method: "GET".into(),
            path: "/a".into(),
            client: "203.0.113.0/24".into(),
            protocol: "h2".into(),
            took_us: 3,
        };
        let with = |name: &str, count, ats: std::ops::Range<u64>| {
            let mut seen = seen(name, "fra", 1);
            let recent = ats.rev().map(example).collect();
            let kind = Failures { kind: "signature".into(), count, recent };
            seen.watched.last.as_mut().unwrap().errors.kinds.push(kind);
            seen
        };
        let (a, b) = (with("a", 100, 0..8), with("b", 5, 100..108));
        let errors = errors(&[&a, &b]);
        assert_eq!(errors[0]["count"], 105);
        let recent = errors[0]["recent"].as_array().unwrap();
        assert_eq!((recent.len(), &recent[0]["at"], &recent[0]["edge"]), (EXAMPLES_SHOWN, &json!(107), &json!("b")));
    }
}
