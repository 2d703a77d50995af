//! Everything the catalog holds, as changes that make it again elsewhere: releases and artists before what names them.

use super::{ArtistList, At, Catalog, Error, PAGE_MAX, ReleaseList, TrackList};
use crate::change::Change;
use std::ops::ControlFlow;
use std::sync::Arc;

impl Catalog {
    /// Hands every change to `each`, until it breaks off. Each page is of its own moment: what changes meanwhile may be
    /// exported as it was or as it is.
    pub async fn export(&self, each: impl FnMut(Change) -> ControlFlow<()>) -> Result<(), Error> {
        self.walk(true, each).await
    }

    /// The same without credits, shares and windows, each of which is read track by track: what has a name.
    pub async fn export_named(&self, each: impl FnMut(Change) -> ControlFlow<()>) -> Result<(), Error> {
        self.walk(false, each).await
    }

    async fn walk(&self, is_whole: bool, mut each: impl FnMut(Change) -> ControlFlow<()>) -> Result<(), Error> {
        macro_rules! go {
            ($change:expr) => {
                if each($change).is_break() {
                    return Ok(());
                }
            };
        }
        let mut at = Some(At::Offset(0));
        while let Some(here) = at {
            let page = self.list_artists(&ArtistList::ByName, &here, PAGE_MAX).await?;
            for artist in page.items {
                go!(Change::Artist(Arc::unwrap_or_clone(artist)));
            }
            at = page.next.map(At::After);
        }
        let mut at = Some(At::Offset(0));
        while let Some(here) = at {
            let page = self.list_releases(&ReleaseList::ByName, &here, PAGE_MAX).await?;
            for release in page.items {
                go!(Change::Release(Arc::unwrap_or_clone(release)));
            }
            at = page.next.map(At::After);
        }
        let mut at = Some(At::Offset(0));
        while let Some(here) = at {
            let page = self.list_tracks(&TrackList::ByName, &here, PAGE_MAX).await?;
            for track in page.items {
                let id = track.id;
                go!(Change::Track(Box::new(Arc::unwrap_or_clone(track))));
                if !is_whole {
                    continue;
                }
                let (credits, shares, windows) =
                    (self.credits(id).await?, self.shares(id).await?, self.windows(id).await?);
                if !credits.is_empty() {
                    go!(Change::Credits { track: id, credits });
                }
                if !shares.is_empty() {
                    go!(Change::Shares { track: id, shares });
                }
                if !windows.is_empty() {
                    go!(Change::Windows { track: id, windows });
                }
            }
            at = page.next.map(At::After);
        }
        let mut at = Some(At::Offset(0));
        while let Some(here) = at {
            let page = self.list_shows(&here, PAGE_MAX).await?;
            for show in page.items {
                let id = show.id;
                go!(Change::Show(show));
                let mut at = Some(At::Offset(0));
                while let Some(here) = at {
                    let page = self.list_episodes(id, &here, PAGE_MAX).await?;
                    for episode in page.items {
                        go!(Change::Episode(episode));
                    }
                    at = page.next.map(At::After);
                }
            }
            at = page.next.map(At::After);
        }
        Ok(())
    }
}
