//! What a player says about its next request, from anybody: bounds hold, header and query say
//! the same, and nothing is planned but the head that was signed, whatever is announced.
//!
//! Input: the text of a `CMCD-Request` field.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use needledrop_core::prefetch::cmcd::NEXT_MAX;
use needledrop_core::prefetch::reference::resolve;
use needledrop_core::prefetch::{Cmcd, Play, target};
use needledrop_core::{
    Claims, HeadBytes, KeyId, Keyring, NextObject, ObjectPath, Secret, SignedUrl, UnixSeconds, sign, verify,
};

const NOW: UnixSeconds = UnixSeconds(1_760_000_000);
const HERE: &str = "/t/a/160.ogg";
const NEXT: &str = "/t/b/160.ogg";
const HEAD: u32 = 600_000;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let cmcd = Cmcd::parse(&text);
    let query = format!("x&CMCD={}&y", encoded(&text));
    assert_eq!(Cmcd::parse_query(&query), cmcd);
    let _ = Cmcd::parse_query(&text);
    let Some(cmcd) = cmcd else { return };

    assert!(cmcd.next.len() <= NEXT_MAX);
    let here = path(HERE);
    for next in &cmcd.next {
        assert!(next.reference.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        if let Some(found) = resolve(&here, &next.reference) {
            assert_eq!(ObjectPath::parse(found.path.as_str()), Ok(found.path.clone()));
            assert_eq!(resolve(&here, &found.target()), Some(found));
        }
    }

    let keyring = Keyring::new(KeyId::parse("k").expect("a key id"), Secret::from_bytes([7; 32]));
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let plain = url(None, &keyring);
    // Without the key nobody names a right of his own.
    assert_eq!(target(Play { url: &plain, client }, Some(&cmcd), &keyring, NOW), None);
    let next = NextObject { path: path(NEXT), head: HeadBytes::new(u64::from(HEAD)) };
    let rich = url(Some(next), &keyring);
    let found = target(Play { url: &rich, client }, Some(&cmcd), &keyring, NOW).expect("the claim at least");
    assert_eq!(found.path.as_str(), NEXT);
    assert!(found.range.end() <= u64::from(HEAD));
});

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("a plain path")
}

fn url(next: Option<NextObject>, keyring: &Keyring) -> SignedUrl {
    let claims = Claims { next, ..Claims::until(NOW.plus(600)) };
    verify(&sign(&path(HERE), &claims, keyring), keyring, NOW).expect("a valid URL")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
