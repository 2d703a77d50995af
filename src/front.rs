//! The one handler behind `up`'s doors: the edge for audio and artwork, the gateway for everything else.

use http::{Response, StatusCode, uri::Authority};
use needledrop_core::Problem;
use needledrop_edge::Edge;
use needledrop_gateway::Gateway;
use needledrop_http::{Body, Handler, Request, problem};

use crate::clock;

/// Gateway and edge under one address.
pub struct Front {
    /// Calls and player.
    pub gateway: Gateway,
    /// Audio and artwork.
    pub edge: Edge,
    /// Hosts that player and calls answer to; empty for all. On loopback this keeps a hostile
    /// web site from reaching them under a name of its own (DNS rebinding).
    pub hosts: Vec<String>,
}

impl Front {
    fn knows_host(&self, request: &Request) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let authority = request.authority().and_then(|text| text.parse::<Authority>().ok());
        authority.is_some_and(|authority| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority.host())))
    }
}

fn is_audio(request: &Request) -> bool {
    let path = request.uri.path();
    path.starts_with("/tracks/") || path.starts_with("/art/")
}

fn is_call(request: &Request) -> bool {
    let path = request.uri.path();
    path.starts_with("/v1/") || path.starts_with("/rest/") || path.starts_with("/api/") || path.starts_with("/oauth/")
}

/// Whose sound begins a play, and whose address holds a credential.
fn is_feed(request: &Request) -> bool {
    request.uri.path().starts_with(needledrop_gateway::feeds::PATH)
}

impl Handler for Front {
    fn allows_early(&self, request: &Request) -> bool {
        match is_audio(request) {
            true => self.edge.allows_early(request),
            // A GET may change something: a play begins anew, and all of OpenSubsonic goes by GET.
            false => !is_call(request) && !is_feed(request),
        }
    }

    fn wants_body(&self, request: &Request) -> bool {
        self.gateway.wants_body(request)
    }

    async fn call(&self, request: Request) -> Response<Body> {
        if is_audio(&request) {
            return self.edge.call(request).await;
        }
        // Player and calls draw on the same account as the music: a stranger's requests are bounded whatever they are for.
        if let Some(refused) = self.edge.turn_away(&request) {
            // A page elsewhere can read then when to come back.
            return if is_call(&request) { self.gateway.shared(&request, refused) } else { refused };
        }
        if !self.knows_host(&request) {
            let title = "This host is not served here";
            let said = Problem::new("host", title, StatusCode::MISDIRECTED_REQUEST.as_u16());
            return problem(&said.with_detail("Use localhost, or start with --public-url for another name"));
        }
        self.gateway.answer(&request, clock::now()).await
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn calls_are_told_from_pages_and_audio() {
        let is_call = |target| is_call(&Request::local(Method::GET, target));
        assert!(is_call("/v1/me") && is_call("/rest/scrobble.view?id=1") && is_call("/oauth/token"));
        assert!(is_feed(&Request::local(Method::GET, "/feeds/t/tracks/a.m4a")));
        assert!(!is_call("/") && !is_call("/v1") && !is_call("/web/js/main.js") && !is_call("/tracks/a/b/160.ogg"));
    }
}
