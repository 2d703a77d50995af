//! The side that knows the plan: connects, compares clocks, starts all at once, adds up.

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    AgentError, BEAT, FromAgent, FromCoordinator, HANDSHAKE_MAX, SILENCE_MAX, Share, Token,
    handshake::{Proven, as_coordinator},
    wire::WireError,
};
use crate::{
    report::{Generator, Machine, Own, Report, numbers::harmless},
    tally::Tally,
};

/// Questions about the clock; the quickest answer is believed.
const PINGS: usize = 9;

/// From the last message of a start to the beginning: agents use it to get ready.
const LEAD: Duration = Duration::from_secs(6);

/// How often the live view is shown, whether or not there is news.
const SHOW: Duration = Duration::from_millis(250);

/// After a stop, how long an agent has to tell what it counted.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Agents that are connected and have proved themselves, with their clocks compared.
pub struct Coordinator {
    agents: Vec<Agent>,
}

struct Agent {
    name: String,
    proven: Proven,
    clock: Clock,
}

/// What the other clock showed at a moment of ours, give or take half a round trip.
#[derive(Debug, Clone, Copy)]
struct Clock {
    ours: Instant,
    theirs_us: u64,
    round_trip: Duration,
}

impl Clock {
    fn theirs_at(self, ours: Instant) -> u64 {
        let ahead = ours.saturating_duration_since(self.ours).as_micros() as u64;
        self.theirs_us + ahead
    }
}

/// What all of them together counted.
#[derive(Debug)]
pub struct Outcome {
    /// The sum, with what vanished agents had told before.
    pub tally: Tally,
    /// What all used.
    pub own: Own,
    /// Those that told everything.
    pub generators: Vec<Generator>,
    /// Those that did not, and why: when there are any, the run is not whole.
    pub missing: Vec<String>,
    /// When it began.
    pub began: SystemTime,
    /// From the common beginning to the last agent's end.
    pub seconds: f64,
}

impl Outcome {
    /// As a report, with the settings of the run.
    pub fn report(self, settings: Value) -> Report {
        let began = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let Self { tally, own, generators, missing, seconds, .. } = self;
        Report { generators, missing, ..Report::new(settings, began, seconds, tally, own) }
    }
}

enum Event {
    Progress(usize, Box<Tally>),
    Done(usize, Box<(Tally, Own, Machine)>),
    Lost(usize, String),
}

impl Coordinator {
    /// Connects to all, or to none.
    pub async fn connect(addresses: &[String], token: &Token) -> Result<Self, AgentError> {
        if addresses.is_empty() {
            return Err(AgentError::None);
        }
        let all = addresses.iter().map(|name| connect(name.clone(), token));
        let agents = futures_util::future::try_join_all(all).await?;
        Ok(Self { agents })
    }

    /// Half of the longest round trip: as far apart as two agents can begin.
    pub fn uncertainty(&self) -> Duration {
        self.agents.iter().map(|agent| agent.clock.round_trip / 2).max().unwrap_or_default()
    }

    /// Runs the plan on all agents until all have told what they counted, and shows the sum as it grows: what was
    /// counted, for how long, and who is missing. `stop` ends the run early; what was counted until then is told.
    pub async fn start(
        self,
        plan: Value,
        stop: CancellationToken,
        mut live: impl FnMut(&Tally, Duration, &[String]),
    ) -> Result<Outcome, AgentError> {
        let names: Vec<String> = self.agents.iter().map(|agent| agent.name.clone()).collect();
        let begin = Instant::now() + LEAD + 2 * self.uncertainty();
        let began = SystemTime::now() + begin.saturating_duration_since(Instant::now());
        let (tell, mut events) = mpsc::channel(names.len());
        // Dropping the set when the caller leaves closes the connections, which ends what the agents run.
        let mut tasks = JoinSet::new();
        let of = u32::try_from(names.len()).unwrap_or(u32::MAX);
        for (index, agent) in self.agents.into_iter().enumerate() {
            let share = Share { index: u32::try_from(index).unwrap_or(u32::MAX), of };
            let begin_us = agent.clock.theirs_at(begin);
            let start = FromCoordinator::Start { plan: plan.clone(), share, begin_us };
            let (tell, stop) = (tell.clone(), stop.clone());
            tasks.spawn(async move {
                let last = match attend(index, agent.proven, start, &tell, stop).await {
                    Ok(done) => Event::Done(index, done),
                    Err(reason) => Event::Lost(index, reason),
                };
                // The caller may have left.
                let _ = tell.send(last).await;
            });
        }
        drop(tell);

        let mut parts = vec![Tally::default(); names.len()];
        let (mut generators, mut missing, mut own) = (Vec::new(), Vec::new(), Own::default());
        let (mut sum, mut is_stale) = (Tally::default(), false);
        let mut show = interval(SHOW);
        show.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    None => break,
                    Some(Event::Progress(index, tally)) => {
                        parts[index] = *tally;
                        is_stale = true;
                    }
                    Some(Event::Done(index, done)) => {
                        let (tally, used, machine) = *done;
                        parts[index] = tally;
                        is_stale = true;
                        own.add(&used);
                        generators.push((index, Generator { name: names[index].clone(), machine, own: used }));
                    }
                    Some(Event::Lost(index, reason)) => missing.push(format!("{} ({reason})", names[index])),
                },
                _ = show.tick() => {
                    if std::mem::take(&mut is_stale) {
                        sum = summed(&parts);
                    }
                    live(&sum, Instant::now().saturating_duration_since(begin), &missing);
                }
            }
        }
        if generators.is_empty() && parts.iter().all(|part| part.starts == 0) {
            return Err(AgentError::AllFailed(missing.join("; ")));
        }
        generators.sort_by_key(|(index, _)| *index);
        let seconds = Instant::now().saturating_duration_since(begin).as_secs_f64();
        let generators = generators.into_iter().map(|(_, generator)| generator).collect();
        Ok(Outcome { tally: summed(&parts), own, generators, missing, began, seconds })
    }
}

fn summed(parts: &[Tally]) -> Tally {
    let mut sum = Tally::default();
    parts.iter().for_each(|part| sum.add(part));
    sum
}

async fn connect(name: String, token: &Token) -> Result<Agent, AgentError> {
    let failed = |error| AgentError::Connect { name: name.clone(), error };
    let stream = timeout(HANDSHAKE_MAX, TcpStream::connect(&name)).await;
    let stream = stream.map_err(|_| failed(WireError::Silent))?.map_err(|error| failed(error.into()))?;
    let mut proven = as_coordinator(stream, token).await.map_err(failed)?;
    let mut best: Option<Clock> = None;
    for _ in 0..PINGS {
        let asked = Instant::now();
        proven.sender.send(&FromCoordinator::Ping).await.map_err(failed)?;
        let answer = timeout(SILENCE_MAX, proven.receiver.receive()).await.unwrap_or(Err(WireError::Silent));
        let theirs_us = match answer.map_err(failed)? {
            FromAgent::Pong { clock_us } => clock_us,
            FromAgent::Busy => return Err(AgentError::Busy { name }),
            _ => return Err(failed(WireError::Unknown("no answer to a ping".into()))),
        };
        let round_trip = asked.elapsed();
        if best.is_none_or(|best| round_trip < best.round_trip) {
            best = Some(Clock { ours: asked + round_trip / 2, theirs_us, round_trip });
        }
    }
    let clock = best.expect("there is more than one ping");
    Ok(Agent { name, proven, clock })
}

/// Starts one agent and listens to it until its end; the error is a reason to show.
async fn attend(
    index: usize,
    proven: Proven,
    start: FromCoordinator,
    tell: &mpsc::Sender<Event>,
    stop: CancellationToken,
) -> Result<Box<(Tally, Own, Machine)>, String> {
    let Proven { mut sender, mut receiver } = proven;
    sender.send(&start).await.map_err(|error| error.to_string())?;
    // Reading and writing wait for each other nowhere: a frame that is half read or written cannot be left.
    let speaking = async {
        let mut beat = interval(BEAT);
        let mut is_stopped = false;
        let mut stopped_at = None;
        loop {
            let message = tokio::select! {
                _ = beat.tick() => FromCoordinator::Alive,
                () = stop.cancelled(), if !is_stopped => {
                    is_stopped = true;
                    stopped_at = Some(Instant::now());
                    FromCoordinator::Stop
                }
            };
            if stopped_at.is_some_and(|at: Instant| at.elapsed() > STOP_MAX) {
                return "did not stop when told to".to_owned();
            }
            let sent = timeout(SILENCE_MAX, sender.send(&message)).await.unwrap_or(Err(WireError::Silent));
            if let Err(error) = sent {
                // What it said last is still to be read, and tells more than a broken pipe.
                tokio::time::sleep(BEAT).await;
                return error.to_string();
            }
        }
    };
    let listening = async {
        loop {
            let message = timeout(SILENCE_MAX, receiver.receive()).await.unwrap_or(Err(WireError::Silent));
            match message.map_err(|error| error.to_string())? {
                FromAgent::Progress { tally } => {
                    tally.check().map_err(|reason| format!("told nonsense: {reason}"))?;
                    // The caller may have left.
                    let _ = tell.send(Event::Progress(index, tally)).await;
                }
                FromAgent::Done { tally, own, machine } => {
                    tally.check().map_err(|reason| format!("told nonsense: {reason}"))?;
                    return Ok(Box::new((*tally, own, machine)));
                }
                FromAgent::Failed { reason } => return Err(harmless(&reason)),
                FromAgent::Alive | FromAgent::Pong { .. } => {}
                FromAgent::Busy => return Err("busy".into()),
            }
        }
    };
    tokio::select! {
        ended = listening => ended,
        reason = speaking => Err(reason),
    }
}
