//! Which documents have which of the typed words, as bits.
//!
//! To look into a document costs two waits for memory. Where frequent words are typed together, most documents of one
//! do not have the other: their lists are read first, which costs a bit for each, and only who has enough is looked into.

use super::plan::Plan;
use super::table::Table;

/// For fewer candidates than this no bits are laid out.
const CANDIDATES_MIN: usize = 256;
/// A word in more documents than this lets everything pass: to read the list would cost more than it saves.
const VOLUME_MAX: usize = 200_000;

/// Bits for every typed word that tells documents apart.
pub(super) struct Sieve {
    layers: Vec<Vec<u64>>,
    pub(super) missing_max: usize,
}

impl Sieve {
    /// For a plan of which so many words may be missing.
    pub(super) fn new(table: &Table, plan: &Plan, missing_max: usize) -> Self {
        let volumes = || plan.typed.iter().filter(|typed| !typed.is_little && !typed.is_open).map(|typed| typed.volume);
        let mut layers = Vec::new();
        if volumes().count() > missing_max && volumes().min().is_some_and(|volume| volume >= CANDIDATES_MIN) {
            let telling =
                plan.typed.iter().filter(|typed| !typed.is_little && !typed.is_open && typed.volume < VOLUME_MAX);
            for typed in telling {
                let mut layer = vec![0_u64; table.slots().div_ceil(64)];
                for slot in typed.real.iter().flat_map(|real| table.words.word(real.word).posts.slots(plan.kinds)) {
                    layer[slot as usize / 64] |= 1 << (slot % 64);
                }
                layers.push(layer);
            }
        }
        Self { layers, missing_max }
    }

    /// Whether a document may have enough of the words.
    pub(super) fn passes(&self, slot: u32) -> bool {
        let missing = self.layers.iter().filter(|layer| layer[slot as usize / 64] >> (slot % 64) & 1 == 0).count();
        missing <= self.missing_max
    }
}
