//! Credentials from outside: none, wrong, expired, revoked and somebody else's; and what a thief of the database
//! finds.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::{
    NOW, PASSWORD, REDIRECT, VERIFIER, World, address, agree, arrive, open, proof_of, register, sign_up, text, wish,
};
use needledrop_core::TokenId;
use needledrop_database::testing::on_each;
use needledrop_database::{Database, Kind as DatabaseKind};
use needledrop_playback::account::{Plan, UserName};
use needledrop_playback::oauth::Refusal;
use needledrop_playback::service::Proof;
use needledrop_playback::sign_up::Lifetime;
use needledrop_playback::token::{Kind, Md5Proof};
use needledrop_playback::{
    Caller, Change, DisplayName, Error, OneTimePassword, Playback, Queue, Scope, Scopes, UnixMs,
};

fn is_wrong<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::WrongCredential))
}

fn is_no_grant<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::OAuth(Refusal::GRANT)))
}

fn proof(secret: &str) -> Md5Proof {
    use md5::{Digest, Md5};
    let sum = Md5::new().chain_update(secret).chain_update("salt01").finalize();
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    Md5Proof::parse(&hex, "salt01").unwrap()
}

#[tokio::test]
async fn no_credential_but_the_right_one_lets_anybody_in() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let issued = sign_up(&playback, "ada").await.unwrap();
        let right = issued.secret.expose();
        let (mut last, mut upper) = (right.to_owned(), right.to_uppercase());
        last.pop();
        upper.push(' ');
        let long = "x".repeat(100_000);
        let texts = ["", " ", "nds_", "\0", "' OR 1=1 --", &last, &upper, &long, issued.token.id.as_str()];
        for text in texts {
            assert!(is_wrong(playback.authenticate(text, NOW).await), "{text:.60}");
            assert!(is_wrong(playback.authenticate_as("ada", text, NOW).await), "{text:.60}");
        }
        // A digest as it stands in the database is no credential either.
        let digest: String = issued.token.digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(is_wrong(playback.authenticate(&digest, NOW).await));
        assert!(playback.authenticate(right, NOW).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn what_has_expired_lets_nobody_in_even_if_it_was_just_seen() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let issued = sign_up(&playback, "ada").await.unwrap();
        let end = issued.token.expires.unwrap();
        assert!(playback.authenticate(issued.secret.expose(), end.minus(1)).await.is_ok());
        assert!(is_wrong(playback.authenticate(issued.secret.expose(), end).await));
    })
    .await;
}

#[tokio::test]
async fn a_revocation_takes_effect_at_once() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let key = playback.make_api_key(&ada, Scopes::all(), text("script"), NOW).await.unwrap();
        let password = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
        let phone = proof(password.secret.expose());
        assert!(playback.authenticate_md5("ada", &phone, NOW).await.is_ok());
        let car = playback.make_app_password(&ada, text("car"), NOW).await.unwrap();
        let car = proof(car.secret.expose());
        assert!(playback.authenticate_md5("ada", &car, NOW).await.is_ok(), "a new one is good at once");
        assert!(playback.authenticate(key.secret.expose(), NOW).await.is_ok());
        assert!(playback.authenticate_md5("ada", &phone, NOW).await.is_ok());
        playback.revoke(&ada, key.token.id).await.unwrap();
        assert!(is_wrong(playback.authenticate(key.secret.expose(), NOW).await));
        playback.revoke(&ada, password.token.id).await.unwrap();
        assert!(is_wrong(playback.authenticate_md5("ada", &phone, NOW).await));
        assert!(is_wrong(playback.authenticate(password.secret.expose(), NOW).await));
        playback.sign_out(&ada).await.unwrap();
        assert!(matches!(playback.sign_out(&ada).await, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_the_old_one_is_no_longer_taken() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let stolen = sign_up(&playback, "ada").await.unwrap();
        let mine = playback.sign_in("ada", PASSWORD, "phone", address(1), NOW).await.unwrap();
        let ada = playback.authenticate(mine.secret.expose(), NOW).await.unwrap();
        assert!(playback.authenticate(stolen.secret.expose(), NOW).await.is_ok());
        let wrong = playback.change_password(&ada, "not the old one", "a new password", address(1), NOW).await;
        assert!(matches!(wrong, Err(Error::WrongPassword)));
        playback.change_password(&ada, PASSWORD, "a new password", address(1), NOW).await.unwrap();
        assert!(is_wrong(playback.authenticate(stolen.secret.expose(), NOW).await));
        assert!(playback.authenticate(mine.secret.expose(), NOW).await.is_ok());
        let old = playback.sign_in("ada", PASSWORD, "phone", address(1), NOW).await;
        assert!(matches!(old, Err(Error::WrongPassword)));
        assert!(playback.sign_in("ada", "a new password", "phone", address(1), NOW).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn nobody_touches_what_is_somebody_elses() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let (ada, bob) = (arrive(&playback, "ada").await, arrive(&playback, "bobby").await);
        let password = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
        for id in [password.token.id, ada.token(), TokenId::from_random([0; 16])] {
            assert!(matches!(playback.revoke(&bob, id).await, Err(Error::NotFound)));
        }
        assert!(is_wrong(playback.authenticate_as("bobby", password.secret.expose(), NOW).await));
        assert!(is_wrong(playback.authenticate_md5("bobby", &proof(password.secret.expose()), NOW).await));
        assert!(is_wrong(playback.authenticate_md5("nobody", &proof(password.secret.expose()), NOW).await));
        assert!(playback.tokens(&bob).await.unwrap().iter().all(|token| token.account == bob.account().id));
        assert!(matches!(playback.set_plan(&bob, &ada.account().name, Plan::Premium).await, Err(Error::NotAllowed(_))));

        let now = UnixMs(NOW.0 * 1_000);
        let said = Queue {
            changed: now,
            client: text("phone"),
            index: 0,
            position_ms: 0,
            playing: false,
            shuffle: false,
            repeat: Default::default(),
            items: Vec::new(),
        };
        playback.set_queue(&ada, said, now).await.unwrap();
        assert_eq!(playback.queue(&bob).await.unwrap(), None);
        let world = World::default();
        let ours = playback.grant(&ada, &world.ask(1), &world.edges(), NOW).await.unwrap();
        let theirs = playback.grant(&bob, &world.ask(1), &world.edges(), NOW).await.unwrap();
        assert_ne!(ours.playback, theirs.playback);
        // The password of another account does not remove this one.
        let wrong = playback.leave(&bob, "not bobby's", address(1), NOW).await;
        assert!(matches!(wrong, Err(Error::WrongPassword)));
    })
    .await;
}

#[tokio::test]
async fn a_login_password_is_no_app_password() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        arrive(&playback, "ada").await;
        assert!(is_wrong(playback.authenticate_md5("ada", &proof(PASSWORD), NOW).await));
        assert!(is_wrong(playback.authenticate_as("ada", PASSWORD, NOW).await));
    })
    .await;
}

#[tokio::test]
async fn a_credential_does_what_its_scopes_say_and_no_more() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let world = World::default();
        let key = playback.make_api_key(&ada, Scopes::all(), text("script"), NOW).await.unwrap();
        let key = playback.authenticate(key.secret.expose(), NOW).await.unwrap();
        assert!(matches!(playback.tokens(&key).await, Err(Error::NotAllowed(_))));
        assert!(matches!(playback.make_api_key(&key, Scopes::all(), text("x"), NOW).await, Err(Error::NotAllowed(_))));
        assert!(matches!(playback.change_account(&key, Change::default()).await, Err(Error::NotAllowed(_))));

        let program = register(&playback, &ada, true).await;
        let given = agree(&playback, &ada, &program, "user-read-private").await;
        let app = playback.authenticate(given.access.secret.expose(), NOW).await.unwrap();
        let refused = playback.grant(&app, &world.ask(1), &world.edges(), NOW).await;
        assert!(matches!(refused, Err(Error::NotAllowed(_))));
        assert!(matches!(playback.queue(&app).await, Err(Error::NotAllowed(_))));
        let all = agree(&playback, &ada, &program, &Scopes::all().to_string()).await;
        let all = playback.authenticate(all.access.secret.expose(), NOW).await.unwrap();
        assert_eq!(all.scopes(), Scopes::player(), "no program may change the account");
        // A refresh token lets nobody in, and an access token renews nothing.
        assert!(is_wrong(playback.authenticate(given.refresh.secret.expose(), NOW).await));
        assert!(is_no_grant(playback.refresh(proof_of(&program), given.access.secret.expose(), NOW).await));
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_everything_of_its_consent() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let app = register(&playback, &ada, false).await;
        let (first, other) =
            (agree(&playback, &ada, &app, "streaming").await, agree(&playback, &ada, &app, "streaming").await);
        let thief = playback.refresh(proof_of(&app), first.refresh.secret.expose(), NOW.plus(10)).await.unwrap();
        assert!(playback.authenticate(thief.access.secret.expose(), NOW.plus(11)).await.is_ok());
        // The one it was stolen from comes with the same token.
        assert!(is_no_grant(playback.refresh(proof_of(&app), first.refresh.secret.expose(), NOW.plus(20)).await));
        for ended in [&first.access, &thief.access] {
            assert!(is_wrong(playback.authenticate(ended.secret.expose(), NOW.plus(21)).await));
        }
        assert!(is_no_grant(playback.refresh(proof_of(&app), thief.refresh.secret.expose(), NOW.plus(22)).await));
        assert!(playback.authenticate(other.access.secret.expose(), NOW.plus(22)).await.is_ok(), "another consent");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_once_for_its_program_and_its_verifier() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let ada = arrive(&playback, "ada").await;
        let (app, other) = (register(&playback, &ada, true).await, register(&playback, &ada, true).await);
        let code = playback.consent(&ada, &wish(&app.client, "streaming"), NOW).await.unwrap();
        let exchange = async |proof: Proof<'_>, verifier: &str, at| {
            playback.exchange_code(proof, code.expose(), Some(REDIRECT), Some(verifier), at).await
        };
        let id = app.client.id.as_str();
        for secret in [None, Some("ndp_wrong"), other.secret.as_ref().map(|secret| secret.expose())] {
            let refused = exchange(Proof { client: id, secret }, VERIFIER, NOW).await;
            assert!(matches!(refused, Err(Error::OAuth(Refusal::CLIENT))));
        }
        assert!(is_no_grant(exchange(proof_of(&other), VERIFIER, NOW).await), "somebody else's code");
        let refused = exchange(proof_of(&app), &"a".repeat(43), NOW).await;
        assert!(matches!(refused, Err(Error::OAuth(Refusal::VERIFIER))));
        assert!(is_no_grant(exchange(proof_of(&app), VERIFIER, NOW.plus(60)).await), "too late");
        let given = exchange(proof_of(&app), VERIFIER, NOW.plus(59)).await.unwrap();
        assert!(playback.authenticate(given.access.secret.expose(), NOW.plus(60)).await.is_ok());
        assert!(is_no_grant(exchange(proof_of(&app), VERIFIER, NOW.plus(59)).await), "a second time");
        let ended = playback.authenticate(given.access.secret.expose(), NOW.plus(60)).await;
        assert!(is_wrong(ended), "a code that comes twice ends what it gave");
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_the_address_of_a_feed_opens_feeds_and_nothing_else() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let ada = arrive(&playback, "ada").await;
        let name = || DisplayName::parse("AntennaPod").unwrap();
        let feed = playback.make_feed_key(&ada, name(), NOW).await.unwrap();
        let secret = feed.secret.expose();
        assert!(secret.starts_with("ndf_") && feed.token.expires.is_none());
        let caller = playback.authenticate_feed(secret, NOW).await.unwrap();
        assert_eq!((caller.kind(), caller.client().as_str()), (Kind::Feed, "AntennaPod"));
        assert!(playback.grant(&caller, &world.ask(1), &world.edges(), NOW).await.is_ok());
        // Asked again, when it is known already: still nothing else.
        for _ in 0..2 {
            assert!(is_wrong(playback.authenticate(secret, NOW).await));
            assert!(is_wrong(playback.authenticate_as("ada", secret, NOW).await));
        }
        assert!(is_wrong(playback.authenticate_md5("ada", &proof(secret), NOW).await));
        for refused in
            [playback.tokens(&caller).await.is_err(), playback.make_feed_key(&caller, name(), NOW).await.is_err()]
        {
            assert!(refused, "it manages credentials");
        }
        // No other kind opens feeds.
        let key = playback.make_api_key(&ada, Scopes::all(), name(), NOW).await.unwrap();
        let password = playback.make_app_password(&ada, name(), NOW).await.unwrap();
        let session = playback.sign_in("ada", PASSWORD, "test", address(1), NOW).await.unwrap();
        for other in [&key.secret, &password.secret, &session.secret] {
            assert!(playback.authenticate(other.expose(), NOW).await.is_ok());
            assert!(is_wrong(playback.authenticate_feed(other.expose(), NOW).await));
        }
        let listed = playback.tokens(&ada).await.unwrap();
        assert!(listed.iter().any(|token| token.id == feed.token.id && token.kind == Kind::Feed));
        playback.revoke(&ada, feed.token.id).await.unwrap();
        assert!(is_wrong(playback.authenticate_feed(secret, NOW).await));
    })
    .await;
}

#[tokio::test]
async fn a_program_of_its_own_reads_and_ends_with_its_registration() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let (ada, bob) = (arrive(&playback, "ada").await, arrive(&playback, "bobby").await);
        let (app, public) = (register(&playback, &ada, true).await, register(&playback, &ada, false).await);
        let refused = playback.client_token(proof_of(&public), NOW).await;
        assert!(matches!(refused, Err(Error::OAuth(Refusal::NO_SECRET))));
        let own = playback.client_token(proof_of(&app), NOW).await.unwrap();
        let caller = playback.authenticate(own.secret.expose(), NOW).await.unwrap();
        assert_eq!((caller.kind(), caller.scopes()), (Kind::Client, [Scope::CatalogRead].into_iter().collect()));
        assert!(playback.grant(&caller, &world.ask(1), &world.edges(), NOW).await.is_err());
        let given = agree(&playback, &bob, &app, "streaming").await;
        assert!(matches!(playback.remove_client(&bob, app.client.id).await, Err(Error::NotFound)));
        assert_eq!(playback.clients(&ada).await.unwrap().len(), 2);
        // Revoked by the program itself, and a nonsense token is no error.
        let spare = agree(&playback, &bob, &app, "streaming").await;
        playback.revoke_by_client(proof_of(&app), "nonsense").await.unwrap();
        playback.revoke_by_client(proof_of(&app), spare.refresh.secret.expose()).await.unwrap();
        assert!(is_wrong(playback.authenticate(spare.access.secret.expose(), NOW).await));
        // Bob ends what he allowed: both tokens of it.
        let third = agree(&playback, &bob, &app, "streaming").await;
        assert!(playback.authenticate(third.access.secret.expose(), NOW).await.is_ok());
        playback.revoke(&bob, third.refresh.token.id).await.unwrap();
        assert!(is_wrong(playback.authenticate(third.access.secret.expose(), NOW).await));
        // With the program goes everything that anybody gave it.
        assert!(playback.authenticate(given.access.secret.expose(), NOW).await.is_ok());
        playback.remove_client(&ada, app.client.id).await.unwrap();
        for secret in [&own.secret, &given.access.secret] {
            assert!(is_wrong(playback.authenticate(secret.expose(), NOW).await));
        }
        assert!(matches!(playback.client(app.client.id.as_str()).await, Err(Error::OAuth(Refusal::CLIENT))));
    })
    .await;
}

#[tokio::test]
async fn who_must_change_the_password_can_do_that_and_nothing_else() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database).await);
        let made = playback.first_start(&UserName::parse("admin").unwrap(), NOW).await.unwrap().unwrap();
        let session = playback.sign_in("admin", made.password.expose(), "cli", address(1), NOW).await.unwrap();
        let admin = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
        let refused = [
            playback.grant(&admin, &world.ask(1), &world.edges(), NOW).await.err(),
            playback.set_plan(&admin, &made.name, Plan::Free).await.err(),
            playback.make_app_password(&admin, text("phone"), NOW).await.err(),
            playback.make_api_key(&admin, Scopes::all(), text("script"), NOW).await.err(),
            playback.register_client(&admin, text("app"), vec![], true, NOW).await.err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, Some(Error::NotAllowed(_)))), "{refused:?}");
        playback.change_password(&admin, made.password.expose(), "my own words", address(1), NOW).await.unwrap();
        let admin = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
        assert!(playback.set_plan(&admin, &made.name, Plan::Free).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_a_name_that_does_not_exist_behaves_the_same() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        arrive(&playback, "ada").await;
        for name in ["ada", "nobody"] {
            let mut limited = 0;
            for n in 0..15 {
                match playback.sign_in(name, "a wrong guess", "x", address(n), NOW).await.unwrap_err() {
                    Error::WrongPassword => {}
                    Error::Limited(wait) => limited += u32::from(wait.as_secs() >= 59),
                    other => panic!("{name}: {other}"),
                }
            }
            assert_eq!(limited, 5, "{name}");
        }
    })
    .await;
}

/// The work for a name that does not exist is the same argon2 run: the medians of interleaved tries are of one size,
/// on a busy machine too. A missing run would make them differ by more than ten to one.
#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let playback = open(Database::open(folder.path().join("t.db").to_str().unwrap()).await.unwrap()).await;
    arrive(&playback, "ada").await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..9 {
        for (name, times) in [("ada", &mut known), ("nobody", &mut unknown)] {
            let begun = Instant::now();
            let wrong = playback.sign_in(name, "a wrong guess", "x", address(n), NOW).await;
            times.push(begun.elapsed());
            assert!(matches!(wrong, Err(Error::WrongPassword)));
        }
    }
    known.sort();
    unknown.sort();
    let (known, unknown) = (known[4].as_secs_f64(), unknown[4].as_secs_f64());
    assert!((0.33..3.0).contains(&(unknown / known)), "known {known} s, unknown {unknown} s");
}

#[tokio::test]
async fn a_thief_of_the_database_finds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("t.db");
    let database = Database::open(place.to_str().unwrap()).await.unwrap();
    assert_eq!(database.kind(), DatabaseKind::Sqlite);
    let playback = open(database.clone()).await;
    let session = sign_up(&playback, "ada").await.unwrap();
    let ada = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
    let key = playback.make_api_key(&ada, Scopes::all(), text("script"), NOW).await.unwrap();
    let password = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
    let app = register(&playback, &ada, true).await;
    let code = playback.consent(&ada, &wish(&app.client, "streaming"), NOW).await.unwrap();
    let oauth = agree(&playback, &ada, &app, "streaming").await;
    let admin = playback.first_start(&UserName::parse("root").unwrap(), NOW).await.unwrap().unwrap();
    assert!(playback.authenticate_md5("ada", &proof(password.secret.expose()), NOW).await.is_ok());
    playback
        .change_password(&*sign_in(&playback, &admin).await, admin.password.expose(), NEW, address(9), NOW)
        .await
        .unwrap();
    let root = playback.sign_in("root", NEW, "cli", address(9), NOW).await.unwrap();
    let root = playback.authenticate(root.secret.expose(), NOW).await.unwrap();
    let invited = playback.invite(&root, Plan::Free, None, Lifetime::default(), NOW).await.unwrap();
    playback.close().await;

    let secrets = [
        invited.secret.expose(),
        NEW,
        PASSWORD,
        session.secret.expose(),
        key.secret.expose(),
        password.secret.expose(),
        app.secret.as_ref().unwrap().expose(),
        code.expose(),
        oauth.access.secret.expose(),
        oauth.refresh.secret.expose(),
        admin.password.expose(),
    ];
    let search = || {
        let files = ["t.db", "t.db-wal"].map(|name| std::fs::read(folder.path().join(name)).unwrap_or_default());
        assert!(files.iter().any(|bytes| holds(bytes, "$argon2id$")), "the search looks at the right bytes");
        assert!(files.iter().any(|bytes| holds(bytes, ada.account().id.as_str())));
        for secret in secrets {
            assert!(files.iter().all(|bytes| !holds(bytes, secret)), "a secret is in the database");
            // Nor without its beginning, which is the same for all of a kind.
            assert!(files.iter().all(|bytes| !holds(bytes, &secret[4..])), "a secret is in the database");
        }
    };
    search();
    database.close().await;
    search();
    assert!(holds(&std::fs::read(Path::new(&place)).unwrap(), "app-password"));
}

const NEW: &str = "a sentence of my own";

async fn sign_in(playback: &Playback, once: &OneTimePassword) -> Arc<Caller> {
    let session = playback.sign_in(once.name.as_str(), once.password.expose(), "cli", address(9), NOW).await.unwrap();
    playback.authenticate(session.secret.expose(), NOW).await.unwrap()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn nothing_shows_a_secret_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let playback = open(Database::open(folder.path().join("t.db").to_str().unwrap()).await.unwrap()).await;
    let session = sign_up(&playback, "ada").await.unwrap();
    let ada = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
    let password = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
    assert_eq!(password.token.kind, Kind::AppPassword);
    assert!(playback.authenticate_md5("ada", &proof(password.secret.expose()), NOW).await.is_ok());
    let admin = playback.first_start(&UserName::parse("root").unwrap(), NOW).await.unwrap().unwrap();
    let shown = format!("{session:?} {password:?} {ada:?} {playback:?} {admin:?}");
    for secret in [session.secret.expose(), password.secret.expose(), PASSWORD, admin.password.expose(), "$argon2id"] {
        assert!(!shown.contains(secret));
    }
}
