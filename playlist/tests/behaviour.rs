//! What the storage of playlists does, on SQLite and on PostgreSQL.

use std::sync::{Arc, Mutex};

use needledrop_core::{AccountId, ArtistId, PlaylistId, ReleaseId, TrackId, UnixSeconds};
use needledrop_database::testing::on_each;
use needledrop_playlist::{
    About, Change, Error, ITEMS_MAX, ItemId, ListName, Mark, News, PLAYLISTS_MAX, PUBLIC_AT_ONCE, Playlists, Rating,
    Revision, Star, Thing,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(1_800_000_100);

fn account(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

fn list(n: u128) -> PlaylistId {
    PlaylistId::from_random(n.to_be_bytes())
}

fn track(n: u128) -> TrackId {
    TrackId::from_random(n.to_be_bytes())
}

fn name(text: &str) -> ListName {
    ListName::parse(text).unwrap()
}

#[tokio::test]
async fn a_playlist_is_made_filled_moved_and_deleted() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let ada = account(1);
        let made = playlists.create(ada, list(1), name("Rain & <storm> 愛"), NOW).await.unwrap();
        assert_eq!((made.revision, made.items, made.is_public), (Revision(1), 0, false));

        let filled = playlists.add(ada, list(1), &[track(1), track(2), track(1)], NOW).await.unwrap();
        assert_eq!((filled.revision, filled.items), (Revision(2), 3));
        let contents = playlists.get(ada, list(1)).await.unwrap();
        let ids: Vec<u64> = contents.items.iter().map(|item| item.id.0).collect();
        assert_eq!(ids, [1, 2, 3], "the same track twice is two items");

        // The first and the last change places, one is new: who stays keeps name and age.
        playlists.replace_items(ada, list(1), &[track(2), track(1), track(3)], None, LATER).await.unwrap();
        let moved = playlists.get(ada, list(1)).await.unwrap();
        let items: Vec<_> = moved.items.iter().map(|item| (item.id.0, item.track, item.added)).collect();
        assert_eq!(items, [(2, track(2), NOW), (1, track(1), NOW), (4, track(3), LATER)]);
        assert_eq!((moved.playlist.changed, moved.playlist.items), (LATER, 3));

        playlists.remove(ada, list(1), &[ItemId(1), ItemId(77)], None, LATER).await.unwrap();
        let left = playlists.add(ada, list(1), &[track(9)], LATER).await.unwrap();
        assert_eq!(left.items, 3);
        let left: Vec<u64> = playlists.get(ada, list(1)).await.unwrap().items.iter().map(|item| item.id.0).collect();
        assert_eq!(left, [2, 4, 5], "a name is never given again");

        playlists.delete(ada, list(1)).await.unwrap();
        assert!(matches!(playlists.get(ada, list(1)).await, Err(Error::NotFound)));
        playlists.create(ada, list(1), name("again"), NOW).await.unwrap();
        assert!(playlists.get(ada, list(1)).await.unwrap().items.is_empty(), "items go with their playlist");
    })
    .await;
}

#[tokio::test]
async fn only_its_owner_changes_a_playlist_and_a_private_one_is_not_there_for_others() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let (ada, bob) = (account(1), account(2));
        playlists.create(ada, list(1), name("mine"), NOW).await.unwrap();
        assert!(matches!(playlists.get(bob, list(1)).await, Err(Error::NotFound)));
        assert!(matches!(playlists.delete(bob, list(1)).await, Err(Error::NotFound)));
        assert!(matches!(playlists.create(bob, list(1), name("taken"), NOW).await, Err(Error::Exists)));

        let change = Change { is_public: Some(true), about: Some(About::parse("a\nb").unwrap()), ..Change::default() };
        let open = playlists.rename(ada, list(1), change, LATER).await.unwrap();
        assert_eq!((open.name.as_str(), open.about.as_str(), open.is_public), ("mine", "a\nb", true));
        assert_eq!(playlists.get(bob, list(1)).await.unwrap().playlist, open);
        assert!(matches!(playlists.add(bob, list(1), &[track(1)], NOW).await, Err(Error::NotYours)));
        assert!(matches!(playlists.rename(bob, list(1), Change::default(), NOW).await, Err(Error::NotYours)));
        assert!(matches!(playlists.delete(bob, list(1)).await, Err(Error::NotYours)));
        assert!(playlists.list(bob).await.unwrap().is_empty());
        assert_eq!(playlists.list(ada).await.unwrap(), [open]);
    })
    .await;
}

#[tokio::test]
async fn a_stale_replacement_is_refused_and_changes_nothing() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let ada = account(1);
        let seen = playlists.create(ada, list(1), name("shared"), NOW).await.unwrap().revision;
        playlists.add(ada, list(1), &[track(1)], NOW).await.unwrap();
        let stale = playlists.replace_items(ada, list(1), &[], Some(seen), NOW).await;
        assert!(matches!(stale, Err(Error::Conflict)));
        let kept = playlists.get(ada, list(1)).await.unwrap();
        assert_eq!((kept.playlist.revision, kept.items.len()), (Revision(2), 1));
        playlists.replace_items(ada, list(1), &[], Some(Revision(2)), NOW).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn playlists_and_items_are_bounded() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let ada = account(1);
        playlists.create(ada, list(0), name("long"), NOW).await.unwrap();
        let most: Vec<TrackId> = (0..ITEMS_MAX as u128).map(track).collect();
        let long = playlists.replace_items(ada, list(0), &most, None, NOW).await.unwrap();
        assert_eq!(long.items as usize, ITEMS_MAX);
        assert!(matches!(playlists.add(ada, list(0), &[track(0)], NOW).await, Err(Error::ItemsFull)));
        let back: Vec<TrackId> = playlists.get(ada, list(0)).await.unwrap().items.iter().map(|i| i.track).collect();
        assert_eq!(back, most);
        for n in 1..PLAYLISTS_MAX as u128 {
            playlists.create(ada, list(n), name("one more"), NOW).await.unwrap();
        }
        let beyond = playlists.create(ada, list(9_999), name("too much"), NOW).await;
        assert!(matches!(beyond, Err(Error::PlaylistsFull)));
        playlists.forget(ada).await.unwrap();
        assert!(playlists.list(ada).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn stars_keep_their_moment_and_ratings_their_number() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let (ada, bob) = (account(1), account(2));
        let artist = Thing::Artist(ArtistId::from_random([1; 16]));
        let release = Thing::Release(ReleaseId::from_random([1; 16]));
        let song = Thing::Track(track(1));
        playlists.star(ada, &[artist, song, song], NOW).await.unwrap();
        playlists.star(ada, &[release, song], LATER).await.unwrap();
        let stars = playlists.starred(ada).await.unwrap();
        let expected = [(release, LATER), (artist, NOW), (song, NOW)].map(|(thing, at)| Star { thing, at });
        assert_eq!(stars, expected);
        assert!(playlists.starred(bob).await.unwrap().is_empty());

        let (three, five) = (Rating::new(3), Rating::new(5));
        playlists.rate(ada, song, three).await.unwrap();
        playlists.rate(ada, release, five).await.unwrap();
        assert_eq!(playlists.ratings(ada).await.unwrap(), [(release, five.unwrap()), (song, three.unwrap())]);
        playlists.unstar(ada, &[song, artist]).await.unwrap();
        let marks = playlists.marks(ada, &[song, artist, release]).await.unwrap();
        assert_eq!(marks.get(&song), Some(&Mark { starred: None, rating: three }));
        assert_eq!(marks.get(&release), Some(&Mark { starred: Some(LATER), rating: five }));
        assert_eq!(marks.get(&artist), None);
        playlists.rate(ada, song, None).await.unwrap();
        assert_eq!(playlists.marks(ada, &[song]).await.unwrap().len(), 0);
        playlists.forget(ada).await.unwrap();
        assert!(playlists.starred(ada).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn edits_at_the_same_moment_all_happen() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let ada = account(1);
        playlists.create(ada, list(1), name("busy"), NOW).await.unwrap();
        let mut edits = tokio::task::JoinSet::new();
        for n in 0..20 {
            let playlists = playlists.clone();
            edits.spawn(async move { playlists.add(ada, list(1), &[track(n)], NOW).await.map(drop) });
        }
        while let Some(edit) = edits.join_next().await {
            edit.unwrap().unwrap();
        }
        let contents = playlists.get(ada, list(1)).await.unwrap();
        assert_eq!((contents.items.len(), contents.playlist.revision), (20, Revision(21)));
        let mut names: Vec<u64> = contents.items.iter().map(|item| item.id.0).collect();
        names.dedup();
        assert_eq!(names, (1..=20).collect::<Vec<u64>>());
    })
    .await;
}

#[tokio::test]
async fn a_stale_list_takes_out_nothing_that_came_meanwhile() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let (ada, id) = (account(1), list(1));
        playlists.create(ada, id, name("shared"), NOW).await.unwrap();
        playlists.add(ada, id, &[track(1), track(2), track(3)], NOW).await.unwrap();
        let read = playlists.get(ada, id).await.unwrap();
        // Meanwhile one comes and one goes.
        playlists.insert(ada, id, &[track(9)], 1, NOW).await.unwrap();
        playlists.remove(ada, id, &[read.items[2].id], None, NOW).await.unwrap();
        // Who read it before turns it round and adds one.
        let wish = [track(3), track(2), track(1), track(5)];
        playlists.merge_items(ada, id, &wish, &read.items, LATER).await.unwrap();
        let whole = playlists.get(ada, id).await.unwrap();
        let tracks: Vec<TrackId> = whole.items.iter().map(|item| item.track).collect();
        assert_eq!(tracks, [track(2), track(1), track(9), track(5)]);
        playlists.move_range(ada, id, 0..1, 3, Some(whole.playlist.revision), LATER).await.unwrap();
        let stale = playlists.move_range(ada, id, 0..1, 3, Some(whole.playlist.revision), LATER).await;
        assert!(matches!(stale, Err(Error::Conflict)));
        let tracks: Vec<TrackId> = playlists.get(ada, id).await.unwrap().items.iter().map(|item| item.track).collect();
        assert_eq!(tracks, [track(1), track(9), track(2), track(5)]);
    })
    .await;
}

#[tokio::test]
async fn a_reader_sees_his_own_playlists_and_public_ones() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database).await.unwrap();
        let (ada, bob) = (account(1), account(2));
        for (owner, id) in [(ada, 1), (ada, 2), (bob, 3)] {
            playlists.create(owner, list(id), name("rain"), NOW).await.unwrap();
        }
        playlists.rename(ada, list(2), Change { is_public: Some(true), ..Change::default() }, NOW).await.unwrap();
        let asked = [list(3), list(2), list(9), list(1)];
        let seen = async |reader| {
            let seen = playlists.seen_by(reader, &asked).await.unwrap();
            seen.iter().map(|playlist| playlist.id).collect::<Vec<_>>()
        };
        assert_eq!(seen(ada).await, [list(2), list(1)], "in the order that was asked for");
        assert_eq!(seen(bob).await, [list(3), list(2)]);
        assert_eq!(seen(account(3)).await, [list(2)]);
        assert_eq!(playlists.seen_by(ada, &[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn public_playlists_are_read_to_the_end() {
    on_each(|database, _| async move {
        let playlists = Playlists::open(database.clone()).await.unwrap();
        let many = PUBLIC_AT_ONCE as u128 + 3;
        for n in 0..many {
            let owner = account((n % 7) as u8);
            playlists.create(owner, list(n), name("rain"), NOW).await.unwrap();
        }
        database.execute("UPDATE playlists SET is_public = 1 WHERE name = $1", vec!["rain".into()]).await.unwrap();
        playlists.create(account(1), list(many), name("private"), NOW).await.unwrap();
        let first = playlists.public_after(None).await.unwrap();
        assert_eq!(first.len(), PUBLIC_AT_ONCE);
        let rest = playlists.public_after(first.last().map(|last| last.id)).await.unwrap();
        let mut seen: Vec<_> = first.iter().chain(&rest).map(|playlist| playlist.id).collect();
        seen.sort();
        let mut all: Vec<_> = (0..many).map(list).collect();
        all.sort();
        assert_eq!(seen, all);
    })
    .await;
}

#[tokio::test]
async fn who_listens_is_told_of_each_change_that_was_committed() {
    on_each(|database, _| async move {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = heard.clone();
        let listener = move |news: News<'_>| {
            into.lock().unwrap().push(match news {
                News::Is(list) => format!("{} {} {}", list.name.as_str(), list.is_public, list.revision.0),
                News::Gone(id) => format!("gone {id}"),
            });
        };
        let playlists = Playlists::open(database).await.unwrap().telling(Box::new(listener));
        let ada = account(1);
        playlists.create(ada, list(1), name("a"), NOW).await.unwrap();
        let change = Change { name: Some(name("b")), is_public: Some(true), ..Change::default() };
        playlists.rename(ada, list(1), change.clone(), NOW).await.unwrap();
        assert!(playlists.rename(account(2), list(1), change, NOW).await.is_err());
        playlists.delete(ada, list(1)).await.unwrap();
        assert!(playlists.delete(ada, list(1)).await.is_err());
        playlists.create(ada, list(2), name("c"), NOW).await.unwrap();
        playlists.forget(ada).await.unwrap();
        let gone = [format!("gone {}", list(1)), format!("gone {}", list(2))];
        assert_eq!(*heard.lock().unwrap(), ["a false 1", "b true 2", &gone[0], "c false 1", &gone[1]]);
    })
    .await;
}
