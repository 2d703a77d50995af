//! An edge in a process of its own, killed with SIGKILL at random moments and started again over the
//! same folder, more than a hundred times. It compares every byte that it serves; what it had published
//! before a kill must be there after it.
//!
//! The process is this very test binary: `the_edge_that_is_killed` does nothing unless it is told where.
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod world;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use needledrop_edge::{Clock, Shelf, Slab};
use world::{BLOCK, Manner, Origin, World, way};

const FOLDER: &str = "NEEDLEDROP_KILLS_FOLDER";
const UPSTREAM: &str = "NEEDLEDROP_KILLS_UPSTREAM";
const CACHE_MIB: &str = "NEEDLEDROP_KILLS_CACHE_MIB";
const SEED: &str = "NEEDLEDROP_KILLS_SEED";

/// Objects upstream, of seven to eight blocks each.
const OBJECTS: u64 = 48;
/// Kills with a cache in which everything has room, and with one in which blocks push each other out
/// while objects change upstream.
const KILLS_GROWING: u32 = 60;
const KILLS_CHURNING: u32 = 60;
/// After so many kills a growing cache begins anew: a full one has nothing to do.
const KILLS_A_FOLDER: u32 = 6;
/// The status of a process that served a wrong byte.
const WRONG: i32 = 42;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// The bytes of an object in one of its generations; no two blocks of any two are alike.
fn bytes(noise: &[u8], number: u64, generation: u64) -> Vec<u8> {
    let start = ((number * 131 + generation * 7_919) % 500_000) as usize;
    noise[start..start + 7 * BLOCK + 1_000 * number as usize].to_vec()
}

fn noise() -> Vec<u8> {
    world::noise(500_000 + 8 * BLOCK)
}

fn path(number: u64) -> String {
    format!("/art/{number}.ogg")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_makes_a_wrong_byte_or_costs_a_published_block() {
    let (origin, upstream) = Origin::start().await;
    let noise = noise();
    for number in 0..OBJECTS {
        origin.put(&path(number), generation(&noise, number, 0));
    }
    let growing = tokio::task::spawn_blocking(move || grow(upstream));
    let (changing, churning_noise) = (Origin::start().await, noise);
    let churning = tokio::task::spawn_blocking(move || churn(&changing.0, changing.1, &churning_noise));
    let kept = growing.await.unwrap();
    println!("kept {} of {} published blocks over {KILLS_GROWING} kills", kept.found, kept.published);
    assert!(kept.published > 500, "the processes lived long enough to publish something: {}", kept.published);
    assert!(kept.found * 100 >= kept.published * 99, "kept {} of {}", kept.found, kept.published);
    let found = churning.await.unwrap();
    assert!(found > 1_000, "a cache in trouble keeps most of what it has as well: {found}");
}

fn generation(noise: &[u8], number: u64, generation: u64) -> Manner {
    let mut manner = Manner::object(1);
    manner.bytes = Arc::new(bytes(noise, number, generation));
    manner.etag = Some(format!("\"{generation}\""));
    manner
}

#[derive(Default)]
struct Kept {
    published: u64,
    found: u64,
}

/// Room for everything and nothing changes: each block published before a kill is there after it.
fn grow(upstream: SocketAddr) -> Kept {
    let mut kept = Kept::default();
    let mut dice = Dice(0x5eed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut published = 0;
    for kill in 0..KILLS_GROWING {
        if kill.is_multiple_of(KILLS_A_FOLDER) {
            (folder, published) = (tempfile::tempdir().unwrap(), 0);
        }
        let mut life = Life::begin(folder.path(), upstream, 64, dice.roll(u64::MAX));
        kept.published += published;
        kept.found += life.found.min(published);
        std::thread::sleep(Duration::from_millis(dice.roll(160)));
        published = life.kill();
    }
    kept
}

/// A cache a third as large as what is asked for, before an upstream whose objects change.
fn churn(origin: &Origin, upstream: SocketAddr, noise: &[u8]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(0xbad5eed);
    for number in 0..OBJECTS {
        let mut manner = generation(noise, number, 0);
        manner.cache_control = Some("max-age=1".into());
        origin.put(&path(number), manner);
    }
    let mut found = 0;
    for kill in 0..KILLS_CHURNING {
        let mut life = Life::begin(folder.path(), upstream, 16, dice.roll(u64::MAX));
        found += life.found;
        std::thread::sleep(Duration::from_millis(dice.roll(130)));
        for _ in 0..4 {
            let number = dice.roll(OBJECTS);
            let newer = generation(noise, number, u64::from(kill) + 1);
            origin.change(&path(number), |manner| (manner.bytes, manner.etag) = (newer.bytes, newer.etag));
        }
        std::thread::sleep(Duration::from_millis(dice.roll(20)));
        life.kill();
    }
    found
}

/// One process, from its start to its kill.
struct Life {
    child: Child,
    folder: PathBuf,
    /// Blocks that it found in the folder.
    found: u64,
}

impl Life {
    fn begin(folder: &Path, upstream: SocketAddr, cache_mib: u64, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_edge_that_is_killed", "--nocapture"])
            .envs([(FOLDER, folder.as_os_str())])
            .envs([(UPSTREAM, upstream.to_string()), (CACHE_MIB, cache_mib.to_string()), (SEED, seed.to_string())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The harness may put its own words before ours on the line.
        let found = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("found=")?.1.to_owned()));
        let found = found.expect("the edge starts over whatever the kill left").parse().unwrap();
        Self { child, folder: folder.to_owned(), found }
    }

    /// Kills it, and tells how many blocks it had published.
    fn kill(&mut self) -> u64 {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_ne!(status.code(), Some(WRONG), "a wrong byte was served");
        assert_eq!(status.signal(), Some(9), "it lived until it was killed: {status}");
        let mut published = [0; 8];
        let file = std::fs::File::open(self.folder.join("published")).unwrap();
        file.read_exact_at(&mut published, 0).unwrap();
        u64::from_le_bytes(published)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let upstream: SocketAddr = std::env::var(UPSTREAM).unwrap().parse().unwrap();
    let slab = Slab::open(&folder, number(CACHE_MIB) << 20).unwrap();
    let (origin, _) = Origin::start().await;
    let shelf = Shelf::new(slab, way(upstream), Clock::system());
    let world = World::over(origin, shelf, Arc::new(tempfile::tempdir().unwrap()));
    let published = std::fs::File::create(folder.join("published")).unwrap();
    let publish = |blocks: usize| published.write_all_at(&(blocks as u64).to_le_bytes(), 0).unwrap();
    publish(world.shelf.cache.len());
    println!("found={}", world.shelf.cache.len());
    let noise = noise();
    let seed = number(SEED);
    let listen = async |seed: u64| {
        let mut dice = Dice(seed | 1);
        loop {
            fetch(&world, &noise, dice.roll(OBJECTS), &mut dice).await;
            publish(world.shelf.cache.len());
        }
    };
    tokio::join!(listen(seed), listen(seed >> 8), listen(seed >> 16));
}

/// Fetches a part of an object and compares each byte with those of the generation that the answer names.
async fn fetch(world: &World, noise: &[u8], number: u64, dice: &mut Dice) {
    let first = dice.roll(7 * BLOCK as u64) as usize;
    let last = first + dice.roll(3 * BLOCK as u64) as usize;
    let mut got = world.send(http::Method::GET, &path(number), &[("range", &format!("bytes={first}-{last}"))]).await;
    if got.status != 206 {
        return;
    }
    let Ok(generation) = got.header("etag").trim_matches('"').parse() else { return };
    let truth = bytes(noise, number, generation);
    let mut at = first;
    // An object that changes in the middle resets the body; what came before must be right.
    while let Some(Ok(piece)) = got.next().await {
        if truth.get(at..at + piece.len()) != Some(&piece[..]) {
            eprintln!("object {number}, generation {generation}: wrong at {at}");
            std::process::exit(WRONG);
        }
        at += piece.len();
    }
}
