//! What batches of changes touched, for whoever remembers what they read of it.

use needledrop_core::{ArtistId, ReleaseId, TrackId};

/// Things that came, changed or went, and some that only may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Tracks.
    pub tracks: Vec<TrackId>,
    /// Releases.
    pub releases: Vec<ReleaseId>,
    /// Artists.
    pub artists: Vec<ArtistId>,
    /// An artist has another name: whatever names them reads otherwise, and is not among the others here.
    pub artist_renamed: bool,
    /// What tracks repeat of their release has changed.
    pub(super) release_renamed: bool,
    /// A track has come to a release, gone, or moved on it.
    pub(super) reordered: bool,
}

impl Touched {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty() && self.releases.is_empty() && self.artists.is_empty()
    }

    /// Adds what another batch touched.
    pub(super) fn add(&mut self, other: Touched) {
        self.tracks.extend(other.tracks);
        self.releases.extend(other.releases);
        self.artists.extend(other.artists);
        self.artist_renamed |= other.artist_renamed;
        self.release_renamed |= other.release_renamed;
        self.reordered |= other.reordered;
    }
}
