//! A catalog of a million documents: every real name once, and the rest by a Markov chain over the words of real names.
//!
//! A chain for each kind remembers which word follows which; one word in twenty is invented, so that the vocabulary
//! grows with the catalog as it does in real ones.

use std::collections::HashMap;

use needledrop_catalog::search::{Document, Kind};

use crate::names::{Dice, Names, document, plays, word};

/// One word in so many is invented.
pub const INVENTED_SHARE: usize = 20;
/// The longest name made.
const WORDS_MAX: usize = 9;

/// Which word follows which; the empty word begins and ends a name.
#[derive(Default)]
struct Chain(HashMap<String, Vec<String>>);

impl Chain {
    fn learn(&mut self, name: &str) {
        let mut before = "";
        for word in name.split_whitespace().chain([""]) {
            self.0.entry(before.to_owned()).or_default().push(word.to_owned());
            before = word;
        }
    }

    fn name(&self, dice: &mut Dice) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut before = "";
        while words.len() < WORDS_MAX {
            let next = &self.0[before];
            let word_now = &next[dice.below(next.len())];
            if word_now.is_empty() {
                break;
            }
            before = word_now;
            words.push(if dice.below(INVENTED_SHARE) == 0 { word(dice) } else { word_now.clone() });
        }
        words.join(" ")
    }
}

/// Real documents, then made ones up to `count`. Gives the number of real ones too.
pub fn documents(names: &Names, count: usize, dice: &mut Dice) -> (Vec<Document>, usize) {
    let mut all: Vec<Document> = names.artist_documents();
    let (mut of_artists, mut of_releases, mut of_tracks) = (Chain::default(), Chain::default(), Chain::default());
    names.artists.keys().for_each(|name| of_artists.learn(name));
    for (title, artist) in &names.albums {
        of_releases.learn(title);
        all.push(document(Kind::Release, all.len(), title, std::slice::from_ref(artist), plays(dice)));
    }
    for (title, artists, plays) in &names.tracks {
        of_tracks.learn(title);
        all.push(document(Kind::Track, all.len(), title, artists, *plays));
    }
    let real = all.len();
    let mut artists: Vec<String> = names.artists.keys().cloned().collect();
    while all.len() < count {
        let by = artists[dice.below(artists.len())].clone();
        let (kind, name, by) = match dice.below(100) {
            0..10 => (Kind::Artist, of_artists.name(dice), None),
            10..35 => (Kind::Release, of_releases.name(dice), Some(by)),
            35..94 => (Kind::Track, of_tracks.name(dice), Some(by)),
            94..98 => (Kind::Playlist, of_releases.name(dice), None),
            _ => (Kind::Show, of_releases.name(dice), None),
        };
        if kind == Kind::Artist {
            artists.push(name.clone());
        }
        all.push(document(kind, all.len(), &name, by.as_slice(), plays(dice)));
    }
    (all, real)
}
