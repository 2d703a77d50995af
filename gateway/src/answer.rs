//! Answers of the API: JSON with a tag, problems with their status.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use needledrop_core::Problem;
use needledrop_core::decide::{Conditions, Method as Asked, Validators};
use needledrop_core::etag::EntityTag;
use needledrop_core::precondition::{self, Precondition};
use needledrop_http::{Body, Request, problem};
use needledrop_playback::Error;
use needledrop_playback::account::NameRefusal;
use serde::Serialize;
use serde_json::Value;

use crate::api::route::Verb;
use crate::shown::Page;

/// How long anybody may keep what changes with the program only: long enough for a tool's run, short enough for an
/// update.
const FIXED_FOR: &str = "public, max-age=300";

/// An answer, or why there is none.
pub type Reply = Result<Answer, Problem>;

/// What a call gives.
pub enum Answer {
    /// What is there: its reader may keep it and ask about it again.
    Entity(Value),
    /// The same, as its text.
    Written(Written),
    /// What was done, or a grant, which is made for this moment: never kept.
    Private(Value),
    /// The same, and something was made.
    Created(Value),
    /// What is the same for everybody until the next start.
    Fixed(&'static Fixed),
    /// Done, and nothing to say.
    Nothing,
    /// Anything else.
    Whole(Response<Body>),
}

/// JSON whose places are addresses.
pub struct Written {
    text: String,
    next: Option<String>,
}

impl Answer {
    /// A thing that serialises itself.
    pub fn written(thing: &impl Serialize) -> Self {
        Self::Written(Written { text: text(thing), next: None })
    }

    /// A page of a list.
    pub fn page<T: Serialize>(page: &Page<T>) -> Self {
        Self::Written(Written { text: text(page), next: page.next().map(str::to_owned) })
    }
}

fn text(thing: &impl Serialize) -> String {
    serde_json::to_string(thing).expect("texts and numbers under names are JSON")
}

/// As a response.
pub fn respond(request: &Request, reply: Reply) -> Response<Body> {
    match reply {
        Ok(Answer::Entity(value)) => {
            let next = value["next"].as_str().map(str::to_owned);
            entity(request, Written { text: value.to_string(), next })
        }
        Ok(Answer::Written(written)) => entity(request, written),
        Ok(Answer::Fixed(text)) => fixed(request, text),
        Ok(Answer::Private(value)) => json(value.to_string(), StatusCode::OK),
        Ok(Answer::Created(value)) => json(value.to_string(), StatusCode::CREATED),
        Ok(Answer::Nothing) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            unkept(response)
        }
        Ok(Answer::Whole(response)) => unkept(response),
        Err(refusal) => refuse(&refusal),
    }
}

/// A refusal that nobody keeps.
pub fn refuse(refusal: &Problem) -> Response<Body> {
    let mut response = problem(refusal);
    if refusal.status == 401 {
        // RFC 9110 11.6.1: what would do.
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after(refusal) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    unkept(response)
}

/// What may be asked of a path.
fn allow(verbs: &[Verb]) -> HeaderValue {
    let mut names: Vec<&str> = verbs.iter().map(|verb| verb.name()).collect();
    if verbs.contains(&Verb::Get) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    HeaderValue::from_str(&names.join(", ")).expect("names of methods")
}

/// A path that exists, asked with a method that it does not have.
pub fn not_this_way(verbs: &[Verb]) -> Response<Body> {
    let mut response = refuse(&Problem::new("method", "This call does not take that method", 405));
    response.headers_mut().insert(ALLOW, allow(verbs));
    response
}

/// What may be asked of a path, as an answer.
pub fn options(verbs: &[Verb]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow(verbs));
    unkept(response)
}

fn retry_after(refusal: &Problem) -> Option<u64> {
    match refusal.status {
        429 => refusal.detail.as_deref().and_then(|detail| detail.rsplit(' ').nth(1)?.parse().ok()).or(Some(30)),
        503 => Some(1),
        _ => None,
    }
}

/// Whose answer it is depends on the credential, whatever comes between us and the client.
fn unkept(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json(text: String, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    unkept(response)
}

/// A text that is the same for as long as this program runs, with its tag.
pub struct Fixed {
    media_type: &'static str,
    text: Bytes,
    tag: EntityTag,
}

impl Fixed {
    /// Of this type.
    pub fn new(media_type: &'static str, text: String) -> Self {
        Self { media_type, tag: tag_of(&text), text: text.into() }
    }
}

fn tag_of(text: &str) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    EntityTag::strong(&format!("{:016x}", hasher.finish()))
}

/// What its reader has already, or all of it.
fn tagged(request: &Request, tag: &EntityTag, whole: impl FnOnce() -> Response<Body>) -> Response<Body> {
    let if_none_match = request.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let conditions = Conditions { if_none_match, ..Conditions::plain(Asked::Get) };
    let validators = Validators { etag: Some(tag.clone()), last_modified: None };
    let mut response = match precondition::evaluate(&conditions, &validators) {
        Precondition::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        _ => whole(),
    };
    let tag = HeaderValue::from_str(&tag.to_string()).expect("sixteen hexadecimal digits in quotes");
    response.headers_mut().insert(ETAG, tag);
    response
}

fn entity(request: &Request, Written { text, next }: Written) -> Response<Body> {
    let tag = tag_of(&text);
    let mut response = tagged(request, &tag, || json(text, StatusCode::OK));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization, cookie"));
    // The page after this one, for clients that do not look into the answer (RFC 8288).
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!("<{next}>; rel=\"next\""))
    {
        headers.insert(LINK, link);
    }
    response
}

/// The text, or that its reader has it.
pub fn fixed(request: &Request, fixed: &Fixed) -> Response<Body> {
    let mut response = tagged(request, &fixed.tag, || {
        let mut response = Response::new(Body::full(fixed.text.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(fixed.media_type));
        response
    });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FIXED_FOR));
    response
}

/// What an error of the accounts means in HTTP.
pub fn refused(error: &Error) -> Problem {
    let status = match error {
        // Whoever it is kept for, it cannot be had.
        Error::Name(NameRefusal::Reserved) => 409,
        Error::Name(_) | Error::Password(_) | Error::OAuth(_) => 400,
        Error::WrongPassword | Error::WrongCredential => 401,
        Error::NotAllowed(_) | Error::Refused(_) | Error::SignUpClosed | Error::NotInvited => 403,
        Error::NotFound => 404,
        Error::NameTaken | Error::TokensFull | Error::Conflict | Error::LastAdmin => 409,
        Error::AccountsFull | Error::InvitationsFull => 409,
        // Each part has its form, and together they contradict each other.
        Error::Queue(_) => 422,
        Error::Limited(_) => 429,
        Error::Busy(_) => 503,
        Error::NoRandomness | Error::Storage(_) => 500,
    };
    let status = if status == 500 && error.is_transient() { 503 } else { status };
    let said = Problem::new(error.slug(), error.title(), status);
    if status >= 500 {
        // Its words are for the operator.
        tracing::error!(%error, "a service failed");
        return said;
    }
    said.with_detail(error.to_string())
}

/// What an error of the catalog means in HTTP.
pub fn failed(error: &needledrop_catalog::store::Error) -> Problem {
    use needledrop_catalog::store::Error;
    match error {
        Error::Limit(_) | Error::Cursor => {
            Problem::new("parameter", "A parameter is wrong", 400).with_detail(error.to_string())
        }
        _ => {
            tracing::error!(%error, "the catalog failed");
            let status = if error.is_transient() { 503 } else { 500 };
            Problem::new("catalog", "The catalog cannot be read at the moment", status)
        }
    }
}
