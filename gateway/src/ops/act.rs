//! Draining and purging: written down, done through the admin ports, and told in sentences.

use needledrop_core::purge::Target;
use needledrop_core::{Problem, UnixSeconds};
use needledrop_playback::Caller;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use std::sync::Arc;

use super::audit::{Act, Deed, Outcome};
use super::{Ask, Edge, Ops};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such edge.
    #[error("there is no edge called {0:?}")]
    NoEdge(String),
    /// The confirmation does not repeat what is to be done.
    #[error("to confirm, repeat {0:?} in `confirm`")]
    NotConfirmed(String),
    /// What is to be purged is no target.
    #[error("{0}")]
    Target(String),
    /// It could not be written down, so it was not done.
    #[error("the audit list cannot be written")]
    Audit(#[from] needledrop_database::Error),
}

impl Refusal {
    /// What it means in HTTP.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoEdge(_) => Problem::new("no-such-edge", "There is no such edge", 404),
            Self::NotConfirmed(_) => Problem::new("not-confirmed", "This needs a confirmation", 409),
            // Each part has its form, and together they are no target.
            Self::Target(_) => Problem::new("purge-target", "This cannot be purged", 422),
            Self::Audit(error) => {
                tracing::error!(%error, "nothing was done, since it could not be written down");
                return Problem::new("audit", "Nothing was done: the audit list cannot be written", 503);
            }
        }
        .with_detail(self.to_string())
    }
}

/// A drain, or its end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainWish {
    /// The edge.
    pub edge: String,
    /// Whether it shall drain, or take requests again.
    pub drain: bool,
    /// The edge's name once more.
    pub confirm: String,
}

/// A purge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeWish {
    /// `path`, `prefix` or `tag`.
    pub by: String,
    /// Which.
    pub value: String,
    /// The value once more.
    pub confirm: String,
}

/// What one edge did.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// Its name.
    pub edge: String,
    /// Whether it did.
    pub ok: bool,
    /// What, or why not.
    pub words: String,
}

/// What came of a wish.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The line of the audit list.
    pub audit: u64,
    /// Done, partly or failed.
    pub outcome: &'static str,
    /// In a sentence.
    pub words: String,
    /// Edge by edge.
    pub edges: Vec<Done>,
}

/// What an edge answers to a purge.
#[derive(Deserialize)]
struct Purged {
    id: Option<String>,
    objects: u64,
    blocks: u64,
}

impl Ops {
    /// Takes an edge out of service, or back into it.
    ///
    /// # Errors
    /// Nothing was done, for the reason given. What an edge did not do is in the report.
    pub async fn drain(&self, wish: &DrainWish, caller: &Caller, now: UnixSeconds) -> Result<Report, Refusal> {
        let edge = self.edge(&wish.edge).ok_or_else(|| Refusal::NoEdge(wish.edge.clone()))?;
        confirmed(&wish.edge, &wish.confirm)?;
        let act = if wish.drain { Act::Drain } else { Act::Undrain };
        let audit = self.audit.begin(&deed(caller, act, &edge.name, ""), now).await?;
        let ask = if wish.drain { Ask::post("/drain") } else { Ask::delete("/drain") };
        let said = edge.port.ask(ask).await.and_then(|said| said.read::<serde_json::Value>());
        let done = match (said, wish.drain) {
            (Ok(_), true) => done(edge, "drains: new requests get 503, running answers finish"),
            (Ok(_), false) => done(edge, "takes requests again"),
            (Err(why), _) => missed(edge, why),
        };
        edge.look().await;
        self.report(audit, vec![done], now).await
    }

    /// Makes objects gone everywhere: the first edge that answers makes the purge and tells its neighbours, the others
    /// are told of the same one, and once more at the end, since one may have filled from another meanwhile.
    ///
    /// # Errors
    /// Nothing was done, for the reason given. Edges that were not reached are in the report.
    pub async fn purge(&self, wish: &PurgeWish, caller: &Caller, now: UnixSeconds) -> Result<Report, Refusal> {
        let target = Target::parse(&wish.by, &wish.value);
        let target = target.ok_or_else(|| Refusal::Target("purge by path, prefix or tag".into()))?;
        let target = target.map_err(|error| Refusal::Target(error.to_string()))?;
        confirmed(&wish.value, &wish.confirm)?;
        let words = format!("{} {}", target.name(), target.value());
        let names: Vec<_> = self.edges.iter().map(|edge| edge.name.as_str()).collect();
        let audit = self.audit.begin(&deed(caller, Act::Purge, &names.join(", "), &words), now).await?;
        let ask = Ask::post("/purge").with(target.name(), target.value());
        let mut all = Vec::with_capacity(self.edges.len());
        let mut rest = self.edges.iter();
        let mut id = None;
        for edge in rest.by_ref() {
            match purge_at(edge, ask.clone()).await {
                Ok(purged) => {
                    all.push(done(edge, &gone(purged.objects, purged.blocks)));
                    id = purged.id;
                    break;
                }
                Err(why) => all.push(missed(edge, why)),
            }
        }
        if let Some(id) = id {
            all.extend(tell(rest, &ask.with("id", id)).await);
        }
        self.report(audit, all, now).await
    }

    async fn report(&self, audit: u64, edges: Vec<Done>, now: UnixSeconds) -> Result<Report, Refusal> {
        let reached = edges.iter().filter(|done| done.ok).count();
        let outcome = match reached {
            0 => Outcome::Failed,
            some if some < edges.len() => Outcome::Partly,
            _ => Outcome::Done,
        };
        let words = in_words(&edges, reached);
        // It was done, whatever becomes of its line.
        if let Err(error) = self.audit.end(audit, outcome, &words).await {
            tracing::error!(%error, audit, words, at = now.0, "what came of an act cannot be written down");
        }
        Ok(Report { audit, outcome: outcome.name(), words, edges })
    }
}

/// Tells edges of a purge that exists, each at most for as long as its port waits.
async fn tell(edges: impl Iterator<Item = &Arc<Edge>>, ask: &Ask) -> Vec<Done> {
    let mut telling = JoinSet::new();
    for (place, edge) in edges.enumerate() {
        let (edge, first) = (edge.clone(), ask.clone());
        let again = ask.clone().with("again", "1");
        telling.spawn(async move {
            let told = async {
                let first = purge_at(&edge, first).await?;
                let second = purge_at(&edge, again).await?;
                Ok::<_, String>((first.objects + second.objects, first.blocks + second.blocks))
            };
            let told = told.await;
            let done = match told {
                Ok((objects, blocks)) => done(&edge, &gone(objects, blocks)),
                Err(why) => missed(&edge, why),
            };
            (place, done)
        });
    }
    let mut all = Vec::new();
    while let Some(told) = telling.join_next().await {
        match told {
            Ok(told) => all.push(told),
            Err(error) => tracing::error!(%error, "telling an edge of a purge ended badly"),
        }
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, done)| done).collect()
}

async fn purge_at(edge: &Edge, ask: Ask) -> Result<Purged, String> {
    edge.port.ask(ask).await?.read()
}

fn deed(caller: &Caller, act: Act, edges: &str, target: &str) -> Deed {
    let account = caller.account();
    Deed {
        account: account.id,
        name: account.name.as_str().to_owned(),
        act,
        edges: edges.to_owned(),
        target: target.to_owned(),
    }
}

fn confirmed(what: &str, confirm: &str) -> Result<(), Refusal> {
    match what == confirm {
        true => Ok(()),
        false => Err(Refusal::NotConfirmed(what.to_owned())),
    }
}

fn done(edge: &Edge, words: &str) -> Done {
    Done { edge: edge.name.clone(), ok: true, words: words.to_owned() }
}

fn missed(edge: &Edge, why: String) -> Done {
    tracing::warn!(edge = edge.name, why, "an edge did not do what an operator asked");
    Done { edge: edge.name.clone(), ok: false, words: why }
}

fn gone(objects: u64, blocks: u64) -> String {
    let many = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    format!("{} and {} gone", many(objects, "object"), many(blocks, "block"))
}

/// One edge is told about by name, several by their number; who was not reached always by name.
fn in_words(edges: &[Done], reached: usize) -> String {
    let missed: Vec<_> = edges.iter().filter(|done| !done.ok).map(|done| done.edge.as_str()).collect();
    match (edges, &missed[..]) {
        ([], _) => "there is no edge".to_owned(),
        ([one], []) => format!("{} {}", one.edge, one.words),
        ([one], _) => format!("{} did not: {}", one.edge, one.words),
        (all, []) => format!("done at all {} edges", all.len()),
        (all, missed) => format!("{reached} of {} edges; not reached: {}", all.len(), missed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(edge: &str, ok: bool, words: &str) -> Done {
        Done { edge: edge.into(), ok, words: words.into() }
    }

    #[test]
    fn a_result_is_a_sentence() {
        let fra = said("fra-1", true, &gone(1, 12));
        let sin = said("sin-1", false, "connection refused");
        assert_eq!(in_words(std::slice::from_ref(&fra), 1), "fra-1 1 object and 12 blocks gone");
        assert_eq!(in_words(std::slice::from_ref(&sin), 0), "sin-1 did not: connection refused");
        assert_eq!(in_words(&[fra.clone(), sin], 1), "1 of 2 edges; not reached: sin-1");
        assert_eq!(in_words(&[fra.clone(), fra], 2), "done at all 2 edges");
    }

    #[test]
    fn a_confirmation_repeats_the_name_to_the_letter() {
        assert!(confirmed("fra-1", "fra-1").is_ok());
        let refused = confirmed("fra-1", "FRA-1").unwrap_err().problem();
        assert_eq!((refused.status, refused.slug), (409, "not-confirmed"));
    }
}
