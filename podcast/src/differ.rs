//! What a feed changes in the catalog. Pure.
//!
//! The catalog shows what the feed lists: an episode that the publisher takes out goes, and so do old ones of a feed that
//! keeps only the latest. Identities are digests, of the address a feed was added by and of an episode's guid in it, so a
//! feed that moves keeps its show, and nobody takes over another's by claiming its name.

use needledrop_catalog::Change;
use needledrop_catalog::change::NUMBER_MAX;
use needledrop_catalog::model::{Episode, Show};
use needledrop_core::{EpisodeId, ShowId, UnixSeconds};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

use crate::feed::{Feed, Item};

/// The identity of the show that is added by this URL.
pub fn show_id(url: &str) -> ShowId {
    ShowId::from_digest(&digest(&["show", url]))
}

/// The identity of an episode.
pub fn episode_id(show: ShowId, guid: &str) -> EpisodeId {
    EpisodeId::from_digest(&digest(&["episode", show.as_str(), guid]))
}

/// Each part with its length before it, so that no two lists of parts are the same bytes.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// The changes that make the catalog show what the feed lists; none if it does. `known` is what it has of this show.
pub fn changes(
    id: ShowId,
    url: &str,
    feed: &Feed,
    shown: Option<&Show>,
    known: &[Episode],
    now: UnixSeconds,
) -> Vec<Change> {
    let mut before: HashMap<EpisodeId, &Episode> = known.iter().map(|episode| (episode.id, episode)).collect();
    let mut changes = Vec::new();
    let show = show(id, url, feed, shown);
    if shown != Some(&show) {
        changes.push(Change::Show(show));
    }
    for item in &feed.items {
        let id_of_item = episode_id(id, &item.guid);
        let old = before.remove(&id_of_item);
        // What has no date came out when we first saw it.
        let published = item.published.unwrap_or_else(|| old.map_or(now, |old| UnixSeconds(old.published)));
        let new = episode(id, id_of_item, item, published, feed.is_explicit);
        if old != Some(&new) {
            changes.push(Change::Episode(new));
        }
    }
    let mut gone: Vec<EpisodeId> = before.into_keys().collect();
    gone.sort();
    changes.extend(gone.into_iter().map(|id| Change::RemoveEpisode { id }));
    changes
}

fn show(id: ShowId, url: &str, feed: &Feed, shown: Option<&Show>) -> Show {
    Show {
        id,
        title: feed.title.clone(),
        publisher: feed.publisher.clone(),
        description: feed.description.clone(),
        feed: Some(url.to_owned()),
        link: feed.link.clone(),
        image: feed.image.clone(),
        is_explicit: feed.is_explicit,
        language: feed.language.clone(),
        art: shown.and_then(|show| show.art.clone()),
        episodes: shown.map_or(0, |show| show.episodes),
    }
}

fn episode(show: ShowId, id: EpisodeId, item: &Item, published: UnixSeconds, is_explicit: bool) -> Episode {
    Episode {
        id,
        show,
        title: item.title.clone(),
        description: item.description.clone(),
        published: published.0,
        duration_ms: item.duration_ms.filter(|ms| *ms <= NUMBER_MAX),
        enclosure: Some(item.enclosure.clone()),
        media_type: item.media_type.clone(),
        bytes: item.bytes.filter(|bytes| *bytes <= NUMBER_MAX),
        link: item.link.clone(),
        image: item.image.clone(),
        is_explicit: item.is_explicit.unwrap_or(is_explicit),
        season: item.season,
        number: item.number,
        guid: item.guid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.org/feed";
    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn item(guid: &str) -> Item {
        let enclosure = format!("https://example.org/{guid}.mp3");
        Item { guid: guid.into(), title: guid.to_uppercase(), enclosure, ..Item::default() }
    }

    fn feed(guids: &[&str]) -> Feed {
        Feed { title: "A show".into(), items: guids.iter().map(|guid| item(guid)).collect(), ..Feed::default() }
    }

    /// What the catalog has after these changes.
    fn applied(changes: &[Change]) -> (Show, Vec<Episode>) {
        let Some(Change::Show(show)) = changes.first() else { panic!("{changes:?}") };
        let episodes = changes.iter().filter_map(|change| match change {
            Change::Episode(episode) => Some(episode.clone()),
            _ => None,
        });
        (show.clone(), episodes.collect())
    }

    #[test]
    fn a_second_look_changes_nothing() {
        let id = show_id(URL);
        let (show, episodes) = applied(&changes(id, URL, &feed(&["a", "b"]), None, &[], NOW));
        assert_eq!(episodes.len(), 2);
        assert_eq!(episodes[0].published, NOW.0);
        let show = Show { episodes: 2, ..show };
        let again = changes(id, URL, &feed(&["a", "b"]), Some(&show), &episodes, NOW.plus(99));
        assert_eq!(again, [], "the date of first sight is kept as well");
    }

    #[test]
    fn titles_change_and_episodes_come_and_go() {
        let id = show_id(URL);
        let (show, episodes) = applied(&changes(id, URL, &feed(&["a", "b", "c"]), None, &[], NOW));
        let mut other = feed(&["d", "a", "b"]);
        other.items[1].title = "New title".into();
        let changes = changes(id, URL, &other, Some(&show), &episodes, NOW);
        let [Change::Episode(d), Change::Episode(a), Change::RemoveEpisode { id: c }] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!((d.guid.as_str(), a.title.as_str()), ("d", "New title"));
        assert_eq!(*c, episode_id(id, "c"));
    }

    #[test]
    fn a_guid_belongs_to_its_show() {
        let (one, two) = (show_id(URL), show_id("https://other.example/feed"));
        assert_ne!(one, two);
        assert_ne!(episode_id(one, "a"), episode_id(two, "a"));
    }

    #[test]
    fn a_feed_that_moved_keeps_its_show() {
        let id = show_id(URL);
        let (show, episodes) = applied(&changes(id, URL, &feed(&["a"]), None, &[], NOW));
        let moved = changes(id, "https://new.example/feed", &feed(&["a"]), Some(&show), &episodes, NOW);
        let [Change::Show(show)] = &moved[..] else { panic!("{moved:?}") };
        assert_eq!((show.id, show.feed.as_deref()), (id, Some("https://new.example/feed")));
    }
}
