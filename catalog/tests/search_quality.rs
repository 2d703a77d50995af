//! Floors under what search finds, over real names where they are at hand and invented ones elsewhere.

#![allow(clippy::print_stdout, reason = "what was measured, and over which names, is for people to read")]

use needledrop_catalog::search::{Index, Kinds, Query, is_same_name};

mod names;

use names::{Dice, Names, folder, number};

#[test]
fn what_is_meant_is_found_first_among_invented_names() {
    keeps_the_floors(&Names::invent(8_000, &mut Dice(7)));
}

#[test]
fn what_is_meant_is_found_first_among_real_names() {
    match folder() {
        Some(folder) => keeps_the_floors(&Names::read(&folder)),
        None => println!("search quality: no real names beside the repository; only invented ones were searched"),
    }
}

fn keeps_the_floors(names: &Names) {
    println!("search quality over {} {} artists", names.source, names.artists.len());
    let documents = names.artist_documents();
    let index = Index::new();
    index.load(&documents).expect("there is room");
    let place = |typed: &str, meant: &str| {
        let hits = index.search(&Query::full(typed, Kinds::ALL, 5)).hits;
        hits.iter().position(|hit| is_same_name(&documents[number(&hit.id)].name, meant))
    };

    let exists = |typed: &str| names.artists.keys().any(|name| name.eq_ignore_ascii_case(typed));
    let asked: Vec<Option<usize>> =
        names.misspelled.iter().filter(|(typed, _)| !exists(typed)).map(|(typed, meant)| place(typed, meant)).collect();
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let first = share(asked.iter().filter(|place| **place == Some(0)).count(), asked.len());
    let of_five = share(asked.iter().flatten().count(), asked.len());
    println!("misspelled: {} asked, {first:.3} first, {of_five:.3} of five", asked.len());
    assert!(asked.len() >= 40, "there is something to ask");
    assert!(first >= 0.92 && of_five >= 0.98, "{first:.3} first, {of_five:.3} of five");

    let every = (names.artists.len() / 2_000).max(1);
    let exact: Vec<&String> = names.artists.keys().step_by(every).collect();
    let first = share(exact.iter().filter(|name| place(name, name) == Some(0)).count(), exact.len());
    println!("exact: {} asked, {first:.4} first", exact.len());
    assert!(first >= 0.99, "{first:.4}");
}
