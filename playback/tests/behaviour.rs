//! What accounts, queues and plays do on each database, and what is still there after a restart.

mod common;

use std::collections::BTreeSet;

use common::{NOW, PASSWORD, World, address, agree, arrive, open, proof_of, register, sign_up, text};
use needledrop_core::{TrackId, verify};
use needledrop_database::Database;
use needledrop_database::testing::on_each;
use needledrop_playback::account::{Plan, Settings, UserName};
use needledrop_playback::devices::DEVICES_MAX;
use needledrop_playback::quality::{Reason, Wish};
use needledrop_playback::queue::{QUEUE_TRACKS_MAX, Repeat};
use needledrop_playback::token::{Kind, Md5Proof, TOKENS_MAX};
use needledrop_playback::{Ask, Change, Error, Queue, Scope, Scopes, Start, UnixMs};

#[tokio::test]
async fn who_signed_up_can_sign_in_after_a_restart() {
    on_each(|database, place| async move {
        let playback = open(database).await;
        let issued = sign_up(&playback, "Ada").await.unwrap();
        assert_eq!(issued.account.plan, Plan::Free);
        drop(playback);
        let again = open(Database::open(&place).await.unwrap()).await;
        let caller = again.authenticate(issued.secret.expose(), NOW).await.unwrap();
        assert_eq!(caller.account().name.as_str(), "ada");
        let second = again.sign_in("ADA ", PASSWORD, "phone", address(1), NOW).await.unwrap();
        assert_eq!(second.account.id, caller.account().id);
        again.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_want_one_name_at_once_one_gets_it() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let all = futures_util::future::join_all((0..8).map(|_| sign_up(&playback, "ada"))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
        assert!(all.into_iter().filter_map(Result::err).all(|error| matches!(error, Error::NameTaken)));
    })
    .await;
}

#[tokio::test]
async fn a_play_keeps_its_id_through_a_seek_and_a_restart_of_the_server_but_not_of_the_track() {
    on_each(|database, place| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let first = playback.grant(&ada, &world.ask(1), &world.edges(), NOW).await.unwrap();
        let seek = playback.grant(&ada, &world.ask(1), &world.edges(), NOW.plus(60)).await.unwrap();
        assert_eq!(seek.playback, first.playback);
        playback.close().await;

        let playback = open(Database::open(&place).await.unwrap()).await;
        let after = playback.grant(&ada, &world.ask(1), &world.edges(), NOW.plus(90)).await.unwrap();
        assert_eq!(after.playback, first.playback);
        let phone = text("phone");
        let elsewhere = Ask { device: Some(&phone), ..world.ask(1) };
        assert_ne!(playback.grant(&ada, &elsewhere, &world.edges(), NOW).await.unwrap().playback, first.playback);
        let zero = Ask { start: Start::Zero, ..world.ask(1) };
        let begun = playback.grant(&ada, &zero, &world.edges(), NOW.plus(95)).await.unwrap();
        assert_ne!(begun.playback, first.playback);

        playback.heard(&ada, None, world.track(1).id).await;
        playback.close().await;
        let playback = open(Database::open(&place).await.unwrap()).await;
        let anew = playback.grant(&ada, &world.ask(1), &world.edges(), NOW.plus(99)).await.unwrap();
        assert_ne!(anew.playback, begun.playback);
        playback.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_scrobble_at_half_time_belongs_to_the_play_and_does_not_end_it() {
    on_each(|database, place| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let track = world.track(1);
        let first = playback.grant(&ada, &world.ask(1), &world.edges(), NOW).await.unwrap().playback;
        let said = playback.scrobbled(&ada, None, track.id, track.duration_ms, NOW.plus(100)).await.unwrap();
        assert_eq!(said, Some(first));
        playback.close().await;

        let playback = open(Database::open(&place).await.unwrap()).await;
        let seek = playback.grant(&ada, &world.ask(1), &world.edges(), NOW.plus(190)).await.unwrap().playback;
        assert_eq!(seek, first, "the end of the play is on disk, and is not yet");
        let anew = playback.grant(&ada, &world.ask(1), &world.edges(), NOW.plus(200)).await.unwrap().playback;
        assert_ne!(anew, first);
        let other = world.track(2);
        assert_eq!(playback.scrobbled(&ada, None, other.id, other.duration_ms, NOW).await.unwrap(), None);
        playback.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_of_one_play_at_once_bear_one_id() {
    on_each(|database, place| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let (edges, ask) = (world.edges(), world.ask(1));
        let all = || futures_util::future::join_all((0..16).map(|_| playback.grant(&ada, &ask, &edges, NOW)));
        let ids: BTreeSet<_> = all().await.into_iter().map(|grant| grant.unwrap().playback).collect();
        assert_eq!(ids.len(), 1);
        playback.flush().await;
        // And the one of them that is on disk is that one.
        let other = open(Database::open(&place).await.unwrap()).await;
        let again = other.grant(&ada, &ask, &edges, NOW).await.unwrap().playback;
        assert!(ids.contains(&again));
        other.close().await;
    })
    .await;
}

/// A copy of the files while they are in use is what a crash leaves behind.
#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let playback = open(Database::open(file("live.db").to_str().unwrap()).await.unwrap()).await;
    let mut told = Vec::new();
    for n in 0..5 {
        let name = format!("ada{}", "x".repeat(n));
        told.push(sign_up(&playback, &name).await.unwrap());
        for end in ["", "-wal"] {
            std::fs::copy(file(&format!("live.db{end}")), file(&format!("crash{n}.db{end}"))).unwrap();
        }
        let after = open(Database::open(file(&format!("crash{n}.db")).to_str().unwrap()).await.unwrap()).await;
        for issued in &told {
            assert!(after.authenticate(issued.secret.expose(), NOW).await.is_ok(), "after {n}");
        }
        after.close().await;
    }
}

#[tokio::test]
async fn settings_and_plan_decide_the_quality_at_once() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let issued = sign_up(&playback, "ada").await.unwrap();
        let come = || async { playback.authenticate(issued.secret.expose(), NOW).await.unwrap() };
        let quality = || async {
            let grant = playback.grant(&*come().await, &world.ask(1), &world.edges(), NOW).await.unwrap();
            (grant.rendition.rendition.kbps.value(), grant.reason)
        };
        assert_eq!(quality().await, (160, Reason::Plan));

        let admin_name = UserName::parse("root").unwrap();
        let one_time = playback.first_start(&admin_name, NOW).await.unwrap().unwrap();
        let session = playback.sign_in("root", one_time.password.expose(), "cli", address(9), NOW).await.unwrap();
        let admin = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
        playback.change_password(&admin, one_time.password.expose(), "a better one", address(9), NOW).await.unwrap();
        let admin = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
        playback.set_plan(&admin, &issued.account.name, Plan::Premium).await.unwrap();
        assert_eq!(quality().await, (320, Reason::Plan));

        let settings = Settings { quality: Wish::Low, ..Settings::default() };
        let change = Change { settings: Some(settings), shown_as: Some(text("Ada Λ")), ..Change::default() };
        playback.change_account(&*come().await, change).await.unwrap();
        assert_eq!(quality().await, (96, Reason::Setting));
        let account = come().await.account().clone();
        assert_eq!((account.shown_as.as_str(), account.plan), ("Ada Λ", Plan::Premium));
    })
    .await;
}

#[tokio::test]
async fn a_grant_verifies_at_the_edge_under_a_name_of_the_day() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let uid = |at| {
            let (world, playback, ada) = (&world, &playback, &ada);
            async move {
                let grant = playback.grant(ada, &world.ask(1), &world.edges(), at).await.unwrap();
                let target = grant.urls[0].strip_prefix("https://edge.example").unwrap();
                let signed = verify(target, &world.keys, at).unwrap();
                assert_eq!(signed.claims().playback, Some(grant.playback));
                signed.claims().user.clone().unwrap()
            }
        };
        let today = uid(NOW).await;
        assert_eq!(uid(NOW.plus(10)).await, today);
        assert_ne!(uid(NOW.plus(86_400)).await, today);
    })
    .await;
}

fn queue(changed: u64, tracks: usize) -> Queue {
    Queue {
        changed: UnixMs(changed),
        client: text("phone"),
        index: 0,
        position_ms: 5_000,
        playing: true,
        shuffle: false,
        repeat: Repeat::Queue,
        items: (0..tracks).map(|n| TrackId::from_random((n as u128).to_be_bytes())).collect(),
    }
}

#[tokio::test]
async fn the_later_queue_stands_whatever_comes_last_and_survives_a_restart() {
    on_each(|database, place| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let now = UnixMs(NOW.0 * 1_000);
        assert_eq!(playback.queue(&ada).await.unwrap(), None);
        assert!(playback.set_queue(&ada, queue(now.0 - 10, QUEUE_TRACKS_MAX), now).await.unwrap());
        assert!(!playback.set_queue(&ada, queue(now.0 - 20, 1), now).await.unwrap());
        assert!(matches!(
            playback.set_queue(&ada, queue(now.0, QUEUE_TRACKS_MAX + 1), now).await,
            Err(Error::Queue(_))
        ));
        playback.close().await;
        let playback = open(Database::open(&place).await.unwrap()).await;
        assert_eq!(playback.queue(&ada).await.unwrap(), Some(queue(now.0 - 10, QUEUE_TRACKS_MAX)));

        // Two words of the same millisecond: both orders of arrival end in the same one.
        let (one, two) = (queue(now.0, 2), queue(now.0, 3));
        let mut ends = Vec::new();
        for order in [[&one, &two, &one], [&two, &one, &two]] {
            for said in order {
                playback.set_queue(&ada, said.clone(), now).await.unwrap();
            }
            ends.push(playback.queue(&ada).await.unwrap().unwrap());
        }
        assert_eq!(ends[0], ends[1]);
        playback.close().await;
    })
    .await;
}

#[tokio::test]
async fn devices_are_bounded_and_the_last_seen_stay() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        for n in 0..DEVICES_MAX as u64 + 3 {
            let device = text(&format!("device {n}"));
            let ask = Ask { device: Some(&device), ..world.ask(1) };
            playback.grant(&ada, &ask, &world.edges(), NOW.plus(n)).await.unwrap();
        }
        playback.flush().await;
        let devices = playback.devices(&ada).await.unwrap();
        assert_eq!(devices.len(), DEVICES_MAX);
        assert_eq!((devices[0].name.as_str(), devices[49].name.as_str()), ("device 52", "device 3"));
        playback.forget_device(&ada, &devices[0].name).await.unwrap();
        assert!(matches!(playback.forget_device(&ada, &devices[0].name).await, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn credentials_are_bounded_sessions_make_room_and_what_was_made_by_hand_does_not() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let first = sign_up(&playback, "ada").await.unwrap();
        let mut last = first.clone();
        for n in 0..TOKENS_MAX as u64 {
            // Within the bounds of trying: one a minute.
            let now = NOW.plus(60 * (n + 1));
            last = playback.sign_in("ada", PASSWORD, "phone", address(n as u8), now).await.unwrap();
        }
        let now = NOW.plus(10_000);
        assert!(matches!(playback.authenticate(first.secret.expose(), now).await, Err(Error::WrongCredential)));
        let ada = playback.authenticate(last.secret.expose(), now).await.unwrap();
        for n in 0..TOKENS_MAX {
            playback.make_api_key(&ada, Scopes::player(), text(&format!("key {n}")), now).await.unwrap();
        }
        let more = playback.make_api_key(&ada, Scopes::player(), text("one more"), now).await;
        assert!(matches!(more, Err(Error::TokensFull)));
        assert_eq!(playback.tokens(&ada).await.unwrap().len(), 2 * TOKENS_MAX);
    })
    .await;
}

#[tokio::test]
async fn an_app_password_proves_itself_by_md5_and_in_the_clear_after_a_restart_too() {
    on_each(|database, place| async move {
        use md5::{Digest, Md5};
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        for other in ["car", "tv", "watch"] {
            playback.make_app_password(&ada, text(other), NOW).await.unwrap();
        }
        let issued = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
        let secret = issued.secret.expose().to_owned();
        playback.close().await;
        let playback = open(Database::open(&place).await.unwrap()).await;
        for salt in ["c19b2d", "another"] {
            let sum = Md5::new().chain_update(&secret).chain_update(salt).finalize();
            let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            let proof = Md5Proof::parse(&hex, salt).unwrap();
            let caller = playback.authenticate_md5("Ada", &proof, NOW).await.unwrap();
            assert_eq!((caller.client().as_str(), caller.kind()), ("phone", Kind::AppPassword));
            assert!(caller.may(Scope::Streaming).is_ok() && caller.may(Scope::Account).is_err());
        }
        assert!(playback.authenticate_as("ada", &secret, NOW).await.is_ok());
        playback.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_exchange() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let scopes = Scopes::parse("streaming user-read-playback-state");
        let app = register(&playback, &ada, false).await;
        let given = agree(&playback, &ada, &app, "streaming user-read-playback-state").await;
        let renewed = playback.refresh(proof_of(&app), given.refresh.secret.expose(), NOW.plus(10)).await.unwrap();
        let caller = playback.authenticate(renewed.access.secret.expose(), NOW.plus(3_000)).await.unwrap();
        assert_eq!(caller.scopes(), scopes.iter().chain([Scope::CatalogRead]).collect());
        let expired = playback.authenticate(renewed.access.secret.expose(), NOW.plus(3_610)).await;
        assert!(matches!(expired, Err(Error::WrongCredential)));
    })
    .await;
}

#[tokio::test]
async fn the_first_start_makes_one_administrator_once() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let name = UserName::parse("admin").unwrap();
        let (one, two) = tokio::join!(playback.first_start(&name, NOW), playback.first_start(&name, NOW));
        assert_eq!([one.unwrap(), two.unwrap()].iter().flatten().count(), 1);
        assert!(playback.first_start(&name, NOW).await.unwrap().is_none());
        let reset = playback.reset_password(&name).await.unwrap();
        assert!(playback.sign_in("admin", reset.password.expose(), "cli", address(1), NOW).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn the_demo_account_listens_and_changes_nothing() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let (one, two) =
            (playback.demo(&text("page"), NOW).await.unwrap(), playback.demo(&text("page"), NOW).await.unwrap());
        assert_eq!(one.account.id, two.account.id);
        let demo = playback.authenticate(one.secret.expose(), NOW).await.unwrap();
        assert!(playback.grant(&demo, &world.ask(1), &world.edges(), NOW).await.is_ok());
        assert!(matches!(playback.tokens(&demo).await, Err(Error::NotAllowed(_))));
    })
    .await;
}

#[tokio::test]
async fn what_is_over_is_purged() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let app = register(&playback, &ada, true).await;
        agree(&playback, &ada, &app, "streaming").await;
        playback.grant(&ada, &world.ask(1), &world.edges(), NOW).await.unwrap();
        playback.flush().await;
        assert_eq!(playback.purge(NOW.plus(659)).await.unwrap(), 0);
        assert_eq!(playback.purge(NOW.plus(86_400)).await.unwrap(), 3, "the access token, the code and the play");
    })
    .await;
}
