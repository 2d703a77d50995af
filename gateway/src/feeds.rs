//! `/feeds`: shows, albums and playlists as RSS, for podcast programs.
//!
//! These programs know an address and nothing else, so that the credential is part of it: `/feeds/TOKEN/shows/ID.xml`.
//! The token is of a kind of its own that opens nothing but this; whoever has lost it revokes it like any other. The
//! sound of our own tracks is led to by `/feeds/TOKEN/tracks/ID.m4a`, which redirects to a signed URL of an edge; episodes of
//! others stay at their publisher's. [`channel`] says what a feed holds; its text is written by `needledrop_podcast::rss`.

mod channel;

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
    REFERRER_POLICY,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use lru::LruCache;
use needledrop_core::decide::{Conditions, Method as Asked, Validators};
use needledrop_core::etag::EntityTag;
use needledrop_core::precondition::{self, Precondition};
use needledrop_core::{PlaylistId, Problem, ReleaseId, ShowId, TokenId, TrackId, UnixSeconds};
use needledrop_http::{Body, Request};
use needledrop_playback::Caller;
use needledrop_podcast::rss;
use sha2::{Digest, Sha256};

use crate::answer::{refuse, refused};
use crate::house::House;
use crate::limits::Class;

/// What all paths begin with.
pub const PATH: &str = "/feeds/";

/// Feeds of which it is remembered since when they are as they are: some of each podcast program of a large family, 200
/// bytes each.
const REMEMBERED_MAX: usize = 4_096;

/// Search engines that find such an address somewhere keep it to themselves.
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// What somebody wants to read or hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wanted {
    Show(ShowId),
    Album(ReleaseId),
    Playlist(PlaylistId),
    Sound(TrackId),
}

impl Wanted {
    fn parse(path: &str) -> Option<Self> {
        let (kind, name) = path.split_once('/')?;
        match kind {
            "shows" => ShowId::parse(name.strip_suffix(".xml")?).ok().map(Self::Show),
            "albums" => ReleaseId::parse(name.strip_suffix(".xml")?).ok().map(Self::Album),
            "playlists" => PlaylistId::parse(name.strip_suffix(".xml")?).ok().map(Self::Playlist),
            // A program goes by the ending; which one it is follows from the sound.
            "tracks" => {
                TrackId::parse(name.strip_suffix(".m4a").or_else(|| name.strip_suffix(".ogg"))?).ok().map(Self::Sound)
            }
            _ => None,
        }
    }
}

/// The feeds of a house.
pub struct Feeds(Mutex<LruCache<(TokenId, Wanted), (EntityTag, UnixSeconds)>>);

impl Default for Feeds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(REMEMBERED_MAX).expect("the bound is not zero"))))
    }
}

impl Feeds {
    /// The answer to a request below [`PATH`].
    pub async fn answer(&self, house: &House, request: &Request, now: UnixSeconds) -> Response<Body> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = refuse(&Problem::new("method", "Feeds are read", 405));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return guarded(response);
        }
        let response = match self.made(house, request, now).await {
            Ok(response) => response,
            Err(problem) => refuse(&problem),
        };
        guarded(response)
    }

    async fn made(&self, house: &House, request: &Request, now: UnixSeconds) -> Result<Response<Body>, Problem> {
        let path = request.uri.path().strip_prefix(PATH).unwrap_or_default();
        let (secret, path) = path.split_once('/').unwrap_or((path, ""));
        let client = request.peer.client;
        let caller = match house.playback.authenticate_feed(secret, now).await {
            Ok(caller) => caller,
            Err(error) => {
                let refusal = refused(&error);
                let held = house.limits.ask_unknown(Class::Stranger, client).err();
                // Whether it is the token or the feed that is not there is nobody's business but its owner's.
                let refusal = if refusal.status == 401 { nothing() } else { refusal };
                return held.map_or(Err(refusal), |held| Ok(held.response()));
            }
        };
        if let Err(held) = house.limits.ask(Class::Read, caller.account().id, client) {
            return Ok(held.response());
        }
        match Wanted::parse(path).ok_or_else(nothing)? {
            Wanted::Sound(id) => elsewhere(&channel::sound(house, request, &caller, id, now).await?),
            wanted => {
                let channel = channel::of(house, request, &caller, secret, wanted).await?;
                let text = rss::written(&channel.ok_or_else(nothing)?);
                Ok(self.told(request, &caller, wanted, text, now))
            }
        }
    }

    /// The feed, or that its reader has it.
    fn told(
        &self,
        request: &Request,
        caller: &Caller,
        wanted: Wanted,
        text: String,
        now: UnixSeconds,
    ) -> Response<Body> {
        let text = Bytes::from(text);
        let tag = tag_of(&text);
        let since = self.since((caller.token(), wanted), &tag, now);
        let field = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let conditions = Conditions {
            if_none_match: field(IF_NONE_MATCH),
            if_modified_since: field(IF_MODIFIED_SINCE),
            ..Conditions::plain(Asked::Get)
        };
        let validators = Validators { etag: Some(tag.clone()), last_modified: Some(since) };
        let mut response = match precondition::evaluate(&conditions, &validators) {
            Precondition::NotModified => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            _ => {
                let mut response = Response::new(Body::full(text));
                let rss = HeaderValue::from_static("application/rss+xml; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, rss);
                response
            }
        };
        let headers = response.headers_mut();
        let value = |text: String| HeaderValue::from_str(&text).expect("a tag and a date are plain text");
        headers.insert(ETAG, value(tag.to_string()));
        headers.insert(LAST_MODIFIED, value(since.to_http()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }

    /// Since when this feed is as it is. What is not remembered is as new as can be: dates of episodes do not say when a
    /// title was mended, and who has an older state must not be told that nothing has changed.
    fn since(&self, feed: (TokenId, Wanted), tag: &EntityTag, now: UnixSeconds) -> UnixSeconds {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&feed) {
            Some((as_it_was, since)) if as_it_was.strong_eq(tag) => *since,
            _ => {
                known.put(feed, (tag.clone(), now));
                now
            }
        }
    }
}

fn tag_of(text: &[u8]) -> EntityTag {
    let digest = Sha256::digest(text);
    EntityTag::strong(&digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn elsewhere(url: &str) -> Result<Response<Body>, Problem> {
    let to = HeaderValue::from_str(url).map_err(|_| Problem::new("edge", "The edge has no address", 500))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, to);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn nothing() -> Problem {
    Problem::new("not-found", "There is no such feed", 404)
}

/// The address holds a credential: it is told to nobody whom a page or a program is led to.
fn guarded(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response.headers_mut().insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_wanted() {
        let id = "0123456789abcdefABCDEF";
        let is_some = |path: &str| Wanted::parse(&path.replace("ID", id)).is_some();
        for path in ["shows/ID.xml", "albums/ID.xml", "playlists/ID.xml", "tracks/ID.m4a", "tracks/ID.ogg"] {
            assert!(is_some(path), "{path}");
        }
        for path in ["", "shows", "shows/", "shows/ID", "shows/ID.m4a", "shows/x/ID.xml", "tracks/ID.xml", "shows/.xml"]
        {
            assert!(!is_some(path), "{path}");
        }
    }

    #[test]
    fn a_feed_is_as_old_as_its_last_change() {
        let feeds = Feeds::default();
        let feed = (TokenId::from_random([1; 16]), Wanted::Show(ShowId::from_random([2; 16])));
        let (a, b) = (tag_of(b"a"), tag_of(b"b"));
        let since = |tag, now| feeds.since(feed, tag, UnixSeconds(now)).0;
        assert_eq!([since(&a, 10), since(&a, 20), since(&b, 30), since(&b, 40)], [10, 10, 30, 30]);
        assert_eq!(since(&a, 50), 50, "what comes back is new for whoever has read the other");
    }
}
