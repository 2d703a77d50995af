//! The replay: a trace through a real edge, beside the simulator on the same trace.
//!
//! The edge is whole: signed URLs, its request core, slab files in a scratch folder, fills over
//! a real socket from an upstream that makes bytes, prefetch from the signed `next`. Only its
//! clock is moved by the trace, and one request ends before the next begins, so that what the
//! cache had at a tap can be looked up.

mod upstream;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use needledrop_core::{
    BLOCK_BYTES, Claims, HeadBytes, KeyId, Keyring, NextObject, ObjectPath, PlaybackId, UnixSeconds, cache::Shape,
    signed_url::Secret,
};
use needledrop_edge::{
    Clock, Edge, Shelf, Slab, Upstream, Upstreams,
    cache::Presence,
    object::Known,
    prefetch::Tally,
    upstream::{Settings, Tier},
};
use needledrop_http::{Client, ClientConfig, Handler, Request};
use needledrop_loadtest::trace::{Event, ObjectId, Trace};

use self::upstream::Source;
use crate::sim::{
    self,
    model::{self, Blocks, Counted, Model},
};

/// When the trace begins, by the edge's clock.
const START: UnixSeconds = UnixSeconds(1_760_000_000);

/// Nothing of a replay is due in real time: a busy machine must not look like a slow upstream.
const PATIENCE: Duration = Duration::from_secs(60);

/// A trace through a real edge, beside the simulator
#[derive(clap::Args)]
pub struct Args {
    /// zipf:0.9, zipf:1.2, or a trace file
    #[arg(long, default_values = ["zipf:0.9", "zipf:1.2"])]
    trace: Vec<String>,
    /// The size of the cache in percent of the trace's footprint
    #[arg(long, default_value_t = 5.0)]
    cache: f64,
    /// A world so many times smaller
    #[arg(long, default_value_t = 100)]
    scale: u32,
}

/// Why a replay could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Slab(#[from] needledrop_edge::SlabError),
    #[error("the edge's client: {0}")]
    Client(String),
    #[error("the edge answered {0} where bytes were asked for")]
    Status(StatusCode),
    #[error("a body ended early: {0}")]
    Body(String),
    #[error("{got} bytes came where {asked} were asked for")]
    Length { got: u64, asked: u64 },
}

/// Replays each trace without and with prefetch, and prints both beside the simulator.
///
/// # Errors
/// A trace cannot be read, or the edge did not answer as it should.
pub fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    println!("| trace | prefetch | by | start misses | byte hits | upstream / asked | prefetched / asked |");
    println!("|---|---|---|--:|--:|--:|--:|");
    for name in &args.trace {
        let trace = sim::trace(name, args.scale)?;
        let bytes = (trace.footprint() as f64 * args.cache / 100.0) as u64;
        for prefetch in [false, true] {
            let both = side_by_side(&trace, bytes, prefetch)?;
            for (by, counted) in [("simulator", both.simulated), ("edge", both.replayed)] {
                println!(
                    "| {name} | {} | {by} | {:.4} | {:.4} | {:.4} | {:.4} |",
                    if prefetch { "yes" } else { "no" },
                    counted.start_miss_ratio(),
                    counted.byte_hit_ratio(),
                    counted.upstream_ratio(),
                    counted.prefetched_bytes as f64 / counted.asked_bytes.max(1) as f64,
                );
            }
        }
    }
    Ok(())
}

struct Both {
    simulated: Counted,
    replayed: Counted,
}

fn side_by_side(trace: &Trace, cache_bytes: u64, prefetch: bool) -> Result<Both, ReplayError> {
    let blocks = Blocks { shape: Shape::default(), prefetch, prefetch_blocks: u32::MAX };
    let simulated = model::run(trace, Model::Blocks(blocks), cache_bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let replayed = runtime.block_on(async {
        let mut stage = Stage::open(trace, cache_bytes, prefetch).await?;
        stage.play(trace).await
    })?;
    Ok(Both { simulated, replayed })
}

struct Stage {
    edge: Edge,
    shelf: Arc<Shelf>,
    keys: Keyring,
    clock: Clock,
    source: Source,
    prefetch: bool,
    plays: u64,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn open(trace: &Trace, cache_bytes: u64, prefetch: bool) -> Result<Self, ReplayError> {
        let source = Source::start(trace.objects.iter().map(|object| object.len).collect()).await?;
        let clock = Clock::manual(START);
        let folder = tempfile::tempdir()?;
        let slab = Slab::open(folder.path(), cache_bytes)?;
        let config = ClientConfig { head_timeout: PATIENCE, body_timeout: PATIENCE, ..ClientConfig::default() };
        let client = Client::new(&config).map_err(|error| ReplayError::Client(error.to_string()))?;
        let base = format!("http://{}", source.address).parse().expect("an address is an authority");
        let settings = Settings { hedge_after: PATIENCE, first_byte_wait: PATIENCE, ..Settings::named("replay") };
        let way = Upstream::new(client, &base, clock.clone());
        let shelf = Shelf::new(slab, Upstreams::new(settings).with(way, Tier::Origin, 1), clock.clone());
        let key = KeyId::parse("k1").expect("a plain key id");
        let keys = Keyring::new(key, Secret::from_bytes([7; 32]));
        let edge = Edge::new("replay".into(), Arc::new(ArcSwap::from_pointee(keys.clone())), vec![], shelf.clone());
        Ok(Self { edge, shelf, keys, clock, source, prefetch, plays: 0, _folder: folder })
    }

    async fn play(&mut self, trace: &Trace) -> Result<Counted, ReplayError> {
        let mut counted = Counted::default();
        let (mut sent_before, mut ahead_before) = (0, 0);
        for (at, (second, event)) in trace.events.iter().enumerate() {
            if at == trace.warm_up {
                counted = Counted::default();
                (sent_before, ahead_before) = (self.source.sent(), Tally::of(&self.shelf).bytes);
            }
            let Event::Ask { object, start, end, tap } = *event else { continue };
            self.clock.advance_to(START.plus(*second));
            let hits = self.here(trace, object, start, end);
            let first = start.next_multiple_of(BLOCK_BYTES).max(start + 1).min(end);
            counted.taps += u64::from(tap);
            counted.start_misses += u64::from(tap && self.here(trace, object, start, first) == 0);
            counted.asked_bytes += end - start;
            counted.hit_bytes += hits;
            let next = match trace.events.get(at + 1) {
                Some((_, Event::Next { object, due_seconds, .. })) if tap && self.prefetch => {
                    Some((*object, *due_seconds))
                }
                _ => None,
            };
            self.ask(trace, object, (start, end), next).await?;
            self.settle().await;
        }
        counted.upstream_bytes = self.source.sent() - sent_before;
        counted.prefetched_bytes = Tally::of(&self.shelf).bytes - ahead_before;
        Ok(counted)
    }

    /// How many of these bytes the cache has now.
    fn here(&self, trace: &Trace, id: ObjectId, start: u64, end: u64) -> u64 {
        let Some(Known::Object(object)) = self.shelf.objects.get(&path(id)) else { return 0 };
        let here = model::blocks(start, end)
            .filter(|block| matches!(self.shelf.cache.presence(&object, *block, *block), Presence::All));
        let bytes = here.map(|block| {
            let from = u64::from(block) * BLOCK_BYTES;
            end.min(from + BLOCK_BYTES).min(trace.object(id).len) - start.max(from)
        });
        bytes.sum()
    }

    async fn ask(
        &mut self,
        trace: &Trace,
        id: ObjectId,
        (start, end): (u64, u64),
        next: Option<(ObjectId, u64)>,
    ) -> Result<(), ReplayError> {
        self.plays += 1;
        let mut claims = Claims::until(self.clock.now().plus(7_200));
        claims.playback = Some(PlaybackId::from_random(u128::from(self.plays).to_be_bytes()));
        claims.head = Some(HeadBytes::clamped(trace.object(id).head));
        if let Some((next, due_seconds)) = next {
            claims.duration_ms = u32::try_from(due_seconds * 1_000).ok();
            claims.next =
                Some(NextObject { path: path(next), head: Some(HeadBytes::clamped(trace.object(next).head)) });
        }
        let target = needledrop_core::sign(&path(id), &claims, &self.keys);
        let mut request = Request::local(Method::GET, &target);
        let range = format!("bytes={start}-{}", end - 1);
        request.headers.insert(header::RANGE, HeaderValue::from_str(&range).expect("digits"));
        let response = self.edge.call(request).await;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(ReplayError::Status(response.status()));
        }
        let mut body = response.into_body();
        let mut got = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ReplayError::Body(error.to_string()))?;
            got += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        if got == end - start { Ok(()) } else { Err(ReplayError::Length { got, asked: end - start }) }
    }

    /// Until what is on its way has come, and nothing is being fetched ahead.
    async fn settle(&self) {
        loop {
            let tally = Tally::of(&self.shelf);
            if self.shelf.cache.flying() == 0 && tally.in_flight == 0 && tally.waiting == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

fn path(id: ObjectId) -> ObjectPath {
    ObjectPath::parse(&upstream::path(id.0)).expect("letters and digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line: hit ratios agree within one point.
    #[test]
    fn the_simulator_and_a_real_edge_agree_within_a_point() {
        for (name, prefetch) in [("zipf:0.9", true), ("zipf:1.2", false)] {
            let trace = sim::trace(name, 400).unwrap();
            let both = side_by_side(&trace, trace.footprint() / 20, prefetch).unwrap();
            let (simulated, replayed) = (both.simulated, both.replayed);
            assert_eq!((simulated.taps, simulated.asked_bytes), (replayed.taps, replayed.asked_bytes));
            for (what, of) in [
                ("start misses", Counted::start_miss_ratio as fn(&Counted) -> f64),
                ("byte hits", Counted::byte_hit_ratio),
                ("upstream bytes", Counted::upstream_ratio),
            ] {
                let (one, other) = (of(&simulated), of(&replayed));
                assert!((one - other).abs() <= 0.01, "{name}, prefetch {prefetch}: {what} {one:.4}, edge {other:.4}");
            }
        }
    }
}
