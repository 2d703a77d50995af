//! The cache's rules: which blocks are present, in which slots, and who leaves.
//!
//! Pure tables. They say what should happen; the edge moves the bytes. Slots are
//! numbers here, the mapped memory behind them is the edge's `slab`.

mod class;
mod index;

pub use class::Class;
pub use index::{BlockKey, Index, Slot, VersionId};
