//! The walk at a start: journal and records give objects and blocks back. No block is read.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use needledrop_core::{
    BlockIndex,
    cache::{Slot, VersionId},
};

use crate::{
    object::Object,
    store::{
        journal::Replay,
        record::{RECORD_BYTES, Record},
    },
};

/// What an earlier process left.
#[derive(Debug)]
pub struct Recovered {
    /// The objects of which at least one block is left, oldest version first. They keep their freshness.
    pub objects: Vec<Arc<Object>>,
    /// The first version number that nobody was given yet.
    pub next: VersionId,
    /// How many blocks were given back to the table. Unit: blocks.
    pub blocks: u64,
}

/// Goes through `records`, the bytes of each records file with the number of its first slot, and
/// gives to `restore` every record whose object is known, still wanted and as long as the record says;
/// `restore` answers whether it took the block.
///
/// An object that is `covered` by a purge is not wanted, nor is any of its blocks.
pub fn recover(
    records: impl IntoIterator<Item = (Slot, Vec<u8>)>,
    replay: Replay,
    covered: impl Fn(&Object) -> bool,
    mut restore: impl FnMut(&Record) -> bool,
) -> Recovered {
    let mut next = replay.next;
    let mut objects: Vec<_> = replay.objects.into_iter().filter(|object| !covered(object)).collect();
    let mut known: HashMap<u64, Known, BuildHasherDefault<Spread>> =
        objects.iter().map(|object| (object.version.0, Known { len: object.len, kept: 0 })).collect();
    let mut blocks = 0;
    for (first, bytes) in records {
        for (slot, bytes) in (first.0..).zip(bytes.as_chunks::<RECORD_BYTES>().0) {
            let Some(record) = Record::decode(Slot(slot), bytes) else { continue };
            // Also behind numbers of which only a record tells: no two objects ever share one.
            next = next.max(VersionId(record.key.version.0.saturating_add(1)));
            let Some(object) = known.get_mut(&record.key.version.0) else { continue };
            let range = BlockIndex(record.key.block).range(object.len);
            if range.is_some_and(|range| range.len() == u64::from(record.len)) && restore(&record) {
                object.kept += 1;
                blocks += 1;
            }
        }
    }
    objects.retain(|object| known[&object.version.0].kept > 0);
    Recovered { objects, next, blocks }
}

/// What the walk must know of an object at each of its blocks, close together in memory.
struct Known {
    len: u64,
    kept: u32,
}

/// Version numbers are our own and follow each other: one multiplication spreads them well enough.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write_u64(&mut self, version: u64) {
        self.0 = version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are keys");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
