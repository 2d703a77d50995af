//! The run: prepares the ground, starts a worker per core, and adds up what they counted.
//!
//! A worker is a thread with a reactor of its own; listener k belongs to worker k modulo their number, over all agents,
//! so that the same seed makes the same listeners whoever plays them.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, LocalOptions};
use tokio_util::sync::CancellationToken;

pub use crate::agents::Share;
use crate::{
    awake::Awake,
    catalog::Catalog,
    client::{Client, ClientConfig, Failure, Trust},
    link::{Emulation, Link, Side},
    listener::{Listener, PREPARE},
    measured::{Opening, Trouble},
    mix::Mix,
    prepare, replay,
    settings::Settings,
    sounds::Sounds,
    tally::Tally,
    timer::Timer,
    world::{Ground, World},
};

/// Time from the end of the preparations to the beginning of the run: workers start.
const LEAD: Duration = Duration::from_millis(300);

/// How many tasks run before sockets and the timer are looked at again. Each may decrypt 32 KiB, some 60 µs: a tap is
/// never kept waiting for long by others who read.
const TASKS_BETWEEN_LOOKS: u32 = 4;

/// What starts under way get when somebody ends the run early: enough for most, soon enough for who waits.
const GRACE_WHEN_STOPPED: Duration = Duration::from_secs(2);

/// How often the end of the run is looked for.
const BEAT: Duration = Duration::from_millis(50);

/// How often somebody looks at the counts.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a run left behind besides its counts.
pub struct Outcome {
    /// The counts.
    pub tally: Tally,
    /// When it began and how long it went on, the grace included.
    pub lasted: Duration,
    /// Packets of the emulated link.
    pub link: Option<serde_json::Value>,
}

/// Runs a share of the crowd. `begin` is the instant that all shares have in common; without one it is soon.
/// `look` is shown the counts once a second and may end the run early through `stop`. Blocks until it is over.
///
/// # Errors
/// The preparations failed; the sentence names the fix.
pub fn run(
    settings: Settings,
    share: Share,
    begin: Option<Instant>,
    stop: &CancellationToken,
    mut look: impl FnMut(&Tally, Duration),
) -> Result<Outcome, String> {
    let settings = Arc::new(settings);
    let client = Client::new(&config_of(&settings)).map_err(|error| error.to_string())?;
    let (catalog, book) = prepare::catalog_and_book(&settings, &client)?;
    let emulation = settings.link.as_ref().map(|link| emulate(link, settings.seed)).transpose()?;
    let side = emulation.as_ref().map(Emulation::side);
    if let Some(side) = &side {
        check_reach(&catalog, side)?;
    }
    let events = settings.trace.as_ref().map(|file| replay::read(file)).transpose()?.map(Arc::new);
    let ground = Ground {
        settings: settings.clone(),
        catalog: Arc::new(catalog),
        sounds: Sounds::start().map_err(|error| format!("a decoder cannot start: {error}"))?,
        book: Arc::new(book),
        side,
        began: begin.unwrap_or_else(|| Instant::now() + LEAD + preparation(&settings)),
        closing: CancellationToken::new(),
    };
    let awake = settings.awake.then(|| Awake::start(settings.workers)).transpose();
    let _awake = awake.map_err(|error| format!("no thread to keep a core awake: {error}"))?;
    let cut = CancellationToken::new();
    let tallies: Vec<Arc<Mutex<Tally>>> = (0..settings.workers).map(|_| Arc::default()).collect();
    let mut threads = Vec::new();
    for (worker, tally) in tallies.iter().enumerate() {
        let (ground, client, tally, cut) = (ground.clone(), client.clone(), tally.clone(), cut.clone());
        let turn = Turn { mine: share.index * settings.workers + worker as u32, of: share.of * settings.workers };
        let events = events.clone();
        let work = move || work(&ground, client, turn, events, &tally, &cut);
        threads.push(
            std::thread::Builder::new()
                .name(format!("listeners-{worker}"))
                .spawn(work)
                .map_err(|error| error.to_string())?,
        );
    }
    let closes_at = ground.began + settings.lasting();
    let mut counted = vec![Tally::default(); tallies.len()];
    let (mut cut_at, mut stopped_at) = (closes_at + settings.grace(), None);
    let mut looked_at = Instant::now();
    while threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::sleep(BEAT);
        let now = Instant::now();
        if stop.is_cancelled() || now >= closes_at {
            ground.closing.cancel();
        }
        if stop.is_cancelled() {
            cut_at = cut_at.min(*stopped_at.get_or_insert(now) + GRACE_WHEN_STOPPED);
        }
        if now >= cut_at {
            cut.cancel();
        }
        if now.duration_since(looked_at) >= LOOK_EVERY {
            looked_at = now;
            collect(&mut counted, &tallies);
            look(&sum(&counted), now.saturating_duration_since(ground.began));
        }
    }
    let lasted = ground.began.elapsed();
    for thread in threads {
        thread.join().map_err(|_| "a worker panicked: see above".to_owned())??;
    }
    let link = emulation.map(|emulation| serde_json::to_value(emulation.counted()).unwrap_or_default());
    collect(&mut counted, &tallies);
    Ok(Outcome { tally: sum(&counted), lasted, link })
}

/// How long before the tap a listener begins: long enough for a session or a connection that is older than the tap.
fn preparation(settings: &Settings) -> Duration {
    if settings.openings == Mix::only(Opening::Full) { Duration::ZERO } else { PREPARE }
}

fn config_of(settings: &Settings) -> ClientConfig {
    let trust = match (&settings.ca, settings.insecure) {
        (_, true) => Trust::Anything,
        (Some(file), false) => Trust::Pem(file.clone()),
        (None, false) => Trust::System,
    };
    let limit = Duration::from_millis(settings.timeout_ms);
    ClientConfig { trust, connect_timeout: limit, head_timeout: limit, body_timeout: limit, ..ClientConfig::default() }
}

fn emulate(link: &str, seed: u64) -> Result<Emulation, String> {
    let link: Link = link.parse().map_err(|error| format!("--link: {error}"))?;
    Emulation::start(&link, seed).map_err(|error| error.to_string())
}

fn check_reach(catalog: &Catalog, side: &Side) -> Result<(), String> {
    for origin in &catalog.origins {
        side.reach(origin.address).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Takes from the workers what they counted since the last time. A worker is held for a moment only: adding up takes
/// milliseconds, in which a tap would be late.
fn collect(counted: &mut [Tally], tallies: &[Arc<Mutex<Tally>>]) {
    for (counted, tally) in counted.iter_mut().zip(tallies) {
        let news = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
        counted.then(&news);
    }
}

fn sum(tallies: &[Tally]) -> Tally {
    let mut sum = Tally::default();
    tallies.iter().for_each(|tally| sum.add(tally));
    sum
}

/// Which listeners are this worker's: those whose number leaves this remainder.
#[derive(Clone, Copy)]
struct Turn {
    mine: u32,
    of: u32,
}

fn work(
    ground: &Ground,
    client: Client,
    turn: Turn,
    events: Option<Arc<Vec<replay::Event>>>,
    tally: &Arc<Mutex<Tally>>,
    cut: &CancellationToken,
) -> Result<(), String> {
    if let Some(side) = &ground.side {
        side.enter().map_err(|error| format!("a worker cannot enter the emulated network: {error}"))?;
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build_local(LocalOptions::default())
        .map_err(|error| format!("a worker cannot start: {error}"))?;
    runtime.block_on(async {
        let timer = Timer::default();
        let driver = tokio::task::spawn_local(timer.clone().drive());
        let world = Rc::new(World::new(ground, client, timer, tally.clone()));
        let crowd = Crowd {
            world,
            present: Rc::new(Cell::new(0)),
            room: (ground.settings.listeners_max / turn.of).max(1),
            cut: cut.clone(),
        };
        let count = tokio::task::spawn_local(crowd.clone().count_present());
        match events {
            Some(events) => crowd.replay(&events, turn).await,
            None => crowd.come(turn).await,
        }
        crowd.emptied().await;
        count.abort();
        // A timer that failed has woken nobody: say so instead of ending as if all had been well.
        if driver.is_finished() {
            let why = driver.await.map(|ended| ended.err());
            return Err(format!("a worker's timer stopped: {why:?}"));
        }
        driver.abort();
        Ok(())
    })
}

/// The listeners of one worker.
#[derive(Clone)]
struct Crowd {
    world: Rc<World>,
    present: Rc<Cell<u32>>,
    room: u32,
    cut: CancellationToken,
}

impl Crowd {
    /// Lets listeners in by the schedule until the run closes.
    async fn come(&self, turn: Turn) {
        let settings = &self.world.settings;
        let schedule = settings.arrivals.instants(settings.seed).enumerate();
        let mine = schedule.filter(|(number, _)| *number as u64 % u64::from(turn.of) == u64::from(turn.mine));
        for (number, after) in mine.take_while(|(_, after)| *after < settings.lasting()) {
            let tap = self.world.began + after;
            if !self.open_until(tap - preparation(settings)).await {
                return;
            }
            let world = self.world.clone();
            self.let_in(async move { Listener::new(world, number as u64).listen(tap).await });
        }
        // Those who are there play on until it closes.
        self.open_until(self.world.began + settings.lasting()).await;
    }

    /// Lets each request of a trace be made when it was made.
    async fn replay(&self, events: &[replay::Event], turn: Turn) {
        let settings = &self.world.settings;
        for (number, event) in
            events.iter().enumerate().filter(|(number, _)| *number as u64 % u64::from(turn.of) == u64::from(turn.mine))
        {
            let after = Duration::from_secs_f64(event.at.as_secs_f64() / settings.trace_speed);
            if after >= settings.lasting() {
                break;
            }
            let tap = self.world.began + after;
            if !self.open_until(tap - preparation(settings)).await {
                return;
            }
            let (world, event) = (self.world.clone(), *event);
            self.let_in(async move { Listener::new(world, number as u64).ask(event, tap).await });
        }
    }

    /// False if the run closes before.
    async fn open_until(&self, at: Instant) -> bool {
        self.world.play_until(at).await
    }

    fn let_in(&self, listener: impl Future<Output = ()> + 'static) {
        if self.present.get() >= self.room {
            let sentence = format!("more than {} listeners at once in one worker: raise --listeners-max", self.room);
            return self.world.trouble(&Failure { trouble: Trouble::Ourselves, sentence });
        }
        self.present.set(self.present.get() + 1);
        self.world.tally().listeners += 1;
        let (present, cut) = (self.present.clone(), self.cut.clone());
        tokio::task::spawn_local(self.world.turn(async move {
            tokio::select! {
                () = listener => {}
                () = cut.cancelled() => {}
            }
            present.set(present.get() - 1);
        }));
    }

    /// Keeps in the timeline how many are there, for ever.
    async fn count_present(self) {
        loop {
            let since = self.world.began.elapsed();
            if !since.is_zero() {
                let mut tally = self.world.tally();
                let step = tally.timeline.at(since);
                step.listeners = step.listeners.max(u64::from(self.present.get()));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until all have left, and until what they heard has been counted: the decoder may be behind by seconds.
    async fn emptied(&self) {
        while self.present.get() > 0 || !self.world.is_settled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
