//! How much memory the index takes for each block, counted where it is allocated.
//!
//! `unsafe` only to count: every call goes on to the system's allocator unchanged.
#![allow(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the figures stand beside each other in the test's output")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use needledrop_core::{
    UnixSeconds,
    cache::{Arrival, BlockKey, Class, Index, PolicyKind, Shape, Slot, VersionId},
};

struct Counting;

thread_local! {
    /// Bytes that this thread holds.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no counter any more, and nobody asks it.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: what comes in goes to the system's allocator as it is, and so does what comes back;
// counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `at` came from `System.alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> isize {
    HELD.with(Cell::get)
}

fn key(block: u32) -> BlockKey {
    BlockKey { version: VersionId(u64::from(block / 40)), block: block % 40 }
}

/// Heap bytes a slot of a full index after twice its size in blocks has gone through it, and what
/// the index says of itself.
fn bytes_a_block(slots: u32, policy: PolicyKind) -> (f64, f64) {
    let before = held();
    let mut index = Index::new(slots, Shape { policy, ..Shape::default() });
    for block in 0..3 * slots {
        let class = if block % 40 < 5 { Class::Head } else { Class::Body };
        let slot = index.reserve(key(block), class, UnixSeconds(1), |_| false).expect("nothing is pinned");
        index.publish(key(block), slot, Arrival { class, lease_until: None, awaited: false });
        index.lookup(key(block / 2), UnixSeconds(1));
    }
    assert_eq!(index.len(), slots as usize);
    let of = |bytes: usize| bytes as f64 / f64::from(slots);
    (of((held() - before) as usize), of(index.memory_bytes()))
}

#[test]
fn a_block_of_the_default_policy_costs_at_most_64_bytes_with_its_ghosts() {
    // Beyond 7/8 of a power of two the hash table is twice as big: the worst is just behind.
    for slots in [57_000, 57_345, 65_536] {
        let (measured, said) = bytes_a_block(slots, Shape::default().policy);
        assert!(measured <= 64.0, "{measured:.1} bytes a block with {slots} slots");
        assert!((measured - said).abs() < 0.5, "{measured:.1} measured, {said:.1} said");
    }
}

#[test]
fn the_other_policies_stand_beside_it() {
    for policy in PolicyKind::ALL {
        let [worst, best] = [57_345, 57_000].map(|slots| bytes_a_block(slots, policy));
        println!("{policy}: {:.1} to {:.1} bytes a block", best.0, worst.0);
        // Of the `lru` crate's tables only the order of size is known from outside.
        let leeway = if policy == PolicyKind::Lru { 20.0 } else { 0.5 };
        for (measured, said) in [worst, best] {
            assert!((measured - said).abs() < leeway, "{policy}: {measured:.1} measured, {said:.1} said");
        }
    }
}

/// What the table was before: an `lru::LruCache` from key to slot, with a list of free slots.
#[test]
fn the_lru_crate_as_the_whole_table_stands_beside_it_too() {
    let slots = 57_345u32;
    let before = held();
    let mut table: lru::LruCache<BlockKey, Slot> =
        lru::LruCache::new(std::num::NonZeroUsize::new(slots as usize).expect("not zero"));
    let free: Vec<Slot> = (0..slots).map(Slot).collect();
    for block in 0..slots {
        table.push(key(block), Slot(block));
    }
    let bytes = (held() - before) as f64 / f64::from(slots);
    println!("the lru crate alone: {bytes:.1} bytes a block");
    assert!(bytes > 64.0, "{bytes:.1}: then it would do as the table");
    drop(free);
}
