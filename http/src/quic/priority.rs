//! How soon an answer is wanted (RFC 9218): read from a request's fields and from PRIORITY_UPDATE frames, and turned into
//! the weight by which quinn orders the streams of a connection.

use std::collections::HashMap;

use http::HeaderMap;

/// Bytes of a priority field that are looked at; `u=3, i` needs six.
pub(super) const FIELD_BYTES: usize = 64;
/// One answer's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Priority {
    /// 0 first, 7 last.
    urgency: u8,
    /// Of use piece by piece, so that others of the same urgency may go in between.
    is_incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, is_incremental: false }
    }
}

impl Priority {
    const BACKGROUND: u8 = 7;

    /// What a request says. A prefetch is never urgent.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let field = headers.get("priority").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut said = Self::parse(field);
        let is_prefetch = |value: &http::HeaderValue| value.as_bytes().starts_with(b"prefetch");
        if headers.get("sec-purpose").is_some_and(is_prefetch) {
            said.urgency = Self::BACKGROUND;
        }
        said
    }

    /// Of the dictionary (RFC 8941) only `u` and `i` mean something; what is malformed counts as not said.
    pub(super) fn parse(field: &str) -> Self {
        let mut said = Self::default();
        for member in field.get(..field.len().min(FIELD_BYTES)).unwrap_or_default().split(',') {
            let member = member.split(';').next().unwrap_or_default().trim();
            match (member.split_once('='), member) {
                (Some(("u", digit)), _) => {
                    let urgency = digit.parse().ok().filter(|urgency| *urgency <= Self::BACKGROUND);
                    said.urgency = urgency.unwrap_or(said.urgency);
                }
                (Some(("i", value)), _) => said.is_incremental = value == "?1",
                (None, "i") => said.is_incremental = true,
                _ => {}
            }
        }
        said
    }

    /// Larger goes first. Those of one urgency go one after the other in the order of their requests, and the incremental
    /// ones behind them take turns.
    pub(super) fn weight(self, index: u64) -> i32 {
        const BITS: u32 = 27;
        let order = match self.is_incremental {
            true => 0,
            false => (1 << BITS) - 1 - i32::try_from(index).unwrap_or(i32::MAX).min((1 << BITS) - 2),
        };
        (i32::from(Self::BACKGROUND - self.urgency) << BITS) + order
    }
}

/// What was said about the requests of one connection: those under way, and those that the peer may open next.
#[derive(Default)]
pub(super) struct Priorities {
    streams: HashMap<u64, Stream>,
    /// Requests that came, so the number of the next one.
    came: u64,
    /// Requests that the peer may have under way at once.
    at_once: u64,
}

#[derive(Default)]
struct Stream {
    /// Of an answer under way.
    weight: Option<i32>,
    update: Option<Priority>,
}

/// A request that the peer may not open yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beyond;

impl Priorities {
    /// How many requests the peer may have under way.
    pub(super) fn allow(&mut self, at_once: u64) {
        self.at_once = at_once;
    }

    /// A request begins to come.
    pub(super) fn begin(&mut self, index: u64) {
        self.came = self.came.max(index + 1);
        self.streams.entry(index).or_default();
    }

    /// Its head came, and says this of itself. An update outweighs it, also one that came first.
    pub(super) fn open(&mut self, index: u64, said: Priority) -> i32 {
        let stream = self.streams.entry(index).or_default();
        let weight = stream.update.unwrap_or(said).weight(index);
        stream.weight = Some(weight);
        weight
    }

    /// The peer says something else; the new weight, if there is an answer to which it applies now. What is said of a
    /// request that is over is late, and kept by nobody.
    pub(super) fn update(&mut self, index: u64, said: Priority) -> Result<Option<i32>, Beyond> {
        if index >= self.came.saturating_add(self.at_once) {
            return Err(Beyond);
        }
        if index < self.came && !self.streams.contains_key(&index) {
            return Ok(None);
        }
        let stream = self.streams.entry(index).or_default();
        stream.update = Some(said);
        stream.weight = stream.weight.map(|_| said.weight(index));
        Ok(stream.weight)
    }

    /// Requests under way or announced.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether another answer under way goes before this one.
    pub(super) fn yields(&self, index: u64) -> bool {
        if self.streams.len() < 2 {
            return false;
        }
        let own = self.streams.get(&index).and_then(|stream| stream.weight);
        self.streams.values().any(|other| other.weight > own)
    }

    pub(super) fn close(&mut self, index: u64) {
        self.streams.remove(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(urgency: u8, is_incremental: bool) -> Priority {
        Priority { urgency, is_incremental }
    }

    #[test]
    fn fields_say_urgency_and_increments() {
        for (field, expected) in [
            ("", said(3, false)),
            ("u=0", said(0, false)),
            ("i, u=7", said(7, true)),
            ("u=5;x=1,i=?1", said(5, true)),
            ("i=?0", said(3, false)),
            ("u=8, u=-1, x", said(3, false)),
        ] {
            assert_eq!(Priority::parse(field), expected, "{field}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("priority", "u=1".parse().unwrap());
        headers.insert("sec-purpose", "prefetch;anonymous-client-ip".parse().unwrap());
        assert_eq!(Priority::of(&headers), said(7, false));
    }

    #[test]
    fn the_urgent_go_first_then_the_elder_then_who_takes_turns() {
        let order =
            [said(0, false).weight(9), said(0, true).weight(0), said(3, false).weight(1), said(3, false).weight(2)];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
        assert_eq!(said(3, true).weight(1), said(3, true).weight(2));
        assert!(said(7, true).weight(0) >= 0 && said(0, false).weight(0) < i32::MAX);
    }

    #[test]
    fn an_update_outweighs_the_request_whichever_comes_first() {
        let mut priorities = Priorities::default();
        priorities.allow(100);
        assert_eq!(priorities.update(4, said(1, false)), Ok(None), "nothing is open");
        (0..6).for_each(|index| priorities.begin(index));
        (0..4).for_each(|index| priorities.close(index));
        assert_eq!(priorities.open(4, said(6, false)), said(1, false).weight(4));
        assert_eq!(priorities.open(5, said(3, false)), said(3, false).weight(5));
        assert!(!priorities.yields(4) && priorities.yields(5));
        assert_eq!(priorities.update(4, said(7, false)), Ok(Some(said(7, false).weight(4))));
        assert!(priorities.yields(4) && !priorities.yields(5));
        priorities.close(5);
        assert!(!priorities.yields(4));
    }

    #[test]
    fn no_more_is_kept_than_there_can_be_requests() {
        let mut priorities = Priorities::default();
        priorities.allow(100);
        (0..1_000).for_each(|index| priorities.begin(index));
        (0..990).for_each(|index| priorities.close(index));
        let update = |priorities: &mut Priorities, index| priorities.update(index, said(0, false));
        assert!((0..1_100).all(|index| update(&mut priorities, index) == Ok(None)));
        assert_eq!(update(&mut priorities, 1_100), Err(Beyond));
        assert_eq!(priorities.len(), 110, "ten under way and a hundred to come");
    }
}
