//! A run that never was, from seeded dice: what reports are tested and looked at with.

use std::time::Duration;

use super::{Own, Report};
use crate::{
    dice::Dice,
    measured::{Cache, Key, Measure, Opening, Protocol, Trouble, Why},
    tally::Tally,
};

const SECONDS: u64 = 120;

/// Latency that is never below `least`, of which half is below `least + median`, with a long tail.
fn drawn(dice: &mut Dice, least: f64, median: f64) -> f64 {
    let normal = (0..12).map(|_| dice.unit()).sum::<f64>() - 6.0;
    least + median * (0.7 * normal).exp()
}

/// Two minutes of listeners who come in a ramp, at 40 ms from the server, with a bad moment in the middle.
pub fn tally(seed: u64, slower: f64) -> Tally {
    let (mut dice, mut tally) = (Dice::new(seed), Tally::default());
    for second in 0..SECONDS {
        let since = Duration::from_secs(second);
        let listeners = (second * 40).min(2_400);
        let starts = 20 + listeners / 20 + dice.roll() % 10;
        let bad = (60..66).contains(&second);
        for _ in 0..starts {
            start(&mut dice, &mut tally, since, slower * if bad { 4.0 } else { 1.0 });
        }
        if bad {
            for _ in 0..dice.roll() % 9 {
                tally.trouble(since, Trouble::Overload, || {
                    "GET /t/<b>17</b>.mp3: 503 \"too many\u{1b}[2J\" & more".into()
                });
            }
        }
        let step = tally.timeline.at(since);
        step.starts += starts;
        step.listeners = listeners;
        step.bytes += starts * 900_000;
        step.due += starts + listeners / 26;
        step.late += dice.roll() % 3;
        tally.starts += starts;
        tally.bytes += starts * 900_000;
        tally.requests += starts * 3;
        tally.played_ms += listeners * 1_000;
    }
    tally.listeners = 2_400;
    tally.checked_bytes = tally.bytes;
    tally.trouble(Duration::from_secs(9), Trouble::Timeout, || "no head within 10 s from 192.0.2.1:443".into());
    for _ in 0..20_000 {
        tally.late.record(Duration::from_micros(drawn(&mut dice, 2.0, 40.0) as u64));
    }
    tally
}

fn start(dice: &mut Dice, tally: &mut Tally, since: Duration, slower: f64) {
    let protocol = Protocol::ALL[(dice.unit() * 3.0) as usize];
    let opening = match (dice.unit(), protocol) {
        (..0.25, _) => Opening::Full,
        (..0.45, _) => Opening::Resumed,
        (..0.60, Protocol::H3) => Opening::ZeroRtt,
        _ => Opening::Warm,
    };
    let why = match (dice.unit(), opening) {
        (..0.5, Opening::Warm) => Why::Skip,
        (..0.8, Opening::Warm) => Why::Next,
        (..0.95, Opening::Warm) => Why::Seek,
        _ => Why::Tap,
    };
    let cache = match dice.unit() {
        ..0.55 => Cache::Memory,
        ..0.80 => Cache::Disk,
        ..0.90 => Cache::Prefetched,
        _ => Cache::Miss,
    };
    let trips = match (protocol, opening) {
        (_, Opening::Warm) | (Protocol::H3, Opening::ZeroRtt) => 0.0,
        (Protocol::H3, _) => 1.0,
        _ => 2.0,
    };
    let server = match cache {
        Cache::Memory => 0.4,
        Cache::Disk => 2.0,
        Cache::Prefetched => 0.6,
        _ => 55.0,
    };
    let mut at = drawn(dice, 0.0, 3.0) * slower;
    let mut mark = |tally: &mut Tally, dice: &mut Dice, measure, least: f64, median| {
        at += drawn(dice, least, median) * slower;
        tally.record(Key { measure, why, protocol, opening, cache }, Duration::from_secs_f64(at / 1e3));
        at
    };
    mark(tally, dice, Measure::Url, 0.5, 1.0);
    mark(tally, dice, Measure::Connect, trips * 40.0, if trips > 0.0 { 2.0 } else { 0.01 });
    mark(tally, dice, Measure::FirstByte, 40.0, server);
    let sound = mark(tally, dice, Measure::FirstAudio, 0.1, 1.0);
    mark(tally, dice, Measure::OneSecond, 1.0, 4.0);
    mark(tally, dice, Measure::First64K, 2.0, 6.0);
    mark(tally, dice, Measure::Head, 20.0, 60.0);
    let step = tally.timeline.at(since);
    step.hits += u64::from(cache != Cache::Miss);
    if why == Why::Tap {
        step.needle_drop.record(Duration::from_secs_f64(sound / 1e3));
    }
    if why == Why::Next {
        let gap = (drawn(dice, 0.0, 20.0) * slower - 60.0).max(0.0);
        tally.record(Key { measure: Measure::Gap, why, protocol, opening, cache }, Duration::from_secs_f64(gap / 1e3));
    }
    if slower > 3.0 && dice.unit() < 0.1 {
        let silence = drawn(dice, 50.0, 400.0);
        tally.record(
            Key { measure: Measure::Stall, why, protocol, opening, cache },
            Duration::from_secs_f64(silence / 1e3),
        );
        tally.stalled_ms += silence as u64;
    }
}

/// The run as a report, judged by a few thresholds of which one fails and one has no data.
pub fn report(seed: u64) -> Report {
    slower(seed, 1.0)
}

/// The same, with every latency so many times as long.
pub fn slower(seed: u64, factor: f64) -> Report {
    let settings = serde_json::json!({
        "target": "https://edge.example:4433",
        "arrivals": {"kind": "ramp", "per_second": [20, 140], "over_seconds": 60},
        "link": "rtt=40ms,rate=50mbit,jitter=5ms",
        "protocols": ["h1", "h2", "h3"],
        "seed": seed,
        "checked": true,
    });
    let own = Own { cpu_seconds: 31.4, peak_memory_bytes: 412 << 20, workers: 2 };
    let mut report = Report::new(settings, 1_795_322_940, SECONDS as f64, tally(seed, factor), own);
    let thresholds = ["start.p99>200ms", "errors>0.5%", "stalls.share>1%", "first_byte.p99[h1,zero_rtt]>100ms"];
    report.judge(&thresholds.map(|text| text.parse().expect("the example's thresholds are right")));
    report
}
