//! What lets the cache survive its process: a record beside each block, a journal of the objects
//! that the blocks belong to, and the walk through both at a start.
//!
//! ```text
//!  lock           held by the one process that owns the folder
//!  slab-NNNN      blocks, 1 GiB a file, the last one shorter
//!  records-NNNN   64 bytes for each slot of the slab of that number    (record)
//!  objects        paths, validators, freshness: one line each          (journal)
//! ```
//!
//! A block is stored in this order, so that a kill at any moment leaves no record that speaks of
//! bytes of something else: the slot's old record is erased, the bytes are written, the object is in
//! the journal, the new record is written, and only then do readers see the block. Nothing of that is
//! synced to the disk: a process that is killed loses nothing that the kernel has, and after a power
//! cut, when pages reach the disk in any order or not at all, the checksums find out. A sync for each
//! block would cost more than the blocks that a power cut takes.
//!
//! At a start nothing of the slabs is read: records and journal give the table back, and a block's
//! bytes are checked when they are first touched. [`crate::slab`] does both.

pub mod journal;
pub mod lock;
pub mod record;
mod recover;
pub(crate) mod scraped;

pub use recover::{Recovered, recover};
