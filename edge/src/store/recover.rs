//! The walk at a start: journal and records give objects and blocks back. No block is read.

use std::{collections::HashMap, sync::Arc};

use needledrop_core::cache::{Slot, VersionId};

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
    let wanted = replay.objects.into_iter().filter(|object| !covered(object));
    let mut known: HashMap<VersionId, (Arc<Object>, u32)> =
        wanted.map(|object| (object.version, (object, 0))).collect();
    let mut blocks = 0;
    for (first, bytes) in records {
        for (slot, bytes) in (first.0..).zip(bytes.as_chunks::<RECORD_BYTES>().0) {
            let Some(record) = Record::decode(Slot(slot), bytes) else { continue };
            // Also behind numbers of which only a record tells: no two objects ever share one.
            next = next.max(VersionId(record.key.version.0.saturating_add(1)));
            let Some((object, kept)) = known.get_mut(&record.key.version) else { continue };
            if is_of(&record, object) && restore(&record) {
                *kept += 1;
                blocks += 1;
            }
        }
    }
    let mut objects: Vec<_> = known.into_values().filter(|(_, kept)| *kept > 0).map(|(object, _)| object).collect();
    objects.sort_unstable_by_key(|object| object.version);
    Recovered { objects, next, blocks }
}

fn is_of(record: &Record, object: &Object) -> bool {
    record.key.block < object.blocks() && record.len as usize == object.block_len(record.key.block)
}
