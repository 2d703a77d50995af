//! How long a grant takes: alone, and with storage under it at a fixed rate.
//!
//! `cargo run --release -p needledrop-playback --example grants [PLACE] [PER_SECOND] [SECONDS]`
//!
//! The rate is open loop: requests are due at fixed moments whether or not earlier ones were answered, and latency
//! counts from the moment a request was due. The reactor's timer wakes up to a millisecond late, which is part of
//! that number; beside it stands the time from a request's first step to its answer.

#![allow(clippy::print_stdout, reason = "a measurement speaks to the terminal")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use needledrop_catalog::model::TrackRendition;
use needledrop_core::{KeyId, Keyring, PlaybackId, Rendition, Rev, Secret, TrackId, UnixSeconds};
use needledrop_database::Database;
use needledrop_playback::grant::{EdgeBase, Listener, decide, grant};
use needledrop_playback::uid::pseudonym;
use needledrop_playback::{
    Ask, Asked, Caller, DisplayName, Edge, Playback, Scopes, ServerKey, SignUp, Start, TrackFacts,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const ACCOUNTS: u8 = 20;
const CLIENTS_PER_ACCOUNT: u32 = 50;
const GRANTS_ALONE: u128 = 200_000;

struct World {
    keys: Keyring,
    bases: Vec<EdgeBase>,
    renditions: Vec<TrackRendition>,
}

impl World {
    fn new() -> Self {
        let made = |rendition: &Rendition| TrackRendition {
            rendition: *rendition,
            bytes: 4_000_000,
            head_bytes: 600_000,
            average_bps: 160_000,
        };
        let base = |n| EdgeBase::parse(&format!("https://edge-{n}.example")).expect("a base");
        Self {
            keys: Keyring::new(KeyId::parse("k1").expect("a key's name"), Secret::from_bytes([9; 32])),
            bases: (1..4).map(base).collect(),
            renditions: Rendition::ALL.iter().map(made).collect(),
        }
    }

    fn edges(&self) -> Vec<Edge<'_>> {
        self.bases.iter().map(|base| Edge { base, keys: &self.keys }).collect()
    }

    fn track(&self, n: u128) -> TrackFacts<'_> {
        TrackFacts {
            id: TrackId::from_random(n.to_be_bytes()),
            rev: Rev::from_digest(&[1; 32]),
            duration_ms: 200_000,
            renditions: &self.renditions,
            windows: &[],
        }
    }

    fn ask(&self, n: u128) -> Ask<'_> {
        let (track, next) = (self.track(n), Some(self.track(n + 1)));
        Ask { track, next, asked: Asked::default(), start: Start::Resume, device: None }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next();
    let per_second: u32 = arguments.next().map_or(3_000, |text| text.parse().expect("a rate"));
    let seconds: u32 = arguments.next().map_or(10, |text| text.parse().expect("a number of seconds"));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = place.unwrap_or_else(|| folder.path().join("grants.db").display().to_string());

    let database = Database::open(&place).await.expect("the database opens");
    println!("database           {}", database.version().await.expect("it has a version"));
    let (playback, _) = Playback::open(database, ServerKey::from_bytes([1; 32])).await.expect("the service opens");
    let (playback, world) = (Arc::new(playback), Arc::new(World::new()));
    let secrets = Arc::new(people(&playback).await);

    alone(&world, &playback.authenticate(&secrets[0], NOW).await.expect("a credential"));
    for (name, is_new) in [("new plays", true), ("renewed plays", false)] {
        let times = open_loop(&playback, &world, &secrets, per_second, seconds, is_new).await;
        let (since_due, since_begun) = times.into_iter().unzip();
        report(&format!("{name}, {per_second}/s, since due"), since_due);
        report(&format!("{name}, {per_second}/s, since begun"), since_begun);
    }
    playback.flush().await;
}

async fn people(playback: &Playback) -> Vec<String> {
    let text = |text: String| DisplayName::parse(&text).expect("a name");
    let mut secrets = Vec::new();
    for n in 0..ACCOUNTS {
        let name = format!("grants-{n}-{}", std::process::id());
        let wish = SignUp { name: &name, password: "correct horse", territory: None, client: "bench" };
        let issued = playback.sign_up(wish, [10, 9, n, 1].into(), NOW).await.expect("a sign-up");
        let caller = playback.authenticate(issued.secret.expose(), NOW).await.expect("a credential");
        for client in 0..CLIENTS_PER_ACCOUNT {
            let client = text(format!("client {client}"));
            let key = playback.make_api_key(&caller, Scopes::player(), client, NOW).await.expect("a key");
            secrets.push(key.secret.expose().to_owned());
        }
    }
    secrets
}

/// The rules alone: decide, name of the day, sign for three edges.
fn alone(world: &World, caller: &Caller) {
    let (edges, key) = (world.edges(), ServerKey::from_bytes([1; 32]));
    let mut times = Vec::with_capacity(GRANTS_ALONE as usize);
    for n in 0..GRANTS_ALONE {
        let (ask, account) = (world.ask(n), caller.account());
        let begun = Instant::now();
        let decided = decide(account, &ask.track, &ask.asked, NOW).expect("it may be heard");
        let playback = PlaybackId::from_random(n.to_be_bytes());
        let listener = Listener { account, pseudonym: pseudonym(&key, account.id, NOW), playback };
        let given = grant(&listener, &ask.track, ask.next.as_ref(), decided, &edges, NOW).expect("a grant");
        times.push(begun.elapsed());
        std::hint::black_box(given);
    }
    report("the rules alone", times);
}

/// Credential to URLs, each request a task of its own.
async fn open_loop(
    playback: &Arc<Playback>,
    world: &Arc<World>,
    secrets: &Arc<Vec<String>>,
    per_second: u32,
    seconds: u32,
    is_new: bool,
) -> Vec<(Duration, Duration)> {
    let (begun, requests) = (Instant::now(), per_second * seconds);
    let mut tasks = Vec::with_capacity(requests as usize);
    for n in 0..requests {
        let due = begun + Duration::from_secs(1) * n / per_second;
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let (playback, world, secrets) = (playback.clone(), world.clone(), secrets.clone());
        tasks.push(tokio::spawn(async move {
            let first_step = Instant::now();
            // Renewed plays are those of the first loop's first seconds.
            let track = if is_new { n } else { n % (2 * per_second) };
            // The clock goes on, so that cached callers grow old as they do.
            let now = NOW.plus(begun.elapsed().as_secs());
            let secret = &secrets[track as usize % secrets.len()];
            let caller = playback.authenticate(secret, now).await.expect("a credential");
            let given = playback.grant(&caller, &world.ask(track.into()), &world.edges(), now).await;
            std::hint::black_box(given.expect("a grant"));
            (due.elapsed(), first_step.elapsed())
        }));
    }
    let mut times = Vec::with_capacity(tasks.len());
    for task in tasks {
        times.push(task.await.expect("no task fails"));
    }
    times
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{name:<36} n={:<7} p50 {:>10.1?}  p99 {:>10.1?}  p99.9 {:>10.1?}  max {:>10.1?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
