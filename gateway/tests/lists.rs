//! Playlists in search, on SQLite and on PostgreSQL: found by those who may see them, in step with the store.

use std::sync::Arc;

use needledrop_catalog::search::Index;
use needledrop_core::{AccountId, PlaylistId, UnixSeconds};
use needledrop_database::testing::on_each;
use needledrop_gateway::PublicLists;
use needledrop_gateway::lists::Looked;
use needledrop_gateway::lists::find::{Own, Page, find};
use needledrop_playlist::{Change, ListName, News, Playlists};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

struct World {
    index: Arc<Index>,
    lists: Arc<PublicLists>,
    playlists: Playlists,
}

impl World {
    async fn new(database: needledrop_database::Database) -> Self {
        let index = Arc::new(Index::new());
        let lists = Arc::new(PublicLists::new(index.clone()));
        let told = lists.clone();
        let playlists = Playlists::open(database).await.unwrap().telling(Box::new(move |news| told.tell(news)));
        Self { index, lists, playlists }
    }

    async fn make(&self, owner: AccountId, n: u128, name: &str, is_public: bool) {
        self.playlists.create(owner, list(n), ListName::parse(name).unwrap(), NOW).await.unwrap();
        if is_public {
            self.publish(owner, n, true).await;
        }
    }

    async fn publish(&self, owner: AccountId, n: u128, is_public: bool) {
        let change = Change { is_public: Some(is_public), ..Change::default() };
        self.playlists.rename(owner, list(n), change, NOW).await.unwrap();
    }

    async fn page(&self, reader: AccountId, text: &str, page: (usize, usize)) -> Page {
        find(&self.index, &self.playlists, (reader, Own::Included), text, page).await.unwrap()
    }

    async fn names(&self, reader: AccountId, text: &str) -> Vec<String> {
        let page = self.page(reader, text, (0, 50)).await;
        assert_eq!(page.total, page.hits.len() as u64, "what is counted is what is shown");
        page.hits.iter().map(|(list, _)| list.name.as_str().to_owned()).collect()
    }
}

fn account(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

fn list(n: u128) -> PlaylistId {
    PlaylistId::from_random(n.to_be_bytes())
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_private_playlist_is_found_by_its_owner_alone() {
    on_each(|database, _| async move {
        let world = World::new(database).await;
        let (ada, bob) = (account(1), account(2));
        world.make(ada, 1, "Rainy Sundays", false).await;
        assert_eq!(world.names(ada, "rainy sun").await, ["Rainy Sundays"]);
        assert_eq!(world.names(ada, "rany sundays").await, ["Rainy Sundays"], "with slips");
        assert_eq!(world.names(bob, "rainy sundays").await, NOTHING);
        assert_eq!(world.index.words(), 0, "and the index that others search does not even hold its words");

        world.publish(ada, 1, true).await;
        assert_eq!(world.names(bob, "rainy").await, ["Rainy Sundays"]);
        assert_eq!(world.names(ada, "rainy").await, ["Rainy Sundays"], "once, not twice");

        let change = Change { name: Some(ListName::parse("Sunny Mondays").unwrap()), ..Change::default() };
        world.playlists.rename(ada, list(1), change, NOW).await.unwrap();
        assert_eq!(world.names(bob, "rainy").await, NOTHING);
        assert_eq!(world.names(bob, "sunny").await, ["Sunny Mondays"]);

        world.publish(ada, 1, false).await;
        assert_eq!(world.names(bob, "sunny").await, NOTHING);
        assert_eq!(world.names(ada, "sunny").await, ["Sunny Mondays"]);
        world.publish(ada, 1, true).await;
        world.playlists.delete(ada, list(1)).await.unwrap();
        assert_eq!(world.names(ada, "sunny").await, NOTHING);
        assert!(world.index.is_empty());
    })
    .await;
}

#[tokio::test]
async fn pages_are_full_and_count_what_the_reader_may_see() {
    on_each(|database, _| async move {
        let world = World::new(database.clone()).await;
        let (ada, bob, eve) = (account(1), account(2), account(3));
        for n in 0..60 {
            let owner = if n % 2 == 0 { ada } else { bob };
            world.make(owner, n, &format!("Night Drive {n}"), n % 3 == 0).await;
        }
        // 20 are public, of which 10 are Ada's; 20 more of hers are private.
        for (reader, all) in [(eve, 20), (ada, 40), (bob, 40)] {
            let mut seen = Vec::new();
            for offset in (0..all).step_by(8) {
                let page = world.page(reader, "night drive", (offset, 8)).await;
                assert_eq!((page.hits.len(), page.total), (8.min(all - offset), all as u64));
                for (list, _) in page.hits {
                    assert!(list.is_public || list.owner == reader);
                    seen.push(list.id);
                }
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), all, "no playlist is on two pages");
        }
        let none = find(&world.index, &world.playlists, (ada, Own::LeftOut), "night drive", (0, 50)).await.unwrap();
        assert_eq!((none.hits.len(), none.total), (20, 20), "a credential that opens no private ones finds none");

        // The store says private before the index knows: not shown, not counted, and the page stays full.
        let hidden = "UPDATE playlists SET is_public = 0 WHERE owner = $1";
        database.execute(hidden, vec![bob.as_str().into()]).await.unwrap();
        let page = world.page(eve, "night drive", (0, 8)).await;
        assert_eq!((page.hits.len(), page.total), (8, 10));
        assert!(page.hits.iter().all(|(list, _)| list.owner == ada));
    })
    .await;
}

#[tokio::test]
async fn a_start_finds_what_the_store_holds_and_later_looks_what_was_not_told() {
    on_each(|database, _| async move {
        let before = World::new(database.clone()).await;
        let (ada, eve) = (account(1), account(3));
        before.make(ada, 1, "Public", true).await;
        before.make(ada, 2, "Private", false).await;
        let world = World::new(database.clone()).await;
        assert_eq!(world.names(eve, "public").await, NOTHING);
        assert_eq!(world.lists.follow(&world.playlists).await.unwrap(), Looked { put: 1, removed: 0 });
        assert_eq!(world.names(eve, "public").await, ["Public"]);
        assert_eq!(world.lists.follow(&world.playlists).await.unwrap(), Looked::default());

        // Another process deletes the one and publishes the other.
        before.playlists.delete(ada, list(1)).await.unwrap();
        before.publish(ada, 2, true).await;
        assert_eq!(world.names(eve, "public").await, NOTHING, "what is gone is not shown");
        assert_eq!(world.lists.follow(&world.playlists).await.unwrap(), Looked { put: 1, removed: 1 });
        assert_eq!(world.names(eve, "private").await, ["Private"]);
        assert_eq!(world.index.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn changes_that_are_told_in_the_wrong_order_end_right() {
    on_each(|database, _| async move {
        let world = World::new(database).await;
        let (ada, eve) = (account(1), account(3));
        world.make(ada, 1, "Rain", true).await;
        let public = world.playlists.seen_by(ada, &[list(1)]).await.unwrap().remove(0);
        world.publish(ada, 1, false).await;
        world.lists.tell(News::Is(&public));
        assert!(world.index.is_empty(), "the earlier revision comes too late");
        world.publish(ada, 1, true).await;
        assert_eq!(world.names(eve, "rain").await, ["Rain"]);
        world.playlists.delete(ada, list(1)).await.unwrap();
        world.lists.tell(News::Is(&public));
        assert!(world.index.is_empty(), "what is deleted does not come back");
    })
    .await;
}
