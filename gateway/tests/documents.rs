//! Search follows the library by what was touched alone, and has then what a look at the whole catalog would give it.

use std::sync::Arc;

use needledrop_catalog::Catalog;
use needledrop_catalog::intake::Recorded;
use needledrop_catalog::search::{Index, Kinds, Query};
use needledrop_core::{Rev, TrackId};
use needledrop_database::testing::databases;
use needledrop_gateway::Documents;

fn recorded(n: u8, title: &str, artist: &str, album: &str) -> Recorded {
    Recorded {
        id: TrackId::from_digest(&[n; 32]),
        rev: Rev::parse("0000000000000001").unwrap(),
        title: title.into(),
        artist: Some(artist.into()),
        album: Some(album.into()),
        album_artist: None,
        track_no: Some(n.into()),
        disc_no: None,
        year: None,
        genre: None,
        isrc: None,
        duration_ms: 1_000,
        loudness_lufs: None,
        true_peak_dbtp: None,
        art: None,
        renditions: Vec::new(),
        published: 1,
    }
}

/// One edit of a library.
type Edit = fn(&mut Vec<Recorded>);

#[tokio::test]
async fn what_was_touched_is_all_that_search_must_be_told() {
    let edits: [(&str, Edit); 8] = [
        ("a track comes", |library| library.push(recorded(10, "Cable Bay", "Ann", "Islands"))),
        ("a track of somebody new comes", |library| library.push(recorded(11, "Peat", "Eve", "Moor"))),
        ("a title changes", |library| library[1].title = "Lantern".into()),
        ("a year comes, which tracks repeat of their release", |library| library[2].year = Some(1999)),
        ("a track goes to another album", |library| library[3].album = Some("Islands".into())),
        ("a track goes to somebody else", |library| library[4].artist = Some("Ann; Zoe".into())),
        ("somebody is written otherwise, on tracks that stay as they are", |library| {
            for n in 12..20 {
                library.push(recorded(n, "Coda", "ANN", "Codas"));
            }
        }),
        ("most of it goes", |library| library.truncate(2)),
    ];
    let database = databases().await.swap_remove(0);
    let catalog = Catalog::open(database.database()).await.unwrap();
    let index = Arc::new(Index::new());
    let documents = Documents::new(index.clone());
    let mut library: Vec<Recorded> = (1..7).map(|n| recorded(n, &format!("Song {n}"), "Ann", "Harbour")).collect();
    catalog.sync(&library).await.unwrap();
    documents.follow(&catalog).await.unwrap();
    let mut renames = 0;
    for (what, edit) in edits {
        edit(&mut library);
        let synced = catalog.sync(&library).await.unwrap();
        assert!(!synced.touched.is_empty(), "{what}");
        renames += u8::from(synced.touched.artist_renamed);
        documents.follow_touched(&catalog, &synced.touched).await.unwrap();
        let missed = documents.follow(&catalog).await.unwrap();
        assert_eq!((missed.put, missed.removed), (0, 0), "{what}: a look at the whole catalog finds more to tell");
    }
    assert!(renames > 0, "none of the edits gave an artist another name");
    let found = |text| index.search(&Query::full(text, Kinds::ALL, 10)).hits.len();
    assert_eq!((found("lantern"), found("peat"), found("coda")), (1, 0, 0));
}
