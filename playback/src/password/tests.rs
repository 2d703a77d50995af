use super::*;

fn password(text: &str) -> Password {
    Password::choose(text).unwrap()
}

#[test]
fn the_right_password_fits_and_no_other() {
    let kept = hash(&password("correct horse"), [5; SALT_BYTES]);
    assert!(kept.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(verify(&password("correct horse"), Some(&kept)), Verdict::Right);
    assert_eq!(verify(&password("correct horsf"), Some(&kept)), Verdict::Wrong);
    assert_eq!(PasswordHash::parse(kept.as_str()), Some(kept.clone()));
    assert_ne!(hash(&password("correct horse"), [6; SALT_BYTES]), kept, "the salt makes a difference");
}

#[test]
fn nobody_has_no_password_but_costs_the_same_work() {
    assert_eq!(verify(&password("anything at all"), None), Verdict::Wrong);
    let nobody = phc::PasswordHash::new(NOBODY).unwrap();
    assert!(is_current(&nobody), "the dummy must follow the parameters");
}

#[test]
fn a_hash_of_older_parameters_fits_and_asks_to_be_replaced() {
    let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, Some(32)).unwrap());
    let kept: phc::PasswordHash = old.hash_password_with_salt(b"correct horse", &[1; 16]).unwrap();
    let kept = PasswordHash::parse(&kept.to_string()).unwrap();
    assert_eq!(verify(&password("correct horse"), Some(&kept)), Verdict::RightButOld);
    assert_eq!(verify(&password("wrong horse!"), Some(&kept)), Verdict::Wrong);
}

#[test]
fn what_is_no_hash_or_costs_too_much_is_not_read() {
    for text in [
        "",
        "plain",
        "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=4000000,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(PasswordHash::parse(text), None, "{text}");
    }
}

#[test]
fn passwords_are_bounded_and_never_shown() {
    assert_eq!(Password::choose("1234567").unwrap_err(), PasswordRefusal::TooShort);
    assert!(Password::choose("ΛΛΛΛΛΛΛΛ").is_ok(), "characters are counted, not bytes");
    assert_eq!(Password::present(&"x".repeat(1025)).unwrap_err(), PasswordRefusal::TooLong);
    assert!(Password::present("").is_ok(), "who tries may try anything");
    assert_eq!(format!("{:?}", password("correct horse")), "Password(hidden)");
}
