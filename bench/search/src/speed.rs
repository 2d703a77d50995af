//! How long a keystroke waits.

use std::hash::{Hash as _, Hasher as _};

use cpu_time::ThreadTime;
use needledrop_catalog::search::{BATCH, Document, Index};
#[cfg(feature = "tantivy")]
use needledrop_catalog::search::{Kind, is_same_name};

use crate::engine::Engine;
use crate::names::{Dice, misspell};

/// How many names are typed.
pub const NAMES: usize = 60;
/// How often all are typed.
pub const ROUNDS: usize = 3;
/// One keystroke in so many is enough where each takes long.
pub const SAMPLED: usize = 10;
/// How often the slowest keystrokes are typed again for a profile.
const TAIL_ROUNDS: usize = 50;
/// How many artists are typed until they show.
#[cfg(feature = "tantivy")]
const TARGETS: usize = 100;

/// Milliseconds.
pub struct Times {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub most: f64,
    pub per_second: f64,
}

/// Every beginning of names that are typed: most of them popular, three in ten with a slip, some with the artist.
pub fn keystrokes(documents: &[Document], dice: &mut Dice) -> Vec<String> {
    let mut keystrokes = Vec::new();
    for _ in 0..NAMES {
        // The most played of a few: popularity decides what is typed.
        let drawn = (0..8).map(|_| &documents[dice.below(documents.len())]).max_by_key(|document| document.plays);
        let document = drawn.expect("eight were drawn");
        let mut name = document.name.to_lowercase();
        if let (0, Some(by)) = (dice.below(5), document.by.first()) {
            name = format!("{} {name}", by.to_lowercase());
        }
        if dice.below(10) < 3 && name.chars().count() > 5 {
            name = misspell(&name, dice);
        }
        let mut typed = String::new();
        for letter in name.chars().take(40) {
            typed.push(letter);
            keystrokes.push(typed.clone());
        }
    }
    keystrokes
}

/// Types everything, or one keystroke in `every`, several times.
pub fn measure(engine: &dyn Engine, keystrokes: &[String], every: usize) -> Times {
    let mut rounds: Vec<Times> = (0..ROUNDS).map(|_| round(engine, keystrokes, every)).collect();
    let mut median = |of: fn(&Times) -> f64| {
        rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&rounds[ROUNDS / 2])
    };
    Times {
        p50: median(|times| times.p50),
        p90: median(|times| times.p90),
        p99: median(|times| times.p99),
        most: median(|times| times.most),
        per_second: median(|times| times.per_second),
    }
}

fn round(engine: &dyn Engine, keystrokes: &[String], every: usize) -> Times {
    sorted(keystrokes.iter().step_by(every).map(|text| timed(engine, text)).collect())
}

/// An index, and how long each batch took: more than the lock is held, since names are folded outside of it.
pub fn loaded_in_batches(documents: &[Document]) -> (Index, Times) {
    let index = Index::new();
    let load = |batch: &[Document]| {
        let started = ThreadTime::now();
        index.load(batch).expect("fewer documents than an index takes");
        started.elapsed().as_secs_f64() * 1e3
    };
    let times = documents.chunks(BATCH).map(load).collect();
    (index, sorted(times))
}

fn sorted(mut times: Vec<f64>) -> Times {
    let per_second = times.len() as f64 / times.iter().sum::<f64>() * 1e3;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Times { p50: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1.0), per_second }
}

/// Processor time of this thread: what other programs take of the machine meanwhile does not count.
fn timed(engine: &dyn Engine, text: &str) -> f64 {
    let started = ThreadTime::now();
    std::hint::black_box(engine.search(text, 10, true));
    started.elapsed().as_secs_f64() * 1e3
}

/// Letters to type, on average, until an artist of the most played is among the first three.
#[cfg(feature = "tantivy")]
pub fn keystrokes_needed(engine: &dyn Engine, documents: &[Document]) -> f64 {
    let mut artists: Vec<&Document> = documents.iter().filter(|document| document.kind == Kind::Artist).collect();
    artists.sort_by_key(|document| std::cmp::Reverse(document.plays));
    let needed = artists.iter().take(TARGETS).map(|artist| {
        let letters: Vec<char> = artist.name.chars().collect();
        let shows = |&typed: &usize| {
            let text: String = letters[..typed].iter().collect();
            engine.search(&text, 3, true).iter().any(|&at| is_same_name(&documents[at].name, &artist.name))
        };
        (1..=letters.len()).find(shows).unwrap_or(letters.len() + 1)
    });
    needed.sum::<usize>() as f64 / TARGETS as f64
}

/// A fingerprint of what every keystroke finds, in order: the same before and after a change that is for speed alone.
pub fn hits(engine: &dyn Engine, keystrokes: &[String]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    keystrokes.iter().for_each(|text| engine.search(text, 10, true).hash(&mut hasher));
    hasher.finish()
}

/// Says which keystrokes took longest.
pub fn slowest(engine: &dyn Engine, keystrokes: &[String]) {
    let mut times: Vec<(f64, &String)> = keystrokes.iter().map(|text| (timed(engine, text), text)).collect();
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    times.iter().take(20).for_each(|(ms, text)| eprintln!("{ms:.2} ms: {text:?}"));
    if std::env::args().any(|argument| argument == "--tail") {
        // For a profile of these alone.
        let tail = &times[..times.len() / 50];
        (0..TAIL_ROUNDS).flat_map(|_| tail).for_each(|(_, text)| {
            timed(engine, text);
        });
    }
}
