//! Where each slot is, and whose block it holds: 26 bytes a slot, allocated once.
//!
//! Every slot is in exactly one [`Place`]. Places with an order are linked lists through two
//! arrays of slot numbers, so that a move costs no allocation and no search. Who moves which
//! slot where is the business of `index` and of the policies.

use super::{
    Class,
    key::{BlockKey, Slot, VersionId},
};

/// The number that links to nothing.
const NONE: u32 = u32::MAX;

/// Queues that a policy may have.
const QUEUES: u8 = 3;

/// Which of the two orders of an index a queue belongs to: heads may have one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    First,
    Second,
}

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u8);

impl Place {
    /// Nobody's.
    pub(super) const FREE: Self = Self(0);
    /// Taken out while somebody still read it.
    pub(super) const LIMBO: Self = Self(1);
    /// Being written; in no list.
    pub(super) const RESERVED: Self = Self(2);
    /// Present, held by a lease.
    pub(super) const LEASED: Self = Self(3);
    /// Present, in an order that is kept elsewhere.
    pub(super) const ELSEWHERE: Self = Self(4);

    const COUNT: usize = 5 + 2 * QUEUES as usize;

    /// Present, in a queue of a policy.
    pub(super) const fn queue(segment: Segment, queue: u8) -> Self {
        assert!(queue < QUEUES, "a policy has at most three queues");
        Self(5 + segment as u8 * QUEUES + queue)
    }

    fn is_present(self) -> bool {
        self.0 >= Self::LEASED.0
    }
}

#[derive(Debug, Clone, Copy)]
struct List {
    front: u32,
    back: u32,
    len: u32,
}

/// What is known of all slots.
#[derive(Debug)]
pub(super) struct Slots {
    versions: Box<[u64]>,
    blocks: Box<[u32]>,
    nexts: Box<[u32]>,
    prevs: Box<[u32]>,
    /// The second at which a lease ends; 32 bits reach the year 2106.
    leases: Box<[u32]>,
    places: Box<[Place]>,
    /// How often it was used, as a policy counts; and three flags.
    marks: Box<[u8]>,
    lists: [List; Place::COUNT],
}

const HEAD: u8 = 0x80;
const PREFETCHED: u8 = 0x40;
const AWAITED: u8 = 0x20;
const USES: u8 = 0x1f;

impl Slots {
    /// All of them free, the lowest number in front.
    pub(super) fn new(count: u32) -> Self {
        let len = count as usize;
        let mut slots = Self {
            versions: vec![0; len].into(),
            blocks: vec![0; len].into(),
            nexts: vec![NONE; len].into(),
            prevs: vec![NONE; len].into(),
            leases: vec![0; len].into(),
            places: vec![Place::RESERVED; len].into(),
            marks: vec![0; len].into(),
            lists: [List { front: NONE, back: NONE, len: 0 }; Place::COUNT],
        };
        for slot in 0..count {
            slots.push_back(Place::FREE, Slot(slot));
        }
        slots
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.places.len()).expect("made from a u32")
    }

    /// The key a slot was last given.
    pub(super) fn key(&self, slot: Slot) -> BlockKey {
        let at = slot.0 as usize;
        BlockKey { version: VersionId(self.versions[at]), block: self.blocks[at] }
    }

    /// Gives a slot in no list to a block.
    pub(super) fn assign(&mut self, slot: Slot, key: BlockKey, class: Class, prefetched: bool) {
        let at = slot.0 as usize;
        (self.versions[at], self.blocks[at]) = (key.version.0, key.block);
        self.marks[at] = if class == Class::Head { HEAD } else { 0 } | if prefetched { PREFETCHED } else { 0 };
    }

    pub(super) fn class(&self, slot: Slot) -> Class {
        if self.marks[slot.0 as usize] & HEAD == 0 { Class::Body } else { Class::Head }
    }

    /// Whether it was prefetched and has not been used.
    pub(super) fn is_prefetched(&self, slot: Slot) -> bool {
        self.marks[slot.0 as usize] & PREFETCHED != 0
    }

    pub(super) fn clear_prefetched(&mut self, slot: Slot) {
        self.marks[slot.0 as usize] &= !PREFETCHED;
    }

    /// Its reader is still on the way to it.
    pub(super) fn set_awaited(&mut self, slot: Slot) {
        self.marks[slot.0 as usize] |= AWAITED;
    }

    /// Whether its reader was on the way; the reader is here now.
    pub(super) fn take_awaited(&mut self, slot: Slot) -> bool {
        let mark = &mut self.marks[slot.0 as usize];
        let was = *mark & AWAITED != 0;
        *mark &= !AWAITED;
        was
    }

    /// The number of uses that a policy has noted.
    pub(super) fn uses(&self, slot: Slot) -> u8 {
        self.marks[slot.0 as usize] & USES
    }

    pub(super) fn set_uses(&mut self, slot: Slot, uses: u8) {
        let mark = &mut self.marks[slot.0 as usize];
        *mark = *mark & !USES | uses.min(USES);
    }

    pub(super) fn lease(&self, slot: Slot) -> u32 {
        self.leases[slot.0 as usize]
    }

    pub(super) fn set_lease(&mut self, slot: Slot, until: u32) {
        self.leases[slot.0 as usize] = until;
    }

    pub(super) fn place(&self, slot: Slot) -> Place {
        self.places[slot.0 as usize]
    }

    /// Puts a slot that is in no list where no list is.
    pub(super) fn put(&mut self, place: Place, slot: Slot) {
        debug_assert_eq!(self.place(slot), Place::RESERVED);
        self.places[slot.0 as usize] = place;
    }

    /// How many are in that list.
    pub(super) fn len(&self, place: Place) -> u32 {
        self.lists[place.0 as usize].len
    }

    pub(super) fn back(&self, place: Place) -> Option<Slot> {
        some(self.lists[place.0 as usize].back)
    }

    /// The neighbour towards the front.
    pub(super) fn before(&self, slot: Slot) -> Option<Slot> {
        some(self.prevs[slot.0 as usize])
    }

    pub(super) fn push_front(&mut self, place: Place, slot: Slot) {
        let list = self.enter(place, slot);
        let second = std::mem::replace(&mut list.front, slot.0);
        if second == NONE {
            list.back = slot.0;
        } else {
            self.prevs[second as usize] = slot.0;
        }
        self.nexts[slot.0 as usize] = second;
        self.prevs[slot.0 as usize] = NONE;
    }

    pub(super) fn push_back(&mut self, place: Place, slot: Slot) {
        let list = self.enter(place, slot);
        let last = std::mem::replace(&mut list.back, slot.0);
        if last == NONE {
            list.front = slot.0;
        } else {
            self.nexts[last as usize] = slot.0;
        }
        self.prevs[slot.0 as usize] = last;
        self.nexts[slot.0 as usize] = NONE;
    }

    /// Takes a slot out of whatever list it is in; it is reserved then.
    pub(super) fn take(&mut self, slot: Slot) {
        let place = self.place(slot);
        self.places[slot.0 as usize] = Place::RESERVED;
        if place == Place::ELSEWHERE || place == Place::RESERVED {
            return;
        }
        let (prev, next) = (self.prevs[slot.0 as usize], self.nexts[slot.0 as usize]);
        let list = &mut self.lists[place.0 as usize];
        list.len -= 1;
        match prev {
            NONE => list.front = next,
            prev => self.nexts[prev as usize] = next,
        }
        match next {
            NONE => list.back = prev,
            next => self.prevs[next as usize] = prev,
        }
    }

    /// Takes the foremost slot out of a list.
    pub(super) fn pop_front(&mut self, place: Place) -> Option<Slot> {
        let slot = some(self.lists[place.0 as usize].front)?;
        self.take(slot);
        Some(slot)
    }

    /// From one list to the front of another, or of the same.
    pub(super) fn move_to_front(&mut self, place: Place, slot: Slot) {
        self.take(slot);
        self.push_front(place, slot);
    }

    /// Every slot that holds a present block.
    pub(super) fn present(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.count()).map(Slot).filter(|slot| self.place(*slot).is_present())
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.places.len() * (size_of::<u64>() + 4 * size_of::<u32>() + 2)
    }

    fn enter(&mut self, place: Place, slot: Slot) -> &mut List {
        debug_assert_eq!(self.place(slot), Place::RESERVED, "a slot is in one place at a time");
        self.places[slot.0 as usize] = place;
        let list = &mut self.lists[place.0 as usize];
        list.len += 1;
        list
    }
}

fn some(slot: u32) -> Option<Slot> {
    (slot != NONE).then_some(Slot(slot))
}
