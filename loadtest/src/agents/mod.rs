//! Several generators as one test, when one machine is not enough.
//!
//! An [agent](agent::run) waits on each machine. A [`Coordinator`] connects to all, estimates how far each one's clock
//! is from its own, tells them what to run and when to begin, and adds up what they count. Both sides prove that they
//! know the same [`Token`], which never travels; every frame after that carries a code that only they can make. Frames
//! are not encrypted: what is in the plan can be read on the way.
//!
//! An agent that vanishes is named and the others go on: what it had counted until then stays in the sum, and the
//! outcome says that it is not whole. A coordinator that vanishes ends what its agents run.

pub mod agent;
mod coordinator;
mod handshake;
mod token;
mod wire;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::{
    coordinator::{Coordinator, Outcome},
    token::{Token, TokenError},
    wire::WireError,
};
use crate::{
    report::{Machine, Own},
    tally::Tally,
};

/// What the two sides say they speak. Changes when they would misunderstand each other.
const KIND: &str = "needledrop-loadtest-agent/1";

/// How often each side says something, if only that it is there.
const BEAT: Duration = Duration::from_secs(1);

/// Silence after which the other side counts as gone: ten beats.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Both proofs must be through by then; whoever holds no token holds no connection either.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// What part of the whole a generator carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// From 0 on.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// What an agent runs.
pub trait Load: Send + Sync + 'static {
    /// Runs this share of the plan from `begin` on, which is a little in the future, until it is through or told to
    /// stop, and gives back what it counted and used. Called on a thread of its own; tells `progress` about once a
    /// second.
    fn run(
        &self,
        plan: Value,
        share: Share,
        begin: Instant,
        progress: Progress,
        stop: CancellationToken,
    ) -> Result<(Tally, Own), String>;
}

/// Where a running load tells how far it is.
#[derive(Debug, Clone)]
pub struct Progress(watch::Sender<Tally>);

impl Progress {
    /// Everything that was counted since the beginning. Never waits: of what comes quicker than it can be sent, the
    /// last
    /// is sent.
    pub fn tell(&self, whole: Tally) {
        // Nobody listens any more when the coordinator is gone.
        let _ = self.0.send(whole);
    }
}

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromCoordinator {
    /// What does your clock show?
    Ping,
    /// Run this.
    Start {
        plan: Value,
        share: Share,
        /// On the agent's clock.
        begin_us: u64,
    },
    /// I am here.
    Alive,
    /// Enough: tell what you counted.
    Stop,
}

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromAgent {
    /// Microseconds of a clock that began when the connection did.
    Pong { clock_us: u64 },
    /// Another coordinator is here.
    Busy,
    /// I am here.
    Alive,
    /// Everything so far.
    Progress { tally: Box<Tally> },
    /// Everything.
    Done { tally: Box<Tally>, own: Own, machine: Machine },
    /// It could not be run.
    Failed { reason: String },
}

/// Why several generators are not one test.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No connection, or none that proved itself.
    #[error("agent {name}: {error}")]
    Connect {
        /// Its address.
        name: String,
        /// What happened.
        error: WireError,
    },
    /// It serves another coordinator.
    #[error("agent {name} is busy with another run: wait for its end")]
    Busy {
        /// Its address.
        name: String,
    },
    /// No agent was named.
    #[error("no agents: name at least one as HOST:PORT")]
    None,
    /// Not one of them ran.
    #[error("no agent ran: {0}")]
    AllFailed(String),
}

#[cfg(test)]
mod tests;
