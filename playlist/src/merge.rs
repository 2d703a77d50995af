//! Bringing together what two people made of one list: pure.
//!
//! The Subsonic protocol has no way to move or remove one song: a program sends the whole list as it wants it. Whoever
//! read the list a while ago would so take out what others put in since. With the list as that program last read it
//! (the base) both sides become edits, and both edits hold.

use std::collections::{HashMap, HashSet};

use crate::model::{Item, ItemId};

/// What the list becomes. `base` is what this side last read, `theirs` what the list is now, `mine` what this side wants:
/// items of the base that it keeps, by their names, and new ones that neither of the others has.
///
/// An item stays if both sides keep it, and goes if one of them took it out. What a side put in stays, behind the item
/// that it was put behind. If both moved items, this side's order counts: it spoke last.
pub fn merged(base: &[Item], theirs: &[Item], mine: &[Item]) -> Vec<Item> {
    let (in_base, in_theirs, in_mine) = (ids(base), ids(theirs), ids(mine));
    let i_moved = order(mine, &in_base) != order(base, &in_mine);
    let stays = |item: &&Item| match in_base.contains(&item.id) {
        true => in_theirs.contains(&item.id) && in_mine.contains(&item.id),
        false => true,
    };
    let (skeleton, other) = if i_moved { (mine, theirs) } else { (theirs, mine) };
    let kept: Vec<Item> = skeleton.iter().filter(stays).copied().collect();
    woven(kept, other, &in_base)
}

/// Puts what `other` has and the base has not behind what stands before it there.
fn woven(kept: Vec<Item>, other: &[Item], in_base: &HashSet<ItemId>) -> Vec<Item> {
    let there = ids(&kept);
    let mut behind: HashMap<Option<ItemId>, Vec<Item>> = HashMap::new();
    let mut anchor = None;
    for item in other {
        if there.contains(&item.id) {
            anchor = Some(item.id);
        } else if !in_base.contains(&item.id) {
            behind.entry(anchor).or_default().push(*item);
        }
    }
    let mut whole = behind.remove(&None).unwrap_or_default();
    for item in kept {
        whole.push(item);
        whole.extend(behind.remove(&Some(item.id)).unwrap_or_default());
    }
    whole
}

fn ids(items: &[Item]) -> HashSet<ItemId> {
    items.iter().map(|item| item.id).collect()
}

fn order(items: &[Item], among: &HashSet<ItemId>) -> Vec<ItemId> {
    items.iter().map(|item| item.id).filter(|id| among.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use needledrop_core::{TrackId, UnixSeconds};
    use proptest::prelude::*;

    fn list(ids: &[u64]) -> Vec<Item> {
        let track = TrackId::from_random([1; 16]);
        ids.iter().map(|id| Item { id: ItemId(*id), track, added: UnixSeconds(0) }).collect()
    }

    fn merge(base: &[u64], theirs: &[u64], mine: &[u64]) -> Vec<u64> {
        merged(&list(base), &list(theirs), &list(mine)).iter().map(|item| item.id.0).collect()
    }

    #[test]
    fn what_somebody_added_meanwhile_stays_where_it_was_put() {
        assert_eq!(merge(&[1, 2, 3], &[1, 9, 2, 3], &[3, 2, 1]), [3, 2, 1, 9]);
        assert_eq!(merge(&[1, 2, 3], &[1, 2, 3, 9], &[1, 3]), [1, 3, 9]);
        assert_eq!(merge(&[], &[9], &[100]), [100, 9]);
    }

    #[test]
    fn what_one_took_out_is_out_and_one_move_holds() {
        assert_eq!(merge(&[1, 2, 3], &[1, 3], &[3, 2, 1]), [3, 1]);
        assert_eq!(merge(&[1, 2, 3], &[3, 2, 1], &[1, 2, 3, 100]), [3, 100, 2, 1], "they moved, I added");
        assert_eq!(merge(&[1, 2, 3], &[3, 2, 1], &[2, 1, 3]), [2, 1, 3], "both moved");
        assert_eq!(merge(&[1, 2], &[1, 2], &[]), Vec::<u64>::new());
    }

    fn a_version() -> impl Strategy<Value = (Vec<u64>, usize)> {
        let kept = prop::sample::subsequence((1..=12_u64).collect::<Vec<_>>(), 0..=12);
        (kept.prop_shuffle(), 0..4_usize)
    }

    proptest! {
        #[test]
        fn both_edits_hold_and_nothing_comes_twice(
            (theirs, added) in a_version(), (mine, own) in a_version(), at in any::<prop::sample::Index>(),
        ) {
            let base: Vec<u64> = (1..=12).collect();
            let (mut theirs, mut mine) = (theirs, mine);
            for n in 0..added { let at = at.index(theirs.len() + 1); theirs.insert(at, 100 + n as u64); }
            for n in 0..own { let at = at.index(mine.len() + 1); mine.insert(at, 200 + n as u64); }
            let whole = merge(&base, &theirs, &mine);
            let expected: HashSet<u64> = (1..=12).filter(|id| theirs.contains(id) && mine.contains(id))
                .chain(theirs.iter().chain(&mine).copied().filter(|id| *id >= 100)).collect();
            prop_assert_eq!(whole.len(), expected.len());
            prop_assert_eq!(whole.iter().copied().collect::<HashSet<_>>(), expected);
            prop_assert_eq!(merge(&base, &base, &mine), mine.clone(), "nobody else changed anything");
            prop_assert_eq!(merge(&base, &theirs, &base), theirs, "this side changed nothing");
        }
    }
}
