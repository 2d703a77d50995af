//! The admin port: health, metrics, drain, cache contents, purges, keys, what is wanted and what went wrong, for operators and the
//! other edges of the cluster. It has doors of its own and is never reachable through the public ones.
//!
//! `/health` and `/ready` are open, as balancers need them. Everything else needs the bearer
//! token; a neighbour that shows a certificate of the cluster may purge and list purges, nothing
//! more. Requests have no bodies: all parameters are in the query. [`Admin`] is the table of calls,
//! each in a file of its noun.

mod cache;
mod deliveries;
mod prefetch;
mod purge;
pub mod query;
mod token;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Response, StatusCode, header};
use needledrop_core::{Keyring, Problem, UnixSeconds};
use needledrop_http::{Body, Certificates, Handler, Request, problem};
use serde_json::{Value, json};

pub use token::{Token, TokenError};

use crate::{cluster::Cluster, gate::Standing, shelf::Shelf};
use query::{Query, QueryError};

/// The handler behind the admin doors.
pub struct Admin {
    /// The edge's name.
    pub name: String,
    /// What it administers.
    pub shelf: Arc<Shelf>,
    /// Signing keys: their names and states are shown, never a secret.
    pub keys: Arc<ArcSwap<Keyring>>,
    /// What operators must show.
    pub token: Token,
    /// The other edges.
    pub cluster: Cluster,
    /// What else it says of itself.
    pub about: About,
}

/// What an edge says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The program's version.
    pub version: &'static str,
    /// Where it stands.
    pub region: Option<String>,
    /// When it started.
    pub started: UnixSeconds,
    /// The certificate of its doors.
    pub certificates: Option<Arc<Certificates>>,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Anybody.
    Stranger,
    /// An edge with a certificate of the cluster.
    Neighbour,
    /// Whoever has the token.
    Operator,
}

/// One call: method, path, who may make it.
struct Call {
    method: Method,
    path: &'static str,
    rank: Rank,
    name: Name,
}

#[derive(Clone, Copy)]
enum Name {
    Health,
    Ready,
    Metrics,
    Drain,
    Undrain,
    Cache,
    Purge,
    Purges,
    Keys,
    Prefetch,
    Deliveries,
    Shipped,
    Status,
    Top,
    Errors,
}

/// All calls, in the order in which they are told to who asks for another one.
const CALLS: [Call; 16] = [
    Call { method: Method::GET, path: "/health", rank: Rank::Stranger, name: Name::Health },
    Call { method: Method::GET, path: "/ready", rank: Rank::Stranger, name: Name::Ready },
    Call { method: Method::GET, path: "/status", rank: Rank::Operator, name: Name::Status },
    Call { method: Method::GET, path: "/metrics", rank: Rank::Operator, name: Name::Metrics },
    Call { method: Method::GET, path: "/top", rank: Rank::Operator, name: Name::Top },
    Call { method: Method::GET, path: "/errors", rank: Rank::Operator, name: Name::Errors },
    Call { method: Method::POST, path: "/drain", rank: Rank::Operator, name: Name::Drain },
    Call { method: Method::DELETE, path: "/drain", rank: Rank::Operator, name: Name::Undrain },
    Call { method: Method::GET, path: "/cache", rank: Rank::Operator, name: Name::Cache },
    Call { method: Method::DELETE, path: "/cache", rank: Rank::Operator, name: Name::Purge },
    Call { method: Method::POST, path: "/purge", rank: Rank::Neighbour, name: Name::Purge },
    Call { method: Method::GET, path: "/purges", rank: Rank::Neighbour, name: Name::Purges },
    Call { method: Method::GET, path: "/keys", rank: Rank::Operator, name: Name::Keys },
    Call { method: Method::POST, path: "/prefetch", rank: Rank::Operator, name: Name::Prefetch },
    Call { method: Method::GET, path: "/deliveries", rank: Rank::Operator, name: Name::Deliveries },
    Call { method: Method::DELETE, path: "/deliveries", rank: Rank::Operator, name: Name::Shipped },
];

type Answer = Result<Response<Body>, Problem>;

impl Admin {
    /// A call of the house itself, in this process: nobody needs to show it a token.
    pub async fn operate(&self, method: &Method, target: &str) -> Response<Body> {
        self.answer(method, target, Rank::Operator).await.unwrap_or_else(|refusal| problem(&refusal))
    }

    async fn answer(&self, method: &Method, target: &str, rank: Rank) -> Answer {
        let path = target.split('?').next().expect("split gives at least one piece");
        // HEAD is GET without the body, which the doors leave out.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let Some(call) = CALLS.iter().find(|call| call.path == path && call.method == *method) else {
            return Err(unknown(path));
        };
        if rank < call.rank {
            return Err(refused(rank));
        }
        match call.name {
            Name::Health => Ok(json_of(StatusCode::OK, &json!({ "status": "ok" }))),
            Name::Ready => Ok(self.ready()),
            Name::Metrics => Ok(self.metrics()),
            Name::Drain => Ok(self.set(Standing::Draining)),
            Name::Undrain => Ok(self.set(Standing::Open)),
            Name::Cache => cache::show(self, target),
            Name::Purge => purge::purge(self, target).await,
            Name::Purges => purge::list(self, target),
            Name::Keys => Ok(self.keys()),
            Name::Prefetch => prefetch::push(self, target),
            Name::Deliveries => deliveries::show(self, target).await,
            Name::Status => Ok(watch::status(self)),
            Name::Top => watch::top(self, target),
            Name::Errors => Ok(watch::errors(self)),
            Name::Shipped => deliveries::acknowledge(self, target).await,
        }
    }

    fn rank(&self, request: &Request) -> Rank {
        let field = request.headers.get(header::AUTHORIZATION);
        if field.is_some_and(|field| self.token.is_borne_by(field.as_bytes())) {
            return Rank::Operator;
        }
        if request.peer.identity.is_some() { Rank::Neighbour } else { Rank::Stranger }
    }

    fn ready(&self) -> Response<Body> {
        let standing = self.shelf.gate.standing();
        let status = if standing == Standing::Open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_of(status, &json!({ "status": standing.as_str() }))
    }

    fn set(&self, standing: Standing) -> Response<Body> {
        tracing::info!(standing = standing.as_str(), "an operator moved the gate");
        self.shelf.gate.set(standing);
        json_of(StatusCode::OK, &json!({ "status": standing.as_str() }))
    }

    fn metrics(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.shelf.metrics.encode()));
        put(&mut response, header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        response
    }

    fn keys(&self) -> Response<Body> {
        json_of(StatusCode::OK, &json!({ "keys": self.key_names() }))
    }

    fn key_names(&self) -> Vec<Value> {
        let keyring = self.keys.load();
        keyring.keys().iter().map(|key| json!({ "id": key.id.as_str(), "state": key.state.name() })).collect()
    }
}

impl Handler for Admin {
    async fn call(&self, request: Request) -> Response<Body> {
        let answer = self.answer(&request.method, request.target(), self.rank(&request)).await;
        let mut response = answer.unwrap_or_else(|refusal| refuse(&request, &refusal));
        put(&mut response, header::CACHE_CONTROL, "no-store");
        put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        tracing::info!(
            target: "needledrop::admin",
            method = %request.method,
            path = request.uri.path(),
            status = response.status().as_u16(),
            client = %request.peer.client,
        );
        response
    }
}

impl Rank {
    fn level(self) -> u8 {
        match self {
            Self::Stranger => 0,
            Self::Neighbour => 1,
            Self::Operator => 2,
        }
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.level().partial_cmp(&other.level())
    }
}

fn unknown(path: &str) -> Problem {
    let on_path: Vec<_> = CALLS.iter().filter(|call| call.path == path).map(|call| call.method.as_str()).collect();
    if !on_path.is_empty() {
        return Problem::new("method", "This call takes another method", 405).with_detail(on_path.join(", "));
    }
    let calls: Vec<_> = CALLS.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    Problem::new("no-such-call", "There is no such call", 404).with_detail(format!("there are: {}", calls.join(", ")))
}

fn refused(rank: Rank) -> Problem {
    match rank {
        Rank::Neighbour => {
            Problem::new("operators-only", "This call needs the token; a certificate may only purge", 403)
        }
        _ => Problem::new("token", "Show the admin token: Authorization: Bearer TOKEN", 401),
    }
}

fn refuse(request: &Request, refusal: &Problem) -> Response<Body> {
    let mut response = problem(refusal);
    match refusal.status {
        401 => put(&mut response, header::WWW_AUTHENTICATE, "Bearer realm=\"needledrop admin\""),
        405 => {
            let path = request.uri.path();
            let allowed: Vec<_> =
                CALLS.iter().filter(|call| call.path == path).map(|call| call.method.as_str()).collect();
            put(&mut response, header::ALLOW, &allowed.join(", "));
        }
        _ => {}
    }
    response
}

fn json_of(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn put(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("texts of this file, in visible ASCII");
    response.headers_mut().insert(name, value);
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::new("parameter", "A parameter is wrong", 400).with_detail(error.0)
    }
}

/// Reads the query of a call that knows `names`.
fn query_of(target: &str, names: &[&str]) -> Result<Query, Problem> {
    Ok(Query::parse(target, names)?)
}

fn wrong(detail: impl Into<String>) -> Problem {
    QueryError(detail.into()).into()
}
