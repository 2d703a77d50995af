//! Which node an object belongs to: rendezvous hashing with weights and bounded loads.
//!
//! Every node draws a score for every object; the best score is the object's home, the next
//! ones are where it goes when the home is down or full. Compared with points on a ring this
//! needs no virtual points, spreads the load of a lost or full node over all others instead of
//! over its neighbour, and moves exactly the objects of the node that came or went. The load
//! bound is that of consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2017).
//!
//! All is a function of names, weights and the path, so all edges of a region agree without
//! talking to each other. Who is up is the caller's knowledge.

use twox_hash::XxHash3_64;

use crate::ObjectPath;

/// No node takes more than this multiple of the mean load. Unit: per cent.
pub const LOAD_PERCENT_MAX: u64 = 125;

/// A node among which objects are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    seed: u64,
    weight: u32,
}

impl Node {
    /// A node by its name, such as its URL. A node of weight 0 comes after all others: a spare.
    pub fn new(name: &str, weight: u32) -> Self {
        Self { seed: XxHash3_64::oneshot(name.as_bytes()), weight }
    }

    /// The smaller the better. For a uniform draw u, -ln(u) / weight is smallest at a node with
    /// a chance that is proportional to its weight.
    fn score(&self, object: u64) -> f64 {
        let draw = (mixed(self.seed ^ object) >> 11) as f64 / (1u64 << 53) as f64;
        // Spares are ranked among themselves, behind everybody: 1e9 is beyond every other score.
        match self.weight {
            0 => 1e9 * (1.0 + draw),
            weight => -draw.max(f64::MIN_POSITIVE).ln() / f64::from(weight),
        }
    }
}

/// The nodes in the order in which an object asks for them, as positions in `nodes`.
pub fn rank(path: &ObjectPath, nodes: &[Node]) -> Vec<usize> {
    let object = XxHash3_64::oneshot(path.as_str().as_bytes());
    let mut ranked: Vec<_> = nodes.iter().enumerate().map(|(at, node)| (node.score(object), at)).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ranked.into_iter().map(|(_, at)| at).collect()
}

/// What one of `nodes` may carry when `total` requests are under way: 1.25 times the mean, rounded
/// up, and never less than `floor`, since a few requests are no load worth a second home.
pub fn load_max(total: u64, nodes: usize, floor: u64) -> u64 {
    let nodes = (nodes as u64).max(1);
    (total * LOAD_PERCENT_MAX).div_ceil(100 * nodes).max(floor)
}

/// Moves the nodes that are full behind those that are not; within both, the order stays.
/// `loads` are requests under way, by position; the request to be placed is not among them.
pub fn bounded(ranked: &[usize], loads: &[u64], floor: u64) -> Vec<usize> {
    let total: u64 = ranked.iter().map(|at| loads[*at]).sum();
    let max = load_max(total + 1, ranked.len(), floor);
    let (free, full): (Vec<_>, Vec<_>) = ranked.iter().partition(|at| loads[**at] < max);
    free.into_iter().chain(full).collect()
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(number: usize) -> ObjectPath {
        ObjectPath::parse(&format!("/tracks/{number}/r1/160.ogg")).unwrap()
    }

    fn nodes(count: usize) -> Vec<Node> {
        (0..count).map(|at| Node::new(&format!("https://shield-{at}.example"), 1)).collect()
    }

    #[test]
    fn a_lost_node_moves_only_its_own_objects_and_spreads_them_over_all_others() {
        let (all, count) = (nodes(10), 20_000);
        let fewer = &all[..9];
        let mut heirs = [0usize; 9];
        let mut moved = 0;
        for number in 0..count {
            let (before, after) = (rank(&path(number), &all)[0], rank(&path(number), fewer)[0]);
            if before == after {
                continue;
            }
            assert_eq!(before, 9, "only objects of the lost node move");
            moved += 1;
            heirs[after] += 1;
        }
        let share = moved as f64 / count as f64;
        assert!((0.09..0.11).contains(&share), "{share} moved, a tenth was expected");
        let (least, most) = (heirs.iter().min().unwrap(), heirs.iter().max().unwrap());
        assert!(*most < 2 * *least, "{heirs:?}");
    }

    #[test]
    fn a_weight_is_a_share() {
        let nodes = [Node::new("a", 1), Node::new("b", 3), Node::new("spare", 0)];
        let firsts: Vec<_> = (0..20_000).map(|number| rank(&path(number), &nodes)).collect();
        let share = firsts.iter().filter(|ranked| ranked[0] == 1).count() as f64 / 20_000.0;
        assert!((0.73..0.77).contains(&share), "{share}");
        assert!(firsts.iter().all(|ranked| ranked[2] == 2), "a spare comes last");
    }

    #[test]
    fn under_few_requests_everybody_stays_at_home() {
        assert_eq!(bounded(&[2, 0, 1], &[0, 0, 5], 16), [2, 0, 1]);
        assert_eq!(bounded(&[2, 0, 1], &[0, 0, 5], 1), [0, 1, 2]);
    }

    #[test]
    fn a_hundred_thousand_requests_for_few_songs_keep_to_the_bound() {
        let all = nodes(8);
        let mut loads = vec![0u64; 8];
        for number in 0..100_000usize {
            // Three songs are nearly all of the traffic.
            let song = path(if number % 10 == 0 { number } else { number % 3 });
            let first = bounded(&rank(&song, &all), &loads, 1)[0];
            loads[first] += 1;
        }
        let mean = 100_000.0 / 8.0;
        assert!(loads.iter().all(|load| (*load as f64) <= 1.25 * mean + 1.0), "{loads:?}");
    }

    proptest! {
        #[test]
        fn every_node_is_ranked_once_and_the_same_way_again(
            count in 0usize..20, number in 0usize..1_000_000
        ) {
            let all = nodes(count);
            let ranked = rank(&path(number), &all);
            let mut sorted = ranked.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            prop_assert_eq!(rank(&path(number), &all), ranked);
        }

        #[test]
        fn the_order_of_the_configuration_does_not_matter(count in 1usize..12, number in 0usize..1_000_000) {
            let all = nodes(count);
            let turned: Vec<_> = all.iter().rev().copied().collect();
            let straight: Vec<_> = rank(&path(number), &all).iter().map(|at| all[*at]).collect();
            let reversed: Vec<_> = rank(&path(number), &turned).iter().map(|at| turned[*at]).collect();
            prop_assert_eq!(straight, reversed);
        }

        #[test]
        fn the_first_choice_never_exceeds_the_bound(
            loads in prop::collection::vec(0u64..1_000, 1..12), number in 0usize..1_000_000, floor in 1u64..50
        ) {
            let ranked = rank(&path(number), &nodes(loads.len()));
            let first = bounded(&ranked, &loads, floor)[0];
            prop_assert!(loads[first] < load_max(loads.iter().sum::<u64>() + 1, loads.len(), floor));
        }
    }
}
