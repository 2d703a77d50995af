//! What the gateway serves from.

use std::sync::Arc;

use crate::api::Counted;
use crate::cors::Cors;
use crate::limits::Limits;
use crate::making::Making;
use crate::ops::Ops;
use crate::subsonic::readings::Readings;
use arc_swap::ArcSwap;
use needledrop_catalog::Catalog;
use needledrop_catalog::search::Index;
use needledrop_core::{Keyring, Problem};
use needledrop_http::Request;
use needledrop_playback::{Edge, EdgeBase, Playback};
use needledrop_playlist::Playlists;
use needledrop_podcast::Podcasts;

/// The services behind the gateway.
pub struct House {
    /// What there is.
    pub catalog: Catalog,
    /// Its names.
    pub index: Arc<Index>,
    /// Accounts and grants.
    pub playback: Arc<Playback>,
    /// Playlists, stars and ratings.
    pub playlists: Playlists,
    /// Shows that come from feeds.
    pub podcasts: Podcasts,
    /// What signs; the edges of this house verify with the same.
    pub keys: Arc<ArcSwap<Keyring>>,
    /// Where the edges are, best first; without any, where the client already is.
    pub edges: Vec<EdgeBase>,
    /// Whether anybody may listen as the demo account: only where no stranger can ask.
    pub has_demo: bool,
    /// Which plays made popularity already.
    pub counted: Counted,
    /// All edges, for operators.
    pub ops: Arc<Ops>,
    /// How far the making of tracks is.
    pub making: Arc<Making>,
    /// How often somebody may call.
    pub limits: Limits,
    /// Whose pages may call.
    pub cors: Cors,
    /// Which state of a playlist each Subsonic program has read last.
    pub readings: Readings,
}

/// The bases of the edges for one request, and the keys of this moment.
pub struct Edges {
    bases: Vec<EdgeBase>,
    keys: Arc<Keyring>,
}

impl Edges {
    /// As a grant asks for them.
    pub fn list(&self) -> Vec<Edge<'_>> {
        self.bases.iter().map(|base| Edge { base, keys: &self.keys }).collect()
    }
}

impl House {
    /// Scheme and authority by which the client knows this server; what answers name is at them.
    pub fn here(&self, request: &Request) -> String {
        here(&self.edges, request)
    }

    /// The edges this client is sent to.
    ///
    /// # Errors
    /// None are set, and the request does not say where the client is.
    pub fn edges(&self, request: &Request) -> Result<Edges, Problem> {
        let keys = self.keys.load_full();
        if !self.edges.is_empty() {
            return Ok(Edges { bases: self.edges.clone(), keys });
        }
        let scheme = if request.peer.secure { "https" } else { "http" };
        let here = request.authority().and_then(|host| EdgeBase::parse(&format!("{scheme}://{host}")));
        let no_host = || {
            let said = Problem::new("no-host", "The request names no host", 400);
            said.with_detail("Send a Host field, or start with --public-url")
        };
        Ok(Edges { bases: vec![here.ok_or_else(no_host)?], keys })
    }
}

/// A proxy in front may speak TLS for us: where the public URL is of the same authority, its scheme is meant.
fn here(edges: &[EdgeBase], request: &Request) -> String {
    let host = request.authority().unwrap_or("localhost");
    let of_edge = |base: &EdgeBase| {
        base.as_str().split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    match edges.iter().find(|base| of_edge(base)) {
        Some(base) => base.as_str().to_owned(),
        None if request.peer.secure => format!("https://{host}"),
        None => format!("http://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_server_is_where_its_client_asks() {
        let edges = [EdgeBase::parse("https://music.example").unwrap()];
        let at = |host: &str, secure| {
            let mut request = Request::local(Method::GET, "/v1/me");
            request.headers.insert("host", host.parse().unwrap());
            request.peer.secure = secure;
            here(&edges, &request)
        };
        assert_eq!(at("localhost:4040", false), "http://localhost:4040");
        assert_eq!(at("localhost:4040", true), "https://localhost:4040");
        assert_eq!(at("Music.example", false), "https://music.example", "a proxy speaks TLS for us");
        assert_eq!(at("music.example:4040", false), "http://music.example:4040", "this way there is no proxy");
    }
}
