//! Whether what is meant is found first.

use needledrop_catalog::search::{Document, is_same_name};

use crate::engine::Engine;
use crate::names::{Dice, Names, misspell};

/// Spellings seen elsewhere than in the data, most of them because a rule of edit distance does not reach them.
pub const HARD: [(&str, &str); 14] = [
    ("Tailer Swift", "Taylor Swift"),
    ("adel", "Adele"),
    ("back street boys", "Backstreet Boys"),
    ("lana delray", "Lana Del Rey"),
    ("larou", "La Roux"),
    ("blackeyed peas", "Black Eyed Peas"),
    ("TransSiberan Orcestra", "Trans-Siberian Orchestra"),
    ("kristina agilera", "Christina Aguilera"),
    ("Lynard Skynard", "Lynyrd Skynyrd"),
    ("swift taylor", "Taylor Swift"),
    ("tailerswift", "Taylor Swift"),
    ("led zepelin", "Led Zeppelin"),
    ("rage machine", "Rage Against The Machine"),
    ("gunsnroses", "Guns N' Roses"),
];

/// What was typed for names that only normalisation finds.
pub const NORMALISED: [(&str, &str); 18] = [
    ("acdc", "AC/DC"),
    ("ac dc", "AC/DC"),
    ("AC-DC", "AC/DC"),
    ("tnt", "T.N.T."),
    ("t n t", "T.N.T."),
    ("T.N.T", "T.N.T."),
    ("pink", "P!nk"),
    ("p!nk", "P!nk"),
    ("kesha", "Ke$ha"),
    ("bjork", "Björk"),
    ("BJÖRK", "Björk"),
    ("soeur", "Sœur"),
    ("Lodz", "Łódź"),
    ("Destiny's Child", "Destiny\u{2019}s Child"),
    ("destinys child", "Destiny\u{2019}s Child"),
    ("2pac", "2Pac"),
    ("2 pac", "2Pac"),
    ("beyonce", "Beyoncé"),
];

/// Shares of queries with the meant name first, and among the first five.
pub struct Share {
    pub first: f64,
    pub of_five: f64,
    pub queries: usize,
}

/// Asks for each pair. Typed names that exist are left out.
pub fn share(engine: &dyn Engine, documents: &[Document], pairs: &[(String, String)], is_prefix: bool) -> Share {
    let (mut first, mut of_five, mut queries) = (0, 0, 0);
    for (typed, meant) in pairs {
        queries += 1;
        let found = engine.search(typed, 5, is_prefix);
        let at = found.iter().position(|&at| is_same_name(&documents[at].name, meant));
        first += usize::from(at == Some(0));
        of_five += usize::from(at.is_some());
        if at != Some(0) && pairs.len() < 200 && engine.name() == "needledrop" {
            let best = found.first().map(|&at| &*documents[at].name);
            eprintln!("{typed:?} for {meant:?}: at {at:?}, first is {best:?}");
        }
    }
    let of = |count: usize| count as f64 / queries.max(1) as f64;
    Share { first: of(first), of_five: of(of_five), queries }
}

/// Real misspellings and the hard ones, without those that exist.
pub fn misspelled(names: &Names) -> Vec<(String, String)> {
    let hard = HARD.iter().map(|&(typed, meant)| (typed.to_owned(), meant.to_owned()));
    names.misspelled.iter().cloned().chain(hard).filter(|(typed, _)| !exists(names, typed)).collect()
}

/// One slip each in names of the most played artists.
pub fn made(names: &Names, count: usize, dice: &mut Dice) -> Vec<(String, String)> {
    let mut artists: Vec<(&String, &u64)> = names.artists.iter().filter(|(name, _)| name.chars().count() > 5).collect();
    artists.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let pairs = artists.iter().take(count).map(|(name, _)| (misspell(name, dice), (*name).clone()));
    pairs.filter(|(typed, _)| !exists(names, typed)).collect()
}

/// The least played artists by their exact names.
pub fn obscure(names: &Names, count: usize) -> Vec<(String, String)> {
    let mut artists: Vec<(&String, &u64)> = names.artists.iter().collect();
    artists.sort_by(|a, b| a.1.cmp(b.1).then(a.0.cmp(b.0)));
    let step = (artists.len() / 2 / count).max(1);
    artists.iter().step_by(step).take(count).map(|(name, _)| ((*name).clone(), (*name).clone())).collect()
}

fn exists(names: &Names, typed: &str) -> bool {
    names.artists.keys().any(|name| name.to_lowercase() == typed.to_lowercase())
}
