//! The built-in demo library as sources for the ingest.

use needledrop_media::compose::{Composition, TRACKS};
use needledrop_origin::ingest::{BuiltIn, BuiltInSound};

/// Raised when the compositions sound different: they are then made again.
const VERSION: u32 = 1;

/// All demo tracks; nothing is composed before it is asked for.
pub fn sources() -> Vec<BuiltIn> {
    (0..TRACKS)
        .map(|number| BuiltIn {
            name: format!("demo/{:02}", number + 1),
            version: VERSION,
            tags: Composition::new(number).tags(),
            make: Box::new(move || {
                let composition = Composition::new(number);
                Ok(BuiltInSound { picture: Some(composition.cover_png()), pcm: Box::new(composition) })
            }),
        })
        .collect()
}
