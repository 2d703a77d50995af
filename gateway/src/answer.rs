//! Answers of the API: JSON with a tag, problems with their status.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, VARY};
use http::{HeaderValue, Response, StatusCode};
use needledrop_core::Problem;
use needledrop_core::decide::{Conditions, Method as Asked, Validators};
use needledrop_core::etag::EntityTag;
use needledrop_core::precondition::{self, Precondition};
use needledrop_http::{Body, Request, problem};
use needledrop_playback::Error;
use serde_json::Value;

/// An answer, or why there is none.
pub type Reply = Result<Answer, Problem>;

/// What a call gives.
pub enum Answer {
    /// What the catalog says: it may be kept and asked about again.
    Entity(Value),
    /// Somebody's own, or a grant: never kept.
    Private(Value),
    /// The same, and something was made.
    Created(Value),
    /// Done, and nothing to say.
    Nothing,
    /// Anything else.
    Whole(Response<Body>),
}

/// As a response.
pub fn respond(request: &Request, reply: Reply) -> Response<Body> {
    match reply {
        Ok(Answer::Entity(value)) => entity(request, &value),
        Ok(Answer::Private(value)) => json(&value, StatusCode::OK),
        Ok(Answer::Created(value)) => json(&value, StatusCode::CREATED),
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
    if let Some(seconds) = retry_after(refusal) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
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

fn json(value: &Value, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    unkept(response)
}

fn entity(request: &Request, value: &Value) -> Response<Body> {
    let text = value.to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = EntityTag::strong(&format!("{:016x}", hasher.finish()));
    let if_none_match = request.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let conditions = Conditions { if_none_match, ..Conditions::plain(Asked::Get) };
    let validators = Validators { etag: Some(tag.clone()), last_modified: None };
    let mut response = match precondition::evaluate(&conditions, &validators) {
        Precondition::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        _ => json(value, StatusCode::OK),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization, cookie"));
    headers.insert(ETAG, HeaderValue::from_str(&tag.to_string()).expect("sixteen hexadecimal digits in quotes"));
    response
}

/// What an error of the accounts means in HTTP.
pub fn refused(error: &Error) -> Problem {
    let status = match error {
        Error::Name(_) | Error::Password(_) | Error::Queue(_) => 400,
        Error::WrongPassword | Error::WrongCredential => 401,
        Error::NotAllowed(_) | Error::Refused(_) => 403,
        Error::NotFound => 404,
        Error::NameTaken | Error::TokensFull | Error::Conflict => 409,
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
