//! What others are told when a playlist has changed.
//!
//! Two changes of one playlist may be told in another order than they were committed in: the revision says which is the
//! later one. A change whose caller goes away while it is committed may not be told at all, so that whoever listens also
//! looks at everything from time to time ([`crate::Playlists::public_after`]).

use std::fmt;
use std::sync::Arc;

use needledrop_core::PlaylistId;

use crate::model::Playlist;

/// A change that was committed.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// It is like this now, but for its items.
    Is(&'a Playlist),
    /// It was deleted. Its id is never given again.
    Gone(PlaylistId),
}

/// Who is told. It must be quick and must not block.
pub type Listener = Box<dyn Fn(News<'_>) + Send + Sync>;

/// Tells a listener, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Teller(Option<Arc<Listener>>);

impl Teller {
    pub(crate) fn to(listener: Listener) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(crate) fn tell(&self, news: News<'_>) {
        if let Some(listener) = &self.0 {
            listener(news);
        }
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Teller" } else { "Teller(nobody)" })
    }
}
