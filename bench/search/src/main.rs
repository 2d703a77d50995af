//! Search beside tantivy's fuzzy query: what is found, and how fast. Prints the table in `bench/results/search.md`.
//!
//! `cargo run --release --manifest-path bench/search/Cargo.toml` (with `--no-default-features` the speed of ours alone, and
//! with `--tail` the slowest keystrokes again and again, for a profile), with real names beside the repository or in
//! `NEEDLEDROP_DATA`; with invented ones elsewhere.

mod engine;
mod million;
#[path = "../../../catalog/tests/names/mod.rs"]
mod names;
#[cfg(feature = "tantivy")]
mod quality;
mod speed;

use engine::Engine;
#[cfg(feature = "tantivy")]
use engine::Tantivy;
#[cfg(feature = "tantivy")]
use names::document;
use names::{Dice, Names, folder};
use needledrop_catalog::search::BATCH;
#[cfg(feature = "tantivy")]
use needledrop_catalog::search::{Document, Index, Kind};

/// How many documents speed is measured over.
const DOCUMENTS: usize = 1_000_000;

fn main() {
    let mut dice = Dice(20_261_122);
    let names = match folder() {
        Some(folder) => Names::read(&folder),
        None => Names::invent(40_000, &mut dice),
    };
    println!("# Search: what is found, and how fast\n");
    #[cfg(feature = "tantivy")]
    if std::env::args().all(|argument| argument != "--speed") {
        quality_table(&names, &mut dice);
    }
    if std::env::args().all(|argument| argument != "--quality") {
        speed_table(&names, &mut dice);
    }
}

#[cfg(feature = "tantivy")]
fn quality_table(names: &Names, dice: &mut Dice) {
    let documents = names.artist_documents();
    let (ours, theirs) = (loaded(&documents), Tantivy::new(&documents).expect("memory does not fail"));
    let engines: [&dyn Engine; 2] = [&ours, &theirs];
    println!(
        "Over {} artists ({}), with the names that were meant among them. Whoever typed the name of another artist that exists is not counted. Two names are the same where only case, accents, signs and spaces differ.\n",
        documents.len(),
        names.source
    );
    println!(
        "| | queries | {} first | of five | {} first | of five |\n|---|---|---|---|---|---|",
        ours.name(),
        theirs.name()
    );
    let misspelled = quality::misspelled(names);
    let made = quality::made(names, 5_000, dice);
    let obscure = quality::obscure(names, 10_000);
    let normalised: Vec<(String, String)> =
        quality::NORMALISED.map(|(typed, name)| (typed.to_owned(), name.to_owned())).to_vec();
    for (what, pairs, is_prefix) in [
        ("misspelled by people, finished", &misspelled, false),
        ("misspelled by people, as typed", &misspelled, true),
        ("one slip made in the 5,000 most played", &made, false),
        ("exact names of obscure artists, finished", &obscure, false),
        ("exact names of obscure artists, as typed", &obscure, true),
    ] {
        let [ours, theirs] = engines.map(|engine| quality::share(engine, &documents, pairs, is_prefix));
        println!(
            "| {what} | {} | {:.3} | {:.3} | {:.3} | {:.3} |",
            ours.queries, ours.first, ours.of_five, theirs.first, theirs.of_five
        );
    }
    let mut with = documents.clone();
    for (_, name) in &normalised {
        if !with.iter().any(|known| known.name == *name) {
            with.push(document(Kind::Artist, with.len(), name, &[], 1_000));
        }
    }
    let (ours, theirs) = (loaded(&with), Tantivy::new(&with).expect("memory does not fail"));
    let [ours, theirs] =
        [&ours as &dyn Engine, &theirs].map(|engine| quality::share(engine, &with, &normalised, false));
    println!(
        "| normalisation | {} | {:.3} | {:.3} | {:.3} | {:.3} |\n",
        ours.queries, ours.first, ours.of_five, theirs.first, theirs.of_five
    );
}

fn speed_table(names: &Names, dice: &mut Dice) {
    let (documents, real) = million::documents(names, DOCUMENTS, dice);
    println!(
        "Speed over {DOCUMENTS} documents of five kinds: {real} real names, the rest by a Markov chain over their words (one word in {} invented). One thread, its processor time. Each keystroke of {} names, most of them popular and three in ten with a slip, is a search for ten hits (one in {} for tantivy, which would take hours otherwise); the median of {} rounds of each percentile.\n",
        million::INVENTED_SHARE,
        speed::NAMES,
        speed::SAMPLED,
        speed::ROUNDS
    );
    let keystrokes = speed::keystrokes(&documents, dice);
    let started = cpu_time::ThreadTime::now();
    let (ours, holds) = speed::loaded_in_batches(&documents);
    let ours_rate = documents.len() as f64 / started.elapsed().as_secs_f64();
    println!(
        "A load holds the lock for less than p50 {:.3}, p99 {:.3}, most {:.2} ms, for {BATCH} documents at a time.\n",
        holds.p50, holds.p99, holds.most
    );
    eprintln!("loaded: {ours_rate:.0} documents/s");
    if cfg!(not(feature = "tantivy")) || std::env::args().any(|argument| argument == "--ours") {
        let times = speed::measure(&ours, &keystrokes, 1);
        println!(
            "p50 {:.3} p90 {:.3} p99 {:.3} most {:.2} ms, {:.0} searches/s, {ours_rate:.0} indexed/s, {} bytes/document",
            times.p50,
            times.p90,
            times.p99,
            times.most,
            times.per_second,
            ours.bytes() / documents.len()
        );
        println!("hits of all keystrokes: {:016x}", speed::hits(&ours, &keystrokes));
        speed::slowest(&ours, &keystrokes);
        return;
    }
    #[cfg(feature = "tantivy")]
    beside_tantivy(&ours, ours_rate, &documents, &keystrokes);
}

#[cfg(feature = "tantivy")]
fn beside_tantivy(ours: &Index, ours_rate: f64, documents: &[Document], keystrokes: &[String]) {
    let started = std::time::Instant::now();
    let theirs = Tantivy::new(documents).expect("memory does not fail");
    let theirs_rate = documents.len() as f64 / started.elapsed().as_secs_f64();
    println!(
        "| | p50 ms | p90 ms | p99 ms | most ms | searches/s | indexed/s (tantivy: by the clock, two threads) | bytes/document | keystrokes to the first three |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (engine, rate, every) in [(ours as &dyn Engine, ours_rate, 1), (&theirs, theirs_rate, speed::SAMPLED)] {
        let times = speed::measure(engine, keystrokes, every);
        let typed = speed::keystrokes_needed(engine, documents);
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.2} | {:.0} | {rate:.0} | {} | {typed:.2} |",
            engine.name(),
            times.p50,
            times.p90,
            times.p99,
            times.most,
            times.per_second,
            engine.bytes() / documents.len()
        );
    }
    speed::slowest(ours, keystrokes);
}

#[cfg(feature = "tantivy")]
fn loaded(documents: &[Document]) -> Index {
    let index = Index::new();
    index.load(documents).expect("fewer documents than an index takes");
    index
}
