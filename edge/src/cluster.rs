//! The other edges, as far as purges go: told of ours, and asked for what was missed.
//!
//! A neighbour is its admin port. Nothing here decides what a purge covers (`core::purge`) or
//! removes anything ([`crate::purge`]).

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{HeaderValue, Method, Uri, header};
use needledrop_core::purge::PurgeId;
use needledrop_http::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    admin::{Token, query::encode},
    limits::{CATCH_UP_BYTES_MAX, CATCH_UP_WAIT, MARKS_MAX, NEIGHBOUR_WAIT, PEERS_MAX, PURGE_PULL_EVERY},
    purge::{Missed, Purge, Round},
    shelf::Shelf,
};

/// The neighbours of one edge.
#[derive(Debug, Clone)]
pub struct Cluster {
    client: Client,
    peers: Vec<String>,
    token: Option<Token>,
}

/// What became of a purge at one neighbour.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Where it was told.
    pub peer: String,
    /// What it did, in its own words.
    pub done: Result<Value, String>,
}

/// How a start after an absence went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// Neighbours that answered.
    pub answered: usize,
    /// Purges that were missed and are applied now.
    pub applied: usize,
    /// Whether what the cache held from before may be served: there is no neighbour, or one told everything.
    pub is_sure: bool,
}

/// A neighbour's answer to `GET /purges?since=…`.
#[derive(Deserialize)]
struct Listed {
    purges: Vec<Purge>,
    complete: bool,
}

/// A list of neighbours that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not `http://HOST:PORT` or `https://HOST:PORT`.
    #[error("peer {0}: write the admin port of the other edge as https://HOST:PORT")]
    Malformed(String),
    /// The token would travel in the clear.
    #[error("peer {0}: plain http is for loopback only, since the token would travel in the clear")]
    Clear(String),
    /// More than [`PEERS_MAX`].
    #[error("more than 256 peers")]
    TooMany,
}

impl Cluster {
    /// No neighbours.
    pub fn alone(client: Client) -> Self {
        Self { client, peers: Vec::new(), token: None }
    }

    /// The edges whose admin ports are `peers`, which know this edge by the token, by the client's
    /// certificate, or by both.
    ///
    /// # Errors
    /// A peer is not the address of an admin port.
    pub fn new(client: Client, peers: &[String], token: Option<Token>) -> Result<Self, PeerError> {
        if peers.len() > PEERS_MAX {
            return Err(PeerError::TooMany);
        }
        let peers: Result<_, _> = peers.iter().map(|peer| base(peer)).collect();
        Ok(Self { client, peers: peers?, token })
    }

    /// Whether this edge has no neighbours.
    pub fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    /// Tells every neighbour of a purge, all at once, and waits for each a bounded time.
    pub async fn tell(&self, purge: &Purge, round: Round) -> Vec<Told> {
        let (name, value) = (purge.target.name(), encode(purge.target.value()));
        let again = if round == Round::Again { "&again=1" } else { "" };
        let call = format!("/purge?{name}={value}&id={}{again}", purge.id);
        let telling = self.peers.iter().map(async |peer| {
            let answer = timeout(NEIGHBOUR_WAIT, self.call(Method::POST, peer, &call)).await;
            let done = answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", NEIGHBOUR_WAIT.as_millis())));
            Told { peer: peer.clone(), done: done.and_then(|text| parse(&text)) }
        });
        join_all(telling).await
    }

    /// Asks every neighbour for the purges that this edge has not heard of, and applies them.
    pub async fn catch_up(&self, shelf: &Arc<Shelf>) -> CaughtUp {
        if self.is_alone() {
            return CaughtUp { answered: 0, applied: 0, is_sure: true };
        }
        let marks: Vec<_> = shelf.purges.marks().iter().take(MARKS_MAX).map(|mark| format!("since={mark}")).collect();
        let call = format!("/purges?{}", if marks.is_empty() { "all=1".to_owned() } else { marks.join("&") });
        let asking = self.peers.iter().map(async |peer| {
            let answer = timeout(CATCH_UP_WAIT, self.call(Method::GET, peer, &call)).await;
            let listed =
                answer.unwrap_or_else(|_| Err("no answer in time".into())).and_then(|text| parse::<Listed>(&text));
            listed.inspect_err(|error| tracing::warn!(%peer, %error, "a neighbour did not tell its purges"))
        });
        let lists: Vec<_> = join_all(asking).await.into_iter().flatten().collect();
        let answered = lists.len();
        let missed = merged(lists);
        let (heard, shelf) = (missed.complete && answered > 0, shelf.clone());
        let wanted: Vec<_> = missed.purges.into_iter().map(|purge| (purge.target, Some(purge.id))).collect();
        let applying = tokio::task::spawn_blocking(move || shelf.purge_all(wanted, Round::First));
        match applying.await.expect("a purge does not panic") {
            Ok(applied) => CaughtUp { answered, applied: applied.len(), is_sure: heard },
            Err(error) => {
                tracing::error!(%error, "purges that were caught up on could not be written down");
                CaughtUp { answered, applied: 0, is_sure: false }
            }
        }
    }

    /// Before the first request: applies what was missed. Where no neighbour can tell, what the cache holds
    /// from before is served only after upstream has confirmed it.
    pub async fn join(&self, shelf: &Arc<Shelf>) -> CaughtUp {
        let caught_up = self.catch_up(shelf).await;
        if !caught_up.is_sure {
            tracing::warn!("no neighbour told all purges: objects from before are confirmed upstream one by one");
            shelf.objects.doubt_all();
        }
        shelf.gate.started();
        caught_up
    }

    /// Catches up again and again, for purges that were told while the way here was broken. Until dropped.
    pub async fn follow(self, shelf: Arc<Shelf>) {
        while !self.is_alone() {
            tokio::time::sleep(PURGE_PULL_EVERY).await;
            let caught_up = self.catch_up(&shelf).await;
            if caught_up.applied > 0 {
                tracing::warn!(applied = caught_up.applied, "purges that had not reached this edge were applied");
            }
        }
    }

    async fn call(&self, method: Method, peer: &str, target: &str) -> Result<String, String> {
        let uri: Uri = format!("{peer}{target}").parse().map_err(|error| format!("{error}"))?;
        let mut request = http::Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        if let Some(token) = &self.token {
            let mut field = HeaderValue::from_str(&token.to_field()).expect("a token is visible ASCII");
            field.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, field);
        }
        let (parts, mut body) = self.client.send(request).await.map_err(|error| error.to_string())?.into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await {
            let chunk = chunk.map_err(|error| error.to_string())?;
            if bytes.len() + chunk.len() > CATCH_UP_BYTES_MAX {
                return Err("an answer beyond all bounds".into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(bytes).map_err(|_| "an answer that is not text".to_owned())?;
        match parts.status.is_success() {
            true => Ok(text),
            false => Err(format!("it answered {}", parts.status)),
        }
    }
}

/// All purges of several lists, each once, with every node's in the order of their numbers.
fn merged(lists: Vec<Listed>) -> Missed {
    // One neighbour that told everything is enough: what only others were told, they tell as well.
    let complete = lists.iter().any(|listed| listed.complete);
    let mut purges: HashMap<PurgeId, Purge> = HashMap::new();
    for purge in lists.into_iter().flat_map(|listed| listed.purges) {
        purges.entry(purge.id).or_insert(purge);
    }
    let mut purges: Vec<_> = purges.into_values().collect();
    purges.sort_by_key(|purge| purge.id);
    Missed { purges, complete }
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("it answered nonsense: {error}"))
}

/// Scheme and authority of an admin port.
pub fn base(text: &str) -> Result<String, PeerError> {
    let malformed = || PeerError::Malformed(text.to_owned());
    let uri: Uri = text.parse().map_err(|_| malformed())?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(malformed()) };
    if uri.path() != "/" || uri.query().is_some() || text.contains('@') {
        return Err(malformed());
    }
    match scheme {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => return Err(PeerError::Clear(text.to_owned())),
        _ => return Err(malformed()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// How long an operator's call may take where all neighbours are silent: two rounds of telling.
pub const TELLING_MAX: Duration = Duration::from_millis(2 * NEIGHBOUR_WAIT.as_millis() as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_travels_in_the_clear() {
        for good in ["https://edge-2.example:4600", "http://127.0.0.1:4600/", "http://[::1]:4600", "http://localhost:1"]
        {
            assert!(base(good).is_ok(), "{good}");
        }
        assert_eq!(base("http://10.0.0.2:4600"), Err(PeerError::Clear("http://10.0.0.2:4600".into())));
        for wrong in ["edge-2", "ftp://a", "https://a/path", "https://a?x", "https://u@a"] {
            assert_eq!(base(wrong), Err(PeerError::Malformed(wrong.into())));
        }
    }
}
