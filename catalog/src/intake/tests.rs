//! Stories of tags, and properties of what is made of any.

use super::*;
use proptest::prelude::*;

fn recorded(n: u8, artist: &str, album: &str, album_artist: &str) -> Recorded {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Recorded {
        id: TrackId::from_digest(&[n; 32]),
        rev: Rev::from_digest(&[n; 32]),
        title: format!("Song {n}"),
        artist: some(artist),
        album: some(album),
        album_artist: some(album_artist),
        track_no: Some(n.into()),
        disc_no: None,
        year: Some(1990 + u32::from(n)),
        genre: some("Rock"),
        isrc: None,
        duration_ms: 1_000,
        loudness_lufs: Some(-14.0),
        true_peak_dbtp: None,
        art: None,
        renditions: Vec::new(),
        published: 5,
    }
}

fn releases(changes: &[Change]) -> Vec<&Release> {
    changes.iter().filter_map(|c| if let Change::Release(release) = c { Some(release) } else { None }).collect()
}

fn tracks(changes: &[Change]) -> Vec<&Track> {
    changes.iter().filter_map(|c| if let Change::Track(track) = c { Some(&**track) } else { None }).collect()
}

#[test]
fn names_are_parted_where_that_is_certain() {
    let cases: &[(&str, &[&str])] = &[
        ("Simon & Garfunkel", &["Simon & Garfunkel"]),
        ("Earth, Wind & Fire", &["Earth, Wind & Fire"]),
        ("AC/DC", &["AC/DC"]),
        ("A / B", &["A", "B"]),
        ("A; B ;a", &["A", "B"]),
        ("A feat. B", &["A", "B"]),
        ("A (Ft. B) / C", &["A", "B", "C"]),
        ("A [FEAT. B & C]", &["A", "B & C"]),
        ("Daft.Punk", &["Daft.Punk"]),
        ("feat. nobody", &["feat. nobody"]),
        (" ; / ", &[]),
        ("", &[]),
    ];
    for (tag, names) in cases {
        assert_eq!(split_artists(tag), *names, "{tag}");
    }
}

#[test]
fn an_album_stays_together_whoever_is_featured() {
    let made = changes(&[recorded(1, "A", "X", ""), recorded(2, "A feat. B", "x ", ""), recorded(3, "C", "X", "a")]);
    let releases = releases(&made);
    assert_eq!(releases.len(), 1);
    assert_eq!((releases[0].kind, releases[0].date.unwrap().year), (ReleaseKind::Single, 1991));
    assert_eq!(tracks(&made)[1].artists.len(), 2);
}

#[test]
fn many_tracks_are_an_album_and_various_artists_a_compilation() {
    let kinds = |count: u8, by: &str| {
        let made = changes(&(1..=count).map(|n| recorded(n, &format!("A{n}"), "X", by)).collect::<Vec<_>>());
        releases(&made)[0].kind
    };
    assert_eq!(kinds(3, "A"), ReleaseKind::Single);
    assert_eq!(kinds(4, "A"), ReleaseKind::Ep);
    assert_eq!(kinds(7, "A"), ReleaseKind::Album);
    assert_eq!(kinds(2, "Various Artists"), ReleaseKind::Compilation);
}

#[test]
fn a_track_without_an_album_has_a_release_of_its_own() {
    let made = changes(&[recorded(1, "A", "", ""), recorded(2, "A", "", "")]);
    let titles: Vec<&str> = tracks(&made).iter().map(|track| track.release.title.as_str()).collect();
    assert_eq!(titles, ["Song 1", "Song 2"]);
    assert_eq!(releases(&made).len(), 2);
}

#[test]
fn the_same_texts_are_the_same_artist() {
    assert_eq!(artist_id(" The  BEATLES"), artist_id("the beatles"));
    assert_ne!(artist_id("The Beatles"), artist_id("Beatles"));
    let made = changes(&[
        recorded(1, "the beatles", "", ""),
        recorded(2, "The Beatles", "", ""),
        recorded(3, "The Beatles", "", ""),
    ]);
    let Change::Artist(artist) = &made[0] else { panic!("artists come first") };
    assert_eq!((artist.name.as_str(), artist.sort_name.as_str()), ("The Beatles", "Beatles, The"));
}

proptest! {
    #[test]
    fn whatever_the_tags_say_every_change_passes_and_comes_after_what_it_names(
        tags in proptest::collection::vec(
            (0..20_u8, "\\PC{0,5}|[\\x00-\\x20]{0,3}|a{1020}é{3}", "[a-cA-C;/ ]{0,9}|x feat\\. .{0,4}", "[ab]?", any::<Option<u32>>()), 0..12),
    ) {
        let recorded: Vec<Recorded> = tags.iter().map(|(n, title, artist, album, year)| Recorded {
            title: title.clone(), year: *year, genre: Some(title.clone()), ..recorded(*n, artist, album, title)
        }).collect();
        let made = changes(&recorded);
        let mut artists = std::collections::HashSet::new();
        let mut releases = std::collections::HashSet::new();
        for change in &made {
            prop_assert_eq!(change.check(), Ok(()));
            let named = match change {
                Change::Artist(artist) => { artists.insert(artist.id); Vec::new() }
                Change::Release(release) => { releases.insert(release.id); release.artists.clone() }
                Change::Track(track) => { prop_assert!(releases.contains(&track.release.id)); track.artists.clone() }
                other => panic!("{other:?}"),
            };
            prop_assert!(named.iter().all(|artist| artists.contains(&artist.id)));
        }
        let mut reversed = recorded.clone();
        reversed.dedup_by_key(|track| track.id);
        if reversed.len() == recorded.len() {
            prop_assert_eq!(tracks(&made).len(), recorded.iter().map(|r| r.id).collect::<std::collections::HashSet<_>>().len());
        }
    }
}
