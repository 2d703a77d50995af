//! An edge's metrics as it tells them (OpenMetrics text), read into a [`Sample`] and the levels of the moment.

use super::sample::{BOUNDS, BUCKETS, Group, Place, Sample};

/// What every name begins with.
const PREFIX: &str = "needledrop_edge_";

/// What is there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Levels {
    /// Open connections.
    pub connections: u64,
    /// Blocks that the cache has room for.
    pub slots: u64,
    /// Of them held by bytes on their way out.
    pub pinned: u64,
    /// Blocks of heads.
    pub heads: u64,
    /// Other blocks.
    pub bodies: u64,
}

/// Why a text was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A line is not one of this format.
    #[error("a line of its metrics cannot be read: {0:?}")]
    Line(String),
    /// None of the names is there.
    #[error("it tells no metrics of an edge")]
    Foreign,
}

/// Reads the text of one scrape.
///
/// # Errors
/// It is not the text of an edge.
pub fn read(text: &str) -> Result<(Sample, Levels), TextError> {
    let (mut sample, mut levels) = (Sample::default(), Levels::default());
    let mut cumulative = [[0u64; BUCKETS]; 6];
    let mut is_ours = false;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(line) = Line::parse(line) else { return Err(TextError::Line(line.chars().take(120).collect())) };
        let Some(name) = line.name.strip_prefix(PREFIX) else { continue };
        is_ours = true;
        let count = line.value.max(0.0) as u64;
        match name {
            "requests_total" => {
                sample.add(Place::Requests, count);
                match line.label("status").and_then(|status| status.parse::<u16>().ok()) {
                    Some(400..=499) => sample.add(Place::Refused, count),
                    Some(500..) => sample.add(Place::Failed, count),
                    _ => {}
                }
            }
            "answers_total" if line.label("end") == Some("reset") => sample.add(Place::Reset, count),
            "delivered_bytes_total" => sample.bytes += count,
            "upstream_bytes_total" => sample.upstream_bytes += count,
            "lookups_total" | "lookups_by_protocol_total" => {
                if let (Some(group), Some(outcome)) = (line.group(), line.label("outcome").filter(|o| *o != "refused"))
                {
                    sample.add(Place::Answers(group), count);
                    if matches!(outcome, "hit" | "stale") {
                        sample.add(Place::Hits(group), count);
                    }
                }
            }
            "start_seconds_bucket" | "start_by_protocol_seconds_bucket" => {
                if let (Some(group), Some(bucket)) = (line.group(), line.bucket())
                    && line.label("outcome") != Some("refused")
                {
                    cumulative[group as usize][bucket] += count;
                }
            }
            "door_connections" => levels.connections = count,
            "slots" => levels.slots = count,
            "pinned_slots" => levels.pinned = count,
            "cached_blocks" if line.label("class") == Some("head") => levels.heads = count,
            "cached_blocks" => levels.bodies = count,
            _ => {}
        }
    }
    for group in Group::CLASSES.into_iter().chain(Group::PROTOCOLS) {
        let mut below = 0;
        for (bucket, up_to) in cumulative[group as usize].into_iter().enumerate() {
            sample.add(Place::Start(group, bucket), up_to.saturating_sub(below));
            below = below.max(up_to);
        }
    }
    if is_ours { Ok((sample, levels)) } else { Err(TextError::Foreign) }
}

/// One line: a name, labels, a value.
struct Line<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
        (!name.is_empty() && !name.contains(' ')).then_some(Self { name, labels, value })
    }

    /// A label's value. Those of an edge are words and numbers: no quote or comma is in them.
    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
    }

    fn group(&self) -> Option<Group> {
        match self.label("class").or_else(|| self.label("protocol"))? {
            "head" | "prefetched" => Some(Group::Head),
            "body" => Some(Group::Body),
            "public" => Some(Group::Art),
            "h1" => Some(Group::H1),
            "h2" => Some(Group::H2),
            "h3" => Some(Group::H3),
            _ => None,
        }
    }

    fn bucket(&self) -> Option<usize> {
        match self.label("le")? {
            "+Inf" => Some(BUCKETS - 1),
            bound => bound.parse().ok().and_then(|bound: f64| BOUNDS.iter().position(|known| *known == bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"# HELP needledrop_edge_requests Answers.
# TYPE needledrop_edge_requests counter
needledrop_edge_requests_total{class="head",tier="listener",status="206"} 7
needledrop_edge_requests_total{class="none",tier="listener",status="403"} 2
needledrop_edge_requests_total{class="none",tier="listener",status="504"} 1
needledrop_edge_lookups_total{class="head",outcome="hit"} 4
needledrop_edge_lookups_total{class="prefetched",outcome="hit"} 1
needledrop_edge_lookups_total{class="head",outcome="miss"} 2
needledrop_edge_lookups_total{class="none",outcome="refused"} 3
needledrop_edge_lookups_by_protocol_total{protocol="h3",outcome="hit"} 5
needledrop_edge_lookups_by_protocol_total{protocol="h3",outcome="refused"} 3
needledrop_edge_start_seconds_bucket{le="0.0001",class="head",outcome="hit"} 1
needledrop_edge_start_seconds_bucket{le="0.00025",class="head",outcome="hit"} 4
needledrop_edge_start_seconds_bucket{le="+Inf",class="head",outcome="hit"} 5
needledrop_edge_delivered_bytes_total{class="head",tier="listener"} 4711
needledrop_edge_upstream_bytes_total 100
needledrop_edge_answers_total{end="reset"} 1
needledrop_edge_door_connections 3
needledrop_edge_slots 80
needledrop_edge_pinned_slots 2
needledrop_edge_cached_blocks{class="head"} 9
needledrop_edge_cached_blocks{class="body"} 5
other_total 5
# EOF
"#;

    #[test]
    fn a_scrape_is_read() {
        let (sample, levels) = read(TEXT).unwrap();
        let get = |place| sample.get(place);
        assert_eq!([get(Place::Requests), get(Place::Refused), get(Place::Failed), get(Place::Reset)], [10, 2, 1, 1]);
        assert_eq!((get(Place::Hits(Group::Head)), get(Place::Answers(Group::Head))), (5, 7));
        assert_eq!((get(Place::Hits(Group::H3)), get(Place::Answers(Group::H3))), (5, 5));
        let start = [0, 1, 2, BUCKETS - 1].map(|bucket| get(Place::Start(Group::Head, bucket)));
        assert_eq!(start, [1, 3, 0, 1]);
        assert_eq!((sample.bytes, sample.upstream_bytes), (4711, 100));
        assert_eq!(levels, Levels { connections: 3, slots: 80, pinned: 2, heads: 9, bodies: 5 });
    }

    #[test]
    fn what_is_no_edge_is_said_to_be_none() {
        assert_eq!(read("node_cpu_seconds_total 5\n"), Err(TextError::Foreign));
        assert!(matches!(read("<html>it works</html>\n"), Err(TextError::Line(_))));
        assert!(matches!(read("needledrop_edge_slots NaN\n"), Err(TextError::Line(_))));
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(text in "\\PC{0,300}", name in "[a-z_]{0,12}", labels in "[a-z=\",{}]{0,30}", value in "\\PC{0,12}") {
            let _ = read(&text);
            let _ = read(&format!("{PREFIX}{name}{{{labels}}} {value}"));
        }
    }
}
