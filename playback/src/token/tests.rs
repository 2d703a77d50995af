use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn token(secret: &Secret, expires: Option<u64>) -> Token {
    Token {
        id: TokenId::from_random([1; 16]),
        account: AccountId::from_random([2; 16]),
        kind: Kind::Session,
        digest: secret.digest(),
        scopes: Scopes::all(),
        client: DisplayName::parse("test").unwrap(),
        created: UnixSeconds(0),
        last_used: None,
        expires: expires.map(UnixSeconds),
    }
}

#[test]
fn a_token_admits_its_own_secret_until_it_expires() {
    let secret = Secret::bearer(Kind::Session, [9; 32]);
    let other = Secret::bearer(Kind::Session, [8; 32]);
    let token = token(&secret, Some(100));
    assert!(token.admits(&secret.digest(), UnixSeconds(99)));
    assert!(!token.admits(&secret.digest(), UnixSeconds(100)));
    assert!(!token.admits(&other.digest(), UnixSeconds(0)));
}

#[test]
fn a_use_is_written_at_most_every_minute() {
    let mut token = token(&Secret::bearer(Kind::Session, [9; 32]), None);
    assert!(token.use_is_news(UnixSeconds(5)));
    token.last_used = Some(UnixSeconds(5));
    assert!(!token.use_is_news(UnixSeconds(64)));
    assert!(token.use_is_news(UnixSeconds(65)));
    assert!(!token.use_is_news(UnixSeconds(1)), "a clock that went back is no news");
}

#[test]
fn the_proof_of_the_protocols_own_example_holds() {
    // http://www.subsonic.org/pages/api.jsp: password sesame, salt c19b2d.
    let proof = Md5Proof::parse("26719a1196d2a940705a59634eb18eab", "c19b2d").unwrap();
    assert!(proof.proves(&Secret::present("sesame").unwrap()));
    assert!(!proof.proves(&Secret::present("Sesame").unwrap()));
    assert!(Md5Proof::parse("26719A1196D2A940705A59634EB18EAB", "c19b2d").is_some_and(|upper| upper == proof));
}

#[test]
fn what_is_no_proof_is_not_read() {
    for (token, salt) in [
        ("26719a1196d2a940705a59634eb18ea", "c19b2d"),
        ("26719a1196d2a940705a59634eb18eag", "c19b2d"),
        ("+6719a1196d2a940705a59634eb18eab", "c19b2d"),
        ("26719a1196d2a940705a59634eb18eab", ""),
        ("ééééééééééééééééé", "c19b2d"),
        ("éééééééééééééééé", "c19b2d"),
    ] {
        assert_eq!(Md5Proof::parse(token, salt), None, "{token} {salt}");
    }
    assert_eq!(Md5Proof::parse(&"0".repeat(32), &"s".repeat(257)), None);
}

#[test]
fn an_app_password_comes_back_from_key_and_id_alone() {
    let (key, other) = (ServerKey::from_bytes([1; 32]), ServerKey::from_bytes([2; 32]));
    let (id, next) = (TokenId::from_random([3; 16]), TokenId::from_random([4; 16]));
    let secret = Secret::app_password(&key, id);
    assert_eq!(secret.digest(), Secret::app_password(&key, id).digest());
    assert_ne!(secret.digest(), Secret::app_password(&key, next).digest());
    assert_ne!(secret.digest(), Secret::app_password(&other, id).digest());
    assert_eq!(secret.expose().len(), 24);
    assert!(secret.expose().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
}

#[test]
fn secrets_are_bounded_and_never_shown() {
    let secret = Secret::bearer(Kind::ApiKey, [9; 32]);
    assert!(secret.expose().starts_with("ndk_") && secret.expose().len() == 47);
    let shown = format!("{secret:?} {:?} {:?}", secret.digest(), token(&secret, None));
    assert!(!shown.contains(secret.expose()) && !shown.contains("[9") && shown.contains("hidden"));
    assert!(Secret::present("").is_none() && Secret::present(&"x".repeat(129)).is_none());
}

#[test]
fn kinds_have_names_of_their_own() {
    let names: BTreeSet<_> = Kind::ALL.into_iter().map(Kind::name).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    assert!(Kind::ALL.into_iter().all(|kind| Kind::from_name(kind.name()) == Some(kind)));
    assert!(!Kind::Refresh.authenticates() && !Kind::Feed.authenticates());
}

proptest! {
    #[test]
    fn proofs_hold_exactly_for_their_secret(secret in "[ -~]{1,40}", other in "[ -~]{1,40}", salt in "[ -~]{1,40}") {
        let sum = Md5::new().chain_update(&secret).chain_update(&salt).finalize();
        let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let proof = Md5Proof::parse(&hex, &salt).unwrap();
        prop_assert!(proof.proves(&Secret::present(&secret).unwrap()));
        prop_assert_eq!(proof.proves(&Secret::present(&other).unwrap()), other == secret);
    }

    #[test]
    fn no_text_makes_the_parser_stumble(token in "\\PC{0,40}", salt in "\\PC{0,300}") {
        let _ = Md5Proof::parse(&token, &salt);
    }
}
