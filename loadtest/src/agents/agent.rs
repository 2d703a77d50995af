//! The waiting side: one coordinator at a time, and what it runs ends with it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    BEAT, FromAgent, FromCoordinator, Load, Progress, SILENCE_MAX, Share, Token,
    handshake::{Proven, as_agent},
    wire::WireError,
};
use crate::{
    report::{Machine, Own},
    tally::Tally,
};

/// Connections at once, most of which can only be strangers.
const CONNECTIONS_MAX: usize = 16;

/// Waits for a coordinator and runs its share of a test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to wait for the coordinator
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4711")]
    pub listen: SocketAddr,
    /// File with the secret that coordinator and agents share: at least 16 bytes, the same on all machines
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
}

/// Serves coordinators, one after the other, until Ctrl-C.
pub fn run(args: Args, load: impl Load) -> Result<(), String> {
    let token = Token::read(&args.token_file).map_err(|error| error.to_string())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let done = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| format!("{}: {error}", args.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        eprintln!("waiting for a coordinator on {address}");
        let stop = CancellationToken::new();
        let agent = serve(listener, token, Arc::new(load), stop.clone());
        tokio::pin!(agent);
        tokio::select! {
            () = &mut agent => {}
            pressed = tokio::signal::ctrl_c() => {
                pressed.map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
                stop.cancel();
                // A second one does not wait for the load to end.
                tokio::select! {
                    () = &mut agent => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
        }
        Ok(())
    });
    // A load that does not end when it is told to must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// Serves until `stop`; a run in progress is told to stop and its coordinator sees the connection close.
pub async fn serve(listener: TcpListener, token: Token, load: Arc<dyn Load>, stop: CancellationToken) {
    let (slot, room) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        while tasks.try_join_next().is_some() {}
        let Ok((stream, from)) = accepted else {
            // Out of files, most likely: the next attempt waits for one to be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else { continue };
        let (token, load, slot, stop) = (token.clone(), load.clone(), slot.clone(), stop.child_token());
        tasks.spawn(async move {
            let _permit = permit;
            match attend(stream, &token, load, &slot, stop).await {
                Ok(()) => eprintln!("{from}: done"),
                Err(error) => eprintln!("{from}: {error}"),
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn attend(
    stream: TcpStream,
    token: &Token,
    load: Arc<dyn Load>,
    slot: &Mutex<()>,
    stop: CancellationToken,
) -> Result<(), WireError> {
    let clock = Instant::now();
    let Proven { mut sender, mut receiver } = tokio::select! {
        proven = as_agent(stream, token) => proven?,
        () = stop.cancelled() => return Ok(()),
    };
    let Ok(slot) = slot.try_lock() else {
        sender.send(&FromAgent::Busy).await?;
        // A close with something unread is a reset, which would take the answer with it.
        let _ = timeout(BEAT, receiver.receive::<FromCoordinator>()).await;
        return Ok(());
    };
    let (plan, share, begin_us) = loop {
        let message = tokio::select! {
            message = timeout(SILENCE_MAX, receiver.receive()) => message.unwrap_or(Err(WireError::Silent))?,
            () = stop.cancelled() => return Ok(()),
        };
        match message {
            FromCoordinator::Ping => {
                let clock_us = clock.elapsed().as_micros() as u64;
                sender.send(&FromAgent::Pong { clock_us }).await?;
            }
            FromCoordinator::Start { plan, share, begin_us } => break (plan, share, begin_us),
            FromCoordinator::Alive => {}
            FromCoordinator::Stop => return Ok(()),
        }
    };
    let begin = begin(clock, share, begin_us)?;

    // Reading has a task of its own: a frame that is half read cannot be left for something else.
    let (heard, mut hears) = mpsc::channel(1);
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        loop {
            let message =
                timeout(SILENCE_MAX, receiver.receive::<FromCoordinator>()).await.unwrap_or(Err(WireError::Silent));
            let is_last = message.is_err();
            if heard.send(message).await.is_err() || is_last {
                return;
            }
        }
    });

    let (progress, mut told) = watch::channel(Tally::default());
    let (running, mut ended) = Running::begin(load, plan, share, begin, Progress(progress), stop.child_token());
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        tokio::select! {
            result = &mut ended => break result.unwrap_or_else(|_| Err("the run panicked".into())),
            heard = hears.recv() => match heard.unwrap_or(Err(WireError::Closed)) {
                Ok(FromCoordinator::Stop) => running.stop.cancel(),
                Ok(_) => {}
                Err(error) => {
                    running.stop.cancel();
                    // The next coordinator must not find this one's load still going.
                    let _ = ended.await;
                    return Err(error);
                }
            },
            _ = beat.tick() => {
                let message = match told.has_changed() {
                    Ok(true) => FromAgent::Progress { tally: Box::new(told.borrow_and_update().clone()) },
                    _ => FromAgent::Alive,
                };
                // A coordinator that no longer reads is found out by its silence.
                let sent = timeout(SILENCE_MAX, sender.send(&message)).await.unwrap_or(Err(WireError::Silent));
                if let Err(error) = sent {
                    running.stop.cancel();
                    let _ = ended.await;
                    return Err(error);
                }
            }
            () = stop.cancelled() => {
                let _ = ended.await;
                return Ok(());
            }
        }
    };
    let message = match result {
        Ok((tally, own)) => FromAgent::Done { tally: Box::new(tally), own, machine: Machine::here() },
        Err(reason) => FromAgent::Failed { reason },
    };
    timeout(SILENCE_MAX, sender.send(&message)).await.unwrap_or(Err(WireError::Silent))?;
    drop(slot);
    // The coordinator closes when it has read all; to close first, with its beats unread, would be a reset.
    let _ = timeout(SILENCE_MAX, async { while let Some(Ok(_)) = hears.recv().await {} }).await;
    Ok(())
}

/// When to begin on this side's clock: soon, or the coordinator's idea of it is no good.
fn begin(clock: Instant, share: Share, begin_us: u64) -> Result<Instant, WireError> {
    let begin = clock.checked_add(Duration::from_micros(begin_us));
    let is_soon = |begin: &Instant| begin.saturating_duration_since(Instant::now()) <= SILENCE_MAX;
    match begin.filter(is_soon) {
        Some(begin) if share.index < share.of => Ok(begin),
        _ => Err(WireError::Unknown("a start that is no share of anything, or not soon".into())),
    }
}

/// A load on a thread of its own. Dropping it tells the load to stop.
struct Running {
    stop: CancellationToken,
}

type Ended = oneshot::Receiver<Result<(Tally, Own), String>>;

impl Running {
    fn begin(
        load: Arc<dyn Load>,
        plan: serde_json::Value,
        share: Share,
        begin: Instant,
        progress: Progress,
        stop: CancellationToken,
    ) -> (Self, Ended) {
        let (end, ended) = oneshot::channel();
        let theirs = stop.clone();
        std::thread::spawn(move || {
            // Nobody may be left to hear the end of it.
            let _ = end.send(load.run(plan, share, begin, progress, theirs));
        });
        (Self { stop }, ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
