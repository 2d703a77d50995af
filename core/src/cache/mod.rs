//! The cache's rules: which blocks are present, in which slots, and who leaves.
//!
//! Pure tables. They say what should happen; the edge moves the bytes. Slots are
//! numbers here, the mapped memory behind them is the edge's `slab`.
//!
//! [`Index`] is the only door. Behind it, `slots` says where each slot is, `order` is the
//! seam of the eviction policies, and each policy has a file of its own.

mod class;
mod counts;
mod ghost;
mod index;
mod key;
mod lru;
mod order;
mod s3_fifo;
mod shape;
mod sieve;
mod sketch;
mod slots;
mod w_tinylfu;

pub use class::Class;
pub use counts::Counts;
pub use index::{Arrival, Hit, Index};
pub use key::{BlockKey, Slot, VersionId};
pub use shape::{PolicyKind, PolicyUnknown, Shape};
