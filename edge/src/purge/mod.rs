//! Gone on demand: objects by path, folder or tag, and whatever is on its way to become one of them.
//!
//! A purge is decided by version numbers (`core::purge`). Its order makes it safe: first it is
//! noted, and from then on an answer that upstream began earlier is not adopted; then every known
//! object is looked at, in steps, so that no request waits for long; then it is synced to disk;
//! only then it is acknowledged. A fill of a purged object goes on for those who read it already,
//! and is not published. What the neighbours must hear is [`crate::cluster`]'s business.

mod log;

use std::io;

use needledrop_core::purge::{PurgeId, Target};

pub use log::{FILE, Log, LogError, Missed, Purge};

use crate::{cache::Cache, object::Objects, shelf::Shelf};

/// What a purge did here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The purge as it was noted.
    pub purge: Purge,
    /// Objects forgotten.
    pub objects: usize,
    /// Blocks that left the cache with them.
    pub blocks: usize,
}

/// Which purges a caller wants to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Those not heard of before.
    First,
    /// Also those that were applied before: what came back meanwhile, from a shield that had not heard yet, goes too.
    Again,
}

impl Shelf {
    /// Purges here and now. Without an `id` it becomes this node's next purge. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// The disk refuses: what was to be gone is gone, but may come back with a restart.
    pub fn purge(&self, target: Target, id: Option<PurgeId>, round: Round) -> io::Result<Option<Applied>> {
        let mut applied = self.purge_all([(target, id)], round)?;
        Ok(applied.pop())
    }

    /// Purges all that was not applied before, with one sync. Blocking: for the blocking pool.
    ///
    /// # Errors
    /// The disk refuses: what was to be gone is gone, but may come back with a restart.
    pub fn purge_all(
        &self,
        wanted: impl IntoIterator<Item = (Target, Option<PurgeId>)>,
        round: Round,
    ) -> io::Result<Vec<Applied>> {
        let again = round == Round::Again;
        let note = |(target, id)| self.purges.note(target, id, again, || self.objects.peek_version(), self.clock.now());
        let purges: Vec<_> = wanted.into_iter().filter_map(note).collect();
        let applied = purges.iter().map(|purge| sweep(&self.objects, &self.cache, purge)).collect();
        self.purges.keep()?;
        self.cache.slab().journal().flush();
        Ok(applied)
    }
}

/// Takes away what a purge covers, in steps.
fn sweep(objects: &Objects, cache: &Cache, purge: &Purge) -> Applied {
    let mut applied = Applied { purge: purge.clone(), objects: 0, blocks: 0 };
    let mut after = None;
    loop {
        let taken = objects.take_some(&purge.target, purge.before, after.as_ref());
        for object in &taken.objects {
            applied.objects += 1;
            applied.blocks += cache.retire(object);
            // The log alone keeps it from coming back; this only keeps the journal short.
            cache.slab().journal().note_gone(object.version);
        }
        match taken.more {
            Some(last) => after = Some(last),
            None => return applied,
        }
    }
}

#[cfg(test)]
mod tests;
