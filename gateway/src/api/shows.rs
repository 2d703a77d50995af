//! Podcasts: shows, their episodes, where these may be heard and how far somebody has heard them.
//!
//! The sound of an episode is at its publisher's. We lead there and do not stand in between: the publisher counts his
//! listeners as he always does, and our machine is no proxy that strangers point at addresses of their choice.

use needledrop_catalog::model::{Episode, Show};
use needledrop_catalog::store::At;
use needledrop_core::{EpisodeId, Problem, ShowId};
use needledrop_playback::{Caller, Scope};
use needledrop_podcast::fetch::FetchError;
use needledrop_podcast::{Error, FeedState, Position};
use serde::Deserialize;
use serde_json::{Value, json};

use super::param::{Kind, LIMIT, LIMIT_MAX, Param};
use super::whole::Whole;
use super::{Call, created, no_such};
use crate::answer::{Answer, Reply, failed, refused};
use crate::shapes::{self, Listed};

/// Episodes that come with their show.
const SHOW_EPISODES: u64 = 50;

/// No episode is longer: what feeds say of their lengths is not believed so far as to cut a position by it. Unit: ms;
/// a year.
const POSITION_MS_MAX: u64 = 366 * 86_400_000;

/// How many of the latest.
pub(super) const LATEST: &[Param] =
    &[Param::optional("limit", Kind::Whole { least: 1, most: LIMIT_MAX, usual: LIMIT }, "How many of the latest.")];

#[derive(Deserialize)]
struct NewShow {
    /// Where the feed is.
    feed: String,
}

#[derive(Deserialize)]
struct Heard {
    resume_position_ms: Whole,
    #[serde(default)]
    fully_played: bool,
}

/// `GET /v1/shows`.
pub(super) async fn all(call: &Call<'_>, caller: &Caller) -> Reply {
    let (limit, offset) = (call.limit()?, call.offset()?);
    let page = call.house.catalog.list_shows(&At::Offset(offset), limit as usize).await;
    let page = page.map_err(|error| failed(&error))?;
    let listed = Listed { href: "/v1/shows", limit, offset, total: page.total };
    let mut said = listed.page(page.items.iter().map(shapes::show).collect());
    said["may_add"] = json!(may_manage(call, caller).is_ok());
    Ok(Answer::Entity(said))
}

/// `POST /v1/shows`: adds a feed, and answers when it has been fetched.
pub(super) async fn add(call: &Call<'_>, caller: &Caller) -> Reply {
    may_manage(call, caller)?;
    let wish: NewShow = call.body()?;
    let podcasts = &call.house.podcasts;
    let added = podcasts.add(&wish.feed, caller.account().id, call.now).await.map_err(|error| problem(&error))?;
    created(shapes::show(&the_show(call, added).await?))
}

/// `GET /v1/shows/{id}`, with its latest episodes.
pub(super) async fn show(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let id = show_id(id)?;
    let mut shape = shapes::show(&the_show(call, id).await?);
    shape["episodes"] = episodes_of(call, caller, id, SHOW_EPISODES, 0).await?;
    shape["may_add"] = json!(may_manage(call, caller).is_ok());
    let state = call.house.podcasts.feed(id).await.map_err(|error| problem(&error))?;
    shape["feed_state"] = state.as_ref().map_or(Value::Null, feed_state);
    Ok(Answer::Entity(shape))
}

fn feed_state(state: &FeedState) -> Value {
    json!({
        "url": state.url,
        "checked": state.checked.map(|at| at.0),
        "next": state.next.map(|at| at.0),
        "failures": state.failures,
        "problem": state.problem,
    })
}

/// `DELETE /v1/shows/{id}`.
pub(super) async fn remove(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    may_manage(call, caller)?;
    let id = show_id(id)?;
    the_show(call, id).await?;
    call.house.podcasts.remove(id).await.map_err(|error| problem(&error))?;
    Ok(Answer::Nothing)
}

/// `POST /v1/shows/{id}/refresh`: looks at its feed now.
pub(super) async fn refresh(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    may_manage(call, caller)?;
    let id = show_id(id)?;
    the_show(call, id).await?;
    call.house.podcasts.refresh(id, call.now).await.map_err(|error| problem(&error))?;
    Ok(Answer::Private(shapes::show(&the_show(call, id).await?)))
}

/// `GET /v1/shows/{id}/episodes`, latest first.
pub(super) async fn episodes(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let id = show_id(id)?;
    the_show(call, id).await?;
    Ok(Answer::Entity(episodes_of(call, caller, id, call.limit()?, call.offset()?).await?))
}

async fn episodes_of(call: &Call<'_>, caller: &Caller, id: ShowId, limit: u64, offset: u64) -> Result<Value, Problem> {
    let page = call.house.catalog.list_episodes(id, &At::Offset(offset), limit as usize).await;
    let page = page.map_err(|error| failed(&error))?;
    let ids: Vec<EpisodeId> = page.items.iter().map(|episode| episode.id).collect();
    let positions = positions(call, caller, &ids).await?;
    let items =
        page.items.iter().zip(positions).map(|(episode, heard)| shapes::episode(episode, Some(heard))).collect();
    let listed = Listed { href: &format!("/v1/shows/{id}/episodes"), limit, offset, total: page.total };
    Ok(listed.page(items))
}

async fn positions(call: &Call<'_>, caller: &Caller, of: &[EpisodeId]) -> Result<Vec<Position>, Problem> {
    call.house.podcasts.positions(caller.account().id, of).await.map_err(|error| problem(&error))
}

/// `GET /v1/episodes`: the latest of all shows.
pub(super) async fn newest(call: &Call<'_>, caller: &Caller) -> Reply {
    let limit = call.limit()?;
    let latest = call.house.catalog.newest_episodes(limit as usize).await.map_err(|error| failed(&error))?;
    let ids: Vec<EpisodeId> = latest.iter().map(|episode| episode.id).collect();
    let mut items = Vec::with_capacity(latest.len());
    for (episode, heard) in latest.iter().zip(positions(call, caller, &ids).await?) {
        let mut shape = shapes::episode(episode, Some(heard));
        shape["show"] = shapes::show(&the_show(call, episode.show).await?);
        items.push(shape);
    }
    let listed = Listed { href: "/v1/episodes", limit, offset: 0, total: items.len() as u64 };
    Ok(Answer::Entity(listed.page(items)))
}

/// `GET /v1/episodes/{id}`, with its show.
pub(super) async fn episode(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let episode = the_episode(call, id).await?;
    let heard = positions(call, caller, &[episode.id]).await?.into_iter().next();
    let mut shape = shapes::episode(&episode, heard);
    shape["show"] = shapes::show(&the_show(call, episode.show).await?);
    Ok(Answer::Entity(shape))
}

/// `GET /v1/episodes/{id}/stream`: where its sound is, and where to go on.
pub(super) async fn stream(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let episode = the_episode(call, id).await?;
    let heard = positions(call, caller, &[episode.id]).await?.into_iter().next().unwrap_or_default();
    let nowhere = || Problem::new("no-sound", "This episode has no sound here", 404);
    let enclosure = episode.enclosure.as_deref().ok_or_else(nowhere)?;
    Ok(Answer::Private(json!({
        "urls": [enclosure],
        "media_type": episode.media_type,
        "bytes": episode.bytes,
        "duration_ms": episode.duration_ms,
        "is_externally_hosted": true,
        "reason": "from the publisher's own server",
        "reason_code": "publisher",
        "resume_position_ms": heard.ms,
        "expires_at": null,
    })))
}

/// `PUT /v1/episodes/{id}/resume-point`.
pub(super) async fn set_resume_point(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    caller.may(Scope::PlaybackModify).map_err(|error| refused(&error.into()))?;
    let heard: Heard = call.body()?;
    let episode = the_episode(call, id).await?;
    let position = Position { ms: heard.resume_position_ms.0.min(POSITION_MS_MAX), is_played: heard.fully_played };
    let kept = call.house.podcasts.set_position(caller.account().id, episode.id, position, call.now).await;
    kept.map(|()| Answer::Nothing).map_err(|error| problem(&error))
}

/// Who may add, refresh and remove feeds: administrators, or everybody where the operator says so.
fn may_manage(call: &Call<'_>, caller: &Caller) -> Result<(), Problem> {
    if call.house.podcasts.is_open() {
        return caller.may(Scope::LibraryModify).map_err(|error| refused(&error.into()));
    }
    caller.may(Scope::Admin).map_err(|error| refused(&error.into()))
}

async fn the_show(call: &Call<'_>, id: ShowId) -> Result<Show, Problem> {
    let found = call.house.catalog.show(id).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_such("show"))
}

async fn the_episode(call: &Call<'_>, id: &str) -> Result<Episode, Problem> {
    let id = EpisodeId::parse(id).map_err(|_| no_such("episode"))?;
    let found = call.house.catalog.episode(id).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_such("episode"))
}

fn show_id(text: &str) -> Result<ShowId, Problem> {
    ShowId::parse(text).map_err(|_| no_such("show"))
}

/// What an error of the podcasts means in HTTP.
fn problem(error: &Error) -> Problem {
    let said = match error {
        Error::Fetch(FetchError::Refused(_)) => Problem::new("feed-refused", "This address is not fetched", 400),
        Error::Fetch(_) => Problem::new("feed-unreachable", "The feed did not come", 502),
        Error::NotFeed(_) | Error::Empty => Problem::new("not-a-feed", "This is not the feed of a podcast", 422),
        Error::Full => Problem::new("too-many-feeds", "There are too many feeds", 409),
        Error::NoFeed => Problem::new("no-feed", "This show comes from no feed", 409),
        Error::Catalog(error) => return failed(error),
        Error::Database(_) | Error::Client(_) => {
            tracing::error!(%error, "the podcasts failed");
            return Problem::new("podcasts", "Podcasts cannot be kept at the moment", 503);
        }
    };
    said.with_detail(error.told().unwrap_or_default())
}
