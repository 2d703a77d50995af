//! Podcasts, which the protocol calls channels.
//!
//! `downloadPodcastEpisode` and `deletePodcastEpisode` are not served: the sound stays at its publisher's, so there is
//! nothing to download to or to delete from. Every episode is `completed`, which tells clients that it can be played.

use needledrop_catalog::model::{Episode, Show};
use needledrop_catalog::store::{At, PAGE_MAX};
use needledrop_core::{EpisodeId, ShowId, UnixSeconds};
use needledrop_playback::Scope;
use needledrop_podcast::FeedState;

use super::failure::Failure;
use super::params::Named;
use super::response::{Element, date_time};
use super::{Call, Reply, Said, done, tree};

/// Episodes that an answer has, the latest of each show: of one show all that a page holds, of all shows together twice
/// that, with so many of each at most. Descriptions may be 64 KiB each; in an answer about all shows they are cut.
const EPISODES_MAX: usize = PAGE_MAX;
const EPISODES_OF_ALL_MAX: usize = 2 * PAGE_MAX;
const EPISODES_OF_EACH_MAX: usize = 50;
const DESCRIPTION_CHARS_OF_ALL_MAX: usize = 500;
/// Newest episodes, where nobody says how many.
const NEWEST: u64 = 20;

/// `getPodcasts`: all of them or one, with or without their episodes.
pub(super) async fn all(call: &Call<'_>) -> Reply {
    let with_episodes = call.params.is_set("includeEpisodes")?.unwrap_or(true);
    let (shows, of_each, chars) = match call.params.text("id") {
        Some(text) => (vec![the_show(call, channel(text)?).await?], EPISODES_MAX, usize::MAX),
        None => {
            let shows = every_show(call).await?;
            let of_each = (EPISODES_OF_ALL_MAX / shows.len().max(1)).clamp(1, EPISODES_OF_EACH_MAX);
            (shows, of_each, DESCRIPTION_CHARS_OF_ALL_MAX)
        }
    };
    let mut channels = Vec::with_capacity(shows.len());
    for show in &shows {
        let state = call.house.podcasts.feed(show.id).await?;
        let mut element = channel_element(show, state.as_ref());
        if with_episodes {
            let mut page = call.house.catalog.list_episodes(show.id, &At::Offset(0), of_each).await?;
            page.items.iter_mut().for_each(|episode| cut(&mut episode.description, chars));
            element = element.many("episode", page.items.iter().map(|episode| child(episode, show)).collect());
        }
        channels.push(element);
    }
    tree("podcasts", Element::new().many("channel", channels))
}

fn cut(text: &mut String, chars_max: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push('…');
    }
}

async fn every_show(call: &Call<'_>) -> Result<Vec<Show>, Failure> {
    let mut shows = Vec::new();
    let mut at = Some(At::Offset(0));
    while let Some(here) = at {
        let page = call.house.catalog.list_shows(&here, PAGE_MAX).await?;
        shows.extend(page.items);
        at = page.next.map(At::After);
    }
    Ok(shows)
}

/// `getNewestPodcasts`.
pub(super) async fn newest(call: &Call<'_>) -> Reply {
    let count = call.params.number("count", PAGE_MAX as u64, NEWEST)?.max(1);
    let mut episodes = Vec::new();
    for episode in call.house.catalog.newest_episodes(count as usize).await? {
        let show = the_show(call, episode.show).await?;
        episodes.push(child(&episode, &show));
    }
    tree("newestPodcasts", Element::new().many("episode", episodes))
}

/// `getPodcastEpisode`.
pub(super) async fn episode(call: &Call<'_>) -> Reply {
    let Named::Episode(id) = Named::parse(call.params.required("id")?)? else { return Err(Failure::not_found()) };
    let episode = the_episode(call, id).await?;
    let show = the_show(call, episode.show).await?;
    tree("podcastEpisode", child(&episode, &show))
}

/// `refreshPodcasts`: soon, not before the answer.
pub(super) async fn refresh(call: &Call<'_>) -> Reply {
    managed(call)?;
    call.house.podcasts.refresh_all(call.now).await?;
    done()
}

/// `createPodcastChannel`.
pub(super) async fn create(call: &Call<'_>) -> Reply {
    managed(call)?;
    call.house.podcasts.add(call.params.required("url")?, call.caller.account().id, call.now).await?;
    done()
}

/// `deletePodcastChannel`.
pub(super) async fn delete(call: &Call<'_>) -> Reply {
    managed(call)?;
    let show = the_show(call, channel(call.params.required("id")?)?).await?;
    call.house.podcasts.remove(show.id).await?;
    done()
}

/// Where an episode's sound is: at its publisher's.
pub(super) async fn sound(call: &Call<'_>, id: EpisodeId) -> Reply {
    let place = the_episode(call, id).await?.enclosure.ok_or_else(Failure::not_found)?;
    // What came by an import may be anything.
    let is_place = place.starts_with("http") && place.bytes().all(|byte| byte.is_ascii_graphic());
    if is_place { Ok(Said::Elsewhere(place)) } else { Err(Failure::not_found()) }
}

/// Whether the caller may add, refresh and remove feeds.
pub(super) fn may_manage(call: &Call<'_>) -> bool {
    // No credential that this protocol takes has the scope of administrators; the account behind it may be one.
    let is_allowed = call.house.podcasts.is_open() || call.caller.account().is_admin;
    is_allowed && call.caller.may(Scope::LibraryModify).is_ok()
}

fn managed(call: &Call<'_>) -> Result<(), Failure> {
    let refused = || Failure::not_allowed("Only an administrator adds, refreshes and removes podcasts here");
    if may_manage(call) { Ok(()) } else { Err(refused()) }
}

fn channel(text: &str) -> Result<ShowId, Failure> {
    match Named::parse(text)? {
        Named::Show(id) => Ok(id),
        _ => Err(Failure::not_found()),
    }
}

async fn the_show(call: &Call<'_>, id: ShowId) -> Result<Show, Failure> {
    call.house.catalog.show(id).await?.ok_or_else(Failure::not_found)
}

async fn the_episode(call: &Call<'_>, id: EpisodeId) -> Result<Episode, Failure> {
    call.house.catalog.episode(id).await?.ok_or_else(Failure::not_found)
}

fn channel_element(show: &Show, state: Option<&FeedState>) -> Element {
    let problem = state.and_then(|state| state.problem.as_deref());
    let id = Named::Show(show.id).to_string();
    Element::new()
        .with("id", id.as_str())
        .with("url", show.feed.as_deref().unwrap_or_default())
        .with("title", show.title.as_str())
        .with("description", show.description.as_str())
        .maybe("coverArt", show.art.as_ref().map(|_| id.as_str()))
        .maybe("originalImageUrl", show.image.as_deref())
        .with("status", if problem.is_some() { "error" } else { "completed" })
        .maybe("errorMessage", problem)
}

/// An episode as a `Child` with what a `PodcastEpisode` has beside it.
fn child(episode: &Episode, show: &Show) -> Element {
    let id = Named::Episode(episode.id).to_string();
    let channel = Named::Show(show.id).to_string();
    let published = UnixSeconds(episode.published);
    let suffix = episode.media_type.as_deref().and_then(suffix);
    let year = date_time(published)[..4].parse::<u32>().ok();
    Element::new()
        .with("id", id.as_str())
        .with("parent", channel.as_str())
        .with("isDir", false)
        .with("title", episode.title.as_str())
        .with("album", show.title.as_str())
        .with("artist", show.publisher.as_str())
        .maybe("year", year)
        .with("genre", "Podcast")
        .maybe("coverArt", show.art.as_ref().map(|_| channel.as_str()))
        .maybe("size", episode.bytes)
        .maybe("contentType", episode.media_type.as_deref())
        .maybe("suffix", suffix)
        .maybe("duration", episode.duration_ms.map(|ms| ms.div_ceil(1_000)))
        .with("isVideo", false)
        .with("created", published)
        .with("type", "podcast")
        .with("streamId", id.as_str())
        .with("channelId", channel.as_str())
        .with("description", episode.description.as_str())
        .with("status", "completed")
        .with("publishDate", published)
}

fn suffix(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" => "m4a",
        "audio/ogg" => "ogg",
        "audio/opus" => "opus",
        "audio/wav" | "audio/x-wav" => "wav",
        "audio/flac" | "audio/x-flac" => "flac",
        "video/mp4" => "mp4",
        _ => return None,
    })
}
