//! The rules of search as cases: what is found first, and what a change does to it.

use std::sync::atomic::{AtomicBool, Ordering};

use needledrop_catalog::search::{
    DEPTH_MAX, DocId, Document, Hit, Index, Kind, Kinds, Matches, QUERY_CHARS_MAX, Query, is_same_name,
};
use proptest::prelude::*;

fn id(number: usize) -> DocId {
    DocId::parse(&format!("{number:022}")).expect("22 digits")
}

fn document(kind: Kind, number: usize, name: &str, by: &[&str], plays: u64) -> Document {
    let by = by.iter().map(|&by| by.to_owned()).collect();
    Document { kind, id: id(number), name: name.to_owned(), aliases: Vec::new(), by, plays }
}

/// An index of artists with plays, and their names.
fn artists(names: &[(&str, u64)]) -> (Index, Vec<String>) {
    let index = Index::new();
    for (number, &(name, plays)) in names.iter().enumerate() {
        index.insert(&document(Kind::Artist, number, name, &[], plays)).expect("there is room");
    }
    (index, names.iter().map(|(name, _)| (*name).to_owned()).collect())
}

fn hits(index: &Index, text: &str) -> Vec<Hit> {
    index.search(&Query::full(text, Kinds::ALL, 10)).hits
}

fn found<'a>((index, names): &'a (Index, Vec<String>), text: &str) -> Vec<&'a str> {
    hits(index, text).iter().map(|hit| &*names[hit.id.as_str().parse::<usize>().expect("a number")]).collect()
}

fn first<'a>(artists: &'a (Index, Vec<String>), text: &str) -> Option<&'a str> {
    found(artists, text).first().copied()
}

#[test]
fn names_are_found_as_people_write_them() {
    let artists = artists(&[
        ("AC/DC", 9),
        ("T.N.T.", 9),
        ("P!nk", 9),
        ("Ke$ha", 9),
        ("Björk", 9),
        ("Sœur", 9),
        ("Łódź", 9),
        ("Destiny\u{2019}s Child", 9),
        ("2Pac", 9),
        ("Beyoncé", 9),
        ("Sigur Rós", 9),
        ("Guns N' Roses", 9),
        ("Jay-Z", 9),
        ("A$AP Rocky", 9),
        ("Florence + The Machine", 9),
        ("R.E.M.", 9),
        ("will.i.am", 9),
        ("MØ", 9),
        ("Ásgeir Trausti", 9),
        ("Mötley Crüe", 9),
        ("!!!", 9),
        ("÷", 9),
        ("Кино", 9),
        ("宇多田ヒカル", 9),
        ("방탄소년단", 9),
        ("คาราบาว", 9),
        ("فيروز", 9),
        ("Σωκράτης", 9),
        ("Þeyr", 9),
        ("Weiß", 9),
    ]);
    for (typed, name) in [
        ("acdc", "AC/DC"),
        ("ac dc", "AC/DC"),
        ("AC-DC", "AC/DC"),
        ("ac/dc", "AC/DC"),
        ("tnt", "T.N.T."),
        ("t n t", "T.N.T."),
        ("T.N.T", "T.N.T."),
        ("pink", "P!nk"),
        ("p!nk", "P!nk"),
        ("kesha", "Ke$ha"),
        ("bjork", "Björk"),
        ("BJO\u{308}RK", "Björk"),
        ("soeur", "Sœur"),
        ("lodz", "Łódź"),
        ("destiny's child", "Destiny\u{2019}s Child"),
        ("destinys child", "Destiny\u{2019}s Child"),
        ("2pac", "2Pac"),
        ("2 pac", "2Pac"),
        ("beyonce", "Beyoncé"),
        ("sigur ros", "Sigur Rós"),
        ("guns and roses", "Guns N' Roses"),
        ("guns & roses", "Guns N' Roses"),
        ("jayz", "Jay-Z"),
        ("jay z", "Jay-Z"),
        ("asap rocky", "A$AP Rocky"),
        ("florence and the machine", "Florence + The Machine"),
        ("rem", "R.E.M."),
        ("r e m", "R.E.M."),
        ("will i am", "will.i.am"),
        ("william", "will.i.am"),
        ("mo", "MØ"),
        ("asgeir", "Ásgeir Trausti"),
        ("motley crue", "Mötley Crüe"),
        ("!!!", "!!!"),
        ("÷", "÷"),
        ("КИНО", "Кино"),
        ("宇多田", "宇多田ヒカル"),
        ("ひかる", "宇多田ヒカル"),
        ("ﾋｶﾙ", "宇多田ヒカル"),
        ("คาราบาว", "คาราบาว"),
        ("บาว", "คาราบาว"),
        ("فَيْرُوز", "فيروز"),
        ("σωκρατησ", "Σωκράτης"),
        ("theyr", "Þeyr"),
        ("WEISS", "Weiß"),
    ] {
        assert_eq!(first(&artists, typed), Some(name), "{typed:?}");
    }
    let begun = |typed: &str| artists.0.search(&Query::typeahead(typed)).hits[0].id;
    assert_eq!(begun("방탄"), begun("방탄소년단"));
    assert_eq!(begun("바"), begun("방탄소년단"), "a syllable that is still being put together");
    assert_eq!(begun("宇"), begun("宇多田ヒカル"));
}

#[test]
fn of_thousands_with_a_word_the_most_played_come_first_and_a_change_of_plays_counts_at_once() {
    const SONGS: usize = 3_000;
    let index = Index::new();
    let plays = |number: usize| (number * 7 % SONGS) as u64 * 1_000;
    let songs: Vec<Document> = (0..SONGS)
        .map(|number| document(Kind::Track, number, &format!("Song {number} Light"), &[], plays(number)))
        .collect();
    index.load(&songs).expect("there is room");
    let best = || -> Vec<DocId> { hits(&index, "song light").iter().map(|hit| hit.id).collect() };
    let mut by_plays: Vec<usize> = (0..SONGS).collect();
    by_plays.sort_by_key(|&number| std::cmp::Reverse(plays(number)));
    let expected: Vec<DocId> = by_plays.iter().take(10).map(|&number| id(number)).collect();
    assert_eq!(best(), expected);

    let least = id(by_plays[SONGS - 1]);
    assert!(index.set_plays(Kind::Track, &least, 1 << 30));
    assert_eq!(best()[0], least);
    assert_eq!(best()[1..], expected[..9]);
    assert!(index.set_plays(Kind::Track, &least, 0));
    assert_eq!(best(), expected);
    assert!(index.remove(Kind::Track, &expected[0]));
    assert_eq!(best()[..9], expected[1..]);
}

#[test]
fn slips_of_finger_and_ear_are_forgiven() {
    let artists = artists(&[
        ("Taylor Swift", 1_000_000),
        ("Taylor Dayne", 50_000),
        ("Adele", 900_000),
        ("Backstreet Boys", 500_000),
        ("Lana Del Rey", 700_000),
        ("La Roux", 100_000),
        ("The Black Eyed Peas", 600_000),
        ("Dire Straits", 300_000),
        ("Trans-Siberian Orchestra", 90_000),
        ("Justin Bieber", 800_000),
        ("Lynyrd Skynyrd", 90_000),
        ("Love Unlimited Orchestra", 4_000),
        ("Tanita Tikaram", 4_000),
        ("Sisqó", 60_000),
        ("Busta Rhymes", 50_000),
        ("Rage Against The Machine", 200_000),
        ("Boys", 100),
        ("Peas", 100),
        ("Swift", 100),
    ]);
    for (typed, name) in [
        ("Tailer Swift", "Taylor Swift"),
        ("adel", "Adele"),
        ("back street boys", "Backstreet Boys"),
        ("lana delray", "Lana Del Rey"),
        ("larou", "La Roux"),
        ("blackeyed peas", "The Black Eyed Peas"),
        ("TransSiberan Orcestra", "Trans-Siberian Orchestra"),
        ("justin beiber", "Justin Bieber"),
        ("dire straights", "Dire Straits"),
        ("lynard skynard", "Lynyrd Skynyrd"),
        ("swift taylor", "Taylor Swift"),
        ("Love Limited Orchestra", "Love Unlimited Orchestra"),
        ("Tanita Tinkeram", "Tanita Tikaram"),
        ("sysqo", "Sisqó"),
        ("buster rhymes", "Busta Rhymes"),
        ("rage machine", "Rage Against The Machine"),
        ("tailerswift", "Taylor Swift"),
        ("taylor", "Taylor Swift"),
    ] {
        assert_eq!(first(&artists, typed), Some(name), "{typed:?}");
    }
    assert_eq!(first(&artists, "xqzw"), None, "what is near nothing finds nothing");
}

#[test]
fn a_popular_near_name_does_not_stand_above_an_exact_one() {
    let artists = artists(&[
        ("The Kinks", u64::MAX),
        ("The Kicks", 0),
        ("Shakira", u64::MAX),
        ("Shakila", 0),
        ("Johnny Cash", u64::MAX),
        ("Johnny Crash", 0),
        ("Love", 0),
        ("Love Love Love", u64::MAX),
    ]);
    for name in ["The Kicks", "Shakila", "Johnny Crash", "Love"] {
        assert_eq!(first(&artists, name), Some(name));
    }
}

#[test]
fn spelling_with_care_decides_between_names_that_are_the_same() {
    let artists = artists(&[("Bjork", 10), ("Björk", 1_000_000)]);
    assert_eq!(found(&artists, "bjork"), ["Björk", "Bjork"], "without the accent, plays decide");
    let careful = crate::artists(&[("Bjork", 1_000_000), ("Björk", 10)]);
    assert_eq!(found(&careful, "Björk"), ["Björk", "Bjork"], "with it, the accent does");
}

#[test]
fn a_track_is_found_by_its_performer_and_title() {
    let index = Index::new();
    for document in [
        document(Kind::Track, 1, "Love Story (Taylor's Version)", &["Taylor Swift"], 5_000),
        document(Kind::Track, 2, "Love Story", &["Somebody Else"], 90_000),
        document(Kind::Artist, 3, "Taylor Swift", &[], 9_000),
        document(Kind::Release, 4, "Fearless", &["Taylor Swift"], 9_000),
    ] {
        index.insert(&document).expect("there is room");
    }
    assert_eq!(hits(&index, "taylor swift love story")[0].id, id(1));
    assert_eq!(hits(&index, "love story tailor swift")[0].id, id(1));
    assert_eq!(hits(&index, "love story")[0].id, id(2), "the whole name, and played more");
    assert_eq!(hits(&index, "taylor swift")[0].id, id(3));
    let tracks = index.search(&Query::full("taylor swift", Kinds::of(&[Kind::Track]), 10)).hits;
    assert_eq!(tracks.iter().map(|hit| hit.id).collect::<Vec<_>>(), [id(1)]);
}

#[test]
fn each_keystroke_finds_what_goes_on() {
    let (index, _) = artists(&[("Taylor Swift", 1_000_000), ("Tame Impala", 1_000), ("Zedd", 5)]);
    let search = |text: &str| index.search(&Query::typeahead(text)).hits.first().map(|hit| hit.id);
    for typed in ["t", "ta", "tay", "taylor", "taylor ", "taylor s", "tayler sw", "swi"] {
        assert_eq!(search(typed), Some(id(0)), "{typed:?}");
    }
    assert_eq!(search("tam"), Some(id(1)));
    assert_eq!(search("z"), Some(id(2)));
    assert_eq!(search("q"), None);
    assert!(hits(&index, "zed").first().is_some_and(|hit| hit.score.edits == 1), "a finished word does not go on");
}

#[test]
fn aliases_find_it_too() {
    let index = Index::new();
    let mut prince = document(Kind::Artist, 1, "Prince", &[], 5);
    prince.aliases = vec!["The Artist Formerly Known As Prince".to_owned(), "殿下".to_owned()];
    index.insert(&prince).expect("there is room");
    assert!(hits(&index, "the artist formerly known as prince")[0].score.whole_name);
    assert!(hits(&index, "殿下")[0].score.whole_name);
}

#[test]
fn plays_replacing_and_removing_take_effect_at_once() {
    let index = Index::new();
    for (number, plays) in [(1, 100), (2, 200)] {
        index.insert(&document(Kind::Track, number, "Intro", &[], plays)).expect("there is room");
    }
    assert_eq!(hits(&index, "intro")[0].id, id(2));
    assert!(index.set_plays(Kind::Track, &id(1), 1_000_000));
    assert_eq!(hits(&index, "intro")[0].id, id(1));
    index.insert(&document(Kind::Track, 1, "Outro", &[], 1)).expect("there is room");
    assert_eq!(hits(&index, "intro").len(), 1);
    assert_eq!(hits(&index, "outro")[0].id, id(1));
    assert_eq!(index.len(), 2);
    assert!(index.remove(Kind::Track, &id(2)));
    assert_eq!(hits(&index, "intro").iter().filter(|hit| hit.score.edits == 0).count(), 0);
    assert!(!index.remove(Kind::Track, &id(2)) && !index.set_plays(Kind::Track, &id(2), 1), "it is gone");
    assert!(!index.remove(Kind::Artist, &id(1)), "another kind is another document");
    assert!(index.remove(Kind::Track, &id(1)) && index.is_empty());
    assert_eq!(index.words(), 0, "words without documents go too");
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    let index = Index::new();
    let turn = |round: usize| {
        for number in 0..200 {
            let name = format!("name{round} of number{} and {number}", number * round);
            index.insert(&document(Kind::Playlist, number, &name, &[], number as u64)).expect("there is room");
        }
    };
    (1..4).for_each(turn);
    let bytes = index.memory_bytes();
    (4..40).for_each(turn);
    assert!(index.memory_bytes() < bytes * 3 / 2, "{} after {bytes}", index.memory_bytes());
}

#[test]
fn a_score_explains_itself() {
    let (index, _) = artists(&[("Taylor Swift", 1023)]);
    let line = |text: &str| hits(&index, text)[0].score.to_string();
    assert_eq!(line("taylor swift"), "114.0: the whole name, 2 of 2 words exact, popularity 8.0");
    assert!(line("tailer swift").contains("1 of 2 words exact, 2 letters changed"), "{}", line("tailer swift"));
    assert!(line("swift taylor").contains("other order"));
}

#[test]
fn hostile_queries_are_bounded() {
    let (index, _) = artists(&[("A", 1), ("The The", 1)]);
    let long = "a ".repeat(100_000);
    for text in [&*long, "", " ", "\0\0", "\u{301}\u{301}", "((((", "&&&&", "🎵🎵", &"é".repeat(QUERY_CHARS_MAX * 2)]
    {
        for is_prefix in [false, true] {
            let query = Query { text, kinds: Kinds::ALL, limit: usize::MAX, offset: 1, is_prefix };
            assert!(index.search(&query).hits.len() <= 2);
        }
    }
    let deep = Query { text: "the", kinds: Kinds::ALL, limit: 10, offset: DEPTH_MAX, is_prefix: true };
    assert_eq!(index.search(&deep).hits, []);
    let none = Query { limit: 0, offset: 0, ..deep };
    assert_eq!(index.search(&none).hits, []);
}

#[test]
fn pages_follow_each_other_and_the_count_is_honest() {
    let index = Index::new();
    for number in 0..50 {
        index.insert(&document(Kind::Track, number, "Intro", &[], number as u64)).expect("there is room");
    }
    let page =
        |limit, offset| index.search(&Query { text: "intro", kinds: Kinds::ALL, limit, offset, is_prefix: false });
    let all = page(100, 0);
    assert_eq!(all.matches, Matches::Exactly(50));
    assert_eq!([page(20, 0).hits, page(20, 20).hits, page(20, 40).hits].concat(), all.hits);
    assert!(matches!(page(5, 0).matches, Matches::AtLeast(5..=50) | Matches::Exactly(50)));
}

#[test]
fn readers_find_things_while_others_are_loaded() {
    let (index, _) = artists(&[("Taylor Swift", 1_000_000)]);
    let many: Vec<Document> =
        (0..20_000).map(|n| document(Kind::Track, n, &format!("song {n}"), &["Some Band"], n as u64)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            index.load(&many).expect("there is room");
            done.store(true, Ordering::Release);
        });
        let mut searches = 0;
        while !done.load(Ordering::Acquire) || searches == 0 {
            assert_eq!(hits(&index, "tailer swift")[0].id, id(0));
            searches += 1;
        }
    });
    assert_eq!(index.len(), many.len() + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_inserted_name_is_found_first_by_itself(
        names in proptest::collection::btree_map("[a-céßłA-C$!&/'. ]{0,5}[a-c]", 0_u64..1_000_000, 1..30),
        is_prefix: bool,
    ) {
        let index = Index::new();
        let names: Vec<(String, u64)> = names.into_iter().collect();
        for (number, (name, plays)) in names.iter().enumerate() {
            index.insert(&document(Kind::ALL[number % 5], number, name, &[], *plays)).expect("there is room");
        }
        for (name, _) in &names {
            let query = Query { text: name, kinds: Kinds::ALL, limit: 3, offset: 0, is_prefix };
            let hits = index.search(&query).hits;
            let first = &names[hits[0].id.as_str().parse::<usize>().expect("a number")].0;
            prop_assert!(is_same_name(first, name), "{:?} gives {:?}: {}", name, first, hits[0].score);
        }
    }

    #[test]
    fn one_word_names_within_the_distance_are_found_and_no_others(
        names in proptest::collection::btree_set("[abc]{3,8}", 1..30),
        typed in "[abc]{6,8}",
    ) {
        let index = Index::new();
        let names: Vec<String> = names.into_iter().collect();
        for (number, name) in names.iter().enumerate() {
            index.insert(&document(Kind::Track, number, name, &[], 1)).expect("there is room");
        }
        let mut found: Vec<usize> = index
            .search(&Query::full(&typed, Kinds::ALL, 100))
            .hits
            .iter()
            .filter(|hit| !hit.score.joined)
            .map(|hit| hit.id.as_str().parse().expect("a number"))
            .collect();
        found.sort_unstable();
        // One mistake, or two where the first letter is right and nothing is nearer.
        let near = |name: &String, most: usize| {
            let allowed = if name.as_bytes()[0] == typed.as_bytes()[0] { most } else { 1 };
            distance(name.as_bytes(), typed.as_bytes()) <= allowed
        };
        let most = if names.iter().any(|name| near(name, 1)) { 1 } else { 2 };
        let expected: Vec<usize> = (0..names.len()).filter(|&number| near(&names[number], most)).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Edit distance with swaps of neighbours, by the table of the textbook.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let least = (rows[i - 1][j - 1] + same).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swap { least.min(rows[i - 2][j - 2] + 1) } else { least }
            };
        }
    }
    rows[a.len()][b.len()]
}
