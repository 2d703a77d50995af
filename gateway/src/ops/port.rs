//! The way to an edge's admin port, whether it is in this process or elsewhere. What the calls are stands in the edge.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;

/// One call of the admin port. Parameters are encoded by whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// Names and values.
    pub query: Vec<(&'static str, String)>,
}

impl Ask {
    /// Reads something.
    pub fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, query: Vec::new() }
    }

    /// Changes something.
    pub fn post(path: &'static str) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// Takes something back.
    pub fn delete(path: &'static str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// The same with one parameter more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

/// What an edge answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

impl Said {
    /// Whether it did what was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is JSON of this form and no refusal.
    ///
    /// # Errors
    /// It refused, in its words, or it answers something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        if !self.is_success() {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// Why it refused.
    pub fn refusal(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let word = |name: &str| problem[name].as_str().map(str::to_owned);
        match (word("title"), word("detail")) {
            (Some(title), Some(detail)) => format!("it answered {}: {title}: {detail}", self.status),
            (Some(title), None) => format!("it answered {}: {title}", self.status),
            _ => format!("it answered {}", self.status),
        }
    }
}

/// An answer to come.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Said, String>> + Send + 'a>>;

/// The way to one admin port. Answers are bounded in time and size.
pub trait Port: Send + Sync {
    /// Asks, and gives the whole answer, or in a sentence why there is none.
    fn ask(&self, ask: Ask) -> Asking<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_edges_words() {
        let said = |status, body: &'static str| Said { status, body: Bytes::from_static(body.as_bytes()) };
        let refused = said(401, r#"{"title":"Show the admin token","detail":"Bearer"}"#);
        assert_eq!(refused.read::<u8>(), Err("it answered 401: Show the admin token: Bearer".to_owned()));
        assert_eq!(said(500, "oops").read::<u8>(), Err("it answered 500".to_owned()));
        assert!(said(200, "<html>").read::<u8>().unwrap_err().starts_with("its answer cannot be read"));
        assert_eq!(said(200, "7").read::<u8>(), Ok(7));
    }
}
