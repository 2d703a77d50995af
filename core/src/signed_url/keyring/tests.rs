//! Rings, their file, and a rotation in which nobody hears a gap.

use super::*;
use crate::object_path::ObjectPath;
use crate::refusal::Refusal;
use crate::signed_url::{Claims, sign, verify};
use crate::time::UnixSeconds;
use proptest::prelude::*;

const NOW: UnixSeconds = UnixSeconds(1_760_000_000);

fn id(text: &str) -> KeyId {
    KeyId::parse(text).expect("a key id")
}

fn secret(seed: u8) -> Secret {
    Secret::from_bytes(std::array::from_fn(|index| seed.wrapping_mul(31).wrapping_add(index as u8)))
}

fn signed_by(ring: &Keyring) -> String {
    let path = ObjectPath::parse("/tracks/a/b/160.ogg").expect("a path");
    sign(&path, &Claims::until(NOW.plus(3600)), ring)
}

fn accepts(ring: &Keyring, url: &str) -> bool {
    match verify(url, ring, NOW) {
        Ok(_) => true,
        Err(Refusal::NotGenuine) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_rotation_has_no_gap_at_any_step_and_in_any_order_of_rollout() {
    let before = Keyring::new(id("one"), secret(1));
    let mut added = before.clone();
    added.add(id("two"), secret(2)).expect("a new name");
    let mut promoted = added.clone();
    promoted.promote(&id("two")).expect("it is there");
    let mut retired = promoted.clone();
    retired.retire(&id("one")).expect("it does not sign");

    // While a step is rolled out some nodes are one step ahead of others, both ways.
    for (signer, verifier) in [
        (&before, &added),
        (&added, &before),
        (&added, &promoted),
        (&promoted, &added),
        (&promoted, &retired),
        (&retired, &promoted),
    ] {
        assert!(accepts(verifier, &signed_by(signer)));
        assert!(accepts(signer, &signed_by(signer)));
    }
    // URLs of the first key live through the promotion and end with the retirement.
    let old = signed_by(&before);
    assert!(accepts(&added, &old) && accepts(&promoted, &old) && !accepts(&retired, &old));
    // And a step that was skipped is noticed.
    assert!(!accepts(&before, &signed_by(&promoted)));
}

#[test]
fn a_ring_survives_its_file() {
    let mut ring = Keyring::new(id("eu-2026-11"), secret(1));
    ring.add(id("eu-2026-12"), secret(2)).expect("a new name");
    ring.add(id("a.b_c-D"), secret(3)).expect("a new name");
    ring.promote(&id("eu-2026-12")).expect("it is there");
    ring.retire(&id("a.b_c-D")).expect("it does not sign");
    let file = ring.to_file();
    assert_eq!(Keyring::parse(&file), Ok(ring));
}

#[test]
fn a_file_as_documented_is_read() {
    let file =
        "[[key]]\nid = \"eu-1\"\nstate = \"signing\"\nsecret = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"\n";
    let ring = Keyring::parse(file).expect("the documented form");
    assert_eq!(ring.signing_id().as_str(), "eu-1");
    assert_eq!(ring.signing().1.expose()[31], 31);
}

#[test]
fn files_that_are_no_ring_are_refused_with_the_reason() {
    let key = |name: &str, state: &str, secret: &str| {
        format!("[[key]]\nid = \"{name}\"\nstate = \"{state}\"\nsecret = \"{secret}\"\n")
    };
    let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let stray_bits = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9";
    let refusal = |text: &str| Keyring::parse(text).expect_err("not a ring");
    assert_eq!(refusal(""), KeyringError::Signers(0));
    assert_eq!(refusal(&key("a", "verifying", good)), KeyringError::Signers(0));
    assert_eq!(refusal(&(key("a", "signing", good) + &key("b", "signing", good))), KeyringError::Signers(2));
    assert_eq!(refusal(&(key("a", "signing", good) + &key("a", "retired", good))), KeyringError::Duplicate(id("a")));
    assert_eq!(refusal(&key("a b", "signing", good)), KeyringError::Id(1));
    assert_eq!(refusal(&key("", "signing", good)), KeyringError::Id(1));
    assert_eq!(refusal(&key(&"a".repeat(33), "signing", good)), KeyringError::Id(1));
    for bad in [&good[1..], &format!("{good}A"), &format!("{good}="), stray_bits, "", "short"] {
        assert_eq!(refusal(&key("a", "signing", bad)), KeyringError::Secret(id("a")), "{bad}");
    }
    assert!(
        matches!(refusal(&key("a", "active", good)), KeyringError::Syntax(text) if text.starts_with("line 3: unknown variant"))
    );
    assert!(
        matches!(refusal(&format!("{}extra = 1\n", key("a", "signing", good))), KeyringError::Syntax(text) if text.contains("`extra`"))
    );
    let many: String = (0..=KEYS_MAX).map(|index| key(&format!("k{index}"), "verifying", good)).collect();
    assert_eq!(refusal(&many), KeyringError::TooMany);
}

#[test]
fn steps_that_would_leave_nobody_signing_or_bring_back_the_dead_are_refused() {
    let mut ring = Keyring::new(id("one"), secret(1));
    assert_eq!(ring.retire(&id("one")), Err(KeyringError::InUse(id("one"))));
    assert_eq!(ring.remove(&id("one")), Err(KeyringError::InUse(id("one"))));
    assert_eq!(ring.promote(&id("two")), Err(KeyringError::Unknown(id("two"))));
    assert_eq!(ring.add(id("one"), secret(2)), Err(KeyringError::Duplicate(id("one"))));
    ring.add(id("two"), secret(2)).expect("a new name");
    ring.retire(&id("two")).expect("it does not sign");
    assert_eq!(ring.promote(&id("two")), Err(KeyringError::Retired(id("two"))));
    assert_eq!(ring.add(id("two"), secret(3)), Err(KeyringError::Duplicate(id("two"))));
    ring.remove(&id("two")).expect("it does not sign");
    assert_eq!(ring.keys().len(), 1);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let ring = Keyring::new(id("one"), Secret::from_bytes([0xab; 32]));
    let text = format!("{ring:?}");
    assert!(text.contains("hidden") && !text.contains("171") && !text.contains("ab, ab") && !text.contains("q6ur"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_file_never_panics_and_its_error_never_tells_the_secret(place in 0usize..400, cut in 0usize..12, inserted in "[\\[\\]\"'=\\n{}. a-z\\\\]{0,3}") {
        let hidden = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let mut ring = Keyring::new(id("eu-1"), Secret::parse(hidden).expect("a secret"));
        ring.add(id("eu-2"), Secret::parse(hidden).expect("a secret")).expect("a new name");
        let mut file = ring.to_file();
        let start = place.min(file.len());
        let end = (start + cut).min(file.len());
        file.replace_range(start..end, &inserted);
        if let Err(error) = Keyring::parse(&file) {
            let text = format!("{error} {error:?}");
            let told = hidden.as_bytes().windows(10).any(|piece| text.as_bytes().windows(10).any(|window| window == piece));
            prop_assert!(!told, "{}", text);
        }
    }
}
