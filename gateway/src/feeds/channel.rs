//! What a feed holds: of a show its episodes, of an album or a playlist its tracks.

use needledrop_catalog::model::{ArtistName, Episode, Track, TrackRendition};
use needledrop_catalog::store::{At, PAGE_MAX, TrackList};
use needledrop_core::{Codec, Kbps, PlaylistId, Problem, ReleaseId, ShowId, TrackId, UnixSeconds};
use needledrop_http::Request;
use needledrop_playback::{Ask, Asked, Caller, Scope, Start};
use needledrop_podcast::guid;
use needledrop_podcast::rss::{Channel, Enclosure, ITEMS_MAX, Item, Medium};

use super::{PATH, Wanted, nothing};
use crate::answer::{failed, refused};
use crate::house::House;

/// Tracks of an album are as if they came out one minute after the other: programs sort by that.
const APART_SECONDS: u64 = 60;
/// What a podcast program is led to: what phones play, at what every plan allows.
const KBPS: Kbps = Kbps::K160;

/// The feed; None if there is nothing of the kind that this caller may read.
pub(super) async fn of(
    house: &House,
    request: &Request,
    caller: &Caller,
    secret: &str,
    wanted: Wanted,
) -> Result<Option<Channel>, Problem> {
    caller.may(Scope::Streaming).map_err(|error| refused(&error.into()))?;
    let edges = house.edges(request)?;
    let base = edges.list().first().map(|edge| edge.base.as_str().to_owned()).unwrap_or_default();
    let place = Place { base, secret };
    match wanted {
        Wanted::Show(id) => show(house, &place, id).await,
        Wanted::Album(id) => album(house, &place, id).await,
        Wanted::Playlist(id) => playlist(house, caller, &place, id).await,
        Wanted::Sound(_) => Ok(None),
    }
}

/// Where a feed stands, and whose it is.
struct Place<'a> {
    base: String,
    secret: &'a str,
}

impl Place<'_> {
    fn feed(&self, path: &str) -> String {
        format!("{}{PATH}{}/{path}", self.base, self.secret)
    }

    fn art(&self, digest: Option<&str>) -> Option<String> {
        let digest = digest.filter(|digest| digest.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        Some(format!("{}/art/{digest}/640.jpg", self.base))
    }
}

async fn show(house: &House, place: &Place<'_>, id: ShowId) -> Result<Option<Channel>, Problem> {
    let found = house.catalog.show(id).await.map_err(|error| failed(&error))?;
    let Some(show) = found else { return Ok(None) };
    let mut items = Vec::new();
    // A page of the catalog is shorter than a feed may be.
    while items.len() < ITEMS_MAX {
        let (at, many) = (At::Offset(items.len() as u64), PAGE_MAX.min(ITEMS_MAX - items.len()));
        let page = house.catalog.list_episodes(id, &at, many).await.map_err(|error| failed(&error))?;
        let is_last = page.items.len() < many;
        items.extend(page.items);
        if is_last {
            break;
        }
    }
    let itself = place.feed(&format!("shows/{id}.xml"));
    Ok(Some(Channel {
        guid: guid::of_feed(show.feed.as_deref().unwrap_or(&named("show", id.as_str()))),
        link: show.link.unwrap_or_else(|| format!("{}/", place.base)),
        image: place.art(show.art.as_deref()).or(show.image),
        title: show.title,
        author: show.publisher,
        description: show.description,
        itself,
        language: show.language,
        is_explicit: show.is_explicit,
        medium: Medium::Podcast,
        items: items.into_iter().filter_map(of_episode).collect(),
    }))
}

/// The publisher's sound is where the publisher has it: he counts who listens.
fn of_episode(episode: Episode) -> Option<Item> {
    let url = episode.enclosure?;
    Some(Item {
        guid: episode.guid,
        title: episode.title,
        author: String::new(),
        description: episode.description,
        published: UnixSeconds(episode.published),
        link: episode.link,
        image: episode.image,
        is_explicit: episode.is_explicit,
        season: episode.season,
        number: episode.number,
        duration_ms: episode.duration_ms,
        enclosure: Enclosure {
            url,
            bytes: episode.bytes.unwrap_or_default(),
            media_type: episode.media_type.unwrap_or_else(|| "audio/mpeg".to_owned()),
        },
    })
}

async fn album(house: &House, place: &Place<'_>, id: ReleaseId) -> Result<Option<Channel>, Problem> {
    let found = house.catalog.release(id).await.map_err(|error| failed(&error))?;
    let Some(release) = found else { return Ok(None) };
    let list = TrackList::OnRelease(id);
    let page = house.catalog.list_tracks(&list, &At::Offset(0), PAGE_MAX).await.map_err(|error| failed(&error))?;
    let items = (1_u32..).zip(&page.items).filter_map(|(number, track)| {
        let published = UnixSeconds(release.added).plus(u64::from(number) * APART_SECONDS);
        of_track(place, track, named("track", track.id.as_str()), published, number)
    });
    Ok(Some(Channel {
        title: release.title.clone(),
        author: names(&release.artists),
        description: String::new(),
        itself: place.feed(&format!("albums/{id}.xml")),
        link: format!("{}/", place.base),
        image: place.art(release.art.as_deref()),
        language: None,
        is_explicit: false,
        guid: guid::of_feed(&named("album", id.as_str())),
        medium: Medium::Music,
        items: items.take(ITEMS_MAX).collect(),
    }))
}

/// The caller's own, or one that is public.
async fn playlist(
    house: &House,
    caller: &Caller,
    place: &Place<'_>,
    id: PlaylistId,
) -> Result<Option<Channel>, Problem> {
    caller.may(Scope::PlaylistReadPrivate).map_err(|error| refused(&error.into()))?;
    let contents = match house.playlists.get(caller.account().id, id).await {
        Ok(contents) => contents,
        Err(needledrop_playlist::Error::NotFound) => return Ok(None),
        Err(error) => {
            tracing::error!(%error, "the playlists failed");
            return Err(Problem::new(error.slug(), "Playlists cannot be read at the moment", 503));
        }
    };
    let list = contents.playlist;
    let first = &contents.items[..contents.items.len().min(ITEMS_MAX)];
    let ids: Vec<TrackId> = first.iter().map(|item| item.track).collect();
    let tracks = house.catalog.tracks(&ids).await.map_err(|error| failed(&error))?;
    let mut items = Vec::with_capacity(first.len());
    for ((number, item), track) in (1_u32..).zip(first).zip(&tracks) {
        let Some(track) = track else { continue };
        // A track may be there twice; the item's own name stays when it moves.
        let name = format!("{}:{}", named("playlist", id.as_str()), item.id.0);
        // Programs sort by date, and the list has an order of its own.
        let published = list.created.plus(u64::from(number) * APART_SECONDS);
        items.extend(of_track(place, track, name, published, number));
    }
    Ok(Some(Channel {
        title: list.name.as_str().to_owned(),
        author: String::new(),
        description: list.about.as_str().to_owned(),
        itself: place.feed(&format!("playlists/{id}.xml")),
        link: format!("{}/", place.base),
        image: tracks.iter().flatten().find_map(|track| place.art(track.release.art.as_deref())),
        language: None,
        is_explicit: false,
        guid: guid::of_feed(&named("playlist", id.as_str())),
        medium: Medium::Music,
        items,
    }))
}

fn of_track(place: &Place<'_>, track: &Track, guid: String, published: UnixSeconds, number: u32) -> Option<Item> {
    let made = offered(&track.renditions)?;
    let (ending, media_type) = match made.rendition.codec {
        Codec::Aac => ("m4a", "audio/mp4"),
        Codec::Vorbis => ("ogg", "audio/ogg"),
    };
    Some(Item {
        guid,
        title: track.title.clone(),
        author: names(&track.artists),
        description: format!("{}\n{}", names(&track.artists), track.release.title),
        published,
        link: None,
        image: place.art(track.release.art.as_deref()),
        is_explicit: false,
        season: None,
        number: Some(number),
        duration_ms: Some(track.duration_ms),
        enclosure: Enclosure {
            url: place.feed(&format!("tracks/{}.{ending}", track.id)),
            bytes: made.bytes,
            media_type: media_type.to_owned(),
        },
    })
}

/// Of what was made of a track, what podcast programs are given: the codec that phones play, at most [`KBPS`].
fn offered(made: &[TrackRendition]) -> Option<&TrackRendition> {
    let by_codec = |codec| {
        let of_codec = || made.iter().filter(move |made| made.rendition.codec == codec);
        let fitting = of_codec().filter(|made| made.rendition.kbps <= KBPS).max_by_key(|made| made.rendition.kbps);
        fitting.or_else(|| of_codec().min_by_key(|made| made.rendition.kbps))
    };
    by_codec(Codec::Aac).or_else(|| by_codec(Codec::Vorbis))
}

/// The signed URL of a track's sound.
pub(super) async fn sound(
    house: &House,
    request: &Request,
    caller: &Caller,
    id: TrackId,
    now: UnixSeconds,
) -> Result<String, Problem> {
    let track = house.catalog.playable(id).await.map_err(|error| failed(&error))?.ok_or_else(nothing)?;
    let made = offered(&track.renditions).ok_or_else(nothing)?.rendition;
    let ask = Ask {
        track: (&*track).into(),
        next: None,
        asked: Asked { codec: Some(made.codec), kbps: Some(made.kbps), ..Asked::default() },
        start: Start::Resume,
        device: None,
    };
    let edges = house.edges(request)?;
    let granted = house.playback.grant(caller, &ask, &edges.list(), now).await.map_err(|error| refused(&error))?;
    Ok(granted.urls.into_iter().next().expect("a grant has at least one URL"))
}

fn names(artists: &[ArtistName]) -> String {
    artists.iter().map(|artist| artist.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What something of ours is called everywhere.
fn named(kind: &str, id: &str) -> String {
    format!("needledrop:{kind}:{id}")
}
