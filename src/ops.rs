//! The edges that the operator page watches: the one in this process, and those of the configuration.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use needledrop_edge::admin::{Admin, Token, query::encode};
use needledrop_edge::cluster::base;
use needledrop_gateway::ops::{Ask, Asking, Edge, Port, Said};
use needledrop_http::{Client, ClientConfig, Roots};

use crate::config;

/// The longest answer of an admin port. Unit: bytes; metrics are some 70 KB, a hundred paths at most as much.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a connection may take to come about.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// How long an answer may take: a purge waits for the edge's neighbours.
const ANSWER_WAIT: Duration = Duration::from_secs(4);

/// The built-in edge under its name, then those of the configuration. Blocks on files.
pub fn edges(built_in: Admin, config: &config::Ops) -> Result<Vec<Edge>, String> {
    let mut edges = Vec::with_capacity(1 + config.edges.len());
    let region = config.region.clone();
    edges.push(Edge::new(built_in.name.clone(), region, true, Box::new(Inside(built_in))));
    for edge in &config.edges {
        let afar = Afar::new(edge).map_err(|error| format!("[[ops.edges]] {}: {error}", edge.name))?;
        edges.push(Edge::new(edge.name.clone(), edge.region.clone(), false, Box::new(afar)));
    }
    Ok(edges)
}

/// The admin port of the edge in this process: there, whether or not it has a door.
struct Inside(Admin);

impl Port for Inside {
    fn ask(&self, ask: Ask) -> Asking<'_> {
        Box::pin(async move {
            let response = self.0.operate(&ask.method, &target(&ask)).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(Said { status, body })
        })
    }
}

/// The admin port of an edge elsewhere.
struct Afar {
    client: Client,
    base: String,
    field: HeaderValue,
}

impl Afar {
    fn new(edge: &config::OpsEdge) -> Result<Self, String> {
        let is_plain = |c: char| !c.is_control();
        if edge.name.is_empty() || edge.name.chars().count() > 64 || !edge.name.chars().all(is_plain) {
            return Err("a name is 1 to 64 characters".into());
        }
        let base = base(&edge.admin).map_err(|error| error.to_string().replacen("peer", "admin", 1))?;
        let token = Token::load(&edge.token).map_err(|error| error.to_string())?;
        let mut field = HeaderValue::from_str(&token.to_field()).expect("a token is visible ASCII");
        field.set_sensitive(true);
        let config = ClientConfig {
            roots: edge.ca.clone().map_or(Roots::System, Roots::Pem),
            connect_timeout: CONNECT_WAIT,
            head_timeout: ANSWER_WAIT,
            body_timeout: ANSWER_WAIT,
            // A look is one call after another.
            idle_connections: 1,
            ..ClientConfig::default()
        };
        Ok(Self { client: Client::new(&config).map_err(|error| error.to_string())?, base, field })
    }

    async fn fetch(&self, ask: Ask) -> Result<Said, String> {
        let request = http::Request::builder()
            .method(ask.method.clone())
            .uri(format!("{}{}", self.base, target(&ask)))
            .header(header::AUTHORIZATION, self.field.clone())
            .body(())
            .map_err(|error| error.to_string())?;
        let (parts, mut body) = self.client.send(request).await.map_err(|error| error.to_string())?.into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await {
            bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err("an answer beyond all bounds".into());
            }
        }
        Ok(Said { status: parts.status.as_u16(), body: Bytes::from(bytes) })
    }
}

impl Port for Afar {
    fn ask(&self, ask: Ask) -> Asking<'_> {
        Box::pin(self.fetch(ask))
    }
}

/// Path and query.
fn target(ask: &Ask) -> String {
    let pairs: Vec<_> = ask.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { ask.path.to_owned() } else { format!("{}?{}", ask.path, pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let ask = Ask::post("/purge").with("tag", "a&b c").with("id", "1-2");
        assert_eq!(target(&ask), "/purge?tag=a%26b%20c&id=1-2");
        assert_eq!(target(&Ask::get("/status")), "/status");
    }

    #[test]
    fn an_edge_of_the_configuration_is_refused_with_its_name_and_the_reason() {
        let data = tempfile::tempdir().unwrap();
        let token = data.path().join("token");
        Token::load_or_make(&token).unwrap();
        let edge = |admin: &str, token: &Path| {
            let config = config::OpsEdge {
                name: "sin-1".into(),
                admin: admin.into(),
                token: token.into(),
                ..config::OpsEdge::default()
            };
            Afar::new(&config).map(drop)
        };
        assert_eq!(edge("http://127.0.0.1:4600", &token), Ok(()));
        assert!(edge("http://10.0.0.1:4600", &token).unwrap_err().contains("in the clear"));
        assert!(edge("https://edge.example:4600", &data.path().join("none")).unwrap_err().contains("token file"));
    }
}
