//! The tracks that can be played now: an immutable snapshot of a library, renewed in the background.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use needledrop_origin::{Library, Vault, record::TrackRecord};

/// How often the library's journal is looked at while nothing is known to be ingested.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The tracks of one moment.
#[derive(Default)]
pub struct Snapshot {
    /// In no particular order.
    pub tracks: Vec<Arc<TrackRecord>>,
}

impl Snapshot {
    fn of(library: &Library) -> Self {
        Self { tracks: library.list().cloned().collect() }
    }
}

/// A library that is followed.
pub struct Listing {
    snapshot: ArcSwap<Snapshot>,
}

impl Listing {
    /// Reads the library of a vault. Blocks on its journal.
    pub fn open(vault: PathBuf) -> Result<(Arc<Self>, Library), String> {
        let library = Library::open(&Vault::at(vault)).map_err(|error| error.to_string())?;
        for damage in library.damage() {
            tracing::warn!(
                line = damage.line,
                reason = damage.reason,
                "the library's journal has a line that cannot be read"
            );
        }
        let listing = Arc::new(Self { snapshot: ArcSwap::from_pointee(Snapshot::of(&library)) });
        Ok((listing, library))
    }

    /// The tracks of this moment.
    pub fn now(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Takes up new tracks until dropped.
    pub async fn follow(self: Arc<Self>, mut library: Library) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let look = tokio::task::spawn_blocking(move || {
                let changed = library.refresh();
                (library, changed)
            });
            let Ok((looked, changed)) = look.await else { return };
            library = looked;
            match changed {
                Ok(true) => self.snapshot.store(Arc::new(Snapshot::of(&library))),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the library cannot be read"),
            }
        }
    }
}
