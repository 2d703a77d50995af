//! OpenSubsonic below `/rest/`: what nearly all clients call, in XML, JSON and JSONP.
//!
//! [`answer`] reads the [`params`], asks [`auth`] who it is, lets one call make a tree, and writes it as [`response`]
//! says. Ids bear the kind before them (`ar-`, `al-`, `tr-`, `pl-`, `sh-`, `ep-`), since the protocol has one room for all. Sound and
//! pictures never come from here: `stream`, `download` and `getCoverArt` lead to the edge.
//!
//! What of the protocol is not served says so with an error; nothing is made up. So `getAlbumList2` of type `recent` is
//! empty (no history of plays is kept yet), lyrics and biographies are empty, and `timeOffset` is refused.

mod auth;
mod browse;
mod failure;
mod library;
mod lists;
mod marks;
mod media;
mod params;
mod playlists;
mod podcasts;
mod queue;
pub mod readings;
pub mod response;
mod shapes;
mod sleeve;
mod system;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};
use needledrop_core::UnixSeconds;
use needledrop_http::{Body, Request};
use needledrop_playback::Caller;
use needledrop_playlist::Playlists;

use crate::answer;
use crate::api::route::Verb;
use crate::house::House;
use crate::limits::{Class, Held};
use failure::Failure;
use params::Params;
use response::Element;

/// The version of the protocol that we speak.
const VERSION: &str = "1.16.1";

/// Longest name of a JSONP callback, in characters; libraries use some thirty.
const CALLBACK_CHARS_MAX: usize = 64;

/// The methods of every call.
const VERBS: [Verb; 2] = [Verb::Get, Verb::Post];

/// One call of somebody who was let in.
struct Call<'a> {
    house: &'a House,
    lists: &'a Playlists,
    request: &'a Request,
    params: &'a Params<'a>,
    caller: &'a Caller,
    now: UnixSeconds,
}

/// What a call gives.
enum Said {
    /// An element of this name, or nothing but that it went well.
    Tree(Option<(&'static str, Element)>),
    /// Several elements of one name, right below the answer.
    Many(&'static str, Vec<Element>),
    /// It is over there.
    Elsewhere(String),
    /// Too often.
    Held(Held),
    /// A picture, as a PNG.
    Picture(Vec<u8>),
}

type Reply = Result<Said, Failure>;

fn tree(name: &'static str, element: Element) -> Reply {
    Ok(Said::Tree(Some((name, element))))
}

fn done() -> Reply {
    Ok(Said::Tree(None))
}

/// How an answer is written.
enum Form<'a> {
    Xml,
    Json,
    Jsonp(&'a str),
}

/// The answer to a request below `/rest/`.
pub async fn answer(house: &House, request: &Request, now: UnixSeconds) -> Response<Body> {
    match request.method {
        Method::GET | Method::HEAD | Method::POST => {}
        Method::OPTIONS => return answer::options(&VERBS),
        _ => return answer::not_this_way(&VERBS),
    }
    let path = request.uri.path();
    let call = path.strip_prefix("/rest/").unwrap_or_default();
    let call = call.strip_suffix(".view").unwrap_or(call);
    let params = match Params::of(request) {
        Ok(params) => params,
        Err(failure) => return written(&Form::Xml, Err(failure)),
    };
    let (form, said) = match form(&params) {
        Ok(form) => (form, said(house, request, &params, call, now).await),
        Err(failure) => (Form::Xml, Err(failure)),
    };
    written(&form, said)
}

fn form<'a>(params: &'a Params<'_>) -> Result<Form<'a>, Failure> {
    match params.text("f") {
        None | Some("xml" | "") => Ok(Form::Xml),
        Some("json") => Ok(Form::Json),
        Some("jsonp") => {
            let callback = params.required("callback")?;
            // What is written in front of our answer runs in somebody's page: a name and nothing else.
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte);
            let is_name = !callback.is_empty()
                && callback.len() <= CALLBACK_CHARS_MAX
                && callback.bytes().all(is_part)
                && !callback.as_bytes()[0].is_ascii_digit();
            if is_name { Ok(Form::Jsonp(callback)) } else { Err(Failure::wrong("callback", "it is a name")) }
        }
        Some(_) => Err(Failure::wrong("f", "it is xml, json or jsonp")),
    }
}

/// The protocol's major version is 1; a client that speaks a later minor one is served what we have.
fn same_version(params: &Params<'_>) -> Result<(), Failure> {
    let major = params.text("v").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(0) => Err(Failure::version(false)),
        Some(2..) => Err(Failure::version(true)),
        _ => Ok(()),
    }
}

async fn said(house: &House, request: &Request, params: &Params<'_>, name: &str, now: UnixSeconds) -> Reply {
    same_version(params)?;
    let client = request.peer.client;
    if name == "getOpenSubsonicExtensions" {
        let held = house.limits.ask_unknown(Class::Stranger, client).err();
        return Ok(held.map_or_else(system::extensions, Said::Held));
    }
    let caller = match auth::asks(&house.playback, params, now).await {
        Ok(caller) => caller,
        Err(failure) => {
            let held = house.limits.ask_unknown(Class::Stranger, client).err();
            return held.map_or(Err(failure), |held| Ok(Said::Held(held)));
        }
    };
    if let Err(held) = house.limits.ask(class(name), caller.account().id, client) {
        return Ok(Said::Held(held));
    }
    let call = Call { house, lists: &house.playlists, request, params, caller: &caller, now };
    match name {
        "ping" => done(),
        "getLicense" => system::license(),
        "getUser" => system::user(&call),
        "tokenInfo" => system::token_info(&call),
        "getScanStatus" => system::scan_status(&call).await,
        "getMusicFolders" => browse::music_folders(),
        "getIndexes" => browse::indexes(&call).await,
        "getMusicDirectory" => browse::music_directory(&call).await,
        "getArtists" => browse::artists(&call).await,
        "getArtist" => browse::artist(&call).await,
        "getAlbum" => browse::album(&call).await,
        "getSong" => browse::song(&call).await,
        "getArtistInfo2" => browse::artist_info(&call).await,
        "getGenres" => lists::genres(&call).await,
        "getAlbumList2" => lists::albums(&call).await,
        "getRandomSongs" => lists::random_songs(&call).await,
        "getTopSongs" => lists::top_songs(&call).await,
        "getSimilarSongs" => lists::similar_songs(&call, "similarSongs").await,
        "getSimilarSongs2" => lists::similar_songs(&call, "similarSongs2").await,
        "search3" => lists::search(&call).await,
        "search2" => lists::search_of_folders(&call).await,
        "getLyrics" => browse::lyrics(),
        "getLyricsBySongId" => browse::lyrics_of_song(&call).await,
        "getCoverArt" => media::cover_art(&call).await,
        "stream" | "download" => media::stream(&call).await,
        "scrobble" => media::scrobble(&call).await,
        "getPodcasts" => podcasts::all(&call).await,
        "getNewestPodcasts" => podcasts::newest(&call).await,
        "getPodcastEpisode" => podcasts::episode(&call).await,
        "refreshPodcasts" => podcasts::refresh(&call).await,
        "createPodcastChannel" => podcasts::create(&call).await,
        "deletePodcastChannel" => podcasts::delete(&call).await,
        "getPlaylists" => playlists::all(&call).await,
        "getPlaylist" => playlists::one(&call).await,
        "createPlaylist" => playlists::create(&call).await,
        "updatePlaylist" => playlists::update(&call).await,
        "deletePlaylist" => playlists::delete(&call).await,
        "star" => marks::star(&call).await,
        "unstar" => marks::unstar(&call).await,
        "setRating" => marks::rate(&call).await,
        "getStarred2" => marks::starred(&call).await,
        "savePlayQueue" => queue::save(&call).await,
        "getPlayQueue" => queue::get(&call).await,
        _ => Err(Failure::other("This call is not served here")),
    }
}

/// How much work a call is. Its method says nothing: the protocol changes things by GET.
fn class(name: &str) -> Class {
    match name {
        "search2" | "search3" | "getTopSongs" => Class::Search,
        "scrobble"
        | "createPlaylist"
        | "updatePlaylist"
        | "deletePlaylist"
        | "star"
        | "unstar"
        | "setRating"
        | "savePlayQueue"
        | "createPodcastChannel"
        | "deletePodcastChannel"
        | "refreshPodcasts" => Class::Write,
        _ => Class::Read,
    }
}

/// Everything is somebody's own and of this moment.
fn written(form: &Form<'_>, said: Reply) -> Response<Body> {
    let status = if said.is_ok() { "ok" } else { "failed" };
    let root = Element::new()
        .with("status", status)
        .with("version", VERSION)
        .with("type", "needledrop")
        .with("serverVersion", env!("CARGO_PKG_VERSION"))
        .with("openSubsonic", true);
    let root = match said {
        Ok(Said::Elsewhere(place)) => return elsewhere(&place),
        Ok(Said::Held(held)) => return held.response(),
        Ok(Said::Picture(png)) => return picture(png),
        Ok(Said::Tree(None)) => root,
        Ok(Said::Tree(Some((name, element)))) => root.one(name, element),
        Ok(Said::Many(name, elements)) => root.many(name, elements),
        Err(failure) => root.one("error", Element::new().with("code", failure.code).with("message", failure.message)),
    };
    let (kind, text) = match form {
        Form::Xml => {
            let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
            root.with("xmlns", "http://subsonic.org/restapi").xml("subsonic-response", &mut xml);
            ("application/xml; charset=utf-8", xml)
        }
        Form::Json => ("application/json", json(&root)),
        // The comment keeps the answer from being taken for something that begins with a chosen name.
        Form::Jsonp(callback) => ("text/javascript; charset=utf-8", format!("/**/{callback}({});", json(&root))),
    };
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn json(root: &Element) -> String {
    serde_json::json!({ "subsonic-response": root.json() }).to_string()
}

/// The same for a day: what has no cover seldom gets one.
fn picture(png: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(png));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn elsewhere(place: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let place = HeaderValue::from_str(place).expect("signed URLs and paths of artwork are printable ASCII");
    response.headers_mut().insert(http::header::LOCATION, place);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
