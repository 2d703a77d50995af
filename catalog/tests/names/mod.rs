//! Names to search: real ones where somebody has put them beside the repository, invented ones elsewhere.
//!
//! Real names are read from the folder in `NEEDLEDROP_DATA`, or from `shared/data/search` beside the repository. They
//! are not part of it.

#![allow(dead_code, reason = "each program uses a part")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use needledrop_catalog::search::{DocId, Document, Kind};

/// Names and how much they are played.
#[derive(Default)]
pub struct Names {
    /// Artists, with plays.
    pub artists: BTreeMap<String, u64>,
    /// Albums and their artists.
    pub albums: Vec<(String, String)>,
    /// Tracks, their artists and plays.
    pub tracks: Vec<(String, Vec<String>, u64)>,
    /// What was typed and what was meant.
    pub misspelled: Vec<(String, String)>,
    /// Where all this is from.
    pub source: String,
}

/// The folder of real names, if there is one.
pub fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("NEEDLEDROP_DATA") {
        return Some(PathBuf::from(folder));
    }
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("ARCHITECTURE.md").exists())?;
    let beside = root.ancestors().skip(1).take(2).map(|folder| folder.join("shared/data/search"));
    beside.into_iter().find(|folder| folder.join("misspelled_artists.tsv").exists())
}

/// Plays that a week among the hundred most played songs stands for.
const PLAYS_PER_WEEK: u64 = 10_000;
/// Plays that a track in the collection stands for.
const PLAYS_PER_TRACK: u64 = 1_000;

impl Names {
    /// Reads the real names.
    pub fn read(folder: &Path) -> Self {
        let mut names = Self { source: "real names".to_owned(), ..Self::default() };
        let mut weeks: HashMap<(String, String), u64> = HashMap::new();
        for row in rows(&folder.join("hot100_songs.tsv.gz")) {
            let [song, credit, _, on_chart] = &row[..] else { continue };
            let plays = on_chart.parse::<u64>().unwrap_or(0) * PLAYS_PER_WEEK;
            let artist = first_of(credit);
            *names.artists.entry(artist.clone()).or_default() += plays;
            *weeks.entry((song.to_lowercase(), artist.to_lowercase())).or_default() += plays;
        }
        let mut albums = HashSet::new();
        for row in rows(&folder.join("tracks.tsv.gz")) {
            let [_, title, _, artists, _, album, _] = &row[..] else { continue };
            let artists: Vec<String> = artists.split(" ;; ").map(str::to_owned).collect();
            artists.iter().for_each(|artist| *names.artists.entry(artist.clone()).or_default() += PLAYS_PER_TRACK);
            let plays = weeks.get(&(title.to_lowercase(), artists[0].to_lowercase())).copied().unwrap_or(0);
            if albums.insert((album.clone(), artists[0].clone())) {
                names.albums.push((album.clone(), artists[0].clone()));
            }
            names.tracks.push((title.clone(), artists, plays + PLAYS_PER_TRACK));
        }
        for row in rows(&folder.join("albums.tsv.gz")) {
            let [album, artist] = &row[..] else { continue };
            names.artists.entry(artist.clone()).or_insert(PLAYS_PER_TRACK);
            if albums.insert((album.clone(), artist.clone())) {
                names.albums.push((album.clone(), artist.clone()));
            }
        }
        for row in rows(&folder.join("misspelled_artists.tsv")).into_iter().skip(1) {
            let [typed, meant, ..] = &row[..] else { continue };
            names.artists.entry(meant.clone()).or_insert(PLAYS_PER_TRACK);
            names.misspelled.push((typed.clone(), meant.clone()));
        }
        names.artists.remove("");
        names
    }

    /// Invents names, and misspells some of them.
    pub fn invent(artists: usize, dice: &mut Dice) -> Self {
        let mut names = Self { source: "invented names".to_owned(), ..Self::default() };
        while names.artists.len() < artists {
            let words = 1 + dice.below(3);
            let name = (0..words).map(|_| word(dice)).collect::<Vec<_>>().join(" ");
            let plays = plays(dice);
            names.artists.insert(name, plays);
        }
        let all: Vec<String> = names.artists.keys().cloned().collect();
        for _ in 0..artists {
            let artist = all[dice.below(all.len())].clone();
            let title = (0..1 + dice.below(4)).map(|_| word(dice)).collect::<Vec<_>>().join(" ");
            names.albums.push((title.clone(), artist.clone()));
            names.tracks.push((title, vec![artist], plays(dice)));
        }
        while names.misspelled.len() < 400 {
            let meant = &all[dice.below(all.len())];
            if meant.chars().count() >= 6 {
                let typed = misspell(meant, dice);
                names.misspelled.push((typed, meant.clone()));
            }
        }
        names
    }

    /// Artists as documents, numbered in the order of their names.
    pub fn artist_documents(&self) -> Vec<Document> {
        self.artists
            .iter()
            .enumerate()
            .map(|(at, (name, &plays))| document(Kind::Artist, at, name, &[], plays))
            .collect()
    }
}

/// A document with a number for an id.
pub fn document(kind: Kind, number: usize, name: &str, by: &[String], plays: u64) -> Document {
    let id = DocId::parse(&format!("{number:022}")).expect("22 digits");
    Document { kind, id, name: name.to_owned(), aliases: Vec::new(), by: by.to_vec(), plays }
}

/// The number of a document made by [`document`].
pub fn number(id: &DocId) -> usize {
    id.as_str().parse().expect("made from a number")
}

/// One slip of the kinds people make: a letter left out, doubled, swapped, or replaced; a space left out.
pub fn misspell(name: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    loop {
        let at = 1 + dice.below(letters.len() - 2);
        if letters[at] == ' ' {
            if dice.below(4) == 0 {
                letters.remove(at);
                return letters.into_iter().collect();
            }
            continue;
        }
        match dice.below(4) {
            0 => {
                letters.remove(at);
            }
            1 => letters.insert(at, letters[at]),
            2 if letters[at + 1] != ' ' && letters[at] != letters[at + 1] => letters.swap(at, at + 1),
            3 => letters[at] = LETTERS[dice.below(LETTERS.len())],
            _ => continue,
        }
        let typed: String = letters.iter().collect();
        if typed != name {
            return typed;
        }
        letters = name.chars().collect();
    }
}

const LETTERS: [char; 26] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
    'x', 'y', 'z',
];

/// A word of two to four syllables that nobody has used.
pub fn word(dice: &mut Dice) -> String {
    const ONSETS: [&str; 20] =
        ["b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v"];
    const RHYMES: [&str; 20] = [
        "a", "e", "i", "o", "u", "an", "en", "in", "on", "ar", "er", "or", "al", "el", "ith", "ack", "ess", "ou", "ay",
        "ine",
    ];
    (0..2 + dice.below(3)).map(|_| format!("{}{}", ONSETS[dice.below(20)], RHYMES[dice.below(20)])).collect()
}

/// Plays as they are in catalogs: most have few, some have a great many.
pub fn plays(dice: &mut Dice) -> u64 {
    let rank = dice.below(1_000_000) + 1;
    100_000_000 / rank as u64
}

/// Numbers that look random and are the same every time (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next below a number.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn first_of(credit: &str) -> String {
    let lower = credit.to_lowercase();
    let ends = [" featuring ", " feat. ", " with ", " duet with "].iter().filter_map(|word| lower.find(word)).min();
    match ends {
        Some(end) if credit.is_char_boundary(end) => credit[..end].trim().to_owned(),
        _ => credit.trim().to_owned(),
    }
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("text in UTF-8");
    } else {
        text = String::from_utf8(bytes).expect("text in UTF-8");
    }
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}
