//! The gateway: the public API, OpenSubsonic, the web player and the operator page.
//!
//! One [`Gateway`] answers everything that is not sound or artwork. [`house`] is what it serves from, [`who`] says who
//! asks, [`limits`] how often and [`cors`] from which pages; [`api`] is `/v1`, [`oauth`] lets programs of other people
//! into it, [`subsonic`] is `/rest`, [`ops`] the operators' part, [`feeds`] are for podcast programs, [`web`] the player's
//! files. What a call gives is decided by the services; here it becomes HTTP, and only here.

pub mod answer;
pub mod api;
pub mod cors;
pub mod documents;
pub mod feeds;
pub mod files;
pub mod house;
pub mod limits;
pub mod lists;
pub mod making;
pub mod oauth;
pub mod ops;
pub mod query;
pub mod shapes;
pub mod shown;
pub mod subsonic;
pub mod web;
pub mod who;

use http::{Method, Response};
use needledrop_core::{Problem, UnixSeconds};
use needledrop_http::{Body, Request, problem};
use prometheus_client::registry::Registry;

pub use documents::Documents;
pub use house::House;
pub use lists::PublicLists;
pub use making::Making;

/// Everything that is not sound or artwork.
pub struct Gateway {
    house: House,
    files: files::Files,
    feeds: feeds::Feeds,
}

impl Gateway {
    /// A gateway to this house. Audio may come from `public_url`, where that is not the page's own address.
    pub fn new(house: House, public_url: Option<&str>) -> Self {
        Self { house, files: files::Files::new(public_url), feeds: feeds::Feeds::default() }
    }

    /// Whether the body of a request is wanted.
    pub fn wants_body(&self, request: &Request) -> bool {
        let path = request.uri.path();
        let is_ours = path.starts_with("/v1/") || path.starts_with("/rest/") || oauth::Door::at(path).is_some();
        is_ours && !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// The same answer, with what a browser must be told before it shows a call's answer to a page of another origin.
    pub fn shared(&self, request: &Request, mut response: Response<Body>) -> Response<Body> {
        self.house.cors.tell(request, &mut response);
        response
    }

    /// Shows what it counts.
    pub fn register(&self, registry: &mut Registry) {
        self.house.limits.register(registry);
    }

    /// The answer to a request.
    pub async fn answer(&self, request: &Request, now: UnixSeconds) -> Response<Body> {
        let path = request.uri.path();
        let said = match path {
            _ if path.starts_with("/v1/") => Some(api::answer(&self.house, request, now).await),
            _ if path.starts_with("/rest/") => Some(subsonic::answer(&self.house, request, now).await),
            _ => None,
        };
        if let Some(response) = said {
            return self.shared(request, response);
        }
        if path.starts_with(feeds::PATH) {
            return self.feeds.answer(&self.house, request, now).await;
        }
        if let Some(door) = oauth::Door::at(path) {
            let response = oauth::answer(door, &self.house, &self.files, request, now).await;
            return if door.is_shared() { self.shared(request, response) } else { response };
        }
        if path == api::page::PATH {
            return api::page::answer(request);
        }
        let nothing = || problem(&Problem::new("not-found", "There is nothing here", 404));
        self.files.answer(request).unwrap_or_else(nothing)
    }
}
