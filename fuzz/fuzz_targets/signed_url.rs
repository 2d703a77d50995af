//! Signed URLs from somebody who can get anything signed: whatever passes is in canonical form,
//! says the same when it is signed anew, gives nothing through what is appended, and falls at
//! the first edit.
//!
//! Input, one a line: the text in front of the signature, what is appended behind it, an edit.
//! The fuzzer cannot guess an HMAC, so the target computes it for any text.

#![no_main]

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use needledrop_core::{KeyId, Keyring, ObjectPath, Refusal, Secret, SignedUrl, UnixSeconds, sign, verify};
use sha2::Sha256;

const SECRET: [u8; 32] = [7; 32];
const NOW: UnixSeconds = UnixSeconds(1_760_000_000);
const CLAIMS: [&str; 11] = ["exp", "kid", "sig", "nbf", "uid", "pid", "head", "dur", "next", "nhead", "ip"];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let signed = lines.next().unwrap_or("");
    let appended = lines.next().unwrap_or("");
    let edit = lines.next().unwrap_or("");
    let keyring = Keyring::new(KeyId::parse("k").expect("a key id"), Secret::from_bytes(SECRET));

    // Without the key nothing passes at all.
    assert!(verify(&text, &keyring, NOW).is_err());

    let target = format!("{signed}&sig={}", signature(signed));
    let url = match verify(&target, &keyring, NOW) {
        Ok(url) => url,
        Err(_) => return,
    };
    check_form(&target, signed, &url);
    check_again(&url, &keyring);
    check_appended(&target, appended, &url, &keyring);
    check_edit(&target, edit, &keyring);
});

fn signature(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes())
}

/// Only harmless characters, a path that is one, every claim known and there once, and still valid.
fn check_form(target: &str, signed: &str, url: &SignedUrl) {
    assert!(target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/?&=-._~".contains(&byte)));
    let (path, query) = signed.split_once('?').expect("a query");
    assert_eq!(ObjectPath::parse(path).as_ref(), Ok(url.path()));
    let mut seen = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').expect("a claim has a value");
        assert!(CLAIMS.contains(&name) && name != "sig" && !seen.contains(&name) && !value.is_empty());
        seen.push(name);
    }
    assert_eq!(seen[..2], ["exp", "kid"]);
    assert!(url.claims().expires.plus(5) > NOW && url.unsigned_query().is_none());
}

/// What was understood, signed anew by the honest signer, is understood in the same way.
fn check_again(url: &SignedUrl, keyring: &Keyring) {
    let again = sign(url.path(), url.claims(), keyring);
    let read = verify(&again, keyring, NOW).expect("the honest signer's URLs pass");
    assert_eq!((read.path(), read.claims(), read.key()), (url.path(), url.claims(), url.key()));
}

fn check_appended(target: &str, appended: &str, url: &SignedUrl, keyring: &Keyring) {
    let extended = format!("{target}{appended}");
    let Ok(read) = verify(&extended, keyring, NOW) else { return };
    assert_eq!((read.path(), read.claims(), read.key()), (url.path(), url.claims(), url.key()));
    let query = read.unsigned_query().map(|query| format!("&{query}")).unwrap_or_default();
    assert_eq!(query, appended);
    for parameter in appended.split('&') {
        let name = parameter.split('=').next().unwrap_or("");
        for reading in [plainly(name), decoded(name), decoded(&decoded(name))] {
            assert!(!CLAIMS.contains(&reading.as_str()), "{parameter} can be read as a claim");
        }
    }
}

/// How a decoder that ignores case and blanks reads a name.
fn plainly(name: &str) -> String {
    name.replace('+', " ").trim_matches(|sign: char| sign.is_whitespace() || sign == '\0').to_lowercase()
}

fn decoded(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let escape = behind.get(..2).filter(|_| *byte == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        let value = escape.filter(|pair| !pair.starts_with('+')).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(value.unwrap_or(*byte));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    plainly(&String::from_utf8_lossy(&bytes))
}

/// The edit: where, how many bytes go, and what comes in their place.
fn check_edit(target: &str, edit: &str, keyring: &Keyring) {
    let mut characters = edit.chars();
    let (Some(place), Some(removed)) = (characters.next(), characters.next()) else { return };
    let start = place as usize % target.len();
    let end = (start + removed as usize % 16).min(target.len());
    let edited = format!("{}{}{}", &target[..start], characters.as_str(), &target[end..]);
    if edited.starts_with(target) {
        return;
    }
    let found = verify(&edited, keyring, NOW);
    assert!(
        matches!(found, Err(refusal) if refusal != Refusal::Expired && refusal != Refusal::NotYetValid),
        "{edited}"
    );
}
