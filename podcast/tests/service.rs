//! Podcasts as the gateway meets them, on every database.

mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use needledrop_catalog::store::At;
use needledrop_catalog::{Catalog, Change};
use needledrop_core::{AccountId, EpisodeId, ShowId, UnixSeconds};
use needledrop_database::Database;
use needledrop_database::testing::on_each;
use needledrop_podcast::{Error, Podcasts, Position};
use world::{Publisher, feed, settings};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

struct House {
    catalog: Catalog,
    podcasts: Podcasts,
    publisher: Publisher,
    /// What search was told.
    told: Arc<Mutex<Vec<Change>>>,
}

impl House {
    async fn open(database: Database) -> Self {
        let catalog = Catalog::open(database.clone()).await.unwrap();
        let told: Arc<Mutex<Vec<Change>>> = Arc::default();
        let listener = told.clone();
        let announce = Box::new(move |changes: &[Change]| listener.lock().unwrap().extend_from_slice(changes));
        let podcasts = Podcasts::open(database, catalog.clone(), settings(), announce).await.unwrap();
        Self { catalog, podcasts, publisher: Publisher::open().await, told }
    }

    async fn add(&self, path: &str) -> Result<ShowId, Error> {
        self.podcasts.add(&self.publisher.url(path), account(1), NOW).await
    }

    async fn titles(&self, show: ShowId) -> Vec<String> {
        let page = self.catalog.list_episodes(show, &At::Offset(0), 100).await.unwrap();
        let mut titles: Vec<_> = page.items.into_iter().map(|episode| episode.title).collect();
        titles.sort();
        titles
    }

    async fn first_episode(&self, show: ShowId) -> EpisodeId {
        self.catalog.list_episodes(show, &At::Offset(0), 1).await.unwrap().items[0].id
    }
}

fn account(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

#[tokio::test]
async fn a_feed_is_added_once_followed_and_removed() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a", "b"]));
        let show = house.add("/feed").await.unwrap();
        assert_eq!(house.add("/feed").await.unwrap(), show, "it is known");
        assert_eq!(house.publisher.asked().len(), 1, "and not fetched again");
        assert_eq!(house.titles(show).await, ["A", "B"]);
        assert_eq!(house.told.lock().unwrap().len(), 3);

        house.publisher.page("/feed", "200 OK", "", &feed("Renamed", &["b", "c"]));
        house.podcasts.refresh(show, NOW.plus(1)).await.unwrap();
        assert_eq!(house.titles(show).await, ["B", "C"]);
        assert_eq!(house.catalog.show(show).await.unwrap().unwrap().title, "Renamed");

        house.podcasts.remove(show).await.unwrap();
        assert!(house.catalog.show(show).await.unwrap().is_none());
        assert_eq!(house.podcasts.feeds().await.unwrap(), []);
        let gone = house.told.lock().unwrap().iter().filter(|c| matches!(c, Change::RemoveEpisode { .. })).count();
        assert_eq!(gone, 3, "one left the feed, two went with the show");
        assert!(matches!(house.podcasts.remove(show).await, Err(Error::NoFeed)));
        assert!(matches!(house.podcasts.refresh(show, NOW).await, Err(Error::NoFeed)));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_feed_leaves_nothing_behind() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/page", "200 OK", "", b"<html><body>no feed</body></html>");
        assert!(matches!(house.add("/page").await, Err(Error::NotFeed(_))));
        assert!(matches!(house.add("/nothing").await, Err(Error::Fetch(_))));
        assert!(matches!(house.podcasts.add("http://10.0.0.1/", account(1), NOW).await, Err(Error::Fetch(_))));
        assert_eq!(house.podcasts.feeds().await.unwrap(), []);
        assert_eq!(house.catalog.list_shows(&At::Offset(0), 9).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test]
async fn failures_are_noted_and_episodes_stay() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/feed", "200 OK", "etag: \"a\"\r\n", &feed("Show", &["a"]));
        let show = house.add("/feed").await.unwrap();
        house.publisher.page("/feed", "503 Busy", "retry-after: 9000\r\n", b"");
        assert!(house.podcasts.refresh(show, NOW).await.is_err());
        let state = house.podcasts.feed(show).await.unwrap().unwrap();
        assert_eq!(state.failures, 1);
        assert!(state.next.unwrap() >= NOW.plus(9_000), "{state:?}");
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &[]));
        assert!(matches!(house.podcasts.refresh(show, NOW).await, Err(Error::Empty)));
        assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().failures, 2);
        assert_eq!(house.titles(show).await, ["A"], "an empty feed is a mistake");
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a", "b"]));
        house.podcasts.refresh(show, NOW).await.unwrap();
        let state = house.podcasts.feed(show).await.unwrap().unwrap();
        assert_eq!((state.failures, state.problem, state.known.etag), (0, None, None));
        house.publisher.page("/feed", "410 Gone", "", b"");
        assert!(house.podcasts.refresh(show, NOW).await.is_err());
        assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().next, None, "never again by itself");
        assert_eq!(house.titles(show).await, ["A", "B"]);
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_moves_keeps_its_show() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/old", "200 OK", "", &feed("Show", &["a"]));
        let show = house.add("/old").await.unwrap();
        house.publisher.page("/new", "200 OK", "", &feed("Show", &["a", "b"]));
        house.publisher.redirect("/old", 301, "/new");
        house.podcasts.refresh(show, NOW).await.unwrap();
        let new = house.publisher.url("/new");
        assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().url, new);
        assert_eq!(house.catalog.show(show).await.unwrap().unwrap().feed, Some(new));
        assert_eq!(house.add("/new").await.unwrap(), show, "by its new address too");
        assert_eq!(house.titles(show).await, ["A", "B"]);
    })
    .await;
}

#[tokio::test]
async fn a_feed_moves_to_a_feed_only() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a"]));
        let show = house.add("/feed").await.unwrap();
        let here = house.publisher.url("/feed");
        // A provider who parks the address for an hour, and says that this is for ever.
        house.publisher.page("/parked", "200 OK", "", b"<!doctype html><title>Soon back</title>");
        house.publisher.redirect("/feed", 301, "/parked");
        house.podcasts.refresh(show, NOW).await.unwrap_err();
        assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().url, here);
        // A slip in the publisher's own line.
        let moving = |to: &str| {
            let text = String::from_utf8(feed("Show", &["a", "b"])).unwrap();
            text.replace("<channel>", &format!("<channel><itunes:new-feed-url>{to}</itunes:new-feed-url>"))
                .replace("<rss>", "<rss xmlns:itunes=\"http://www.itunes.com/dtds/podcast-1.0.dtd\">")
        };
        for wrong in ["/nowhere", "/parked"] {
            house.publisher.page("/feed", "200 OK", "", moving(&house.publisher.url(wrong)).as_bytes());
            house.podcasts.refresh(show, NOW).await.unwrap();
            assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().url, here, "{wrong}");
        }
        house.publisher.page("/there", "200 OK", "", &feed("Show", &["a", "b", "c"]));
        house.publisher.page("/feed", "200 OK", "", moving(&house.publisher.url("/there")).as_bytes());
        house.podcasts.refresh(show, NOW).await.unwrap();
        assert_eq!(house.podcasts.feed(show).await.unwrap().unwrap().url, house.publisher.url("/there"));
    })
    .await;
}

#[tokio::test]
async fn nothing_stays_of_a_feed_that_never_came() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/same", "304 Not Modified", "", b"");
        house.add("/same").await.unwrap_err();
        assert!(house.podcasts.feeds().await.unwrap().is_empty(), "as it was, where nothing was");
        house.podcasts.add("https://a{b.example/", account(1), NOW).await.unwrap_err();
        // Whoever asked goes away before an answer: nothing of it stays, or all.
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a"]));
        for wait in [0, 1, 5, 20] {
            let adding = tokio::time::timeout(Duration::from_millis(wait), house.add("/feed")).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let shows = house.catalog.list_shows(&At::Offset(0), 10).await.unwrap().items;
            assert_eq!(house.podcasts.feeds().await.unwrap().len(), shows.len(), "{wait} ms: {adding:?}");
            for show in shows {
                house.podcasts.remove(show.id).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn feeds_that_are_due_are_looked_at_in_the_background() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a"]));
        let show = house.add("/feed").await.unwrap();
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a", "b"]));
        let later = NOW.plus(2 * 86_400);
        let clock = Arc::new(AtomicU64::new(later.0));
        let seen = clock.clone();
        let running = tokio::spawn(house.podcasts.clone().run(move || UnixSeconds(seen.load(Ordering::Relaxed))));
        let followed = async {
            while house.titles(show).await.len() < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), followed).await.expect("it is looked at");
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a", "b", "c"]));
        let due = async || house.podcasts.feed(show).await.unwrap().unwrap().next.unwrap();
        let before = due().await;
        house.podcasts.refresh_all(later.plus(299)).await.unwrap();
        assert_eq!(due().await, before, "it was looked at a moment ago");
        clock.store(later.0 + 300, Ordering::Relaxed);
        house.podcasts.refresh_all(later.plus(300)).await.unwrap();
        let followed = async {
            while house.titles(show).await.len() < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), followed).await.expect("it is looked at when somebody asks");
        running.abort();
    })
    .await;
}

#[tokio::test]
async fn positions_are_kept_by_account_and_go_with_the_episode() {
    on_each(|database, _| async move {
        let house = House::open(database).await;
        house.publisher.page("/feed", "200 OK", "", &feed("Show", &["a"]));
        let show = house.add("/feed").await.unwrap();
        let episode = house.first_episode(show).await;
        let half = Position { ms: 500, is_played: false };
        let podcasts = &house.podcasts;
        podcasts.set_position(account(1), episode, half, NOW).await.unwrap();
        assert_eq!(podcasts.positions(account(1), &[episode]).await.unwrap(), [half]);
        assert_eq!(podcasts.positions(account(2), &[episode]).await.unwrap(), [Position::default()]);
        let whole = Position { ms: 0, is_played: true };
        podcasts.set_position(account(1), episode, whole, NOW).await.unwrap();
        assert_eq!(podcasts.positions(account(1), &[episode]).await.unwrap(), [whole]);
        podcasts.set_position(account(2), episode, half, NOW).await.unwrap();
        podcasts.forget(account(2)).await.unwrap();
        let heard =
            [podcasts.positions(account(1), &[episode]).await, podcasts.positions(account(2), &[episode]).await];
        assert_eq!(heard.map(|of| of.unwrap()[0]), [whole, Position::default()], "who leaves is forgotten alone");
        podcasts.remove(show).await.unwrap();
        assert_eq!(podcasts.positions(account(1), &[episode]).await.unwrap(), [Position::default()]);
    })
    .await;
}
