//! The origin's server: ranges of immutable objects, for edges that prove who they are.
//!
//! Three steps: may they ask and what for (here), what is the object and what do they get (one
//! visit to the blocking pool), and the bytes (`file_body`). It knows no signed URL and no query:
//! right of access is the edge's client certificate, which the door has verified.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method as HttpMethod;
use needledrop_core::answer::{Answer, answer};
use needledrop_core::decide::{Method, Validators, decide};
use needledrop_core::media::content_type_for;
use needledrop_core::object_path::ObjectPath;
use needledrop_core::time::UnixSeconds;
use needledrop_http::{Body, Handler, Request, Response};

use crate::file_body::{self, WINDOW_BYTES};
use crate::objects::{Facts, ObjectFacts, ObjectName};
use crate::respond::{Asked, Refusal, refuse, respond};
use crate::vault::Vault;

/// Serves a vault. Cheap to clone.
#[derive(Clone)]
pub struct Origin {
    vault: Vault,
    facts: Arc<Facts>,
}

/// What is asked for, parsed.
struct Question {
    method: Method,
    path: ObjectPath,
    name: ObjectName,
    asked: Asked,
}

/// An answer whose bytes are read or can be.
struct Found {
    answer: Answer,
    validators: Validators,
    bytes: Source,
}

enum Source {
    /// Read already, since they were few (or none).
    Read(bytes::Bytes),
    /// To be read as the client takes them.
    Open(Arc<File>),
}

impl Origin {
    /// Serves what is visible in `vault`, now and as more is published.
    pub fn new(vault: Vault) -> Origin {
        let facts = Arc::new(Facts::new(vault.clone()));
        Origin { vault, facts }
    }

    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let question = Question::parse(&request)?;
        let origin = self.clone();
        let visit = tokio::task::spawn_blocking(move || origin.look_up(&question));
        let found = visit.await.unwrap_or_else(|error| {
            tracing::error!(%error, "looking up an object panicked");
            Err(Refusal::Broken)
        })?;
        let Found { answer, validators, bytes } = found;
        let body = match bytes {
            Source::Read(bytes) => Body::full(bytes),
            Source::Open(file) => file_body::stream(file, answer.body.clone(), answer.body_bytes()),
        };
        Ok(respond(&answer, &validators, body))
    }

    /// From a name to an answer. Blocks on the disk.
    fn look_up(&self, question: &Question) -> Result<Found, Refusal> {
        let path = &question.path;
        let facts = self.facts.of(&question.name).map_err(|error| {
            tracing::error!(%path, %error, "manifest unreadable");
            Refusal::Broken
        })?;
        let facts = facts.ok_or(Refusal::NotFound)?;
        let file = self.open_checked(question, &facts)?;
        let last_modified = Some(facts.published);
        let validators = Validators { etag: Some(facts.etag()), last_modified };
        let conditions = question.asked.conditions(question.method);
        let now = UnixSeconds::from_system(SystemTime::now());
        let outcome = decide(&conditions, facts.bytes, &validators, now);
        let answer = answer(question.method, &outcome, facts.bytes, content_type_for(path), &validators);
        let bytes = if answer.body_bytes() <= WINDOW_BYTES {
            let read = file_body::read_all(&file, &answer.body);
            Source::Read(read.map_err(|error| {
                tracing::error!(%path, %error, "object unreadable");
                Refusal::Broken
            })?)
        } else {
            Source::Open(Arc::new(file))
        };
        Ok(Found { answer, validators, bytes })
    }

    /// Opens the object's file. One whose length is not the manifest's is never served.
    fn open_checked(&self, question: &Question, facts: &ObjectFacts) -> Result<File, Refusal> {
        let path = &question.path;
        let file_path = question.name.file(&self.vault);
        let opened = File::open(&file_path).and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
        match opened {
            Ok((file, bytes)) if bytes == facts.bytes => Ok(file),
            Ok((_, bytes)) => {
                tracing::error!(%path, bytes, manifest_bytes = facts.bytes, "object has the wrong length");
                Err(Refusal::Broken)
            }
            // A removed track goes with its whole folder; one file missing from it is damage.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !file_path.parent().is_some_and(Path::is_dir) => {
                Err(Refusal::NotFound)
            }
            Err(error) => {
                tracing::error!(%path, %error, "object cannot be opened");
                Err(Refusal::Broken)
            }
        }
    }
}

impl Question {
    fn parse(request: &Request) -> Result<Question, Refusal> {
        if request.peer.identity.is_none() {
            return Err(Refusal::Stranger);
        }
        let method = match request.method {
            HttpMethod::GET => Method::Get,
            HttpMethod::HEAD => Method::Head,
            _ => return Err(Refusal::Method),
        };
        let path = ObjectPath::parse(request.uri.path()).map_err(|_| Refusal::NotFound)?;
        let name = ObjectName::parse(&path).ok_or(Refusal::NotFound)?;
        let asked = Asked::of(&request.headers);
        Ok(Question { method, path, name, asked })
    }
}

impl Handler for Origin {
    async fn call(&self, request: Request) -> Response {
        self.answer(request).await.unwrap_or_else(refuse)
    }
}

#[cfg(test)]
mod tests;
