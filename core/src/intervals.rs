//! Which bytes of an object somebody has: disjoint ranges in order, merged where they touch.
//!
//! A delivery record is made of these. Adding is idempotent and in any order gives the same set, so
//! records that overlap (a retry, a seek back) can be added up without counting a byte twice.

use crate::{answer::Segment, range::ByteRange};

/// Disjoint, non-adjacent byte ranges in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intervals(Vec<ByteRange>);

impl Intervals {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of the object among the first `delivered_bytes` of a body made of `segments`. What stands
    /// between the parts of a multipart body counts as delivered, but is no byte of the object.
    pub fn of_body(segments: &[Segment], delivered_bytes: u64) -> Self {
        let mut intervals = Self::new();
        let mut left = delivered_bytes;
        for segment in segments {
            let taken = left.min(segment.len());
            if let Segment::Range(range) = segment
                && let Some(range) = ByteRange::new(range.start(), range.start() + taken)
            {
                intervals.add(range);
            }
            left -= taken;
        }
        intervals
    }

    /// Adds a range, merging it with those that it overlaps or touches.
    pub fn add(&mut self, range: ByteRange) {
        let first = self.0.partition_point(|known| known.end() < range.start());
        let behind = self.0.partition_point(|known| known.start() <= range.end());
        let merged = self.0[first..behind].iter().fold(range, |merged, known| {
            let (start, end) = (merged.start().min(known.start()), merged.end().max(known.end()));
            ByteRange::new(start, end).expect("as long as what it is made of")
        });
        self.0.splice(first..behind, [merged]);
    }

    /// Adds all ranges of another set.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|range| self.add(*range));
    }

    /// The ranges in rising order.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.0
    }

    /// How many bytes these are.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).unwrap()
    }

    fn set(ranges: &[(u64, u64)]) -> Intervals {
        let mut intervals = Intervals::new();
        ranges.iter().for_each(|(start, end)| intervals.add(range(*start, *end)));
        intervals
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(set(&[(0, 5), (5, 9), (20, 30), (8, 21)]).ranges(), [range(0, 30)]);
        assert_eq!(set(&[(10, 20), (0, 5)]).ranges(), [range(0, 5), range(10, 20)]);
    }

    #[test]
    fn a_body_that_broke_off_gives_the_bytes_it_got_to() {
        let body = [
            Segment::Literal(b"--part".to_vec()),
            Segment::Range(range(100, 200)),
            Segment::Literal(b"--part".to_vec()),
            Segment::Range(range(0, 50)),
            Segment::Literal(b"--end".to_vec()),
        ];
        assert!(Intervals::of_body(&body, 6).is_empty());
        assert_eq!(Intervals::of_body(&body, 16).ranges(), [range(100, 110)]);
        assert_eq!(Intervals::of_body(&body, 122).ranges(), [range(0, 10), range(100, 200)]);
        assert_eq!(Intervals::of_body(&body, 10_000).bytes(), 150);
    }

    proptest! {
        #[test]
        fn a_naive_set_of_bytes_agrees(ranges in proptest::collection::vec((0u64..60, 1u64..12), 0..20)) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| (start, start + len)).collect();
            let bytes: BTreeSet<u64> = ranges.iter().flat_map(|(start, end)| *start..*end).collect();
            let intervals = set(&ranges);
            let listed: Vec<u64> = intervals.ranges().iter().flat_map(|range| range.start()..range.end()).collect();
            prop_assert_eq!(&listed, &bytes.iter().copied().collect::<Vec<_>>());
            prop_assert!(intervals.ranges().windows(2).all(|pair| pair[0].end() < pair[1].start()));
            let mut backwards = ranges;
            backwards.reverse();
            prop_assert_eq!(set(&backwards), intervals);
        }
    }
}
