//! Who gets an account, on each database: by invitation, where everybody may, once and not twice; and how one leaves.

mod common;

use std::sync::Arc;

use common::{NOW, PASSWORD, World, address, arrive, open, sign_up, text};
use futures_util::future::join_all;
use needledrop_core::UnixSeconds;
use needledrop_database::Database;
use needledrop_database::testing::on_each;
use needledrop_playback::account::{Plan, UserName};
use needledrop_playback::sign_up::{INVITATIONS_MAX, Lifetime};
use needledrop_playback::{Caller, Error, Issued, Playback, Policy, SignUp};

const OPEN: Policy = Policy { open: true, plan: Plan::Free, most_accounts: 1_000 };

async fn join(playback: &Playback, name: &str, invitation: Option<&str>, at: UnixSeconds) -> Result<Issued, Error> {
    let wish = SignUp { name, password: PASSWORD, territory: None, client: "test" };
    playback.join(wish, invitation, address(name.len() as u8), at).await
}

/// The administrator, who has a password of his own.
async fn administrator(playback: &Playback) -> Arc<Caller> {
    let name = UserName::parse("admin").unwrap();
    let once = playback.first_start(&name, NOW).await.unwrap().unwrap();
    let session = playback.sign_in("admin", once.password.expose(), "cli", address(200), NOW).await.unwrap();
    let caller = playback.authenticate(session.secret.expose(), NOW).await.unwrap();
    playback.change_password(&caller, once.password.expose(), PASSWORD, address(200), NOW).await.unwrap();
    playback.authenticate(session.secret.expose(), NOW).await.unwrap()
}

async fn invite(playback: &Playback, admin: &Caller, plan: Plan) -> String {
    let made = playback.invite(admin, plan, Some(text("for Bob")), Lifetime::default(), NOW).await.unwrap();
    made.secret.expose().to_owned()
}

#[tokio::test]
async fn a_private_server_takes_who_was_invited_once_and_nobody_else() {
    on_each(|database, place| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        assert!(matches!(join(&playback, "ada", None, NOW).await, Err(Error::SignUpClosed)));
        for nonsense in ["", "nonsense", "ndi_", &"x".repeat(10_000), PASSWORD] {
            assert!(
                matches!(join(&playback, "ada", Some(nonsense), NOW).await, Err(Error::NotInvited)),
                "{nonsense:.20}"
            );
        }
        let secret = invite(&playback, &admin, Plan::Premium).await;
        drop(playback);
        // What was told is on disk.
        let playback = open(Database::open(&place).await.unwrap()).await;
        let known = playback.invitations(&admin, NOW).await.unwrap();
        assert_eq!((known.len(), known[0].plan, known[0].made_by.as_str()), (1, Plan::Premium, "admin"));
        assert_eq!(known[0].note.as_ref().unwrap().as_str(), "for Bob");
        assert_eq!(known[0].expires, NOW.plus(7 * 86_400));
        // Names that cannot be had do not use it up.
        for taken in ["admin", "Demo", "r-o-o-t"] {
            assert!(matches!(join(&playback, taken, Some(&secret), NOW).await, Err(Error::Name(_))), "{taken}");
        }
        sign_up(&playback, "somebody").await.unwrap();
        assert!(matches!(join(&playback, "SomeBody", Some(&secret), NOW).await, Err(Error::NameTaken)));
        let short = SignUp { name: "bob", password: "short", territory: None, client: "test" };
        let refused = playback.join(short, Some(&secret), address(3), NOW).await;
        assert!(matches!(refused, Err(Error::Password(_))));

        let bob = join(&playback, "Bob", Some(&secret), NOW).await.unwrap();
        assert_eq!((bob.account.name.as_str(), bob.account.plan, bob.account.is_admin), ("bob", Plan::Premium, false));
        let bob = playback.authenticate(bob.secret.expose(), NOW).await.unwrap();
        assert!(playback.invitations(&admin, NOW).await.unwrap().is_empty(), "it is used up");
        assert!(matches!(join(&playback, "eve", Some(&secret), NOW).await, Err(Error::NotInvited)));
        // Who was invited invites nobody.
        assert!(matches!(playback.invitations(&bob, NOW).await, Err(Error::NotAllowed(_))));
        let wish = playback.invite(&bob, Plan::Premium, None, Lifetime::default(), NOW).await;
        assert!(matches!(wish, Err(Error::NotAllowed(_))));
        let other = playback.invite(&admin, Plan::Free, None, Lifetime::default(), NOW).await.unwrap();
        assert!(matches!(playback.uninvite(&bob, other.invitation.id).await, Err(Error::NotAllowed(_))));
        assert!(playback.sign_in("BOB", PASSWORD, "phone", address(1), NOW).await.is_ok());
        assert!(join(&playback, "carla", Some(other.secret.expose()), NOW).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_invitation_ends_when_it_is_over_or_taken_back_or_its_maker_leaves() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        let minute = Lifetime::of_seconds(60).unwrap();
        let made = playback.invite(&admin, Plan::Free, None, minute, NOW).await.unwrap();
        let late = join(&playback, "late", Some(made.secret.expose()), NOW.plus(60)).await;
        assert!(matches!(late, Err(Error::NotInvited)));
        assert!(playback.invitations(&admin, NOW.plus(60)).await.unwrap().is_empty());
        assert_eq!(playback.invitations(&admin, NOW.plus(59)).await.unwrap().len(), 1);
        assert_eq!(playback.purge(NOW.plus(59)).await.unwrap(), 0);
        assert_eq!(playback.purge(NOW.plus(60)).await.unwrap(), 1);

        let made = playback.invite(&admin, Plan::Free, None, Lifetime::default(), NOW).await.unwrap();
        playback.uninvite(&admin, made.invitation.id).await.unwrap();
        assert!(matches!(join(&playback, "ada", Some(made.secret.expose()), NOW).await, Err(Error::NotInvited)));
        assert!(matches!(playback.uninvite(&admin, made.invitation.id).await, Err(Error::NotFound)));
        // Its public name is no secret, and lets nobody in.
        let made = playback.invite(&admin, Plan::Free, None, Lifetime::default(), NOW).await.unwrap();
        let by_id = join(&playback, "ada", Some(made.invitation.id.as_str()), NOW).await;
        assert!(matches!(by_id, Err(Error::NotInvited)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_that_many_use_at_once_makes_one_account() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        let secret = invite(&playback, &admin, Plan::Free).await;
        let names: Vec<String> = (0..8).map(|n| format!("{}{n}", "x".repeat(n))).collect();
        let all = join_all(names.iter().map(|name| join(&playback, name, Some(&secret), NOW))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
        assert!(all.into_iter().filter_map(Result::err).all(|error| matches!(error, Error::NotInvited)));
        let mut there = 0;
        for (n, name) in names.iter().enumerate() {
            there += u32::from(playback.sign_in(name, PASSWORD, "test", address(100 + n as u8), NOW).await.is_ok());
        }
        assert_eq!(there, 1, "who was refused has no account either");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_invited_who_want_one_name_one_gets_it_and_the_other_keeps_his_invitation() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        let (one, two) = (invite(&playback, &admin, Plan::Free).await, invite(&playback, &admin, Plan::Free).await);
        let (first, second) =
            tokio::join!(join(&playback, "ada", Some(&one), NOW), join(&playback, "ADA", Some(&two), NOW));
        let left = if first.is_ok() { &two } else { &one };
        assert!(matches!((&first, &second), (Ok(_), Err(Error::NameTaken)) | (Err(Error::NameTaken), Ok(_))));
        assert!(join(&playback, "another", Some(left), NOW).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_everybody_may_one_name_is_one_account_and_the_server_fills_up() {
    on_each(|database, _| async move {
        let policy = Policy { plan: Plan::Premium, most_accounts: 4, ..OPEN };
        let playback = open(database).await.governed_by(policy);
        let admin = administrator(&playback).await;
        let spellings = ["ada", "Ada", "ADA", "aDa"];
        let all = join_all(spellings.iter().map(|name| join(&playback, name, None, NOW))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
        let plans: Vec<_> = all.into_iter().filter_map(Result::ok).map(|issued| issued.account.plan).collect();
        assert_eq!(plans, [Plan::Premium]);
        // Two places are left, for however many come at once.
        let names: Vec<String> = (0..6).map(|n| format!("{}{n}", "y".repeat(n))).collect();
        let all = join_all(names.iter().map(|name| join(&playback, name, None, NOW))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 2);
        assert!(all.into_iter().filter_map(Result::err).all(|error| matches!(error, Error::AccountsFull)));
        let secret = invite(&playback, &admin, Plan::Free).await;
        assert!(matches!(join(&playback, "invited", Some(&secret), NOW).await, Err(Error::AccountsFull)));
        assert_eq!(playback.invitations(&admin, NOW).await.unwrap().len(), 1, "it waits for room");
    })
    .await;
}

#[tokio::test]
async fn sign_ups_of_a_network_are_slowed_down() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        let secret = invite(&playback, &admin, Plan::Free).await;
        let tries = async |network: u8, invitation: &str| {
            let wish = SignUp { name: "ada", password: PASSWORD, territory: None, client: "test" };
            playback.join(wish, Some(invitation), address(network), NOW).await
        };
        let mut guessed = 0;
        while matches!(tries(7, "ndi_guess").await, Err(Error::NotInvited)) {
            guessed += 1;
        }
        assert_eq!(guessed, 60);
        assert!(matches!(tries(7, &secret).await, Err(Error::Limited(_))), "the right one too");
        assert!(tries(8, &secret).await.is_ok(), "others go on");
    })
    .await;
}

#[tokio::test]
async fn invitations_are_bounded() {
    on_each(|database, _| async move {
        let playback = open(database).await;
        let admin = administrator(&playback).await;
        let minute = Lifetime::of_seconds(60).unwrap();
        for _ in 0..INVITATIONS_MAX {
            playback.invite(&admin, Plan::Free, None, minute, NOW).await.unwrap();
        }
        let more = playback.invite(&admin, Plan::Free, None, minute, NOW.plus(59)).await;
        assert!(matches!(more, Err(Error::InvitationsFull)));
        assert!(
            playback.invite(&admin, Plan::Free, None, minute, NOW.plus(60)).await.is_ok(),
            "those that are over go"
        );
    })
    .await;
}

#[tokio::test]
async fn who_leaves_is_gone_with_all_credentials_and_the_name_is_free() {
    on_each(|database, _| async move {
        let (world, playback) = (World::default(), open(database.clone()).await);
        let ada = arrive(&playback, "ada").await;
        let phone = playback.make_app_password(&ada, text("phone"), NOW).await.unwrap();
        playback.grant(&ada, &world.ask(1), &world.edges(), NOW).await.unwrap();
        let key = playback.make_api_key(&ada, needledrop_playback::Scopes::all(), text("script"), NOW).await.unwrap();
        let script = playback.authenticate(key.secret.expose(), NOW).await.unwrap();
        let refused = playback.leave(&script, PASSWORD, address(1), NOW).await;
        assert!(matches!(refused, Err(Error::NotAllowed(_))), "a program cannot");
        assert!(matches!(playback.leave(&ada, "another one", address(1), NOW).await, Err(Error::WrongPassword)));

        let leaving = playback.leave(&ada, PASSWORD, address(1), NOW).await.unwrap();
        assert_eq!(leaving.account(), ada.account().id);
        playback.grant(&ada, &world.ask(2), &world.edges(), NOW).await.unwrap();
        playback.remove_account(leaving).await.unwrap();
        playback.flush().await;
        let plays = database.rows("SELECT track FROM current_plays", vec![]).await.unwrap();
        assert!(plays.is_empty(), "not even of what was on its way to the disk");
        for secret in [phone.secret.expose(), key.secret.expose()] {
            assert!(matches!(playback.authenticate(secret, NOW).await, Err(Error::WrongCredential)));
        }
        let back = playback.sign_in("ada", PASSWORD, "phone", address(1), NOW).await;
        assert!(matches!(back, Err(Error::WrongPassword)));
        let anew = sign_up(&playback, "ada").await.unwrap();
        assert_ne!(anew.account.id, ada.account().id);
        let anew = playback.authenticate(anew.secret.expose(), NOW).await.unwrap();
        assert_eq!(playback.queue(&anew).await.unwrap(), None);
        assert_eq!(playback.tokens(&anew).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    on_each(|database, _| async move {
        let playback = open(database.clone()).await;
        let admin = administrator(&playback).await;
        let stays = playback.leave(&admin, PASSWORD, address(1), NOW).await;
        assert!(matches!(stays, Err(Error::LastAdmin)));
        sign_up(&playback, "ada").await.unwrap();
        database.execute("UPDATE accounts SET is_admin = 1 WHERE name = 'ada'", vec![]).await.unwrap();
        let leaving = playback.leave(&admin, PASSWORD, address(1), NOW).await.unwrap();
        // The other one has left meanwhile.
        database.execute("UPDATE accounts SET is_admin = 0 WHERE name = 'ada'", vec![]).await.unwrap();
        assert!(matches!(playback.remove_account(leaving).await, Err(Error::LastAdmin)));
        assert!(playback.sign_in("admin", PASSWORD, "cli", address(2), NOW).await.is_ok());

        database.execute("UPDATE accounts SET is_admin = 1 WHERE name = 'ada'", vec![]).await.unwrap();
        let made = playback.invite(&admin, Plan::Free, None, Lifetime::default(), NOW).await.unwrap();
        let leaving = playback.leave(&admin, PASSWORD, address(1), NOW).await.unwrap();
        playback.remove_account(leaving).await.unwrap();
        let late = join(&playback, "guest1", Some(made.secret.expose()), NOW).await;
        assert!(matches!(late, Err(Error::NotInvited)), "what he gave ends with him");
    })
    .await;
}
