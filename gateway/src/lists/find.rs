//! What somebody finds of playlists: public ones by the index, and his own private ones.
//!
//! Own ones are read from the store for each search, so that nothing that is kept could be older than it. An account with
//! the most that it may have, a thousand, waits 15 ms on a busy machine, one without any less than one. Whether a hit of
//! the index may be seen is asked of the store as well, at the moment of the search: the index may be a moment behind.

use needledrop_catalog::search::{DEPTH_MAX, Hit, Index, Kind, Kinds, Matches, Query, Score};
use needledrop_core::{AccountId, PlaylistId};
use needledrop_playlist::{Error, Playlist, Playlists};

use super::document;

/// Hits that are looked up beyond a page, so that it stays full where some of them have just become private.
const SPARE: usize = 20;

/// Whose private playlists count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The reader's.
    Included,
    /// Nobody's: the credential opens none.
    LeftOut,
}

/// A page of what is found.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// Best first.
    pub hits: Vec<(Playlist, Score)>,
    /// How many there are, as far as was looked.
    pub total: u64,
}

/// A page of the playlists that this reader may see and that the text may mean.
///
/// # Errors
/// The store cannot be read.
pub async fn find(
    index: &Index,
    playlists: &Playlists,
    (reader, own): (AccountId, Own),
    text: &str,
    (offset, limit): (usize, usize),
) -> Result<Page, Error> {
    let wanted = (offset + limit + SPARE).min(DEPTH_MAX);
    let kinds = Kinds::of(&[Kind::Playlist]);
    let query = Query { text, kinds, limit: wanted, offset: 0, is_prefix: true };
    let public = found(index, &query);
    let private = match own {
        Own::Included => found(&private(playlists.list(reader).await?), &query),
        Own::LeftOut => Part::default(),
    };
    let Part { hits, total } = public.and(private);
    let asked: Vec<(PlaylistId, Score)> = hits.into_iter().skip(offset).take(limit + SPARE).collect();
    let ids: Vec<PlaylistId> = asked.iter().map(|(id, _)| *id).collect();
    let seen = playlists.seen_by(reader, &ids).await?;
    let total = total.saturating_sub((ids.len() - seen.len()) as u64);
    // Both are in the same order, and of the first some may lack in the second.
    let mut asked = asked.into_iter();
    let with_score = seen.into_iter().filter_map(|list| {
        let (_, score) = asked.find(|(id, _)| *id == list.id)?;
        Some((list, score))
    });
    let visible = with_score.filter(|(list, _)| own == Own::Included || list.is_public);
    Ok(Page { hits: visible.take(limit).collect(), total })
}

/// What one index gives.
#[derive(Default)]
struct Part {
    hits: Vec<(PlaylistId, Score)>,
    total: u64,
}

impl Part {
    /// Both as one, best first. Where one fits well, the other's guesses are left out, as one index would do.
    fn and(self, other: Part) -> Part {
        match (self.fits(), other.fits()) {
            (true, false) => return self,
            (false, true) => return other,
            _ => {}
        }
        let mut hits = self.hits;
        let known: std::collections::HashSet<PlaylistId> = hits.iter().map(|(id, _)| *id).collect();
        let (total, before) = (self.total + other.total, other.hits.len());
        hits.extend(other.hits.into_iter().filter(|(id, _)| !known.contains(id)));
        let twice = known.len() + before - hits.len();
        hits.sort_by(|(_, a), (_, b)| b.total.total_cmp(&a.total));
        Part { hits, total: total.saturating_sub(twice as u64) }
    }

    fn fits(&self) -> bool {
        self.hits.iter().any(|(_, score)| score.missing == 0 && score.edits == 0 && !score.joined)
    }
}

fn found(index: &Index, query: &Query<'_>) -> Part {
    let found = index.search(query);
    let (Matches::Exactly(total) | Matches::AtLeast(total)) = found.matches;
    let parsed = |hit: &Hit| Some((PlaylistId::parse(hit.id.as_str()).ok()?, hit.score));
    Part { hits: found.hits.iter().filter_map(parsed).collect(), total: total as u64 }
}

/// An index of the private ones among these.
fn private(lists: Vec<Playlist>) -> Index {
    let index = Index::new();
    let documents: Vec<_> = lists.iter().filter(|list| !list.is_public).map(document).collect();
    index.load(&documents).expect("an account has fewer playlists than an index takes");
    index
}
