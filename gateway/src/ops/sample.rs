//! The numbers of one edge: all so far ([`Sample`]), and what came within a time ([`Window`]).
//!
//! Both are rows of counters with one meaning a place, so that taking apart and adding up are loops. A counter that
//! has become smaller began anew with its process: then all that it shows is new.

/// Upper bounds of the buckets of start times, as the edges have them. Unit: seconds; a further bucket has the rest.
pub const BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Buckets of start times.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// What answers are grouped by: the class of their first block, and their protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Within the first 30 s, whether it was expected or not.
    Head,
    /// Beyond.
    Body,
    /// Artwork, and whatever else needs no signature.
    Art,
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
    /// HTTP/3.
    H3,
}

impl Group {
    /// By class: every answer with bytes is in one of them.
    pub const CLASSES: [Self; 3] = [Self::Head, Self::Body, Self::Art];
    /// By protocol: likewise.
    pub const PROTOCOLS: [Self; 3] = [Self::H1, Self::H2, Self::H3];

    /// As it stands in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Art => "art",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

/// Counters of a group: answers from the cache, all answers, and the buckets of their start times.
const GROUP_PLACES: usize = 2 + BUCKETS;
/// Counters that are about no group.
const PLAIN_PLACES: usize = 4;
/// All counters.
const PLACES: usize = PLAIN_PLACES + 6 * GROUP_PLACES;

/// Where a counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Answers of any status.
    Requests,
    /// Those of status 400 to 499.
    Refused,
    /// Those of status 500 and above.
    Failed,
    /// Bodies that were reset.
    Reset,
    /// Answers of a group that the cache had whole.
    Hits(Group),
    /// Answers of a group.
    Answers(Group),
    /// Answers of a group whose first byte took up to this bucket's bound.
    Start(Group, usize),
}

impl Place {
    fn index(self) -> usize {
        let of = |group: Group, place| PLAIN_PLACES + group as usize * GROUP_PLACES + place;
        match self {
            Self::Requests => 0,
            Self::Refused => 1,
            Self::Failed => 2,
            Self::Reset => 3,
            Self::Hits(group) => of(group, 0),
            Self::Answers(group) => of(group, 1),
            Self::Start(group, bucket) => of(group, 2 + bucket),
        }
    }
}

/// What an edge has counted since its process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Body bytes that arrived.
    pub bytes: u64,
    /// Body bytes that came from upstream.
    pub upstream_bytes: u64,
    counts: [u64; PLACES],
}

impl Default for Sample {
    fn default() -> Self {
        Self { bytes: 0, upstream_bytes: 0, counts: [0; PLACES] }
    }
}

impl Sample {
    /// Adds to a counter.
    pub fn add(&mut self, place: Place, more: u64) {
        let count = &mut self.counts[place.index()];
        *count = count.saturating_add(more);
    }

    /// A counter.
    pub fn get(&self, place: Place) -> u64 {
        self.counts[place.index()]
    }

    /// What came since an earlier sample of the same edge, within so many milliseconds.
    pub fn since(&self, earlier: &Sample, covered_ms: u64) -> Window {
        let nothing = Sample::default();
        let earlier = if self.began_anew(earlier) { &nothing } else { earlier };
        let mut window = Window {
            covered_ms: narrow(covered_ms),
            bytes: self.bytes - earlier.bytes,
            upstream_bytes: self.upstream_bytes - earlier.upstream_bytes,
            ..Window::default()
        };
        for ((count, now), before) in window.counts.iter_mut().zip(&self.counts).zip(&earlier.counts) {
            *count = narrow(now - before);
        }
        window
    }

    fn began_anew(&self, earlier: &Sample) -> bool {
        self.bytes < earlier.bytes
            || self.upstream_bytes < earlier.upstream_bytes
            || self.counts.iter().zip(&earlier.counts).any(|(now, before)| now < before)
    }
}

/// What came within a time. Half a KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How long was looked. Unit: milliseconds.
    pub covered_ms: u32,
    /// Body bytes that arrived.
    pub bytes: u64,
    /// Body bytes that came from upstream.
    pub upstream_bytes: u64,
    counts: [u32; PLACES],
}

impl Default for Window {
    fn default() -> Self {
        Self { covered_ms: 0, bytes: 0, upstream_bytes: 0, counts: [0; PLACES] }
    }
}

impl Window {
    /// A counter.
    pub fn get(&self, place: Place) -> u64 {
        self.counts[place.index()].into()
    }

    /// The same edge, a while later.
    pub fn append(&mut self, later: &Window) {
        self.covered_ms = self.covered_ms.saturating_add(later.covered_ms);
        self.bytes += later.bytes;
        self.upstream_bytes += later.upstream_bytes;
        for (count, more) in self.counts.iter_mut().zip(&later.counts) {
            *count = count.saturating_add(*more);
        }
    }
}

/// No edge answers four billion requests in ten minutes.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Windows of several edges at one time: counts add up, and so do rates.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// Requests a second.
    pub requests: f64,
    /// Of them refused.
    pub refused: f64,
    /// Of them failed, or broken off by us.
    pub failed: f64,
    /// Body bytes a second that arrived.
    pub bytes: f64,
    /// Body bytes a second from upstream.
    pub upstream_bytes: f64,
    whole: Sample,
    /// Whether anything was seen at all.
    pub is_seen: bool,
}

impl Sum {
    /// One more edge.
    pub fn add(&mut self, window: &Window) {
        let seconds = f64::from(window.covered_ms) / 1e3;
        if seconds <= 0.0 {
            return;
        }
        self.is_seen = true;
        self.requests += window.get(Place::Requests) as f64 / seconds;
        self.refused += window.get(Place::Refused) as f64 / seconds;
        self.failed += (window.get(Place::Failed) + window.get(Place::Reset)) as f64 / seconds;
        self.bytes += window.bytes as f64 / seconds;
        self.upstream_bytes += window.upstream_bytes as f64 / seconds;
        for (count, more) in self.whole.counts.iter_mut().zip(&window.counts) {
            *count += u64::from(*more);
        }
    }

    /// The share of answers that came from the cache; None where there were none.
    pub fn hit_ratio(&self, groups: &[Group]) -> Option<f64> {
        let of = |place: fn(Group) -> Place| groups.iter().map(|group| self.whole.get(place(*group))).sum::<u64>();
        let answers = of(Place::Answers);
        (answers > 0).then(|| of(Place::Hits) as f64 / answers as f64)
    }

    /// The time within which this share of a group's answers began. Unit: milliseconds; None where there were none.
    pub fn start_ms(&self, group: Group, share: f64) -> Option<f64> {
        let buckets = std::array::from_fn(|bucket| self.whole.get(Place::Start(group, bucket)));
        quantile(&buckets, share).map(|seconds| seconds * 1e3)
    }
}

/// Where in a histogram this share of all lies: straight between the bounds of its bucket, and at the last bound for
/// what is beyond.
pub fn quantile(buckets: &[u64; BUCKETS], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = share.clamp(0.0, 1.0) * total as f64;
    let mut before = 0.0;
    for (bucket, count) in buckets.iter().enumerate() {
        let count = *count as f64;
        if count > 0.0 && before + count >= wanted {
            let Some(upper) = BOUNDS.get(bucket) else { break };
            let lower = if bucket == 0 { 0.0 } else { BOUNDS[bucket - 1] };
            return Some(lower + (upper - lower) * ((wanted - before) / count).max(0.0));
        }
        before += count;
    }
    BOUNDS.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(requests: u64, bytes: u64) -> Sample {
        let mut sample = Sample { bytes, ..Sample::default() };
        sample.add(Place::Requests, requests);
        sample
    }

    #[test]
    fn places_are_apart_and_all_used() {
        let mut seen = std::collections::BTreeSet::new();
        for place in [Place::Requests, Place::Refused, Place::Failed, Place::Reset] {
            assert!(seen.insert(place.index()));
        }
        for group in Group::CLASSES.into_iter().chain(Group::PROTOCOLS) {
            assert!(seen.insert(Place::Hits(group).index()) && seen.insert(Place::Answers(group).index()));
            assert!((0..BUCKETS).all(|bucket| seen.insert(Place::Start(group, bucket).index())));
        }
        assert_eq!((seen.len(), seen.last()), (PLACES, Some(&(PLACES - 1))));
    }

    #[test]
    fn a_window_is_the_difference_and_after_a_restart_all_there_is() {
        let window = sample(10, 900).since(&sample(4, 100), 5_000);
        assert_eq!((window.get(Place::Requests), window.bytes, window.covered_ms), (6, 800, 5_000));
        let anew = sample(3, 950).since(&sample(10, 900), 5_000);
        assert_eq!((anew.get(Place::Requests), anew.bytes), (3, 950), "one that fell is enough");
    }

    #[test]
    fn rates_of_edges_add_up_whatever_time_each_was_looked_at() {
        let mut sum = Sum::default();
        sum.add(&sample(50, 0).since(&Sample::default(), 5_000));
        sum.add(&sample(40, 0).since(&Sample::default(), 20_000));
        sum.add(&sample(99, 0).since(&Sample::default(), 0));
        assert_eq!(sum.requests, 12.0);
        assert_eq!((sum.hit_ratio(&Group::CLASSES), sum.start_ms(Group::Head, 0.5)), (None, None));
    }

    #[test]
    fn a_quantile_lies_straight_within_its_bucket() {
        let mut buckets = [0; BUCKETS];
        assert_eq!(quantile(&buckets, 0.5), None);
        buckets[3] = 10;
        assert_eq!(quantile(&buckets, 0.5), Some(0.000_75));
        assert_eq!(quantile(&buckets, 1.0), Some(0.001));
        buckets[BUCKETS - 1] = 1_000;
        assert_eq!(quantile(&buckets, 0.99), Some(2.5), "nothing is known beyond the last bound");
    }

    proptest! {
        #[test]
        fn quantiles_grow_and_lie_within_their_bucket(
            buckets in prop::array::uniform15(0u64..100), low in 0.0f64..1.0, high in 0.0f64..1.0,
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let total: u64 = buckets.iter().sum();
            match (quantile(&buckets, low), quantile(&buckets, high)) {
                (None, None) => prop_assert_eq!(total, 0),
                (Some(a), Some(b)) => {
                    prop_assert!(a <= b && (0.0..=2.5).contains(&a));
                    // At least that share lies at or below the bound of the bucket it is in.
                    let bucket = BOUNDS.iter().position(|bound| b <= *bound).unwrap();
                    let below: u64 = buckets[..=bucket].iter().sum();
                    let is_beyond = b == 2.5;
                    prop_assert!(is_beyond || below as f64 + 1e-6 >= high * total as f64);
                }
                both => prop_assert!(false, "{both:?}"),
            }
        }
    }
}
