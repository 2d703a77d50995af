//! A cold page cache and a disk on which every page-in is slow: listeners of blocks that are in memory
//! notice nothing, and no reactor ever waits for a page.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod world;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use needledrop_core::cache::Slot;
use needledrop_edge::{
    Clock, Shelf, Slab,
    slab::{Backend, Drill, Options},
};
use world::{BLOCK, Manner, Origin, World, way};

/// What a page-in costs here: a busy disk's worst.
const PAGE_IN: Duration = Duration::from_millis(40);

/// Blocks of the object that is heard all the time, and of the one that nobody has heard for long.
const HOT: usize = 8;
const COLD: usize = 24;

/// Requests for hot blocks in each round.
const HITS: usize = 300;
const ROUNDS: usize = 3;

/// Hits take tens of microseconds; below this, a difference is the scheduler's and not the disk's. A
/// reactor that waited for one page-in would show forty times as much.
const NOISE: Duration = Duration::from_millis(1);

struct SlowDisk(AtomicU64);

impl Drill for SlowDisk {
    fn before_load(&self, _: Slot) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAGE_IN);
        Ok(())
    }
}

// One thread: whatever blocks it is seen by every request.
#[tokio::test]
async fn listeners_of_hot_blocks_do_not_wait_for_cold_ones() {
    // The target folder is on a disk; /tmp may be memory, from which nothing can be paged out.
    let folder = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let disk = Arc::new(SlowDisk(AtomicU64::new(0)));
    let drill: Option<Arc<dyn Drill>> = Some(disk.clone());
    let slab = Slab::open_with(folder.path(), Options { bytes: 16 << 20, backend: Backend::Mmap, drill }).unwrap();
    let (origin, upstream) = Origin::start().await;
    origin.put("/art/hot.ogg", Manner::object(HOT * BLOCK));
    let cold = Manner::object(COLD * BLOCK);
    let cold_bytes = cold.bytes.clone();
    origin.put("/art/cold.ogg", cold);
    let shelf = Shelf::new(slab.clone(), way(upstream), Clock::system());
    let world = Arc::new(World::over(origin, shelf, Arc::new(folder)));
    get(&world, "/art/hot.ogg").await;
    world.settled(HOT).await;
    let hot = slots(&world);
    assert_eq!(get(&world, "/art/cold.ogg").await, cold_bytes[..]);
    world.settled(HOT + COLD).await;
    let cold: Vec<_> = slots(&world).into_iter().filter(|slot| !hot.contains(slot)).collect();
    assert_eq!(cold.len(), COLD);

    let before = major_faults();
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        idle.push(p99(&world).await);
        for _ in 0..100 {
            let left = cold.iter().filter(|slot| !slab.page_out(**slot).unwrap()).count();
            if left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!slab.is_resident(cold[0], BLOCK), "the kernel let go of the cold object");
        let listener = tokio::spawn({
            let (world, truth) = (world.clone(), cold_bytes.clone());
            async move { assert_eq!(get(&world, "/art/cold.ogg").await, truth[..]) }
        });
        tokio::task::yield_now().await;
        busy.push(p99(&world).await);
        listener.await.unwrap();
    }
    let page_ins = disk.0.load(Ordering::Relaxed);
    assert!(page_ins >= (ROUNDS * COLD / 2) as u64, "the cold object was read from a cold disk: {page_ins} page-ins");
    assert_eq!(major_faults(), before, "the reactor waited for no page");
    idle.sort();
    busy.sort();
    let (idle, busy) = (idle[ROUNDS / 2], busy[ROUNDS / 2]);
    println!("p99 of hits: {idle:?} idle, {busy:?} beside a cold listener; {page_ins} page-ins of {PAGE_IN:?}");
    assert!(busy <= (2 * idle).max(NOISE), "{idle:?} idle, {busy:?} beside a cold listener");
}

/// The slots that have a record.
fn slots(world: &World) -> Vec<Slot> {
    let records = std::fs::read(world.folder.path().join("records-0000")).unwrap();
    (0..).zip(records.chunks(64)).filter(|(_, record)| record[0] != 0).map(|(slot, _)| Slot(slot)).collect()
}

async fn get(world: &World, path: &str) -> bytes::Bytes {
    world.send(http::Method::GET, path, &[]).await.bytes().await.unwrap()
}

/// The 99th percentile of the time that a hit takes.
async fn p99(world: &World) -> Duration {
    let mut took = Vec::with_capacity(HITS);
    for hit in 0..HITS {
        let range = format!("bytes={}-{}", hit % HOT * BLOCK, hit % HOT * BLOCK + 1_000);
        let started = Instant::now();
        let got = world.send(http::Method::GET, "/art/hot.ogg", &[("range", &range)]).await;
        assert_eq!(got.bytes().await.unwrap().len(), 1_001);
        took.push(started.elapsed());
        tokio::task::yield_now().await;
    }
    took.sort();
    took[HITS * 99 / 100]
}

/// Page faults of this thread that had to wait for a disk.
fn major_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // After the name in parentheses: state is field 3, majflt field 12.
    stat.rsplit(')').next().unwrap().split_whitespace().nth(9).unwrap().parse().unwrap()
}
