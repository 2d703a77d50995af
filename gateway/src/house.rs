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
