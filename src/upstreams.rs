//! Shields and origins of an edge: what the configuration may say of them, and the group it makes.

use std::time::Duration;

use http::Uri;
use needledrop_edge::{
    Clock, Upstream, Upstreams,
    limits::{UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_HEADERS_TIMEOUT, UPSTREAM_STALL_TIMEOUT},
    upstream::{HealthCheck, Settings, Tier},
};
use needledrop_http::{Client, ClientConfig, Identity, Roots};
use serde::{Deserialize, Serialize};

/// One upstream: a URL, or a table of URL, weight and region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Node {
    /// Scheme and authority.
    pub url: String,
    /// Its share of the objects; 0 makes a spare.
    pub weight: u32,
    /// The region it serves; without one, all.
    pub region: Option<String>,
}

/// How a node stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Url(String),
    Table(Table),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: String,
    #[serde(default = "one")]
    weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
}

fn one() -> u32 {
    1
}

impl From<Written> for Node {
    fn from(written: Written) -> Self {
        match written {
            Written::Url(url) => Self { url, weight: 1, region: None },
            Written::Table(Table { url, weight, region }) => Self { url, weight, region },
        }
    }
}

impl From<Node> for Written {
    fn from(node: Node) -> Self {
        match node {
            Node { url, weight: 1, region: None } => Self::Url(url),
            Node { url, weight, region } => Self::Table(Table { url, weight, region }),
        }
    }
}

impl From<&str> for Node {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), weight: 1, region: None }
    }
}

/// A list that may be written as its only member.
pub fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Node>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        One(Node),
        Many(Vec<Node>),
    }
    Ok(match List::deserialize(deserializer)? {
        List::One(node) => vec![node],
        List::Many(nodes) => nodes,
    })
}

/// What an edge knows of the way upstream.
pub struct Plan<'a> {
    /// The edge's name.
    pub name: &'a str,
    /// Its region.
    pub region: Option<&'a str>,
    /// Origins, by weight.
    pub origins: &'a [Node],
    /// Other edges that are asked first; only those of the own region or of none.
    pub shields: &'a [Node],
    /// What health checks ask for.
    pub health: Option<&'a str>,
    /// How long a request without a byte waits, in ms.
    pub first_byte_ms: Option<u64>,
    /// How long stale objects are served in an outage, in seconds.
    pub stale_if_error: Option<u64>,
    /// Whose certificates upstreams may show.
    pub roots: Roots,
    /// Ours.
    pub identity: Option<Identity>,
}

impl<'a> Plan<'a> {
    /// Origins and nothing else.
    pub fn simple(origins: &'a [Node], roots: Roots, identity: Identity) -> Self {
        Self {
            name: "needledrop",
            region: None,
            origins,
            shields: &[],
            health: None,
            first_byte_ms: None,
            stale_if_error: None,
            roots,
            identity: Some(identity),
        }
    }
}

/// The group that a plan describes. Blocks on the files of certificates.
///
/// # Errors
/// A URL is not scheme and authority, a certificate is unusable, or nobody is left to ask.
pub fn group(plan: Plan<'_>, clock: &Clock) -> Result<Upstreams, String> {
    let client = Client::new(&ClientConfig {
        roots: plan.roots,
        identity: plan.identity,
        connect_timeout: UPSTREAM_CONNECT_TIMEOUT,
        head_timeout: UPSTREAM_HEADERS_TIMEOUT,
        body_timeout: UPSTREAM_STALL_TIMEOUT,
        ..ClientConfig::default()
    });
    let client = client.map_err(|error| format!("upstream: {error}"))?;
    let mut settings = Settings::named(plan.name);
    if let Some(ms) = plan.first_byte_ms {
        settings.first_byte_wait = Duration::from_millis(ms.max(1));
    }
    if let Some(seconds) = plan.stale_if_error {
        settings.stale_if_error_seconds = seconds;
    }
    if let Some(path) = plan.health {
        if !path.starts_with('/') {
            return Err(format!("health_path {path}: begin with /"));
        }
        settings.health = Some(HealthCheck::of(path));
    }
    let is_ours = |node: &&Node| node.region.is_none() || node.region.as_deref() == plan.region;
    let shields = plan.shields.iter().filter(is_ours).map(|node| (node, Tier::Shield));
    let all: Vec<_> = shields.chain(plan.origins.iter().map(|node| (node, Tier::Origin))).collect();
    if all.is_empty() {
        return Err("say where the origin is: --upstream https://HOST:PORT".into());
    }
    let mut group = Upstreams::new(settings);
    for (node, tier) in all {
        group = group.with(Upstream::new(client.clone(), &base(&node.url)?, clock.clone()), tier, node.weight);
    }
    Ok(group)
}

fn base(url: &str) -> Result<Uri, String> {
    let base: Uri = url.parse().map_err(|error| format!("--upstream {url}: {error}"))?;
    if base.scheme().is_none() || base.authority().is_none() || base.path() != "/" || base.query().is_some() {
        return Err(format!("--upstream {url}: write it as https://HOST:PORT, without a path"));
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn upstreams_are_one_url_or_a_list_of_urls_and_tables() {
        let one: Config = toml::from_str("[edge]\nupstream = \"https://a\"\n").unwrap();
        assert_eq!(one.edge.upstream, ["https://a".into()]);
        let text = "[edge]\nregion = \"eu\"\nupstream = [\"https://a\", { url = \"https://b\", weight = 0 }]\n\
                    shields = [{ url = \"https://s\", region = \"eu\" }, { url = \"https://t\", region = \"us\" }]\n";
        let many: Config = toml::from_str(text).unwrap();
        assert_eq!((many.edge.upstream[1].weight, many.edge.shields.len()), (0, 2));
        let again: Config = toml::from_str(&many.to_toml()).unwrap();
        assert_eq!(again.edge.upstream, many.edge.upstream);
        assert_eq!(again.edge.shields, many.edge.shields);
    }

    #[test]
    fn an_upstream_has_no_path() {
        assert!(base("https://origin.example:4500").is_ok());
        for wrong in ["origin.example", "https://origin.example/path", "https://origin.example/?q"] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }
}
