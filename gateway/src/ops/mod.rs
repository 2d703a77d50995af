//! The operator page's side of the house: all edges watched, purged and drained from one place.
//!
//! [`Ops`] has the edges of the configuration and the built-in one, each with the way to its admin port ([`port`]).
//! [`Ops::watch`] looks at every one of them every [`LOOK_EVERY`]; what a look tells ([`text`], [`watched`]) goes into
//! rings ([`rings`]) of counters ([`sample`]). [`view`] makes JSON of it, [`act`] drains and purges, [`audit`] remembers who
//! did, [`page`] are the files of `/ops`. The calls of `/v1/ops` stand in the table of the API. Only administrators come in.

pub mod act;
pub mod audit;
pub mod page;
pub mod port;
pub mod rings;
pub mod sample;
pub mod text;
pub mod view;
pub mod watched;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub use act::Refusal;
pub use audit::Audit;
pub use port::{Ask, Asking, Port, Said};

use watched::{Look, Watched};

/// How often every edge is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a look may take, all of its calls together.
const LOOK_WAIT: Duration = Duration::from_secs(4);
/// Edges of one house. Unit: edges; each takes 240 KiB of history and a look of some 70 KB every 5 s.
pub const EDGES_MAX: usize = 256;
/// Objects that each edge is asked for.
const TOP_ASKED: usize = 100;

/// One edge.
pub struct Edge {
    /// How the house calls it; no two are called the same.
    pub name: String,
    /// Where it stands, by the configuration.
    pub region: Option<String>,
    /// Whether it is in this process.
    pub is_built_in: bool,
    port: Box<dyn Port>,
    watched: Mutex<Watched>,
}

impl Edge {
    /// An edge that nobody has looked at yet.
    pub fn new(name: String, region: Option<String>, is_built_in: bool, port: Box<dyn Port>) -> Self {
        Self { name, region, is_built_in, port, watched: Mutex::default() }
    }

    /// Looks once, within bounded time.
    pub async fn look(&self) {
        let looked = timeout(LOOK_WAIT, self.ask_all()).await;
        let late = || Err(format!("no answer within {} s", LOOK_WAIT.as_secs()));
        self.watched().looked(looked.unwrap_or_else(|_| late()), now_ms());
    }

    async fn ask_all(&self) -> Result<Look, String> {
        let status = self.port.ask(Ask::get("/status")).await?.read()?;
        let metrics = self.port.ask(Ask::get("/metrics")).await?;
        if !metrics.is_success() {
            return Err(metrics.refusal());
        }
        let metrics = std::str::from_utf8(&metrics.body).map_err(|_| "its metrics are not text".to_owned())?;
        let (sample, levels) = text::read(metrics).map_err(|error| error.to_string())?;
        let top = self.port.ask(Ask::get("/top").with("limit", TOP_ASKED.to_string())).await?.read()?;
        let errors = self.port.ask(Ask::get("/errors")).await?.read()?;
        Ok(Look { status, sample, levels, top, errors })
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list of edges that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgesError {
    /// Two have one name.
    #[error("two edges are called {0:?}: give each [[ops.edges]] a name of its own")]
    NameTwice(String),
    /// More than [`EDGES_MAX`].
    #[error("more than 256 edges: one house watches no more")]
    TooMany,
}

/// All edges of the house.
pub struct Ops {
    edges: Vec<Arc<Edge>>,
    /// Who did what.
    pub audit: Audit,
}

impl Ops {
    /// These edges, in this order.
    ///
    /// # Errors
    /// Two have one name, or there are too many.
    pub fn new(edges: Vec<Edge>, audit: Audit) -> Result<Self, EdgesError> {
        if edges.len() > EDGES_MAX {
            return Err(EdgesError::TooMany);
        }
        for (place, edge) in edges.iter().enumerate() {
            if edges[..place].iter().any(|other| other.name == edge.name) {
                return Err(EdgesError::NameTwice(edge.name.clone()));
            }
        }
        Ok(Self { edges: edges.into_iter().map(Arc::new).collect(), audit })
    }

    /// The edge of this name.
    pub fn edge(&self, name: &str) -> Option<&Arc<Edge>> {
        self.edges.iter().find(|edge| edge.name == name)
    }

    /// Looks at all edges at once, again and again, until dropped.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(LOOK_EVERY);
        // A round that took long is not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut looks = JoinSet::new();
            for edge in &self.edges {
                let edge = edge.clone();
                looks.spawn(async move { edge.look().await });
            }
            while let Some(looked) = looks.join_next().await {
                if let Err(error) = looked {
                    tracing::error!(%error, "a look at an edge ended badly");
                }
            }
        }
    }
}

/// Milliseconds since 1970, for the shell of this folder; rules get the time from here.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
