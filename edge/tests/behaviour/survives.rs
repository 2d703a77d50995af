//! What a cache folder still is after its process: kept, checked, cut, damaged and changed meanwhile.

use std::{net::SocketAddr, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use crate::world::{BLOCK, Manner, Origin, World, way};
use needledrop_core::{UnixSeconds, cache::Shape, purge::Target};
use needledrop_edge::{
    Clock, Shelf, Slab, SlabError,
    purge::{Log, Round},
    slab::{Backend, Options},
};

const BACKENDS: [Backend; 2] = [Backend::Mmap, Backend::Pread];
const SIZE: u64 = 16 << 20;

/// An edge that can be started again over the same folder and in front of the same upstream.
struct House {
    origin: Arc<Origin>,
    upstream: SocketAddr,
    folder: Arc<tempfile::TempDir>,
    clock: Clock,
}

impl House {
    async fn new() -> Self {
        let (origin, upstream) = Origin::start().await;
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self { origin, upstream, folder, clock: Clock::manual(UnixSeconds(crate::world::now())) }
    }

    async fn start(&self, bytes: u64, backend: Backend) -> World {
        let slab = self.slab(bytes, backend).await;
        let log = Log::open(self.folder.path()).unwrap();
        let shelf = Shelf::with_purges(slab, way(self.upstream), self.clock.clone(), Shape::default(), log);
        World::over(self.origin.clone(), shelf, self.folder.clone())
    }

    /// The folder is free when the last task of the edge before has let go of it.
    async fn slab(&self, bytes: u64, backend: Backend) -> Arc<Slab> {
        for _ in 0..500 {
            match Slab::open_with(self.folder.path(), Options { bytes, backend, drill: None }) {
                Err(SlabError::Locked(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                slab => return slab.unwrap(),
            }
        }
        panic!("somebody holds the folder for 5 s");
    }
}

async fn body(world: &World, path: &str) -> Vec<u8> {
    world.get(path, &[]).await.bytes().await.unwrap().to_vec()
}

/// Turns bits in a file of the cache, as a dying disk does.
fn damage(folder: &Path, name: &str, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(folder.join(name)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

/// The slots that have a record.
fn used(folder: &Path) -> Vec<u64> {
    let records = std::fs::read(folder.join("records-0000")).unwrap();
    (0u64..).zip(records.chunks(64)).filter(|(_, record)| record[0] != 0).map(|(slot, _)| slot).collect()
}

#[tokio::test]
async fn a_restart_keeps_blocks_objects_and_their_freshness() {
    for backend in BACKENDS {
        let house = House::new().await;
        let object = Manner::object(9 * BLOCK + 77);
        let bytes = object.bytes.clone();
        house.origin.put("/t/a.ogg", object);
        let first = house.start(SIZE, backend).await;
        assert_eq!(body(&first, "/t/a.ogg").await, *bytes);
        first.settled(10).await;
        let asked = house.origin.asked().len();
        drop(first);
        let second = house.start(SIZE, backend).await;
        assert_eq!(second.shelf.cache.len(), 10);
        let got = second.get("/t/a.ogg", &[]).await;
        assert!(got.header("cache-status").starts_with("edge-test; hit; ttl="), "{}", got.header("cache-status"));
        assert_eq!(got.bytes().await.unwrap(), bytes[..]);
        assert_eq!(house.origin.asked().len(), asked, "nothing was asked upstream");
    }
}

#[tokio::test]
async fn flipped_bits_and_torn_blocks_are_fetched_again_and_never_served() {
    for backend in BACKENDS {
        let house = House::new().await;
        let object = Manner::object(20 * BLOCK);
        let bytes = object.bytes.clone();
        house.origin.put("/t/a.ogg", object);
        let first = house.start(SIZE, backend).await;
        body(&first, "/t/a.ogg").await;
        first.settled(20).await;
        drop(first);
        drop(house.slab(SIZE, backend).await);
        // A bit in each of three blocks, a block of which half was never written, a record.
        let used = used(house.folder.path());
        for slot in [used[0], used[7], used[19]] {
            damage(house.folder.path(), "slab-0000", slot * BLOCK as u64 + 500 * slot);
        }
        let slab = std::fs::OpenOptions::new().write(true).open(house.folder.path().join("slab-0000")).unwrap();
        slab.write_all_at(&vec![0; BLOCK / 2], used[11] * BLOCK as u64 + BLOCK as u64 / 2).unwrap();
        damage(house.folder.path(), "records-0000", used[13] * 64 + 20);
        let gets = house.origin.gets().len();
        let second = house.start(SIZE, backend).await;
        assert_eq!(second.shelf.cache.len(), 19, "a bad record is seen at once, bad bytes when they are touched");
        assert!(body(&second, "/t/a.ogg").await == *bytes);
        second.settled(20).await;
        assert_eq!(second.shelf.cache.slab().counts().damaged, 4);
        let fetched: usize = house.origin.gets()[gets..]
            .iter()
            .map(|asked| asked.range().unwrap())
            .map(|(first, last)| (last + 1 - first) / BLOCK)
            .sum();
        assert_eq!(fetched, 5, "the five bad blocks and no other");
        assert!(body(&second, "/t/a.ogg").await == *bytes);
        assert_eq!(second.shelf.cache.slab().counts().damaged, 4);
        let metrics = second.shelf.metrics.encode();
        assert!(metrics.contains("needledrop_edge_damaged_blocks_total 4"), "{metrics}");
    }
}

#[tokio::test]
async fn an_object_that_changed_while_the_edge_was_away_is_served_whole_and_new() {
    let house = House::new().await;
    let mut object = Manner::object(6 * BLOCK);
    object.cache_control = Some("max-age=60".into());
    house.origin.put("/t/a.ogg", object);
    let first = house.start(SIZE, Backend::Mmap).await;
    body(&first, "/t/a.ogg").await;
    first.settled(6).await;
    drop(first);
    let newer = Arc::new(vec![9; 6 * BLOCK]);
    house.origin.change("/t/a.ogg", |manner| {
        manner.bytes = newer.clone();
        manner.etag = Some("\"v2\"".into());
    });
    house.clock.advance_to(UnixSeconds(house.clock.now().0 + 61));
    let second = house.start(SIZE, Backend::Mmap).await;
    assert_eq!(second.shelf.cache.len(), 6, "still here, and stale");
    assert!(body(&second, "/t/a.ogg").await == *newer);
    second.settled(6).await;
    drop(second);
    let third = house.start(SIZE, Backend::Mmap).await;
    assert_eq!(third.shelf.cache.len(), 6, "the old version does not come back");
    assert!(body(&third, "/t/a.ogg").await == *newer);
}

#[tokio::test]
async fn what_was_purged_does_not_come_back_with_a_restart() {
    let house = House::new().await;
    for path in ["/t/a.ogg", "/t/b.ogg"] {
        house.origin.put(path, Manner::object(3 * BLOCK));
    }
    let first = house.start(SIZE, Backend::Mmap).await;
    body(&first, "/t/a.ogg").await;
    body(&first, "/t/b.ogg").await;
    first.settled(6).await;
    let shelf = first.shelf.clone();
    let target = Target::Path(needledrop_core::ObjectPath::parse("/t/a.ogg").unwrap());
    tokio::task::spawn_blocking(move || shelf.purge(target, None, Round::First)).await.unwrap().unwrap();
    drop(first);
    let second = house.start(SIZE, Backend::Mmap).await;
    assert_eq!(second.shelf.cache.len(), 3);
    let gets = house.origin.gets().len();
    body(&second, "/t/b.ogg").await;
    assert_eq!(house.origin.gets().len(), gets);
    body(&second, "/t/a.ogg").await;
    assert!(house.origin.gets().len() > gets);
}

#[tokio::test]
async fn a_cache_that_is_resized_keeps_what_still_fits() {
    let house = House::new().await;
    let mut all = Vec::new();
    for number in 0..20 {
        let object = Manner::object(10 * BLOCK);
        all.push(object.bytes.clone());
        house.origin.put(&format!("/t/{number}.ogg"), object);
    }
    let large = house.start(2 * SIZE, Backend::Mmap).await;
    for (number, bytes) in all.iter().enumerate() {
        assert!(body(&large, &format!("/t/{number}.ogg")).await == **bytes);
    }
    large.settled(200).await;
    drop(large);
    let small = house.start(SIZE, Backend::Mmap).await;
    let kept = small.shelf.cache.len();
    assert_eq!(kept, 128, "every slot that is left");
    drop(small);
    let larger = house.start(3 * SIZE, Backend::Mmap).await;
    assert_eq!(larger.shelf.cache.len(), kept, "what was cut off does not come back as zeroes");
    for (number, bytes) in all.iter().enumerate() {
        assert!(body(&larger, &format!("/t/{number}.ogg")).await == **bytes);
    }
    assert_eq!(larger.shelf.cache.slab().counts().damaged, 0);
}

#[tokio::test]
async fn a_folder_of_something_else_is_a_cold_cache() {
    let house = House::new().await;
    std::fs::write(house.folder.path().join("objects"), b"not a journal\n\xff\xfe\n").unwrap();
    std::fs::write(house.folder.path().join("records-0000"), vec![0xa5; 100_000]).unwrap();
    std::fs::write(house.folder.path().join("slab-0000"), b"short").unwrap();
    house.origin.put("/t/a.ogg", Manner::object(BLOCK));
    let world = house.start(SIZE, Backend::Mmap).await;
    assert!(world.shelf.cache.is_empty());
    assert_eq!(body(&world, "/t/a.ogg").await.len(), BLOCK);
}
