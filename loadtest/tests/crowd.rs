//! The whole crowd against a server whose faults are known: what is planted must be reported, no more and no less.
//!
//! Delays are judged in `delays.rs`, in a process of their own.

use std::time::Duration;

use needledrop_loadtest::{
    crowd::{self, Share},
    measured::{Cache, Measure, Opening, Protocol, Trouble, Why},
    settings::{Listed, Popularity, Settings},
};
use tokio_util::sync::CancellationToken;

mod world;

use world::{World, run};

#[test]
fn every_state_of_a_connection_is_reported_as_what_it_was() {
    let world = World::new();
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        for (asked, happened) in [("full", Opening::Full), ("resumed", Opening::Resumed), ("warm", Opening::Warm)] {
            let settings = world.settings(protocol, vec![world.url(protocol, "/a"), world.url(protocol, "/b")]);
            let tally = run(Settings { openings: asked.parse().unwrap(), ..settings }).tally;
            let count = |opening| {
                tally.sum(Measure::FirstByte, |key| key.opening == opening && key.protocol == protocol).count()
            };
            assert_eq!((tally.starts, count(happened)), (20, 20), "{protocol} {asked}: {:?}", tally.examples);
        }
    }
}

#[test]
fn what_the_cache_said_is_a_class_of_its_own() {
    let world = World::new();
    let urls =
        ["/cache=edge;hit;detail=memory/a", "/cache=edge;fwd=miss/b", "/c"].map(|path| world.url(Protocol::H2, path));
    let tally = run(world.settings(Protocol::H2, urls.to_vec())).tally;
    for cache in [Cache::Memory, Cache::Miss, Cache::Unsaid] {
        assert!(tally.sum(Measure::FirstByte, |key| key.cache == cache).count() >= 6, "{cache}");
    }
}

#[test]
fn liars_are_caught_each_by_its_lie() {
    let world = World::new();
    for (listed, protocol, trouble) in [
        (world.url(Protocol::H2, "/flip=70000/a"), Protocol::H2, Trouble::Bytes),
        (world.url(Protocol::H3, "/flip=0/a"), Protocol::H3, Trouble::Bytes),
        (world.bare("/short=10/a"), Protocol::H1, Trouble::Length),
        (world.url(Protocol::H2, "/range=shifted/a"), Protocol::H2, Trouble::Protocol),
        (world.url(Protocol::H2, "/cut=1000/a"), Protocol::H2, Trouble::Broken),
        (world.url(Protocol::H1, "/status=503/a"), Protocol::H1, Trouble::Overload),
        (world.url(Protocol::H3, "/status=404/a"), Protocol::H3, Trouble::Refused),
        (world.url(Protocol::H1, "/delay=4s/a"), Protocol::H1, Trouble::Timeout),
    ] {
        let url = listed.url.clone();
        let tally = run(world.settings(protocol, vec![listed])).tally;
        assert_eq!(tally.troubles.get(&trouble), Some(&20), "{url}: {:?} {:?}", tally.troubles, tally.examples);
        assert_eq!(tally.starts, 20, "{url}");
    }
}

#[test]
fn an_honest_server_is_not_accused_and_every_byte_was_looked_at() {
    let world = World::new();
    let urls = vec![world.url(Protocol::H2, "/size=300k/a")];
    let settings = Settings { starts_only: false, speed: 50.0, ..world.settings(Protocol::H2, urls) };
    let tally = run(settings).tally;
    assert_eq!(tally.troubles, Default::default(), "{:?}", tally.examples);
    assert_eq!((tally.bytes, tally.checked_bytes), (20 * 300 * 1024, 20 * 300 * 1024));
    assert_eq!(tally.stalled_ms, 0);
}

#[test]
fn a_planted_stall_is_heard_as_a_silence_of_its_length() {
    let world = World::new();
    // 20 kB a second at speed 4: 128 KiB last 1.6 s; the pause of 3 s in the second chunk is heard as what is left of it.
    let mut listed = world.url(Protocol::H2, "/size=400k/stall=200k:3s/a");
    listed.seconds = Some(20.48);
    let settings = Settings {
        starts_only: false,
        speed: 4.0,
        ahead_seconds: 3.0,
        lasting_ms: 8_000,
        arrivals: "even:5:1s,0".parse().unwrap(),
        timeout_ms: 5_000,
        ..world.settings(Protocol::H2, vec![listed])
    };
    let tally = run(settings).tally;
    let stalls = tally.sum(Measure::Stall, |_| true);
    assert_eq!(stalls.count(), 5, "one silence for each listener: {:?}", tally.examples);
    // 200 KiB last 2.56 s; the second chunk is asked for 0.75 s before the first one's end at 1.64 s.
    let expected = Duration::from_millis(890 + 3_000 - 2_560);
    let seen = stalls.quantile(0.5).unwrap();
    assert!(seen.abs_diff(expected) < Duration::from_millis(60), "{seen:?}, not {expected:?}");
}

#[test]
fn latency_counts_from_the_intended_tap_when_the_server_falls_behind() {
    let world = World::new();
    // 40 taps a second; each answer takes 500 ms: a client that waits for answers would ask far less often.
    let settings = Settings {
        arrivals: "even:40".parse().unwrap(),
        ..world.settings(Protocol::H1, vec![world.url(Protocol::H1, "/delay=500ms/a")])
    };
    let tally = run(settings).tally;
    assert_eq!(tally.starts, 41);
    assert_eq!(tally.sum(Measure::FirstByte, |_| true).count(), 41);
}

#[test]
fn a_start_that_never_sounds_is_counted_when_the_run_ends() {
    let world = World::new();
    let urls = vec![world.url(Protocol::H2, "/delay=30s/a")];
    let settings = Settings { grace_ms: 300, timeout_ms: 60_000, ..world.settings(Protocol::H2, urls) };
    let tally = run(settings).tally;
    assert_eq!((tally.starts, tally.troubles.get(&Trouble::Timeout)), (20, Some(&20)));
}

#[test]
fn what_follows_a_track_is_a_next_and_has_a_gap() {
    let world = World::new();
    let urls = ["/size=100k/a", "/size=100k/b"].map(|path| world.url(Protocol::H2, path)).to_vec();
    let settings = Settings {
        starts_only: false,
        plays: Some(4),
        speed: 50.0,
        arrivals: "even:20:1s,0".parse().unwrap(),
        lasting_ms: 4_000,
        ..world.settings(Protocol::H2, urls)
    };
    let tally = run(settings).tally;
    assert_eq!((tally.starts, tally.listeners), (80, 20), "{:?}", tally.examples);
    let nexts = tally.sum(Measure::FirstByte, |key| key.why == Why::Next && key.opening == Opening::Warm);
    assert_eq!((nexts.count(), tally.sum(Measure::Gap, |_| true).count()), (60, 60));
}

#[test]
fn two_shares_make_the_listeners_of_one_run() {
    let world = World::new();
    let urls: Vec<Listed> =
        (0..7).map(|number| world.url(Protocol::H1, &format!("/delay={number}ms/size=64k/{number}"))).collect();
    let settings = Settings { popularity: Popularity::Zipf(1.0), ..world.settings(Protocol::H1, urls) };
    let share = |index, of| {
        let settings = settings.clone();
        crowd::run(settings, Share { index, of }, None, &CancellationToken::new(), |_, _| {}).unwrap().tally
    };
    let whole = share(0, 1);
    let mut halves = share(0, 2);
    halves.add(&share(1, 2));
    assert_eq!((whole.starts, whole.bytes, whole.requests), (halves.starts, halves.bytes, halves.requests));
}

#[test]
fn a_trace_is_replayed_as_it_was() {
    let world = World::new();
    let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    std::fs::write(
        file.path(),
        "time,id,size,start,end\n0,x,500000,0,65536\n0,y,500000,0,65536\n1,x,500000,100000,165536\n",
    )
    .unwrap();
    let urls = ["/a", "/b"].map(|path| world.url(Protocol::H1, path)).to_vec();
    let settings =
        Settings { trace: Some(file.path().to_owned()), lasting_ms: 3_000, ..world.settings(Protocol::H1, urls) };
    let tally = run(settings).tally;
    assert_eq!((tally.starts, tally.bytes), (3, 3 * 65_536));
    assert_eq!(tally.sum(Measure::FirstByte, |key| key.why == Why::Tap).count(), 2);
}
