//! What the catalog promises, on every database.

mod world;

use needledrop_catalog::change::{Change, Refusal};
use needledrop_catalog::model::*;
use needledrop_catalog::store::{ArtistList, At, Error, MIGRATIONS, Page, ReleaseList, TrackList};
use needledrop_catalog::{Catalog, json};
use needledrop_core::{ArtistId, EpisodeId, ShowId, TrackId};
use needledrop_database::Database;
use needledrop_database::testing::on_each;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use world::*;

#[tokio::test]
async fn things_come_are_replaced_and_go() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        catalog.apply(vec![artist(1), release(1, 1), track(1, 1, 1), track(2, 1, 1)]).await.unwrap();
        let found = catalog.track(track_id(1)).await.unwrap().unwrap();
        assert_eq!((found.title.as_str(), found.artists[0].name.as_str()), ("Track 1", "Artist 1"));
        assert_eq!((found.release.title.as_str(), found.renditions.len()), ("Release 1", 6));
        let on = catalog.release(release_id(1)).await.unwrap().unwrap();
        assert_eq!((on.tracks, on.duration_ms, on.plays), (2, 3_000, 3));
        assert_eq!(catalog.artist(artist_id(1)).await.unwrap().unwrap().plays, 3);

        let mut other = a_track(1, 1, 1);
        other.title = "Another".into();
        (other.plays, other.added, other.duration_ms) = (99, 99, 10);
        catalog.apply(vec![Change::Track(Box::new(other))]).await.unwrap();
        let found = catalog.track(track_id(1)).await.unwrap().unwrap();
        assert_eq!((found.title.as_str(), found.plays, found.added, found.duration_ms), ("Another", 1, 0, 10));
        assert_eq!(catalog.release(release_id(1)).await.unwrap().unwrap().duration_ms, 2_010);

        catalog.apply(vec![Change::RemoveTrack { id: track_id(1) }]).await.unwrap();
        assert_eq!(catalog.track(track_id(1)).await.unwrap(), None);
        let on = catalog.release(release_id(1)).await.unwrap().unwrap();
        assert_eq!((on.tracks, on.plays), (1, 2));
        let counts = catalog.counts().await.unwrap();
        assert_eq!((counts.artists, counts.releases, counts.tracks), (1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn what_is_named_stays_and_what_is_not_goes() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        catalog.apply(vec![release(1, 1), track(1, 1, 1), artist(2)]).await.unwrap();
        let (artist_1, release_1) =
            (Change::RemoveArtist { id: artist_id(1) }, Change::RemoveRelease { id: release_id(1) });
        let applied =
            catalog.apply(vec![artist_1.clone(), release_1.clone(), Change::RemoveArtist { id: artist_id(2) }]).await;
        let applied = applied.unwrap();
        assert_eq!((applied.kept_artists, applied.kept_releases), (vec![artist_id(1)], vec![release_id(1)]));
        assert_eq!(catalog.artist(artist_id(2)).await.unwrap(), None);
        // In any order: what counts is what is there after the batch.
        let applied = catalog.apply(vec![artist_1, release_1, Change::RemoveTrack { id: track_id(1) }]).await.unwrap();
        assert!(applied.kept_artists.is_empty() && applied.kept_releases.is_empty());
        let counts = catalog.counts().await.unwrap();
        assert_eq!((counts.artists, counts.releases, counts.tracks), (0, 0, 0));
        assert!(all_tracks(&catalog, &TrackList::ByName, 3).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_refused_change_takes_its_batch_with_it() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let refused = catalog.apply(vec![release(1, 1), track(1, 2, 1)]).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { index: 1, refusal: Refusal::NoRelease { .. } }), "{refused}");
        assert_eq!(catalog.release(release_id(1)).await.unwrap(), None);
        let holder = ArtistName { id: artist_id(9), name: "Holder".into() };
        let share = Share { holder, right: Right::Work, territory: Territory::parse("DE").ok(), micro: 999_999 };
        let shares = Change::Shares { track: track_id(1), shares: vec![share] };
        let refused = catalog.apply(vec![release(1, 1), track(1, 1, 1), shares]).await.unwrap_err().to_string();
        assert!(refused.contains(track_id(1).as_str()) && refused.contains("DE"), "{refused}");
        let plays = Change::Credits { track: track_id(7), credits: vec![] };
        assert!(catalog.apply(vec![plays]).await.is_err());
        assert_eq!(catalog.counts().await.unwrap().tracks, 0);
        assert_eq!(catalog.version().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn credits_shares_and_windows_come_back_and_go_with_their_track() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let who = |n| ArtistName { id: artist_id(n), name: format!("Artist {n}") };
        let credits = vec![
            Credit { artist: who(2), role: Role::Writer },
            Credit { artist: who(1), role: Role::Performer },
            Credit { artist: who(2), role: Role::Producer },
        ];
        let share = |n, territory: &str, micro| Share {
            holder: who(n),
            right: Right::Recording,
            territory: Territory::parse(territory).ok(),
            micro,
        };
        let shares = vec![share(3, "", WHOLE_SHARE), share(3, "FR", 1), share(4, "FR", WHOLE_SHARE - 1)];
        let windows = vec![Window { territory: Territory::parse("FR").ok(), from: Some(5), until: None }];
        let track_1 = track_id(1);
        catalog
            .apply(vec![
                release(1, 1),
                track(1, 1, 1),
                Change::Credits { track: track_1, credits: credits.clone() },
                Change::Shares { track: track_1, shares: shares.clone() },
                Change::Windows { track: track_1, windows: windows.clone() },
            ])
            .await
            .unwrap();
        assert_eq!(catalog.credits(track_1).await.unwrap(), credits);
        assert_eq!(catalog.shares(track_1).await.unwrap(), shares);
        assert_eq!(catalog.windows(track_1).await.unwrap(), windows);
        // Whom only a credit or a share names is kept too.
        let removals = (1..=4).map(|n| Change::RemoveArtist { id: artist_id(n) }).collect();
        assert_eq!(catalog.apply(removals).await.unwrap().kept_artists.len(), 4);
        catalog.apply(vec![Change::RemoveTrack { id: track_1 }]).await.unwrap();
        assert_eq!(catalog.credits(track_1).await.unwrap(), []);
        assert_eq!(catalog.shares(track_1).await.unwrap(), []);
        assert_eq!(catalog.windows(track_1).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn plays_add_up_and_move_what_was_played() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let tracks = (1..=3).map(|n| track(n, 1, 1));
        catalog.apply([release(1, 1)].into_iter().chain(tracks).collect()).await.unwrap();
        let plays = |n, added| Change::Plays { track: track_id(n), added };
        catalog.apply(vec![plays(1, 5), plays(2, 1), plays(1, 5), plays(77, 1)]).await.unwrap();
        let top = all_tracks(&catalog, &TrackList::OfArtist(artist_id(1)), 2).await;
        assert_eq!(top, [track_id(1), track_id(2), track_id(3)].map(|id| id.to_string()).to_vec());
        assert_eq!(catalog.track(track_id(1)).await.unwrap().unwrap().plays, 11);
        assert_eq!(catalog.release(release_id(1)).await.unwrap().unwrap().plays, 17);
        assert_eq!(catalog.artist(artist_id(1)).await.unwrap().unwrap().plays, 17);
        let most = catalog.list_tracks(&TrackList::MostPlayed, &At::Offset(0), 1).await.unwrap();
        assert_eq!(most.items[0].id, track_id(1));
    })
    .await;
}

#[tokio::test]
async fn every_list_is_walked_whole_in_order_by_key_and_by_offset() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let many = fill(&catalog, 3_000).await;
        for (name, list, expected) in many.track_lists() {
            let by_key = all_tracks(&catalog, &list, 271).await;
            assert_eq!(by_key.len(), expected.len(), "{name}");
            if let Some(wrong) = (0..expected.len()).find(|n| by_key[*n] != expected[*n]) {
                panic!("{name}: at {wrong} stands {} and not {}", by_key[wrong], expected[wrong]);
            }
            for offset in [0, 1, 270, 271, 1_023, 1_024, 1_500, 2_047, 2_048, 2_998, 2_999, 3_000, 9_999] {
                let page = catalog.list_tracks(&list, &At::Offset(offset as u64), 7).await.unwrap();
                let ids: Vec<String> = page.items.iter().map(|track| track.id.to_string()).collect();
                let from = offset.min(expected.len());
                assert_eq!(ids, expected[from..(from + 7).min(expected.len())], "{name} at {offset}");
                assert_eq!(page.total, expected.len() as u64, "{name}");
                assert_eq!(page.next.is_some(), offset + 7 < expected.len(), "{name} at {offset}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn artists_and_releases_are_listed_too() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        fill(&catalog, 600).await;
        let mut names = HashSet::new();
        let lists = [ArtistList::ByName, ArtistList::MostPlayed, ArtistList::Shuffled(4)];
        for list in lists {
            let mut at = At::Offset(0);
            let mut seen = Vec::new();
            loop {
                let page = catalog.list_artists(&list, &at, 3).await.unwrap();
                seen.extend(page.items.iter().map(|artist| artist.name.clone()));
                assert_eq!(page.total, ARTISTS as u64);
                let Some(next) = page.next else { break };
                at = At::After(next.to_string().parse().unwrap());
            }
            assert_eq!(seen.len(), ARTISTS, "{list:?}");
            names.extend(seen);
        }
        assert_eq!(names.len(), ARTISTS);
        let of = |kind| ReleaseList::OfArtist(artist_id(1), kind);
        let all = catalog.list_releases(&of(None), &At::Offset(0), 50).await.unwrap();
        let kinds = [ReleaseKind::Album, ReleaseKind::Ep, ReleaseKind::Single, ReleaseKind::Compilation];
        let mut by_kind = Vec::new();
        for kind in kinds {
            let page = catalog.list_releases(&of(Some(kind)), &At::Offset(0), 50).await.unwrap();
            assert!(page.items.iter().all(|release| release.kind == kind));
            by_kind.extend(page.items);
        }
        assert!(!by_kind.is_empty());
        assert_eq!(all.items, by_kind, "albums first, then EPs, singles and compilations");
        let years = catalog.list_releases(&ReleaseList::Years(1970, 1979), &At::Offset(0), 99).await.unwrap();
        assert!(years.total > 0 && years.items.iter().all(|r| (1970..1980).contains(&r.date.unwrap().year)));
    })
    .await;
}

#[tokio::test]
async fn nothing_comes_twice_while_things_come_and_go() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let many = fill(&catalog, 400).await;
        for (name, list, expected) in many.track_lists_and_shuffle() {
            let mut at = At::Offset(0);
            let mut seen = Vec::new();
            let mut n = 10_000;
            loop {
                let page = catalog.list_tracks(&list, &at, 23).await.unwrap();
                seen.extend(page.items.iter().map(|track| track.id.to_string()));
                // What comes is spread over the whole list.
                let new: Vec<u32> = (n..n + 20).collect();
                catalog.apply(new.iter().map(|n| track(*n, 1 + n % 7, 1)).collect()).await.unwrap();
                n += 20;
                let Some(next) = page.next else { break };
                at = At::After(next);
            }
            let distinct: HashSet<&String> = seen.iter().collect();
            assert_eq!(distinct.len(), seen.len(), "{name}: something came twice");
            assert!(expected.iter().all(|id| distinct.contains(id)), "{name}: something was passed over");
            let new = (10_000..n).map(|n| Change::RemoveTrack { id: track_id(n) }).collect();
            catalog.apply(new).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn counts_of_pieces_stay_right_while_lists_grow_and_shrink() {
    on_each(|database, place| async move {
        let catalog = Catalog::open(database).await.unwrap();
        fill(&catalog, 5_000).await;
        let removals = (0..5_000).filter(|n| n % 5 != 0).map(|n| Change::RemoveTrack { id: track_id(n) }).collect();
        catalog.apply(removals).await.unwrap();
        // Another process reads the counts from the tables.
        let other = Catalog::open(Database::open(&place).await.unwrap()).await.unwrap();
        for catalog in [&catalog, &other] {
            let expected = all_tracks(catalog, &TrackList::ByName, 300).await;
            assert_eq!(expected.len(), 1_000);
            for offset in (0..1_000).step_by(37) {
                let page = catalog.list_tracks(&TrackList::ByName, &At::Offset(offset), 1).await.unwrap();
                assert_eq!(page.items[0].id.to_string(), expected[offset as usize]);
                assert_eq!(page.total, 1_000);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_shuffle_is_whole_the_same_for_its_seed_and_other_for_another() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        fill(&catalog, 500).await;
        catalog.apply((0..100).map(|n| Change::RemoveTrack { id: track_id(n) }).collect()).await.unwrap();
        let one = all_tracks(&catalog, &TrackList::Shuffled(1), 30).await;
        assert_eq!(one, all_tracks(&catalog, &TrackList::Shuffled(1), 7).await);
        assert_eq!(one.iter().collect::<HashSet<_>>().len(), 400);
        assert_ne!(one, all_tracks(&catalog, &TrackList::Shuffled(2), 30).await);
        assert_ne!(one, all_tracks(&catalog, &TrackList::ByName, 30).await);
    })
    .await;
}

#[tokio::test]
async fn the_cache_never_serves_what_a_batch_changed() {
    on_each(|database, place| async move {
        let catalog = Catalog::open(database).await.unwrap();
        catalog.apply(vec![artist(1), release(1, 1), track(1, 1, 1)]).await.unwrap();
        for round in 0..20_u32 {
            let before = catalog.track(track_id(1)).await.unwrap().unwrap();
            assert_eq!(catalog.track(track_id(1)).await.unwrap().unwrap(), before);
            let name = format!("Name {round}");
            let Change::Artist(mut renamed) = artist(1) else { unreachable!() };
            renamed.name.clone_from(&name);
            let mut retitled = a_release(1, 1);
            retitled.title.clone_from(&name);
            catalog
                .apply(vec![
                    Change::Artist(renamed),
                    Change::Release(retitled),
                    Change::Plays { track: track_id(1), added: 1 },
                ])
                .await
                .unwrap();
            let after = catalog.track(track_id(1)).await.unwrap().unwrap();
            assert_eq!((&after.artists[0].name, &after.release.title), (&name, &name));
            assert_eq!(after.plays, before.plays + 1);
            assert_eq!(catalog.release(release_id(1)).await.unwrap().unwrap().artists[0].name, name);
        }
        // What another process changed is seen in lists at once, and elsewhere a second later.
        let other = Catalog::open(Database::open(&place).await.unwrap()).await.unwrap();
        other.apply(vec![Change::Plays { track: track_id(1), added: 1_000 }]).await.unwrap();
        let page = catalog.list_tracks(&TrackList::ByName, &At::Offset(0), 1).await.unwrap();
        assert_eq!(page.items[0].plays, 1_021);
        other.apply(vec![Change::Plays { track: track_id(1), added: 1_000 }]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        assert_eq!(catalog.track(track_id(1)).await.unwrap().unwrap().plays, 2_021);
    })
    .await;
}

#[tokio::test]
async fn what_a_grant_needs_agrees_with_track_windows_and_release() {
    on_each(|database, place| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let window =
            |from: u64| Window { territory: Some(Territory::parse("DE").unwrap()), from: Some(from), until: None };
        let all = [release(1, 1), release(2, 1)].into_iter().chain((0..9).map(|n| track(n, 1, 1)));
        catalog.apply(all.chain([track(50, 2, 1)]).collect()).await.unwrap();
        let windows = vec![window(7), Window { territory: None, from: None, until: Some(9) }, window(3)];
        catalog.apply(vec![Change::Windows { track: track_id(4), windows: windows.clone() }]).await.unwrap();
        // Twice: read, and remembered.
        for _ in 0..2 {
            follow(&catalog, 1).await;
            follow(&catalog, 2).await;
            assert_eq!(catalog.playable(track_id(4)).await.unwrap().unwrap().windows, windows);
            assert!(catalog.playable(track_id(70)).await.unwrap().is_none());
        }
        // What each kind of change does to what is remembered.
        let mut moved = a_track(50, 1, 1);
        (moved.disc_no, moved.track_no, moved.duration_ms) = (1, 5, 77);
        let before = catalog.playable(track_id(5)).await.unwrap().unwrap();
        let mut last = a_track(5, 1, 1);
        last.disc_no = 9;
        catalog.apply(vec![Change::Track(Box::new(last))]).await.unwrap();
        assert!(catalog.playable(track_id(5)).await.unwrap().is_some());
        assert!(catalog.following(&before).await.unwrap().is_some(), "something follows its old place");
        follow(&catalog, 1).await;
        let changes = [
            Change::RemoveTrack { id: track_id(3) },
            Change::Track(Box::new(moved)),
            Change::Windows { track: track_id(4), windows: Vec::new() },
            Change::Plays { track: track_id(5), added: 3 },
            track(3, 2, 1),
        ];
        for change in changes {
            catalog.apply(vec![change]).await.unwrap();
            follow(&catalog, 1).await;
            follow(&catalog, 2).await;
        }
        assert!(catalog.playable(track_id(4)).await.unwrap().unwrap().windows.is_empty());
        // What another process changed is known a second later.
        let other = Catalog::open(Database::open(&place).await.unwrap()).await.unwrap();
        other.apply(vec![Change::RemoveTrack { id: track_id(50) }]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        assert!(catalog.playable(track_id(50)).await.unwrap().is_none());
        follow(&catalog, 1).await;
    })
    .await;
}

/// Walks a release from one track to the one that follows, which must be the order of its list, and asks for the list
/// twice.
async fn follow(catalog: &Catalog, release: u32) {
    let list = TrackList::OnRelease(release_id(release));
    let page = catalog.list_tracks(&list, &At::Offset(0), 100).await.unwrap();
    assert_eq!(page, catalog.list_tracks(&list, &At::Offset(0), 100).await.unwrap());
    let pieces = catalog.list_tracks(&list, &At::Offset(0), 2).await.unwrap();
    assert_eq!((pieces.total, pieces.items.len()), (page.total, page.items.len().min(2)));
    let mut next = match page.items.first() {
        Some(first) => catalog.playable(first.id).await.unwrap(),
        None => None,
    };
    for track in &page.items {
        let playable = next.take().expect("the list goes on");
        assert_eq!((playable.id, playable.rev, playable.duration_ms), (track.id, track.rev, track.duration_ms));
        assert_eq!((&playable.renditions, playable.release), (&track.renditions, track.release.id));
        assert_eq!(playable.windows, catalog.windows(track.id).await.unwrap());
        next = catalog.following(&playable).await.unwrap();
        assert_eq!(next, catalog.following(&playable).await.unwrap());
    }
    assert!(next.is_none(), "nothing follows the last");
}

#[tokio::test]
async fn a_track_and_what_follows_come_in_one_statement() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database.clone()).await.unwrap();
        let mut all: Vec<Change> = [release(1, 1), release(2, 1), release(3, 1)].into();
        all.extend((0..9).map(|n| track(n, 1, 1)));
        // Several of one number, and one with the largest there is.
        let mut unnumbered: Vec<Track> = (20..25).map(|n| a_track(n, 2, 1)).collect();
        unnumbered.iter_mut().for_each(|track| (track.disc_no, track.track_no) = (1, 0));
        (unnumbered[2].disc_no, unnumbered[2].track_no) = (u32::MAX, u32::MAX);
        all.extend(unnumbered.into_iter().map(|track| Change::Track(Box::new(track))));
        all.push(track(50, 3, 1));
        let window = |from| Window { territory: None, from: Some(from), until: None };
        for n in [1, 3, 4, 20, 50] {
            all.push(Change::Windows { track: track_id(n), windows: vec![window(7), window(3)] });
        }
        catalog.apply(all).await.unwrap();
        for (release, count) in [(1, 9), (2, 5), (3, 1)] {
            let list = TrackList::OnRelease(release_id(release));
            let page = catalog.list_tracks(&list, &At::Offset(0), 100).await.unwrap();
            assert_eq!(page.items.len(), count);
            for (place, track) in page.items.iter().enumerate() {
                // One that remembers nothing, and then what it remembers.
                let fresh = Catalog::open(database.clone()).await.unwrap();
                let expected = match page.items.get(place + 1) {
                    Some(next) => catalog.playable(next.id).await.unwrap(),
                    None => None,
                };
                for _ in 0..2 {
                    let (found, following) =
                        fresh.playable_with_following(track.id).await.unwrap().expect("it is there");
                    assert_eq!(Some(found), catalog.playable(track.id).await.unwrap());
                    assert_eq!(following, expected, "after {}", track.title);
                }
            }
        }
        assert!(catalog.playable_with_following(track_id(70)).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_a_batch_whole_or_not_at_all() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        catalog.apply([release(1, 1)].into_iter().chain((0..50).map(|n| track(n, 1, 1))).collect()).await.unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (catalog, is_over) = (catalog.clone(), is_over.clone());
                tokio::spawn(async move {
                    let mut pages = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let list = if reader == 0 { TrackList::OnRelease(release_id(1)) } else { TrackList::Newest };
                        let page: Page<Arc<Track>> = catalog.list_tracks(&list, &At::Offset(0), 100).await.unwrap();
                        let titles: HashSet<&str> = page.items.iter().map(|track| track.title.as_str()).collect();
                        assert_eq!(titles.len(), 1 + usize::from(titles.contains("Track 0")) * 49, "{titles:?}");
                        assert_eq!(page.items.len() as u64, page.total);
                        pages += 1;
                    }
                    pages
                })
            })
            .collect();
        for round in 0..30_u32 {
            // Each batch retitles all tracks and turns the number of them over between 50 and 60.
            let retitled = (0..50).map(|n| {
                let mut track = a_track(n, 1, 1);
                track.title = format!("Round {round}");
                Change::Track(Box::new(track))
            });
            let extra = (50..60).map(|n| match round % 2 {
                0 => {
                    let mut track = a_track(n, 1, 1);
                    track.title = format!("Round {round}");
                    Change::Track(Box::new(track))
                }
                _ => Change::RemoveTrack { id: track_id(n) },
            });
            catalog.apply(retitled.chain(extra).collect()).await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
    })
    .await;
}

#[tokio::test]
async fn names_in_any_script_with_any_quotes_come_back() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let names = [
            "Robert'); DROP TABLE catalog_tracks; --",
            "\"quoted\" \\ back\\slash",
            "椎名林檎",
            "Ærøskøbing — Ñandú 🎵👩‍🎤",
            "$1 ? :name @x %_",
            "line\nbreak\ttab\u{1}\u{2}\u{7f}",
            "İstanbul ẞ ﬁ",
        ];
        for (n, name) in (0..).zip(names) {
            let mut track = a_track(n, 1, 1);
            track.title = name.to_owned();
            track.genre = Some(name.to_owned());
            track.artists = vec![ArtistName { id: artist_id(100 + n), name: name.to_owned() }];
            catalog.apply(vec![release(1, 1), Change::Track(Box::new(track))]).await.unwrap();
            let found = catalog.track(track_id(n)).await.unwrap().unwrap();
            assert_eq!((found.title.as_str(), found.artists[0].name.as_str()), (name, name));
            let genre = catalog.list_tracks(&TrackList::Genre(name.to_owned()), &At::Offset(0), 9).await.unwrap();
            assert_eq!(genre.items.len(), 1, "{name}");
        }
        let all = all_tracks(&catalog, &TrackList::ByName, 1).await;
        assert_eq!(all.len(), names.len());
        let mut nul = a_track(99, 1, 1);
        nul.title = "a\0b".into();
        assert!(matches!(catalog.apply(vec![Change::Track(Box::new(nul))]).await, Err(Error::Refused { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_catalog_of_the_first_version_is_migrated_and_keeps_its_data() {
    on_each(|database, _| async move {
        database.migrate("catalog", &MIGRATIONS[..1]).await.unwrap();
        let insert = "INSERT INTO catalog_artists (id, name, sort_name, aliases, genres, art, plays, seat) \
                      VALUES ($1, 'Old', 'Old', '[\"Olde\"]', '[]', NULL, 7, 0)";
        database.execute(insert, vec![artist_id(1).as_str().into()]).await.unwrap();
        let listing = "INSERT INTO catalog_listings (list, key, id) VALUES (1, 'old', $1)";
        database.execute(listing, vec![artist_id(1).as_str().into()]).await.unwrap();
        database.execute("INSERT INTO catalog_landmarks VALUES (1, '', '', 1)", vec![]).await.unwrap();
        let catalog = Catalog::open(database).await.unwrap();
        let page = catalog.list_artists(&ArtistList::ByName, &At::Offset(0), 9).await.unwrap();
        assert_eq!((page.items[0].name.as_str(), page.items[0].plays, page.total), ("Old", 7, 1));
        assert_eq!(page.items[0].aliases, ["Olde"]);
        catalog.apply(vec![a_show(1)]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn podcasts_and_episodes_are_kept_and_counted() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let show = ShowId::from_digest(&digest(1));
        let episodes = (1..=5).map(|n| an_episode(n, show));
        catalog.apply([a_show(1)].into_iter().chain(episodes).collect()).await.unwrap();
        assert_eq!(catalog.show(show).await.unwrap().unwrap().episodes, 5);
        let page = catalog.list_episodes(show, &At::Offset(1), 2).await.unwrap();
        assert_eq!(page.items.iter().map(|e| e.published).collect::<Vec<_>>(), [4, 3], "latest first");
        assert_eq!(page.total, 5);
        let newest = catalog.newest_episodes(2).await.unwrap();
        assert_eq!(newest.iter().map(|e| e.published).collect::<Vec<_>>(), [5, 4]);
        let again = Change::Episode(catalog.episode(EpisodeId::from_digest(&digest(2))).await.unwrap().unwrap());
        assert_eq!(again, an_episode(2, show), "all of it comes back");
        let Change::Show(put) = a_show(1) else { unreachable!() };
        assert_eq!(catalog.show(show).await.unwrap().unwrap(), Show { episodes: 5, ..put });
        catalog.apply(vec![Change::RemoveEpisode { id: EpisodeId::from_digest(&digest(3)) }]).await.unwrap();
        assert_eq!(catalog.show(show).await.unwrap().unwrap().episodes, 4);
        catalog.apply(vec![Change::RemoveShow { id: show }]).await.unwrap();
        assert_eq!(catalog.episode(EpisodeId::from_digest(&digest(1))).await.unwrap(), None);
        assert_eq!(catalog.list_shows(&At::Offset(0), 9).await.unwrap().items, []);
        assert!(catalog.apply(vec![an_episode(1, show)]).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_change_of_date_moves_the_tracks_of_a_release() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        catalog.apply(vec![release(1, 1), track(1, 1, 1)]).await.unwrap();
        let mut moved = a_release(1, 1);
        moved.date = Some(ReleaseDate { year: 2020, month: Some(2), day: None });
        catalog.apply(vec![Change::Release(moved)]).await.unwrap();
        let in_2020 = catalog.list_tracks(&TrackList::Years(2020, 2020), &At::Offset(0), 9).await.unwrap();
        assert_eq!(in_2020.items.len(), 1);
        assert_eq!(in_2020.items[0].release.date.unwrap().month, Some(2));
        assert_eq!(all_tracks(&catalog, &TrackList::ByYear, 9).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_catalog_follows_what_ingest_has() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        let mut library: Vec<_> = (0..40).map(recorded).collect();
        let first = catalog.sync(&library).await.unwrap();
        assert_eq!(catalog.counts().await.unwrap().tracks, 40);
        assert!(first.put > 40 && first.removed == 0);
        let version = catalog.version().await.unwrap();
        assert_eq!(catalog.sync(&library).await.unwrap(), Default::default());
        assert_eq!(catalog.version().await.unwrap(), version, "nothing changed, nothing was written");

        // What came otherwise stays; a track that goes takes its release and artists along when nothing else needs them.
        catalog.apply(vec![release(500, 500), track(500, 500, 500)]).await.unwrap();
        catalog.apply(vec![Change::Plays { track: library[5].id, added: 3 }]).await.unwrap();
        library.retain(|recorded| recorded.artist.as_deref() != Some("Band 1"));
        library[3].title = "Retagged".into();
        let second = catalog.sync(&library).await.unwrap();
        assert_eq!((second.put, second.kept), (1, 0));
        assert_eq!(catalog.track(library[3].id).await.unwrap().unwrap().title, "Retagged");
        assert_eq!(catalog.counts().await.unwrap().tracks, library.len() as u64 + 1);
        let names = catalog.list_artists(&ArtistList::ByName, &At::Offset(0), 99).await.unwrap();
        assert!(names.items.iter().all(|artist| artist.name != "Band 1"));
        assert!(names.items.iter().any(|artist| artist.name == "Artist 500"));

        let third = catalog.sync(&[]).await.unwrap();
        assert_eq!(third.put, 0);
        let counts = catalog.counts().await.unwrap();
        assert_eq!((counts.artists, counts.releases, counts.tracks), (1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn an_export_makes_the_same_catalog_again() {
    on_each(|database, place| async move {
        let catalog = Catalog::open(database.clone()).await.unwrap();
        fill(&catalog, 300).await;
        let holder = ArtistName { id: artist_id(900), name: "Holder".into() };
        let shares = vec![Share { holder, right: Right::Work, territory: None, micro: WHOLE_SHARE }];
        let show = ShowId::from_digest(&digest(1));
        catalog
            .apply(vec![Change::Shares { track: track_id(3), shares }, a_show(1), an_episode(1, show)])
            .await
            .unwrap();
        let exported = export(&catalog).await;

        let folder = tempfile::tempdir().unwrap();
        let copy = Database::open(folder.path().join("copy.db").to_str().unwrap()).await.unwrap();
        let copy = Catalog::open(copy).await.unwrap();
        for batch in json::batches(exported.as_bytes()) {
            copy.import(batch.unwrap()).await.unwrap();
        }
        assert_eq!(export(&copy).await, exported, "{place}");

        let bad = format!("{}\n{}", json::line(&release(1, 1)), json::line(&track(1, 2, 1)));
        let refused = copy.import(json::batches(bad.as_bytes()).next().unwrap().unwrap()).await;
        assert!(refused.is_ok(), "release 2 is there");
        let bad = format!("{}\n\n{}", json::line(&release(1, 1)), json::line(&track(1, 5_000, 1)));
        let refused = copy.import(json::batches(bad.as_bytes()).next().unwrap().unwrap()).await.unwrap_err();
        assert!(refused.to_string().starts_with("line 3: track "), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn limits_and_cursors_of_other_lists_are_refused_or_harmless() {
    on_each(|database, _| async move {
        let catalog = Catalog::open(database).await.unwrap();
        fill(&catalog, 60).await;
        for limit in [0, 1_001, usize::MAX] {
            let page = catalog.list_tracks(&TrackList::ByName, &At::Offset(0), limit).await;
            assert!(matches!(page, Err(Error::Limit(_))));
        }
        let shuffled = catalog.list_tracks(&TrackList::Shuffled(1), &At::Offset(0), 5).await.unwrap();
        let named = catalog.list_tracks(&TrackList::ByName, &At::Offset(0), 5).await.unwrap();
        let crossed = catalog.list_tracks(&TrackList::ByName, &At::After(shuffled.next.unwrap()), 5).await;
        assert!(matches!(crossed, Err(Error::Cursor)));
        let crossed =
            catalog.list_tracks(&TrackList::OfArtist(artist_id(1)), &At::After(named.next.unwrap()), 50).await;
        let whole = catalog.list_tracks(&TrackList::OfArtist(artist_id(1)), &At::Offset(0), 50).await.unwrap();
        assert!(crossed.unwrap().items.len() <= whole.items.len());
        let far = catalog.list_tracks(&TrackList::ByName, &At::Offset(u64::MAX), 5).await.unwrap();
        assert_eq!((far.items.len(), far.next), (0, None));
        assert!(catalog.list_tracks(&TrackList::Shuffled(3), &At::Offset(u64::MAX), 5).await.unwrap().items.is_empty());
        let none: Option<Arc<Artist>> = catalog.artist(ArtistId::from_digest(&[7; 32])).await.unwrap();
        assert_eq!(none, None);
        let many = vec![TrackId::from_digest(&[1; 32]); 1_001];
        assert!(matches!(catalog.tracks(&many).await, Err(Error::Limit(1_001))));
    })
    .await;
}

async fn export(catalog: &Catalog) -> String {
    let mut text = String::new();
    catalog
        .export(|change| {
            text.push_str(&json::line(&change));
            text.push('\n');
            std::ops::ControlFlow::Continue(())
        })
        .await
        .unwrap();
    text
}
