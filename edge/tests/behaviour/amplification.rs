//! RangeAmp: whatever a client asks and however early it leaves, upstream sends little more
//! than the client took.

use std::{
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use crate::world::{BLOCK, Manner, World};

const LEN: usize = 60 * BLOCK + 4_711;

/// What a client does.
#[derive(Debug, Clone)]
struct Attack {
    range: Option<String>,
    /// Reads so many bytes of the body, then leaves.
    take: usize,
}

/// What became of it.
struct Outcome {
    /// Body bytes that reached the client, multipart boundaries included.
    taken: u64,
    /// Bytes that upstream was asked for: no fewer than it can have sent.
    asked: u64,
    sent: u64,
}

/// One object for all attacks: noise takes its time.
fn object() -> Manner {
    static OBJECT: LazyLock<Manner> = LazyLock::new(|| Manner::object(LEN));
    OBJECT.clone()
}

async fn attack(world: &World, path: &str, attack: &Attack) -> Outcome {
    world.origin.put(path, object());
    let (asked_before, sent_before) = (world.origin.gets().len(), world.origin.sent.load(Ordering::Relaxed));
    let headers: Vec<_> = attack.range.iter().map(|range| ("range", range.as_str())).collect();
    let mut got = world.get(path, &headers).await;
    let mut taken = 0;
    while taken < attack.take {
        match got.next().await {
            Some(piece) => taken += piece.unwrap().len(),
            None => break,
        }
    }
    drop(got);
    world.quiet().await;
    let asked = world.origin.gets()[asked_before..]
        .iter()
        .map(|asked| asked.range().map_or(LEN, |(first, last)| last.min(LEN - 1) + 1 - first.min(LEN)) as u64)
        .sum();
    Outcome { taken: taken as u64, asked, sent: world.origin.sent.load(Ordering::Relaxed) - sent_before }
}

#[tokio::test]
async fn one_byte_costs_one_block() {
    let world = World::with_cache(64 << 20).await;
    for (number, range) in ["bytes=0-0", "bytes=1000000-1000000", "bytes=-1"].iter().enumerate() {
        let outcome =
            attack(&world, &format!("/t/{number}.ogg"), &Attack { range: Some((*range).into()), take: 1 }).await;
        assert!(outcome.asked <= BLOCK as u64, "{range}: {}", outcome.asked);
    }
    let two = Attack { range: Some(format!("bytes={}-{}", BLOCK - 1, BLOCK)), take: 2 };
    assert_eq!(attack(&world, "/t/two.ogg", &two).await.asked, 2 * BLOCK as u64, "two blocks are touched");
}

#[tokio::test]
async fn whoever_asks_for_everything_and_leaves_costs_two_blocks() {
    let world = World::with_cache(64 << 20).await;
    for (number, range) in [None, Some("bytes=0-"), Some("bytes=5-7000000"), Some("bytes=-7000000")].iter().enumerate()
    {
        let range = range.map(str::to_owned);
        let outcome = attack(&world, &format!("/t/{number}.ogg"), &Attack { range: range.clone(), take: 1 }).await;
        assert!(outcome.asked <= 2 * BLOCK as u64, "{range:?}: {}", outcome.asked);
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_filled_four_blocks_ahead_and_no_further() {
    let world = World::with_cache(64 << 20).await;
    world.origin.put("/t/a.ogg", object());
    let mut got = world.get("/t/a.ogg", &[]).await;
    let mut taken = 0;
    while taken < 3 * BLOCK {
        taken += got.next().await.unwrap().unwrap().len();
    }
    world.quiet().await;
    let last = world.origin.gets().iter().filter_map(crate::world::Asked::range).map(|(_, last)| last).max().unwrap();
    let ahead = (last + 1 - taken) as f64 / BLOCK as f64;
    assert!(ahead <= 5.0, "the rest of the current block and four more, not {ahead:.2}");
    drop(got);
}

#[tokio::test]
async fn a_step_of_512_kib_is_one_request_wherever_it_lies() {
    let world = World::with_cache(64 << 20).await;
    for (number, first) in [0, 524_288, 700_001].into_iter().enumerate() {
        let (path, before) = (format!("/t/{number}.ogg"), world.origin.gets().len());
        let all = Attack { range: Some(format!("bytes={first}-{}", first + 524_287)), take: usize::MAX };
        let outcome = attack(&world, &path, &all).await;
        assert_eq!(world.origin.gets().len() - before, 1, "{first}");
        assert!(outcome.asked <= outcome.taken + 2 * BLOCK as u64);
    }
}

#[tokio::test]
async fn no_client_makes_upstream_send_more_than_the_rule_allows() {
    let world = World::with_cache(256 << 20).await;
    let mut dice = Dice(0x5eed);
    for round in 0..80 {
        let attack_now = dice.attack();
        let outcome = attack(&world, &format!("/t/{round}.ogg"), &attack_now).await;
        // Each part: the rest of its first and of its last block; the read-ahead once.
        let parts = attack_now.range.as_deref().map_or(1, |range| range.split(',').count()) as u64;
        let allowed = outcome.taken + parts * 2 * BLOCK as u64 + 4 * BLOCK as u64;
        assert!(outcome.asked <= allowed, "{attack_now:?}: {} asked, {allowed} allowed", outcome.asked);
        assert!(outcome.sent <= allowed, "{attack_now:?}: {} sent, {allowed} allowed", outcome.sent);
    }
}

/// A seeded source of attacks.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn spec(&mut self) -> String {
        let first = self.below(LEN);
        match self.below(5) {
            0 => format!("{first}-"),
            1 => format!("-{}", 1 + self.below(LEN)),
            2 => format!("{first}-{first}"),
            3 => format!("{first}-{}", first + self.below(5 * BLOCK)),
            _ => format!("{first}-{}", first + self.below(LEN)),
        }
    }

    fn attack(&mut self) -> Attack {
        let specs: Vec<_> = (0..1 + self.below(6)).map(|_| self.spec()).collect();
        let range = (self.below(8) > 0).then(|| format!("bytes={}", specs.join(",")));
        let take = match self.below(4) {
            0 => 1,
            1 => 1 + self.below(2 * BLOCK),
            2 => 1 + self.below(20 * BLOCK),
            _ => 1 + self.below(3),
        };
        Attack { range, take }
    }
}

#[tokio::test]
async fn a_fill_without_readers_stops_at_its_block() {
    let world = World::new().await;
    let mut object = Manner::object(4 * BLOCK);
    object.pause_after = Some(10);
    world.origin.put("/t/a.ogg", object);
    drop(world.get("/t/a.ogg", &[]).await);
    world.origin.go_on.notify_one();
    world.settled(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.shelf.cache.len(), 1);
}
