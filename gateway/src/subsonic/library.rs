//! Reading the catalog for the calls: things that must be there, and lists longer than one page.

use std::sync::Arc;

use needledrop_catalog::model::{Artist, Release, Track};
use needledrop_catalog::store::{ArtistList, At, IDS_MAX, PAGE_MAX, ReleaseList, TrackList};
use needledrop_core::{ArtistId, ReleaseId, TrackId};

use super::Call;
use super::failure::Failure;

/// Most artists of `getArtists` and `getIndexes`, which know no pages: an answer of some 5 MB. Who has more pages with
/// `search3`.
const ARTISTS_MAX: usize = 20_000;

impl Call<'_> {
    pub(super) async fn the_artist(&self, id: ArtistId) -> Result<Arc<Artist>, Failure> {
        self.house.catalog.artist(id).await?.ok_or_else(Failure::not_found)
    }

    pub(super) async fn the_release(&self, id: ReleaseId) -> Result<Arc<Release>, Failure> {
        self.house.catalog.release(id).await?.ok_or_else(Failure::not_found)
    }

    pub(super) async fn the_track(&self, id: TrackId) -> Result<Arc<Track>, Failure> {
        self.house.catalog.track(id).await?.ok_or_else(Failure::not_found)
    }

    /// The tracks that are there, at the places where they were named.
    pub(super) async fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<Arc<Track>>>, Failure> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_MAX) {
            found.extend(self.house.catalog.tracks(some).await?);
        }
        Ok(found)
    }

    /// Releases of a list; a limit of 0 gives none.
    pub(super) async fn releases(
        &self,
        list: &ReleaseList,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Release>>, Failure> {
        match limit.min(PAGE_MAX) {
            0 => Ok(Vec::new()),
            limit => Ok(self.house.catalog.list_releases(list, &At::Offset(offset), limit).await?.items),
        }
    }

    /// Tracks of a list; a limit of 0 gives none.
    pub(super) async fn tracks_of(
        &self,
        list: &TrackList,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Track>>, Failure> {
        match limit.min(PAGE_MAX) {
            0 => Ok(Vec::new()),
            limit => Ok(self.house.catalog.list_tracks(list, &At::Offset(offset), limit).await?.items),
        }
    }

    /// Artists of a list; a limit of 0 gives none.
    pub(super) async fn artists_of(
        &self,
        list: &ArtistList,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Artist>>, Failure> {
        match limit.min(PAGE_MAX) {
            0 => Ok(Vec::new()),
            limit => Ok(self.house.catalog.list_artists(list, &At::Offset(offset), limit).await?.items),
        }
    }

    /// Every artist, by sort name.
    pub(super) async fn all_artists(&self) -> Result<Vec<Arc<Artist>>, Failure> {
        let mut all = Vec::new();
        let mut at = At::Offset(0);
        loop {
            let page = self.house.catalog.list_artists(&ArtistList::ByName, &at, PAGE_MAX).await?;
            all.extend(page.items);
            match page.next {
                Some(next) if all.len() < ARTISTS_MAX => at = At::After(next),
                _ => return Ok(all),
            }
        }
    }
}

/// A number of the system's randomness.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::other("The system gives no randomness"))?;
    Ok(bytes)
}
